/**
 * A request in front of a cached app, in the order in which it is answered:
 *
 * 1. what a cache must not answer runs past it
 * 2. what was not storable a moment ago waits for nobody: stored, or else forward
 * 3. the entry under the URL, which is the answer or says how answers vary
 * 4. the entry under the variant that the request's fields select
 * 5. on a miss, one load; its answer is for all who may use it, the others go forward
 */
import * as Cookies from "@effect/platform/Cookies"
import * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Response from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Cache from "../../Cache.js"
import type { Forward } from "../http/cacheStatus.js"
import type { Fields } from "../http/fields.js"
import { isFresh } from "../http/freshness.js"
import { invalidatedUrls, isInvalidating } from "../http/invalidation.js"
import { ruleKey } from "../http/noVarySearch.js"
import * as Rules from "../http/request.js"
import { type RequestDirectives, requestDirectives } from "../http/requestDirectives.js"
import { judge } from "../http/storable.js"
import type * as Stored from "../http/stored.js"
import { bake, refusedIn, unbaked } from "./bake.js"
import { asIf, nameOf, requestOf, throughCache } from "./flight.js"
import { heed } from "./head.js"
import type { Policy } from "./policy.js"
import { brokenOff } from "./response.js"
import { searching } from "./search.js"
import { deliver, marked, serve, varied } from "./serve.js"
import { type App, type Call, find, isStored, type Site, type Variant, variantOf } from "./site.js"
import { usability } from "./usability.js"

const notEntered = { remember: undefined, warning: undefined }

export const handle = (site: Site): App =>
  Effect.withFiberRuntime((fiber) => {
    if (site.isMisplaced) return site.app
    const request = Context.unsafeGet(fiber.currentContext, HttpServerRequest.HttpServerRequest)
    const { remember, warning } = site.entrance?.enter(site, request, fiber) ?? notEntered
    if (warning !== undefined) return Effect.zipRight(Effect.logWarning(warning), handle(site))
    return Effect.map(handleRequest(site, request, remember), (response) => brokenOff(response, request))
  })

const handleRequest = (
  site: Site,
  request: HttpServerRequest.HttpServerRequest,
  remember: Call["remember"]
): App => {
  const { forcedUpdate, rules, unless } = site.policy
  const visit = Rules.visit(request, rules)
  const directives = directivesOf(site, request)
  if (typeof visit === "string") {
    if (visit === "bypass" && directives?.onlyIfCached === true) return nothingCached(site)
    return marked(site, visit === "method" ? invalidating(site, request) : site.app, { forward: visit })
  }
  const call: Call = {
    site,
    request,
    visit,
    primary: visit.primary,
    search: undefined,
    directives,
    isForced: false,
    cameAfter: site.loads,
    remember
  }
  if (unless === undefined && forcedUpdate === undefined) return answer(call)
  return Effect.flatMap(ask(unless, request), (isPast) =>
    isPast
      ? marked(site, site.app, { forward: "bypass" })
      : Effect.flatMap(ask(forcedUpdate, request), (isForced) => answer({ ...call, isForced })))
}

/**
 * RFC 9111 §4.4: before the answer is sent, as whoever gets it may ask at once. Where its client has left, what was
 * changed stays so: an app that was interrupted may have been done with it. A failure may be an answer, as a redirect.
 */
const invalidating = (site: Site, request: HttpServerRequest.HttpServerRequest): App =>
  Effect.onExit(site.app, (exit) =>
    exit._tag === "Success"
      ? invalidateFor(site, request, exit.value)
      : Cause.isInterrupted(exit.cause)
      ? invalidateFor(site, request, { headers: {}, status: 200 })
      : Effect.flatMap(answeredBy(exit.cause), (response) => invalidateFor(site, request, response)))

/** The answer that a failure is, or that a client has refused. */
const answeredBy = (
  cause: Cause.Cause<unknown>
): Effect.Effect<{ readonly headers: Fields; readonly status: number }> => {
  const refused = refusedIn(cause)
  return refused === undefined
    ? Effect.map(HttpServerError.causeResponse(cause), ([response]) => response)
    : Effect.succeed(refused)
}

