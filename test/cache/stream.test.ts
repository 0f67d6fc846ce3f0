import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Memoize from "effect-caching/Memoize"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { overBackends } from "../support/overBackends.js"

const options = { name: "s", schema: Schema.Number, timeToLive: "1 minute" } as const

/** A function that answers streams, and counts how many were begun and ended. */
const source = (make: (n: number) => Stream.Stream<number, string>, more: { readonly maxSize?: number } = {}) => {
  const state = { begun: 0, ended: 0 }
  const numbers = Memoize.stream(
    (n: number) =>
      Stream.unwrap(Effect.sync(() => {
        state.begun++
        return Stream.ensuring(make(n), Effect.sync(() => void state.ended++))
      })),
    { ...options, ...more }
  )
  return { state, numbers }
}

const all = <E, R>(stream: Stream.Stream<number, E, R>) => Effect.map(Stream.runCollect(stream), (_) => Array.from(_))

const soon = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 5)))

const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => condition() ? Effect.void : Effect.zipRight(soon, until(condition)))

describe("Memoize.stream", () => {
  overBackends((test) => {
    test("is produced once in its time, and replayed", () =>
      Effect.gen(function*() {
        const { numbers, state } = source((n) => Stream.range(1, n, 2))
        assert.deepStrictEqual(yield* all(numbers(5)), [1, 2, 3, 4, 5])
        assert.deepStrictEqual(yield* all(numbers(5)), [1, 2, 3, 4, 5])
        assert.deepStrictEqual(yield* all(numbers(0)), [])
        assert.strictEqual(state.begun, 2)
        yield* TestClock.adjust("1 minute")
        yield* all(numbers(5))
        assert.strictEqual(state.begun, 3)
        yield* numbers.invalidate(5)
        yield* all(numbers(5))
        assert.strictEqual(state.begun, 4)
      }))

    test("who comes while it is produced gets it from its beginning, as it comes", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { numbers, state } = source(() =>
          Stream.concat(
            Stream.make(1, 2),
            Stream.concat(Stream.fromEffect(Effect.as(Deferred.await(gate), 3)), Stream.make(4))
          )
        )
        const queues = yield* Effect.forEach([1, 2, 3], () => Queue.unbounded<number>())
        const readers: Array<Fiber.RuntimeFiber<void, string>> = []
        for (const queue of queues) {
          readers.push(yield* Effect.fork(Stream.runForEach(numbers(1), (_) => queue.offer(_))))
          assert.deepStrictEqual([yield* queue.take, yield* queue.take], [1, 2])
        }
        // The first one leaves: the others go on.
        yield* Fiber.interrupt(readers[0]!)
        yield* Deferred.succeed(gate, undefined)
        for (const [i, queue] of queues.entries()) {
          if (i > 0) assert.deepStrictEqual([yield* queue.take, yield* queue.take], [3, 4])
        }
        assert.strictEqual(state.begun, 1)
      }))

    test("is interrupted when nobody reads it any more, and not stored in part", () =>
      Effect.gen(function*() {
        const { numbers, state } = source(() => Stream.concat(Stream.make(1, 2), Stream.never))
        const first = yield* Queue.unbounded<number>()
        const reading = yield* Effect.fork(Stream.runForEach(numbers(1), (_) => first.offer(_)))
        yield* first.take
        assert.deepStrictEqual(yield* all(Stream.take(numbers(1), 2)), [1, 2])
        assert.strictEqual(state.ended, 0)
        yield* Fiber.interrupt(reading)
        yield* until(() => state.ended === 1)
        assert.isFalse(yield* Cache.has(numbers.cache, [1]))
      }))

    test("a stream that fails hands on what it had and its failure, and is not stored", () =>
      Effect.gen(function*() {
        const { numbers, state } = source(() => Stream.concat(Stream.make(1), Stream.fail("broken")))
        for (const begun of [1, 2]) {
          const seen: Array<number> = []
          const failure = yield* Effect.flip(Stream.runForEach(numbers(1), (n) => Effect.sync(() => void seen.push(n))))
          assert.deepStrictEqual([seen, failure], [[1], "broken"])
          assert.strictEqual(state.begun, begun)
          yield* soon
        }
      }))

    test("an over-long stream is passed through whole to all who read it, and not stored", () =>
      Effect.gen(function*() {
        const { numbers, state } = source((n) => Stream.rechunk(Stream.range(1, n), 3), { maxSize: 10 })
        const expected = Array.from({ length: 500 }, (_, i) => i + 1)
        const both = yield* Effect.all([all(numbers(500)), all(numbers(500))], { concurrency: "unbounded" })
        assert.deepStrictEqual(both, [expected, expected])
        yield* soon
        assert.isFalse(yield* Cache.has(numbers.cache, [500]))
        assert.deepStrictEqual(yield* all(numbers(500)), expected)
        assert.isAtLeast(state.begun, 2)
        assert.deepStrictEqual(yield* all(numbers(10)), expected.slice(0, 10))
      }))

    test("an endless stream is passed through, holds nobody up who comes later, and ends with its last reader", () =>
      Effect.gen(function*() {
        const { numbers, state } = source((n) => Stream.rechunk(Stream.iterate(n, (_) => _ + 1), 5), { maxSize: 10 })
        const queue = yield* Queue.bounded<number>(1)
        const reading = yield* Effect.fork(Stream.runForEach(numbers(1), (_) => queue.offer(_)))
        for (let i = 1; i <= 100; i++) assert.strictEqual(yield* queue.take, i)
        yield* Effect.iterate([0], {
          while: (got) => got.length < 30,
          body: () => all(Stream.take(numbers(1), 30))
        })
        yield* Fiber.interrupt(reading)
        yield* until(() => state.ended === state.begun)
        assert.isFalse(yield* Cache.has(numbers.cache, [1]))
      }))

    test("what was begun before an invalidation is not followed after it", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { numbers, state } = source(() =>
          Stream.concat(Stream.make(1), Stream.fromEffect(Effect.as(Deferred.await(gate), 2)))
        )
        const first = yield* Effect.fork(all(numbers(1)))
        yield* until(() => state.begun === 1)
        yield* numbers.invalidate(1)
        const second = yield* Effect.fork(all(numbers(1)))
        yield* until(() => state.begun === 2)
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(yield* Effect.all([Fiber.join(first), Fiber.join(second)]), [[1, 2], [1, 2]])
      }))

    test("in a load the whole stream is waited for, and the load depends on its tags", () =>
      Effect.gen(function*() {
        let begun = 0
        const numbers = Memoize.stream(() => Stream.fromEffect(Effect.sync(() => ++begun)), { ...options, tags: ["n"] })
        const sums = Cache.make({ name: "sum", schema: Schema.Number, timeToLive: "1 hour" })
        const sum = Cache.getOrSet(sums, "k", Stream.runSum(numbers()))
        assert.deepStrictEqual([yield* sum, yield* sum], [1, 1])
        yield* Cache.invalidateTags(["n"])
        assert.strictEqual(yield* sum, 2)
        const long = Memoize.stream(() => Stream.range(1, 100), { ...options, name: "long", maxSize: 5 })
        assert.strictEqual(yield* Cache.getOrSet(sums, "long", Stream.runSum(long())), 5050)
      }))
  })

  it.effect("`sizeOf` says how large an element is", () =>
    Effect.gen(function*() {
      const texts = Memoize.stream((n: number) => Stream.make("a".repeat(n), "b"), {
        name: "t",
        schema: Schema.String,
        timeToLive: "1 minute",
        maxSize: 10,
        sizeOf: (text) => text.length
      })
      for (const [n, isStored] of [[9, true], [10, false]] as const) {
        yield* Stream.runDrain(texts(n))
        yield* soon
        assert.strictEqual(yield* Cache.has(texts.cache, [n]), isStored)
      }
    }).pipe(Effect.provide(Memory.layer())))
})
