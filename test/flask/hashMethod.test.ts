/** `test_hash_method.py` */
import { assert, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Null from "effect-caching/backends/Null"
import * as Cache from "effect-caching/Cache"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { configured } from "../support/settings.js"
import * as Rows from "./rows.js"
import { counted, describeRows, type NotHere, onMemoryAndRedis } from "./support.js"
import { view } from "./views.js"

const oneHash = "keys are canonical text, and SHA-256 where that is long: there is no hash to be chosen"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.hashMethod>> = [
  { row: "cached_uses_configured_hash_method", reason: oneHash },
  { row: "decorator_argument_overrides_configured_hash_method", reason: oneHash },
  { row: "hash_method_read_from_extension_config", reason: oneHash },
  { row: "configured_hash_method_changes_memoize_key", reason: oneHash },
  { row: "file_hash_method_is_independent", reason: "how a file is named is the backend's own affair" }
]

describeRows("test_hash_method.py", Rows.hashMethod, notHere, (row) => {
  onMemoryAndRedis((test) => {
    test(row("query_string_key_includes_key_prefix"), () =>
      Effect.gen(function*() {
        const one = yield* view({ name: "one" })
        const other = yield* view({ name: "other" })
        const host = { host: "example.com" }
        assert.strictEqual(yield* one.body("/works?a=1", host), "1")
        yield* other.body("/", host)
        assert.strictEqual(yield* other.body("/works?a=1", host), "2")
        const target = { origin: "http://example.com" }
        assert.isTrue(yield* HttpCache.invalidate("/works?a=1", { ...target, name: "one" }))
        assert.strictEqual(yield* other.body("/works?a=1", host), "2")
        assert.strictEqual(yield* one.body("/works?a=1", host), "2")
      }))

    test(row("delete_memoized_matches_configured_hash_method"), () =>
      Effect.gen(function*() {
        const { f } = counted<[string]>()
        for (const text of ["short", "long".repeat(500)]) {
          yield* f(text)
          assert.isTrue(yield* Cache.has(f.cache, [text]))
          assert.isTrue(yield* f.invalidate(text))
          assert.isFalse(yield* Cache.has(f.cache, [text]))
        }
      }))
  })

  it(row("default_hash_method_is_sha256"), () => {
    const { f } = counted<[ReadonlyArray<readonly [string, string]>]>()
    assert.strictEqual(f.cacheKey([["a", "1"], ["b", "2"]]), "counted:[[[1'a1'1][1'b1'2]]]")
    const long = "x".repeat(300)
    const text = `[[[1'a${long.length}'${long}]]]`
    assert.strictEqual(
      f.cacheKey([["a", long]]),
      `counted:#${createHash("sha256").update(text).digest("base64url")}`
    )
  })

  it.effect(row("non_callable_hash_method_raises"), () =>
    Effect.gen(function*() {
      for (const settings of [{ CACHE_THRESHOLD: "many" }, { CACHE_TYPE: "sha1" }, { CACHE_DEFAULT_TIMEOUT: "-1" }]) {
        const error = yield* Effect.flip(
          Effect.provide(Effect.void, configured({ CACHE_TYPE: "SimpleCache", ...settings }))
        )
        assert.include(String(error), Object.keys(settings)[0])
      }
    }))

  it.effect(row("hash_method_resolved_after_decoration"), () =>
    Effect.gen(function*() {
      const { f } = counted<[]>()
      const twice = Effect.all([f(), f()])
      assert.deepStrictEqual(yield* Effect.provide(twice, Null.layer), [1, 2])
      assert.deepStrictEqual(yield* Effect.provide(twice, Memory.layer()), [3, 3])
    }))
})
