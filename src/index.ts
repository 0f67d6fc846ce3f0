/**
 * Caches for Effect programs. Modules that need an optional peer are not here:
 * import `effect-caching/backends/Redis`.
 *
 * @since 1.0.0
 */

/**
 * @since 1.0.0
 */
export * as Backend from "./Backend.js"

/**
 * @since 1.0.0
 */
export * as Memory from "./backends/Memory.js"

/**
 * @since 1.0.0
 */
export * as Null from "./backends/Null.js"

/**
 * @since 1.0.0
 */
export * as Cache from "./Cache.js"

/**
 * @since 1.0.0
 */
export * as CacheConfig from "./CacheConfig.js"

/**
 * @since 1.0.0
 */
export * as CacheEvents from "./CacheEvents.js"

/**
 * @since 1.0.0
 */
export * as Codec from "./Codec.js"

/**
 * @since 1.0.0
 */
export * as Fragment from "./Fragment.js"

/**
 * @since 1.0.0
 */
export * as HttpCache from "./HttpCache.js"

/**
 * @since 1.0.0
 */
export * as InvalidationBus from "./InvalidationBus.js"

/**
 * @since 1.0.0
 */
export * as Memoize from "./Memoize.js"
