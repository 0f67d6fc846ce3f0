/**
 * Where entries live: the contract every backend implements, constructors from
 * primitives, and combinators that build backends from backends.
 *
 * A backend keeps entries for a while. It knows no freshness and no types; what
 * it may do on its own is forget.
 *
 * @since 1.0.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { dual, identity } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as derive from "./internal/derive.js"
import type * as EntryInternal from "./internal/entry.js"
import * as Flights from "./internal/flights.js"
import { isInProcess } from "./internal/inProcess.js"
import type { Inspection } from "./internal/inspection.js"
import { Listeners } from "./internal/listeners.js"

// -----------------------------------------------------------------------------
// type ids
// -----------------------------------------------------------------------------

/**
 * @since 1.0.0
 * @category type ids
 */
export const TypeId: TypeId = "~effect-caching/Backend"

/**
 * @since 1.0.0
 * @category type ids
 */
export type TypeId = "~effect-caching/Backend"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * What a backend keeps under a key: a header (when it was loaded, until when it
 * is fresh and may be kept, the tag versions it depends on) and a payload.
 *
 * @since 1.0.0
 * @category models
 */
export type Entry = EntryInternal.Entry

/**
 * The version of a tag that an entry was loaded under. `tag` is the name that the
 * store knows: behind `prefixed`, that is the prefix and the name.
 *
 * @since 1.0.0
 * @category models
 */
export type TagVersion = EntryInternal.TagVersion

/**
 * The answer to `lease`: the right to fill the key, if nobody else holds it,
 * and what is stored under the key at that moment.
 *
 * @since 1.0.0
 * @category models
 */
export interface Lease {
  readonly token: Option.Option<string>
  readonly entry: Option.Option<Entry>
}

/**
 * The answer to `getOrLease`. The token is there where the caller got the right to
 * fill the key: nothing is under it, or what a tag has been invalidated of since.
 *
 * @since 1.0.0
 * @category models
 */
export interface Claim extends Lease {
  /**
   * The current versions of the entry's tags, then, with a token, those of the tags that
   * were asked for; `undefined` where they were not read.
   */
  readonly versions: ReadonlyArray<TagVersion> | undefined
}

/**
 * An entry to store under a key, and how long the backend is asked to keep it.
 *
 * @since 1.0.0
 * @category models
 */
export type Item = readonly [key: string, entry: Entry, retention: Duration.Duration]

/**
 * What a backend that lives in this process answers without a fiber.
 *
 * @since 1.0.0
 * @category models
 */
export interface Unsafe {
  /** The entry under the key, if any; it may have expired. Counts as a use of the entry. */
  readonly get: (key: string) => Entry | undefined
  /** Whether the versions are still those of their tags: `hard` where one was invalidated, `soft` where one was made stale. */
  readonly tagState: (versions: ReadonlyArray<TagVersion>) => "current" | "soft" | "hard"
}

/**
 * The contract. Every operation is atomic for its key and fails with nothing
 * but `BackendError`, at once when a key is not well-formed Unicode. Retentions
 * are positive; `Duration.infinity` keeps an entry until it is evicted. An entry
 * whose `keepUntil` has passed on the `Clock` counts as absent everywhere.
 *
 * @since 1.0.0
 * @category models
 */
