import { assert, describe } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { overBackends } from "../support/overBackends.js"

const texts = Cache.make({
  name: "text",
  schema: Schema.String,
  key: (key: string) => key,
  timeToLive: "1 minute",
  grace: "1 minute",
  tags: ["a", "b"]
})

describe("Cache.explain", () => {
  overBackends((test) => {
    test("says what is stored, how old it is, and which tag ended it", () =>
      Effect.gen(function*() {
        assert.deepInclude(yield* Cache.explain(texts, "k"), { key: "text:'k", state: "miss", entry: undefined })
        yield* Cache.getOrSet(texts, "k", Effect.as(TestClock.adjust("2 seconds"), "v"))
        yield* TestClock.adjust("10 seconds")
        const hit = yield* Cache.explain(texts, "k")
        assert.strictEqual(hit.state, "hit")
        assert.deepInclude(hit.entry, {
          state: "fresh",
          isOwn: true,
          ageMillis: 10_000,
          freshForMillis: 50_000,
          keptForMillis: 110_000,
          loadMillis: 2_000
        })
        yield* Cache.invalidateTags(["b"], { mode: "soft" })
        assert.strictEqual((yield* Cache.explain(texts, "k")).state, "stale")
        yield* Cache.invalidateTags(["a"])
        const miss = yield* Cache.explain(texts, "k")
        assert.strictEqual(miss.state, "miss")
        assert.deepStrictEqual(miss.entry?.tags, [
          { tag: "a", isInvalidated: true, isStale: false },
          { tag: "b", isInvalidated: false, isStale: true }
        ])
      }))

    test("says that a load is under way, and that another schema wrote the entry", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        yield* Effect.fork(Cache.getOrSet(texts, "k", Effect.as(Deferred.await(gate), "v")))
        yield* Effect.repeatN(Effect.yieldNow(), 20)
        assert.isTrue((yield* Cache.explain(texts, "k")).isLoading)
        const numbers = Cache.make({ name: "text", schema: Schema.Number, timeToLive: "1 minute" })
        yield* Cache.set(texts, "l", "v")
        const foreign = yield* Cache.explain(numbers, "l")
        assert.strictEqual(foreign.state, "miss")
        assert.isFalse(foreign.entry?.isOwn)
      }))
  })
})
