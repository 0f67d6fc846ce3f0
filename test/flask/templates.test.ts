/** `test_templates.py`, with the tag of nunjucks and with fragments. */
import { assert } from "@effect/vitest"
import * as Fragment from "effect-caching/Fragment"
import * as Nunjucks from "effect-caching/Nunjucks"
import * as Effect from "effect/Effect"
import nunjucks from "nunjucks"
import * as Rows from "./rows.js"
import { describeRows, onMemoryAndRedis } from "./support.js"

/** Renders templates given as text; `count()` in them is the number of its call. */
const renderer = Effect.gen(function*() {
  let calls = 0
  const templates = new Map<string, string>()
  const getSource = (name: string) => ({ src: templates.get(name)!, path: name, noCache: true })
  const loader = Object.assign(new nunjucks.Loader(), { getSource })
  const environment = new nunjucks.Environment(loader)
  environment.addGlobal("count", () => ++calls)
  environment.addExtension("cache", yield* Nunjucks.extension)
  return (text: string, context: object = {}) => {
    templates.set(text, text)
    return Nunjucks.render(environment, text, context)
  }
})

describeRows("test_templates.py", Rows.templates, [], (row) => {
  onMemoryAndRedis((test) => {
    test(row("jinjaext_cache"), () =>
      Effect.gen(function*() {
        const render = yield* renderer
        const box = (vary: string) => `{% cache 60, "box"${vary} %}{{ count() }}{% endcache %}`
        const all = Effect.forEach(
          ["", ", \"a\"", ", \"a\", \"b\"", ", who"],
          (vary) => render(box(vary), { who: "x" })
        )
        assert.deepStrictEqual(yield* all, ["1", "2", "3", "4"])
        assert.deepStrictEqual(yield* all, ["1", "2", "3", "4"])
        assert.strictEqual(yield* render(box(", who"), { who: "y" }), "5")
        assert.strictEqual(yield* render("{% cache \"del\", \"box\", \"a\" %}{{ count() }}{% endcache %}"), "6")
        assert.deepStrictEqual(yield* all, ["1", "7", "3", "4"])
      }))

    test("two templates given as text share nothing, and two tags in one line neither", () =>
      Effect.gen(function*() {
        const render = yield* renderer
        const line = (name: string) => `{% cache 60, "${name}" %}{{ count() }}{% endcache %}`
        assert.deepStrictEqual(yield* Effect.all([render(line("one")), render(line("other")), render(line("one"))]), [
          "1",
          "2",
          "1"
        ])
        assert.strictEqual(yield* render(`${line("left")} ${line("right")}`), "3 4")
        const nameless = yield* Effect.flip(render("{% cache 60 %}{{ count() }}{% endcache %}"))
        assert.include(nameless.message, "expected a time-out and a name")
      }))

    test("fragments: keys by name and vary, and the invalidation of one leaves the others", () =>
      Effect.gen(function*() {
        let renders = 0
        const box = (vary?: unknown) =>
          Fragment.cached(Effect.sync(() => `${++renders}`), { name: "box", vary, timeToLive: "1 minute" })
        const all = Effect.all([box(), box(["a"]), box(["a", "b"]), box(["a_b"])])
        assert.deepStrictEqual(yield* all, ["1", "2", "3", "4"])
        assert.deepStrictEqual(yield* all, ["1", "2", "3", "4"])
        assert.isTrue(yield* Fragment.invalidate({ name: "box", vary: ["a"] }))
        assert.deepStrictEqual(yield* all, ["1", "5", "3", "4"])
        yield* Fragment.invalidateAll("box")
        assert.deepStrictEqual(yield* all, ["6", "7", "8", "9"])
      }))
  })
})
