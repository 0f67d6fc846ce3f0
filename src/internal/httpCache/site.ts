/**
 * A cache in front of an app, the requests it answers, and the form in which their
 * answers are kept.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as Response from "@effect/platform/HttpServerResponse"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Cache from "../../Cache.js"
import * as Codec from "../../Codec.js"
import { currentAge, isFresh } from "../http/freshness.js"
import { prefixTags } from "../http/prefixes.js"
import type * as Rules from "../http/request.js"
import type { RequestDirectives } from "../http/requestDirectives.js"
import * as Stored from "../http/stored.js"
import * as Variants from "../http/variants.js"
import type { Policy } from "./policy.js"
import { Unstorable } from "./unstorable.js"

export type App = Effect.Effect<Response.HttpServerResponse, any, any>

/** What a load brings to those who wait for it; what is not `Stored` is kept by nobody. */
export type Outcome =
  | Stored.Stored
  /** Its response was for the request that ran it, and for no other. */
  | { readonly _tag: "Unstored" }
  /** Its replacement is an error, and it may be sent in its place. */
  | { readonly _tag: "Kept"; readonly answer: Stored.Answer; readonly status: number | undefined }
  /** The app failed; shared with requests of the same fingerprint, where it has one. */
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<any>; readonly fingerprint: string | undefined }

export type HttpEntries = Cache.Cache<ReadonlyArray<unknown>, Outcome>

/** A cache in front of an app. */
export interface Site {
  readonly policy: Policy
  readonly cache: HttpEntries
  /** The same entries, and those that are kept though they may not be sent. */
  readonly kept: HttpEntries
  readonly app: App
  readonly unstorable: Unstorable
  /** URLs whose answers do not say what the other answers of their path say of queries. */
  readonly exact: Unstorable
  /** What loads in this process brought. */
  readonly landed: WeakMap<Outcome, Landing>
  loads: number
  /** Where requests come in that may be answered without a fiber, if there is such a place. */
  readonly entrance: Entrance | undefined
  /** The app sends its answers itself: nothing can be cached any more. */
  isMisplaced: boolean
}

/** What is told of a load to those who waited for what it brought. */
export interface Landing extends Ran {
  readonly number: number
}

/** Of a load, once it is known. */
export interface Ran {
  /** There was an answer, and it was stale. */
  readonly isOfStale: boolean
  /** What the app said. */
  readonly status: number | undefined
}

export interface Entrance {
  /** Tells that a request has come through; answers what to do with what is sent to it, and whether to warn. */
  readonly enter: (
    site: Site,
    request: HttpServerRequest.HttpServerRequest,
    fiber: Fiber.RuntimeFiber<any, any>
  ) => Entered
}

export interface Entered {
  /** Told of the stored answer that the request gets. */
  readonly remember: ((stored: Stored.Answer) => void) | undefined
  /** Said once, where something between the server and the cache makes its answers another's. */
  readonly warning: string | undefined
}

/** What of a request decides on what it gets of what is stored. */
export interface Asking {
  readonly site: Site
  readonly request: Pick<Rules.Asked, "headers">
  readonly visit: Rules.Visit
  /** The key of the URL's entry; those of its variants begin with it. */
  readonly primary: ReadonlyArray<unknown>
  /** What the client says of itself, as far as it is obeyed. */
  readonly directives: RequestDirectives | undefined
  /** How many loads had ended when the request came. */
  readonly cameAfter: number
}

/** A request being answered. */
export interface Call extends Asking {
  readonly request: HttpServerRequest.HttpServerRequest
  /** The rule by which `primary` leaves out parts of the query; `undefined`: it has all of it. */
  readonly search: Stored.Search | undefined
  readonly isForced: boolean
  readonly remember: Entered["remember"]
}

export const isStored = (outcome: Outcome): outcome is Stored.Stored =>
  outcome._tag === "Answer" || outcome._tag === "Variance" || outcome._tag === "Search"

/** A variant of the generation that counts. */
export interface Variant extends Variants.Variant {
  readonly variance: Stored.Variance
}

export const variantOf = (
  { primary, site: { policy }, visit }: Pick<Asking, "primary" | "visit"> & { readonly site: Pick<Site, "policy"> },
  variance: Stored.Variance
): Variant => ({
  ...Variants.variantOf(primary, policy.rules, visit.fields, variance.names, policy.maxVariants),
  variance
})

/** Whether the answer is the only one of its URL, or the variant that the request selects, of the generation that counts. */
export const isSelected = (stored: Stored.Answer, variant: Variant | undefined): boolean =>
  stored.generation === variant?.variance.generation && stored.variant === variant?.digest

