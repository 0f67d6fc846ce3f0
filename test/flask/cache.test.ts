/** `test_cache.py` */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, it } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as Memoize from "effect-caching/Memoize"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { redisForFile, yielding } from "../support/overBackends.js"
import { rawRedis } from "../support/rawRedis.js"
import * as Rows from "./rows.js"
import { counted, data, describeRows, type NotHere, numbers, onEveryStore, onMemoryAndRedis } from "./support.js"
import { view } from "./views.js"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.cache>> = [
  {
    row: "cache_accepts_multiple_ciphers",
    reason: "keys are canonical text, and SHA-256 where that is long: there is nothing to choose"
  }
]

/** The same name, and a version of its own where it has one. */
const at = (f: () => Effect.Effect<number>, version?: string) =>
  Memoize.wrap(f, { name: "f", version, schema: Schema.Number, timeToLive: "1 minute" })

/** A stream of pieces, and how often it was produced. */
const pieces = <A, I>(schema: Schema.Schema<A, I>, make: (n: number) => ReadonlyArray<A>) => {
  const state = { runs: 0 }
  const stream = Memoize.stream(
    (n: number) =>
      Stream.suspend(() => {
        state.runs++
        return Stream.fromIterable(make(n))
      }),
    { name: "pieces", schema, timeToLive: "1 minute" }
  )
  return { state, all: (n: number) => Effect.map(Stream.runCollect(stream(n)), (chunk) => Array.from(chunk)) }
}

