import { assert, describe, it, vi } from "@effect/vitest"
import { BackendError } from "effect-caching/Backend"
import * as Uwsgi from "effect-caching/backends/Uwsgi"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Net from "node:net"
import { reserved } from "../../src/internal/derive.js"
import { Items } from "../../src/internal/uwsgi/items.js"
import { Link } from "../../src/internal/uwsgi/link.js"
import { Locks } from "../../src/internal/uwsgi/locks.js"
import { encode } from "../../src/internal/uwsgi/packets.js"
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
  valueOf,
  works
} from "../support/faults.js"
import * as UwsgiServer from "../support/uwsgiServer.js"

const { Mode } = FaultProxy

printsNothing()

const timeout = 300
/** A time-out and 20 %, and what a busy machine takes. */
const inTime = timeout * 1.2 + 500

const make = (port: number, options: Uwsgi.Options = {}) => Uwsgi.make({ port, timeout, ...options })

const proxied = Effect.flatMap(
  UwsgiServer.make(),
  (server) => Effect.map(FaultProxy.make(server), (proxy) => ({ proxy, server }))
)

/** A port where nothing listens. */
const deadPort = Effect.scoped(Effect.map(FaultProxy.make({ port: 1 }), (proxy) => proxy.port))

/** Stores small items past the backend until the server takes no more. */
const fill = (port: number) =>
  Effect.promise(async () => {
    for (let index = 0; index < 10_000; index++) {
      const isStored = await new Promise<boolean>((resolve) => {
        let length = 0
        const socket = Net.connect(port, "127.0.0.1")
        socket.on("data", (chunk) => void (length += chunk.length))
        socket.on("close", () => resolve(length > 0))
        socket.write(encode([["cmd", "set"], ["key", `filler${index}`], ["size", "1"]], Buffer.from("1")))
      })
      if (!isStored) return
    }
    throw new Error("the server does not get full")
  })

/** The locks of a process of its own. */
const locksAt = ({ host, port }: { readonly host: string; readonly port: number }) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Link({ host, port }, timeout, 1)),
      (link) => Effect.sync(() => link.close())
    ),
    (link) => {
      const fail = () => new BackendError({ backend: "test", method: "lock", reason: "Unknown" })
      return new Locks(new Items(link, { cacheName: undefined, prefix: "cache:" }, fail))
    }
  )

describe("connecting", () => {
  it.scopedLive("to nothing: the backend is made, operations fail at once and say where", () =>
    leavesNothing(Effect.gen(function*() {
      const port = yield* deadPort
      const made = yield* timed(make(port))
      assert.isBelow(made.ms, 500)
      const backend = Either.getOrThrow(made.result)
      const failed = yield* timed(reasons(backend))
      assert.deepStrictEqual(Either.getOrThrow(failed.result), ["Connection"])
      assert.isBelow(failed.ms, inTime)
      const error = yield* Effect.flip(backend.get("a"))
      assert.strictEqual(error.message, `uwsgi.get: the connection failed: connect ECONNREFUSED 127.0.0.1:${port}`)
    })))

  it.scopedLive("to nothing, where a connection is required: fails at once", () =>
    leavesNothing(Effect.gen(function*() {
      const { ms, result } = yield* timed(make(yield* deadPort, { requireConnection: true }))
      assert.isBelow(ms, 500)
      assert.strictEqual(Either.isLeft(result) && result.left.reason, "Connection")
      const absent = yield* Effect.flip(Uwsgi.make({ path: "/nowhere/socket", requireConnection: true }))
      assert.strictEqual(
        absent.message,
        "uwsgi.connect: the connection failed: connect ENOENT /nowhere/socket"
      )
    })))

  it.scopedLive("to a server that accepts and is silent: takes no longer than it may", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      yield* proxy.setMode(Mode.Hang())
      for (const requireConnection of [false, true]) {
        const { ms, result } = yield* timed(
          Effect.scoped(Effect.flatMap(make(proxy.port, { requireConnection }), reasons))
        )
        assert.isBelow(ms, 2 * inTime)
        if (requireConnection) assert.isTrue(Either.isLeft(result))
        else assert.deepStrictEqual(Either.getOrThrow(result), ["Timeout"])
      }
      yield* eventually("no connection", Effect.map(proxy.connections, ({ open }) => open === 0))
    }))

  it.scopedLive("to a server that accepts and is silent: can be interrupted", () =>
    leavesNothing(Effect.gen(function*() {
      const { proxy } = yield* proxied
      yield* proxy.setMode(Mode.Hang())
      const making = yield* Effect.fork(make(proxy.port, { timeout: "1 minute" }))
      yield* eventually("a connection", Effect.map(proxy.connections, ({ open }) => open === 1))
      const { ms } = yield* timed(Fiber.interrupt(making))
      assert.isBelow(ms, 100)
    })))

  it.scopedLive("to a server that is not there at first, and then is not fit: says so once it can", () =>
    Effect.gen(function*() {
      const server = yield* UwsgiServer.make()
      yield* server.kill
      const backend = yield* make(server.port, { cacheName: "pages" })
      assert.deepStrictEqual(yield* reasons(backend), ["Connection"])
      yield* server.restart
      const error = yield* Effect.flip(backend.get("a"))
      assert.strictEqual(
        error.message,
        `uwsgi.get: the server has no cache "pages": start it with --cache2 name=pages,items=…`
      )
    }))
})

