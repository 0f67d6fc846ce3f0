/**
 * A request in front of a cached app, in the order in which it is answered:
 *
 * 1. what a cache must not answer runs past it
 * 2. what was not storable a moment ago waits for nobody: stored, or else forward
 * 3. the entry under the URL, which is the answer or says how answers vary
 * 4. the entry under the variant that the request's fields select
 * 5. on a miss, one load; its answer is for all who may use it, the others go forward
 */
import { randomUUID } from "node:crypto"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Response from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Cache from "../../Cache.js"
import * as Codec from "../../Codec.js"
import { appendStatus, type Forward, type Status } from "../http/cacheStatus.js"
import { isNotModified } from "../http/conditional.js"
import { notModifiedFields } from "../http/fields.js"
import { currentAge, isFresh } from "../http/freshness.js"
import * as Rules from "../http/request.js"
import * as Stored from "../http/stored.js"
import { covers } from "../http/target.js"
import { maxNames } from "../http/vary.js"
import { type Delivery, fromBytes, letGo, load, type Loaded, Owner, withVary } from "./load.js"
import type { Policy } from "./policy.js"
import { detached, isSent } from "./request.js"
import { Unstorable } from "./unstorable.js"

type App = Effect.Effect<Response.HttpServerResponse, any, any>

/** What a load brings to those who wait for it; what is not `Stored` is kept by nobody. */
type Outcome =
  | Stored.Stored
  /** Its response was for the request that ran it, and for no other. */
  | { readonly _tag: "Unstored" }
  /** The app failed; shared with requests of the same fingerprint, where it has one. */
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<any>; readonly fingerprint: string | undefined }

type HttpEntries = Cache.Cache<ReadonlyArray<unknown>, Outcome>

/** A cache in front of an app. */
interface Site {
  readonly policy: Policy
  readonly cache: HttpEntries
  readonly app: App
  readonly unstorable: Unstorable
  /** What loads in this process brought, by the number of the load. */
  readonly landed: WeakMap<Outcome, number>
  loads: number
  /** The app sends its answers itself: nothing can be cached any more. */
  isMisplaced: boolean
}

/** A request being answered. */
interface Call {
  readonly site: Site
  readonly request: HttpServerRequest.HttpServerRequest
  readonly visit: Rules.Visit
  readonly isForced: boolean
  /** How many loads had ended when the request came. */
  readonly cameAfter: number
}

// -----------------------------------------------------------------------------
// what is kept
// -----------------------------------------------------------------------------

const codec: Codec.Codec<Outcome> = Codec.make({
  id: Stored.format,
  encode: (outcome) =>
    outcome._tag === "Answer" || outcome._tag === "Variance"
      ? Effect.succeed(Stored.encode(outcome))
      : Effect.fail(refuse(outcome, "an outcome that is not stored")),
  decode: (bytes) => {
    const stored = Stored.decode(bytes)
    return stored === undefined ? Effect.fail(refuse(bytes, "not a stored answer")) : Effect.succeed(stored)
  }
})

const refuse = (value: unknown, message: string): ParseResult.ParseError =>
  ParseResult.parseError(new ParseResult.Type(Schema.Unknown.ast, value, message))

const timeToLiveMillis = (outcome: Outcome): number =>
  outcome._tag === "Answer"
    ? outcome.lifetimeMillis - outcome.initialAgeMillis
    : outcome._tag === "Variance"
    ? outcome.lifetimeMillis
    : 0

export const makeCache = (policy: Policy): HttpEntries =>
  Cache.make<Outcome, never, ReadonlyArray<unknown>>({
    name: policy.name,
    codec,
    timeToLive: (exit) => exit._tag === "Success" ? timeToLiveMillis(exit.value) : 0,
    grace: policy.graceMillis,
    tags: policy.staticTags ?? ((outcome) => "tags" in outcome ? outcome.tags : [])
  })

export const makeSite = (policy: Policy, cache: HttpEntries, app: App): Site => ({
  policy,
  cache,
  app,
  unstorable: new Unstorable(),
  landed: new WeakMap(),
  loads: 0,
  isMisplaced: false
})

