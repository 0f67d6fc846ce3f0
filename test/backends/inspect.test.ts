import { assert, describe, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Memcached from "effect-caching/backends/Memcached"
import * as Redis from "effect-caching/backends/Redis"
import * as RedisCluster from "effect-caching/backends/RedisCluster"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { Progress } from "../../src/internal/inspection.js"
import * as MemcachedServer from "../support/memcachedServer.js"
import { files } from "../support/overBackends.js"
import * as Cluster from "../support/redisCluster.js"
import * as RedisServer from "../support/redisServer.js"

const cacheOf = (name: string) =>
  Cache.make({ name, codec: Codec.string, key: (key: string) => key, timeToLive: "1 minute", tags: [`all ${name}`] })

const fill = (name: string, count: number) =>
  Cache.setMany(cacheOf(name), Array.from({ length: count }, (_, i) => [`${name} ${i}`, "value"] as const))

/** Names and numbers of entries; and how many were told of on the way. */
const counted = (backend: Backend.Backend, prefix = "") =>
  Effect.suspend(() => {
    let told = 0
    return Effect.map(
      Effect.provideService(backend.inspect!(prefix), Progress, (count) => {
        told += count
      }),
      ({ parts }) => ({ parts: parts?.map(({ entries, name }) => [name, entries]), told })
    )
  })

const filled = Effect.zipRight(fill("a{1}", 2_500), fill("b%:", 3))
const expected = { parts: [["a{1}", 2_500], ["b%:", 3]], told: 2_503 }

describe("inspect", () => {
  it.scoped("Redis: counts entries by cache, and neither tags nor leases nor what is not its own", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      for (const prefix of ["cache:", ""]) {
        yield* RedisServer.cli("-p", `${server.port}`, "flushall")
        const backend = yield* Redis.make({ url: server.url, prefix })
        yield* filled.pipe(Effect.provideService(Backend.CacheBackend, backend))
        yield* backend.lease("a%7B1}:'leased", Duration.seconds(10))
        yield* RedisServer.cli("-p", `${server.port}`, "hset", `${prefix}foreign`, "field", "value")
        assert.deepStrictEqual(yield* counted(backend), expected)
        assert.deepStrictEqual(yield* counted(backend, "b%25%3A:"), { parts: [["b%:", 3]], told: 3 })
        const [information] = (yield* backend.inspect!("")).servers
        assert.deepInclude(information, { name: `127.0.0.1:${server.port}`, evicted: 0 })
        assert.isAbove(information!.entries!, 2_503)
      }
    }))

  it.scoped("Redis: clear tells how many keys it has removed", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const backend = yield* Redis.make({ url: server.url })
      yield* filled.pipe(Effect.provideService(Backend.CacheBackend, backend))
      let told = 0
      yield* Effect.provideService(backend.clear("a{1}:"), Progress, (count) => {
        told += count
      })
      assert.strictEqual(told, 2_500)
    }))

  it.scoped("Redis Cluster: adds its masters up", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make({ replicas: 0 })
      const backend = yield* RedisCluster.make({ nodes: cluster.addresses })
      yield* filled.pipe(Effect.provideService(Backend.CacheBackend, backend))
      assert.deepStrictEqual(yield* counted(backend), expected)
      assert.isAbove((yield* backend.inspect!("")).servers.length, 1)
    }), 60_000)

  it.scoped("FileSystem: counts what has not expired", () =>
    Effect.gen(function*() {
      const backend = yield* Backend.CacheBackend
      yield* fill("a{1}", 40)
      yield* TestClock.adjust("30 seconds")
      yield* fill("b%:", 3)
      assert.deepStrictEqual(yield* counted(backend), { parts: [["a{1}", 40], ["b%:", 3]], told: 43 })
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* counted(backend), { parts: [["b%:", 3]], told: 3 })
    }).pipe(Effect.provide(files)))

  it.scoped("Memcached: cannot count, and tells of each server", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* MemcachedServer.make(), yield* MemcachedServer.make()]
      const backend = yield* Memcached.make({ servers: [one.address, other.address] })
      yield* fill("a", 50).pipe(Effect.provideService(Backend.CacheBackend, backend))
      const { parts, servers } = yield* backend.inspect!("")
      assert.isUndefined(parts)
      assert.deepStrictEqual(servers.map(({ name }) => name), [one.address, other.address])
      assert.isAtLeast(servers.reduce((sum, { entries = NaN }) => sum + entries, 0), 50)
      for (const { evicted, maxBytes, version } of servers) {
        assert.strictEqual(evicted, 0)
        assert.isAbove(maxBytes!, 0)
        assert.match(version!, /^\d+\./)
      }
    }))

  it.scoped("a part of a backend counts its own", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const whole = yield* Redis.make({ url: server.url })
      const part = yield* Backend.prefixed(whole, "part/")
      yield* fill("a", 2).pipe(Effect.provideService(Backend.CacheBackend, whole))
      yield* fill("a", 3).pipe(Effect.provideService(Backend.CacheBackend, part))
      assert.deepStrictEqual(yield* counted(part), { parts: [["part/a", 3]], told: 3 })
      assert.strictEqual((yield* counted(whole)).told, 5)
    }))
})
