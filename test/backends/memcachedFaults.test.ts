import { assert, describe, it } from "@effect/vitest"
import type { Backend, BackendError } from "effect-caching/Backend"
import * as Memcached from "effect-caching/backends/Memcached"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import memjs from "memjs"
import * as Net from "node:net"
import { inspect } from "node:util"
import * as FaultProxy from "../support/faultProxy.js"
import {
  entry,
  eventually,
  get,
  leavesNothing,
  minute,
  printsNothing,
  reasonOf,
  reasons,
  timed,
  valueOf,
  works
} from "../support/faults.js"
import * as MemcachedServer from "../support/memcachedServer.js"

const { Mode } = FaultProxy

printsNothing()

const commandTimeout = 300
/** A time-out and 20 %, and what a busy machine takes. */
const inTime = commandTimeout * 1.2 + 150

const make = (port: number, options: Memcached.Options = {}) =>
  Memcached.make({ servers: [`127.0.0.1:${port}`], commandTimeout, ...options })

const proxied = Effect.flatMap(
  MemcachedServer.make(),
  (server) => Effect.map(FaultProxy.make(server), (proxy) => ({ proxy, server }))
)

/** A port where nothing listens. */
const deadPort = Effect.scoped(Effect.map(FaultProxy.make({ port: 1 }), ({ port }) => port))

/** So many connections that do nothing, as far as the server takes them. */
const occupy = (port: number, count: number) =>
  Promise.all(Array.from({ length: count }, () =>
    new Promise<Net.Socket>((resolve) => {
      const socket = Net.connect(port, "127.0.0.1", () => resolve(socket)).on("error", () => resolve(socket))
    })))

