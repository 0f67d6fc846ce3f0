/**
 * Running the app behind a cache, in the order in which it happens:
 *
 * 1. the app runs in a scope of its own, for the request that the key covers
 * 2. the pre-response handlers it added are applied: cookies they set are seen here. Those of a failure
 *    are only where it is an answer to be stored
 * 3. the rules decide on the response; one that may not be stored is left as it is
 * 4. its body is read, within bounds; where that takes time, it is passed on as it is read
 * 5. the scope is closed, or handed to the request that the response is for
 */
import * as Cookies from "@effect/platform/Cookies"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpServerError from "@effect/platform/HttpServerError"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Response from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
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
import { answerIn, bake, refusedIn, shape } from "./bake.js"
import { type Bounds, capture, type Captured } from "./capture.js"
import { type Compress, formsOf, hasForms } from "./compress.js"
import type { Delivery } from "./owner.js"
import { fromBytes, isOfOneUse, setCookiesOf, withCookies, withVary } from "./response.js"

// -----------------------------------------------------------------------------
// the load
// -----------------------------------------------------------------------------

/** What an app made of a request: what may be stored of it, and what it is for the request itself. */
export type Loaded =
  & { readonly delivery: Delivery }
  & (
    /** `received`: the status of the app, which may have said that nothing has changed. */
    | {
      readonly _tag: "Answered"
      readonly answer: Answer
      readonly vary: ReadonlyArray<string>
      readonly received: number
    }
    | {
      readonly _tag: "NotStored"
      readonly reason: Reason | "body" | "refused"
      readonly status: number
      readonly received: number
    }
    /** `isOwn`: what it is answered with is for no other request. */
    | { readonly _tag: "Failed"; readonly cause: Cause.Cause<any>; readonly isOwn: boolean; readonly status: number }
    /** A 304 that is not about what was to be validated. */
    | { readonly _tag: "Mistaken" }
  )

export interface LoadRules extends StoreRules {
  /** Whether the app is a client: its failures are its caller's, whatever a server would say of them. */
  readonly isOutgoing?: boolean | undefined
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

/**
 * Runs the app for `request`, which validates `previous` if there is one. `exchange` is what the rules are to know of it.
 * `begin` is given a response that may be stored, where its body takes time: to be sent as it is read.
 */
export const load = (
  app: Effect.Effect<Response.HttpServerResponse, any, any>,
  request: HttpServerRequest.HttpServerRequest,
  exchange: Pick<Visit, "isAuthorized" | "isOneUsers" | "isPersonal">,
  rules: LoadRules,
  previous: Answer | undefined,
  begin: (delivery: Delivery) => Effect.Effect<void>
): Effect.Effect<Loaded, never, any> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Scope.make(), (scope) =>
      Effect.flatMap(
        Effect.exit(restore(Scope.extend(run(app, request, exchange, rules, previous, begin, scope), scope))),
        (exit) =>
          exit._tag === "Success" && exit.value.delivery.scope !== undefined
            ? exit
            // A scope keeps the exit that closed it, and who reads the body as it comes keeps the scope.
            : Effect.zipRight(Scope.close(scope, Exit.asVoid(exit)), exit)
      ))
  )

