/**
 * Calls that do not wait for the end of the load that they run, for dialects whose results
 * can be used before they are whole.
 */
import type * as Effect from "effect/Effect"
import type { Cache } from "../../Cache.js"
import type { Advance, Advanced } from "../flights.js"
import { getOrSet } from "./call.js"

/**
 * As `Cache.getOrSet`, or as `Cache.refresh` where it is forced; ends as soon as its own load gives it an `advance`. Not
 * inside another load, which is to know what it was made of when it ends.
 */
export const getOrSetUntil = <Key, A, B, R>(
  { policy }: Cache<Key, A>,
  key: Key,
  load: Effect.Effect<A, never, R>,
  isForced: boolean,
  advance: Advance<B> | undefined
): Effect.Effect<A | Advanced<B>, never, R> =>
  getOrSet(policy, key, load, isForced, advance) as Effect.Effect<A | Advanced<B>, never, R>
