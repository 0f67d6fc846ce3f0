/**
 * Responses between a client and the cache before it: what came from the origin in the
 * form that the engine answers, and what the engine answered as a client's response.
 */
import * as Cookies from "@effect/platform/Cookies"
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import { ResponseError } from "@effect/platform/HttpClientError"
import type * as ClientRequest from "@effect/platform/HttpClientRequest"
import * as ClientResponse from "@effect/platform/HttpClientResponse"
import * as IncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as Response from "@effect/platform/HttpServerResponse"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { concat } from "./capture.js"

type Bytes = Effect.Effect<Uint8Array, ResponseError>

/** A body: in memory, or of one use. */
type Content = Uint8Array | { readonly bytes: Bytes; readonly stream: Stream.Stream<Uint8Array, ResponseError> }

type Head = Pick<ClientResponse.HttpClientResponse, "cookies" | "headers" | "remoteAddress" | "status">

const text = new TextDecoder()

class CachedResponse extends Inspectable.Class implements ClientResponse.HttpClientResponse {
  readonly [ClientResponse.TypeId]: ClientResponse.TypeId = ClientResponse.TypeId
  readonly [IncomingMessage.TypeId]: IncomingMessage.TypeId = IncomingMessage.TypeId

  constructor(
    readonly request: ClientRequest.HttpClientRequest,
    private readonly head: Head,
    private readonly content: Content
  ) {
    super()
  }

  get status(): number {
    return this.head.status
  }

  get headers(): Headers.Headers {
    return this.head.headers
  }

  get cookies(): Cookies.Cookies {
    return this.head.cookies
  }

  get remoteAddress(): Option.Option<string> {
    return this.head.remoteAddress
  }

  private get bytes(): Bytes {
    return this.content instanceof Uint8Array ? Effect.succeed(this.content) : this.content.bytes
  }

  private decode<A>(effect: Bytes, f: (bytes: Uint8Array) => A | Promise<A>): Effect.Effect<A, ResponseError> {
    return Effect.flatMap(effect, (bytes) =>
      Effect.tryPromise({
        try: async () => f(bytes),
        catch: (cause) => new ResponseError({ request: this.request, response: this, reason: "Decode", cause })
      }))
  }

