/** RFC 9111 §5.2.1: what a caller of a cached client says in `Cache-Control` is obeyed. */
import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { caching, clients, counting, origin } from "./clientSupport.js"

for (const { layer, name } of clients) {
  describe(`the directives of a request, ${name}`, () => {
    const provide = Effect.provide(Layer.merge(Memory.layer(), layer))
    const start = (directives: string) =>
      Effect.gen(function*() {
        const { hits, url } = yield* origin(counting({ "cache-control": directives, etag: "\"7\"" }))
        const { get } = yield* caching()
        return {
          hits,
          ask: (path: string, said?: string) => get(url + path, said === undefined ? {} : { "cache-control": said }),
          pragma: (path: string) => get(url + path, { pragma: "no-cache" })
        }
      })

    it.scoped("§5.2.1.7: with only-if-cached the answer is what is stored, or a 504 that nobody sent", () =>
      Effect.gen(function*() {
        const { ask, hits } = yield* start("max-age=60")
        const missing = yield* ask("/", "only-if-cached")
        assert.deepStrictEqual([missing.status, missing.body, hits.length], [504, "", 0])
        yield* ask("/")
        const stored = yield* ask("/", "only-if-cached")
        assert.deepStrictEqual([stored.status, stored.body, hits.length], [200, "1 /", 1])
      }).pipe(provide))

    it.scoped("§5.2.1.4: with no-cache, or Pragma, what is stored is validated", () =>
      Effect.gen(function*() {
        const { ask, hits, pragma } = yield* start("max-age=60")
        yield* ask("/")
        assert.strictEqual((yield* ask("/", "no-cache")).body, "2 /")
        assert.strictEqual(hits[1]!.headers["if-none-match"], "\"7\"")
        assert.strictEqual((yield* pragma("/")).body, "3 /")
        assert.strictEqual((yield* ask("/")).body, "3 /")
      }).pipe(provide))

    it.scoped("§5.2.1.5: with no-store the answer is not stored", () =>
      Effect.gen(function*() {
        const { ask } = yield* start("max-age=60")
        yield* ask("/", "no-store")
        assert.strictEqual((yield* ask("/")).body, "2 /")
        assert.strictEqual((yield* ask("/")).body, "2 /")
      }).pipe(provide))

    it.scoped("§5.2.1.1, §5.2.1.3: max-age and min-fresh ask for what is young enough", () =>
      Effect.gen(function*() {
        const { ask } = yield* start("max-age=60")
        yield* ask("/")
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual((yield* ask("/", "max-age=20")).body, "1 /")
        assert.strictEqual((yield* ask("/", "min-fresh=40")).body, "1 /")
        assert.strictEqual((yield* ask("/", "min-fresh=41")).body, "2 /")
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual((yield* ask("/", "max-age=19")).body, "3 /")
      }).pipe(provide))

    it.scoped("§5.2.1.2: max-stale takes what is stale, unless the answer forbids it", () =>
      Effect.gen(function*() {
        for (const [directives, body] of [["max-age=60", "1 /"], ["max-age=60, must-revalidate", "2 /"]] as const) {
          const { ask } = yield* start(directives)
          yield* ask("/")
          yield* TestClock.adjust("70 seconds")
          const { body: got } = yield* ask("/", "max-stale=20")
          assert.strictEqual(got, body)
        }
      }).pipe(provide))
  })
}
