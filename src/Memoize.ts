/**
 * Functions whose results are cached by their arguments.
 *
 * @since 1.0.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { BackendError, CacheBackend } from "./Backend.js"
import * as Cache from "./Cache.js"
import type * as Codec from "./Codec.js"
import * as Key from "./internal/key.js"
import * as Streams from "./internal/memoize/stream.js"
import { requireNumber } from "./internal/options.js"

/**
 * What `wrap` takes: the policy of a cache whose keys are argument lists.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options<Args extends ReadonlyArray<unknown>, A, E, B extends "bypass" | "fail">
  extends Omit<Cache.Options<NoInfer<Args>, A, E, B>, "key">
{
  /**
   * What of the arguments tells calls apart. Default: all of them, objects by
   * their fields in any order; `undefined` at the end of the list counts as not
   * given, as it does to an optional parameter. Leave out here what the result does
   * not depend on. A function of any number of arguments, to which an `undefined` at
   * the end means something, says `key: (...args) => args`.
   */
  readonly key?: KeyOf<Args> | undefined
}

/** Mapped, so that the arguments are inferred of the function, though `key` takes fewer. */
type KeyOf<Args extends ReadonlyArray<unknown>> = (...args: { [I in keyof Args]: Args[I] }) => unknown

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
  /** As it was given. */
  readonly timeToLive: Cache.Policy<Args, A, CacheE>["timeToLive"]
  /** The same memory with another time to live for what is stored from now on. */
  readonly withTimeToLive: (
    timeToLive: Cache.Policy<Args, A, CacheE>["timeToLive"]
  ) => Memoized<Args, A, E, R, CacheE, B, CodecR>
  /** The same memory where other things of the arguments tell calls apart. */
  readonly withKey: (key: (...args: Args) => unknown) => Memoized<Args, A, E, R, CacheE, B, CodecR>
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
    E extends CacheE,
    R,
    I,
    CodecR = never,
    CacheE = unknown,
    B extends "bypass" | "fail" = "bypass"
  >(
    f: (...args: Args) => Effect.Effect<A, E, R>,
    options: Options<Args, NoInfer<A>, CacheE, B> & { readonly schema: Schema.Schema<A, I, CodecR> }
  ): Memoized<Args, A, E, R, CacheE, B extends "fail" ? BackendError : never, CodecR>
  <
    Args extends ReadonlyArray<any>,
    A,
    E extends CacheE,
    R,
    CodecR = never,
    CacheE = unknown,
    B extends "bypass" | "fail" = "bypass"
  >(
    f: (...args: Args) => Effect.Effect<A, E, R>,
    options: Options<Args, NoInfer<A>, CacheE, B> & { readonly codec: Codec.Codec<A, CodecR> }
  ): Memoized<Args, A, E, R, CacheE, B extends "fail" ? BackendError : never, CodecR>
} = (
  f: (...args: ReadonlyArray<any>) => Effect.Effect<any, any, any>,
  options: Options<any, any, any, any> & { readonly schema?: any; readonly codec?: any }
): Memoized<any, any, any, any, any, any, any> => {
  const { key } = options
  const cache: Cache.Cache<ReadonlyArray<any>, any, any, any, any> = Cache.make({
    ...options,
    schema: options.schema,
    key: key === undefined ? keyOfAll : (args: ReadonlyArray<any>) => key(...args)
  })
  return Object.assign(
    (...args: ReadonlyArray<any>) => Cache.getOrSet(cache, args, Effect.suspend(() => f(...args))),
    {
      uncached: f,
      refresh: (...args: ReadonlyArray<any>) => Cache.refresh(cache, args, Effect.suspend(() => f(...args))),
      invalidate: (...args: ReadonlyArray<any>) => Cache.invalidate(cache, args),
      invalidateAll: Cache.clear(cache),
      cacheKey: (...args: ReadonlyArray<any>) => Cache.cacheKey(cache, args),
      timeToLive: options.timeToLive,
      withTimeToLive: (timeToLive: Cache.Policy<any, any>["timeToLive"]) =>
        wrap(f, { ...options, schema: options.schema, timeToLive }),
      withKey: (key: (...args: ReadonlyArray<any>) => unknown) => wrap(f, { ...options, schema: options.schema, key }),
      cache
    }
  )
}

