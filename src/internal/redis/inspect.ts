/**
 * What Redis servers tell of the entries of a backend, and of themselves.
 */
import * as Effect from "effect/Effect"
import type { BackendError } from "../../Backend.js"
import { type Inspection, numberIn, Progress, type Server, Tally } from "../inspection.js"
import type { Failure } from "./failure.js"
import type { Done, Link } from "./link.js"
import type { Survey } from "./servers.js"

export interface Parts {
  /** Matches the keys that are meant. */
  readonly pattern: string
  readonly scanCount: number
  /** ioredis puts it before the keys of commands, but not off what SCAN answers. */
  readonly keyPrefix: string
  /** The backend's key of a name on the server; `undefined` where that is no entry's. */
  readonly keyOf: (wired: string) => string | undefined
  readonly survey: Effect.Effect<Survey, BackendError>
  readonly attempt: (send: (done: Done) => void) => Effect.Effect<any, BackendError>
}

/** Counts by SCAN, which never blocks a server; a key that a server moves in its table meanwhile may count twice. */
export const inspect = (parts: Parts): Effect.Effect<Inspection, BackendError> =>
  Effect.gen(function*() {
    const { links } = yield* parts.survey
    const tally = new Tally()
    const servers = yield* Effect.forEach(links, (link) =>
      Effect.zipRight(count(parts, link, tally, "0"), serverOf(parts, link)), {
      concurrency: "unbounded"
    })
    return { parts: tally.parts, servers }
  })

const count = (parts: Parts, link: Link, tally: Tally, cursor: string | Buffer): Effect.Effect<void, BackendError> =>
  Effect.gen(function*() {
    const { attempt, keyOf, keyPrefix, pattern, scanCount } = parts
    const args = [cursor, "MATCH", pattern, "COUNT", scanCount, "TYPE", "string"]
    const [next, found]: [Buffer, Array<Buffer>] = yield* attempt((done) => link.send("scan", args, done))
    const keys = found.flatMap((wired) => {
      const name = wired.subarray(Buffer.byteLength(keyPrefix))
      const key = keyOf(name.toString())
      return key === undefined ? [] : [{ name, key }]
    })
    const lengths: ReadonlyArray<unknown> = yield* attempt((done) =>
      lengthsOf(link, keys.map(({ name }) => name), done)
    )
    keys.forEach(({ key }, index) => tally.add(key, Number(lengths[index])))
    const report = yield* Progress
    report(keys.length)
    if (String(next) !== "0") yield* count(parts, link, tally, next)
  })

/** How long the values are, when the last one is there. */
const lengthsOf = (link: Link, names: ReadonlyArray<Buffer>, done: Done): void => {
  const lengths = names.map((): unknown => undefined)
  let left = names.length
  let failed: Failure | undefined
  if (left === 0) return done(undefined, lengths)
  names.forEach((name, index) =>
    link.send("strlen", [name], (failure, length) => {
      failed ??= failure
      lengths[index] = length
      if (--left === 0) done(failed, lengths)
    })
  )
}

/** What INFO says; nothing where it is not permitted. */
const serverOf = ({ attempt }: Parts, link: Link): Effect.Effect<Server, BackendError> => {
  const { db = 0, host, path, port } = link.client.options
  const name = path ?? `${host}:${port}`
  return Effect.matchEffect(attempt((done) => link.send("info", [], done)), {
    onFailure: (error) => error.reason === "Authentication" ? Effect.succeed({ name }) : Effect.fail(error),
    onSuccess: (reply: Buffer) => {
      const facts = new Map(Array.from(reply.toString().matchAll(/^(\w+):(.*?)\r?$/gm), ([, key, fact]) => [key, fact]))
      const number = (key: string) => numberIn(facts.get(key))
      const maxBytes = number("maxmemory")
      return Effect.succeed({
        name,
        version: facts.get("redis_version"),
        uptimeSeconds: number("uptime_in_seconds"),
        entries: numberIn(/keys=(\d+)/.exec(facts.get(`db${db}`) ?? "keys=0")?.[1]),
        bytes: number("used_memory"),
        maxBytes: maxBytes === 0 ? undefined : maxBytes,
        evicted: number("evicted_keys"),
        hits: number("keyspace_hits"),
        misses: number("keyspace_misses")
      })
    }
  })
}
