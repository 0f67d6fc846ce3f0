/**
 * An invalidation bus over the publish and subscribe commands of Redis. Needs
 * `ioredis` 5 or 6.
 *
 * @since 1.0.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { RedisOptions } from "ioredis"
import type { BackendError } from "../Backend.js"
import { EventBus } from "../CacheEvents.js"
import { fromConfig, InvalidOption, requireMillis } from "../internal/options.js"
import * as Client from "../internal/redis/client.js"
import { Link } from "../internal/redis/link.js"
import { oneServer } from "../internal/redis/oneServer.js"
import { Subscriber } from "../internal/redis/subscriber.js"
import { type Bus, InvalidationBus } from "../InvalidationBus.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Where the server is, and how it is used. What `url` says wins over `host`,
 * `port`, `path`, `username` and `password`.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options extends Omit<Client.ConnectionOptions, "prefix" | "maxValueBytes"> {
  /** `redis://[[username]:password@]host[:port]`, `rediss://` for TLS, or the path of a Unix socket. */
  readonly url?: string | Redacted.Redacted<string> | undefined
  /** Default: `"localhost"`. */
  readonly host?: string | undefined
  /** Default: 6379. */
  readonly port?: number | undefined
  /** The path of a Unix socket, instead of a host and a port. */
  readonly path?: string | undefined
  /** `true`, or the options of `tls.connect`. Default: no TLS, but with a `rediss://` url. */
  readonly tls?: boolean | RedisOptions["tls"]
  /**
   * What the messages are published under. The databases of a server share their
   * channels: programs that share none of their entries need one each. Default: `"cache:invalidations"`.
   */
  readonly channel?: string | undefined
  /** How often the subscribed connection is asked whether it is still one. Default: 2 seconds. */
  readonly pingInterval?: Duration.DurationInput | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A bus over a Redis server, with a connection to publish and one for each
 * subscription; all end with their scopes.
 *
 * Both are made again within a second of the server's return. A connection that
 * has fallen silent is found within `pingInterval` and `commandTimeout`. The server
 * may be another than the one that keeps the entries, and any node of a cluster.
 *
 * @example
 * ```ts
 * import * as RedisBus from "effect-caching/backends/RedisBus"
 * import { Effect } from "effect"
 *
 * const program = Effect.scoped(
 *   Effect.gen(function*() {
 *     const bus = yield* RedisBus.make({ url: "redis://localhost:6379", channel: "shop:invalidations" })
 *     yield* bus.publish("a message")
 *   })
 * )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Bus, BackendError, Scope.Scope> =>
  Effect.gen(function*() {
    const { channel = "cache:invalidations" } = options
    const kit = Client.kitOf(module, name, options)
    const connectTimeout = Client.connectTimeoutOf(module, options)
    const pingInterval = pingIntervalOf(options)
    const { Redis } = yield* Client.load(module, kit)
    // It subscribes anew itself, and says when it has.
    const subscribing = { ...options, options: { ...options.options, autoResubscribe: false } }
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
    const bus: Bus = {
      name,
      publish: (message) =>
        Effect.async((resume) =>
          link.send("publish", [channel, message], (failure) =>
            resume(failure === undefined ? Effect.void : Effect.fail(kit.errorOf("publish")(failure))))
        ),
      subscribe: (listener) =>
        Effect.gen(function*() {
          // The options have made a client before.
          const { backOff, clientOf } = yield* Effect.orDie(oneServer(subscribing, connectTimeout, kit))
          const subscriber = yield* Effect.acquireRelease(
            Effect.sync(() =>
              new Subscriber(clientOf(Redis), {
                ...listener,
                channel,
                backOff,
                timeout: kit.commandTimeout,
                pingInterval
              })
            ),
            (subscriber) =>
              Effect.promise(() => subscriber.end())
          )
          yield* Effect.ignore(
            Client.connected((listener) => subscriber.onOutcome(listener), connectTimeout, options, kit)
          )
        })
    }
    return bus
  })

const module = "RedisBus"
const name = "redis"

const pingIntervalOf = ({ pingInterval = "2 seconds" }: Options): number => {
  const millis = requireMillis(module, "pingInterval", pingInterval)
  if (millis > 0 && millis < Infinity) return millis
  throw new InvalidOption({
    module,
    option: "pingInterval",
    value: pingInterval,
    expected: "more than zero, and finite"
  })
}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * `InvalidationBus` as `make` makes it.
 *
 * @example
 * ```ts
 * import * as RedisBus from "effect-caching/backends/RedisBus"
 *
 * const BusLive = RedisBus.layer({ url: "redis://localhost:6379" })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<InvalidationBus, BackendError> =>
  Layer.scoped(InvalidationBus, make(options))

/**
 * `InvalidationBus` with options from the configuration.
 *
 * @example
 * ```ts
 * import * as RedisBus from "effect-caching/backends/RedisBus"
 * import { Config } from "effect"
 *
 * const BusLive = RedisBus.layerConfig({ url: Config.redacted("CACHE_REDIS_URL") })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<InvalidationBus, BackendError | ConfigError.ConfigError> =>
  Layer.scoped(InvalidationBus, Effect.flatMap(Config.unwrap(options), (options) => fromConfig(make(options))))

/**
 * The bus of `CacheEvents` as `make` makes it, on the channel `"cache:events"` by default.
 *
 * @example
 * ```ts
 * import * as RedisBus from "effect-caching/backends/RedisBus"
 *
 * const EventsLive = RedisBus.layerEvents({ url: "redis://localhost:6379" })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerEvents = (options: Options = {}): Layer.Layer<EventBus, BackendError> =>
  Layer.scoped(EventBus, make(onEventChannel(options)))

/**
 * The bus of `CacheEvents` with options from the configuration.
 *
 * @example
 * ```ts
 * import * as RedisBus from "effect-caching/backends/RedisBus"
 * import { Config } from "effect"
 *
 * const EventsLive = RedisBus.layerEventsConfig({ url: Config.redacted("CACHE_REDIS_URL") })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerEventsConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<EventBus, BackendError | ConfigError.ConfigError> =>
  Layer.scoped(
    EventBus,
    Effect.flatMap(Config.unwrap(options), (options) => fromConfig(make(onEventChannel(options))))
  )

const onEventChannel = (options: Options): Options => ({ ...options, channel: options.channel ?? "cache:events" })
