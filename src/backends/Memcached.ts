/**
 * Entries in memcached servers, shared by every process that uses them. Needs
 * `memjs` 1.3, and servers that speak the binary protocol.
 *
 * @since 1.0.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Client } from "memjs"
import * as Backend from "../Backend.js"
import { connect, over, type Settings } from "../internal/memcached/client.js"
import type { Failure } from "../internal/memcached/failure.js"
import * as Spread from "../internal/memcached/spread.js"
import { fromConfig, requireMillis, requireNumber } from "../internal/options.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * How a client is used.
 *
 * @since 1.0.0
 * @category models
 */
export interface ClientOptions {
  /** Begins every key of the backend in the servers; `clear("")` clears no other. Default: `"cache:"`. */
  readonly prefix?: string | undefined
  /** How long a server may take to answer before an operation fails with `Timeout`. Default: 500 milliseconds. */
  readonly commandTimeout?: Duration.DurationInput | undefined
  /** The largest payload that is sent, in bytes. Default: what each server takes, which it is asked for. */
  readonly maxValueBytes?: number | undefined
}

/**
 * Where the servers are, and how they are used.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options extends ClientOptions {
  /**
   * `"host:port"`, `"[address]:port"` or the path of a Unix socket each; the port
   * may be left out where it is 11211. All processes must name the same ones, in
   * any order: the names decide which server has a key. Default: `["localhost:11211"]`.
   */
  readonly servers?: ReadonlyArray<string> | undefined
  /** With `password`, who to be for servers that ask for SASL PLAIN. */
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  /**
   * Whether `make` fails when a server does not answer or refuses the
   * credentials. Default: false; operations fail until it does answer.
   */
  readonly requireConnection?: boolean | undefined
}

/**
 * Options with the credentials that a server with SASL wants.
 *
 * @since 1.0.0
 * @category models
 */
export interface SaslOptions extends Options {
  readonly username: string
  readonly password: Redacted.Redacted<string>
}

/**
 * How large values are spread.
 *
 * @since 1.0.0
 * @category models
 */
