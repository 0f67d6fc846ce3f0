import { assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import { Faulty } from "effect-caching/testing"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import { Entry } from "../../src/internal/entry.js"
import { overBackends } from "../support/overBackends.js"

const at = { name: "value", timeToLive: "1 minute" } as const
const numbers = Cache.make({ ...at, schema: Schema.Number })
const texts = Cache.make({ ...at, schema: Schema.String })
const raw = Cache.make({ ...at, codec: Codec.bytes })

/** Collects what is logged instead of printing it. */
const collecting = () => {
  const messages: Array<string> = []
  return {
    messages,
    layer: Logger.replace(Logger.defaultLogger, Logger.make(({ message }) => void messages.push(String(message))))
  }
}

describe("law 5: what cannot be decoded is a miss; what cannot be encoded is an error of set, and a warning behind a load", () => {
  overBackends((test) => {
    test("a value that another schema wrote is a miss, and is overwritten", () =>
      Effect.gen(function*() {
        yield* Cache.set(texts, "k", "text")
        assert.strictEqual(yield* Cache.getOrSet(numbers, "k", Effect.succeed(1)), 1)
        assert.strictEqual((yield* Cache.get(texts, "k"))._tag, "None")
        assert.deepStrictEqual(yield* Cache.getMany(numbers, ["k"]), [yield* Cache.get(numbers, "k")])
        assert.strictEqual(yield* Cache.getOrSet(numbers, "k", Effect.succeed(2)), 1)
      }))

    test("a payload that its own codec refuses is a miss", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        const codec = Codec.schema(Schema.Number)
        const now = 0
        const entry = new Entry(
          false,
          codec.id,
          now,
          Infinity,
          Infinity,
          0,
          [],
          undefined,
          new TextEncoder().encode("{\"no\":1")
        )
        yield* backend.set(Cache.cacheKey(numbers, "k"), entry, Duration.infinity)
        assert.strictEqual(yield* Cache.getOrSet(numbers, "k", Effect.succeed(1)), 1)
        assert.strictEqual(yield* Cache.getOrSet(numbers, "k", Effect.succeed(2)), 1)
      }))

    test("bytes come back byte for byte, a view on a larger buffer and an empty one too", () =>
      Effect.gen(function*() {
        const large = Uint8Array.from({ length: 512 }, (_, i) => i % 256)
        for (const [key, value] of [["view", large.subarray(100, 400)], ["empty", new Uint8Array(0)]] as const) {
          yield* Cache.set(raw, key, value)
          const stored = yield* Cache.get(raw, key)
          assert.isTrue(stored._tag === "Some")
          if (stored._tag === "Some") assert.deepStrictEqual(Array.from(stored.value), Array.from(value))
        }
      }))

    test("null, undefined, zero, false and the empty string are values, not misses", () =>
      Effect.gen(function*() {
        const any = Cache.make({
          ...at,
          schema: Schema.Union(Schema.Null, Schema.Undefined, Schema.Number, Schema.Boolean, Schema.String)
        })
        for (const [i, value] of [null, undefined, 0, false, ""].entries()) {
          let loads = 0
          const find = Cache.getOrSet(
            any,
            i,
            Effect.sync(() => {
              loads++
              return value
            })
          )
          assert.strictEqual(yield* find, value)
          assert.strictEqual(yield* find, value)
          assert.strictEqual(loads, 1)
        }
      }))

    test("dates, options and maps of a schema come back as they were", () =>
      Effect.gen(function*() {
        const rich = Cache.make({
          ...at,
          schema: Schema.Struct({
            at: Schema.Date,
            maybe: Schema.Option(Schema.BigInt),
            map: Schema.HashMap({ key: Schema.String, value: Schema.Number })
          })
        })
        const value = {
          at: new Date(5),
          maybe: Schema.decodeSync(Schema.Option(Schema.BigInt))({ _tag: "Some", value: "9" }),
          map: HashMap.make(["a", 1])
        }
        yield* Cache.set(rich, "k", value)
        const again = yield* Cache.getOrSet(rich, "k", Effect.die("not a hit"))
        assert.deepStrictEqual(again.at, value.at)
        assert.deepStrictEqual(again.maybe, value.maybe)
        assert.strictEqual(HashMap.unsafeGet(again.map, "a"), 1)
      }))
  })

  it.effect("a corrupted entry is a miss, whichever bit was flipped", () =>
    Effect.gen(function*() {
      const faulty = yield* Faulty.Faulty
      for (let i = 0; i < 300; i++) {
        yield* Cache.set(texts, "k", "the stored text")
        yield* faulty.inject(Faulty.corrupt)
        const answer = yield* Cache.getOrSet(texts, "k", Effect.succeed("loaded"))
        assert.include(["loaded", "the stored text"], answer)
        yield* faulty.heal
      }
    }).pipe(Effect.provide(Faulty.layer(Memory.layer({ storage: "bytes" })))))

  it.effect("what cannot be encoded: an error of set, and behind a load a warning that does not hold the value", () =>
    Effect.gen(function*() {
      const bounded = Cache.make({ ...at, schema: Schema.Number.pipe(Schema.positive()) })
      const { layer, messages } = collecting()
      const error = yield* Effect.flip(Cache.set(bounded, "k", -12_345))
      assert.strictEqual(error._tag, "ParseError")
      let loads = 0
      const find = Cache.getOrSet(
        bounded,
        "k",
        Effect.sync(() => {
          loads++
          return -12_345
        })
      )
      assert.strictEqual(yield* Effect.provide(find, layer), -12_345)
      assert.strictEqual(yield* Effect.provide(find, layer), -12_345)
      assert.strictEqual(loads, 2)
      assert.strictEqual(messages.length, 2)
      assert.include(messages[0], "cache value: a value was not stored")
      assert.notInclude(messages[0], "12345")
    }).pipe(Effect.provide(Memory.layer({ storage: "bytes" }))))

  it.effect("a local codec keeps values in the process, and refuses to let them leave", () =>
    Effect.gen(function*() {
      const local = Cache.make({ ...at, codec: Codec.local<{ readonly f: () => number }>() })
      const value = { f: () => 1 }
      yield* Cache.set(local, "k", value).pipe(
        Effect.zipRight(Cache.getOrSet(local, "k", Effect.die("not a hit"))),
        Effect.tap((again) => Effect.sync(() => assert.strictEqual(again, value))),
        Effect.provide(Memory.layer())
      )
      const refused = yield* Effect.exit(
        Effect.provide(Cache.set(local, "k", value), Memory.layer({ storage: "bytes" }))
      )
      assert.isTrue(Exit.isFailure(refused))
    }))
})
