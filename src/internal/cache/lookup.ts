/**
 * Reading an entry: is it this cache's, may it be served, and what is in it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Backend, BackendError, TagVersion } from "../../Backend.js"
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
}

export const nothing: Found = { state: "miss", entry: undefined, current: undefined }

/** Whether this cache's codecs wrote the entry. */
export const isOwn = (policy: Policy, entry: Entry): boolean =>
  entry.isFailure
    ? policy.failure !== undefined && entry.codec === policy.failure.id
    : entry.codec === policy.success.id || entry.codec === counterCodec

/** The entry's payload as an `Exit`; decoded once, then kept on the entry. */
const decoded = (policy: Policy, entry: Entry): Effect.Effect<boolean, never, any> => {
  if (entry.exit !== undefined) return Effect.succeed(true)
  const codec = entry.isFailure ? policy.failure! : policy.success
  return Effect.matchEffect(codec.decode(entry.bytes!), {
    onSuccess: (value) =>
      Effect.sync(() => {
        entry.exit = entry.isFailure ? Exit.fail(value) : Exit.succeed(value)
        return true
      }),
    onFailure: () => Effect.as(undecodableEntry(policy.name), false)
  })
}

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

/** Judges entries found at one instant, reading the versions of all their tags in one round trip. */
export const judgeMany = (
  policy: Policy,
  backend: Backend,
  entries: ReadonlyArray<Entry | undefined>,
  now: number
): Effect.Effect<ReadonlyArray<Found>, BackendError, any> => {
  const live = entries.map((entry) =>
    entry !== undefined && isOwn(policy, entry) && stateAt(entry, now) !== "expired" ? entry : undefined
  )
  const tags = live.flatMap((entry) => entry?.tags ?? [])
  return Effect.flatMap(
    tags.length === 0 ? Effect.succeed(tags) : backend.refreshTags(tags),
    (versions) => {
      let at = 0
      return Effect.forEach(live, (entry) => {
        if (entry === undefined) return Effect.succeed(nothing)
        const current = versions.slice(at, at + entry.tags.length)
        at += entry.tags.length
        const byTags = compare(entry.tags, current)
        // Made stale where nothing stale may be served: a miss.
        const isEnded = byTags === "hard" || (byTags === "soft" && policy.graceMillis === 0)
        if (isEnded) return Effect.succeed<Found>({ state: "miss", entry, current })
        const state = byTags === "soft" || stateAt(entry, now) === "stale" ? "stale" : "hit"
        return Effect.map(decoded(policy, entry), (isDecoded): Found => isDecoded ? { state, entry, current } : nothing)
      })
    }
  )
}

export const judge = (
  policy: Policy,
  backend: Backend,
  entry: Entry | undefined,
  now: number
): Effect.Effect<Found, BackendError, any> =>
  entry === undefined
    ? Effect.succeed(nothing)
    : Effect.map(judgeMany(policy, backend, [entry], now), (found) => found[0]!)
