import { assert, describe, it } from "@effect/vitest"
import { type Backend, CacheBackend } from "effect-caching/Backend"
import * as FileSystem from "effect-caching/backends/FileSystem"
import { Conformance } from "effect-caching/testing"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Fs from "node:fs"
import { basename, dirname, join, relative } from "node:path"
import { vi } from "vitest"
import * as Entry from "../../src/internal/entry.js"
import * as Format from "../../src/internal/fileSystem/format.js"
import { entriesIn, filesIn, folder, worker } from "../support/filePrograms.js"

/** How often each function of `node:fs` was called. */
const calls = vi.hoisted(() => ({ of: {} as Record<string, number> }))

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof Fs>()
  const counted = ["open", "read", "write", "close", "fstat", "fsync", "mkdir", "rename", "link", "unlink", "rmdir"]
    .concat("lstat", "readdir")
    .map((name) => [name, (...args: ReadonlyArray<unknown>) => {
      calls.of[name] = (calls.of[name] ?? 0) + 1
      return (fs as unknown as Record<string, (...args: ReadonlyArray<unknown>) => unknown>)[name]!(...args)
    }])
  return { ...fs, ...Object.fromEntries(counted) }
})

const minute = Duration.minutes(1)

const entry = (value: string | Buffer, keepUntil = Infinity) =>
  new Entry.Entry(false, "text", 0, keepUntil, keepUntil, 1, [], undefined, Buffer.from(value as string))

const valueOf = (found: Option.Option<Entry.Entry>) =>
  Option.isSome(found) ? Buffer.from(found.value.bytes!).toString() : undefined

const get = (backend: Backend, key: string) => Effect.map(backend.get(key), valueOf)

const keys = (name: string, count: number) => Array.from({ length: count }, (_, index) => `${name}:${index}`)

const setAll = (backend: Backend, names: ReadonlyArray<string>, value = "1", keepUntil?: number) =>
  backend.setMany(names.map((key) => [key, entry(value, keepUntil), Duration.infinity]))

/** Waits for what is done beside the operations. */
const eventually = (check: () => void) => Effect.promise(() => vi.waitFor(check, { timeout: 5_000, interval: 5 }))

/** Waits until nothing is done any more. */
const quiet = Effect.promise(() => {
  let before = -1
  return vi.waitFor(() => {
    const now = Object.values(calls.of).reduce((sum, count) => sum + count, 0)
    const isQuiet = now === before
    before = now
    assert.isTrue(isQuiet)
  }, { timeout: 5_000, interval: 30 })
})

const temporary = Effect.map(folder, (directory) => ({ directory, base: join(directory, "effect-caching-1") }))

/** A backend in a directory of its own. */
const make = (options: Partial<FileSystem.Options> = {}) =>
  Effect.gen(function*() {
    const { base, directory } = yield* temporary
    return { backend: yield* FileSystem.make({ directory, ...options }), base, directory }
  })

describe("files", () => {
  Conformance.register(
    { describe, it },
    Layer.unwrapScoped(Effect.map(folder, (directory) => FileSystem.layer({ directory })))
  )
})

