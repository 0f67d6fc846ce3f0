/**
 * A backend that keeps nothing: every lookup is a miss. It switches caching off
 * where a program has no say in it, as in a test.
 *
 * @since 1.0.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Backend from "../Backend.js"
import * as derive from "../internal/derive.js"
import { TagRegistry } from "../internal/tagRegistry.js"

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A backend that keeps nothing and refuses nothing. One load per key at a time
 * runs all the same: callers that wait together share its result.
 *
 * @example
 * ```ts
 * import * as Null from "effect-caching/backends/Null"
 * import { Effect } from "effect"
 *
 * const program = Effect.scoped(Effect.flatMap(Null.make, (backend) => backend.has("user:1")))
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const make: Effect.Effect<Backend.Backend, never, Scope.Scope> = Effect.suspend(() => {
  // Nothing is kept that an invalidation could concern, but loads under way may ask.
  const tags = new TagRegistry(`${derive.newVersion()}.`)
  return Backend.make({
    name: "null",
    holds: "values",
    isShared: false,
    get: () => Effect.succeedNone,
    getMany: (keys) => Effect.succeed(keys.map(() => Option.none())),
    set: () => Effect.void,
    setMany: () => Effect.void,
    add: () => Effect.succeed(true),
    has: () => Effect.succeed(false),
    remove: () => Effect.succeed(false),
    removeMany: () => Effect.succeed(0),
    increment: (_key, by) => Effect.succeed(by),
    clear: () => Effect.void,
    lease: () => Effect.sync(() => ({ token: Option.some(derive.newVersion()), entry: Option.none() })),
    renew: () => Effect.succeed(true),
    fill: () => Effect.succeed(true),
    tagVersions: (names) => Effect.sync(() => names.map((name) => tags.version(name))),
    refreshTags: (versions) => Effect.sync(() => versions.map(({ tag }) => tags.version(tag))),
    tagEpoch: Effect.sync(() => tags.epoch),
    invalidateTags: (names, mode) => Effect.sync(() => tags.invalidate(names, mode)),
    unsafe: undefined
  })
})

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * A backend that keeps nothing, as the backend that caches use.
 *
 * @example
 * ```ts
 * import * as Null from "effect-caching/backends/Null"
 *
 * const CacheLive = Null.layer
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer: Layer.Layer<Backend.CacheBackend> = Layer.scoped(Backend.CacheBackend, make)
