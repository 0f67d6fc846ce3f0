/**
 * A tag for nunjucks that caches parts of templates:
 *
 *     {% cache timeout, name, vary… %} body {% endcache %}
 *
 * - `timeout`: seconds, or a duration like `"5 minutes"`. `none`: until it is
 *   invalidated. `0`: not at all. `"del"`: the fragment is removed, and the body
 *   rendered and not stored.
 * - `name`: which fragment. Nothing else of the template tells fragments apart.
 * - `vary`: what its text depends on, as many as there are; in a loop, what the
 *   loop goes over.
 * - `tags=["user:1"]` and `grace=30` (seconds, or a duration) as keywords after them.
 *
 * Every operand is an expression. Tags nest, in loops, conditions and includes,
 * but not in macros, which nunjucks cannot wait for: put the macro in the tag.
 *
 * @since 1.0.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { AsyncLocalStorage } from "node:async_hooks"
import type { BackendError, CacheBackend } from "./Backend.js"
import * as Fragment from "./Fragment.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * A template could not be rendered. `cause` is what nunjucks told.
 *
 * @since 1.0.0
 * @category errors
 */
export class TemplateError extends Data.TaggedError("TemplateError")<{
  readonly template: string
  readonly cause: unknown
}> {
  override get message(): string {
    return `${this.template}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/**
 * The part of a nunjucks `Environment` that is needed to render.
 *
 * @since 1.0.0
 * @category models
 */
export interface Environment {
  render(name: string, context: object, callback: (error: any, text: string | null) => void): unknown
}

/**
 * What `Environment.addExtension` takes.
 *
 * @since 1.0.0
 * @category models
 */
export interface Extension {
  readonly tags: Array<string>
  readonly autoescape: boolean
  readonly parse: (parser: any, nodes: any, lexer: any) => any
  readonly run: (...args: Array<any>) => void
}

type Callback = (error: unknown, text?: string) => void

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/** What a tag runs in: the program that renders, or the load of the fragment around it. */
const surroundings = new AsyncLocalStorage<Runtime.Runtime<CacheBackend>>()

/**
 * The tag, over the backend of the program that makes it.
 *
 * Templates with the tag are rendered with a callback, or by `render`. Without a
 * backend, or with a name that is no text, the render fails; a fault of the
 * backend does not make it fail, and the body runs once whatever happens.
 *
 * @example
 * ```ts
 * import * as Memory from "effect-caching/backends/Memory"
 * import * as Nunjucks from "effect-caching/Nunjucks"
 * import { Effect } from "effect"
 * import nunjucks from "nunjucks"
 *
 * const program = Effect.gen(function*() {
 *   const environment = new nunjucks.Environment(new nunjucks.FileSystemLoader("views"))
 *   environment.addExtension("cache", yield* Nunjucks.extension)
 *   return yield* Nunjucks.render(environment, "page.html", { user: { id: 1 } })
 * }).pipe(Effect.provide(Memory.layer()))
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const extension: Effect.Effect<Extension, never, CacheBackend> = Effect.map(
  Effect.runtime<CacheBackend>(),
  (runtime): Extension => ({
    tags: ["cache"],
    // What is cached is text as it is rendered: the body has escaped what it put in.
    autoescape: false,
    parse(parser, nodes) {
      const token = parser.nextToken()
      const operands = parser.parseSignature(null, true)
      parser.advanceAfterBlockEnd(token.value)
      const body = parser.parseUntilBlocks("endcache")
      parser.advanceAfterBlockEnd()
      const positional = operands.children.filter((operand: unknown) => !(operand instanceof nodes.KeywordArgs))
      if (positional.length < 2) parser.fail("cache: expected a time-out and a name", token.lineno, token.colno)
      return new nodes.CallExtensionAsync(this, "run", operands, [body])
    },
    run(_context, ...rest) {
      const callback: Callback = rest.pop()
      const body: (callback: Callback) => unknown = rest.pop()
      const surrounding = surroundings.getStore() ?? runtime
      Runtime.runCallback(surrounding)(fragment(rest, body), {
        onExit: (exit) =>
          // What follows the tag runs in the callback: again where the tag is, and not where a driver's answer came in.
          surroundings.run(surrounding, () => {
            try {
              if (exit._tag === "Success") callback(null, exit.value)
              else callback(errorOf(exit.cause))
            } catch (error) {
              callback(error)
            }
          })
      })
    }
  })
)

/**
 * The template rendered, in the context of the caller: in a load of a cache,
 * what is made of the page depends on the tags of its fragments.
 *
 * @since 1.0.0
 * @category constructors
 */
export const render = (
  environment: Environment,
  template: string,
  context: object = {}
): Effect.Effect<string, TemplateError, CacheBackend> =>
  Effect.flatMap(Effect.runtime<CacheBackend>(), (runtime) =>
    Effect.async<string, TemplateError>((resume) => {
      const done = (error: unknown, text: string | null = null) =>
        resume(
          error === null && text !== null
            ? Effect.succeed(text)
            : Effect.fail(new TemplateError({ template, cause: error ?? new Error("nothing was rendered") }))
        )
      surroundings.run(runtime, () => {
        try {
          environment.render(template, context, done)
        } catch (error) {
          done(error)
        }
      })
    }))

// -----------------------------------------------------------------------------
// the tag
// -----------------------------------------------------------------------------

/** What the body of a tag, or an operand, made go wrong: told as it is. */
class Wrong extends Data.TaggedError("Wrong")<{ readonly error: unknown }> {}

const errorOf = (cause: Cause.Cause<Wrong | BackendError>): unknown => {
  if (cause._tag === "Fail") return cause.error._tag === "Wrong" ? cause.error.error : cause.error
  return new Error("a cached fragment could not be rendered", { cause })
}

const fragment = (
  operands: ReadonlyArray<any>,
  body: (callback: Callback) => unknown
): Effect.Effect<string, Wrong | BackendError, CacheBackend> =>
  Effect.suspend(() => {
    const last = operands.at(-1)
    const isKeyed = typeof last === "object" && last !== null && Object.hasOwn(last, "__keywords")
    const { __keywords: _, grace, tags, ...unknown } = isKeyed ? last : {} as Record<string, any>
    const [timeout, given, ...vary] = (isKeyed ? operands.slice(0, -1) : operands).map(plain)
    const name = typeof given === "number" ? String(given) : given
    if (Object.keys(unknown).length > 0) return wrong(`no option ${Object.keys(unknown).join(", ")}`)
    if (typeof name !== "string" || name === "" || name.length > 90) {
      return wrong(`the name must be text of 1 to 90 characters, not ${show(name)}`)
    }
    const isTags = tags === undefined || (Array.isArray(tags) && tags.every((tag) => typeof plain(tag) === "string"))
    if (!isTags) return wrong(`tags must be a list of text, not ${show(tags)}`)
    const identity = { name, vary: vary.length === 0 ? undefined : vary }
    if (timeout === "del") return Effect.zipRight(Fragment.invalidate(identity), rendered(body))
    const timeToLive = timeout === null ? Duration.infinity : durationOf(timeout)
    if (timeToLive === undefined) return wrong(`the time-out must be seconds, a duration or none, not ${show(timeout)}`)
    const graceful = grace === undefined ? Duration.zero : durationOf(plain(grace))
    if (graceful === undefined) return wrong(`grace must be seconds or a duration, not ${show(grace)}`)
    return Fragment.cached(rendered(body), { ...identity, timeToLive, grace: graceful, tags: tags?.map(String) })
  })

/** Text marked as safe is an object of nunjucks'. */
const plain = (operand: unknown): unknown => operand instanceof String ? String(operand) : operand

const durationOf = (given: unknown): Duration.Duration | undefined => {
  if (typeof given === "number") return given >= 0 ? Duration.seconds(given) : undefined
  if (typeof given === "string" && given.startsWith("-")) return undefined
  const duration = Duration.decodeUnknown(given)
  return duration._tag === "Some" ? duration.value : undefined
}

const show = (value: unknown): string => typeof value === "string" ? JSON.stringify(value) : String(value)

const wrong = (problem: string) => Effect.fail(new Wrong({ error: new Error(`cache: ${problem}`) }))

/** The body of a tag. Tags within run in the load that this is. */
const rendered = (body: (callback: Callback) => unknown): Effect.Effect<string, Wrong, CacheBackend> =>
  Effect.flatMap(Effect.runtime<CacheBackend>(), (runtime) =>
    Effect.async<string, Wrong>((resume) => {
      const done = (error: unknown, text?: string) =>
        resume(error ? Effect.fail(new Wrong({ error })) : Effect.succeed(String(text)))
      surroundings.run(runtime, () => {
        try {
          body(done)
        } catch (error) {
          done(error)
        }
      })
    }))
