/** Defects of Flask-Caching: wrong data, and data in wrong hands. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as Fragment from "effect-caching/Fragment"
import * as Memoize from "effect-caching/Memoize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Entry } from "../../src/internal/entry.js"
import { raw } from "../http/support.js"
import { memcachedForFile } from "../support/overBackends.js"
import { wrongData } from "./defects.js"
import { counted, data, describeRows, onMemoryAndRedis } from "./support.js"
import { view } from "./views.js"

describeRows("defects of Flask-Caching: wrong data", wrongData, [], (row) => {
  const memcached = memcachedForFile()
  it.scoped(row("D1"), () =>
    Effect.gen(function*() {
      const { body } = yield* view()
      const path = "/w/x%200%200%201%0d%0ax%0d%0aset%20injected%200%200%206%0d%0apwned!%0d%0a"
      assert.deepStrictEqual([yield* body(path), yield* body(path)], ["1", "1"])
      yield* Cache.set(data, "x 0 0 1\r\nx\r\nset injected 0 0 6\r\npwned!\r\n", 1)
      assert.strictEqual(yield* raw(memcached.server().port, "get injected\r\nquit\r\n"), "END\r\n")
    }).pipe(Effect.provide(Layer.suspend(() => memcached.layer()))))

  onMemoryAndRedis((test) => {
    test(row("D2"), () =>
      Effect.gen(function*() {
        const { f } = counted<[Record<string, unknown>]>()
        const names = ["path", "query_args", "use_request", "key", "name", "timeToLive"]
        const first = yield* Effect.forEach(names, (name) => f({ [name]: 1 }))
        assert.strictEqual(new Set(first).size, names.length)
        assert.deepStrictEqual(yield* Effect.forEach(names, (name) => f({ [name]: 1 })), first)
        assert.notInclude(first, yield* f({ path: 2 }))
      }))

    test(row("D3"), () =>
      Effect.gen(function*() {
        const { f } = counted<[boolean]>({ unless: ([isOff]) => Effect.succeed(isOff) })
        assert.deepStrictEqual(yield* Effect.all([f(false), f(false), f(true), f(true)]), [1, 1, 2, 3])
        // @ts-expect-error a user's id is no answer
        counted<[number]>({ unless: ([id]) => id })
      }))

    test(row("D4", "D15"), () =>
      Effect.gen(function*() {
        const { body, client } = yield* view({ name: "static" }, (run, { method }) =>
          HttpServerResponse.text(`${method} ${run}`))
        const post = Effect.map(client.ask("/", { method: "POST" }), (reply) =>
          reply.body)
        assert.deepStrictEqual([yield* post, yield* body("/"), yield* body("/")], ["POST 1", "GET 2", "GET 2"])
        assert.strictEqual(yield* body("/", { host: "other.example" }), "GET 3")
        assert.strictEqual(yield* body("/?a=1"), "GET 4")
        assert.strictEqual(yield* body("/path?a=1"), "GET 5")
      }))

    test(row("D5", "D17"), () =>
      Effect.gen(function*() {
        const { body } = yield* view({}, (run) =>
          HttpServerResponse.unsafeSetCookie(HttpServerResponse.text(`${run}`), "session", `${run}`))
        assert.deepStrictEqual([yield* body("/"), yield* body("/")], ["1", "2"])
        const page = yield* view({ name: "page" }, (_, { headers }) =>
          HttpServerResponse.text(`for ${headers["cookie"]}`))
        assert.strictEqual(yield* page.body("/", { cookie: "user=ada" }), "for user=ada")
        assert.strictEqual(yield* page.body("/", { cookie: "user=bob" }), "for user=bob")
        assert.strictEqual(yield* page.body("/"), "for undefined")
      }))

    test(row("D6"), () =>
      Effect.gen(function*() {
        const { client } = yield* view({}, () => HttpServerResponse.text("whole", { headers: { etag: "\"1\"" } }))
        const ask = (method: string, headers = {}) =>
          Effect.map(client.ask("/", { method, headers }), ({ body, status }) => [status, body])
        assert.deepStrictEqual(yield* ask("HEAD"), [200, ""])
        assert.deepStrictEqual(yield* ask("GET", { "if-none-match": "\"1\"" }), [304, ""])
        assert.deepStrictEqual(yield* ask("GET", { range: "bytes=0-1" }), [206, "wh"])
        assert.deepStrictEqual(yield* ask("GET"), [200, "whole"])
      }))

    test(row("D7"), () =>
      Effect.gen(function*() {
        const saying = (name: string, headers: Record<string, string>) =>
          view({ name }, (run, request) =>
            HttpServerResponse.text(`${run} ${request.headers["accept-language"]}`, { headers }))
        for (const directive of ["no-store", "private"]) {
          const { body } = yield* saying(directive, { "cache-control": directive })
          assert.notStrictEqual(yield* body("/"), yield* body("/"))
        }
        const varying = yield* saying("vary", { vary: "Accept-Language" })
        const at = (language: string) =>
          varying.body("/", { "accept-language": language })
        assert.deepStrictEqual([yield* at("de"), yield* at("en"), yield* at("de")], ["1 de", "2 en", "1 de"])
        const obeying = yield* view({ forcedUpdate: ({ headers }) => headers["cache-control"] === "no-cache" })
        assert.deepStrictEqual([yield* obeying.body("/"), yield* obeying.body("/")], ["1", "1"])
        assert.strictEqual(yield* obeying.body("/", { "cache-control": "no-cache" }), "2")
      }))

    test(row("D8"), () =>
      Effect.gen(function*() {
        for (const status of [500, 503]) {
          const { body } = yield* view({ name: `${status}` }, (run) => HttpServerResponse.text(`${run}`, { status }))
          assert.deepStrictEqual([yield* body("/"), yield* body("/")], ["1", "2"])
        }
      }))

    test(row("D9"), () =>
      Effect.gen(function*() {
        const users = Cache.make({
          name: "user",
          schema: Schema.Struct({ name: Schema.String }),
          key: (key: string) => key,
          timeToLive: "1 minute"
        })
        const { id } = Codec.schema(Schema.Struct({ name: Schema.String }))
        const backend = yield* CacheBackend
        const write = (payload: string) =>
          backend.set(
            Cache.cacheKey(users, "k"),
            new Entry(false, id, 0, Infinity, Infinity, 0, [], undefined, new TextEncoder().encode(payload)),
            Duration.infinity
          )
        yield* write("{\"name\":\"Ada\",\"__proto__\":{\"isAdmin\":true},\"constructor\":1}")
        const user: any = yield* Effect.flatten(Cache.get(users, "k"))
        assert.deepStrictEqual([Object.keys(user), user.isAdmin, Reflect.get({}, "isAdmin")], [
          ["name"],
          undefined,
          undefined
        ])
        yield* write("\u0080\u0004cposix\nsystem\n(S'id'\ntR.")
        assert.deepStrictEqual(yield* Cache.get(users, "k"), Option.none())
      }))

    test(row("D10"), () =>
      Effect.gen(function*() {
        const { f } = counted<[unknown]>()
        const long = Array.from({ length: 5_000 }, (_, i) => i)
        const values = [long, long.with(2_500, -1), "1", 1, 1n, -0, 0, NaN, null, true, "true", [], {}, ["a,b"], [
          "a",
          "b"
        ]]
        const first = yield* Effect.forEach(values, (value) => f(value))
        assert.strictEqual(new Set(first).size, values.length)
        assert.deepStrictEqual(yield* Effect.forEach(values, (value) => f(structuredClone(value))), first)
      }))

    test(row("D11"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, { readonly b: number }]>()
        assert.deepStrictEqual(yield* Effect.all([f(1, { b: 7 }), f(2, { b: 7 }), f(1, { b: 7 })]), [1, 2, 1])
      }))

    test(row("D12"), () =>
      Effect.gen(function*() {
        const adder = (n: number) =>
          Memoize.wrap((x: number) => Effect.succeed(x + n), {
            name: `add ${n}`,
            schema: Schema.Number,
            timeToLive: "1 minute"
          })
        assert.deepStrictEqual(yield* Effect.all([adder(1)(10), adder(100)(10)]), [11, 110])
      }))

    test(row("D13"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, (number | null)?]>()
        assert.deepStrictEqual(yield* Effect.all([f(1, 0), f(1, null), f(1), f(1, 0)]), [1, 2, 3, 1])
      }))

    test(row("D14"), () =>
      Effect.gen(function*() {
        const { body } = yield* view()
        assert.deepStrictEqual([yield* body("/?a=1&a=2"), yield* body("/?a=2&a=1")], ["1", "2"])
        assert.deepStrictEqual([yield* body("/?a=1&b=2"), yield* body("/?b=2&a=1")], ["3", "3"])
      }))

    test(row("D16"), () =>
      Effect.gen(function*() {
        let renders = 0
        const box = (name: string, vary?: unknown) =>
          Fragment.cached(Effect.sync(() => `${++renders}`), { name, vary, timeToLive: "1 minute" })
        assert.deepStrictEqual(yield* Effect.all([box("a_b", ["c"]), box("a", ["b", "c"]), box("a", ["b_c"])]), [
          "1",
          "2",
          "3"
        ])
        // @ts-expect-error a fragment has a name
        Fragment.cached(Effect.succeed(""), { timeToLive: "1 minute" })
      }))
  })
})
