/** `test_base_cache.py` of cachelib: the store that keeps nothing. */
import { assert, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Null from "effect-caching/backends/Null"
import * as Cache from "effect-caching/Cache"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { data, describeRows, numbers } from "../support.js"
import * as Rows from "./rows.js"

describeRows("test_base_cache.py", Rows.baseCache, [], (row) => {
  const test = (title: string, effect: Effect.Effect<void, unknown, CacheBackend>) =>
    it.effect(title, () => Effect.provide(effect, Null.layer))

  test(row("get"), Effect.map(Cache.get(data, "k"), (got) => assert.deepStrictEqual(got, Option.none())))

  test(row("delete"), Effect.map(Cache.invalidate(data, "k"), (was) => assert.isFalse(was)))

  test(
    row("get_many", "get_dict"),
    Effect.map(Cache.getMany(data, ["a", "b"]), (got) => assert.deepStrictEqual(got, [Option.none(), Option.none()]))
  )

  test(
    row("set", "has"),
    Effect.gen(function*() {
      yield* Cache.set(data, "k", 1)
      assert.isFalse(yield* Cache.has(data, "k"))
    })
  )

  test(
    row("add"),
    Effect.gen(function*() {
      assert.isTrue(yield* Cache.add(data, "k", 1))
      assert.isTrue(yield* Cache.add(data, "k", 1))
    })
  )

  test(
    row("set_many", "delete_many"),
    Effect.gen(function*() {
      yield* Cache.setMany(data, [["a", 1], ["b", 2]])
      assert.strictEqual(yield* Cache.invalidateMany(data, ["a", "b"]), 0)
    })
  )

  test(
    row("clear"),
    Effect.gen(function*() {
      yield* Cache.clear(data)
      yield* (yield* CacheBackend).clear("")
    })
  )

  test(row("inc"), Effect.map(Cache.increment(numbers, "k", 3), (n) => assert.strictEqual(n, 3)))

  test(row("dec"), Effect.map(Cache.increment(numbers, "k", -3), (n) => assert.strictEqual(n, -3)))

  it.effect(row("normalize_timeout"), () =>
    Effect.gen(function*() {
      const at = (text?: string) =>
        Effect.withConfigProvider(
          CacheConfig.defaultTimeToLive,
          ConfigProvider.fromMap(new Map(text === undefined ? [] : [["CACHE_DEFAULT_TIMEOUT", text]]))
        )
      assert.deepStrictEqual(yield* at(), Duration.minutes(5))
      assert.deepStrictEqual(yield* at("100"), Duration.seconds(100))
      // Zero is what it is there: for ever.
      assert.deepStrictEqual(yield* at("0"), Duration.infinity)
    }))
})
