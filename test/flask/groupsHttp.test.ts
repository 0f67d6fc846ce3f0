/** Of the seventeen groups (groups.test.ts) those of HTTP: 1 for answers, 3 and 4. */
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { arrivals, serve } from "../http/support.js"
import { describeRows, each, onMemoryAndRedis } from "./support.js"
import { view } from "./views.js"

const rows = {
  "1 answers": "of 100 requests that miss at once one runs the app",
  "3 methods": "a GET is never answered from what a POST or a HEAD made",
  "3 places": "a GET is never answered from what another host or another mount made",
  "4 cookies": "an answer that sets a cookie is not stored",
  "4 directives": "no-store and private are obeyed",
  "4 statuses": "206, 304 and 5xx are not stored",
  "4 credentials": "requests with Authorization or a cookie do not share"
} as const

describeRows("the seventeen groups, HTTP", rows, [], (row) => {
  onMemoryAndRedis((test) => {
    test(row("1 answers"), () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const come = arrivals()
        let runs = 0
        const app = Effect.suspend(() => {
          runs++
          return Effect.as(Deferred.await(gate), HttpServerResponse.text(`${runs}`))
        })
        const client = yield* serve(come.through(HttpCache.middleware({ timeToLive: "1 minute" })(app)))
        const asking = yield* Effect.fork(each(100, () => client.get("/")))
        yield* come.reach(100)
        yield* Deferred.succeed(gate, undefined)
        const bodies = (yield* Fiber.join(asking)).map((reply) => reply.body)
        assert.deepStrictEqual([new Set(bodies), runs], [new Set(["1"]), 1])
      }))

    test(row("3 methods"), () =>
      Effect.gen(function*() {
        const { client } = yield* view({}, (run, request) => HttpServerResponse.text(`${request.method} ${run}`))
        const ask = (method: string) => Effect.map(client.ask("/", { method }), (reply) => reply.body)
        assert.strictEqual(yield* ask("POST"), "POST 1")
        assert.strictEqual(yield* ask("HEAD"), "")
        const got = yield* ask("GET")
        assert.match(got, /^GET \d$/)
        assert.strictEqual(yield* ask("GET"), got)
        assert.match(yield* ask("PUT"), /^PUT/)
      }))

    test(row("3 places"), () =>
      Effect.gen(function*() {
        const app = Effect.map(
          HttpServerRequest.HttpServerRequest,
          ({ headers, originalUrl }) => HttpServerResponse.text(`${headers["host"]} ${originalUrl}`)
        )
        const cached = HttpCache.middleware({ timeToLive: "1 minute" })(app)
        const router = HttpRouter.empty.pipe(
          HttpRouter.mountApp("/one", cached),
          HttpRouter.mountApp("/other", cached)
        )
        const client = yield* serve(Effect.orDie(router))
        for (const _ of [1, 2]) {
          for (const [host, path] of [["a.example", "/one/x"], ["b.example", "/one/x"], ["a.example", "/other/x"]]) {
            assert.strictEqual((yield* client.get(path!, { host: host! })).body, `${host} ${path}`)
          }
        }
      }))

    /** Whether a second request runs the app again. */
    const isStored = (
      make: (run: number) => HttpServerResponse.HttpServerResponse,
      headers: Readonly<Record<string, string>> = {}
    ) =>
      Effect.gen(function*() {
        const { body, state } = yield* view({ timeToLive: "1 hour" }, make)
        yield* Effect.all([body("/", headers), body("/", headers)])
        return state.runs === 1
      })

    test(row("4 cookies"), () =>
      Effect.gen(function*() {
        assert.isFalse(
          yield* isStored((run) => HttpServerResponse.unsafeSetCookie(HttpServerResponse.text("me"), "id", `${run}`))
        )
        assert.isFalse(
          yield* isStored((run) => HttpServerResponse.text("me", { headers: { "set-cookie": `id=${run}` } }))
        )
      }))

    test(row("4 directives"), () =>
      Effect.gen(function*() {
        const saying = (value: string) =>
          isStored(() => HttpServerResponse.text("me", { headers: { "cache-control": value } }))
        assert.isFalse(yield* saying("no-store, max-age=60"))
        assert.isFalse(yield* saying("private, max-age=60"))
        assert.isTrue(yield* saying("public, max-age=60"))
      }))

    test(row("4 statuses"), () =>
      Effect.gen(function*() {
        for (const status of [206, 304, 500, 502, 503, 504]) {
          assert.isFalse(yield* isStored(() => HttpServerResponse.empty({ status })), `${status}`)
        }
        const { client } = yield* view({}, () => HttpServerResponse.text("whole", { headers: { etag: "\"1\"" } }))
        // One client's 304 is not another's.
        yield* client.get("/")
        assert.strictEqual((yield* client.get("/", { "if-none-match": "\"1\"" })).status, 304)
        assert.strictEqual((yield* client.get("/")).body, "whole")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* client.get("/", { "if-none-match": "\"1\"" })).status, 304)
        assert.strictEqual((yield* client.get("/")).body, "whole")
      }))

    test(row("4 credentials"), () =>
      Effect.gen(function*() {
        const { body } = yield* view({ timeToLive: "1 hour" }, (_, { headers }) =>
          HttpServerResponse.text(`for ${headers["authorization"] ?? headers["cookie"] ?? "anybody"}`))
        const all: ReadonlyArray<readonly [string, Readonly<Record<string, string>>]> = [
          ["Ada", { authorization: "Ada" }],
          ["Bob", { authorization: "Bob" }],
          ["id=1", { cookie: "id=1" }],
          ["id=2", { cookie: "id=2" }],
          ["anybody", {}],
          ["Ada", { authorization: "Ada" }],
          ["id=1", { cookie: "id=1" }],
          ["anybody", {}]
        ]
        for (const [who, headers] of all) {
          assert.strictEqual(yield* body("/", headers), `for ${who}`)
        }
      }))
  })
})
