/**
 * A backend that is left alone while it fails.
 *
 * @since 1.0.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Backend from "../Backend.js"
import { requireMillis, requireNumber } from "../internal/options.js"

/**
 * When the circuit opens and closes.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /** The share of failures among the last operations, from 0 to 1, that opens the circuit. Default: 0.5. */
  readonly failureRate?: number | undefined
  /** How many operations the rate is taken over; with fewer the circuit stays closed. Default: 20. */
  readonly window?: number | undefined
  /**
   * How long it stays open before one operation is let through as a probe, and how long
   * that has to answer before another one is. Default: 1 second.
   */
  readonly resetAfter?: Duration.DurationInput | undefined
}

/** What says that the store is not well; the other reasons say that it was asked for something it cannot do. */
const countsAsFailure: ReadonlySet<Backend.Reason> = new Set([
  "Connection",
  "Timeout",
  "Authentication",
  "Unavailable",
  "Unknown"
])

/** The last operations: how many, and how many of them failed. */
class Window {
  private outcomes: Array<boolean> = []
  private next = 0
  private failures = 0
  constructor(private readonly size: number) {}
  add(isFailure: boolean): void {
    if (this.outcomes[this.next] === true) this.failures--
    this.outcomes[this.next] = isFailure
    this.next = (this.next + 1) % this.size
    if (isFailure) this.failures++
  }
  get rate(): number {
    return this.outcomes.length < this.size ? 0 : this.failures / this.size
  }
}

type State =
  | { readonly _tag: "Closed"; readonly window: Window }
  | { readonly _tag: "Open"; readonly until: number }
  /** One operation is on its way to find out; it has so long before another one is sent after it. */
  | { readonly _tag: "HalfOpen"; readonly until: number }

/**
 * `self` behind a circuit breaker. While the circuit is open every operation fails
 * at once with reason `Unavailable`: a cached call goes on without the store and
 * waits for no time-out. After `resetAfter` one operation is let through; if it
 * succeeds the circuit closes.
 *
 * @example
 * ```ts
 * import * as CircuitBreaker from "effect-caching/backends/CircuitBreaker"
 * import * as Redis from "effect-caching/backends/Redis"
 *
 * const layer = CircuitBreaker.layer(Redis.layer(), { resetAfter: "2 seconds" })
 * ```
 *
 * @since 1.0.0
 * @category combinators
 */
export const wrap: {
  (options?: Options): (self: Backend.Backend) => Effect.Effect<Backend.Backend>
  (self: Backend.Backend, options?: Options): Effect.Effect<Backend.Backend>
} = dual(
  (args) => Backend.isBackend(args[0]),
  (self: Backend.Backend, options: Options = {}): Effect.Effect<Backend.Backend> =>
    Effect.sync(() => {
      const failureRate = requireNumber("CircuitBreaker", "failureRate", options.failureRate ?? 0.5, {
        min: 0.01,
        max: 1
      })
      const size = requireNumber("CircuitBreaker", "window", options.window ?? 20, {
        min: 1,
        max: 10_000,
        integer: true
      })
      const resetMillis = requireMillis("CircuitBreaker", "resetAfter", options.resetAfter ?? "1 second")
      let state: State = { _tag: "Closed", window: new Window(size) }

      const settle = (entered: State, now: number, exit: Exit.Exit<unknown, Backend.BackendError>) => {
        const failure = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
        const isFailure = failure !== undefined && countsAsFailure.has(failure.reason)
        // A probe that was given up, and comes back well after all, is as good as the one sent after it.
        if (state._tag === "HalfOpen" && entered._tag === "HalfOpen" && Exit.isSuccess(exit)) {
          state = { _tag: "Closed", window: new Window(size) }
          return
        }
        // What else began before the state changed says nothing about the state of now.
        if (state !== entered) return
        // What is interrupted has found out nothing, be it a probe or not.
        const isInterrupted = Exit.isFailure(exit) && failure === undefined
        if (state._tag === "Closed") {
          if (!isInterrupted) state.window.add(isFailure)
          if (state.window.rate >= failureRate) state = { _tag: "Open", until: now + resetMillis }
          return
        }
        state = isFailure || isInterrupted
          ? { _tag: "Open", until: isInterrupted ? now : now + resetMillis }
          : { _tag: "Closed", window: new Window(size) }
      }

      return Backend.around(self, (method, operation) =>
        Effect.flatMap(Effect.clock, (clock) => {
          const now = clock.unsafeCurrentTimeMillis()
          if (state._tag !== "Closed" && now >= state.until) state = { _tag: "HalfOpen", until: now + resetMillis }
          else if (state._tag !== "Closed") {
            return Effect.fail(
              new Backend.BackendError({
                backend: self.name,
                method,
                reason: "Unavailable",
                description: "left alone after failures: the circuit is open"
              })
            )
          }
          const entered = state
          return Effect.onExit(
            operation,
            (exit) => Effect.map(Clock.currentTimeMillis, (now) => settle(entered, now, exit))
          )
        }))
    })
)

/**
 * A layer whose backend is that of `layer`, behind a circuit breaker.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = <E, R>(
  layer: Layer.Layer<Backend.CacheBackend, E, R>,
  options?: Options
): Layer.Layer<Backend.CacheBackend, E, R> =>
  Layer.effect(Backend.CacheBackend, Effect.flatMap(Backend.CacheBackend, (self) => wrap(self, options))).pipe(
    Layer.provide(layer)
  )
