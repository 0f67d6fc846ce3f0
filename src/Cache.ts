/**
 * A typed view of a backend: what is cached under which name, in which form, for
 * how long.
 *
 * A cache is a description, a plain value; its entries and the loads under way
 * are in the `CacheBackend` of the program that uses it.
 *
 * @since 1.0.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import type { ParseError } from "effect/ParseResult"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type Backend, type BackendError, CacheBackend, type Entry } from "./Backend.js"
import * as Codec from "./Codec.js"
import * as Call from "./internal/cache/call.js"
import { encodedEntry } from "./internal/cache/load.js"
import { type Found, judge, judgeMany } from "./internal/cache/lookup.js"
import * as Compiled from "./internal/cache/policy.js"
import { remaining } from "./internal/derive.js"
import * as Key from "./internal/key.js"
import { InvalidOption } from "./internal/options.js"

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

/**
 * Yes or no, at once or by an effect that cannot fail.
 *
 * @since 1.0.0
 * @category models
 */
export type Answer = boolean | Effect.Effect<boolean>

/**
 * How long and under which conditions values are cached: the one policy record
 * of caches, memoized functions, fragments and HTTP.
 *
 * @since 1.0.0
 * @category models
 */
export interface Policy<Key, A, E = unknown> {
  /**
   * How long a value is fresh. Zero: it is not stored. `"infinity"`: until it is
   * invalidated or evicted. A function also decides on failures, which are
   * stored only with a `failure` codec; a duration alone is for successes.
   */
  readonly timeToLive: Duration.DurationInput | ((exit: Exit.Exit<A, E>, key: Key) => Duration.DurationInput)
  /**
   * How long after that a value may still be served, stale, while one load runs
   * in the background. Default: zero.
   */
  readonly grace?: Duration.DurationInput | undefined
  /** The share of `timeToLive`, from 0 to 1, that is taken off at random. Default: 0. */
  readonly jitter?: number | undefined
  /**
   * Loads a value anew before it expires, likelier the nearer its end and the
   * longer its load. A number is the eagerness, `true` is 1. Default: off.
   */
  readonly refreshAhead?: boolean | number | undefined
  /** How long a call waits for the load where a stale value could be served. Default: zero. */
  readonly softTimeout?: Duration.DurationInput | undefined
  /**
   * Whether a stale value stays when its load failed this way. Where not, the
   * entry is removed and the failure is the answer. Default: always.
   */
  readonly staleIf?: ((error: E) => boolean) | undefined
  /** What the value depends on, for `invalidateTags`. Default: none. */
  readonly tags?: ReadonlyArray<string> | ((value: A, key: Key) => ReadonlyArray<string>) | undefined
  /** Whether the tags of all that the load reads from caches become its own. Default: true. */
  readonly trackDependencies?: boolean | undefined
  /** Whether the call runs past the cache: it neither reads nor stores. */
  readonly unless?: Answer | ((key: Key) => Answer) | undefined
  /** Whether the value is loaded anew and stored, whatever there is. */
  readonly forcedUpdate?: Answer | ((key: Key) => Answer) | undefined
  /** Whether a fresh value is to be treated as stale. */
  readonly isStale?: ((value: A, key: Key) => Answer) | undefined
  /** Whether a loaded value is stored. Default: always. */
  readonly storeIf?: ((value: A, key: Key) => Answer) | undefined
  /**
   * For how long the right to load a key is held if the process that has it dies;
   * while it lives it is extended. Default: 1 second.
   */
  readonly leaseDuration?: Duration.DurationInput | undefined
}

/**
 * What `make` takes: a policy, a name and a codec. Give `schema` or `codec`.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options<Key, A, E, B extends "bypass" | "fail"> extends Policy<Key, A, E> {
  /** This cache's share of the backend. Caches of one name share their entries. */
  readonly name: string
  /** What of the key tells entries apart. Default: all of it. */
  readonly key?: ((key: Key) => unknown) | undefined
  /** Stores failures for which `timeToLive` gives time. */
  readonly failure?: Codec.Codec<E, any> | undefined
  /**
   * What a fault of the backend does to a cached call. `"bypass"`: nothing, the
   * call loads. `"fail"`: reading fails the call, and the load is spared.
   */
  readonly onBackendError?: B | undefined
}

/**
 * The answer of `lookup`.
 *
 * @since 1.0.0
 * @category models
 */
