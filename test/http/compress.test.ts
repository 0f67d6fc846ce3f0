/** Stored answers in content codings, by real connections and real decompression. */
import * as Headers from "@effect/platform/Headers"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/TestClock"
import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { memory, rawOpen, serve, storages } from "./support.js"

const text = "The same words again and again. ".repeat(200)

/** An app that says the text, with how often it ran. */
const saying = (options: HttpCache.Options, headers: Record<string, string> = {}, body = text) => {
  const source = { runs: 0 }
  const app = Effect.sync(() => {
    source.runs++
    return HttpServerResponse.text(body, {
      headers: { "cache-control": "max-age=60", ...headers }
    })
  })
  return Effect.map(serve(HttpCache.middleware({ compress: true, ...options })(app)), (client) => {
    const ask = (fields: Readonly<Record<string, string>> = {}, method = "GET") =>
      Effect.map(
        rawOpen(
          client.port,
          [
            `${method} / HTTP/1.1`,
            "Host: a",
            "Connection: close",
            ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
            "",
            ""
          ].join("\r\n")
        ),
        (got) => {
          const end = got.indexOf("\r\n\r\n")
          const [line, ...lines] = got.slice(0, end).split("\r\n")
          const headers = Headers.fromInput(lines.map((line) => line.split(/: (.*)/s, 2) as [string, string]))
          const bytes = Buffer.from(got.slice(end + 4), "latin1")
          return { status: Number(line!.split(" ")[1]), headers, bytes, coding: headers["content-encoding"] }
        }
      )
    return { source, ask, client }
  })
}

/** How many bodies were compressed while the effect ran. */
const compressionsOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const count = Effect.map(
      Effect.forEach(["br", "gzip"], (coding) =>
        Metric.value(Metric.tagged(
          Metric.counter("http_cache_compressions", {
            description: "Bodies compressed by HTTP caches, by content coding",
            incremental: true
          }),
          "coding",
          coding
        ))),
      (states) => states.map(({ count }) => count)
    )
    const before = yield* count
    const value = yield* effect
    const after = yield* count
    return { value, compressions: after.map((count, i) => count - before[i]!) }
  })

const decoders = { br: brotliDecompressSync, gzip: gunzipSync } as const

