/**
 * Every network backend under random faults. `CHAOS_SEED` gives the seed of a run that failed, `CHAOS_SECONDS` how long
 * each backend is spoilt; `npm run chaos` takes a minute for each.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Backend } from "effect-caching/Backend"
import * as Memcached from "effect-caching/backends/Memcached"
import * as Redis from "effect-caching/backends/Redis"
import * as RedisCluster from "effect-caching/backends/RedisCluster"
import * as RedisSentinel from "effect-caching/backends/RedisSentinel"
import * as Uwsgi from "effect-caching/backends/Uwsgi"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as FaultProxy from "../support/faultProxy.js"
import { printsNothing } from "../support/faults.js"
import * as MemcachedServer from "../support/memcachedServer.js"
import * as ClusterServers from "../support/redisCluster.js"
import * as SentinelServers from "../support/redisSentinel.js"
import * as RedisServer from "../support/redisServer.js"
import * as UwsgiServer from "../support/uwsgiServer.js"
import * as Chaos from "./chaos.js"

printsNothing()

const timeout = 300
const seconds = Number(process.env["CHAOS_SECONDS"] ?? 4)
const seed = Number(process.env["CHAOS_SEED"] ?? Date.now() % 1_000_000)

const subject = <E>(
  proxies: ReadonlyArray<FaultProxy.FaultProxy>,
  through: Effect.Effect<Backend, E, Scope.Scope>,
  past: Effect.Effect<Backend, E, Scope.Scope>
): Effect.Effect<Chaos.Subject, E, Scope.Scope> =>
  Effect.map(
    Effect.all([through, through, past]),
    ([first, second, direct]) => ({ backends: [first, second], direct, proxies, timeout })
  )

const subjects: Record<string, Effect.Effect<Chaos.Subject, unknown, Scope.Scope>> = {
  Redis: Effect.gen(function*() {
    const server = yield* RedisServer.make()
    const proxy = yield* FaultProxy.make(server)
    const make = (port: number) => Redis.make({ host: "127.0.0.1", port, commandTimeout: timeout })
    return yield* subject([proxy], make(proxy.port), make(server.port))
  }),
  Memcached: Effect.gen(function*() {
    const server = yield* MemcachedServer.make()
    const proxy = yield* FaultProxy.make(server)
    const make = (port: number) => Memcached.make({ servers: [`127.0.0.1:${port}`], commandTimeout: timeout })
    return yield* subject([proxy], make(proxy.port), make(server.port))
  }),
  Uwsgi: Effect.gen(function*() {
    const server = yield* UwsgiServer.make()
    const proxy = yield* FaultProxy.make(server)
    // One process: another would wait ten seconds for a lock whose release was lost.
    const backend = yield* Uwsgi.make({ port: proxy.port, timeout })
    // Writes are some seven requests in a row, each with a time-out, in turn with the others to their key.
    const bound = 21 * timeout + 1_000
    return { backends: [backend], direct: backend, proxies: [proxy], timeout, bound, mayMiss: true }
  }),
  RedisSentinel: Effect.gen(function*() {
    const servers = yield* SentinelServers.make()
    const master = yield* FaultProxy.make(servers.master)
    const sentinels = yield* Effect.forEach(servers.sentinels, (sentinel) => FaultProxy.make(sentinel))
    const options = { master: SentinelServers.name, commandTimeout: timeout }
    return yield* subject(
      [master, master, master, ...sentinels],
      RedisSentinel.make({
        ...options,
        sentinels: sentinels.map(({ port }) => `127.0.0.1:${port}`),
        natMap: { [`${servers.master.host}:${servers.master.port}`]: { host: "127.0.0.1", port: master.port } }
      }),
      RedisSentinel.make({ ...options, sentinels: servers.addresses })
    )
  }),
  RedisCluster: Effect.gen(function*() {
    const cluster = yield* ClusterServers.make({ replicas: 0 })
    const proxies = yield* Effect.forEach(cluster.servers, (server) => FaultProxy.make(server))
    const natMap = Object.fromEntries(
      cluster.addresses.map((address, index) => [address, { host: "127.0.0.1", port: proxies[index]!.port }])
    )
    const options = { nodes: cluster.addresses, commandTimeout: timeout }
    return yield* subject(proxies, RedisCluster.make({ ...options, natMap }), RedisCluster.make(options))
  })
}

describe.concurrent("chaos", () => {
  for (const [name, make] of Object.entries(subjects)) {
    it.scopedLive(`${name}: ${seconds} seconds of random faults, CHAOS_SEED=${seed}`, () =>
      Effect.gen(function*() {
        const { counts, faults, problems, slowest } = yield* Chaos.run(yield* make, { seconds, seed })
        const told = JSON.stringify({ counts, faults, slowest: Math.round(slowest) })
        assert.deepStrictEqual(problems, [], `CHAOS_SEED=${seed} CHAOS_SECONDS=${seconds}: ${told}`)
        const sum = (of: "succeeded" | "failed") => Object.values(counts).reduce((sum, count) => sum + count[of], 0)
        assert.isAbove(sum("succeeded"), 25 * seconds, told)
        assert.isAbove(sum("failed"), 5 * seconds, told)
      }), (seconds + 60) * 1_000)
  }
})