describe("a connection that ends", () => {
  it.scopedLive("as soon as it is accepted: operations fail, and work again when it does not", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      const backend = yield* make(proxy.port, { requireConnection: true })
      yield* backend.set("a", entry("1"), minute)
      for (const how of ["FIN", "RST"] as const) {
        yield* proxy.setMode(Mode.CloseOnAccept({ with: how }))
        const { ms, result } = yield* timed(reasons(backend))
        assert.isBelow(ms, inTime)
        // Nothing is taken for an answer that is none: no removal, no clear and no count is said to be done.
        for (const reason of Either.getOrThrow(result)) assert.include(["Connection", "Unavailable"], reason)
        yield* proxy.setMode(Mode.Pass())
        assert.isBelow(yield* eventually("works", works(backend)), 1_000)
        assert.strictEqual(yield* get(backend, "a"), "1")
      }
    }))

  it.scopedLive("anywhere in a reply: never gives wrong bytes", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      const backend = yield* make(proxy.port, { requireConnection: true })
      const keys = Array.from({ length: 8 }, (_, index) => `k${index}`)
      const value = (key: string) => `${key}\r\n\0o\x11`.repeat(60)
      yield* backend.setMany(keys.map((key) => [key, entry(value(key)), minute]))
      let failures = 0
      for (let round = 0; round < 60; round++) {
        const how = round % 2 === 0 ? "FIN" : "RST"
        yield* proxy.setMode(Mode.CutAfter({ bytes: (round * 17) % 560, with: how }))
        const found = yield* Effect.all([
          ...keys.map((key) => Effect.either(get(backend, key))),
          Effect.either(Effect.map(backend.getMany(keys), (all) => all.map(valueOf).join()))
        ], { concurrency: "unbounded" })
        const expected = [...keys.map(value), keys.map(value).join()]
        found.forEach((result, index) => {
          if (Either.isLeft(result)) failures++
          else if (result.right !== undefined) assert.strictEqual(result.right, expected[index])
        })
        yield* proxy.setMode(Mode.Pass())
      }
      assert.isAbove(failures, 60)
      yield* eventually("works", works(backend))
      assert.deepStrictEqual((yield* backend.getMany(keys)).map(valueOf), keys.map(value))
    }))

  it.scopedLive("before the reply: no operation runs twice, and no key stays locked", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* proxied
      const backend = yield* make(proxy.port, { requireConnection: true, timeout: 3_000 })
      const direct = yield* make(server.port, { requireConnection: true })
      yield* backend.increment("n", 0, minute)
      let [calls, answered] = [0, 0]
      for (let round = 0; round < 60; round++) {
        // Another request of the increment each round.
        const broken = yield* Effect.fork(
          Effect.zipRight(
            eventually("the request", Effect.map(proxy.connections, ({ accepted }) => accepted >= before + round % 6)),
            proxy.setMode(Mode.CutAfter({ bytes: 0, with: round % 2 === 0 ? "FIN" : "RST" }))
          )
        )
        const before = (yield* proxy.connections).accepted
        calls++
        if (yield* Effect.isSuccess(backend.increment("n", 1, minute))) answered++
        yield* Fiber.interrupt(broken)
        yield* proxy.setMode(Mode.Pass())
        const { ms, result } = yield* timed(backend.increment("n", 1, minute))
        // A lock that nobody gives back would last ten seconds.
        assert.isBelow(ms, 3_000)
        calls++
        if (Either.isRight(result)) answered++
      }
      const applied = yield* direct.increment("n", 0, minute)
      assert.isAtMost(applied, calls)
      assert.isAtLeast(applied, answered, "applied, and answered")
      assert.isAtLeast(answered, 60, `answered, of ${calls}`)
    }))

  it.scopedLive("that trickles: answers or times out, and the next answers are right", () =>
    Effect.gen(function*() {
      const { proxy } = yield* proxied
      const backend = yield* make(proxy.port, { requireConnection: true })
      yield* backend.setMany([["a", entry("a".repeat(600)), minute], ["b", entry("b"), minute]])
      yield* proxy.setMode(Mode.Trickle({ bytes: 5, every: 10 }))
      const { ms, result } = yield* timed(get(backend, "a"))
      assert.isBelow(ms, inTime)
      assert.isTrue(Either.isLeft(result))
      yield* proxy.setMode(Mode.Pass())
      yield* eventually("works", works(backend))
      assert.strictEqual(yield* get(backend, "a"), "a".repeat(600))
      assert.strictEqual(yield* get(backend, "b"), "b")
    }))
})

