/**
 * What is known of a stored entry, without its value.
 */
import type { Entry, TagVersion } from "./entry.js"
import { stateAt } from "./freshness.js"

/** `current` are the versions that the entry's tags have now, in their order. */
export const describe = (entry: Entry, current: ReadonlyArray<TagVersion>, now: number) => ({
  state: stateAt(entry, now),
  isFailure: entry.isFailure,
  codec: entry.codec,
  ageMillis: now - entry.loadedAt,
  freshForMillis: entry.freshUntil - now,
  keptForMillis: entry.keepUntil - now,
  loadMillis: entry.loadMillis,
  bytes: entry.bytes?.length,
  tags: entry.tags.map(({ hard, soft, tag }, i) => ({
    tag,
    isInvalidated: current[i]!.hard !== hard,
    isStale: current[i]!.soft !== soft
  }))
})
