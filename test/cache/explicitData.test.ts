import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { overBackends } from "../support/overBackends.js"

const texts = Cache.make({
  name: "text",
  schema: Schema.String,
  key: (key: string) => key,
  timeToLive: "1 minute",
  grace: "1 minute",
  tags: (text) => [`tag:${text}`]
})

const counts = Cache.make({ name: "count", schema: Schema.Number, key: (key: string) => key, timeToLive: "1 minute" })

describe("Cache, explicit data", () => {
  overBackends((test) => {
    test("set, get, has, overwrite, invalidate", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* Cache.get(texts, "k"), Option.none())
        yield* Cache.set(texts, "k", "a")
        assert.deepStrictEqual(yield* Cache.get(texts, "k"), Option.some("a"))
        yield* Cache.set(texts, "k", "b")
        assert.deepStrictEqual(yield* Cache.get(texts, "k"), Option.some("b"))
        assert.isTrue(yield* Cache.has(texts, "k"))
        assert.isTrue(yield* Cache.invalidate(texts, "k"))
        assert.isFalse(yield* Cache.invalidate(texts, "k"))
        assert.isFalse(yield* Cache.has(texts, "k"))
      }))

    test("every operation takes the cache first or last", () =>
      Effect.gen(function*() {
        yield* texts.pipe(Cache.set("k", "a"))
        yield* pipe(texts, Cache.setMany([["l", "b"]]))
        assert.isFalse(yield* texts.pipe(Cache.add("k", "c")))
        assert.deepStrictEqual(yield* texts.pipe(Cache.get("k")), Option.some("a"))
        assert.deepStrictEqual(yield* texts.pipe(Cache.getMany(["l"])), [Option.some("b")])
        assert.strictEqual((yield* texts.pipe(Cache.lookup("k")))._tag, "Hit")
        assert.isTrue(yield* texts.pipe(Cache.has("k")))
        assert.strictEqual(yield* counts.pipe(Cache.increment("n", 2)), 2)
        assert.strictEqual(yield* counts.pipe(Cache.increment("n")), 3)
        assert.strictEqual(yield* Effect.succeed("z").pipe(Cache.cached(texts, "k")), "a")
        assert.strictEqual(yield* texts.pipe(Cache.getOrSet("k", Effect.succeed("z"))), "a")
        assert.strictEqual(yield* texts.pipe(Cache.refresh("k", Effect.succeed("z"))), "z")
        assert.isTrue(yield* texts.pipe(Cache.invalidate("k")))
        assert.strictEqual(yield* texts.pipe(Cache.invalidateMany(["k", "l"])), 1)
        assert.strictEqual(texts.pipe(Cache.cacheKey("k")), "text:'k")
      }))

    test("many values are set and got in order, tagged ones too", () =>
      Effect.gen(function*() {
        yield* Cache.setMany(texts, [["a", "1"], ["b", "2"], ["c", "3"]])
        assert.deepStrictEqual(yield* Cache.getMany(texts, ["c", "missing", "a", "c"]), [
          Option.some("3"),
          Option.none(),
          Option.some("1"),
          Option.some("3")
        ])
        yield* Cache.invalidateTags(["tag:1"])
        assert.deepStrictEqual(yield* Cache.getMany(texts, ["a", "b"]), [Option.none(), Option.some("2")])
        assert.deepStrictEqual(yield* Cache.getMany(texts, []), [])
        assert.strictEqual(yield* Cache.invalidateMany(texts, ["b", "c", "x"]), 2)
      }))

    test("lookup tells hit, stale and miss apart", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Cache.lookup(texts, "k"))._tag, "Miss")
        yield* Cache.set(texts, "k", "a")
        assert.strictEqual((yield* Cache.lookup(texts, "k"))._tag, "Hit")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Cache.lookup(texts, "k"))._tag, "Stale")
        assert.deepStrictEqual(yield* Cache.get(texts, "k"), Option.none())
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Cache.lookup(texts, "k"))._tag, "Miss")
      }))

    test("of 50 concurrent adds one wins, and the others change nothing", () =>
      Effect.gen(function*() {
        const answers = yield* Effect.forEach(
          Array.from({ length: 50 }, (_, i) => i),
          (i) => Cache.add(texts, "k", String(i)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(answers.filter((isMine) => isMine).length, 1)
        assert.deepStrictEqual(yield* Cache.get(texts, "k"), Option.some(String(answers.indexOf(true))))
        yield* TestClock.adjust("2 minutes")
        assert.isTrue(yield* Cache.add(texts, "k", "again"))
      }))

    test("what is dead to the cache is no obstacle to add, and of 50 one still wins", () =>
      Effect.gen(function*() {
        const numbers = Cache.make({
          name: "text",
          schema: Schema.Number,
          key: (key: string) => key,
          timeToLive: "1 minute"
        })
        const kill: Record<string, Effect.Effect<unknown, unknown, any>> = {
          "ended by a tag": Cache.invalidateTags(["tag:old"]),
          "stale": TestClock.adjust("1 minute"),
          "another schema's": Cache.set(numbers, "k", 1)
        }
        for (const [how, end] of Object.entries(kill)) {
          yield* Cache.set(texts, "k", "old")
          yield* end
          assert.isFalse(yield* Cache.has(texts, "k"), how)
          const answers = yield* Effect.forEach(
            Array.from({ length: 50 }, (_, i) => i),
            (i) => Cache.add(texts, "k", String(i)),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(answers.filter((isMine) => isMine).length, 1, how)
          assert.deepStrictEqual(yield* Cache.get(texts, "k"), Option.some(String(answers.indexOf(true))), how)
        }
      }))

    test("1,000 concurrent increments are exact", () =>
      Effect.gen(function*() {
        yield* Effect.forEach(Array.from({ length: 1_000 }), () => Cache.increment(counts, "n"), {
          concurrency: "unbounded",
          discard: true
        })
        assert.strictEqual(yield* Cache.increment(counts, "n", -1), 999)
      }))

    test("a counter is a value like any other: it is set, got and incremented", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* Cache.increment(counts, "n", 5), 5)
        assert.deepStrictEqual(yield* Cache.get(counts, "n"), Option.some(5))
        yield* Cache.set(counts, "n", 40)
        assert.strictEqual(yield* Cache.increment(counts, "n", 2), 42)
        assert.deepStrictEqual(yield* Cache.get(counts, "n"), Option.some(42))
        assert.strictEqual(yield* Cache.getOrSet(counts, "n", Effect.succeed(0)), 42)
      }))

    test("a counter keeps its time, and a new one gets the time to live", () =>
      Effect.gen(function*() {
        yield* Cache.increment(counts, "n")
        yield* TestClock.adjust("40 seconds")
        assert.strictEqual(yield* Cache.increment(counts, "n"), 2)
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(yield* Cache.increment(counts, "n"), 1)
      }))

    test("a new counter lives as long as the time to live says, and not for the grace after it", () =>
      Effect.gen(function*() {
        const visits = Cache.make({ name: "visit", schema: Schema.Number, timeToLive: "1 minute", grace: "1 hour" })
        yield* Cache.increment(visits, 1)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Cache.lookup(visits, 1))._tag, "Miss")
        assert.strictEqual(yield* Cache.increment(visits, 1), 1)
      }))

    test("a time to live too short for the clock is none", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1.7e12)
        const cache = Cache.make({ name: "short", schema: Schema.Number, timeToLive: "1 nanos" })
        yield* Cache.set(cache, 1, 1)
        assert.isFalse(yield* Cache.add(cache, 1, 1))
        assert.isFalse(yield* Cache.has(cache, 1))
      }))

    test("what is no number cannot be incremented, and stays", () =>
      Effect.gen(function*() {
        const fractions = Cache.make({ name: "fraction", schema: Schema.Number, timeToLive: "1 minute" })
        yield* Cache.set(fractions, "k", 1.5)
        const error = yield* Effect.flip(Cache.increment(fractions, "k", 1))
        assert.strictEqual(error.reason, "NotANumber")
        assert.deepStrictEqual(yield* Cache.get(fractions, "k"), Option.some(1.5))
        for (const by of [0.5, NaN, Infinity, 2 ** 53]) {
          assert.strictEqual((yield* Effect.flip(Cache.increment(counts, "n", by))).reason, "InvalidInput")
        }
      }))

    test("a time to live of zero removes what is there", () =>
      Effect.gen(function*() {
        const brief = Cache.withTimeToLive(texts, 0)
        yield* Cache.set(texts, "k", "a")
        yield* Cache.set(brief, "k", "b")
        assert.isFalse(yield* Cache.has(texts, "k"))
        yield* Cache.setMany(texts, [["k", "a"], ["l", "a"]])
        yield* Cache.setMany(brief, [["k", "b"]])
        assert.deepStrictEqual((yield* Cache.getMany(texts, ["k", "l"])).map(Option.isSome), [false, true])
      }))
  })

  it.effect("a cache prints as its name", () =>
    Effect.gen(function*() {
      assert.strictEqual(JSON.stringify(texts), "{\"_id\":\"Cache\",\"name\":\"text\"}")
      assert.isTrue(Cache.isCache(texts))
      assert.isFalse(Cache.isCache({}))
      yield* Effect.void
    }).pipe(Effect.provide(Memory.layer())))
})
