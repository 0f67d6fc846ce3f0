/**
 * Our backends where other parts of Effect keep things: `BackingPersistence` of
 * `@effect/experimental` (an optional peer) and `KeyValueStore` of
 * `@effect/platform`.
 *
 * @since 1.0.0
 */
import * as Persistence from "@effect/experimental/Persistence"
import * as PlatformError from "@effect/platform/Error"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { type Backend, type BackendError, CacheBackend } from "./Backend.js"
import { Entry } from "./internal/entry.js"
import { prefixOf } from "./internal/key.js"

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** An entry of bytes under a codec of this module, kept for `retention` from `now`. */
const entryOf = (codec: string, bytes: Uint8Array, now: number, retention: Duration.Duration): Entry => {
  const until = now + Duration.toMillis(retention)
  return new Entry(false, codec, now, until, until, 0, [], undefined, bytes)
}

/** The bytes of an entry that is under the codec. */
const bytesOf = (codec: string) => (entry: Entry): Option.Option<Uint8Array> =>
  entry.codec === codec && entry.bytes !== undefined ? Option.some(entry.bytes) : Option.none()

// -----------------------------------------------------------------------------
// persistence
// -----------------------------------------------------------------------------

const persistenceCodec = "interop/persistence"

const parsed = (bytes: Uint8Array): Option.Option<unknown> => {
  try {
    return Option.some(JSON.parse(text.decode(bytes)))
  } catch {
    return Option.none()
  }
}

const persistenceStore = (backend: Backend, storeId: string): Persistence.BackingPersistenceStore => {
  const prefix = prefixOf(`persistence/${storeId}`)
  const attempt = <A>(method: string, effect: Effect.Effect<A, BackendError>) =>
    Effect.mapError(effect, (cause) => Persistence.PersistenceBackingError.make(method, cause))
  const value = (found: Option.Option<Entry>) =>
    found.pipe(Option.flatMap(bytesOf(persistenceCodec)), Option.flatMap(parsed))
  const item = (now: number) =>
  (
    [key, value, ttl]: readonly [key: string, value: unknown, ttl: Option.Option<Duration.Duration>]
  ): readonly [string, Entry, Duration.Duration] => {
    const retention = Option.getOrElse(ttl, () => Duration.infinity)
    return [prefix + key, entryOf(persistenceCodec, utf8.encode(JSON.stringify(value)), now, retention), retention]
  }
  return {
    get: (key) => attempt("get", Effect.map(backend.get(prefix + key), value)),
    getMany: (keys) =>
      attempt("getMany", Effect.map(backend.getMany(keys.map((key) => prefix + key)), (all) => all.map(value))),
    set: (...given) =>
      attempt("set", Effect.flatMap(Clock.currentTimeMillis, (now) => backend.set(...item(now)(given)))),
    setMany: (entries) =>
      attempt("setMany", Effect.flatMap(Clock.currentTimeMillis, (now) => backend.setMany(entries.map(item(now))))),
    remove: (key) => attempt("remove", Effect.asVoid(backend.remove(prefix + key))),
    clear: attempt("clear", backend.clear(prefix))
  }
}

/**
 * `BackingPersistence` over the cache's backend: `PersistedCache` and persisted
 * request resolvers then run on whatever backend the program has.
 *
 * @example
 * ```ts
 * import * as Persistence from "@effect/experimental/Persistence"
 * import * as Redis from "effect-caching/backends/Redis"
 * import * as Interop from "effect-caching/Interop"
 * import { Layer } from "effect"
 *
 * const layer = Persistence.layerResult.pipe(
 *   Layer.provide(Interop.layerBackingPersistence),
 *   Layer.provide(Redis.layer())
 * )
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerBackingPersistence: Layer.Layer<Persistence.BackingPersistence, never, CacheBackend> = Layer.effect(
  Persistence.BackingPersistence,
  Effect.map(CacheBackend, (backend) =>
    Persistence.BackingPersistence.of({
      [Persistence.BackingPersistenceTypeId]: Persistence.BackingPersistenceTypeId,
      make: (storeId) => Effect.succeed(persistenceStore(backend, storeId))
    }))
)

// -----------------------------------------------------------------------------
// key value store
// -----------------------------------------------------------------------------

const keyValueCodec = "interop/key-value"

/**
 * A `KeyValueStore` over the cache's backend, under a name of its own. What it
 * keeps may be evicted; it does not count, so `size` fails.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerKeyValueStore = (
  options?: {
    /** The share of the backend. Default: `"default"`. */
    readonly name?: string | undefined
    /** How long a value is kept. Default: until it is evicted. */
    readonly timeToLive?: Duration.DurationInput | undefined
  }
): Layer.Layer<KeyValueStore.KeyValueStore, never, CacheBackend> =>
  Layer.effect(
    KeyValueStore.KeyValueStore,
    Effect.map(CacheBackend, (backend) => {
      const prefix = prefixOf(`key-value/${options?.name ?? "default"}`)
      const retention = Duration.decode(options?.timeToLive ?? Duration.infinity)
      const failure = (method: string, description: string) =>
        new PlatformError.SystemError({ reason: "Unknown", module: "KeyValueStore", method, description })
      const attempt = <A>(method: string, effect: Effect.Effect<A, BackendError>) =>
        Effect.mapError(effect, (error) => failure(method, error.message))
      const getUint8Array = (key: string) =>
        attempt("get", Effect.map(backend.get(prefix + key), Option.flatMap(bytesOf(keyValueCodec))))
      return KeyValueStore.make({
        get: (key) => Effect.map(getUint8Array(key), Option.map((bytes) => text.decode(bytes))),
        getUint8Array,
        set: (key, value) =>
          attempt(
            "set",
            Effect.flatMap(Clock.currentTimeMillis, (now) =>
              backend.set(
                prefix + key,
                entryOf(
                  keyValueCodec,
                  typeof value === "string" ? utf8.encode(value) : new Uint8Array(value),
                  now,
                  retention
                ),
                retention
              ))
          ),
        remove: (key) => attempt("remove", Effect.asVoid(backend.remove(prefix + key))),
        has: (key) => attempt("has", backend.has(prefix + key)),
        clear: attempt("clear", backend.clear(prefix)),
        size: Effect.fail(failure("size", "a cache does not count its entries")),
        isEmpty: Effect.fail(failure("isEmpty", "a cache does not count its entries"))
      })
    })
  )