describe("two processes", () => {
  const pair = Effect.gen(function*() {
    const { directory } = yield* temporary
    return [yield* FileSystem.make({ directory }), yield* FileSystem.make({ directory }), directory] as const
  })

  it.scopedLive("that increment one counter lose nothing: 4 processes, 200 times each", () =>
    Effect.gen(function*() {
      const { backend, directory } = yield* make()
      const answers = yield* Effect.all(
        Array.from({ length: 4 }, () => worker<ReadonlyArray<number>>([directory, "increment", "200"])),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(answers.flat().sort((a, b) => a - b), Array.from({ length: 800 }, (_, index) => index + 1))
      assert.strictEqual(yield* backend.increment("n", 0, minute), 800)
    }), 60_000)

  it.scopedLive("that add one key have one winner: 4 processes, 50 keys", () =>
    Effect.gen(function*() {
      const { backend, directory } = yield* make()
      const won = yield* Effect.all(Array.from({ length: 4 }, () => worker<number>([directory, "add", "50"])), {
        concurrency: "unbounded"
      })
      assert.strictEqual(won.reduce((sum, each) => sum + each, 0), 50)
      assert.isTrue((yield* backend.getMany(keys("add", 50))).every(Option.isSome))
    }), 60_000)

  it.scopedLive("that miss one key make one load: 4 processes, 250 callers each", () =>
    Effect.gen(function*() {
      const { directory } = yield* temporary
      const herds = yield* Effect.all(
        Array.from(
          { length: 4 },
          () => worker<{ readonly loads: number; readonly answers: ReadonlyArray<string> }>([directory, "herd", "250"])
        ),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(herds.reduce((sum, herd) => sum + herd.loads, 0), 1)
      assert.strictEqual(new Set(herds.flatMap((herd) => herd.answers)).size, 1)
    }), 60_000)

  it.scoped("have one winner among their adds, and none among their increments", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
      for (let round = 0; round < 20; round++) {
        const added = yield* Effect.all(
          Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? one : other).add(`${round}`, entry("1"), minute)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(added.filter((isMine) => isMine).length, 1)
      }
      yield* Effect.all(
        Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? one : other).increment("n", 1, minute)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(yield* one.increment("n", 0, minute), 100)
    }))

  it.scoped("have one winner among their removes, and an increment is before or after, never both", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
      for (let round = 0; round < 100; round++) {
        yield* one.set("n", entry("5"), minute)
        const [removed, too, sum] = yield* Effect.all(
          [one.remove("n"), other.remove("n"), (round % 2 === 0 ? one : other).increment("n", 1, minute)],
          { concurrency: "unbounded" }
        )
        const left = yield* get(one, "n")
        assert.include([1, 6], sum)
        // Whoever removed six or five did so once; a one may have been removed too.
        if (sum === 6) assert.deepStrictEqual({ left, one: removed !== too }, { left: undefined, one: true })
        else assert.include([undefined, "1"], left)
      }
    }))

  it.scoped("void each other's leases", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
      const changes = [
        other.remove("a:1"),
        other.removeMany(["a:1"]),
        other.set("a:1", entry("new"), minute),
        Effect.zipRight(other.remove("a:1"), other.add("a:1", entry("new"), minute)),
        Effect.zipRight(other.remove("a:1"), other.increment("a:1", 1, minute)),
        other.clear("a:"),
        other.clear("a:1"),
        other.clear("")
      ]
      for (const change of changes) {
        const token = Option.getOrThrow((yield* one.lease("a:1", minute)).token)
        assert.isTrue(Option.isNone((yield* other.lease("a:1", minute)).token))
        yield* change
        assert.isFalse(yield* one.fill("a:1", token, entry("late"), minute))
        assert.notStrictEqual(yield* get(one, "a:1"), "late")
      }
    }))

  it.scoped("never keep what was filled under a lease that is older than a clear", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
      const names = keys("k", 200)
      for (const prefix of ["k:", "k", "k:1"]) {
        yield* setAll(one, names, "old")
        const leases = yield* Effect.forEach(names, (key) => one.lease(key, minute), { concurrency: "unbounded" })
        yield* Effect.all([
          other.clear(prefix),
          Effect.forEach(
            leases,
            ({ token }, index) => one.fill(names[index]!, Option.getOrThrow(token), entry("late"), minute),
            { concurrency: 20 }
          )
        ], { concurrency: "unbounded" })
        const meant = names.filter((name) => name.startsWith(prefix))
        assert.deepStrictEqual((yield* one.getMany(meant)).filter(Option.isSome), [])
        assert.isTrue((yield* one.getMany(names.filter((name) => !name.startsWith(prefix)))).every(Option.isSome))
      }
    }))

  it.scoped("see each other's invalidations, and one version of a tag", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
      const [mine, theirs] = yield* Effect.all([one.tagVersions(["t"]), other.tagVersions(["t"])], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(mine, theirs)
      for (const mode of ["hard", "soft", "hard"] as const) {
        const [before] = yield* one.tagVersions(["t"])
        const epoch = yield* one.tagEpoch
        yield* other.invalidateTags(["t"], mode)
        assert.notStrictEqual(yield* one.tagEpoch, epoch)
        assert.notStrictEqual((yield* one.refreshTags([before!]))[0]![mode], before![mode])
      }
    }))

  it.scopedLive("wait a second at most for one that died in the middle of a change", () =>
    Effect.gen(function*() {
      const [one, , directory] = yield* pair
      yield* one.lease("a", minute)
      const [lease] = filesIn(directory)
      Fs.renameSync(lease!, join(dirname(lease!), `w-${"0".repeat(24)}`))
      const start = performance.now()
      yield* one.set("a", entry("1"), minute)
      assert.isBelow(performance.now() - start, 3_000)
      assert.strictEqual(yield* get(one, "a"), "1")
    }))
})

