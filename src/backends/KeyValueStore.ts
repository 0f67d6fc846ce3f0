/**
 * Entries in a `KeyValueStore` of @effect/platform, which one process has for
 * itself: the store of a browser or of a platform, files, or one of your own.
 *
 * @since 1.0.0
 */
import * as Store from "@effect/platform/KeyValueStore"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Backend from "../Backend.js"
import * as KeyValue from "../internal/keyValueStore/store.js"
import { fromConfig, InvalidOption, requireMillis, requireNumber } from "../internal/options.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * How the store is used.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /**
   * Begins every name in the store, and keeps apart what others store there:
   * `clear("")` clears no other. At most 60 bytes. With `""` the whole store is
   * the backend's, and `clear("")` empties it whoever filled it. Default: `"cache:"`.
   */
  readonly prefix?: string | undefined
  /**
   * How long an operation may take before it fails with `Timeout`. Default: as
   * long as the store takes.
   */
  readonly timeout?: Duration.DurationInput | undefined
  /** How many names one operation may ask for at a time. Default: 16. */
  readonly concurrency?: number | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A backend in the `KeyValueStore` of the context, which no other backend and no
 * other process may use under the same prefix at the same time: such a store
 * cannot do two things in one step, so what must be one step is so in this
 * process alone. After a restart everything is there that the store has kept.
 *
 * A hit is one request, and so is a write; `remove`, `add` and `invalidateTags`
 * take up to two for a key. Names in the store are digests of the keys. Bytes
 * are kept in base64 where the store takes nothing but text. The store is tried
 * out with the first operation: one that does not give back what was stored makes
 * operations fail with `Unavailable`. Where a write fails midway in a store that
 * writes in place, as the files of @effect/platform do, the value that was there is
 * lost: what is half written is a miss.
 *
 * `clear` makes the keys of its prefix unreachable at once. Such a store cannot
 * list what it has: cleared and expired values are removed by later writes, two at
 * a time. Those that an earlier process has stored and nobody asks for again are not.
 * Where hundreds of prefixes are cleared that have no longer one in common, more may
 * be cleared than was asked, never less.
 *
 * @example
 * ```ts
 * import * as KeyValueStore from "@effect/platform/KeyValueStore"
 * import * as KeyValueBackend from "effect-caching/backends/KeyValueStore"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const backend = yield* KeyValueBackend.make({ prefix: "shop:" })
 *   return yield* backend.has("user:1")
 * }).pipe(Effect.scoped, Effect.provide(KeyValueStore.layerMemory))
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (
  options: Options = {}
): Effect.Effect<Backend.Backend, never, Scope.Scope | Store.KeyValueStore> =>
  Effect.gen(function*() {
    const { concurrency, millis, prefix } = settingsOf(options)
    const store = yield* KeyValue.make(yield* Store.KeyValueStore, {
      prefix,
      fail: (failure) => new Backend.BackendError({ backend: name, method: "request", ...failure })
    })
    const derived = yield* Backend.fromBytes({ name, isShared: false, concurrency }, store)
    const bounded = millis === undefined ? identity<Backend.Backend> : Backend.timeout(millis)
    return bounded(Backend.around(derived, (method, operation) =>
      Effect.mapError(operation, ({ cause, description, reason }) =>
        new Backend.BackendError({ backend: name, method, reason, description, cause }))))
  })

const name = "key-value-store"

/** The options with their defaults; throws `InvalidOption`. */
const settingsOf = ({ concurrency = 16, prefix = "cache:", timeout }: Options) => {
  if (Buffer.byteLength(prefix) > 60) {
    throw new InvalidOption({
      module: "KeyValueStore",
      option: "prefix",
      value: prefix,
      expected: "a text of at most 60 bytes"
    })
  }
  return {
    prefix,
    millis: timeout === undefined ? undefined : requireMillis("KeyValueStore", "timeout", timeout),
    concurrency: requireNumber("KeyValueStore", "concurrency", concurrency, { integer: true, min: 1, max: 1_000 })
  }
}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * `CacheBackend` as `make` makes it.
 *
 * @example
 * ```ts
 * import * as NodeContext from "@effect/platform-node/NodeContext"
 * import * as KeyValueStore from "@effect/platform/KeyValueStore"
 * import * as KeyValueBackend from "effect-caching/backends/KeyValueStore"
 * import { Layer } from "effect"
 *
 * const CacheLive = KeyValueBackend.layer().pipe(
 *   Layer.provide(KeyValueStore.layerFileSystem("/var/lib/shop")),
 *   Layer.provide(NodeContext.layer)
 * )
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<Backend.CacheBackend, never, Store.KeyValueStore> => Layer.scoped(Backend.CacheBackend, make(options))

/**
 * `CacheBackend` with options from the configuration; what is invalid there is a `ConfigError`.
 *
 * @example
 * ```ts
 * import * as KeyValueBackend from "effect-caching/backends/KeyValueStore"
 * import { Config } from "effect"
 *
 * const CacheLive = KeyValueBackend.layerConfig({ prefix: Config.string("CACHE_KEY_PREFIX") })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Backend.CacheBackend, ConfigError.ConfigError, Store.KeyValueStore> =>
  Layer.scoped(Backend.CacheBackend, Effect.flatMap(Config.unwrap(options), (options) => fromConfig(make(options))))
