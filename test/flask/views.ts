/** Views that are cached, on a real server. */
import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import * as Request from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import { serve } from "../http/support.js"

/** Answers with the number of its run, or what is made of it, and is cached for two seconds. */
export const view = (
  options: HttpCache.Options = {},
  make: (run: number, request: HttpServerRequest) => HttpServerResponse.HttpServerResponse = (run) =>
    HttpServerResponse.unsafeJson(run)
) => {
  const state = { runs: 0 }
  const app = Effect.map(Request.HttpServerRequest, (request) => make(++state.runs, request))
  return Effect.map(serve(HttpCache.middleware({ timeToLive: "2 seconds", ...options })(app)), (client) => ({
    state,
    client,
    origin: `http://localhost:${client.port}`,
    body: (path: string, headers: Readonly<Record<string, string>> = {}) =>
      Effect.map(client.get(path, { host: `localhost:${client.port}`, ...headers }), (reply) => reply.body)
  }))
}
