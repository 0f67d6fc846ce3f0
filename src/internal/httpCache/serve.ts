/**
 * The responses of a cached app: what is stored, what was just made, and what the cache
 * says of both.
 */
import * as Cookies from "@effect/platform/Cookies"
import * as HttpApp from "@effect/platform/HttpApp"
import * as Response from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { appendStatus, type Forward, plainStatus, type Status } from "../http/cacheStatus.js"
import { isNotModified } from "../http/conditional.js"
import { notModifiedFields } from "../http/fields.js"
import { codingFor, formIn } from "../http/forms.js"
import { currentAge } from "../http/freshness.js"
import { isRangeFor, parseRange } from "../http/ranges.js"
import type * as Stored from "../http/stored.js"
import { without } from "../http/surrogate.js"
import { unbaked } from "./bake.js"
import type { Delivery } from "./owner.js"
import type { Policy } from "./policy.js"
import { fromBytes, withCookies, withoutFields } from "./response.js"
import type { App, Asking, Call, Site } from "./site.js"

/** `Cache-Status` after `before`, and the plain field for those who want one. */
const statusFields = (
  { hitHeader, identifier }: Policy,
  before: string | undefined,
  status: Status
): Record<string, string> => ({
  ...(identifier === undefined ? {} : { "cache-status": appendStatus(before, identifier, status) }),
  ...(hitHeader === undefined ? {} : { [hitHeader]: plainStatus(status) })
})

/** The effect's response, or the one that will be made of its failure, with its status and without what is for caches. */
export const marked = (site: Site, effect: App, status: Status): App => {
  const { hitHeader, identifier, removed } = site.policy
  if (identifier === undefined && hitHeader === undefined && removed.size === 0) return effect
  const mark = (response: Response.HttpServerResponse) =>
    Response.setHeaders(
      withoutFields(response, removed),
      statusFields(site.policy, response.headers["cache-status"], status)
    )
  return Effect.tapErrorCause(
    Effect.map(effect, mark),
    () => HttpApp.appendPreResponseHandler((_, response) => Effect.succeed(mark(response)))
  )
}

/** What the call's own load brought. */
export const deliver = ({ site, visit }: Call, delivery: Delivery, status: Status): App =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    marked(
      site,
      Effect.map(unbaked(delivery), (response) =>
        // What is not stored may set cookies, or have a body that must be sent to be closed.
        status.isStored === true && isNotModified(visit.preconditions, response.status, response.headers, now)
          ? Response.empty({
            status: 304,
            headers: notModifiedFields(response.headers),
            cookies: response.cookies
          })
          : response),
      status
    ))

/** A stored answer. `forward`: why there was a load, where it was another request's and is over since this one came. */
export const serve = (call: Call, stored: Stored.Answer, now: number, forward: Forward): App => {
  call.remember?.(stored)
  return Effect.succeed(responseOf(call, stored, now, forward))
}

/** The response that `serve` gives, at once. */
export const responseOf = (
  call: Asking,
  stored: Stored.Answer,
  now: number,
  forward: Forward = "uri-miss"
): Response.HttpServerResponse => {
  const { cameAfter, site, visit } = call
  const form = formIn(codingFor(call.request.headers["accept-encoding"], stored.forms), stored)
  const ageMillis = currentAge(stored, now)
  let headers: Record<string, string> = {
    ...without(form.headers, site.policy.removed),
    age: String(Math.floor(ageMillis / 1000))
  }
  const isUnchanged = isNotModified(visit.preconditions, stored.status, headers, now)
  if (isUnchanged) headers = notModifiedFields(headers)
  if (site.policy.identifier !== undefined || site.policy.hitHeader !== undefined) {
    const isCollapsed = (site.landed.get(stored) ?? 0) > cameAfter
    const left = stored.lifetimeMillis - ageMillis
    // Made stale before its time.
    const ttlMillis = stored.isInvalidated === true ? Math.min(left, -1) : left
    const status = isCollapsed ? { forward, isCollapsed, ttlMillis } : { ttlMillis }
    Object.assign(headers, statusFields(site.policy, undefined, status))
  }
  return isUnchanged
    ? Response.empty({ status: 304, headers })
    : withCookies(
      partOf(call, { status: stored.status, body: form.body }, headers, now) ??
        fromBytes(stored.status, stored.statusText, headers, form.body),
      stored.setCookies.length === 0 ? Cookies.empty : Cookies.fromSetCookie(stored.setCookies)
    )
}

/** RFC 9110 §14: the part of a stored body that is asked for. */
const partOf = (
  { request, visit }: Asking,
  { body, status }: Pick<Stored.Answer, "body" | "status">,
  headers: Readonly<Record<string, string>>,
  now: number
): Response.HttpServerResponse | undefined => {
  if (request.headers["range"] === undefined || visit.isHead || status !== 200 || body === undefined) return undefined
  if (!isRangeFor(request.headers["if-range"], headers, now)) return undefined
  const range = parseRange(request.headers["range"], body.length)
  if (range === undefined) return undefined
  return range._tag === "Unsatisfiable"
    ? Response.empty({ status: 416, headers: { ...headers, "content-range": `bytes */${body.length}` } })
    : fromBytes(
      206,
      undefined,
      { ...headers, "content-range": `bytes ${range.from}-${range.to - 1}/${body.length}` },
      body.slice(range.from, range.to)
    )
}
