/**
 * A caching reverse proxy: `node main.js ORIGIN [PORT] [OPTIONS]`. What else it can be told
 * is in `settings.ts`, what a proxy owes to the connections on both sides in `hops.ts`.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import * as Hops from "./hops.js"
import { backend, cache, client, origin, port } from "./settings.js"

const proxy = Effect.gen(function*() {
  const asked = yield* HttpServerRequest.HttpServerRequest
  const answer = yield* HttpClient.execute(
    HttpClientRequest.make(asked.method)(origin + asked.originalUrl, {
      headers: Hops.passOn(asked.headers, "host"),
      body: Hops.bodyOf(asked)
    })
  )
  return HttpServerResponse.stream(answer.stream, {
    status: answer.status,
    cookies: answer.cookies,
    headers: Hops.passOn(answer.headers, "set-cookie")
  })
})

HttpServer.serve(Hops.withInterim(cache.middleware(proxy))).pipe(
  HttpServer.withLogAddress,
  Layer.provide([
    NodeHttpServer.layer(() => cache.server(createServer()), { port, host: "127.0.0.1" }),
    client,
    backend
  ]),
  Layer.launch,
  NodeRuntime.runMain
)
