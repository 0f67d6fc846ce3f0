import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Memoize from "effect-caching/Memoize"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { overBackends } from "../support/overBackends.js"

/** A function that answers its arguments and how often it was called. */
const make = (options: { readonly key?: (...args: ReadonlyArray<any>) => unknown } = {}) => {
  let calls = 0
  return Memoize.wrap(
    (...args: ReadonlyArray<unknown>) => Effect.sync(() => `${args.length}:${JSON.stringify(args)}:${++calls}`),
    {
      name: "f",
      schema: Schema.String,
      timeToLive: "1 minute",
      tags: (_, args) => args.map((arg) => `arg:${JSON.stringify(arg)}`),
      ...options
    }
  )
}

describe("Memoize.wrap", () => {
  overBackends((test) => {
    test("computes once for equal arguments, and apart for others", () =>
      Effect.gen(function*() {
        const f = make()
        assert.strictEqual(yield* f(1, "a"), "2:[1,\"a\"]:1")
        assert.strictEqual(yield* f(1, "a"), "2:[1,\"a\"]:1")
        assert.strictEqual(yield* f(1, "b"), "2:[1,\"b\"]:2")
        assert.strictEqual(yield* f({ x: 1, y: 2 }), "1:[{\"x\":1,\"y\":2}]:3")
        assert.strictEqual(yield* f({ y: 2, x: 1 }), "1:[{\"x\":1,\"y\":2}]:3")
      }))

    test("tells apart lists of arguments that only look alike", () =>
      Effect.gen(function*() {
        const f = make()
        const lists: ReadonlyArray<ReadonlyArray<unknown>> = [
          [],
          [null],
          [undefined, null],
          [[]],
          [[undefined]],
          [1, 2],
          [[1, 2]],
          [12],
          ["1", 2],
          ["1,2"],
          ["[1;2;]"]
        ]
        const answers = yield* Effect.forEach(lists, (list) => f(...list))
        assert.strictEqual(new Set(answers).size, lists.length)
        assert.deepStrictEqual(yield* Effect.forEach(lists, (list) => f(...list)), answers)
      }))

    test("undefined at the end of the list is an argument that was not given, and before another one it is one", () =>
      Effect.gen(function*() {
        const f = make()
        const alike: ReadonlyArray<ReadonlyArray<unknown>> = [[1], [1, undefined], [1, undefined, undefined]]
        assert.deepStrictEqual(
          yield* Effect.forEach(alike, (args) => f(...args)),
          Array.from(alike, () => "1:[1]:1")
        )
        assert.strictEqual(yield* f(), yield* f(undefined))
        assert.notStrictEqual(yield* f(undefined, 1), yield* f(1))
        assert.isTrue(yield* f.invalidate(1, undefined))
        assert.isFalse(yield* f.invalidate(1))
        const counting = make({ key: (...args) => args })
        assert.notStrictEqual(yield* counting(1), yield* counting(1, undefined))
      }))

    test("invalidate forgets one call, invalidateAll all of the function's, tags those that name them", () =>
      Effect.gen(function*() {
        const f = make()
        const g = Memoize.wrap((n: number) => Effect.succeed(n), {
          name: "g",
          schema: Schema.Number,
          timeToLive: "1 minute"
        })
        yield* Effect.all([f(1), f(2), g(1)])
        assert.isTrue(yield* f.invalidate(1))
        assert.isFalse(yield* f.invalidate(1))
        assert.deepStrictEqual(yield* Effect.all([f(1), f(2)]), ["1:[1]:3", "1:[2]:2"])
        yield* Cache.invalidateTags(["arg:2"])
        assert.deepStrictEqual(yield* Effect.all([f(1), f(2)]), ["1:[1]:3", "1:[2]:4"])
        yield* f.invalidateAll
        assert.deepStrictEqual(yield* Effect.all([f(1), f(2)]), ["1:[1]:5", "1:[2]:6"])
        assert.isTrue(yield* Cache.has(g.cache, [1]))
      }))

    test("refresh computes and stores, uncached does neither", () =>
      Effect.gen(function*() {
        const f = make()
        yield* f(1)
        assert.strictEqual(yield* f.uncached(1), "1:[1]:2")
        assert.strictEqual(yield* f(1), "1:[1]:1")
        assert.strictEqual(yield* f.refresh(1), "1:[1]:3")
        assert.strictEqual(yield* f(1), "1:[1]:3")
      }))

    test("`key` leaves out what the result does not depend on", () =>
      Effect.gen(function*() {
        const f = make({ key: (id) => id })
        assert.strictEqual(yield* f(1, "trace a"), "2:[1,\"trace a\"]:1")
        assert.strictEqual(yield* f(1, "trace b"), "2:[1,\"trace a\"]:1")
        assert.isTrue(yield* f.invalidate(1, "trace c"))
      }))

    test("withTimeToLive stores for another time in the same place", () =>
      Effect.gen(function*() {
        const f = make()
        const brief = f.withTimeToLive("1 second")
        yield* brief(1)
        assert.strictEqual(yield* f(1), "1:[1]:1")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* f(1), "1:[1]:2")
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* brief(1), "1:[1]:2")
      }))
  })

  it.effect("a recursive memoized function computes each argument once", () =>
    Effect.gen(function*() {
      let calls = 0
      const fibonacci: Memoize.Memoized<[n: number], number, never, any> = Memoize.wrap(
        (n: number): Effect.Effect<number, never, any> => {
          calls++
          return n < 2
            ? Effect.succeed(n)
            : Effect.zipWith(
              Effect.suspend(() => fibonacci(n - 1)),
              Effect.suspend(() => fibonacci(n - 2)),
              (a, b) => a + b
            )
        },
        { name: "fibonacci", schema: Schema.Number, timeToLive: "1 minute" }
      )
      assert.strictEqual(yield* fibonacci(50), 12_586_269_025)
      assert.strictEqual(calls, 51)
    }).pipe(Effect.provide(Memory.layer())))

  it("cacheKey is the key in the backend, the same in every release", () => {
    const f = make()
    assert.deepStrictEqual([f.cacheKey(), f.cacheKey(1), f.cacheKey("a"), f.cacheKey("a", 1), f.cacheKey(["a", 1])], [
      "f:[]",
      "f:1;",
      "f:'a",
      "f:[1'a1;]",
      "f:[[1'a1;]]"
    ])
    assert.throws(() => f.cacheKey(() => 1), "a function at $ cannot be part of a cache key")
  })
})