export interface Backend {
  readonly [TypeId]: TypeId
  /** Names the backend in errors and metrics. */
  readonly name: string
  /** Whether an entry must have `bytes` to be stored, or may be kept as it is. */
  readonly holds: "values" | "bytes"
  /** Whether other processes read and write the same entries. */
  readonly isShared: boolean
  readonly get: (key: string) => Effect.Effect<Option.Option<Entry>, BackendError>
  /** The entries in the order of `keys`, in one round trip where the store can. */
  readonly getMany: (keys: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Option.Option<Entry>>, BackendError>
  /** Overwrites, and voids a lease on the key. */
  readonly set: (key: string, entry: Entry, retention: Duration.Duration) => Effect.Effect<void, BackendError>
  readonly setMany: (items: ReadonlyArray<Item>) => Effect.Effect<void, BackendError>
  /** Stores only if the key is absent, and voids a lease then: of many concurrent calls exactly one answers `true`. */
  readonly add: (key: string, entry: Entry, retention: Duration.Duration) => Effect.Effect<boolean, BackendError>
  readonly has: (key: string) => Effect.Effect<boolean, BackendError>
  /** Whether there was something to remove. Voids a lease on the key in any case. */
  readonly remove: (key: string) => Effect.Effect<boolean, BackendError>
  /** How many of the keys there were. */
  readonly removeMany: (keys: ReadonlyArray<string>) => Effect.Effect<number, BackendError>
  /**
   * The number after adding `by`, a safe integer of either sign. A number that
   * is there keeps its time of expiry; a new one starts at zero and gets
   * `retention`. Voids a lease on the key. Fails with reason `NotANumber` on anything else.
   */
  readonly increment: (key: string, by: number, retention: Duration.Duration) => Effect.Effect<number, BackendError>
  /** Removes every key that begins with `prefix` (text, not a pattern) and voids the leases on them. */
  readonly clear: (prefix: string) => Effect.Effect<void, BackendError>
  /** Asks for the right to fill a key. One holder at a time, for at most `duration`. */
  readonly lease: (key: string, duration: Duration.Duration) => Effect.Effect<Lease, BackendError>
  /** Extends a lease that is still held by another `duration`; zero gives it back. */
  readonly renew: (key: string, token: string, duration: Duration.Duration) => Effect.Effect<boolean, BackendError>
  /** Stores if `token` still holds the lease, and ends the lease; otherwise writes nothing. */
  readonly fill: (
    key: string,
    token: string,
    entry: Entry,
    retention: Duration.Duration
  ) => Effect.Effect<boolean, BackendError>
  /**
   * `get`, `lease` and `tagVersions` in one round trip; absent where the store cannot do
   * that. To be called in an uninterruptible step, which alone cannot lose the answer.
   * Even there it can be interrupted while it waits, and leaves no lease behind then.
   */
  readonly getOrLease?:
    | ((key: string, duration: Duration.Duration, tags: ReadonlyArray<string>) => Effect.Effect<Claim, BackendError>)
    | undefined
  /**
   * Whether `get` will likely find the key fresh at this instant, and without tags: then
   * it costs less than `getOrLease`.
   *
   * @internal
   */
  readonly isLikely?: ((key: string, now: number) => boolean) | undefined
  /** The current versions in the order of `tags`; a tag without one gets a new one. */
  readonly tagVersions: (tags: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<TagVersion>, BackendError>
  /** What `tagVersions` answers now for the tags of `versions`, in their order. */
  readonly refreshTags: (versions: ReadonlyArray<TagVersion>) => Effect.Effect<ReadonlyArray<TagVersion>, BackendError>
  /**
   * Changes with every invalidation of any tag, by any process: two equal
   * answers prove that no tag was invalidated between them.
   */
  readonly tagEpoch: Effect.Effect<string, BackendError>
  /** Gives the tags new versions: entries that carry the old ones are misses (`hard`) or stale (`soft`). */
  readonly invalidateTags: (
    tags: ReadonlyArray<string>,
    mode: "hard" | "soft"
  ) => Effect.Effect<void, BackendError>
  /** Present where hits can be answered in this process; `holds: "values"` besides says that nothing is anywhere else. */
  readonly unsafe: Unsafe | undefined
  /**
   * The name that the store knows a tag by, as in the versions it answers.
   *
   * @internal
   */
  readonly tagInStore: (tag: string) => string
  /**
   * What the store tells of the entries whose keys begin with `prefix`, and of itself. Scans; `undefined` where it
   * can tell nothing.
   *
   * @internal
   */
  readonly inspect: ((prefix: string) => Effect.Effect<Inspection, BackendError>) | undefined
  /** @internal */
  readonly flights: Flights.Flights
  /** @internal */
  readonly listeners: Listeners
}

/**
 * The store primitives that `fromBytes` needs. Retentions are positive, and
 * `Duration.infinity` means "until evicted".
 *
 * @since 1.0.0
 * @category models
 */
export interface Bytes {
  readonly get: (key: string) => Effect.Effect<Option.Option<Uint8Array>, BackendError>
  readonly set: (key: string, bytes: Uint8Array, retention: Duration.Duration) => Effect.Effect<void, BackendError>
  /** Stores only if the key is absent, atomically. */
  readonly add: (key: string, bytes: Uint8Array, retention: Duration.Duration) => Effect.Effect<boolean, BackendError>
  /** Whether there was something to remove. */
  readonly remove: (key: string) => Effect.Effect<boolean, BackendError>
  /** Removes every key that begins with `prefix`: text, not a pattern. */
  readonly clear: (prefix: string) => Effect.Effect<void, BackendError>
  /** The values in the order of `keys`. Default: one `get` each. */
  readonly getMany?:
    | ((keys: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Option.Option<Uint8Array>>, BackendError>)
    | undefined
}

/**
 * The operations a backend's author writes; `make` adds the rest.
 *
 * @since 1.0.0
 * @category models
 */
export type Operations = Omit<Backend, TypeId | "flights" | "listeners" | "tagInStore" | "inspect"> & {
  /** @internal */
  readonly tagInStore?: (tag: string) => string
  /** @internal */
  readonly inspect?: Backend["inspect"]
}

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/**
 * Why an operation failed.
 *
 * - `Connection`: the store cannot be reached, or the connection was lost; a write has an unknown outcome
 * - `Timeout`: no answer in time; a write has an unknown outcome
 * - `Authentication`: the credentials were refused, or do not suffice
 * - `OutOfSpace`: the store is full; reads go on
 * - `TooLarge`: the value is larger than the store takes; nothing was sent
 * - `InvalidInput`: a key or an argument that no store can take; nothing was sent
 * - `NotANumber`: `increment` of something that is not a safe integer, or past one
 * - `Unavailable`: the store answered that it cannot serve now (loading, read only, failing over)
 * - `Unknown`: anything else; see `cause`
 *
 * @since 1.0.0
 * @category errors
 */
export type Reason =
  | "Connection"
  | "Timeout"
  | "Authentication"
  | "OutOfSpace"
  | "TooLarge"
  | "InvalidInput"
  | "NotANumber"
  | "Unavailable"
  | "Unknown"

/**
 * A backend could not do what it was asked. Holds no value, no credential and no
 * key but in `cause`, which a backend strips of both.
 *
 * @since 1.0.0
 * @category errors
 */
export class BackendError extends Data.TaggedError("BackendError")<{
  readonly backend: string
  readonly method: string
  readonly reason: Reason
  readonly description?: string | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    return `${this.backend}.${this.method}: ${this.description ?? descriptions[this.reason]}`
  }
}

const descriptions: Record<Reason, string> = {
  Connection: "the connection failed",
  Timeout: "no answer in time",
  Authentication: "the credentials were refused",
  OutOfSpace: "the store is full",
  TooLarge: "the value is too large",
  InvalidInput: "invalid input",
  NotANumber: "the stored value is not a safe integer",
  Unavailable: "the store cannot serve now",
  Unknown: "the operation failed"
}

// -----------------------------------------------------------------------------
// tags
// -----------------------------------------------------------------------------

/**
 * The backend that a program's caches use.
 *
 * @since 1.0.0
 * @category tags
 */
export class CacheBackend extends Context.Tag("effect-caching/CacheBackend")<CacheBackend, Backend>() {}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * @since 1.0.0
 * @category guards
 */
export const isBackend = (u: unknown): u is Backend => typeof u === "object" && u !== null && TypeId in u

/**
 * A backend from all of its operations. Loads that run for it are interrupted
 * when the scope closes. Keys that are not well-formed Unicode, and amounts and
 * retentions that no store can take, are refused before any operation runs.
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (operations: Operations): Effect.Effect<Backend, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => guarded(operations, new Flights.Flights(), new Listeners())),
    (backend) => backend.flights.close
  )

/**
 * A backend from five primitives over bytes. What the contract wants beyond
 * them is derived: atomic in this process, and across processes by a lock made
 * with `add`, at the price of more round trips.
 *
 * @example
 * ```ts
 * import { Backend } from "effect-caching"
 * import { Effect, Layer, Option } from "effect"
 *
 * const layer = Layer.scoped(
 *   Backend.CacheBackend,
 *   Effect.suspend(() => {
 *     const map = new Map<string, Uint8Array>()
 *     return Backend.fromBytes({ name: "map", isShared: false }, {
 *       get: (key) => Effect.sync(() => Option.fromNullable(map.get(key))),
 *       set: (key, bytes) => Effect.sync(() => void map.set(key, bytes)),
 *       add: (key, bytes) => Effect.sync(() => !map.has(key) && !!map.set(key, bytes)),
 *       remove: (key) => Effect.sync(() => map.delete(key)),
 *       clear: (prefix) =>
 *         Effect.sync(() => [...map.keys()].filter((key) => key.startsWith(prefix)).forEach((key) => map.delete(key)))
 *     })
 *   })
 * )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const fromBytes = (
  options: {
    /** Names the backend in errors and metrics. */
    readonly name: string
    /** Whether other processes use the same store. Default: true. */
    readonly isShared?: boolean | undefined
    /** How many keys of one call may be under way at a time. Default: 1. */
    readonly concurrency?: number | undefined
  },
  store: Bytes,
  /** Operations that the store does better than the derived ones. */
  overrides?: Partial<Operations> | undefined
): Effect.Effect<Backend, never, Scope.Scope> =>
  make({
    ...derive.fromBytes(store, {
      name: options.name,
      isShared: options.isShared ?? true,
      concurrency: options.concurrency ?? 1,
      fail: (method, reason, description) => new BackendError({ backend: options.name, method, reason, description })
    }),
    ...overrides
  })

