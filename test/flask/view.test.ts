/** `test_view.py`, over a real server. */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as HttpCache from "effect-caching/HttpCache"
import * as Memoize from "effect-caching/Memoize"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { serve } from "../http/support.js"
import * as Rows from "./rows.js"
import { counted, describeRows, onMemoryAndRedis } from "./support.js"
import { view } from "./views.js"

describeRows("test_view.py", Rows.view, [], (row) => {
  onMemoryAndRedis((test) => {
    test(row("cached_view"), () =>
      Effect.gen(function*() {
        const { body } = yield* view()
        assert.deepStrictEqual([yield* body("/"), yield* body("/")], ["1", "1"])
        yield* TestClock.adjust("1999 millis")
        assert.strictEqual(yield* body("/"), "1")
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* body("/"), "2")
      }))

    test(row("cached_view_class"), () =>
      Effect.gen(function*() {
        const runs = { get: 0, post: 0 }
        const router = HttpRouter.empty.pipe(
          HttpRouter.get("/view", Effect.sync(() => HttpServerResponse.text(`get ${++runs.get}`))),
          HttpRouter.post("/view", Effect.sync(() => HttpServerResponse.text(`post ${++runs.post}`)))
        )
        const client = yield* serve(HttpCache.middleware({ timeToLive: "1 minute" })(router))
        const ask = (method: string) => Effect.map(client.ask("/view", { method }), (reply) => reply.body)
        assert.deepStrictEqual(yield* Effect.all([ask("GET"), ask("GET")]), ["get 1", "get 1"])
        assert.deepStrictEqual(yield* Effect.all([ask("POST"), ask("POST")]), ["post 1", "post 2"])
        // What a POST may have changed is made anew (RFC 9111 §4.4).
        assert.strictEqual(yield* ask("GET"), "get 2")
      }))

    test(row("async_cached_view"), () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        let runs = 0
        const app = Effect.suspend(() => {
          runs++
          return Effect.as(Deferred.await(gate), HttpServerResponse.text(`${runs}`))
        })
        const client = yield* serve(HttpCache.middleware({ timeToLive: "1 minute" })(app))
        const first = yield* Effect.fork(client.get("/"))
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual((yield* Fiber.join(first)).body, "1")
        assert.strictEqual((yield* client.get("/")).body, "1")
      }))

    test(row("cached_view_unless"), () =>
      Effect.gen(function*() {
        const { body } = yield* view({ unless: (request) => request.url.startsWith("/off") })
        assert.deepStrictEqual([yield* body("/off"), yield* body("/off")], ["1", "2"])
        assert.deepStrictEqual([yield* body("/on"), yield* body("/on")], ["3", "3"])
      }))

    test(row("cached_view_response_filter"), () =>
      Effect.gen(function*() {
        const statuses = { status: 500 }
        const { body } = yield* view({}, (run) => HttpServerResponse.text(`${run}`, statuses))
        assert.deepStrictEqual([yield* body("/"), yield* body("/")], ["1", "2"])
        statuses.status = 200
        // For five seconds nobody waits for what could not be stored, and nothing is stored of it.
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual([yield* body("/"), yield* body("/")], ["3", "3"])
        const filtered = yield* view({ name: "filtered", storeIf: (response) => response.headers["x-keep"] === "yes" })
        assert.deepStrictEqual([yield* filtered.body("/"), yield* filtered.body("/")], ["1", "2"])
      }))

    test(row("cached_view_forced_update"), () =>
      Effect.gen(function*() {
        const mode = { isForced: false }
        const { body } = yield* view({ forcedUpdate: () => mode.isForced })
        assert.deepStrictEqual([yield* body("/"), yield* body("/")], ["1", "1"])
        mode.isForced = true
        assert.strictEqual(yield* body("/"), "2")
        mode.isForced = false
        assert.strictEqual(yield* body("/"), "2")
      }))

    test(row("cached_view_is_stale"), () =>
      Effect.gen(function*() {
        const { body } = yield* view({ timeToLive: "1 hour", tags: ["page"] })
        assert.deepStrictEqual([yield* body("/"), yield* body("/")], ["1", "1"])
        // What a predicate would say, said when it becomes true.
        yield* Cache.invalidateTags(["page"], { mode: "soft" })
        assert.deepStrictEqual([yield* body("/"), yield* body("/")], ["2", "2"])
      }))

    test(row("generate_cache_key_from_different_view"), () =>
      Effect.gen(function*() {
        let runs = 0
        const router = HttpRouter.empty.pipe(
          HttpRouter.get("/cake/:flavour", Effect.sync(() => HttpServerResponse.text(`${++runs}`))),
          HttpRouter.get(
            "/other",
            Effect.map(Effect.orDie(HttpCache.invalidate("/cake/lemon")), (was) =>
              HttpServerResponse.unsafeJson(was, { headers: { "cache-control": "no-store" } }))
          )
        )
        const client = yield* serve(HttpCache.middleware({ timeToLive: "1 minute" })(router))
        const body = (path: string) =>
          Effect.map(client.get(path), (reply) => reply.body)
        assert.deepStrictEqual([yield* body("/cake/lemon"), yield* body("/cake/plum")], ["1", "2"])
        assert.deepStrictEqual([yield* body("/other"), yield* body("/other")], ["true", "false"])
        assert.deepStrictEqual([yield* body("/cake/plum"), yield* body("/cake/lemon")], ["2", "3"])
      }))

    test(row("cache_key_property"), () =>
      Effect.gen(function*() {
        const { body, origin } = yield* view()
        assert.isFalse(yield* HttpCache.invalidate("/works?a=1", { origin }))
        yield* body("/works?a=1")
        assert.isTrue(yield* HttpCache.invalidate("/works?a=1", { origin }))
        const { f } = counted<[number]>()
        yield* f(1)
        assert.isTrue(yield* (yield* CacheBackend).has(f.cacheKey(1)))
      }))

    test(row("set_make_cache_key_property"), () =>
      Effect.gen(function*() {
        const { body } = yield* view({ query: { include: ["page"] } }, (run, request) =>
          HttpServerResponse.text(`${run} ${request.url}`))
        assert.strictEqual(yield* body("/works?page=1&trace=a"), "1 /works?page=1")
        assert.strictEqual(yield* body("/works?page=1&trace=b"), "1 /works?page=1")
        assert.strictEqual(yield* body("/works?page=2"), "2 /works?page=2")
        const { f } = counted<[number, string]>()
        const byNumber = f.withKey((n) =>
          n
        )
        assert.deepStrictEqual(yield* Effect.all([byNumber(1, "a"), byNumber(1, "b"), f(1, "a")]), [1, 1, 2])
      }))

    test(row("make_cache_key_function_property"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, Record<string, string>]>()
        yield* f(1, { a: "x", b: "y" })
        const backend = yield* CacheBackend
        assert.isTrue(yield* backend.has(f.cacheKey(1, { b: "y", a: "x" })))
        assert.isFalse(yield* backend.has(f.cacheKey(1, { b: "y", a: "z" })))
      }))

    test(row("cache_timeout_property"), () =>
      Effect.gen(function*() {
        const { f } = counted<[]>({ timeToLive: "2 seconds" })
        assert.strictEqual(f.timeToLive, "2 seconds")
        const longer = f.withTimeToLive("5 seconds")
        assert.strictEqual(longer.timeToLive, "5 seconds")
        yield* longer()
        yield* TestClock.adjust("4999 millis")
        assert.strictEqual(yield* longer(), 1)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* longer(), 2)
      }))

    test(row("cache_timeout_dynamic_via_cached_reponse"), () =>
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

    test(row("generate_cache_key_from_query_string"), () =>
      Effect.gen(function*() {
        const { body } = yield* view()
        const paths = [
          "/works?mock=true&offset=20",
          "/works?offset=20&mock=true",
          "/works?mock=true&offset=21",
          "/works"
        ]
        assert.deepStrictEqual(yield* Effect.forEach(paths, (path) => body(path)), ["1", "1", "2", "3"])
      }))

    test(row("generate_cache_key_from_query_string_repeated_paramaters"), () =>
      Effect.gen(function*() {
        const { body } = yield* view()
        const paths = ["/works?a=1&b=0&a=2", "/works?b=0&a=1&a=2", "/works?a=2&a=1&b=0", "/works?a=1&a=3&b=0"]
        assert.deepStrictEqual(yield* Effect.forEach(paths, (path) => body(path)), ["1", "1", "2", "3"])
      }))

    test(row("generate_cache_key_from_request_body"), () =>
      Effect.gen(function*() {
        let runs = 0
        const search = Memoize.wrap((_: unknown) => Effect.sync(() => ++runs), {
          name: "search",
          schema: Schema.Number,
          timeToLive: "1 minute"
        })
        const app = Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          return HttpServerResponse.unsafeJson(yield* search(yield* request.json))
        })
        const client = yield* serve(HttpCache.middleware({ timeToLive: "1 minute" })(Effect.orDie(app)))
        const post = (body: string) => Effect.map(client.ask("/", { method: "POST", body }), (reply) => reply.body)
        assert.deepStrictEqual(
          yield* Effect.forEach(["{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "{\"a\":2}"], post),
          ["1", "1", "2"]
        )
      }))

    test(row("cache_with_query_string_and_source_check_enabled"), () =>
      Effect.gen(function*() {
        const host = { host: "example.com" }
        const of = (version: string) => view({ name: `http/${version}`, timeToLive: "1 hour" })
        const [one, two] = yield* Effect.all([of("1"), of("2")])
        yield* one.body("/", host)
        assert.strictEqual(yield* one.body("/works?a=1&b=2", host), "2")
        assert.strictEqual(yield* two.body("/works?b=2&a=1", host), "1")
        // Back at the old version.
        const again = yield* of("1")
        assert.strictEqual(yield* again.body("/works?b=2&a=1", host), "2")
      }))

    test(row("cache_with_query_string_and_source_check_disabled"), () =>
      Effect.gen(function*() {
        const host = { host: "example.com" }
        const changed = yield* view({}, (run) => HttpServerResponse.text(`changed ${run}`))
        const old = yield* view()
        assert.strictEqual(yield* old.body("/works?a=1", host), "1")
        assert.strictEqual(yield* changed.body("/works?a=1", host), "1")
      }))

    test(row("hit_cache"), () =>
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

    test(
      row("delete_cached_query_string", "delete_cached_query_string_only_deletes_matching_arguments"),
      () =>
        Effect.gen(function*() {
          const { body, origin } = yield* view()
          const all = Effect.forEach(["/works", "/works?a=1&b=2", "/works?a=2&b=1"], (path) => body(path))
          assert.deepStrictEqual(yield* all, ["1", "2", "3"])
          assert.isTrue(yield* HttpCache.invalidate("/works?b=2&a=1", { origin }))
          assert.deepStrictEqual(yield* all, ["1", "4", "3"])
          const query = new URLSearchParams({ b: "1", a: "2" })
          assert.isTrue(yield* HttpCache.invalidate(`/works?${query}`, { origin }))
          assert.deepStrictEqual(yield* all, ["1", "4", "5"])
          assert.isFalse(yield* HttpCache.invalidate("/works?a=1", { origin }))
        })
    )

    test(row("delete_cached_query_string_repeated_parameters"), () =>
      Effect.gen(function*() {
        const { body, origin } = yield* view()
        const all = Effect.forEach(["/works?a=1&a=2", "/works?a=2&a=1"], (path) => body(path))
        assert.deepStrictEqual(yield* all, ["1", "2"])
        assert.isTrue(yield* HttpCache.invalidate("/works?a=1&a=2", { origin }))
        assert.deepStrictEqual(yield* all, ["3", "2"])
      }))

    test(row("delete_cached_view"), () =>
      Effect.gen(function*() {
        const { body, origin } = yield* view()
        const all = Effect.forEach(["/", "/works"], (path) => body(path))
        assert.deepStrictEqual(yield* all, ["1", "2"])
        assert.isTrue(yield* HttpCache.invalidate("/", { origin }))
        assert.deepStrictEqual(yield* all, ["3", "2"])
        assert.isFalse(yield* HttpCache.invalidate("/never", { origin }))
      }))

    test(row("delete_cached_view_builds_the_path_with_url_for"), () =>
      Effect.gen(function*() {
        const route = "/users/:id/articles/:slug" as const
        const urlOf = (params: Readonly<Record<string, string>>) =>
          route.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name]!))
        let runs = 0
        const router = HttpRouter.empty.pipe(
          HttpRouter.get(
            route,
            Effect.map(HttpRouter.params, ({ slug }) => HttpServerResponse.text(`${slug} ${++runs}`))
          )
        )
        const client = yield* serve(HttpCache.middleware({ timeToLive: "1 minute" })(router))
        const url = urlOf({ id: "7", slug: "a b/c" })
        const body = Effect.map(client.get(url, { host: "example.com" }), (reply) => reply.body)
        assert.deepStrictEqual([yield* body, yield* body], ["a b/c 1", "a b/c 1"])
        assert.isFalse(yield* HttpCache.invalidate(urlOf({ id: "8", slug: "a b/c" }), { origin: "http://example.com" }))
        assert.isTrue(yield* HttpCache.invalidate(url, { origin: "http://example.com" }))
        assert.strictEqual(yield* body, "a b/c 2")
      }))

    test(row("make_cache_key_outside_request_context"), () =>
      Effect.gen(function*() {
        const { body, origin } = yield* view()
        yield* body("/works?a=1")
        // An absolute URL says it all.
        assert.isTrue(yield* HttpCache.invalidate(`${origin}/works?a=1`))
        const error = yield* Effect.flip(Effect.sandbox(HttpCache.invalidate("/works?a=1")))
        assert.include(String(error), "an absolute URL, or a path with an origin or in a request")
      }))
  })
})
