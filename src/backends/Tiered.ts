/**
 * Two backends as one: a local tier in this process in front of a remote one that
 * processes share.
 *
 * @since 1.0.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Backend from "../Backend.js"
import { fromConfig, InvalidOption, requireMillis } from "../internal/options.js"
import { LocalTier } from "../internal/tiered/localTier.js"
import { Messenger } from "../internal/tiered/messenger.js"
import * as observe from "../internal/tiered/observe.js"
import { operations } from "../internal/tiered/operations.js"
import { type Bus, InvalidationBus } from "../InvalidationBus.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * How the local tier is used.
 *
 * @since 1.0.0
 * @category models
 */
export interface Settings {
  /**
   * The longest that an entry is served from the local tier before the remote one
   * is asked again: how long this process may miss a change that another one made,
   * where no bus tells it. More than zero, and finite. Default: 10 seconds.
   */
  readonly localTimeToLive?: Duration.DurationInput | undefined
}

/**
 * Two backends, and a bus.
 *
 * @since 1.0.0
 * @category models
 */
export interface Tiers extends Settings {
  /** The backend in this process. No other may use it: whatever is in it is dropped at need. */
  readonly local: Backend.Backend
  readonly remote: Backend.Backend
  /** Tells other processes of changes made here, and this one of theirs. Default: none. */
  readonly bus?: Bus | undefined
}

/**
 * The layers of two backends, and of a bus, and how they are used.
 *
 * @since 1.0.0
 * @category models
 */
export interface Layers<E1, R1, E2, R2, E3, R3> extends Settings, TierLayers<E1, R1, E2, R2, E3, R3> {}

/**
 * The layers of two backends, and of a bus, without what the configuration says.
 *
 * @since 1.0.0
 * @category models
 */
