/**
 * `test_cache.py`, `test_signals.py`, `test_subclassing.py`, `test_templates.py`, and of
 * `test_basic_app.py`, `test_init.py`, `test_cachelib.py`, `test_hash_method.py` and
 * `test_serializer.py` what can be said here. Not portable, and why:
 *
 * - dict_config, init_app_*, custom_cache_backend, url_*: test/config/cacheConfig.test.ts
 * - accepts_multiple_ciphers (6), hash_method_*, configured_hash_method_*: there is one hash
 * - cachelib_class_as_cache_type, *_cache_args, *_cache_options: a layer has options, and a type
 * - serializer_class_*, string_serializer_raises: types
 * - cached_uses_public_methods and the like: which operations a hit and a miss take is test/laws/law8.hit.test.ts
 * - generator_of_bytes_is_joined and the like: nothing is joined; a stream is replayed (test/cache/stream.test.ts)
 * - jinjaext_cache `None1`: a fragment has a name
 * - test_py314_annotations.py: Python; memoize_typing.py: test/types
 */
import { assert, describe } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as Fragment from "effect-caching/Fragment"
import * as Memoize from "effect-caching/Memoize"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { counted, onMemoryAndRedis } from "./support.js"

const numbers = Cache.make({ name: "n", schema: Schema.Number, key: (key: string) => key, timeToLive: "5 minutes" })

describe("test_cache.py", () => {
  onMemoryAndRedis((test) => {
    test("cache_cached_function: cached for a second, then computed anew", () =>
      Effect.gen(function*() {
        let calls = 0
        const cached = Effect.sync(() => ++calls).pipe(
          Cache.cached(numbers.pipe(Cache.withTimeToLive("1 second")), "k")
        )
        assert.deepStrictEqual([yield* cached, yield* cached], [1, 1])
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* cached, 2)
      }))

    test("cached_function_with_source_check_enabled: changed source is another key, the source restored the old value", () =>
      Effect.gen(function*() {
        const at = (f: () => Effect.Effect<number>) =>
          Memoize.wrap(f, {
            name: "f",
            version: Memoize.sourceVersion(f),
            schema: Schema.Number,
            timeToLive: "1 minute"
          })
        const one = () => Effect.succeed(1)
        const two = () => Effect.succeed(2)
        assert.deepStrictEqual([yield* at(one)(), yield* at(two)()], [1, 2])
        assert.isTrue(yield* at(one).invalidate())
        assert.isFalse(yield* at(one).invalidate())
        assert.isTrue(yield* Cache.has(at(two).cache, []))
      }))

    test("cached_none, cached_doesnt_cache_none: null is cached, and told apart from a miss", () =>
      Effect.gen(function*() {
        const cache = Cache.make({ name: "null", schema: Schema.NullOr(Schema.Number), timeToLive: "1 minute" })
        let calls = 0
        const find = Cache.getOrSet(cache, "k", Effect.sync(() => (calls++, null)))
        assert.deepStrictEqual([yield* find, yield* find, calls], [null, null, 1])
      }))

    test("cache_is_stale_not_called_on_forced_update", () =>
      Effect.gen(function*() {
        let asked = 0
        const { f } = counted<[]>({ forcedUpdate: true, isStale: () => (asked++, false) })
        assert.deepStrictEqual([yield* f(), yield* f(), asked], [1, 2, 0])
      }))

    test("init_app_multi_apps: two prefixes are two caches", () =>
      Effect.gen(function*() {
        const other = Cache.make({
          name: "n/2",
          schema: Schema.Number,
          key: (key: string) => key,
          timeToLive: "1 minute"
        })
        yield* Cache.set(numbers, "k", 1)
        assert.isFalse(yield* Cache.has(other, "k"))
      }))

    test("cachelib_backend_proxy_methods: set, get, has, add, set_many, get_many, delete, clear in a row", () =>
      Effect.gen(function*() {
        yield* Cache.set(numbers, "a", 1)
        assert.strictEqual(yield* Effect.flatten(Cache.get(numbers, "a")), 1)
        assert.isTrue(yield* Cache.has(numbers, "a"))
        assert.isFalse(yield* Cache.add(numbers, "a", 2))
        yield* Cache.setMany(numbers, [["b", 2], ["c", 3]])
        assert.isTrue(yield* Cache.invalidate(numbers, "b"))
        yield* Cache.clear(numbers)
        assert.isFalse(yield* Cache.has(numbers, "c"))
      }))
  })
})

describe("test_signals.py", () => {
  const listening = <E, R>(effect: Effect.Effect<unknown, E, R>) =>
    Effect.gen(function*() {
      const { listeners } = yield* CacheBackend
      const queue = yield* Queue.unbounded<Cache.Event>()
      const fiber = yield* Effect.fork(Stream.runForEach(Cache.events({ keys: true }), (event) => queue.offer(event)))
      while (!listeners.isAny) yield* Effect.yieldNow()
      yield* effect
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
      yield* Fiber.interrupt(fiber)
      return Array.from(yield* queue.takeAll)
    })
  onMemoryAndRedis((test) => {
    test("sends_miss_then_hit, signals_are_per_cache_key: of foo, bar, foo two misses and a hit, with their keys", () =>
      Effect.gen(function*() {
        const { f } = counted<[string]>()
        const events = yield* listening(Effect.all([f("foo"), f("bar"), f("foo")]))
        assert.deepStrictEqual(events.map(({ _tag, key }) => [_tag, key]), [
          ["Miss", f.cacheKey("foo")],
          ["Miss", f.cacheKey("bar")],
          ["Hit", f.cacheKey("foo")]
        ])
      }))

    test("memoize_forced_update_sends_miss", () =>
      Effect.gen(function*() {
        const { f } = counted<[]>({ forcedUpdate: true })
        const events = yield* listening(Effect.all([f(), f()]))
        assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Miss", "Miss"])
      }))

    test("signals_disabled_by_default: nobody is told where nobody listens", () =>
      Effect.gen(function*() {
        const { f } = counted<[]>()
        yield* f()
        assert.isFalse((yield* CacheBackend).listeners.isAny)
      }))
  })
})

describe("test_templates.py", () => {
  onMemoryAndRedis((test) => {
    test("jinjaext_cache: keys by name and vary, `del` of one leaves the others", () =>
      Effect.gen(function*() {
        let renders = 0
        const box = (vary?: unknown) =>
          Fragment.cached(Effect.sync(() => `${++renders}`), { name: "box", vary, timeToLive: "1 minute" })
        assert.deepStrictEqual(yield* Effect.all([box(), box(["a"]), box(["a", "b"]), box(["a_b"])]), [
          "1",
          "2",
          "3",
          "4"
        ])
        assert.isTrue(yield* Fragment.invalidate({ name: "box", vary: ["a"] }))
        assert.deepStrictEqual(yield* Effect.all([box(), box(["a"]), box(["a", "b"]), box(["a_b"])]), [
          "1",
          "5",
          "3",
          "4"
        ])
      }))
  })
})
