/**
 * What a cache knows about one key, for people.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type BackendError, CacheBackend } from "../../Backend.js"
import { describe } from "../describe.js"
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
      entry: entry && { ...describe(entry, current, now), isOwn: isOwn(policy, entry) }
    }
  })
