/**
 * `test_view.py`, over a real server. Not portable, and why:
 *
 * - cached_view_class, async_cached_view: an app is an app; every one is asynchronous
 * - cache_key_property, set_make_cache_key_property, make_cache_key_*: an answer is addressed by its URL
 * - cache_timeout_property: a middleware is a value
 * - generate_cache_key_from_request_body: answers to POST are not cached; memoize what is behind it
 * - query_string_and_source_check_*: `name` of the cache, by version
 * - delete_cached_view_builds_the_path_with_url_for: the URL is written
 * - cached_view_is_stale: freshness of an answer is what HTTP says; `forcedUpdate` makes it anew
 */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { serve } from "../http/support.js"
import { onMemoryAndRedis } from "./support.js"

/** Answers with the number of its run. */
const view = (
  options: HttpCache.Options = {},
  make: (run: number) => HttpServerResponse.HttpServerResponse = (run) => HttpServerResponse.unsafeJson(run)
) => {
  const state = { runs: 0 }
  const app = Effect.map(HttpServerRequest.HttpServerRequest, () => make(++state.runs))
  return Effect.map(serve(HttpCache.middleware({ timeToLive: "2 seconds", ...options })(app)), (client) => ({
    state,
    client,
    body: (path: string) => Effect.map(client.get(path), (reply) => reply.body)
  }))
}

describe("test_view.py", () => {
  onMemoryAndRedis((test) => {
    test("cached_view: the same body within two seconds, a new one at two", () =>
      Effect.gen(function*() {
        const { body } = yield* view()
        assert.deepStrictEqual([yield* body("/"), yield* body("/")], ["1", "1"])
        yield* TestClock.adjust("1999 millis")
        assert.strictEqual(yield* body("/"), "1")
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* body("/"), "2")
      }))

    test("cached_view_unless: never cached where it says so", () =>
      Effect.gen(function*() {
        const { body } = yield* view({ unless: (request) => request.url.startsWith("/off") })
        assert.deepStrictEqual([yield* body("/off"), yield* body("/off")], ["1", "2"])
        assert.deepStrictEqual([yield* body("/on"), yield* body("/on")], ["3", "3"])
      }))

    test("cached_view_response_filter: 500 is not cached, 200 is", () =>
      Effect.gen(function*() {
        const broken = yield* view({ name: "broken" }, (run) => HttpServerResponse.text(`${run}`, { status: 500 }))
        assert.deepStrictEqual([yield* broken.body("/"), yield* broken.body("/")], ["1", "2"])
        const { body } = yield* view()
        assert.deepStrictEqual([yield* body("/"), yield* body("/")], ["1", "1"])
      }))

    test("cached_view_forced_update: made anew and cached again", () =>
      Effect.gen(function*() {
        const mode = { isForced: false }
        const { body } = yield* view({ forcedUpdate: () => mode.isForced })
        yield* body("/")
        mode.isForced = true
        assert.strictEqual(yield* body("/"), "2")
        mode.isForced = false
        assert.strictEqual(yield* body("/"), "2")
      }))

    test("cache_timeout_dynamic_via_cached_reponse: the answer's own time counts", () =>
      Effect.gen(function*() {
        const { body } = yield* view(
          {},
          (run) => HttpServerResponse.text(`${run}`, { headers: { "cache-control": "max-age=60" } })
        )
        yield* body("/")
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* body("/"), "1")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* body("/"), "2")
      }))

    test("generate_cache_key_from_query_string: the order of names does not matter, values do, their order too", () =>
      Effect.gen(function*() {
        const { body } = yield* view()
        assert.deepStrictEqual(
          yield* Effect.forEach(
            ["/works?mock=true&offset=20", "/works?offset=20&mock=true", "/works?mock=true&offset=21", "/works"],
            body
          ),
          ["1", "1", "2", "3"]
        )
        assert.deepStrictEqual([yield* body("/works?a=1&a=2"), yield* body("/works?a=2&a=1")], ["4", "5"])
      }))

    test("hit_cache: the answer says whether it is a hit", () =>
      Effect.gen(function*() {
        const { client } = yield* view()
        const status = Effect.map(client.get("/"), (reply) => reply.headers["cache-status"])
        assert.notInclude(yield* status, "hit")
        assert.include(yield* status, "hit")
        yield* TestClock.adjust("2 seconds")
        assert.notInclude(yield* status, "hit")
        const silent = yield* view({ name: "silent", cacheStatus: false })
        yield* silent.body("/")
        assert.isUndefined((yield* silent.client.get("/")).headers["cache-status"])
      }))

    test("delete_cached_view, delete_cached_query_string: one URL is removed, other variants stay", () =>
      Effect.gen(function*() {
        const { client } = yield* view()
        const origin = `http://localhost:${client.port}`
        const paths = ["/", "/works?a=1&b=2", "/works?a=2"]
        const at = (headers = { host: `localhost:${client.port}` }) =>
          Effect.forEach(paths, (path) => Effect.map(client.get(path, headers), (reply) => reply.body))
        assert.deepStrictEqual(yield* at(), ["1", "2", "3"])
        assert.isTrue(yield* HttpCache.invalidate("/works?b=2&a=1", { origin }))
        assert.deepStrictEqual(yield* at(), ["1", "4", "3"])
        assert.isTrue(yield* HttpCache.invalidate("/", { origin }))
        assert.deepStrictEqual(yield* at(), ["5", "4", "3"])
        assert.isFalse(yield* HttpCache.invalidate("/never", { origin }))
      }))

    test("cached_view_returning_stream_template: a stream is cached with its type", () =>
      Effect.gen(function*() {
        const { client } = yield* view({}, (run) =>
          HttpServerResponse.stream(Stream.make(`<p>${run}`, "</p>").pipe(Stream.encodeText), {
            contentType: "text/html"
          }))
        for (const _ of [1, 2]) {
          const reply = yield* client.get("/")
          assert.deepStrictEqual([reply.body, reply.headers["content-type"]], ["<p>1</p>", "text/html"])
        }
      }))
  })
})
