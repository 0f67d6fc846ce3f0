/** All answers of a path and below it are ended at once. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { prefixTag, prefixTags, segmentsOf } from "../../src/internal/http/prefixes.js"
import { arrivals, memory, serve, storages } from "./support.js"

describe("the prefixes of a path", () => {
  it("are the same for all that routers take for one path", () => {
    for (const path of ["/A/b", "//a///b/", "/a/%62", "/a/b;c/d", "/a/b#c", "/a/b/"]) {
      assert.deepStrictEqual(segmentsOf(path), ["a", "b"], path)
    }
    assert.deepStrictEqual(segmentsOf("/"), [])
    assert.deepStrictEqual(segmentsOf("/%zz"), ["%zz"])
    assert.deepStrictEqual(segmentsOf("/a%2Fb"), ["a/b"])
  })

  it("are bounded in number and length, and name nothing", () => {
    const tags = prefixTags("http", "h", `/${Array.from({ length: 100 }, (_, i) => i).join("/")}`)
    assert.strictEqual(tags.length, 9)
    for (const tag of prefixTags("http", "h", `/secret/${"x".repeat(9000)}`)) {
      assert.isBelow(tag.length, 80)
      assert.notInclude(tag, "secret")
    }
    assert.notStrictEqual(prefixTag("http", "h", ["a", "b"]), prefixTag("http", "h", ["a/b"]))
    assert.notStrictEqual(prefixTag("a", "h", []), prefixTag("b", "h", []))
    assert.notStrictEqual(prefixTag("http", "a", []), prefixTag("http", "b", []))
  })
})

for (const storage of storages) {
  describe(`invalidatePrefix over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))
    const counting = () => {
      const source = { runs: 0 }
      const app = Effect.map(HttpServerRequest.HttpServerRequest, () =>
        HttpServerResponse.text(String(++source.runs), {
          headers: { "cache-control": "max-age=60, stale-while-revalidate=60", vary: "X-Kind" }
        }))
      return { source, app }
    }

    it.scoped("ends the path, what is below it, all queries and variants, and nothing else", () =>
      Effect.gen(function*() {
        const { app, source } = counting()
        const client = yield* serve(HttpCache.middleware({ prefixes: true })(app))
        const origin = `http://localhost:${client.port}`
        const under = ["/a", "/a/", "/A/1", "//a/1/2?x=1", "/a?x=1", "/%61/3", "/a;x"]
        const others = ["/", "/ab", "/b/a", "/b"]
        const ask = (path: string, kind: string) => client.get(path, { "x-kind": kind })
        for (const path of [...under, ...others]) for (const kind of ["1", "2"]) yield* ask(path, kind)
        const runs = source.runs
        yield* HttpCache.invalidatePrefix("/a/", { origin })
        for (const path of others) for (const kind of ["1", "2"]) yield* ask(path, kind)
        assert.strictEqual(source.runs, runs)
        for (const path of under) for (const kind of ["1", "2"]) yield* ask(path, kind)
        assert.strictEqual(source.runs, runs + 2 * under.length)
        yield* HttpCache.invalidatePrefix("/", { origin: "http://elsewhere" })
        yield* ask("/b", "1")
        assert.strictEqual(source.runs, runs + 2 * under.length)
        yield* HttpCache.invalidatePrefix(`${origin}/`)
        yield* ask("/b", "1")
        assert.strictEqual(source.runs, runs + 2 * under.length + 1)
      }).pipe(provide))

    it.scoped("what is being made is not kept", () =>
      Effect.gen(function*() {
        const { app } = counting()
        const gate = yield* Deferred.make<void>()
        const { reach, through } = arrivals()
        const client = yield* serve(
          HttpCache.middleware({ prefixes: true })(through(Effect.zipRight(Deferred.await(gate), app)))
        )
        const making = yield* Effect.fork(client.get("/a/1"))
        yield* reach(1)
        yield* HttpCache.invalidatePrefix("/a", { origin: `http://localhost:${client.port}` })
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual((yield* Fiber.join(making)).body, "1")
        assert.strictEqual((yield* client.get("/a/1")).body, "2")
      }).pipe(provide))

    it.scoped("softly, what is stale is sent while a new one is made", () =>
      Effect.gen(function*() {
        const { app } = counting()
        const client = yield* serve(HttpCache.middleware({ prefixes: true, grace: "1 minute" })(app))
        yield* client.get("/a/1")
        yield* HttpCache.invalidatePrefix("/a", { origin: `http://localhost:${client.port}`, mode: "soft" })
        const stale = yield* client.get("/a/1")
        assert.strictEqual(stale.body, "1")
        assert.match(stale.headers["cache-status"]!, /hit; ttl=-/)
      }).pipe(provide))

    it.effect("refuses a prefix that no answer has a tag for", () =>
      Effect.gen(function*() {
        for (
          const [prefix, expected] of [
            ["http://h/1/2/3/4/5/6/7/8/9", "prefix must be a path of at most 8 segments"],
            ["a", "prefix must be an absolute URL"]
          ] as const
        ) {
          const cause = yield* Effect.flip(Effect.sandbox(HttpCache.invalidatePrefix(prefix)))
          assert.include(Cause.pretty(cause), expected)
        }
      }).pipe(provide))
  })
}
