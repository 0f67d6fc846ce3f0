/** RFC 9111 §4.4: invalidation by unsafe methods. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { invalidatedUrls, isInvalidating } from "../../src/internal/http/invalidation.js"
import { memory, serve } from "./support.js"

describe("RFC 9111 §4.4: what is stored ends", () => {
  it("by a non-error answer to an unsafe method, or to one that is not known", () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"]) {
      for (const status of [200, 201, 204, 302]) assert.isTrue(isInvalidating(method, status))
      for (const status of [100, 400, 404, 500]) assert.isFalse(isInvalidating(method, status))
    }
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE"]) assert.isFalse(isInvalidating(method, 200))
  })

  for (const [how, failing] of [["fails", Effect.fail], ["dies", Effect.die]] as const) {
    it.scoped(`by an answer with which the app ${how}`, () =>
      Effect.gen(function*() {
        let runs = 0
        const page = Effect.sync(() =>
          HttpServerResponse.text(`page ${++runs}`, { headers: { "cache-control": "max-age=60" } })
        )
        const app = Effect.flatMap(
          HttpServerRequest.HttpServerRequest,
          ({ method, url }) =>
            method === "GET" ? page : failing(HttpServerResponse.empty({ status: url === "/bad" ? 400 : 303 }))
        )
        const { ask, get } = yield* serve(HttpCache.middleware()(app))
        for (const path of ["/good", "/bad"]) yield* get(path)
        assert.strictEqual((yield* ask("/good", { method: "POST" })).status, 303)
        assert.strictEqual((yield* ask("/bad", { method: "POST" })).status, 400)
        assert.strictEqual((yield* get("/good")).body, "page 3")
        assert.strictEqual((yield* get("/bad")).body, "page 2")
      }).pipe(Effect.provide(memory())))
  }

  it.scoped("T29: by an unsafe method while the page is being made: what was read before is not stored", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const started = yield* Deferred.make<void>()
      let value = "old"
      const app = Effect.gen(function*() {
        const { method } = yield* HttpServerRequest.HttpServerRequest
        if (method === "POST") {
          value = "new"
          return HttpServerResponse.empty()
        }
        const read = value
        yield* Deferred.succeed(started, undefined)
        yield* Deferred.await(gate)
        return HttpServerResponse.text(read, { headers: { "cache-control": "max-age=60" } })
      })
      const { ask, get } = yield* serve(HttpCache.middleware()(app))
      const slow = yield* Effect.fork(get("/a"))
      yield* Deferred.await(started)
      yield* ask("/a", { method: "POST" })
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(slow)).body, "old")
      assert.strictEqual((yield* get("/a")).body, "new")
    }).pipe(Effect.provide(memory())))

  it("under the target, Location and Content-Location", () => {
    assert.deepStrictEqual(
      invalidatedUrls("http://a.example/x/y?q=1", { location: "/z", "content-location": "w?b=2" }),
      ["http://a.example/x/y?q=1", "http://a.example/z", "http://a.example/x/w?b=2"]
    )
  })

  it("never at another origin", () => {
    for (const location of ["http://b.example/z", "//b.example/z", "https://a.example/z", "http://a.example:81/z"]) {
      assert.deepStrictEqual(invalidatedUrls("http://a.example/x", { location }), ["http://a.example/x"], location)
    }
    assert.deepStrictEqual(invalidatedUrls("http://a.example/x", { location: "http://[" }), ["http://a.example/x"])
  })
})