describe("a server", () => {
  it.scopedLive("that is killed and comes back: works again at once, and has forgotten everything", () =>
    Effect.gen(function*() {
      const server = yield* UwsgiServer.make()
      const backend = yield* make(server.port, { requireConnection: true })
      for (let round = 0; round < 2; round++) {
        yield* backend.set("a", entry("1"), minute)
        const under = yield* Effect.fork(timed(reasons(backend)))
        yield* server.kill
        assert.isBelow((yield* Fiber.join(under)).ms, inTime)
        const { ms, result } = yield* timed(reasons(backend))
        assert.deepStrictEqual(Either.getOrThrow(result), ["Connection"])
        assert.isBelow(ms, inTime)
        yield* server.restart
        assert.isBelow(yield* eventually("works", works(backend)), 1_000)
        assert.isFalse(yield* backend.has("a"))
      }
    }))

  it.scopedLive("that is frozen: every operation times out in time, later ones fail at once, and it works when it goes on", () =>
    Effect.gen(function*() {
      const server = yield* UwsgiServer.make()
      const backend = yield* make(server.port, { requireConnection: true })
      yield* backend.increment("n", 1, minute)
      yield* server.stop
      const first = yield* timed(reasons(backend))
      assert.deepStrictEqual(Either.getOrThrow(first.result), ["Timeout"])
      assert.isBelow(first.ms, inTime)
      const { ms } = yield* timed(reasons(backend))
      assert.isBelow(ms, inTime)
      yield* server.cont
      assert.isBelow(yield* eventually("works", works(backend)), 1_000)
      // No lock is left behind by who gave up.
      const again = yield* timed(reasons(backend))
      assert.deepStrictEqual(Either.getOrThrow(again.result), ["none"])
      assert.isBelow(again.ms, 1_000)
    }))

  it.scopedLive("that is frozen: callers by the hundred wait no longer than one", () =>
    Effect.gen(function*() {
      const server = yield* UwsgiServer.make()
      const backend = yield* make(server.port, { requireConnection: true })
      yield* server.stop
      const all = yield* timed(
        Effect.all(
          Array.from({ length: 300 }, (_, index) =>
            reasonOf(index % 2 === 0 ? backend.get(`k${index}`) : backend.set("same", entry("1"), minute))),
          { concurrency: "unbounded" }
        )
      )
      assert.isBelow(all.ms, inTime)
      assert.deepStrictEqual([...new Set(Either.getOrThrow(all.result))], ["Timeout"])
    }))

  it.scopedLive("that is frozen for less than a time-out: nothing is noticed", () =>
    Effect.gen(function*() {
      const server = yield* UwsgiServer.make()
      const backend = yield* make(server.port, { requireConnection: true, timeout: 3_000 })
      yield* server.stop
      const under = yield* Effect.fork(reasons(backend))
      yield* Effect.delay(server.cont, 300)
      assert.deepStrictEqual(yield* Fiber.join(under), ["none"])
    }))

  it.scopedLive("that is full: refuses what is new, and can be told that what it has is out of date", () =>
    Effect.gen(function*() {
      const server = yield* UwsgiServer.make({ caches: ["name=lab,items=40,blocksize=2048"] })
      const backend = yield* make(server.port, { requireConnection: true })
      yield* backend.setMany([["old", entry("old"), minute], ["other", entry("other"), minute]])
      yield* backend.increment("n", 1, minute)
      yield* backend.tagVersions(["t"])
      const epoch = yield* backend.tagEpoch
      yield* fill(server.port)
      for (
        const write of [
          backend.set("new", entry("new"), minute),
          backend.setMany([["new", entry("new"), minute]]),
          backend.add("new", entry("new"), minute),
          backend.increment("new", 1, minute),
          backend.lease("new", minute)
        ]
      ) {
        const { ms, result } = yield* timed(write)
        assert.strictEqual(Either.isLeft(result) && result.left.reason, "OutOfSpace")
        assert.isBelow(ms, inTime)
      }
      assert.deepStrictEqual((yield* backend.getMany(["old", "new"])).map(valueOf), ["old", undefined])
      // What is there can be overwritten, counted on and removed.
      yield* backend.set("old", entry("newer"), minute)
      assert.strictEqual(yield* get(backend, "old"), "newer")
      assert.strictEqual(yield* backend.increment("n", 1, minute), 2)
      yield* backend.invalidateTags(["t"], "hard")
      assert.notStrictEqual(yield* backend.tagEpoch, epoch)
      assert.isTrue(yield* backend.remove("old"))
      yield* fill(server.port)
      yield* backend.clear("ot")
      assert.isFalse(yield* backend.has("other"))
    }))

  it.scopedLive("that was full before: is used as far as it goes", () =>
    Effect.gen(function*() {
      const server = yield* UwsgiServer.make({ caches: ["name=lab,items=10,blocksize=2048"] })
      yield* fill(server.port)
      const backend = yield* make(server.port)
      for (const reason of yield* reasons(backend)) assert.include(["OutOfSpace", "Unavailable", "none"], reason)
    }))

  it.scopedLive("that lets nothing expire: a lock whose holder has died is taken away in the end, and not before", () =>
    Effect.gen(function*() {
      const server = yield* UwsgiServer.make({ caches: ["name=lab,items=1000,blocksize=4096,no_expire=1"] })
      const backend = yield* make(server.port, { requireConnection: true })
      yield* backend.set("a", entry("1"), minute)
      const dead = yield* locksAt(server)
      assert.isTrue(yield* dead.acquire(reserved.lock("a"), 10_000))

      const setting = yield* Effect.fork(backend.set("a", entry("2"), minute))
      yield* Effect.sleep(100)
      assert.strictEqual(yield* Fiber.poll(setting), Option.none())
      const now = performance.now.bind(performance)
      const later = vi.spyOn(performance, "now").mockImplementation(() => now() + 14_000)
      yield* Effect.sleep(50)
      assert.strictEqual(yield* Fiber.poll(setting), Option.none())
      later.mockImplementation(() => now() + 16_000)
      yield* Fiber.join(setting)
      later.mockRestore()
      assert.strictEqual(yield* get(backend, "a"), "2")
    }))
})

