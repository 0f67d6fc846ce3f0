/**
 * Running the app behind a cache, in the order in which it happens:
 *
 * 1. the app runs in a scope of its own, for the request that the key covers
 * 2. the pre-response handlers it added are applied: cookies they set are seen here
 * 3. the rules decide on the response; one that may not be stored is left as it is
 * 4. its body is read, within bounds
 * 5. the scope is closed, or handed to the request that the response is for
 */
import * as Cookies from "@effect/platform/Cookies"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpBody from "@effect/platform/HttpBody"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Response from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { formatDate } from "../http/date.js"
import { type Fields, storedFields } from "../http/fields.js"
import { codingFor, type Form, formIn, isTransformable } from "../http/forms.js"
import type { Visit } from "../http/request.js"
import { judge, type Reason, type Storable, type StoreRules } from "../http/storable.js"
import type { Answer } from "../http/stored.js"
import { freshened, isAbout } from "../http/validation.js"
import { mergeVary } from "../http/vary.js"
import { type Bounds, capture, type Captured } from "./capture.js"
import { type Compress, formsOf } from "./compress.js"
import { fromBytes, setCookiesOf, withCookies, withVary } from "./response.js"

// -----------------------------------------------------------------------------
// the one that a response is for
// -----------------------------------------------------------------------------

/** What one request may have and no other: a response in the scope it lives in, or a failure. */
export interface Delivery {
  readonly exit: Exit.Exit<Response.HttpServerResponse, any>
  /** The pre-response handlers that the app added and that were not applied. */
  readonly handler: Handler
  /** Open until the response is sent; `undefined` where it needs none. */
  readonly scope: Scope.CloseableScope | undefined
}

/** Pre-response handlers. */
export type Handler = Option.Option<HttpApp.PreResponseHandler>

/**
 * The request whose call runs the load. It may be gone when the load is done, and a
 * load in the background is nobody's: what is delivered then is let go.
 */
export class Owner {
  private delivered: { readonly outcome: object; readonly delivery: Delivery } | undefined
  private isGone = false

  /** Called by the load: `delivery` goes with `outcome`. */
  deliver(outcome: object, delivery: Delivery): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isGone) return letGo(delivery)
      this.delivered = { outcome, delivery }
      return Effect.void
    })
  }

  /** Called by the request, once, with what the cache answered: what was delivered, if the answer is its own. */
  take(outcome: unknown): Effect.Effect<Delivery | undefined> {
    return Effect.suspend(() => {
      const { delivered } = this
      this.isGone = true
      this.delivered = undefined
      if (delivered === undefined || delivered.outcome === outcome) return Effect.succeed(delivered?.delivery)
      return Effect.as(letGo(delivered.delivery), undefined)
    })
  }
}

export const letGo = ({ exit, scope }: Delivery): Effect.Effect<void> =>
  Effect.zipRight(
    Effect.sync(() => exit._tag === "Success" && discard(exit.value)),
    scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  )

/** A file that Node has opened stays open until somebody says otherwise. */
const discard = ({ body }: Response.HttpServerResponse): void => {
  if (body._tag !== "Raw" || typeof body.body !== "object" || body.body === null) return
  const { destroy } = body.body as { readonly destroy?: unknown }
  if (typeof destroy === "function") destroy.call(body.body)
}

// -----------------------------------------------------------------------------
// the load
// -----------------------------------------------------------------------------

/** What an app made of a request: what may be stored of it, and what it is for the request itself. */
export type Loaded =
  & { readonly delivery: Delivery }
  & (
    | { readonly _tag: "Answered"; readonly answer: Answer; readonly vary: ReadonlyArray<string> }
    | { readonly _tag: "NotStored"; readonly reason: Reason | "body" | "refused"; readonly status: number }
    | { readonly _tag: "Failed"; readonly cause: Cause.Cause<any> }
    /** A 304 that is not about what was to be validated. */
    | { readonly _tag: "Mistaken" }
  )

