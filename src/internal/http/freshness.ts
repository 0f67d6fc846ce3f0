/**
 * How long a response is fresh, and how old it is (RFC 9111 §4.2).
 */
import type { CacheControl } from "./cacheControl.js"
import { parseDate } from "./date.js"
import type { Fields } from "./fields.js"

/** Milliseconds that the response itself gives; `undefined` where it says nothing (§4.2.1). */
export const explicitLifetime = (
  headers: Fields,
  cacheControl: CacheControl,
  receivedAt: number
): number | undefined => {
  const seconds = cacheControl.sMaxage ?? cacheControl.maxAge
  if (seconds !== undefined) return seconds * 1000
  if (headers["expires"] === undefined) return undefined
  // §5.3: an invalid date is in the past.
  const expires = parseDate(headers["expires"], receivedAt)
  if (expires === undefined) return 0
  return Math.max(0, expires - (parseDate(headers["date"], receivedAt) ?? receivedAt))
}

/** §4.2.2: those that may be fresh though they do not say how long. */
const heuristicallyCacheable = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])

/** §4.2.2: a tenth of the time since the response was changed, a day at most. */
export const heuristicLifetime = (
  status: number,
  headers: Fields,
  cacheControl: CacheControl,
  receivedAt: number
): number | undefined => {
  const modified = parseDate(headers["last-modified"], receivedAt)
  if (modified === undefined || !(heuristicallyCacheable.has(status) || cacheControl.public)) return undefined
  const date = parseDate(headers["date"], receivedAt) ?? receivedAt
  return Math.max(0, Math.min((date - modified) / 10, 24 * 3_600_000))
}

/** §4.2.3: how old the response was when it was received, in milliseconds. */
export const initialAge = (headers: Fields, requestedAt: number, receivedAt: number): number => {
  const date = parseDate(headers["date"], receivedAt)
  const first = headers["age"]?.split(",", 1)[0]!.trim()
  const age = first !== undefined && /^\d+$/.test(first) ? Math.min(Number(first), 2 ** 31) * 1000 : 0
  // A date has no milliseconds: what was made within this second is not old.
  const apparent = date === undefined || receivedAt - date < 1000 ? 0 : receivedAt - date
  return Math.max(apparent, age === 0 ? 0 : age + Math.max(0, receivedAt - requestedAt))
}

export interface Aging {
  readonly receivedAt: number
  readonly initialAgeMillis: number
  readonly lifetimeMillis: number
}

/** §4.2.3; a clock that is behind the one that stored the response makes it no younger. */
export const currentAge = (stored: Aging, now: number): number =>
  stored.initialAgeMillis + Math.max(0, now - stored.receivedAt)

/** §4.2 */
export const isFresh = (stored: Aging, now: number): boolean => stored.lifetimeMillis > currentAge(stored, now)
