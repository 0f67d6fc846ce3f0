/** What of an answer counts, and what of it is sent. */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { plainStatus } from "../../src/internal/http/cacheStatus.js"
import { parseSurrogateControl, tagsIn } from "../../src/internal/http/surrogate.js"
import { directivesOf } from "../../src/internal/http/targeted.js"
import { arrivals, memory, serve, storages } from "./support.js"

/** Answers with how often it ran. */
const counting = (headers: Record<string, string> | ((runs: number) => Record<string, string>), status = 200) => {
  const source = { runs: 0 }
  const app = Effect.sync(() => {
    const runs = ++source.runs
    return HttpServerResponse.text(String(runs), {
      status,
      headers: typeof headers === "function" ? headers(runs) : headers
    })
  })
  return { source, app }
}
const fresh = { "cache-control": "max-age=60" }

describe("Edge Architecture §2.2: Surrogate-Control", () => {
  it("has no-store, and max-age with the time it may be sent stale", () => {
    const parsed = parseSurrogateControl("content=\"ESI/1.0\", max-age=3600+600")
    assert.strictEqual(parsed?.maxAge, 3600)
    assert.strictEqual(parsed?.staleWhileRevalidate, 600)
    assert.isTrue(parseSurrogateControl("No-Store, max-age=5")?.noStore)
  })

  it("is not about this cache where it names another, and stands in for nothing where it only says what is in it", () => {
    assert.strictEqual(parseSurrogateControl("max-age=3600;other, max-age=5")?.maxAge, 5)
    for (const value of ["no-store;other", "content=\"ESI/1.0\"", "", ","]) {
      assert.isUndefined(parseSurrogateControl(value), value)
    }
    const headers = { "surrogate-control": "content=\"ESI/1.0\"", "cache-control": "private" }
    assert.isTrue(directivesOf(headers, ["surrogate-control"]).cacheControl.private)
  })

  it("that is malformed is stale", () => {
    for (const value of ["max-age=x", "max-age", "max-age=1+", "max-age=-1"]) {
      assert.strictEqual(parseSurrogateControl(value)?.maxAge, 0, value)
    }
    assert.strictEqual(parseSurrogateControl("max-age=9, max-age=5")?.maxAge, 5)
  })
})

describe("tags in fields", () => {
  it("are between commas and white space, each once", () => {
    const headers = { "cache-tag": "a,b , c", "surrogate-key": " c d\te " }
    assert.deepStrictEqual(tagsIn(headers, ["cache-tag", "surrogate-key", "x"]), ["a", "b", "c", "d", "e"])
  })
})

describe("the status in one word", () => {
  it("is HIT, STALE, MISS or BYPASS", () => {
    assert.strictEqual(plainStatus({ ttlMillis: 1 }), "HIT")
    assert.strictEqual(plainStatus({ ttlMillis: -1 }), "STALE")
    for (const forward of ["uri-miss", "vary-miss", "stale", "request"] as const) {
      assert.strictEqual(plainStatus({ forward }), "MISS")
    }
    for (const forward of ["bypass", "method"] as const) assert.strictEqual(plainStatus({ forward }), "BYPASS")
    assert.strictEqual(plainStatus({ detail: "only-if-cached" }), "MISS")
  })
})

