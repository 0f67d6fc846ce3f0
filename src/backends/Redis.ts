/**
 * Entries in a Redis server, shared by every process that uses it. Needs
 * `ioredis` 5 or 6, and a server of version 6 or later.
 *
 * @since 1.0.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Redis, RedisOptions } from "ioredis"
import * as Backend from "../Backend.js"
import { fromConfig } from "../internal/options.js"
import * as Client from "../internal/redis/client.js"
import { Link } from "../internal/redis/link.js"
import { oneServer } from "../internal/redis/oneServer.js"
import { operations } from "../internal/redis/operations.js"
import { one } from "../internal/redis/servers.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * How a client is used.
 *
 * @since 1.0.0
 * @category models
 */
export interface ClientOptions extends Client.ClientOptions {}

/**
 * Where the server is, and how it is used. What `url` says wins over `host`,
 * `port`, `path`, `db`, `username` and `password`.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options extends Client.ConnectionOptions {
  /** `redis://[[username]:password@]host[:port][/db]`, `rediss://` for TLS, or the path of a Unix socket. */
  readonly url?: string | Redacted.Redacted<string> | undefined
  /** Default: `"localhost"`. */
  readonly host?: string | undefined
  /** Default: 6379. */
  readonly port?: number | undefined
  /** The path of a Unix socket, instead of a host and a port. */
  readonly path?: string | undefined
  /** The number of the database. Default: 0. */
  readonly db?: number | undefined
  /** `true`, or the options of `tls.connect`. Default: no TLS, but with a `rediss://` url. */
  readonly tls?: boolean | RedisOptions["tls"]
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A backend in a Redis server, over a connection of its own that ends with the scope.
 *
 * While the server cannot be reached every operation fails, at once or after
 * `commandTimeout`, and a memoized call loads; the connection is made again
 * within a second of the server's return. No command is ever sent twice: one
 * whose reply was lost fails with `Connection` or `Timeout`, and may have run.
 * A `set` that fails with `TooLarge` leaves what is stored as it was.
 *
 * Expiry is told by the `Clock` of this process, so the clocks of the processes
 * that share a server should agree; the server's own time-outs only reclaim
 * space, and end leases. `clear` scans and never blocks the server: what other
 * processes store under the prefix while it runs may stay.
 *
 * Fails where `ioredis` is not installed, the url is not one, or the server does
 * not answer and `requireConnection` is set.
 *
 * @example
 * ```ts
 * import * as Redis from "effect-caching/backends/Redis"
 * import { Effect, Redacted } from "effect"
 *
 * const program = Effect.scoped(
 *   Effect.gen(function*() {
 *     const backend = yield* Redis.make({
 *       host: "cache.internal",
 *       password: Redacted.make("secret"),
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
  Effect.gen(function*() {
    const kit = Client.kitOf(module, name, options)
    const connectTimeout = Client.connectTimeoutOf(module, options)
    const { Redis } = yield* Client.load(module, kit)
    const link = yield* Effect.acquireRelease(
      Effect.flatMap(
        oneServer(options, connectTimeout, kit),
        ({ backOff, clientOf }) =>
          Client.refusing(() => new Link(clientOf(Redis), kit.commandTimeout, { backOff }), kit)
      ),
      (link) => Effect.promise(() => link.end())
    )
    // Outside of the acquisition, so that it can be interrupted.
    yield* Client.connected((listener) => link.onOutcome(listener), connectTimeout, options, kit, link.late)
    return yield* Backend.make(operations(one(link), kit.settings))
  })

/**
 * A backend over a client that stays yours: it is not connected, configured,
 * reconnected or closed here, and must stay open for as long as the scope.
 *
 * Make the client with `maxRetriesPerRequest: 0` and `enableOfflineQueue: false`,
 * or ioredis runs commands twice and long after they have failed.
 *
 * @example
 * ```ts
 * import * as Redis from "effect-caching/backends/Redis"
 * import { Effect } from "effect"
 * import { Redis as Client } from "ioredis"
 *
 * const program = (client: Client) =>
 *   Effect.scoped(Effect.flatMap(Redis.fromClient(client, { prefix: "shop:" }), (backend) => backend.has("user:1")))
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const fromClient = (
  client: Redis,
  options: ClientOptions = {}
): Effect.Effect<Backend.Backend, never, Scope.Scope> =>
  Effect.suspend(() => {
    const { commandTimeout, settings } = Client.kitOf(module, name, options)
    return Effect.acquireRelease(
      Effect.sync(() => new Link(client, commandTimeout)),
      (link) => Effect.sync(() => link.close())
    ).pipe(Effect.flatMap((link) => Backend.make(operations(one(link), settings))))
  })

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * `CacheBackend` as `make` makes it.
 *
 * @example
 * ```ts
 * import * as Redis from "effect-caching/backends/Redis"
 *
 * const CacheLive = Redis.layer({ url: "redis://localhost:6379", prefix: "shop:" })
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
 * import * as Redis from "effect-caching/backends/Redis"
 * import { Config } from "effect"
 *
 * const CacheLive = Redis.layerConfig({ url: Config.redacted("CACHE_REDIS_URL") })
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
 * `CacheBackend` over a client of yours, as `fromClient` makes it.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerFromClient = (client: Redis, options?: ClientOptions): Layer.Layer<Backend.CacheBackend> =>
  Layer.scoped(Backend.CacheBackend, fromClient(client, options))

// -----------------------------------------------------------------------------
// the client
// -----------------------------------------------------------------------------

const module = "Redis"
const name = "redis"
