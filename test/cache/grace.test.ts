/** `grace` as a function of the value. */
import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"

for (const storage of ["values", "bytes"] as const) {
  describe(`grace by value, over a backend of ${storage}`, () => {
    const cache = Cache.make({
      name: "page",
      schema: Schema.String,
      timeToLive: "10 seconds",
      grace: (exit, key: string) =>
        exit._tag === "Success" && exit.value.startsWith("stable") && key !== "c" ? 5_000 : 0
    })
    const provide = Effect.provide(Memory.layer({ storage }))

    it.effect("is asked for each value and key", () =>
      Effect.gen(function*() {
        for (const [key, value] of [["a", "stable"], ["b", "moving"], ["c", "stable"]] as const) {
          yield* Cache.set(cache, key, value)
        }
        const states = Effect.forEach(
          ["a", "b", "c"],
          (key) => Effect.map(Cache.lookup(cache, key), (found) => found._tag)
        )
        assert.deepStrictEqual(yield* states, ["Hit", "Hit", "Hit"])
        yield* TestClock.adjust("14 seconds")
        assert.deepStrictEqual(yield* states, ["Stale", "Miss", "Miss"])
        yield* TestClock.adjust("1 seconds")
        assert.deepStrictEqual(yield* states, ["Miss", "Miss", "Miss"])
      }).pipe(provide))

    it.effect("serves the stale value while one load runs", () =>
      Effect.gen(function*() {
        let loads = 0
        const load = Effect.sync(() => `stable ${++loads}`)
        yield* Cache.getOrSet(cache, "a", load)
        yield* TestClock.adjust("12 seconds")
        assert.strictEqual(yield* Cache.getOrSet(cache, "a", load), "stable 1")
        yield* Effect.yieldNow()
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* Cache.getOrSet(cache, "a", load), "stable 2")
      }).pipe(provide))
  })
}
