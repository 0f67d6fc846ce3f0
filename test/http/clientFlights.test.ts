/** Many callers of a cached client at once, and those who leave. */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { ServerResponse } from "node:http"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { redisForFile } from "../support/overBackends.js"
import { caching, clients, counting, origin } from "./clientSupport.js"
import { serve } from "./support.js"

const fresh = { "cache-control": "max-age=60" }

/** An origin that answers when it is told to, but at `/other` at once. */
const waiting = Effect.gen(function*() {
  const came = yield* Deferred.make<ServerResponse>()
  const aborted = yield* Deferred.make<void>()
  const { hits, url } = yield* origin((request, response) => {
    if (request.url === "/other") {
      response.end()
      return
    }
    response.on("close", () => {
      if (!response.writableEnded) Deferred.unsafeDone(aborted, Effect.void)
    })
    Deferred.unsafeDone(came, Effect.succeed(response))
  })
  return { aborted, came: Deferred.await(came), hits, url }
})

const redis = redisForFile()
let count = 0
const backends = [
  { backend: "Memory", layer: Memory.layer() },
  { backend: "Redis", layer: Layer.suspend(() => redis.layer(`f${count++}:`)) }
]

for (const { backend, layer } of backends) {
  for (const client of clients) {
    describe(`callers at once, ${client.name} over ${backend}`, () => {
      const provide = Effect.provide(Layer.merge(Layer.orDie(layer), client.layer))

      it.scoped("a hundred callers are one request", () =>
        Effect.gen(function*() {
          const { hits, url } = yield* origin(counting())
          const { get } = yield* caching()
          const all = yield* Effect.all(Array.from({ length: 100 }, () => get(url)), { concurrency: "unbounded" })
          for (const { body } of all) assert.strictEqual(body, "1 /")
          assert.strictEqual(hits.length, 1)
        }).pipe(provide))

      it.scoped("the caller whose request it is leaves: the others get the answer", () =>
        Effect.gen(function*() {
          const { aborted, came, hits, url } = yield* waiting
          const { get } = yield* caching()
          const leader = yield* Effect.fork(get(url))
          const response = yield* came
          const others = yield* Effect.fork(
            Effect.all(Array.from({ length: 3 }, () => get(url)), { concurrency: "unbounded" })
          )
          // Each asks the backend as often as one that comes to wait.
          for (let i = 0; i < 3; i++) yield* get(`${url}/other`)
          yield* Fiber.interrupt(leader)
          response.writeHead(200, fresh).end("for all")
          for (const { body } of yield* Fiber.join(others)) assert.strictEqual(body, "for all")
          assert.isFalse(yield* Deferred.isDone(aborted))
          assert.strictEqual(hits.filter(({ url }) => url === "/").length, 1)
        }).pipe(provide))

      it.scoped("all leave: the request is aborted", () =>
        Effect.gen(function*() {
          const { aborted, came, url } = yield* waiting
          const { get } = yield* caching()
          const all = yield* Effect.forEach([1, 2, 3], () => Effect.fork(get(url)))
          yield* came
          yield* Fiber.interruptAll(all)
          yield* Deferred.await(aborted)
        }).pipe(provide))

      it.scoped("all leave while the body comes: the request is aborted", () =>
        Effect.gen(function*() {
          const { aborted, came, url } = yield* waiting
          const { get } = yield* caching()
          const all = yield* Effect.forEach([1, 2, 3], () => Effect.fork(get(url)))
          const response = yield* came
          yield* Effect.async<void>((resume) => {
            response.writeHead(200, fresh).write("half", () => resume(Effect.void))
          })
          yield* Fiber.interruptAll(all)
          yield* Deferred.await(aborted)
        }).pipe(provide))

      it.scoped("an answer that turns out to be one user's is no other's", () =>
        Effect.gen(function*() {
          const { hits, url } = yield* origin(counting({ "cache-control": "private, max-age=60" }))
          const { get } = yield* caching({ mode: "shared" })
          const all = yield* Effect.all(Array.from({ length: 20 }, () => get(url)), { concurrency: "unbounded" })
          assert.strictEqual(new Set(all.map(({ body }) => body)).size, 20)
          assert.strictEqual(hits.length, 20)
        }).pipe(provide))

      it.scoped("a body that is too large goes to each on its own, whole", () =>
        Effect.gen(function*() {
          const body = "x".repeat(200_000)
          const { hits, url } = yield* origin((_, response) => response.writeHead(200, fresh).end(body))
          const { get } = yield* caching({ maxBodyBytes: 1000 })
          const all = yield* Effect.all(Array.from({ length: 5 }, () => get(url)), { concurrency: "unbounded" })
          for (const reply of all) assert.strictEqual(reply.body, body)
          assert.strictEqual(hits.length, 5)
        }).pipe(provide))
    })
  }
}

