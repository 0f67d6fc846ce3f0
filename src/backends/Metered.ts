/**
 * A backend whose operations are counted and timed.
 *
 * @since 1.0.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Backend from "../Backend.js"

/**
 * Operations of backends, by `backend`, `method` and `outcome` (`success`, the
 * reason of a `BackendError`, or `interrupted`).
 *
 * @since 1.0.0
 * @category metrics
 */
export const operations = Metric.counter("cache_backend_operations", {
  description: "Operations of a cache backend by how they ended",
  incremental: true
})

/**
 * How long operations took, by `backend` and `method`.
 *
 * @since 1.0.0
 * @category metrics
 */
export const durations = Metric.timer("cache_backend_duration", "How long operations of a cache backend took")

/**
 * `self` with its operations counted and timed. Reads without a fiber are neither.
 *
 * @since 1.0.0
 * @category combinators
 */
export const wrap = (self: Backend.Backend): Backend.Backend => {
  const methods = new Map<string, (outcome: string) => Metric.Metric.Counter<number>>()
  const counterOf = (method: string) => {
    const present = methods.get(method)
    if (present !== undefined) return present
    const tagged = operations.pipe(Metric.tagged("backend", self.name), Metric.tagged("method", method))
    const outcomes = new Map<string, Metric.Metric.Counter<number>>()
    const made = (outcome: string) => {
      const counter = outcomes.get(outcome) ?? Metric.tagged(tagged, "outcome", outcome)
      outcomes.set(outcome, counter)
      return counter
    }
    methods.set(method, made)
    return made
  }
  return Backend.around(self, (method, operation) =>
    operation.pipe(
      Metric.trackDuration(durations.pipe(Metric.tagged("backend", self.name), Metric.tagged("method", method))),
      Effect.onExit((exit) =>
        Metric.increment(
          counterOf(method)(
            exit._tag === "Success" ? "success" : exit.cause._tag === "Fail" ? exit.cause.error.reason : "interrupted"
          )
        )
      )
    ))
}

/**
 * A layer whose backend is that of `layer`, metered.
 *
 * @example
 * ```ts
 * import * as Metered from "effect-caching/backends/Metered"
 * import * as Redis from "effect-caching/backends/Redis"
 *
 * const layer = Metered.layer(Redis.layer())
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = <E, R>(layer: Layer.Layer<Backend.CacheBackend, E, R>): Layer.Layer<Backend.CacheBackend, E, R> =>
  Layer.effect(Backend.CacheBackend, Effect.map(Backend.CacheBackend, wrap)).pipe(Layer.provide(layer))
