/**
 * The responses of a cached app: what is stored, what was just made, and what the cache
 * says of both.
 */
import * as Cookies from "@effect/platform/Cookies"
import * as HttpApp from "@effect/platform/HttpApp"
import * as Response from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { appendStatus, type Forward, ifError, plainStatus, type Status } from "../http/cacheStatus.js"
import { isNotModified } from "../http/conditional.js"
import { type Fields, notModifiedFields, unsatisfiableFields } from "../http/fields.js"
import { codingFor, formIn } from "../http/forms.js"
import { currentAge } from "../http/freshness.js"
import { isRangeFor, parseRange, type Range } from "../http/ranges.js"
import type * as Stored from "../http/stored.js"
import { without } from "../http/surrogate.js"
import { isAgreed } from "../http/target.js"
import { unbaked } from "./bake.js"
import type { Delivery } from "./owner.js"
import type { Policy } from "./policy.js"
import { fromBytes, withCookies, withoutFields, withVary } from "./response.js"
import type { App, Asking, Call, Ran, Site } from "./site.js"

/** `Cache-Status` after `before`, and the plain field for those who want one. */
const statusFields = (
  { hitHeader, identifier }: Policy,
  before: string | undefined,
  status: Status
): Record<string, string> => ({
  ...(identifier === undefined ? {} : { "cache-status": appendStatus(before, identifier, status) }),
  ...(hitHeader === undefined ? {} : { [hitHeader]: plainStatus(status) })
})

/** The effect's response, or the one that will be made of its failure, as `change` leaves it. */
const changed = (
  effect: App,
  change: (response: Response.HttpServerResponse) => Response.HttpServerResponse
): App =>
  Effect.tapErrorCause(
    Effect.map(effect, change),
    () => HttpApp.appendPreResponseHandler((_, response) => Effect.succeed(change(response)))
  )

/** With the fields that the program says its answers vary by: caches behind may keep a failure that is an answer. */
export const varied = ({ policy: { load: { addedVary } } }: Site, effect: App): App =>
  addedVary.length === 0 ? effect : changed(effect, (response) => withVary(response, addedVary))

/** With its status and without what is for caches. */
export const marked = (site: Site, effect: App, status: Status | ((sent: number) => Status)): App => {
  const { hitHeader, identifier, removed } = site.policy
  if (identifier === undefined && hitHeader === undefined && removed.size === 0) return effect
  return changed(effect, (response) =>
    Response.setHeaders(
      withoutFields(response, removed),
      statusFields(
        site.policy,
        response.headers["cache-status"],
        typeof status === "function" ? status(response.status) : status
      )
    ))
}

/** What the call's own load brought. */
export const deliver = (
  call: Call,
  delivery: Delivery,
  forward: Forward,
  ran: Ran | undefined,
  status: Pick<Status, "isStored" | "detail">
): App =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    marked(
      call.site,
      Effect.map(varied(call.site, unbaked(delivery)), (response) =>
        // What is not stored may set cookies, or have a body that must be sent to be closed.
        status.isStored === true && isNotModified(call.visit.preconditions, response.status, response.headers, now)
          ? Response.empty({
            status: 304,
            headers: notModifiedFields(response.headers),
            cookies: response.cookies
          })
          : withSearch(call, response)),
      (sent) => ({ ...(ran === undefined ? { forward } : ofRun(forward, ran, sent)), ...status })
    ))

/** With what the key leaves out of the query, unless the app says it, or parsers could disagree on the query. */
const searchFields = (
  { site: { policy: { searchField } }, visit }: Asking,
  headers: Record<string, string>
): Record<string, string> =>
  searchField === undefined || headers["no-vary-search"] !== undefined || !isAgreed(visit.primary)
    ? headers
    : { ...headers, "no-vary-search": searchField }

const withSearch = (call: Asking, response: Response.HttpServerResponse): Response.HttpServerResponse => {
  const headers = searchFields(call, response.headers)
  return headers === response.headers ? response : Response.setHeaders(response, headers)
}

/** The error that a stale answer is sent in place of, and whether this request's own load met it. */
export interface InPlaceOf {
  readonly status: number | undefined
  readonly isOwn: boolean
}

