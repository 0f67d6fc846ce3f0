/**
 * `test_backend_cache.py`, and the suites of cachelib that run over every backend.
 * What the contract asks of a backend is in the conformance suite
 * (`effect-caching/testing`), which runs over all of ours. Not portable, and why:
 *
 * - deprecated_ignore_errors, ignore_delete_many_errors: a deletion of what is not there is no error anywhere
 * - empty_host: a type
 * - serializer_is_stored_on_instance, accepts_bytes_str_bytearray, callable_key: Python objects
 * - pool_*: a pool of theirs
 * - mgmt_element_*: no counter is kept beside the entries
 */
import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Null from "effect-caching/backends/Null"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { onMemoryAndRedis } from "./support.js"

const data = Cache.make({ name: "data", schema: Schema.Any, key: (key: string) => key, timeToLive: "5 minutes" })
const numbers = Cache.make({ name: "n", schema: Schema.Number, key: (key: string) => key, timeToLive: "5 minutes" })

const mixed: ReadonlyArray<readonly [string, unknown]> = [
  ["false", false],
  ["true", true],
  ["zero", 0],
  ["empty", ""],
  ["null", null],
  ["record", {}],
  ["list", []],
  ["nested", { a: [1, { b: null }] }],
  ["text", "hi"],
  ["number", 4.5]
]

