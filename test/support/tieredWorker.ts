/**
 * A process with a local tier of its own before a Redis: does what it is told over the channel to its parent, and
 * answers. Instants are those of the monotonic clock, which the processes of a machine share.
 */
import type { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Redis from "effect-caching/backends/Redis"
import * as RedisBus from "effect-caching/backends/RedisBus"
import * as Tiered from "effect-caching/backends/Tiered"
import * as Cache from "effect-caching/Cache"
import * as InvalidationBus from "effect-caching/InvalidationBus"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"

export interface Settings {
  readonly prefix: string
  readonly url: string
  /** Of the server of the bus, if there is one. */
  readonly busUrl: string | undefined
  readonly localMillis: number
}

/** A key of the cache that bears the name of what is done to it, so that a `clear` ends nothing else. */
export interface Subject {
  readonly how: How
  readonly id: number
}

export type How = "invalidate" | "invalidateTags, hard" | "invalidateTags, soft" | "set" | "clear"

/** When the last read that gave the old value began, if one did; when the first that gave another was answered. */
export interface Seen {
  readonly lastOldAt: number | undefined
  readonly firstOtherAt: number
}

/** How many of the invalidations of others this process may have missed so far, and whether it hears them now. */
export interface Hearing {
  readonly isSubscribed: boolean
  readonly losses: number
}

/** What a worker can be asked: its argument, and its answer. */
export interface Requests {
  /** Stores the value for the subjects. */
  readonly store: (argument: { readonly subjects: ReadonlyArray<Subject>; readonly value: string }) => void
  /** Reads until the value is what each subject has, so that the local tier holds it. */
  readonly hold: (argument: { readonly subjects: ReadonlyArray<Subject>; readonly value: string }) => void
  /** Does what the subject is named for, and says when it was answered. */
  readonly change: (argument: { readonly subject: Subject; readonly value: string }) => number
  /** Reads until the value is not the old one any more. */
  readonly watch: (argument: { readonly subject: Subject; readonly old: string }) => Seen
  /** Which subjects are answered with the old value. */
  readonly old: (
    argument: { readonly subjects: ReadonlyArray<Subject>; readonly old: string }
  ) => ReadonlyArray<Subject>
  readonly hearing: (argument: null) => Hearing
}

const { busUrl, localMillis, prefix, url }: Settings = JSON.parse(process.argv.at(-1)!)

const runtime = ManagedRuntime.make(Tiered.layer({
  local: Memory.layer(),
  remote: Redis.layer({ url, prefix, commandTimeout: "5 seconds", requireConnection: true }),
  bus: busUrl === undefined ? undefined : RedisBus.layer({ url: busUrl, channel: `${prefix}bus` }),
  localTimeToLive: localMillis
}))

const cacheOf = (how: How) =>
  Cache.make({
    name: how.replace(/\W/g, ""),
    schema: Schema.String,
    key: (id: number) => id,
    timeToLive: "1 hour",
    grace: "1 hour",
    tags: (_: string, id: number) => [`${how}:${id}`]
  })

const caches = {
  invalidate: cacheOf("invalidate"),
  "invalidateTags, hard": cacheOf("invalidateTags, hard"),
  "invalidateTags, soft": cacheOf("invalidateTags, soft"),
  set: cacheOf("set"),
  clear: cacheOf("clear")
}

const change = ({ how, id }: Subject, value: string): Effect.Effect<unknown, unknown, CacheBackend> => {
  switch (how) {
    case "invalidate":
      return Cache.invalidate(caches[how], id)
    case "invalidateTags, hard":
      return Cache.invalidateTags([`${how}:${id}`], { mode: "hard" })
    case "invalidateTags, soft":
      return Cache.invalidateTags([`${how}:${id}`], { mode: "soft" })
    case "set":
      return Cache.set(caches[how], id, value)
    case "clear":
      return Cache.clear(caches[how])
  }
}

const now = (): number => Number(process.hrtime.bigint()) / 1e6

/** Whether the value is answered as a fresh one. */
const answers = ({ how, id }: Subject, value: string) =>
  Effect.map(
    Cache.lookup(caches[how], id),
    (found) => found._tag === "Hit" && found.exit._tag === "Success" && found.exit.value === value
  )

const nextTurn = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 1)))

const handlers: {
  readonly [Name in keyof Requests]: (
    argument: Parameters<Requests[Name]>[0]
  ) => Effect.Effect<ReturnType<Requests[Name]>, unknown, CacheBackend>
} = {
  store: ({ subjects, value }) =>
    Effect.forEach(subjects, ({ how, id }) => Cache.set(caches[how], id, value), { discard: true }),
  hold: ({ subjects, value }) =>
    Effect.forEach(subjects, (subject) =>
      Effect.gen(function*() {
        // From the second read on the local tier answers.
        for (let reads = 0; reads < 2;) {
          if (yield* answers(subject, value)) reads++
          else yield* nextTurn
        }
      }), { discard: true }),
  change: ({ subject, value }) => Effect.map(change(subject, value), now),
  watch: ({ old, subject }) =>
    Effect.gen(function*() {
      let lastOldAt: number | undefined
      while (true) {
        const startedAt = now()
        if (!(yield* answers(subject, old))) return { lastOldAt, firstOtherAt: now() }
        lastOldAt = startedAt
        yield* nextTurn
      }
    }),
  old: ({ old, subjects }) => Effect.filter(subjects, (subject) => answers(subject, old)),
  hearing: () =>
    Effect.all({
      isSubscribed: Effect.map(
        Metric.value(Metric.tagged(InvalidationBus.subscribed, "bus", "redis")),
        ({ value }) => value === 1
      ),
      losses: Effect.map(
        Metric.value(InvalidationBus.faults.pipe(Metric.tagged("bus", "redis"), Metric.tagged("fault", "lost"))),
        ({ count }) => count
      )
    })
}

export interface Request {
  readonly id: number
  readonly name: keyof Requests
  readonly argument: unknown
}

export type Reply = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string }

const send = (reply: Reply | "ready") => process.send?.(reply)

process.on("message", ({ argument, id, name }: Request) => {
  runtime.runPromise((handlers[name] as (argument: unknown) => Effect.Effect<unknown, unknown, CacheBackend>)(argument))
    .then((value) => send({ id, value }), (error) => send({ id, error: String(error) }))
})
// Without a parent there is nothing to do.
process.on("disconnect", () => process.exit())

void runtime.runPromise(Effect.void).then(() => send("ready"))