describeRows("test_cache.py", Rows.cache, notHere, (row) => {
  onEveryStore((test) => {
    test(row("cache_delete_many", "cache_delete_many_ignored"), () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, [["a", 1], ["b", 2]])
        assert.strictEqual(yield* Cache.invalidateMany(data, ["missing", "a", "also missing", "b"]), 2)
        assert.deepStrictEqual(yield* Cache.getMany(data, ["a", "b"]), [Option.none(), Option.none()])
        assert.strictEqual(yield* Cache.invalidateMany(data, ["a", "b"]), 0)
      }))
  })

  onMemoryAndRedis((test) => {
    test(row("cache_set"), () =>
      Effect.gen(function*() {
        yield* Cache.set(data, "hi", "hello")
        assert.deepStrictEqual(yield* Cache.get(data, "hi"), Option.some("hello"))
      }))

    test(row("cache_has"), () =>
      Effect.gen(function*() {
        yield* Cache.add(data, "hi", "hello")
        assert.isTrue(yield* Cache.has(data, "hi"))
      }))

    test(row("cache_add"), () =>
      Effect.gen(function*() {
        yield* Cache.add(data, "hi", "hello")
        yield* Cache.add(data, "hi", "foobar")
        assert.deepStrictEqual(yield* Cache.get(data, "hi"), Option.some("hello"))
      }))

    test(row("cache_delete"), () =>
      Effect.gen(function*() {
        yield* Cache.set(data, "hi", "hello")
        yield* Cache.invalidate(data, "hi")
        assert.deepStrictEqual(yield* Cache.get(data, "hi"), Option.none())
      }))

    test(row("cache_cached_function"), () =>
      Effect.gen(function*() {
        let calls = 0
        const cached = Effect.sync(() => ++calls).pipe(
          Cache.cached(numbers.pipe(Cache.withTimeToLive("1 second")), "k")
        )
        assert.deepStrictEqual([yield* cached, yield* cached], [1, 1])
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* cached, 2)
      }))

    test(row("cache_cached_function_with_source_check_enabled"), () =>
      Effect.gen(function*() {
        let calls = 0
        const old = () => Effect.sync(() => ++calls)
        const changed = () => Effect.sync(() => 100 + ++calls)
        const of = (f: () => Effect.Effect<number>) => at(f, Memoize.sourceVersion(f))
        assert.deepStrictEqual([yield* of(old)(), yield* of(changed)(), yield* of(old)()], [1, 102, 1])
      }))

    test(row("cache_cached_function_with_source_check_disabled"), () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* at(() => Effect.succeed(1))(), 1)
        assert.strictEqual(yield* at(() => Effect.succeed(2))(), 1)
      }))

    test(row("cached_none"), () =>
      Effect.gen(function*() {
        let calls = 0
        const cache = Cache.make({ name: "null", schema: Schema.NullOr(Schema.Number), timeToLive: "1 minute" })
        const find = Cache.getOrSet(cache, "k", Effect.sync(() => (calls++, null)))
        assert.deepStrictEqual([yield* find, yield* find, calls], [null, null, 1])
        assert.deepStrictEqual([yield* Cache.has(cache, "k"), yield* Cache.get(cache, "k")], [true, Option.some(null)])
      }))

    test(row("cached_doesnt_cache_none"), () =>
      Effect.gen(function*() {
        let calls = 0
        const cache = Cache.make({
          name: "null",
          schema: Schema.NullOr(Schema.Number),
          timeToLive: "1 minute",
          storeIf: (value) => value !== null
        })
        const find = Cache.getOrSet(cache, "k", Effect.sync(() => (calls++, null)))
        assert.deepStrictEqual([yield* find, yield* find, calls], [null, null, 2])
        assert.isFalse(yield* Cache.has(cache, "k"))
      }))

    test(row("cache_forced_update"), () =>
      Effect.gen(function*() {
        const mode = { isForced: false }
        const { f } = counted<[]>({ forcedUpdate: () => mode.isForced })
        assert.deepStrictEqual([yield* f(), yield* f()], [1, 1])
        mode.isForced = true
        assert.deepStrictEqual([yield* f(), yield* f()], [2, 3])
        mode.isForced = false
        assert.strictEqual(yield* f(), 3)
      }))

    test(row("cache_forced_update_params"), () =>
      Effect.gen(function*() {
        const asked: Array<unknown> = []
        const { f } = counted<[string]>({
          forcedUpdate: (args) => {
            asked.push(args)
            return asked.length === 3
          }
        })
        assert.deepStrictEqual([yield* f("a"), yield* f("a"), yield* f("a"), yield* f("a")], [1, 1, 2, 2])
        assert.deepStrictEqual(asked, [["a"], ["a"], ["a"], ["a"]])
      }))

    test(row("cache_is_stale"), () =>
      Effect.gen(function*() {
        const mode = { isStale: false, asked: 0 }
        const isStale = () => {
          mode.asked++
          return mode.isStale
        }
        const { f } = counted<[]>({ isStale, softTimeout: "1 hour" })
        yield* f()
        assert.strictEqual(mode.asked, 0)
        assert.deepStrictEqual([yield* f(), mode.asked], [1, 1])
        mode.isStale = true
        assert.deepStrictEqual([yield* f(), mode.asked], [2, 2])
        mode.isStale = false
        assert.strictEqual(yield* f(), 2)
      }))

    test(row("cache_is_stale_params"), () =>
      Effect.gen(function*() {
        const asked: Array<unknown> = []
        const { f } = counted<[string, number]>({ isStale: (value, args) => (asked.push([value, ...args]), false) })
        yield* Effect.all([f("a", 7), f("a", 7)])
        assert.deepStrictEqual(asked, [[1, "a", 7]])
      }))

    test(row("cache_is_stale_not_called_on_forced_update"), () =>
      Effect.gen(function*() {
        let asked = 0
        const { f } = counted<[]>({ forcedUpdate: true, isStale: () => (asked++, false) })
        assert.deepStrictEqual([yield* f(), yield* f(), asked], [1, 2, 0])
      }))

    test(row("generator", "generator_of_other_types_stays_a_list"), () =>
      Effect.gen(function*() {
        const { all, state } = pieces(Schema.Union(Schema.Number, Schema.Null), (n) => [n, null, n + 1])
        assert.deepStrictEqual([yield* all(1), yield* all(1)], [[1, null, 2], [1, null, 2]])
        assert.strictEqual(state.runs, 1)
      }))

    test(row("generator_of_strings_is_joined"), () =>
      Effect.gen(function*() {
        const { all, state } = pieces(Schema.String, () => ["<p>", "hello", "</p>"])
        const page = Effect.map(all(1), (texts) => texts.join(""))
        assert.deepStrictEqual([yield* page, yield* page, state.runs], ["<p>hello</p>", "<p>hello</p>", 1])
      }))

    test(row("generator_of_bytes_is_joined"), () =>
      Effect.gen(function*() {
        const { all, state } = pieces(Schema.Uint8Array, () => [Uint8Array.of(0, 255), Uint8Array.of(10)])
        const whole = Effect.map(all(1), (parts) => Array.from(Buffer.concat(parts)))
        assert.deepStrictEqual([yield* whole, yield* whole, state.runs], [[0, 255, 10], [0, 255, 10], 1])
      }))

    test(row("memoized_generator_of_strings_is_joined"), () =>
      Effect.gen(function*() {
        const { all, state } = pieces(Schema.String, (n) => ["a", `${n}`])
        const text = (n: number) => Effect.map(all(n), (texts) => texts.join(""))
        assert.deepStrictEqual(yield* Effect.all([text(1), text(2), text(1)]), ["a1", "a2", "a1"])
        assert.strictEqual(state.runs, 2)
      }))

    test(row("cached_view_returning_stream_template"), () =>
      Effect.gen(function*() {
        const { client } = yield* view({}, (run) =>
          HttpServerResponse.stream(Stream.make(`<p>${run}`, "</p>").pipe(Stream.encodeText), {
            contentType: "text/html"
          }))
        for (const _ of [1, 2]) {
          const reply = yield* client.get("/")
          assert.deepStrictEqual([reply.body, reply.headers["content-type"]], ["<p>1</p>", "text/html"])
        }
      }))
  })

  const redis = redisForFile()
  it.scoped(row("cache_unlink"), () =>
    Effect.gen(function*() {
      const call = yield* rawRedis(redis.server().url)
      const keys = ["a", "b", "c"]
      yield* Cache.setMany(data, keys.map((key) => [key, 1]))
      yield* call("CONFIG", "RESETSTAT")
      assert.isTrue(yield* Cache.invalidate(data, "a"))
      assert.strictEqual(yield* Cache.invalidateMany(data, keys), 2)
      const stats = `${yield* call("INFO", "commandstats")}`
      assert.include(stats, "cmdstat_unlink:")
      assert.notInclude(stats, "cmdstat_del:")
      assert.deepStrictEqual(yield* call<ReadonlyArray<Buffer>>("KEYS", "unlink:*"), [])
    }).pipe(Effect.provide(Layer.suspend(() => redis.layer("unlink:")))))

  it.effect(row("cache_unlink_if_not"), () =>
    Effect.gen(function*() {
      yield* Cache.setMany(data, [["a", 1], ["b", 2]])
      assert.strictEqual(yield* Cache.invalidateMany(data, ["a", "b"]), 2)
      assert.isFalse(yield* Cache.has(data, "a"))
    }).pipe(Effect.provide(yielding(false))))
})
