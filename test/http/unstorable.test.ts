/** What was not storable a moment ago waits for nobody, until an answer that goes forward may be stored. */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Unstorable } from "../../src/internal/httpCache/unstorable.js"
import { arrivals, type Client, memory, serve, storages } from "./support.js"

type App = HttpApp.Default

const fresh = { "cache-control": "max-age=60" }
const forward = "http; fwd=uri-miss"
const stored = "http; fwd=uri-miss; stored"
const hit = "http; hit; ttl=60"

const text = (body: string, status = 200, headers: Record<string, string> = fresh) =>
  Effect.succeed(HttpServerResponse.text(body, { status, headers }))

/** Answers in this order, the last again and again. */
const inOrder = (...answers: ReadonlyArray<App>): App => {
  let runs = 0
  return Effect.suspend(() => answers[Math.min(runs++, answers.length - 1)]!)
}

const statusOf = (client: Client, headers: Record<string, string> = {}) =>
  Effect.map(client.get("/a", headers), (reply) => reply.headers["cache-status"])

/** Whether two requests at once run the app at once, each for itself. */
const goForwardTogether = (options: HttpCache.Options, answer: App) =>
  Effect.gen(function*() {
    const both = yield* Deferred.make<void>()
    let runs = 0
    const app = Effect.flatMap(
      Effect.suspend(() => {
        runs++
        return runs === 4 ? Deferred.succeed(both, undefined) : runs === 3 ? Deferred.await(both) : Effect.void
      }),
      () => answer
    )
    const client = yield* serve(HttpCache.middleware(options)(app))
    for (let i = 0; i < 2; i++) yield* client.get("/a")
    yield* Effect.all([client.get("/a"), client.get("/a")], { concurrency: 2 })
    assert.strictEqual(runs, 4)
  })

