import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Fragment from "effect-caching/Fragment"
import * as Nunjucks from "effect-caching/Nunjucks"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import nunjucks from "nunjucks"
import { overBackends } from "../support/overBackends.js"

/** Templates by name, with a function that counts its calls; some of the templates fail when told so. */
const site = (templates: Readonly<Record<string, string>>) =>
  Effect.gen(function*() {
    const state = { calls: 0, isFailing: false }
    const loader = new nunjucks.Loader() as any
    loader.getSource = (name: string) => ({ src: templates[name]!, path: name, noCache: false })
    const environment = new nunjucks.Environment(loader)
    environment.addGlobal("count", (what: unknown = "") => `${what}${++state.calls}`)
    environment.addGlobal("fail", () => {
      state.calls++
      if (state.isFailing) throw new Error("the body failed")
      return "fine"
    })
    environment.addExtension("cache", yield* Nunjucks.extension)
    return { state, render: (name: string, context?: object) => Nunjucks.render(environment, name, context) }
  })

const one = (template: string) =>
  Effect.map(site({ page: template }), ({ render, state }) => ({
    state,
    render: (context?: object) => render("page", context)
  }))

describe("the cache tag of nunjucks", () => {
  overBackends((test) => {
    test("renders its body once in its time, and again after it", () =>
      Effect.gen(function*() {
        const { render } = yield* one("<p>{% cache 60, \"box\" %}{{ count() }} &amp; {{ \"<\" }}{% endcache %}</p>")
        assert.strictEqual(yield* render(), "<p>1 &amp; &lt;</p>")
        assert.strictEqual(yield* render(), "<p>1 &amp; &lt;</p>")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* render(), "<p>2 &amp; &lt;</p>")
      }))

    test("every operand is an expression, and each vary part tells apart", () =>
      Effect.gen(function*() {
        const { render } = yield* one(
          "{% cache 60 * minutes, \"b\" + \"ox\", user.id, part %}{{ count() }}{% endcache %}"
        )
        const at = (id: unknown, part?: unknown) => render({ minutes: 2, user: { id }, part })
        assert.deepStrictEqual(
          yield* Effect.all([at(1), at("1"), at("a_b", "c"), at("a", "b_c"), at(null), at(undefined)]),
          ["1", "2", "3", "4", "5", "6"]
        )
        assert.deepStrictEqual(yield* Effect.all([at(1), at("a", "b_c")]), ["1", "4"])
        yield* TestClock.adjust("119 seconds")
        assert.strictEqual(yield* at(1), "1")
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(yield* at(1), "7")
      }))

    test("`none` is for ever, 0 stores nothing, \"del\" removes and stores nothing", () =>
      Effect.gen(function*() {
        const { render } = yield* one("{% cache timeout, \"box\" %}{{ count() }}{% endcache %}")
        const at = (timeout: unknown) => render({ timeout })
        assert.deepStrictEqual(yield* Effect.all([at(0), at(0)]), ["1", "2"])
        assert.strictEqual(yield* at(null), "3")
        yield* TestClock.adjust("3650 days")
        assert.strictEqual(yield* at("5 minutes"), "3")
        assert.strictEqual(yield* at("del"), "4")
        assert.strictEqual(yield* at("5 minutes"), "5")
      }))

    test("nests, in loops and conditions, inner and outer stored apart", () =>
      Effect.gen(function*() {
        const { render } = yield* one(
          "{% cache 60, \"list\" %}{{ count(\"list \") }}:{% for n in numbers %}{% if n > 0 %}" +
            "{% cache 600, \"item\", n, tags=[\"item:\" + n] %}{{ count(n + \" \") }};{% endcache %}{% endif %}{% endfor %}{% endcache %}"
        )
        const page = render({ numbers: [0, 1, 2] })
        assert.strictEqual(yield* page, "list 1:1 2;2 3;")
        assert.strictEqual(yield* page, "list 1:1 2;2 3;")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* page, "list 4:1 2;2 3;")
        // The outer one depends on what the inner ones depend on.
        yield* Cache.invalidateTags(["item:2"])
        assert.strictEqual(yield* page, "list 5:1 2;2 6;")
      }))

    test("a body that fails runs once, its error is the page's, and the next render tries anew", () =>
      Effect.gen(function*() {
        const { render, state } = yield* one("a{% cache 60, \"box\" %}{{ fail() }}{% endcache %}z")
        state.isFailing = true
        assert.include((yield* Effect.flip(render())).message, "the body failed")
        assert.strictEqual(state.calls, 1)
        state.isFailing = false
        assert.strictEqual(yield* render(), "afinez")
        assert.strictEqual(yield* render(), "afinez")
        assert.strictEqual(state.calls, 2)
      }))

    test("what fails behind the tag is the page's error too", () =>
      Effect.gen(function*() {
        const { render, state } = yield* one("{% cache 60, \"box\" %}{{ count() }}{% endcache %}{{ fail() }}")
        state.isFailing = true
        assert.include((yield* Effect.flip(render())).message, "the body failed")
        assert.strictEqual(state.calls, 2)
      }))

    test("Fragment.key is the key outside of the template, and Fragment.invalidate removes it", () =>
      Effect.gen(function*() {
        const { render } = yield* one("{% cache 60, \"box\", user, 1 %}{{ count() }}{% endcache %}")
        const page = render({ user: "ada" })
        yield* page
        assert.isTrue(yield* Fragment.invalidate({ name: "box", vary: ["ada", 1] }))
        assert.strictEqual(yield* page, "2")
        yield* Fragment.invalidateAll("box")
        assert.strictEqual(yield* page, "3")
      }))

    test("50 renders at once run the body once, and includes share the fragment", () =>
      Effect.gen(function*() {
        const { render, state } = yield* site({
          page: "{% include \"box\" %}|{% include \"box\" %}",
          box: "{% cache 60, \"box\" %}{% macro b(n) %}<b>{{ n }}</b>{% endmacro %}{{ b(count()) }}{% endcache %}"
        })
        const pages = yield* Effect.all(Array.from({ length: 50 }, () => render("page")), { concurrency: "unbounded" })
        assert.deepStrictEqual(Array.from(new Set(pages)), ["<b>1</b>|<b>1</b>"])
        assert.strictEqual(state.calls, 1)
      }))

    test("a page cached by another cache depends on the tags of its fragments", () =>
      Effect.gen(function*() {
        const { render } = yield* one("{% cache none, \"box\", tags=[\"user:1\"] %}{{ count() }}{% endcache %}")
        const pages = Cache.make({ name: "page", schema: Schema.String, timeToLive: "1 hour" })
        const page = Cache.getOrSet(pages, "home", render())
        assert.deepStrictEqual([yield* page, yield* page], ["1", "1"])
        yield* Cache.invalidateTags(["user:1"])
        assert.strictEqual(yield* page, "2")
      }))
  })

  const refused: ReadonlyArray<readonly [template: string, problem: string]> = [
    ["{% cache %}{{ count() }}{% endcache %}", "cache"],
    ["{% cache 60 %}{{ count() }}{% endcache %}", "expected a time-out and a name"],
    ["{% cache 60 \"box\" %}{{ count() }}{% endcache %}", "expected comma"],
    ["{% cache 60, nothing %}{{ count() }}{% endcache %}", "the name must be text"],
    ["{% cache nothing, \"box\" %}{{ count() }}{% endcache %}", "the time-out must be"],
    ["{% cache \"soon\", \"box\" %}{{ count() }}{% endcache %}", "the time-out must be"],
    ["{% cache 0 - 1, \"box\" %}{{ count() }}{% endcache %}", "the time-out must be"],
    ["{% cache 60, \"box\", tags=\"a\" %}{{ count() }}{% endcache %}", "tags must be a list"],
    ["{% cache 60, \"box\", vary=1 %}{{ count() }}{% endcache %}", "no option vary"]
  ]
  for (const [template, problem] of refused) {
    it.effect(`refuses ${template} before the body runs`, () =>
      Effect.gen(function*() {
        const { render, state } = yield* one(template)
        assert.include((yield* Effect.flip(render())).message, problem)
        assert.strictEqual(state.calls, 0)
      }).pipe(Effect.provide(Memory.layer())))
  }
})