describe("connecting", () => {
  it.scopedLive("to nothing: the backend is made, operations fail at once and say where", () =>
    leavesNothing(Effect.gen(function*() {
      const port = yield* deadPort
      const made = yield* timed(make(port))
      assert.isBelow(made.ms, 500)
      const backend = Either.getOrThrow(made.result)
      const failed = yield* timed(reasons(backend))
      assert.deepStrictEqual(Either.getOrThrow(failed.result), ["Connection"])
      assert.isBelow(failed.ms, 150)
      const error = yield* Effect.flip(backend.get("a"))
      assert.strictEqual(error.message, `memcached.get: the connection failed: connect ECONNREFUSED 127.0.0.1:${port}`)
    })))

  it.scopedLive("to nothing, where a connection is required: fails at once", () =>
    leavesNothing(Effect.gen(function*() {
      const { ms, result } = yield* timed(make(yield* deadPort, { requireConnection: true }))
      assert.isBelow(ms, 500)
      assert.strictEqual(Either.isLeft(result) && result.left.reason, "Connection")
    })))

  it.scopedLive("to a server that accepts and is silent: takes no longer than it may", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      yield* proxy.setMode(Mode.Hang())
      for (const requireConnection of [false, true]) {
        const { ms, result } = yield* timed(
          Effect.scoped(Effect.flatMap(make(proxy.port, { requireConnection }), reasons))
        )
        assert.isBelow(ms, inTime)
        assert.deepStrictEqual(
          Either.match(result, { onLeft: ({ reason }) => [reason], onRight: (all) => all }),
          ["Timeout"]
        )
      }
      yield* eventually("no connection", Effect.map(proxy.connections, ({ open }) => open === 0))
    }))

  it.scopedLive("to a server that accepts and is silent: can be interrupted, and leaves no socket", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      yield* proxy.setMode(Mode.Hang())
      const connecting = yield* Effect.fork(
        Effect.scoped(make(proxy.port, { commandTimeout: "1 minute", requireConnection: true }))
      )
      yield* eventually("connected", Effect.map(proxy.connections, ({ open }) => open === 1))
      const { ms } = yield* timed(Fiber.interrupt(connecting))
      assert.isBelow(ms, 500)
      yield* eventually("no connection", Effect.map(proxy.connections, ({ open }) => open === 0))
    }))

  for (const how of ["FIN", "RST"] as const) {
    it.scopedLive(`to a server that answers with ${how}: fails, and works as soon as it does not`, () =>
      Effect.gen(function*() {
        const { proxy } = yield* proxied
        yield* proxy.setMode(Mode.CloseOnAccept({ with: how }))
        const backend = yield* make(proxy.port)
        assert.deepStrictEqual(yield* reasons(backend), ["Connection"])
        const { accepted } = yield* proxy.connections
        yield* proxy.setMode(Mode.Pass())
        assert.isBelow(yield* eventually("works", works(backend)), 1_000)
        assert.isBelow(accepted, 5)
      }))
  }

  it.scopedLive("with a wrong password, and with none: says so at once, once, and does not tell it", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make({ sasl: { username: "tester", password: "right" } })
      const secret = "s3cret-wrong"
      const username = "tester"
      const password = Redacted.make(secret)
      const backend = yield* make(server.port, { username, password })
      const stranger = yield* make(server.port)
      const sasl = Memcached.makeSasl({ servers: [server.address], username, password })
      const errors: Array<unknown> = []
      for (
        const attempt of [
          sasl,
          make(server.port, { username, password, requireConnection: true }),
          make(server.port, { requireConnection: true }),
          backend.get("a"),
          backend.set("a", entry("1"), minute),
          stranger.get("a"),
          stranger.invalidateTags(["a"], "hard")
        ]
      ) {
        const { ms, result } = yield* timed<unknown, BackendError, Scope.Scope>(attempt)
        assert.isBelow(ms, 1_000)
        assert.strictEqual(Either.isLeft(result) && result.left.reason, "Authentication")
        errors.push(result)
      }
      assert.deepStrictEqual(yield* reasons(backend), ["Authentication"])
      for (const error of errors) {
        const left = Either.getOrThrow(Either.flip(error as Either.Either<unknown, BackendError>))
        const texts = [inspect(left, { depth: 20, showHidden: true }), JSON.stringify(left), `${left} ${left.stack}`]
        for (const text of texts) assert.notInclude(text, secret)
      }
      const right = yield* Memcached.makeSasl({
        servers: [server.address],
        username,
        password: Redacted.make("right")
      })
      assert.isTrue(yield* works(right))
    }))

  it.scopedLive("with a password to a server that is not there: is no refusal", () =>
    Effect.gen(function*() {
      const options = { servers: [`127.0.0.1:${yield* deadPort}`], username: "a", password: Redacted.make("b") }
      const backend = yield* Memcached.makeSasl(options)
      assert.deepStrictEqual(yield* reasons(backend), ["Connection"])
      const error = yield* Effect.flip(Memcached.makeSasl({ ...options, requireConnection: true }))
      assert.strictEqual(error.reason, "Connection")
    }))
})

describe("a server that has no room for another client", () => {
  it.scopedLive("fails operations, and works when it has", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make({ args: ["-c", "64"] })
      const others = yield* Effect.acquireRelease(
        Effect.promise(() => occupy(server.port, 100)),
        (sockets) => Effect.sync(() => sockets.forEach((socket) => socket.destroy()))
      )
      const backend = yield* make(server.port)
      const { ms, result } = yield* timed(reasons(backend))
      assert.isBelow(ms, inTime)
      for (const reason of Either.getOrThrow(result)) assert.include(["Connection", "Timeout"], reason)
      for (const socket of others) socket.destroy()
      assert.isBelow(yield* eventually("works", works(backend)), 1_300)
    }))
})

