/** `test_backend_cache.py`. What the contract asks of a backend is in the conformance suite too, which runs over all of ours. */
import { assert, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Backend from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Null from "effect-caching/backends/Null"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { memcachedForFile, redisForFile } from "../support/overBackends.js"
import { rawRedis } from "../support/rawRedis.js"
import * as Rows from "./rows.js"
import { data, describeRows, type NotHere, numbers, onEveryStore } from "./support.js"

const missing = "a deletion of what is not there is no error: there is no such option"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.backendCache>> = [
  { row: "simple_deprecated_ignore_errors", reason: missing },
  { row: "simple_ignore_delete_many_errors", reason: missing },
  { row: "file_deprecated_ignore_errors", reason: missing },
  { row: "file_ignore_delete_many_errors", reason: missing },
  { row: "redis_empty_host", reason: "a host is a string, which the compiler asks for" }
]

const brief = data.pipe(Cache.withTimeToLive("1 second"))
const forever = data.pipe(Cache.withTimeToLive(Duration.infinity))

describeRows("test_backend_cache.py", Rows.backendCache, notHere, (row) => {
  onEveryStore((test) => {
    test(row("generic_get_dict"), () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, [["a", "a"], ["b", 1]])
        const values = yield* Cache.getMany(data, ["a", "b"])
        assert.deepStrictEqual(Object.fromEntries(["a", "b"].map((key, i) => [key, Option.getOrNull(values[i]!)])), {
          a: "a",
          b: 1
        })
      }))

    test(row("generic_set_get"), () =>
      Effect.forEach([0, 1, 4], (n) =>
        Effect.gen(function*() {
          yield* Cache.set(data, `${n}`, n)
          assert.deepStrictEqual(yield* Cache.get(data, `${n}`), Option.some(n))
        }), { discard: true }))

    test(row("generic_get_set"), () =>
      Effect.gen(function*() {
        yield* Cache.set(data, "k", ["a", "b"])
        assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.some(["a", "b"]))
      }))

    test(row("generic_set_many", "generic_get_many"), () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, [["foo", "bar"], ["spam", ["a", 1]], ["n", 4]])
        assert.deepStrictEqual(yield* Cache.getMany(data, ["n", "spam", "no", "foo"]), [
          Option.some(4),
          Option.some(["a", 1]),
          Option.none(),
          Option.some("bar")
        ])
      }))

    test(row("generic_add"), () =>
      Effect.gen(function*() {
        assert.isTrue(yield* Cache.add(data, "k", "hello"))
        assert.isFalse(yield* Cache.add(data, "k", "bye"))
        assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.some("hello"))
      }))

    test(row("generic_delete"), () =>
      Effect.gen(function*() {
        yield* Cache.set(data, "k", 1)
        assert.deepStrictEqual([yield* Cache.invalidate(data, "k"), yield* Cache.invalidate(data, "k")], [true, false])
        assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.none())
      }))

    test(row("generic_delete_many"), () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, [["a", 1], ["b", 2], ["c", 3]])
        assert.strictEqual(yield* Cache.invalidateMany(data, ["a", "b"]), 2)
        assert.deepStrictEqual(yield* Cache.getMany(data, ["a", "b", "c"]), [
          Option.none(),
          Option.none(),
          Option.some(3)
        ])
      }))

    test(row("generic_inc_dec"), () =>
      Effect.gen(function*() {
        for (const [by, sum] of [[1, 1], [4, 5], [-2, 3], [-10, -7]] as const) {
          assert.strictEqual(yield* Cache.increment(numbers, "k", by), sum)
          assert.deepStrictEqual(yield* Cache.get(numbers, "k"), Option.some(sum))
        }
      }))

    test(row("generic_true_false"), () =>
      Effect.gen(function*() {
        for (const value of [true, false]) {
          yield* Cache.set(data, "k", value)
          assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.some(value))
        }
      }))

    test(row("generic_timeout"), () =>
      Effect.gen(function*() {
        yield* Cache.set(forever, "forever", 1)
        yield* Cache.set(brief, "brief", 1)
        yield* TestClock.adjust("3 seconds")
        assert.deepStrictEqual([yield* Cache.has(data, "forever"), yield* Cache.has(data, "brief")], [true, false])
        yield* TestClock.adjust("1000 days")
        assert.isTrue(yield* Cache.has(data, "forever"))
      }))

    test(row("generic_has"), () =>
      Effect.gen(function*() {
        assert.isFalse(yield* Cache.has(data, "k"))
        yield* Cache.set(data, "k", 5)
        assert.isTrue(yield* Cache.has(data, "k"))
        yield* Cache.invalidate(data, "k")
        assert.isFalse(yield* Cache.has(data, "k"))
      }))

    test(row("generic_get_bytes"), () =>
      Effect.gen(function*() {
        const bytes = Cache.make({ name: "b", codec: Codec.bytes, timeToLive: "1 minute" })
        yield* Cache.set(bytes, "k", Uint8Array.of(0, 255, 10, 13))
        const got = yield* Cache.get(bytes, "k")
        assert.deepStrictEqual(Option.map(got, (_) => Array.from(_)), Option.some([0, 255, 10, 13]))
      }))
  })

  it.effect(row("simple_purge"), () =>
    Effect.gen(function*() {
      const keys = ["a", "b", "c", "d"]
      for (const key of keys) {
        yield* Cache.set(data, key, 1)
        assert.isTrue(yield* Cache.has(data, key))
        assert.isAtMost((yield* Cache.getMany(data, keys)).filter(Option.isSome).length, 2)
      }
    }).pipe(Effect.provide(Memory.layer({ maxEntries: 2 }))))

  const redis = redisForFile()
  it.scoped(row("redis_compat"), () =>
    Effect.gen(function*() {
      const call = yield* rawRedis(redis.server().url)
      const place = `compat:${Cache.cacheKey(numbers, "k")}`
      for (const foreign of ["Awesome", "42"]) {
        yield* call("SET", place, foreign)
        assert.deepStrictEqual(yield* Cache.get(numbers, "k"), Option.none())
        assert.isFalse(yield* Cache.has(numbers, "k"))
        assert.strictEqual(yield* Cache.getOrSet(numbers, "k", Effect.succeed(7)), 7)
        assert.deepStrictEqual(yield* Cache.get(numbers, "k"), Option.some(7))
      }
    }).pipe(Effect.provide(Layer.suspend(() => redis.layer("compat:")))))

  it.scoped(row("redis_client_override_reflected_on_cachelib_methods"), () =>
    Effect.gen(function*() {
      const at = (prefix: string) => Effect.map(Layer.build(redis.layer(prefix)), Context.get(CacheBackend))
      const [reads, writes] = yield* Effect.all([at("reads:"), at("writes:")])
      const split = Backend.override(writes, () => ({ get: reads.get, getMany: reads.getMany, has: reads.has }))
      const on = (backend: Backend.Backend) => Effect.provideService(CacheBackend, backend)
      yield* on(split)(Cache.set(data, "k", "written"))
      yield* on(reads)(Cache.set(data, "k", "read"))
      assert.deepStrictEqual(yield* on(split)(Cache.get(data, "k")), Option.some("read"))
      assert.deepStrictEqual(yield* on(split)(Cache.getMany(data, ["k"])), [Option.some("read")])
      assert.deepStrictEqual(yield* on(writes)(Cache.get(data, "k")), Option.some("written"))
      assert.isTrue(yield* on(split)(Cache.invalidate(data, "k")))
      assert.isFalse(yield* on(writes)(Cache.has(data, "k")))
      assert.isTrue(yield* on(split)(Cache.has(data, "k")))
    }))

  const memcached = memcachedForFile()
  const onMemcached = (title: string, body: Effect.Effect<void, unknown, CacheBackend>) =>
    it.effect(title, () => Effect.provide(body, memcached.layer()))

  onMemcached(
    row("memcached_compat"),
    Effect.gen(function*() {
      yield* Cache.set(data, "compat", "Awesome")
      assert.deepStrictEqual(yield* Cache.get(data, "compat"), Option.some("Awesome"))
    })
  )

  onMemcached(
    row("memcached_huge_timeouts"),
    Effect.gen(function*() {
      yield* Cache.set(data.pipe(Cache.withTimeToLive("400 days")), "huge", 1)
      yield* TestClock.adjust("399 days")
      assert.isTrue(yield* Cache.has(data, "huge"))
      yield* TestClock.adjust("1 day")
      assert.isFalse(yield* Cache.has(data, "huge"))
    })
  )

  onMemcached(
    row("memcached_timeouts"),
    Effect.gen(function*() {
      yield* Cache.set(brief, "brief", 1)
      yield* TestClock.adjust("1 second")
      assert.isFalse(yield* Cache.has(brief, "brief"))
    })
  )

  it.effect(row("null_has"), () =>
    Effect.gen(function*() {
      yield* Cache.set(data, "k", 1)
      assert.isFalse(yield* Cache.has(data, "k"))
    }).pipe(Effect.provide(Null.layer)))
})
