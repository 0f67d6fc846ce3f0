/** `test_simple_cache.py` of cachelib. */
import { assert, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { data, describeRows, each, type NotHere, numbers, onEveryStore } from "../support.js"
import * as Rows from "./rows.js"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.simpleCache>> = [
  { row: "threshold_zero_defaults_to_500", reason: "a capacity of zero is refused, which a test below says" }
]

const brief = data.pipe(Cache.withTimeToLive("1 second"))

const keys = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`)

describeRows("test_simple_cache.py", Rows.simpleCache, notHere, (row) => {
  onEveryStore((test) => {
    test(row("add_on_expired_key_succeeds"), () =>
      Effect.gen(function*() {
        yield* Cache.set(brief, "k", "old")
        assert.isFalse(yield* Cache.add(data, "k", "new"))
        yield* TestClock.adjust("1 second")
        assert.isTrue(yield* Cache.add(data, "k", "new"))
        assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.some("new"))
      }))

    test(row("has_on_expired_key_returns_false"), () =>
      Effect.gen(function*() {
        yield* Cache.set(brief, "k", 1)
        assert.isTrue(yield* Cache.has(brief, "k"))
        yield* TestClock.adjust("1 second")
        assert.isFalse(yield* Cache.has(brief, "k"))
      }))

    test(
      row("delete_nonexistent_returns_false"),
      () => Effect.map(Cache.invalidate(data, "missing"), (was) => assert.isFalse(was))
    )

    test(row("concurrent_set_no_data_corruption"), () =>
      Effect.gen(function*() {
        yield* each(10, (i) => Effect.forEach(keys(50), (key) => Cache.set(data, `${i} ${key}`, `${i} ${key}`)))
        const all = keys(50).flatMap((key) => Array.from({ length: 10 }, (_, i) => `${i} ${key}`))
        assert.deepStrictEqual(yield* Cache.getMany(data, all), all.map((value) => Option.some(value)))
      }))

    test(row("concurrent_inc_is_consistent"), () =>
      Effect.gen(function*() {
        const seen = yield* each(10, () => Effect.forEach(keys(100), () => Cache.increment(numbers, "n")))
        assert.deepStrictEqual(yield* Cache.get(numbers, "n"), Option.some(1_000))
        assert.strictEqual(new Set(seen.flat()).size, 1_000)
      }))

    test(row("concurrent_add_only_one_winner"), () =>
      Effect.gen(function*() {
        const wins = yield* each(20, (i) => Cache.add(data, "k", i))
        assert.strictEqual(wins.filter(Boolean).length, 1)
        assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.some(wins.indexOf(true)))
      }))

    test(row("concurrent_get_set_preserves_valid_shared_values"), () =>
      Effect.gen(function*() {
        const values = Array.from({ length: 20 }, (_, i) => ({ i, text: `${i}`.repeat(500) }))
        yield* Cache.set(data, "k", values[0])
        const [, seen] = yield* Effect.all([
          each(20, (i) => Cache.set(data, "k", values[i])),
          each(20, () => Effect.flatten(Cache.get(data, "k")))
        ], { concurrency: "unbounded" })
        for (const value of seen) assert.deepStrictEqual(value, values[value.i])
      }))
  })

  it.effect(row("threshold"), () =>
    Effect.gen(function*() {
      for (const key of keys(100)) {
        yield* Cache.set(data, key, key)
        assert.isAtMost((yield* Cache.getMany(data, keys(100))).filter(Option.isSome).length, 10)
      }
      assert.strictEqual((yield* Cache.getMany(data, keys(100))).filter(Option.isSome).length, 10)
    }).pipe(Effect.provide(Memory.layer({ maxEntries: 10 }))))

  it.effect(row("prune_old_entries"), () =>
    Effect.gen(function*() {
      const live = Cache.make({ name: "live", schema: Schema.String, key: (key: string) => key, timeToLive: "1 hour" })
      for (const key of keys(5)) {
        yield* Cache.set(live, key, key)
        yield* Cache.set(brief, key, key)
      }
      yield* TestClock.adjust("1 second")
      for (const key of keys(5)) yield* Cache.set(live, `more ${key}`, key)
      const kept = yield* Cache.getMany(live, [...keys(5), ...keys(5).map((key) => `more ${key}`)])
      assert.isTrue(kept.every(Option.isSome))
    }).pipe(Effect.provide(Memory.layer({ maxEntries: 10 }))))

  it("a capacity of zero, or below, is refused by name and value", () => {
    for (const maxEntries of [0, -1]) {
      assert.throws(() => Effect.runSync(Effect.scoped(Memory.make({ maxEntries }))), "maxEntries")
    }
  })
})
