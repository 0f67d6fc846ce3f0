/**
 * The commands about one entry: `get`, `has`, `explain` and `delete`.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Backend, BackendError, Entry } from "../../Backend.js"
import { Negative, type ReaderGone, Usage } from "../exit.js"
import { keyOf, NotAKey } from "../key.js"
import * as Render from "../render.js"
import * as Screen from "../screen.js"
import * as Store from "../store.js"
import * as Stored from "../stored.js"
import { option as tell, telling } from "../tell.js"

const options = {
  ...Store.options,
  name: Store.name("The name of the cache or of the memoized function; its arguments follow"),
  keyVersion: Options.text("key-version").pipe(
    Options.withDescription("The version of the cache, where it has one"),
    Options.optional
  ),
  key: Options.text("key").pipe(
    Options.withAlias("k"),
    Options.withDescription("The key as the backend knows it, instead of a name and arguments"),
    Options.optional
  ),
  json: Store.json,
  args: Args.text({ name: "argument" }).pipe(
    Args.withDescription("An argument as JSON; a bare word is a string"),
    Args.repeated
  )
}

type Given = Command.Command.ParseConfig<typeof options>

const requireKey = ({ args, key, keyVersion, name }: Given): Effect.Effect<string, Usage> =>
  Effect.suspend(() => {
    const refuse = (message: string) => Effect.fail(new Usage({ message }))
    // The parser takes an option that it does not know for an argument.
    const unknown = args.find((argument) => /^--?[a-z]/i.test(argument))
    if (unknown !== undefined) return refuse(`there is no option ${unknown}; as an argument, write '"${unknown}"'`)
    if (Option.isSome(key)) {
      return Option.isSome(name) || Option.isSome(keyVersion) || args.length > 0
        ? refuse("--key is a whole key: it goes with no --name, no --key-version and no arguments")
        : Effect.succeed(key.value)
    }
    if (Option.isNone(name)) return refuse("which entry? Give --name and the arguments, or --key")
    if (args.length === 0) return refuse("--name wants arguments after it: '[]' for a function without any")
    try {
      return Effect.succeed(keyOf(name.value, Option.getOrUndefined(keyVersion), args))
    } catch (error) {
      return refuse(error instanceof NotAKey ? error.message : String(error))
    }
  })

interface Found {
  readonly entry: Entry
  readonly judged: Stored.Judged
  readonly now: number
}

const find = (backend: Backend, key: string): Effect.Effect<Found | undefined, BackendError> =>
  Effect.gen(function*() {
    const entry = Option.getOrUndefined(yield* backend.get(key))
    if (entry === undefined) return undefined
    const current = yield* backend.refreshTags(entry.tags)
    const now = yield* Clock.currentTimeMillis
    return { entry, judged: Stored.judge(entry, current, now), now }
  })

interface Asked {
  readonly backend: Backend
  readonly key: string
  readonly found: Found | undefined
}

/** Looks the entry up and answers with what `use` makes of it. */
const about = <E>(given: Given, use: (asked: Asked) => Effect.Effect<void, E>) =>
  Effect.flatMap(
    requireKey(given),
    (key) =>
      Store.withStore(given)((backend) => Effect.flatMap(find(backend, key), (found) => use({ backend, key, found })))
  )

const get = Command.make(
  "get",
  {
    ...options,
    raw: Options.boolean("raw").pipe(Options.withDescription("The bytes of the value, and nothing else"))
  },
  (given) =>
    about(given, ({ backend: { name: backend }, found, key }): Effect.Effect<void, Negative | ReaderGone> => {
      if (found === undefined) {
        const absent = Screen.answer(given.json, () => ({ key, backend, state: "absent" }), () =>
          `nothing is stored under ${Render.visible(key)}`)
        return Effect.zipRight(given.raw ? Effect.void : absent, Effect.fail(new Negative()))
      }
      const { entry, judged, now } = found
      if (given.raw) {
        return Screen.printBytes(entry.bytes ?? new Uint8Array(0))
      }
      const payload = Stored.payloadOf(entry)
      return Screen.answer(
        given.json,
        () => ({
          key,
          backend,
          state: judged.state,
          ...Stored.headerJson(entry, judged),
          value: Stored.payloadJson(payload)
        }),
        () =>
          `${Render.facts(Stored.headerText(key, backend, entry, judged, now))}\n\n${Stored.payloadText(payload)}`
      )
    })
).pipe(Command.withDescription("Shows an entry: its times, its tags and its value. Exits with 1 where there is none"))

const has = Command.make("has", options, (given) =>
  about(given, ({ found, key }) => {
    const state = found?.judged.state ?? "absent"
    const has = state === "fresh"
    return Effect.zipRight(
      Screen.answer(given.json, () => ({ key, has, state }), () => has ? "yes" : `no: ${state}`),
      has ? Effect.void : Effect.fail(new Negative())
    )
  })).pipe(Command.withDescription("Says whether a call would be a hit. Exits with 1 where not"))

const explain = Command.make(
  "explain",
  options,
  (given) =>
    about(given, ({ backend: { name: backend }, found, key }) => {
      const why = found?.judged.why ?? ["nothing is stored under the key, or it has expired and was removed"]
      const answer = found?.judged.answer ?? "miss"
      const state = found?.judged.state ?? "absent"
      const entry = found === undefined ? null : Stored.headerJson(found.entry, found.judged)
      return Screen.answer(given.json, () => ({ key, backend, answer, state, why, entry }), () =>
        Render.facts([
          ["a call would be", answer === "stale" ? "answered stale" : `a ${answer}`],
          ...why.map((reason, i) => [i === 0 ? "because" : "", reason] as const),
          ...(found === undefined
            ? [["key", key], ["backend", backend]] as const
            : Stored.headerText(key, backend, found.entry, found.judged, found.now))
        ]))
    })
).pipe(
  Command.withDescription("Says how a call would be answered, and why: fresh, stale, expired or invalidated by a tag")
)

const remove = Command.make(
  "delete",
  { ...options, tell },
  (given) =>
    Effect.flatMap(requireKey(given), (key) =>
      Store.withStore(given)((backend) =>
        Effect.flatMap(
          backend.flights.invalidating({ keys: [key] }, backend.remove(key)).pipe(
            telling(given.tell, { _tag: "Keys", keys: [key] })
          ),
          (deleted) =>
            Screen.answer(
              given.json,
              () => ({ key, deleted }),
              () => `${deleted ? "deleted" : "nothing was stored under"} ${Render.visible(key)}`
            )
        )
      ))
).pipe(
  Command.withDescription("Removes an entry. What is being loaded for it is not stored either")
)

export const commands = [get, has, explain, remove] as const
