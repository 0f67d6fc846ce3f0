/**
 * Answers before a fiber is started. A Node server emits `request`; what the cache behind
 * it would answer with a stored answer that is fresh in this process is answered here, by
 * the same rules and in the same bytes. All else goes on to the server's handlers.
 *
 * A door knows no routes. It answers with what its own cache has sent before, through this
 * server, for the same key: so a request that the app would have led elsewhere, to another
 * cache of the same name or past all of them, finds nothing here.
 */
import * as HttpApp from "@effect/platform/HttpApp"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as Response from "@effect/platform/HttpServerResponse"
import type * as Fiber from "effect/Fiber"
import type * as Http from "node:http"
import { clockIn, countHere, findHere, type Place, placeOf } from "../cache/here.js"
import type { Fields } from "../http/fields.js"
import { currentAge } from "../http/freshness.js"
import * as Rules from "../http/request.js"
import type * as Stored from "../http/stored.js"
import { nameOf } from "./flight.js"
import type { Policy } from "./policy.js"
import { setCookiesOf } from "./response.js"
import { responseOf } from "./serve.js"
import { type Asking, type Entered, type Entrance, type Site, variantOf } from "./site.js"
import { usability } from "./usability.js"

export type NodeServer = Http.Server

/** The servers in front of one cache. */
export class Doors implements Entrance {
  /** By which door a request came that goes on to the app. */
  private readonly cameBy = new WeakMap<object, Door>()
  private isRefused = false

  constructor(private readonly policy: Policy) {}

  /** The server, with a door. */
  before<S extends NodeServer>(server: S): S {
    const door = new Door()
    const emit = server.emit as (...args: Array<any>) => boolean
    server.emit = (...args: Array<any>): boolean => {
      if (args[0] === "request") {
        const request = args[1] as Http.IncomingMessage
        if (!this.isRefused && door.answer(request, args[2] as Http.ServerResponse)) return true
        this.cameBy.set(request, door)
      }
      return emit.apply(server, args)
    }
    // The app is gone, and its backend with it.
    server.on("removeListener", (event) => event === "request" && door.close())
    return server
  }

  enter(site: Site, request: HttpServerRequest.HttpServerRequest, fiber: Fiber.RuntimeFiber<any, any>): Entered {
    const { forcedUpdate, unless } = this.policy
    const source = request.source as Http.IncomingMessage
    const door = this.isRefused || unless !== undefined || forcedUpdate !== undefined
      ? undefined
      : this.cameBy.get(source)
    if (door === undefined) return nothing
    if (request.headers !== source.headers || fiber.getFiberRef(HttpApp.currentPreResponseHandlers)._tag === "Some") {
      this.isRefused = true
      return {
        remember: undefined,
        warning: `HttpCache ${this.policy.name}: no hit is answered early any more, as middleware outside the cache ` +
          "changes requests or responses. Put it inside, or use HttpCache.middleware."
      }
    }
    const place = placeOf(fiber)
    return place.backend.unsafe === undefined
      ? nothing
      : { remember: door.remembering(site, place, source), warning: undefined }
  }
}

const nothing: Entered = { remember: undefined, warning: undefined }

/** What a stored answer is sent as, for as long as its seconds last. */
interface Prepared {
  readonly acceptEncoding: string | undefined
  readonly age: number
  readonly left: number
  readonly parts: Parts
}

interface Parts {
  readonly status: number
  readonly headers: Http.OutgoingHttpHeaders
  readonly body: Uint8Array | undefined
}

interface Sent {
  readonly site: Site
  /** Of the requests that it was sent to: a router may have led others elsewhere. */
  readonly methods: Set<string | undefined>
  prepared: Prepared | undefined
}

class Door {
  /** Where the app finds its entries, once it has sent one. */
  private open: { readonly site: Site; readonly place: Place } | undefined
  private sent = new WeakMap<Stored.Answer, Sent>()
  /** Fields by which middleware may take a request for another one, and that came to the cache with all as it was. */
  private readonly unchanged = new Set<string>()
  private closings = 0

  close(): void {
    this.closings++
    this.open = undefined
    this.sent = new WeakMap()
    this.unchanged.clear()
  }