describe("paths", () => {
  const hostile = ["../../etc/passwd", "/etc/passwd", "a/b", "..", ".", "\0", "a\0b", "~hard:t", "CON", "é😀", "A", "a"]
    .concat(
      "x".repeat(5_000),
      `${"x".repeat(5_000)}:1`,
      "..:..",
      "/:/",
      "C:\\x",
      "\n",
      "%2e%2e%2f",
      "A:1",
      "a:1",
      "",
      ":"
    )

  it.scoped("have no text of a key in them that could mean something", () =>
    Effect.gen(function*() {
      const { backend, directory } = yield* make()
      for (const [index, key] of hostile.entries()) {
        yield* backend.set(key, entry(`${index}`), minute)
        yield* backend.lease(`${key}:lease`, minute)
        yield* backend.tagVersions([key])
      }
      assert.deepStrictEqual((yield* backend.getMany(hostile)).map(valueOf), hostile.map((_, index) => `${index}`))
      for (const file of filesIn(directory)) {
        const path = relative(directory, file)
        assert.match(path, /^effect-caching-1\/(entries|tags)\/[a-z0-9_=-]+\/[0-3][0-9a-f]\/[0-9a-f]{64}\./)
        for (const part of path.split("/")) assert.isAtMost(part.length, 130)
      }
      // A disk that does not tell the cases apart has a file for each.
      const paths = filesIn(directory)
      assert.strictEqual(new Set(paths.map((path) => path.toLowerCase())).size, paths.length)
    }))

  it.scoped("are for nobody else", () =>
    Effect.gen(function*() {
      const directory = join((yield* temporary).directory, "new", "folder")
      const backend = yield* FileSystem.make({ directory })
      yield* backend.set("a:1", entry("1"), minute)
      yield* backend.lease("a:2", minute)
      yield* backend.tagVersions(["t"])
      const all = Fs.readdirSync(directory, { recursive: true, withFileTypes: true })
      assert.isAbove(all.length, 8)
      for (const each of all) {
        const { mode } = Fs.statSync(join(each.parentPath, each.name))
        assert.strictEqual(mode & 0o777, each.isDirectory() ? 0o700 : 0o600)
      }
    }))

  it.scoped("that are links are not followed", () =>
    Effect.gen(function*() {
      const { backend, base, directory } = yield* make()
      const victim = join(directory, "victim")
      yield* backend.set("a:1", entry("1"), minute)
      const [path] = entriesIn(directory)
      Fs.copyFileSync(path!, victim)
      const before = Fs.readFileSync(victim)
      Fs.rmSync(path!)
      Fs.symlinkSync(victim, path!)
      assert.isUndefined(yield* get(backend, "a:1"))
      assert.isFalse(yield* backend.has("a:1"))
      yield* backend.set("a:1", entry("2"), minute)
      assert.strictEqual(yield* get(backend, "a:1"), "2")
      assert.isTrue(Fs.lstatSync(path!).isFile())
      assert.deepStrictEqual(Fs.readFileSync(victim), before)

      // A folder that is a link, to where a file with a fitting name is.
      const away = join(directory, "away")
      Fs.renameSync(join(base, "entries", "c-a"), away)
      Fs.symlinkSync(away, join(base, "entries", "c-a"))
      const other = yield* FileSystem.make({ directory })
      for (const refused of [other.get("a:1"), other.set("a:1", entry("3"), minute), other.remove("a:1")]) {
        const error = yield* Effect.flip(refused as Effect.Effect<unknown, any>)
        assert.strictEqual(error.reason, "Unavailable")
        assert.include(error.message, "not a folder")
      }
      yield* other.clear("")
      assert.strictEqual(filesIn(away).length, 1)
    }))

  it.scoped("of a folder that others may write to are refused", () =>
    Effect.gen(function*() {
      const { base, directory } = yield* temporary
      Fs.mkdirSync(base)
      Fs.chmodSync(base, 0o777)
      const error = yield* Effect.flip(FileSystem.make({ directory }))
      assert.strictEqual(error.reason, "Authentication")
      assert.include(error.message, directory)
      Fs.rmSync(base, { recursive: true })
      Fs.mkdirSync(join(directory, "elsewhere"), 0o700)
      Fs.symlinkSync(join(directory, "elsewhere"), base)
      assert.strictEqual((yield* Effect.flip(FileSystem.make({ directory }))).reason, "Unavailable")
    }))

  it.scopedLive("where a pipe waits do not hold anybody up", () =>
    Effect.gen(function*() {
      const { backend, directory } = yield* make()
      yield* backend.set("a", entry("1"), minute)
      const [path] = entriesIn(directory)
      Fs.rmSync(path!)
      const { execFileSync } = yield* Effect.promise(() => import("node:child_process"))
      execFileSync("mkfifo", [path!])
      assert.isUndefined(yield* Effect.timeout(get(backend, "a"), "2 seconds"))
      yield* backend.set("a", entry("2"), minute)
      assert.strictEqual(yield* get(backend, "a"), "2")
    }))
})

