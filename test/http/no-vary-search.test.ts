/** No-Vary-Search: which parts of a query an answer does not depend on. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { parseNoVarySearch, ruleOf, searchKey, textOf } from "../../src/internal/http/noVarySearch.js"
import { arrivals, memory, serve, storages } from "./support.js"

const isSame = (field: string, a: string | undefined, b: string | undefined): boolean => {
  const rule = parseNoVarySearch(field)
  if (rule === undefined) return a === b
  const [first, second] = [a, b].map((query) => searchKey(["http", "h", "/p", query], rule, "g"))
  return first !== undefined && second !== undefined && JSON.stringify(first) === JSON.stringify(second)
}

describe("No-Vary-Search", () => {
  it("key-order: the order of names does not matter, that of one name's values does", () => {
    assert.isTrue(isSame("key-order", "a=1&b=2", "b=2&a=1"))
    assert.isTrue(isSame("key-order", "b=3&a=1&a=2", "a=1&b=3&a=2"))
    assert.isFalse(isSame("key-order", "a=1&a=2", "a=2&a=1"))
    assert.isFalse(isSame("key-order", "a=1", "a=1&b=2"))
    assert.isFalse(isSame("key-order=?0", "a=1&b=2", "b=2&a=1"))
  })

  it("params: those that are named do not matter, or none does", () => {
    assert.isTrue(isSame("params=(\"utm\")", "a=1&utm=2", "utm=3&utm=4&a=1"))
    assert.isTrue(isSame("params=(\"utm\")", "utm=2", undefined))
    assert.isFalse(isSame("params=(\"utm\")", "a=1&utm=2", "a=2&utm=2"))
    assert.isFalse(isSame("params=(\"utm\")", "a=1&b=2", "b=2&a=1"))
    assert.isTrue(isSame("params", "a=1", "b=2&c=3"))
    assert.isFalse(isSame("params=?0", "a=1", "b=2"))
  })

  it("except: with params, those that are named do matter", () => {
    assert.isTrue(isSame("params, except=(\"id\")", "id=1&a=2", "b=3&id=1"))
    assert.isFalse(isSame("params, except=(\"id\")", "id=1&a=2", "id=2&a=2"))
  })

  it("names are compared as they are decoded", () => {
    assert.isTrue(isSame("params=(\"a+b\" \"%C3%A9\")", "a%20b=1&x=1", "%c3%a9=2&x=1"))
    assert.isFalse(isSame("params=(\"A\")", "a=1", "a=2"))
  })

  it("that is malformed in any part says nothing", () => {
    for (
      const field of [
        "",
        "params=a",
        "params=(a)",
        "params=(\"a\" 1)",
        "params=\"a\"",
        "params=1",
        "key-order=1, params",
        "key-order=(\"a\")",
        "params, except",
        "params, except=(id)",
        "params=(\"a\"), except=(\"b\")",
        "except=(\"b\")",
        "params=?0, except=(\"b\")",
        "params=(\"%zz\")",
        "params,",
        "params=()",
        "unknown"
      ]
    ) {
      assert.isUndefined(parseNoVarySearch(field), field)
    }
    assert.isUndefined(parseNoVarySearch(undefined))
    assert.isTrue(isSame("params;x=1, unknown=(1 2)", "a=1", "b=2"))
  })

  it("is not applied to a query that parsers could disagree on", () => {
    for (const query of ["a=1;b=2", "%zz=1", "a=1#b"]) assert.isFalse(isSame("params", query, query), query)
  })

  it("rules that say the same are the same text, and come back from it", () => {
    const rule = parseNoVarySearch("params=(\"b\" \"a\" \"b\"), key-order")!
    assert.strictEqual(textOf(rule), textOf(parseNoVarySearch("key-order, params=(\"a\" \"b\")")!))
    assert.deepStrictEqual(ruleOf(textOf(rule)), rule)
  })
})

/** Answers with how often it ran and its target; `field` may depend on the query. */
const searching = (field: (url: string) => string | undefined, more: Record<string, string> = {}) => {
  const source = { runs: 0 }
  const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ originalUrl }) => {
    const said = field(originalUrl)
    return HttpServerResponse.text(`${++source.runs} ${originalUrl}`, {
      headers: { "cache-control": "max-age=60", ...(said === undefined ? {} : { "no-vary-search": said }), ...more }
    })
  })
  return { source, app }
}
const utm = () => "params=(\"utm\")"

