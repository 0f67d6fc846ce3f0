/**
 * A process of its own over the files of a directory: does what its arguments
 * say, and prints what came of it as a line of JSON.
 */
import type { Backend } from "effect-caching/Backend"
import { CacheBackend } from "effect-caching/Backend"
import * as FileSystem from "effect-caching/backends/FileSystem"
import * as Cache from "effect-caching/Cache"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { closeSync, openSync } from "node:fs"
import * as Entry from "../../src/internal/entry.js"

const [directory, task, ...args] = process.argv.slice(2)

const minute = Duration.minutes(1)

const entry = (value: string | Buffer) =>
  new Entry.Entry(false, "text", 0, Infinity, Infinity, 1, [], undefined, Buffer.from(value as string))

const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)

/** "ok", or the reason and the message. */
const outcome = (effect: Effect.Effect<unknown, { readonly reason: string; readonly message: string }>) =>
  Effect.match(effect, {
    onFailure: ({ message, reason }) => ({ reason, message }),
    onSuccess: (value) => ({ value: Option.isOption(value) ? value._tag : value ?? "ok" })
  })

const outcomes = (backend: Backend) =>
  Effect.all({
    get: outcome(backend.get("a:old")),
    getMany: outcome(Effect.map(backend.getMany(["a:old", "a:none"]), (all) => all.map((_) => _._tag).join())),
    has: outcome(backend.has("a:old")),
    set: outcome(backend.set("a:old", entry("new"), minute)),
    add: outcome(backend.add("a:new", entry("new"), minute)),
    increment: outcome(backend.increment("a:n", 1, minute)),
    lease: outcome(Effect.map(backend.lease("a:l", minute), (_) => _.token)),
    remove: outcome(backend.remove("a:old")),
    clear: outcome(backend.clear("a:ol")),
    tagVersions: outcome(Effect.as(backend.tagVersions(["t"]), "ok")),
    invalidateTags: outcome(backend.invalidateTags(["t"], "hard"))
  })

const tasks: Record<string, (backend: Backend) => Effect.Effect<unknown, unknown, CacheBackend>> = {
  /** How often this process was the one that added. */
  add: (backend) =>
    Effect.map(
      Effect.forEach(Array.from({ length: Number(args[0]) }), (_, index) =>
        backend.add(`add:${index}`, entry(`${process.pid}`), minute)),
      (added) =>
        added.filter((isMine) => isMine).length
    ),
  increment: (backend) =>
    Effect.forEach(Array.from({ length: Number(args[0]) }), () => backend.increment("n", 1, minute)),
  /** Overwrites a few keys with long values, each of one letter, for ever. */
  write: (backend) =>
    Effect.zipRight(
      Effect.sync(() => print("ready")),
      Effect.forever(Effect.suspend(() => {
        const letter = String.fromCharCode(97 + Math.floor(Math.random() * 26))
        const key = `torn:${Math.floor(Math.random() * 4)}`
        return backend.set(key, entry(Buffer.alloc(Number(args[0]), letter)), minute)
      }))
    ),
  /** Callers of one missing key. */
  herd: () =>
    Effect.suspend(() => {
      const values = Cache.make({ name: "herd", schema: Schema.String, timeToLive: "1 minute" })
      let loads = 0
      const load = Effect.delay(Effect.sync(() => `${++loads} by ${process.pid}`), "2 seconds")
      return Effect.map(
        Effect.forEach(Array.from({ length: Number(args[0]) }), () => Cache.getOrSet(values, "k", load), {
          concurrency: "unbounded"
        }),
        (answers) => ({ loads, answers: [...new Set(answers)] })
      )
    }),
  outcomes,
  /** What comes of operations while no file can be opened, and afterwards. */
  descriptors: (backend) =>
    Effect.gen(function*() {
      const files: Array<number> = []
      try {
        while (true) files.push(openSync("/dev/null", "r"))
      } catch {
        // There are no more.
      }
      const without = yield* outcomes(backend)
      for (const file of files) closeSync(file)
      return { without, afterwards: yield* outcomes(backend) }
    }),
  /** A value larger than the system lets a file be. */
  large: (backend) =>
    Effect.all([
      outcome(backend.set("a:old", entry(Buffer.alloc(Number(args[0]))), minute)),
      outcome(Effect.map(backend.get("a:old"), Option.map((found) => Buffer.from(found.bytes!).toString())))
    ])
}

if (args.includes("as nobody")) {
  process.setgroups!([])
  process.setgid!(65_534)
  process.setuid!(65_534)
}

const program = Effect.flatMap(CacheBackend, (backend) => tasks[task!]!(backend)).pipe(
  Effect.provide(FileSystem.layer({ directory: directory! })),
  Effect.catchTag("BackendError" as never, ({ message, reason }: any) => Effect.succeed({ make: { message, reason } }))
)

Effect.runPromise(program as Effect.Effect<unknown>).then(print)