describe("what is damaged or foreign", () => {
  it.scoped("is a miss: every bit that is flipped, every length that is too short, and what is too long", () =>
    Effect.gen(function*() {
      const { backend, directory } = yield* make()
      yield* backend.set("a", entry("the value"), minute)
      const [path] = entriesIn(directory)
      const whole = Fs.readFileSync(path!)
      for (let at = 0; at < whole.length; at++) {
        const flipped = Buffer.from(whole)
        flipped[at]! ^= 1 << at % 8
        Fs.writeFileSync(path!, flipped)
        assert.isUndefined(yield* get(backend, "a"), `byte ${at}`)
        Fs.writeFileSync(path!, whole.subarray(0, at))
        assert.isUndefined(yield* get(backend, "a"), `length ${at}`)
      }
      for (const foreign of [Buffer.concat([whole, whole]), Buffer.from("hello"), Buffer.alloc(100_000, whole)]) {
        Fs.writeFileSync(path!, foreign)
        assert.isUndefined(yield* get(backend, "a"))
        assert.isFalse(yield* backend.has("a"))
        assert.isFalse(yield* backend.remove("a"))
      }
      Fs.writeFileSync(path!, "hello")
      assert.strictEqual(yield* backend.increment("a", 3, minute), 3)
      Fs.writeFileSync(path!, "hello")
      assert.isTrue(yield* backend.add("a", entry("4"), minute))
      assert.strictEqual(yield* get(backend, "a"), "4")
    }))

  it.scoped("is a miss where it is another key's", () =>
    Effect.gen(function*() {
      const { backend, directory } = yield* make()
      yield* backend.set("a", entry("1"), minute)
      const [path] = entriesIn(directory)
      Fs.writeFileSync(path!, Format.encode("b", Infinity, Entry.encode(entry("2"))))
      assert.isUndefined(yield* get(backend, "a"))
    }))

  it.scoped("is a new version where it is a tag's", () =>
    Effect.gen(function*() {
      const { backend, directory } = yield* make()
      const before = yield* backend.tagVersions(["t"])
      for (const path of filesIn(directory)) Fs.truncateSync(path)
      const after = yield* backend.tagVersions(["t"])
      assert.notStrictEqual(after[0]!.hard, before[0]!.hard)
      assert.deepStrictEqual(yield* backend.tagVersions(["t"]), after)
    }))

  it.scoped("is left where it is, whatever is cleared or swept", () =>
    Effect.gen(function*() {
      const { backend, base, directory } = yield* make({ sweepInterval: 10 })
      yield* setAll(backend, [...keys("a", 20), ...keys("b", 20)], "1", 60_000)
      yield* backend.lease("a:lease", minute)
      const [path] = entriesIn(directory)
      const shard = dirname(path!)
      const slot = dirname(filesIn(directory).find((file) => file.includes(".slot/"))!)
      const foreign = [
        join(directory, "mine"),
        join(base, "mine"),
        ...["entries", "tags", "staged", "trash"].map((name) => join(base, name, "mine")),
        join(dirname(shard), "mine"),
        join(shard, "mine"),
        `${path}.txt`,
        join(shard, `${"0".repeat(63)}.entry`)
      ]
      for (const [index, file] of foreign.entries()) Fs.writeFileSync(file, `mine ${index}`)
      Fs.mkdirSync(join(base, "entries", "mine-too"))
      Fs.writeFileSync(join(base, "entries", "mine-too", basename(path!)), "mine")
      const untouched = () => {
        for (const [index, file] of foreign.entries()) {
          assert.strictEqual(Fs.readFileSync(file, "utf8"), `mine ${index}`)
        }
        assert.strictEqual(Fs.readFileSync(join(base, "entries", "mine-too", basename(path!)), "utf8"), "mine")
      }
      yield* backend.clear("a:1")
      untouched()
      yield* TestClock.adjust("1 hour")
      yield* setAll(backend, keys("c", 64))
      yield* eventually(() => assert.strictEqual(entriesIn(directory).filter((_) => _.includes("/c-b/")).length, 0))
      untouched()
      yield* setAll(backend, keys("a", 20))
      yield* backend.clear("a:")
      yield* backend.clear("")
      yield* eventually(() => {
        assert.deepStrictEqual(Fs.readdirSync(join(base, "trash")), ["mine"])
        untouched()
      })
      assert.isFalse(Fs.existsSync(slot))
    }))
})

