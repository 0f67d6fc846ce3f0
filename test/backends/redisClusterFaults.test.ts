import { assert, describe, it } from "@effect/vitest"
import type { Backend } from "effect-caching/Backend"
import * as RedisCluster from "effect-caching/backends/RedisCluster"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { Cluster } from "ioredis"
import { slotOf } from "../../src/internal/redis/slot.js"
import * as FaultProxy from "../support/faultProxy.js"
import {
  entry,
  eventually,
  get,
  leavesNothing,
  minute,
  printsNothing,
  reasons,
  timed,
  valueOf,
  works
} from "../support/faults.js"
import * as Servers from "../support/redisCluster.js"
import type { RedisServer } from "../support/redisServer.js"

const { Mode } = FaultProxy

printsNothing()

const commandTimeout = 300
/** A time-out and 20 %, and what a busy machine takes. */
const inTime = commandTimeout * 1.2 + 150
/** What the cluster takes to put a replica in a master's place, an election and a delay of up to a second with it. */
const failover = Servers.nodeTimeout * 2 + 2_000

const make = (cluster: Servers.RedisCluster, options: Partial<RedisCluster.Options> = {}) =>
  RedisCluster.make({ nodes: cluster.addresses, commandTimeout, requireConnection: true, ...options })

const keys = Array.from({ length: 300 }, (_, index) => `k${index}`)

/** Reads and writes without a pause, and looks at every answer. Ends with `stop`. */
const load = (backend: Backend, share: string) => {
  const seen = { answers: 0, wrong: 0, lost: 0, counted: 0, errors: new Map<string, number>(), slowest: 0 }
  let isOver = false
  const mine = keys.map((key) => `${share}${key}`)
  const one = (round: number) => {
    const key = mine[round % mine.length]!
    const some = mine.slice(round % 200, (round % 200) + 60)
    const value = entry(key)
    switch (round % 9) {
      case 0:
        return Effect.as(backend.setMany(some.map((key) => [key, entry(key), minute])), true)
      case 1:
        return Effect.as(backend.set(key, value, minute), true)
      case 2:
        return Effect.map(backend.removeMany(some.slice(0, 5)), (count) => count <= 5)
      case 3:
        return Effect.flatMap(
          backend.lease(key, minute),
          ({ token }) =>
            Option.isNone(token) ? Effect.succeed(true) : Effect.as(backend.fill(key, token.value, value, minute), true)
        )
      case 4:
        seen.counted++
        return Effect.as(backend.increment(`${share}n${round % 7}`, 1, minute), true)
      case 5:
        return Effect.flatMap(backend.tagVersions([key]), (versions) =>
          Effect.map(
            backend.refreshTags(versions),
            (again) => again[0]!.tag === key && again[0]!.hard === versions[0]!.hard
          ))
      case 6: {
        const versions = backend.tagVersions([`${key}!`])
        const invalidate = backend.invalidateTags([`${key}!`], "hard")
        return Effect.zipWith(
          versions,
          Effect.zipRight(invalidate, versions),
          ([before], [after]) => {
            if (before!.hard === after!.hard) seen.lost++
            return true
          }
        )
      }
      default:
        return Effect.map(
          Effect.all([get(backend, key), Effect.map(backend.getMany(some), (all) => all.map(valueOf))], {
            concurrency: "unbounded"
          }),
          ([found, all]) =>
            (found === undefined || found === key) &&
            all.every((found, index) => found === undefined || found === some[index])
        )
    }
  }
  let round = 0
  const worker: Effect.Effect<void> = Effect.suspend(() =>
    isOver
      ? Effect.void
      : Effect.flatMap(timed(one(round++)), ({ ms, result }) => {
        seen.slowest = Math.max(seen.slowest, ms)
        if (Either.isLeft(result)) {
          const text = `${result.left.reason} ${result.left.message}`
          seen.errors.set(text, (seen.errors.get(text) ?? 0) + 1)
        } else {
          seen.answers++
          if (!result.right) seen.wrong++
        }
        // One that fails at once must not keep the others from running.
        return Effect.zipRight(Either.isLeft(result) ? Effect.sleep(1) : Effect.yieldNow(), worker)
      })
  )
  return Effect.map(
    Effect.forkScoped(Effect.replicateEffect(worker, 8, { concurrency: "unbounded", discard: true })),
    (fiber) => ({
      seen,
      stop: Effect.zipRight(Effect.sync(() => void (isOver = true)), Effect.as(Fiber.join(fiber), seen))
    })
  )
}

