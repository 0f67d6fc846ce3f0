/** Attacks of docs/http-security.md that no other test makes, as bytes on a socket. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import { askApp, memory, send, serve, storages } from "./support.js"

const fresh = { "cache-control": "public, max-age=60" }

/** Repeats the fields it was shown, and its target. */
const mirror = Effect.map(
  HttpServerRequest.HttpServerRequest,
  ({ headers, method, originalUrl }) =>
    HttpServerResponse.text(`${method} ${originalUrl} ${JSON.stringify(headers)}`, { headers: fresh })
)

for (const storage of storages) {
  describe(`attacks over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("fields that URLs and methods are built from do not reach what others get", () =>
      Effect.gen(function*() {
        const { port } = yield* serve(HttpCache.middleware()(mirror))
        const names = [
          "Forwarded",
          "X-Forwarded-Host",
          "X-Forwarded-Port",
          "X-Forwarded-Prefix",
          "X-Forwarded-Proto",
          "X-Forwarded-Scheme",
          "X-Host",
          "X-HTTP-Method-Override",
          "X-Method-Override",
          "X-Original-URL",
          "X-Rewrite-URL"
        ]
        for (const [i, name] of names.entries()) {
          assert.include(yield* send(port, `/${i}`, [`${name}: evil`]), "stored")
          const clean = yield* send(port, `/${i}`)
          assert.include(clean, "; hit;", name)
          assert.notInclude(clean, "evil", name)
        }
      }).pipe(provide))

    it.scoped("a target in absolute form does not choose what its host's clients get", () =>
      Effect.gen(function*() {
        const { port } = yield* serve(HttpCache.middleware()(mirror))
        assert.include(yield* send(port, "http://evil/a"), "fwd=bypass")
        assert.notInclude(yield* send(port, "/a"), "evil")
      }).pipe(provide))

    it.scoped("hop-by-hop: a field that a request names in Connection is not kept from a proxy behind the cache", () =>
      Effect.gen(function*() {
        const proxy = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
          const named = (headers["connection"] ?? "").split(/\s*,\s*/)
          const seen = ["x-kind", "x-forwarded-proto"].filter((name) => !named.includes(name))
          return HttpServerResponse.text(seen.map((name) => headers[name] ?? "none").join(), {
            headers: { ...fresh, vary: "X-Kind" }
          })
        })
        const { port } = yield* serve(HttpCache.middleware()(proxy))
        const fields = ["X-Kind: a", "X-Forwarded-Proto: https"]
        yield* send(port, "/a", ["Connection: X-Kind, x-kind, x-forwarded-proto", ...fields])
        const clean = yield* send(port, "/a", fields)
        assert.include(clean, "; hit;")
        assert.include(clean, "a,https")
      }).pipe(provide))

    it.scoped("a GET with chunked content fills nothing", () =>
      Effect.gen(function*() {
        const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ text }) =>
          Effect.map(Effect.orDie(text), (text) =>
            HttpServerResponse.text(`got <${text}>`, { headers: fresh })))
        const { port } = yield* serve(HttpCache.middleware()(app))
        assert.include(yield* send(port, "/a", ["Transfer-Encoding: chunked"], "4\r\nevil\r\n0\r\n\r\n"), "<evil>")
        assert.include(yield* send(port, "/a"), "<>")
      }).pipe(provide))

    it.scoped("cache deception: no path makes a user's page one for others", () =>
      Effect.gen(function*() {
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ cookies }) =>
          HttpServerResponse.text(`page of ${cookies["sid"] ?? "nobody"}`, {
            headers: { "cache-control": "max-age=60" }
          }))
        const { port } = yield* serve(HttpCache.middleware({ timeToLive: "1 hour" })(app))
        for (
          const target of [
            "/profile/x.css",
            "/profile;x.css",
            "/profile#x.css",
            "/profile?x.css",
            "/profile%2Fx.css",
            "/profile%00.css",
            "/static/../profile",
            "/static/..%2Fprofile",
            "//profile/x.css"
          ]
        ) {
          assert.include(yield* send(port, target, ["Cookie: sid=ada"]), "page of ada")
          assert.include(yield* send(port, target), "page of nobody", target)
          assert.include(yield* send(port, target, ["Cookie: sid=bob"]), "page of bob", target)
        }
      }).pipe(provide))

    it.scoped("CPDoS: an error that a field provokes is not what others get", () =>
      Effect.gen(function*() {
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          HttpServerResponse.text("page", { status: Number(headers["x-provoke"] ?? 200), headers: fresh }))
        const { port } = yield* serve(HttpCache.middleware({ timeToLive: "1 hour" })(app))
        for (const status of [400, 401, 403, 405, 413, 414, 431, 500, 502, 503, 504]) {
          assert.include(yield* send(port, `/${status}`, [`X-Provoke: ${status}`]), `HTTP/1.1 ${status}`)
          assert.include(yield* send(port, `/${status}`), "HTTP/1.1 200", String(status))
        }
      }).pipe(provide))

    it.scoped("CPDoS: an answer with a field that cannot be sent is not what others get", () =>
      Effect.gen(function*() {
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          HttpServerResponse.text("page", {
            headers: { ...fresh, "x-language": decodeURIComponent(headers["x-language"] ?? "en") }
          }))
        const { port } = yield* serve(HttpCache.middleware()(app))
        for (const [i, value] of ["%0d%0aSet-Cookie:a=b", "%00", "%7f", "%c5%82"].entries()) {
          assert.include(yield* send(port, `/${i}`, [`X-Language: ${value}`]), "HTTP/1.1 500", value)
          for (const status of ["fwd=uri-miss", "fwd=uri-miss; stored"]) {
            const clean = yield* send(port, `/${i}`)
            assert.include(clean, "HTTP/1.1 200", value)
            assert.include(clean, status, value)
          }
        }
      }).pipe(provide))

    it.scoped("oversized and malformed fields are answered by the server, and store nothing", () =>
      Effect.gen(function*() {
        const { port } = yield* serve(HttpCache.middleware()(mirror))
        assert.include(yield* send(port, "/a", [`X-Long: ${"a".repeat(20_000)}`]), "HTTP/1.1 431")
        for (const field of ["X Bad: 1", "X-Bad: \0", "Content-Length: 1, 2"]) {
          assert.include(yield* send(port, "/a", [field]), "HTTP/1.1 400", field)
        }
        assert.include(yield* send(port, "/a"), "fwd=uri-miss; stored")
      }).pipe(provide))

    it.scoped("response splitting: an encoded line end in a target is no line end in an answer", () =>
      Effect.gen(function*() {
        const app = Effect.map(
          HttpServerRequest.HttpServerRequest,
          ({ originalUrl }) => HttpServerResponse.empty({ status: 302, headers: { ...fresh, location: originalUrl } })
        )
        const { port } = yield* serve(HttpCache.middleware()(app))
        for (let i = 0; i < 2; i++) {
          const got = yield* send(port, "/%0d%0aSet-Cookie:evil=1")
          assert.include(got, "/%0d%0aSet-Cookie")
          assert.notMatch(got, /^set-cookie/im)
        }
      }).pipe(provide))

    it.scoped("a flood of ranges is answered from one entry, a flood of variants each with its own", () =>
      Effect.gen(function*() {
        let runs = 0
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
          runs++
          return HttpServerResponse.text(`<${headers["x-kind"] ?? "0123456789"}>`, {
            headers: headers["x-kind"] === undefined ? fresh : { ...fresh, vary: "X-Kind" }
          })
        })
        const { port } = yield* serve(HttpCache.middleware()(app))
        yield* send(port, "/range")
        for (let i = 0; i < 10; i++) assert.include(yield* send(port, "/range", [`Range: bytes=${i}-`]), "HTTP/1.1 206")
        assert.strictEqual(runs, 1)
        for (let i = 0; i < 60; i++) assert.include(yield* send(port, "/vary", [`X-Kind: ${i}`]), `<${i}>`)
      }).pipe(provide))
  })
}

describe("T11: a flood of queries", () => {
  it.effect("leaves no more entries than the backend holds", () =>
    Effect.gen(function*() {
      let runs = 0
      const app = HttpCache.middleware({ clientDirectives: "safe" })(
        Effect.sync(() => HttpServerResponse.text(`${++runs}`, { headers: fresh }))
      )
      for (let i = 0; i < 3_000; i++) yield* askApp(app, `/a?q=${i}`, {})
      assert.strictEqual(runs, 3_000)
      let stored = 0
      for (let i = 0; i < 3_000; i++) {
        if ((yield* askApp(app, `/a?q=${i}`, { "cache-control": "only-if-cached" })).status === 200) stored++
      }
      assert.isAtMost(stored, 200)
      assert.isAtLeast(stored, 100)
    }).pipe(Effect.provide(Memory.layer({ maxEntries: 200 }))), 60_000)
})
