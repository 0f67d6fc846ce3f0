/**
 * The tests of Flask-Caching, told anew from one-line statements of what each of
 * them asserts: on Memory and on Redis, and where they are about backends on
 * Memcached and in files too.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Memoize from "effect-caching/Memoize"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { files, type Kind, memcachedForFile, over, redisForFile, type Test } from "../support/overBackends.js"

const memory: Kind = { name: "Memory", layer: Memory.layer() }

const redis = (): Kind => {
  const { layer } = redisForFile()
  let count = 0
  return { name: "Redis", layer: Layer.suspend(() => layer(`f${count++}:`)) }
}

const memcached = (): Kind => {
  const { layer } = memcachedForFile()
  let count = 0
  return { name: "Memcached", layer: Layer.suspend(() => layer(`f${count++}:`)) }
}

export const onMemoryAndRedis = (define: (test: Test) => void): void => over([memory, redis()], define)

export const onEveryStore = (define: (test: Test, kind: Kind) => void): void =>
  over([memory, { name: "FileSystem", layer: files }, redis(), memcached()], define)

/** A row of theirs that there is no test of, and why. */
export interface NotHere<Row> {
  readonly row: Row
  readonly reason: string
}

/**
 * Defines the tests of a module of theirs: `row` makes the title of the test that tells of
 * a row, or of some that say the same. A row that has neither a test nor a reason fails.
 */
export const describeRows = <Row extends string>(
  module: string,
  rows: Readonly<Record<Row, string>>,
  notHere: ReadonlyArray<NotHere<NoInfer<Row>>>,
  define: (row: (...ids: readonly [Row, ...ReadonlyArray<Row>]) => string) => void
): void => {
  describe(module, () => {
    const told = new Set<string>()
    define((...ids) => {
      for (const id of ids) told.add(id)
      return `${ids.join(", ")}: ${Array.from(new Set(ids.map((id) => rows[id]))).join("; ")}`
    })
    it("each row has a test, or a reason why it has none", () => {
      const excused = notHere.map(({ row }) => row)
      assert.deepStrictEqual([...told, ...excused].sort(), Object.keys(rows).sort())
    })
  })
}

/** A memoized function that answers the number of its call. */
export const counted = <Args extends ReadonlyArray<any>>(
  options: Partial<Memoize.Options<Args, number, unknown, "bypass">> = {}
) => {
  const state = { calls: 0, seen: [] as Array<Args> }
  const f = Memoize.wrap(
    (...args: Args) =>
      Effect.sync(() => {
        state.seen.push(args)
        return ++state.calls
      }),
    { name: "counted", schema: Schema.Number, timeToLive: "5 minutes", ...options } as any
  ) as Memoize.Memoized<Args, number, never, never>
  return { f, state }
}

/** Values of any kind that JSON has, by their keys. */
export const data = Cache.make({ name: "data", schema: Schema.Any, key: (key: string) => key, timeToLive: "5 minutes" })

export const numbers = Cache.make({
  name: "n",
  schema: Schema.Number,
  key: (key: string) => key,
  timeToLive: "5 minutes"
})

export const mixed: ReadonlyArray<readonly [string, unknown]> = [
  ["false", false],
  ["true", true],
  ["zero", 0],
  ["empty", ""],
  ["null", null],
  ["record", {}],
  ["list", []],
  ["nested", { a: [1, { b: null }] }],
  ["keyed by a number", { 1: "one" }],
  ["text", "hi"],
  ["number", 4.5]
]

/** Runs for so many at once. */
export const each = <A, E, R>(n: number, f: (i: number) => Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: n }, (_, i) => i), f, { concurrency: "unbounded" })
