/** Bodies through a cached client: whole, too large, broken off, in a coding, and never read. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import Undici from "@effect/platform-node/Undici"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as HttpCache from "effect-caching/HttpCache"
import * as Faulty from "effect-caching/testing/Faulty"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { randomBytes } from "node:crypto"
import { gzipSync } from "node:zlib"
import { type Answer, caching, clients, counting, origin } from "./clientSupport.js"

const fresh = { "cache-control": "max-age=60" }
const piece = Buffer.alloc(64 * 1024, "x")

/** Writes without end, until the connection is closed. */
const endless = (headers: Record<string, string>, status = 200): Answer => (_, response) => {
  response.writeHead(status, headers)
  const more = () => {
    while (!response.destroyed && response.write(piece));
  }
  response.on("drain", more)
  more()
}

/** Writes, and then no more. */
const halting: Answer = (_, response) => {
  response.writeHead(200, fresh).write(piece)
}

/** By default it makes a connection for each request. */
const keeping = Layer.provide(NodeHttpClient.layerWithoutAgent, NodeHttpClient.makeAgentLayer({ keepAlive: true }))

for (const { layer, name } of clients) {
  describe(`bodies of ${name}`, () => {
    const provide = Effect.provide(Layer.merge(Memory.layer(), layer))

    it.scoped("a body over the bound arrives whole, in its order, and is not stored", () =>
      Effect.gen(function*() {
        const size = 3 * 1024 * 1024 + 7
        const bytes = Buffer.from(Uint8Array.from({ length: size }, (_, i) => i % 251))
        const { hits, url } = yield* origin((request, response) => {
          response.writeHead(200, request.url === "/told" ? { ...fresh, "content-length": size } : fresh)
          for (let at = 0; at < size; at += piece.length) response.write(bytes.subarray(at, at + piece.length))
          response.end()
        })
        const { client } = yield* caching({ maxBodyBytes: 100_000 })
        for (const path of ["/told", "/untold"]) {
          for (const _ of [1, 2]) {
            const response = yield* client.get(url + path)
            assert.isUndefined(response.headers["content-type"])
            const parts = yield* Stream.runCollect(response.stream)
            assert.isTrue(Buffer.concat(Chunk.toReadonlyArray(parts)).equals(bytes))
          }
          const response = yield* client.get(url + path)
          assert.isTrue(Buffer.from(yield* response.arrayBuffer).equals(bytes))
          assert.strictEqual(response.headers["content-length"], path === "/told" ? String(size) : undefined)
        }
        assert.strictEqual(hits.length, 6)
      }).pipe(provide))

    it.scoped("a body in a coding that is over the bound arrives whole, with the fields that the client gives it", () =>
      Effect.gen(function*() {
        const packed = gzipSync(randomBytes(150_000).toString("hex"))
        const { url } = yield* origin((_, response) => {
          response.writeHead(200, { ...fresh, "content-encoding": "gzip", "content-length": packed.length })
          response.end(packed)
        })
        const { client } = yield* caching({ maxBodyBytes: 100_000 })
        const direct = yield* HttpClient.get(url)
        const cached = yield* client.get(url)
        for (const name of ["content-encoding", "content-length"]) {
          assert.strictEqual(cached.headers[name], direct.headers[name])
        }
        assert.isTrue(Buffer.from(yield* cached.arrayBuffer).equals(Buffer.from(yield* direct.arrayBuffer)))
      }).pipe(provide))

    it.scoped("a stream that has begun to be read, and is not read on, closes its connection", () =>
      Effect.gen(function*() {
        for (
          const headers of [fresh, { "cache-control": "no-store" }, { ...fresh, "content-type": "text/event-stream" }]
        ) {
          const { closed, url } = yield* origin(endless(headers))
          const { client } = yield* caching()
          const response = yield* client.get(url)
          const first = yield* Stream.runHead(response.stream)
          assert.strictEqual(first._tag, "Some")
          yield* closed
        }
      }).pipe(provide))

    it.scoped("a client with a scope closes what was not read with it, and not before", () =>
      Effect.gen(function*() {
        for (const headers of [fresh, { "cache-control": "no-store" }]) {
          const { closed, url } = yield* origin(endless(headers))
          const client = HttpCache.client()(HttpClient.withScope(yield* HttpClient.HttpClient))
          const scope = yield* Scope.make()
          const response = yield* Scope.extend(client.get(url), scope)
          assert.strictEqual(response.status, 200)
          yield* Scope.close(scope, Exit.void)
          yield* closed
        }
      }).pipe(provide))

    it.scoped("a client with a scope does not wait for the end of what was not read", () =>
      Effect.gen(function*() {
        const { closed, url } = yield* origin(halting)
        const client = HttpCache.client()(HttpClient.withScope(yield* HttpClient.HttpClient))
        assert.strictEqual(yield* Effect.scoped(Effect.map(client.get(url), ({ status }) => status)), 200)
        yield* closed
      }).pipe(provide))

    it.scoped("who reads does not have to wait for what is done with the body in the end", () =>
      Effect.gen(function*() {
        const { flights } = yield* CacheBackend
        const { url } = yield* origin((_, response) => {
          response.writeHead(200, fresh).write("first ")
          setImmediate(() => setImmediate(() => response.end("second")))
        })
        const asked = yield* Deferred.make<void>()
        const faults = yield* Faulty.Faulty
        yield* faults.inject(Faulty.hang, { methods: ["fill"] })
        const tags = () => {
          Deferred.unsafeDone(asked, Exit.void)
          return []
        }
        const { client } = yield* caching({ tags })
        const response = yield* client.get(url)
        const reading = yield* Effect.fork(response.text)
        yield* Deferred.await(asked)
        for (let i = 0; i < 20; i++) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* Fiber.interrupt(reading)
        assert.strictEqual(flights.size, 1)
      }).pipe(Effect.provide(Layer.merge(Faulty.layer(Memory.layer()), layer))))

    it.scoped("an error in whose place a stale answer is sent closes its connection", () =>
      Effect.gen(function*() {
        const { closed, url } = yield* origin((request, response, hit) => {
          if (hit === 1) response.writeHead(200, { ...fresh, connection: "close" }).end("good")
          else endless({}, 503)(request, response, hit)
        })
        const { get } = yield* caching({ staleIfError: "1 hour" })
        yield* get(url)
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual((yield* get(url)).body, "good")
        yield* closed
      }).pipe(provide))

    it.scoped("a body that breaks off fails where it is read, as the client says it, and is not stored", () =>
      Effect.gen(function*() {
        const { url } = yield* origin((request, response, hit) => {
          if (hit > 1) response.writeHead(200, fresh).end("whole")
          else {
            response.writeHead(200, { ...fresh, "content-length": 10 })
            response.write("half", () => request.socket.destroy())
          }
        })
        const { client, get } = yield* caching()
        const response = yield* client.get(url)
        assert.strictEqual(response.status, 200)
        const error = yield* Effect.flip(response.text)
        assert.deepStrictEqual([error._tag, error.reason], ["ResponseError", "Decode"])
        assert.strictEqual((yield* get(url)).body, "whole")
      }).pipe(provide))

    it.scoped("a body in a coding is, on a hit, what it was on the miss", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((_, response) => {
          const body = gzipSync("coded".repeat(100))
          const headers = { ...fresh, "content-encoding": "gzip", "content-length": body.length }
          response.writeHead(200, headers).end(body)
        })
        const { client } = yield* caching()
        const [miss, hit] = yield* Effect.all([client.get(url), client.get(url)])
        const bytes = Buffer.from(yield* hit.arrayBuffer)
        assert.isTrue(Buffer.from(yield* miss.arrayBuffer).equals(bytes))
        // As it came, or without its coding.
        const isDecoded = bytes.toString() === "coded".repeat(100)
        assert.strictEqual(isDecoded, name === "fetch")
        for (const { headers } of [miss, hit]) {
          assert.strictEqual(headers["content-encoding"], isDecoded ? undefined : "gzip")
        }
        assert.strictEqual(hits.length, 1)
      }).pipe(provide))

    it.scoped("RFC 9111 §4.3.5: a HEAD that matches does not end what is stored of a body in a coding", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((request, response) => {
          const body = gzipSync("coded".repeat(100))
          const isKnown = request.headers["if-none-match"] !== undefined
          const headers = { ...fresh, etag: "\"7\"", "content-encoding": "gzip", "content-length": body.length }
          response.writeHead(isKnown ? 304 : 200, isKnown ? { etag: "\"7\"" } : headers)
          response.end(isKnown ? undefined : body)
        })
        const { client } = yield* caching()
        yield* (yield* client.get(url)).text
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual((yield* client.head(url)).headers["content-encoding"], "gzip")
        const { headers } = yield* client.get(url)
        assert.strictEqual(headers["cache-status"], "http-client; hit; ttl=60")
        assert.deepStrictEqual(hits.map(({ method }) => method), ["GET", "HEAD"])
      }).pipe(provide))

    it.scoped("an empty body is stored, and empty in every way it is read", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((request, response) => {
          response.writeHead(request.url === "/204" ? 204 : 200, fresh).end()
        })
        const { client } = yield* caching()
        for (const path of ["/204", "/200"]) {
          for (const _ of ["a miss", "a hit"]) {
            const response = yield* client.get(url + path)
            assert.strictEqual(yield* response.text, "")
            assert.isNull(yield* response.json)
            assert.strictEqual(yield* Stream.runCount(response.stream), 0)
          }
        }
        assert.strictEqual(hits.length, 2)
      }).pipe(provide))

    it.scoped("a validation gives its connection back", () =>
      Effect.gen(function*() {
        const ports = new Set<number | undefined>()
        const { hits, url } = yield* origin((request, response) => {
          ports.add(request.socket.remotePort)
          const isKnown = request.headers["if-none-match"] === "\"7\""
          response.writeHead(isKnown ? 304 : 200, { "cache-control": "no-cache", etag: "\"7\"" })
          response.end(isKnown ? undefined : "seven")
        })
        const { get } = yield* caching()
        for (let i = 0; i < 20; i++) assert.strictEqual((yield* get(url)).body, "seven")
        assert.strictEqual(hits.length, 20)
        assert.isBelow(ports.size, 4)
      }).pipe(Effect.provide(name === "node:http" ? keeping : layer), Effect.provide(Memory.layer())))
  })
}

