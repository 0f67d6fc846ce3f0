import { assert, describe, it } from "@effect/vitest"
import type { Backend } from "effect-caching/Backend"
import * as RedisSentinel from "effect-caching/backends/RedisSentinel"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
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
  works
} from "../support/faults.js"
import * as Servers from "../support/redisSentinel.js"

const { Mode } = FaultProxy

printsNothing()

const commandTimeout = 300
/** A time-out and 20 %, and what a busy machine takes. */
const inTime = commandTimeout * 1.2 + 150
/** What the sentinels take to agree on another master, elections with it. */
const failover = Servers.downAfter + 4_000

const make = (servers: Servers.RedisSentinel, options: Partial<RedisSentinel.Options> = {}) =>
  RedisSentinel.make({ sentinels: servers.addresses, commandTimeout, requireConnection: true, ...options })

/** Reads and writes without a pause, and looks at every answer. Ends with `stop`. */
const load = (backend: Backend) => {
  const seen = { answers: 0, wrong: 0, errors: new Set<string>(), slowest: 0 }
  let isOver = false
  let round = 0
  const one = () => {
    const key = `k${round++ % 50}`
    return round % 2 === 0
      ? Effect.as(backend.set(key, entry(key), minute), true)
      : Effect.map(get(backend, key), (value) => value === undefined || value === key)
  }
  const worker: Effect.Effect<void> = Effect.suspend(() =>
    isOver ? Effect.void : Effect.flatMap(timed(one()), ({ ms, result }) => {
      seen.slowest = Math.max(seen.slowest, ms)
      if (Either.isRight(result)) {
        seen.answers++
        if (!result.right) seen.wrong++
      } else seen.errors.add(result.left.reason)
      return Effect.zipRight(Either.isLeft(result) ? Effect.sleep(1) : Effect.yieldNow(), worker)
    })
  )
  return Effect.map(
    Effect.forkScoped(Effect.replicateEffect(worker, 4, { concurrency: "unbounded", discard: true })),
    (fiber) => ({
      seen,
      stop: Effect.zipRight(Effect.sync(() => void (isOver = true)), Effect.as(Fiber.join(fiber), seen))
    })
  )
}

const isMaster = (servers: Servers.RedisSentinel, server: Servers.RedisSentinel["master"]) =>
  Effect.map(servers.call(server, "role"), (role) => role.startsWith("master")).pipe(
    // A server that gets another role closes its connections.
    Effect.catchAllDefect(() => Effect.succeed(false))
  )

describe("a master", () => {
  for (const fault of ["SIGKILL", "SIGSTOP"] as const) {
    it.scopedLive(
      `that gets ${fault} while it is in use: is left for the one that takes over`,
      () =>
        Effect.gen(function*() {
          const servers = yield* Servers.make()
          const backend = yield* make(servers)
          const under = yield* load(backend)
          yield* eventually("load", Effect.sync(() => under.seen.answers > 100))
          yield* servers.master.kill(fault)
          yield* eventually("noticed", Effect.map(works(backend), (isWell) => !isWell))
          yield* eventually("recovered", works(backend), failover)
          assert.isTrue(yield* isMaster(servers, servers.replica))
          const { answers } = under.seen
          yield* eventually("load again", Effect.sync(() => under.seen.answers > answers + 100))
          const { errors, slowest, wrong } = yield* under.stop
          assert.strictEqual(wrong, 0)
          for (const reason of errors) assert.include(["Connection", "Timeout", "Unavailable"], reason)
          assert.isBelow(slowest, inTime)

          // The old one comes back, believes that it is a master, and is not asked.
          yield* backend.set("later", entry("new"), minute)
          if (fault === "SIGKILL") yield* servers.master.restart
          else yield* servers.master.cont()
          for (let times = 0; times < 20; times++) {
            assert.strictEqual(yield* get(backend, "later"), "new")
            yield* Effect.sleep(50)
          }
        }),
      40_000
    )
  }

  it.scopedLive("that was frozen and not in use: is left all the same", () =>
    Effect.gen(function*() {
      const servers = yield* Servers.make()
      const backend = yield* make(servers)
      yield* servers.master.stop()
      const named = Effect.forEach(
        servers.sentinels,
        (sentinel) => servers.callSentinel(sentinel, "sentinel", "get-master-addr-by-name", Servers.name)
      )
      const { port } = servers.replica
      yield* eventually("taken over", Effect.map(named, (all) => all.join().includes(`${port}`)), failover)
      yield* Effect.sleep(1_000)
      const { ms, result } = yield* timed(backend.set("a", entry("1"), minute))
      assert.isTrue(Either.isRight(result))
      assert.isBelow(ms, 100)
    }), 40_000)

  it.scopedLive("that hands over while it is in use: is left within a second", () =>
    Effect.gen(function*() {
      const servers = yield* Servers.make()
      const backend = yield* make(servers)
      const under = yield* load(backend)
      yield* eventually("load", Effect.sync(() => under.seen.answers > 100))
      yield* servers.callSentinel(servers.sentinels[0]!, "sentinel", "failover", Servers.name)
      yield* eventually("handed over", isMaster(servers, servers.replica))
      const key = "cache:which"
      const isLeft = Effect.zipRight(
        Effect.ignore(backend.set("which", entry("1"), minute)),
        Effect.map(servers.call(servers.replica, "exists", key), (count) => count.trim() === "1").pipe(
          Effect.catchAllDefect(() => Effect.succeed(false))
        )
      )
      const ms = yield* eventually("left", isLeft)
      assert.isBelow(ms, 1_500)
      const { wrong } = yield* under.stop
      assert.strictEqual(wrong, 0)
    }), 40_000)

  it.scopedLive(
    "that has become a replica behind the sentinels' back: refuses writes, and is not given up",
    () =>
      Effect.gen(function*() {
        const servers = yield* Servers.make()
        const backend = yield* make(servers)
        yield* Effect.forEach(servers.sentinels, (sentinel) => sentinel.stop())
        yield* servers.call(servers.master, "replicaof", servers.replica.host, `${servers.replica.port}`)
        assert.strictEqual(yield* reasonOf(backend.set("a", entry("1"), minute)), "Unavailable")
        yield* servers.call(servers.master, "replicaof", "no", "one")
        assert.isBelow(yield* eventually("works", works(backend)), 1_000)
      }),
    40_000
  )
})

