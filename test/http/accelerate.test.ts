/** Hits that are answered before a fiber is started, beside the same server without that. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import type { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Tiered from "effect-caching/backends/Tiered"
import * as Cache from "effect-caching/Cache"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Http from "node:http"
import * as Net from "node:net"
import { clientOf, memory, rawOpen } from "./support.js"

/** The app on a port of its own behind `server`; `fibers` counts the requests that reached it, `runs` its loads. */
const serving = (
  options: HttpCache.Options,
  answers: (request: HttpServerRequest.HttpServerRequest, run: number) => HttpServerResponse.HttpServerResponse,
  {
    accelerated = HttpCache.accelerate(options),
    isAccelerated = true,
    outside = (app) => app,
    server = Http.createServer()
  }: {
    readonly accelerated?: HttpCache.Accelerated
    readonly isAccelerated?: boolean
    readonly outside?: (app: HttpApp.Default<never, CacheBackend>) => HttpApp.Default<never, CacheBackend>
    readonly server?: Http.Server
  } = {}
) =>
  Effect.gen(function*() {
    const counts = { fibers: 0, runs: 0 }
    const app = Effect.map(HttpServerRequest.HttpServerRequest, (request) => answers(request, ++counts.runs))
    const cached = isAccelerated ? accelerated.middleware(app) : HttpCache.middleware(options)(app)
    const counted = Effect.suspend(() => {
      counts.fibers++
      return outside(cached)
    })
    const layer = yield* Layer.build(
      NodeHttpServer.layer(() => isAccelerated ? accelerated.server(server) : server, { port: 0 })
    )
    yield* Effect.provide(HttpServer.serveEffect(counted), layer)
    return { ...clientOf((server.address() as Net.AddressInfo).port), counts }
  })

const page = (headers: Record<string, string> = {}) => (_: unknown, run: number) =>
  HttpServerResponse.text(`page ${run}`, { headers: { "cache-control": "max-age=60", ...headers } })

/** As it comes over the wire, without the date that Node gives to answers that are not from the cache. */
const wire = (
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
  method = "GET",
  version = "1.1"
) => {
  const fields = Object.entries({ Host: "example.com", Connection: "close", ...headers })
  const head = [`${method} ${path} HTTP/${version}`, ...fields.map(([name, value]) => `${name}: ${value}`)]
  return Effect.map(rawOpen(port, `${head.join("\r\n")}\r\n\r\n`), (got) => got.replace(/^Date: .*\r\n/m, ""))
}

const hitsOf = (cache: string) =>
  Effect.map(
    Metric.value(
      Metric.counter("cache_requests", {
        description: "Calls of a cache by how they were answered",
        incremental: true
      }).pipe(Metric.tagged("cache", cache), Metric.tagged("result", "hit"))
    ),
    ({ count }) => count
  )

