/** What a cached client answers, and what the origin sees of it. */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpServerRespondable from "@effect/platform/HttpServerRespondable"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as HttpCache from "effect-caching/HttpCache"
import * as Faulty from "effect-caching/testing/Faulty"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { redisForFile } from "../support/overBackends.js"
import { caching, clients, counting, origin } from "./clientSupport.js"

const redis = redisForFile()
let count = 0
const backends = [
  { backend: "Memory", layer: Memory.layer() },
  { backend: "Memory of bytes", layer: Memory.layer({ storage: "bytes" }) },
  { backend: "Redis", layer: Layer.suspend(() => redis.layer(`c${count++}:`)) }
]

for (const { backend, layer } of backends) {
  for (const client of clients) {
    describe(`a cached client, ${client.name} over ${backend}`, () => {
      const provide = Effect.provide(Layer.merge(Layer.orDie(layer), client.layer))

      it.scoped("a thousand hits are one request, and say so", () =>
        Effect.gen(function*() {
          const { hits, url } = yield* origin(counting())
          const { get } = yield* caching()
          const first = yield* get(`${url}/a?x=1`)
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(first.body, "1 /a?x=1")
          assert.match(first.headers["cache-status"]!, /^http-client; fwd=uri-miss; (stored|detail=streamed)$/)
          for (let i = 0; i < 1000; i++) {
            const { body, headers } = yield* get(`${url}/a?x=1`)
            assert.strictEqual(body, "1 /a?x=1")
            assert.strictEqual(headers["cache-status"], "http-client; hit; ttl=58")
            assert.strictEqual(headers["age"], "2")
            assert.strictEqual(headers["content-type"], "text/plain")
            assert.isUndefined(headers["etag"])
          }
          assert.strictEqual(hits.length, 1)
          yield* TestClock.adjust("58 seconds")
          assert.strictEqual((yield* get(`${url}/a?x=1`)).body, "2 /a?x=1")
        }).pipe(provide))

      it.scoped("RFC 9111 §4.3: a stale answer is validated, and its 304 freshens it", () =>
        Effect.gen(function*() {
          const { hits, url } = yield* origin((request, response, hit) => {
            const headers = { "cache-control": "max-age=60", etag: "\"7\"", "x-hit": String(hit) }
            const isKnown = request.headers["if-none-match"] === "\"7\""
            response.writeHead(isKnown ? 304 : 200, headers).end(isKnown ? undefined : "seven")
          })
          const { get } = yield* caching()
          yield* get(url)
          yield* TestClock.adjust("2 minutes")
          const validated = yield* get(url)
          assert.deepStrictEqual([validated.status, validated.body, validated.headers["x-hit"]], [200, "seven", "2"])
          assert.strictEqual((yield* get(url)).headers["cache-status"], "http-client; hit; ttl=60")
          assert.deepStrictEqual(hits.map(({ headers }) => headers["if-none-match"]), [undefined, "\"7\""])
        }).pipe(provide))

      it.scoped("RFC 9111 §4.1: variants are told apart by the request's fields", () =>
        Effect.gen(function*() {
          const { hits, url } = yield* origin((request, response) => {
            response.writeHead(200, { "cache-control": "max-age=60", vary: "Accept-Language" })
            response.end(request.headers["accept-language"])
          })
          const { get } = yield* caching()
          for (const language of ["en", "fr", "en", "fr"]) {
            assert.strictEqual((yield* get(url, { "accept-language": language })).body, language)
          }
          assert.strictEqual(hits.length, 2)
        }).pipe(provide))

      it.scoped("RFC 9111 §4.4: what a POST changes is forgotten, and its body arrives", () =>
        Effect.gen(function*() {
          let stored = "before"
          const { hits, url } = yield* origin((request, response) => {
            if (request.method === "GET") {
              response.writeHead(200, { "cache-control": "max-age=60" }).end(stored)
              return
            }
            request.setEncoding("utf8").on("data", (text: string) => {
              stored = text
            }).on("end", () => response.writeHead(204).end())
          })
          const { ask, get } = yield* caching()
          assert.strictEqual((yield* get(url)).body, "before")
          const posted = yield* ask(HttpClientRequest.post(url, { body: HttpBody.text("after") }))
          assert.deepStrictEqual([posted.status, posted.headers["cache-status"]], [204, "http-client; fwd=method"])
          assert.strictEqual((yield* get(url)).body, "after")
          assert.deepStrictEqual(hits.map(({ method }) => method), ["GET", "POST", "GET"])
        }).pipe(provide))
    })
  }
}

