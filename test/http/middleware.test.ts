/** What a cached app answers, over a real server. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Headers from "@effect/platform/Headers"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import type { CacheBackend } from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as HttpCache from "effect-caching/HttpCache"
import * as Faulty from "effect-caching/testing/Faulty"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import * as Http from "node:http"
import { arrivals, memory, raw, serve, storages } from "./support.js"

const fresh = { "cache-control": "max-age=60" }

/** Answers with how often it ran, and what the request was. */
const counting = (headers: Record<string, string> = fresh) => {
  const source = { runs: 0, headers, status: 200 }
  const app = Effect.map(
    HttpServerRequest.HttpServerRequest,
    (request) =>
      HttpServerResponse.text(`${++source.runs} ${request.originalUrl.replace(/^https?:\/\/[^/]*/, "")}`, {
        headers: source.headers,
        status: source.status
      })
  )
  return { source, app }
}

for (const storage of storages) {
  describe(`HttpCache over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("runs the app once, and says so", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const client = yield* serve(HttpCache.middleware()(app))
        const first = yield* client.get("/a")
        yield* TestClock.adjust("2 seconds")
        const second = yield* client.get("/a")
        assert.strictEqual(first.body, "1 /a")
        assert.strictEqual(second.body, "1 /a")
        assert.strictEqual(first.headers["cache-status"], "http; fwd=uri-miss; stored")
        assert.strictEqual(second.headers["cache-status"], "http; hit; ttl=58")
        assert.isUndefined(first.headers["age"])
        assert.strictEqual(second.headers["age"], "2")
        for (const name of ["content-type", "content-length", "cache-control", "etag", "date"]) {
          assert.strictEqual(second.headers[name], first.headers[name], name)
        }
        yield* TestClock.adjust("58 seconds")
        assert.strictEqual((yield* client.get("/a")).body, "2 /a")
        assert.strictEqual(source.runs, 2)
      }).pipe(provide))

    it.scoped("caches a router, and one route of it", () =>
      Effect.gen(function*() {
        const whole = counting()
        const one = counting()
        const other = counting()
        const router = HttpRouter.empty.pipe(
          HttpRouter.get("/one", HttpCache.middleware({ name: "one" })(one.app)),
          HttpRouter.get("/other", other.app)
        )
        const inside = yield* serve(router)
        const outside = yield* serve(HttpCache.middleware()(HttpRouter.empty.pipe(HttpRouter.get("/all", whole.app))))
        for (const path of ["/one", "/one", "/other", "/other"]) yield* inside.get(path)
        for (const path of ["/all", "/all"]) yield* outside.get(path)
        assert.deepStrictEqual([one.source.runs, other.source.runs, whole.source.runs], [1, 2, 1])
      }).pipe(provide))

    it.scoped("a web handler is cached under the keys of the same requests to Node", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const cached = HttpCache.middleware()(app)
        const client = yield* serve(cached)
        const handler = HttpApp.toWebHandlerRuntime(yield* Effect.runtime<CacheBackend>())(cached)
        yield* client.get("/a?x=1")
        const response = yield* Effect.promise(() => handler(new Request(`http://localhost:${client.port}/a?x=1`)))
        assert.strictEqual(yield* Effect.promise(() => response.text()), "1 /a?x=1")
        assert.strictEqual(response.headers.get("cache-status"), "http; hit; ttl=60")
        const head = yield* Effect.promise(() =>
          handler(new Request(`http://localhost:${client.port}/a?x=1`, { method: "HEAD" }))
        )
        assert.strictEqual(head.headers.get("content-length"), "8")
        assert.strictEqual(source.runs, 1)
      }).pipe(provide))

    it.scoped("a HEAD is answered from the GET's entry and fills none", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const client = yield* serve(HttpCache.middleware()(HttpRouter.empty.pipe(HttpRouter.get("/a", app))))
        const before = yield* client.ask("/a", { method: "HEAD" })
        assert.strictEqual(before.headers["cache-status"], "http; fwd=uri-miss")
        assert.strictEqual((yield* client.get("/a")).body, "2 /a")
        const after = yield* client.ask("/a", { method: "HEAD" })
        assert.strictEqual(after.headers["cache-status"], "http; hit; ttl=60")
        assert.strictEqual(after.headers["content-length"], "4")
        assert.strictEqual(after.body, "")
        assert.strictEqual(source.runs, 2)
      }).pipe(provide))

    it.scoped("RFC 9110 §13: preconditions are answered, on a hit and on a miss", () =>
      Effect.gen(function*() {
        const { app, source } = counting({ ...fresh, "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT" })
        const client = yield* serve(HttpCache.middleware()(app))
        const { headers } = yield* client.get("/a")
        const hit = yield* client.get("/a", { "if-none-match": headers["etag"]! })
        assert.strictEqual(hit.status, 304)
        assert.strictEqual(hit.body, "")
        for (const name of ["content-type", "content-length"]) assert.isUndefined(hit.headers[name])
        assert.strictEqual(hit.headers["etag"], headers["etag"])
        assert.strictEqual(
          (yield* client.get("/a", { "if-none-match": "\"other\"", "if-modified-since": headers["date"]! })).status,
          200
        )
        assert.strictEqual((yield* client.get("/a", { "if-modified-since": headers["last-modified"]! })).status, 304)
        assert.strictEqual((yield* client.get("/b", { "if-modified-since": headers["last-modified"]! })).status, 304)
        assert.strictEqual((yield* client.get("/b")).status, 200)
        assert.strictEqual((yield* client.get("/b")).body, "2 /b")
        assert.strictEqual(source.runs, 2)
      }).pipe(provide))

    it.scoped("a Range is not seen by the app on a miss, and the whole is stored", () =>
      Effect.gen(function*() {
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          headers["range"] === undefined
            ? HttpServerResponse.text("whole", { headers: fresh })
            : HttpServerResponse.text("w", { status: 206, headers: { ...fresh, "content-range": "bytes 0-0/5" } }))
        const client = yield* serve(HttpCache.middleware()(app))
        assert.strictEqual((yield* client.get("/a", { range: "bytes=0-0" })).body, "whole")
        assert.strictEqual((yield* client.get("/a")).headers["cache-status"], "http; hit; ttl=60")
      }).pipe(provide))

    it.scoped("the app's ETag is kept", () =>
      Effect.gen(function*() {
        const { app } = counting({ ...fresh, etag: "\"mine\"" })
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        assert.strictEqual((yield* client.get("/a")).headers["etag"], "\"mine\"")
        assert.strictEqual((yield* client.get("/a", { "if-none-match": "W/\"mine\"" })).status, 304)
      }).pipe(provide))

    it.scoped("the query is ordered by name, and what the key leaves out is not seen", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a?a=1&b=2")
        assert.strictEqual((yield* client.get("/a?b=2&a=1")).body, "1 /a?a=1&b=2")
        yield* client.get("/a?a=1&a=2")
        yield* client.get("/a?a=2&a=1")
        assert.strictEqual(source.runs, 3)
        const params = Effect.map(HttpServerRequest.ParsedSearchParams, (params) =>
          HttpServerResponse.unsafeJson(params, { headers: fresh }))
        const excluding = HttpCache.middleware({ name: "excluding", query: { exclude: ["utm"] } })
        const inside = yield* serve(HttpRouter.empty.pipe(HttpRouter.get("/p", excluding(params))))
        const outside = yield* serve(excluding(HttpRouter.empty.pipe(HttpRouter.get("/p", params))))
        for (const server of [inside, outside]) {
          assert.strictEqual((yield* server.get("/p?utm=x&a=1")).body, "{\"a\":\"1\"}")
          assert.strictEqual(
            (yield* server.get("/p?a=1&utm=y")).headers["cache-status"],
            "http; hit; ttl=60".replace("http", "excluding")
          )
        }
      }).pipe(provide))

    it.scoped("mounts do not collide", () =>
      Effect.gen(function*() {
        const mounted = (name: string) =>
          HttpRouter.empty.pipe(
            HttpRouter.get(
              "/x",
              HttpCache.middleware()(Effect.succeed(HttpServerResponse.text(name, { headers: fresh })))
            )
          )
        const client = yield* serve(
          HttpRouter.empty.pipe(HttpRouter.mount("/m1", mounted("one")), HttpRouter.mountApp("/m2", mounted("two")))
        )
        for (let i = 0; i < 2; i++) {
          assert.strictEqual((yield* client.get("/m1/x")).body, "one")
          assert.strictEqual((yield* client.get("/m2/x")).body, "two")
        }
      }).pipe(provide))

    it.scoped("//evil, #, ; and repeated names have entries of their own", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const client = yield* serve(HttpCache.middleware()(app))
        const targets = [
          "/x",
          "//evil/x",
          "/x#f?y=1",
          "/x?y=1",
          "/x;f?y=1",
          "/x?y=1;z=2",
          "/x?y=1&z=2",
          "/x?y=1&y=2",
          "/x?y=2&y=1",
          "/x?y=1#z"
        ]
        const ask = (target: string) =>
          Effect.map(raw(client.port, `GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`), (got) =>
            got.split("\r\n\r\n")[1])
        for (const target of targets) {
          assert.include(yield* ask(target), target)
        }
        const before = source.runs
        assert.strictEqual(before, targets.length)
        for (const target of targets) {
          assert.include(yield* ask(target), target)
        }
        assert.strictEqual(source.runs, before)
      }).pipe(provide))

    it.scoped("hosts have entries of their own, and a forwarded host is not seen", () =>
      Effect.gen(function*() {
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          HttpServerResponse.text(`<a href="//${headers["x-forwarded-host"] ?? headers["host"]}">`, { headers: fresh }))
        const client = yield* serve(HttpCache.middleware()(app))
        assert.include((yield* client.get("/", { host: "good", "x-forwarded-host": "evil" })).body, "//good")
        assert.include((yield* client.get("/", { host: "good" })).body, "//good")
        assert.include((yield* client.get("/", { host: "other" })).body, "//other")
      }).pipe(provide))

    it.scoped("a GET with content goes past the cache, and its content arrives", () =>
      Effect.gen(function*() {
        const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
          Effect.map(
            Effect.orElseSucceed(request.text, () => ""),
            (text) => HttpServerResponse.text(`got ${text}`, { headers: fresh })
          ))
        const client = yield* serve(HttpCache.middleware()(app))
        const fat = yield* client.ask("/a", { body: "evil", headers: { "content-length": "4" } })
        assert.strictEqual(fat.body, "got evil")
        assert.strictEqual(fat.headers["cache-status"], "http; fwd=bypass")
        assert.strictEqual((yield* client.get("/a")).body, "got ")
        assert.strictEqual(
          (yield* client.ask("/a", { body: "evil", headers: { "content-length": "4" } })).body,
          "got evil"
        )
      }).pipe(provide))

    it.scoped("other methods go past the cache", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const client = yield* serve(HttpCache.middleware()(app))
        for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
          assert.strictEqual((yield* client.ask("/a", { method })).headers["cache-status"], "http; fwd=method")
        }
        assert.strictEqual(source.runs, 4)
        assert.strictEqual((yield* client.get("/a")).body, "5 /a")
      }).pipe(provide))

    it.scoped("RFC 9111 §4.1: a variant for each value of the fields in Vary", () =>
      Effect.gen(function*() {
        let runs = 0
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          HttpServerResponse.text(`${++runs} ${headers["accept-language"]}`, {
            headers: { ...fresh, vary: "Accept-Language" }
          }))
        const client = yield* serve(HttpCache.middleware()(app))
        const ask = (language: string) =>
          client.get("/a", { "accept-language": language })
        const first = yield* ask("de")
        const second = yield* ask("en")
        assert.deepStrictEqual([first.body, second.body], ["1 de", "2 en"])
        assert.strictEqual(first.headers["cache-status"], "http; fwd=uri-miss; stored")
        assert.strictEqual(second.headers["cache-status"], "http; fwd=vary-miss; stored")
        assert.strictEqual((yield* ask("de")).headers["cache-status"], "http; hit; ttl=60")
        assert.strictEqual((yield* ask("en")).body, "2 en")
        assert.strictEqual((yield* client.get("/a")).body, "3 undefined")
        assert.strictEqual(runs, 3)
        const head = yield* client.ask("/a", { method: "HEAD", headers: { "accept-language": "en" } })
        assert.strictEqual(head.headers["cache-status"], "http; hit; ttl=60")
        // One removal ends them all.
        assert.isTrue(yield* HttpCache.invalidate(`http://localhost:${client.port}/a`))
        assert.strictEqual((yield* ask("en")).body, "4 en")
        assert.strictEqual((yield* ask("de")).body, "5 de")
      }).pipe(provide))

    it.scoped("a Vary that grows is followed", () =>
      Effect.gen(function*() {
        let runs = 0
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          HttpServerResponse.text(`${++runs} ${headers["x-a"]} ${headers["x-b"]}`, {
            headers: { ...fresh, vary: headers["x-b"] === undefined ? "X-A" : "X-A, X-B" }
          }))
        const client = yield* serve(HttpCache.middleware()(app))
        const ask = (headers: Record<string, string>) =>
          Effect.map(client.get("/a", headers), ({ body }) =>
            body.slice(2))
        for (let i = 0; i < 3; i++) {
          assert.strictEqual(yield* ask({ "x-a": "1" }), "1 undefined")
          assert.strictEqual(yield* ask({ "x-a": "2", "x-b": "1" }), "2 1")
          assert.strictEqual(yield* ask({ "x-a": "2", "x-b": "2" }), "2 2")
          assert.strictEqual(yield* ask({ "x-a": "2" }), "2 undefined")
        }
        const before = runs
        for (
          const headers of [{ "x-a": "1" }, { "x-a": "2", "x-b": "1" }, { "x-a": "2", "x-b": "2" }, { "x-a": "2" }]
        ) {
          yield* ask(headers as Record<string, string>)
        }
        assert.strictEqual(runs, before)
      }).pipe(provide))

    it.scoped("fields that the program declares are part of the key and of Vary", () =>
      Effect.gen(function*() {
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          HttpServerResponse.text(String(headers["x-tenant"]), { headers: { ...fresh, vary: "Accept" } }))
        const client = yield* serve(HttpCache.middleware({ vary: ["X-Tenant"] })(app))
        for (const tenant of ["a", "b", "a", "b"]) {
          const reply = yield* client.get("/", { "x-tenant": tenant })
          assert.strictEqual(reply.body, tenant)
          assert.strictEqual(reply.headers["vary"], "Accept, X-Tenant")
        }
        assert.strictEqual((yield* client.get("/", { "x-tenant": "a" })).headers["cache-status"], "http; hit; ttl=60")
        // Caches behind may keep what the app fails with, stored here or not.
        const moved = Effect.flip(Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          HttpServerResponse.redirect(String(headers["x-tenant"]), { status: 301, headers: fresh })))
        const moving = yield* serve(
          HttpCache.middleware({
            name: "moving",
            vary: ["X-Tenant"],
            storeIf: () =>
              false
          })(moved)
        )
        for (const asking of [{ method: "HEAD" }, {}, {}]) {
          const { headers, status } = yield* moving.ask("/", { ...asking, headers: { "x-tenant": "a" } })
          assert.deepStrictEqual([status, headers["vary"]], [301, "X-Tenant"])
        }
      }).pipe(provide))

    it.scoped("an invalidated URL is loaded anew; a load under way is not stored", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const started = yield* Deferred.make<void>()
        let value = "old"
        const app = Effect.gen(function*() {
          const read = value
          yield* Deferred.succeed(started, undefined)
          yield* Deferred.await(gate)
          return HttpServerResponse.text(read, { headers: fresh })
        })
        const client = yield* serve(HttpCache.middleware()(app))
        const slow = yield* Effect.fork(client.get("/a?x=1&y=2"))
        yield* Deferred.await(started)
        value = "new"
        yield* HttpCache.invalidate("/a?y=2&x=1", { origin: `http://localhost:${client.port}` })
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual((yield* Fiber.join(slow)).body, "old")
        assert.strictEqual((yield* client.get("/a?x=1&y=2")).body, "new")
      }).pipe(provide))

    it.scoped("a cleared cache has no answer and no variant left, and others keep theirs", () =>
      Effect.gen(function*() {
        const [cleared, kept] = [counting({ ...fresh, vary: "X-Kind" }), counting()]
        const clients = [
          yield* serve(HttpCache.middleware({ name: "cleared" })(cleared.app)),
          yield* serve(HttpCache.middleware({ name: "kept" })(kept.app))
        ]
        const visitAll = Effect.forEach(
          clients,
          ({ get }) =>
            Effect.forEach(
              ["/a", "/b"],
              (path) => Effect.zipRight(get(path, { "x-kind": "1" }), get(path, { "x-kind": "2" }))
            )
        )
        yield* visitAll
        yield* HttpCache.clear({ name: "cleared" })
        yield* visitAll
        assert.deepStrictEqual([cleared.source.runs, kept.source.runs], [8, 2])
      }).pipe(provide))

    it.scoped("a handler invalidates by path at its own origin", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const router = HttpRouter.empty.pipe(
          HttpRouter.get("/a", app),
          HttpRouter.post("/a", Effect.as(HttpCache.invalidate("/a"), HttpServerResponse.empty()))
        )
        const client = yield* serve(HttpCache.middleware()(router))
        yield* client.get("/a")
        yield* client.ask("/a", { method: "POST" })
        assert.strictEqual((yield* client.get("/a")).body, "2 /a")
        assert.strictEqual(source.runs, 2)
      }).pipe(provide))

    it.scoped("tags end answers, and so do the tags of what the app read from caches", () =>
      Effect.gen(function*() {
        const users = Cache.make({ name: "users", schema: Schema.String, timeToLive: "1 hour", tags: ["user:1"] })
        let runs = 0
        const app = Effect.map(Cache.getOrSet(users, 1, Effect.sync(() => `user${++runs}`)), (user) =>
          HttpServerResponse.text(user, { headers: { ...fresh, vary: "Accept" } }))
        const client = yield* serve(HttpCache.middleware({ tags: (response) => [`page:${response.status}`] })(app))
        assert.strictEqual((yield* client.get("/a")).body, "user1")
        assert.strictEqual((yield* client.get("/a")).headers["cache-status"], "http; hit; ttl=60")
        yield* Cache.invalidateTags(["user:1"])
        assert.strictEqual((yield* client.get("/a")).body, "user2")
        assert.strictEqual((yield* client.get("/a")).headers["cache-status"], "http; hit; ttl=60")
        yield* Cache.invalidateTags(["page:200"])
        assert.strictEqual((yield* client.get("/a")).headers["cache-status"], "http; fwd=uri-miss; stored")
      }).pipe(provide))

    it.scoped("what the app leaves unsaid, the program says", () =>
      Effect.gen(function*() {
        const { app, source } = counting({})
        const without = yield* serve(HttpCache.middleware()(app))
        yield* without.get("/a")
        yield* without.get("/a")
        assert.strictEqual(source.runs, 2)
        const client = yield* serve(HttpCache.middleware({ timeToLive: "10 seconds" })(app))
        yield* client.get("/a")
        assert.strictEqual((yield* client.get("/a")).headers["cache-status"], "http; hit; ttl=10")
        assert.isUndefined((yield* client.get("/a")).headers["cache-control"])
        source.status = 404
        yield* client.get("/b")
        assert.strictEqual((yield* client.get("/b")).headers["cache-status"], "http; fwd=uri-miss")
      }).pipe(provide))

    it.scoped("unless, forcedUpdate and storeIf decide for a request", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const client = yield* serve(
          HttpCache.middleware({
            unless: ({ headers }) => headers["x-past"] !== undefined,
            forcedUpdate: ({ headers }) => Effect.succeed(headers["x-anew"] !== undefined),
            storeIf: (response) => response.status === 200,
            cacheStatus: "my cache"
          })(app)
        )
        yield* client.get("/a")
        assert.strictEqual(
          (yield* client.get("/a", { "x-past": "1" })).headers["cache-status"],
          "\"my cache\"; fwd=bypass"
        )
        assert.strictEqual((yield* client.get("/a")).body, "1 /a")
        assert.strictEqual((yield* client.get("/a", { "x-anew": "1" })).body, "3 /a")
        assert.strictEqual((yield* client.get("/a")).body, "3 /a")
        source.status = 203
        yield* client.get("/b")
        assert.strictEqual((yield* client.get("/b")).body, "5 /b")
      }).pipe(provide))

    it.scoped("no Cache-Status where none is wanted", () =>
      Effect.gen(function*() {
        const client = yield* serve(HttpCache.middleware({ cacheStatus: false })(counting().app))
        yield* client.get("/a")
        const hit = yield* client.get("/a")
        assert.isUndefined(hit.headers["cache-status"])
        assert.strictEqual(hit.headers["age"], "0")
      }).pipe(provide))

    it.scoped("failures of the app pass through, are answered with Cache-Status, and are not stored", () =>
      Effect.gen(function*() {
        let runs = 0
        const router = HttpRouter.empty.pipe(
          HttpRouter.get("/fails", Effect.suspend(() => Effect.fail(++runs))),
          HttpRouter.catchAll((error) => {
            assert.notStrictEqual(error, undefined)
            return typeof error === "number"
              ? HttpServerResponse.text(`caught ${error}`, { status: 418 })
              : Effect.fail(error)
          })
        )
        const inner = HttpRouter.empty.pipe(HttpRouter.get("/fails", Effect.suspend(() => Effect.fail(++runs))))
        const caught = HttpCache.middleware()(inner).pipe(
          Effect.catchAll((error) =>
            typeof error === "number" ? HttpServerResponse.text(`caught ${error}`) : Effect.fail(error)
          )
        )
        const client = yield* serve(HttpCache.middleware()(router))
        const outside = yield* serve(caught)
        const missing = yield* client.get("/missing")
        assert.strictEqual(missing.status, 404)
        assert.strictEqual(missing.headers["cache-status"], "http; fwd=uri-miss")
        assert.strictEqual((yield* client.get("/fails")).body, "caught 1")
        assert.strictEqual((yield* outside.get("/fails")).body, "caught 2")
        assert.strictEqual((yield* outside.get("/fails")).body, "caught 3")
      }).pipe(provide))
  })
}

