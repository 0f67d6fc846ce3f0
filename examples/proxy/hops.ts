/**
 * What a proxy owes to the two connections that it is between (RFC 9110 §7.6).
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Agent } from "@effect/platform-node/Undici"
import * as Headers from "@effect/platform/Headers"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const ofConnection = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]

/** §7.6.1: without what is about one connection, and without these. */
export const passOn = (headers: Headers.Headers, ...without: ReadonlyArray<string>): Headers.Headers =>
  Headers.remove(headers, [...ofConnection, ...(headers["connection"] ?? "").split(/\s*,\s*/), ...without])

/** RFC 9112 §6.3: a request without these fields has no body, not an empty one. */
export const bodyOf = ({ headers, stream }: HttpServerRequest.HttpServerRequest): HttpBody.HttpBody =>
  "content-length" in headers || "transfer-encoding" in headers
    ? HttpBody.stream(stream, headers["content-type"])
    : HttpBody.empty

/**
 * A connection for each request: one that is kept may be closed by the origin just as it is
 * used again, and does not end a body that has no other end (RFC 9112 §6.3).
 */
export const client = Layer.provide(
  NodeHttpClient.layerUndiciWithoutDispatcher,
  Layer.sync(NodeHttpClient.Dispatcher, () => new Agent({ pipelining: 0 }))
)

interface Info {
  readonly statusCode: number
  readonly headers: Record<string, string | Array<string>>
}

/**
 * Passes on what the requests that `app` makes are told before their answers (§15.2).
 * `HttpServerResponse` has no form for that: it goes to Node's response as it comes.
 */
export const withInterim = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const response = NodeHttpServerRequest.toServerResponse(request)
    const onInfo = ({ headers, statusCode }: Info) => {
      if (response.headersSent || response.destroyed) return
      if (statusCode === 102) response.writeProcessing()
      if (statusCode === 103) response.writeEarlyHints(headers)
    }
    // Its type asks for a path and a method too, which the client sets itself.
    return Effect.provideService(app, NodeHttpClient.UndiciRequestOptions, { onInfo } as never)
  })