for (const client of clients) {
  describe(`a cached client, ${client.name}`, () => {
    const provide = Effect.provide(Layer.merge(Memory.layer(), client.layer))

    it.scoped("RFC 9111 §4.2.2: what says when it was changed is fresh for a tenth of the time since", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(
          counting({ date: "Sun, 06 Nov 1994 08:50:00 GMT", "last-modified": "Sun, 06 Nov 1994 08:40:00 GMT" })
        )
        yield* TestClock.setTime(Date.UTC(1994, 10, 6, 8, 50))
        const { get } = yield* caching()
        const { get: strict } = yield* caching({ name: "strict", heuristic: false })
        yield* get(url)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual((yield* get(url)).headers["cache-status"], "http-client; hit; ttl=1")
        assert.strictEqual(hits.length, 1)
        yield* strict(url)
        yield* strict(url)
        assert.strictEqual(hits.length, 3)
      }).pipe(provide))

    it.scoped("what says nothing is fresh for `timeToLive`, and not stored without", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(counting({}))
        const { get } = yield* caching()
        yield* get(url)
        assert.strictEqual((yield* get(url)).body, "2 /")
        const { get: lasting } = yield* caching({ name: "lasting", timeToLive: "1 minute" })
        yield* lasting(url)
        assert.strictEqual((yield* lasting(url)).body, "3 /")
        assert.strictEqual(hits.length, 3)
      }).pipe(provide))

    it.scoped("a HEAD is answered from the GET's entry, without its body", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(counting())
        const { ask, get } = yield* caching()
        const before = yield* ask(HttpClientRequest.head(url))
        assert.strictEqual(before.headers["cache-status"], "http-client; fwd=uri-miss")
        yield* get(url)
        const after = yield* ask(HttpClientRequest.head(url))
        assert.deepStrictEqual([after.status, after.body, after.headers["content-length"]], [200, "", "3"])
        assert.deepStrictEqual(hits.map(({ method }) => method), ["HEAD", "GET"])
      }).pipe(provide))

    it.scoped("RFC 9110 §14: a range is answered from a stored whole, and is asked for as it is otherwise", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((request, response) => {
          if (request.headers.range === undefined) {
            response.writeHead(200, { "cache-control": "max-age=60" }).end("whole")
          } else response.writeHead(206, { "cache-control": "max-age=60", "content-range": "bytes 0-0/5" }).end("w")
        })
        const { get } = yield* caching()
        const forward = yield* get(url, { range: "bytes=0-0" })
        assert.deepStrictEqual([forward.status, forward.body], [206, "w"])
        assert.strictEqual((yield* get(url)).body, "whole")
        const part = yield* get(url, { range: "bytes=1-2" })
        assert.deepStrictEqual([part.status, part.body, part.headers["content-range"]], [206, "ho", "bytes 1-2/5"])
        assert.strictEqual((yield* get(url, { range: "bytes=9-" })).status, 416)
        assert.strictEqual(hits.length, 2)
      }).pipe(provide))

    it.scoped("RFC 9110 §13: the caller's preconditions are answered, from what is stored and from the origin", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((request, response) => {
          const isKnown = request.headers["if-none-match"] === "\"7\""
          const headers = { "cache-control": request.url === "/stored" ? "max-age=60" : "no-store", etag: "\"7\"" }
          response.writeHead(isKnown ? 304 : 200, headers).end(isKnown ? undefined : "seven")
        })
        const { get } = yield* caching()
        yield* get(`${url}/stored`)
        const known = yield* get(`${url}/stored`, { "if-none-match": "\"7\"" })
        assert.deepStrictEqual([known.status, known.body, hits.length], [304, "", 1])
        yield* get(`${url}/unstored`)
        const passed = yield* get(`${url}/unstored`, { "if-none-match": "\"7\"" })
        assert.deepStrictEqual([passed.status, passed.body, hits.length], [304, "", 3])
      }).pipe(provide))

    it.scoped("RFC 5861 §3: a stale answer is sent while one request for a new one runs", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((_, response, hit) => {
          response.writeHead(200, { "cache-control": "max-age=60, stale-while-revalidate=60" }).end(String(hit))
        })
        const { get } = yield* caching()
        yield* get(url)
        yield* TestClock.adjust("61 seconds")
        const stale = yield* get(url)
        assert.deepStrictEqual([stale.body, stale.headers["cache-status"]], ["1", "http-client; hit; ttl=-1"])
        while ((yield* get(url)).body === "1") yield* Effect.yieldNow()
        assert.strictEqual((yield* get(url)).body, "2")
        assert.strictEqual(hits.length, 2)
      }).pipe(provide))

    it.scoped("RFC 5861 §4: a stale answer is sent in place of an error, and of no answer at all", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((request, response, hit) => {
          if (hit === 1) response.writeHead(200, { "cache-control": "max-age=60" }).end("good")
          else if (hit === 2) response.writeHead(503).end("bad")
          else request.socket.destroy()
        })
        const { get } = yield* caching({ staleIfError: "1 hour" })
        yield* get(url)
        yield* TestClock.adjust("2 minutes")
        for (const [hit, said] of [[2, "fwd=stale; fwd-status=503"], [3, "fwd=stale"]] as const) {
          const { body, headers, status } = yield* get(url)
          assert.deepStrictEqual([status, body, hits.length], [200, "good", hit])
          assert.strictEqual(headers["age"], "120")
          assert.strictEqual(headers["cache-status"], `http-client; ${said}; ttl=-60; detail=stale-if-error`)
        }
      }).pipe(provide))

    it.scoped("RFC 5861 §4: no stale answer is sent in place of a 404, be it refused or not", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((_, response, hit) => {
          if (hit === 1) response.writeHead(200, { "cache-control": "max-age=60" }).end("good")
          else response.writeHead(hit === 2 ? 503 : 404).end()
        })
        const client = HttpCache.client({ staleIfError: "1 hour" })(
          HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
        )
        yield* client.get(url)
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(yield* (yield* client.get(url)).text, "good")
        const error = yield* Effect.flip(client.get(url))
        assert.deepStrictEqual([error.reason, hits.length], ["StatusCode", 3])
      }).pipe(provide))

    it.scoped("errors are those of the client, with the caller's URL", () =>
      Effect.gen(function*() {
        const { url } = yield* origin((request) => request.socket.destroy())
        const client = HttpCache.client()(yield* HttpClient.HttpClient)
        const error = yield* Effect.flip(client.get(`${url}/a`))
        assert.strictEqual(error._tag, "RequestError")
        assert.strictEqual(error.reason, "Transport")
        assert.strictEqual(error.request.url, `${url}/a`)
        assert.strictEqual((yield* Effect.flip(client.get("nowhere"))).reason, "InvalidUrl")
      }).pipe(provide))

    it.scoped("failures are its caller's, and none is stored, whatever a server would answer with them", () =>
      Effect.gen(function*() {
        class Missing {
          readonly _tag = "Missing";
          [HttpServerRespondable.symbol]() {
            return HttpServerResponse.empty({ status: 404 })
          }
        }
        const { hits, url } = yield* origin((_, response) => response.writeHead(404).end())
        const inner = yield* HttpClient.HttpClient
        for (const error of [new Missing(), new Cause.NoSuchElementException()]) {
          const client = HttpCache.client({ name: error._tag, statuses: { 404: "1 minute" } })(
            HttpClient.transformResponse(inner, Effect.flatMap(() => Effect.fail(error)))
          )
          const before = hits.length
          for (let i = 0; i < 2; i++) assert.strictEqual(yield* Effect.flip(client.get(url)), error)
          assert.strictEqual(hits.length - before, 2)
        }
      }).pipe(provide))

    it.scoped("a response is of its caller's request, and can be read in every way, more than once", () =>
      Effect.gen(function*() {
        const { url } = yield* origin((_, response) => {
          response.writeHead(200, { "cache-control": "max-age=60", "content-type": "application/json" }).end(
            "{\"a\":1}"
          )
        })
        const { client } = yield* caching()
        for (const _ of ["a miss", "a hit"]) {
          const request = HttpClientRequest.get(url, { urlParams: { x: "1" } })
          const response = yield* client.execute(request)
          assert.strictEqual(response.request, request)
          for (let i = 0; i < 2; i++) {
            assert.deepStrictEqual(yield* response.json, { a: 1 })
            assert.strictEqual(yield* response.text, "{\"a\":1}")
            const bytes = new Uint8Array(yield* response.arrayBuffer)
            assert.strictEqual(new TextDecoder().decode(bytes), "{\"a\":1}")
            bytes.fill(0)
          }
        }
      }).pipe(provide))

    it.scoped("a client that refuses what is not 2xx has its stale answers validated all the same", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((request, response) => {
          const isKnown = request.headers["if-none-match"] === "\"7\""
          const status = request.url === "/missing" ? 404 : isKnown ? 304 : 200
          response.writeHead(status, { "cache-control": "no-cache", etag: "\"7\"" })
          response.end(isKnown ? undefined : "seven")
        })
        const inner = yield* HttpClient.HttpClient
        const client = HttpCache.client()(HttpClient.filterStatusOk(inner))
        for (const _ of [1, 2]) assert.strictEqual(yield* (yield* client.get(url)).text, "seven")
        assert.strictEqual(hits[1]!.headers["if-none-match"], "\"7\"")
        for (
          const request of [
            client.get(`${url}/missing`),
            client.get(`${url}/x`, { headers: { "if-none-match": "\"7\"", range: "bytes=0-" } })
          ]
        ) {
          const error = yield* Effect.flip(request)
          assert.strictEqual(error.reason, "StatusCode")
        }
      }).pipe(provide))

    it.scoped("RFC 9111 §4.4: a client that refuses what is not 2xx knows what a redirected POST has changed", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((request, response) => {
          if (request.method === "POST") response.writeHead(303, { location: `${url}/b` }).end()
          else response.writeHead(200, { "cache-control": "max-age=60" }).end(request.url)
        })
        const client = HttpCache.client()(HttpClient.filterStatusOk(yield* HttpClient.HttpClient))
        const visitAll = Effect.forEach(
          ["/a", "/b", "/c"],
          (path) => Effect.flatMap(client.get(url + path), ({ text }) => text)
        )
        yield* visitAll
        assert.strictEqual((yield* Effect.flip(client.post(`${url}/a`))).reason, "StatusCode")
        yield* visitAll
        assert.deepStrictEqual(hits.slice(4).map(({ url }) => url), ["/a", "/b"])
      }).pipe(Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }), provide))

    it.scoped("redirects: each hop has its entry where they are followed outside", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((request, response) => {
          if (request.url === "/old") response.writeHead(301, { location: "/new", "cache-control": "max-age=60" }).end()
          else response.writeHead(200, { "cache-control": "max-age=60" }).end("here")
        })
        const { client } = yield* caching()
        const following = HttpClient.followRedirects(client)
        const get = Effect.flatMap(following.get(`${url}/old`), (_) => _.text).pipe(
          Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" })
        )
        assert.strictEqual(yield* get, "here")
        assert.strictEqual(yield* get, "here")
        assert.deepStrictEqual(hits.map(({ url }) => url), ["/old", "/new"])
        yield* HttpCache.invalidate(`${url}/new`, { name: "http-client", query: "exact" })
        yield* get
        assert.deepStrictEqual(hits.map(({ url }) => url), ["/old", "/new", "/new"])
      }).pipe(provide))

    it.scoped("redirects: what was followed inside is not stored as the answer of where it began", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((request, response) => {
          if (request.url === "/old") response.writeHead(302, { location: "/new" }).end()
          else response.writeHead(200, { "cache-control": "max-age=60" }).end("here")
        })
        const inner = yield* HttpClient.HttpClient
        const client = HttpCache.client()(HttpClient.followRedirects(inner))
        for (const _ of [1, 2]) assert.strictEqual(yield* (yield* client.get(`${url}/old`)).text, "here")
        assert.deepStrictEqual(hits.map(({ url }) => url), ["/old", "/new", "/old", "/new"])
      }).pipe(provide))

    it.scoped("tags are made of response and request", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(counting({ "cache-control": "max-age=60", "x-tag": "a" }))
        const { get } = yield* caching({
          tags: (response, request) => [response.headers["x-tag"]!, new URL(request.url).pathname]
        })
        yield* get(`${url}/one`)
        yield* get(`${url}/two`)
        yield* Cache.invalidateTags(["/one"])
        yield* get(`${url}/one`)
        yield* get(`${url}/two`)
        assert.strictEqual(hits.length, 3)
        yield* Cache.invalidateTags(["a"])
        yield* get(`${url}/two`)
        assert.strictEqual(hits.length, 4)
      }).pipe(provide))

    it.scoped("tracing fields are sent, and are part of no key", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(counting())
        const { get } = yield* caching()
        const trace = (id: string) => ({ traceparent: `00-${id.repeat(32)}-${id.repeat(16)}-01`, baggage: id })
        yield* get(url, trace("1"))
        yield* get(url, trace("2"))
        assert.strictEqual(hits.length, 1)
        assert.strictEqual(hits[0]!.headers["baggage"], "1")
        assert.isDefined(hits[0]!.headers["traceparent"])
      }).pipe(provide))

    it.scoped("No-Vary-Search, where it is heeded: one answer for queries that differ in nothing else", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(
          counting({ "cache-control": "max-age=60", "no-vary-search": "params=(\"session\")" })
        )
        const { get } = yield* caching({ noVarySearch: true })
        for (const session of ["1", "2", "3", "4"]) yield* get(`${url}/?id=7&session=${session}`)
        assert.strictEqual(hits.length, 2)
        for (const user of ["ada", "bob", "ada"]) yield* get(`${url}/?id=7&session=5`, { authorization: user })
        assert.strictEqual(hits.length, 4)
      }).pipe(provide))

    it.scoped("what is below a path can be ended at once", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(counting())
        const { get } = yield* caching({ prefixes: true })
        for (const path of ["/a/1", "/a/2", "/b"]) yield* get(url + path)
        yield* HttpCache.invalidatePrefix("/a", { name: "http-client", origin: url })
        for (const path of ["/a/1", "/a/2", "/b"]) yield* get(url + path)
        assert.deepStrictEqual(hits.map(({ url }) => url), ["/a/1", "/a/2", "/b", "/a/1", "/a/2"])
      }).pipe(provide))

    it.scoped("RFC 9213: fields for other caches count where they are named", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(
          counting({ "cache-control": "no-store", "cdn-cache-control": "max-age=60" })
        )
        const { get } = yield* caching()
        const { get: ofCdn } = yield* caching({ mode: "shared", targets: ["CDN-Cache-Control"] })
        for (const ask of [get, get, ofCdn, ofCdn]) yield* ask(url)
        assert.strictEqual(hits.length, 3)
      }).pipe(provide))

    it.scoped("query: another order is another URL, unless said otherwise", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(counting())
        const { get } = yield* caching()
        yield* get(`${url}/?a=1&b=2`)
        yield* get(`${url}/?b=2&a=1`)
        assert.strictEqual(hits.length, 2)
        const { get: without } = yield* caching({ name: "without", query: { exclude: ["b"] } })
        yield* without(`${url}/?a=1&b=2`)
        yield* without(`${url}/?a=1&b=3`)
        assert.deepStrictEqual(hits.slice(2).map(({ url }) => url), ["/?a=1"])
      }).pipe(provide))
  })
}

