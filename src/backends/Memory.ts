/**
 * Entries in the memory of this process, bounded by their number and, where
 * asked, by their weight. The least useful are evicted first (S3-FIFO).
 *
 * @since 1.0.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Backend from "../Backend.js"
import * as derive from "../internal/derive.js"
import * as Entry from "../internal/entry.js"
import { fromConfig, InvalidOption, requireNumber } from "../internal/options.js"
import { maxEntriesLimit, S3Fifo } from "../internal/s3fifo.js"
import { TagRegistry } from "../internal/tagRegistry.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * What is weighed: an entry about to be stored.
 *
 * @since 1.0.0
 * @category models
 */
export interface Weighable {
  readonly key: string
  /** The value, or the error of a load that failed; `undefined` where only `bytes` are there, as in a counter. */
  readonly value: unknown
  /** The encoded value; `undefined` where only `value` is there. */
  readonly bytes: Uint8Array | undefined
}

/**
 * How much is kept, and as what. What cannot be meant is a defect, `InvalidOption`,
 * that names the option.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /**
   * What is kept. `"values"`: the values themselves, shared with the program and
   * not copied. `"bytes"`: encoded copies, as a remote store has them. Default: `"values"`.
   */
  readonly storage?: "values" | "bytes" | undefined
  /** The most entries, up to 4,194,304. Default: 10,000, or 4,194,304 where `maxWeight` bounds them. */
  readonly maxEntries?: number | undefined
  /** The most that all entries may weigh together. Default: weight does not count. */
  readonly maxWeight?: number | undefined
  /**
   * What an entry weighs: zero or more, rounded up to a whole number. Default:
   * the bytes of its key and of its encoded form; storage `"values"` has no default.
   */
  readonly weigh?: ((entry: Weighable) => number) | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A backend in the memory of this process.
 *
 * An entry that has expired is absent at once, and is removed when it is met or
 * by one of the next writes. Leases and tags take no room from entries; a tag is
 * remembered while an entry or a load depends on it.
 *
 * @example
 * ```ts
 * import * as Memory from "effect-caching/backends/Memory"
 * import { Effect } from "effect"
 *
 * const program = Effect.scoped(
 *   Effect.gen(function*() {
 *     const backend = yield* Memory.make({ storage: "bytes", maxWeight: 64 * 1024 * 1024 })
 *     return yield* backend.has("user:1")
 *   })
 * )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Backend.Backend, never, Scope.Scope> =>
  Effect.suspend(() => fromLimits(limitsOf(options)))

interface Limits {
  readonly storage: "values" | "bytes"
  readonly maxEntries: number
  readonly maxWeight: number
  readonly weigh: Options["weigh"]
}

/** The options with their defaults; throws `InvalidOption`. */
const limitsOf = ({ maxEntries, maxWeight, storage = "values", weigh }: Options): Limits => {
  const invalid = (option: keyof Options, value: unknown, expected: string) =>
    new InvalidOption({ module: "Memory", option, value, expected })
  const whole = (option: keyof Options, value: number, max: number) =>
    requireNumber("Memory", option, value, { integer: true, min: 1, max })
  if (storage !== "values" && storage !== "bytes") throw invalid("storage", storage, `"values" or "bytes"`)
  if (weigh !== undefined && typeof weigh !== "function") throw invalid("weigh", weigh, "a function")
  if (maxWeight !== undefined && weigh === undefined && storage === "values") {
    throw invalid("weigh", weigh, `a function where maxWeight is set and storage is "values"`)
  }
  return {
    storage,
    maxEntries: maxEntries === undefined
      ? maxWeight === undefined ? 10_000 : maxEntriesLimit
      : whole("maxEntries", maxEntries, maxEntriesLimit),
    maxWeight: maxWeight === undefined ? Infinity : whole("maxWeight", maxWeight, Number.MAX_SAFE_INTEGER),
    weigh
  }
}

const fromLimits = (limits: Limits): Effect.Effect<Backend.Backend, never, Scope.Scope> =>
  Backend.make(limits.storage === "bytes" ? bytesStore(limits) : valuesStore(limits))

/** Entries as the contract has them, over a bounded store of something else. */
interface Entries {
  readonly holds: "values" | "bytes"
  readonly get: (key: string, now: number) => Entry.Entry | undefined
  readonly has: (key: string, now: number) => boolean
  /** Until when an entry that is there is kept. */
  readonly keptUntil: (key: string) => number
  readonly set: (key: string, entry: Entry.Entry, keepUntil: number, now: number) => void
  readonly remove: (key: string, now: number) => boolean
  readonly clear: (prefix: string) => void
  readonly unsafeGet: ((key: string) => Entry.Entry | undefined) | undefined
}

/** An entry that is to be kept for less time than its header says. */
class Shortened {
  constructor(readonly entry: Entry.Entry) {}
}

const valuesStore = ({ maxEntries, maxWeight, weigh }: Limits): Backend.Operations => {
  const store = new S3Fifo<Entry.Entry | Shortened>(maxEntries, maxWeight)
  const tags = new TagRegistry(`${derive.newVersion()}.`)
  /** For entries whose versions are copies: what keeps their tags known. */
  const held = new WeakMap<Entry.Entry, ReadonlyArray<object>>()
  return operations(tags, {
    holds: "values",
    get: (key, now) => {
      const found = store.getAt(key, now)
      return found instanceof Shortened ? found.entry : found
    },
    has: (key, now) => store.hasAt(key, now),
    keptUntil: (key) => store.expiresAt(key),
    set: (key, entry, keepUntil, now) => {
      if (entry.tags.length !== 0) {
        tags.remember(entry.tags)
        if (!tags.owns(entry.tags)) held.set(entry, tags.hold(entry.tags))
      }
      const weight = maxWeight === Infinity ? 0 : weightOf(weigh!, key, entry)
      store.set(key, keepUntil < entry.keepUntil ? new Shortened(entry) : entry, weight, keepUntil, now)
    },
    remove: (key, now) => store.delete(key, now),
    clear: (prefix) => store.clear(prefix),
    unsafeGet: (key) => {
      const found = store.get(key)
      // Nobody but `get`, which knows the time, can tell whether a shortened entry is still there.
      return found instanceof Shortened ? undefined : found
    }
  })
}

const bytesStore = ({ maxEntries, maxWeight, weigh }: Limits): Backend.Operations => {
  interface Stored {
    readonly envelope: Uint8Array
    /** Keeps the tags of the entry known. */
    readonly held: ReadonlyArray<object>
  }
  const store = new S3Fifo<Stored>(maxEntries, maxWeight)
  const tags = new TagRegistry(`${derive.newVersion()}.`)
  return operations(tags, {
    holds: "bytes",
    get: (key, now) => {
      const stored = store.getAt(key, now)
      return stored && Entry.decode(stored.envelope)
    },
    has: (key, now) => store.hasAt(key, now),
    keptUntil: (key) => store.expiresAt(key),
    set: (key, entry, keepUntil, now) => {
      const envelope = Entry.encode(entry)
      const weight = maxWeight === Infinity
        ? 0
        : weigh === undefined
        ? Buffer.byteLength(key) + envelope.length
        : weightOf(weigh, key, entry)
      store.set(key, { envelope, held: tags.hold(entry.tags) }, weight, keepUntil, now)
    },
    remove: (key, now) => store.delete(key, now),
    clear: (prefix) => store.clear(prefix),
    unsafeGet: undefined
  })
}

const weightOf = (weigh: NonNullable<Options["weigh"]>, key: string, { bytes, exit }: Entry.Entry): number => {
  const known = exit as Exit.Exit<unknown, unknown> | undefined
  const value = known && (known._tag === "Success" ? known.value : Cause.squash(known.cause))
  const weight = Math.ceil(weigh({ key, value, bytes }))
  if (weight >= 0) return weight
  throw new InvalidOption({ module: "Memory", option: "the answer of weigh", value: weight, expected: "zero or more" })
}

/** The contract over `entries`. Every operation is one synchronous step, and so atomic. */
const operations = (tags: TagRegistry, entries: Entries): Backend.Operations => {
  const leases = new Leases()

  const at = <A>(f: (now: number) => A): Effect.Effect<A> =>
    Effect.clockWith((clock) => Effect.succeed(f(clock.unsafeCurrentTimeMillis())))

  const put = (key: string, entry: Entry.Entry, retention: Duration.Duration, now: number): void => {
    leases.end(key)
    entries.set(key, entry, Math.min(entry.keepUntil, now + Duration.toMillis(retention)), now)
  }

  const remove = (key: string, now: number): boolean => {
    leases.end(key)
    return entries.remove(key, now)
  }

  const tagVersions = (names: ReadonlyArray<string>) => names.map((tag) => tags.version(tag))

  return {
    name: "memory",
    holds: entries.holds,
    isShared: false,
    get: (key) => at((now) => Option.fromNullable(entries.get(key, now))),
    getMany: (keys) => at((now) => keys.map((key) => Option.fromNullable(entries.get(key, now)))),
    set: (key, entry, retention) => at((now) => put(key, entry, retention, now)),
    setMany: (items) => at((now) => items.forEach(([key, entry, retention]) => put(key, entry, retention, now))),
    add: (key, entry, retention) =>
      at((now) => {
        if (entries.has(key, now)) return false
        put(key, entry, retention, now)
        return true
      }),
    has: (key) => at((now) => entries.has(key, now)),
    remove: (key) => at((now) => remove(key, now)),
    removeMany: (keys) => at((now) => keys.reduce((count, key) => remove(key, now) ? count + 1 : count, 0)),
    increment: (key, by, retention) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const present = entries.get(key, now)
        const before = present === undefined ? 0 : numberOf(present)
        const after = before === undefined ? NaN : before + by
        if (!Number.isSafeInteger(after)) {
          return Effect.fail(
            new Backend.BackendError({
              backend: "memory",
              method: "increment",
              reason: "NotANumber",
              description: "the stored value plus `by` is not a safe integer"
            })
          )
        }
        const keepUntil = present === undefined ? now + Duration.toMillis(retention) : entries.keptUntil(key)
        leases.end(key)
        entries.set(
          key,
          present === undefined ? Entry.counter(after, now, keepUntil) : withNumber(present, after),
          keepUntil,
          now
        )
        return Effect.succeed(after)
      }),
    clear: (prefix) =>
      Effect.sync(() => {
        leases.clear(prefix)
        entries.clear(prefix)
      }),
    lease: (key, duration) =>
      at((now) => ({
        token: Option.fromNullable(leases.begin(key, now, now + Duration.toMillis(duration))),
        entry: Option.fromNullable(entries.get(key, now))
      })),
    renew: (key, token, duration) =>
      at((now) => {
        if (!leases.isHeld(key, token, now)) return false
        const millis = Duration.toMillis(duration)
        if (millis > 0) leases.extend(key, now + millis)
        else leases.end(key)
        return true
      }),
    fill: (key, token, entry, retention) =>
      at((now) => {
        if (!leases.isHeld(key, token, now)) return false
        put(key, entry, retention, now)
        return true
      }),
    tagVersions: (names) => Effect.sync(() => tagVersions(names)),
    refreshTags: (versions) => Effect.sync(() => tagVersions(versions.map((version) => version.tag))),
    tagEpoch: Effect.sync(() => tags.epoch),
    invalidateTags: (names, mode) => Effect.sync(() => tags.invalidate(names, mode)),
    unsafe: entries.unsafeGet && { get: entries.unsafeGet, tagState: (versions) => tags.state(versions) }
  }
}

const numberOf = ({ bytes, exit }: Entry.Entry): number | undefined => {
  if (bytes !== undefined) return Entry.numberOf(bytes)
  const known = exit as Exit.Exit<unknown, unknown>
  return known._tag === "Success" && Number.isSafeInteger(known.value) ? known.value as number : undefined
}

/** A counter that has only its value goes on as one: its codec may write numbers otherwise than in decimal text. */
const withNumber = (entry: Entry.Entry, value: number): Entry.Entry => {
  const next = Entry.withNumber(entry, value)
  if (entry.bytes === undefined) {
    next.exit = Exit.succeed(value)
    next.bytes = undefined
  }
  return next
}

/** Who may fill which key. */
class Leases {
  private readonly held = new Map<string, { readonly token: string; until: number }>()
  private readonly prefix = `${derive.newVersion()}.`
  private count = 0
  private purgeAt = 64

  /** The token, unless another holds the lease. */
  begin(key: string, now: number, until: number): string | undefined {
    const current = this.held.get(key)
    if (current !== undefined && now < current.until) return undefined
    const token = this.prefix + this.count++
    this.held.set(key, { token, until })
    if (this.held.size > this.purgeAt) {
      for (const [key, lease] of this.held) if (now >= lease.until) this.held.delete(key)
      this.purgeAt = Math.max(64, this.held.size * 2)
    }
    return token
  }

  isHeld(key: string, token: string, now: number): boolean {
    const current = this.held.get(key)
    return current !== undefined && current.token === token && now < current.until
  }

  extend(key: string, until: number): void {
    this.held.get(key)!.until = until
  }

  end(key: string): void {
    if (this.held.size !== 0) this.held.delete(key)
  }

  clear(prefix: string): void {
    for (const key of this.held.keys()) if (key.startsWith(prefix)) this.held.delete(key)
  }
}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * A backend in the memory of this process, as the backend that caches use. Each
 * call describes a store of its own: keep the layer in a constant, and provide it
 * once for the program, not at each use.
 *
 * @example
 * ```ts
 * import * as Memory from "effect-caching/backends/Memory"
 *
 * const CacheLive = Memory.layer({ maxEntries: 50_000 })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<Backend.CacheBackend> =>
  Layer.scoped(Backend.CacheBackend, make(options))

/**
 * Like `layer`, with options from the configuration; what is invalid there is a `ConfigError`.
 *
 * @example
 * ```ts
 * import * as Memory from "effect-caching/backends/Memory"
 * import { Config } from "effect"
 *
 * const CacheLive = Memory.layerConfig({
 *   maxEntries: Config.withDefault(Config.integer("CACHE_MAX_ENTRIES"), 10_000)
 * })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Backend.CacheBackend, ConfigError.ConfigError> =>
  Layer.scoped(
    Backend.CacheBackend,
    Effect.flatMap(Config.unwrap(options), (options) => fromConfig(make(options)))
  )