describe("clear", () => {
  it.scoped("of a cache is one rename, whatever its size", () =>
    Effect.gen(function*() {
      const { backend } = yield* make()
      yield* setAll(backend, [...keys("user", 500), ...keys("users", 3)])
      calls.of = {}
      yield* backend.clear("user:")
      const { readdir = 0, rename, unlink = 0 } = calls.of
      assert.strictEqual(rename, 1)
      // The second listing, and every removal, is of the trash, which is emptied beside it.
      assert.isAtMost(readdir, 2)
      assert.isBelow(unlink, 500)
      assert.deepStrictEqual((yield* backend.getMany(keys("user", 500))).filter(Option.isSome), [])
      assert.isTrue((yield* backend.getMany(keys("users", 3))).every(Option.isSome))
    }))

  it.scoped("of a prefix that ends within a name clears every name that begins so, and keys without a colon", () =>
    Effect.gen(function*() {
      const { backend } = yield* make()
      const long = "n".repeat(300)
      const names = ["user:1", "users:1", "User:1", "use", "user", "users", "userx", "é:1", `${long}:1`, `${long}x:1`]
      const left = (prefix: string) =>
        Effect.gen(function*() {
          yield* setAll(backend, names)
          yield* backend.clear(prefix)
          const found = yield* backend.getMany(names)
          return names.filter((_, index) => Option.isSome(found[index]!))
        })
      for (
        const prefix of ["user", "users", "use", "u", "", "é", "nn", long, `${long}:`, `${long}x`, "user:", "user:1"]
      ) {
        assert.deepStrictEqual(
          yield* left(prefix),
          names.filter((name) => !name.startsWith(prefix)),
          prefix.slice(0, 9)
        )
      }
    }))

  it.scoped("goes on where an earlier process has ended", () =>
    Effect.gen(function*() {
      const { base, directory } = yield* temporary
      yield* Effect.scoped(Effect.gen(function*() {
        const backend = yield* FileSystem.make({ directory })
        yield* setAll(backend, keys("a", 300))
        yield* backend.clear("a:")
      }))
      yield* FileSystem.make({ directory })
      yield* eventually(() => assert.deepStrictEqual(Fs.readdirSync(join(base, "trash")), []))
    }))
})

