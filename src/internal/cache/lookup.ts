/**
 * Reading an entry: is it this cache's, may it be served, and what is in it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Backend, BackendError, Claim, TagVersion } from "../../Backend.js"
import { counterCodec, type Entry } from "../entry.js"
import { stateAt } from "../freshness.js"
import { isSameVersion } from "./currentLoad.js"
import { undecodableEntry } from "./observe.js"
import type { Policy } from "./policy.js"

/** The answer of a lookup. An entry that is a miss is kept for its tags: its successor likely has the same. */
export interface Found {
  readonly state: "hit" | "stale" | "miss"
  readonly entry: Entry | undefined
  /** The versions that the entry's tags have now, where they were read. */
  readonly current: ReadonlyArray<TagVersion> | undefined
  /** The value that the entry had, for the load that replaces it. */
  readonly previous?: unknown
  /** Where it is not what the entry holds. */
  readonly served?: Exit.Exit<any, any>
}

export const nothing: Found = { state: "miss", entry: undefined, current: undefined }

/** Whether this cache's codecs wrote the entry. */
export const isOwn = (policy: Policy, entry: Entry): boolean =>
  entry.isFailure
    ? policy.failure !== undefined && entry.codec === policy.failure.id
    : entry.codec === policy.success.id || entry.codec === counterCodec

/** What the versions of an entry's tags, compared with those of now, make of it. */
const compare = (
  stored: ReadonlyArray<TagVersion>,
  current: ReadonlyArray<TagVersion>
): "current" | "soft" | "hard" => {
  let state: "current" | "soft" = "current"
  for (let i = 0; i < stored.length; i++) {
    if (isSameVersion(stored[i]!, current[i]!)) continue
    if (stored[i]!.hard !== current[i]!.hard) return "hard"
    state = "soft"
  }
  return state
}

/** The entry, if it is this cache's and may still be served by its header. */
const usable = (policy: Policy, entry: Entry | undefined, now: number): Entry | undefined =>
  entry !== undefined && isOwn(policy, entry) && stateAt(entry, now) !== "expired" ? entry : undefined

/** Judges a usable entry. Its payload is decoded once, then kept on it. */
const judgeUsable = (
  policy: Policy,
  entry: Entry,
  current: ReadonlyArray<TagVersion>,
  now: number
): Effect.Effect<Found, never, any> => {
  const byTags = compare(entry.tags, current)
  // Made stale where nothing stale may be served: a miss.
  const isEnded = byTags === "hard" || (byTags === "soft" && !policy.isGraceful)
  if (isEnded) return Effect.succeed({ state: "miss", entry, current })
  const isStale = byTags === "soft" || stateAt(entry, now) === "stale"
  const foundAs = (): Found => {
    if (!isStale) return { state: "hit", entry, current }
    const exit = entry.exit as Exit.Exit<any, any>
    if (policy.served === undefined || exit._tag === "Failure") return { state: "stale", entry, current }
    const value = policy.served(exit.value, now)
    return value === undefined
      ? { state: "miss", entry, current, previous: exit.value }
      : { state: "stale", entry, current, previous: exit.value, served: Exit.succeed(value) }
  }
  if (entry.exit !== undefined) return Effect.sync(foundAs)
  const codec = entry.isFailure ? policy.failure! : policy.success
  return Effect.matchEffect(codec.decode(entry.bytes!), {
    onSuccess: (value) => {
      entry.exit = entry.isFailure ? Exit.fail(value) : Exit.succeed(value)
      return Effect.sync(foundAs)
    },
    onFailure: () => Effect.as(undecodableEntry(policy.name), nothing)
  })
}

/** Judges entries found at one instant, reading the versions of all their tags in one round trip. */
export const judgeMany = (
  policy: Policy,
  backend: Backend,
  entries: ReadonlyArray<Entry | undefined>,
  now: number
): Effect.Effect<ReadonlyArray<Found>, BackendError, any> => {
  const live = entries.map((entry) => usable(policy, entry, now))
  const tags = live.flatMap((entry) => entry?.tags ?? [])
  return Effect.flatMap(
    tags.length === 0 ? Effect.succeed(tags) : backend.refreshTags(tags),
    (versions) => {
      let at = 0
      return Effect.forEach(live, (entry) => {
        if (entry === undefined) return Effect.succeed(nothing)
        const current = versions.slice(at, at + entry.tags.length)
        at += entry.tags.length
        return judgeUsable(policy, entry, current, now)
      })
    }
  )
}

export const judge = (
  policy: Policy,
  backend: Backend,
  found: Entry | undefined,
  now: number
): Effect.Effect<Found, BackendError, any> => {
  const entry = usable(policy, found, now)
  if (entry === undefined) return Effect.succeed(nothing)
  return entry.tags.length === 0
    ? judgeUsable(policy, entry, entry.tags, now)
    : Effect.flatMap(backend.refreshTags(entry.tags), (current) => judgeUsable(policy, entry, current, now))
}

/** Judges an entry together with which the versions of its tags were read, if they were. */
export const judgeClaimed = (
  policy: Policy,
  backend: Backend,
  { entry: found, versions }: Claim,
  now: number
): Effect.Effect<Found, BackendError, any> => {
  const entry = versions === undefined ? undefined : usable(policy, Option.getOrUndefined(found), now)
  return entry === undefined
    ? judge(policy, backend, Option.getOrUndefined(found), now)
    : judgeUsable(policy, entry, versions!, now)
}

/** What is stored under the key. */
export const read = (policy: Policy, backend: Backend, key: string): Effect.Effect<Found, BackendError, any> =>
  Effect.flatMap(
    backend.get(key),
    (entry) =>
      Effect.clockWith((clock) => judge(policy, backend, Option.getOrUndefined(entry), clock.unsafeCurrentTimeMillis()))
  )