export interface LoadRules extends StoreRules {
  readonly bounds: Bounds
  /** The validator of a body that has none; `undefined`: it gets none. */
  readonly etag: ((body: Uint8Array) => string) | undefined
  /** `undefined`: bodies are stored as they are. */
  readonly compress?: Compress | undefined
  /** Names that the answer's `Vary` must have. */
  readonly addedVary: ReadonlyArray<string>
  readonly storeIf: (
    response: Response.HttpServerResponse,
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<boolean>
  readonly tags: (
    response: Response.HttpServerResponse,
    request: HttpServerRequest.HttpServerRequest
  ) => ReadonlyArray<string>
}

export interface Baked {
  readonly exit: Exit.Exit<Response.HttpServerResponse, any>
  readonly handler: Handler
}

/** The app's own response to `request`, its pre-response handlers applied and forgotten. */
export const bake = (
  app: Effect.Effect<Response.HttpServerResponse, any, any>,
  request: HttpServerRequest.HttpServerRequest
) =>
  Effect.locally(
    Effect.flatMap(Effect.exit(app), (exit) =>
      Effect.flatMap(FiberRef.get(HttpApp.currentPreResponseHandlers), (handler): Effect.Effect<Baked> =>
        exit._tag === "Success" && handler._tag === "Some"
          ? Effect.map(Effect.exit(handler.value(request, exit.value)), (exit) => ({ exit, handler: Option.none() }))
          : Effect.succeed({ exit, handler }))),
    HttpApp.currentPreResponseHandlers,
    Option.none()
  )

/** What was baked, as the effect that it was. */
export const unbaked = ({ exit, handler }: Baked): Effect.Effect<Response.HttpServerResponse, any> =>
  Effect.zipRight(
    handler._tag === "Some" ? HttpApp.appendPreResponseHandler(handler.value) : Effect.void,
    exit
  )

/** Runs the app for `request`, which validates `previous` if there is one. `exchange` is what the rules are to know of it. */
export const load = (
  app: Effect.Effect<Response.HttpServerResponse, any, any>,
  request: HttpServerRequest.HttpServerRequest,
  exchange: Pick<Visit, "isAuthorized" | "isOneUsers" | "isPersonal">,
  rules: LoadRules,
  previous: Answer | undefined
): Effect.Effect<Loaded, never, any> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Scope.make(), (scope) =>
      Effect.flatMap(
        Effect.exit(restore(Scope.extend(run(app, request, exchange, rules, previous, scope), scope))),
        (exit) =>
          exit._tag === "Success" && exit.value.delivery.scope !== undefined
            ? exit
            : Effect.zipRight(Scope.close(scope, exit), exit)
      ))
  )

