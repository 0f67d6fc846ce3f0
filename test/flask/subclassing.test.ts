/** `test_subclassing.py`: what goes by way of the backend, seen from a backend around it. */
import { assert } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as Memoize from "effect-caching/Memoize"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Rows from "./rows.js"
import { counted, describeRows, numbers, onEveryStore } from "./support.js"

/** The backend of the test, and the operations that were asked of it since the last look. */
const recorded = Effect.map(Backend.CacheBackend, (self) => {
  let methods: Array<string> = []
  const backend = Backend.around(self, (method, operation) =>
    Effect.suspend(() => {
      methods.push(method)
      return operation
    }))
  return {
    on: Effect.provideService(Backend.CacheBackend, backend),
    look: () => {
      const seen = methods
      methods = []
      return seen
    }
  }
})

describeRows("test_subclassing.py", Rows.subclassing, [], (row) => {
  onEveryStore((test, kind) => {
    const hit = kind.name === "Memory" ? [] : ["get"]
    const miss = kind.name === "Redis" ? ["getOrLease", "fill"] : ["get", "lease", "fill"]

    test(row("cached_uses_public_methods"), () =>
      Effect.gen(function*() {
        const { look, on } = yield* recorded
        const cached = on(Effect.succeed(1).pipe(Cache.cached(numbers, "k")))
        yield* cached
        assert.deepStrictEqual(look(), miss)
        yield* cached
        assert.deepStrictEqual(look(), hit)
      }))

    test(row("cached_cache_none_uses_public_has"), () =>
      Effect.gen(function*() {
        const { look, on } = yield* recorded
        const nothing = Memoize.wrap(() => Effect.succeed(null), {
          name: "null",
          schema: Schema.Null,
          timeToLive: "1 minute"
        })
        yield* on(nothing())
        assert.deepStrictEqual(look(), miss)
        assert.isNull(yield* on(nothing()))
        assert.deepStrictEqual(look(), hit)
      }))

    test(row("memoize_uses_public_methods"), () =>
      Effect.gen(function*() {
        const { look, on } = yield* recorded
        const { f } = counted<[number]>()
        yield* on(f(1))
        assert.deepStrictEqual(look(), miss)
        yield* on(f(1))
        assert.deepStrictEqual(look(), hit)
        yield* on(f.refresh(1))
        assert.deepStrictEqual(look(), ["lease", "fill"])
        const { f: off } = counted<[number]>({ unless: true })
        yield* on(off(1))
        assert.deepStrictEqual(look(), [])
      }))

    test(row("delete_memoized_uses_public_delete"), () =>
      Effect.gen(function*() {
        const { look, on } = yield* recorded
        const { f } = counted<[number]>()
        yield* f(1)
        assert.isTrue(yield* on(f.invalidate(1)))
        assert.deepStrictEqual(look(), ["remove"])
      }))

    test(
      row("delete_memoized_without_args_uses_public_set_many", "delete_memoized_verhash_uses_public_delete_many"),
      () =>
        Effect.gen(function*() {
          const { look, on } = yield* recorded
          const { f } = counted<[number]>()
          yield* Effect.all([f(1), f(2)])
          yield* on(f.invalidateAll)
          assert.deepStrictEqual(look(), ["clear"])
          assert.strictEqual(yield* f(1), 3)
        })
    )

    test(row("subclass_overrides_still_cache_correctly"), () =>
      Effect.gen(function*() {
        const { on } = yield* recorded
        const { f } = counted<[number]>()
        assert.deepStrictEqual(yield* on(Effect.all([f(1), f(1), f(2)])), [1, 1, 2])
        yield* on(f.invalidateAll)
        assert.deepStrictEqual(yield* on(Effect.all([f(1), f(1)])), [3, 3])
        // What was stored through it is there without it.
        assert.strictEqual(yield* f(1), 3)
      }))
  })
})
