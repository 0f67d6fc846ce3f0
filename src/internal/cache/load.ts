/**
 * What happens on a miss, in the order in which it happens:
 *
 * 1. the right to fill the key is asked for; what another process filled meanwhile is taken
 * 2. the versions of the tags known by now are read
 * 3. the load runs, in a scope of its own; what it reads from caches is noted
 * 4. the policy decides on what came of it: how long, with which tags
 * 5. the entry is written, if no invalidation voided the right to
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type { Backend, BackendError, Lease, TagVersion } from "../../Backend.js"
import { remaining } from "../derive.js"
import { Entry } from "../entry.js"
import type { Advance, Flight } from "../flights.js"
import { lifetime } from "../freshness.js"
import { isInProcess } from "../inProcess.js"
import { pause } from "../pause.js"
import { Current, CurrentLoad, isSameVersion } from "./currentLoad.js"
import { type Found, judge } from "./lookup.js"
import * as Observe from "./observe.js"
import { maxTags, type Policy } from "./policy.js"

/** One call of a cache. */
export interface Call {
  readonly policy: Policy
  readonly backend: Backend
  /** As the backend knows it. */
  readonly key: string
  /** As the caller gave it. */
  readonly userKey: unknown
  readonly load: Effect.Effect<any, any, any>
  /** Where the call does not wait for more than what its own load gives it. */
  readonly advance?: Advance<any> | undefined
}

/** What a flight brings to those who wait for it. */
export interface Outcome {
  /** `undefined` where a background flight left the load to another process: who joined it goes on alone. */
  readonly exit: Exit.Exit<any, any> | undefined
  /** The versions the result depends on; `undefined` where they are not known. */
  readonly tags: ReadonlyArray<TagVersion> | undefined
  /** Whether the load ran, or its result was found after all. */
  readonly isLoaded: boolean
  /** How many tag invalidations this process had made when the flight began. */
  readonly startedAfter: number
}

type Right =
  /** This flight may fill the key. */
  | { readonly _tag: "Mine"; readonly token: string }
  /** Another process has filled it. */
  | { readonly _tag: "Filled"; readonly entry: Entry }
  /** Another process is at it, and nobody waits here. */
  | { readonly _tag: "Elsewhere" }
  /** The backend cannot say: load, and store nothing. */
  | { readonly _tag: "Unknown" }

