/** `test_redis_cache.py` and `test_valkey_cache.py` of cachelib. */
import { assert } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { describeRows, onEveryStore } from "../support.js"
import * as Rows from "./rows.js"

const anything = Cache.make({ name: "any", schema: Schema.Number, key: (key: unknown) => key, timeToLive: "1 minute" })

const notHere = [{
  row: "callable_key",
  reason: "a function cannot be a key: it has no text that stays the same"
}] as const

for (
  const [name, rows] of [["test_redis_cache.py", Rows.redisCache], ["test_valkey_cache.py", Rows.valkeyCache]] as const
) {
  describeRows(name, rows, notHere, () => {
    onEveryStore((test) => {
      test("a function given as a key is refused by name, and a cached call goes on without the cache", () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(Cache.set(anything, () => "k", 1))
          assert.include(error.message, "a function at $ cannot be part of a cache key")
          assert.strictEqual(yield* Cache.getOrSet(anything, () => "k", Effect.succeed(1)), 1)
          assert.strictEqual(yield* Cache.getOrSet(anything, () => "k", Effect.succeed(2)), 2)
        }))
    })
  })
}
