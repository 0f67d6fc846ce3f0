/**
 * Entries in a Redis Cluster, shared by every process that uses it. Needs
 * `ioredis` 5 or 6, and servers of version 6 or later.
 *
 * @since 1.0.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Cluster, Redis, RedisOptions } from "ioredis"
import * as Backend from "../Backend.js"
import { fromConfig, requireMillis } from "../internal/options.js"
import * as Client from "../internal/redis/client.js"
import { ClusterNodes } from "../internal/redis/clusterNodes.js"
import { ForeignNodes } from "../internal/redis/foreignNodes.js"
import { BackOff, Link } from "../internal/redis/link.js"
import { operations } from "../internal/redis/operations.js"
import { Router } from "../internal/redis/router.js"

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
 * Where the cluster is, and how it is used. All servers take the same
 * credentials.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options extends Client.ConnectionOptions {
  /** Some of the servers, to find the others from: `"host:port"` or `"host"`. A port left out is 6379. */
  readonly nodes: ReadonlyArray<string | { readonly host: string; readonly port?: number | undefined }>
  /**
   * Where this process reaches servers that announce another address, by that
   * address: `{ "10.0.0.1:6379": { host: "localhost", port: 7001 } }`.
   */
  readonly natMap?: Readonly<Record<string, { readonly host: string; readonly port: number }>> | undefined
  /**
   * How often the servers are asked who has which slot while nothing tells of a
   * change; while something does, ten times a second. Default: 5 seconds.
   */
  readonly slotsRefreshInterval?: Duration.DurationInput | undefined
  /** Anything else ioredis takes, for every connection. */
  readonly options?: Omit<RedisOptions, "host" | "port" | "path" | "db" | "sentinels" | "name" | "role"> | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A backend in a Redis Cluster, over one connection to each master, which end
 * with the scope.
 *
 * What is read or written together goes out in one write per master. A command
 * whose key has moved, or is on its way, is sent to where it went, within
 * `commandTimeout`: a slot may change hands under load without an error. No
 * other command is ever sent twice: one whose reply was lost fails with
 * `Connection` or `Timeout`, and may have run.
 *
 * While a master cannot be reached, operations on its keys fail, at once or
 * after `commandTimeout`, until it is back or the cluster has put a replica in
 * its place; those on other keys go on. `getMany`, `setMany`, `removeMany` and
 * `invalidateTags` fail where one of their keys does, and may be half done then.
 * A cluster that replaces a master may lose the newest writes to it, and with
 * them invalidations: values that must not outlive one need a short
 * `timeToLive`.
 *
 * Expiry is told by the `Clock` of this process; `clear` scans every master and
 * never blocks it; what others store under the prefix while it runs may stay.
 *
 * Dies with `InvalidOption` where an option cannot be meant. Fails where
 * `ioredis` is not installed, or no server answers and `requireConnection` is set.
 *
 * @example
 * ```ts
 * import * as RedisCluster from "effect-caching/backends/RedisCluster"
 * import { Effect, Redacted } from "effect"
 *
 * const program = Effect.scoped(
 *   Effect.gen(function*() {
 *     const backend = yield* RedisCluster.make({
 *       nodes: ["cache-1.internal:6379", "cache-2.internal:6379"],
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
    const seeds = Client.requireAddresses(module, "nodes", options.nodes, 6379).map(({ host, port }) =>
      `${host}:${port}`
    )
    const refreshInterval = requireMillis(module, "slotsRefreshInterval", options.slotsRefreshInterval ?? 5_000)
    const { Redis } = yield* Client.load(module, kit)
    const connect = (host: string, port: number, onDown: () => void) => {
      const backOff = new BackOff()
      const client: Redis = new Redis({ ...Client.redisOptions(options, connectTimeout, backOff), host, port, db: 0 })
      return new Link(client, commandTimeout, { backOff, onDown })
    }
    const { nodes, router } = yield* Effect.acquireRelease(
      Client.refusing(() => {
        const nodes = new ClusterNodes({
          seeds,
          natMap: options.natMap ?? {},
          connect,
          commandTimeout,
          refreshInterval
        })
        return { nodes, router: new Router(nodes, commandTimeout, options.options?.keyPrefix ?? "") }
      }, kit),
      ({ router }) => Effect.promise(() => router.close())
    )
    // Outside of the acquisition, so that it can be interrupted.
    yield* Client.connected(nodes.onOutcome, connectTimeout, options, kit)
    return yield* Backend.make(operations(router, kit.settings))
  })

/**
 * A backend over a client that stays yours: it is not connected, configured,
 * reconnected or closed here, and must stay open for as long as the scope. What
 * it knows of the cluster is used, and its connections to the masters; keys are
 * sent to them as they are, so a `keyPrefix` counts in `redisOptions` only.
 *
 * Make the client with `redisOptions: { maxRetriesPerRequest: 0 }` and a
 * `slotsRefreshInterval`: without the latter it never leaves a master that has
 * fallen silent. Operations fail until it is connected.
 *
 * @example
 * ```ts
 * import * as RedisCluster from "effect-caching/backends/RedisCluster"
 * import { Effect } from "effect"
 * import type { Cluster } from "ioredis"
 *
 * const program = (client: Cluster) =>
 *   Effect.scoped(
 *     Effect.flatMap(RedisCluster.fromClient(client, { prefix: "shop:" }), (backend) => backend.has("user:1"))
 *   )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const fromClient = (
  client: Cluster,
  options: ClientOptions = {}
): Effect.Effect<Backend.Backend, never, Scope.Scope> =>
  Effect.suspend(() => {
    const { commandTimeout, settings } = Client.kitOf(module, name, options)
    const keyPrefix = client.options.redisOptions?.keyPrefix ?? ""
    return Effect.acquireRelease(
      Effect.sync(() => new Router(new ForeignNodes(client, commandTimeout), commandTimeout, keyPrefix)),
      (router) => Effect.promise(() => router.close())
    ).pipe(Effect.flatMap((router) => Backend.make(operations(router, settings))))
  })

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * `CacheBackend` as `make` makes it.
 *
 * @example
 * ```ts
 * import * as RedisCluster from "effect-caching/backends/RedisCluster"
 *
 * const CacheLive = RedisCluster.layer({ nodes: ["cache-1:6379", "cache-2:6379"], prefix: "shop:" })
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
 * import * as RedisCluster from "effect-caching/backends/RedisCluster"
 * import { Config } from "effect"
 *
 * const CacheLive = RedisCluster.layerConfig({
 *   nodes: Config.array(Config.string(), "CACHE_REDIS_CLUSTER"),
 *   password: Config.redacted("CACHE_REDIS_PASSWORD")
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

/**
 * `CacheBackend` over a client of yours, as `fromClient` makes it.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerFromClient = (client: Cluster, options?: ClientOptions): Layer.Layer<Backend.CacheBackend> =>
  Layer.scoped(Backend.CacheBackend, fromClient(client, options))

const module = "RedisCluster"
const name = "redis-cluster"