/** The right to fill the key, as a lookup may bring it: of one use. */
export class Claimed {
  constructor(private token: string | undefined) {}
  take(): string | undefined {
    const { token } = this
    this.token = undefined
    return token
  }
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const firstPollMillis = 5
const longestPollMillis = 50

/** The body of a flight. `isForced` loads whatever is stored. */
export const fly = (
  call: Call,
  flight: Flight,
  found: Found,
  isForced: boolean,
  claimed?: Claimed
): Effect.Effect<Outcome, never, any> => {
  const outcome = (
    exit: Outcome["exit"],
    tags: ReadonlyArray<TagVersion> | undefined,
    isLoaded: boolean
  ): Outcome => ({ exit, tags, isLoaded, startedAfter: flight.startedAfter })

  // An invalidation is going on: what is loaded now may be old by its end.
  if (flight.isFenced) return Effect.map(loadOnly(call, flight), (exit) => outcome(exit, undefined, true))

  return Effect.uninterruptibleMask((restore) =>
    Effect.matchEffect(right(call, flight, isForced, restore, claimed), {
      onFailure: (error) => Effect.succeed(outcome(Exit.fail(error), undefined, true)),
      onSuccess: (right) => {
        switch (right._tag) {
          case "Filled":
            return Effect.succeed(outcome(right.entry.exit as Exit.Exit<any, any>, right.entry.tags, false))
          case "Elsewhere":
            return Effect.succeed(outcome(undefined, undefined, false))
          case "Unknown":
            return Effect.map(restore(loadOnly(call, flight)), (exit) => outcome(exit, undefined, true))
          case "Mine":
            return restore(loadAndFill(call, flight, found, right.token)).pipe(
              Effect.onError(() => giveBackLater(call, right.token)),
              Effect.map(({ exit, tags }) => outcome(exit, tags, true))
            )
        }
      }
    })
  )
}

/** Runs the load without storing anything: where the backend is out of reach. */
export const loadOnly = (call: Call, flight: Flight): Effect.Effect<Exit.Exit<any, any>, never, any> =>
  Effect.exit(runLoad(call, new CurrentLoad(call.backend, flight, false)))

const runLoad = (call: Call, current: CurrentLoad) => Effect.scoped(Effect.provideService(call.load, Current, current))

// -----------------------------------------------------------------------------
// 1. the right to fill
// -----------------------------------------------------------------------------

const right = (
  call: Call,
  flight: Flight,
  isForced: boolean,
  restore: Restore,
  claimed: Claimed | undefined
): Effect.Effect<Right, BackendError, any> => {
  const token = claimed?.take()
  return token === undefined ? askForRight(call, flight, isForced, restore) : Effect.succeed({ _tag: "Mine", token })
}

const askForRight = (
  call: Call,
  flight: Flight,
  isForced: boolean,
  restore: Restore
): Effect.Effect<Right, BackendError, any> => {
  const { backend, key, policy } = call
  // In this process whoever holds a lease cannot vanish without giving it back.
  const duration = isInProcess(backend) ? Duration.infinity : policy.leaseDuration
  const ask = (pollMillis: number): Effect.Effect<Right, BackendError, any> =>
    Effect.flatMap(
      backend.lease(key, duration),
      (lease) =>
        Effect.flatMap(
          isForced ? Effect.succeed(undefined) : filledBy(lease),
          (entry): Effect.Effect<Right, BackendError, any> => {
            const token = Option.getOrUndefined(lease.token)
            if (entry !== undefined) {
              return Effect.as(
                token === undefined ? Effect.void : giveBack(call, token),
                { _tag: "Filled", entry } as const
              )
            }
            if (token !== undefined) return Effect.succeed({ _tag: "Mine", token })
            if (flight.isBackground) return Effect.succeed({ _tag: "Elsewhere" })
            return Effect.zipRight(
              restore(pause(pollMillis)),
              ask(Math.min(pollMillis * 2, longestPollMillis))
            )
          }
        )
    )

  /** A flight that landed between the lookup and the lease, here or in another process, has stored the value. */
  const filledBy = (lease: Lease): Effect.Effect<Entry | undefined, BackendError, any> =>
    lease.entry._tag === "None" ?
      Effect.succeed(undefined) :
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        restore(judge(policy, backend, Option.getOrUndefined(lease.entry), now)).pipe(
          Effect.flatMap(({ entry, state }) =>
            state !== "hit" || entry === undefined
              ? Effect.succeed(undefined)
              : policy.isStale === undefined || entry.exit === undefined ||
                  (entry.exit as Exit.Exit<any>)._tag === "Failure"
              ? Effect.succeed(entry)
              : Effect.map(
                policy.isStale((entry.exit as Exit.Success<any, any>).value, call.userKey),
                (isStale) =>
                  isStale ? undefined : entry
              )
          ),
          Effect.onError(() => lease.token._tag === "Some" ? giveBackLater(call, lease.token.value) : Effect.void)
        ))

  return policy.isFailingOpen
    ? Effect.catchAll(
      ask(firstPollMillis),
      (error): Effect.Effect<Right> => Effect.as(Observe.backendError(call, error), { _tag: "Unknown" } as const)
    )
    : ask(firstPollMillis)
}

const giveBack = (call: Call, token: string): Effect.Effect<void> =>
  Effect.ignore(call.backend.renew(call.key, token, Duration.zero))

/** Gives the lease back without making anyone wait for the store: an interrupted caller, or one whose store fails. */
export const giveBackLater = (call: Call, token: string): Effect.Effect<unknown> =>
  isInProcess(call.backend) ? giveBack(call, token) : Effect.forkDaemon(giveBack(call, token))

/** Extends the lease for as long as the load takes: another process waits for it, not for the clock. */
const keepLease = (call: Call, token: string): Effect.Effect<unknown> => {
  const { backend, key, policy } = call
  const third = Duration.times(policy.leaseDuration, 1 / 3)
  return Effect.forever(
    Effect.zipRight(Effect.sleep(third), Effect.ignore(backend.renew(key, token, policy.leaseDuration)))
  )
}