describe("a cached client over a backend that fails", () => {
  it.scoped("asks the origin, and finds again what is there when it is back", () =>
    Effect.gen(function*() {
      const { hits, url } = yield* origin(counting())
      const { get } = yield* caching()
      const faults = yield* Faulty.Faulty
      yield* faults.inject(Faulty.fail())
      for (const hit of [1, 2]) assert.strictEqual((yield* get(url)).body, `${hit} /`)
      yield* faults.heal
      yield* get(url)
      yield* get(url)
      assert.strictEqual(hits.length, 3)
    }).pipe(Effect.provide([Faulty.layer(Memory.layer()), FetchHttpClient.layer])))
})

describe("a cached client as a layer", () => {
  it.scoped("is the client that is asked for", () =>
    Effect.gen(function*() {
      const { hits, url } = yield* origin(counting())
      yield* Effect.flatMap(HttpClient.get(url), ({ text }) => text)
      const response = yield* HttpClient.get(url)
      assert.strictEqual(response.headers["cache-status"], "mine; hit; ttl=60")
      assert.strictEqual(hits.length, 1)
    }).pipe(
      Effect.provide(Layer.provide(HttpCache.layerClient({ name: "mine" }), [FetchHttpClient.layer, Memory.layer()]))
    ))

  it("options that cannot be meant are refused", () => {
    assert.throws(() => HttpCache.client({ mode: "public" as never }), /HttpCache "http-client": mode must be/)
    assert.throws(() => HttpCache.client({ vary: ["Cookie"] }), /vary must be without Cookie/)
    assert.throws(() => HttpCache.client({ name: "mine", timeToLive: -1 }), /HttpCache "mine": timeToLive must be/)
  })
})
