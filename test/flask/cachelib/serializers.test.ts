/** `test_serializers.py` of cachelib. */
import { assert, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Entry } from "../../../src/internal/entry.js"
import { redisForFile } from "../../support/overBackends.js"
import { rawRedis } from "../../support/rawRedis.js"
import { describeRows, type NotHere, numbers, onEveryStore } from "../support.js"
import * as Rows from "./rows.js"

/** What one schema writes and reads: fifteen kinds of values. */
const Value = Schema.Struct({
  null: Schema.Null,
  undefined: Schema.UndefinedOr(Schema.Number),
  yes: Schema.Boolean,
  no: Schema.Boolean,
  zero: Schema.Number,
  float: Schema.Number,
  infinite: Schema.Number,
  text: Schema.String,
  unicode: Schema.String,
  bytes: Schema.Uint8Array,
  list: Schema.Array(Schema.Number),
  map: Schema.Map({ key: Schema.String, value: Schema.Number }),
  set: Schema.Set(Schema.String),
  date: Schema.Date,
  large: Schema.BigInt,
  option: Schema.Option(Schema.String)
})

const value: typeof Value.Type = {
  null: null,
  undefined: undefined,
  yes: true,
  no: false,
  zero: 0,
  float: -1.5e-7,
  infinite: 1e308,
  text: "",
  unicode: "日本 😀 \u0000\r\n",
  bytes: Uint8Array.of(0, 255),
  list: [1, 2, 3],
  map: new Map([["a", 1]]),
  set: new Set(["a", "b"]),
  date: new Date(1e12),
  large: 2n ** 100n,
  option: Option.some("x")
}

const values = Cache.make({ name: "value", schema: Value, key: (key: string) => key, timeToLive: "1 minute" })

const json = Cache.make({ name: "json", schema: Schema.Any, key: (key: string) => key, timeToLive: "1 minute" })

/** An entry as this cache's codec would have written it, but for its payload. */
const damaged = (codec: string, payload: string) =>
  new Entry(false, codec, 0, Infinity, Infinity, 0, [], undefined, new TextEncoder().encode(payload))

const isMissWith = (payload: string) =>
  Effect.gen(function*() {
    const backend = yield* CacheBackend
    const entry = damaged(Codec.schema(Schema.Number).id, payload)
    yield* backend.set(Cache.cacheKey(numbers, "k"), entry, Duration.infinity)
    assert.isFalse(yield* Cache.has(numbers, "k"))
    assert.strictEqual(yield* Cache.getOrSet(numbers, "k", Effect.succeed(1)), 1)
    assert.deepStrictEqual(yield* Cache.get(numbers, "k"), Option.some(1))
  })

const streams = "a codec turns a value into bytes at once: the one stream that is cached is a stream of values"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.serializers>> = [
  { row: "base_dump_load_roundtrip", reason: streams },
  { row: "base_load_returns_none_on_corrupt_stream", reason: streams },
  { row: "json_dump_load_roundtrip", reason: streams },
  { row: "json_dump_writes_bytes_to_stream", reason: streams },
  { row: "json_load_invalid_stream_returns_none", reason: streams },
  { row: "json_loads_accepts_bytes_str_bytearray", reason: "a store hands bytes over, and their type says so" }
]

