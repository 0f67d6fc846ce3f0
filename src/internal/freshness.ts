/**
 * When an entry may be served: pure functions of its header and the clock.
 */
import type { Header } from "./entry.js"

/** fresh: served as it is. stale: served while it is loaded anew. expired: a miss. */
export type State = "fresh" | "stale" | "expired"

/** The one boundary rule of the library: an instant has passed when now reaches it. */
export const stateAt = (header: Pick<Header, "freshUntil" | "keepUntil">, now: number): State =>
  now < header.freshUntil && now < header.keepUntil ? "fresh" : now < header.keepUntil ? "stale" : "expired"

/** Until when an entry loaded `now` is fresh, and until when it is kept. */
export const lifetime = (
  now: number,
  timeToLiveMillis: number,
  graceMillis: number
): { readonly freshUntil: number; readonly keepUntil: number } => {
  const freshUntil = now + timeToLiveMillis
  return { freshUntil, keepUntil: freshUntil + graceMillis }
}

/**
 * Whether a fresh entry should be loaded anew before it expires: the "XFetch"
 * rule (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache
 * Stampede Prevention, VLDB 2015). `random` is uniform in [0, 1); a larger
 * `eagerness` starts earlier, 1 is the paper's optimum.
 */
export const isRefreshDue = (
  header: Pick<Header, "freshUntil" | "loadMillis">,
  now: number,
  eagerness: number,
  random: number
): boolean => now - header.loadMillis * eagerness * Math.log(1 - random) >= header.freshUntil