describe("HttpCache.accelerate", () => {
  it.scoped("answers a fresh hit without a fiber, with its age and what it says of the cache", () =>
    Effect.gen(function*() {
      const { counts, get } = yield* serving({ hitHeader: "X-Cache" }, page())
      yield* get("/")
      yield* get("/")
      assert.strictEqual(counts.fibers, 2)
      yield* TestClock.adjust("7 seconds")
      const third = yield* get("/")
      assert.deepStrictEqual(
        [third.status, third.body, third.headers["age"], third.headers["cache-status"], third.headers["x-cache"]],
        [200, "page 1", "7", "http; hit; ttl=53", "HIT"]
      )
      assert.strictEqual(counts.fibers, 2)
    }).pipe(Effect.provide(memory())))

  it.scoped("tells its age to the second, whenever it was asked last", () =>
    Effect.gen(function*() {
      const { get } = yield* serving({}, page())
      const ages = []
      for (const millis of [0, 0, 1, 998, 1, 1]) {
        yield* TestClock.adjust(millis)
        const { headers } = yield* get("/")
        ages.push(`${headers["age"]} ${headers["cache-status"]}`)
      }
      assert.deepStrictEqual(ages.slice(1), [
        "0 http; hit; ttl=60",
        "0 http; hit; ttl=59",
        "0 http; hit; ttl=59",
        "1 http; hit; ttl=59",
        "1 http; hit; ttl=58"
      ])
    }).pipe(Effect.provide(memory())))

  it.scoped("gives each the form that it takes, one after the other", () =>
    Effect.gen(function*() {
      const { counts, get } = yield* serving({ compress: { minBytes: 0 } }, () =>
        HttpServerResponse.text("long ".repeat(200), { headers: { "cache-control": "max-age=60" } }))
      yield* get("/")
      yield* get("/")
      for (const coding of ["br", "gzip", undefined, "br", undefined, "gzip"]) {
        const { headers } = yield* get("/", coding === undefined ? {} : { "Accept-Encoding": coding })
        assert.strictEqual(headers["content-encoding"], coding)
      }
      assert.strictEqual(counts.fibers, 2)
    }).pipe(Effect.provide(memory())))

  it.scoped("leaves what is not fresh any more to the app", () =>
    Effect.gen(function*() {
      const { counts, get } = yield* serving({}, page())
      yield* get("/")
      yield* get("/")
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual((yield* get("/")).body, "page 2")
      assert.strictEqual(counts.fibers, 3)
    }).pipe(Effect.provide(memory())))

  it.scoped("leaves what was invalidated, by URL or by tag, to the app", () =>
    Effect.gen(function*() {
      const { counts, get, port } = yield* serving({ tags: ["page"] }, page())
      yield* get("/")
      yield* get("/")
      yield* HttpCache.invalidateTags(["page"])
      assert.strictEqual((yield* get("/")).body, "page 2")
      yield* get("/")
      yield* HttpCache.invalidate("/", { origin: `http://localhost:${port}` })
      assert.strictEqual((yield* get("/")).body, "page 3")
      assert.strictEqual(counts.fibers, 5)
    }).pipe(Effect.provide(memory())))

  it.scoped("selects variants, and leaves one that it has not sent to the app", () =>
    Effect.gen(function*() {
      const { counts, get } = yield* serving({}, ({ headers }, run) =>
        HttpServerResponse.text(`${headers["accept-language"]} ${run}`, {
          headers: { "cache-control": "max-age=60", vary: "Accept-Language" }
        }))
      const ask = (language: string) =>
        Effect.map(get("/", { "Accept-Language": language }), ({ body }) =>
          body)
      for (const language of ["en", "de", "en", "de"]) yield* ask(language)
      const fibers = counts.fibers
      assert.deepStrictEqual([yield* ask("en"), yield* ask("de")], ["en 1", "de 2"])
      assert.strictEqual(counts.fibers, fibers)
      assert.strictEqual(yield* ask("fr"), "fr 3")
      assert.strictEqual(counts.fibers, fibers + 1)
    }).pipe(Effect.provide(memory())))

  it.scoped("answers 304 to who has it, and HEAD without a body", () =>
    Effect.gen(function*() {
      const { ask, counts, get } = yield* serving({}, page({ etag: "\"1\"" }))
      yield* get("/")
      yield* get("/")
      yield* ask("/", { method: "HEAD" })
      const unchanged = yield* get("/", { "If-None-Match": "\"1\"" })
      const head = yield* ask("/", { method: "HEAD" })
      assert.deepStrictEqual([unchanged.status, unchanged.body, head.status, head.body], [304, "", 200, ""])
      assert.strictEqual(head.headers["content-length"], "6")
      assert.strictEqual(counts.fibers, 3)
    }).pipe(Effect.provide(memory())))

  it.scoped("counts hits, and tells of them, as the middleware does", () =>
    Effect.gen(function*() {
      const { get } = yield* serving({}, page())
      const events = yield* Effect.fork(Stream.runCollect(Stream.take(Cache.events(), 4)))
      yield* Effect.yieldNow()
      for (let i = 0; i < 4; i++) yield* get("/")
      assert.deepStrictEqual(
        Array.from(yield* Fiber.join(events), ({ _tag, cache }) => [_tag, cache]),
        [["Miss", "http"], ["Hit", "http"], ["Hit", "http"], ["Hit", "http"]]
      )
    }).pipe(Effect.provide(memory())))

  it.scoped("knows nothing of what another cache of the same name stored behind the same server", () =>
    Effect.gen(function*() {
      const open = HttpCache.accelerate()
      const answer = (text: string) =>
        Effect.succeed(HttpServerResponse.text(text, { headers: { "cache-control": "max-age=60" } }))
      const guarded = HttpCache.middleware()(answer("secret"))
      const public_ = open.middleware(answer("public"))
      const server = open.server(Http.createServer())
      const layer = yield* Layer.build(NodeHttpServer.layer(() => server, { port: 0 }))
      const app = Effect.flatMap(
        HttpServerRequest.HttpServerRequest,
        (request): HttpApp.Default<never, CacheBackend> =>
          !request.url.startsWith("/guarded")
            ? public_
            : request.headers["x-ticket"] === "1"
            ? guarded
            : Effect.succeed(HttpServerResponse.empty({ status: 403 }))
      )
      yield* Effect.provide(HttpServer.serveEffect(app), layer)
      const { get } = clientOf((server.address() as Net.AddressInfo).port)
      for (let i = 0; i < 3; i++) {
        yield* get("/")
        assert.strictEqual((yield* get("/guarded", { "X-Ticket": "1" })).body, "secret")
        assert.strictEqual((yield* get("/guarded")).status, 403)
      }
    }).pipe(Effect.provide(memory())))

  describe("goes to the app", () => {
    const every = (name: string, options: HttpCache.Options, headers: Record<string, string>) =>
      it.scoped(name, () =>
        Effect.gen(function*() {
          const { counts, get } = yield* serving(options, page({ etag: "\"1\"" }))
          for (let i = 0; i < 3; i++) yield* get("/")
          const before = counts.fibers
          yield* get("/", headers)
          assert.strictEqual(counts.fibers, before + 1)
        }).pipe(Effect.provide(memory())))
    every("with a range", {}, { Range: "bytes=0-1" })
    every("with credentials", {}, { Authorization: "Bearer 1" })
    every("with cookies, where the answer is not for all", {}, { Cookie: "session=1" })
    every("with a directive that is obeyed", { clientDirectives: "full" }, { "Cache-Control": "no-cache" })
    every("with a precondition for the app", {}, { "If-Match": "\"1\"" })
    every("with content", {}, { "Content-Length": "1" })
    every("always, where a function decides", { unless: () => false }, {})
    every("always, where a function may force an update", { forcedUpdate: () => false }, {})
  })

  for (
    const [name, backend, isQuick] of [
      ["values in memory", memory(), true],
      ["bytes in memory", memory("bytes"), false],
      [
        "a tier in memory",
        Tiered.layer({ local: Memory.layer(), remote: memory("bytes"), localTimeToLive: "1 minute" }),
        true
      ]
    ] as const
  ) {
    it.scoped(`answers the same over ${name}`, () =>
      Effect.gen(function*() {
        const { counts, get } = yield* serving({}, page())
        for (let i = 0; i < 3; i++) yield* get("/")
        assert.strictEqual((yield* get("/")).body, "page 1")
        assert.deepStrictEqual(counts, { runs: 1, fibers: isQuick ? 2 : 4 })
      }).pipe(Effect.provide(backend)))
  }

  it.scoped("does nothing, and says so, where middleware outside changes responses or requests", () =>
    Effect.gen(function*() {
      const told: Array<unknown> = []
      const logger = Logger.make(({ message }) => void told.push(...(message as ReadonlyArray<unknown>)))
      const through = (outside: (app: HttpApp.Default<never, CacheBackend>) => HttpApp.Default<never, CacheBackend>) =>
        Effect.gen(function*() {
          const { counts, get } = yield* serving({}, page(), { outside })
          for (let i = 0; i < 4; i++) yield* get("/", { Origin: "http://a.example", "X-Forwarded-Host": "b.example" })
          const { headers } = yield* get("/", { Origin: "http://a.example", "X-Forwarded-Host": "b.example" })
          assert.strictEqual(counts.fibers, 5)
          return headers
        }).pipe(Effect.provide(Layer.merge(memory(), Logger.replace(Logger.defaultLogger, logger))))
      const headers = yield* through(HttpMiddleware.cors({ allowedOrigins: ["http://a.example", "http://b.example"] }))
      assert.strictEqual(headers["access-control-allow-origin"], "http://a.example")
      yield* through(HttpMiddleware.xForwardedHeaders)
      assert.strictEqual(told.filter((message) => String(message).includes("no hit is answered early")).length, 2)
    }))

  it.scoped("leaves a HEAD to its own route", () =>
    Effect.gen(function*() {
      const accelerated = HttpCache.accelerate()
      const server = accelerated.server(Http.createServer())
      const layer = yield* Layer.build(NodeHttpServer.layer(() => server, { port: 0 }))
      const app = HttpRouter.empty.pipe(
        HttpRouter.get("/", accelerated.middleware(Effect.sync(() => page()(undefined, 1)))),
        HttpRouter.head("/", HttpServerResponse.empty({ status: 204 }))
      )
      yield* Effect.provide(HttpServer.serveEffect(app), layer)
      const { ask, get } = clientOf((server.address() as Net.AddressInfo).port)
      for (let i = 0; i < 3; i++) yield* get("/")
      assert.strictEqual((yield* ask("/", { method: "HEAD" })).status, 204)
    }).pipe(Effect.provide(memory())))

  it.scoped("leaves the first request with a field that may name another host to the app", () =>
    Effect.gen(function*() {
      const hostOf = ({ headers }: HttpServerRequest.HttpServerRequest) =>
        HttpServerResponse.text(headers["host"]!, { headers: { "cache-control": "max-age=60" } })
      const named = { Host: "internal", "X-Forwarded-Host": "shop" }
      const changing = yield* serving({}, hostOf, { outside: HttpMiddleware.xForwardedHeaders })
      for (let i = 0; i < 3; i++) yield* changing.get("/", { Host: "internal" })
      assert.strictEqual((yield* changing.get("/", named)).body, "shop")
      const { counts, get } = yield* serving({ name: "unchanged" }, hostOf)
      for (let i = 0; i < 5; i++) assert.strictEqual((yield* get("/", named)).body, "internal")
      assert.strictEqual(counts.fibers, 2)
    }).pipe(Effect.provide(memory())))

  it.scoped("answers nothing of an app that is gone, or of another in its place", () =>
    Effect.gen(function*() {
      const server = Http.createServer()
      const accelerated = HttpCache.accelerate()
      accelerated.server(server)
      const layer = yield* Layer.build(NodeHttpServer.layer(() => server, { port: 0 }))
      const { get } = clientOf((server.address() as Net.AddressInfo).port)
      for (const name of ["old", "new"]) {
        const scope = yield* Scope.make()
        const backend = yield* Scope.extend(Layer.build(memory()), scope)
        const app = Effect.succeed(HttpServerResponse.text(name, { headers: { "cache-control": "max-age=60" } }))
        yield* HttpServer.serveEffect(accelerated.middleware(app)).pipe(
          Effect.provide(backend),
          Effect.provide(layer),
          Scope.extend(scope)
        )
        for (let i = 0; i < 3; i++) assert.strictEqual((yield* get("/")).body, name)
        yield* Scope.close(scope, Exit.void)
      }
    }))

  describe("on a connection", () => {
    it.scoped("keeps answers in the order of requests that are sent at once", () =>
      Effect.gen(function*() {
        const { counts, get, port } = yield* serving(
          {},
          ({ url }, run) =>
            url === "/slow"
              ? HttpServerResponse.text("slow", { headers: { "cache-control": "no-store" } })
              : page()(undefined, run)
        )
        const host = { Host: `localhost:${port}` }
        yield* get("/", host)
        yield* get("/", host)
        const request = (path: string, close = "") => `GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\n${close}\r\n`
        const before = counts.fibers
        const got = yield* rawOpen(
          port,
          request("/slow") + request("/").repeat(500) + request("/slow") + request("/", "Connection: close\r\n")
        )
        assert.deepStrictEqual(
          Array.from(got.matchAll(/\r\n\r\n(slow|page 1)/g), ([, body]) => body),
          ["slow", ...Array.from({ length: 500 }, () => "page 1"), "slow", "page 1"]
        )
        assert.strictEqual(counts.fibers, before + 2)
      }).pipe(Effect.provide(memory())))

    it.scoped("survives clients that leave before they are answered", () =>
      Effect.gen(function*() {
        const { counts, get } = yield* serving({}, () =>
          HttpServerResponse.uint8Array(new Uint8Array(900_000), { headers: { "cache-control": "max-age=60" } }))
        yield* get("/")
        yield* get("/")
        const given = yield* Effect.forEach(
          Array.from({ length: 20 }),
          () =>
            Effect.flatMap(Effect.fork(get("/")), (fiber) =>
              Effect.zipRight(Effect.yieldNow(), Fiber.interrupt(fiber))),
          { concurrency: 20 }
        )
        assert.strictEqual(given.length, 20)
        assert.strictEqual((yield* get("/")).body.length, 900_000)
        assert.strictEqual(counts.runs, 1)
      }).pipe(Effect.provide(memory())))

    it.scoped("reads no further requests from a client that does not take their answers", () =>
      Effect.gen(function*() {
        const server = Http.createServer()
        const { get, port } = yield* serving({ name: "slow readers" }, () =>
          HttpServerResponse.uint8Array(new Uint8Array(900_000), { headers: { "cache-control": "max-age=60" } }), {
          server
        })
        const host = { Host: `localhost:${port}` }
        yield* get("/", host)
        yield* get("/", host)
        const paused = Effect.async<Net.Socket>((resume) => {
          server.once("connection", (socket: Net.Socket) =>
            socket.once("pause", () =>
              resume(Effect.succeed(socket))))
        })
        const pausing = yield* Effect.fork(paused)
        yield* Effect.yieldNow()
        const client = Net.connect({ port })
        client.pause()
        client.write(`GET / HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`.repeat(20_000))
        const socket = yield* Fiber.join(pausing)
        // One read of the socket is 64 KiB of requests at most: not 18 GB of answers.
        const count = yield* hitsOf("slow readers")
        assert.isAbove(count, 10)
        assert.isBelow(count, 3_000)
        assert.strictEqual((yield* get("/", host)).body.length, 900_000)
        client.destroy()
        socket.destroy()
      }).pipe(Effect.provide(memory())))

    it.scoped("closes with the server while a connection is kept open", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { get } = yield* Scope.extend(serving({}, page()), scope)
        yield* get("/")
        yield* get("/", { Connection: "keep-alive" })
        yield* get("/", { Connection: "keep-alive" })
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(get("/"))))
      }).pipe(Effect.provide(memory())))
  })

  describe("beside the same server without", () => {
    const token = FastCheck.constantFrom("en", "de", "fr-CH, fr;q=0.5", "*")
    const field = <A>(arbitrary: FastCheck.Arbitrary<A>, weight = 2) =>
      FastCheck.oneof({ weight: 7, arbitrary: FastCheck.constant(undefined) }, { weight, arbitrary })
    const answers = FastCheck.record({
      status: FastCheck.constantFrom(200, 200, 200, 203, 204, 301, 404, 410),
      body: FastCheck.oneof(
        FastCheck.string({ maxLength: 40 }),
        FastCheck.constant("long ".repeat(200)),
        FastCheck.constant(undefined)
      ),
      type: field(FastCheck.constantFrom("text/html; charset=utf-8", "application/json", "image/png")),
      "cache-control": FastCheck.constantFrom(
        "max-age=60",
        "public, max-age=5",
        "s-maxage=30",
        "max-age=9, must-revalidate"
      ),
      etag: field(FastCheck.constantFrom("\"1\"", "W/\"2\"")),
      "last-modified": field(FastCheck.constant("Thu, 01 Jan 1970 00:00:00 GMT")),
      vary: field(FastCheck.constantFrom("Accept-Language", "Accept-Language, X-Kind")),
      "cache-status": field(FastCheck.constant("inner; hit")),
      "x-tags": field(FastCheck.constant("a b")),
      "set-cookie": field(FastCheck.constant("a=1; Path=/"))
    })
    const requests = FastCheck.record({
      method: FastCheck.constantFrom("GET", "GET", "GET", "HEAD", "POST"),
      version: FastCheck.constantFrom("1.1", "1.1", "1.0"),
      query: FastCheck.constantFrom("", "?a=1&b=2", "?b=2&a=1", "?a=1;b"),
      "If-None-Match": field(FastCheck.constantFrom("\"1\"", "\"2\"", "*", "\"0\", W/\"2\"")),
      "If-Modified-Since": field(FastCheck.constantFrom("Thu, 01 Jan 1970 00:00:00 GMT", "never")),
      "Accept-Language": field(token),
      "Accept-Encoding": field(FastCheck.constantFrom("gzip, br", "gzip;q=0.5, identity;q=0", "identity"), 4),
      "X-Kind": field(FastCheck.constantFrom("1", "2")),
      "Cookie": field(FastCheck.constant("a=1")),
      "Range": field(FastCheck.constantFrom("bytes=0-3", "bytes=90-")),
      "Authorization": field(FastCheck.constant("Basic YQ==")),
      "Cache-Control": field(FastCheck.constantFrom("no-cache", "max-age=2", "only-if-cached"))
    })
    const options: ReadonlyArray<HttpCache.Options> = [
      { hitHeader: "X-Cache" },
      { cacheStatus: false, setCookie: "store", tagsFrom: ["X-Tags"], clientDirectives: "safe" },
      { languages: ["en", "de"], cookies: { vary: ["a"] }, authorization: "per user", prefixes: true },
      { clientDirectives: "full", authorization: "shared", noVarySearch: true, grace: "1 minute", etag: "strong" },
      { compress: { minBytes: 0, types: ["text/*", "application/json"] }, cookies: "ignore" }
    ]
    options.forEach((options, number) =>
      it.scoped(`every answer is the same to the byte (${number + 1})`, () =>
        Effect.gen(function*() {
          let stored: typeof answers extends FastCheck.Arbitrary<infer A> ? A : never
          const answer = (request: HttpServerRequest.HttpServerRequest, run: number) => {
            const { body, status, type, ...headers } = stored
            const shown = { ...headers, "x-run": `${run} ${request.headers["accept-language"]}` }
            const fields = Object.fromEntries(
              Object.entries(shown).filter(([, value]) => value !== undefined)
            ) as Record<
              string,
              string
            >
            return body === undefined
              ? HttpServerResponse.empty({ status, headers: fields })
              : HttpServerResponse.raw(body, {
                status,
                headers: fields,
                ...(type === undefined ? {} : { contentType: type })
              })
          }
          const named = (name: string) => ({ cacheStatus: "http", ...options, name: `${name} ${number}` })
          const quick = yield* serving(named("quick"), answer)
          // A backend of its own: what one stores must not help the other.
          const plain = yield* Effect.provide(
            serving(named("plain"), answer, { isAccelerated: false }),
            yield* Layer.build(memory())
          )
          let quickly = 0
          let asked = 0
          let path = 0
          for (
            const [{ first, rest }] of FastCheck.sample(
              FastCheck.tuple(
                FastCheck.record({
                  first: answers,
                  rest: FastCheck.array(FastCheck.tuple(requests, FastCheck.integer({ min: 0, max: 2500 })), {
                    minLength: 2,
                    maxLength: 5
                  })
                })
              ),
              { numRuns: 100, seed: number + 1 }
            )
          ) {
            stored = first
            path++
            for (const [{ method, query, version, ...headers }, millis] of rest) {
              const fields = Object.fromEntries(
                Object.entries(headers).filter(([, value]) => value !== undefined)
              ) as Record<string, string>
              for (const _ of [1, 2, 3]) {
                const before = quick.counts.fibers
                const [own, other] = yield* Effect.all([
                  wire(quick.port, `/${path}${query}`, fields, method, version),
                  wire(plain.port, `/${path}${query}`, fields, method, version)
                ])
                assert.strictEqual(own, other)
                assert.strictEqual(quick.counts.runs, plain.counts.runs)
                asked++
                if (quick.counts.fibers === before) quickly++
              }
              yield* TestClock.adjust(millis)
            }
          }
          assert.isAbove(quickly, asked / 10)
          assert.strictEqual(yield* hitsOf(`quick ${number}`), yield* hitsOf(`plain ${number}`))
        }).pipe(Effect.provide(memory())), 60_000)
    )
  })
})
