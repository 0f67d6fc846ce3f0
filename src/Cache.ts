/**
 * A typed view of a backend: what is cached under which name, in which form, for
 * how long.
 *
 * A cache is a description, a plain value; its entries and the loads under way
 * are in the `CacheBackend` of the program that uses it.
 *
 * @since 1.0.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import type { ParseError } from "effect/ParseResult"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { BackendError, CacheBackend } from "./Backend.js"
import * as Codec from "./Codec.js"
import * as Call from "./internal/cache/call.js"
import { currentLoad } from "./internal/cache/currentLoad.js"
import * as Data from "./internal/cache/data.js"
import { type Event, events as eventsOf } from "./internal/cache/events.js"
import { explain as explainKey } from "./internal/cache/explain.js"
import type { Explanation, Lookup, Options, Policy } from "./internal/cache/model.js"
import * as Compiled from "./internal/cache/policy.js"
import * as Key from "./internal/key.js"
import { InvalidOption, requireMillis, requireNumber } from "./internal/options.js"

// -----------------------------------------------------------------------------
// type ids
// -----------------------------------------------------------------------------

/**
 * @since 1.0.0
 * @category type ids
 */
export const TypeId: TypeId = "~effect-caching/Cache"

/**
 * @since 1.0.0
 * @category type ids
 */
export type TypeId = "~effect-caching/Cache"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Entries of type `A` under keys of type `Key`. `E` is what its policy expects of
 * the failures of loads (`unknown`: anything), `B` is `BackendError` where faults
 * of the backend fail a cached call, and `R` is what its codecs need.
 *
 * @since 1.0.0
 * @category models
 */
export interface Cache<in Key, in out A, in out E = unknown, out B = never, out R = never> extends Pipeable {
  readonly [TypeId]: {
    readonly key: (_: Key) => void
    readonly value: (_: A) => A
    readonly failure: (_: E) => E
    readonly fault: () => B
    readonly context: () => R
  }
  readonly name: string
  /** @internal */
  readonly policy: Compiled.Policy
}

export type {
  /**
   * @since 1.0.0
   * @category models
   */
  Event
} from "./internal/cache/events.js"

export type {
  /**
   * @since 1.0.0
   * @category models
   */
  Answer,
  /**
   * @since 1.0.0
   * @category models
   */
  Explanation,
  /**
   * @since 1.0.0
   * @category models
   */
  Lookup,
  /**
   * @since 1.0.0
   * @category models
   */
  Options,
  /**
   * @since 1.0.0
   * @category models
   */
  Policy
} from "./internal/cache/model.js"

type AnyCache = Cache<any, any, any, any, any>

/** What a cached call adds to the failures of its load: those that may be stored. */
type Failures<E, E2> = unknown extends E ? E2 : E | E2

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * @since 1.0.0
 * @category guards
 */
export const isCache = (u: unknown): u is Cache<any, any, any, any, any> =>
  typeof u === "object" && u !== null && TypeId in u

/**
 * A cache. Throws `InvalidOption` where an option cannot be meant.
 *
 * @example
 * ```ts
 * import { Cache } from "effect-caching"
 * import { Effect, Schema } from "effect"
 *
 * class User extends Schema.Class<User>("User")({ id: Schema.Number, name: Schema.String }) {}
 *
 * const users = Cache.make({
 *   name: "user",
 *   schema: User,
 *   key: (id: number) => id,
 *   timeToLive: "1 minute",
 *   grace: "10 minutes",
 *   tags: (user) => [`user:${user.id}`]
 * })
 *
 * const find = (id: number) => Cache.getOrSet(users, id, Effect.succeed(new User({ id, name: "Ada" })))
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const make: {
  <A, I, R = never, Key = unknown, E = unknown, B extends "bypass" | "fail" = "bypass">(
    options: Options<Key, A, E, B> & { readonly schema: Schema.Schema<A, I, R> }
  ): Cache<Key, A, E, B extends "fail" ? BackendError : never, R>
  <A, R = never, Key = unknown, E = unknown, B extends "bypass" | "fail" = "bypass">(
    options: Options<Key, A, E, B> & { readonly codec: Codec.Codec<A, R> }
  ): Cache<Key, A, E, B extends "fail" ? BackendError : never, R>
} = (
  options: Options<any, any, any, any> & {
    readonly schema?: Schema.Schema<any, any, any>
    readonly codec?: Codec.Codec<any, any>
  }
): Cache<any, any, any, any, any> => {
  const codec = options.codec ?? (options.schema && Codec.schema(options.schema))
  if (codec === undefined) {
    throw new InvalidOption({
      module: `Cache ${JSON.stringify(options.name)}`,
      option: "schema or codec",
      value: undefined,
      expected: "given"
    })
  }
  return fromPolicy(Compiled.compile(options, codec))
}

const Proto = {
  [TypeId]: {
    key: (_: unknown) => {},
    value: (_: unknown) => _,
    failure: (_: unknown) => _,
    fault: () => {},
    context: () => {}
  },
  pipe() {
    return pipeArguments(this, arguments)
  },
  toJSON(this: Cache<any, any>) {
    return { _id: "Cache", name: this.name }
  }
}

const fromPolicy = (policy: Compiled.Policy): Cache<any, any, any, any, any> =>
  Object.assign(Object.create(Proto), { name: policy.name, policy })

/**
 * The cache with another time to live; the entries are the same.
 *
 * @since 1.0.0
 * @category combinators
 */