/** One argument that is no object is its own key, which reads well in the store; every other list is a tuple. */
const keyOfAll = (args: ReadonlyArray<unknown>): unknown => {
  const given = givenOf(args)
  return given.length === 1 && (typeof given[0] !== "object" || given[0] === null) ? given[0] : given
}

/** The arguments up to the last that is not `undefined`: an optional one may be passed on without having been given. */
const givenOf = (args: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  args.at(-1) === undefined ? args.slice(0, args.findLastIndex((arg) => arg !== undefined) + 1) : args

// -----------------------------------------------------------------------------
// methods
// -----------------------------------------------------------------------------

/**
 * What `method` takes: the options of `wrap`, and what an instance is known by.
 *
 * @since 1.0.0
 * @category models
 */
export interface MethodOptions<Self, Args extends ReadonlyArray<unknown>, A, E, B extends "bypass" | "fail">
  extends Omit<Cache.Options<NoInfer<[self: Self, ...args: Args]>, A, E, B>, "key">
{
  /** What tells instances apart, in every process: an id, never the object's place in memory. */
  readonly instance: (self: Self) => unknown
  /** What of the other arguments tells calls apart. Default: all of them, as `wrap` takes them. */
  readonly key?: KeyOf<Args> | undefined
}

/**
 * A method with a memory that the instances of a class share, each with its part.
 *
 * @since 1.0.0
 * @category models
 */
export interface MemoizedMethod<
  Self,
  Args extends ReadonlyArray<unknown>,
  A,
  E,
  R,
  CacheE = unknown,
  B = never,
  CodecR = never
> extends
  Omit<
    Memoized<[self: Self, ...args: Args], A, E, R, CacheE, B, CodecR>,
    "withKey" | "withTimeToLive"
  >
{
  (
    self: Self,
    ...args: Args
  ): Effect.Effect<A, Failures<E, CacheE> | B, CacheBackend | CodecR | Exclude<R, Scope.Scope>>
  /** The method of one instance: its `invalidateAll` forgets this instance's results. */
  readonly of: (self: Self) => Bound<Args, A, E, R, CacheE, B, CodecR>
  /** Forgets the results of one instance for all arguments, of every object with its identity. Costs the same for any number. */
  readonly invalidateInstance: (
    self: Self,
    options?: { readonly mode?: "hard" | "soft" | undefined }
  ) => Effect.Effect<void, BackendError, CacheBackend>
  /** The same memory with another time to live for what is stored from now on. */
  readonly withTimeToLive: (
    timeToLive: Cache.Policy<[self: Self, ...args: Args], A, CacheE>["timeToLive"]
  ) => MemoizedMethod<Self, Args, A, E, R, CacheE, B, CodecR>
  /** The same memory where other things of the arguments tell calls apart. */
  readonly withKey: (key: (...args: Args) => unknown) => MemoizedMethod<Self, Args, A, E, R, CacheE, B, CodecR>
}

/**
 * A memoized method of one instance.
 *
 * @since 1.0.0
 * @category models
 */
export interface Bound<Args extends ReadonlyArray<unknown>, A, E, R, CacheE = unknown, B = never, CodecR = never>
  extends
    Pick<
      Memoized<Args, A, E, R, CacheE, B, CodecR>,
      "uncached" | "refresh" | "invalidate" | "invalidateAll" | "cacheKey"
    >
{
  (...args: Args): Effect.Effect<A, Failures<E, CacheE> | B, CacheBackend | CodecR | Exclude<R, Scope.Scope>>
}

/**
 * A function of an instance and arguments, with its results cached by the
 * instance's identity and the arguments: for methods of classes.
 *
 * One call is forgotten by `invalidate(self, ...args)`, all of one instance by
 * `invalidateInstance(self)`, and all of the class by `invalidateAll`.
 *
 * @example
 * ```ts
 * import { Memoize } from "effect-caching"
 * import { Effect, Schema } from "effect"
 *
 * const price = Memoize.method(
 *   (shop: { readonly id: string; readonly discount: number }, amount: number) =>
 *     Effect.succeed(amount * (1 - shop.discount)),
 *   { name: "Shop.price", schema: Schema.Number, timeToLive: "1 hour", instance: (shop) => shop.id }
 * )
 *
 * class Shop {
 *   constructor(readonly id: string, readonly discount: number) {}
 *   readonly price = price.of(this)
 * }
 *
 * const program = Effect.gen(function*() {
 *   const shop = new Shop("corner", 0.1)
 *   yield* shop.price(100)
 *   yield* shop.price.invalidate(100) // this call
 *   yield* shop.price.invalidateAll // this shop's
 *   yield* price.invalidateAll // every shop's
 * })
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const method: {
  <
    Self,
    Args extends ReadonlyArray<any>,
    A,
    E extends CacheE,
    R,
    I,
    CodecR = never,
    CacheE = unknown,
    B extends "bypass" | "fail" = "bypass"
  >(
    f: (self: Self, ...args: Args) => Effect.Effect<A, E, R>,
    options: MethodOptions<Self, Args, NoInfer<A>, CacheE, B> & { readonly schema: Schema.Schema<A, I, CodecR> }
  ): MemoizedMethod<Self, Args, A, E, R, CacheE, B extends "fail" ? BackendError : never, CodecR>
  <
    Self,
    Args extends ReadonlyArray<any>,
    A,
    E extends CacheE,
    R,
    CodecR = never,
    CacheE = unknown,
    B extends "bypass" | "fail" = "bypass"
  >(
    f: (self: Self, ...args: Args) => Effect.Effect<A, E, R>,
    options: MethodOptions<Self, Args, NoInfer<A>, CacheE, B> & { readonly codec: Codec.Codec<A, CodecR> }
  ): MemoizedMethod<Self, Args, A, E, R, CacheE, B extends "fail" ? BackendError : never, CodecR>
} = (
  f: (self: any, ...args: ReadonlyArray<any>) => Effect.Effect<any, any, any>,
  options: MethodOptions<any, any, any, any, any> & { readonly schema?: any; readonly codec?: any }
): MemoizedMethod<any, any, any, any, any, any, any, any> => {
  const { instance, key, keyTags, ...policy } = options
  const tagOf = (self: unknown): string => `instance/${Key.prefixOf(options.name)}${Key.encode(instance(self))}`
  const memoized: Memoized<[self: any, ...args: ReadonlyArray<any>], any, any, any, any, any, any> = wrap(f, {
    ...policy,
    schema: policy.schema,
    key: (self: any, ...args: ReadonlyArray<any>) => [instance(self), key === undefined ? givenOf(args) : key(...args)],
    keyTags: (call: [self: any, ...args: ReadonlyArray<any>]) => [tagOf(call[0]), ...keyTags?.(call) ?? []]
  })
  const again = (changed: Partial<MethodOptions<any, any, any, any, any>>) =>
    method(f, { ...options, ...changed, schema: options.schema })
  const invalidateInstance = (self: any, how?: { readonly mode?: "hard" | "soft" | undefined }) =>
    Effect.suspend(() => Cache.invalidateTags([tagOf(self)], how))
  return Object.assign(memoized, {
    of: (self: any) =>
      Object.assign((...args: ReadonlyArray<any>) => memoized(self, ...args), {
        uncached: (...args: ReadonlyArray<any>) => f(self, ...args),
        refresh: (...args: ReadonlyArray<any>) => memoized.refresh(self, ...args),
        invalidate: (...args: ReadonlyArray<any>) => memoized.invalidate(self, ...args),
        invalidateAll: invalidateInstance(self),
        cacheKey: (...args: ReadonlyArray<any>) => memoized.cacheKey(self, ...args)
      }),
    invalidateInstance,
    withTimeToLive: (timeToLive: Cache.Policy<any, any>["timeToLive"]) => again({ timeToLive }),
    withKey: (key: (...args: ReadonlyArray<any>) => unknown) => again({ key })
  })
}

// -----------------------------------------------------------------------------
// streams
// -----------------------------------------------------------------------------

/**
 * What `stream` takes: the policy of a cache of lists of elements, and a bound.
 *
 * @since 1.0.0
 * @category models
 */
export interface StreamOptions<Args extends ReadonlyArray<unknown>, A, I, CodecR>
  extends Omit<Options<Args, ReadonlyArray<A>, unknown, "bypass">, "failure" | "onBackendError">
{
  /** Of an element. */
  readonly schema: Schema.Schema<A, I, CodecR>
  /** A larger stream is passed through, and not stored. Default: 10,000. */
  readonly maxSize?: number | undefined
  /** How large an element is. Default: 1. */
  readonly sizeOf?: ((element: A) => number) | undefined
}

/**
 * A function that answers a stream, with a memory.
 *
 * @since 1.0.0
 * @category models
 */
export interface MemoizedStream<Args extends ReadonlyArray<unknown>, A, E, R, CodecR = never>
  extends
    Pick<Memoized<Args, ReadonlyArray<A>, E, R, unknown, never, CodecR>, "invalidate" | "invalidateAll" | "cacheKey">
{
  /** The elements for the arguments: as stored, or as they are produced. */
  (...args: Args): Stream.Stream<A, E, CacheBackend | CodecR | Exclude<R, Scope.Scope>>
  /** The function itself. */
  readonly uncached: (...args: Args) => Stream.Stream<A, E, R>
  /** The entries: for explicit operations on them. */
  readonly cache: Cache.Cache<Args, ReadonlyArray<A>, unknown, never, CodecR>
}

/**
 * The function with its streams cached by its arguments. A stream is produced
 * once for all who ask while it is, each from its beginning, and stored when it
 * has ended well. It is produced at its own speed up to `maxSize`; a larger one, or
 * an endless one, goes on at the speed of the slowest who read it, is never stored,
 * and who asks for it later begins another. It is interrupted when nobody reads it.
 *
 * @example
 * ```ts
 * import { Memoize } from "effect-caching"
 * import { Effect, Schema, Stream } from "effect"
 *
 * const rows = Memoize.stream(
 *   (table: string) => Stream.range(1, 1_000).pipe(Stream.map((n) => `${table} ${n}`)),
 *   { name: "rows", schema: Schema.String, timeToLive: "1 minute", maxSize: 100_000, sizeOf: (row) => row.length }
 * )
 *
 * const program = Stream.runForEach(rows("users"), Effect.log)
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const stream = <Args extends ReadonlyArray<any>, A, E, R, I, CodecR = never>(
  f: (...args: Args) => Stream.Stream<A, E, R>,
  options: StreamOptions<Args, NoInfer<A>, I, CodecR> & { readonly schema: Schema.Schema<A, I, CodecR> }
): MemoizedStream<Args, A, E, R, CodecR> => {
  const { maxSize = 10_000, schema, sizeOf = () => 1, storeIf, ...policy } = options
  requireNumber(`Memoize.stream ${JSON.stringify(options.name)}`, "maxSize", maxSize, { min: 1 })
  const memoized: Memoized<any, any, any, any, any, any, any> = wrap((..._: Args): Effect.Effect<any> => Effect.never, {
    ...policy as unknown as Options<any, any, any, any>,
    schema: Schema.Array(schema),
    storeIf: (elements: ReadonlyArray<A>, args: Args) =>
      elements === Streams.tooLong ? false : storeIf?.(elements, args) ?? true
  })
  const production = { entries: memoized.cache, f: f as (...args: any) => any, maxSize, sizeOf }
  return Object.assign((...args: Args) => Streams.subscribe(production, args), {
    uncached: f,
    invalidate: memoized.invalidate,
    invalidateAll: memoized.invalidateAll,
    cacheKey: memoized.cacheKey,
    cache: memoized.cache
  }) as MemoizedStream<Args, A, E, R, CodecR>
}

// -----------------------------------------------------------------------------
// versions
// -----------------------------------------------------------------------------

/**
 * A `version` that changes with the text of the functions: entries of other text
 * are not found. It sees what it is given and nothing that those call, and it
 * changes with the compiler and the bundler too: a version counted by hand says
 * more. Meant to be computed where the program is built or started.
 *
 * @example
 * ```ts
 * import { Memoize } from "effect-caching"
 * import { Effect, Schema } from "effect"
 *
 * const total = (n: number) => Effect.succeed((n * (n + 1)) / 2)
 *
 * const memoized = Memoize.wrap(total, {
 *   name: "total",
 *   version: Memoize.sourceVersion(total),
 *   schema: Schema.Number,
 *   timeToLive: "1 hour"
 * })
 * ```
 *
 * @since 1.0.0
 * @category versions
 */
export const sourceVersion = (...functions: ReadonlyArray<(...args: any) => unknown>): string =>
  Key.digest(functions.map((f) => Function.prototype.toString.call(f)))