describe("a replica that is read from", () => {
  it.scopedLive("and is lost: the master is read from", () =>
    Effect.gen(function*() {
      const servers = yield* Servers.make()
      const backend = yield* make(servers, { role: "slave" })
      yield* backend.set("a", entry("1"), minute)
      yield* eventually("replicated", Effect.map(get(backend, "a"), (value) => value === "1"))
      yield* servers.replica.kill("SIGKILL")
      const isRead = Effect.map(Effect.either(get(backend, "a")), (read) => Either.isRight(read) && read.right === "1")
      assert.isBelow(yield* eventually("read", isRead), 1_000)
    }), 40_000)
})

describe("sentinels", () => {
  it.scopedLive("of which the first is frozen: are asked all the same", () =>
    Effect.gen(function*() {
      const servers = yield* Servers.make()
      yield* servers.sentinels[0]!.stop()
      const { ms, result } = yield* timed(make(servers))
      assert.isBelow(ms, 500)
      const backend = Either.getOrThrow(result)
      assert.isTrue(yield* works(backend))
      // Two of three suffice.
      yield* servers.master.kill("SIGKILL")
      yield* eventually("recovered", works(backend), failover)
    }), 40_000)

  it.scopedLive("that are all gone: the master goes on being used", () =>
    Effect.gen(function*() {
      const servers = yield* Servers.make()
      const backend = yield* make(servers)
      yield* Effect.forEach(servers.sentinels, (sentinel) => sentinel.kill("SIGKILL"))
      yield* Effect.sleep(300)
      assert.isTrue(yield* works(backend))
      const { ms, result } = yield* timed(make(servers))
      assert.strictEqual(Either.isLeft(result) && result.left.reason, "Connection")
      assert.isBelow(ms, 1_000)
      const other = yield* make(servers, { requireConnection: false })
      assert.deepStrictEqual(yield* reasons(other), ["Connection"])
      yield* Effect.forEach(servers.sentinels, (sentinel) => sentinel.restart)
      assert.isBelow(yield* eventually("works", works(other)), 2_000)
    }), 40_000)

  it.scopedLive("that are all frozen: make takes no longer than it may", () =>
    Effect.gen(function*() {
      const servers = yield* Servers.make()
      yield* Effect.forEach(servers.sentinels, (sentinel) => sentinel.stop())
      for (const requireConnection of [false, true]) {
        const { ms, result } = yield* timed(
          Effect.scoped(Effect.flatMap(make(servers, { requireConnection }), reasons))
        )
        assert.isBelow(ms, 1_000)
        if (requireConnection) assert.strictEqual(Either.isLeft(result) && result.left.reason, "Timeout")
        else assert.deepStrictEqual(Either.getOrThrow(result), ["Timeout"])
      }
    }), 40_000)
})