describe("a connection that is lost", () => {
  for (const how of ["FIN", "RST"] as const) {
    it.scopedLive(`by ${how} with requests under way: all fail, and the next ones work`, () =>
      Effect.gen(function*() {
        const { proxy, server } = yield* proxied
        const backend = yield* make(proxy.port)
        assert.isTrue(yield* works(backend))
        for (let round = 0; round < 3; round++) {
          yield* server.stop()
          // A signal takes a moment.
          yield* Effect.sleep(30)
          const under = yield* Effect.fork(timed(reasons(backend)))
          yield* Effect.sleep(50)
          yield* how === "FIN" ? proxy.finAll : proxy.resetAll
          const { ms, result } = yield* Fiber.join(under)
          // Those that were under way, and those that waited for them and found a server that is silent.
          assert.isBelow(ms, 50 + inTime)
          assert.deepStrictEqual(Either.getOrThrow(result).toSorted(), ["Connection", "Timeout"])
          yield* server.cont()
          assert.isBelow(yield* eventually("works", works(backend)), 1_000)
        }
      }))
  }

  it.scopedLive("anywhere in a reply: never gives wrong bytes", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      const backend = yield* make(proxy.port)
      const keys = Array.from({ length: 8 }, (_, index) => `k${index}`)
      // Each value looks like a reply, and they differ.
      const value = (key: string) => `${key}\x81\0\0\0\x04\0\0\0\0\0\0\x05\0\0\0\x01`.repeat(20)
      yield* backend.setMany(keys.map((key) => [key, entry(Buffer.from(value(key), "latin1")), minute]))
      let failures = 0
      let answers = 0
      for (let round = 0; round < 80; round++) {
        yield* eventually("works", works(backend))
        const how = round % 2 === 0 ? "FIN" : "RST"
        yield* proxy.setMode(Mode.CutAfter({ bytes: (round * 161) % 12_000, with: how }))
        const found = yield* Effect.all([
          ...keys.map((key) => Effect.either(get(backend, key))),
          Effect.either(Effect.map(backend.getMany(keys), (all) => all.map(valueOf).join()))
        ], { concurrency: "unbounded" })
        const again = yield* Effect.all(keys.map((key) => Effect.either(get(backend, key))))
        const expected = [...keys.map(value), keys.map(value).join(), ...keys.map(value)]
        ;[...found, ...again].forEach((result, index) => {
          if (Either.isLeft(result)) failures++
          else {
            answers++
            assert.strictEqual(result.right, expected[index])
          }
        })
        yield* proxy.setMode(Mode.Pass())
      }
      assert.isAbove(failures, 100)
      assert.isAbove(answers, 100)
      yield* eventually("works", works(backend))
      assert.deepStrictEqual((yield* backend.getMany(keys)).map(valueOf), keys.map(value))
    }))

  it.scopedLive("before the reply: no operation runs twice", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* proxied
      const backend = yield* make(proxy.port)
      const direct = yield* make(server.port)
      let calls = 0
      let answered = 0
      for (let round = 0; round < 20; round++) {
        yield* eventually("works", works(backend))
        // The first answer passes, which tells what is there; that to the write does not.
        yield* proxy.setMode(Mode.CutAfter({ bytes: round % 4 < 2 ? 0 : 150, with: round % 2 === 0 ? "FIN" : "RST" }))
        calls++
        if (yield* Effect.isSuccess(backend.increment("n", 1, minute))) answered++
        yield* proxy.setMode(Mode.Pass())
        yield* eventually("works", works(backend))
        calls++
        if (yield* Effect.isSuccess(backend.increment("n", 1, minute))) answered++
      }
      const applied = yield* direct.increment("n", 0, minute)
      assert.isAtMost(applied, calls)
      assert.isAtLeast(applied, answered)
      assert.isAtLeast(answered, 20)
    }))

  it.scopedLive("that trickles: answers or times out, and the next answers are right", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      const backend = yield* make(proxy.port)
      yield* backend.setMany([["a", entry("a".repeat(300)), minute], ["b", entry("b"), minute]])
      yield* proxy.setMode(Mode.Trickle({ bytes: 5, every: 10 }))
      const { ms, result } = yield* timed(get(backend, "a"))
      assert.isBelow(ms, inTime)
      assert.strictEqual(Either.isLeft(result) && result.left.reason, "Timeout")
      yield* proxy.setMode(Mode.Pass())
      yield* eventually("works", works(backend))
      assert.strictEqual(yield* get(backend, "a"), "a".repeat(300))
      assert.strictEqual(yield* get(backend, "b"), "b")
    }))
})