/** Whether the answer may be for whoever asks. */
export const isPermitted = (stored: Stored.Answer, { isAuthorized, isPersonal }: Rules.Visit): boolean =>
  !(isPersonal && !stored.isShared) && !(isAuthorized && !stored.isForAuthorized)

// -----------------------------------------------------------------------------
// what is kept
// -----------------------------------------------------------------------------

const codec: Codec.Codec<Outcome> = Codec.make({
  id: Stored.format,
  encode: (outcome) =>
    isStored(outcome)
      ? Effect.succeed(Stored.encode(outcome))
      : Effect.fail(refuse(outcome, "an outcome that is not stored")),
  decode: (bytes) => {
    const stored = Stored.decode(bytes)
    return stored === undefined ? Effect.fail(refuse(bytes, "not a stored answer")) : Effect.succeed(stored)
  }
})

const refuse = (value: unknown, message: string): ParseResult.ParseError =>
  ParseResult.parseError(new ParseResult.Type(Schema.Unknown.ast, value, message))

export const timeToLiveMillis = (outcome: Outcome): number =>
  outcome._tag === "Answer"
    ? Math.max(0, outcome.lifetimeMillis - outcome.initialAgeMillis)
    : isStored(outcome)
    ? outcome.lifetimeMillis
    : 0

/** An answer that can be validated, or that a client may take stale, is kept for this long after its time. */
const validatableMillis = 3_600_000

export const keepMillis = (policy: Policy, outcome: Outcome): number =>
  outcome._tag === "Answer"
    ? Math.max(
      outcome.whileRevalidateMillis,
      outcome.ifErrorMillis,
      Object.keys(outcome.validating).length > 0 || (policy.load.isKeepingStale === true && outcome.mayBeStale)
        ? validatableMillis
        : 0
    )
    : outcome._tag === "Variance"
    ? policy.graceMillis
    : 0

/** What may be sent of an answer whose time is over, or was ended by a tag. */
const served = (policy: Policy, outcome: Outcome, now: number): Outcome | undefined =>
  outcome._tag !== "Answer"
    ? policy.graceMillis > 0 && outcome._tag !== "Search" ? outcome : undefined
    : mayBeStale(outcome, now)
    ? { ...outcome, isInvalidated: isFresh(outcome, now) }
    : undefined

/** All that is there. */
const kept = (outcome: Outcome, now: number): Outcome =>
  outcome._tag === "Answer" && isFresh(outcome, now) ? { ...outcome, isInvalidated: true } : outcome

/** RFC 5861 §3 */
export const mayBeStale = (answer: Stored.Answer, now: number): boolean =>
  answer.whileRevalidateMillis > 0 && currentAge(answer, now) < answer.lifetimeMillis + answer.whileRevalidateMillis

/** What only a dialect may decide. */
const dialect = (served: (outcome: Outcome, now: number) => Outcome | undefined): object => ({ served })

export const makeCache = (
  policy: Policy,
  serving = (outcome: Outcome, now: number) => served(policy, outcome, now)
): HttpEntries =>
  Cache.make<Outcome, never, ReadonlyArray<unknown>>({
    ...dialect(serving),
    name: policy.name,
    codec,
    timeToLive: (exit) => exit._tag === "Success" ? timeToLiveMillis(exit.value) : 0,
    grace: (exit) => exit._tag === "Success" ? keepMillis(policy, exit.value) : 0,
    keyTags: policy.isPrefixed
      ? ([, authority, path]) => prefixTags(policy.name, String(authority), String(path))
      : undefined,
    tags: policy.staticTags ?? ((outcome) => "tags" in outcome ? outcome.tags : [])
  })

/** What is stored under the key, for whoever waits for nobody; faults are misses. */
export const find = (cache: HttpEntries, key: ReadonlyArray<unknown>): Effect.Effect<Outcome | undefined, never, any> =>
  Effect.map(
    Effect.option(Effect.interruptible(Cache.lookup(cache, key))),
    (found) =>
      found._tag === "Some" && found.value._tag !== "Miss" && found.value.exit._tag === "Success"
        ? found.value.exit.value
        : undefined
  )

export const makeSite = (policy: Policy, cache: HttpEntries, app: App, entrance?: Entrance | undefined): Site => ({
  policy,
  cache,
  kept: makeCache(policy, kept),
  app,
  unstorable: new Unstorable(),
  exact: new Unstorable(),
  landed: new WeakMap(),
  loads: 0,
  entrance,
  isMisplaced: false
})
