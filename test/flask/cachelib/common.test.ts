/** `common.py` of cachelib: the suite that runs over every backend. */
import { assert } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { data, describeRows, mixed, numbers, onEveryStore } from "../support.js"
import * as Rows from "./rows.js"

describeRows("common.py", Rows.common, [], (row) => {
  onEveryStore((test) => {
    test(row("set_get"), () =>
      Effect.gen(function*() {
        for (const [key, value] of mixed) {
          yield* Cache.set(data, key, value)
          assert.deepStrictEqual(yield* Cache.get(data, key), Option.some(value))
        }
      }))

    test(row("set_get_many"), () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, mixed)
        const backwards = mixed.toReversed()
        assert.deepStrictEqual(
          yield* Cache.getMany(data, [...backwards.map(([key]) => key), "missing", "nested"]),
          [...backwards.map(([, value]) => Option.some(value)), Option.none(), Option.some({ a: [1, { b: null }] })]
        )
      }))

    test(row("get_dict"), () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, mixed)
        const keys = mixed.map(([key]) => key)
        const values = yield* Cache.getMany(data, keys)
        assert.deepStrictEqual(
          Object.fromEntries(keys.map((key, i) => [key, Option.getOrThrow(values[i]!)])),
          Object.fromEntries(mixed)
        )
      }))

    test(row("delete"), () =>
      Effect.gen(function*() {
        yield* Cache.set(data, "k", 1)
        assert.isTrue(yield* Cache.invalidate(data, "k"))
        assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.none())
      }))

    test(row("delete_many"), () =>
      Effect.gen(function*() {
        const keys = mixed.map(([key]) => key)
        yield* Cache.setMany(data, mixed)
        assert.strictEqual(yield* Cache.invalidateMany(data, keys), keys.length)
        assert.isTrue((yield* Cache.getMany(data, keys)).every(Option.isNone))
      }))

    test(row("delete_many_ignore_errors"), () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, [["a", 1], ["b", 2]])
        assert.strictEqual(yield* Cache.invalidateMany(data, ["missing", "a", "b"]), 2)
        assert.deepStrictEqual(yield* Cache.getMany(data, ["a", "b"]), [Option.none(), Option.none()])
      }))

    test(row("add"), () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, mixed)
        for (const [key, value] of mixed) {
          assert.isFalse(yield* Cache.add(data, key, "updated"))
          assert.deepStrictEqual(yield* Cache.get(data, key), Option.some(value))
        }
        assert.isTrue(yield* Cache.add(data, "new", "added"))
        assert.deepStrictEqual(yield* Cache.get(data, "new"), Option.some("added"))
      }))

    test(row("inc_dec"), () =>
      Effect.gen(function*() {
        for (const by of [1, 10, 5e12]) {
          assert.strictEqual(yield* Cache.increment(numbers, `up ${by}`, by), by)
          assert.strictEqual(yield* Cache.increment(numbers, `up ${by}`, by), 2 * by)
          assert.strictEqual(yield* Cache.increment(numbers, `down ${by}`, -by), -by)
          assert.strictEqual(yield* Cache.increment(numbers, `down ${by}`, -by), -2 * by)
        }
      }))

    test(row("inc_dec_after_set"), () =>
      Effect.gen(function*() {
        yield* Cache.set(numbers, "k", 10)
        assert.strictEqual(yield* Cache.increment(numbers, "k", 5), 15)
        assert.strictEqual(yield* Cache.increment(numbers, "k", -3), 12)
        assert.deepStrictEqual(yield* Cache.get(numbers, "k"), Option.some(12))
      }))

    test(row("bool_roundtrip"), () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, [["yes", true], ["no", false]])
        assert.deepStrictEqual(yield* Cache.getMany(data, ["yes", "no"]), [Option.some(true), Option.some(false)])
      }))

    test(row("expiration"), () =>
      Effect.gen(function*() {
        yield* Cache.set(data.pipe(Cache.withTimeToLive(Duration.infinity)), "forever", 1)
        yield* Cache.set(data.pipe(Cache.withTimeToLive("1 second")), "brief", 1)
        yield* TestClock.adjust("4 seconds")
        assert.deepStrictEqual(yield* Cache.getMany(data, ["forever", "brief"]), [Option.some(1), Option.none()])
      }))
  })
})
