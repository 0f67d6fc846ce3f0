/**
 * A caching reverse proxy: `node main.js ORIGIN [PORT] [OPTIONS]`, with the options of
 * `HttpCache` as JSON, and the backend that `CACHE_URL` or `CACHE_TYPE` names. With the
 * options of `HttpCache.client` under `client`, the cache is behind it, in the client
 * that asks the origin; `accelerate` answers hits before a fiber is started.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Agent } from "@effect/platform-node/Undici"
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import * as Backend from "./backend.js"
import * as Interim from "./interim.js"

const [origin = "http://localhost:8000", port = "8080", options = "{}"] = process.argv.slice(2)

const ofConnection = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]

/** RFC 9110 §7.6.1: a proxy does not pass on what is about one connection. */
const passOn = (headers: Headers.Headers) =>
  Headers.remove(headers, [...ofConnection, ...(headers["connection"] ?? "").split(/\s*,\s*/)])

const proxy = Effect.gen(function*() {
  const { headers, method, originalUrl, stream } = yield* HttpServerRequest.HttpServerRequest
  const hasBody = "content-length" in headers || "transfer-encoding" in headers
  const request = HttpClientRequest.make(method)(origin + originalUrl, {
    headers: Headers.remove(passOn(headers), "host"),
    body: hasBody ? HttpBody.stream(stream, headers["content-type"]) : HttpBody.empty
  })
  const { cookies, headers: answered, status, stream: body } = yield* HttpClient.execute(request)
  return HttpServerResponse.stream(body, { status, cookies, headers: Headers.remove(passOn(answered), "set-cookie") })
})

/**
 * A connection for each request: one that is kept may be closed by the origin just as it is
 * used again, and does not end a body that has no other end (RFC 9112 §6.3).
 */
const dispatcher = Layer.sync(NodeHttpClient.Dispatcher, () => new Agent({ pipelining: 0 }))

interface Options extends HttpCache.Options {
  readonly accelerate?: boolean
  readonly client?: HttpCache.ClientOptions
}

const { accelerate, client, ...before } = JSON.parse(options) as Options

const cache = accelerate === true
  ? HttpCache.accelerate(before)
  : { middleware: HttpCache.middleware(before), server: identity }

const undici = Layer.provide(NodeHttpClient.layerUndiciWithoutDispatcher, dispatcher)

HttpServer.serve(Interim.passOn(client === undefined ? cache.middleware(proxy) : proxy)).pipe(
  HttpServer.withLogAddress,
  Layer.provide([
    NodeHttpServer.layer(() => cache.server(createServer()), { port: Number(port), host: "127.0.0.1" }),
    client === undefined ? undici : Layer.provide(HttpCache.layerClient(client), [undici, Backend.layer]),
    Backend.layer
  ]),
  Layer.launch,
  NodeRuntime.runMain
)
