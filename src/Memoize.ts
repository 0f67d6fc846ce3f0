/**
 * Functions whose results are cached by their arguments.
 *
 * @since 1.0.0
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { BackendError, CacheBackend } from "./Backend.js"
import * as Cache from "./Cache.js"
import type * as Codec from "./Codec.js"

/**
 * What `wrap` takes: the policy of a cache whose keys are argument lists.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options<Args extends ReadonlyArray<unknown>, A, E, B extends "bypass" | "fail">
  extends Omit<Cache.Options<Args, A, E, B>, "key">
{
  /**
   * What of the arguments tells calls apart. Default: all of them, objects by
   * their fields in any order. Leave out here what the result does not depend on.
   */
  readonly key?: ((...args: Args) => unknown) | undefined
}

/** The failures of a memoized call: those of the function, and those that may have been stored. */
type Failures<E, E2> = unknown extends E2 ? E : E | E2

/**
 * A function with a memory.
 *
 * @since 1.0.0
 * @category models
 */
export interface Memoized<Args extends ReadonlyArray<unknown>, A, E, R, CacheE = unknown, B = never, CodecR = never> {
  /** The result for the arguments, computed where it is not cached. */
  (...args: Args): Effect.Effect<A, Failures<E, CacheE> | B, CacheBackend | CodecR | Exclude<R, Scope.Scope>>
  /** The function itself: neither reads the cache nor stores. */
  readonly uncached: (...args: Args) => Effect.Effect<A, E, R>
  /** Computes and stores, whatever there is. */
  readonly refresh: (
    ...args: Args
  ) => Effect.Effect<A, Failures<E, CacheE> | B, CacheBackend | CodecR | Exclude<R, Scope.Scope>>
  /** Forgets the result for these arguments, and answers whether there was one. */
  readonly invalidate: (...args: Args) => Effect.Effect<boolean, BackendError, CacheBackend>
  /** Forgets the results for all arguments. */
  readonly invalidateAll: Effect.Effect<void, BackendError, CacheBackend>
  /** The key of a call, as the backend knows it. Throws where an argument cannot be part of a key. */
  readonly cacheKey: (...args: Args) => string
  /** The same memory with another time to live for what is stored from now on. */
  readonly withTimeToLive: (
    timeToLive: Cache.Policy<Args, A, CacheE>["timeToLive"]
  ) => Memoized<Args, A, E, R, CacheE, B, CodecR>
  /** The entries: for explicit operations on them. */
  readonly cache: Cache.Cache<Args, A, CacheE, B, CodecR>
}

/**
 * The function with its results cached by its arguments, under a name of its own.
 * Concurrent calls with equal arguments compute once.
 *
 * @example
 * ```ts
 * import { Memoize } from "effect-caching"
 * import { Effect, Schema } from "effect"
 *
 * const findUser = Memoize.wrap(
 *   (id: number) => Effect.succeed({ id, name: "Ada" }),
 *   {
 *     name: "findUser",
 *     schema: Schema.Struct({ id: Schema.Number, name: Schema.String }),
 *     timeToLive: "1 minute"
 *   }
 * )
 *
 * const program = Effect.gen(function*() {
 *   const user = yield* findUser(1)
 *   yield* findUser.invalidate(1)
 *   return user.name
 * })
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const wrap: {
  <
    Args extends ReadonlyArray<any>,
    A,
    E,
    R,
    I,
    CodecR = never,
    CacheE = unknown,
    B extends "bypass" | "fail" = "bypass"
  >(
    f: (...args: Args) => Effect.Effect<A, E, R>,
    options: Options<Args, NoInfer<A>, CacheE, B> & { readonly schema: Schema.Schema<A, I, CodecR> }
  ): Memoized<Args, A, E, R, CacheE, B extends "fail" ? BackendError : never, CodecR>
  <Args extends ReadonlyArray<any>, A, E, R, CodecR = never, CacheE = unknown, B extends "bypass" | "fail" = "bypass">(
    f: (...args: Args) => Effect.Effect<A, E, R>,
    options: Options<Args, NoInfer<A>, CacheE, B> & { readonly codec: Codec.Codec<A, CodecR> }
  ): Memoized<Args, A, E, R, CacheE, B extends "fail" ? BackendError : never, CodecR>
} = (
  f: (...args: ReadonlyArray<any>) => Effect.Effect<any, any, any>,
  options: Options<any, any, any, any> & { readonly schema?: any; readonly codec?: any }
): Memoized<any, any, any, any, any, any, any> => {
  const { key } = options
  return over(
    f,
    Cache.make({
      ...options,
      schema: options.schema,
      key: key === undefined ? keyOfAll : (args: ReadonlyArray<any>) => key(...args)
    })
  )
}

/** One argument that is no object is its own key, which reads well in the store; every other list is a tuple. */
const keyOfAll = (args: ReadonlyArray<unknown>): unknown =>
  args.length === 1 && (typeof args[0] !== "object" || args[0] === null) ? args[0] : args

const over = (
  f: (...args: ReadonlyArray<any>) => Effect.Effect<any, any, any>,
  cache: Cache.Cache<ReadonlyArray<any>, any, any, any, any>
): Memoized<ReadonlyArray<any>, any, any, any, any, any, any> =>
  Object.assign((...args: ReadonlyArray<any>) => Cache.getOrSet(cache, args, Effect.suspend(() => f(...args))), {
    uncached: f,
    refresh: (...args: ReadonlyArray<any>) => Cache.refresh(cache, args, Effect.suspend(() => f(...args))),
    invalidate: (...args: ReadonlyArray<any>) => Cache.invalidate(cache, args),
    invalidateAll: Cache.clear(cache),
    cacheKey: (...args: ReadonlyArray<any>) => Cache.cacheKey(cache, args),
    withTimeToLive: (timeToLive: Cache.Policy<ReadonlyArray<any>, any, any>["timeToLive"]) =>
      over(f, Cache.withTimeToLive(cache, timeToLive)),
    cache
  })
