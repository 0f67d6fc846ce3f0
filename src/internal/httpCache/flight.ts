/**
 * A request through the cache: the load that it may have to run, and what of that is
 * for itself and what for all.
 */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import * as Cache from "../../Cache.js"
import { getOrSetUntil } from "../cache/early.js"
import { currentAge } from "../http/freshness.js"
import * as Rules from "../http/request.js"
import type * as Stored from "../http/stored.js"
import { covers } from "../http/target.js"
import { maxNames } from "../http/vary.js"
import { load, type Loaded } from "./load.js"
import { type Delivery, letGo, Owner, type Taken } from "./owner.js"
import { detached, isSent } from "./request.js"
import { isEndedByClosing } from "./response.js"
import { isUnderRule } from "./search.js"
import {
  type App,
  type Call,
  isPermitted,
  isSelected,
  keepMillis,
  type Outcome,
  type Ran,
  type Site,
  timeToLiveMillis,
  type Variant,
  variantOf
} from "./site.js"

/** What a request gets, and what its own load was, if it was that which it got something of. */
export interface Through extends Taken<Outcome> {
  readonly ran: Ran | undefined
}

export const throughCache = (
  call: Call,
  key: ReadonlyArray<unknown>,
  variant: Variant | undefined,
  isForced: boolean,
  /** What is to be validated, where it is not what the cache finds. */
  outdated: Stored.Answer | undefined
): Effect.Effect<Through, never, any> => {
  // From the cache's answer to the scope that comes with it nothing may be interrupted.
  return Effect.uninterruptible(Effect.withFiberRuntime((fiber) => {
    const owner = new Owner<Outcome>()
    let ran: Ran | undefined
    const loading = loadFor(call, owner, key, variant, outdated, (load) => ran = load)
    return Effect.flatMap(
      owner.take(
        (advance) => getOrSetUntil(call.site.cache, key, loading, isForced, advance),
        scopeToSendIn(call, fiber)
      ),
      (taken) =>
        Effect.as(
          taken.delivery?.scope === undefined ? Effect.void : closeWithRequest(taken.delivery.scope),
          { ...taken, ran }
        )
    )
  }))
}

/**
 * The scope in which a response can be sent before its load is over. There is none where its body may be needed to
 * answer, to compare validators; and none for who would take what breaks off for all of it.
 */
const scopeToSendIn = (
  { request, visit }: Call,
  { currentContext }: Fiber.RuntimeFiber<any, any>
): Scope.Scope | undefined => {
  const { ifModifiedSince, ifNoneMatch } = visit.preconditions
  return ifNoneMatch !== undefined || ifModifiedSince !== undefined || isEndedByClosing(request)
    ? undefined
    : Option.getOrUndefined(Context.getOption(currentContext as Context.Context<any>, Scope.Scope))
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
  owner: Owner<Outcome>,
  key: ReadonlyArray<unknown>,
  variant: Variant | undefined,
  outdated: Stored.Answer | undefined,
  tell: (ran: Ran) => void
): Effect.Effect<Outcome, never, any> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const { site } = call
      let isOfStale = false
      return Effect.flatMap(
        restore(Effect.flatMap(Cache.previous, (previous) => {
          const found = (previous ?? outdated) as Outcome | undefined
          isOfStale = found?._tag === "Answer" && isSelected(found, variant)
          tell({ isOfStale, status: undefined })
          return validate(call, usablePrevious(call, variant, found), (delivery) => owner.begin(delivery))
        })),
        ({ kept, loaded, request }) => {
          const ran = { isOfStale, status: statusIn(call, loaded) }
          tell(ran)
          return Effect.flatMap(
            isSent(request)
              ? misplaced(site)
              : kept !== undefined
              ? Effect.as(letGo(loaded.delivery), { _tag: "Kept", answer: kept, status: ran.status } as const)
              : restore(outcomeOf(call, key, variant, loaded, ran)),
            (outcome): Effect.Effect<Outcome> => {
              if (outcome._tag === "Kept") {
                return Effect.succeed(outcome)
              }
              site.landed.set(outcome, { ...ran, number: ++site.loads })
              return Effect.as(owner.deliver(outcome, loaded.delivery), outcome)
            }
          ).pipe(Effect.onInterrupt(() => letGo(loaded.delivery)))
        }
      ).pipe(Effect.tapErrorCause((cause) => owner.hasBegun ? unheard(site, cause) : Effect.void))
    })
  )

/** Who would have got the error has the response: without this, nobody would know why nothing is stored. */
const unheard = ({ policy: { name } }: Site, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Cause.isInterruptedOnly(cause)
    ? Effect.void
    : Effect.logWarning(`HttpCache ${name}: an answer that was sent was not stored`, cause)

interface Validation {
  readonly request: HttpServerRequest.HttpServerRequest
  readonly loaded: Loaded
  /** What is sent in place of the error that was loaded. */
  readonly kept: Stored.Answer | undefined
}

/** The app's answer to a request that validates `previous`, if there is one. */
const validate = (
  call: Call,
  previous: Stored.Answer | undefined,
  begin: (delivery: Delivery) => Effect.Effect<void>
): Effect.Effect<Validation, never, any> => {
  const { site, visit } = call
  const request = requestOf(call, previous === undefined ? visit.fields : { ...visit.fields, ...previous.validating })
  return Effect.flatMap(
    load(
      asIf(call, request),
      request,
      visit,
      site.policy.load,
      previous,
      (delivery) =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (now) => isSent(request) || isBetterThanError(previous, now) ? Effect.void : begin(delivery)
        )
    ),
    (loaded) =>
      loaded._tag === "Mistaken"
        ? Effect.zipRight(letGo(loaded.delivery), validate(call, undefined, begin))
        : Effect.map(Clock.currentTimeMillis, (now): Validation => ({
          request,
          loaded,
          kept: isError(loaded) && isBetterThanError(previous, now) ? previous : undefined
        }))
  )
}

