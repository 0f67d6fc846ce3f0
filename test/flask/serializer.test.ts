/** `test_serializer.py` */
import { assert, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as Codec from "effect-caching/Codec"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { redisForFile } from "../support/overBackends.js"
import { rawRedis } from "../support/rawRedis.js"
import { configured, providerOf } from "../support/settings.js"
import * as Rows from "./rows.js"
import { describeRows, type NotHere, onEveryStore } from "./support.js"

const types = "a codec has a type: what is none does not compile"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.serializer>> = [
  { row: "class_is_instantiated", reason: "a codec is a value, and no class" },
  { row: "cachelib_cache_type_gets_the_serializer", reason: "a class of Python" },
  { row: "backend_without_serializer_warns", reason: "a codec is a cache's: no backend is without use for it" },
  { row: "string_serializer_raises", reason: types },
  { row: "non_cachelib_serializer_raises", reason: types },
  { row: "non_cachelib_serializer_class_raises", reason: types },
  { row: "serializer_class_needing_arguments_raises", reason: types }
]

const records = Cache.make({
  name: "record",
  schema: Schema.Struct({ a: Schema.Number }),
  key: (key: string) => key,
  timeToLive: "1 minute"
})

/** Text, and how often it was encoded and decoded. */
const counting = () => {
  const state = { encoded: 0, decoded: 0 }
  const codec = Codec.make<string>({
    id: "counting",
    encode: (text) => Effect.tap(Codec.string.encode(text), () => void state.encoded++),
    decode: (bytes) => Effect.tap(Codec.string.decode(bytes), () => void state.decoded++)
  })
  return { state, codec }
}

describeRows("test_serializer.py", Rows.serializer, notHere, (row) => {
  onEveryStore((test, kind) => {
    test(row("default_keeps_the_cachelib_serializer"), () =>
      Effect.gen(function*() {
        yield* Cache.set(records, "k", { a: 1 })
        assert.deepStrictEqual(yield* Cache.get(records, "k"), Option.some({ a: 1 }))
      }))

    test(row("instance_is_used_as_is", "configured_serializer_is_used_for_get_and_set"), () =>
      Effect.gen(function*() {
        const { codec, state } = counting()
        const cache = Cache.make({ name: "t", codec, timeToLive: "1 minute" })
        yield* Cache.set(cache, "k", "text")
        assert.deepStrictEqual(yield* Cache.get(cache, "k"), Option.some("text"))
        // Memory keeps what was stored.
        const times = kind.name === "Memory" ? 0 : 1
        assert.deepStrictEqual(state, { encoded: times, decoded: times })
      }))
  })

  const redis = redisForFile()

  it.scoped(row("serializer_read_from_extension_config"), () =>
    Effect.gen(function*() {
      const call = yield* rawRedis(redis.server().url)
      const codec = Codec.make<string>({
        id: "by configuration",
        encode: (text) =>
          Effect.flatMap(Effect.orDie(Config.string("ENCODING")), (encoding) =>
            Effect.succeed(Buffer.from(text, encoding as BufferEncoding))),
        decode: (bytes) =>
          Effect.succeed(Buffer.from(bytes).toString("latin1"))
      })
      const cache = Cache.make({ name: "t", codec, timeToLive: "1 minute" })
      for (const [ENCODING, last] of [["latin1", 0xe9], ["utf8", 0xa9]] as const) {
        yield* Effect.withConfigProvider(Cache.set(cache, "k", "caf\u00e9"), providerOf({ ENCODING }))
        const stored = yield* call("GET", `config:${Cache.cacheKey(cache, "k")}`)
        assert.strictEqual(stored.at(-1), last)
      }
    }).pipe(Effect.provide(Layer.suspend(() => redis.layer("config:")))))

  it.scoped(row("values_are_stored_in_the_configured_format"), () =>
    Effect.gen(function*() {
      const call = yield* rawRedis(redis.server().url)
      yield* Cache.set(records, "k", { a: 1 })
      const stored = yield* call("GET", `format:${Cache.cacheKey(records, "k")}`)
      assert.isTrue(stored.toString("latin1").endsWith("{\"a\":1}"))
    }).pipe(Effect.provide(Layer.suspend(() => redis.layer("format:")))))

  it.effect(row("serializer_is_rejected_before_the_backend_is_built"), () =>
    Effect.gen(function*() {
      let built = 0
      const counted = Layer.effect(
        CacheBackend,
        Effect.suspend(() => {
          built++
          return CacheBackend
        })
      ).pipe(Layer.provide(Memory.layer()))
      const layer = CacheConfig.layerWith({ CountedCache: counted })
      const settings = { CACHE_TYPE: "CountedCache", CACHE_DEFAULT_TIMEOUT: "never" }
      const error = yield* Effect.flip(Effect.provide(Effect.void, configured(settings, layer)))
      assert.include(String(error), "CACHE_DEFAULT_TIMEOUT")
      assert.strictEqual(built, 0)
      yield* Effect.provide(Effect.void, configured({ CACHE_TYPE: "CountedCache" }, layer))
      assert.strictEqual(built, 1)
      // A cache without a codec is refused where it is described, whatever its backend.
      assert.throws(() => Cache.make({ name: "none", timeToLive: "1 minute" } as never), "schema or codec")
    }))
})