describe("clients that decode", () => {
  const coded = origin((_, response) => {
    const body = gzipSync("coded".repeat(100))
    response.writeHead(200, { ...fresh, "content-encoding": "gzip", "content-length": body.length }).end(body)
  })

  it.scoped("another fetch is one too", () =>
    Effect.gen(function*() {
      const { hits, url } = yield* coded
      const { get } = yield* caching()
      for (const _ of ["a miss", "a hit"]) {
        const { body, headers } = yield* get(url)
        assert.strictEqual(body, "coded".repeat(100))
        assert.isUndefined(headers["content-encoding"])
      }
      assert.strictEqual(hits.length, 1)
    }).pipe(
      Effect.provide([Memory.layer(), FetchHttpClient.layer]),
      Effect.provideService(FetchHttpClient.Fetch, Undici.fetch as unknown as typeof fetch)
    ))

  it.scoped("and do not say so, or say another length, are believed", () =>
    Effect.gen(function*() {
      for (const headers of [{ "content-encoding": "gzip", "content-length": "3" }, { "content-length": "100" }]) {
        const stand = HttpClient.make((request) =>
          Effect.succeed(
            HttpClientResponse.fromWeb(request, new Response("decoded", { headers: { ...fresh, ...headers } }))
          )
        )
        const { get } = yield* Effect.provideService(
          caching({ name: headers["content-length"] }),
          HttpClient.HttpClient,
          stand
        )
        for (const _ of ["a miss", "a hit"]) {
          const reply = yield* get("http://example.com/")
          assert.strictEqual(reply.body, "decoded")
        }
      }
    }).pipe(Effect.provide(Memory.layer())))
})

describe("what is stored", () => {
  it.scoped("is not changed by who writes to what was read", () =>
    Effect.gen(function*() {
      const { url } = yield* origin(counting())
      const { client, get } = yield* caching()
      for (let i = 0; i < 2; i++) {
        const response = yield* client.get(url)
        new Uint8Array(yield* response.arrayBuffer).fill(0)
        yield* Stream.runForEach(response.stream, (bytes) => Effect.sync(() => bytes.fill(0)))
        assert.strictEqual((yield* get(url)).body, "1 /")
      }
    }).pipe(Effect.provide([Memory.layer(), clients[0]!.layer])))
})
