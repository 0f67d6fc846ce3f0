/** RFC 9111 §5.2.1: what a client would like, and what of that is obeyed. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { accepts, type Offered, requestDirectives } from "../../src/internal/http/requestDirectives.js"
import { arrivals, memory, serve, storages } from "./support.js"

const says = (cacheControl: string) => requestDirectives({ "cache-control": cacheControl }, "full")!
const offered: Offered = { ageMillis: 10_000, lifetimeMillis: 60_000, mayBeStale: true, isNewer: false }
const stale: Offered = { ...offered, ageMillis: 70_000 }

describe("RFC 9111 §5.2.1: of a request's directives", () => {
  it("none is obeyed, or those that harm nobody, or all", () => {
    const fields = { "cache-control": "no-cache, no-store, only-if-cached, max-age=1, max-stale, min-fresh=2" }
    assert.isUndefined(requestDirectives(fields, "ignore"))
    assert.deepStrictEqual(requestDirectives(fields, "safe"), {
      noCache: false,
      noStore: true,
      onlyIfCached: true,
      maxAgeMillis: undefined,
      maxStaleMillis: undefined,
      minFreshMillis: undefined
    })
    assert.deepStrictEqual(requestDirectives(fields, "full"), {
      noCache: true,
      noStore: true,
      onlyIfCached: true,
      maxAgeMillis: 1000,
      maxStaleMillis: Infinity,
      minFreshMillis: 2000
    })
  })

  it("those that are malformed allow nothing", () => {
    assert.strictEqual(says("max-stale=x").maxStaleMillis, 0)
    assert.strictEqual(says("max-stale, max-stale=5").maxStaleMillis, 5000)
    assert.strictEqual(says("max-age='9'").maxAgeMillis, 0)
    assert.isTrue(says("No-Cache;").noCache)
  })

  it("§5.4: Pragma: no-cache counts where there is no Cache-Control", () => {
    assert.isTrue(requestDirectives({ pragma: "no-cache" }, "full")?.noCache)
    assert.isUndefined(requestDirectives({ pragma: "no-cache" }, "safe"))
    assert.isFalse(requestDirectives({ pragma: "no-cache", "cache-control": "max-age=5" }, "full")?.noCache)
    assert.isUndefined(requestDirectives({ pragma: "foo" }, "full"))
  })

  it("§5.2.1.1: max-age takes nothing older, and nothing stale unless max-stale is there too", () => {
    assert.isFalse(accepts(says("max-age=9"), offered))
    assert.isUndefined(accepts(says("max-age=10"), offered))
    assert.isFalse(accepts(says("max-age=99"), stale))
    assert.isTrue(accepts(says("max-age=99, max-stale=20"), stale))
  })

  it("§5.2.1.2: max-stale takes what exceeded its lifetime by no more, where no directive forbids it", () => {
    assert.isTrue(accepts(says("max-stale"), stale))
    assert.isTrue(accepts(says("max-stale=11"), stale))
    assert.isFalse(accepts(says("max-stale=10"), stale))
    assert.isFalse(accepts(says("max-stale"), { ...stale, mayBeStale: false }))
  })

  it("§5.2.1.3: min-fresh takes what is still fresh for as long", () => {
    assert.isUndefined(accepts(says("min-fresh=50"), offered))
    assert.isFalse(accepts(says("min-fresh=51"), offered))
    assert.isFalse(accepts(says("min-fresh=0"), stale))
  })

  it("§5.2.1.4: no-cache takes only what came since", () => {
    assert.isFalse(accepts(says("no-cache"), offered))
    assert.isTrue(accepts(says("no-cache, max-age=1"), { ...offered, isNewer: true }))
  })
})

const counting = (cacheControl = "max-age=60", etag?: string) => {
  const source = { runs: 0, conditional: 0 }
  const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
    source.runs++
    if (etag !== undefined && headers["if-none-match"] === etag) {
      source.conditional++
      return HttpServerResponse.empty({ status: 304, headers: { etag } })
    }
    return HttpServerResponse.text(String(source.runs), {
      headers: { "cache-control": cacheControl, ...(etag === undefined ? {} : { etag }) }
    })
  })
  return { source, app }
}
const wants = (cacheControl: string) => ({ "cache-control": cacheControl })

for (const storage of storages) {
  describe(`clientDirectives over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("are ignored by default", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const client = yield* serve(HttpCache.middleware()(app))
        for (const directive of ["max-age=60", "no-cache", "max-age=0", "no-store", "only-if-cached"]) {
          assert.strictEqual((yield* client.get("/a", wants(directive))).body, "1")
        }
        assert.strictEqual((yield* client.get("/b", wants("only-if-cached"))).status, 200)
        assert.strictEqual((yield* client.get("/a", { pragma: "no-cache" })).body, "1")
        assert.strictEqual(source.runs, 2)
      }).pipe(provide))

    it.scoped("safe: what is not stored is 504 to only-if-cached, and no-store stores nothing", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const client = yield* serve(HttpCache.middleware({ clientDirectives: "safe" })(app))
        const none = yield* client.get("/a", wants("only-if-cached"))
        assert.strictEqual(none.status, 504)
        assert.strictEqual(none.headers["cache-status"], "http; detail=only-if-cached")
        const bypassing = yield* client.get("/a", { ...wants("only-if-cached"), authorization: "x" })
        assert.strictEqual(bypassing.status, 504)
        assert.strictEqual((yield* client.get("/a", wants("no-store"))).body, "1")
        assert.strictEqual((yield* client.get("/a", wants("no-cache"))).body, "2")
        assert.strictEqual((yield* client.get("/a", wants("no-store, no-cache"))).body, "2")
        assert.strictEqual((yield* client.get("/a", wants("only-if-cached"))).body, "2")
        assert.strictEqual(source.runs, 2)
      }).pipe(provide))

    it.scoped("full: no-cache validates, and what it brings is stored", () =>
      Effect.gen(function*() {
        const { app, source } = counting("max-age=60", "\"a\"")
        const client = yield* serve(HttpCache.middleware({ clientDirectives: "full" })(app))
        yield* client.get("/a")
        yield* TestClock.adjust("10 seconds")
        const validated = yield* client.get("/a", wants("no-cache"))
        assert.strictEqual(validated.body, "1")
        assert.deepStrictEqual(source, { runs: 2, conditional: 1 })
        assert.strictEqual((yield* client.get("/a", { pragma: "no-cache" })).body, "1")
        assert.deepStrictEqual(source, { runs: 3, conditional: 2 })
        assert.strictEqual((yield* client.get("/a")).headers["age"], "0")
        assert.strictEqual(source.runs, 3)
      }).pipe(provide))

    it.scoped("full: max-age and min-fresh run the app where what is stored does not do", () =>
      Effect.gen(function*() {
        const { app } = counting()
        const client = yield* serve(HttpCache.middleware({ clientDirectives: "full" })(app))
        yield* client.get("/a")
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* client.get("/a", wants("max-age=10"))).body, "1")
        assert.strictEqual((yield* client.get("/a", wants("min-fresh=50"))).body, "1")
        assert.strictEqual((yield* client.get("/a", wants("min-fresh=51"))).body, "2")
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* client.get("/a", wants("max-age=9"))).body, "3")
      }).pipe(provide))

    it.scoped("full: max-stale is answered by what is stale, and by nothing that must-revalidate or s-maxage forbid", () =>
      Effect.gen(function*() {
        for (
          const [cacheControl, body] of [
            ["max-age=10", "1"],
            ["max-age=10, must-revalidate", "2"],
            ["max-age=10, proxy-revalidate", "2"],
            ["s-maxage=10", "2"]
          ] as const
        ) {
          const { app } = counting(cacheControl)
          const client = yield* serve(HttpCache.middleware({ clientDirectives: "full", name: cacheControl })(app))
          yield* client.get("/a")
          yield* TestClock.adjust("15 seconds")
          assert.strictEqual((yield* client.get("/a", wants("max-stale=6"))).body, body, cacheControl)
          assert.strictEqual((yield* client.get("/a", wants("max-stale=4"))).body, "2", cacheControl)
        }
      }).pipe(provide))

    it.scoped("full: max-stale does not bring back what a tag has ended", () =>
      Effect.gen(function*() {
        const { app } = counting()
        const client = yield* serve(HttpCache.middleware({ clientDirectives: "full", tags: ["t"] })(app))
        yield* client.get("/a")
        yield* Cache.invalidateTags(["t"], { mode: "soft" })
        assert.strictEqual((yield* client.get("/a", wants("max-stale"))).body, "2")
        yield* Cache.invalidateTags(["t"])
        assert.strictEqual((yield* client.get("/a", wants("max-stale"))).body, "3")
      }).pipe(provide))

    it.scoped("full: who asks with no-cache at once waits for one run", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const gate = yield* Deferred.make<void>()
        const { reach, through } = arrivals()
        let isGated = false
        const gated = Effect.suspend(() => isGated ? Effect.zipRight(Deferred.await(gate), app) : app)
        const client = yield* serve(through(HttpCache.middleware({ clientDirectives: "full" })(gated)))
        yield* client.get("/a")
        isGated = true
        const asking = yield* Effect.fork(
          Effect.all(Array.from({ length: 20 }, () => client.get("/a", wants("no-cache"))), {
            concurrency: "unbounded"
          })
        )
        yield* reach(21)
        yield* Deferred.succeed(gate, undefined)
        for (const { body } of yield* Fiber.join(asking)) assert.strictEqual(body, "2")
        assert.strictEqual(source.runs, 2)
      }).pipe(provide))

    it.scoped("may be for those alone whom the program trusts", () =>
      Effect.gen(function*() {
        const { app } = counting()
        const client = yield* serve(
          HttpCache.middleware({ clientDirectives: ({ headers }) => headers["x-trust"] === "1" ? "full" : "ignore" })(
            app
          )
        )
        yield* client.get("/a")
        assert.strictEqual((yield* client.get("/a", wants("no-cache"))).body, "1")
        assert.strictEqual((yield* client.get("/a", { ...wants("no-cache"), "x-trust": "1" })).body, "2")
      }).pipe(provide))
  })
}

describe("clientDirectives", () => {
  it("that are none are refused", () => {
    assert.throws(() => HttpCache.middleware({ clientDirectives: "all" as any }), /HttpCache "http": clientDirectives/)
  })
})
