/** Whose answers a cached client keeps, and who gets them. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Cookies from "@effect/platform/Cookies"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import { redisForFile } from "../support/overBackends.js"
import { type Answer, caching, clients, counting, origin } from "./clientSupport.js"

/** Says who asks. */
const who = (headers: Record<string, string>): Answer => (request, response, hit) => {
  response.writeHead(200, headers)
  const { authorization, cookie, "x-api-key": key, "x-tenant": tenant } = request.headers
  response.end([hit, authorization ?? cookie ?? key ?? tenant ?? "nobody"].join(" "))
}

const redis = redisForFile()
let count = 0
const backends = [
  { backend: "Memory", layer: Memory.layer() },
  { backend: "Redis", layer: Layer.suspend(() => redis.layer(`p${count++}:`)) }
]

for (const { backend, layer } of backends) {
  for (const client of clients) {
    describe(`a private cache of ${client.name} over ${backend}`, () => {
      const provide = Effect.provide(Layer.merge(Layer.orDie(layer), client.layer))

      it.scoped("two users of one program never mix, whatever says who they are", () =>
        Effect.gen(function*() {
          const { hits, url } = yield* origin(who({ "cache-control": "max-age=60" }))
          const { get } = yield* caching({ credentials: ["X-Tenant"] })
          for (const name of ["authorization", "cookie", "x-api-key", "x-tenant"]) {
            const from = hits.length
            for (const user of ["ada", "bob", "ada", "bob"]) {
              assert.include((yield* get(`${url}/${name}`, { [name]: user })).body, user)
            }
            const anonymous = yield* get(`${url}/${name}`)
            assert.include(anonymous.body, "nobody")
            assert.strictEqual(hits.length - from, 3)
          }
        }).pipe(provide))

      it.scoped("nobody's answer is not sent to a user, nor validated or waited for by one", () =>
        Effect.gen(function*() {
          const { hits, url } = yield* origin((request, response) => {
            const user = request.headers.authorization ?? "nobody"
            // A date that is the same for everybody.
            const headers = { "cache-control": "max-age=60", "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT" }
            const isKnown = request.headers["if-modified-since"] !== undefined
            response.writeHead(isKnown ? 304 : 200, headers).end(isKnown ? undefined : user)
          })
          const { get } = yield* caching({ staleIfError: "1 hour" })
          assert.strictEqual((yield* get(`${url}/fresh`)).body, "nobody")
          assert.strictEqual((yield* get(`${url}/fresh`, { authorization: "ada" })).body, "ada")
          assert.strictEqual((yield* get(`${url}/fresh`)).body, "nobody")
          assert.strictEqual(hits.length, 3)
          assert.strictEqual((yield* get(url)).body, "nobody")
          yield* TestClock.adjust("2 minutes")
          assert.strictEqual((yield* get(url, { authorization: "ada" })).body, "ada")
          assert.isUndefined(hits[4]!.headers["if-modified-since"])
          const users = Array.from({ length: 30 }, (_, i) => ["ada", "bob", undefined][i % 3])
          const bodies = yield* Effect.forEach(
            users,
            (user) => get(`${url}/at-once`, user === undefined ? {} : { authorization: user }),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(bodies.map(({ body }) => body), users.map((user) => user ?? "nobody"))
        }).pipe(provide))

      it.scoped("what one user changes is forgotten for all", () =>
        Effect.gen(function*() {
          const { url } = yield* origin(who({ "cache-control": "max-age=60" }))
          const { ask, get } = yield* caching()
          for (const user of ["ada", "bob"]) yield* get(url, { authorization: user })
          yield* ask(HttpClientRequest.post(url, { headers: { authorization: "ada" } }))
          assert.strictEqual((yield* get(url, { authorization: "bob" })).body, "4 bob")
          assert.strictEqual((yield* get(url, { authorization: "ada" })).body, "5 ada")
        }).pipe(provide))
    })
  }
}

for (const client of clients) {
  describe(`modes of a cached client, ${client.name}`, () => {
    const provide = Effect.provide(Layer.merge(Memory.layer(), client.layer))

    const repeated = (options: HttpCache.ClientOptions, directives: string, headers: Record<string, string> = {}) =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(counting({ "cache-control": directives }))
        const { get } = yield* caching({ ...options, name: `n${count++}` })
        yield* get(url, headers)
        yield* TestClock.adjust("10 seconds")
        const { headers: { "cache-status": status } } = yield* get(url, headers)
        return [hits.length, status?.replace(/^n\d+; /, "").replace("detail=streamed", "stored")] as const
      })

    it.scoped("RFC 9111 §5.2.2.7: `private` is stored by a private cache, and not by a shared one", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* repeated({}, "private, max-age=60"), [1, "hit; ttl=50"])
        assert.deepStrictEqual(yield* repeated({ mode: "shared" }, "private, max-age=60"), [2, "fwd=uri-miss"])
      }).pipe(provide))

    it.scoped("RFC 9111 §5.2.2.10: `s-maxage` is for shared caches", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* repeated({}, "max-age=60, s-maxage=20"), [1, "hit; ttl=50"])
        assert.deepStrictEqual(yield* repeated({ mode: "shared" }, "max-age=60, s-maxage=20"), [1, "hit; ttl=10"])
        assert.deepStrictEqual(yield* repeated({}, "s-maxage=20"), [2, "fwd=uri-miss"])
      }).pipe(provide))

    it.scoped("RFC 9111 §5.2.2.8: `proxy-revalidate` forbids what is stale to shared caches only", () =>
      Effect.gen(function*() {
        const stale = "max-age=5, stale-while-revalidate=60, proxy-revalidate"
        assert.deepStrictEqual((yield* repeated({}, stale))[1], "hit; ttl=-5")
        assert.deepStrictEqual(yield* repeated({ mode: "shared" }, stale), [2, "fwd=uri-miss; stored"])
      }).pipe(provide))

    it.scoped("RFC 9111 §3.5: with `Authorization` a shared cache stores what is said to be for all", () =>
      Effect.gen(function*() {
        const ada = { authorization: "ada" }
        assert.deepStrictEqual(yield* repeated({}, "max-age=60", ada), [1, "hit; ttl=50"])
        assert.deepStrictEqual(yield* repeated({ mode: "shared" }, "max-age=60", ada), [2, "fwd=uri-miss"])
        assert.deepStrictEqual(yield* repeated({ mode: "shared" }, "max-age=60, public", ada), [1, "hit; ttl=50"])
      }).pipe(provide))

    it.scoped("`Vary: User-Agent, Cookie, Authorization` is no obstacle to a private cache", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(
          counting({ "cache-control": "max-age=60", vary: "User-Agent, Cookie, Authorization" })
        )
        const { get } = yield* caching()
        const { get: shared } = yield* caching({ mode: "shared", name: "shared" })
        yield* get(url)
        yield* get(url)
        assert.strictEqual(hits.length, 1)
        yield* shared(url)
        yield* shared(url)
        assert.strictEqual(hits.length, 3)
      }).pipe(provide))

    it.scoped("what sets cookies is not stored, and they arrive", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(
          counting({ "cache-control": "max-age=60", "set-cookie": ["sid=1; Path=/", "b=2"] })
        )
        const jar = yield* Ref.make(Cookies.empty)
        const client = HttpCache.client()(yield* HttpClient.HttpClient).pipe(HttpClient.withCookiesRef(jar))
        for (const _ of [1, 2]) {
          const response = yield* client.get(url)
          assert.deepStrictEqual(Cookies.toRecord(response.cookies), { sid: "1", b: "2" })
          yield* response.text
        }
        assert.deepStrictEqual(hits.map(({ headers }) => headers.cookie), [undefined, "sid=1; b=2"])
      }).pipe(provide))

    it.scoped("credentials that a client adds to its requests are part of the key, on whichever side of the cache", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(who({ "cache-control": "max-age=60" }))
        const user = yield* FiberRef.make("nobody")
        const inner = yield* HttpClient.HttpClient
        const signed = HttpClient.mapRequestEffect((request: HttpClientRequest.HttpClientRequest) =>
          Effect.map(FiberRef.get(user), (user) => HttpClientRequest.bearerToken(request, user))
        )
        for (const client of [HttpCache.client()(signed(inner)), signed(HttpCache.client({ name: "other" })(inner))]) {
          const from = hits.length
          for (const name of ["ada", "bob", "ada"]) {
            const response = yield* Effect.locally(client.get(url), user, name)
            assert.include(yield* response.text, `Bearer ${name}`)
          }
          assert.strictEqual(hits.length - from, 2)
        }
      }).pipe(provide))

    it.scoped("forwarding fields are sent on, and are part of the key", () =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin((request, response) => {
          const { "x-forwarded-host": host, "x-forwarded-proto": proto } = request.headers
          response.writeHead(200, { "cache-control": "max-age=60" }).end(`${proto}://${host}`)
        })
        const { get } = yield* caching({ mode: "shared" })
        for (const [proto, host] of [["https", "a"], ["https", "b"], ["http", "b"], ["https", "a"]] as const) {
          const { body } = yield* get(url, { "x-forwarded-host": host, "x-forwarded-proto": proto })
          assert.strictEqual(body, `${proto}://${host}`)
        }
        assert.strictEqual((yield* get(url)).body, "undefined://undefined")
        assert.strictEqual(hits.length, 4)
      }).pipe(provide))
  })
}

