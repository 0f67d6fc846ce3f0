/**
 * What a person does first with Flask-Caching, done here: a view cached for a
 * minute, a dynamic view, functions, instances, fragments. Prints what happens.
 */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import type { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Fragment from "effect-caching/Fragment"
import * as HttpCache from "effect-caching/HttpCache"
import * as Memoize from "effect-caching/Memoize"
import * as Nunjucks from "effect-caching/Nunjucks"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import nunjucks from "nunjucks"

const title = (text: string) => Console.log(`\n${text}`)

// -- views ------------------------------------------------------------------

let answers = 0

const site = HttpRouter.empty.pipe(
  HttpRouter.get("/", Effect.sync(() => HttpServerResponse.text(`index, made ${++answers} times`))),
  HttpRouter.get(
    "/user/:name",
    Effect.map(HttpRouter.params, ({ name }) => HttpServerResponse.text(`${name}, made ${++answers} times`))
  ),
  HttpCache.middleware({ timeToLive: "60 seconds" })
)

const views = Effect.gen(function*() {
  yield* title("A view cached for 60 seconds, and one by its path")
  const context = yield* Effect.context<CacheBackend>()
  const handler = HttpApp.toWebHandler(Effect.provide(site, context))
  const get = (path: string) =>
    Effect.flatMap(
      Effect.promise(async () => (await handler(new Request(`http://localhost${path}`))).text()),
      (text) => Console.log(`GET ${path}: ${text}`)
    )
  yield* Effect.forEach(["/", "/", "/user/ada", "/user/grace", "/user/ada"], get)
  yield* Console.log(`reset /user/ada: ${yield* HttpCache.invalidate("/user/ada", { origin: "http://localhost" })}`)
  yield* Effect.forEach(["/user/ada", "/user/grace"], get)
})

// -- functions --------------------------------------------------------------

const bigSum = Memoize.wrap(
  (a: number, b: number) => Effect.zipRight(Console.log(`  adding ${a} and ${b}`), Effect.succeed(a + b)),
  { name: "bigSum", schema: Schema.Number, timeToLive: "1 minute" }
)

const functions = Effect.gen(function*() {
  yield* title("A memoized function: the same arguments, and others")
  for (const [a, b] of [[5, 2], [5, 2], [5, 3]] as const) yield* Console.log(`${a} + ${b} = ${yield* bigSum(a, b)}`)
  yield* title("Delete one call")
  yield* bigSum.invalidate(5, 2)
  for (const [a, b] of [[5, 2], [5, 3]] as const) yield* Console.log(`${a} + ${b} = ${yield* bigSum(a, b)}`)
  yield* title("Delete all calls")
  yield* bigSum.invalidateAll
  for (const [a, b] of [[5, 2], [5, 3]] as const) yield* Console.log(`${a} + ${b} = ${yield* bigSum(a, b)}`)
})

// -- instances --------------------------------------------------------------

class Adder {
  constructor(readonly name: string, readonly initial: number) {}
  readonly add = add.of(this)
}

const add = Memoize.method(
  (self: { readonly name: string; readonly initial: number }, n: number) =>
    Effect.zipRight(Console.log(`  ${self.name} adds ${n}`), Effect.succeed(self.initial + n)),
  { name: "Adder.add", schema: Schema.Number, timeToLive: "1 minute", instance: (self) => self.name }
)

const instances = Effect.gen(function*() {
  yield* title("Two instances, invalidated apart")
  const [one, two] = [new Adder("one", 1), new Adder("two", 2)]
  const both = Effect.gen(function*() {
    yield* Console.log(`one: ${yield* one.add(10)}, two: ${yield* two.add(10)}`)
  })
  yield* both
  yield* both
  yield* one.add.invalidateAll
  yield* both
  yield* add.invalidateAll
  yield* both
})

// -- fragments --------------------------------------------------------------

const template = `{% cache 60, "hello", name %}` +
  `{% macro greet(who) %}<b>Hello, {{ who }}! (rendered {{ renders() }} times)</b>{% endmacro %}` +
  `{{ greet(name) }}{% endcache %}`

const fragments = Effect.gen(function*() {
  yield* title("Fragments of a template, with a macro")
  let renders = 0
  const environment = new nunjucks.Environment(
    Object.assign(new nunjucks.Loader(), {
      getSource: (path: string) => ({ src: template, path, noCache: false })
    }) as never
  )
  environment.addGlobal("renders", () => ++renders)
  environment.addExtension("cache", yield* Nunjucks.extension)
  const page = (name: string) => Effect.flatMap(Nunjucks.render(environment, "page", { name }), Console.log)
  yield* Effect.forEach(["Ada", "Ada", "Grace <3"], page)
  yield* Console.log(`delete ${Fragment.key({ name: "hello", vary: ["Ada"] })}`)
  yield* Fragment.invalidate({ name: "hello", vary: ["Ada"] })
  yield* Effect.forEach(["Ada", "Grace <3"], page)
})

export const tour = Effect.all([views, functions, instances, fragments], { discard: true }).pipe(
  Effect.provide(Memory.layer())
)

if (import.meta.url === `file://${process.argv[1]}`) Effect.runPromise(tour)
