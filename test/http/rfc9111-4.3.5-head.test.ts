/** RFC 9111 §4.3.5: what a HEAD tells of the stored answer to a GET. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { headSays } from "../../src/internal/http/validation.js"
import { arrivals, memory, serve, storages } from "./support.js"

const stored = {
  headers: { etag: "\"a\"", "last-modified": "m" },
  validating: { "if-none-match": "\"a\"", "if-modified-since": "m" },
  body: new Uint8Array(3)
}

describe("RFC 9111 §4.3.5: the response to a HEAD", () => {
  it("is of the same answer if all validators that it has match, and its Content-Length does", () => {
    assert.strictEqual(headSays({ etag: "\"a\"" }, stored), "same")
    assert.strictEqual(headSays({ "last-modified": "m" }, stored), "same")
    assert.strictEqual(headSays({ etag: "\"a\"", "last-modified": "m", "content-length": "3" }, stored), "same")
  })

  it("is of another if one does not", () => {
    assert.strictEqual(headSays({ etag: "\"b\"" }, stored), "changed")
    assert.strictEqual(headSays({ etag: "\"a\"", "last-modified": "n" }, stored), "changed")
    assert.strictEqual(headSays({ etag: "\"a\"", "content-length": "4" }, stored), "changed")
    assert.strictEqual(headSays({ "content-length": "4" }, stored), "changed")
  })

  it("says nothing where it has no validator", () => {
    assert.isUndefined(headSays({}, stored))
    assert.isUndefined(headSays({ "content-length": "3" }, stored))
  })

  it("is not compared with a validator that the app did not give", () => {
    assert.strictEqual(headSays({ etag: "\"a\"" }, { ...stored, validating: {} }), "changed")
  })
})

/** Answers GET with how often, and both with what is given now. */
const making = (headers: Record<string, string>) => {
  const source = { gets: 0, heads: 0, headers, cookie: false }
  const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ method }) => {
    if (method === "HEAD") source.heads++
    else source.gets++
    const response = method === "HEAD"
      ? HttpServerResponse.empty({ status: 200, headers: source.headers })
      : HttpServerResponse.text(String(source.gets), { headers: source.headers })
    return Effect.orDie(source.cookie ? HttpServerResponse.setCookie(response, "a", "1") : Effect.succeed(response))
  })
  return { source, app }
}
const tagged = { "cache-control": "max-age=10", etag: "\"a\"", x: "1" }
const head = { method: "HEAD" }

