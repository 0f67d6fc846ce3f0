/**
 * Entries in the Redis server that sentinels name the master, shared by every
 * process that uses it. Needs `ioredis` 5 or 6, and servers of version 6 or later.
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
import { fromConfig, InvalidOption } from "../internal/options.js"
import * as Client from "../internal/redis/client.js"
import { BackOff, Link } from "../internal/redis/link.js"
import { operations } from "../internal/redis/operations.js"
import { Router } from "../internal/redis/router.js"
import { SentinelNodes } from "../internal/redis/sentinelNodes.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Where the sentinels are, whom they watch, and how that server is used.
 * `username`, `password`, `tls` and `options` are for the server, not for the
 * sentinels.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options extends Client.ConnectionOptions {
  /** All of the sentinels: `"host:port"` or `"host"`. A port left out is 26379. */
  readonly sentinels: ReadonlyArray<string | { readonly host: string; readonly port?: number | undefined }>
  /** The name that the sentinels have for the master. Default: `"mymaster"`. */
  readonly master?: string | undefined
  /**
   * Where `get` and `getMany` read: `"slave"` is a replica, as long as there is a
   * good one. What it answers is as old as the replica is behind, so an entry may
   * be served for that long after it was removed; everything else, tags
   * included, goes to the master. Default: `"master"`.
   */
  readonly role?: "master" | "slave" | undefined
  readonly sentinelUsername?: string | undefined
  readonly sentinelPassword?: Redacted.Redacted<string> | undefined
  /** `true`, or the options of `tls.connect`, for the connections to the sentinels. Default: no TLS. */
  readonly sentinelTls?: boolean | RedisOptions["tls"]
  /** The number of the database. Default: 0. */
  readonly db?: number | undefined
  /**
   * Where this process reaches servers that the sentinels know by another
   * address, by that address: `{ "10.0.0.1:6379": { host: "localhost", port: 7001 } }`.
   */
  readonly natMap?: Readonly<Record<string, { readonly host: string; readonly port: number }>> | undefined
  /** Anything else ioredis takes, for the connection to the server. */
  readonly options?: Omit<RedisOptions, "host" | "port" | "path" | "sentinels" | "name" | "role"> | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A backend in the master that the sentinels name, over connections of its own
 * that end with the scope: one to every sentinel, and one to the server.
 *
 * All sentinels are asked twice a second, and ten times while the master cannot
 * be used; what most lately was agreed on counts, and a server is used if it
 * says itself that it is a master. So a failover is followed within a second of
 * it, whatever has become of the old master and of some of the sentinels. Until
 * then every operation fails, at once or after `commandTimeout`, and a memoized
 * call loads. No command is ever sent twice: one whose reply was lost fails with
 * `Connection` or `Timeout`, and may have run.
 *
 * A failover may lose the newest writes to the old master, and with them
 * invalidations: values that must not outlive one need a short `timeToLive`.
 *
 * Expiry is told by the `Clock` of this process; `clear` scans and never blocks
 * the server; what others store under the prefix while it runs may stay.
 *
 * Dies with `InvalidOption` where an option cannot be meant. Fails where
 * `ioredis` is not installed, or no master answers and `requireConnection` is set.
 *
 * @example
 * ```ts
 * import * as RedisSentinel from "effect-caching/backends/RedisSentinel"
 * import { Effect, Redacted } from "effect"
 *
 * const program = Effect.scoped(
 *   Effect.gen(function*() {
 *     const backend = yield* RedisSentinel.make({
 *       sentinels: ["sentinel-1.internal", "sentinel-2.internal", "sentinel-3.internal"],
 *       master: "cache",
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
export const make = (options: Options): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> =>
  Effect.gen(function*() {
    const kit = Client.kitOf(module, name, options)
    const { commandTimeout } = kit
    const connectTimeout = Client.connectTimeoutOf(module, options)
    const sentinels = Client.requireAddresses(module, "sentinels", options.sentinels, 26379)
    const master = requireName(options.master ?? "mymaster")
    const wantsReplica = requireRole(options.role ?? "master") === "slave"
    const { Redis } = yield* Client.load(module, kit)
    const connect = (role: "master" | "slave", host: string, port: number, onDown: () => void) => {
      const backOff = new BackOff()
      const client: Redis = new Redis({
        ...Client.redisOptions(options, connectTimeout, backOff),
        ...Client.withoutUndefined({ db: options.db }),
        host,
        port
      })
      return new Link(client, commandTimeout, { backOff, role, onDown })
    }
    const { sentinelPassword: password, sentinelTls: tls, sentinelUsername: username } = options
    const connectToSentinel = (host: string, port: number) => {
      const backOff = new BackOff()
      const client: Redis = new Redis({
        ...Client.redisOptions({ password, tls, username }, connectTimeout, backOff),
        host,
        port
      })
      return new Link(client, commandTimeout, { backOff })
    }
    const { nodes, router } = yield* Effect.acquireRelease(
      Client.refusing(() => {
        const natMap = options.natMap ?? {}
        const parts = { sentinels, master, wantsReplica, natMap, connectToSentinel, connect, commandTimeout }
        const nodes = new SentinelNodes(parts)
        return { nodes, router: new Router(nodes, commandTimeout, options.options?.keyPrefix ?? "") }
      }, kit),
      ({ router }) => Effect.promise(() => router.close())
    )
    // Outside of the acquisition, so that it can be interrupted.
    yield* Client.connected(nodes.onOutcome, connectTimeout, options, kit)
    return yield* Backend.make(operations(router, kit.settings))
  })

const requireName = (value: string): string => {
  if (typeof value === "string" && value !== "") return value
  throw new InvalidOption({ module, option: "master", value, expected: "the name of a master" })
}

const requireRole = (value: string): string => {
  if (value === "master" || value === "slave") return value
  throw new InvalidOption({ module, option: "role", value, expected: `"master" or "slave"` })
}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * `CacheBackend` as `make` makes it.
 *
 * @example
 * ```ts
 * import * as RedisSentinel from "effect-caching/backends/RedisSentinel"
 *
 * const CacheLive = RedisSentinel.layer({ sentinels: ["sentinel-1:26379", "sentinel-2:26379"], prefix: "shop:" })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Backend.CacheBackend, Backend.BackendError> =>
  Layer.scoped(Backend.CacheBackend, make(options))

/**
 * `CacheBackend` with options from the configuration.
 *
 * @example
 * ```ts
 * import * as RedisSentinel from "effect-caching/backends/RedisSentinel"
 * import { Config } from "effect"
 *
 * const CacheLive = RedisSentinel.layerConfig({
 *   sentinels: Config.array(Config.string(), "CACHE_REDIS_SENTINELS"),
 *   master: Config.string("CACHE_REDIS_SENTINEL_MASTER"),
 *   password: Config.redacted("CACHE_REDIS_PASSWORD"),
 *   sentinelPassword: Config.redacted("CACHE_REDIS_SENTINEL_PASSWORD")
 * })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Backend.CacheBackend, Backend.BackendError | ConfigError.ConfigError> =>
  Layer.scoped(Backend.CacheBackend, Effect.flatMap(Config.unwrap(options), (options) => fromConfig(make(options))))

const module = "RedisSentinel"
const name = "redis-sentinel"
