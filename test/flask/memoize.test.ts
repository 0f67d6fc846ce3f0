/** `test_memoize.py`: functions. */
import { assert, it } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as Memoize from "effect-caching/Memoize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { redisForFile } from "../support/overBackends.js"
import { rawRedis } from "../support/rawRedis.js"
import * as Rows from "./rows.js"
import { counted, describeRows, type NotHere, onEveryStore, onMemoryAndRedis } from "./support.js"

const annotations = "types are gone when the program runs: no signature is looked at"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.memoize>> = [
  {
    row: "memoize_hashes",
    reason: "keys are canonical text, and SHA-256 where that is long: there is nothing to choose"
  },
  { row: "memoize_annotated", reason: annotations },
  { row: "memoize_annotated_delete", reason: annotations },
  { row: "memoize_kwargs_to_args", reason: "there are no keyword arguments to be put in order" }
]

interface Options {
  readonly b?: number | undefined
  readonly c?: number | undefined
}

describeRows("test_memoize.py, functions", Rows.memoize, notHere, (row) => {
  onEveryStore((test) => {
    test(row("memoize_utf8_arguments", "memoize_unicode_arguments"), () =>
      Effect.gen(function*() {
        const { f } = counted<[string]>()
        const texts = ["höhö", "ÜÜ", "日本", "😀", "\u0000", "a b\r\n", ""]
        const first = yield* Effect.forEach(texts, (text) => f(text))
        assert.strictEqual(new Set(first).size, texts.length)
        assert.deepStrictEqual(yield* Effect.forEach(texts, (text) => f(text)), first)
      }))
  })

  onMemoryAndRedis((test) => {
    test(row("memoize"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, number]>({ timeToLive: "3 seconds" })
        assert.deepStrictEqual(yield* Effect.all([f(5, 2), f(5, 2)]), [1, 1])
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* Effect.all([f(5, 3), f(5, 2)]), [2, 1])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Effect.all([f(5, 2), f(5, 3)]), [3, 2])
      }))

    test(row("memoize_falsy_default_argument"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, (number | null | undefined)?]>()
        assert.deepStrictEqual(yield* Effect.all([f(1), f(1, undefined), f(1, 0), f(1, null)]), [1, 1, 2, 3])
        assert.deepStrictEqual(yield* Effect.all([f(1), f(1, undefined), f(1, 0), f(1, null)]), [1, 1, 2, 3])
      }))

    test(row("memoize_timeout"), () =>
      Effect.gen(function*() {
        const { f } = counted<[]>({ timeToLive: yield* CacheConfig.defaultTimeToLive })
        yield* f()
        yield* TestClock.adjust("299999 millis")
        assert.strictEqual(yield* f(), 1)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* f(), 2)
      }))

    test(row("memoize_entry_written_late_keeps_its_own_timeout"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>({ timeToLive: "1 minute" })
        yield* f(1)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* f(2), 2)
        yield* TestClock.adjust("59999 millis")
        assert.strictEqual(yield* f(2), 2)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* f(2), 3)
      }))

    test(row("memoize_version_key_outlives_newest_entry"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>({ timeToLive: "1 minute", tags: ["f"] })
        yield* f(1)
        yield* TestClock.adjust("59 seconds")
        yield* f(2)
        yield* TestClock.adjust("50 seconds")
        assert.deepStrictEqual(yield* Effect.all([f(2), f(1)]), [2, 3])
      }))

    test(row("memoize_delete_resets_version_key"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>({ timeToLive: "2 hours" })
        yield* f(1)
        yield* f.invalidateAll
        assert.deepStrictEqual([yield* f(1), yield* f(1)], [2, 2])
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* f(1), 2)
      }))

    test(row("memoize_delete", "memoize_delete_via_attribute"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>()
        yield* Effect.all([f(1), f(2)])
        yield* f.invalidateAll
        assert.deepStrictEqual(yield* Effect.all([f(1), f(2)]), [3, 4])
      }))

    test(row("memoize_no_timeout_delete"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>({ timeToLive: Duration.infinity })
        yield* Effect.all([f(1), f(2)])
        assert.isTrue(yield* f.invalidate(1))
        assert.deepStrictEqual(yield* Effect.all([f(1), f(2)]), [3, 2])
      }))

    test(row("memoize_verhash_delete"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>()
        yield* Effect.all([f(1), f(2)])
        yield* f.invalidateAll
        assert.isFalse(yield* f.invalidate(1))
        assert.deepStrictEqual(yield* Effect.all([f(1), f(2), f(1), f(2)]), [3, 4, 3, 4])
      }))

    test(row("memoize_args"), () =>
      Effect.gen(function*() {
        const { f } = counted<[ReadonlyArray<number>]>()
        assert.deepStrictEqual(yield* Effect.all([f([1, 2]), f([1, 2]), f([2, 1])]), [1, 1, 2])
        assert.isTrue(yield* f.invalidate([1, 2]))
        assert.deepStrictEqual(yield* Effect.all([f([2, 1]), f([1, 2])]), [2, 3])
      }))

    test(row("memoize_kwargs"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, Record<string, number>]>()
        assert.deepStrictEqual(yield* Effect.all([f(1, { a: 1 }), f(1, { a: 1 }), f(1, { a: 2 })]), [1, 1, 2])
        assert.isTrue(yield* f.invalidate(1, { a: 1 }))
        assert.deepStrictEqual(yield* Effect.all([f(1, { a: 2 }), f(1, { a: 1 })]), [2, 3])
      }))

    test(row("memoize_kwargonly"), () =>
      Effect.gen(function*() {
        const { f } = counted<[Options?]>()
        assert.deepStrictEqual(yield* Effect.all([f(), f({ b: 1 }), f({ b: 2 })]), [1, 2, 3])
        assert.deepStrictEqual(yield* Effect.all([f(), f({ b: 1 }), f({ b: 2 })]), [1, 2, 3])
      }))

    test(row("memoize_arg_kwarg"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, Options?]>({ key: (a, { b = 7 } = {}) => [a, b] })
        assert.deepStrictEqual(yield* Effect.all([f(1), f(1, {}), f(1, { b: 7 }), f(1, { b: 8 })]), [1, 1, 1, 2])
        const wrong = Memoize.wrap((_: number) => Effect.fail("no"), {
          name: "wrong",
          schema: Schema.Never,
          timeToLive: "1 minute"
        })
        assert.deepStrictEqual([yield* Effect.flip(wrong(1)), yield* Effect.flip(wrong(1))], ["no", "no"])
      }))

    test(row("memoize_arg_kwarg_var_keyword"), () =>
      Effect.gen(function*() {
        const { f } = counted<[Options]>()
        assert.deepStrictEqual([yield* f({ b: 1, c: 2 }), yield* f({ c: 2, b: 1 })], [1, 1])
        assert.isTrue(yield* f.invalidate({ c: 2, b: 1 }))
      }))

    test(row("memoize_classarg"), () =>
      Effect.gen(function*() {
        const { f } = counted<[{ value: number }]>()
        const argument = { value: 1 }
        assert.deepStrictEqual(yield* Effect.all([f(argument), f({ value: 1 })]), [1, 1])
        argument.value = 2
        assert.strictEqual(yield* f(argument), 2)
      }))

    test(row("memoize_forced_update"), () =>
      Effect.gen(function*() {
        const mode = { isForced: false }
        const { f } = counted<[number]>({ forcedUpdate: () => mode.isForced })
        assert.deepStrictEqual([yield* f(1), yield* f(1)], [1, 1])
        mode.isForced = true
        assert.strictEqual(yield* f(1), 2)
        mode.isForced = false
        assert.strictEqual(yield* f(1), 2)
      }))

    test(row("memoize_forced_update_parameters"), () =>
      Effect.gen(function*() {
        const asked: Array<unknown> = []
        const { f } = counted<[number, string]>({ forcedUpdate: (args) => (asked.push(args), asked.length === 2) })
        assert.deepStrictEqual([yield* f(1, "a"), yield* f(1, "a"), yield* f(1, "a")], [1, 2, 2])
        assert.deepStrictEqual(asked, Array.from({ length: 3 }, () => [1, "a"]))
      }))

    test(row("memoize_is_stale"), () =>
      Effect.gen(function*() {
        const mode = { isStale: false, asked: 0 }
        const isStale = () => {
          mode.asked++
          return mode.isStale
        }
        const { f } = counted<[number]>({ isStale, softTimeout: "1 hour" })
        assert.deepStrictEqual([yield* f(7), mode.asked], [1, 0])
        assert.deepStrictEqual([yield* f(7), mode.asked], [1, 1])
        mode.isStale = true
        assert.strictEqual(yield* f(7), 2)
        mode.isStale = false
        assert.strictEqual(yield* f(7), 2)
      }))

    test(row("memoize_is_stale_parameters"), () =>
      Effect.gen(function*() {
        const asked: Array<unknown> = []
        const { f } = counted<[number, string]>({ isStale: (value, args) => (asked.push([value, ...args]), false) })
        yield* Effect.all([f(7, "a"), f(7, "a"), f(8, "a")])
        assert.deepStrictEqual(asked, [[1, 7, "a"]])
      }))

    const spellings: ReadonlyArray<readonly [number, Options?, undefined?]> = [
      [1, { b: 2, c: 3 }],
      [1, { c: 3, b: 2 }],
      [1, { b: 2, c: 3 }, undefined],
      [1, Object.assign(Object.create(null), { c: 3, b: 2 })]
    ]

    test(row("memoize_multiple_arg_kwarg_calls"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, Options?, number?]>()
        assert.deepStrictEqual(yield* Effect.forEach(spellings, (args) => f(...args)), [1, 1, 1, 1])
      }))

    test(row("memoize_multiple_arg_kwarg_delete"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, Options?, number?]>()
        for (const [i, args] of spellings.entries()) {
          assert.strictEqual(yield* f(1, { b: 2, c: 3 }), i + 1)
          assert.isTrue(yield* f.invalidate(...args))
        }
      }))

    test(row("memoize_when_using_args_unpacking"), () =>
      Effect.gen(function*() {
        const { f } = counted<Array<number>>()
        assert.deepStrictEqual(yield* Effect.all([f(), f(1), f(1, 2), f(1, 2, 3), f(1, 2)]), [1, 2, 3, 4, 3])
      }))

    test(row("memoize_when_using_variable_mix_args_unpacking"), () =>
      Effect.gen(function*() {
        const { f } = counted<[options: Options, ...more: Array<number>]>()
        assert.deepStrictEqual(
          yield* Effect.all([f({ b: 1 }, 1, 2), f({ b: 1 }, 1), f({ b: 2 }, 1, 2), f({ b: 1 }, 1, 2)]),
          [1, 2, 3, 1]
        )
        assert.isTrue(yield* f.invalidate({ b: 1 }, 1))
        assert.strictEqual(yield* f({ b: 1 }, 1, 2), 1)
      }))

    const nothing = (isStored: boolean) => {
      const state = { calls: 0 }
      const f = Memoize.wrap(() => Effect.sync((): number | null => (state.calls++, null)), {
        name: `null ${isStored}`,
        schema: Schema.NullOr(Schema.Number),
        timeToLive: "1 minute",
        storeIf: (value) => isStored || value !== null
      })
      return Effect.map(Effect.all([f(), f()]), () => state.calls)
    }

    test(row("memoize_none"), () => Effect.map(nothing(true), (calls) => assert.strictEqual(calls, 1)))

    test(row("memoize_never_accept_none"), () => Effect.map(nothing(false), (calls) => assert.strictEqual(calls, 2)))

    test(row("memoize_with_source_check_enabled"), () =>
      Effect.gen(function*() {
        const { f: first } = counted<[]>({ version: "a" })
        const { f: second } = counted<[]>({ version: "b" })
        yield* first()
        yield* first.refresh()
        assert.deepStrictEqual([yield* first(), yield* second(), yield* first()], [2, 1, 2])
      }))

    test(row("memoize_with_source_check_disabled"), () =>
      Effect.gen(function*() {
        const { f: first } = counted<[]>()
        const { f: second } = counted<[]>()
        yield* first()
        yield* first.refresh()
        assert.strictEqual(yield* second(), 2)
      }))

    test(row("memoize_source_check_from_config"), () =>
      Effect.gen(function*() {
        const of = (release: string) => {
          const all = { version: release, timeToLive: "5 minutes" } as const
          return [counted<[]>({ ...all, name: "f" }).f, counted<[]>({ ...all, name: "g" }).f] as const
        }
        const [f, g] = of("1")
        yield* Effect.all([f(), g(), f.refresh(), g.refresh()])
        const [f2, g2] = of("2")
        assert.deepStrictEqual(yield* Effect.all([f2(), g2(), f(), g()]), [1, 1, 2, 2])
      }))

    test(row("memoize_delete_with_source_check_from_config"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>({ version: "7" })
        const { f: other } = counted<[number]>({ version: "8" })
        yield* Effect.all([f(1), other(1)])
        assert.isTrue(yield* f.invalidate(1))
        assert.isFalse(yield* f.invalidate(1))
        assert.isTrue(yield* Cache.has(other.cache, [1]))
      }))

    test(row("cached_source_check_from_config_applies_to_first_call"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>({ version: "7" })
        const before = f.cacheKey(1)
        yield* f(1)
        assert.strictEqual(f.cacheKey(1), before)
        assert.strictEqual(yield* f(1), 1)
      }))

    test(row("memoize_ignore_args"), () =>
      Effect.gen(function*() {
        const { f } = counted<[id: number, trace: string]>({ key: (id) => id })
        assert.deepStrictEqual(yield* Effect.all([f(1, "a"), f(1, "b"), f(2, "a")]), [1, 1, 2])
      }))

    test(row("memoize_function_ignore_kwarg"), () =>
      Effect.gen(function*() {
        const { f } = counted<[{ readonly id: number; readonly trace: string }]>({ key: ({ id }) => id })
        assert.deepStrictEqual(yield* Effect.all([f({ id: 1, trace: "a" }), f({ trace: "b", id: 1 })]), [1, 1])
      }))
  })

  const redis = redisForFile()
  it.scoped(row("memoize_version_key_expires_once_its_entries_have"), () =>
    Effect.gen(function*() {
      const call = yield* rawRedis(redis.server().url)
      const keys = Effect.map(call<ReadonlyArray<Buffer>>("KEYS", "left:*"), (found) => found.map(String).sort())
      const { f } = counted<[number]>({ timeToLive: "1 minute" })
      yield* Effect.all([f(1), f(2)])
      assert.deepStrictEqual(yield* keys, [`left:${f.cacheKey(1)}`, `left:${f.cacheKey(2)}`])
      for (const key of yield* keys) {
        const left = yield* call<number>("PTTL", key)
        assert.isTrue(left > 0 && left <= 60_000)
      }
      yield* f.invalidateAll
      assert.deepStrictEqual(yield* keys, [])
    }).pipe(Effect.provide(Layer.suspend(() => redis.layer("left:")))))
})