describe("test_backend_cache.py, common.py, clear.py, has.py", () => {
  onMemoryAndRedis((test) => {
    test("set_get: ten values of all kinds come back as they were, booleans exactly", () =>
      Effect.gen(function*() {
        for (const [key, value] of mixed) {
          yield* Cache.set(data, key, value)
          assert.deepStrictEqual(yield* Cache.get(data, key), Option.some(value))
        }
      }))

    test("set_many, get_many, get_dict: in the order of the keys, missing ones told apart from null", () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, mixed)
        const keys = [...mixed.map(([key]) => key), "missing"]
        assert.deepStrictEqual(yield* Cache.getMany(data, keys), [
          ...mixed.map(([, value]) => Option.some(value)),
          Option.none()
        ])
      }))

    test("add: stores once; a second one answers false and changes nothing", () =>
      Effect.gen(function*() {
        assert.isTrue(yield* Cache.add(data, "k", "hello"))
        assert.isFalse(yield* Cache.add(data, "k", "bye"))
        assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.some("hello"))
      }))

    test("delete: true, then a miss; of what is not there false", () =>
      Effect.gen(function*() {
        yield* Cache.set(data, "k", 1)
        assert.deepStrictEqual([yield* Cache.invalidate(data, "k"), yield* Cache.invalidate(data, "k")], [true, false])
      }))

    test("delete_many: a missing key does not stop it", () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, [["a", 1], ["b", 2]])
        assert.strictEqual(yield* Cache.invalidateMany(data, ["missing", "a", "b"]), 2)
        assert.deepStrictEqual(yield* Cache.getMany(data, ["a", "b"]), [Option.none(), Option.none()])
      }))

    test("inc_dec: begins at zero, goes on, takes large and negative numbers, and get sees it", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* Cache.increment(numbers, "up"), 1)
        assert.strictEqual(yield* Cache.increment(numbers, "down", -3), -3)
        assert.strictEqual(yield* Cache.increment(numbers, "up", 5e12), 5e12 + 1)
        assert.deepStrictEqual(yield* Cache.get(numbers, "up"), Option.some(5e12 + 1))
        assert.deepStrictEqual(yield* Cache.get(numbers, "down"), Option.some(-3))
      }))

    test("inc_dec_after_set: 10, and 5, less 3, is 12", () =>
      Effect.gen(function*() {
        yield* Cache.set(numbers, "k", 10)
        yield* Cache.increment(numbers, "k", 5)
        assert.strictEqual(yield* Cache.increment(numbers, "k", -3), 12)
      }))

    test("timeout, expiration: an infinite one survives, one of a second is gone, and has says so", () =>
      Effect.gen(function*() {
        const forever = data.pipe(Cache.withTimeToLive(Duration.infinity))
        const brief = data.pipe(Cache.withTimeToLive("1 second"))
        yield* Cache.set(forever, "forever", 1)
        yield* Cache.set(brief, "brief", 1)
        yield* TestClock.adjust("3 seconds")
        assert.deepStrictEqual([yield* Cache.has(data, "forever"), yield* Cache.has(data, "brief")], [true, false])
        assert.isTrue(yield* Cache.add(brief, "brief", 2))
      }))

    test("huge_timeouts: more than 30 days", () =>
      Effect.gen(function*() {
        yield* Cache.set(data.pipe(Cache.withTimeToLive("400 days")), "k", 1)
        yield* TestClock.adjust("399 days")
        assert.isTrue(yield* Cache.has(data, "k"))
      }))

    test("has: true for all that is stored, falsy values too, false for what is not", () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, mixed)
        for (const [key] of mixed) assert.isTrue(yield* Cache.has(data, key))
        assert.isFalse(yield* Cache.has(data, "unknown"))
      }))

    test("get_bytes: bytes come back as they were", () =>
      Effect.gen(function*() {
        const bytes = Cache.make({ name: "b", codec: Codec.bytes, timeToLive: "1 minute" })
        yield* Cache.set(bytes, "k", Uint8Array.of(0, 255, 10, 13))
        const got = yield* Cache.get(bytes, "k")
        assert.deepStrictEqual(Option.map(got, (_) => Array.from(_)), Option.some([0, 255, 10, 13]))
      }))

    test("clear: everything of the cache is gone, and nothing of another, though its name begins alike", () =>
      Effect.gen(function*() {
        const other = Cache.make({ name: "data2", schema: Schema.Number, timeToLive: "1 minute" })
        yield* Cache.setMany(data, mixed)
        yield* Cache.set(other, "k", 1)
        yield* Cache.clear(data)
        yield* Cache.clear(data)
        assert.isFalse(yield* Cache.has(data, "text"))
        assert.isTrue(yield* Cache.has(other, "k"))
      }))

    test("concurrent_add_only_one_winner, concurrent_inc_is_consistent, concurrent_set_no_data_corruption", () =>
      Effect.gen(function*() {
        const each = <A, E, R>(n: number, f: (i: number) => Effect.Effect<A, E, R>) =>
          Effect.forEach(Array.from({ length: n }, (_, i) => i), f, { concurrency: "unbounded" })
        const wins = yield* each(20, (i) => Cache.add(data, "one", i))
        assert.strictEqual(wins.filter(Boolean).length, 1)
        yield* each(1_000, () => Cache.increment(numbers, "n"))
        assert.deepStrictEqual(yield* Cache.get(numbers, "n"), Option.some(1_000))
        yield* each(500, (i) => Cache.set(data, `k${i}`, i))
        const all = yield* Cache.getMany(data, Array.from({ length: 500 }, (_, i) => `k${i}`))
        assert.deepStrictEqual(all, Array.from({ length: 500 }, (_, i) => Option.some(i)))
      }))

    test("unusual keys (space, CRLF, NUL, 251 bytes and more, empty) are keys like any other", () =>
      Effect.gen(function*() {
        const keys = [" ", "a b", "a\r\nset injected 0 0 1\r\nx", "\u0000", "k".repeat(251), "日".repeat(5_000), ""]
        yield* Cache.setMany(data, keys.map((key, i) => [key, i]))
        assert.deepStrictEqual(yield* Cache.getMany(data, keys), keys.map((_, i) => Option.some(i)))
        assert.isFalse(yield* Cache.has(data, "injected"))
      }))
  })

  it.effect("test_purge, test_threshold: memory is never above its capacity", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 100; i++) yield* Cache.set(numbers, `k${i}`, i)
      const kept = yield* Cache.getMany(numbers, Array.from({ length: 100 }, (_, i) => `k${i}`))
      assert.isAtMost(kept.filter(Option.isSome).length, 10)
    }).pipe(Effect.provide(Memory.layer({ maxEntries: 10 }))))

  it.effect("TestNullCache, test_base_cache: nothing is kept", () =>
    Effect.gen(function*() {
      yield* Cache.set(numbers, "k", 1)
      assert.isFalse(yield* Cache.has(numbers, "k"))
      assert.isTrue(yield* Cache.add(numbers, "k", 1))
      assert.isFalse(yield* Cache.invalidate(numbers, "k"))
      assert.deepStrictEqual(yield* Cache.getMany(numbers, ["k", "l"]), [Option.none(), Option.none()])
    }).pipe(Effect.provide(Null.layer)))
})
