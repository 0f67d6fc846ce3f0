/**
 * Entries in a Redis server, shared by every process that uses it. Needs
 * `ioredis` 5 or 6, and a server of version 6 or later.
 *
 * @since 1.0.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Redis, RedisOptions } from "ioredis"
import * as Backend from "../Backend.js"
import { fromConfig, requireMillis, requireNumber } from "../internal/options.js"
import { type Failure, failureOf } from "../internal/redis/failure.js"
import { BackOff, Link } from "../internal/redis/link.js"
import { operations, type Settings } from "../internal/redis/operations.js"

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
  /** Begins every key of the backend in the server; `clear("")` clears no other. Default: `"cache:"`. */
  readonly prefix?: string | undefined
  /** How long a command may take before it fails with `Timeout`. Default: 500 milliseconds. */
  readonly commandTimeout?: Duration.DurationInput | undefined
  /** The largest payload that is sent, in bytes; above, a write fails with `TooLarge`. Default: 64 MiB. */
  readonly maxValueBytes?: number | undefined
}

/**
 * Where the server is, and how it is used. What `url` says wins over `host`,
 * `port`, `path`, `db`, `username` and `password`.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options extends ClientOptions {
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
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  /** `true`, or the options of `tls.connect`. Default: no TLS, but with a `rediss://` url. */
  readonly tls?: boolean | RedisOptions["tls"]
  /** How long connecting may take, and how long `make` waits for the first answer. Default: 1 second. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * Whether `make` fails when the server does not answer or refuses the
   * credentials. Default: false; operations fail until it does answer.
   */
  readonly requireConnection?: boolean | undefined
  /** Anything else ioredis takes. What is named here wins over the options this module is safe with. */
  readonly options?: RedisOptions | undefined
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
    const settings = settingsOf(options)
    const commandTimeout = commandTimeoutOf(options)
    const connectTimeout = requireMillis("Redis", "connectTimeout", options.connectTimeout ?? 1_000)
    const { Redis } = yield* load
    const link = yield* Effect.acquireRelease(
      Effect.flatMap(clientArguments(options, connectTimeout), ({ args, backOff }) =>
        Effect.try({
          try: () => new Link(new Redis(...args), commandTimeout, backOff),
          catch: () => errorOf("connect")({ reason: "InvalidInput", description: "ioredis refused the options" })
        })),
      (link) => Effect.promise(() => link.end())
    )
    // Outside of the acquisition, so that it can be interrupted.
    const connected = firstOutcome(link, connectTimeout)
    yield* options.requireConnection === true ? connected : Effect.ignore(connected)
    return yield* Backend.make(operations(link, settings))
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
    const settings = settingsOf(options)
    return Effect.acquireRelease(
      Effect.sync(() => new Link(client, commandTimeoutOf(options))),
      (link) => Effect.sync(() => link.close())
    ).pipe(Effect.flatMap((link) => Backend.make(operations(link, settings))))
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

const name = "redis"

const errorOf = (method: string) => (failure: Failure): Backend.BackendError =>
  new Backend.BackendError({ backend: name, method, ...failure })

const settingsOf = (options: ClientOptions): Settings => ({
  name,
  errorOf,
  prefix: options.prefix ?? "cache:",
  maxValueBytes: requireNumber("Redis", "maxValueBytes", options.maxValueBytes ?? 64 * 1024 * 1024, { min: 0 })
})

const commandTimeoutOf = (options: ClientOptions): number =>
  requireMillis("Redis", "commandTimeout", options.commandTimeout ?? 500)

const load = Effect.tryPromise({
  try: () => import("ioredis"),
  catch: (error) =>
    errorOf("connect")({
      ...failureOf(error),
      reason: "Unknown",
      description: "effect-caching/backends/Redis needs ioredis: npm install ioredis@5"
    })
})

const clientArguments = (options: Options, connectTimeout: number) =>
  Effect.suspend(() => {
    const { db, host, password, path, port, tls, username } = options
    const url = Redacted.isRedacted(options.url) ? Redacted.value(options.url) : options.url
    if (url !== undefined && !isUrl(url)) {
      return Effect.fail(errorOf("connect")({ reason: "InvalidInput", description: "the url is not a redis url" }))
    }
    const backOff = new BackOff()
    const clientOptions: RedisOptions = {
      // A lost reply is a failure, never a second try; nothing is kept to be sent later.
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      retryStrategy: backOff.next,
      connectTimeout,
      disconnectTimeout: 100,
      // The link asks for a first answer itself; ioredis' way prints where INFO is not permitted, and waits out a load.
      enableReadyCheck: false,
      disableClientInfo: true,
      keepAlive: 10_000,
      // ioredis 6 would speak RESP3; one protocol for both.
      ...({ protocol: 2 } as object),
      ...options.options,
      ...withoutUndefined({ db, host, password: password && Redacted.value(password), path, port, username }),
      ...(tls === undefined || tls === false ? {} : { tls: tls === true ? {} : tls }),
      lazyConnect: true
    }
    const args: [any] = url === undefined ? [clientOptions] : [url, clientOptions] as any
    return Effect.succeed({ args, backOff })
  })

const isUrl = (url: string): boolean => url.startsWith("/") || (/^rediss?:\/\//.test(url) && URL.canParse(url))

const withoutUndefined = <A extends object>(record: A): { [K in keyof A]: NonNullable<A[K]> } =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as any

const firstOutcome = (link: Link, timeout: number): Effect.Effect<void, Backend.BackendError> =>
  Effect.async((resume) => {
    const settle = (failure: Failure | undefined) => {
      clearTimeout(timer)
      resume(failure === undefined ? Effect.void : Effect.fail(errorOf("connect")(failure)))
    }
    const timer = setTimeout(() => settle({ reason: "Timeout" }), timeout)
    const stop = link.onOutcome(settle)
    return Effect.sync(() => {
      clearTimeout(timer)
      stop()
    })
  })
