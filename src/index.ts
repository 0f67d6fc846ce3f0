/**
 * @since 1.0.0
 */
export * as Backend from "./Backend.js"

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
export * as Codec from "./Codec.js"

/**
 * @since 1.0.0
 */
export * as Fragment from "./Fragment.js"

/**
 * @since 1.0.0
 */
export * as Memoize from "./Memoize.js"