const isWellFormed = (key: string): boolean => (key as string & { isWellFormed: () => boolean }).isWellFormed()

/**
 * A lease that nobody takes, because who asked for it was interrupted, is given
 * back when it comes. It is asked for in a fiber of its own, as what was granted to
 * an interrupted fiber is lost.
 */
const keptOrGivenBack = <A extends Lease>(
  asking: Effect.Effect<A, BackendError>,
  key: string,
  { renew }: Pick<Operations, "renew">
): Effect.Effect<A, BackendError> =>
  Effect.uninterruptible(
    Effect.flatMap(Effect.forkDaemon(Effect.interruptible(asking)), (asking) =>
      // Interruptible even where the caller is not: it must be, to take the answer without losing it.
      Effect.onInterrupt(Effect.interruptible(Fiber.join(asking)), () =>
        Effect.forkDaemon(
          Effect.flatMap(Fiber.join(asking), ({ token }) =>
            token._tag === "Some" ? renew(key, token.value, Duration.zero) : Effect.void)
        )))
  )

/** In UTF-16 units: the envelope has 16 bits for the length in bytes. */
const longestTag = 16_384

/** `operations` behind checks of what no store can take. */
const guarded = (operations: Operations, flights: Flights.Flights, listeners: Listeners): Backend => {
  const invalid = (method: string, description: string) =>
    Effect.fail(new BackendError({ backend: operations.name, method, reason: "InvalidInput", description }))
  const check = <A>(
    method: string,
    keys: ReadonlyArray<string>,
    effect: () => Effect.Effect<A, BackendError>,
    retention?: Duration.Duration
  ): Effect.Effect<A, BackendError> =>
    Effect.suspend(() => {
      if (!keys.every(isWellFormed)) return invalid(method, "the key has a lone surrogate")
      if (retention !== undefined && !(Duration.toMillis(retention) > 0)) {
        return invalid(method, `retention must be more than zero, not ${Duration.format(retention)}`)
      }
      return effect()
    })
  const checkTags = <A>(method: string, tags: ReadonlyArray<string>, effect: () => Effect.Effect<A, BackendError>) => {
    const long = tags.find((tag) => tag.length > longestTag)
    return long === undefined
      ? check(method, tags, effect)
      : invalid(method, `a tag must have at most ${longestTag} characters, not ${long.length}`)
  }
  const { getOrLease } = operations
  return {
    [TypeId]: TypeId,
    name: operations.name,
    holds: operations.holds,
    isShared: operations.isShared,
    unsafe: operations.unsafe,
    tagInStore: operations.tagInStore ?? identity,
    inspect: operations.inspect,
    flights,
    listeners,
    get: (key) => check("get", [key], () => operations.get(key)),
    getMany: (keys) => check("getMany", keys, () => keys.length === 0 ? Effect.succeed([]) : operations.getMany(keys)),
    set: (key, entry, retention) => check("set", [key], () => operations.set(key, entry, retention), retention),
    setMany: (items) =>
      Effect.suspend(() => {
        const shortest = items.reduce((min, item) => Duration.min(min, item[2]), Duration.infinity as Duration.Duration)
        return check(
          "setMany",
          items.map((item) => item[0]),
          () => items.length === 0 ? Effect.void : operations.setMany(items),
          shortest
        )
      }),
    add: (key, entry, retention) => check("add", [key], () => operations.add(key, entry, retention), retention),
    has: (key) => check("has", [key], () => operations.has(key)),
    remove: (key) => check("remove", [key], () => operations.remove(key)),
    removeMany: (keys) =>
      check("removeMany", keys, () => keys.length === 0 ? Effect.succeed(0) : operations.removeMany(keys)),
    increment: (key, by, retention) =>
      Number.isSafeInteger(by)
        ? check("increment", [key], () => operations.increment(key, by, retention), retention)
        : invalid("increment", `by must be a safe integer, not ${by}`),
    clear: (prefix) => check("clear", [prefix], () => operations.clear(prefix)),
    lease: (key, duration) =>
      check("lease", [key], () => {
        const asking = operations.lease(key, duration)
        // In this process the answer comes at once.
        return isInProcess(operations) ? Effect.uninterruptible(asking) : keptOrGivenBack(asking, key, operations)
      }, duration),
    getOrLease: getOrLease &&
      ((key, duration, tags) =>
        checkTags(
          "getOrLease",
          tags,
          () => check("getOrLease", [key], () => getOrLease(key, duration, tags), duration)
        )),
    isLikely: operations.isLikely,
    renew: (key, token, duration) => check("renew", [key], () => operations.renew(key, token, duration)),
    fill: (key, token, entry, retention) =>
      check("fill", [key], () => operations.fill(key, token, entry, retention), retention),
    tagVersions: (tags) =>
      checkTags("tagVersions", tags, () => tags.length === 0 ? Effect.succeed([]) : operations.tagVersions(tags)),
    refreshTags: (versions) =>
      check(
        "refreshTags",
        versions.map((version) => version.tag),
        () => versions.length === 0 ? Effect.succeed([]) : operations.refreshTags(versions)
      ),
    tagEpoch: operations.tagEpoch,
    invalidateTags: (tags, mode) =>
      checkTags("invalidateTags", tags, () => tags.length === 0 ? Effect.void : operations.invalidateTags(tags, mode))
  }
}