describe("node:http", () => {
  it.scoped("a password in the URL, with or without a name, goes past the cache", () =>
    Effect.gen(function*() {
      const { url } = yield* origin(who({ "cache-control": "max-age=60" }))
      const { get } = yield* caching()
      const as = (user: string) => Effect.map(get(url.replace("//", `//${user}@`)), ({ body }) => body)
      assert.strictEqual(yield* as(":secret"), "1 Basic OnNlY3JldA==")
      assert.strictEqual(yield* as("ada:secret"), "2 Basic YWRhOnNlY3JldA==")
      assert.strictEqual((yield* get(url)).body, "3 nobody")
    }).pipe(Effect.provide([Memory.layer(), NodeHttpClient.layer])))
})

describe("fetch", () => {
  it.scoped("fields of RequestInit are part of the key as others are", () =>
    Effect.gen(function*() {
      const { hits, url } = yield* origin(who({ "cache-control": "max-age=60" }))
      const { get } = yield* caching()
      const as = (user: string) =>
        Effect.provideService(get(url), FetchHttpClient.RequestInit, { headers: { Authorization: user } })
      assert.strictEqual((yield* as("ada")).body, "1 ada")
      assert.strictEqual((yield* as("bob")).body, "2 bob")
      assert.strictEqual((yield* as("ada")).body, "1 ada")
      assert.strictEqual(hits.length, 2)
    }).pipe(Effect.provide([Memory.layer(), FetchHttpClient.layer])))

  it.scoped("an answer that it got by a redirect is not stored", () =>
    Effect.gen(function*() {
      const { hits, url } = yield* origin((request, response) => {
        if (request.url === "/old") response.writeHead(302, { location: "/new" }).end()
        else response.writeHead(200, { "cache-control": "max-age=60" }).end("here")
      })
      const { get } = yield* caching()
      for (const _ of [1, 2]) assert.strictEqual((yield* get(`${url}/old`)).body, "here")
      assert.deepStrictEqual(hits.map(({ url }) => url), ["/old", "/new", "/old", "/new"])
    }).pipe(Effect.provide([Memory.layer(), FetchHttpClient.layer])))
})