export interface TierLayers<E1, R1, E2, R2, E3, R3> {
  /** The backend in this process. Built anew for these tiers alone. */
  readonly local: Layer.Layer<Backend.CacheBackend, E1, R1>
  readonly remote: Layer.Layer<Backend.CacheBackend, E2, R2>
  /** Tells other processes of changes made here, and this one of theirs. Default: none. */
  readonly bus?: Layer.Layer<InvalidationBus, E3, R3> | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A backend that reads `local` before `remote` and writes `remote` before `local`.
 * What is shared stays in `remote`: leases, counters and tag versions; a change
 * is made there, then here.
 *
 * A fresh entry is copied into `local` when it is read or written, for at most
 * `localTimeToLive`; it is decoded once. A change made in this process takes effect
 * in both tiers before it returns. One made in another process takes effect here
 * when the bus tells of it, within a round trip, and within `localTimeToLive` where
 * there is no bus or it is down. After every loss of its connection `local` is
 * dropped as a whole, and what could not be told is told when the bus is back. A
 * bus that is down makes no operation fail; see the metrics of `InvalidationBus`.
 *
 * The same bound holds for what a load reads from `local`: use a bus, or a short
 * `localTimeToLive`, where values are made of values that other processes change.
 *
 * @example
 * ```ts
 * import { Backend, InvalidationBus } from "effect-caching"
 * import * as Memory from "effect-caching/backends/Memory"
 * import * as Tiered from "effect-caching/backends/Tiered"
 * import { Effect } from "effect"
 *
 * const program = (remote: Backend.Backend, bus: InvalidationBus.Bus) =>
 *   Effect.scoped(
 *     Effect.gen(function*() {
 *       const local = yield* Memory.make({ maxEntries: 50_000 })
 *       const backend = yield* Tiered.make({ local, remote, bus, localTimeToLive: "1 minute" })
 *       return yield* backend.get("user:1")
 *     })
 *   )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (tiers: Tiers): Effect.Effect<Backend.Backend, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { bus, local, remote } = tiers
    const localTier = new LocalTier(local, localMillisOf(tiers))
    const messenger = bus && new Messenger(bus, localTier.receiver)
    yield* Effect.forkScoped(localTier.follow)
    if (messenger !== undefined) {
      yield* Effect.forkScoped(messenger.publish)
      yield* messenger.hear
    }
    return yield* Backend.make(operations("tiered", remote, localTier, local.unsafe !== undefined, messenger))
  })

const localMillisOf = ({ localTimeToLive = "10 seconds" }: Settings): number => {
  const millis = requireMillis("Tiered", "localTimeToLive", localTimeToLive)
  if (millis > 0 && millis < Infinity) return millis
  throw new InvalidOption({
    module: "Tiered",
    option: "localTimeToLive",
    value: localTimeToLive,
    expected: "more than zero, and finite"
  })
}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

class Local extends Context.Tag("effect-caching/Tiered/Local")<Local, Backend.Backend>() {}
class Remote extends Context.Tag("effect-caching/Tiered/Remote")<Remote, Backend.Backend>() {}

/**
 * Two backends as the one that caches use, as `make` makes it.
 *
 * @example
 * ```ts
 * import * as Memory from "effect-caching/backends/Memory"
 * import * as Redis from "effect-caching/backends/Redis"
 * import * as RedisBus from "effect-caching/backends/RedisBus"
 * import * as Tiered from "effect-caching/backends/Tiered"
 *
 * const url = "redis://localhost:6379"
 *
 * const CacheLive = Tiered.layer({
 *   local: Memory.layer(),
 *   remote: Redis.layer({ url }),
 *   bus: RedisBus.layer({ url }),
 *   localTimeToLive: "1 minute"
 * })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = <E1, R1, E2, R2, E3 = never, R3 = never>(
  layers: Layers<E1, R1, E2, R2, E3, R3>
): Layer.Layer<Backend.CacheBackend, E1 | E2 | E3, R1 | R2 | R3> => {
  const { bus, local, remote, ...settings } = layers
  return layerWith({ bus, local, remote }, (tiers) => make({ ...settings, ...tiers }))
}

/**
 * Like `layer`, with the settings from the configuration.
 *
 * @example
 * ```ts
 * import { CacheConfig, Memory } from "effect-caching"
 * import * as Redis from "effect-caching/backends/Redis"
 * import * as RedisBus from "effect-caching/backends/RedisBus"
 * import * as Tiered from "effect-caching/backends/Tiered"
 * import { Config } from "effect"
 *
 * const url = Config.redacted("CACHE_REDIS_URL")
 *
 * // CACHE_TYPE=TieredCache CACHE_REDIS_URL=redis://localhost:6379 CACHE_LOCAL_TIMEOUT="1 minute" node main.js
 * const CacheLive = CacheConfig.layerWith({
 *   TieredCache: Tiered.layerConfig(
 *     { local: Memory.layer(), remote: Redis.layerConfig({ url }), bus: RedisBus.layerConfig({ url }) },
 *     { localTimeToLive: Config.duration("CACHE_LOCAL_TIMEOUT") }
 *   )
 * })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerConfig = <E1, R1, E2, R2, E3 = never, R3 = never>(
  layers: TierLayers<E1, R1, E2, R2, E3, R3>,
  settings: Config.Config.Wrap<Settings>
): Layer.Layer<Backend.CacheBackend, E1 | E2 | E3 | ConfigError.ConfigError, R1 | R2 | R3> =>
  layerWith(
    layers,
    (tiers) => Effect.flatMap(Config.unwrap(settings), (settings) => fromConfig(make({ ...settings, ...tiers })))
  )

const layerWith = <E, E1, R1, E2, R2, E3, R3>(
  { bus, local, remote }: TierLayers<E1, R1, E2, R2, E3, R3>,
  make: (tiers: Tiers) => Effect.Effect<Backend.Backend, E, Scope.Scope>
): Layer.Layer<Backend.CacheBackend, E | E1 | E2 | E3, R1 | R2 | R3> => {
  const tiers = Layer.mergeAll(
    Layer.map(Layer.fresh(local), (context) => Context.make(Local, Context.get(context, Backend.CacheBackend))),
    Layer.map(remote, (context) => Context.make(Remote, Context.get(context, Backend.CacheBackend)))
  )
  const makeWith = (bus: Bus | undefined) =>
    Effect.flatMap(Effect.all([Local, Remote]), ([local, remote]) => make({ local, remote, bus }))
  return bus === undefined
    ? Layer.scoped(Backend.CacheBackend, makeWith(undefined)).pipe(Layer.provide(tiers))
    : Layer.scoped(Backend.CacheBackend, Effect.flatMap(InvalidationBus, makeWith)).pipe(
      Layer.provide(tiers),
      Layer.provide(bus)
    )
}

// -----------------------------------------------------------------------------
// metrics
// -----------------------------------------------------------------------------

/**
 * How often a whole local tier was dropped, by `backend`.
 *
 * @since 1.0.0
 * @category metrics
 */
export const drops = observe.drops

/**
 * Operations of a local tier that failed behind a read, which went on to the
 * remote one, by `backend`.
 *
 * @since 1.0.0
 * @category metrics
 */
export const localFaults = observe.localFaults
