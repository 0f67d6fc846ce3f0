/**
 * `Cache-Control` and `Pragma` of a request (RFC 9111 §5.2.1, §5.4): what a client would
 * like. It is advice: obeyed, it lets whoever asks choose what the app has to do.
 */
import { directivesIn, secondsOf } from "./cacheControl.js"
import type { Fields } from "./fields.js"

/** What is obeyed of a request's directives. Times are in milliseconds. */
export interface RequestDirectives {
  /** §5.2.1.4: only what was validated since. */
  readonly noCache: boolean
  /** §5.2.1.5: nothing of this exchange is stored; what is stored may be sent. */
  readonly noStore: boolean
  /** §5.2.1.7: what is stored, or 504. */
  readonly onlyIfCached: boolean
  /** §5.2.1.1 */
  readonly maxAgeMillis: number | undefined
  /** §5.2.1.2; without an argument it is `Infinity`. */
  readonly maxStaleMillis: number | undefined
  /** §5.2.1.3 */
  readonly minFreshMillis: number | undefined
}

/**
 * `"safe"`: those that cost the app no more than a miss, and protect nobody less:
 * `no-store` and `only-if-cached`. `"full"`: all.
 */
export type Obedience = "ignore" | "safe" | "full"

const silent: RequestDirectives = {
  noCache: false,
  noStore: false,
  onlyIfCached: false,
  maxAgeMillis: undefined,
  maxStaleMillis: undefined,
  minFreshMillis: undefined
}

/** What a request says, as far as it is obeyed; `undefined` where that is nothing. */
export const requestDirectives = (fields: Fields, obedience: Obedience): RequestDirectives | undefined => {
  if (obedience === "ignore") return undefined
  const value = fields["cache-control"]
  if (value === undefined) {
    // §5.4: for those who know no `Cache-Control`.
    return obedience === "full" && directivesIn(fields["pragma"]).some(({ name }) => name === "no-cache")
      ? { ...silent, noCache: true }
      : undefined
  }
  const parsed: { -readonly [K in keyof RequestDirectives]: RequestDirectives[K] } = { ...silent }
  for (const { argument, isMalformed, name } of directivesIn(value)) {
    if (name === "no-store") parsed.noStore = true
    else if (name === "only-if-cached") parsed.onlyIfCached = true
    else if (obedience === "safe") continue
    else if (name === "no-cache") parsed.noCache = true
    else if (name === "max-age") {
      parsed.maxAgeMillis = Math.min(parsed.maxAgeMillis ?? Infinity, secondsOf(argument) * 1000)
    } else if (name === "min-fresh") {
      parsed.minFreshMillis = Math.max(parsed.minFreshMillis ?? 0, secondsOf(argument) * 1000)
    } else if (name === "max-stale") {
      const allowed = argument === undefined && !isMalformed ? Infinity : secondsOf(argument) * 1000
      parsed.maxStaleMillis = Math.min(parsed.maxStaleMillis ?? Infinity, allowed)
    }
  }
  return parsed
}

/** What matters of a stored response that may be sent, fresh or stale. */
export interface Offered {
  readonly ageMillis: number
  readonly lifetimeMillis: number
  /** Its own directives let it be sent stale where somebody allows it (§4.2.4). */
  readonly mayBeStale: boolean
  /** It came, or was validated, after the request did. */
  readonly isNewer: boolean
}

/**
 * Whether the client takes the stored response. `undefined`: it says nothing to that, and
 * what the cache would do anyway holds.
 */
export const accepts = (
  { maxAgeMillis, maxStaleMillis, minFreshMillis, noCache }: RequestDirectives,
  { ageMillis, isNewer, lifetimeMillis, mayBeStale }: Offered
): boolean | undefined => {
  if (noCache) return isNewer
  if (maxAgeMillis !== undefined && ageMillis > maxAgeMillis) return false
  if (minFreshMillis !== undefined && lifetimeMillis - ageMillis < minFreshMillis) return false
  if (ageMillis < lifetimeMillis) return undefined
  if (maxStaleMillis !== undefined) return mayBeStale && ageMillis < lifetimeMillis + maxStaleMillis
  // §5.2.1.1: who limits the age wants nothing stale.
  return maxAgeMillis === undefined ? undefined : false
}
