import { assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import { Entry } from "effect-caching/internal/entry"
import type { TagVersion } from "effect-caching/internal/entry"
import { Conformance } from "effect-caching/testing"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

const forever = Duration.infinity
const utf8 = new TextEncoder()

const entry = (
  value: unknown,
  { keepUntil = Infinity, tags = [] }: { keepUntil?: number; tags?: ReadonlyArray<TagVersion> } = {}
) => new Entry(false, "text", 0, keepUntil, keepUntil, 0, tags, Exit.succeed(value), undefined)

/** An entry with a payload of `length` bytes. */
const bytes = (length: number, tags: ReadonlyArray<TagVersion> = []) =>
  new Entry(false, "text", 0, Infinity, Infinity, 0, tags, undefined, new Uint8Array(length))

const text = (value: string) => new Entry(false, "text", 0, Infinity, Infinity, 0, [], undefined, utf8.encode(value))

const names = (prefix: string, length: number) => Array.from({ length }, (_, i) => `${prefix}${i}`)

const countOf = (keys: ReadonlyArray<string>) =>
  Effect.flatMap(CacheBackend, (backend) => Effect.map(Effect.filter(keys, backend.has), (present) => present.length))

const valueOf = (found: Option.Option<Entry>) =>
  Option.getOrUndefined(Option.map(found, ({ exit }) => (exit as Exit.Success<unknown, never>).value))

/** The defect that making the backend dies of. */
const defectOf = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined)