describe("a lock", () => {
  it.scopedLive("whose release has not reached the server, which said nothing, is not waited for by this process", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* proxied
      const [locks, others] = [yield* locksAt(proxy), yield* locksAt(server)]
      assert.isTrue(yield* locks.acquire("k", 10_000))
      // The end of a connection is what the server says of an item that is not there.
      yield* proxy.setMode(Mode.CloseOnAccept({ with: "FIN" }))
      assert.isFalse(yield* locks.release("k"))
      yield* proxy.setMode(Mode.Pass())
      assert.isFalse(yield* others.acquire("k", 10_000))
      assert.isTrue(yield* locks.acquire("k", 10_000))
      assert.isTrue(yield* locks.release("k"))
      assert.isTrue(yield* others.acquire("k", 10_000))
    }))
})

describe("interruption", () => {
  it.scopedLive(
    "of two thousand operations leaves no connection, no lock and no wrong value",
    () =>
      Effect.gen(function*() {
        const server = yield* UwsgiServer.make({ workers: 2 })
        yield* leavesNothing(Effect.gen(function*() {
          const backend = yield* make(server.port, { requireConnection: true, timeout: 10_000 })
          const names = Object.keys(operations(backend))
          for (let round = 0; round < 100; round++) {
            const fibers = yield* Effect.forEach(
              Array.from({ length: 20 }),
              (_, index) => Effect.fork(operations(backend)[names[(round + index) % names.length]!]!)
            )
            for (let turns = round % 7; turns > 0; turns--) yield* Effect.promise(() => new Promise(setImmediate))
            yield* Fiber.interruptAll(fibers)
          }
          const { ms, result } = yield* timed(reasons(backend))
          assert.deepStrictEqual(Either.getOrThrow(result), ["none"])
          assert.isBelow(ms, 8_000)
        }))
      }),
    60_000
  )
})