// -----------------------------------------------------------------------------
// the order of answers
// -----------------------------------------------------------------------------

export const handle = (site: Site): App =>
  Effect.withFiberRuntime((fiber) => {
    if (site.isMisplaced) return site.app
    const { forcedUpdate, rules, unless } = site.policy
    const request = Context.unsafeGet(fiber.currentContext, HttpServerRequest.HttpServerRequest)
    const visit = Rules.visit(request, rules)
    if (typeof visit === "string") return marked(site, site.app, { forward: visit })
    const call: Call = { site, request, visit, isForced: false, cameAfter: site.loads }
    if (unless === undefined && forcedUpdate === undefined) return answer(call)
    return Effect.flatMap(ask(unless, request), (isPast) =>
      isPast
        ? marked(site, site.app, { forward: "bypass" })
        : Effect.flatMap(ask(forcedUpdate, request), (isForced) => answer({ ...call, isForced })))
  })

const ask = (question: Policy["unless"], request: HttpServerRequest.HttpServerRequest): Effect.Effect<boolean> =>
  question === undefined ? Effect.succeed(false) : question(request)

const answer = (call: Call): App => {
  const { isForced, site, visit } = call
  if (visit.isHead) return answerFromStore(call)
  return Effect.flatMap(site.unstorable.has(visit.primary, visit), (isUnstorable) =>
    isUnstorable ? answerFromStore(call) : answerFromCache(call, visit.primary, undefined, isForced))
}

/** Without waiting for anybody: what is stored, or the app's own answer. A HEAD fills nothing. */
const answerFromStore = (call: Call): App => {
  const { site, visit } = call
  const find = (key: ReadonlyArray<unknown>): Effect.Effect<Outcome | undefined, never, any> =>
    Effect.map(Effect.option(Effect.interruptible(Cache.lookup(site.cache, key))), (found) =>
      found._tag === "Some" && found.value._tag !== "Miss" && found.value.exit._tag === "Success"
        ? found.value.exit.value
        : undefined)
  return Effect.gen(function*() {
    const first = yield* find(visit.primary)
    const variance = first?._tag === "Variance" ? first : undefined
    const found = variance === undefined ? first : yield* find(variantOf(call, variance))
    const miss: Forward = variance === undefined ? "uri-miss" : "vary-miss"
    if (found?._tag !== "Answer") return yield* alone(call, miss)
    const now = yield* Clock.currentTimeMillis
    const use = usability(call, found, variance, now)
    if (use === "usable" && !call.isForced) return yield* serve(call, found, now, miss)
    return yield* alone(call, use === "outdated" ? "stale" : use === "other" ? miss : "request")
  })
}

/**
 * Through the cache: under the URL's key or, where `variance` says how answers vary,
 * under the variant's.
 */
const answerFromCache = (
  call: Call,
  key: ReadonlyArray<unknown>,
  variance: Stored.Variance | undefined,
  isForced: boolean,
  why?: Forward
): App => {
  const { site, visit } = call
  const forward: Forward = why ?? (isForced ? "request" : variance === undefined ? "uri-miss" : "vary-miss")
  return Effect.flatMap(throughCache(call, key, variance, isForced), ({ delivery, outcome }): App => {
    if (site.isMisplaced) return site.app
    if (delivery !== undefined) return deliver(call, delivery, { forward, isStored: isStored(outcome) })
    switch (outcome._tag) {
      case "Failed":
        return outcome.fingerprint === Rules.fingerprint(visit.fields)
          ? marked(site, Effect.failCause(outcome.cause), { forward, isCollapsed: true })
          : alone(call, forward)
      case "Unstored":
        return alone(call, forward)
      case "Variance": {
        // A variant whose load found out that answers vary by more than was known.
        if (variance !== undefined) return alone(call, forward)
        const variant = variantOf(call, outcome)
        return Effect.flatMap(site.unstorable.has(variant, visit), (isUnstorable) =>
          isUnstorable ? alone(call, "vary-miss") : answerFromCache(call, variant, outcome, isForced))
      }
      case "Answer":
        return Effect.flatMap(Clock.currentTimeMillis, (now): App => {
          const use = usability(call, outcome, variance, now)
          if (use === "usable") return serve(call, outcome, now, forward)
          if (use === "forbidden" || why !== undefined) return alone(call, use === "forbidden" ? "request" : forward)
          const again = use === "outdated" ? "stale" : variance === undefined ? "uri-miss" : "vary-miss"
          return answerFromCache(call, key, variance, true, again)
        })
    }
  })
}

