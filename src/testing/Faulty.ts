/**
 * A backend that fails on command: for tests of what a program does when its
 * cache is slow, broken, wrong or gone.
 *
 * @since 1.0.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Backend from "../Backend.js"
import { newVersion } from "../internal/derive.js"
import * as Entry from "../internal/entry.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * The operations of a backend.
 *
 * @since 1.0.0
 * @category models
 */
export type Method = (typeof methods)[number]

const methods = [
  "get",
  "getMany",
  "set",
  "setMany",
  "add",
  "has",
  "remove",
  "removeMany",
  "increment",
  "clear",
  "lease",
  "renew",
  "fill",
  "tagVersions",
  "refreshTags",
  "tagEpoch",
  "invalidateTags"
] as const

/**
 * What goes wrong.
 *
 * - `Fail`: the operation fails, and is not done
 * - `Lose`: the operation is done, and fails: its answer was lost
 * - `Delay`: the operation is done later, by the `Clock`
 * - `Hang`: the operation never answers; it can be interrupted
 * - `Corrupt`: a random bit of what `get`, `getMany` and `lease` read is flipped; an entry without bytes has none
 * - `Forget`: the store has lost what is read, and loses what is written: entries, leases and tag versions
 *
 * @since 1.0.0
 * @category models
 */
export type Fault =
  | { readonly _tag: "Fail"; readonly reason: Backend.Reason }
  | { readonly _tag: "Lose"; readonly reason: Backend.Reason }
  | { readonly _tag: "Delay"; readonly duration: Duration.DurationInput }
  | { readonly _tag: "Hang" }
  | { readonly _tag: "Corrupt" }
  | { readonly _tag: "Forget" }

/**
 * Which operations go wrong, and how often.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /** Default: all. */
  readonly methods?: ReadonlyArray<Method> | undefined
  /** Default: until `heal`. */
  readonly times?: number | undefined
}

/**
 * What a test has in hand.
 *
 * @since 1.0.0
 * @category models
 */
export interface Control {
  /** From now on the backend is faulty. Of several faults for a method the one injected last is active. */
  readonly inject: (fault: Fault, options?: Options) => Effect.Effect<void>
  /** Ends all faults. Operations that hang go on hanging. */
  readonly heal: Effect.Effect<void>
  /** How often the method was called, or all of them were; reads without a fiber are not counted. */
  readonly calls: (method?: Method) => Effect.Effect<number>
  /** Counts from zero again. */
  readonly resetCalls: Effect.Effect<void>
}

// -----------------------------------------------------------------------------
// tags
// -----------------------------------------------------------------------------

/**
 * Controls the faults of the backend that `layer` made faulty.
 *
 * @since 1.0.0
 * @category tags
 */
export class Faulty extends Context.Tag("effect-caching/testing/Faulty")<Faulty, Control>() {}

// -----------------------------------------------------------------------------
// faults
// -----------------------------------------------------------------------------

/**
 * @since 1.0.0
 * @category faults
 */
export const fail = (reason: Backend.Reason = "Connection"): Fault => ({ _tag: "Fail", reason })

/**
 * @since 1.0.0
 * @category faults
 */
export const lose = (reason: Backend.Reason = "Timeout"): Fault => ({ _tag: "Lose", reason })

/**
 * @since 1.0.0
 * @category faults
 */
export const delay = (duration: Duration.DurationInput): Fault => ({ _tag: "Delay", duration })

/**
 * @since 1.0.0
 * @category faults
 */
export const hang: Fault = { _tag: "Hang" }

/**
 * @since 1.0.0
 * @category faults
 */
export const corrupt: Fault = { _tag: "Corrupt" }

/**
 * @since 1.0.0
 * @category faults
 */
export const forget: Fault = { _tag: "Forget" }

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/** What `Corrupt` and `Forget` are for an operation; without them it is spared. */
interface Damage<A> {
  readonly corrupt?: (answer: A) => Effect.Effect<A>
  readonly forget?: (run: Effect.Effect<A, Backend.BackendError>) => Effect.Effect<A, Backend.BackendError>
}