const invalidateFor = (
  site: Site,
  request: HttpServerRequest.HttpServerRequest,
  { headers, status }: { readonly headers: Fields; readonly status: number }
): Effect.Effect<void, never, any> => {
  if (!isInvalidating(request.method, status)) return Effect.void
  const { isSearching, rules } = site.policy
  const url = Rules.urlOf(request, rules)
  const keys = url === undefined ? [] : invalidatedUrls(url, headers)
    .flatMap((url) => Rules.keysOfUrl(url, rules.query, rules.host) ?? [])
    .flatMap((key) => isSearching ? [key, ruleKey(key)] : [key])
  return Effect.catchAll(
    Effect.asVoid(Cache.invalidateMany(site.cache, keys)),
    (error) => Effect.logWarning(`HttpCache ${site.policy.name}: an answer that is old now may stay: ${error.message}`)
  )
}

const ask = (question: Policy["unless"], request: HttpServerRequest.HttpServerRequest): Effect.Effect<boolean> =>
  question === undefined ? Effect.succeed(false) : question(request)

const directivesOf = (site: Site, request: HttpServerRequest.HttpServerRequest): RequestDirectives | undefined => {
  const { obedience } = site.policy
  return obedience === "ignore"
    ? undefined
    : requestDirectives(request.headers, typeof obedience === "string" ? obedience : obedience(request))
}

const answer = (call: Call): App =>
  call.site.policy.isSearching ? Effect.flatMap(searching(call), answerAt) : answerAt(call)

const answerAt = (call: Call): App => {
  const { directives, isForced, primary, site, visit } = call
  if (directives?.onlyIfCached === true) return answerFromStore(call, () => nothingCached(site))
  if (visit.isHead || visit.isPartial || directives?.noStore === true) return answerFromStore(call)
  const answering = Effect.flatMap(
    site.unstorable.has(primary, visit),
    (isUnstorable) => isUnstorable ? answerFromStore(call) : answerFromCache(call, primary, undefined, isForced)
  )
  // What may not be sent otherwise is not found by a load.
  return directives?.maxStaleMillis === undefined ? answering : answerFromStore(call, () => answering)
}

/** RFC 9111 §5.2.1.7 */
const nothingCached = (site: Site): App =>
  marked(site, Effect.succeed(Response.empty({ status: 504 })), { detail: "only-if-cached" })

/** Without waiting for anybody: what is stored, or the app's own answer. A HEAD fills nothing, nor does a part. */
const answerFromStore = (call: Call, otherwise = (forward: Forward): App => alone(call, forward)): App => {
  const { directives, primary, site, visit } = call
  const cache = visit.isHead || directives?.maxStaleMillis !== undefined ? site.kept : site.cache
  return Effect.gen(function*() {
    const first = yield* find(cache, primary)
    const variant = first?._tag === "Variance" ? variantOf(call, first) : undefined
    const found = variant === undefined ? first : yield* find(cache, variant.key)
    const miss: Forward = variant === undefined ? "uri-miss" : "vary-miss"
    if (found?._tag !== "Answer") return yield* otherwise(miss)
    const now = yield* Clock.currentTimeMillis
    const use = usability(call, found, variant, now)
    if (use === "usable" && !call.isForced) return yield* serve(call, found, now, miss)
    if (visit.isHead && use === "outdated" && directives?.onlyIfCached !== true && directives?.noStore !== true) {
      return yield* alone(
        call,
        isFresh(found, now) ? "request" : "stale",
        variant,
        (response) => heed(call, variant, found, response, now)
      )
    }
    return yield* otherwise(use === "outdated" ? "stale" : use === "other" ? miss : "request")
  })
}

/**
 * Through the cache: under the URL's key or, where it is known how answers vary, under
 * the variant's.
 */