describe("a server", () => {
  it.scopedLive("that is killed and comes back: works again within a second of it", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make()
      const backend = yield* make(server.port)
      for (let round = 0; round < 3; round++) {
        assert.isTrue(yield* works(backend))
        yield* backend.set("old", entry("old"), minute)
        const lease = Option.getOrThrow((yield* backend.lease("held", minute)).token)
        const under = yield* Effect.fork(timed(reasons(backend)))
        yield* server.kill("SIGKILL")
        assert.isBelow((yield* Fiber.join(under)).ms, inTime)
        yield* eventually("noticed", Effect.map(works(backend), (isUp) => !isUp))
        const { ms, result } = yield* timed(reasons(backend))
        assert.deepStrictEqual(Either.getOrThrow(result), ["Connection"])
        assert.isBelow(ms, 100)
        yield* Effect.delay(server.restart, round * 700)
        assert.isBelow(yield* eventually("works", works(backend)), 1_000)
        // It has forgotten everything, and counts its items from one again.
        assert.isUndefined(yield* get(backend, "old"))
        yield* backend.set("held", entry("new"), minute)
        assert.isFalse(yield* backend.fill("held", lease, entry("late"), minute))
        assert.strictEqual(yield* get(backend, "held"), "new")
      }
    }))

  it.scopedLive("that is not there at first: is used as soon as it is", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make()
      yield* server.kill("SIGKILL")
      const backend = yield* make(server.port)
      assert.deepStrictEqual(yield* reasons(backend), ["Connection"])
      yield* server.restart
      assert.isBelow(yield* eventually("works", works(backend)), 1_000)
    }))

  it.scopedLive("that is frozen: every operation times out in time, later ones fail sooner, and it works when it goes on", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make()
      const proxy = yield* FaultProxy.make(server)
      const backend = yield* make(proxy.port)
      yield* backend.increment("n", 1, minute)
      yield* server.stop()
      const first = yield* timed(reasons(backend))
      assert.deepStrictEqual(Either.getOrThrow(first.result), ["Timeout"])
      assert.isBelow(first.ms, inTime)
      const second = yield* timed(reasons(backend))
      assert.deepStrictEqual(Either.getOrThrow(second.result), ["Timeout"])
      assert.isBelow(second.ms, 50)
      const reads = yield* Effect.fork(
        Effect.forEach([0, 5, 40, 120, 200], (delay) => Effect.delay(timed(backend.get("a")), delay), {
          concurrency: "unbounded"
        })
      )
      for (const { ms } of yield* Fiber.join(reads)) assert.isBelow(ms, inTime)
      yield* server.cont()
      assert.isBelow(yield* eventually("works", works(backend)), 1_000)
      assert.isAtMost(yield* backend.increment("n", 0, minute), 2)
      yield* eventually("one connection", Effect.map(proxy.connections, ({ open }) => open === 1))
    }))

  it.scopedLive("that is frozen for less than a time-out: nothing is noticed", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make()
      const proxy = yield* FaultProxy.make(server)
      const backend = yield* make(proxy.port, { commandTimeout: 2_000 })
      assert.isTrue(yield* works(backend))
      yield* server.stop()
      const under = yield* Effect.fork(reasons(backend))
      yield* Effect.sleep(300)
      yield* server.cont()
      assert.deepStrictEqual(yield* Fiber.join(under), ["none"])
      assert.strictEqual((yield* proxy.connections).accepted, 1)
    }))

  it.scopedLive("that is full: writes fail, reads, removals and invalidations go on", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make({ args: ["-M", "-m", "2"] })
      const backend = yield* make(server.port)
      const large = entry(Buffer.alloc(300_000))
      yield* backend.set("old", entry("old"), minute)
      yield* backend.tagVersions(["t"])
      const epoch = yield* backend.tagEpoch
      const token = Option.getOrThrow((yield* backend.lease("held", minute)).token)
      let count = 0
      yield* Effect.repeat(
        Effect.suspend(() => reasonOf(backend.set(`large${count++}`, large, minute))),
        { until: (reason) => reason !== "none" }
      )
      const writes = [
        backend.set("new", large, minute),
        backend.setMany([["new", large, minute]]),
        backend.add("new", large, minute),
        backend.fill("held", token, large, minute)
      ]
      for (const write of writes) assert.strictEqual(yield* reasonOf(write), "OutOfSpace")
      // The right to fill is not kept from the others by who could not.
      assert.isFalse(yield* backend.renew("held", token, minute))
      assert.strictEqual(yield* get(backend, "old"), "old")
      assert.deepStrictEqual((yield* backend.getMany(["old", "new"])).map(valueOf), ["old", undefined])
      // What it has no space for takes with it what was there.
      assert.strictEqual(yield* reasonOf(backend.set("old", large, minute)), "OutOfSpace")
      assert.isUndefined(yield* get(backend, "old"))
      yield* backend.invalidateTags(["t"], "hard")
      assert.notStrictEqual(yield* backend.tagEpoch, epoch)
      assert.isTrue(yield* backend.remove("large0"))
      yield* backend.clear("large")
      assert.isFalse(yield* backend.has("large1"))
      assert.isTrue(yield* works(backend))
    }))

  it.scopedLive("that has no space for a list of what was cleared: forgets everything instead", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make({ args: ["-M", "-m", "2"] })
      const backend = yield* make(server.port)
      yield* backend.set("a", entry("1"), minute)
      yield* backend.set("b:1", entry("1"), minute)
      let count = 0
      yield* Effect.repeat(
        Effect.suspend(() => reasonOf(backend.set(`k${count++}`, entry(Buffer.alloc(9_000)), minute))),
        { until: (reason) => reason !== "none" }
      )
      // In a list, as long as the values that there is no space for.
      for (let index = 0; index < 12; index++) yield* backend.clear(`${index}`.padEnd(1_000, "x"))
      yield* backend.clear("b:")
      assert.isFalse(yield* backend.has("b:1"))
      assert.notStrictEqual(yield* reasonOf(backend.get("a")), "OutOfSpace")
    }))

  it.scopedLive("among several, that is away: the keys of the others work, and clear says that it failed", () =>
    Effect.gen(function*() {
      const [one, two] = yield* Effect.all([MemcachedServer.make(), MemcachedServer.make()])
      const servers = [one.address, two.address]
      const backend = yield* Memcached.make({ servers, commandTimeout, requireConnection: true })
      const keys = Array.from({ length: 50 }, (_, index) => `k${index}`)
      yield* backend.setMany(keys.map((key) => [key, entry(key), minute]))
      yield* two.kill("SIGKILL")
      const found = yield* Effect.forEach(keys, (key) => Effect.either(get(backend, key)))
      const answers = found.flatMap((result) => Either.isRight(result) ? [result.right] : [])
      assert.isAbove(answers.length, 10)
      assert.isBelow(answers.length, 40)
      found.forEach((result, index) => {
        if (Either.isRight(result)) assert.strictEqual(result.right, keys[index])
        else assert.strictEqual(result.left.reason, "Connection")
      })
      assert.strictEqual(yield* reasonOf(backend.clear("k")), "Connection")
      assert.strictEqual(yield* reasonOf(backend.getMany(keys)), "Connection")
      const { result } = yield* timed(Memcached.make({ servers, requireConnection: true }))
      assert.strictEqual(Either.isLeft(result) && result.left.reason, "Connection")
      yield* two.restart
      yield* eventually("works", Effect.isSuccess(backend.getMany(keys)))
      yield* backend.clear("k")
      assert.deepStrictEqual((yield* backend.getMany(keys)).filter(Option.isSome), [])
    }))
})

