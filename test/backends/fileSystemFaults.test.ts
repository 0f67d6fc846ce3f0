import { assert, describe, it } from "@effect/vitest"
import type { Backend, BackendError } from "effect-caching/Backend"
import * as FileSystem from "effect-caching/backends/FileSystem"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Fs from "node:fs"
import { join } from "node:path"
import { inspect } from "node:util"
import * as Entry from "../../src/internal/entry.js"
import * as Programs from "../support/filePrograms.js"

const minute = Duration.minutes(1)

const entry = (value: string | Buffer) =>
  new Entry.Entry(false, "text", 0, Infinity, Infinity, 1, [], undefined, Buffer.from(value as string))

const valueOf = (found: Option.Option<Entry.Entry>) =>
  Option.isSome(found) ? Buffer.from(found.value.bytes!).toString("latin1") : undefined

const get = (backend: Backend, key: string) => Effect.map(backend.get(key), valueOf)

const reasonOf = (effect: Effect.Effect<unknown, BackendError>) =>
  Effect.match(effect, { onFailure: (error) => error.reason, onSuccess: () => "none" as const })

const large = entry(Buffer.alloc(400_000, "x"))

/** Tries until it holds. */
const eventually = (what: string, holds: Effect.Effect<boolean>, within = 5_000) =>
  Effect.suspend(() => {
    const start = performance.now()
    const again: Effect.Effect<void> = Effect.flatMap(holds, (isTrue) =>
      isTrue
        ? Effect.void
        : performance.now() - start > within
        ? Effect.die(new Error(`${what}: not within ${within} ms`))
        : Effect.delay(again, 5))
    return again
  })

/** Says why a fault cannot be made here, if it cannot. */
const needing = (problem: string | undefined, title: string, body: () => Effect.Effect<void, unknown, any>) =>
  problem === undefined
    ? it.scopedLive(title, body, 60_000)
    : it.skip(`${title} (left out: ${problem})`)

/** What a worker says of each operation: its value, or its reason and message. */
type Outcomes = Record<string, { readonly value?: unknown; readonly reason?: string; readonly message?: string }>

const brief = (outcomes: Outcomes) =>
  Object.fromEntries(Object.entries(outcomes).map(([name, { reason, value }]) => [name, reason ?? value]))

const works: Record<string, unknown> = {
  get: "Some",
  getMany: "Some,None",
  has: true,
  set: "ok",
  add: true,
  increment: 1,
  lease: "Some",
  remove: true,
  clear: "ok",
  tagVersions: "ok",
  invalidateTags: "ok"
}

