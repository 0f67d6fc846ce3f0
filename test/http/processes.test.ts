/** Two processes in front of one Redis: what one stores, learns or ends holds for the other. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { redisForFile } from "../support/overBackends.js"
import { serve } from "./support.js"

describe("HttpCache in two processes", () => {
  const redis = redisForFile()
  const origin = "http://example.com"

  /** Two servers with clients of their own to one Redis; the app answers with how often it ran. */
  const two = (options: HttpCache.Options, headers: Record<string, string>) =>
    Effect.gen(function*() {
      const source = { runs: 0 }
      const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers: { "x-kind": kind } }) =>
        HttpServerResponse.text(`${++source.runs} ${kind ?? "none"}`, {
          headers: { "cache-control": "max-age=60", ...headers }
        }))
      const processes = yield* Effect.forEach([0, 1], () =>
        Effect.gen(function*() {
          const backend = yield* Layer.build(redis.layer(`${options.name}:`))
          const cached = HttpCache.middleware({
            host: () =>
              "example.com",
            ...options
          })(app)
          const client = yield* serve(
            Effect.mapInputContext(cached, (input: Context.Context<any>) =>
              Context.merge(input, backend))
          )
          const run = <A, E>(effect: Effect.Effect<A, E, any>) => Effect.provide(effect, backend)
          return { client, run }
        }))
      return { source, here: processes[0]!, there: processes[1]! }
    })

  it.scopedLive("variants share their places, and none is sent for another", () =>
    Effect.gen(function*() {
      const { here, source, there } = yield* two({ name: "slots", maxVariants: 1 }, { vary: "X-Kind" })
      assert.strictEqual((yield* here.client.get("/a", { "x-kind": "a" })).body, "1 a")
      assert.strictEqual((yield* there.client.get("/a", { "x-kind": "a" })).body, "1 a")
      assert.strictEqual((yield* there.client.get("/a", { "x-kind": "b" })).body, "2 b")
      assert.strictEqual((yield* here.client.get("/a", { "x-kind": "b" })).body, "2 b")
      assert.strictEqual((yield* here.client.get("/a", { "x-kind": "a" })).body, "3 a")
      assert.strictEqual(source.runs, 3)
    }))

  it.scopedLive("a path's rule for queries is known to the other, and ended by it", () =>
    Effect.gen(function*() {
      const { here, there } = yield* two({ name: "search", noVarySearch: true }, { "no-vary-search": "params" })
      yield* here.client.get("/a?1")
      assert.strictEqual((yield* there.client.get("/a?2")).body, "2 none")
      assert.strictEqual((yield* here.client.get("/a?3")).body, "2 none")
      yield* there.run(HttpCache.invalidate("/a?9", { name: "search", origin }))
      assert.strictEqual((yield* here.client.get("/a?4")).body, "3 none")
      yield* here.client.get("/a?5")
      assert.strictEqual((yield* there.client.get("/a?6")).body, "4 none")
    }))

  it.scopedLive("a prefix is ended for both", () =>
    Effect.gen(function*() {
      const { here, there } = yield* two({ name: "prefix", prefixes: true }, { vary: "X-Kind" })
      for (const path of ["/a/1", "/b/1"]) yield* here.client.get(path)
      yield* there.run(HttpCache.invalidatePrefix("/a", { name: "prefix", origin }))
      assert.strictEqual((yield* there.client.get("/a/1")).body, "3 none")
      assert.strictEqual((yield* here.client.get("/a/1")).body, "3 none")
      assert.strictEqual((yield* there.client.get("/b/1")).body, "2 none")
    }))

  it.scopedLive("tags from a field, and the cookies of answers that are stored with them", () =>
    Effect.gen(function*() {
      const { here, there } = yield* two({ name: "tags", tagsFrom: ["Cache-Tag"], setCookie: "store" }, {
        "cache-tag": "t u",
        "set-cookie": "a=1"
      })
      yield* here.client.get("/a")
      const hit = yield* there.client.get("/a")
      assert.deepStrictEqual([hit.body, hit.headers["set-cookie"]], ["1 none", "a=1"])
      yield* there.run(HttpCache.invalidateTags(["u"]))
      assert.strictEqual((yield* here.client.get("/a")).body, "2 none")
    }))
})
