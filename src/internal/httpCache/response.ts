/**
 * Making and changing responses, where @effect/platform has no word for it.
 */
import * as Cookies from "@effect/platform/Cookies"
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Response from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { IncomingMessage } from "node:http"
import { mergeVary } from "../http/vary.js"

/** A response with these headers and no others. A body given a type by `HttpBody` would change the type that is there. */
export const fromBytes = (
  status: number,
  statusText: string | undefined,
  headers: Readonly<Record<string, string>>,
  bytes: Uint8Array | undefined
): Response.HttpServerResponse => {
  if (bytes === undefined) return Response.empty({ status, statusText, headers })
  const { "content-type": contentType, ...rest } = headers
  return contentType === undefined
    ? Response.raw(bytes, { status, statusText, headers: { ...rest, "content-length": String(bytes.length) } })
    : Response.uint8Array(bytes, { status, statusText, headers: rest, contentType })
}

export const withVary = (
  response: Response.HttpServerResponse,
  names: ReadonlyArray<string>
): Response.HttpServerResponse => {
  const vary = mergeVary(response.headers["vary"], names)
  return vary === response.headers["vary"] ? response : Response.setHeader(response, "vary", vary!)
}

/** Whether its body can be sent once only, and may need what its scope holds. */
export const isOfOneUse = ({ body }: Response.HttpServerResponse): boolean =>
  body._tag === "Stream" ||
  (body._tag === "Raw" && typeof body.body !== "string" && !(body.body instanceof Uint8Array))

/** `HttpServerResponse` has no way to take fields off; the body stays the one it is. */
export const withoutFields = (
  response: Response.HttpServerResponse,
  names: ReadonlySet<string>
): Response.HttpServerResponse =>
  Array.from(names).some((name) => response.headers[name] !== undefined)
    ? Object.assign(Object.create(Object.getPrototypeOf(response) as object) as Response.HttpServerResponse, response, {
      headers: Headers.remove(response.headers, Array.from(names))
    })
    : response

export const withCookies = (
  response: Response.HttpServerResponse,
  cookies: Cookies.Cookies
): Response.HttpServerResponse => Cookies.isEmpty(cookies) ? response : Response.mergeCookies(response, cookies)

/** `Set-Cookie` as it will be sent: of the cookies, and of the field. */
export const setCookiesOf = ({ cookies, headers }: Response.HttpServerResponse): ReadonlyArray<string> => [
  ...(headers["set-cookie"] === undefined ? [] : [headers["set-cookie"]]),
  ...Cookies.toSetCookieHeaders(cookies)
]

/**
 * The response whose client notices where its stream fails half-way, or is not as long as it said: Node's server would
 * end it as if it were whole, and the next response on the connection would begin where the client expects the rest.
 * What came by no connection is left as it is: a client knows itself whether a body is whole, and may have decoded it.
 */
export const brokenOff = (
  response: Response.HttpServerResponse,
  request: HttpServerRequest.HttpServerRequest
): Response.HttpServerResponse => {
  const { body, headers } = response
  const source: unknown = request.source
  if (body._tag !== "Stream" || source === undefined) return response
  const stream = Stream.tapErrorCause(
    ofLength(body.stream, headers["content-length"]),
    () => Effect.sync(() => cut(source as object))
  )
  return Response.setBody(response, HttpBody.stream(stream, body.contentType, body.contentLength))
}

/** Whether the end of the connection is that of a body (RFC 9112 §6.3): to HTTP/1.0, which knows no chunks. */
export const isEndedByClosing = ({ source }: Pick<HttpServerRequest.HttpServerRequest, "source">): boolean =>
  (source as Partial<IncomingMessage> | undefined)?.httpVersion === "1.0"

/** Ends the connection of a request, so that it does not look like the end of a body. */
const cut = (source: object): void => {
  const { socket } = source as Partial<IncomingMessage>
  // Only a TCP connection can be reset; TLS ends without saying so, which its clients notice.
  const canReset = socket?.remoteAddress !== undefined && !("encrypted" in socket)
  if (isEndedByClosing({ source }) && canReset) socket.resetAndDestroy()
  else socket?.destroy?.()
}

const ofLength = (
  stream: Stream.Stream<Uint8Array, unknown>,
  declared: string | undefined
): Stream.Stream<Uint8Array, unknown> =>
  declared === undefined ? stream : Stream.suspend(() => {
    let left = Number(declared)
    const failed = Effect.suspend(() => Effect.fail(new Error(`a body that is not as long as it said: ${declared}`)))
    return Stream.concat(
      Stream.mapChunksEffect(stream, (chunk) => {
        for (const part of chunk) left -= part.length
        return left < 0 ? failed : Effect.succeed(chunk)
      }),
      Stream.suspend(() => left > 0 ? Stream.fromEffect(failed) : Stream.empty)
    )
  })