/** RFC 5861 §4 */
const isBetterThanError = (previous: Stored.Answer | undefined, now: number): boolean =>
  previous !== undefined && currentAge(previous, now) < previous.lifetimeMillis + previous.ifErrorMillis

const isError = (loaded: Loaded): boolean => {
  switch (loaded._tag) {
    case "Failed":
      return !Cause.isInterruptedOnly(loaded.cause) && isErrorStatus(loaded.status)
    case "NotStored":
      return isErrorStatus(loaded.status)
    case "Answered":
      return isErrorStatus(loaded.answer.status)
    case "Mistaken":
      return false
  }
}

/** What the app said. A client that fails has heard nothing. */
const statusIn = ({ site: { policy } }: Call, loaded: Loaded): number | undefined => {
  switch (loaded._tag) {
    case "Failed":
      return policy.rules.isOutgoing === true ? undefined : loaded.status
    case "Mistaken":
      return 304
    default:
      return loaded.received
  }
}

const isErrorStatus = (status: number): boolean => status === 500 || (status >= 502 && status <= 504)

/** The stale answer, if it is this call's: of the generation that counts, and for whoever asks. */
const usablePrevious = (
  { visit }: Call,
  variant: Variant | undefined,
  answer: Outcome | undefined
): Stored.Answer | undefined => {
  return answer?._tag === "Answer" && isSelected(answer, variant) && isPermitted(answer, visit) &&
      !(variant === undefined && visit.isVarying)
    ? answer
    : undefined
}

/** What of a load is for others. */
const outcomeOf = (
  call: Call,
  key: ReadonlyArray<unknown>,
  variant: Variant | undefined,
  loaded: Loaded,
  ran: Ran
): Effect.Effect<Outcome, never, any> => {
  const { site, visit } = call
  switch (loaded._tag) {
    case "Failed":
      return Effect.succeed({
        _tag: "Failed",
        cause: loaded.cause,
        fingerprint: loaded.isOwn ? undefined : Rules.fingerprint(visit.fields)
      })
    case "NotStored":
      return Effect.as(
        Effect.zipRight(
          site.unstorable.add(nameOf(call, variant), visit, loaded.reason === "body" || loaded.reason === "refused"),
          // Routes that are not there are asked for by who looks for any: there is nothing to end.
          loaded.delivery.exit._tag === "Failure" && !ran.isOfStale && !call.isForced
            ? Effect.void
            : replacedBy(call, key, loaded)
        ),
        unstored()
      )
    case "Mistaken":
      return Effect.succeed(unstored())
    case "Answered":
      return Effect.flatMap(isUnderRule(call, loaded.answer), (isUnder) =>
        !isUnder
          ? Effect.succeed(unstored())
          : variant === undefined
          ? underUrl(call, loaded, ran)
          : underVariant(call, variant, loaded))
  }
}

/** A variant by itself, whatever else may be in its slot. */
export const nameOf = ({ primary }: Pick<Call, "primary">, variant: Variant | undefined): ReadonlyArray<unknown> =>
  variant === undefined ? primary : [...primary, variant.digest]

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
  { answer, vary }: Extract<Loaded, { readonly _tag: "Answered" }>,
  ran: Ran
): Effect.Effect<Outcome, never, any> => {
  const { site, visit } = call
  if (vary.length === 0 && !visit.isVarying) return Effect.succeed(answer)
  const variance: Stored.Variance = {
    _tag: "Variance",
    generation: randomUUID(),
    names: vary,
    lifetimeMillis: Math.max(varianceMillis, timeToLiveMillis(answer) + keepMillis(site.policy, answer)),
    tags: answer.tags
  }
  // Before the entry that makes it count: who is told how answers vary finds this one.
  const { digest, key } = variantOf(call, variance)
  const selected: Stored.Answer = { ...answer, generation: variance.generation, variant: digest }
  site.landed.set(selected, { ...ran, number: site.loads + 1 })
  return Effect.as(Cache.refresh(site.cache, key, Effect.succeed<Outcome>(selected)), variance)
}

const underVariant = (
  call: Call,
  variant: Variant,
  { answer, vary }: Extract<Loaded, { readonly _tag: "Answered" }>
): Effect.Effect<Outcome, never, any> => {
  const { primary, site, visit } = call
  const { digest, variance } = variant
  if (vary.every((name) => variance.names.includes(name))) {
    return Effect.succeed({ ...answer, generation: variance.generation, variant: digest })
  }
  const names = Array.from(new Set([...variance.names, ...vary])).sort()
  if (names.length > maxNames) return Effect.as(site.unstorable.add(nameOf(call, variant), visit, true), unstored())
  const wider: Stored.Variance = { ...variance, generation: randomUUID(), names, tags: answer.tags }
  return Effect.as(Effect.ignore(Cache.set(site.cache, primary, wider)), unstored())
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
// the app behind it
// -----------------------------------------------------------------------------

export const requestOf = (
  { request, site, visit }: Call,
  headers: Rules.Asked["headers"]
): HttpServerRequest.HttpServerRequest =>
  detached({
    method: request.method,
    ...Rules.shownTargets(request, site.policy.rules.query, visit.authority),
    headers,
    remoteAddress: request.remoteAddress
  })

/** The app, with `request` in place of the one that came. */
export const asIf = ({ site }: Call, request: HttpServerRequest.HttpServerRequest): App => {
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
