/**
 * A caching reverse proxy: `node main.js ORIGIN [PORT] [OPTIONS]`, with the options of
 * `HttpCache` as JSON. With those of `HttpCache.client` under `client`, the cache is
 * behind it, in the client that asks the origin.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Agent } from "@effect/platform-node/Undici"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Memory from "effect-caching/backends/Memory"
import * as HttpCache from "effect-caching/HttpCache"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createServer, type ServerResponse } from "node:http"

const [origin = "http://localhost:8000", port = "8080", options = "{}"] = process.argv.slice(2)

/** Of one connection: a proxy does not pass them on. */
const ofConnection = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]

const without = (headers: Readonly<Record<string, string>>, ...names: ReadonlyArray<string>) => {
  const dropped = [...ofConnection, ...(headers["connection"] ?? "").toLowerCase().split(/\s*,\s*/), ...names]
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !dropped.includes(name)))
}

/** The response of the client whose request is forwarded: interim answers, which `HttpServerResponse` has no form for, go there. */
class Raw extends Context.Tag("Raw")<Raw, ServerResponse>() {}

const interim = (raw: ServerResponse) => ({
  onInfo: (
    { headers, statusCode }: { readonly statusCode: number; readonly headers: Record<string, string | Array<string>> }
  ) => {
    if (raw.headersSent || raw.destroyed) return
    if (statusCode === 102) raw.writeProcessing()
    if (statusCode === 103) raw.writeEarlyHints(headers)
  }
})

const proxy = Effect.gen(function*() {
  const client = yield* HttpClient.HttpClient
  const { headers, method, originalUrl, stream } = yield* HttpServerRequest.HttpServerRequest
  const hasBody = headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined
  const response = yield* client.execute(
    HttpClientRequest.make(method)(origin + originalUrl, {
      headers: without(headers, "host", "content-length"),
      body: hasBody ? HttpBody.stream(stream, headers["content-type"]) : HttpBody.empty
    })
  ).pipe(Effect.provideService(NodeHttpClient.UndiciRequestOptions, interim(yield* Raw) as any))
  const { cookies, status } = response
  const answer = { status, cookies, headers: without(response.headers, "set-cookie") }
  return method === "HEAD" || status === 204 || status === 304
    ? HttpServerResponse.empty(answer)
    : HttpServerResponse.stream(response.stream, answer)
})

const server = () => {
  const server = createServer({ requestTimeout: 0 })
  server.on("request", (_, response) => response.sendDate = false)
  return server
}

/** A connection for each request: one that is kept may be closed by the origin just as it is used again. */
const dispatcher = Layer.scoped(
  NodeHttpClient.Dispatcher,
  Effect.acquireRelease(
    Effect.sync(() => new Agent({ pipelining: 0 })),
    (agent) => Effect.promise(() => agent.destroy())
  )
)

const { client, ...before } = JSON.parse(options) as HttpCache.Options & { readonly client?: HttpCache.ClientOptions }

const cached = client === undefined ? HttpCache.middleware(before)(proxy) : proxy

const undici = Layer.provide(NodeHttpClient.layerUndiciWithoutDispatcher, dispatcher)

const app = Effect.flatMap(
  HttpServerRequest.HttpServerRequest,
  (request) => Effect.provideService(cached, Raw, NodeHttpServerRequest.toServerResponse(request))
)

HttpServer.serve(app).pipe(
  HttpMiddleware.withTracerDisabledWhen(() => true),
  HttpServer.withLogAddress,
  Layer.provide([
    NodeHttpServer.layer(server, { port: Number(port), host: "127.0.0.1" }),
    client === undefined ? undici : Layer.provide(HttpCache.layerClient(client), [undici, Memory.layer()]),
    Memory.layer()
  ]),
  Layer.launch,
  NodeRuntime.runMain
)
