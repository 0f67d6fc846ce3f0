/** `test_cachelib.py` */
import { assert, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as Codec from "effect-caching/Codec"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { entriesIn, folder } from "../support/filePrograms.js"
import { configured, providerOf } from "../support/settings.js"
import * as Rows from "./rows.js"
import { counted, data, describeRows, type NotHere, numbers, onEveryStore } from "./support.js"
import { view } from "./views.js"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.cachelib>> = [
  {
    row: "cachelib_class_as_cache_type",
    reason: "a class of Python; a backend of the program's own is in basicApp.test.ts"
  }
]

describeRows("test_cachelib.py", Rows.cachelib, notHere, (row) => {
  onEveryStore((test) => {
    test(row("cachelib_backend_proxy_methods"), () =>
      Effect.gen(function*() {
        yield* Cache.set(numbers, "a", 1)
        assert.deepStrictEqual(yield* Cache.get(numbers, "a"), Option.some(1))
        assert.isTrue(yield* Cache.has(numbers, "a"))
        assert.isFalse(yield* Cache.add(numbers, "a", 2))
        yield* Cache.setMany(numbers, [["b", 2], ["c", 3]])
        assert.deepStrictEqual(yield* Cache.getMany(numbers, ["b", "c"]), [Option.some(2), Option.some(3)])
        assert.isTrue(yield* Cache.invalidate(numbers, "b"))
        assert.isFalse(yield* Cache.has(numbers, "b"))
        yield* Cache.clear(numbers)
        assert.isFalse(yield* Cache.has(numbers, "c"))
      }))

    test(row("cachelib_backend_with_cached_view"), () =>
      Effect.gen(function*() {
        const { body, state } = yield* view()
        assert.deepStrictEqual([yield* body("/"), yield* body("/"), state.runs], ["1", "1", 1])
      }))

    test(row("cachelib_backend_with_memoize"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, number]>()
        assert.deepStrictEqual(yield* Effect.all([f(1, 2), f(1, 2), f(3, 4)]), [1, 1, 2])
        yield* f.invalidateAll
        assert.strictEqual(yield* f(1, 2), 3)
      }))

    test(row("backend_uses_cachelib_serializer"), () =>
      Effect.gen(function*() {
        const shouting = Codec.make<string>({
          id: "shouting",
          encode: (text) => Codec.string.encode(text.toUpperCase()),
          decode: Codec.string.decode
        })
        const cache = Cache.make({ name: "t", codec: shouting, timeToLive: "1 minute" })
        yield* Cache.set(cache, "k", "hello")
        const { holds } = yield* CacheBackend
        assert.deepStrictEqual(yield* Cache.get(cache, "k"), Option.some(holds === "bytes" ? "HELLO" : "hello"))
      }))
  })

  it.effect(row("cachelib_backend_gets_default_timeout"), () =>
    Effect.gen(function*() {
      const settings = { CACHE_TYPE: "SimpleCache", CACHE_DEFAULT_TIMEOUT: "7" }
      yield* Effect.gen(function*() {
        const timeToLive = yield* Effect.withConfigProvider(CacheConfig.defaultTimeToLive, providerOf(settings))
        const cache = Cache.make({ name: "n", schema: Schema.Number, timeToLive })
        yield* Cache.set(cache, "k", 1)
        yield* TestClock.adjust("6999 millis")
        assert.isTrue(yield* Cache.has(cache, "k"))
        yield* TestClock.adjust("1 millis")
        assert.isFalse(yield* Cache.has(cache, "k"))
      }).pipe(Effect.provide(configured(settings)))
    }))

  it.effect(row("cachelib_backend_gets_cache_options"), () =>
    Effect.gen(function*() {
      yield* Cache.setMany(data, Array.from({ length: 20 }, (_, i) => [`k${i}`, i]))
      const kept = yield* Cache.getMany(data, Array.from({ length: 20 }, (_, i) => `k${i}`))
      assert.strictEqual(kept.filter(Option.isSome).length, 5)
    }).pipe(Effect.provide(configured({ CACHE_TYPE: "SimpleCache", CACHE_THRESHOLD: "5" }))))

  it.scoped(row("cachelib_backend_gets_cache_args"), () =>
    Effect.gen(function*() {
      const directory = yield* folder
      const layer = configured({ CACHE_TYPE: "FileSystemCache", CACHE_DIR: directory })
      yield* Effect.provide(Cache.set(numbers, "k", 1), layer)
      assert.strictEqual(entriesIn(directory).length, 1)
      // Another process finds it there.
      assert.deepStrictEqual(yield* Effect.provide(Cache.get(numbers, "k"), layer), Option.some(1))
    }))
})
