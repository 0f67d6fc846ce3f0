// The servers of groups/http.mjs, each on a free port of the loopback.
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { once } from "node:events"
import { createServer } from "node:http"
import * as Memory from "../dist/backends/Memory.js"
import * as HttpCache from "../dist/HttpCache.js"

const body = "x".repeat(1024)
const cacheControl = "max-age=3600"
const constant = Effect.succeed(HttpServerResponse.text(body, { headers: { "cache-control": cacheControl } }))
/** What a cache is for. */
const slow = Effect.delay(constant, 5)

const raw = async () => {
  const server = createServer((_request, response) => {
    response.writeHead(200, {
      "content-type": "text/plain",
      "content-length": body.length,
      "cache-control": cacheControl
    })
    response.end(body)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return /** @type {import("node:net").AddressInfo} */ (server.address()).port
}

const effect = async (
  /** @type {import("@effect/platform/HttpApp").Default<never, any>} */ app,
  server = createServer()
) => {
  const layer = HttpServer.serve(app).pipe(
    Layer.provide(Memory.layer()),
    Layer.provide(NodeHttpServer.layer(() => server, { host: "127.0.0.1", port: 0 }))
  )
  await ManagedRuntime.make(/** @type {Layer.Layer<never, any>} */ (layer)).runtime()
  return /** @type {import("node:net").AddressInfo} */ (server.address()).port
}

const accelerated = HttpCache.accelerate({ timeToLive: "1 hour" })

const ports = {
  "node:http, a constant": await raw(),
  "@effect/platform, a constant": await effect(constant),
  "**`HttpCache.middleware`**, a hit": await effect(HttpCache.middleware({ timeToLive: "1 hour" })(slow)),
  "**`HttpCache.accelerate`**, a hit": await effect(accelerated.middleware(slow), accelerated.server(createServer()))
}

process.on("message", (question) => {
  const { system, user } = process.cpuUsage()
  process.send(question === "cpu" ? (system + user) / 1000 : ports)
})
process.on("disconnect", () => process.exit())
