/** `serializer.py` of cachelib. */
import { assert } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { describeRows, type NotHere, onEveryStore } from "../support.js"
import * as Rows from "./rows.js"

/** Writes text backwards, and counts. */
const backwards = () => {
  const state = { encoded: 0, decoded: 0 }
  const turn = (text: string) => Array.from(text).reverse().join("")
  const codec = Codec.make<string>({
    id: "backwards",
    encode: (value) => {
      state.encoded++
      return Codec.string.encode(turn(value))
    },
    decode: (bytes) => {
      state.decoded++
      return Effect.map(Codec.string.decode(bytes), turn)
    }
  })
  return { state, texts: Cache.make({ name: "text", codec, timeToLive: "1 minute" }) }
}

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.serializer>> = [
  { row: "serializer_is_stored_on_instance", reason: "a codec is a cache's, and a backend has none" }
]

describeRows("serializer.py", Rows.serializer, notHere, (row) => {
  onEveryStore((test, kind) => {
    /** Memory keeps what was stored: nothing is encoded for it. */
    const times = kind.name === "Memory" ? 0 : 1

    test(row("serializer_injection_roundtrip"), () =>
      Effect.gen(function*() {
        const { state, texts } = backwards()
        yield* Cache.set(texts, "k", "abc")
        assert.deepStrictEqual(yield* Cache.get(texts, "k"), Option.some("abc"))
        assert.deepStrictEqual(state, { encoded: times, decoded: times })
      }))

    test(row("serializer_injection_set_many"), () =>
      Effect.gen(function*() {
        const { state, texts } = backwards()
        yield* Cache.setMany(texts, [["a", "ab"], ["b", "cd"]])
        assert.deepStrictEqual(yield* Cache.getMany(texts, ["a", "b"]), [Option.some("ab"), Option.some("cd")])
        assert.deepStrictEqual(state, { encoded: 2 * times, decoded: 2 * times })
      }))

    test(row("serializer_injection_add"), () =>
      Effect.gen(function*() {
        const { state, texts } = backwards()
        assert.isTrue(yield* Cache.add(texts, "k", "abc"))
        assert.deepStrictEqual(yield* Cache.get(texts, "k"), Option.some("abc"))
        assert.deepStrictEqual(state, { encoded: times, decoded: times })
      }))

    test(row("serializer_injection_get_dict"), () =>
      Effect.gen(function*() {
        const { state, texts } = backwards()
        yield* Cache.set(texts, "a", "ab")
        assert.deepStrictEqual(yield* Cache.getMany(texts, ["a", "missing"]), [Option.some("ab"), Option.none()])
        assert.strictEqual(state.decoded, times)
      }))

    test(row("no_serializer_uses_default"), () =>
      Effect.gen(function*() {
        const bytes = Cache.make({ name: "bytes", schema: Schema.Uint8Array, timeToLive: "1 minute" })
        yield* Cache.set(bytes, "k", Uint8Array.of(0, 255, 10, 13))
        const got = yield* Effect.flatten(Cache.get(bytes, "k"))
        assert.deepStrictEqual(Array.from(got), [0, 255, 10, 13])
      }))
  })
})
