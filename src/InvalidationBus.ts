/**
 * How processes tell each other what they have changed: the transport between
 * the local tiers of `Tiered` backends. It carries short texts, in which there are
 * names of keys and tags and never a value.
 *
 * @since 1.0.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { BackendError } from "./Backend.js"
import * as observe from "./internal/tiered/observe.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Who hears a bus. The functions return at once and do not throw.
 *
 * @since 1.0.0
 * @category models
 */
export interface Listener {
  readonly onMessage: (message: string) => void
  /** From now on messages arrive. Those from before, since the subscription was made or was lost, may never. */
  readonly onSubscribed: () => void
  /** From now on messages may be missed, until `onSubscribed`. */
  readonly onLost: () => void
}

/**
 * A transport. It may deliver a message twice or late; it may lose messages where
 * it says so, by `onLost` and `onSubscribed`.
 *
 * @since 1.0.0
 * @category models
 */
export interface Bus {
  /** Names the bus in metrics. */
  readonly name: string
  /** Hands a message to all who have subscribed, in every process. Answers, or fails, in bounded time. */
  readonly publish: (message: string) => Effect.Effect<void, BackendError>
  /**
   * Subscribes until the scope closes. Does not fail and does not wait for a bus
   * that is down: it subscribes again and again, and calls `onSubscribed` each time it has.
   */
  readonly subscribe: (listener: Listener) => Effect.Effect<void, never, Scope.Scope>
}

// -----------------------------------------------------------------------------
// tags
// -----------------------------------------------------------------------------

/**
 * The bus of a program.
 *
 * @since 1.0.0
 * @category tags
 */
export class InvalidationBus extends Context.Tag("effect-caching/InvalidationBus")<InvalidationBus, Bus>() {}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A bus between the backends of one process: for tests, and for several local
 * tiers in front of one store. Messages arrive before `publish` returns.
 *
 * @example
 * ```ts
 * import { InvalidationBus } from "effect-caching"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const bus = yield* InvalidationBus.inProcess
 *   yield* bus.publish("a message")
 * })
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const inProcess: Effect.Effect<Bus> = Effect.sync(() => {
  const listeners = new Set<Listener>()
  return {
    name: "in-process",
    publish: (message) => Effect.sync(() => listeners.forEach((listener) => listener.onMessage(message))),
    subscribe: (listener) =>
      Effect.asVoid(
        Effect.acquireRelease(
          Effect.sync(() => {
            listeners.add(listener)
            listener.onSubscribed()
          }),
          () => Effect.sync(() => void listeners.delete(listener))
        )
      )
  }
})

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * `InvalidationBus` within one process, as `inProcess` makes it.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerInProcess: Layer.Layer<InvalidationBus> = Layer.effect(InvalidationBus, inProcess)

// -----------------------------------------------------------------------------
// metrics
// -----------------------------------------------------------------------------

/**
 * Messages, by `bus` and `direction`: `sent` or `received`.
 *
 * @since 1.0.0
 * @category metrics
 */
export const messages = observe.messages

/**
 * What went wrong, by `bus` and `fault`: `unsent` (kept, and told again until it
 * is), `lost` (the subscription), `gap` (a message of a sender is missing) or
 * `unreadable` (by this release).
 *
 * @since 1.0.0
 * @category metrics
 */
export const faults = observe.faults

/**
 * By `bus`, 1 while invalidations of other processes arrive; at 0 local tiers
 * live by their `localTimeToLive`.
 *
 * @since 1.0.0
 * @category metrics
 */
export const subscribed = observe.subscribed