describeRows("test_serializers.py", Rows.serializers, notHere, (row) => {
  onEveryStore((test, kind) => {
    test(
      row("base_dumps_loads_roundtrip", "redis_dumps_loads_roundtrip", "compatible_roundtrip"),
      () =>
        Effect.gen(function*() {
          yield* Cache.set(values, "k", value)
          assert.deepStrictEqual(yield* Cache.get(values, "k"), Option.some(value))
        })
    )

    test(
      row("base_loads_returns_none_on_corrupt_data", "json_loads_invalid_json_returns_none"),
      () => Effect.all([isMissWith("{\"no\":1"), isMissWith("not JSON"), isMissWith("\u0000")], { discard: true })
    )

    test(
      row("redis_loads_none_returns_none"),
      () => Effect.map(Cache.get(values, "missing"), (got) => assert.deepStrictEqual(got, Option.none()))
    )

    test(row("redis_loads_integer_string_returns_int"), () =>
      Effect.gen(function*() {
        for (const n of [0, 1, -1, 5e12]) {
          yield* Cache.increment(numbers, `${n}`, n)
          assert.deepStrictEqual(yield* Cache.get(numbers, `${n}`), Option.some(n))
        }
      }))

    test(row("json_dumps_loads_roundtrip"), () =>
      Effect.gen(function*() {
        const all = [null, true, 1, -1.5, "text", "日本", [1, [2]], { a: { b: [] } }]
        yield* Cache.setMany(json, all.map((value, i) => [`${i}`, value]))
        assert.deepStrictEqual(yield* Cache.getMany(json, all.map((_, i) => `${i}`)), all.map((_) => Option.some(_)))
      }))

    // Memory keeps values as they are: nothing has to be encoded.
    if (kind.name === "Memory") return
    test(
      row("base_dumps_returns_none_on_pickle_error", "json_dumps_non_serializable_returns_none"),
      () =>
        Effect.gen(function*() {
          const cycle: Record<string, unknown> = {}
          cycle["self"] = cycle
          const warnings: Array<string> = []
          const logger = Logger.make(({ logLevel, message }) => void warnings.push(`${logLevel.label} ${message}`))
          for (const unencodable of [1n, cycle]) {
            assert.strictEqual((yield* Effect.flip(Cache.set(json, "k", unencodable)))._tag, "ParseError")
            assert.isFalse(yield* Cache.has(json, "k"))
            assert.strictEqual(
              yield* Effect.provide(
                Cache.getOrSet(json, "k", Effect.succeed(unencodable)),
                Logger.replace(Logger.defaultLogger, logger)
              ),
              unencodable
            )
            assert.isFalse(yield* Cache.has(json, "k"))
          }
          assert.strictEqual(warnings.filter((text) => text.startsWith("WARN")).length, 2)
        })
    )
  })

  const redis = redisForFile()
  const onRedis = (
    title: string,
    body: (call: (command: string, ...args: ReadonlyArray<string | Buffer>) => Effect.Effect<Buffer>) => Effect.Effect<
      void,
      unknown,
      CacheBackend
    >
  ) =>
    it.scoped(
      title,
      () => Effect.flatMap(rawRedis(redis.server().url), (call) => Effect.provide(body(call), redis.layer("s:")))
    )

  const place = `s:${Cache.cacheKey(numbers, "k")}`

  onRedis(row("redis_dumps_adds_bang_prefix"), (call) =>
    Effect.gen(function*() {
      yield* Cache.set(numbers, "k", 1)
      assert.strictEqual((yield* call("GET", place)).toString("latin1", 0, 4), "EFC\u0001")
    }))

  onRedis(
    row("redis_loads_legacy_bytes_returns_raw", "redis_loads_corrupt_prefixed_data_returns_none"),
    (call) =>
      Effect.gen(function*() {
        for (const bytes of ["Awesome", "42", "!\u0080\u0004K\u0001.", "EFC\u0001", "EFC\u0001".repeat(50)]) {
          yield* call("SET", place, Buffer.from(bytes, "latin1"))
          assert.isFalse(yield* Cache.has(numbers, "k"))
          assert.strictEqual(yield* Cache.getOrSet(numbers, "k", Effect.succeed(7)), 7)
          assert.deepStrictEqual(yield* Cache.get(numbers, "k"), Option.some(7))
        }
      })
  )

  it.effect(row("json_dumps_returns_bytes"), () =>
    Effect.map(Codec.schema(Schema.Any).encode({ a: [1] }), (bytes) => {
      assert.instanceOf(bytes, Uint8Array)
      assert.strictEqual(new TextDecoder().decode(bytes), "{\"a\":[1]}")
    }))
})