// -----------------------------------------------------------------------------
// combinators
// -----------------------------------------------------------------------------

/**
 * The backend with some operations replaced. It shares the loads under way with
 * `self`, so it must see the same keys. `getOrLease` goes where an operation that it is
 * made of is replaced and it is not.
 *
 * @since 1.0.0
 * @category combinators
 */
export const override: {
  (operations: (self: Backend) => Partial<Operations>): (self: Backend) => Backend
  (self: Backend, operations: (self: Backend) => Partial<Operations>): Backend
} = dual(
  2,
  (self: Backend, operations: (self: Backend) => Partial<Operations>): Backend =>
    guarded(replaced(self, operations(self)), self.flights, self.listeners)
)

const replaced = (self: Backend, operations: Partial<Operations>): Operations =>
  operations.get !== undefined || operations.lease !== undefined || operations.tagVersions !== undefined ||
    operations.refreshTags !== undefined
    ? { ...self, getOrLease: undefined, ...operations }
    : { ...self, ...operations }

/**
 * The backend with every operation's effect passed through `f`, which is given
 * the name of the operation. A lease that comes while `f` fails is given back.
 *
 * @since 1.0.0
 * @category combinators
 */
export const around: {
  (f: Around): (self: Backend) => Backend
  (self: Backend, f: Around): Backend
} = dual(2, (self: Backend, f: Around): Backend => {
  const { getOrLease } = self
  return override(self, () => ({
    get: (key) => f("get", self.get(key)),
    getMany: (keys) => f("getMany", self.getMany(keys)),
    set: (key, entry, retention) => f("set", self.set(key, entry, retention)),
    setMany: (items) => f("setMany", self.setMany(items)),
    add: (key, entry, retention) => f("add", self.add(key, entry, retention)),
    has: (key) => f("has", self.has(key)),
    remove: (key) => f("remove", self.remove(key)),
    removeMany: (keys) => f("removeMany", self.removeMany(keys)),
    increment: (key, by, retention) => f("increment", self.increment(key, by, retention)),
    clear: (prefix) => f("clear", self.clear(prefix)),
    lease: (key, duration) => passedOn(f, "lease", self.lease(key, duration), key, self),
    getOrLease: getOrLease &&
      ((key, duration, tags) =>
        keptOrGivenBack(passedOn(f, "getOrLease", getOrLease(key, duration, tags), key, self), key, self)),
    renew: (key, token, duration) => f("renew", self.renew(key, token, duration)),
    fill: (key, token, entry, retention) => f("fill", self.fill(key, token, entry, retention)),
    tagVersions: (tags) => f("tagVersions", self.tagVersions(tags)),
    refreshTags: (versions) => f("refreshTags", self.refreshTags(versions)),
    tagEpoch: f("tagEpoch", self.tagEpoch),
    invalidateTags: (tags, mode) => f("invalidateTags", self.invalidateTags(tags, mode))
  }))
})