const isStored = (outcome: Outcome): outcome is Stored.Stored => outcome._tag === "Answer" || outcome._tag === "Variance"

const variantOf = ({ site, visit }: Call, variance: Stored.Variance): ReadonlyArray<unknown> =>
  Rules.variantKey(visit.primary, site.policy.rules, visit.fields, variance.names)

/**
 * What a call may do with a stored answer. `other`: nothing, it is of another generation
 * than the URL's entry, and so as good as removed. `outdated`: nothing without a new one.
 * `forbidden`: nothing, it is not for requests with credentials.
 */
const usability = (
  { site, visit }: Call,
  stored: Stored.Answer,
  variance: Stored.Variance | undefined,
  now: number
): "usable" | "outdated" | "forbidden" | "other" =>
  stored.generation !== variance?.generation || (variance === undefined && site.policy.isVarying)
    ? "other"
    : (visit.isPersonal && !stored.isShared) || (visit.isAuthorized && !stored.isForAuthorized)
    ? "forbidden"
    : stored.mayBeStale || isFresh(stored, now)
    ? "usable"
    : "outdated"

// -----------------------------------------------------------------------------
// through the cache
// -----------------------------------------------------------------------------

interface Taken {
  readonly outcome: Outcome
  /** Present where this call's own load brought the outcome. */
  readonly delivery: Delivery | undefined
}

const throughCache = (
  call: Call,
  key: ReadonlyArray<unknown>,
  variance: Stored.Variance | undefined,
  isForced: boolean
): Effect.Effect<Taken, never, any> => {
  const { cache } = call.site
  // The wait may be interrupted, the step from the cache's answer to the scope that comes with it must not be.
  return Effect.uninterruptible(Effect.suspend(() => {
    const owner = new Owner()
    const loading = loadFor(call, owner, key, variance)
    const asking = isForced ? Cache.refresh(cache, key, loading) : Cache.getOrSet(cache, key, loading)
    return Effect.flatMap(Effect.exit(Effect.interruptible(asking)), (exit): Effect.Effect<Taken, never, any> =>
      exit._tag === "Failure"
        ? Effect.zipRight(owner.take(undefined), Effect.failCause(exit.cause))
        : Effect.flatMap(owner.take(exit.value), (delivery) =>
          Effect.as(
            delivery?.scope === undefined ? Effect.void : closeWithRequest(delivery.scope),
            { outcome: exit.value, delivery }
          )))
  }))
}

const closeWithRequest = (scope: Scope.CloseableScope): Effect.Effect<void> =>
  Effect.flatMap(Effect.serviceOption(Scope.Scope), (ofRequest) =>
    Option.match(ofRequest, {
      onNone: () => Scope.close(scope, Exit.void),
      onSome: (ofRequest) => Scope.addFinalizerExit(ofRequest, (exit) => Scope.close(scope, exit))
    }))

/** The app, for the request as the key covers it. */
const loadFor = (
  call: Call,
  owner: Owner,
  key: ReadonlyArray<unknown>,
  variance: Stored.Variance | undefined
): Effect.Effect<Outcome, never, any> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const { site, visit } = call
      const request = requestOf(call, visit.fields)
      return Effect.flatMap(
        restore(load(asIf(call, request), request, visit, site.policy.load)),
        (loaded) =>
          Effect.flatMap(
            isSent(request) ? misplaced(site) : restore(outcomeOf(call, key, variance, loaded)),
            (outcome) => {
              site.landed.set(outcome, ++site.loads)
              return Effect.as(owner.deliver(outcome, loaded.delivery), outcome)
            }
          ).pipe(Effect.onInterrupt(() => letGo(loaded.delivery)))
      )
    })
  )

