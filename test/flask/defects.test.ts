/**
 * What goes wrong with Flask-Caching and must not here, by the numbers of the list
 * of its defects. Those with a test elsewhere:
 *
 * | defect | covered by |
 * |---|---|
 * | D1, D41 keys on the wire | flask/backendCache "unusual keys" |
 * | D4, D15, D17 path, method, host in the key | http/rfc9111-2-key, http/privacy |
 * | D5 to D8 cookies, conditional answers, no-store, statuses | http/privacy, http/rfc9110-13, http/rfc9111-3 |
 * | D9, D29, D30 poisoned and unencodable entries | laws/law5 |
 * | D13, D22 falsy values, null and misses | laws/law5 "null, undefined, zero …", flask/memoize |
 * | D14 order of repeated values | flask/view |
 * | D16, D34 fragments | nunjucks/nunjucks |
 * | D18 herd | laws/law2 |
 * | D19, D20, D21 lost invalidations | laws/law1 |
 * | D23 counters | the conformance suite, `increment` |
 * | D27, D31, D32 faults of the backend | laws/law4, backends/redisFaults |
 * | D33 listeners | cache/events |
 * | D36, D24 files | backends/fileSystem |
 * | D37 `clear` | the conformance suite, `clear` |
 * | D38 slots of a cluster | backends/redisCluster |
 * | D40 chunks | backends/memcachedSpread |
 * | D44 one contract | the conformance suite |
 * | D46 streams | cache/stream |
 * | D47, D54 keys that differ by release | cache/memoize "the same in every release" |
 * | D48 partial arguments | cache/method "all calls of a tenant" |
 * | D49 operations of a hit | laws/law8 |
 * | D51 time to live of zero | cache/method "for none" |
 * | D52 hit indication | http/rfc9211-cache-status |
 *
 * Not expressible: D25 (no reads from replicas), D26 (InvalidationBus), D42 and D43 (others'
 * backends), D45 (no sync functions), D53, D59 (types), D58 and D60 (documents).
 *
 * The seventeen groups of acceptance: 1 law 2, law 3 and nunjucks; 2 law 1; 3 and 4 http; 5 flask/backendCache;
 * 6 law 5; 7 law 4; 8 conformance; 9 backends/memory and D35; 10 conformance; 11 law 5 and D57; 12 D12; 13 D10
 * and internal/key; 14 nunjucks and cache/fragment; 15 and 16 D39; 17 backends/redisCluster.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as Memoize from "effect-caching/Memoize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { counted, onMemoryAndRedis } from "./support.js"

const numbers = Cache.make({ name: "n", schema: Schema.Number, key: (key: string) => key, timeToLive: "1 minute" })

describe("defects of Flask-Caching", () => {
  onMemoryAndRedis((test) => {
    test("D2, D28: parameters named like options are arguments: path, query_args, use_request, f, unless, self", () =>
      Effect.gen(function*() {
        const { f } = counted<[Record<string, unknown>]>()
        const names = ["path", "query_args", "use_request", "f", "unless", "self", "forced_update", "args_to_ignore"]
        const first = yield* Effect.forEach(names, (name) => f({ [name]: 1 }))
        assert.strictEqual(new Set(first).size, names.length)
        assert.deepStrictEqual(yield* Effect.forEach(names, (name) => f({ [name]: 1 })), first)
        assert.notInclude(first, yield* f({ path: 2 }))
      }))

    test("D3: only true bypasses, and an effect is run, not taken for true", () =>
      Effect.gen(function*() {
        const { f } = counted<[boolean]>({ unless: ([isOff]) => Effect.succeed(isOff) })
        assert.deepStrictEqual(yield* Effect.all([f(false), f(false), f(true), f(true)]), [1, 1, 2, 3])
      }))

    test("D10, D56: values that print alike are apart, and nothing is known by its address", () =>
      Effect.gen(function*() {
        const { f } = counted<[unknown]>()
        const long = Array.from({ length: 5_000 }, (_, i) => i)
        const values = [
          long,
          long.map((n) => n === 2_500 ? -1 : n),
          "1",
          1,
          1n,
          -0,
          0,
          NaN,
          null,
          undefined,
          true,
          "true",
          [],
          {},
          ["a,b"],
          ["a", "b"],
          new Date(0),
          new Date(0).toISOString(),
          new Map([["a", 1]]),
          new Set(["a"]),
          Option.some(1),
          Option.none(),
          { a: undefined }
        ]
        const first = yield* Effect.forEach(values, (value) => f(value))
        assert.strictEqual(new Set(first).size, values.length)
        assert.deepStrictEqual(yield* Effect.forEach(values, (value) => f(value)), first)
        assert.strictEqual(yield* f(new Set(["b", "a"])), yield* f(new Set(["a", "b"])))
      }))

    test("D11, D50: the call is the key, whatever its arguments are called, and a key function sees them all", () =>
      Effect.gen(function*() {
        const { f } = counted<[number, { readonly b: number }]>()
        assert.deepStrictEqual(yield* Effect.all([f(1, { b: 7 }), f(2, { b: 7 })]), [1, 2])
      }))

    test("D12: two functions of one factory do not share", () =>
      Effect.gen(function*() {
        const adder = (n: number) =>
          Memoize.wrap((x: number) => Effect.succeed(x + n), {
            name: `add ${n}`,
            schema: Schema.Number,
            timeToLive: "1 minute"
          })
        assert.deepStrictEqual(yield* Effect.all([adder(1)(10), adder(100)(10)]), [11, 110])
      }))

    test("D35: a permanent entry is not the first to go", () =>
      Effect.gen(function*() {
        yield* Cache.set(numbers.pipe(Cache.withTimeToLive(Duration.infinity)), "forever", 1)
        for (let i = 0; i < 100; i++) yield* Cache.set(numbers, `k${i}`, i)
        yield* TestClock.adjust("1 minute")
        for (let i = 0; i < 100; i++) yield* Cache.set(numbers, `l${i}`, i)
        assert.isTrue(yield* Cache.has(numbers, "forever"))
      }))

    test("D39: zero is not kept, a fraction is not for ever, and the end is exclusive", () =>
      Effect.gen(function*() {
        const at = (timeToLive: Duration.DurationInput) => numbers.pipe(Cache.withTimeToLive(timeToLive))
        yield* Cache.set(numbers, "zero", 1)
        yield* Cache.set(at(0), "zero", 2)
        assert.isFalse(yield* Cache.has(numbers, "zero"))
        yield* Cache.set(at("200 millis"), "fraction", 1)
        yield* Cache.set(at("20000 days"), "far", 1)
        yield* TestClock.adjust("199 millis")
        assert.isTrue(yield* Cache.has(numbers, "fraction"))
        yield* TestClock.adjust("1 millis")
        assert.isFalse(yield* Cache.has(numbers, "fraction"))
        yield* TestClock.adjust("19999 days")
        assert.isTrue(yield* Cache.has(numbers, "far"))
      }))

    test("D55: a version sees the helpers that it is told of", () =>
      Effect.sync(() => {
        const helper = (n: number) => n + 1
        const other = (n: number) => n + 2
        const f = (n: number) => n
        assert.notStrictEqual(Memoize.sourceVersion(f, helper), Memoize.sourceVersion(f, other))
      }))

    test("D57: a failure is stored where it is given time, and for that time", () =>
      Effect.gen(function*() {
        let calls = 0
        const f = Memoize.wrap((_: number) => Effect.suspend(() => Effect.fail(`no ${++calls}`)), {
          name: "f",
          schema: Schema.Never,
          failure: Codec.string,
          timeToLive: () => "10 seconds"
        })
        assert.deepStrictEqual([yield* Effect.flip(f(1)), yield* Effect.flip(f(1))], ["no 1", "no 1"])
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* Effect.flip(f(1)), "no 2")
      }))
  })

  it("D39: a negative time to live is refused, by name and value", () => {
    for (const timeToLive of [-1, "-5 seconds"] as ReadonlyArray<Duration.DurationInput>) {
      assert.throws(() => Cache.make({ name: "n", schema: Schema.Number, timeToLive }), "timeToLive")
    }
  })

  it.effect("D35: what was used is kept when there is no more room", () =>
    Effect.gen(function*() {
      yield* Cache.set(numbers, "used", 1)
      for (let i = 0; i < 50; i++) {
        yield* Cache.get(numbers, "used")
        yield* Cache.set(numbers, `k${i}`, i)
      }
      assert.isTrue(yield* Cache.has(numbers, "used"))
    }).pipe(Effect.provide(Memory.layer({ maxEntries: 20 }))))
})
