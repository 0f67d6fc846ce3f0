/**
 * A backend that is read and never written.
 *
 * @since 1.0.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Backend from "../Backend.js"

const reading: ReadonlySet<string> = new Set(["get", "getMany", "has", "refreshTags"])

/** A read that may take a lease: `get` does without. */
const withoutClaims = (self: Backend.Backend) => Backend.override(self, () => ({ getOrLease: undefined }))

/**
 * `self` without its writing operations: they fail with reason `Unavailable`. A
 * cached call returns what is stored, and loads without storing what is not.
 *
 * @since 1.0.0
 * @category combinators
 */
export const wrap = (self: Backend.Backend): Backend.Backend =>
  Backend.around(withoutClaims(self), (method, operation) =>
    reading.has(method)
      ? operation
      : Effect.fail(
        new Backend.BackendError({
          backend: self.name,
          method,
          reason: "Unavailable",
          description: "the backend is read only here"
        })
      ))

/**
 * A layer whose backend is that of `layer`, read only.
 *
 * @example
 * ```ts
 * import * as ReadOnly from "effect-caching/backends/ReadOnly"
 * import * as Redis from "effect-caching/backends/Redis"
 *
 * const layer = ReadOnly.layer(Redis.layer())
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = <E, R>(layer: Layer.Layer<Backend.CacheBackend, E, R>): Layer.Layer<Backend.CacheBackend, E, R> =>
  Layer.effect(Backend.CacheBackend, Effect.map(Backend.CacheBackend, wrap)).pipe(Layer.provide(layer))