// -----------------------------------------------------------------------------
// 2. to 5. the load
// -----------------------------------------------------------------------------

interface Landed {
  readonly exit: Exit.Exit<any, any>
  readonly tags: ReadonlyArray<TagVersion> | undefined
}

const loadAndFill = (call: Call, flight: Flight, found: Found, token: string): Effect.Effect<Landed, never, any> =>
  Effect.gen(function*() {
    const { backend, key, policy } = call
    const known = yield* readKnown(call, found)
    const keeping = isInProcess(backend) ? undefined : yield* Effect.fork(keepLease(call, token))
    const current = new CurrentLoad(backend, flight, policy.isTracking)
    current.previous = found.previous
    const startedAt = yield* Clock.currentTimeMillis
    const exit = yield* Effect.exit(runLoad(call, current))
    const loadedAt = yield* Clock.currentTimeMillis
    if (keeping !== undefined) yield* Fiber.interrupt(keeping)
    const tags = yield* readTags(call, known, current, exit)
    const entry = flight.isFenced ? undefined : exit._tag === "Success"
      ? yield* successEntry(call, exit, tags, loadedAt, loadedAt - startedAt, current.timeToLiveMillis)
      : yield* failureEntry(call, exit, found, tags, loadedAt, loadedAt - startedAt)
    if (entry === undefined) yield* giveBack(call, token)
    else {
      const retention = remaining(entry.keepUntil, loadedAt)
      yield* Effect.catchAll(
        backend.fill(key, token, entry, retention),
        (error) => Effect.zipRight(giveBackLater(call, token), Observe.backendError(call, error))
      )
    }
    return { exit, tags }
  })

/** The tag versions that can be read before the load, by the store's names, and the epoch that proves the others. */
interface Known {
  readonly versions: ReadonlyMap<string, TagVersion>
  readonly epoch: string | undefined
}

const readKnown = (call: Call, found: Found): Effect.Effect<Known | undefined> => {
  const { backend, policy } = call
  const reading = Effect.gen(function*() {
    const versions = new Map<string, TagVersion>()
    // The tags of the entry before this one are likely those of this one: they were read just now.
    for (const version of found.current ?? []) versions.set(version.tag, version)
    const missing = policy.earlyTags(call.userKey).filter((tag) => !versions.has(backend.tagInStore(tag)))
    for (const version of yield* backend.tagVersions(missing)) versions.set(version.tag, version)
    return { versions, epoch: policy.staticTags === undefined ? yield* backend.tagEpoch : undefined }
  })
  return Effect.catchAll(reading, (error) => Effect.as(Observe.backendError(call, error), undefined))
}

/**
 * The versions that a value depends on, or a failure whose tags need no value to be
 * known. Those of tags that only the value names are read after the load, and
 * count if no tag at all was invalidated meanwhile.
 */
const readTags = (
  call: Call,
  known: Known | undefined,
  current: CurrentLoad,
  exit: Exit.Exit<any, any>
): Effect.Effect<ReadonlyArray<TagVersion> | undefined> => {
  const { backend, policy } = call
  const reading = Effect.gen(function*() {
    if (exit._tag === "Failure" && (exit.cause._tag !== "Fail" || policy.staticTags === undefined)) return undefined
    const names = new Set(
      exit._tag === "Success" ? policy.tags(exit.value, call.userKey) : policy.earlyTags(call.userKey)
    )
    if (known === undefined || current.isUnknown) return undefined
    const versions = new Map(current.versions)
    const { size } = new Set([...Array.from(names, backend.tagInStore), ...versions.keys()])
    if (size > maxTags) {
      yield* Observe.notStored(policy.name, `it depends on ${size} tags, more than ${maxTags}`)
      return undefined
    }
    const late: Array<string> = []
    for (const name of names) {
      const version = known.versions.get(backend.tagInStore(name))
      if (version === undefined) late.push(name)
      else if (!join(versions, version)) return undefined
    }
    if (late.length > 0) {
      for (const version of yield* backend.tagVersions(late)) if (!join(versions, version)) return undefined
      if (known.epoch !== (yield* backend.tagEpoch)) return undefined
    }
    return Array.from(versions.values())
  })
  return Effect.catchAll(reading, (error) => Effect.as(Observe.backendError(call, error), undefined))
}

