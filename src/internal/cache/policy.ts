/**
 * A cache's policy with everything decided that can be decided once.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Codec } from "../../Codec.js"
import * as Key from "../key.js"
import { InvalidOption, millisOf, requireMillis, requireNumber } from "../options.js"
import type { Options } from "./model.js"
import { type Counters, countersOf } from "./observe.js"

/** A question about a call, asked only where it was given. */
export type Question<Args extends ReadonlyArray<unknown>> = ((...args: Args) => Effect.Effect<boolean>) | undefined

/**
 * What is served of a value that is stale `now`; `undefined`: nothing, it is a miss, and
 * the load that replaces it may read it. For dialects: with it, a value that is never
 * fresh is kept for as long as its grace.
 */
export type Served = (value: any, now: number) => unknown

/** `Options` compiled. */
export interface Policy {
  readonly name: string
  readonly counters: Counters
  /** This cache's share of a backend. */
  readonly prefix: string
  readonly keyOf: (key: unknown) => unknown
  /** The texts of keys, with the prefix. */
  readonly texts: Key.Texts
  readonly success: Codec<any, any>
  readonly failure: Codec<any, any> | undefined
  /** `own` is what the load asked for: in place of a duration, not of a function. */
  readonly timeToLiveMillis: (exit: Exit.Exit<any, any>, key: any, own?: number | undefined) => number
  readonly graceMillis: (exit: Exit.Exit<any, any>, key: any) => number
  /** Whether softly invalidated values may be served at all. */
  readonly isGraceful: boolean
  readonly served: Served | undefined
  readonly jitter: number
  /** Zero: off. */
  readonly refreshAhead: number
  readonly softTimeoutMillis: number
  readonly leaseDuration: Duration.Duration
  readonly staleIf: (error: any) => boolean
  /** Tags known before the load; `undefined` where they depend on the value. */
  readonly staticTags: ReadonlyArray<string> | undefined
  readonly tags: (value: any, key: any) => ReadonlyArray<string>
  /** Those of `tags` that are known before the load. */
  readonly earlyTags: (key: any) => ReadonlyArray<string>
  /** Those of them whose versions are asked for together with the right to load. */
  readonly claimedTags: (key: any) => ReadonlyArray<string>
  readonly isUntagged: boolean
  readonly isTracking: boolean
  readonly isFailingOpen: boolean
  readonly unless: Question<[key: any]>
  readonly forcedUpdate: Question<[key: any]>
  readonly isStale: Question<[value: any, key: any]>
  readonly storeIf: Question<[value: any, key: any]>
  /** Whether a fresh entry may be returned without asking anything more. */
  readonly isPlain: boolean
}

/** More tags than this on one entry are more than a lookup should compare: it is not stored. */
export const maxTags = 256

const question = (given: unknown): Question<Array<any>> => {
  if (given === undefined || given === false) return undefined
  return (...args) => {
    const answer = typeof given === "function" ? given(...args) : given
    return typeof answer === "boolean" ? Effect.succeed(answer) : answer as Effect.Effect<boolean>
  }
}

/** A time to live in milliseconds. A duration alone is for successes. */
export const timeToLiveOf = (name: string, timeToLive: unknown): Policy["timeToLiveMillis"] => {
  if (typeof timeToLive === "function") return (exit, key) => millisOf(timeToLive(exit, key)) ?? 0
  const fixed = requireMillis(`Cache ${JSON.stringify(name)}`, "timeToLive", timeToLive)
  return (exit, _, own = fixed) => exit._tag === "Success" ? own : 0
}

const graceOf = (module: string, grace: unknown): Policy["graceMillis"] => {
  if (typeof grace === "function") {
    return (exit, key) => exit._tag === "Success" ? millisOf(grace(exit, key)) ?? 0 : 0
  }
  const fixed = grace === undefined ? 0 : requireMillis(module, "grace", grace)
  return (exit) => exit._tag === "Success" ? fixed : 0
}

/** Begins like no key, so that a versioned key is never an unversioned one. */
const versionOf = (module: string, version: string | undefined): string => {
  if (version === undefined) return ""
  if (typeof version === "string" && version !== "" && version.length <= 100) return `@${Key.prefixOf(version)}`
  throw new InvalidOption({ module, option: "version", value: version, expected: "1 to 100 characters" })
}

export const compile = (options: Options<any, any, any, any>, success: Codec<any, any>): Policy => {
  const module = `Cache ${JSON.stringify(options.name)}`
  const millis = (option: string, value: unknown, fallback: number) =>
    value === undefined ? fallback : requireMillis(module, option, value)
  if (typeof options.name !== "string" || options.name === "" || options.name.length > 100) {
    throw new InvalidOption({ module: "Cache", option: "name", value: options.name, expected: "1 to 100 characters" })
  }
  const { keyTags, tags } = options
  const staticTags = typeof tags === "function" ? [] : tags ?? []
  const earlyTags = keyTags === undefined ? () => staticTags : (key: unknown) => [...staticTags, ...keyTags(key)]
  const unless = question(options.unless)
  const forcedUpdate = question(options.forcedUpdate)
  const isStale = question(options.isStale)
  const refreshAhead = options.refreshAhead === true
    ? 1
    : options.refreshAhead === false
    ? 0
    : options.refreshAhead ?? 0
  requireNumber(module, "refreshAhead", refreshAhead, { min: 0 })
  const prefix = Key.prefixOf(options.name)
  return {
    name: options.name,
    counters: countersOf(options.name),
    prefix,
    keyOf: options.key ?? ((key) => key),
    texts: new Key.Texts(prefix + versionOf(module, options.version)),
    success,
    failure: options.failure,
    timeToLiveMillis: timeToLiveOf(options.name, options.timeToLive),
    graceMillis: graceOf(module, options.grace),
    isGraceful: typeof options.grace === "function" || millis("grace", options.grace, 0) > 0,
    served: (options as { readonly served?: Served }).served,
    jitter: requireNumber(module, "jitter", options.jitter ?? 0, { min: 0, max: 1 }),
    refreshAhead,
    softTimeoutMillis: millis("softTimeout", options.softTimeout, 0),
    leaseDuration: Duration.millis(Math.max(10, millis("leaseDuration", options.leaseDuration, 1_000))),
    staleIf: options.staleIf ?? (() => true),
    staticTags: typeof tags === "function" ? undefined : tags ?? [],
    tags: typeof tags !== "function"
      ? (_, key) => earlyTags(key)
      : keyTags === undefined
      ? tags
      : (value, key) => [...keyTags(key), ...tags(value, key)],
    earlyTags,
    claimedTags: (key) => {
      const tags = earlyTags(key)
      return tags.length > maxTags ? [] : tags
    },
    isUntagged: keyTags === undefined && typeof tags !== "function" && (tags ?? []).length === 0,
    isTracking: options.trackDependencies ?? true,
    isFailingOpen: options.onBackendError !== "fail",
    unless,
    forcedUpdate,
    isStale,
    storeIf: question(options.storeIf),
    isPlain: unless === undefined && forcedUpdate === undefined && isStale === undefined && refreshAhead === 0
  }
}