const run = (
  app: Effect.Effect<Response.HttpServerResponse, any, any>,
  request: HttpServerRequest.HttpServerRequest,
  { isAuthorized, isOneUsers, isPersonal }: Pick<Visit, "isAuthorized" | "isOneUsers" | "isPersonal">,
  rules: LoadRules,
  previous: Answer | undefined,
  scope: Scope.CloseableScope
): Effect.Effect<Loaded, never, any> =>
  Effect.gen(function*() {
    const requestedAt = yield* Clock.currentTimeMillis
    const { exit, handler } = yield* bake(app, request)
    const failed = (cause: Cause.Cause<any>): Loaded => ({
      _tag: "Failed",
      cause,
      delivery: { exit: Exit.failCause(cause), handler, scope: undefined }
    })
    if (exit._tag === "Failure") return failed(exit.cause)
    const received = exit.value
    const isValidated = previous !== undefined && received.status === 304
    if (isValidated && !isAbout(received.headers, previous.headers)) {
      return { _tag: "Mistaken", delivery: { exit, handler, scope: undefined } }
    }
    const response = isValidated ? validated(previous, received) : received
    const deliveryOf = (response: Response.HttpServerResponse, isOpen: boolean): Delivery => ({
      exit: Exit.succeed(withVary(response, rules.addedVary)),
      handler: Option.none(),
      scope: isOpen ? scope : undefined
    })
    const notStored = (
      reason: Reason | "body" | "refused",
      response: Response.HttpServerResponse,
      isOpen: boolean
    ): Loaded => ({
      _tag: "NotStored",
      reason,
      status: response.status,
      delivery: deliveryOf(response, isOpen)
    })

    const verdict = judge({
      status: response.status,
      headers: response.headers,
      hasCookies: !Cookies.isEmpty(response.cookies),
      isAuthorized,
      isPersonal,
      requestedAt,
      receivedAt: yield* Clock.currentTimeMillis
    }, rules)
    if (verdict._tag === "NotStorable") return notStored(verdict.reason, response, true)

    const body = isValidated
      ? { _tag: "Complete", bytes: previous.body } as const
      : yield* materialise(response, rules.bounds, scope)
    switch (body._tag) {
      case "Broken":
        return failed(Cause.die(Cause.squash(body.cause)))
      case "Unreadable":
        return notStored("body", response, true)
      case "OutOfBounds":
        return notStored("body", streamed(response, body.stream), true)
    }
    const own = complete(response, body.bytes)
    if (!(yield* rules.storeIf(own, request))) return notStored("refused", own, false)
    const forms = isValidated
      ? formsStill(response.headers, rules, previous)
      : yield* formsOf(isOneUsers ? undefined : rules.compress, response.headers, rules.targets, body.bytes)
    const now = yield* Clock.currentTimeMillis
    const answer = answerOf(own, body.bytes, forms, verdict, now, rules, rules.tags(own, request))
    return {
      _tag: "Answered",
      answer,
      vary: verdict.vary,
      delivery: deliveryOf(inForm(withValidators(own, answer), answer, request), false)
    }
  })

/** What was made of the body that is still the one, unless its fields forbid that now. */
export const formsStill = (
  headers: Fields,
  { targets }: Pick<LoadRules, "targets">,
  { forms }: Pick<Answer, "forms">
): ReadonlyArray<Form> => isTransformable(headers, targets) ? forms : []

/** The response in the form that its request takes. */
const inForm = (
  response: Response.HttpServerResponse,
  { body, forms }: Answer,
  request: HttpServerRequest.HttpServerRequest
): Response.HttpServerResponse => {
  if (forms.length === 0) return response
  const { "content-length": _, ...headers } = response.headers
  const chosen = formIn(codingFor(request.headers["accept-encoding"], forms), { headers, body, forms })
  return withCookies(fromBytes(response.status, response.statusText, chosen.headers, chosen.body), response.cookies)
}

/** What was stored, with the fields of the response that says that it is still the one. */
export const validated = (previous: Answer, notModified: Response.HttpServerResponse): Response.HttpServerResponse => {
  // Its own validator is not the app's: it must not become one.
  const { etag, ...rest } = previous.headers
  const kept = previous.validating["if-none-match"] === undefined || etag === undefined ? rest : { ...rest, etag }
  const response = fromBytes(
    previous.status,
    previous.statusText,
    freshened(kept, notModified.headers),
    previous.body
  )
  return withCookies(
    response,
    Cookies.isEmpty(notModified.cookies) ? Cookies.fromSetCookie(previous.setCookies) : notModified.cookies
  )
}

/** The response with the date and the validator that the next ones will have. */
const withValidators = (response: Response.HttpServerResponse, { headers }: Answer): Response.HttpServerResponse =>
  Response.setHeaders(response, {
    date: response.headers["date"] ?? headers["date"],
    etag: response.headers["etag"] ?? headers["etag"]
  })