/** A lease that `f` fails without, as with a time-out, is given back: the one that it has, or the one that comes later. */
const passedOn = <A extends Lease>(
  f: Around,
  method: string,
  asking: Effect.Effect<A, BackendError>,
  key: string,
  { renew }: Pick<Operations, "renew">
): Effect.Effect<A, BackendError> =>
  Effect.suspend(() => {
    let granted: string | undefined
    let hasFailed = false
    const giveBack = Effect.suspend(() =>
      granted === undefined ? Effect.void : Effect.forkDaemon(renew(key, granted, Duration.zero))
    )
    const noted = Effect.tap(asking, ({ token }) => {
      granted = token._tag === "Some" ? token.value : undefined
      return hasFailed ? giveBack : Effect.void
    })
    return Effect.onError(f(method, Effect.uninterruptible(noted)), () => {
      hasFailed = true
      return giveBack
    })
  })

/** What `around` puts round an operation. */
type Around = <A>(method: string, operation: Effect.Effect<A, BackendError>) => Effect.Effect<A, BackendError>

/**
 * The backend with a bound on every operation: one that takes longer fails with
 * reason `Timeout`, and is interrupted in the background. For stores without a
 * bound of their own.
 *
 * @since 1.0.0
 * @category combinators
 */
export const timeout: {
  (duration: Duration.DurationInput): (self: Backend) => Backend
  (self: Backend, duration: Duration.DurationInput): Backend
} = dual(
  2,
  (self: Backend, duration: Duration.DurationInput): Backend =>
    around(self, (method, operation) =>
      // Disconnected: a step that cannot be interrupted, as the taking of a lock, must not hold the caller up.
      Effect.timeoutFail(Effect.disconnect(operation), {
        duration,
        onTimeout: () => new BackendError({ backend: self.name, method, reason: "Timeout" })
      }))
)