/** The servers and the sentinels behind proxies, as this process reaches them. */
const proxied = Effect.gen(function*() {
  const servers = yield* Servers.make()
  const master = yield* FaultProxy.make(servers.master)
  const sentinels = yield* Effect.forEach(servers.sentinels, (sentinel) => FaultProxy.make(sentinel))
  const natMap = { [`${servers.master.host}:${servers.master.port}`]: { host: "127.0.0.1", port: master.port } }
  const proxies = [master, ...sentinels]
  const open = Effect.map(
    Effect.forEach(proxies, (proxy) => proxy.connections),
    (all) => all.reduce((sum, { open }) => sum + open, 0)
  )
  return {
    servers,
    master,
    proxies,
    open,
    options: { natMap, sentinels: sentinels.map(({ port }) => `127.0.0.1:${port}`) }
  }
})

describe("a connection that is lost", () => {
  it.scopedLive(
    "with operations under way: they fail, none runs twice, and the next ones work",
    () =>
      Effect.gen(function*() {
        const { master, options, servers } = yield* proxied
        const backend = yield* make(servers, options)
        const direct = yield* make(servers)
        let calls = 0
        for (let round = 0; round < 12; round++) {
          yield* master.setMode(Mode.CutAfter({ bytes: 0, with: round % 2 === 0 ? "FIN" : "RST" }))
          calls++
          const { ms, result } = yield* timed(backend.increment("n", 1, minute))
          assert.isTrue(Either.isLeft(result))
          assert.isBelow(ms, inTime)
          yield* master.setMode(Mode.Pass())
          assert.isBelow(yield* eventually("works", works(backend)), 1_000)
        }
        assert.isAtMost(yield* direct.increment("n", 0, minute), calls)
      }),
    40_000
  )
})

describe("the end", () => {
  const ends: Record<string, (proxies: ReadonlyArray<FaultProxy.FaultProxy>) => Effect.Effect<unknown>> = {
    "ready": () => Effect.void,
    "refused and about to reconnect": Effect.forEach((proxy) =>
      Effect.zipRight(proxy.setMode(Mode.Refuse()), proxy.resetAll)
    ),
    "connecting to silent servers": Effect.forEach((proxy) =>
      Effect.zipRight(proxy.setMode(Mode.Hang()), proxy.resetAll)
    )
  }
  for (const [state, bring] of Object.entries(ends)) {
    it.scopedLive(
      `while ${state}: comes at once, and answers everything that is under way`,
      () =>
        Effect.gen(function*() {
          const { open, options, proxies, servers } = yield* proxied
          yield* leavesNothing(Effect.gen(function*() {
            const scope = yield* Scope.make()
            const backend = yield* Scope.extend(make(servers, { ...options, commandTimeout: "1 minute" }), scope)
            yield* eventually("works", works(backend))
            yield* bring(proxies)
            const under = yield* Effect.fork(reasons(backend))
            yield* Effect.sleep(60)
            const { ms } = yield* timed(Scope.close(scope, Exit.void))
            assert.isBelow(ms, 500)
            const { ms: answered, result } = yield* timed(Fiber.join(under))
            assert.isBelow(answered, 50)
            if (state !== "ready") assert.deepStrictEqual(Either.getOrThrow(result), ["Connection"])
            assert.deepStrictEqual(yield* reasons(backend), ["Connection"])
            assert.match((yield* Effect.flip(backend.get("a"))).message, /the backend is closed/)
          }))
          yield* eventually("no connection", Effect.map(open, (open) => open === 0))
        }),
      40_000
    )
  }

  it.scopedLive("while everything is frozen: comes at once", () =>
    Effect.gen(function*() {
      const servers = yield* Servers.make()
      const all = [servers.master, ...servers.sentinels]
      yield* leavesNothing(Effect.gen(function*() {
        const scope = yield* Scope.make()
        const backend = yield* Scope.extend(make(servers, { commandTimeout: "1 minute" }), scope)
        yield* Effect.forEach(all, (server) => server.stop())
        const under = yield* Effect.fork(reasons(backend))
        yield* Effect.sleep(60)
        assert.isBelow((yield* timed(Scope.close(scope, Exit.void))).ms, 500)
        assert.deepStrictEqual(yield* Fiber.join(under), ["Connection"])
      }))
      yield* Effect.forEach(all, (server) => server.cont())
    }), 40_000)
})