/** What of a load is for others. */
const outcomeOf = (
  call: Call,
  key: ReadonlyArray<unknown>,
  variance: Stored.Variance | undefined,
  loaded: Loaded
): Effect.Effect<Outcome, never, any> => {
  const { site, visit } = call
  switch (loaded._tag) {
    case "Failed": {
      const isOwn = loaded.delivery.handler._tag === "Some" || Cause.isInterrupted(loaded.cause)
      return Effect.succeed({
        _tag: "Failed",
        cause: loaded.cause,
        fingerprint: isOwn ? undefined : Rules.fingerprint(visit.fields)
      })
    }
    case "NotStored":
      return Effect.as(Effect.zipRight(site.unstorable.add(key, visit), replacedBy(call, key, loaded)), unstored())
    case "Answered":
      return variance === undefined ? underUrl(call, loaded) : underVariant(call, key, variance, loaded)
  }
}

const unstored = (): Outcome => ({ _tag: "Unstored" })

/** An answer that may not be stored ends the one before it, unless it is an error or is not for everybody. */
const replacedBy = (
  { site, visit }: Call,
  key: ReadonlyArray<unknown>,
  { reason, status }: Extract<Loaded, { readonly _tag: "NotStored" }>
): Effect.Effect<unknown, never, any> =>
  status >= 500 || reason === "refused" || visit.isPersonal || visit.isAuthorized
    ? Effect.void
    : Effect.ignore(Cache.invalidate(site.cache, key))

/** Variants of a URL are found through its entry for this long after it was made, if they do not live longer. */
const varianceMillis = 24 * 3_600_000

const underUrl = (
  call: Call,
  { answer, vary }: Extract<Loaded, { readonly _tag: "Answered" }>
): Effect.Effect<Outcome, never, any> => {
  const { site } = call
  if (vary.length === 0 && !site.policy.isVarying) return Effect.succeed(answer)
  const variance: Stored.Variance = {
    _tag: "Variance",
    generation: randomUUID(),
    names: vary,
    lifetimeMillis: Math.max(varianceMillis, timeToLiveMillis(answer) + site.policy.graceMillis),
    tags: answer.tags
  }
  // Before the entry that makes it count: who is told how answers vary finds this one.
  const variant: Stored.Answer = { ...answer, generation: variance.generation }
  site.landed.set(variant, site.loads + 1)
  return Effect.as(Cache.refresh(site.cache, variantOf(call, variance), Effect.succeed<Outcome>(variant)), variance)
}

const underVariant = (
  { site, visit }: Call,
  key: ReadonlyArray<unknown>,
  variance: Stored.Variance,
  { answer, vary }: Extract<Loaded, { readonly _tag: "Answered" }>
): Effect.Effect<Outcome, never, any> => {
  if (vary.every((name) => variance.names.includes(name))) {
    return Effect.succeed({ ...answer, generation: variance.generation })
  }
  const names = Array.from(new Set([...variance.names, ...vary])).sort()
  if (names.length > maxNames) return Effect.as(site.unstorable.add(key, visit), unstored())
  const wider: Stored.Variance = { ...variance, generation: randomUUID(), names, tags: answer.tags }
  return Effect.as(Effect.ignore(Cache.set(site.cache, visit.primary, wider)), unstored())
}

/** The app has sent its answer itself, as it does where it is given to a server's `middleware`. */
const misplaced = (site: Site): Effect.Effect<Outcome> =>
  Effect.suspend(() => {
    if (site.isMisplaced) return Effect.succeed(unstored())
    site.isMisplaced = true
    return Effect.as(
      Effect.logWarning(
        `HttpCache ${site.policy.name}: nothing is cached, as the answers it gets are sent already. ` +
          "Wrap the app, serve(HttpCache.middleware()(app)), and not the server, serve(app, HttpCache.middleware())."
      ),
      unstored()
    )
  })