for (const storage of storages) {
  describe(`noVarySearch over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))
    const cached = HttpCache.middleware({ noVarySearch: true })

    it.scoped("is told of what `query` leaves out of the key, on a miss and on a hit", () =>
      Effect.gen(function*() {
        const said = (query: HttpCache.Options["query"], path: string, headers: Record<string, string> = {}) =>
          Effect.gen(function*() {
            const app = HttpServerResponse.text("page", { headers: { "cache-control": "max-age=60", ...headers } })
            const client = yield* serve(HttpCache.middleware({ query })(app))
            const miss = (yield* client.get(path)).headers["no-vary-search"]
            const hit = yield* client.get(path)
            assert.include(hit.headers["cache-status"], "hit")
            assert.strictEqual(hit.headers["no-vary-search"], miss)
            return miss
          })
        const include = { include: ["id", "über"] }
        const exclude = { exclude: ["utm_source", "utm"] }
        assert.strictEqual(yield* said(include, "/a?id=1"), "params, except=(\"id\" \"%C3%BCber\")")
        assert.strictEqual(yield* said({ include: [] }, "/b"), "params")
        assert.strictEqual(yield* said(exclude, "/c"), "params=(\"utm_source\" \"utm\")")
        for (const query of [undefined, "exact", "ordered", { exclude: [] }] as const) {
          assert.isUndefined(yield* said(query, `/d/${JSON.stringify(query)?.length}`))
        }
        // Parsers could disagree on it, and the handler has seen all of it.
        assert.isUndefined(yield* said(exclude, "/e?id=1;utm=2"))
        assert.strictEqual(yield* said(exclude, "/f?utm=2", { "no-vary-search": "key-order" }), "key-order")
      }).pipe(provide))

    it.scoped("is not told where `unless` or `forcedUpdate` may decide by what the key leaves out", () =>
      Effect.gen(function*() {
        const app = HttpServerResponse.text("page", { headers: { "cache-control": "max-age=60" } })
        const isPreview = ({ url }: HttpServerRequest.HttpServerRequest) => url.includes("preview=1")
        for (const [i, option] of [{ unless: isPreview }, { forcedUpdate: isPreview }].entries()) {
          const client = yield* serve(
            HttpCache.middleware({ name: `${i}`, query: { include: ["id"] }, ...option })(app)
          )
          for (let i = 0; i < 2; i++) {
            assert.isUndefined((yield* client.get("/a?id=1")).headers["no-vary-search"])
          }
        }
      }).pipe(provide))

    it.scoped("is not heeded unless asked for", () =>
      Effect.gen(function*() {
        const { app, source } = searching(utm)
        const client = yield* serve(HttpCache.middleware()(app))
        for (let i = 0; i < 3; i++) yield* client.get(`/a?utm=${i}`)
        assert.strictEqual(source.runs, 3)
      }).pipe(provide))

    it.scoped("an answer is for all queries that differ in what does not matter", () =>
      Effect.gen(function*() {
        const { app, source } = searching(utm)
        const client = yield* serve(cached(app))
        yield* client.get("/a?utm=1&x=1")
        assert.strictEqual((yield* client.get("/a?utm=2&x=1")).body, "2 /a?utm=2&x=1")
        for (const query of ["utm=3&x=1", "x=1", "x=1&utm"]) {
          assert.strictEqual((yield* client.get(`/a?${query}`)).body, "2 /a?utm=2&x=1")
        }
        assert.strictEqual((yield* client.ask("/a?utm=9&x=1", { method: "HEAD" })).headers["age"], "0")
        assert.strictEqual((yield* client.get("/a?x=2&utm=1")).body, "3 /a?x=2&utm=1")
        assert.strictEqual((yield* client.get("/b?x=1&utm=1")).body, "4 /b?x=1&utm=1")
        assert.strictEqual(source.runs, 4)
      }).pipe(provide))

    it.scoped("answers that say nothing, or something else, are for their own query", () =>
      Effect.gen(function*() {
        const { app } = searching((url) =>
          url.includes("plain") ? undefined : url.includes("other") ? "params=(\"x\")" : "params"
        )
        const client = yield* serve(cached(app))
        yield* client.get("/a?1")
        yield* client.get("/a?2")
        assert.strictEqual((yield* client.get("/a?3")).body, "2 /a?2")
        for (const query of ["plain=1", "plain=2"]) {
          // What is under the rule of the others is sent: they said that nothing matters.
          assert.strictEqual((yield* client.get(`/a?${query}`)).body, "2 /a?2")
        }
        yield* TestClock.adjust("61 seconds")
        assert.strictEqual((yield* client.get("/a?plain=1")).body, "3 /a?plain=1")
        assert.strictEqual((yield* client.get("/a?plain=2")).body, "4 /a?plain=2")
        assert.strictEqual((yield* client.get("/a?plain=1")).body, "5 /a?plain=1")
        assert.strictEqual((yield* client.get("/a?plain=1")).body, "5 /a?plain=1")
        assert.strictEqual((yield* client.get("/a?other=1")).body, "6 /a?other=1")
        assert.strictEqual((yield* client.get("/a?4")).body, "7 /a?4")
      }).pipe(provide))

    it.scoped("who asks at once with different values gets what its own rule allows", () =>
      Effect.gen(function*() {
        const { app, source } = searching(utm)
        const gate = yield* Deferred.make<void>()
        const { reach, through } = arrivals()
        let isGated = false
        const gated = Effect.suspend(() => isGated ? Effect.zipRight(Deferred.await(gate), app) : app)
        const client = yield* serve(through(cached(gated)))
        yield* client.get("/a")
        isGated = true
        const asking = yield* Effect.fork(
          Effect.all(Array.from({ length: 20 }, (_, i) => client.get(`/a?x=${i % 2}&utm=${i}`)), {
            concurrency: "unbounded"
          })
        )
        yield* reach(21)
        yield* Deferred.succeed(gate, undefined)
        const replies = yield* Fiber.join(asking)
        replies.forEach(({ body }, i) => assert.include(body, `x=${i % 2}`))
        assert.strictEqual(source.runs, 3)
      }).pipe(provide))

    it.scoped("Vary counts within", () =>
      Effect.gen(function*() {
        const source = { runs: 0 }
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          HttpServerResponse.text(`${++source.runs} ${headers["x-kind"]}`, {
            headers: { "cache-control": "max-age=60", "no-vary-search": "params", vary: "X-Kind" }
          }))
        const client = yield* serve(cached(app))
        yield* client.get("/a?0", { "x-kind": "a" })
        for (const kind of ["a", "b", "a", "b"]) {
          assert.include((yield* client.get(`/a?${source.runs}`, { "x-kind": kind })).body, kind)
        }
        assert.strictEqual(source.runs, 3)
      }).pipe(provide))

    it.scoped("a private answer is for nobody else, whatever it says of queries", () =>
      Effect.gen(function*() {
        const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          HttpServerResponse.text(`page of ${headers["x-user"]}`, {
            headers: {
              "cache-control": headers["x-user"] === undefined ? "max-age=60" : "private, max-age=60",
              "no-vary-search": "params"
            }
          }))
        const client = yield* serve(cached(app))
        yield* client.get("/a?0", { "x-user": "ada" })
        assert.strictEqual((yield* client.get("/a?1", { "x-user": "bob" })).body, "page of bob")
        assert.strictEqual((yield* client.get("/a?2")).body, "page of undefined")
      }).pipe(provide))

    for (const how of ["invalidate", "POST"] as const) {
      it.scoped(`${how} of one query ends what is for others by the rule too, and what is being made`, () =>
        Effect.gen(function*() {
          const { app } = searching(utm)
          const gate = yield* Deferred.make<void>()
          const { reach, through } = arrivals()
          let isGated = false
          const client = yield* serve(
            cached(through(Effect.suspend(() => isGated ? Effect.zipRight(Deferred.await(gate), app) : app)))
          )
          const forget = how === "POST"
            ? client.ask("/a?utm=9", { method: "POST" })
            : HttpCache.invalidate("/a?utm=9", { origin: `http://localhost:${client.port}` })
          yield* client.get("/a?utm=1")
          yield* client.get("/a?utm=2")
          assert.strictEqual((yield* client.get("/a?utm=3")).body, "2 /a?utm=2")
          yield* forget
          const { body } = yield* client.get("/a?utm=4")
          assert.include(body, "utm=4")
          yield* TestClock.adjust("2 minutes")
          const before = Number(body.split(" ")[0])
          isGated = true
          const making = yield* Effect.fork(client.get("/a?utm=5"))
          yield* reach(how === "POST" ? 5 : 4)
          isGated = false
          yield* forget
          yield* Deferred.succeed(gate, undefined)
          const made = yield* Fiber.join(making)
          assert.isAbove(Number(made.body.split(" ")[0]), before)
          assert.notStrictEqual((yield* client.get("/a?utm=6")).body, made.body)
        }).pipe(provide))
    }
  })
}
