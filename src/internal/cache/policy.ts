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
  readonly timeToLiveMillis: (exit: Exit.Exit<any, any>, key: any) => number
  readonly graceMillis: number
  readonly jitter: number
  /** Zero: off. */
  readonly refreshAhead: number
  readonly softTimeoutMillis: number
  readonly leaseDuration: Duration.Duration
  readonly staleIf: (error: any) => boolean
  /** Tags known before the load; `undefined` where they depend on the value. */
  readonly staticTags: ReadonlyArray<string> | undefined
  readonly tags: (value: any, key: any) => ReadonlyArray<string>
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
  return (exit) => exit._tag === "Success" ? fixed : 0
}

export const compile = (options: Options<any, any, any, any>, success: Codec<any, any>): Policy => {
  const module = `Cache ${JSON.stringify(options.name)}`
  const millis = (option: string, value: unknown, fallback: number) =>
    value === undefined ? fallback : requireMillis(module, option, value)
  if (typeof options.name !== "string" || options.name === "" || options.name.length > 100) {
    throw new InvalidOption({ module: "Cache", option: "name", value: options.name, expected: "1 to 100 characters" })
  }
  const { tags } = options
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
    texts: new Key.Texts(prefix),
    success,
    failure: options.failure,
    timeToLiveMillis: timeToLiveOf(options.name, options.timeToLive),
    graceMillis: millis("grace", options.grace, 0),
    jitter: requireNumber(module, "jitter", options.jitter ?? 0, { min: 0, max: 1 }),
    refreshAhead,
    softTimeoutMillis: millis("softTimeout", options.softTimeout, 0),
    leaseDuration: Duration.millis(Math.max(10, millis("leaseDuration", options.leaseDuration, 1_000))),
    staleIf: options.staleIf ?? (() => true),
    staticTags: typeof tags === "function" ? undefined : tags ?? [],
    tags: typeof tags === "function" ? tags : () => tags ?? [],
    isTracking: options.trackDependencies ?? true,
    isFailingOpen: options.onBackendError !== "fail",
    unless,
    forcedUpdate,
    isStale,
    storeIf: question(options.storeIf),
    isPlain: unless === undefined && forcedUpdate === undefined && isStale === undefined && refreshAhead === 0
  }
}
