/**
 * What a cache knows about one key, for people.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type BackendError, CacheBackend } from "../../Backend.js"
import { stateAt } from "../freshness.js"
import { invalidKey, keyOf } from "./call.js"
import { isOwn, judge } from "./lookup.js"
import type { Explanation } from "./model.js"
import type { Policy } from "./policy.js"

export const explain = (policy: Policy, userKey: unknown): Effect.Effect<Explanation, BackendError, any> =>
  Effect.gen(function*() {
    const backend = yield* CacheBackend
    const key = keyOf(policy, userKey)
    if (typeof key !== "string") return yield* Effect.fail(invalidKey(backend, "explain", key))
    const entry = Option.getOrUndefined(yield* backend.get(key))
    const now = yield* Clock.currentTimeMillis
    const { state } = yield* judge(policy, backend, entry, now)
    const current = entry === undefined ? [] : yield* backend.refreshTags(entry.tags)
    return {
      key,
      backend: backend.name,
      state,
      isLoading: backend.flights.find(key) !== undefined,
      entry: entry && {
        state: stateAt(entry, now),
        isFailure: entry.isFailure,
        codec: entry.codec,
        isOwn: isOwn(policy, entry),
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
      }
    }
  })