describe("compress", () => {
  for (const storage of storages) {
    describe(`over ${storage}`, () => {
      it.scoped("makes each coding once, and gives everybody the one that is asked for", () =>
        Effect.gen(function*() {
          const { ask, source } = yield* saying({})
          const { compressions } = yield* compressionsOf(Effect.gen(function*() {
            for (let i = 0; i < 3; i++) {
              for (const coding of ["br", "gzip"] as const) {
                const { bytes, coding: got, headers, status } = yield* ask({ "Accept-Encoding": coding })
                assert.deepStrictEqual([status, got, headers["vary"]], [200, coding, "Accept-Encoding"])
                assert.strictEqual(headers["content-length"], String(bytes.length))
                assert.isBelow(bytes.length, text.length / 10)
                assert.strictEqual(decoders[coding](bytes).toString(), text)
              }
              const plain = yield* ask()
              assert.deepStrictEqual([plain.coding, plain.headers["vary"]], [undefined, "Accept-Encoding"])
              assert.strictEqual(plain.bytes.toString(), text)
            }
          }))
          assert.deepStrictEqual(compressions, [1, 1])
          assert.strictEqual(source.runs, 1)
        }).pipe(Effect.provide(memory(storage))))

      it.scoped("keeps them where the app says that nothing has changed", () =>
        Effect.gen(function*() {
          let runs = 0
          const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
            runs++
            const fields = { "cache-control": "max-age=60", etag: "\"1\"" }
            return headers["if-none-match"] === "\"1\""
              ? HttpServerResponse.empty({ status: 304, headers: fields })
              : HttpServerResponse.text(text, { headers: fields })
          })
          const { get } = yield* serve(HttpCache.middleware({ compress: true })(app))
          const { compressions } = yield* compressionsOf(Effect.gen(function*() {
            yield* get("/", { "Accept-Encoding": "gzip" })
            yield* TestClock.adjust("61 seconds")
            for (let i = 0; i < 2; i++) {
              assert.strictEqual((yield* get("/", { "Accept-Encoding": "gzip" })).headers["content-encoding"], "gzip")
            }
          }))
          assert.deepStrictEqual([runs, ...compressions], [2, 1, 1])
        }).pipe(Effect.provide(memory(storage))))
    })
  }

  describe("RFC 9110 §12.5.3: the coding", () => {
    for (
      const [value, expected] of [
        ["gzip, deflate, br, zstd", "br"],
        ["gzip;q=1, br;q=0.5", "gzip"],
        ["br;q=0, gzip", "gzip"],
        ["x-gzip", "gzip"],
        ["*", "br"],
        ["identity, gzip;q=0.5", undefined],
        ["deflate", undefined],
        ["", undefined],
        ["gzip;q=0", undefined],
        ["identity;q=0, gzip;q=0.1", "gzip"],
        // Nothing that there is: what there is without a coding.
        ["identity;q=0", undefined],
        ["*;q=0", undefined]
      ] as const
    ) {
      it.scoped(`for ${JSON.stringify(value)} is ${expected ?? "none"}, on a miss and on a hit`, () =>
        Effect.gen(function*() {
          const { ask } = yield* saying({})
          for (let i = 0; i < 2; i++) {
            const { coding, status } = yield* ask({ "Accept-Encoding": value })
            assert.deepStrictEqual([status, coding], [200, expected])
          }
        }).pipe(Effect.provide(memory())))
    }
  })

  it.scoped("gives each form a strong validator of its own, by which it is not modified", () =>
    Effect.gen(function*() {
      const { ask } = yield* saying({}, { etag: "\"7\"" })
      const tags = []
      for (const coding of ["br", "gzip", "identity"]) {
        const fields = { "Accept-Encoding": coding }
        const { headers } = yield* ask(fields)
        tags.push(headers["etag"])
        const unchanged = yield* ask({ ...fields, "If-None-Match": headers["etag"]! })
        assert.deepStrictEqual(
          [unchanged.status, unchanged.headers["etag"], unchanged.headers["vary"], unchanged.bytes.length],
          [304, headers["etag"], "Accept-Encoding", 0]
        )
      }
      assert.deepStrictEqual(tags, ["\"7-br\"", "\"7-gzip\"", "\"7\""])
      assert.strictEqual((yield* ask({ "Accept-Encoding": "gzip", "If-None-Match": "\"7-br\"" })).status, 200)
    }).pipe(Effect.provide(memory())))

  it.scoped("leaves a weak validator as it is", () =>
    Effect.gen(function*() {
      const { ask } = yield* saying({}, { etag: "W/\"7\"" })
      for (const coding of ["br", "identity"]) {
        assert.strictEqual((yield* ask({ "Accept-Encoding": coding })).headers["etag"], "W/\"7\"")
      }
    }).pipe(Effect.provide(memory())))

  it.scoped("answers HEAD with the length of the form", () =>
    Effect.gen(function*() {
      const { ask } = yield* saying({})
      const { bytes } = yield* ask({ "Accept-Encoding": "gzip" })
      const head = yield* ask({ "Accept-Encoding": "gzip" }, "HEAD")
      assert.deepStrictEqual(
        [head.coding, head.headers["content-length"], head.bytes.length],
        ["gzip", String(bytes.length), 0]
      )
    }).pipe(Effect.provide(memory())))

  it.scoped("RFC 9110 §14.2: a range is of the form that is asked for, and parts make a whole", () =>
    Effect.gen(function*() {
      const { ask } = yield* saying({}, { etag: "\"7\"" })
      const fields = { "Accept-Encoding": "gzip" }
      yield* ask(fields)
      const first = yield* ask({ ...fields, Range: "bytes=0-9" })
      const rest = yield* ask({ ...fields, Range: "bytes=10-", "If-Range": first.headers["etag"]! })
      assert.deepStrictEqual([first.status, first.coding, rest.status, rest.coding], [206, "gzip", 206, "gzip"])
      assert.strictEqual(gunzipSync(Buffer.concat([first.bytes, rest.bytes])).toString(), text)
      // A part of another form would make nonsense of it.
      assert.strictEqual((yield* ask({ Range: "bytes=10-", "If-Range": first.headers["etag"]! })).status, 200)
    }).pipe(Effect.provide(memory())))

  describe("leaves as it is", () => {
    const plain = (
      name: string,
      { body = text, fields = {}, headers = {}, options = {} }: {
        readonly options?: HttpCache.Options
        readonly headers?: Record<string, string>
        readonly body?: string
        readonly fields?: Record<string, string>
      }
    ) =>
      it.scoped(name, () =>
        Effect.gen(function*() {
          const { ask, source } = yield* saying(options, headers, body)
          const { compressions } = yield* compressionsOf(Effect.gen(function*() {
            for (let i = 0; i < 2; i++) {
              const { bytes, coding } = yield* ask({ "Accept-Encoding": "br, gzip", ...fields })
              assert.deepStrictEqual([coding, bytes.toString()], [headers["content-encoding"], body])
            }
          }))
          assert.deepStrictEqual([source.runs, ...compressions], [1, 0, 0])
        }).pipe(Effect.provide(memory())))
    plain("what is short", { body: "short" })
    plain("what is shorter than it says", { options: { compress: { minBytes: text.length + 1 } } })
    plain("what is no text", { options: { compress: { types: ["application/json", "+xml", "image/*"] } } })
    plain("what has a coding", { headers: { "content-encoding": "x-own" } })
    plain("no-transform", { headers: { "cache-control": "max-age=60, no-transform" } })
    plain("no-transform, said to caches alone", { headers: { "cdn-cache-control": "max-age=60, no-transform" } })
    plain("what carries a digest", { headers: { "content-digest": "sha-256=:AA==:" } })
    plain("all, unless it is asked to", { options: { compress: false } })
    plain("one user's answers, by credentials", {
      options: { authorization: "per user" },
      fields: { Authorization: "Bearer 1" }
    })
    plain("one user's answers, by cookie", { options: { cookies: { vary: ["id"] } }, fields: { Cookie: "id=1" } })
  })

  it.scoped("keeps no form that is not shorter", () =>
    Effect.gen(function*() {
      const { ask } = yield* saying({ compress: { minBytes: 0 } }, {}, "x")
      const { coding, headers } = yield* ask({ "Accept-Encoding": "gzip" })
      assert.deepStrictEqual([coding, headers["vary"]], [undefined, undefined])
    }).pipe(Effect.provide(memory())))

  it.scoped("compresses once for all who wait, and for who stays when others leave", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const app = Effect.as(
        Deferred.await(gate),
        HttpServerResponse.text(text, { headers: { "cache-control": "max-age=60" } })
      )
      const { get } = yield* serve(HttpCache.middleware({ compress: { encodings: ["gzip"] } })(app))
      const { compressions } = yield* compressionsOf(Effect.gen(function*() {
        const asking = yield* Effect.forEach(Array.from({ length: 10 }), () =>
          Effect.fork(get("/", { "Accept-Encoding": "gzip" })))
        yield* Fiber.interrupt(asking[0]!)
        yield* Deferred.succeed(gate, undefined)
        for (const fiber of asking.slice(1)) {
          assert.strictEqual((yield* Fiber.join(fiber)).headers["content-encoding"], "gzip")
        }
      }))
      assert.deepStrictEqual(compressions, [0, 1])
    }).pipe(Effect.provide(memory())))

  it("refuses options that cannot be meant", () => {
    for (
      const compress of [
        { minBytes: -1 },
        { types: ["text"] },
        { encodings: ["deflate"] },
        { level: { br: 12 } },
        { level: { gzip: 1.5 } }
      ]
    ) {
      assert.throws(() => HttpCache.middleware({ compress: compress as HttpCache.CompressOptions }), /compress/)
    }
  })
})
