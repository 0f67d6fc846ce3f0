/**
 * Interim answers (RFC 9110 §15.2), which `HttpServerResponse` has no form for: they go to
 * Node's response as they come.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"

interface Info {
  readonly statusCode: number
  readonly headers: Record<string, string | Array<string>>
}

/** Passes on what the requests that `app` makes are told before their answers. */
export const passOn = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const response = NodeHttpServerRequest.toServerResponse(request)
    const onInfo = ({ headers, statusCode }: Info) => {
      if (response.headersSent || response.destroyed) return
      if (statusCode === 102) response.writeProcessing()
      if (statusCode === 103) response.writeEarlyHints(headers)
    }
    return Effect.provideService(app, NodeHttpClient.UndiciRequestOptions, { onInfo } as any)
  })