export type Lookup<A, E> =
  | { readonly _tag: "Hit"; readonly exit: Exit.Exit<A, E>; readonly loadedAt: number; readonly freshUntil: number }
  | { readonly _tag: "Stale"; readonly exit: Exit.Exit<A, E>; readonly loadedAt: number; readonly freshUntil: number }
  | { readonly _tag: "Miss" }

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

// -----------------------------------------------------------------------------
// explicit data
// -----------------------------------------------------------------------------

type AnyCache = Cache<any, any, any, any, any>

/** Runs `f` with the backend and the key as the backend knows it. */
const withKey = <A, E, R>(
  self: AnyCache,
  method: string,
  key: unknown,
  f: (backend: Backend, key: string) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | BackendError, R | CacheBackend> =>
  withKeys(self, method, [key], (backend, keys) => f(backend, keys[0]!))

const withKeys = <A, E, R>(
  self: AnyCache,
  method: string,
  keys: ReadonlyArray<unknown>,
  f: (backend: Backend, keys: ReadonlyArray<string>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | BackendError, R | CacheBackend> =>
  Effect.flatMap(CacheBackend, (backend): Effect.Effect<A, E | BackendError, R> => {
    const known: Array<string> = []
    for (const userKey of keys) {
      const key = Call.keyOf(self.policy, userKey)
      if (typeof key !== "string") return Effect.fail(Call.invalidKey(backend, method, key))
      known.push(key)
    }
    return f(backend, known)
  })

/** What an operation on entries ends: every load of them under way. */
const fencing = <A, E, R>(backend: Backend, keys: ReadonlyArray<string>, effect: Effect.Effect<A, E, R>) =>
  backend.flights.invalidating({ keys }, effect)

const answerOf = ({ entry, state }: Found): Lookup<any, any> =>
  state === "miss" || entry === undefined ? { _tag: "Miss" } : {
    _tag: state === "hit" ? "Hit" : "Stale",
    exit: entry.exit as Exit.Exit<any, any>,
    loadedAt: entry.loadedAt,
    freshUntil: entry.freshUntil
  }

const freshValue = ({ entry, state }: Found): Option.Option<any> => {
  const exit = state === "hit" ? entry?.exit as Exit.Exit<any, any> | undefined : undefined
  return exit?._tag === "Success" ? Option.some(exit.value) : Option.none()
}

const find = (self: AnyCache, method: string, key: unknown): Effect.Effect<Found, BackendError, any> =>
  withKey(self, method, key, (backend, key) =>
    Effect.flatMap(
      Effect.zip(backend.get(key), Clock.currentTimeMillis),
      ([entry, now]) => judge(self.policy, backend, Option.getOrUndefined(entry), now)
    ))

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
} = dual(2, (self: AnyCache, key: unknown) => Effect.map(find(self, "lookup", key), answerOf))

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
} = dual(2, (self: AnyCache, key: unknown) => Effect.map(find(self, "get", key), freshValue))

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
} = dual(
  2,
  (self: AnyCache, keys: ReadonlyArray<unknown>) =>
    withKeys(self, "getMany", keys, (backend, keys) =>
      Effect.flatMap(
        Effect.zip(backend.getMany(keys), Clock.currentTimeMillis),
        ([entries, now]) =>
          Effect.map(
            judgeMany(self.policy, backend, entries.map(Option.getOrUndefined), now),
            (found) => found.map(freshValue)
          )
      ))
)

/**
 * Whether there is a fresh value under the key.
 *
 * @since 1.0.0
 * @category explicit data
 */
export const has: {
  <Key>(key: Key): <A, E, B, R>(self: Cache<Key, A, E, B, R>) => Effect.Effect<boolean, BackendError, CacheBackend | R>
  <Key, A, E, B, R>(self: Cache<Key, A, E, B, R>, key: Key): Effect.Effect<boolean, BackendError, CacheBackend | R>
} = dual(2, (self: AnyCache, key: unknown) => Effect.map(find(self, "has", key), (_) => Option.isSome(freshValue(_))))