describe("the end", () => {
  const ends: Record<
    string,
    (proxy: FaultProxy.FaultProxy, server: MemcachedServer.MemcachedServer) => Effect.Effect<unknown>
  > = {
    "ready": () => Effect.void,
    "refused": (proxy) => Effect.zipRight(proxy.setMode(Mode.Refuse()), proxy.resetAll),
    "frozen": (_, server) => server.stop(),
    "connecting to a silent server": (proxy) => Effect.zipRight(proxy.setMode(Mode.Hang()), proxy.resetAll)
  }
  for (const [state, bring] of Object.entries(ends)) {
    it.scopedLive(`while ${state}: comes at once, and answers everything that is under way`, () =>
      Effect.gen(function*() {
        const { proxy, server } = yield* proxied
        yield* leavesNothing(Effect.gen(function*() {
          const scope = yield* Scope.make()
          const backend = yield* Scope.extend(make(proxy.port, { commandTimeout: "1 minute" }), scope)
          assert.isTrue(yield* works(backend))
          yield* bring(proxy, server)
          const under = yield* Effect.fork(reasons(backend))
          yield* Effect.sleep(60)
          const { ms } = yield* timed(Scope.close(scope, Exit.void))
          assert.isBelow(ms, 500)
          const { ms: answered, result } = yield* timed(Fiber.join(under))
          assert.isBelow(answered, 50)
          if (state !== "ready") assert.deepStrictEqual(Either.getOrThrow(result), ["Connection"])
          assert.deepStrictEqual(yield* reasons(backend), ["Connection"])
          assert.match((yield* Effect.flip(backend.get("a"))).message, /the backend is closed/)
          yield* server.cont()
        }))
        yield* eventually("no connection", Effect.map(proxy.connections, ({ open }) => open === 0))
      }))
  }
})