for (const storage of storages) {
  describe(`what was not storable, over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("after an error, the first good answer is the last that goes forward", () =>
      Effect.gen(function*() {
        const client = yield* serve(HttpCache.middleware()(inOrder(text("down", 500), text("down", 500), text("up"))))
        const statuses = yield* Effect.replicateEffect(statusOf(client), 5)
        assert.deepStrictEqual(statuses, [forward, forward, forward, stored, hit])
      }).pipe(provide))

    it.scoped("a variant's good answer is the variant's last that goes forward", () =>
      Effect.gen(function*() {
        const varying = { ...fresh, vary: "X-Kind" }
        const app = inOrder(text("a", 200, varying), text("down", 503, varying), text("b", 200, varying))
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a", { "x-kind": "a" })
        const statuses = yield* Effect.replicateEffect(statusOf(client, { "x-kind": "b" }), 4)
        const variant = forward.replace("uri", "vary")
        assert.deepStrictEqual(statuses, [variant, variant, `${variant}; stored`, hit])
      }).pipe(provide))

    it.scoped("an answer for everybody does not end it for those with cookies, whose answers are their own", () =>
      Effect.gen(function*() {
        const client = yield* serve(HttpCache.middleware()(inOrder(text("mine"), text("down", 500), text("all"))))
        const cookie = { cookie: "sid=a" }
        const own = "http; fwd=request"
        assert.deepStrictEqual(
          [
            yield* statusOf(client, cookie),
            yield* statusOf(client),
            yield* statusOf(client),
            yield* statusOf(client),
            yield* statusOf(client, cookie),
            yield* statusOf(client, cookie)
          ],
          [forward, forward, forward, stored, own, own]
        )
      }).pipe(provide))

    it.scoped("fifty who waited for an error go forward at once, and fifty after them share one run", () =>
      Effect.gen(function*() {
        const gates = [yield* Deferred.make<void>(), yield* Deferred.make<void>()] as const
        const together = yield* Deferred.make<void>()
        const { reach, through } = arrivals()
        let runs = 0
        const app = Effect.suspend(() => {
          const run = ++runs
          if (run === 50) Deferred.unsafeDone(together, Effect.void)
          if (run === 1) return Effect.zipRight(Deferred.await(gates[0]), text("down", 500))
          return Effect.zipRight(
            Deferred.await(run <= 50 ? together : gates[1]),
            text(run < 25 ? "down" : "up", run < 25 ? 500 : 200)
          )
        })
        const client = yield* serve(through(HttpCache.middleware()(app)))
        const fifty = Effect.all(Array.from({ length: 50 }, () => client.get("/a")), { concurrency: "unbounded" })
        const first = yield* Effect.fork(fifty)
        yield* reach(50)
        yield* Deferred.succeed(gates[0], undefined)
        const before = yield* Fiber.join(first)
        assert.strictEqual(before.filter(({ status }) => status === 500).length, 24)
        assert.strictEqual(runs, 50)
        const second = yield* Effect.fork(fifty)
        yield* reach(100)
        yield* Deferred.succeed(gates[1], undefined)
        for (const { body, status } of yield* Fiber.join(second)) assert.deepStrictEqual([status, body], [200, "up"])
        assert.strictEqual(runs, 51)
      }).pipe(provide))

    for (
      const [what, options, answer] of [
        ["said to be private", {}, text("mine", 200, { "cache-control": "private, max-age=60" })],
        ["refused by the program", { storeIf: () => false }, text("refused")],
        ["too long", { maxBodyBytes: 2 }, text("too long")],
        [
          "in a stream that is too long",
          { maxBodyBytes: 2 },
          Effect.sync(() =>
            HttpServerResponse.stream(Stream.make(new TextEncoder().encode("too long")), { headers: fresh })
          )
        ],
        [
          "given a cookie by a pre-response handler",
          {},
          Effect.zipRight(
            HttpApp.appendPreResponseHandler((_, response) =>
              Effect.orDie(HttpServerResponse.setCookie(response, "sid", "1"))
            ),
            text("mine")
          )
        ]
      ] as ReadonlyArray<readonly [string, HttpCache.Options, App]>
    ) {
      it.scoped(`an answer ${what} does not end it: nobody waits for another`, () =>
        goForwardTogether(options, answer).pipe(provide))
    }

    it.scoped("a pre-response handler of an answer that goes forward is applied once", () =>
      Effect.gen(function*() {
        const counted = Effect.zipRight(
          HttpApp.appendPreResponseHandler((_, response) =>
            Effect.succeed(
              HttpServerResponse.setHeader(response, "x-handled", `${response.headers["x-handled"] ?? ""}+`)
            )
          ),
          text("up")
        )
        const client = yield* serve(HttpCache.middleware()(inOrder(text("down", 500), counted)))
        yield* client.get("/a")
        for (const status of [forward, stored, hit]) {
          const reply = yield* client.get("/a")
          assert.deepStrictEqual([reply.headers["cache-status"], reply.headers["x-handled"]], [status, "+"])
        }
      }).pipe(provide))

    it.scoped("a HEAD that goes forward ends nothing: what it says is not what is stored", () =>
      Effect.gen(function*() {
        const app = Effect.flatMap(
          HttpServerRequest.HttpServerRequest,
          ({ method }) => method === "HEAD" ? text("") : inOrderGet
        )
        const inOrderGet = inOrder(text("down", 500), text("up"))
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        yield* client.ask("/a", { method: "HEAD" })
        assert.strictEqual(yield* statusOf(client), forward)
      }).pipe(provide))
  })
}

describe("what is remembered of what was not storable", () => {
  it.effect("is little, however long the URLs of a flood are", () =>
    Effect.gen(function*() {
      setFlagsFromString("--expose-gc")
      const collect = runInNewContext("gc") as () => void
      const unstorable = new Unstorable()
      const of = { isAuthorized: false, isPersonal: false }
      const keyOf = (i: number) => ["http", "host", `/${i}${"x".repeat(15_000)}`, undefined]
      collect()
      const before = process.memoryUsage().heapUsed
      for (let i = 0; i < 10_000; i++) yield* unstorable.add(keyOf(i), of)
      collect()
      assert.isBelow(process.memoryUsage().heapUsed - before, 20 * 1024 * 1024)
      assert.isTrue(yield* unstorable.has(keyOf(9_999), of))
      assert.isFalse(yield* unstorable.has(keyOf(10_000), of))
    }))
})