export const withTimeToLive: {
  <Key, A, E>(
    timeToLive: Policy<Key, A, E>["timeToLive"]
  ): <B, R>(self: Cache<Key, A, E, B, R>) => Cache<Key, A, E, B, R>
  <Key, A, E, B, R>(
    self: Cache<Key, A, E, B, R>,
    timeToLive: Policy<Key, A, E>["timeToLive"]
  ): Cache<Key, A, E, B, R>
} = dual(
  2,
  (self: Cache<any, any, any, any, any>, timeToLive: Policy<any, any, any>["timeToLive"]) =>
    fromPolicy({ ...self.policy, timeToLiveMillis: Compiled.timeToLiveOf(self.name, timeToLive) })
)

// -----------------------------------------------------------------------------
// cached calls
// -----------------------------------------------------------------------------

/**
 * The value under the key, loaded where there is none. Of concurrent calls for
 * one key one loads, and the others wait for it; a load is interrupted when
 * nobody waits for it any more. It runs in a scope of its own.
 *
 * @since 1.0.0
 * @category cached calls
 */
export const getOrSet: {
  <Key, A, E, E2 extends E, R2>(
    key: Key,
    load: Effect.Effect<A, E2, R2>
  ): <B, R>(
    self: Cache<Key, A, E, B, R>
  ) => Effect.Effect<A, Failures<E, E2> | B, CacheBackend | R | Exclude<R2, Scope.Scope>>
  <Key, A, E, B, R, E2 extends E, R2>(
    self: Cache<Key, A, E, B, R>,
    key: Key,
    load: Effect.Effect<A, E2, R2>
  ): Effect.Effect<A, Failures<E, E2> | B, CacheBackend | R | Exclude<R2, Scope.Scope>>
} = dual(
  3,
  (self: Cache<any, any>, key: unknown, load: Effect.Effect<any, any, any>) =>
    Call.getOrSet(self.policy, key, load, false)
)

/**
 * The effect, cached under the key: `getOrSet` from the other side.
 *
 * @example
 * ```ts
 * import { Cache } from "effect-caching"
 * import { Effect, Schema } from "effect"
 *
 * const counts = Cache.make({ name: "counts", schema: Schema.Number, key: (_: "users") => _, timeToLive: "30 seconds" })
 *
 * const countUsers = Effect.succeed(42).pipe(Cache.cached(counts, "users"))
 * ```
 *
 * @since 1.0.0
 * @category cached calls
 */
export const cached: {
  <Key, A, E, B, R>(
    cache: Cache<Key, A, E, B, R>,
    key: Key
  ): <E2 extends E, R2>(
    self: Effect.Effect<A, E2, R2>
  ) => Effect.Effect<A, Failures<E, E2> | B, CacheBackend | R | Exclude<R2, Scope.Scope>>
  <Key, A, E, B, R, E2 extends E, R2>(
    self: Effect.Effect<A, E2, R2>,
    cache: Cache<Key, A, E, B, R>,
    key: Key
  ): Effect.Effect<A, Failures<E, E2> | B, CacheBackend | R | Exclude<R2, Scope.Scope>>
} = dual(
  3,
  (load: Effect.Effect<any, any, any>, self: Cache<any, any>, key: unknown) =>
    Call.getOrSet(self.policy, key, load, false)
)