/** A stored answer. `forward`: why there was a load, where it was another request's and is over since this one came. */
export const serve = (
  call: Call,
  stored: Stored.Answer,
  now: number,
  forward: Forward,
  inPlaceOf?: InPlaceOf | undefined
): App => {
  call.remember?.(stored)
  return Effect.succeed(responseOf(call, stored, now, forward, inPlaceOf))
}

/** The response that `serve` gives, at once. */
export const responseOf = (
  call: Asking,
  stored: Stored.Answer,
  now: number,
  forward: Forward = "uri-miss",
  inPlaceOf?: InPlaceOf | undefined
): Response.HttpServerResponse => {
  const { site, visit } = call
  const { policy } = site
  const { body, headers: fields } = formIn(codingFor(call.request.headers["accept-encoding"], stored.forms), stored)
  const ageMillis = currentAge(stored, now)
  let headers: Record<string, string> = {
    ...without(fields, policy.removed),
    age: String(Math.floor(ageMillis / 1000))
  }
  if (policy.searchField !== undefined) headers = searchFields(call, headers)
  const isUnchanged = isNotModified(visit.preconditions, stored.status, headers, now)
  const range = isUnchanged ? undefined : rangeOf(call, stored.status, body, headers, now)
  const sent = isUnchanged ? 304 : range === undefined ? stored.status : range._tag === "Part" ? 206 : 416
  if (isUnchanged) headers = notModifiedFields(headers)
  if (sent === 416) headers = unsatisfiableFields(headers, body!.length)
  if (policy.identifier !== undefined || policy.hitHeader !== undefined) {
    const left = stored.lifetimeMillis - ageMillis
    // Made stale before its time.
    const ttlMillis = stored.isInvalidated === true ? Math.min(left, -1) : left
    Object.assign(headers, statusFields(policy, undefined, statusOf(call, stored, sent, ttlMillis, forward, inPlaceOf)))
  }
  return isUnchanged || sent === 416
    ? Response.empty({ status: sent, headers })
    : withCookies(
      range?._tag === "Part"
        ? fromBytes(
          206,
          undefined,
          { ...headers, "content-range": `bytes ${range.from}-${range.to - 1}/${body!.length}` },
          body!.slice(range.from, range.to)
        )
        : fromBytes(stored.status, stored.statusText, headers, body),
      stored.setCookies.length === 0 ? Cookies.empty : Cookies.fromSetCookie(stored.setCookies)
    )
}

/** How a stored answer came to be what the request gets. */
const statusOf = (
  { cameAfter, site }: Asking,
  stored: Stored.Answer,
  sent: number,
  ttlMillis: number,
  forward: Forward,
  inPlaceOf: InPlaceOf | undefined
): Status => {
  if (inPlaceOf !== undefined) {
    const { isOwn, status } = inPlaceOf
    return { forward, forwardStatus: toldApart(status, sent), ttlMillis, isCollapsed: !isOwn, detail: ifError }
  }
  const landing = site.landed.get(stored)
  return landing === undefined || landing.number <= cameAfter
    ? { ttlMillis }
    : { ...ofRun(forward, landing, sent), ttlMillis, isCollapsed: true }
}

/** RFC 9211 §2.3: without it, the app is taken to have said what is sent. */
const toldApart = (received: number | undefined, sent: number): number | undefined =>
  received === sent ? undefined : received

/** Why the app ran, and what it said where `sent` is something else. */
const ofRun = (forward: Forward, { isOfStale, status }: Ran, sent: number): Status => ({
  forward: isOfStale && forward !== "request" ? "stale" : forward,
  forwardStatus: toldApart(status, sent)
})

/** RFC 9110 §14: the part of a stored body that is asked for. */
const rangeOf = (
  { request, visit }: Asking,
  status: number,
  body: Uint8Array | undefined,
  headers: Fields,
  now: number
): Range | undefined =>
  request.headers["range"] === undefined || visit.isHead || status !== 200 || body === undefined ||
    !isRangeFor(request.headers["if-range"], headers, now)
    ? undefined
    : parseRange(request.headers["range"], body.length)