describe("room", () => {
  it.scopedLive("is kept to maxEntries, the oldest going first", () =>
    Effect.gen(function*() {
      const { backend, directory } = yield* make({ maxEntries: 200 })
      const names = keys("a", 2_000)
      let most = 0
      for (let at = 0; at < names.length; at += 50) {
        yield* setAll(backend, names.slice(at, at + 50))
        most = Math.max(most, entriesIn(directory).length)
      }
      assert.isAtMost(most, 240)
      yield* eventually(() => assert.isAtMost(entriesIn(directory).length, 200))
      const found = yield* backend.getMany(names)
      assert.isAtLeast(found.filter(Option.isSome).length, 170)
      assert.isTrue(found.slice(-100).every(Option.isSome))
    }))

  it.scopedLive("is kept to maxBytes, in blocks of the disk", () =>
    Effect.gen(function*() {
      const { backend, directory } = yield* make({ maxBytes: 100 * 4_096 })
      yield* setAll(backend, keys("small", 300))
      yield* eventually(() => assert.isAtMost(entriesIn(directory).length, 100))
      yield* setAll(backend, keys("large", 300), "x".repeat(9_000))
      yield* eventually(() => {
        const blocks = entriesIn(directory).map((file) => Math.ceil(Fs.statSync(file).size / 4_096))
        assert.isAtMost(blocks.reduce((sum, count) => sum + count, 0), 100)
      })
      assert.isTrue((yield* backend.getMany(keys("large", 300).slice(-15))).every(Option.isSome))
    }))

  it.scopedLive("is kept by each of several processes", () =>
    Effect.gen(function*() {
      const { directory } = yield* temporary
      const options = { directory, maxEntries: 100 }
      const backends = [yield* FileSystem.make(options), yield* FileSystem.make(options)]
      for (let round = 0; round < 10; round++) {
        for (const [index, backend] of backends.entries()) yield* setAll(backend, keys(`${round}-${index}`, 50))
      }
      yield* eventually(() => assert.isAtMost(entriesIn(directory).length, 200))
    }))

  it.scopedLive("that is ample is counted once: a write costs the same with many entries", () =>
    Effect.gen(function*() {
      const { backend } = yield* make({ sweepInterval: Duration.infinity })
      yield* setAll(backend, keys("a", 1_984))
      yield* quiet
      calls.of = {}
      yield* setAll(backend, keys("a", 60))
      const { close, lstat = 0, open, readdir = 0, rename, write } = calls.of
      assert.deepStrictEqual({ close, open, rename, write }, { close: 60, open: 60, rename: 120, write: 60 })
      assert.isBelow(readdir + lstat, 10)
    }))

  it.scopedLive("that is scarce is counted once in a tenth of it", () =>
    Effect.gen(function*() {
      const { backend } = yield* make({ maxEntries: 1_000, sweepInterval: Duration.infinity })
      yield* setAll(backend, keys("a", 1_000))
      calls.of = {}
      yield* setAll(backend, keys("b", 1_000))
      // 130 folders, once per hundred writes.
      assert.isBelow(calls.of["readdir"] ?? 0, 2_500)
    }))
})