/**
 * `self` with faults on command, and the command. While a fault is active nothing
 * is read without a fiber, so that it is met.
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (
  self: Backend.Backend
): Effect.Effect<{ readonly backend: Backend.Backend; readonly control: Control }> =>
  Effect.sync(() => {
    let active: ReadonlyArray<{ readonly fault: Fault; readonly methods: ReadonlyArray<Method>; left: number }> = []
    const counts = new Map<Method, number>()

    const next = (method: Method): Fault | undefined => {
      const found = active.findLast((_) => _.methods.includes(method))
      if (found !== undefined && --found.left === 0) active = active.filter((_) => _ !== found)
      return found?.fault
    }

    const call = <A>(
      method: Method,
      run: Effect.Effect<A, Backend.BackendError>,
      damage: Damage<A> = {}
    ): Effect.Effect<A, Backend.BackendError> =>
      Effect.suspend(() => {
        counts.set(method, (counts.get(method) ?? 0) + 1)
        const fault = next(method)
        if (fault === undefined) return run
        const failure = (reason: Backend.Reason) =>
          Effect.fail(new Backend.BackendError({ backend: self.name, method, reason, description: "injected fault" }))
        switch (fault._tag) {
          case "Fail":
            return failure(fault.reason)
          case "Lose":
            return Effect.zipRight(run, failure(fault.reason))
          case "Delay":
            return Effect.delay(run, fault.duration)
          case "Hang":
            return Effect.never
          case "Corrupt":
            return damage.corrupt === undefined ? run : Effect.flatMap(run, damage.corrupt)
          case "Forget":
            return damage.forget === undefined ? run : damage.forget(run)
        }
      })

    const forgotten = (keys: ReadonlyArray<string>) => ({
      before: <A>(run: Effect.Effect<A, Backend.BackendError>) => Effect.zipRight(self.removeMany(keys), run),
      after: <A>(run: Effect.Effect<A, Backend.BackendError>) => Effect.zipLeft(run, self.removeMany(keys))
    })

    const backend = Backend.override(self, () => ({
      get: (key) => call("get", self.get(key), { corrupt: damaged, forget: forgotten([key]).before }),
      getMany: (keys) =>
        call("getMany", self.getMany(keys), {
          corrupt: (all) => Effect.forEach(all, damaged),
          forget: forgotten(keys).before
        }),
      set: (key, entry, retention) => call("set", self.set(key, entry, retention), { forget: forgotten([key]).after }),
      setMany: (items) =>
        call("setMany", self.setMany(items), { forget: forgotten(items.map((item) => item[0])).after }),
      add: (key, entry, retention) => call("add", self.add(key, entry, retention), { forget: forgotten([key]).after }),
      has: (key) => call("has", self.has(key), { forget: forgotten([key]).before }),
      remove: (key) => call("remove", self.remove(key), { forget: forgotten([key]).before }),
      removeMany: (keys) => call("removeMany", self.removeMany(keys), { forget: forgotten(keys).before }),
      increment: (key, by, retention) =>
        call("increment", self.increment(key, by, retention), { forget: forgotten([key]).after }),
      clear: (prefix) => call("clear", self.clear(prefix)),
      lease: (key, duration) =>
        call("lease", self.lease(key, duration), {
          corrupt: (lease) => Effect.map(damaged(lease.entry), (entry) => ({ ...lease, entry })),
          forget: forgotten([key]).before
        }),
      renew: (key, token, duration) =>
        call("renew", self.renew(key, token, duration), { forget: forgotten([key]).before }),
      fill: (key, token, entry, retention) =>
        call("fill", self.fill(key, token, entry, retention), { forget: forgotten([key]).after }),
      tagVersions: (tags) => call("tagVersions", self.tagVersions(tags), { forget: Effect.map(anew) }),
      refreshTags: (versions) => call("refreshTags", self.refreshTags(versions), { forget: Effect.map(anew) }),
      tagEpoch: call("tagEpoch", self.tagEpoch, { forget: Effect.map(newVersion) }),
      invalidateTags: (tags, mode) => call("invalidateTags", self.invalidateTags(tags, mode)),
      // Closed for those too who took the door when no fault was active.
      unsafe: self.unsafe && {
        get: (key) => active.length > 0 ? undefined : self.unsafe!.get(key),
        tagState: (versions) => active.length > 0 ? "hard" : self.unsafe!.tagState(versions)
      }
    }))
    const { unsafe: door } = backend

    return {
      backend: Object.defineProperty({ ...backend }, "unsafe", {
        enumerable: true,
        get: () => active.length > 0 ? undefined : door
      }),
      control: {
        inject: (fault, options) =>
          Effect.sync(() => {
            active = [...active, { fault, methods: options?.methods ?? methods, left: options?.times ?? Infinity }]
          }),
        heal: Effect.sync(() => {
          active = []
        }),
        calls: (method) =>
          Effect.sync(() =>
            method !== undefined
              ? counts.get(method) ?? 0
              : Array.from(counts.values()).reduce((sum, count) => sum + count, 0)
          ),
        resetCalls: Effect.sync(() => counts.clear())
      }
    }
  })

/** The entry after a bit of its envelope was flipped: none, where the envelope shows it. */
const damaged = (found: Option.Option<Backend.Entry>): Effect.Effect<Option.Option<Backend.Entry>> => {
  if (Option.isNone(found) || found.value.bytes === undefined) return Effect.succeed(found)
  const envelope = Entry.encode(found.value)
  return Effect.map(Random.nextIntBetween(0, envelope.length * 8), (bit) => {
    envelope[bit >>> 3]! ^= 1 << (bit & 7)
    return Option.fromNullable(Entry.decode(envelope))
  })
}

const anew = (versions: ReadonlyArray<Backend.TagVersion>): ReadonlyArray<Backend.TagVersion> =>
  versions.map(({ tag }) => ({ tag, hard: newVersion(), soft: newVersion() }))

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * The backend of `layer` with faults on command.
 *
 * @example
 * ```ts
 * import { Cache } from "effect-caching"
 * import * as Memory from "effect-caching/backends/Memory"
 * import { Faulty } from "effect-caching/testing"
 * import { Effect, Schema } from "effect"
 *
 * const Users = Cache.make({ name: "users", schema: Schema.String, timeToLive: "1 minute" })
 *
 * const program = Effect.gen(function*() {
 *   const faulty = yield* Faulty.Faulty
 *   yield* faulty.inject(Faulty.fail("Connection"), { methods: ["get"], times: 2 })
 *   return yield* Cache.getOrSet(Users, "1", Effect.succeed("Ada"))
 * }).pipe(Effect.provide(Faulty.layer(Memory.layer())))
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = <E, R>(
  layer: Layer.Layer<Backend.CacheBackend, E, R>
): Layer.Layer<Backend.CacheBackend | Faulty, E, R> =>
  Layer.effectContext(
    Effect.map(Effect.flatMap(Backend.CacheBackend, make), ({ backend, control }) =>
      Context.make(Backend.CacheBackend, backend).pipe(Context.add(Faulty, control)))
  ).pipe(Layer.provide(layer))