/** The entry for a value given by hand, with the versions its tags have now. */
const entryFor = (
  self: AnyCache,
  backend: Backend,
  userKey: unknown,
  value: unknown
): Effect.Effect<Entry | undefined, BackendError | ParseError, any> =>
  Effect.gen(function*() {
    const tags = yield* backend.tagVersions(Array.from(new Set(self.policy.tags(value, userKey))))
    const now = yield* Clock.currentTimeMillis
    return yield* encodedEntry(self.policy, backend, userKey, Exit.succeed(value), tags, now, 0)
  })

const retentionOf = (entry: Entry): Duration.Duration => remaining(entry.keepUntil, entry.loadedAt)

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
} = dual(
  3,
  (self: AnyCache, userKey: unknown, value: unknown) =>
    withKey(self, "set", userKey, (backend, key) =>
      fencing(
        backend,
        [key],
        Effect.flatMap(
          entryFor(self, backend, userKey, value),
          (entry) =>
            entry === undefined ? Effect.asVoid(backend.remove(key)) : backend.set(key, entry, retentionOf(entry))
        )
      ))
)

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
} = dual(2, (self: AnyCache, entries: Iterable<readonly [unknown, unknown]>) =>
  Effect.suspend(() => {
    const pairs = Array.from(entries)
    return withKeys(self, "setMany", pairs.map(([key]) => key), (backend, keys) =>
      fencing(
        backend,
        keys,
        Effect.gen(function*() {
          const made = yield* Effect.forEach(pairs, ([key, value]) => entryFor(self, backend, key, value))
          const items = made.flatMap((entry, i) =>
            entry === undefined ? [] : [[keys[i]!, entry, retentionOf(entry)] as const]
          )
          yield* backend.removeMany(keys.filter((_, i) => made[i] === undefined))
          yield* backend.setMany(items)
        })
      ))
  }))

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
} = dual(
  3,
  (self: AnyCache, userKey: unknown, value: unknown) =>
    withKey(self, "add", userKey, (backend, key) =>
      fencing(
        backend,
        [key],
        Effect.flatMap(
          entryFor(self, backend, userKey, value),
          (entry) => entry === undefined ? Effect.succeed(false) : backend.add(key, entry, retentionOf(entry))
        )
      ))
)

/**
 * Adds `by` (default 1, of either sign) to the number under the key and answers
 * the sum. A number that is not there is zero, and lives as long as `timeToLive`
 * says; one that is there keeps its time.
 *
 * @since 1.0.0
 * @category explicit data
 */
export const increment: {
  <Key>(
    key: Key,
    by?: number
  ): <E, B, R>(self: Cache<Key, number, E, B, R>) => Effect.Effect<number, BackendError, CacheBackend | R>
  <Key, E, B, R>(
    self: Cache<Key, number, E, B, R>,
    key: Key,
    by?: number
  ): Effect.Effect<number, BackendError, CacheBackend | R>
} = dual(
  (args) => isCache(args[0]),
  (self: AnyCache, userKey: unknown, by: number = 1) =>
    withKey(self, "increment", userKey, (backend, key) => {
      const millis = self.policy.timeToLiveMillis(Exit.succeed(by), userKey)
      return fencing(backend, [key], backend.increment(key, by, remaining(millis + self.policy.graceMillis, 0)))
    })
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
} = dual(
  2,
  (self: AnyCache, key: unknown) =>
    withKey(self, "invalidate", key, (backend, key) => fencing(backend, [key], backend.remove(key)))
)

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
} = dual(
  2,
  (self: AnyCache, keys: ReadonlyArray<unknown>) =>
    withKeys(self, "invalidateMany", keys, (backend, keys) => fencing(backend, keys, backend.removeMany(keys)))
)

/**
 * Removes everything that is cached under this cache's name, and nothing else.
 *
 * @since 1.0.0
 * @category invalidation
 */
export const clear = <Key, A, E, B, R>(
  self: Cache<Key, A, E, B, R>
): Effect.Effect<void, BackendError, CacheBackend> =>
  Effect.flatMap(CacheBackend, (backend) => {
    const { prefix } = self.policy
    return backend.flights.invalidating({ prefix }, backend.clear(prefix))
  })

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
): Effect.Effect<void, BackendError, CacheBackend> =>
  Effect.flatMap(CacheBackend, (backend) => {
    const counted = Effect.sync(() => void backend.flights.tagInvalidations++)
    return Effect.zipRight(
      counted,
      Effect.ensuring(backend.invalidateTags(Array.from(new Set(tags)), options?.mode ?? "hard"), counted)
    )
  })

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
