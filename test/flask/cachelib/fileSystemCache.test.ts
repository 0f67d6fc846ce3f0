/** `test_file_system_cache.py` of cachelib. */
import { assert, it } from "@effect/vitest"
import type { CacheBackend } from "effect-caching/Backend"
import * as FileSystem from "effect-caching/backends/FileSystem"
import * as Cache from "effect-caching/Cache"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { vi } from "vitest"
import { entriesIn, folder } from "../../support/filePrograms.js"
import { data, describeRows, type NotHere } from "../support.js"
import * as Rows from "./rows.js"

type Options = Omit<FileSystem.Options, "directory">

/** A test with files of its own. */
const test = (
  title: string,
  body: (directory: string) => Effect.Effect<void, unknown, CacheBackend>,
  options: Options = {}
) =>
  it.scoped(
    title,
    () =>
      Effect.flatMap(
        folder,
        (directory) => Effect.provide(body(directory), FileSystem.layer({ directory, ...options }))
      )
  )

const keys = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`)

/** Waits for what is removed beside the operations. */
const eventually = (check: () => void) => Effect.promise(() => vi.waitFor(check, { timeout: 5_000, interval: 5 }))

const retries = "what a directory does not permit is told at once: another try would not be permitted either"
const counter = "no counter is kept: files are counted"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.fileSystemCache>> = [
  { row: "run_safely_retries_on_permission_error", reason: retries },
  { row: "run_safely_exhausts_retries_and_returns_none", reason: retries },
  { row: "run_safely_exponential_backoff", reason: retries },
  { row: "mgmt_element_set_not_counted", reason: counter },
  { row: "mgmt_element_delete_not_counted", reason: counter }
]

describeRows("test_file_system_cache.py", Rows.fileSystemCache, notHere, (row) => {
  test(row("EOFError"), (directory) =>
    Effect.gen(function*() {
      yield* Cache.setMany(data, [["a", "text"], ["b", "text"]])
      for (const file of entriesIn(directory)) truncateSync(file, 10)
      assert.deepStrictEqual(yield* Cache.getMany(data, ["a", "b"]), [Option.none(), Option.none()])
      yield* Cache.set(data, "a", "new")
      assert.deepStrictEqual(yield* Cache.getMany(data, ["a", "b"]), [Option.some("new"), Option.none()])
    }))

  test(row("threshold"), (directory) =>
    Effect.gen(function*() {
      for (const key of keys(100)) {
        yield* Cache.set(data, key, 1)
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      yield* eventually(() => assert.isAtMost(entriesIn(directory).length, 20))
      assert.isTrue(yield* Cache.has(data, "k99"))
      assert.isAtLeast(entriesIn(directory).length, 10)
    }), { maxEntries: 20 })

  test(row("file_counting", "file_counting_on_override"), (directory) =>
    Effect.gen(function*() {
      for (const _ of [1, 2]) {
        yield* Effect.forEach(keys(50), (key) => Cache.set(data, key, 1), { concurrency: "unbounded" })
        assert.strictEqual(entriesIn(directory).length, 50)
      }
      yield* Cache.invalidate(data, "k7")
      assert.strictEqual(entriesIn(directory).length, 49)
      yield* Cache.clear(data)
      assert.strictEqual(entriesIn(directory).length, 0)
    }))

  test(row("prune_old_entries"), (directory) =>
    Effect.gen(function*() {
      const live = Cache.make({ name: "live", schema: Schema.Number, key: (key: string) => key, timeToLive: "1 hour" })
      yield* Effect.forEach(keys(150), (key) => Cache.set(live, key, 1))
      yield* Effect.forEach(keys(150), (key) => Cache.set(data, key, 1))
      yield* TestClock.adjust("5 minutes")
      for (let i = 0; i < 400; i++) {
        yield* Cache.set(live, "again", i)
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      yield* eventually(() => assert.isBelow(entriesIn(directory).length, 200))
      assert.isTrue((yield* Cache.getMany(live, keys(150))).every(Option.isSome))
    }), { sweepInterval: Duration.infinity })

  test(row("has_on_expired_key_returns_false"), () =>
    Effect.gen(function*() {
      yield* Cache.set(data, "k", 1)
      assert.isTrue(yield* Cache.has(data, "k"))
      yield* TestClock.adjust("5 minutes")
      assert.isFalse(yield* Cache.has(data, "k"))
    }))

  it.scoped(
    row("run_safely_succeeds_on_first_try", "run_safely_does_not_retry_other_errors"),
    () =>
      Effect.gen(function*() {
        const directory = yield* folder
        const build = (directory: string) => Effect.scoped(Effect.exit(FileSystem.make({ directory })))
        assert.isTrue((yield* build(directory))._tag === "Success")
        const file = join(directory, "a file")
        writeFileSync(file, "")
        // Under the test's clock, which stands still: a wait would never end.
        assert.isTrue((yield* build(join(file, "below")))._tag === "Failure")
      })
  )
})
