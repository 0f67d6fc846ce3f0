import { assert, describe, it } from "@effect/vitest"
import * as Redis from "effect-caching/backends/Redis"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { Redis as Client } from "ioredis"
import { inspect } from "node:util"
import * as FaultProxy from "../support/faultProxy.js"
import {
  entry,
  eventually,
  get,
  leavesNothing,
  minute,
  operations,
  printsNothing,
  reasonOf,
  reasons,
  timed,
  told,
  valueOf,
  works
} from "../support/faults.js"
import * as RedisServer from "../support/redisServer.js"

const { Mode } = FaultProxy

printsNothing()

const commandTimeout = 300
/** A time-out and 20 %, and what a busy machine takes. */
const inTime = commandTimeout * 1.2 + 150

const make = (port: number, options: Redis.Options = {}) =>
  Redis.make({ host: "127.0.0.1", port, commandTimeout, ...options })

const proxied = Effect.flatMap(
  RedisServer.make(),
  (server) => Effect.map(FaultProxy.make(server), (proxy) => ({ proxy, server }))
)

/** A port where nothing listens. */
const deadPort = Effect.scoped(Effect.gen(function*() {
  const proxy = yield* FaultProxy.make({ port: 1 })
  return proxy.port
}))

describe("connecting", () => {
  it.scopedLive("to nothing: the backend is made, operations fail at once and say where", () =>
    leavesNothing(Effect.gen(function*() {
      const port = yield* deadPort
      const made = yield* timed(make(port))
      assert.isBelow(made.ms, 500)
      const backend = Either.getOrThrow(made.result)
      const failed = yield* timed(reasons(backend))
      assert.deepStrictEqual(Either.getOrThrow(failed.result), ["Connection"])
      assert.isBelow(failed.ms, 100)
      const error = yield* Effect.flip(backend.get("a"))
      assert.strictEqual(error.message, `redis.get: the connection failed: connect ECONNREFUSED 127.0.0.1:${port}`)
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
        assert.isBelow(ms, 1_000)
        if (requireConnection) assert.isTrue(Either.isLeft(result))
        else assert.deepStrictEqual(Either.getOrThrow(result), ["Timeout"])
      }
      yield* eventually("no connection", Effect.map(proxy.connections, ({ open }) => open === 0))
    }))

  it.scopedLive("to a server that accepts and is silent: can be interrupted, and leaves no socket", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      yield* proxy.setMode(Mode.Hang())
      const connecting = yield* Effect.fork(Effect.scoped(make(proxy.port, { commandTimeout: "1 minute" })))
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

  it.scopedLive("with a wrong password, and with none: says so, without telling it", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ password: "right" })
      const secret = "s3cret-wrong"
      const wrong: ReadonlyArray<Redis.Options> = [
        { password: Redacted.make(secret) },
        { username: "nobody", password: Redacted.make(secret) },
        { url: `redis://:${secret}@127.0.0.1:${server.port}` },
        { url: Redacted.make(`redis://user:${secret}@127.0.0.1:${server.port}/3`) },
        {},
        { db: 3 }
      ]
      for (const options of wrong) {
        const backend = yield* make(server.port, options)
        assert.deepStrictEqual(yield* reasons(backend), ["Authentication"])
        const errors = yield* Effect.all(Object.values(operations(backend)).map(Effect.flip))
        if (options.username !== undefined || options.password !== undefined || options.url !== undefined) {
          errors.push(yield* Effect.flip(make(server.port, { ...options, requireConnection: true })))
        }
        for (const error of errors) {
          assert.notInclude(told(error), secret)
        }
      }
      const backend = yield* make(server.port, { password: Redacted.make("right"), requireConnection: true })
      assert.isTrue(yield* works(backend))
    }))

  it.scopedLive("with a wrong password: tries again, but not in a hurry", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ password: "right" })
      const proxy = yield* FaultProxy.make(server)
      yield* make(proxy.port, { password: Redacted.make("wrong") })
      const accepted = Effect.map(proxy.connections, (_) => _.accepted)
      // After 50, 100, 200, 400 milliseconds and a little more each.
      assert.isAtLeast(yield* eventually("five attempts", Effect.map(accepted, (count) => count >= 5)), 700)
    }))

  it.scopedLive("to a server that has no room for another client: fails, and works when it has", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const redis = yield* client(server)
      yield* Effect.promise(() => redis.config("SET", "maxclients", 1))
      const backend = yield* make(server.port)
      assert.deepStrictEqual(yield* reasons(backend), ["Connection"])
      yield* Effect.promise(() => redis.config("SET", "maxclients", 100))
      assert.isBelow(yield* eventually("works", works(backend)), 1_000)
    }))
})