/**
 * Loads and stores, whatever there is. Joins a load of the key that is under
 * way: to see a change made just now, invalidate first.
 *
 * @since 1.0.0
 * @category cached calls
 */
export const refresh: {
  <Key, A, E, E2 extends E, R2>(
    key: Key,
    load: Effect.Effect<A, E2, R2>
  ): <B, R>(
    self: Cache<Key, A, E, B, R>
  ) => Effect.Effect<A, Failures<E, E2> | B, CacheBackend | R | Exclude<R2, Scope.Scope>>
  <Key, A, E, B, R, E2 extends E, R2>(
    self: Cache<Key, A, E, B, R>,
    key: Key,
    load: Effect.Effect<A, E2, R2>
  ): Effect.Effect<A, Failures<E, E2> | B, CacheBackend | R | Exclude<R2, Scope.Scope>>
} = dual(
  3,
  (self: Cache<any, any>, key: unknown, load: Effect.Effect<any, any, any>) =>
    Call.getOrSet(self.policy, key, load, true)
)

/**
 * Asks, from inside a load, for another time to live than the policy's for what
 * this load brings. Zero: it is not stored. The last call counts; outside of a
 * load nothing happens, and where the policy's `timeToLive` is a function, that
 * one decides.
 *
 * @example
 * ```ts
 * import { Cache } from "effect-caching"
 * import { Effect, Schema } from "effect"
 *
 * declare const fetchToken: Effect.Effect<{ readonly token: string; readonly expiresInSeconds: number }>
 *
 * const tokens = Cache.make({ name: "token", schema: Schema.String, timeToLive: "1 minute" })
 *
 * const token = fetchToken.pipe(
 *   Effect.tap(({ expiresInSeconds }) => Cache.setTimeToLive(`${expiresInSeconds} seconds`)),
 *   Effect.map(({ token }) => token),
 *   Cache.cached(tokens, "service")
 * )
 * ```
 *
 * @since 1.0.0
 * @category cached calls
 */
export const setTimeToLive = (timeToLive: Duration.DurationInput): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    const millis = requireMillis("Cache.setTimeToLive", "timeToLive", timeToLive)
    const current = currentLoad(fiber.currentContext)
    if (current !== undefined) current.timeToLiveMillis = millis
    return Effect.void
  })

/**
 * The value that the load in which this runs is to replace, where it is kept.
 *
 * @internal
 */
export const previous: Effect.Effect<unknown> = Effect.withFiberRuntime((fiber) =>
  Effect.succeed(currentLoad(fiber.currentContext)?.previous)
)

// -----------------------------------------------------------------------------
// explicit data
// -----------------------------------------------------------------------------

/**
 * What is stored under the key, and whether it is fresh. Loads nothing.
 *
 * @since 1.0.0
 * @category explicit data
 */
export const lookup: {
  <Key>(
    key: Key
  ): <A, E, B, R>(self: Cache<Key, A, E, B, R>) => Effect.Effect<Lookup<A, E>, BackendError, CacheBackend | R>
  <Key, A, E, B, R>(
    self: Cache<Key, A, E, B, R>,
    key: Key
  ): Effect.Effect<Lookup<A, E>, BackendError, CacheBackend | R>
} = dual(2, (self: AnyCache, key: unknown) => Data.lookup(self.policy, key))

/**
 * The fresh value under the key, if there is one.
 *
 * @since 1.0.0
 * @category explicit data
 */
export const get: {
  <Key>(
    key: Key
  ): <A, E, B, R>(self: Cache<Key, A, E, B, R>) => Effect.Effect<Option.Option<A>, BackendError, CacheBackend | R>
  <Key, A, E, B, R>(
    self: Cache<Key, A, E, B, R>,
    key: Key
  ): Effect.Effect<Option.Option<A>, BackendError, CacheBackend | R>
} = dual(2, (self: AnyCache, key: unknown) => Data.get(self.policy, "get", key))

/**
 * The fresh values under the keys, in their order.
 *
 * @since 1.0.0
 * @category explicit data
 */
export const getMany: {
  <Key>(
    keys: ReadonlyArray<Key>
  ): <A, E, B, R>(
    self: Cache<Key, A, E, B, R>
  ) => Effect.Effect<ReadonlyArray<Option.Option<A>>, BackendError, CacheBackend | R>
  <Key, A, E, B, R>(
    self: Cache<Key, A, E, B, R>,
    keys: ReadonlyArray<Key>
  ): Effect.Effect<ReadonlyArray<Option.Option<A>>, BackendError, CacheBackend | R>
} = dual(2, (self: AnyCache, keys: ReadonlyArray<unknown>) => Data.getMany(self.policy, "getMany", keys))