/**
 * The part of `self` whose keys begin with `prefix`. Tags are of the part too;
 * `clear("")` empties the part and nothing else.
 *
 * @since 1.0.0
 * @category combinators
 */
export const prefixed: {
  (prefix: string): (self: Backend) => Effect.Effect<Backend, never, Scope.Scope>
  (self: Backend, prefix: string): Effect.Effect<Backend, never, Scope.Scope>
} = dual(2, (self: Backend, prefix: string): Effect.Effect<Backend, never, Scope.Scope> => {
  const at = (name: string) => prefix + name
  const { getOrLease, inspect, isLikely, unsafe } = self
  return make({
    ...self,
    get: (key) => self.get(at(key)),
    getMany: (keys) => self.getMany(keys.map(at)),
    set: (key, entry, retention) => self.set(at(key), entry, retention),
    setMany: (items) => self.setMany(items.map(([key, entry, retention]) => [at(key), entry, retention])),
    add: (key, entry, retention) => self.add(at(key), entry, retention),
    has: (key) => self.has(at(key)),
    remove: (key) => self.remove(at(key)),
    removeMany: (keys) => self.removeMany(keys.map(at)),
    increment: (key, by, retention) => self.increment(at(key), by, retention),
    clear: (prefix) => self.clear(at(prefix)),
    lease: (key, duration) => self.lease(at(key), duration),
    getOrLease: getOrLease && ((key, duration, tags) => getOrLease(at(key), duration, tags.map(at))),
    isLikely: isLikely && ((key, now) => isLikely(at(key), now)),
    renew: (key, token, duration) => self.renew(at(key), token, duration),
    fill: (key, token, entry, retention) => self.fill(at(key), token, entry, retention),
    tagVersions: (tags) => self.tagVersions(tags.map(at)),
    tagInStore: (tag) => self.tagInStore(at(tag)),
    inspect: inspect && ((prefix) => inspect(at(prefix))),
    invalidateTags: (tags, mode) => self.invalidateTags(tags.map(at), mode),
    unsafe: unsafe && { get: (key) => unsafe.get(at(key)), tagState: unsafe.tagState }
  })
})

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * A layer whose backend is made from the backend of `layer`.
 *
 * @since 1.0.0
 * @category layers
 */
export const mapLayer: {
  <E2, R2>(
    f: (self: Backend) => Effect.Effect<Backend, E2, R2>
  ): <E, R>(
    layer: Layer.Layer<CacheBackend, E, R>
  ) => Layer.Layer<CacheBackend, E | E2, R | Exclude<R2, Scope.Scope>>
  <E, R, E2, R2>(
    layer: Layer.Layer<CacheBackend, E, R>,
    f: (self: Backend) => Effect.Effect<Backend, E2, R2>
  ): Layer.Layer<CacheBackend, E | E2, R | Exclude<R2, Scope.Scope>>
} = dual(2, <E, R, E2, R2>(
  layer: Layer.Layer<CacheBackend, E, R>,
  f: (self: Backend) => Effect.Effect<Backend, E2, R2>
) => Layer.scoped(CacheBackend, Effect.flatMap(CacheBackend, f)).pipe(Layer.provide(layer)))