const client = (server: RedisServer.RedisServer) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const redis = new Client(server.url, { lazyConnect: true, enableReadyCheck: false })
      redis.on("error", () => {})
      await redis.connect()
      return redis
    }),
    (redis) => Effect.sync(() => redis.disconnect())
  )

describe("a connection that is lost", () => {
  it.scopedLive("with operations under way: all fail, and the next ones work", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      const backend = yield* make(proxy.port, { requireConnection: true })
      for (const lose of [proxy.finAll, proxy.resetAll]) {
        yield* proxy.setMode(Mode.Latency({ down: 200 }))
        const under = yield* Effect.fork(timed(reasons(backend)))
        yield* Effect.yieldNow()
        yield* Effect.sleep(20)
        yield* lose
        const { ms, result } = yield* Fiber.join(under)
        assert.deepStrictEqual(Either.getOrThrow(result), ["Connection"])
        assert.isBelow(ms, inTime)
        yield* proxy.setMode(Mode.Pass())
        assert.isBelow(yield* eventually("works", works(backend)), 1_000)
      }
    }))

  it.scopedLive("anywhere in a reply: never gives wrong bytes", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      const backend = yield* make(proxy.port, { requireConnection: true })
      const keys = Array.from({ length: 8 }, (_, index) => `k${index}`)
      const value = (key: string) => `${key}\r\n$-1\r\n+OK\r\n`.repeat(20)
      yield* backend.setMany(keys.map((key) => [key, entry(value(key)), minute]))
      let failures = 0
      for (let round = 0; round < 60; round++) {
        yield* eventually("works", works(backend))
        const how = round % 2 === 0 ? "FIN" : "RST"
        yield* proxy.setMode(Mode.CutAfter({ bytes: (round * 61) % 2_500, with: how }))
        const found = yield* Effect.all([
          ...keys.map((key) => Effect.either(get(backend, key))),
          Effect.either(Effect.map(backend.getMany(keys), (all) => all.map(valueOf).join()))
        ], { concurrency: "unbounded" })
        const expected = [...keys.map(value), keys.map(value).join()]
        found.forEach((result, index) => {
          if (Either.isLeft(result)) failures++
          else assert.strictEqual(result.right, expected[index])
        })
        yield* proxy.setMode(Mode.Pass())
      }
      assert.isAbove(failures, 60)
      yield* eventually("works", works(backend))
      assert.deepStrictEqual((yield* backend.getMany(keys)).map(valueOf), keys.map(value))
    }))

  it.scopedLive("before the reply: no operation runs twice", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* proxied
      const backend = yield* make(proxy.port, { requireConnection: true })
      const direct = yield* make(server.port, { requireConnection: true })
      let calls = 0
      let answered = 0
      for (let round = 0; round < 20; round++) {
        yield* eventually("works", works(backend))
        yield* proxy.setMode(Mode.CutAfter({ bytes: 0, with: round % 2 === 0 ? "FIN" : "RST" }))
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
      assert.strictEqual(answered, 20)
    }))

  it.scopedLive("that trickles: answers or times out, and the next answers are right", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      const backend = yield* make(proxy.port, { requireConnection: true })
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
      const server = yield* RedisServer.make()
      const backend = yield* make(server.port, { requireConnection: true })
      for (let round = 0; round < 3; round++) {
        assert.isTrue(yield* works(backend))
        const under = yield* Effect.fork(timed(reasons(backend)))
        yield* server.kill("SIGKILL")
        assert.isBelow((yield* Fiber.join(under)).ms, inTime)
        yield* eventually("noticed", Effect.map(works(backend), (isUp) => !isUp))
        const { ms, result } = yield* timed(reasons(backend))
        assert.deepStrictEqual(Either.getOrThrow(result), ["Connection"])
        assert.isBelow(ms, 100)
        // The longer it is away, the longer the pauses between the attempts.
        yield* Effect.delay(server.restart, round * 700)
        assert.isBelow(yield* eventually("works", works(backend)), 1_000)
      }
    }))

  it.scopedLive("that is not there at first: is used as soon as it is", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      yield* server.kill("SIGKILL")
      const backend = yield* make(server.port)
      assert.deepStrictEqual(yield* reasons(backend), ["Connection"])
      yield* server.restart
      assert.isBelow(yield* eventually("works", works(backend)), 1_000)
    }))

  it.scopedLive("that loads its data first: says so, and works as soon as it can", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({
        args: ["--key-load-delay", "300", "--loading-process-events-interval-bytes", "1024"]
      })
      const backend = yield* make(server.port, { requireConnection: true })
      yield* backend.setMany(
        Array.from({ length: 2_000 }, (_, index) => [`k${index}`, entry("v".repeat(100)), Duration.infinity])
      )
      const redis = yield* client(server)
      yield* Effect.promise(() => redis.save())
      const restarting = yield* Effect.fork(server.restart)
      yield* eventually("loading", Effect.map(reasons(backend), (all) => all.join() === "Unavailable"))
      yield* Fiber.join(restarting)
      assert.isBelow(yield* eventually("works", works(backend)), 1_000)
      assert.isTrue(yield* backend.has("k1999"))
    }))

  it.scopedLive("that is frozen: every operation times out in time, later ones fail at once, and it works when it goes on", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const proxy = yield* FaultProxy.make(server)
      const backend = yield* make(proxy.port, { requireConnection: true })
      yield* backend.increment("n", 1, minute)
      yield* server.stop()
      const first = yield* timed(reasons(backend))
      assert.deepStrictEqual(Either.getOrThrow(first.result), ["Timeout"])
      assert.isBelow(first.ms, inTime)
      // Reads that come while others hang do not wait for those first.
      const reads = yield* Effect.fork(
        Effect.forEach([0, 5, 40, 120, 200], (delay) => Effect.delay(timed(backend.get("a")), delay), {
          concurrency: "unbounded"
        })
      )
      for (const { ms } of yield* Fiber.join(reads)) assert.isBelow(ms, inTime)
      yield* eventually("replaced", Effect.map(proxy.connections, ({ accepted }) => accepted > 1))
      const { ms } = yield* timed(reasons(backend))
      assert.isBelow(ms, 100)
      yield* server.cont()
      assert.isBelow(yield* eventually("works", works(backend)), 1_000)
      assert.isAtMost(yield* backend.increment("n", 0, minute), 2)
    }))

  it.scopedLive("that is frozen for less than a time-out: nothing is noticed", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const proxy = yield* FaultProxy.make(server)
      const backend = yield* make(proxy.port, { requireConnection: true, commandTimeout: 2_000 })
      yield* server.stop()
      const under = yield* Effect.fork(reasons(backend))
      yield* Effect.sleep(300)
      yield* server.cont()
      assert.deepStrictEqual(yield* Fiber.join(under), ["none"])
      assert.strictEqual((yield* proxy.connections).accepted, 1)
    }))

  it.scopedLive("that is full: writes fail, reads and removals go on", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const redis = yield* client(server)
      const backend = yield* make(server.port, { requireConnection: true })
      yield* backend.set("old", entry("old"), minute)
      yield* backend.tagVersions(["t"])
      const epoch = yield* backend.tagEpoch
      const lease = yield* backend.lease("held", minute)
      yield* Effect.promise(() => redis.config("SET", "maxmemory", "1kb"))
      const writes = [
        backend.set("old", entry("new"), minute),
        backend.setMany([["old", entry("new"), minute]]),
        backend.add("new", entry("new"), minute),
        backend.increment("n", 1, minute),
        backend.fill("held", Option.getOrThrow(lease.token), entry("new"), minute)
      ]
      for (const write of writes) assert.strictEqual(yield* reasonOf(write), "OutOfSpace")
      // The right to fill is not kept from the others by who could not.
      assert.isFalse(yield* backend.renew("held", Option.getOrThrow(lease.token), minute))
      assert.strictEqual(yield* get(backend, "old"), "old")
      assert.deepStrictEqual((yield* backend.getMany(["old", "new"])).map(valueOf), ["old", undefined])
      assert.isTrue(yield* backend.has("old"))
      // A full server can still be told that what it has is out of date.
      yield* backend.invalidateTags(["t"], "hard")
      assert.isTrue(yield* backend.remove("old"))
      yield* backend.clear("")
      yield* Effect.promise(() => redis.config("SET", "maxmemory", "0"))
      assert.notStrictEqual(yield* backend.tagEpoch, epoch)
      assert.isTrue(yield* works(backend))
    }))

  it.scopedLive("that cannot serve now says why, and is not given up", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const proxy = yield* FaultProxy.make(server)
      const redis = yield* client(server)
      const backend = yield* make(proxy.port, { requireConnection: true })
      yield* backend.set("a", entry("1"), minute)
      yield* Effect.promise(() => redis.replicaof("127.0.0.1", "1"))
      assert.strictEqual(yield* reasonOf(backend.set("a", entry("2"), minute)), "Unavailable")
      assert.strictEqual(yield* get(backend, "a"), "1")
      yield* Effect.promise(() => redis.config("SET", "replica-serve-stale-data", "no"))
      assert.deepStrictEqual(yield* reasons(backend), ["Unavailable"])
      yield* Effect.promise(() => redis.replicaof("NO", "ONE"))
      assert.isTrue(yield* works(backend))

      const other = yield* client(server)
      yield* Effect.promise(() => redis.config("SET", "busy-reply-threshold", "1"))
      const busy = redis.eval("while true do end", 0).catch(() => {})
      yield* eventually("busy", Effect.map(reasonOf(backend.get("a")), (reason) => reason === "Unavailable"))
      assert.deepStrictEqual(yield* reasons(backend), ["Unavailable"])
      yield* Effect.promise(() => other.script("KILL"))
      yield* Effect.promise(() => busy)
      assert.isBelow(yield* eventually("works", works(backend)), 1_000)
    }))

  it.scopedLive("that permits some commands only: says so, and tells no key", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const redis = yield* client(server)
      yield* Effect.promise(() =>
        redis.call("ACL", "SETUSER", "reader", "on", ">pw", "~cache:ok*", "+get", "+mget", "+evalsha")
      )
      const backend = yield* make(server.port, {
        username: "reader",
        password: Redacted.make("pw"),
        requireConnection: true
      })
      assert.isTrue(Option.isNone(yield* backend.get("ok")))
      for (const denied of [backend.get("secret-key"), backend.getMany(["secret-key"]), backend.clear("secret-key")]) {
        const error = yield* Effect.flip(denied)
        assert.strictEqual(error.reason, "Authentication")
        assert.notInclude(inspect(error, { depth: 20, showHidden: true }), "secret-key")
      }
    }))

  it.scopedLive("that does not know a command: tells neither keys nor values", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({
        args: ["--rename-command", "MGET", "", "--rename-command", "EVALSHA", "", "--rename-command", "UNLINK", ""]
      })
      const backend = yield* make(server.port, { requireConnection: true })
      for (
        const unknown of [
          backend.getMany(["secret-key"]),
          backend.set("secret-key", entry("secret-value"), minute),
          backend.invalidateTags(["secret-tag"], "hard")
        ]
      ) {
        const error = yield* Effect.flip(unknown)
        assert.strictEqual(error.reason, "Unknown")
        assert.match(error.message, /unknown command '\w+'$/)
        assert.notInclude(inspect(error, { depth: 20, showHidden: true }), "secret")
      }
    }))
})

describe("the end", () => {
  const ends: Record<
    string,
    (proxy: FaultProxy.FaultProxy, server: RedisServer.RedisServer) => Effect.Effect<unknown>
  > = {
    "ready": () => Effect.void,
    "refused and about to reconnect": (proxy) => Effect.zipRight(proxy.setMode(Mode.Refuse()), proxy.resetAll),
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

describe("a client of the user's that waits for ever", () => {
  it.scopedLive("still answers in time", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const redis = yield* client(server)
      const backend = yield* Redis.fromClient(redis, { commandTimeout })
      assert.isTrue(yield* works(backend))
      yield* server.stop()
      const frozen = yield* timed(reasons(backend))
      assert.deepStrictEqual(Either.getOrThrow(frozen.result), ["Timeout"])
      assert.isBelow(frozen.ms, inTime)
      yield* server.kill("SIGKILL")
      const killed = yield* timed(reasons(backend))
      assert.isBelow(killed.ms, inTime)
      yield* server.restart
      yield* eventually("works", works(backend))
    }))
})