describe("a client of the user's", () => {
  it.scopedLive("answers in time and rightly, its own operations too", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* proxied
      const client = memjs.Client.create(`127.0.0.1:${proxy.port}`, {
        logger: { log: () => {} },
        retries: 1,
        timeout: 2
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => client.close()))
      const backend = yield* Memcached.fromClient(client, { commandTimeout })
      assert.isTrue(yield* works(backend))
      yield* server.stop()
      const theirs = yield* Effect.fork(timed(Effect.tryPromise(() => client.get("theirs"))))
      const frozen = yield* timed(reasons(backend))
      assert.deepStrictEqual(Either.getOrThrow(frozen.result), ["Timeout"])
      assert.isBelow(frozen.ms, inTime)
      assert.isTrue(Either.isLeft((yield* Fiber.join(theirs)).result))
      yield* server.cont()
      yield* eventually("works", works(backend))
      const value = Buffer.alloc(60_000, "their value")
      yield* Effect.promise(() => client.set("theirs", value))
      for (let round = 0; round < 20; round++) {
        yield* proxy.setMode(Mode.CutAfter({ bytes: round * 3_100, with: round % 2 === 0 ? "RST" : "FIN" }))
        const cut = yield* Effect.either(Effect.tryPromise(() => client.get("theirs")))
        if (Either.isRight(cut)) assert.isTrue(value.equals(cut.right.value!))
        yield* proxy.setMode(Mode.Pass())
        const found = yield* Effect.either(Effect.tryPromise(() => client.get("theirs")))
        if (Either.isRight(found)) assert.isTrue(value.equals(found.right.value!))
        yield* eventually("works", works(backend))
      }
      yield* eventually("one connection", Effect.map(proxy.connections, ({ open }) => open === 1))
    }))
})