for (const storage of storages) {
  describe(`a HEAD over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("freshens a stale answer that is the same", () =>
      Effect.gen(function*() {
        const { app, source } = making(tagged)
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        yield* TestClock.adjust("11 seconds")
        source.headers = { ...tagged, x: "2" }
        assert.strictEqual((yield* client.ask("/a", head)).headers["cache-status"], "http; fwd=stale")
        yield* TestClock.adjust("5 seconds")
        const reply = yield* client.get("/a")
        assert.deepStrictEqual([reply.body, reply.headers["x"], reply.headers["age"]], ["1", "2", "5"])
        assert.strictEqual(reply.headers["cache-status"], "http; hit; ttl=5")
        assert.deepStrictEqual([source.gets, source.heads], [1, 1])
      }).pipe(provide))

    it.scoped("freshens a variant, and that one only", () =>
      Effect.gen(function*() {
        const { app, source } = making({ ...tagged, vary: "X-Kind" })
        const client = yield* serve(HttpCache.middleware()(app))
        for (const kind of ["a", "b"]) yield* client.get("/a", { "x-kind": kind })
        yield* TestClock.adjust("11 seconds")
        yield* client.ask("/a", { ...head, headers: { "x-kind": "a" } })
        assert.strictEqual((yield* client.get("/a", { "x-kind": "a" })).body, "1")
        assert.strictEqual(source.gets, 2)
        yield* client.get("/a", { "x-kind": "b" })
        assert.strictEqual(source.gets, 3)
      }).pipe(provide))

    it.scoped("ends one that has changed: it is not validated, nor sent in place of an error", () =>
      Effect.gen(function*() {
        const { app, source } = making(tagged)
        const client = yield* serve(HttpCache.middleware({ staleIfError: "1 hour" })(app))
        yield* client.get("/a")
        yield* TestClock.adjust("11 seconds")
        source.headers = { ...tagged, etag: "\"b\"" }
        yield* client.ask("/a", head)
        assert.strictEqual((yield* client.get("/a")).body, "2")
      }).pipe(provide))

    it.scoped("changes nothing where it has no validator, may not be stored, or is a user's", () =>
      Effect.gen(function*() {
        for (
          const { asking = head, cookie = false, headers } of [
            { headers: { "cache-control": "max-age=10", x: "2" } },
            { headers: { ...tagged, "cache-control": "private, max-age=10", x: "2" } },
            { headers: { ...tagged, x: "2" }, cookie: true },
            { headers: { ...tagged, x: "2" }, asking: { ...head, headers: { cookie: "sid=1" } } },
            { headers: { ...tagged, etag: "\"b\"", x: "2" }, asking: { ...head, headers: { cookie: "sid=1" } } }
          ]
        ) {
          const { app, source } = making(tagged)
          const name = JSON.stringify({ headers, asking, cookie }).slice(0, 90)
          const client = yield* serve(HttpCache.middleware({ name, staleIfError: "1 hour" })(app))
          yield* client.get("/a")
          yield* TestClock.adjust("11 seconds")
          source.headers = headers
          source.cookie = cookie
          yield* client.ask("/a", asking)
          source.headers = { "cache-control": "no-store", x: "3" }
          source.cookie = false
          const reply = yield* client.get("/a")
          assert.deepStrictEqual([reply.body, reply.headers["x"]], ["2", "3"], name)
        }
      }).pipe(provide))

    for (const [name, value] of [["cookie", "sid=1"], ["authorization", "Bearer ada"]] as const) {
      it.scoped(`of a user, by ${name}, neither freshens nor ends what is for all`, () =>
        Effect.gen(function*() {
          const forAll = { ...tagged, "cache-control": "public, max-age=10" }
          const { app, source } = making(forAll)
          const failing = Effect.suspend(() =>
            source.headers === forAll ? app : Effect.succeed(HttpServerResponse.empty({ status: 500 }))
          )
          const policy = HttpCache.middleware({ authorization: "shared", staleIfError: "1 hour" })
          const client = yield* serve(
            policy(
              Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ method }) => method === "HEAD" ? app : failing)
            )
          )
          yield* client.get("/a")
          yield* TestClock.adjust("11 seconds")
          const asking = { ...head, headers: { [name]: value } }
          assert.include((yield* client.ask("/a", asking)).headers["cache-status"], "fwd=stale")
          source.headers = { ...forAll, etag: "\"b\"" }
          assert.include((yield* client.ask("/a", asking)).headers["cache-status"], "fwd=stale")
          // The app fails: neither was it freshened, nor has it ended.
          const reply = yield* client.get("/a")
          assert.deepStrictEqual([reply.body, reply.headers["age"]], ["1", "11"])
          assert.include(reply.headers["cache-status"], "ttl=-1")
        }).pipe(provide))
    }

    it.scoped("does not bring back what is invalidated while it is answered", () =>
      Effect.gen(function*() {
        const { app, source } = making(tagged)
        const gate = yield* Deferred.make<void>()
        const { reach, through } = arrivals()
        const gated = Effect.suspend(() => source.gets === 1 ? Effect.zipRight(Deferred.await(gate), app) : app)
        const client = yield* serve(HttpCache.middleware()(through(gated)))
        yield* client.get("/a")
        yield* TestClock.adjust("11 seconds")
        const asking = yield* Effect.fork(client.ask("/a", head))
        yield* reach(2)
        assert.isTrue(yield* HttpCache.invalidate("/a", { origin: `http://localhost:${client.port}` }))
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(asking)
        assert.strictEqual((yield* client.get("/a")).body, "2")
      }).pipe(provide))

    it.scoped("that misses stores nothing", () =>
      Effect.gen(function*() {
        const { app, source } = making(tagged)
        const client = yield* serve(HttpCache.middleware()(app))
        for (let i = 0; i < 2; i++) yield* client.ask("/a", head)
        assert.strictEqual((yield* client.get("/a")).body, "1")
        assert.deepStrictEqual([source.gets, source.heads], [1, 2])
      }).pipe(provide))
  })
}
