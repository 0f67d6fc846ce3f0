/** RFC 9111 §4.1, bounded: how many variants of one URL are stored, whatever is sent. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import type { RequestRules } from "../../src/internal/http/request.js"
import { variantOf } from "../../src/internal/http/variants.js"
import { arrivals, askApp, memory, serve, storages, storeOf } from "./support.js"

/** Answers with the field it varies by. */
const varying = (source: { runs: number }, more: Record<string, string> = {}) =>
  Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
    source.runs++
    return HttpServerResponse.text(`for ${headers["x-kind"] ?? "none"}`, {
      headers: { "cache-control": "max-age=60", vary: "X-Kind", ...more }
    })
  })

const rules: RequestRules = { query: "ordered", cookies: "shared", authorization: "bypass", credentials: [], vary: [] }
const variant = (kind: string | undefined, slots: number, given: Partial<RequestRules> = {}, more = {}) =>
  variantOf(["u"], { ...rules, ...given }, { ...(kind === undefined ? {} : { "x-kind": kind }), ...more }, [
    "x-kind"
  ], slots)

describe("the slot of a variant", () => {
  it("is one of a fixed number, the same for the same values in every process", () => {
    const slots = new Set(Array.from({ length: 1000 }, (_, i) => JSON.stringify(variant(String(i), 8).key)))
    assert.strictEqual(slots.size, 8)
    assert.deepStrictEqual(variant("a", 8), variant("a", 8))
    assert.deepStrictEqual(variant("a", 256).key, ["u", 80])
  })

  it("does not tell values apart, the digest does", () => {
    const digests = new Set(Array.from({ length: 1000 }, (_, i) => variant(String(i), 8).digest))
    assert.strictEqual(digests.size, 1000)
    assert.notStrictEqual(variant(undefined, 8).digest, variant("", 8).digest)
  })

  it("is of a user where users are told apart, and names none", () => {
    const perUser = { authorization: "per user", credentials: ["authorization"] } as const
    const [ada, bob] = ["ada", "bob"].map((authorization) => variant("a", 1, perUser, { authorization }))
    assert.notDeepEqual(ada!.key, bob!.key)
    assert.notStrictEqual(ada!.digest, bob!.digest)
    assert.notInclude(JSON.stringify(ada), "ada")
    assert.notInclude(JSON.stringify(variant("secret", 1)), "secret")
    assert.notDeepEqual(
      variant("a", 1, { cookies: { vary: ["c"] } }, { cookie: "c=1" }).key,
      variant("a", 1, { cookies: { vary: ["c"] } }, { cookie: "c=2" }).key
    )
  })
})

describe("maxVariants", () => {
  it.effect("ten thousand values leave no more entries than it says", () => {
    const store = new Map<string, Uint8Array>()
    return Effect.gen(function*() {
      const source = { runs: 0 }
      // As many processes have it: nothing is shared but the store.
      const apps = [0, 1].map(() => HttpCache.middleware({ maxVariants: 16 })(varying(source)))
      for (let i = 0; i < 10_000; i++) {
        const { body } = yield* askApp(apps[i % 2]!, "/a", { "x-kind": String(i) })
        assert.strictEqual(new TextDecoder().decode((body as { readonly body: Uint8Array }).body), `for ${i}`)
      }
      const entries = Array.from(store.keys()).filter((key) => key.includes("example.com"))
      assert.isAtMost(entries.length, 16 + 1)
      assert.isAtLeast(entries.length, 16)
      assert.strictEqual(source.runs, 10_000)
    }).pipe(Effect.provide(storeOf(store)))
  }, 60_000)

  it.effect("a hit reads the store once, and twice where answers vary", () => {
    let reads = 0
    const store = new class extends Map<string, Uint8Array> {
      override get(key: string) {
        reads++
        return super.get(key)
      }
    }()
    return Effect.gen(function*() {
      const plain = HttpServerResponse.text("page", { headers: { "cache-control": "max-age=60" } })
      const app = HttpCache.middleware()(
        Effect.flatMap(
          HttpServerRequest.HttpServerRequest,
          ({ url }) => url.includes("/v") ? varying({ runs: 0 }) : Effect.succeed(plain)
        )
      )
      const readsOf = (path: string, headers: Record<string, string> = {}) =>
        Effect.gen(function*() {
          yield* askApp(app, path, headers)
          const before = reads
          assert.include((yield* askApp(app, path, headers)).headers["cache-status"], "; hit;")
          return reads - before
        })
      assert.strictEqual(yield* readsOf("/a"), 1)
      assert.strictEqual(yield* readsOf("/v", { "x-kind": "a" }), 2)
      assert.strictEqual(yield* readsOf("/v", { "x-kind": "b" }), 2)
    }).pipe(Effect.provide(storeOf(store)))
  })

  it("that is none is refused", () => {
    for (const maxVariants of [0, -1, 1.5, NaN]) {
      assert.throws(() => HttpCache.middleware({ maxVariants }), /maxVariants must be an integer of at least 1/)
    }
  })
})

for (const storage of storages) {
  describe(`variants in one slot, over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("replace each other, and none is sent for another", () =>
      Effect.gen(function*() {
        const source = { runs: 0 }
        const client = yield* serve(HttpCache.middleware({ maxVariants: 1 })(varying(source)))
        for (const kind of ["a", "b", "a", "b", "b"]) {
          assert.strictEqual((yield* client.get("/a", { "x-kind": kind })).body, `for ${kind}`)
        }
        assert.strictEqual(source.runs, 4)
        assert.strictEqual((yield* client.get("/a", { "x-kind": "b" })).headers["cache-status"], "http; hit; ttl=60")
        assert.strictEqual((yield* client.ask("/a", { method: "HEAD", headers: { "x-kind": "a" } })).status, 200)
        assert.strictEqual(source.runs, 5)
      }).pipe(provide))

    it.scoped("are made for each who asks, at once too", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { reach, through } = arrivals()
        const app = Effect.zipRight(Deferred.await(gate), varying({ runs: 0 }))
        const client = yield* serve(through(HttpCache.middleware({ maxVariants: 2 })(app)))
        const kinds = Array.from({ length: 30 }, (_, i) => `k${i % 10}`)
        const asking = yield* Effect.fork(
          Effect.all(kinds.map((kind) => client.get("/a", { "x-kind": kind })), { concurrency: "unbounded" })
        )
        yield* reach(30)
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual((yield* Fiber.join(asking)).map(({ body }) => body), kinds.map((kind) => `for ${kind}`))
      }).pipe(provide))

    it.scoped("do not validate each other, and are not sent in place of each other's errors", () =>
      Effect.gen(function*() {
        let isFailing = false
        const app = Effect.suspend(() =>
          isFailing
            ? Effect.succeed(HttpServerResponse.empty({ status: 503 }))
            : Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
              headers["if-none-match"] === undefined
                ? HttpServerResponse.text(`for ${headers["x-kind"]}`, {
                  headers: { "cache-control": "max-age=10", vary: "X-Kind", etag: "\"same\"" }
                })
                : HttpServerResponse.empty({ status: 304 }))
        )
        const client = yield* serve(HttpCache.middleware({ maxVariants: 1, staleIfError: "1 hour" })(app))
        yield* client.get("/a", { "x-kind": "a" })
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual((yield* client.get("/a", { "x-kind": "b" })).body, "for b")
        yield* TestClock.adjust("20 seconds")
        isFailing = true
        assert.strictEqual((yield* client.get("/a", { "x-kind": "a" })).status, 503)
        assert.strictEqual((yield* client.get("/a", { "x-kind": "b" })).body, "for b")
      }).pipe(provide))
  })
}