const collectGarbage = Effect.suspend(() => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  return Effect.async<void>((resume) => {
    setImmediate(() => {
      collect()
      setImmediate(() => resume(Effect.void))
    })
  })
})

for (const { layer, name } of clients) {
  describe(`responses that nobody reads, ${name}`, () => {
    const provide = Effect.provide(Layer.merge(Memory.layer(), layer))

    it.scoped("give their connections back when nobody holds them", () =>
      Effect.gen(function*() {
        for (const directives of ["no-store", "max-age=60"]) {
          const { closed, url } = yield* origin((_, response) => {
            response.writeHead(200, { "cache-control": directives }).write("x".repeat(1_000_000))
          })
          const { client } = yield* caching({ maxBodyBytes: 1000 })
          // In a fiber of its own, which holds nothing when it is over.
          const asking = yield* Effect.fork(Effect.asVoid(client.get(url)))
          yield* Fiber.join(asking)
          const isClosed = yield* Effect.fork(closed)
          while ((yield* Fiber.poll(isClosed))._tag === "None") yield* collectGarbage
        }
      }).pipe(provide))

    it.scoped("are not given back while they are held", () =>
      Effect.gen(function*() {
        const { url } = yield* origin((_, response) => {
          response.writeHead(200, fresh).end("x".repeat(1_000_000))
        })
        const { client } = yield* caching({ maxBodyBytes: 1000 })
        const response = yield* client.get(url)
        for (let i = 0; i < 5; i++) yield* collectGarbage
        assert.strictEqual((yield* response.text).length, 1_000_000)
      }).pipe(provide))
  })
}

describe("a cached client in a server's handler", () => {
  const provide = Effect.provide([Memory.layer(), clients[0]!.layer])

  it.scoped("says nothing to the server's answers, and the client sees the server's request", () =>
    Effect.gen(function*() {
      const { url } = yield* origin((request, response) => {
        if (request.url === "/broken") request.socket.destroy()
        else response.writeHead(200, fresh).end(request.headers["x-for"])
      })
      const inner = HttpClient.transformResponse(
        yield* HttpClient.HttpClient,
        Effect.zipLeft(Effect.map(HttpServerRequest.HttpServerRequest, (request) => seen.push(request.originalUrl)))
      )
      const seen: Array<string> = []
      const client = HttpCache.client()(inner)
      const server = yield* serve(Effect.gen(function*() {
        const broken = yield* Effect.exit(client.get(`${url}/broken`))
        const response = yield* client.get(url, { headers: { "x-for": "Ada" } })
        return HttpServerResponse.text(`${broken._tag} ${yield* response.text}`)
      }))
      const reply = yield* server.get("/page")
      assert.strictEqual(reply.body, "Failure Ada")
      assert.isUndefined(reply.headers["cache-status"])
      assert.deepStrictEqual(seen, ["/page"])
    }).pipe(provide))

  it.scoped("a body that is not stored goes on as a server's", () =>
    Effect.gen(function*() {
      const body = "x".repeat(3_000_000)
      const { url } = yield* origin((_, response) => response.writeHead(200, fresh).end(body))
      const { client } = yield* caching()
      const server = yield* serve(
        Effect.map(client.get(url), (response) => HttpServerResponse.stream(Stream.orDie(response.stream)))
      )
      assert.strictEqual((yield* server.get("/")).body.length, body.length)
    }).pipe(provide))
})