describe("HttpCache", () => {
  it.scoped("§2.1: given to a server's middleware, it warns, caches nothing and harms nothing", () =>
    Effect.gen(function*() {
      const { app, source } = counting()
      const warnings: Array<unknown> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ logLevel, message }) => {
          if (logLevel._tag === "Warning") warnings.push(message)
        })
      )
      const server = yield* Layer.build(NodeHttpServer.layer(() => Http.createServer(), { port: 0 }))
      const port = yield* Effect.gen(function*() {
        yield* HttpServer.serveEffect(app, HttpCache.middleware() as any)
        const { address } = yield* HttpServer.HttpServer
        return address._tag === "TcpAddress" ? address.port : 0
      }).pipe(Effect.provide(server), Effect.provide(logger))
      for (let i = 0; i < 3; i++) {
        const got = yield* raw(port, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert.include(got, "200 OK")
        assert.include(got, "/a")
      }
      assert.isAtLeast(source.runs, 3)
      assert.strictEqual(warnings.length, 1)
    }).pipe(Effect.provide(memory())))

  it.scoped("§2.2: CORS outside the cache is on hits; a Vary is not lost inside it", () =>
    Effect.gen(function*() {
      const { app } = counting()
      const cached = HttpMiddleware.cors({ allowedOrigins: ["http://a.example"] })(HttpCache.middleware()(app))
      const client = yield* serve(cached)
      for (let i = 0; i < 2; i++) {
        assert.strictEqual(
          (yield* client.get("/a", { origin: "http://a.example" })).headers["access-control-allow-origin"],
          "http://a.example"
        )
      }
    }).pipe(Effect.provide(memory())))

  it.scoped("§2.2: CORS inside the cache is stored with the answer", () =>
    Effect.gen(function*() {
      const client = yield* serve(
        HttpCache.middleware()(HttpMiddleware.cors({ allowedOrigins: ["http://a.example"] })(counting().app))
      )
      for (let i = 0; i < 2; i++) {
        assert.strictEqual(
          (yield* client.get("/a", { origin: "http://a.example" })).headers["access-control-allow-origin"],
          "http://a.example"
        )
      }
      // A failure keeps the handlers that were added before it.
      const failing = HttpMiddleware.cors({ allowedOrigins: ["http://a.example"] })(
        Effect.fail("no") as HttpApp.Default<string>
      )
      const other = yield* serve(HttpCache.middleware()(failing))
      const reply = yield* other.get("/a", { origin: "http://a.example" })
      assert.strictEqual(reply.status, 500)
      assert.strictEqual(reply.headers["access-control-allow-origin"], "http://a.example")
    }).pipe(Effect.provide(memory())))

  for (
    const [how, allowed] of [
      ["by its name", ({ headers }) => headers["origin"]],
      ["with Headers.get", ({ headers }) => Option.getOrUndefined(Headers.get(headers, "Origin"))],
      ["with Headers.has", ({ headers }) => Headers.has(headers, "Origin") ? "*, if asked" : undefined],
      ["among all", ({ headers }) => Object.entries(headers).find(([name]) => name === "origin")?.[1]]
    ] as ReadonlyArray<readonly [string, (request: HttpServerRequest.HttpServerRequest) => string | undefined]>
  ) {
    it.scoped(`a pre-response handler that reads Origin ${how} makes the answer vary by it`, () =>
      Effect.gen(function*() {
        const handled = Effect.zipRight(
          HttpApp.appendPreResponseHandler((request, response) => {
            const origin = allowed(request)
            return Effect.succeed(
              origin === undefined
                ? response
                : HttpServerResponse.setHeader(response, "access-control-allow-origin", origin)
            )
          }),
          counting().app
        )
        const client = yield* serve(HttpCache.middleware()(handled))
        assert.strictEqual((yield* client.get("/a")).headers["vary"], "Origin")
        assert.isDefined((yield* client.get("/a", { origin: "http://a" })).headers["access-control-allow-origin"])
        assert.isUndefined((yield* client.get("/a")).headers["access-control-allow-origin"])
      }).pipe(Effect.provide(memory())))
  }

  it.scoped("pre-response handlers inside the cache are applied once, to failures too", () =>
    Effect.gen(function*() {
      let applied = 0
      const handled = Effect.zipRight(
        HttpApp.appendPreResponseHandler((_, response) =>
          Effect.sync(() => HttpServerResponse.setHeader(response, "x-applied", `${++applied}`))
        ),
        HttpRouter.empty
      )
      for (const [i, statuses] of [undefined, { 404: "1 minute" } as const].entries()) {
        const client = yield* serve(HttpCache.middleware({ name: `${i}`, statuses })(handled))
        const { headers, status } = yield* client.get("/a")
        assert.deepStrictEqual([status, headers["x-applied"], applied], [404, `${i + 1}`, i + 1])
      }
    }).pipe(Effect.provide(memory())))

  for (
    const [allowed, allowedOrigins] of [
      ["of a list", ["http://a.example", "http://b.example"]],
      ["that a function allows", (origin: string) => /^http:\/\/[ab]\.example$/.test(origin)]
    ] as const
  ) {
    it.scoped(`§2.2: CORS inside the cache, for origins ${allowed}: each has its own, whoever asked first`, () =>
      Effect.gen(function*() {
        const { app, source } = counting({ ...fresh, vary: "Accept-Language" })
        const client = yield* serve(HttpCache.middleware()(HttpMiddleware.cors({ allowedOrigins })(app)))
        const ask = (origin: string | undefined, language = "en") =>
          Effect.map(
            client.get("/a", { "accept-language": language, ...(origin === undefined ? {} : { origin }) }),
            ({ body, headers }) => [body, headers["access-control-allow-origin"], headers["vary"]]
          )
        for (let i = 0; i < 2; i++) {
          assert.deepStrictEqual(yield* ask(undefined), ["1 /a", undefined, "Accept-Language, Origin"])
          assert.deepStrictEqual(yield* ask("http://a.example"), [
            "2 /a",
            "http://a.example",
            "Accept-Language, Origin"
          ])
          assert.deepStrictEqual(yield* ask("http://b.example"), [
            "3 /a",
            "http://b.example",
            "Accept-Language, Origin"
          ])
          assert.deepStrictEqual(yield* ask("http://c.example"), ["4 /a", undefined, "Accept-Language, Origin"])
          // What the app's answer varies by is not lost by the Vary of CORS.
          assert.deepStrictEqual(yield* ask("http://a.example", "de"), [
            "5 /a",
            "http://a.example",
            "Accept-Language, Origin"
          ])
        }
        assert.strictEqual(source.runs, 5)
      }).pipe(Effect.provide(memory())))
  }

  it.scoped("a backend that fails, or is wrong, is as good as none", () =>
    Effect.gen(function*() {
      const { app, source } = counting({ ...fresh, vary: "Accept" })
      const client = yield* serve(HttpCache.middleware()(app))
      const faults = yield* Faulty.Faulty
      yield* faults.inject(Faulty.fail())
      for (let i = 1; i <= 3; i++) {
        const reply = yield* client.get("/a")
        assert.strictEqual(reply.status, 200)
        assert.strictEqual(reply.body, `${i} /a`)
        assert.strictEqual((yield* client.ask("/h", { method: "HEAD" })).status, 200)
        source.runs--
      }
      yield* faults.heal
      yield* client.get("/a")
      assert.include((yield* client.get("/a")).headers["cache-status"], "hit")
      yield* faults.inject(Faulty.corrupt)
      assert.strictEqual((yield* client.get("/a")).status, 200)
    }).pipe(Effect.provide(Faulty.layer(memory("bytes")))))

  it.scoped("nested caches tell of themselves in order, and add their ages", () =>
    Effect.gen(function*() {
      const { app } = counting()
      const inner = HttpCache.middleware({ name: "inner" })(app)
      const client = yield* serve(HttpCache.middleware({ name: "outer" })(inner))
      assert.strictEqual(
        (yield* client.get("/a")).headers["cache-status"],
        "inner; fwd=uri-miss; stored, outer; fwd=uri-miss; stored"
      )
      yield* TestClock.adjust("5 seconds")
      yield* HttpCache.invalidate(`http://localhost:${client.port}/a`, { name: "outer" })
      yield* client.get("/a")
      yield* TestClock.adjust("5 seconds")
      const reply = yield* client.get("/a")
      assert.strictEqual(reply.headers["age"], "10")
      assert.strictEqual(reply.headers["cache-status"], "outer; hit; ttl=50")
    }).pipe(Effect.provide(memory())))

  it.scoped("a cache in a cache of the same name does not wait for itself", () =>
    Effect.gen(function*() {
      const { app } = counting()
      const client = yield* serve(HttpCache.middleware()(HttpCache.middleware()(app)))
      assert.strictEqual((yield* client.get("/a")).body, "1 /a")
      assert.strictEqual((yield* client.get("/a")).body, "1 /a")
    }).pipe(Effect.provide(memory())))

  it.scoped("one load answers all who wait for it", () =>
    Effect.gen(function*() {
      const { app, source } = counting()
      const gate = yield* Deferred.make<void>()
      const { reach, through } = arrivals()
      const client = yield* serve(through(HttpCache.middleware()(Effect.zipRight(Deferred.await(gate), app))))
      const asking = yield* Effect.fork(
        Effect.all(Array.from({ length: 50 }, () => client.get("/a")), { concurrency: "unbounded" })
      )
      yield* reach(50)
      yield* Deferred.succeed(gate, undefined)
      const replies = yield* Fiber.join(asking)
      assert.strictEqual(source.runs, 1)
      const statuses = replies.map(({ headers }) => headers["cache-status"])
      assert.strictEqual(statuses.filter((_) => _ === "http; fwd=uri-miss; stored").length, 1)
      assert.strictEqual(statuses.filter((_) => _ === "http; fwd=uri-miss; ttl=60; collapsed").length, 49)
    }).pipe(Effect.provide(memory())))

  it.scoped("the first load of a URL whose answers vary serves all of its variant", () =>
    Effect.gen(function*() {
      let runs = 0
      const gate = yield* Deferred.make<void>()
      const { reach, through } = arrivals()
      const app = Effect.gen(function*() {
        const { headers } = yield* HttpServerRequest.HttpServerRequest
        runs++
        yield* Deferred.await(gate)
        return HttpServerResponse.text(headers["x-a"]!, { headers: { ...fresh, vary: "X-A" } })
      })
      const client = yield* serve(through(HttpCache.middleware()(app)))
      const values = Array.from({ length: 40 }, (_, i) => String(i % 4))
      const asking = yield* Effect.fork(
        Effect.all(values.map((value) => client.get("/a", { "x-a": value })), { concurrency: "unbounded" })
      )
      yield* reach(40)
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual((yield* Fiber.join(asking)).map(({ body }) => body), values)
      assert.strictEqual(runs, 4)
    }).pipe(Effect.provide(memory())))

  it("options that cannot be meant are refused", () => {
    const refused: ReadonlyArray<HttpCache.Options> = [
      { query: { include: ["\ud800"] } },
      { query: { exclude: [1 as unknown as string] } },
      { name: "" },
      { timeToLive: -1 },
      { maxBodyBytes: -1 },
      { vary: ["a b"] },
      { vary: ["Cookie"] },
      { query: "sorted" as never },
      { query: {} as never },
      { cookies: "private" as never },
      { authorization: "everyone" as never }
    ]
    for (const options of refused) assert.throws(() => HttpCache.middleware(options), /must be/)
  })
})
