/** Defects of Flask-Caching: its backends. */
import { assert, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as FileSystem from "effect-caching/backends/FileSystem"
import * as Memcached from "effect-caching/backends/Memcached"
import * as Memory from "effect-caching/backends/Memory"
import * as RedisCluster from "effect-caching/backends/RedisCluster"
import * as Cache from "effect-caching/Cache"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { folder } from "../support/filePrograms.js"
import { memcachedForFile, redisForFile, yielding } from "../support/overBackends.js"
import { rawRedis } from "../support/rawRedis.js"
import * as Servers from "../support/redisCluster.js"
import { backends } from "./defects.js"
import { counted, data, describeRows, numbers, onEveryStore } from "./support.js"

const notHere = [{ row: "D43", reason: "there is no backend for MongoDB or DynamoDB here" }] as const

const at = (timeToLive: Duration.DurationInput) => numbers.pipe(Cache.withTimeToLive(timeToLive))

describeRows("defects of Flask-Caching: backends", backends, notHere, (row) => {
  onEveryStore((test) => {
    test(row("D39"), () =>
      Effect.gen(function*() {
        for (const below of [-1, "-5 seconds"] as ReadonlyArray<Duration.DurationInput>) {
          assert.throws(() => at(below), "timeToLive")
        }
        yield* Cache.set(at(0), "zero", 1)
        yield* Cache.set(at("200 millis"), "fraction", 1)
        yield* Cache.set(at("20000 days"), "far", 1)
        assert.isFalse(yield* Cache.has(numbers, "zero"))
        yield* TestClock.adjust("200 millis")
        assert.isFalse(yield* Cache.has(numbers, "fraction"))
        yield* TestClock.adjust("19999 days")
        assert.isTrue(yield* Cache.has(numbers, "far"))
      }))

    test(row("D41"), () =>
      Effect.gen(function*() {
        const other = yield* Backend.prefixed(yield* Backend.CacheBackend, "other/")
        const inOther = Effect.provideService(Backend.CacheBackend, other)
        for (const key of ["a key with spaces", "k".repeat(251), "k".repeat(2_000)]) {
          yield* Cache.set(data, key, true)
          assert.deepStrictEqual(yield* Cache.get(data, key), Option.some(true))
          assert.isTrue(yield* Cache.has(data, key))
        }
        yield* inOther(Cache.set(data, "k", 1))
        yield* Cache.clear(data)
        assert.isTrue(yield* inOther(Cache.has(data, "k")))
      }))

    test(row("D44"), () =>
      Effect.gen(function*() {
        assert.isFalse(yield* Cache.invalidate(data, "k"))
        assert.isUndefined(yield* Cache.clear(data))
        assert.isUndefined(yield* Cache.set(data, "k", null))
        assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.some(null))
        assert.isFalse(yield* Cache.add(data, "k", 1))
        assert.strictEqual(yield* Cache.invalidateMany(data, ["k", "missing"]), 1)
        assert.strictEqual(yield* Cache.increment(numbers, "n", -1), -1)
      }))
  })

  it.effect(row("D35"), () =>
    Effect.gen(function*() {
      yield* Cache.set(at(Duration.infinity), "forever", 1)
      yield* Cache.set(numbers, "used", 1)
      for (let i = 0; i < 100; i++) {
        yield* Effect.all([Cache.get(numbers, "forever"), Cache.get(numbers, "used")])
        yield* Cache.set(numbers, `k${i}`, i)
      }
      assert.deepStrictEqual(yield* Cache.getMany(numbers, ["forever", "used"]), [Option.some(1), Option.some(1)])
    }).pipe(Effect.provide(Memory.layer({ maxEntries: 20 }))))

  it.scoped(row("D36"), () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const foreign = join(directory, "foreign")
      writeFileSync(foreign, "theirs")
      yield* Effect.gen(function*() {
        yield* Cache.set(at("1 second"), "k", 1)
        yield* Cache.set(data, "__wz_cache_count", "not a number")
        yield* TestClock.adjust("1 second")
        assert.isTrue(yield* Cache.add(at("60000 days"), "k", 2))
        yield* TestClock.adjust("59999 days")
        assert.deepStrictEqual(yield* Cache.get(numbers, "k"), Option.some(2))
        yield* Cache.clear(numbers)
        yield* (yield* Backend.CacheBackend).clear("")
        assert.isTrue(existsSync(foreign))
      }).pipe(Effect.provide(FileSystem.layer({ directory })))
    }))

  const redis = redisForFile()
  it.scoped(row("D37"), () =>
    Effect.gen(function*() {
      const call = yield* rawRedis(redis.server().url)
      yield* call("MSET", "app1:other", "1", "app[1]x", "1", "foreign", "1")
      const keys = Effect.map(call<ReadonlyArray<Buffer>>("KEYS", "*"), (found) => found.map(String).sort())
      const before = yield* keys
      yield* Effect.provide(
        Effect.gen(function*() {
          yield* Cache.set(data, "k", 1)
          assert.strictEqual((yield* keys).length, before.length + 1)
          yield* call("CONFIG", "RESETSTAT")
          yield* (yield* Backend.CacheBackend).clear("")
          assert.notMatch(`${yield* call("INFO", "commandstats")}`, /cmdstat_(keys|flushdb|flushall):/)
        }),
        redis.layer("app[1]:")
      )
      assert.deepStrictEqual(yield* keys, before)
    }))

  it.scoped(row("D38"), () =>
    Effect.gen(function*() {
      const cluster = yield* Servers.make({ replicas: 0 })
      yield* Effect.gen(function*() {
        const keys = Array.from({ length: 50 }, (_, i) => `k${i}`)
        yield* Cache.setMany(data, keys.map((key, i) => [key, i]))
        assert.deepStrictEqual(yield* Cache.getMany(data, keys), keys.map((_, i) => Option.some(i)))
        const { f, state } = counted<[number]>({ tags: ["a", "b", "c"] })
        yield* Effect.all([f(1), f(1)])
        assert.strictEqual(state.calls, 1)
      }).pipe(Effect.provide(RedisCluster.layer({ nodes: cluster.addresses, requireConnection: true })))
    }), 60_000)

  const memcached = memcachedForFile()
  it.effect(row("D40"), () =>
    Effect.gen(function*() {
      const large = "x".repeat(3_000_000)
      yield* Cache.set(data, "k", large)
      assert.isTrue(yield* Cache.has(data, "k"))
      assert.deepStrictEqual(yield* Cache.getMany(data, ["k", "no"]), [Option.some(large), Option.none()])
      assert.isFalse(yield* Cache.add(data, "k", "other"))
      yield* Cache.set(data, "k", "short")
      assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.some("short"))
      yield* Cache.setMany(data, [["k", large], ["l", large]])
      assert.strictEqual(yield* Cache.invalidateMany(data, ["k", "l"]), 2)
      assert.deepStrictEqual(yield* Cache.getMany(data, ["k", "l"]), [Option.none(), Option.none()])
      assert.strictEqual(yield* Cache.increment(numbers, "n", 2), 2)
    }).pipe(Effect.provide(Layer.suspend(() => Memcached.spreadLayer()(memcached.layer("D40:"))))))

  it.effect(row("D42"), () =>
    Effect.gen(function*() {
      const { f } = counted<[number]>({ tags: ["t"] })
      assert.deepStrictEqual(yield* Effect.all([f(1), f(1)]), [1, 1])
      yield* Cache.invalidateTags(["t"])
      assert.strictEqual(yield* f(1), 2)
      assert.strictEqual(yield* Cache.increment(numbers, "n", 5), 5)
      assert.deepStrictEqual(yield* Cache.getMany(numbers, ["n", "m"]), [Option.some(5), Option.none()])
    }).pipe(Effect.provide(yielding(true))))
})