const run = (
  app: Effect.Effect<Response.HttpServerResponse, any, any>,
  request: HttpServerRequest.HttpServerRequest,
  { isAuthorized, isOneUsers, isPersonal }: Pick<Visit, "isAuthorized" | "isOneUsers" | "isPersonal">,
  rules: LoadRules,
  previous: Answer | undefined,
  begin: (delivery: Delivery) => Effect.Effect<void>,
  scope: Scope.CloseableScope
): Effect.Effect<Loaded, never, any> =>
  Effect.gen(function*() {
    const requestedAt = yield* Clock.currentTimeMillis
    const { exit, handler } = yield* bake(app, request)
    const failed = (cause: Cause.Cause<any>) =>
      Effect.map(HttpServerError.causeResponse(cause), ([response]): Loaded => {
        const isOnce = isOfOneUse(response)
        return {
          _tag: "Failed",
          cause,
          status: rules.isOutgoing === true ? refusedIn(cause)?.status ?? 500 : response.status,
          isOwn: handler._tag === "Some" || Cause.isInterruptedOnly(cause) || isOnce || !isForMany(response, rules),
          delivery: { exit: Exit.failCause(cause), handler, scope: isOnce ? scope : undefined }
        }
      })
    const given = exit._tag === "Success" || rules.isOutgoing === true ? exit : yield* answerIn(exit.cause)
    if (given._tag === "Failure") return yield* failed(given.cause)
    const received = given.value
    const isValidated = previous !== undefined && received.status === 304
    if (isValidated && !isAbout(received.headers, previous.headers)) {
      return { _tag: "Mistaken", delivery: { exit, handler, scope: undefined } }
    }
    const receivedAt = yield* Clock.currentTimeMillis
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
      received: received.status,
      delivery: deliveryOf(response, isOpen)
    })

    const judged = ({ cookies, headers, status }: Response.HttpServerResponse) =>
      judge(
        { status, headers, hasCookies: !Cookies.isEmpty(cookies), isAuthorized, isPersonal, requestedAt, receivedAt },
        rules
      )
    if (exit._tag === "Failure" && !isValidated) {
      const verdict = judged(received)
      if (verdict._tag === "NotStorable") {
        // It stays the failure that it was, whose handlers are applied where it is answered, and not here too.
        return { ...notStored(verdict.reason, received, true), delivery: { exit, handler, scope } }
      }
    }
    const shaped = handler._tag === "None" ? given : yield* Effect.exit(shape(handler.value, request, received))
    if (shaped._tag === "Failure") return yield* failed(exit._tag === "Failure" ? exit.cause : shaped.cause)
    const response = isValidated ? validated(previous, shaped.value) : shaped.value
    const verdict = judged(response)
    if (verdict._tag === "NotStorable") return notStored(verdict.reason, response, true)

    const dated = withDate(response, receivedAt)
    const compress = isOneUsers ? undefined : rules.compress
    const formsVary = hasForms(compress, dated.headers, rules.targets) ? ["Accept-Encoding"] : []
    const body = isValidated
      ? { _tag: "Complete", bytes: previous.body } as const
      : yield* materialise(
        dated,
        rules.bounds,
        scope,
        (stream) => begin(deliveryOf(withVary(streamed(dated, stream), formsVary), false))
      )
    switch (body._tag) {
      case "Broken":
        return yield* failed(Cause.die(Cause.squash(body.cause)))
      case "Unreadable":
        return notStored("body", dated, true)
      case "OutOfBounds":
        return notStored("body", streamed(dated, body.stream), true)
    }
    const own = complete(dated, body.bytes)
    if (!(yield* rules.storeIf(own, request))) return notStored("refused", own, false)
    const forms = isValidated
      ? formsStill(response.headers, rules, previous)
      : yield* formsOf(compress, response.headers, rules.targets, body.bytes)
    const now = yield* Clock.currentTimeMillis
    const answer = answerOf(own, body.bytes, forms, verdict, now, rules, rules.tags(own, request))
    return {
      _tag: "Answered",
      answer,
      vary: verdict.vary,
      received: received.status,
      delivery: deliveryOf(inForm(withValidator(own, answer), answer, request), false)
    }
  })

/** Whether a response that is not stored may be for others who ask at the same time and for the same. */
const isForMany = ({ cookies, headers }: Response.HttpServerResponse, rules: LoadRules): boolean => {
  const hasCookies = !Cookies.isEmpty(cookies)
  const exchange = { status: 200, headers, hasCookies, isAuthorized: false, isPersonal: false }
  const verdict = judge({ ...exchange, requestedAt: 0, receivedAt: 0 }, { ...rules, setCookie: "bypass" })
  return verdict._tag === "Storable" || verdict.reason === "freshness"
}

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

/** Node would give every answer a new one, and an answer's age is counted from it. */
const withDate = (response: Response.HttpServerResponse, receivedAt: number): Response.HttpServerResponse =>
  response.headers["date"] === undefined ? Response.setHeader(response, "date", formatDate(receivedAt)) : response

/** The response with the validator that the next ones will have. */
const withValidator = (response: Response.HttpServerResponse, { headers }: Answer): Response.HttpServerResponse =>
  response.headers["etag"] === undefined && headers["etag"] !== undefined
    ? Response.setHeader(response, "etag", headers["etag"])
    : response

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
  | Extract<Captured, { readonly _tag: "Broken" }>
  /** All of it, of one use. */
  | { readonly _tag: "OutOfBounds"; readonly stream: HttpBody.Stream["stream"] }

const utf8 = new TextEncoder()
const unreadable: Materialised = { _tag: "Unreadable" }

const materialise = (
  response: Response.HttpServerResponse,
  bounds: Bounds,
  scope: Scope.Scope,
  /** Told of a body that comes bit by bit. */
  begin: (stream: HttpBody.Stream["stream"]) => Effect.Effect<void>
): Effect.Effect<Materialised> => {
  const { body } = response
  const declared = response.headers["content-length"]
  /** The app keeps the bytes it gave, and may write to them. `slice` would be a view of them, where they are a Node buffer. */
  const copied = (bytes: Uint8Array): Materialised =>
    bytes.length > bounds.maxBytes || (declared !== undefined && declared !== String(bytes.length))
      ? unreadable
      : { _tag: "Complete", bytes: new Uint8Array(bytes) }
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
      return Effect.gen(function*() {
        const { captured, isUnderWay, stream } = yield* capture(body.stream, bounds, scope)
        if (yield* isUnderWay) yield* begin(stream)
        const end = yield* captured
        if (end._tag === "OutOfBounds") return { _tag: "OutOfBounds", stream }
        return end._tag === "Complete" && declared !== undefined && declared !== String(end.bytes.length)
          // Shorter or longer than it said: broken off, and the client must notice.
          ? {
            _tag: "Broken",
            cause: Cause.die(new Error(`a body of ${end.bytes.length} bytes, declared as ${declared}`))
          }
          : end
      })
    }
  }
}

/** The response with its body as it is read. */
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
