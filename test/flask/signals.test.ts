/** `test_signals.py` */
import { assert } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Rows from "./rows.js"
import { counted, describeRows, type NotHere, onMemoryAndRedis } from "./support.js"
import { view } from "./views.js"

const last = Cache.make({ name: "the last", schema: Schema.Number, timeToLive: "1 minute" })

/** What `effect` makes caches tell, up to the call that follows it. */
const told = <E, R>(effect: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function*() {
    const { listeners } = yield* CacheBackend
    const queue = yield* Queue.unbounded<Cache.Event>()
    const listening = yield* Effect.fork(
      Cache.events({ keys: true }).pipe(
        Stream.takeUntil((event) => event.cache === last.name),
        Stream.runForEach((event) => queue.offer(event))
      )
    )
    while (!listeners.isAny) yield* Effect.yieldNow()
    yield* effect
    yield* Cache.getOrSet(last, "k", Effect.succeed(1))
    yield* Fiber.join(listening)
    return Array.from(yield* queue.takeAll).slice(0, -1).map(({ _tag, cache, key }) => [_tag, cache, key])
  })

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.signals>> = [
  { row: "signals_enabled_through_cache_config", reason: "who listens is told: there is nothing to switch on" }
]

describeRows("test_signals.py", Rows.signals, notHere, (row) => {
  onMemoryAndRedis((test) => {
    test(row("signals_disabled_by_default"), () =>
      Effect.gen(function*() {
        const { f } = counted<[]>()
        yield* f()
        assert.isFalse((yield* CacheBackend).listeners.isAny)
        // Who comes later is not told of what was.
        assert.deepStrictEqual(yield* told(Effect.void), [])
      }))

    test(row("cached_view_sends_miss_then_hit"), () =>
      Effect.gen(function*() {
        const { body } = yield* view()
        const [miss, hit, ...more] = yield* told(Effect.zipRight(body("/works?a=1"), body("/works?a=1")))
        assert.deepStrictEqual([miss!.slice(0, 2), hit!.slice(0, 2), more], [["Miss", "http"], ["Hit", "http"], []])
        assert.isString(miss![2])
        assert.strictEqual(miss![2], hit![2])
      }))

    test(row("cached_view_signals_are_per_cache_key"), () =>
      Effect.gen(function*() {
        const { body } = yield* view()
        const events = yield* told(Effect.forEach(["/foo", "/bar", "/foo"], (path) => body(path)))
        assert.deepStrictEqual(events.map(([tag]) => tag), ["Miss", "Miss", "Hit"])
        assert.notStrictEqual(events[0]![2], events[1]![2])
        assert.strictEqual(events[0]![2], events[2]![2])
      }))

    test(row("memoize_sends_miss_then_hit"), () =>
      Effect.gen(function*() {
        const { f } = counted<[string]>()
        assert.deepStrictEqual(yield* told(Effect.all([f("foo"), f("foo")])), [
          ["Miss", "counted", f.cacheKey("foo")],
          ["Hit", "counted", f.cacheKey("foo")]
        ])
      }))

    test(row("memoize_sends_kwargs"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, { readonly b: number }]>()
        assert.deepStrictEqual(yield* told(f(1, { b: 2 })), [["Miss", "counted", f.cacheKey(1, { b: 2 })]])
      }))

    test(row("memoize_forced_update_sends_miss"), () =>
      Effect.gen(function*() {
        const { f } = counted<[]>({ forcedUpdate: true })
        const key = f.cacheKey()
        assert.deepStrictEqual(yield* told(Effect.all([f(), f()])), [["Miss", "counted", key], [
          "Miss",
          "counted",
          key
        ]])
      }))

    test(row("memoize_is_stale_sends_miss"), () =>
      Effect.gen(function*() {
        const { f } = counted<[]>({ isStale: () => true, softTimeout: "1 hour" })
        const events = yield* told(Effect.all([f(), f()]))
        assert.deepStrictEqual(events.map(([tag]) => tag), ["Miss", "Miss"])
      }))
  })
})
