/**
 * The commands about many entries: `invalidate` and `clear`.
 */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Backend } from "../../Backend.js"
import * as Cache from "../../Cache.js"
import { prefixOf } from "../../internal/key.js"
import { Negative, Usage } from "../exit.js"
import * as Render from "../render.js"
import * as Screen from "../screen.js"
import * as Store from "../store.js"
import { option as tell, telling } from "../tell.js"

const invalidate = Command.make("invalidate", {
  ...Store.options,
  tags: Options.text("tag").pipe(
    Options.withAlias("t"),
    Options.withDescription("A tag; may be given several times"),
    Options.repeated
  ),
  soft: Options.boolean("soft").pipe(
    Options.withDescription("Make stale what depends on the tags, instead of a miss")
  ),
  tell,
  json: Store.json
}, (given) => {
  const tags = Array.from(new Set(given.tags))
  const mode = given.soft ? "soft" : "hard"
  if (tags.length === 0) return Effect.fail(new Usage({ message: "which tags? Give --tag" }))
  return Store.withStore(given)((backend) =>
    Effect.zipRight(
      Cache.invalidateTags(tags, { mode }).pipe(telling(given.tell, { _tag: "Tags", tags, mode })),
      Screen.answer(given.json, () => ({ backend: backend.name, tags, mode }), () => {
        const done = given.soft ? "made stale" : "invalidated"
        return `${done} what depends on ${Render.visible(tags.join(", "))}`
      })
    )
  )
}).pipe(
  Command.withDescription("Ends every entry that depends on one of the tags, in all caches of the store, in one step")
)

const clear = Command.make("clear", {
  ...Store.options,
  name: Store.name("Everything of the cache of this name"),
  prefix: Options.text("prefix").pipe(
    Options.withAlias("p"),
    Options.withDescription("Everything under keys that begin with this text"),
    Options.optional
  ),
  all: Options.boolean("all").pipe(
    Options.withDescription("Everything that begins with the store's key prefix")
  ),
  yes: Options.boolean("yes").pipe(Options.withAlias("y"), Options.withDescription("Do not ask")),
  tell,
  json: Store.json
}, (given) => {
  const prefixes = [
    ...Option.toArray(Option.map(given.name, prefixOf)),
    ...Option.toArray(given.prefix),
    ...(given.all ? [""] : [])
  ]
  const [prefix] = prefixes
  if (prefix === undefined || prefixes.length > 1 || (prefix === "" && !given.all)) {
    return Effect.fail(new Usage({ message: "what? Give one of --name, --prefix and --all" }))
  }
  if (!given.yes && !Screen.canAsk()) {
    return Effect.fail(new Usage({ message: "there is no terminal to ask on: give --yes to clear" }))
  }
  const what = prefix === "" ? "everything" : `everything under ${Render.visible(prefix)}`
  return Store.withStore(given)((backend) =>
    Effect.gen(function*() {
      if (!given.yes) {
        const entries = yield* countOf(backend, prefix)
        const question = entries === undefined
          ? `Clear ${what} (how much that is, a ${backend.name} backend cannot tell)?`
          : `Clear ${Render.plural(entries, "entry", "entries")}, ${what}?`
        if (!(yield* Screen.confirm(question))) {
          yield* Screen.answer(given.json, () => ({ prefix, cleared: false }), () => "nothing was cleared")
          return yield* new Negative()
        }
      }
      yield* backend.flights.invalidating({ prefix }, backend.clear(prefix)).pipe(
        Screen.withProgress("keys removed:"),
        telling(given.tell, { _tag: "Prefix", prefix })
      )
      yield* Screen.answer(given.json, () => ({ prefix, cleared: true }), () => `cleared ${what}`)
    })
  )
}).pipe(
  Command.withDescription("Removes what is under a name or a prefix. Asks first; without a terminal it wants --yes")
)

const countOf = ({ inspect }: Backend, prefix: string) =>
  inspect === undefined
    ? Effect.succeed(undefined)
    : Effect.map(
      Screen.withProgress("keys counted:")(inspect(prefix)),
      ({ parts }) => parts?.reduce((sum, { entries }) => sum + entries, 0)
    )

export const commands = [invalidate, clear] as const