describe("chaos", () => {
  /** Numbers that look random, the same in every run. */
  const seeded = (seed: number) => () => {
    seed = Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0
    return ((seed ^ (seed >>> 13)) >>> 0) / 2 ** 32
  }

  it.scopedLive("of cuts, silences and restarts: no wrong answer, none that is late, and calm afterwards", () =>
    Effect.gen(function*() {
      const server = yield* MemcachedServer.make()
      const proxies = yield* Effect.all([FaultProxy.make(server), FaultProxy.make(server)])
      const backends = yield* Effect.forEach(proxies, ({ port }) => make(port, { prefix: "chaos:" }))
      const random = seeded(20_261)
      const keys = Array.from({ length: 20 }, (_, index) => `k${index}`)
      const value = (key: string) => `${key}:`.repeat(1 + Math.floor(random() ** 4 * 20_000))
      const isOf = (key: string, found: string | undefined) =>
        found === undefined ||
        (found.length % (key.length + 1) === 0 && found === `${key}:`.repeat(found.length / (key.length + 1)))
      let [wrong, late, ok, failed] = [0, 0, 0, 0]
      const end = performance.now() + 6_000
      const one = (backend: Backend): Effect.Effect<void> =>
        Effect.suspend(() => {
          if (performance.now() > end) return Effect.void
          const key = keys[Math.floor(random() * keys.length)]!
          const choice = random()
          const operation: Effect.Effect<boolean, BackendError> = choice < 0.4
            ? Effect.map(get(backend, key), (found) => isOf(key, found))
            : choice < 0.55
            ? Effect.map(backend.getMany(keys), (all) => all.every((found, i) => isOf(keys[i]!, valueOf(found))))
            : choice < 0.75
            ? Effect.as(backend.set(key, entry(value(key)), minute), true)
            : choice < 0.8
            ? Effect.as(backend.remove(key), true)
            : choice < 0.85
            ? Effect.map(backend.increment("n", 1, minute), Number.isSafeInteger)
            : choice < 0.95
            ? Effect.flatMap(backend.lease(key, minute), ({ token }) =>
              Option.isNone(token) ? Effect.succeed(true) : Effect.as(
                backend.fill(key, token.value, entry(value(key)), minute),
                true
              ))
            : Effect.as(backend.clear(key), true)
          return Effect.flatMap(timed(operation), ({ ms, result }) => {
            if (Either.isLeft(result)) {
              failed++
            } else if (result.right) {
              ok++
            } else wrong++
            // Two requests one after the other, each in its time.
            if (ms > 3 * inTime) {
              late++
            }
            return Effect.zipRight(Effect.yieldNow(), one(backend))
          })
        })
      const spoil = Effect.gen(function*() {
        while (performance.now() < end) {
          const proxy = proxies[Math.floor(random() * 2)]!
          const choice = random()
          if (choice < 0.6) {
            const how = random() < 0.5 ? "FIN" : "RST"
            yield* proxy.setMode(Mode.CutAfter({ bytes: Math.floor(random() * 40_000), with: how }))
          } else if (choice < 0.7) yield* proxy.setMode(Mode.Trickle({ bytes: 700, every: 1 }))
          else if (choice < 0.8) yield* random() < 0.5 ? proxy.resetAll : proxy.finAll
          else if (choice < 0.85) yield* proxy.setMode(Mode.Refuse())
          else if (choice < 0.92) {
            yield* server.stop()
            yield* Effect.sleep(random() * 500)
            yield* server.cont()
          } else if (choice < 0.95) yield* Effect.orDie(server.restart)
          yield* Effect.sleep(random() * 60)
          yield* proxy.setMode(Mode.Pass())
          yield* Effect.sleep(random() * 60)
        }
      })
      yield* Effect.all([spoil, ...backends.flatMap((backend) => Array.from({ length: 8 }, () => one(backend)))], {
        concurrency: "unbounded",
        discard: true
      })
      assert.deepStrictEqual({ wrong, late }, { wrong: 0, late: 0 })
      assert.isAbove(ok, 500)
      assert.isAbove(failed, 50)
      for (const [index, backend] of backends.entries()) {
        yield* proxies[index]!.setMode(Mode.Pass())
        yield* eventually("works", works(backend))
        assert.deepStrictEqual(yield* reasons(backend), ["none"])
        yield* eventually("one connection", Effect.map(proxies[index]!.connections, ({ open }) => open === 1))
      }
    }))
})