/** The sum of the counters that `load` has counted. */
const countedBy = (backend: Backend, share: string) =>
  Effect.map(
    Effect.forEach(Array.from({ length: 7 }, (_, index) => `${share}n${index}`), (key) =>
      backend.increment(key, 0, minute)),
    (counts) =>
      counts.reduce((sum, count) => sum + count, 0)
  )

/** Whether every key can be written and read. */
const allWork = (backend: Backend) =>
  Effect.isSuccess(Effect.forEach(keys.slice(0, 60), (key) => backend.set(key, entry(key), minute), {
    concurrency: "unbounded"
  }))

const pick = (servers: ReadonlyArray<RedisServer>, backend: Backend) =>
  Effect.gen(function*() {
    assert.isAtLeast(servers.length, 3)
    yield* eventually("all work", allWork(backend))
    return servers
  })

describe("slots that change hands under load", () => {
  it.scopedLive("do so without an error and without a wrong value", () =>
    Effect.gen(function*() {
      const cluster = yield* Servers.make({ replicas: 0 })
      const client = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const [{ host, port }] = cluster.servers as [RedisServer]
          const client = new Cluster([{ host, port }], {
            lazyConnect: true,
            slotsRefreshInterval: 1_000,
            redisOptions: { maxRetriesPerRequest: 0 }
          })
          await client.connect()
          return client
        }),
        (client) => Effect.sync(() => client.disconnect())
      )
      const backend = yield* make(cluster, { commandTimeout: "3 seconds" })
      const overClient = yield* RedisCluster.fromClient(client, { commandTimeout: "3 seconds" })
      const [first, second, third] = yield* pick(yield* cluster.masters, backend)
      const own = yield* load(backend, "own:")
      const foreign = yield* load(overClient, "foreign:")
      yield* cluster.reshard(first!, second!, 700)
      yield* cluster.reshard(second!, third!, 600)
      for (const [{ stop }, backend_, share] of [[own, backend, "own:"], [foreign, overClient, "foreign:"]] as const) {
        const seen = yield* stop
        assert.deepStrictEqual(Object.fromEntries(seen.errors), {})
        assert.strictEqual(seen.wrong, 0)
        assert.strictEqual(seen.lost, 0)
        assert.isAbove(seen.answers, 200)
        assert.strictEqual(yield* countedBy(backend_, share), seen.counted)
      }
    }), 60_000)

  it.scopedLive("are cleared to the last key while they do", () =>
    Effect.gen(function*() {
      const cluster = yield* Servers.make({ replicas: 0 })
      const backend = yield* make(cluster, { commandTimeout: "3 seconds" })
      const other = yield* make(cluster, { prefix: "other:" })
      const [first, second] = yield* pick(yield* cluster.masters, backend)
      const many = Array.from({ length: 8_000 }, (_, index) => `k${index}`)
      yield* other.setMany(many.map((key) => [key, entry(key), minute]))
      yield* backend.setMany(many.map((key) => [key, entry(key), minute]))
      let isOver = false
      const resharding = yield* Effect.fork(
        Effect.ensuring(cluster.reshard(first!, second!, 600), Effect.sync(() => void (isOver = true)))
      )
      while (!isOver) {
        yield* backend.clear("")
        assert.deepStrictEqual((yield* backend.getMany(many)).filter(Option.isSome), [])
        yield* backend.setMany(many.map((key) => [key, entry(key), minute]))
      }
      yield* Fiber.join(resharding)
      assert.strictEqual((yield* other.getMany(many)).filter(Option.isSome).length, many.length)
    }), 60_000)

  it.scopedLive(
    "are half moved for a while: what is there is found, and what is not can be set, or fails in time",
    () =>
      Effect.gen(function*() {
        const cluster = yield* Servers.make({ replicas: 0 })
        const backend = yield* make(cluster)
        const owner = yield* cluster.ownerOf("cache:k0")
        const target = cluster.servers.find((server) => server !== owner)!
        const slot = `${slotOf("cache:k0")}`
        yield* backend.set("k0", entry("1"), minute)
        yield* cluster.call(target, "cluster", "setslot", slot, "importing", yield* cluster.idOf(owner))
        yield* cluster.call(owner, "cluster", "setslot", slot, "migrating", yield* cluster.idOf(target))
        assert.strictEqual(yield* get(backend, "k0"), "1")
        yield* cluster.call(owner, "migrate", target.host, `${target.port}`, "cache:k0", "0", "1000")
        assert.strictEqual(yield* get(backend, "k0"), "1")
        assert.deepStrictEqual((yield* backend.getMany(["k0", "k1"])).map(valueOf), ["1", undefined])
        // A script wants the entry and its lease in one place.
        const set = yield* timed(backend.set("k0", entry("2"), minute))
        assert.strictEqual(Either.isLeft(set.result) && set.result.left.reason, "Timeout")
        assert.isBelow(set.ms, inTime)
        yield* backend.clear("")
        assert.isTrue(Option.isNone(yield* backend.get("k0")))
        const setting = yield* Effect.fork(backend.set("k0", entry("3"), minute))
        for (const server of [target, owner]) {
          yield* cluster.call(server, "cluster", "setslot", slot, "node", yield* cluster.idOf(target))
        }
        yield* Fiber.join(setting)
        assert.strictEqual(yield* get(backend, "k0"), "3")
      }),
    60_000
  )
})