describe("a full disk", () => {
  needing(
    Programs.noDisk,
    "refuses writes, keeps what is there, and leaves nothing half",
    () =>
      Effect.gen(function*() {
        const directory = yield* Programs.disk("size=1m")
        const backend = yield* FileSystem.make({ directory })
        yield* backend.set("a:old", entry("old"), minute)
        const held = Option.getOrThrow((yield* backend.lease("a:held", minute)).token)
        const [before] = yield* backend.tagVersions(["t"])
        const epoch = yield* backend.tagEpoch
        yield* backend.set("b:1", large, minute)
        yield* backend.set("b:2", large, minute)
        const files = Programs.filesIn(directory).length
        const writes = [
          backend.set("a:old", large, minute),
          backend.set("a:new", large, minute),
          backend.setMany([["a:old", large, minute]]),
          backend.add("a:new", large, minute),
          backend.fill("a:held", held, large, minute)
        ]
        for (const write of writes) assert.strictEqual(yield* reasonOf(write), "OutOfSpace")
        // The right to fill is not kept from the others by who could not.
        assert.strictEqual(Programs.filesIn(directory).length, files - 1)
        assert.isTrue(Option.isSome((yield* backend.lease("a:held", minute)).token))
        assert.strictEqual(yield* get(backend, "a:old"), "old")

        // Full to the last byte.
        try {
          while (true) Fs.appendFileSync(join(directory, "mine"), Buffer.alloc(4_096))
        } catch {
          // Now it is.
        }
        const secret = [
          backend.set("secret-key:1", entry("secret-value"), minute),
          backend.increment("secret-key:1", 1, minute),
          backend.lease("secret-key:1", minute)
        ]
        for (const write of secret) {
          const error = yield* Effect.flip(write as Effect.Effect<unknown, BackendError>)
          assert.strictEqual(error.reason, "OutOfSpace")
          assert.match(error.message, /^fileSystem\.\w+: ENOSPC: no space left on device, \w+: \//)
          assert.include(error.message, directory)
          assert.notInclude(inspect(error, { depth: 20, showHidden: true }), "secret")
        }
        assert.deepStrictEqual((yield* backend.getMany(["a:old", "a:new"])).map(valueOf), ["old", undefined])
        assert.deepStrictEqual(Fs.readdirSync(join(directory, "effect-caching-1", "staged")), [])

        // A full disk can still be told that what it has is out of date.
        yield* backend.invalidateTags(["t"], "hard")
        assert.isTrue(yield* backend.remove("a:old"))
        yield* backend.clear("b:")
        // Waits for what is being removed.
        yield* backend.set("b:3", large, minute)
        assert.notStrictEqual(yield* backend.tagEpoch, epoch)
        assert.notStrictEqual((yield* backend.tagVersions(["t"]))[0]!.hard, before!.hard)
      })
  )

  needing(Programs.noDisk, "without room for another file is a full disk", () =>
    Effect.gen(function*() {
      const directory = yield* Programs.disk("size=1m,nr_inodes=40")
      const backend = yield* FileSystem.make({ directory })
      yield* backend.set("a", entry("old"), minute)
      let set = 0
      while ((yield* reasonOf(backend.set(`b:${set}`, entry("1"), minute))) === "none") set++
      assert.isAbove(set, 5)
      // A new file may need a new folder; now there is room for neither.
      try {
        for (let index = 0; index < 40; index++) Fs.writeFileSync(join(directory, `mine ${index}`), "")
      } catch {
        // It is full.
      }
      assert.strictEqual(yield* reasonOf(backend.set("a", entry("new"), minute)), "OutOfSpace")
      assert.strictEqual(yield* get(backend, "a"), "old")
      yield* backend.clear("b:")
      yield* backend.set("a", entry("new"), minute)
      assert.strictEqual(yield* get(backend, "a"), "new")
    }))

  needing(Programs.noDisk, "has room again as entries expire", () =>
    Effect.gen(function*() {
      const directory = yield* Programs.disk("size=1m")
      const backend = yield* FileSystem.make({ directory, sweepInterval: Duration.infinity })
      const expired = new Entry.Entry(false, "text", 0, 0, 1, 1, [], undefined, large.bytes)
      yield* backend.set("a:1", expired, minute)
      yield* backend.set("a:2", expired, minute)
      yield* eventually("room", Effect.map(reasonOf(backend.set("b", large, minute)), (reason) => reason === "none"))
    }))

  needing(
    Programs.noDisk,
    "does not keep a program from starting that finds its folder there",
    () =>
      Effect.gen(function*() {
        const directory = yield* Programs.disk("size=1m")
        yield* Effect.scoped(
          Effect.flatMap(FileSystem.make({ directory }), (backend) => backend.set("a", entry("1"), minute))
        )
        try {
          while (true) Fs.appendFileSync(join(directory, "mine"), Buffer.alloc(4_096))
        } catch {
          // It is full.
        }
        const backend = yield* FileSystem.make({ directory })
        assert.strictEqual(yield* get(backend, "a"), "1")
      })
  )
})

describe("a disk that may not be written", () => {
  needing(Programs.noDisk, "refuses writes, and is read", () =>
    Effect.gen(function*() {
      const directory = yield* Programs.disk("size=4m")
      const before = yield* FileSystem.make({ directory })
      yield* before.set("a:old", entry("old"), minute)
      yield* Programs.remount(directory, "ro")
      for (const backend of [before, yield* FileSystem.make({ directory })]) {
        assert.strictEqual(yield* get(backend, "a:old"), "old")
        assert.deepStrictEqual((yield* backend.getMany(["a:old", "b"])).map(valueOf), ["old", undefined])
        const writes: ReadonlyArray<Effect.Effect<unknown, BackendError>> = [
          backend.set("a:old", entry("new"), minute),
          backend.set("c:new", entry("new"), minute),
          backend.add("a:new", entry("new"), minute),
          backend.increment("a:n", 1, minute),
          backend.lease("a:l", minute),
          backend.remove("a:old"),
          backend.clear("a:"),
          backend.clear("a:o"),
          backend.tagVersions(["t"])
        ]
        for (const write of writes) {
          const error = yield* Effect.flip(write)
          assert.strictEqual(error.reason, "Unavailable")
          assert.match(error.message, /EROFS: read-only file system/)
          assert.include(error.message, directory)
        }
        assert.strictEqual(yield* get(backend, "a:old"), "old")
      }
      yield* Programs.remount(directory, "rw")
      yield* before.set("a:old", entry("new"), minute)
      assert.strictEqual(yield* get(before, "a:old"), "new")
    }))

  needing(Programs.noDisk, "and has no folder of ours fails at once", () =>
    Effect.gen(function*() {
      const directory = yield* Programs.disk("size=1m")
      yield* Programs.remount(directory, "ro")
      const error = yield* Effect.flip(FileSystem.make({ directory }))
      assert.strictEqual(error.reason, "Unavailable")
      assert.include(error.message, directory)
    }))

  needing(
    process.geteuid?.() === 0 ? undefined : "it needs root",
    "by this user says so, and what cannot be read is not a miss",
    () =>
      Effect.gen(function*() {
        const directory = yield* Programs.folder
        const backend = yield* FileSystem.make({ directory })
        yield* backend.set("a:old", entry("old"), minute)
        yield* backend.tagVersions(["t"])
        Fs.chmodSync(directory, 0o755)
        const refused = yield* Programs.worker<Outcomes>([directory, "outcomes", "as nobody"])
        assert.deepStrictEqual(brief(refused), { make: "Authentication" })
        assert.include(refused["make"]!.message, directory)

        // A folder that may be entered and files that may not be read.
        const open = (path: string) => {
          for (const each of Fs.readdirSync(path, { withFileTypes: true })) {
            if (each.isDirectory()) open(join(path, each.name))
          }
          Fs.chmodSync(path, 0o755)
        }
        open(join(directory, "effect-caching-1"))
        const outcomes = yield* Programs.worker<Outcomes>([directory, "outcomes", "as nobody"])
        const { clear, remove, ...others } = brief(outcomes)
        assert.deepStrictEqual([...new Set(Object.values(others))], ["Authentication"])
        assert.deepStrictEqual([clear, remove], ["Authentication", "Authentication"])
        assert.strictEqual(yield* get(backend, "a:old"), "old")
      })
  )

  it.scopedLive("as it is no directory is refused", () =>
    Effect.gen(function*() {
      const directory = yield* Programs.folder
      const file = join(directory, "file")
      Fs.writeFileSync(file, "mine")
      for (const path of [file, join(file, "below")]) {
        const error = yield* Effect.flip(FileSystem.make({ directory: path }))
        assert.strictEqual(error.reason, "InvalidInput")
        assert.include(error.message, path)
      }
      assert.strictEqual(Fs.readFileSync(file, "utf8"), "mine")
    }))

  it.scopedLive("as it was removed is made again", () =>
    Effect.gen(function*() {
      const directory = yield* Programs.folder
      const backend = yield* FileSystem.make({ directory })
      yield* backend.set("a:1", entry("1"), minute)
      const removals: ReadonlyArray<string> = [
        "effect-caching-1",
        "effect-caching-1/entries",
        "effect-caching-1/staged"
      ]
      for (const removed of removals) {
        Fs.rmSync(join(directory, removed), { recursive: true })
        if (removed !== "effect-caching-1/staged") {
          assert.isUndefined(yield* get(backend, "a:1"))
          assert.isFalse(yield* backend.remove("a:1"))
        }
        yield* backend.set("a:1", entry("2"), minute)
        assert.strictEqual(yield* get(backend, "a:1"), "2")
        assert.strictEqual(yield* backend.increment("n", 1, minute), removed.endsWith("staged") ? 2 : 1)
      }
      Fs.rmSync(join(directory, "effect-caching-1/trash"), { recursive: true, force: true })
      yield* backend.clear("a:")
      assert.isUndefined(yield* get(backend, "a:1"))
    }))
})

describe("a process", () => {
  needing(
    Programs.noLimits,
    "without descriptors fails, which is not a miss, and works when it has some again",
    () =>
      Effect.gen(function*() {
        const directory = yield* Programs.folder
        const backend = yield* FileSystem.make({ directory })
        yield* backend.set("a:old", entry("old"), minute)
        yield* backend.tagVersions(["t"])
        const { afterwards, without } = yield* Programs.worker<Record<"without" | "afterwards", Outcomes>>(
          [directory, "descriptors"],
          ["prlimit", "--nofile=256"]
        )
        assert.deepStrictEqual(new Set(Object.values(brief(without))), new Set(["Unavailable"]))
        for (const { message } of Object.values(without)) {
          assert.match(message!, /EMFILE: too many open files/)
          assert.include(message, directory)
        }
        assert.deepStrictEqual(brief(afterwards), works)
      })
  )

  needing(
    Programs.noLimits,
    "that may write no large file says so, and leaves the old entry",
    () =>
      Effect.gen(function*() {
        const directory = yield* Programs.folder
        const backend = yield* FileSystem.make({ directory })
        yield* backend.set("a:old", entry("old"), minute)
        const [set, found] = yield* Programs.worker<
          ReadonlyArray<{ readonly reason?: string; readonly value?: unknown }>
        >(
          [directory, "large", "2000000"],
          ["prlimit", "--fsize=1000000"]
        )
        assert.strictEqual(set!.reason, "TooLarge")
        assert.strictEqual(found!.value, "Some")
        assert.strictEqual(Programs.filesIn(directory).length, 1)
      })
  )

  it.scopedLive(
    "that is killed while it writes leaves the old entry or the new one, and holds nobody up",
    () =>
      Effect.gen(function*() {
        const directory = yield* Programs.folder
        const backend = yield* FileSystem.make({ directory })
        const names = Array.from({ length: 4 }, (_, index) => `torn:${index}`)
        const staged = join(directory, "effect-caching-1", "staged")
        let left = 0
        for (let round = 0; round < 3; round++) {
          for (const name of names) yield* backend.set(name, entry("old"), minute)
          const writer = yield* Programs.background([directory, "write", "8000000"])
          // Until it is in the middle of a write.
          const deadline = Date.now() + 10_000
          while (Fs.readdirSync(staged).length === left && Date.now() < deadline);
          yield* Programs.kill(writer)
          for (const value of (yield* backend.getMany(names)).map(valueOf)) assert.isTrue(isWhole(value, 8_000_000))
          left = Fs.readdirSync(staged).length
          const start = performance.now()
          yield* Effect.forEach(names, (name) => backend.set(name, entry("new"), minute), { concurrency: "unbounded" })
          assert.isBelow(performance.now() - start, 2_000)
          assert.deepStrictEqual((yield* backend.getMany(names)).map(valueOf), names.map(() => "new"))
        }
        // What it had written is left.
        assert.isAbove(left, 0)
      }),
    60_000
  )

  it.scopedLive("that reads while others write gets whole values: none is torn", () =>
    Effect.gen(function*() {
      const directory = yield* Programs.folder
      const backend = yield* FileSystem.make({ directory })
      const names = Array.from({ length: 4 }, (_, index) => `torn:${index}`)
      yield* Effect.all([1, 2].map(() => Programs.background([directory, "write", "50000"])), {
        concurrency: "unbounded"
      })
      const seen = new Set<string>()
      for (let round = 0; round < 1_000; round++) {
        for (const value of (yield* backend.getMany(names)).map(valueOf)) {
          if (value === undefined) continue
          assert.isTrue(isWhole(value, 50_000))
          seen.add(value.slice(0, 1))
        }
      }
      assert.isAbove(seen.size, 5)
    }), 60_000)
})

const isWhole = (value: string | undefined, length: number): boolean =>
  value === "old" || (value?.length === length && value === value.charAt(0).repeat(length))
