/** What is asked of the app again, what is sent in place of its errors, and what ends what is stored. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as Fs from "node:fs"
import { arrivals, memory, serve, storages } from "./support.js"

interface Given {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly body?: string
  readonly isFailing?: boolean
}

/** An app that gives these answers one after another, the last one again and again, and notes what it was asked. */
const giving = (...answers: ReadonlyArray<Given>) => {
  const asked: Array<HttpServerRequest.HttpServerRequest> = []
  const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const { body, headers = {}, isFailing, status = 200 } = answers[Math.min(asked.length, answers.length - 1)]!
    asked.push(request)
    if (isFailing === true) return Effect.fail("broken")
    return Effect.succeed(
      status === 304
        ? HttpServerResponse.empty({ status, headers })
        : HttpServerResponse.text(body ?? String(asked.length), { status, headers })
    )
  })
  return { asked, app }
}

const tagged = { "cache-control": "max-age=10", etag: "\"a\"" }

for (const storage of storages) {
  describe(`HttpCache over a backend of ${storage}, RFC 9111 §4.3: an answer whose time is over`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("is validated, and sent with the fields of the 304", () =>
      Effect.gen(function*() {
        const { app, asked } = giving({ headers: { ...tagged, x: "1" } }, {
          status: 304,
          headers: { ...tagged, x: "2" }
        })
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        yield* TestClock.adjust("11 seconds")
        const again = yield* client.get("/a", { "if-none-match": "\"mine\"" })
        assert.strictEqual(asked[1]!.headers["if-none-match"], "\"a\"")
        assert.deepStrictEqual([again.status, again.body, again.headers["x"]], [200, "1", "2"])
        yield* TestClock.adjust("5 seconds")
        const hit = yield* client.get("/a")
        assert.deepStrictEqual([hit.body, hit.headers["x"], hit.headers["age"]], ["1", "2", "5"])
        assert.strictEqual(asked.length, 2)
      }).pipe(provide))

    it.scoped("is asked for without conditions where the 304 is about another one", () =>
      Effect.gen(function*() {
        const { app, asked } = giving({ headers: tagged }, { status: 304, headers: { etag: "\"b\"" } }, { body: "new" })
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        yield* TestClock.adjust("11 seconds")
        assert.strictEqual((yield* client.get("/a")).body, "new")
        assert.isUndefined(asked[2]!.headers["if-none-match"])
      }).pipe(provide))

    it.scoped("goes where the 304 makes it private, and is sent to whoever validated it", () =>
      Effect.gen(function*() {
        const { app, asked } = giving(
          { headers: tagged },
          { status: 304, headers: { "cache-control": "private" } },
          { body: "another", headers: { "cache-control": "private" } }
        )
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        yield* TestClock.adjust("11 seconds")
        assert.strictEqual((yield* client.get("/a")).body, "1")
        yield* TestClock.adjust("6 seconds")
        assert.strictEqual((yield* client.get("/a")).body, "another")
        assert.isUndefined(asked[2]!.headers["if-none-match"])
      }).pipe(provide))

    it.scoped("that was given its validator here is not validated with it", () =>
      Effect.gen(function*() {
        const headers = { "cache-control": "max-age=10", "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT" }
        const { app, asked } = giving({ headers }, { status: 304, headers })
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        yield* TestClock.adjust("11 seconds")
        yield* client.get("/a")
        yield* TestClock.adjust("11 seconds")
        assert.strictEqual((yield* client.get("/a")).body, "1")
        for (const { headers } of asked.slice(1)) {
          assert.isUndefined(headers["if-none-match"])
          assert.strictEqual(headers["if-modified-since"], "Sun, 06 Nov 1994 08:49:37 GMT")
        }
        assert.strictEqual(asked.length, 3)
      }).pipe(provide))

    it.scoped("§5.2.2.4: with no-cache it is validated each time", () =>
      Effect.gen(function*() {
        const noCache = { "cache-control": "no-cache, max-age=60", etag: "\"a\"" }
        const { app, asked } = giving({ headers: noCache }, { status: 304, headers: noCache })
        const client = yield* serve(HttpCache.middleware({ grace: "1 hour", staleIfError: "1 hour" })(app))
        for (let i = 0; i < 3; i++) assert.strictEqual((yield* client.get("/a")).body, "1")
        assert.deepStrictEqual(asked.map(({ headers }) => headers["if-none-match"]), [undefined, "\"a\"", "\"a\""])
      }).pipe(provide))

    it.scoped("RFC 5861 §3: is sent within stale-while-revalidate, and not after it", () =>
      Effect.gen(function*() {
        const { app } = giving(
          { headers: { "cache-control": "max-age=10, stale-while-revalidate=5", etag: "\"a\"" } },
          {
            status: 500
          },
          { body: "new" }
        )
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        yield* TestClock.adjust("14 seconds")
        const stale = yield* client.get("/a")
        assert.strictEqual(stale.body, "1")
        assert.strictEqual(stale.headers["cache-status"], "http; hit; ttl=-4")
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual((yield* client.get("/a")).body, "new")
      }).pipe(provide))

    it.scoped("RFC 5861 §4: is sent where one of two effects fails, and the other is interrupted", () =>
      Effect.gen(function*() {
        const page = HttpServerResponse.text("page", { headers: { "cache-control": "max-age=60" } })
        let isFailing = false
        const app = Effect.suspend(() =>
          isFailing
            ? Effect.as(Effect.all([Effect.never, Effect.fail("no")], { concurrency: 2 }), page)
            : Effect.succeed(page)
        )
        const client = yield* serve(HttpCache.middleware({ staleIfError: "1 hour" })(app))
        yield* client.get("/a")
        yield* TestClock.adjust("2 minutes")
        isFailing = true
        const { body, headers } = yield* client.get("/a")
        assert.strictEqual(body, "page")
        assert.include(headers["cache-status"], "fwd-status=500")
      }).pipe(provide))

    it.scoped("a file with which the app fails, in whose place a stale answer is sent, is closed", () =>
      Effect.gen(function*() {
        const page = HttpServerResponse.text("page", { headers: { "cache-control": "max-age=60" } })
        let file: Fs.ReadStream | undefined
        let isFailing = false
        const app = Effect.suspend(() =>
          isFailing
            ? Effect.fail(HttpServerResponse.raw(file = Fs.createReadStream("package.json"), { status: 503 }))
            : Effect.succeed(page)
        )
        const client = yield* serve(HttpCache.middleware({ staleIfError: "1 hour" })(app))
        yield* client.get("/a")
        yield* TestClock.adjust("2 minutes")
        isFailing = true
        assert.strictEqual((yield* client.get("/a")).body, "page")
        assert.isTrue(file?.destroyed)
      }).pipe(provide))

    it.scoped("a 304 with which the app fails is not for who has not asked for one, be it storable or not", () =>
      Effect.gen(function*() {
        for (const cacheControl of ["max-age=60", "private"]) {
          const app = Effect.flatMap(
            HttpServerRequest.HttpServerRequest,
            ({ headers }) =>
              headers["if-none-match"] === undefined
                ? HttpServerResponse.text("page", { headers: { "cache-control": "max-age=60", etag: "\"1\"" } })
                : Effect.fail(HttpServerResponse.empty({ status: 304, headers: { "cache-control": cacheControl } }))
          )
          const client = yield* serve(HttpCache.middleware({ name: cacheControl })(app))
          for (let i = 0; i < 2; i++) {
            const { body, status } = yield* client.get("/a")
            assert.deepStrictEqual([status, body], [200, "page"])
            yield* TestClock.adjust("2 minutes")
          }
        }
      }).pipe(provide))

    it.scoped("RFC 5861 §4: is sent in place of an error, and of a failure, within stale-if-error", () =>
      Effect.gen(function*() {
        const { app } = giving({ headers: { "cache-control": "max-age=10, stale-if-error=5" } }, { status: 503 }, {
          isFailing: true
        })
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        yield* TestClock.adjust("14 seconds")
        assert.strictEqual((yield* client.get("/a")).body, "1")
        const failed = yield* client.get("/a")
        assert.deepStrictEqual([failed.status, failed.body], [200, "1"])
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual((yield* client.get("/a")).status, 500)
      }).pipe(provide))

    it.scoped("RFC 5861 §4: is not sent in place of an answer with which the app fails, and ends with it", () =>
      Effect.gen(function*() {
        let runs = 0
        const app = Effect.suspend((): Effect.Effect<HttpServerResponse.HttpServerResponse, unknown> =>
          ++runs === 2
            ? Effect.fail(HttpServerResponse.text("gone", { status: 404 }))
            : runs === 1
            ? HttpServerResponse.text("1", { headers: { "cache-control": "max-age=10, stale-if-error=60" } })
            : Effect.fail("broken")
        )
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        yield* TestClock.adjust("14 seconds")
        const gone = yield* client.get("/a")
        assert.deepStrictEqual([gone.status, gone.body], [404, "gone"])
        yield* TestClock.adjust("6 seconds")
        assert.strictEqual((yield* client.get("/a")).status, 500)
      }).pipe(provide))

    for (const word of ["must-revalidate", "proxy-revalidate", "s-maxage=10", "no-cache"]) {
      it.scoped(`§4.2.4: is never sent in place of an error with ${word}`, () =>
        Effect.gen(function*() {
          const { app } = giving({
            headers: {
              "cache-control": `max-age=10, stale-if-error=60, stale-while-revalidate=60, ${word}`,
              etag: "\"a\""
            }
          }, { status: 503, body: "down" })
          const client = yield* serve(HttpCache.middleware({ staleIfError: "1 hour" })(app))
          yield* client.get("/a")
          yield* TestClock.adjust("11 seconds")
          assert.strictEqual((yield* client.get("/a")).body, "down")
        }).pipe(provide))
    }

    it.scoped("is not sent in place of an error to whom it is not for", () =>
      Effect.gen(function*() {
        const { app } = giving({ headers: { "cache-control": "max-age=10, stale-if-error=60" } }, {
          status: 503,
          body: "down"
        })
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        yield* TestClock.adjust("11 seconds")
        assert.strictEqual((yield* client.get("/a", { cookie: "sid=1" })).body, "down")
        assert.strictEqual((yield* client.get("/a")).body, "1")
      }).pipe(provide))

    it.scoped("is not validated by whom it is not for", () =>
      Effect.gen(function*() {
        const { app, asked } = giving({ headers: tagged }, { body: "own", headers: { "cache-control": "private" } })
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        yield* TestClock.adjust("11 seconds")
        assert.strictEqual((yield* client.get("/a", { cookie: "sid=1" })).body, "own")
        assert.isUndefined(asked[1]!.headers["if-none-match"])
      }).pipe(provide))

    it.scoped("is not sent in place of an error to one who waited and whom it is not for", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        let runs = 0
        const app = Effect.gen(function*() {
          const run = ++runs
          if (run === 2) yield* Deferred.await(gate)
          return run === 1
            ? HttpServerResponse.text("1", { headers: { "cache-control": "max-age=10, stale-if-error=60" } })
            : HttpServerResponse.text("down", { status: 503 })
        })
        const come = arrivals()
        const client = yield* serve(come.through(HttpCache.middleware()(app)))
        yield* client.get("/a")
        yield* TestClock.adjust("11 seconds")
        const leader = yield* Effect.fork(client.get("/a"))
        yield* come.reach(2)
        const follower = yield* Effect.fork(client.get("/a", { cookie: "sid=1" }))
        yield* come.reach(3)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual((yield* Fiber.join(leader)).body, "1")
        assert.strictEqual((yield* Fiber.join(follower)).body, "down")
      }).pipe(provide))

    it.scoped("one that a tag made stale says so", () =>
      Effect.gen(function*() {
        const { app } = giving({ headers: { "cache-control": "max-age=600" } })
        const client = yield* serve(HttpCache.middleware({ grace: "1 minute", tags: ["t"] })(app))
        yield* client.get("/a")
        yield* Cache.invalidateTags(["t"], { mode: "soft" })
        const stale = yield* client.get("/a")
        assert.deepStrictEqual([stale.body, stale.headers["cache-status"]], ["1", "http; hit; ttl=-1"])
      }).pipe(provide))

    it.scoped("RFC 9111 §4.4: ends with an answer to an unsafe method, where it names it too", () =>
      Effect.gen(function*() {
        const { app, asked } = giving(
          { headers: { "cache-control": "max-age=60" } },
          {
            headers: { "cache-control": "max-age=60" }
          },
          { status: 500 },
          { headers: { location: "/b" } },
          { headers: { "cache-control": "max-age=60" } }
        )
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a?x=1")
        yield* client.get("/b")
        yield* client.ask("/a?x=1", { method: "POST" })
        assert.strictEqual((yield* client.get("/a?x=1")).body, "1")
        yield* client.ask("/a?x=1", { method: "DELETE" })
        assert.strictEqual((yield* client.get("/a?x=1")).body, "5")
        assert.strictEqual((yield* client.get("/b")).body, "6")
        assert.strictEqual(asked.length, 6)
      }).pipe(provide))

    for (
      const [name, value] of [
        ["if-match", "\"other\""],
        ["if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"]
      ] as const
    ) {
      it.scoped(`RFC 9111 §4.3.2: the app's 412 by ${name} is sent as it is, by every method, and ends nothing`, () =>
        Effect.gen(function*() {
          const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers, method }) =>
            headers[name] === value
              ? HttpServerResponse.text(`not by ${method}`, { status: 412 })
              : HttpServerResponse.text("page", { headers: { "cache-control": "max-age=60", etag: "\"a\"" } }))
          const client = yield* serve(HttpCache.middleware()(app))
          const refused = (method: string) =>
            Effect.gen(function*() {
              const { body, headers, status } = yield* client.ask("/a", { method, headers: { [name]: value } })
              assert.deepStrictEqual([status, body], [412, method === "HEAD" ? "" : `not by ${method}`], method)
              assert.include(headers["cache-status"], method === "GET" || method === "HEAD" ? "bypass" : "method")
            })
          for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]) yield* refused(method)
          yield* client.get("/a")
          for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]) yield* refused(method)
          assert.strictEqual((yield* client.get("/a")).headers["cache-status"], "http; hit; ttl=60")
        }).pipe(provide))
    }

    it.scoped("RFC 9110 §14: a stored body is sent in parts", () =>
      Effect.gen(function*() {
        const { app, asked } = giving({ headers: tagged, body: "0123456789" })
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        const part = yield* client.get("/a", { range: "bytes=2-4" })
        assert.deepStrictEqual(
          [part.status, part.body, part.headers["content-range"], part.headers["content-length"]],
          [206, "234", "bytes 2-4/10", "3"]
        )
        const none = yield* client.get("/a", { range: "bytes=10-" })
        assert.deepStrictEqual([none.status, none.headers["content-range"]], [416, "bytes */10"])
        for (const name of ["cache-control", "etag", "age", "content-type"]) {
          assert.isUndefined(none.headers[name], name)
        }
        assert.strictEqual((yield* client.get("/a", { range: "bytes=2-4", "if-range": "\"b\"" })).body, "0123456789")
        assert.strictEqual((yield* client.get("/a", { range: "bytes=2-4", "if-range": "\"a\"" })).body, "234")
        assert.strictEqual((yield* client.get("/a", { range: "bytes=2-4", "if-none-match": "\"a\"" })).status, 304)
        assert.strictEqual(asked.length, 1)
      }).pipe(provide))
  })
}