describe("what has expired", () => {
  it.scoped("is removed by the writes that follow", () =>
    Effect.gen(function*() {
      const { backend, directory } = yield* make({ sweepInterval: Duration.infinity })
      yield* setAll(backend, keys("a", 300), "1", 60_000)
      yield* setAll(backend, keys("b", 10), "1", 600_000)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(entriesIn(directory).length, 310)
      yield* Effect.repeatN(
        Effect.zipRight(
          backend.set("c", entry("1"), minute),
          Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        ),
        500
      )
      yield* eventually(() => assert.isBelow(entriesIn(directory).length, 150))
      assert.isTrue((yield* backend.getMany(keys("b", 10))).every(Option.isSome))
    }))

  it.scoped("is removed without writes, now and then", () =>
    Effect.gen(function*() {
      const { backend, directory } = yield* make({ sweepInterval: "10 millis" })
      yield* setAll(backend, keys("a", 100), "1", 60_000)
      yield* setAll(backend, keys("b", 10), "1", 600_000)
      yield* backend.lease("l", Duration.millis(1))
      yield* TestClock.adjust("2 minutes")
      yield* eventually(() => assert.strictEqual(filesIn(directory).length, 10))
      assert.isTrue((yield* backend.getMany(keys("b", 10))).every(Option.isSome))
    }))

  it.scoped("and was left behind by who died is removed, and what is being written is not", () =>
    Effect.gen(function*() {
      const { base, directory } = yield* temporary
      yield* Effect.scoped(FileSystem.make({ directory }))
      const staged = ["0", "1", "x"].map((digit) => join(base, "staged", digit.repeat(24)))
      for (const path of staged) {
        Fs.mkdirSync(path)
        Fs.writeFileSync(join(path, `w-${"0".repeat(24)}`), "half")
      }
      const old = new Date(Date.now() - 11 * 60_000)
      for (const path of [staged[0]!, staged[2]!]) Fs.utimesSync(path, old, old)
      yield* FileSystem.make({ directory })
      yield* eventually(() => assert.deepStrictEqual(staged.map((path) => Fs.existsSync(path)), [false, true, true]))
    }))

  it.scoped("ages with the Clock, and is kept for no longer than its retention", () =>
    Effect.gen(function*() {
      const { backend } = yield* make()
      yield* backend.set("a", entry("1"), minute)
      yield* backend.set("b", entry("1", 30_000), minute)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual((yield* backend.getMany(["a", "b"])).map(valueOf), ["1", undefined])
      yield* TestClock.adjust("30 seconds")
      assert.isFalse(yield* backend.has("a"))
    }))
})

