import { assert, describe, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Metered from "effect-caching/backends/Metered"
import * as Cache from "effect-caching/Cache"
import * as Memoize from "effect-caching/Memoize"
import { Faulty } from "effect-caching/testing"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { overBackends } from "../support/overBackends.js"

const cache = Cache.make({
  name: "n",
  schema: Schema.Number,
  key: (key: string) => key,
  timeToLive: "1 minute",
  grace: "1 minute",
  unless: (key) => key === "off"
})

const find = (key: string) => Cache.getOrSet(cache, key, Effect.succeed(1))

/** What `effect` makes caches tell. */
const told = <E, R>(effect: Effect.Effect<unknown, E, R>, options?: Parameters<typeof Cache.events>[0]) =>
  Effect.scoped(Effect.gen(function*() {
    const queue = yield* Queue.unbounded<Cache.Event>()
    const { listeners } = yield* Backend.CacheBackend
    const listening = yield* Effect.fork(Stream.runForEach(Cache.events(options), (event) => queue.offer(event)))
    while (!listeners.isAny) yield* Effect.yieldNow()
    yield* effect
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 30)))
    yield* Fiber.interrupt(listening)
    assert.isFalse(listeners.isAny)
    return Array.from(yield* queue.takeAll)
  }))

describe("Cache.events", () => {
  overBackends((test) => {
    test("tells hits, misses, stale answers and bypasses with the cache's name, and no keys", () =>
      Effect.gen(function*() {
        const events = yield* told(Effect.gen(function*() {
          yield* find("a")
          yield* find("a")
          yield* TestClock.adjust("1 minute")
          yield* find("a")
          yield* find("off")
        }))
        assert.deepStrictEqual(events, [
          { _tag: "Miss", cache: "n", at: 0 },
          { _tag: "Hit", cache: "n", at: 0 },
          { _tag: "Stale", cache: "n", at: 60_000 },
          { _tag: "Bypass", cache: "n", at: 60_000 }
        ])
      }))

    test("tells of faults of the backend, which the calls go on without", () =>
      Effect.gen(function*() {
        const { backend, control } = yield* Faulty.make(yield* Backend.CacheBackend)
        const events = yield* told(Effect.gen(function*() {
          yield* control.inject(Faulty.fail("OutOfSpace"))
          assert.strictEqual(yield* find("a"), 1)
          yield* control.heal
          assert.strictEqual(yield* find("a"), 1)
        })).pipe(Effect.provideService(Backend.CacheBackend, backend))
        const faults = events.filter((event) => event._tag === "Error")
        assert.isNotEmpty(faults)
        for (const { at, cache, error } of faults) {
          assert.deepStrictEqual([cache, at, error.reason], ["n", 0, "OutOfSpace"])
        }
        const answers = events.filter((event) => event._tag !== "Error")
        assert.deepStrictEqual(answers.map(({ _tag }) => _tag), ["Bypass", "Miss"])
      }))

    test("tells keys where they are asked for", () =>
      Effect.gen(function*() {
        const events = yield* told(find("a"), { keys: true })
        assert.deepStrictEqual(events, [{ _tag: "Miss", cache: "n", at: 0, key: Cache.cacheKey(cache, "a") }])
      }))

    test("a reader that joins a stream under way is told of as a miss, as is who waits for a load, and counted", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const numbers = Memoize.stream(
          (n: number) => Stream.concat(Stream.make(n), Stream.fromEffect(Effect.as(Deferred.await(gate), 2))),
          { name: "joined", schema: Schema.Number, timeToLive: "1 minute" }
        )
        const misses = Metric.counter("cache_requests", {
          description: "Calls of a cache by how they were answered",
          incremental: true
        }).pipe(Metric.tagged("cache", "joined"), Metric.tagged("result", "miss"))
        const before = (yield* Metric.value(misses)).count
        const queue = yield* Queue.unbounded<number>()
        const read = Stream.runForEach(numbers(1), (n) => queue.offer(n))
        const events = yield* told(
          Effect.gen(function*() {
            const first = yield* Effect.fork(read)
            yield* queue.take
            const second = yield* Effect.fork(read)
            yield* queue.take
            yield* Deferred.succeed(gate, undefined)
            yield* Fiber.join(first)
            yield* Fiber.join(second)
            yield* read
          }),
          { keys: true }
        )
        const event = { cache: "joined", at: 0, key: numbers.cacheKey(1) }
        assert.deepStrictEqual(events, [
          { _tag: "Miss", ...event },
          { _tag: "Miss", ...event },
          { _tag: "Hit", ...event }
        ])
        assert.strictEqual((yield* Metric.value(misses)).count - before, 2)
      }))

    test("a listener that dies, or never reads, neither fails nor delays a call", () =>
      Effect.gen(function*() {
        const { listeners } = yield* Backend.CacheBackend
        const dying = yield* Effect.fork(Stream.runForEach(Cache.events(), () => Effect.die("listener")))
        const stuck = yield* Effect.fork(Stream.runForEach(Cache.events({ capacity: 1 }), () => Effect.never))
        while (!listeners.isAny) yield* Effect.yieldNow()
        for (let i = 0; i < 10; i++) assert.strictEqual(yield* find("a"), 1)
        yield* Fiber.interruptAll([dying, stuck])
      }))
  })

  it.effect("a combinator's caches are told of to those who listen at it", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* told(Effect.zipRight(find("a"), find("b")))).length, 2)
    }).pipe(Effect.provide(Metered.layer(Backend.mapLayer(Memory.layer(), Backend.prefixed("p:"))))))
})