/** Adds a version; `false` where the tag is there in another one, as then one of the two is outdated. */
const join = (versions: Map<string, TagVersion>, version: TagVersion): boolean => {
  const present = versions.get(version.tag)
  if (present !== undefined) return isSameVersion(present, version)
  versions.set(version.tag, version)
  return true
}

const successEntry = (
  call: Call,
  exit: Exit.Success<any, any>,
  tags: ReadonlyArray<TagVersion> | undefined,
  loadedAt: number,
  loadMillis: number,
  ownMillis: number | undefined
): Effect.Effect<Entry | undefined, never, any> =>
  Effect.gen(function*() {
    const { policy, userKey } = call
    if (tags === undefined) return undefined
    if (policy.storeIf !== undefined && !(yield* policy.storeIf(exit.value, userKey))) return undefined
    return yield* makeEntry(call, exit, tags, loadedAt, loadMillis, ownMillis)
  })

/** A typed failure alone may be stored; interruptions and defects never are. */
const failureEntry = (
  call: Call,
  exit: Exit.Failure<any, any>,
  found: Found,
  tags: ReadonlyArray<TagVersion> | undefined,
  loadedAt: number,
  loadMillis: number
): Effect.Effect<Entry | undefined, never, any> =>
  Effect.gen(function*() {
    const { backend, key, policy } = call
    if (exit.cause._tag !== "Fail") return undefined
    if (policy.failure !== undefined && tags !== undefined) {
      const entry = yield* makeEntry(call, Exit.fail(exit.cause.error), tags, loadedAt, loadMillis)
      if (entry !== undefined) return entry
    }
    if (found.entry !== undefined && !policy.staleIf(exit.cause.error)) {
      yield* Effect.catchAll(backend.remove(key), (error) => Observe.backendError(call, error))
    }
    return undefined
  })

/** The entry for an exit, encoded where the backend holds bytes; none where its time to live is zero. */
export const makeEntry = (
  { backend, policy, userKey }: Omit<Call, "load">,
  exit: Exit.Exit<any, any>,
  tags: ReadonlyArray<TagVersion>,
  loadedAt: number,
  loadMillis: number,
  ownMillis?: number | undefined
): Effect.Effect<Entry | undefined, never, any> =>
  Effect.catchAll(
    encodedEntry(policy, backend, userKey, exit, tags, loadedAt, loadMillis, ownMillis),
    () => Effect.as(Observe.notStored(policy.name, "its codec cannot encode it"), undefined)
  )

/** As `makeEntry`, failing where the codec refuses the value. */
export const encodedEntry = (
  policy: Policy,
  backend: Backend,
  userKey: unknown,
  exit: Exit.Exit<any, any>,
  tags: ReadonlyArray<TagVersion>,
  loadedAt: number,
  loadMillis: number,
  /** What the load asked for itself. */
  ownMillis?: number | undefined
) =>
  Effect.gen(function*() {
    const asked = policy.timeToLiveMillis(exit, userKey, ownMillis)
    const millis = policy.jitter === 0 ? asked : asked * (1 - policy.jitter * (yield* Random.next))
    const isFailure = exit._tag === "Failure"
    const graceMillis = isFailure ? 0 : policy.graceMillis(exit, userKey)
    // Where the dialect decides what is served of a stale value, one may be kept that is stale from the first.
    const isStorable = loadedAt + millis > loadedAt
    if (!isStorable && !(policy.served !== undefined && graceMillis > 0)) return undefined
    const codec = isFailure ? policy.failure! : policy.success
    const payload = isFailure ? (exit.cause as { readonly error: unknown }).error : exit.value
    const bytes = backend.holds === "bytes" ? yield* codec.encode(payload) : undefined
    const { freshUntil, keepUntil } = lifetime(loadedAt, Math.max(0, millis), graceMillis)
    return new Entry(isFailure, codec.id, loadedAt, freshUntil, keepUntil, loadMillis, tags, exit, bytes)
  })