for (const storage of storages) {
  describe(`answers over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("statuses as a record: each has its own time, and what it says itself comes first", () =>
      Effect.gen(function*() {
        const options = { timeToLive: "1 minute", statuses: { 404: "10 seconds", 503: "1 second" } } as const
        for (const [status, seconds] of [[404, 10], [503, 1], [200, 60]] as const) {
          const { app, source } = counting({}, status)
          const client = yield* serve(HttpCache.middleware({ ...options, name: String(status) })(app))
          yield* client.get("/a")
          yield* TestClock.adjust(`${seconds * 1000 - 1} millis`)
          assert.strictEqual((yield* client.get("/a")).body, "1")
          yield* TestClock.adjust("1 millis")
          assert.strictEqual((yield* client.get("/a")).body, "2", String(status))
          assert.strictEqual(source.runs, 2)
        }
        const own = counting({ "cache-control": "no-store" }, 404)
        const client = yield* serve(HttpCache.middleware({ ...options, name: "own" })(own.app))
        for (let i = 0; i < 2; i++) yield* client.get("/a")
        assert.strictEqual(own.source.runs, 2)
        const other = counting({}, 500)
        const others = yield* serve(HttpCache.middleware({ ...options, name: "other" })(other.app))
        for (let i = 0; i < 2; i++) yield* others.get("/a")
        assert.strictEqual(other.source.runs, 2)
      }).pipe(provide))

    it.scoped("statuses: what the app fails with is an answer where it interrupts another, and none beside a defect", () =>
      Effect.gen(function*() {
        const missing = Effect.fail(HttpServerResponse.empty({ status: 404 }))
        const second = (app: Effect.Effect<never, HttpServerResponse.HttpServerResponse>, name: string) =>
          Effect.gen(function*() {
            const client = yield* serve(HttpCache.middleware({ name, statuses: { 404: "10 seconds" } })(app))
            yield* client.get("/a")
            return (yield* client.get("/a")).headers["cache-status"]
          })
        const both = Effect.zipRight(Effect.all([Effect.never, missing], { concurrency: 2 }), Effect.never)
        assert.strictEqual(yield* second(both, "both"), "both; hit; ttl=10")
        const defect = Effect.failCause(
          Cause.parallel(Cause.die(new Error("a bug")), Cause.fail(yield* Effect.flip(missing)))
        )
        assert.strictEqual(yield* second(defect, "defect"), "defect; fwd=uri-miss")
      }).pipe(provide))

    it.scoped("statuses: a page that is not there is stored where the app fails with it too", () =>
      Effect.gen(function*() {
        let runs = 0
        const router = HttpRouter.empty.pipe(
          HttpRouter.get(
            "/a",
            Effect.suspend(() => Effect.fail(HttpServerResponse.text(`${++runs}`, { status: 404 })))
          ),
          HttpRouter.get(
            "/moved",
            Effect.suspend(() => Effect.die(HttpServerResponse.text(`${++runs}`, { status: 301, headers: fresh })))
          )
        )
        const client = yield* serve(HttpCache.middleware({ statuses: { 404: "10 seconds" } })(router))
        const seen = (path: string) =>
          Effect.map(client.get(path), ({ body, headers, status }) => [status, body, headers["cache-status"]])
        assert.deepStrictEqual(yield* seen("/a"), [404, "1", "http; fwd=uri-miss; stored"])
        assert.deepStrictEqual(yield* seen("/a"), [404, "1", "http; hit; ttl=10"])
        assert.deepStrictEqual(yield* seen("/none"), [404, "", "http; fwd=uri-miss; stored"])
        assert.deepStrictEqual(yield* seen("/none"), [404, "", "http; hit; ttl=10"])
        assert.deepStrictEqual(yield* seen("/moved"), [301, "2", "http; fwd=uri-miss; stored"])
        assert.deepStrictEqual(yield* seen("/moved"), [301, "2", "http; hit; ttl=60"])
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* seen("/a"), [404, "3", "http; fwd=uri-miss; stored"])
      }).pipe(provide))

    it.scoped("statuses: an error with which the app fails is not stored, whatever is said of its status", () =>
      Effect.gen(function*() {
        let runs = 0
        const client = yield* serve(
          HttpCache.middleware({ timeToLive: "1 minute", statuses: { 500: "1 minute" } })(
            Effect.suspend(() => ++runs === 1 ? Effect.fail("no") : HttpServerResponse.text(`${runs}`))
          )
        )
        assert.strictEqual((yield* client.get("/a")).status, 500)
        assert.strictEqual((yield* client.get("/a")).body, "2")
      }).pipe(provide))

    it.scoped("tagsFrom: what the field names ends the answer, and clients do not see the field", () =>
      Effect.gen(function*() {
        const { app } = counting({ ...fresh, "surrogate-key": "a b" })
        const client = yield* serve(HttpCache.middleware({ tagsFrom: ["Surrogate-Key"] })(app))
        for (let i = 0; i < 2; i++) assert.isUndefined((yield* client.get("/a")).headers["surrogate-key"])
        yield* HttpCache.invalidateTags(["c"])
        assert.strictEqual((yield* client.get("/a")).body, "1")
        yield* HttpCache.invalidateTags(["b"])
        assert.strictEqual((yield* client.get("/a")).body, "2")
        const past = yield* client.get("/a", { authorization: "x" })
        assert.isUndefined(past.headers["surrogate-key"])
        const kept = yield* serve(
          HttpCache.middleware({ name: "kept", tagsFrom: ["Surrogate-Key"], keepTagFields: true })(app)
        )
        for (let i = 0; i < 2; i++) assert.strictEqual((yield* kept.get("/a")).headers["surrogate-key"], "a b")
      }).pipe(provide))

    it.scoped("tagsFrom: a 304 without the field keeps the tags", () =>
      Effect.gen(function*() {
        let runs = 0
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
          runs++
          return headers["if-none-match"] === undefined
            ? HttpServerResponse.text("page", {
              headers: { "cache-control": "max-age=10", etag: "\"a\"", "cache-tag": "t" }
            })
            : HttpServerResponse.empty({ status: 304, headers: { "cache-control": "max-age=10", etag: "\"a\"" } })
        })
        const client = yield* serve(HttpCache.middleware({ tagsFrom: ["Cache-Tag"] })(app))
        yield* client.get("/a")
        yield* TestClock.adjust("20 seconds")
        yield* client.get("/a")
        yield* client.get("/a")
        assert.strictEqual(runs, 2)
        yield* HttpCache.invalidateTags(["t"])
        yield* client.get("/a")
        assert.strictEqual(runs, 3)
      }).pipe(provide))

    it.scoped("Surrogate-Control as a target: it counts, and clients do not see it", () =>
      Effect.gen(function*() {
        const { app, source } = counting({ "surrogate-control": "max-age=60", "cache-control": "no-store" })
        const client = yield* serve(HttpCache.middleware({ targets: ["Surrogate-Control"] })(app))
        for (let i = 0; i < 2; i++) {
          const { headers } = yield* client.get("/a")
          assert.isUndefined(headers["surrogate-control"])
          assert.strictEqual(headers["cache-control"], "no-store")
        }
        assert.strictEqual(source.runs, 1)
        const without = yield* serve(HttpCache.middleware({ name: "without" })(app))
        assert.strictEqual((yield* without.get("/a")).headers["surrogate-control"], "max-age=60")
      }).pipe(provide))

    it.scoped("hitHeader: one word, for 304 too, beside Cache-Status or without it", () =>
      Effect.gen(function*() {
        const { app } = counting({ ...fresh, "stale-while-revalidate": "60" })
        const client = yield* serve(
          HttpCache.middleware({ hitHeader: "X-Cache", cacheStatus: false, grace: "1 minute" })(app)
        )
        const first = yield* client.get("/a")
        assert.strictEqual(first.headers["x-cache"], "MISS")
        assert.isUndefined(first.headers["cache-status"])
        assert.strictEqual((yield* client.get("/a")).headers["x-cache"], "HIT")
        const unchanged = yield* client.get("/a", { "if-none-match": first.headers["etag"]! })
        assert.deepStrictEqual([unchanged.status, unchanged.headers["x-cache"]], [304, "HIT"])
        assert.strictEqual((yield* client.get("/a", { authorization: "x" })).headers["x-cache"], "BYPASS")
        yield* TestClock.adjust("61 seconds")
        assert.strictEqual((yield* client.get("/a")).headers["x-cache"], "STALE")
      }).pipe(provide))

    it.scoped("etag: weak, strong, one's own, or none", () =>
      Effect.gen(function*() {
        const { app } = counting(fresh)
        const etagOf = (options: HttpCache.Options, name: string) =>
          Effect.flatMap(serve(HttpCache.middleware({ ...options, name })(app)), (client) =>
            Effect.map(client.get("/a"), ({ headers }) => headers["etag"]))
        assert.match((yield* etagOf({}, "default"))!, /^W\/"/)
        assert.match((yield* etagOf({ etag: "strong" }, "strong"))!, /^"/)
        assert.strictEqual(
          yield* etagOf({
            etag: (body) =>
              `"${body.length}"`
          }, "own"),
          "\"1\""
        )
        assert.isUndefined(yield* etagOf({ etag: false }, "none"))
        const client = yield* serve(HttpCache.middleware({ etag: "strong" })(app))
        const { headers } = yield* client.get("/b")
        assert.strictEqual((yield* client.get("/b", { range: "bytes=0-0", "if-range": headers["etag"]! })).status, 206)
        const bad = yield* serve(HttpCache.middleware({ name: "bad", etag: () => "unquoted" })(app))
        assert.strictEqual((yield* bad.get("/a")).status, 500)
      }).pipe(provide))
  })

  describe(`Set-Cookie over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    /** Sets a cookie in the jar and, as only the program can, one by a field. */
    const setting = (source: { runs: number }, more: Record<string, string> = {}) =>
      Effect.suspend(() => {
        const run = ++source.runs
        const response = HttpServerResponse.text(`run ${run}`, { headers: { ...fresh, ...more } })
        return Effect.orDie(HttpServerResponse.setCookie(response, "run", String(run), { path: "/" }))
      })

    it.scoped("bypass, the default: is not stored", () =>
      Effect.gen(function*() {
        const source = { runs: 0 }
        const client = yield* serve(HttpCache.middleware()(setting(source)))
        for (const run of [1, 2]) {
          assert.strictEqual((yield* client.get("/a")).headers["set-cookie"], `run=${run}; Path=/`)
        }
      }).pipe(provide))

    it.scoped("strip: who ran the app gets the cookie, who waited and who comes later do not", () =>
      Effect.gen(function*() {
        const source = { runs: 0 }
        const gate = yield* Deferred.make<void>()
        const { reach, through } = arrivals()
        const app = Effect.zipRight(Deferred.await(gate), setting(source))
        const client = yield* serve(through(HttpCache.middleware({ setCookie: "strip" })(app)))
        const asking = yield* Effect.fork(
          Effect.all(Array.from({ length: 10 }, () => client.get("/a")), { concurrency: "unbounded" })
        )
        yield* reach(10)
        yield* Deferred.succeed(gate, undefined)
        const replies = [...yield* Fiber.join(asking), yield* client.get("/a")]
        assert.deepStrictEqual(
          replies.flatMap(({ headers }) => headers["set-cookie"] ?? []),
          ["run=1; Path=/"]
        )
        assert.strictEqual(source.runs, 1)
      }).pipe(provide))

    it.scoped("store: everybody gets the cookie, after a 304 too", () =>
      Effect.gen(function*() {
        const source = { runs: 0 }
        const client = yield* serve(
          HttpCache.middleware({ setCookie: "store" })(
            Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
              headers["if-none-match"] === undefined
                ? setting(source, { etag: "\"a\"" })
                : Effect.succeed(HttpServerResponse.empty({ status: 304, headers: { ...fresh, etag: "\"a\"" } })))
          )
        )
        for (let i = 0; i < 3; i++) assert.strictEqual((yield* client.get("/a")).headers["set-cookie"], "run=1; Path=/")
        yield* TestClock.adjust("2 minutes")
        for (let i = 0; i < 2; i++) assert.strictEqual((yield* client.get("/a")).headers["set-cookie"], "run=1; Path=/")
        assert.strictEqual(source.runs, 1)
      }).pipe(provide))

    it.scoped("strip: who ran the app gets the cookie of a streamed answer too", () =>
      Effect.gen(function*() {
        const app = Effect.orDie(
          HttpServerResponse.setCookie(
            HttpServerResponse.stream(Stream.make(new Uint8Array([65]), new Uint8Array([66])), { headers: fresh }),
            "a",
            "1"
          )
        )
        const client = yield* serve(HttpCache.middleware({ setCookie: "strip" })(app))
        const [first, second] = [yield* client.get("/a"), yield* client.get("/a")]
        assert.deepStrictEqual([first.body, first.headers["set-cookie"]], ["AB", "a=1"])
        assert.deepStrictEqual([second.body, second.headers["set-cookie"]], ["AB", undefined])
      }).pipe(provide))
  })
}

describe("options that are none are refused", () => {
  const throws = (options: unknown, message: RegExp) =>
    assert.throws(() => HttpCache.middleware(options as HttpCache.Options), message)
  it("by name", () => {
    throws({ setCookie: "keep" }, /setCookie must be "bypass", "strip" or "store"/)
    throws({ statuses: { 404: "never" } }, /statuses must be a duration/)
    for (const statuses of [404, { ok: "1 minute" }, [99], null]) throws({ statuses }, /statuses must be status codes/)
    throws({ tagsFrom: ["a b"] }, /tagsFrom must be a list of field names/)
    throws({ hitHeader: "X Cache" }, /hitHeader must be/)
    throws({ etag: "md5" }, /etag must be/)
  })
})
