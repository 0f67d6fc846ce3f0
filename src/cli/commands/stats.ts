/**
 * The commands about the store: `ping` and `stats`.
 */
import * as Command from "@effect/cli/Command"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Inspection, Part, Server } from "../../internal/inspection.js"
import { prefixOf } from "../../internal/key.js"
import * as Render from "../render.js"
import * as Screen from "../screen.js"
import * as Store from "../store.js"

const ping = Command.make(
  "ping",
  { ...Store.options, json: Store.json },
  (given) =>
    Store.withStore(given)((backend) => {
      const read = backend.get("effect-caching:ping")
      // The first waits for the connection too.
      return Effect.flatMap(Effect.zipRight(read, Effect.timed(read)), ([took]) => {
        const millis = Math.round(Duration.toMillis(took) * 1_000) / 1_000
        return Screen.answer(
          given.json,
          () => ({ backend: backend.name, isShared: backend.isShared, millis }),
          () => `${backend.name} answers, in ${millis} ms`
        )
      })
    })
).pipe(
  Command.withDescription("Reads a key, to see whether the store answers")
)

const stats = Command.make("stats", {
  ...Store.options,
  name: Store.name("The entries of the cache of this name only"),
  json: Store.json
}, (given) =>
  Store.withStore(given)((backend) =>
    Effect.gen(function*() {
      const { inspect } = backend
      const prefix = Option.match(given.name, { onNone: () => "", onSome: prefixOf })
      const found: Inspection = inspect === undefined
        ? { parts: undefined, servers: [] }
        : yield* Screen.withProgress("keys counted:")(inspect(prefix))
      yield* Screen.answer(given.json, () => ({
        backend: backend.name,
        caches: found.parts?.map(({ name = null, ...rest }) => ({ name, ...rest })) ?? null,
        servers: found.servers
      }), () => statsText(backend.name, found))
    })
  )).pipe(
    Command.withDescription("What the store can tell: entries and bytes by cache, and of its servers")
  )

/** The answer of `stats`, for people. */
export const statsText = (backend: string, { parts, servers }: Inspection): string =>
  [
    parts === undefined ? `Of which caches the entries are, a ${backend} backend cannot tell.` : partsText(parts),
    ...(servers.some(({ version }) => version !== undefined)
      ? [serversText(servers)]
      : servers.map(({ name }) => `in ${Render.visible(name)}`))
  ].join("\n\n")

const partsText = (parts: ReadonlyArray<Part>): string => {
  const all = parts.reduce((sum, part) => ({ entries: sum.entries + part.entries, bytes: sum.bytes + part.bytes }), {
    entries: 0,
    bytes: 0
  })
  const row = (name: string, { bytes, entries }: typeof all) => [name, Render.count(entries), Render.bytes(bytes)]
  return Render.table(
    [{ title: "cache" }, { title: "entries", isNumber: true }, { title: "size", isNumber: true }],
    [...parts.map((part) => row(part.name ?? "(no name)", part)), row("all", all)]
  )
}

const serversText = (servers: ReadonlyArray<Server>): string => {
  const count = (value: number | undefined) => value === undefined ? "" : Render.count(value)
  return Render.table(
    [
      { title: "server" },
      { title: "version" },
      { title: "up for", isNumber: true },
      { title: "items", isNumber: true },
      { title: "memory", isNumber: true },
      { title: "of", isNumber: true },
      { title: "evicted", isNumber: true },
      { title: "reads that found", isNumber: true }
    ],
    servers.map(({ bytes, entries, evicted, hits, maxBytes, misses, name, uptimeSeconds, version }) => [
      name,
      version ?? "",
      uptimeSeconds === undefined ? "" : Render.duration(uptimeSeconds * 1_000),
      count(entries),
      bytes === undefined ? "" : Render.bytes(bytes),
      maxBytes === undefined ? "" : Render.bytes(maxBytes),
      count(evicted),
      hits === undefined || misses === undefined ? "" : Render.percent(hits / (hits + misses))
    ])
  )
}

export const commands = [ping, stats] as const
