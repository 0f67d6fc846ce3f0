import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Template from "@effect/platform/Template"
import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Fragment from "effect-caching/Fragment"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { overBackends } from "../support/overBackends.js"

const render = () => {
  const state = { renders: 0 }
  const text = (what: string) => Effect.sync(() => `<b>${what} ${++state.renders}</b>`)
  return Object.assign(state, { text })
}

describe("Fragment", () => {
  overBackends((test) => {
    test("is rendered once while it is fresh, and put in unescaped", () =>
      Effect.gen(function*() {
        const menu = render()
        const page = Template.make`<body>${
          Fragment.cached(menu.text("menu"), { name: "menu", timeToLive: "1 minute" })
        }${1}</body>`
        assert.strictEqual(yield* page, "<body><b>menu 1</b>1</body>")
        assert.strictEqual(yield* page, "<body><b>menu 1</b>1</body>")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* page, "<body><b>menu 2</b>1</body>")
      }))

    test("varies by what it is told, in any shape", () =>
      Effect.gen(function*() {
        const box = render()
        const at = (vary: unknown) =>
          box.text("box").pipe(Fragment.cached({ name: "box", vary, timeToLive: "1 minute" }))
        const ways = [undefined, "en", ["en"], { language: "en" }, 1, "1"]
        const first = yield* Effect.forEach(ways, at)
        assert.strictEqual(new Set(first).size, ways.length)
        assert.deepStrictEqual(yield* Effect.forEach(ways, at), first)
      }))

    test("is invalidated by name and vary, by name alone, and by tag", () =>
      Effect.gen(function*() {
        const box = render()
        const at = (vary: string) =>
          Fragment.cached(box.text(vary), { name: "box", vary, timeToLive: "1 minute", tags: [`box:${vary}`] })
        yield* Effect.all([at("a"), at("b")])
        assert.isTrue(yield* Fragment.invalidate({ name: "box", vary: "a" }))
        assert.deepStrictEqual(yield* Effect.all([at("a"), at("b")]), ["<b>a 3</b>", "<b>b 2</b>"])
        yield* Cache.invalidateTags(["box:b"])
        assert.deepStrictEqual(yield* Effect.all([at("a"), at("b")]), ["<b>a 3</b>", "<b>b 4</b>"])
        yield* Fragment.invalidateAll("box")
        assert.deepStrictEqual(yield* Effect.all([at("a"), at("b")]), ["<b>a 5</b>", "<b>b 6</b>"])
      }))

    test("a fragment in a fragment hands its tags on", () =>
      Effect.gen(function*() {
        const source = render()
        const inner = Fragment.cached(source.text("inner"), { name: "inner", timeToLive: "1 hour", tags: ["user:1"] })
        const outer = Fragment.cached(Template.make`<i>${inner}</i>`, { name: "outer", timeToLive: "1 hour" })
        yield* outer
        yield* Cache.invalidateTags(["user:1"])
        assert.strictEqual(yield* outer, "<i><b>inner 2</b></i>")
      }))
  })

  it.effect("a render that fails is not stored, and its failure is the page's", () =>
    Effect.gen(function*() {
      const options = { name: "box", timeToLive: "1 minute" } as const
      const page = HttpServerResponse.html`<p>${Fragment.cached(Effect.fail("no" as const), options)}</p>`
      assert.strictEqual(yield* Effect.flip(page), "no")
      assert.strictEqual(yield* Fragment.cached(Effect.succeed("yes"), options), "yes")
    }).pipe(Effect.provide(Memory.layer())))

  it("key is the key in the backend, apart from a cache of the same name", () => {
    assert.strictEqual(Fragment.key({ name: "menu", vary: "en" }), "fragment/menu:'en")
    assert.notStrictEqual(
      Fragment.key({ name: "menu", vary: "en" }),
      Cache.cacheKey(Cache.make({ name: "menu", schema: Schema.String, timeToLive: 1 }), "en")
    )
  })
})