describe("a master", () => {
  for (const fault of ["SIGKILL", "SIGSTOP"] as const) {
    it.scopedLive(
      `that gets ${fault} while it is in use: the others go on, and its replica takes over`,
      () =>
        Effect.gen(function*() {
          const cluster = yield* Servers.make()
          const backend = yield* make(cluster)
          const masters = yield* pick(yield* cluster.masters, backend)
          const lost = masters[0]!
          const owners = yield* Effect.forEach(
            keys.slice(0, 30),
            (key) => Effect.map(cluster.ownerOf(`cache:${key}`), (owner) => [key, owner] as const)
          )
          const [elsewhere] = owners.find(([, owner]) => owner !== lost)!
          const under = yield* load(backend, "load:")
          yield* eventually("load", Effect.sync(() => under.seen.answers > 100))
          yield* lost.kill(fault)
          yield* eventually("noticed", Effect.map(allWork(backend), (isWell) => !isWell))
          const other = yield* timed(backend.set(elsewhere, entry("1"), minute))
          assert.isTrue(Either.isRight(other.result))
          assert.isBelow(other.ms, inTime)
          yield* eventually("recovered", allWork(backend), failover)
          const before = under.seen.answers
          yield* eventually("load again", Effect.sync(() => under.seen.answers > before + 100))
          const { counted, errors, slowest, wrong } = yield* under.stop
          // Not so for what a master acknowledged last: invalidations may be lost.
          assert.strictEqual(wrong, 0)
          for (const [error] of errors) assert.match(error, /^(Connection|Timeout|Unavailable) /)
          // The load does two things in a row.
          assert.isBelow(slowest, inTime * 2)
          assert.isAtMost(yield* countedBy(backend, "load:"), counted)
          yield* lost.cont()
          assert.isTrue(yield* allWork(backend))
        }),
      60_000
    )
  }

  it.scopedLive("that hands over to its replica while it is in use: nobody notices", () =>
    Effect.gen(function*() {
      const cluster = yield* Servers.make()
      const backend = yield* make(cluster, { commandTimeout: "2 seconds" })
      const masters = yield* pick(yield* cluster.masters, backend)
      const replicas = cluster.servers.filter((server) => !masters.includes(server))
      const under = yield* load(backend, "load:")
      yield* eventually("load", Effect.sync(() => under.seen.answers > 100))
      yield* cluster.call(replicas[0]!, "cluster", "failover")
      yield* eventually("handed over", Effect.map(cluster.masters, (masters) => masters.includes(replicas[0]!)))
      yield* eventually("recovered", allWork(backend))
      const { errors, wrong } = yield* under.stop
      assert.deepStrictEqual(Object.fromEntries(errors), {})
      assert.strictEqual(wrong, 0)
    }), 60_000)

  it.scopedLive(
    "that is frozen for good and has no replica: its keys time out, later ones fail at once, and it comes back",
    () =>
      Effect.gen(function*() {
        const cluster = yield* Servers.make({ replicas: 0 })
        for (const server of cluster.servers) {
          yield* cluster.call(server, "config", "set", "cluster-require-full-coverage", "no")
        }
        const backend = yield* make(cluster)
        yield* eventually("all work", allWork(backend))
        const lost = yield* cluster.ownerOf("cache:k0")
        yield* lost.stop()
        const first = yield* timed(backend.get("k0"))
        assert.strictEqual(Either.isLeft(first.result) && first.result.left.reason, "Timeout")
        assert.isBelow(first.ms, inTime)
        const clearing = yield* timed(backend.clear(""))
        assert.isTrue(Either.isLeft(clearing.result), "clear must not leave a master out")
        yield* eventually("fails fast", Effect.map(timed(backend.get("k0")), ({ ms }) => ms < 100))
        yield* lost.cont()
        assert.isBelow(yield* eventually("all work", allWork(backend)), 3_000)
        assert.isTrue(Either.isRight((yield* timed(backend.clear(""))).result))
      }),
    60_000
  )
})