describe("Memory", () => {
  describe("contract, storage values", () => Conformance.register({ describe, it }, Memory.layer()))
  describe("contract, storage bytes", () => Conformance.register({ describe, it }, Memory.layer({ storage: "bytes" })))

  describe("options", () => {
    const wrong: ReadonlyArray<[string, Memory.Options, string]> = [
      ["no room", { maxEntries: 0 }, "Memory: maxEntries must be an integer from 1 to 4194304, not 0"],
      ["less than no room", { maxEntries: -1 }, "Memory: maxEntries must be an integer from 1 to 4194304, not -1"],
      ["a fraction", { maxEntries: 1.5 }, "Memory: maxEntries must be an integer from 1 to 4194304, not 1.5"],
      ["no number", { maxEntries: NaN }, "Memory: maxEntries must be an integer from 1 to 4194304, not NaN"],
      ["no bound", { maxEntries: Infinity }, "Memory: maxEntries must be an integer from 1 to 4194304, not Infinity"],
      [
        "a weight below zero",
        { maxWeight: -5, weigh: () => 1 },
        "Memory: maxWeight must be an integer from 1 to 9007199254740991, not -5"
      ],
      [
        "a weight and nothing to weigh with",
        { maxWeight: 5 },
        `Memory: weigh must be a function where maxWeight is set and storage is "values", not undefined`
      ],
      ["another storage", { storage: "disk" as "bytes" }, `Memory: storage must be "values" or "bytes", not "disk"`]
    ]
    for (const [title, options, message] of wrong) {
      it.effect(`dies of ${title}, naming the option and the value`, () =>
        Effect.gen(function*() {
          const defect = yield* defectOf(Effect.scoped(Memory.make(options)))
          assert.strictEqual((defect as Error).message, message)
        }))
    }

    const fromConfig = Memory.layerConfig({
      maxEntries: Config.integer("MAX_ENTRIES"),
      storage: Config.literal("values", "bytes")("STORAGE")
    })
    const provider = (entries: Record<string, string>) =>
      Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(entries))))

    it.effect("come from the configuration", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        assert.strictEqual(backend.holds, "bytes")
        for (const key of names("k", 10)) yield* backend.set(key, bytes(1), forever)
        assert.strictEqual(yield* countOf(names("k", 10)), 3)
      }).pipe(Effect.provide(Layer.provide(fromConfig, provider({ MAX_ENTRIES: "3", STORAGE: "bytes" })))))

    it.effect("are a ConfigError that names the option, where the configuration cannot be meant", () =>
      Effect.gen(function*() {
        const build = (entries: Record<string, string>) =>
          Effect.flip(Effect.scoped(Layer.build(Layer.provide(fromConfig, provider(entries)))))
        const invalid = yield* build({ MAX_ENTRIES: "-3", STORAGE: "bytes" })
        assert.deepStrictEqual(
          invalid,
          ConfigError.InvalidData(["maxEntries"], "Memory: maxEntries must be an integer from 1 to 4194304, not -3")
        )
        assert.isTrue(ConfigError.isMissingData(yield* build({ STORAGE: "bytes" })))
      }))
  })

  describe("storage", () => {
    it.effect("values keeps the entry itself", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        const stored = entry({ name: "Ada" })
        yield* backend.set("a", stored, forever)
        assert.strictEqual(Option.getOrThrow(yield* backend.get("a")), stored)
        assert.strictEqual(backend.unsafe?.get("a"), stored)
      }).pipe(Effect.provide(Memory.layer())))

    it.effect("bytes keeps a copy of the payload, and no value", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        const stored = new Entry(false, "text", 0, Infinity, Infinity, 0, [], Exit.succeed("1"), utf8.encode("1"))
        yield* backend.set("a", stored, forever)
        stored.bytes!.fill(0)
        const found = Option.getOrThrow(yield* backend.get("a"))
        assert.strictEqual(found.exit, undefined)
        assert.deepStrictEqual(found.bytes, utf8.encode("1"))
        assert.strictEqual(backend.unsafe, undefined)
      }).pipe(Effect.provide(Memory.layer({ storage: "bytes" }))))
  })

  describe("bounds", () => {
    it.effect("keeps 10,000 entries unless told otherwise", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        yield* backend.setMany(names("k", 100_000).map((key) => [key, entry(key), forever]))
        assert.strictEqual(yield* countOf(names("k", 100_000)), 10_000)
      }).pipe(Effect.provide(Memory.layer())))

    it.effect("keeps as many encoded entries as fit, with their keys", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        // 2 bytes of key, 53 of header and codec, 45 of payload.
        for (const key of names("k", 10)) yield* backend.set(key, bytes(45), forever)
        assert.strictEqual(yield* countOf(names("k", 10)), 5)
        yield* backend.set("larger", bytes(500), forever)
        assert.isFalse(yield* backend.has("larger"))
        assert.strictEqual(yield* countOf(names("k", 10)), 5)
      }).pipe(Effect.provide(Memory.layer({ storage: "bytes", maxWeight: 500 }))))

    it.effect("is not bound to 10,000 entries where their weight is bounded", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        yield* backend.setMany(names("k", 15_000).map((key) => [key, entry(key), forever]))
        assert.strictEqual(yield* countOf(names("k", 15_000)), 15_000)
      }).pipe(Effect.provide(Memory.layer({ maxWeight: 20_000, weigh: () => 1 }))))

    it.effect("weighs values and errors by their key, rounded up", () => {
      const weighed: Array<Memory.Weighable> = []
      const layer = Memory.layer({
        maxWeight: 10,
        weigh: (entry) => {
          weighed.push(entry)
          return 2.5
        }
      })
      return Effect.gen(function*() {
        const backend = yield* CacheBackend
        const failed = new Entry(true, "text", 0, Infinity, Infinity, 0, [], Exit.fail("no"), undefined)
        yield* backend.set("a", entry("yes"), forever)
        yield* backend.set("b", failed, forever)
        yield* backend.increment("c", 7, forever)
        assert.deepStrictEqual(weighed, [
          { key: "a", value: "yes", bytes: undefined },
          { key: "b", value: "no", bytes: undefined },
          { key: "c", value: undefined, bytes: utf8.encode("7") }
        ])
        yield* backend.set("d", entry("one too many"), forever)
        assert.strictEqual(yield* countOf(["a", "b", "c", "d"]), 3)
      }).pipe(Effect.provide(layer))
    })

    it.effect("removes what an entry too heavy to store was to replace", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        yield* backend.set("a", entry(10), forever)
        yield* backend.set("a", entry(11), forever)
        assert.isFalse(yield* backend.has("a"))
        yield* backend.set("a", entry(Infinity), forever)
        assert.isFalse(yield* backend.has("a"))
        assert.isTrue(yield* backend.add("a", entry(11), forever))
        assert.isTrue(yield* backend.add("a", entry(10), forever))
      }).pipe(Effect.provide(Memory.layer({ maxWeight: 10, weigh: ({ value }) => value as number }))))

    it.effect("dies of a weight that nothing can have", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        for (const weight of [-1, NaN]) {
          const defect = yield* defectOf(backend.set("a", entry(weight), forever))
          assert.strictEqual(
            (defect as Error).message,
            `Memory: the answer of weigh must be zero or more, not ${weight}`
          )
        }
        assert.isFalse(yield* backend.has("a"))
      }).pipe(Effect.provide(Memory.layer({ maxWeight: 10, weigh: ({ value }) => value as number }))))

    it.effect("evicts no lease", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        const { token } = yield* backend.lease("a", Duration.minutes(1))
        yield* backend.setMany(names("k", 1_000).map((key) => [key, entry(key), forever]))
        assert.isTrue(yield* backend.fill("a", Option.getOrThrow(token), entry("filled"), forever))
        assert.strictEqual(valueOf(yield* backend.get("a")), "filled")
      }).pipe(Effect.provide(Memory.layer({ maxEntries: 10 }))))

    it.effect("purges the leases that have expired, and no others", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        const isFree = (key: string, duration: Duration.Duration) =>
          Effect.map(backend.lease(key, duration), ({ token }) => Option.isSome(token))
        for (const key of names("long:", 100)) assert.isTrue(yield* isFree(key, Duration.hours(1)))
        for (let round = 0; round < 20; round++) {
          for (const key of names(`short:${round}:`, 100)) assert.isTrue(yield* isFree(key, Duration.seconds(1)))
          yield* TestClock.adjust("1 seconds")
        }
        for (const key of names("long:", 100)) assert.isFalse(yield* isFree(key, Duration.hours(1)))
        for (const key of names("short:0:", 100)) assert.isTrue(yield* isFree(key, Duration.seconds(1)))
      }).pipe(Effect.provide(Memory.layer())))

    it.effect("evicts no load under way", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        const gate = yield* Deferred.make<string>()
        let loads = 0
        const load = backend.flights.run(
          "a",
          undefined,
          () => Effect.zipRight(Effect.sync(() => loads++), Deferred.await(gate)),
          Effect.die("alone")
        )
        const first = yield* Effect.fork(load)
        yield* Effect.yieldNow()
        yield* backend.setMany(names("k", 1_000).map((key) => [key, entry(key), forever]))
        const second = yield* Effect.fork(load)
        yield* Effect.yieldNow()
        yield* Deferred.succeed(gate, "loaded")
        assert.deepStrictEqual(yield* Fiber.join(Fiber.zip(first, second)), ["loaded", "loaded"])
        assert.strictEqual(loads, 1)
      }).pipe(Effect.provide(Memory.layer({ maxEntries: 1 }))))

    it.effect("makes room of expired entries first, without anyone reading them", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        const old = names("old:", 50)
        for (const key of old) yield* backend.set(key, entry(key, { keepUntil: 1_000 }), Duration.seconds(1))
        for (const key of names("kept:", 50)) yield* backend.set(key, entry(key), forever)
        yield* TestClock.adjust("1 seconds")
        for (const key of names("new:", 50)) yield* backend.set(key, entry(key), forever)
        assert.strictEqual(yield* countOf([...names("kept:", 50), ...names("new:", 50)]), 100)
      }).pipe(Effect.provide(Memory.layer({ maxEntries: 100 }))))
  })

  describe("without a fiber", () => {
    it.effect("answers an entry though it may have expired", () =>
      Effect.gen(function*() {
        const { set, unsafe } = yield* CacheBackend
        const stored = entry("1", { keepUntil: 1_000 })
        yield* set("a", stored, Duration.seconds(1))
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(unsafe!.get("a"), stored)
        assert.strictEqual(unsafe!.get("b"), undefined)
      }).pipe(Effect.provide(Memory.layer())))

    it.effect("does not answer an entry that is kept for less time than its header says", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        const stored = entry("1")
        yield* backend.set("a", stored, Duration.seconds(1))
        assert.strictEqual(backend.unsafe!.get("a"), undefined)
        assert.strictEqual(Option.getOrThrow(yield* backend.get("a")), stored)
        yield* TestClock.adjust("1 seconds")
        assert.isFalse(yield* backend.has("a"))
      }).pipe(Effect.provide(Memory.layer())))

    it.effect("counts as a use of the entry", () =>
      Effect.gen(function*() {
        const { setMany, unsafe } = yield* CacheBackend
        yield* setMany([["a", entry("1"), forever]])
        for (let i = 0; i < 2; i++) unsafe!.get("a")
        yield* setMany(names("k", 1_000).map((key) => [key, entry(key), forever]))
        assert.isDefined(unsafe!.get("a"))
      }).pipe(Effect.provide(Memory.layer({ maxEntries: 100 }))))
  })

  describe("increment", () => {
    it.effect("counts on from a value that is a number, and keeps it a value", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        yield* backend.set("a", entry(41, { keepUntil: 60_000 }), Duration.minutes(1))
        assert.strictEqual(yield* backend.increment("a", 1, forever), 42)
        assert.deepStrictEqual(yield* backend.get("a"), Option.some(entry(42, { keepUntil: 60_000 })))
        yield* backend.set("b", text("-3"), forever)
        assert.strictEqual(yield* backend.increment("b", 1, forever), -2)
        assert.deepStrictEqual(Option.getOrThrow(yield* backend.get("b")).bytes, utf8.encode("-2"))
      }).pipe(Effect.provide(Memory.layer())))

    it.effect("refuses values that are no safe integer", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        const failed = new Entry(true, "text", 0, Infinity, Infinity, 0, [], Exit.fail(1), undefined)
        for (const stored of [entry("1"), entry(1.5), entry(undefined), entry(2 ** 53), failed]) {
          yield* backend.set("a", stored, forever)
          const error = yield* Effect.flip(backend.increment("a", 1, forever))
          assert.strictEqual(error.reason, "NotANumber")
          assert.strictEqual(Option.getOrThrow(yield* backend.get("a")), stored)
        }
      }).pipe(Effect.provide(Memory.layer())))

    it.effect("keeps the time of expiry, also where it is earlier than the header says", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        yield* backend.set("a", text("1"), Duration.minutes(1))
        assert.strictEqual(yield* backend.increment("a", 1, forever), 2)
        yield* TestClock.adjust("1 minutes")
        assert.strictEqual(yield* backend.increment("a", 1, forever), 1)
      }).pipe(Effect.provide(Memory.layer({ storage: "bytes" }))))
  })

  describe("tags", () => {
    const turn = Effect.async<void>((resume) => {
      setImmediate(() => resume(Effect.void))
    })
    const collect = Effect.repeatN(Effect.zipRight(turn, Effect.sync(collectGarbage)), 5)

    for (const storage of ["values", "bytes"] as const) {
      it.effect(`are remembered while an entry depends on them, storage ${storage}`, () =>
        Effect.gen(function*() {
          const backend = yield* CacheBackend
          // Copies, as of an entry that has been through bytes: they do not keep the tag known by themselves.
          const copied = (yield* backend.tagVersions(["tag"])).map(({ hard, soft, tag }) => ({ tag, hard, soft }))
          yield* backend.set("a", bytes(1, copied), forever)
          yield* collect
          assert.deepStrictEqual([...yield* backend.refreshTags(copied)], copied)
          yield* backend.remove("a")
          yield* collect
          const [renewed] = yield* backend.refreshTags(copied)
          assert.notStrictEqual(renewed!.hard, copied[0]!.hard)
        }).pipe(Effect.provide(Memory.layer({ storage }))))
    }

    it.effect("of an entry are looked at once between two invalidations", () =>
      Effect.gen(function*() {
        const { invalidateTags, set, tagVersions, unsafe } = yield* CacheBackend
        const tags = [...yield* tagVersions(["tag"])]
        const [version] = tags
        let looks = 0
        Object.defineProperty(tags, 0, { get: () => (looks++, version) })
        yield* set("a", entry("1", { tags }), forever)
        for (let round = 0; round < 3; round++) {
          yield* invalidateTags([`another ${round}`], "hard")
          looks = 0
          for (let i = 0; i < 10; i++) assert.strictEqual(unsafe!.tagState(unsafe!.get("a")!.tags), "current")
          assert.strictEqual(looks, 1)
        }
      }).pipe(Effect.provide(Memory.layer())))

    it.effect("make an entry stale, then a miss, whatever number of them it has", () =>
      Effect.gen(function*() {
        const backend = yield* CacheBackend
        const state = () => backend.unsafe!.tagState(backend.unsafe!.get("a")!.tags)
        for (const tags of [["tag"], names("t", 10).concat("tag")]) {
          yield* backend.set("a", entry("1", { tags: yield* backend.tagVersions(tags) }), forever)
          assert.strictEqual(state(), "current")
          yield* backend.invalidateTags(["another"], "hard")
          assert.strictEqual(state(), "current")
          yield* backend.invalidateTags(["tag"], "soft")
          assert.strictEqual(state(), "soft")
          yield* backend.invalidateTags(["tag"], "hard")
          assert.strictEqual(state(), "hard")
        }
      }).pipe(Effect.provide(Memory.layer())))
  })
})