export interface SpreadOptions {
  /**
   * The largest payload that is stored in one piece, and the size of the chunks of
   * a larger one, in bytes; 64 at least. Default: 500,000, which fills the memory
   * of servers with items of 1 MiB best.
   */
  readonly chunkBytes?: number | undefined
  /** The largest payload that is stored at all, in bytes. Default: 256 MiB. */
  readonly maxValueBytes?: number | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A backend in memcached servers, over connections of its own that end with the
 * scope. Each key is on one server, which no other stands in for: while it cannot
 * be reached, operations on its keys fail, at once or after `commandTimeout`, and
 * a memoized call loads. A connection is made by the first operation that needs
 * it, and again within a second of the server's return. No request is ever sent
 * twice: one whose reply was lost fails with `Connection` or `Timeout`, and may
 * have been carried out.
 *
 * `get`, `getMany` and `set` take one round trip, as do `add` and `lease` where
 * the key is absent; everything else reads and then writes what it has seen, in
 * two, or more where others write the key at the same time. A lease is stored
 * with the entry of its key, so that taking, extending and giving back one writes
 * the entry once more.
 *
 * Expiry is told by the `Clock` of this process, so the clocks of the processes
 * that share servers should agree; leases end by the time of the machine, and the
 * servers' own time only reclaims space. What is evicted is a miss, never
 * something older.
 *
 * `clear` is exact and takes two round trips to each server, however many keys
 * there are. Nothing is flushed: a list on each server tells which prefixes were
 * cleared, and what was stored before counts as absent until the server reclaims
 * it. The list is read when it has changed, and holds a thousand prefixes; one
 * more, and entries older than the older half of it are forgotten too. So is
 * everything where a server evicts the list or has no space for it.
 *
 * A value that is larger than a server's items fails with `TooLarge`, and what is
 * stored stays as it was; `spread` stores it in chunks. A server that refuses a
 * value for lack of space forgets what was there.
 *
 * memjs speaks no TLS. Where the network is not trusted, run a TLS client such as
 * stunnel beside the program, and name its local address here:
 *
 * ```text
 * [memcached]
 * client = yes
 * accept = 127.0.0.1:11211
 * connect = cache.internal:11212
 * CAfile = /etc/ssl/cache-ca.pem
 * verifyChain = yes
 * checkHost = cache.internal
 * ```
 *
 * Fails where `memjs` is not installed, a server's name is not one, or a server
 * does not answer and `requireConnection` is set.
 *
 * @example
 * ```ts
 * import * as Memcached from "effect-caching/backends/Memcached"
 * import { Effect } from "effect"
 *
 * const program = Effect.scoped(
 *   Effect.gen(function*() {
 *     const backend = yield* Memcached.make({
 *       servers: ["cache-1.internal:11211", "cache-2.internal:11211"],
 *       prefix: "shop:"
 *     })
 *     return yield* backend.has("user:1")
 *   })
 * )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> =>
  connected(options, () => options.requireConnection === true)

/**
 * A backend in memcached servers that want SASL PLAIN. It is made only if no
 * server refuses the credentials, and fails with one `Authentication` otherwise;
 * a server that does not answer is no reason, unless `requireConnection` is set.
 *
 * PLAIN tells the password to who listens: see `make` for TLS.
 *
 * @example
 * ```ts
 * import * as Memcached from "effect-caching/backends/Memcached"
 * import { Effect, Redacted } from "effect"
 *
 * const program = Effect.scoped(
 *   Effect.gen(function*() {
 *     const backend = yield* Memcached.makeSasl({
 *       servers: ["cache.internal:11211"],
 *       username: "shop",
 *       password: Redacted.make("secret")
 *     })
 *     return yield* backend.has("user:1")
 *   })
 * )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const makeSasl = (options: SaslOptions): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> =>
  connected(options, ({ reason }) => options.requireConnection === true || reason === "Authentication")

/**
 * A backend over a client that stays yours: it is not configured or closed here,
 * and must stay open for as long as the scope. The client decides by `getServer`
 * which server has a key; its `failover` is not used, as what is removed on one
 * server would stay on the other.
 *
 * The client is made safe in place, and stays so: as it comes, memjs can answer
 * with wrong bytes after a connection was lost, or not at all.
 *
 * @example
 * ```ts
 * import * as Memcached from "effect-caching/backends/Memcached"
 * import { Effect } from "effect"
 * import type { Client } from "memjs"
 *
 * const program = (client: Client) =>
 *   Effect.scoped(Effect.flatMap(Memcached.fromClient(client, { prefix: "shop:" }), (backend) => backend.has("user:1")))
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const fromClient = (
  client: Client,
  options: ClientOptions = {}
): Effect.Effect<Backend.Backend, never, Scope.Scope> => Effect.suspend(() => over(client, settingsOf(options)))

// -----------------------------------------------------------------------------
// combinators
// -----------------------------------------------------------------------------

/**
 * The backend with values that are larger than its store takes. One of more than
 * `chunkBytes` is stored in chunks, under names that are used once, and an entry
 * at the key that tells them. That entry is written last, so that readers see a
 * value as a whole, old or new; and they compare a SHA-256 of the whole, so that a
 * value of which a chunk was lost or changed is a miss.
 *
 * All operations work on spread values. `has` and the operations that look before
 * they write read the chunks; a write over a spread value removes the chunks of
 * the old one if the new one is spread too, and the store reclaims them in their
 * time otherwise. With several servers the chunks are spread over all of them.
 *
 * @example
 * ```ts
 * import * as Memcached from "effect-caching/backends/Memcached"
 * import { Effect } from "effect"
 *
 * const program = Effect.scoped(
 *   Effect.gen(function*() {
 *     const backend = Memcached.spread(yield* Memcached.make())
 *     return yield* backend.has("catalogue")
 *   })
 * )
 * ```
 *
 * @since 1.0.0
 * @category combinators
 */
export const spread: {
  (options?: SpreadOptions): (self: Backend.Backend) => Backend.Backend
  (self: Backend.Backend, options?: SpreadOptions): Backend.Backend
} = dual(
  (args) => Backend.isBackend(args[0]),
  (self: Backend.Backend, { chunkBytes = 500_000, maxValueBytes = 256 * 1024 * 1024 }: SpreadOptions = {}) =>
    Backend.override(self, (self) =>
      Spread.operations(self, {
        chunkBytes: requireNumber("Memcached", "chunkBytes", chunkBytes, {
          min: Spread.smallest,
          max: 2 ** 31,
          integer: true
        }),
        maxValueBytes: requireNumber("Memcached", "maxValueBytes", maxValueBytes, { min: 0 }),
        fail: (method, reason, description) =>
          new Backend.BackendError({ backend: self.name, method, reason, description }),
        rename: (method) => ({ backend, cause, description, reason }) =>
          new Backend.BackendError({ backend, method, reason, description, cause })
      }))
)

/**
 * A layer whose backend is that of `layer` behind `spread`.
 *
 * @example
 * ```ts
 * import * as Memcached from "effect-caching/backends/Memcached"
 *
 * const CacheLive = Memcached.layer({ servers: ["cache.internal:11211"] }).pipe(Memcached.spreadLayer())
 * ```
 *
 * @since 1.0.0
 * @category combinators
 */
export const spreadLayer =
  (options: SpreadOptions = {}) =>
  <E, R>(layer: Layer.Layer<Backend.CacheBackend, E, R>): Layer.Layer<Backend.CacheBackend, E, R> =>
    Backend.mapLayer(layer, (self) => Effect.sync(() => spread(self, options)))

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * `CacheBackend` as `make` makes it.
 *
 * @example
 * ```ts
 * import * as Memcached from "effect-caching/backends/Memcached"
 *
 * const CacheLive = Memcached.layer({ servers: ["localhost:11211"], prefix: "shop:" })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<Backend.CacheBackend, Backend.BackendError> =>
  Layer.scoped(Backend.CacheBackend, make(options))

/**
 * `CacheBackend` with options from the configuration.
 *
 * @example
 * ```ts
 * import * as Memcached from "effect-caching/backends/Memcached"
 * import { Config } from "effect"
 *
 * const CacheLive = Memcached.layerConfig({ servers: Config.array(Config.string(), "CACHE_MEMCACHED_SERVERS") })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Backend.CacheBackend, Backend.BackendError | ConfigError.ConfigError> =>
  Layer.scoped(Backend.CacheBackend, Effect.flatMap(Config.unwrap(options), (options) => fromConfig(make(options))))

/**
 * `CacheBackend` as `makeSasl` makes it.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerSasl = (options: SaslOptions): Layer.Layer<Backend.CacheBackend, Backend.BackendError> =>
  Layer.scoped(Backend.CacheBackend, makeSasl(options))

/**
 * `CacheBackend` as `makeSasl` makes it, with options from the configuration.
 *
 * @example
 * ```ts
 * import * as Memcached from "effect-caching/backends/Memcached"
 * import { Config } from "effect"
 *
 * const CacheLive = Memcached.layerSaslConfig({
 *   servers: Config.array(Config.string(), "CACHE_MEMCACHED_SERVERS"),
 *   username: Config.string("CACHE_MEMCACHED_USERNAME"),
 *   password: Config.redacted("CACHE_MEMCACHED_PASSWORD")
 * })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerSaslConfig = (
  options: Config.Config.Wrap<SaslOptions>
): Layer.Layer<Backend.CacheBackend, Backend.BackendError | ConfigError.ConfigError> =>
  Layer.scoped(
    Backend.CacheBackend,
    Effect.flatMap(Config.unwrap(options), (options) => fromConfig(makeSasl(options)))
  )

/**
 * `CacheBackend` over a client of yours, as `fromClient` makes it.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerFromClient = (client: Client, options?: ClientOptions): Layer.Layer<Backend.CacheBackend> =>
  Layer.scoped(Backend.CacheBackend, fromClient(client, options))

// -----------------------------------------------------------------------------
// the client
// -----------------------------------------------------------------------------

const settingsOf = ({ commandTimeout = 500, maxValueBytes, prefix = "cache:" }: ClientOptions): Settings => ({
  prefix,
  maxValueBytes: maxValueBytes === undefined
    ? Infinity
    : requireNumber("Memcached", "maxValueBytes", maxValueBytes, { min: 0 }),
  timeout: requireMillis("Memcached", "commandTimeout", commandTimeout)
})

const connected = (options: Options, isFatal: (failure: Failure) => boolean) =>
  Effect.suspend(() =>
    connect(settingsOf(options), {
      servers: options.servers ?? ["localhost:11211"],
      username: options.username,
      password: options.password && Redacted.value(options.password),
      isFatal
    })
  )