describe("the end", () => {
  const ends: Record<
    string,
    (proxy: FaultProxy.FaultProxy, server: UwsgiServer.UwsgiServer) => Effect.Effect<unknown>
  > = {
    "ready": () => Effect.void,
    "frozen": (_, server) => server.stop,
    "connecting to a silent server": (proxy) => proxy.setMode(Mode.Hang())
  }
  for (const [state, bring] of Object.entries(ends)) {
    it.scopedLive(`while ${state}: comes at once, and answers everything that is under way`, () =>
      Effect.gen(function*() {
        const { proxy, server } = yield* proxied
        yield* leavesNothing(Effect.gen(function*() {
          const scope = yield* Scope.make()
          const backend = yield* Scope.extend(make(proxy.port, { timeout: "1 minute" }), scope)
          assert.isTrue(yield* works(backend))
          yield* bring(proxy, server)
          const under = yield* Effect.fork(reasons(backend))
          yield* eventually("under way", Effect.map(proxy.connections, ({ open }) => open > 0 || state === "ready"))
          const { ms } = yield* timed(Scope.close(scope, Exit.void))
          assert.isBelow(ms, 500)
          const { ms: answered } = yield* timed(Fiber.join(under))
          assert.isBelow(answered, 100)
          assert.deepStrictEqual(yield* reasons(backend), ["Connection"])
          assert.match((yield* Effect.flip(backend.get("a"))).message, /the backend is closed/)
          yield* server.cont
        }))
        yield* eventually("no connection", Effect.map(proxy.connections, ({ open }) => open === 0))
      }))
  }
})