// -----------------------------------------------------------------------------
// the app
// -----------------------------------------------------------------------------

const requestOf = ({ request, site }: Call, headers: Rules.Asked["headers"]): HttpServerRequest.HttpServerRequest =>
  detached({
    method: request.method,
    ...Rules.shownTargets(request, site.policy.rules.query),
    headers,
    remoteAddress: request.remoteAddress
  })

/** The app, with `request` in place of the one that came. */
const asIf = ({ site }: Call, request: HttpServerRequest.HttpServerRequest): App => {
  const { query } = site.policy.rules
  return Effect.mapInputContext(site.app, (context: Context.Context<any>) => {
    const shown = Context.add(context, HttpServerRequest.HttpServerRequest, request)
    const params = Context.getOption(context, HttpServerRequest.ParsedSearchParams)
    // Inside a router the parameters have been parsed already.
    return typeof query === "string" || params._tag === "None" ? shown : Context.add(
      shown,
      HttpServerRequest.ParsedSearchParams,
      Object.fromEntries(Object.entries(params.value).filter(([name]) => covers(query, name)))
    )
  })
}

/** Forward, for this request only. The app sees its preconditions and ranges, and answers them. */
const alone = (call: Call, forward: Forward): App => {
  const { request, site, visit } = call
  const headers = { ...visit.fields, ...Rules.conditionalFields(request.headers) }
  return marked(
    site,
    Effect.map(asIf(call, requestOf(call, headers)), (response) => withVary(response, site.policy.load.addedVary)),
    { forward }
  )
}

// -----------------------------------------------------------------------------
// responses
// -----------------------------------------------------------------------------

/** The effect's response, or the one that will be made of its failure, with `Cache-Status`. */
const marked = (site: Site, effect: App, status: Status): App => {
  const { identifier } = site.policy
  if (identifier === undefined) return effect
  const mark = (response: Response.HttpServerResponse) =>
    Response.setHeader(response, "cache-status", appendStatus(response.headers["cache-status"], identifier, status))
  return Effect.tapErrorCause(
    Effect.map(effect, mark),
    () => HttpApp.appendPreResponseHandler((_, response) => Effect.succeed(mark(response)))
  )
}

/** What the call's own load brought. */
const deliver = ({ site, visit }: Call, { exit, handler }: Delivery, status: Status): App =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    marked(
      site,
      Effect.zipRight(
        handler._tag === "Some" ? HttpApp.appendPreResponseHandler(handler.value) : Effect.void,
        Effect.map(exit, (response) =>
          // A file that is open must be sent to be closed.
          response.body._tag !== "Raw" && isNotModified(visit.preconditions, response.status, response.headers, now)
            ? Response.empty({ status: 304, headers: notModifiedFields(response.headers) })
            : response)
      ),
      status
    ))

/** A stored answer. `forward`: why there was a load, where it was another request's and is over since this one came. */
const serve = (call: Call, stored: Stored.Answer, now: number, forward: Forward): App => {
  const { cameAfter, site, visit } = call
  const ageMillis = currentAge(stored, now)
  const headers: Record<string, string> = { ...stored.headers, age: String(Math.floor(ageMillis / 1000)) }
  if (site.policy.identifier !== undefined) {
    const isCollapsed = (site.landed.get(stored) ?? 0) > cameAfter
    const ttlMillis = stored.lifetimeMillis - ageMillis
    headers["cache-status"] = appendStatus(
      undefined,
      site.policy.identifier,
      isCollapsed ? { forward, isCollapsed, ttlMillis } : { ttlMillis }
    )
  }
  return Effect.succeed(
    isNotModified(visit.preconditions, stored.status, headers, now)
      ? Response.empty({ status: 304, headers: notModifiedFields(headers) })
      : fromBytes(stored.status, stored.statusText, headers, stored.body)
  )
}