/**
 * Whether there is a fresh value under the key.
 *
 * @since 1.0.0
 * @category explicit data
 */
export const has: {
  <Key>(key: Key): <A, E, B, R>(self: Cache<Key, A, E, B, R>) => Effect.Effect<boolean, BackendError, CacheBackend | R>
  <Key, A, E, B, R>(self: Cache<Key, A, E, B, R>, key: Key): Effect.Effect<boolean, BackendError, CacheBackend | R>
} = dual(2, (self: AnyCache, key: unknown) => Effect.map(Data.get(self.policy, "has", key), Option.isSome))

/**
 * Stores a value. Loads of the key that are under way do not overwrite it. A time
 * to live of zero removes what is there. Fails where the codec refuses the value.
 *
 * @since 1.0.0
 * @category explicit data
 */
export const set: {
  <Key, A>(
    key: Key,
    value: A
  ): <E, B, R>(self: Cache<Key, A, E, B, R>) => Effect.Effect<void, BackendError | ParseError, CacheBackend | R>
  <Key, A, E, B, R>(
    self: Cache<Key, A, E, B, R>,
    key: Key,
    value: A
  ): Effect.Effect<void, BackendError | ParseError, CacheBackend | R>
} = dual(3, (self: AnyCache, key: unknown, value: unknown) => Data.set(self.policy, key, value))

/**
 * Stores values, in one round trip where the backend can.
 *
 * @since 1.0.0
 * @category explicit data
 */
export const setMany: {
  <Key, A>(
    entries: Iterable<readonly [key: Key, value: A]>
  ): <E, B, R>(self: Cache<Key, A, E, B, R>) => Effect.Effect<void, BackendError | ParseError, CacheBackend | R>
  <Key, A, E, B, R>(
    self: Cache<Key, A, E, B, R>,
    entries: Iterable<readonly [key: Key, value: A]>
  ): Effect.Effect<void, BackendError | ParseError, CacheBackend | R>
} = dual(2, (self: AnyCache, entries: Iterable<readonly [unknown, unknown]>) => Data.setMany(self.policy, entries))

/**
 * Stores a value if the key has none, and answers whether it did. Of concurrent
 * calls one is answered `true`.
 *
 * @since 1.0.0
 * @category explicit data
 */
export const add: {
  <Key, A>(
    key: Key,
    value: A
  ): <E, B, R>(self: Cache<Key, A, E, B, R>) => Effect.Effect<boolean, BackendError | ParseError, CacheBackend | R>
  <Key, A, E, B, R>(
    self: Cache<Key, A, E, B, R>,
    key: Key,
    value: A
  ): Effect.Effect<boolean, BackendError | ParseError, CacheBackend | R>
} = dual(3, (self: AnyCache, key: unknown, value: unknown) => Data.add(self.policy, key, value))

/**
 * Adds `by` (default 1, of either sign) to the number under the key and answers
 * the sum. A number that is not there is zero, and lives as long as `timeToLive`
 * says; one that is there keeps its time.
 *
 * @since 1.0.0
 * @category explicit data
 */
export const increment: {
  // First, as a cache and a number may be a key and an amount too.
  <Key, E, B, R>(
    self: Cache<Key, number, E, B, R>,
    key: Key,
    by?: number
  ): Effect.Effect<number, BackendError, CacheBackend | R>
  <Key>(
    key: Key,
    by?: number
  ): <E, B, R>(self: Cache<Key, number, E, B, R>) => Effect.Effect<number, BackendError, CacheBackend | R>
} = dual(
  (args) => isCache(args[0]),
  (self: AnyCache, key: unknown, by: number = 1) => Data.increment(self.policy, key, by)
)

// -----------------------------------------------------------------------------
// invalidation
// -----------------------------------------------------------------------------

/**
 * Removes the value under the key, and answers whether there was one. A value
 * whose load is under way is not stored.
 *
 * @since 1.0.0
 * @category invalidation
 */