  /** For a request that has come to the cache: what it sends may be sent from here. */
  remembering(site: Site, place: Place, { headers, method }: Http.IncomingMessage): (stored: Stored.Answer) => void {
    const { closings } = this
    for (const name of Rules.forwarding) if (headers[name] !== undefined) this.unchanged.add(name)
    return (stored) => {
      // Another app may be behind the door now.
      if (this.closings !== closings) return
      if (this.open !== undefined && this.open.place.backend !== place.backend) this.sent = new WeakMap()
      this.open = { site, place }
      const sent = this.sent.get(stored)
      if (sent === undefined) this.sent.set(stored, { site, methods: new Set([method]), prepared: undefined })
      else sent.methods.add(method)
    }
  }

  answer(request: Http.IncomingMessage, response: Http.ServerResponse): boolean {
    if (this.open === undefined || response.destroyed || response.headersSent) return false
    try {
      return this.tryToAnswer(this.open.site, this.open.place, request, response)
    } catch (error) {
      // The program's own functions, or a field that Node refuses: the app meets it again, and tells of it.
      if (response.headersSent) throw error
      return false
    }
  }

  private tryToAnswer(
    { cache, policy }: Site,
    place: Place,
    request: Http.IncomingMessage,
    response: Http.ServerResponse
  ): boolean {
    const headers = request.headers as Fields
    if (headers["range"] !== undefined) return false
    if (Rules.forwarding.some((name) => headers[name] !== undefined && !this.unchanged.has(name))) return false
    if (policy.obedience !== "ignore" && (headers["cache-control"] ?? headers["pragma"]) !== undefined) return false
    const url = request.url!
    const visit = Rules.visit({ method: request.method!.toUpperCase(), url, originalUrl: url, headers }, policy.rules)
    if (typeof visit === "string") return false
    const { primary } = visit
    const first = findHere(cache, primary, place)
    if (first === undefined) return false
    const variant = first.value._tag === "Variance"
      ? variantOf({ primary, site: { policy }, visit }, first.value)
      : undefined
    const found = variant === undefined ? first : findHere(cache, variant.key, place)
    if (found?.value._tag !== "Answer") return false
    const sent = this.sent.get(found.value)
    if (sent?.methods.has(request.method) !== true) return false
    const { site } = sent
    const asking: Asking = {
      site,
      request: { headers },
      visit,
      primary,
      directives: undefined,
      cameAfter: site.loads
    }
    const now = clockIn(place.services).unsafeCurrentTimeMillis()
    if (
      usability(asking, found.value, variant, now) !== "usable" || site.unstorable.hasAt(primary, visit, now) ||
      (variant !== undefined && site.unstorable.hasAt(nameOf(asking, variant), visit, now))
    ) {
      return false
    }
    send(response, visit.isHead, preparedParts(asking, found.value, sent, now))
    // As the app's cache counts: a HEAD looks, and asks for nothing.
    if (!visit.isHead) {
      countHere(cache, first, place)
      if (found !== first) countHere(cache, found, place)
    }
    return true
  }
}

const preparedParts = (asking: Asking, stored: Stored.Answer, sent: Sent, now: number): Parts => {
  const { ifModifiedSince, ifNoneMatch } = asking.visit.preconditions
  if (ifNoneMatch !== undefined || ifModifiedSince !== undefined) return partsOf(responseOf(asking, stored, now))
  const ageMillis = currentAge(stored, now)
  const age = Math.floor(ageMillis / 1000)
  const left = Math.floor((stored.lifetimeMillis - ageMillis) / 1000)
  // Most browsers say the same; who does not is answered all the same.
  const acceptEncoding = stored.forms.length === 0 ? undefined : asking.request.headers["accept-encoding"]
  const { prepared } = sent
  if (prepared?.age !== age || prepared.left !== left || prepared.acceptEncoding !== acceptEncoding) {
    sent.prepared = { acceptEncoding, age, left, parts: partsOf(responseOf(asking, stored, now)) }
  }
  return sent.prepared!.parts
}

/** What `NodeHttpServer` makes of a response from the cache. */
const partsOf = (response: Response.HttpServerResponse): Parts => {
  const { body, headers, status } = response
  const setCookies = setCookiesOf(response)
  return {
    status,
    headers: setCookies.length === 0 ? { ...headers } : { ...headers, "set-cookie": [...setCookies] },
    body: body._tag === "Uint8Array" || body._tag === "Raw" ? body.body as Uint8Array : undefined
  }
}

const send = (to: Http.ServerResponse, isHead: boolean, { body, headers, status }: Parts): void => {
  to.writeHead(status, headers)
  to.end(isHead ? undefined : body)
}