const answerFromCache = (
  call: Call,
  key: ReadonlyArray<unknown>,
  variant: Variant | undefined,
  isForced: boolean,
  again?: { readonly why: Forward; readonly outdated: Stored.Answer | undefined }
): App => {
  const { site, visit } = call
  const forward: Forward = again?.why ?? (isForced ? "request" : variant === undefined ? "uri-miss" : "vary-miss")
  return Effect.flatMap(
    throughCache(call, key, variant, isForced, again?.outdated),
    ({ delivery, outcome, ran }): App => {
      if (site.isMisplaced) return site.app
      if (outcome === undefined) return deliver(call, delivery!, forward, ran, { detail: "streamed" })
      if (delivery !== undefined) return deliver(call, delivery, forward, ran, { isStored: isStored(outcome) })
      switch (outcome._tag) {
        case "Failed":
          return outcome.fingerprint === Rules.fingerprint(visit.fields)
            ? marked(site, varied(site, Effect.failCause(outcome.cause)), { forward, isCollapsed: true })
            : alone(call, forward, variant)
        case "Unstored":
        case "Search":
          return alone(call, forward, variant)
        case "Kept":
          return Effect.flatMap(Clock.currentTimeMillis, (now) =>
            isFor(call, outcome.answer, variant)
              ? serve(call, outcome.answer, now, "stale", { status: outcome.status, isOwn: ran !== undefined })
              : alone(call, forward, variant))
        case "Variance": {
          // A variant whose load found out that answers vary by more than was known.
          if (variant !== undefined) return alone(call, forward, variant)
          const selected = variantOf(call, outcome)
          return Effect.flatMap(
            site.unstorable.has(nameOf(call, selected), visit),
            (isUnstorable) =>
              isUnstorable
                ? alone(call, "vary-miss", selected)
                : answerFromCache(call, selected.key, selected, isForced)
          )
        }
        case "Answer":
          return Effect.flatMap(Clock.currentTimeMillis, (now): App => {
            const use = usability(call, outcome, variant, now)
            if (use === "usable") return serve(call, outcome, now, forward)
            if (use === "forbidden" || again !== undefined) {
              return alone(call, use === "forbidden" ? "request" : forward, variant)
            }
            return answerFromCache(
              call,
              key,
              variant,
              true,
              use === "outdated"
                ? { why: isFresh(outcome, now) ? "request" : "stale", outdated: outcome }
                : { why: variant === undefined ? "uri-miss" : "vary-miss", outdated: undefined }
            )
          })
      }
    }
  )
}

/** Whether a stored answer is of the generation that counts, and for whoever asks. */
const isFor = (call: Call, stored: Stored.Answer, variant: Variant | undefined): boolean => {
  const use = usability(call, stored, variant, stored.receivedAt)
  return use === "usable" || use === "outdated"
}

/** Forward, for this request only. The app sees its preconditions and ranges, and answers them. */
const alone = (
  call: Call,
  forward: Forward,
  variant?: Variant | undefined,
  heeding: Heeding | undefined = endingMark(call, variant)
): App => {
  const { request, site, visit } = call
  const shown = requestOf(call, { ...visit.fields, ...Rules.conditionalFields(request.headers) })
  const app = asIf(call, shown)
  return marked(
    site,
    varied(site, heeding === undefined ? app : Effect.tap(Effect.flatMap(bake(app, shown), unbaked), heeding)),
    { forward }
  )
}

/** What an answer that goes forward tells of those to come. */
type Heeding = (response: Response.HttpServerResponse) => Effect.Effect<void, never, any>

/** Where it may be stored, the next one is asked for together again. */
const endingMark = (call: Call, variant: Variant | undefined): Heeding | undefined => {
  const { site: { policy, unstorable }, visit } = call
  const name = nameOf(call, variant)
  if (visit.isHead || !unstorable.isEnding(name, visit)) return undefined
  return ({ cookies, headers, status }) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const hasCookies = !Cookies.isEmpty(cookies)
      const { isAuthorized, isPersonal } = visit
      const exchange = { status, headers, hasCookies, isAuthorized, isPersonal, requestedAt: now, receivedAt: now }
      if (judge(exchange, policy.load)._tag === "Storable") unstorable.end(name, visit)
    })
}
