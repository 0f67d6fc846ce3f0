/** Attacks whose rules are tested as functions elsewhere, as bytes on a socket of a real server. */
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { memory, send, serve, storages } from "./support.js"

const fresh = { "cache-control": "public, max-age=60" }

/** Answers with what it makes of the request. */
const answering = (
  body: (request: HttpServerRequest.HttpServerRequest) => string,
  headers: Record<string, string> = fresh
) => Effect.map(HttpServerRequest.HttpServerRequest, (request) => HttpServerResponse.text(body(request), { headers }))

const page = answering(({ headers }) => `page of ${headers["x-user"] ?? "nobody"}`)

for (const storage of storages) {
  describe(`attacks on the wire, over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("X-Forwarded-Proto has entries for http and https, and what is neither is http", () =>
      Effect.gen(function*() {
        const app = answering(({ headers }) => `<${headers["x-forwarded-proto"]}>`)
        const { port } = yield* serve(HttpCache.middleware()(app))
        const evil = yield* send(port, "/a", ["X-Forwarded-Proto: evil://"])
        assert.include(evil, "<http>")
        const http = yield* send(port, "/a", ["X-Forwarded-Proto: http"])
        assert.include(http, "; hit;")
        assert.notInclude(evil + http, "evil")
        assert.include(yield* send(port, "/a", ["X-Forwarded-Proto: https"]), "<https>")
        assert.include(yield* send(port, "/a", ["X-Forwarded-Proto: HTTPS"]), "; hit;")
        assert.include(yield* send(port, "/a", ["X-Forwarded-Proto: http"]), "<http>")
      }).pipe(provide))

    it.scoped("T3: the URL that a handler builds of a request is the one of the key", () =>
      Effect.gen(function*() {
        const app = answering((request) => `<${Option.getOrThrow(HttpServerRequest.toURL(request)).href}>`)
        const { port } = yield* serve(HttpCache.middleware()(HttpMiddleware.xForwardedHeaders(app)))
        for (const evil of ["X-Forwarded-Proto: evil", "X-Forwarded-Host: evil", "Forwarded: host=evil;proto=https"]) {
          yield* send(port, "/a", [evil])
        }
        assert.include(yield* send(port, "/a"), "<http://good/a>")
        assert.include(yield* send(port, "/a", ["X-Forwarded-Proto: https"]), "<https://good/a>")
        assert.include(yield* send(port, "/a"), "<http://good/a>")
      }).pipe(provide))

    it.scoped("a parameter cloaked in one that is left out does not reach what others get", () =>
      Effect.gen(function*() {
        const app = answering(({ originalUrl }) => `<${originalUrl}>`)
        const { port } = yield* serve(HttpCache.middleware({ query: { exclude: ["utm"] } })(app))
        for (const query of ["utm=x;b=evil", "utm=x#b=evil", "utm=%zz&b=evil", "utm=x%26b=evil"]) {
          yield* send(port, `/a?${query}`)
        }
        assert.notInclude(yield* send(port, "/a?utm=x"), "evil")
        const clean = yield* send(port, "/a?utm=y")
        assert.include(clean, "; hit;")
        assert.include(clean, "</a>")
      }).pipe(provide))

    for (
      const directive of [
        "private=\"\", public, max-age=60",
        "private = \"x\", public, max-age=60",
        "PRIVATE, public, max-age=60",
        "No-StOrE;, public, max-age=60",
        "no-store=\"x\", public, max-age=60",
        "public, max-age=60, private, private=\"x\"",
        "public;max-age=60",
        "public, max-age=\"60",
        "public, max-age=-60"
      ]
    ) {
      it.scoped(`Cache-Control: ${directive} stores nothing`, () =>
        Effect.gen(function*() {
          const app = answering(({ headers }) => `page of ${headers["x-user"]}`, { "cache-control": directive })
          const { port } = yield* serve(HttpCache.middleware()(app))
          for (const user of ["ada", "bob", "eve"]) {
            assert.include(yield* send(port, "/a", [`X-User: ${user}`]), `page of ${user}`)
          }
        }).pipe(provide))
    }

    for (const vary of ["*", "X-User, *", "X-User ,", "A, B, C, D, E, F, G, H, X-User", "X-User;q=1, X User"]) {
      it.scoped(`Vary: ${vary} sends nobody what another was sent`, () =>
        Effect.gen(function*() {
          const app = answering(({ headers }) => `page of ${headers["x-user"]}`, { ...fresh, vary })
          const { port } = yield* serve(HttpCache.middleware()(app))
          for (const user of ["ada", "bob", "ada", "eve"]) {
            assert.include(yield* send(port, "/a", [`X-User: ${user}`]), `page of ${user}`)
          }
        }).pipe(provide))
    }

    for (const name of ["__proto__", "constructor", "hasOwnProperty", "toString"]) {
      it.scoped(`Vary: ${name} tells apart what has the field and what has it not`, () =>
        Effect.gen(function*() {
          const app = answering(
            ({ headers }) => `page of ${Object.entries(headers).find(([key]) => key === name.toLowerCase())?.[1]}`,
            { ...fresh, vary: name }
          )
          const { port } = yield* serve(HttpCache.middleware()(app))
          for (let i = 0; i < 2; i++) {
            yield* send(port, "/a", [`${name}: ada`, "Cookie: __proto__=ada"])
            assert.include(yield* send(port, "/a"), "page of undefined")
            assert.notInclude(yield* send(port, "/a", [`${name}: bob`]), "page of ada")
          }
        }).pipe(provide))
    }

    it.scoped("a flood of variants takes the places it is given, and each is sent its own", () =>
      Effect.gen(function*() {
        const app = answering(({ headers }) => `<${headers["x-kind"]}>`, { ...fresh, vary: "X-Kind" })
        const { port } = yield* serve(HttpCache.middleware({ maxVariants: 4 })(app))
        for (let i = 0; i < 100; i++) assert.include(yield* send(port, "/a", [`X-Kind: ${i}`]), `<${i}>`)
        let hits = 0
        for (let i = 0; i < 100; i++) {
          const got = yield* send(port, "/a", [`X-Kind: ${i}`])
          assert.include(got, `<${i}>`)
          if (got.includes("; hit;")) hits++
        }
        assert.isAtMost(hits, 4)
      }).pipe(provide))

    for (
      const rule of [
        "params=(\"utm\", params",
        "params, @",
        "params, except=(\"a\"",
        "params=utm",
        "key-order=1, params",
        "params=(\"%zz\")"
      ]
    ) {
      it.scoped(`No-Vary-Search: ${rule} says nothing`, () =>
        Effect.gen(function*() {
          const app = answering(({ originalUrl }) => `<${originalUrl}>`, { ...fresh, "no-vary-search": rule })
          const { port } = yield* serve(HttpCache.middleware({ noVarySearch: true })(app))
          for (const query of ["utm=evil", "utm=1", "utm=2"]) {
            assert.include(yield* send(port, `/a?${query}`), `</a?${query}>`)
          }
        }).pipe(provide))
    }

    it.scoped("No-Vary-Search is not applied to a query that parsers could disagree on", () =>
      Effect.gen(function*() {
        const app = answering(({ originalUrl }) => `<${originalUrl}>`, { ...fresh, "no-vary-search": "params" })
        const { port } = yield* serve(HttpCache.middleware({ noVarySearch: true })(app))
        for (const query of ["a=1;b=evil", "%zz=evil", "a=1#b=evil"]) {
          yield* send(port, `/a?${query}`)
          yield* send(port, `/a?${query}`)
        }
        for (const query of ["a=1", "a=2"]) assert.notInclude(yield* send(port, `/a?${query}`), "evil")
      }).pipe(provide))

    it.scoped("long targets that differ in their last character have entries of their own", () =>
      Effect.gen(function*() {
        const app = answering(({ originalUrl }) => `<${originalUrl.slice(-1)}>`)
        const { port } = yield* serve(HttpCache.middleware()(app))
        const long = `/${"a".repeat(6_000)}?${"b=1&".repeat(500)}`
        for (const end of ["x", "y", "z"]) assert.include(yield* send(port, long + end), `<${end}>`)
        for (const end of ["x", "y", "z"]) {
          const got = yield* send(port, long + end)
          assert.include(got, `<${end}>`)
          assert.include(got, "; hit;")
        }
      }).pipe(provide))

    it.scoped("a user's HEAD, Range or precondition changes nothing of what others get", () =>
      Effect.gen(function*() {
        const { port } = yield* serve(HttpCache.middleware()(page))
        const secret = ["Authorization: Bearer ada", "X-User: ada"]
        yield* send(port, "/a", secret, "", "HEAD")
        yield* send(port, "/a", [...secret, "Range: bytes=0-3"])
        yield* send(port, "/a", [...secret, "If-None-Match: *"])
        for (const status of ["stored", "; hit;"]) {
          const got = yield* send(port, "/a")
          assert.include(got, status)
          assert.include(got, "page of nobody")
        }
      }).pipe(provide))
  })
}