export const invalidate: {
  <Key>(key: Key): <A, E, B, R>(self: Cache<Key, A, E, B, R>) => Effect.Effect<boolean, BackendError, CacheBackend>
  <Key, A, E, B, R>(self: Cache<Key, A, E, B, R>, key: Key): Effect.Effect<boolean, BackendError, CacheBackend>
} = dual(2, (self: AnyCache, key: unknown) => Data.invalidate(self.policy, key))

/**
 * Removes the values under the keys, and answers how many there were.
 *
 * @since 1.0.0
 * @category invalidation
 */
export const invalidateMany: {
  <Key>(
    keys: ReadonlyArray<Key>
  ): <A, E, B, R>(self: Cache<Key, A, E, B, R>) => Effect.Effect<number, BackendError, CacheBackend>
  <Key, A, E, B, R>(
    self: Cache<Key, A, E, B, R>,
    keys: ReadonlyArray<Key>
  ): Effect.Effect<number, BackendError, CacheBackend>
} = dual(2, (self: AnyCache, keys: ReadonlyArray<unknown>) => Data.invalidateMany(self.policy, keys))

/**
 * Removes everything that is cached under this cache's name, and nothing else.
 *
 * @since 1.0.0
 * @category invalidation
 */
export const clear = <Key, A, E, B, R>(
  self: Cache<Key, A, E, B, R>
): Effect.Effect<void, BackendError, CacheBackend> => Data.clear(self.policy)

/**
 * Ends everything, in every cache of the backend, that depends on one of the
 * tags: it is a miss (`hard`, the default), or it is stale and may be served
 * within its grace while it is loaded anew (`soft`). Costs the same however many
 * entries there are. What is being loaded is not kept as fresh either.
 *
 * @since 1.0.0
 * @category invalidation
 */
export const invalidateTags = (
  tags: Iterable<string>,
  options?: { readonly mode?: "hard" | "soft" | undefined }
): Effect.Effect<void, BackendError, CacheBackend> => Data.invalidateTags(tags, options?.mode ?? "hard")

// -----------------------------------------------------------------------------
// introspection
// -----------------------------------------------------------------------------

/**
 * How the cached calls over this backend are answered, by every cache in this
 * process, from when the stream is run. Who waits for a load, or joins a stream, that
 * another began is told of as a miss. Explicit operations are not told of. Costs
 * nothing while nobody listens, and a listener can neither fail nor delay a call:
 * one that lags by more than `capacity` events (default 1,024) misses the newest.
 * `keys: true` also tells the keys, which may say who a user is.
 *
 * @example
 * ```ts
 * import { Cache } from "effect-caching"
 * import { Effect, Stream } from "effect"
 *
 * const watch = Cache.events({ keys: true }).pipe(
 *   Stream.runForEach((event) => Effect.log(`${event._tag} ${event.cache} ${event.key}`))
 * )
 * ```
 *
 * @since 1.0.0
 * @category introspection
 */
export const events = (
  options?: { readonly keys?: boolean | undefined; readonly capacity?: number | undefined }
): Stream.Stream<Event, never, CacheBackend> =>
  eventsOf(
    options?.keys ?? false,
    requireNumber("Cache.events", "capacity", options?.capacity ?? 1_024, { min: 1, max: 1_048_576, integer: true })
  )

/**
 * Why a call for the key hits or misses: what is stored, its ages, its tags and
 * which of them were invalidated. For people: it holds no value.
 *
 * @since 1.0.0
 * @category introspection
 */
export const explain: {
  <Key>(
    key: Key
  ): <A, E, B, R>(self: Cache<Key, A, E, B, R>) => Effect.Effect<Explanation, BackendError, CacheBackend | R>
  <Key, A, E, B, R>(
    self: Cache<Key, A, E, B, R>,
    key: Key
  ): Effect.Effect<Explanation, BackendError, CacheBackend | R>
} = dual(2, (self: AnyCache, key: unknown) => explainKey(self.policy, key))

/**
 * The key as the backend knows it. Throws where the key cannot be one.
 *
 * @since 1.0.0
 * @category introspection
 */
export const cacheKey: {
  <Key>(key: Key): <A, E, B, R>(self: Cache<Key, A, E, B, R>) => string
  <Key, A, E, B, R>(self: Cache<Key, A, E, B, R>, key: Key): string
} = dual(2, (self: AnyCache, key: unknown): string => {
  const known = Call.keyOf(self.policy, key)
  if (known instanceof Key.UnsupportedKey) throw known
  return known
})