describe("what it costs", () => {
  const cost = (effect: Effect.Effect<unknown, unknown>) =>
    Effect.gen(function*() {
      yield* effect
      calls.of = {}
      yield* effect
      return Object.values(calls.of).reduce((sum, count) => sum + count, 0)
    })

  it.scoped("is the same number of calls each time", () =>
    Effect.gen(function*() {
      const { backend } = yield* make({ sweepInterval: Duration.infinity })
      yield* backend.set("a", entry("1"), minute)
      const versions = yield* backend.tagVersions(["t", "u"])
      assert.strictEqual(yield* cost(backend.get("a")), 3)
      assert.strictEqual(yield* cost(backend.get("b")), 1)
      assert.strictEqual(yield* cost(backend.set("a", entry("1"), minute)), 7)
      assert.strictEqual(yield* cost(backend.add("a", entry("1"), minute)), 3)
      // However many tags: the epoch.
      assert.strictEqual(yield* cost(backend.refreshTags(versions)), 3)
      assert.strictEqual(yield* cost(backend.tagEpoch), 3)
    }))

  it.scoped("is no more than a few open files, whatever is read at once", () =>
    Effect.gen(function*() {
      const { backend } = yield* make()
      yield* setAll(backend, keys("a", 500), "x".repeat(20_000))
      const reading = yield* Effect.fork(backend.getMany([...keys("a", 500), ...keys("a", 500)]))
      let most = 0
      while (reading.unsafePoll() === null) {
        most = Math.max(most, Fs.readdirSync("/proc/self/fd").length)
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      assert.isBelow(most, 200)
      assert.isTrue((yield* reading).every(Option.isSome))
    }))
})

describe("the end", () => {
  it.scoped("waits for what is under way, and refuses what comes later", () =>
    Effect.gen(function*() {
      const { directory } = yield* temporary
      const closed = yield* Effect.scoped(Effect.gen(function*() {
        const backend = yield* FileSystem.make({ directory })
        yield* Effect.fork(setAll(backend, keys("a", 16), "x".repeat(100_000)))
        yield* Effect.yieldNow()
        return backend
      }))
      const before = filesIn(directory)
      assert.isTrue(before.every((file) => file.endsWith(".entry")))
      const error = yield* Effect.flip(closed.set("a", entry("1"), minute))
      assert.strictEqual(error.reason, "Unavailable")
      assert.match(error.message, /^fileSystem\.set: the backend is closed/)
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.deepStrictEqual(filesIn(directory), before)
    }))
})

describe("options", () => {
  const refused = (options: unknown) =>
    Effect.map(
      Effect.exit(Effect.scoped(FileSystem.make(options as FileSystem.Options))),
      (exit) => Exit.isFailure(exit) && exit.cause._tag === "Die" ? (exit.cause.defect as Error).message : undefined
    )

  it.scoped("a directory that is a file, or is below one, is named, and the file is left alone", () =>
    Effect.gen(function*() {
      const file = join((yield* temporary).directory, "file")
      Fs.writeFileSync(file, "mine")
      const link = `${file}.link`
      Fs.symlinkSync(file, link)
      const reasons: ReadonlyArray<readonly [directory: string, what: string]> = [
        [file, "is a file"],
        [link, "is a file"],
        [join(file, "below"), "is below a file"]
      ]
      for (const [directory, what] of reasons) {
        const error = yield* Effect.flip(FileSystem.make({ directory }))
        assert.strictEqual(error.reason, "InvalidInput")
        assert.strictEqual(
          error.message,
          `fileSystem.make: the option \`directory\` must be the path of a directory, and it ${what}: ${directory}`
        )
      }
      assert.strictEqual(Fs.readFileSync(file, "utf8"), "mine")
    }))

  it.effect("that cannot be meant are named, with their value", () =>
    Effect.gen(function*() {
      const directory = "/nowhere"
      assert.strictEqual(
        yield* refused({ directory: "" }),
        "FileSystem: directory must be the path of a directory, not \"\""
      )
      assert.match((yield* refused({ directory: "a\0b" }))!, /directory must be the path of a directory/)
      assert.match((yield* refused({}))!, /directory must be the path of a directory, not undefined/)
      assert.strictEqual(
        yield* refused({ directory, maxEntries: 0 }),
        "FileSystem: maxEntries must be an integer of at least 1, not 0"
      )
      assert.match((yield* refused({ directory, maxEntries: NaN }))!, /maxEntries .* not NaN/)
      assert.match((yield* refused({ directory, maxBytes: 1.5 }))!, /maxBytes .* at least 4096, not 1.5/)
      assert.match((yield* refused({ directory, maxValueBytes: -1 }))!, /maxValueBytes .* not -1/)
      assert.match((yield* refused({ directory, fsync: "yes" }))!, /fsync must be true or false, not "yes"/)
      assert.match((yield* refused({ directory, sweepInterval: -5 }))!, /sweepInterval .* not -5/)
      assert.match((yield* refused({ directory, sweepInterval: 0 }))!, /sweepInterval .* not 0/)
    }))

  it.scoped("come from the configuration, which is to blame for them", () =>
    Effect.gen(function*() {
      const { directory } = yield* temporary
      const nameOf = (maxEntries: string) =>
        Effect.map(CacheBackend, (backend) => backend.name).pipe(
          Effect.provide(FileSystem.layerConfig({
            directory: Config.string("DIR"),
            maxEntries: Config.integer("MAX")
          })),
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["DIR", directory], ["MAX", maxEntries]])))
        )
      assert.strictEqual(yield* nameOf("10"), "fileSystem")
      const error = yield* Effect.flip(nameOf("0"))
      assert.include(String(error), "FileSystem: maxEntries must be an integer of at least 1, not 0")
    }))

  it.scoped("fsync writes to the disk: the file, then its folder", () =>
    Effect.gen(function*() {
      const { backend } = yield* make({ fsync: true })
      yield* backend.set("a", entry("1"), minute)
      calls.of = {}
      yield* backend.set("a", entry("2"), minute)
      assert.strictEqual(calls.of["fsync"], 2)
      assert.strictEqual(yield* get(backend, "a"), "2")
    }))

  it.scoped("maxValueBytes refuses a value before anything is written", () =>
    Effect.gen(function*() {
      const { backend } = yield* make({ maxValueBytes: 10 })
      yield* backend.set("a", entry("0123456789"), minute)
      calls.of = {}
      for (const write of [backend.set, backend.add]) {
        const error = yield* Effect.flip(write("a", entry("01234567890"), minute) as Effect.Effect<unknown, any>)
        assert.strictEqual(error.reason, "TooLarge")
        assert.include(error.message, "the value has 11 bytes, and 10 is the most")
      }
      assert.deepStrictEqual(calls.of, {})
      assert.strictEqual(yield* get(backend, "a"), "0123456789")
    }))
})
