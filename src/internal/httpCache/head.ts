/**
 * What the app's answer to a HEAD tells of the stored answer to a GET (RFC 9111 §4.3.5).
 */
import * as Cookies from "@effect/platform/Cookies"
import type * as Response from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Cache from "../../Cache.js"
import { judge } from "../http/storable.js"
import type * as Stored from "../http/stored.js"
import { headSays } from "../http/validation.js"
import { answerOf, formsStill, validated } from "./load.js"
import type { Call, Outcome, Variant } from "./site.js"

/** Freshens or ends what is stored, if the response says anything of it. */
export const heed = (
  call: Call,
  variant: Variant | undefined,
  stored: Stored.Answer,
  response: Response.HttpServerResponse,
  requestedAt: number
): Effect.Effect<void, never, any> =>
  // What was for one user may say nothing of what others get.
  response.status !== 200 || stored.status !== 200 || call.visit.isPersonal || call.visit.isAuthorized
    ? Effect.void
    : Effect.ignore(Effect.interruptible(compare(call, variant, stored, response, requestedAt)))

const compare = (
  { primary, request, site }: Call,
  variant: Variant | undefined,
  stored: Stored.Answer,
  response: Response.HttpServerResponse,
  requestedAt: number
): Effect.Effect<unknown, unknown, any> =>
  Effect.gen(function*() {
    const key = variant?.key ?? primary
    const says = headSays(response.headers, stored)
    if (says === "changed") yield* Cache.invalidate(site.cache, key)
    if (says !== "same") return
    const rules = site.policy.load
    const merged = validated(stored, response)
    const verdict = judge({
      status: merged.status,
      headers: merged.headers,
      hasCookies: !Cookies.isEmpty(merged.cookies),
      isAuthorized: false,
      isPersonal: false,
      requestedAt,
      receivedAt: yield* Clock.currentTimeMillis
    }, rules)
    const names = variant?.variance.names ?? []
    if (verdict._tag === "NotStorable" || !verdict.vary.every((name) => names.includes(name))) return
    if (!(yield* rules.storeIf(merged, request))) return
    const now = yield* Clock.currentTimeMillis
    const fresh: Stored.Answer = {
      ...answerOf(
        merged,
        stored.body,
        formsStill(merged.headers, rules, stored),
        verdict,
        now,
        rules,
        rules.tags(merged, request)
      ),
      generation: stored.generation,
      variant: stored.variant
    }
    // By a load, and only of what is still there: what an invalidation has removed meanwhile stays away.
    yield* Cache.getOrSet(
      site.cache,
      key,
      Effect.map(Cache.previous, (previous): Outcome => isThis(previous, stored) ? fresh : { _tag: "Unstored" })
    )
  })

const isThis = (previous: unknown, stored: Stored.Answer): boolean => {
  const answer = previous as Outcome | undefined
  return answer?._tag === "Answer" && answer.generation === stored.generation && answer.variant === stored.variant &&
    answer.receivedAt === stored.receivedAt && answer.validating["if-none-match"] === stored.validating["if-none-match"]
}