export const answerOf = (
  response: Response.HttpServerResponse,
  body: Uint8Array | undefined,
  forms: ReadonlyArray<Form>,
  verdict: Storable,
  receivedAt: number,
  rules: LoadRules,
  tags: ReadonlyArray<string>
): Answer => {
  const headers = storedFields(response.headers, verdict.except)
  // Node would give every answer a new one, and an answer's age is counted from it.
  headers["date"] ??= formatDate(receivedAt)
  if (response.status === 200 && body !== undefined && rules.etag !== undefined) headers["etag"] ??= rules.etag(body)
  const vary = mergeVary(headers["vary"], rules.addedVary)
  if (vary !== undefined) headers["vary"] = vary
  return {
    _tag: "Answer",
    generation: undefined,
    variant: undefined,
    status: response.status,
    statusText: response.statusText,
    headers,
    setCookies: rules.setCookie === "store" ? setCookiesOf(response) : [],
    body,
    forms,
    receivedAt,
    initialAgeMillis: verdict.initialAgeMillis,
    lifetimeMillis: verdict.lifetimeMillis,
    isShared: verdict.isShared,
    isForAuthorized: verdict.isForAuthorized,
    mustValidate: verdict.mustValidate,
    validating: { ...verdict.validating },
    whileRevalidateMillis: verdict.whileRevalidateMillis,
    ifErrorMillis: verdict.ifErrorMillis,
    mayBeStale: verdict.mayBeStale,
    tags
  }
}

// -----------------------------------------------------------------------------
// bodies
// -----------------------------------------------------------------------------

type Materialised =
  | { readonly _tag: "Complete"; readonly bytes: Uint8Array | undefined }
  | { readonly _tag: "Unreadable" }
  | Exclude<Captured, { readonly _tag: "Complete" }>

const utf8 = new TextEncoder()
const unreadable: Materialised = { _tag: "Unreadable" }

const materialise = (
  response: Response.HttpServerResponse,
  bounds: Bounds,
  scope: Scope.Scope
): Effect.Effect<Materialised> => {
  const { body } = response
  const declared = response.headers["content-length"]
  /** The app keeps the bytes it gave, and may write to them. */
  const copied = (bytes: Uint8Array): Materialised =>
    bytes.length > bounds.maxBytes || (declared !== undefined && declared !== String(bytes.length))
      ? unreadable
      : { _tag: "Complete", bytes: bytes.slice() }
  switch (body._tag) {
    case "Empty":
      return Effect.succeed({ _tag: "Complete", bytes: undefined })
    case "Uint8Array":
      return Effect.succeed(copied(body.body))
    case "Raw":
      return Effect.succeed(
        typeof body.body === "string"
          ? copied(utf8.encode(body.body))
          : body.body instanceof Uint8Array
          ? copied(body.body)
          : unreadable
      )
    case "FormData":
      return Effect.succeed(unreadable)
    case "Stream": {
      const type = response.headers["content-type"] ?? body.contentType
      if (/^text\/event-stream/i.test(type) || Number(declared ?? 0) > bounds.maxBytes) {
        return Effect.succeed(unreadable)
      }
      return Effect.map(
        capture(body.stream, bounds, scope),
        (captured) =>
          captured._tag === "Complete" && declared !== undefined && declared !== String(captured.bytes.length)
            // Shorter or longer than it said: broken off, and the client must notice.
            ? {
              _tag: "Broken",
              cause: Cause.die(new Error(`a body of ${captured.bytes.length} bytes, declared as ${declared}`))
            }
            : captured
      )
    }
  }
}

/** The response with the rest of its body. */
const streamed = (
  response: Response.HttpServerResponse,
  stream: HttpBody.Stream["stream"]
): Response.HttpServerResponse => {
  const body = response.body as HttpBody.Stream
  return Response.setBody(response, HttpBody.stream(stream, body.contentType, body.contentLength))
}

/** The response with its body in memory. */
const complete = (response: Response.HttpServerResponse, bytes: Uint8Array | undefined): Response.HttpServerResponse =>
  response.body._tag !== "Stream" ? response : withCookies(
    fromBytes(response.status, response.statusText, response.headers, bytes),
    response.cookies
  )