/** A cluster behind proxies, one for each server, as this process reaches it. */
const proxied = Effect.gen(function*() {
  const cluster = yield* Servers.make({ replicas: 0 })
  const proxies = yield* Effect.forEach(cluster.servers, (server) => FaultProxy.make(server))
  const natMap = Object.fromEntries(
    cluster.addresses.map((address, index) => [address, { host: "127.0.0.1", port: proxies[index]!.port }])
  )
  const open = Effect.map(
    Effect.forEach(proxies, (proxy) => proxy.connections),
    (all) => all.reduce((sum, { open }) => sum + open, 0)
  )
  return { cluster, proxies, natMap, open }
})

describe("a connection that is lost", () => {
  it.scopedLive(
    "with operations under way: they fail, none runs twice, and the next ones work",
    () =>
      Effect.gen(function*() {
        const { cluster, natMap, proxies } = yield* proxied
        const backend = yield* make(cluster, { natMap })
        const direct = yield* make(cluster)
        let calls = 0
        for (let round = 0; round < 12; round++) {
          for (const proxy of proxies) {
            yield* proxy.setMode(Mode.CutAfter({ bytes: 0, with: round % 2 === 0 ? "FIN" : "RST" }))
          }
          for (const key of ["a", "b", "c", "d"]) {
            calls++
            const { ms, result } = yield* timed(backend.increment(key, 1, minute))
            assert.isBelow(ms, inTime)
            assert.isTrue(Either.isLeft(result))
          }
          for (const proxy of proxies) yield* proxy.setMode(Mode.Pass())
          assert.isBelow(yield* eventually("all work", allWork(backend)), 2_000)
        }
        let applied = 0
        for (const key of ["a", "b", "c", "d"]) applied += yield* direct.increment(key, 0, minute)
        assert.isAtMost(applied, calls)
      }),
    60_000
  )
})

describe("the end", () => {
  const ends: Record<
    string,
    (proxies: ReadonlyArray<FaultProxy.FaultProxy>, cluster: Servers.RedisCluster) => Effect.Effect<unknown>
  > = {
    "ready": () => Effect.void,
    "refused and about to reconnect": Effect.forEach((proxy) =>
      Effect.zipRight(proxy.setMode(Mode.Refuse()), proxy.resetAll)
    ),
    "frozen": (_, cluster) => Effect.forEach(cluster.servers, (server) => server.stop()),
    "connecting to silent servers": Effect.forEach((proxy) =>
      Effect.zipRight(proxy.setMode(Mode.Hang()), proxy.resetAll)
    )
  }
  for (const [state, bring] of Object.entries(ends)) {
    it.scopedLive(
      `while ${state}: comes at once, and answers everything that is under way`,
      () =>
        Effect.gen(function*() {
          const { cluster, natMap, open, proxies } = yield* proxied
          yield* leavesNothing(Effect.gen(function*() {
            const scope = yield* Scope.make()
            const backend = yield* Scope.extend(make(cluster, { natMap, commandTimeout: "1 minute" }), scope)
            yield* eventually("works", works(backend))
            yield* bring(proxies, cluster)
            const under = yield* Effect.fork(reasons(backend))
            yield* Effect.sleep(60)
            const { ms } = yield* timed(Scope.close(scope, Exit.void))
            assert.isBelow(ms, 500)
            const { ms: answered, result } = yield* timed(Fiber.join(under))
            assert.isBelow(answered, 50)
            if (state !== "ready") assert.deepStrictEqual(Either.getOrThrow(result), ["Connection"])
            assert.deepStrictEqual(yield* reasons(backend), ["Connection"])
            assert.match((yield* Effect.flip(backend.get("a"))).message, /the backend is closed/)
            yield* Effect.forEach(cluster.servers, (server) => server.cont())
          }))
          yield* eventually("no connection", Effect.map(open, (open) => open === 0))
        }),
      30_000
    )
  }

  it.scopedLive(
    "of a make that no server answers: can be interrupted, and leaves no socket",
    () =>
      Effect.gen(function*() {
        const { cluster, natMap, open, proxies } = yield* proxied
        for (const proxy of proxies) yield* proxy.setMode(Mode.Hang())
        const making = yield* Effect.fork(
          Effect.scoped(make(cluster, { natMap, commandTimeout: "1 minute", connectTimeout: "1 minute" }))
        )
        yield* eventually("connected", Effect.map(open, (open) => open > 0))
        const { ms } = yield* timed(Fiber.interrupt(making))
        assert.isBelow(ms, 500)
        yield* eventually("no connection", Effect.map(open, (open) => open === 0))
      }),
    30_000
  )
})