  get stream(): Stream.Stream<Uint8Array, ResponseError> {
    const { content } = this
    if (!(content instanceof Uint8Array)) return content.stream
    // What is stored must not be written to.
    return content.length === 0 ? Stream.empty : Stream.sync(() => content.slice())
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, ResponseError> {
    return Effect.map(this.bytes, (bytes) => new Uint8Array(bytes).buffer)
  }

  get text(): Effect.Effect<string, ResponseError> {
    return Effect.map(this.bytes, (bytes) => text.decode(bytes))
  }

  get json(): Effect.Effect<unknown, ResponseError> {
    return this.decode(this.bytes, (bytes) => bytes.length === 0 ? null : JSON.parse(text.decode(bytes)))
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, ResponseError> {
    return this.decode(this.bytes, (bytes) => UrlParams.fromInput(new URLSearchParams(text.decode(bytes))))
  }

  get formData(): Effect.Effect<FormData, ResponseError> {
    const headers = { "content-type": this.headers["content-type"] ?? "" }
    return this.decode(this.bytes, (bytes) => new globalThis.Response(new Uint8Array(bytes), { headers }).formData())
  }

  toJSON(): unknown {
    return IncomingMessage.inspect(this, {
      _id: "@effect/platform/HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }
}

// -----------------------------------------------------------------------------
// from the origin
// -----------------------------------------------------------------------------

/** A body that broke off while it was read into memory: its response is as good as it was without a cache. */
export class Broken extends Error {
  constructor(readonly response: ClientResponse.HttpClientResponse, readonly error: ResponseError) {
    super(error.message)
  }
}

/** The responses whose bodies these streams are, for as long as nobody has read of them. */
const received = new WeakMap<object, ClientResponse.HttpClientResponse>()

/** What a `fetch` made of the answer, whichever it is, if it was one that asked and not a stand-in for it. */
const fetched = (response: unknown): Pick<globalThis.Response, "redirected"> | undefined => {
  const { original, source } = response as { readonly original?: unknown; readonly source?: object }
  if (original !== undefined) return fetched(original)
  const { redirected, url } = (source ?? {}) as { readonly redirected?: unknown; readonly url?: unknown }
  return typeof redirected === "boolean" && typeof url === "string" && url !== "" ? { redirected } : undefined
}

/** Whether it is the answer of another URL than the one that was asked. */
export const isRedirected = (response: ClientResponse.HttpClientResponse, url: string): boolean => {
  if (fetched(response)?.redirected === true) return true
  const { hash: _, url: asked, urlParams } = response.request
  const made = UrlParams.makeUrl(asked, urlParams, Option.none())
  return made._tag === "Right" && made.right.href !== url
}

/** The client's response as the engine takes it. Its body is let go with the scope, if nobody has read of it. */
export const toServer = (
  response: ClientResponse.HttpClientResponse,
  isHead: boolean,
  maxBytes: number
): Effect.Effect<Response.HttpServerResponse, never, Scope.Scope> => {
  const { cookies, status } = response
  const { "set-cookie": _, ...headers }: Record<string, string> = response.headers
  const isDecoded = headers["content-encoding"] !== undefined && fetched(response) !== undefined
  // The client knows whether a body is whole, and may have decoded it: what counts is what can be read.
  if (isHead ? isDecoded : !(Number(headers["content-length"]) > maxBytes)) delete headers["content-length"]
  const empty = Response.empty({ status, headers, cookies })
  // Read to its end, so that its connection can be used again.
  if (isHead || status === 204 || status === 304) return Effect.as(Effect.ignore(response.arrayBuffer), empty)
  let isRead = false
  const stream = Stream.suspend(() => {
    isRead = true
    return response.stream
  }).pipe(
    Stream.catchAll((error) => error.reason === "EmptyBody" ? Stream.empty : Stream.fail(new Broken(response, error)))
  )
  received.set(stream, response)
  if (isDecoded) delete headers["content-encoding"]
  return Effect.as(
    Effect.addFinalizer(() => isRead ? Effect.void : abandon(response)),
    Response.setBody(
      Response.empty({ status, headers, cookies }),
      HttpBody.stream(stream, headers["content-type"] ?? "")
    )
  )
}

/** Frees the connection of a response that nobody reads: the client aborts what is interrupted. */
const abandon = (response: ClientResponse.HttpClientResponse): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.forkDaemon(Effect.interruptible(response.arrayBuffer)),
    (reading) => Effect.zipRight(Effect.yieldNow(), Fiber.interruptFork(reading))
  )

// -----------------------------------------------------------------------------
// to the caller
// -----------------------------------------------------------------------------

/** A response that is not read holds its connection until it is collected, as a client's own does. */
const unread = new FinalizationRegistry<Effect.Effect<void>>((close) => Effect.runFork(close))

const fieldsOf = (headers: Headers.Headers, cookies: Cookies.Cookies): Headers.Headers =>
  Headers.fromInput(
    Cookies.isEmpty(cookies) ? headers : { ...headers, "set-cookie": Cookies.toSetCookieHeaders(cookies) }
  )

/** A response in memory, for `request`; `undefined` where it has a body that is not. */
export const inMemory = (
  request: ClientRequest.HttpClientRequest,
  { body, cookies, headers, status }: Response.HttpServerResponse
): ClientResponse.HttpClientResponse | undefined => {
  const bytes = body._tag === "Empty" || request.method === "HEAD"
    ? new Uint8Array(0)
    : (body._tag === "Uint8Array" || body._tag === "Raw") && body.body instanceof Uint8Array
    ? body.body
    : undefined
  return bytes === undefined ? undefined : new CachedResponse(
    request,
    {
      status,
      headers: fieldsOf(headers, cookies),
      cookies,
      remoteAddress: Option.none()
    },
    bytes
  )
}

/** A response whose body comes as it is read. `close` is run when that is over, or when it is plain that nobody will. */
export const passing = (
  request: ClientRequest.HttpClientRequest,
  answer: Response.HttpServerResponse,
  close: Effect.Effect<void>
): ClientResponse.HttpClientResponse => {
  const source = answer.body._tag === "Stream" ? answer.body.stream : Stream.empty
  const direct = received.get(source)
  const head: Head = {
    status: answer.status,
    headers: direct === undefined
      ? fieldsOf(answer.headers, answer.cookies)
      : Headers.fromInput({
        ...direct.headers,
        ...Headers.fromInput({ "cache-status": answer.headers["cache-status"] })
      }),
    cookies: answer.cookies,
    remoteAddress: direct?.remoteAddress ?? Option.none()
  }
  let reading: "none" | "stream" | "bytes" = "none"
  const once = Stream.suspend(() => {
    unread.unregister(response)
    const body = Stream.catchAll(source, (error) =>
      error instanceof Broken
        ? Stream.fail(new ResponseError({ ...error.error, request, response }))
        : Stream.die(error))
    // At its end too, where the wait for what is done with it can be interrupted: a stream's finalizer cannot.
    return Stream.ensuring(Stream.onEnd(body, Effect.uninterruptible(close)), close)
  })
  const again = Effect.suspend(() =>
    Effect.fail(
      new ResponseError({ request, response, reason: "Decode", description: "the body has been read as a stream" })
    )
  )
  const whole = Effect.runSync(
    Effect.cached(Effect.map(Stream.runCollect(once), (parts) => concat(Array.from(parts))))
  )
  const bytes = Effect.suspend(() => {
    if (reading === "stream") return again
    reading = "bytes"
    return whole
  })
  const stream = Stream.suspend(() => {
    if (reading !== "none") return Stream.fromEffect(Effect.map(bytes, (bytes) => bytes.slice()))
    reading = "stream"
    return once
  })
  const response: ClientResponse.HttpClientResponse = new CachedResponse(request, head, { bytes, stream })
  unread.register(response, close, response)
  return response
}

/** The response of a body that broke off. */
export const broken = (
  request: ClientRequest.HttpClientRequest,
  { error, response: head }: Broken
): ClientResponse.HttpClientResponse => {
  const failure = Effect.suspend(() => Effect.fail(new ResponseError({ ...error, request, response })))
  const response: ClientResponse.HttpClientResponse = new CachedResponse(request, head, {
    bytes: failure,
    stream: Stream.fromEffect(failure)
  })
  return response
}
