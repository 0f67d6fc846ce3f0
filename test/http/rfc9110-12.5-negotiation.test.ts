/** RFC 9110 §12.5: what a client prefers of what the app has. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import { preferredEncoding, preferredLanguage } from "../../src/internal/http/negotiation.js"
import { memory, serve, storages } from "./support.js"

const language = (value: string | undefined, ...available: ReadonlyArray<string>) => preferredLanguage(value, available)
const encoding = (value: string | undefined) => preferredEncoding(value, ["br", "gzip"])

describe("RFC 9110 §12.5.4: the language", () => {
  it("is the one with the greatest weight", () => {
    assert.strictEqual(language("fr;q=0.5, de;q=1.0", "en", "fr", "de"), "de")
    assert.strictEqual(language("fr;q=0.5, de;q=0.4", "en", "fr", "de"), "fr")
  })

  it("is the app's first where weights are equal, in whatever order they come", () => {
    for (const value of ["en, de", "de, en", "DE,EN", " de ,  en", "*"]) {
      assert.strictEqual(language(value, "de", "en"), "de", value)
    }
  })

  it("is the app's first where none is named, or nothing is", () => {
    for (const value of [undefined, "", "fr", "x y", "de;q=0", "fr;q=2", "*;q=0"]) {
      assert.strictEqual(language(value, "en", "de"), "en", value)
    }
  })

  it("that is refused is not taken by *, and what is named has its own weight", () => {
    assert.strictEqual(language("*, en;q=0", "en", "de"), "de")
    assert.strictEqual(language("en;q=0.5, *;q=0.8", "en", "de"), "de")
    assert.strictEqual(language("en;q=0.5, *;q=0.3", "de", "en"), "en")
  })

  it("is found by the range without its last subtags (RFC 4647 §3.4)", () => {
    assert.strictEqual(language("zh-Hant-CN-x-private1-private2", "en", "zh-Hant"), "zh-Hant")
    assert.strictEqual(language("zh-Hant-x-a", "zh-Hant-x", "zh"), "zh")
    assert.strictEqual(language("de-CH", "en", "de"), "de")
    assert.strictEqual(language("de", "en", "de-CH"), "en")
    assert.strictEqual(language("de-CH", "en", "de", "de-CH"), "de-CH")
  })
})

describe("RFC 9110 §12.5.3: the content coding", () => {
  it("is the one with the greatest weight, the app's first where they are equal", () => {
    assert.strictEqual(encoding("gzip, br"), "br")
    assert.strictEqual(encoding("gzip, deflate, br;q=0.9"), "gzip")
    assert.strictEqual(encoding("x-gzip"), "gzip")
    assert.strictEqual(encoding("GZIP"), "gzip")
    assert.strictEqual(encoding("*"), "br")
    assert.strictEqual(encoding("*, br;q=0"), "gzip")
  })

  it("is identity where none is taken, or that is preferred", () => {
    for (const value of [undefined, "", "deflate", "gzip;q=0", "identity, gzip;q=0.5", "*;q=0"]) {
      assert.strictEqual(encoding(value), "identity", value)
    }
    assert.strictEqual(encoding("gzip, identity"), "gzip")
  })
})

for (const storage of storages) {
  describe(`normalised fields over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    const repeating = (name: string, source: { runs: number }) =>
      Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
        source.runs++
        return HttpServerResponse.text(headers[name] ?? "none", {
          headers: { "cache-control": "max-age=60", vary: name }
        })
      })

    it.scoped("languages: there is one variant for each, and the handler sees no other", () =>
      Effect.gen(function*() {
        const source = { runs: 0 }
        const client = yield* serve(
          HttpCache.middleware({ languages: ["de", "en"] })(repeating("accept-language", source))
        )
        for (
          const [value, body] of [
            ["en, de", "de"],
            ["de, en", "de"],
            ["fr;q=0.5, de;q=1.0", "de"],
            ["en-GB,en;q=0.9", "en"],
            ["en", "en"],
            ["<script>", "de"]
          ] as const
        ) {
          const reply = yield* client.get("/a", { "accept-language": value })
          assert.strictEqual(reply.body, body, value)
          assert.strictEqual(reply.headers["vary"], "accept-language")
        }
        assert.strictEqual((yield* client.get("/a")).body, "de")
        assert.strictEqual(source.runs, 2)
      }).pipe(provide))

    it.scoped("encodings: there is one variant for each, and identity", () =>
      Effect.gen(function*() {
        const source = { runs: 0 }
        const client = yield* serve(
          HttpCache.middleware({ encodings: ["br", "gzip"] })(repeating("accept-encoding", source))
        )
        for (
          const [value, body] of [
            ["gzip, deflate, br", "br"],
            ["br;q=1.0, gzip;q=0.8, *;q=0.1", "br"],
            ["gzip, deflate", "gzip"],
            ["deflate", "identity"]
          ] as const
        ) {
          assert.strictEqual((yield* client.get("/a", { "accept-encoding": value })).body, body, value)
        }
        assert.strictEqual((yield* client.get("/a")).body, "identity")
        assert.strictEqual(source.runs, 3)
      }).pipe(provide))

    it.scoped("normalise: what the function answers is what counts, and what the handler sees", () =>
      Effect.gen(function*() {
        const source = { runs: 0 }
        const normalise = {
          "X-Device": (value: string | undefined) => /mobile/i.test(value ?? "") ? "mobile" : undefined
        }
        const client = yield* serve(
          HttpCache.middleware({ normalise, vary: ["X-Device"] })(repeating("x-device", source))
        )
        for (const [value, body] of [["Mobile 1", "mobile"], ["a mobile", "mobile"], ["x", "none"]] as const) {
          assert.strictEqual((yield* client.get("/a", { "x-device": value })).body, body)
        }
        assert.strictEqual((yield* client.get("/a")).body, "none")
        assert.strictEqual(source.runs, 2)
      }).pipe(provide))

    it.scoped("host: what the function answers is the key and what the handler sees, undefined goes past", () =>
      Effect.gen(function*() {
        const source = { runs: 0 }
        const host = (host: string) => host.endsWith("example.com") ? host.replace(/^www\./, "") : undefined
        const client = yield* serve(HttpCache.middleware({ host })(repeating("host", source)))
        assert.strictEqual((yield* client.get("/a", { host: "www.example.com" })).body, "example.com")
        assert.strictEqual((yield* client.get("/a", { host: "example.com" })).body, "example.com")
        assert.strictEqual(source.runs, 1)
        const other = yield* client.get("/a", { host: "evil" })
        assert.strictEqual(other.headers["cache-status"], "http; fwd=bypass")
        assert.isTrue(yield* HttpCache.invalidate("/a", { origin: "http://www.example.com", host }))
        assert.isFalse(yield* HttpCache.invalidate("/a", { origin: "http://example.com", host }))
        assert.isFalse(yield* HttpCache.invalidate("/a", { origin: "http://evil", host }))
      }).pipe(provide))

    it.scoped("host: false is one entry for all hosts, of which the handler sees none", () =>
      Effect.gen(function*() {
        const source = { runs: 0 }
        const client = yield* serve(HttpCache.middleware({ host: false })(repeating("host", source)))
        for (const host of ["a.example", "b.example"]) {
          assert.strictEqual((yield* client.get("/a", { host })).body, "none")
        }
        assert.strictEqual(source.runs, 1)
        yield* client.ask("/a", { method: "DELETE", headers: { host: "c.example" } })
        yield* client.get("/a", { host: "a.example" })
        assert.strictEqual(source.runs, 3)
      }).pipe(provide))
  })
}

describe("a web request's absolute URL", () => {
  it.effect("shows no host that the key does not cover", () =>
    Effect.gen(function*() {
      const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ originalUrl }) =>
        HttpServerResponse.text(originalUrl))
      const asked = HttpServerRequest.fromWeb(new Request("http://evil.example/a?b=1"))
      for (
        const [host, shown] of [[false, "/a?b=1"], [() =>
          "good", "http://good/a?b=1"]] as const
      ) {
        const { body } = yield* Effect.provideService(
          HttpCache.middleware({ host })(app),
          HttpServerRequest.HttpServerRequest,
          asked
        )
        assert.strictEqual(new TextDecoder().decode((body as { readonly body: Uint8Array }).body), shown)
      }
    }).pipe(Effect.provide(memory())))
})

describe("options that are none are refused", () => {
  const throws = (options: unknown, message: RegExp) =>
    assert.throws(() => HttpCache.middleware(options as HttpCache.Options), message)
  it("by name", () => {
    throws({ languages: [] }, /languages must be a list of language tags/)
    throws({ languages: ["e n"] }, /languages/)
    throws({ encodings: "gzip" }, /encodings must be a list of content codings/)
    throws({ normalise: { Cookie: () => "" } }, /normalise must be functions/)
    throws({ normalise: { "x-a": "b" } }, /normalise must be functions/)
    throws({ host: "a" }, /host must be true, false or a function/)
  })
})
