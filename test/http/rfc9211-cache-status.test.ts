/** RFC 9211: Cache-Status. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { appendStatus, identifierOf } from "../../src/internal/http/cacheStatus.js"
import { arrivals, memory, serve, storages } from "./support.js"

describe("RFC 9211 §2: Cache-Status", () => {
  it("a cache's name is a token, or a string", () => {
    assert.strictEqual(identifierOf("ExampleCache"), "ExampleCache")
    assert.strictEqual(identifierOf("my \"cache\"\n"), "\"my \\\"cache\\\"?\"")
    assert.strictEqual(identifierOf("1st"), "\"1st\"")
  })

  it("the cache nearest to the origin comes first", () => {
    assert.strictEqual(
      appendStatus("inner; hit", "outer", { forward: "uri-miss", isStored: true }),
      "inner; hit, outer; fwd=uri-miss; stored"
    )
  })

  it("§2.1: a hit says how long it is fresh, below zero where it is stale", () => {
    assert.strictEqual(appendStatus(undefined, "c", { ttlMillis: 1999 }), "c; hit; ttl=1")
    assert.strictEqual(appendStatus(undefined, "c", { ttlMillis: -1 }), "c; hit; ttl=-1")
  })

  it("§2.6: a request that used another's answer is collapsed", () => {
    assert.strictEqual(
      appendStatus(undefined, "c", { forward: "vary-miss", isCollapsed: true }),
      "c; fwd=vary-miss; collapsed"
    )
  })
})

for (const storage of storages) {
  describe(`RFC 9211 §2: Cache-Status on the wire, over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    /** An app that says 304 to who has it, and what it says otherwise can be set. */
    const app = (source: { status: number; control: string }, before: Effect.Effect<unknown> = Effect.void) =>
      Effect.zipRight(
        before,
        Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          source.status !== 200
            ? HttpServerResponse.text("down", { status: source.status })
            : headers["if-none-match"] === "\"a\""
            ? HttpServerResponse.empty({ status: 304, headers: { etag: "\"a\"", "cache-control": source.control } })
            : HttpServerResponse.text("page", { headers: { etag: "\"a\"", "cache-control": source.control } }))
      )

    it.scoped("§2.2, §2.3: what was stale and validated says so, and that the app said 304", () =>
      Effect.gen(function*() {
        const client = yield* serve(HttpCache.middleware()(app({ status: 200, control: "max-age=10" })))
        const statusOf = (headers: Record<string, string> = {}) =>
          Effect.map(client.get("/a", headers), ({ headers }) => headers["cache-status"])
        assert.strictEqual(yield* statusOf(), "http; fwd=uri-miss; stored")
        yield* TestClock.adjust("11 seconds")
        assert.strictEqual(yield* statusOf(), "http; fwd=stale; fwd-status=304; stored")
        yield* TestClock.adjust("11 seconds")
        // The client's own 304 is what the app said.
        assert.strictEqual(yield* statusOf({ "if-none-match": "\"a\"" }), "http; fwd=stale; stored")
      }).pipe(provide))

    it.scoped("§2.2: an answer that is validated each time is no miss", () =>
      Effect.gen(function*() {
        const client = yield* serve(HttpCache.middleware()(app({ status: 200, control: "no-cache" })))
        yield* client.get("/a")
        assert.strictEqual(
          (yield* client.get("/a")).headers["cache-status"],
          "http; fwd=stale; fwd-status=304; stored"
        )
      }).pipe(provide))

    it.scoped("§2.3: a 304 or a part that the cache made of the app's 200 says so, for who waited too", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { reach, through } = arrivals()
        const client = yield* serve(
          through(HttpCache.middleware()(app({ status: 200, control: "max-age=10" }, Deferred.await(gate))))
        )
        const first = yield* Effect.fork(client.get("/a", { "if-none-match": "*" }))
        yield* reach(1)
        const others = yield* Effect.fork(Effect.all(
          [client.get("/a"), client.get("/a", { "if-none-match": "*" }), client.get("/a", { range: "bytes=0-1" })],
          { concurrency: "unbounded" }
        ))
        yield* reach(4)
        yield* Deferred.succeed(gate, undefined)
        const seen = [yield* Fiber.join(first), ...yield* Fiber.join(others)].map((
          { headers, status }
        ) => [status, headers["cache-status"]])
        assert.deepStrictEqual(seen, [
          [304, "http; fwd=uri-miss; fwd-status=200; stored"],
          [200, "http; fwd=uri-miss; ttl=10; collapsed"],
          [304, "http; fwd=uri-miss; fwd-status=200; ttl=10; collapsed"],
          [206, "http; fwd=uri-miss; fwd-status=200; ttl=10; collapsed"]
        ])
      }).pipe(provide))

    it.scoped("§2.1, §2.8: a stale answer in place of an error is no hit, and says which error", () =>
      Effect.gen(function*() {
        const source = { status: 200, control: "max-age=10, stale-if-error=60" }
        const client = yield* serve(HttpCache.middleware({ hitHeader: "X-Cache" })(app(source)))
        yield* client.get("/a")
        yield* TestClock.adjust("14 seconds")
        source.status = 503
        const { body, headers } = yield* client.get("/a")
        assert.deepStrictEqual(
          [body, headers["cache-status"], headers["x-cache"]],
          ["page", "http; fwd=stale; fwd-status=503; ttl=-4; detail=stale-if-error", "STALE"]
        )
      }).pipe(provide))
  })
}
