import { assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Null from "effect-caching/backends/Null"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { overBackends } from "../support/overBackends.js"

/** A load that counts itself: 1, 2, 3 … */
const counter = () => {
  const state = { loads: 0 }
  return Object.assign(state, { load: Effect.sync(() => ++state.loads) })
}

const base = { name: "value", schema: Schema.Number } as const

const settle = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 20)))

/** Waits until no load is under way, however long the machine takes for it. */
const landed = Effect.flatMap(CacheBackend, ({ flights }) =>
  Effect.iterate(0, {
    while: () => flights.size > 0,
    body: () => Effect.as(Effect.promise(() => new Promise<void>((_) => setImmediate(_))), 0)
  }))

describe("Cache.getOrSet", () => {
  overBackends((test) => {
    test("loads once while the value is fresh, and again when its time to live has passed", () =>
      Effect.gen(function*() {
        const cache = Cache.make({ ...base, timeToLive: "1 minute" })
        const { load } = counter()
        const find = Cache.getOrSet(cache, "k", load)
        assert.strictEqual(yield* find, 1)
        yield* TestClock.adjust("59999 millis")
        assert.strictEqual(yield* find, 1)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* find, 2)
      }))

    test("counts the time to live from the end of the load", () =>
      Effect.gen(function*() {
        const cache = Cache.make({ ...base, timeToLive: "1 minute" })
        const source = counter()
        const find = Cache.getOrSet(cache, "k", Effect.zipRight(TestClock.adjust("50 seconds"), source.load))
        yield* find
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* find, 1)
      }))

    test("a time to live of zero stores nothing, and an infinite one never ends", () =>
      Effect.gen(function*() {
        const source = counter()
        const never = Cache.make({ ...base, timeToLive: 0 })
        assert.strictEqual(yield* Cache.getOrSet(never, "k", source.load), 1)
        assert.strictEqual(yield* Cache.getOrSet(never, "k", source.load), 2)
        const always = Cache.make({ ...base, timeToLive: Duration.infinity })
        assert.strictEqual(yield* Cache.getOrSet(always, "k", source.load), 3)
        yield* TestClock.adjust("3650 days")
        assert.strictEqual(yield* Cache.getOrSet(always, "k", source.load), 3)
      }))

    test("a function decides the time to live by the exit and the key", () =>
      Effect.gen(function*() {
        const cache = Cache.make({
          ...base,
          key: (key: string) => key,
          timeToLive: (exit: Exit.Exit<number>, key) => Exit.isSuccess(exit) && key === "long" ? "1 hour" : "1 minute"
        })
        const source = counter()
        yield* Cache.getOrSet(cache, "long", source.load)
        yield* Cache.getOrSet(cache, "short", source.load)
        yield* TestClock.adjust("30 minutes")
        assert.strictEqual(yield* Cache.getOrSet(cache, "long", source.load), 1)
        assert.strictEqual(yield* Cache.getOrSet(cache, "short", source.load), 3)
      }))

    test("within its grace a stale value is served while one load runs in the background", () =>
      Effect.gen(function*() {
        const cache = Cache.make({ ...base, timeToLive: "1 minute", grace: "10 minutes" })
        const { load } = counter()
        const find = Cache.getOrSet(cache, "k", load)
        yield* find
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Effect.all([find, find, find]), [1, 1, 1].map((_, i) => i === 0 ? 1 : _))
        yield* landed
        assert.strictEqual(yield* find, 2)
        yield* TestClock.adjust("11 minutes")
        assert.strictEqual(yield* find, 3)
      }))

    test("a stale value stays when its load fails, unless `staleIf` says no", () =>
      Effect.gen(function*() {
        const cache = Cache.make({
          ...base,
          timeToLive: "1 minute",
          grace: "10 minutes",
          staleIf: (error: "down" | "gone") => error === "down"
        })
        yield* Cache.getOrSet(cache, "k", Effect.succeed(1))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* Cache.getOrSet(cache, "k", Effect.fail("down" as const)), 1)
        yield* landed
        assert.strictEqual(yield* Cache.getOrSet(cache, "k", Effect.fail("gone" as const)), 1)
        yield* landed
        assert.strictEqual(yield* Effect.flip(Cache.getOrSet(cache, "k", Effect.fail("gone" as const))), "gone")
      }))

    test("failures are not stored, unless the time to live gives them time and there is a codec for them", () =>
      Effect.gen(function*() {
        let loads = 0
        const fail = Effect.suspend(() => Effect.fail(`failure ${++loads}`))
        const plain = Cache.make({ ...base, timeToLive: "1 minute" })
        assert.strictEqual(yield* Effect.flip(Cache.getOrSet(plain, "k", fail)), "failure 1")
        assert.strictEqual(yield* Effect.flip(Cache.getOrSet(plain, "k", fail)), "failure 2")
        const negative = Cache.make({
          name: "negative",
          schema: Schema.Number,
          failure: Codec.string,
          timeToLive: (exit) => Exit.isSuccess(exit) ? "1 hour" : "10 seconds"
        })
        assert.strictEqual(yield* Effect.flip(Cache.getOrSet(negative, "k", fail)), "failure 3")
        assert.strictEqual(yield* Effect.flip(Cache.getOrSet(negative, "k", fail)), "failure 3")
        assert.strictEqual((yield* Cache.get(negative, "k"))._tag, "None")
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* Cache.getOrSet(negative, "k", Effect.succeed(4)), 4)
        assert.strictEqual(yield* Cache.getOrSet(negative, "k", fail), 4)
      }))

    test("a defect or an interruption is never stored, whatever the policy gives time for", () =>
      Effect.gen(function*() {
        const cache = Cache.make({
          name: "negative",
          schema: Schema.Number,
          failure: Codec.string,
          timeToLive: () => "1 hour",
          staleIf: () => false
        })
        const mixed = Cause.parallel(Cause.fail("a"), Cause.die("b"))
        for (const load of [Effect.die("defect"), Effect.interrupt, Effect.failCause(mixed)]) {
          assert.isTrue(Exit.isFailure(yield* Effect.exit(Cache.refresh(cache, "k", load))))
          assert.strictEqual((yield* Cache.lookup(cache, "k"))._tag, "Miss")
        }
        assert.strictEqual(yield* Cache.getOrSet(cache, "k", Effect.succeed(4)), 4)
      }))

    test("a value with too many tags, or a tag that is too long, is not stored", () =>
      Effect.gen(function*() {
        const { load } = counter()
        const tags = (count: number, length: number) =>
          Array.from({ length: count }, (_, i) => String(i).padEnd(length))
        for (const [count, length] of [[257, 5], [1, 16_385]] as const) {
          const cache = Cache.make({ ...base, timeToLive: "1 hour", tags: () => tags(count, length) })
          const find = Effect.provide(Cache.getOrSet(cache, "k", load), Logger.remove(Logger.defaultLogger))
          assert.notStrictEqual(yield* find, yield* find)
          const error = yield* Effect.flip(Cache.set(cache, "k", 1))
          assert.strictEqual(error._tag === "BackendError" && error.reason, "InvalidInput")
        }
        const many = Cache.make({ ...base, timeToLive: "1 hour", tags: () => tags(256, 1_000) })
        assert.strictEqual(yield* Cache.getOrSet(many, "many", load), yield* Cache.getOrSet(many, "many", load))
      }))

    test("`unless` neither reads nor stores, and `forcedUpdate` loads and stores", () =>
      Effect.gen(function*() {
        const mode = { value: "cached" as "cached" | "unless" | "forced" }
        const cache = Cache.make({
          ...base,
          timeToLive: "1 minute",
          unless: () => mode.value === "unless",
          forcedUpdate: () => Effect.sync(() => mode.value === "forced")
        })
        const { load } = counter()
        const find = Cache.getOrSet(cache, "k", load)
        assert.strictEqual(yield* find, 1)
        mode.value = "unless"
        assert.strictEqual(yield* find, 2)
        mode.value = "cached"
        assert.strictEqual(yield* find, 1)
        mode.value = "forced"
        assert.strictEqual(yield* find, 3)
        mode.value = "cached"
        assert.strictEqual(yield* find, 3)
      }))

    test("`storeIf` decides whether a loaded value is stored", () =>
      Effect.gen(function*() {
        const cache = Cache.make({ ...base, timeToLive: "1 minute", storeIf: (n) => Effect.succeed(n > 1) })
        const { load } = counter()
        const find = Cache.getOrSet(cache, "k", load)
        assert.deepStrictEqual([yield* find, yield* find, yield* find], [1, 2, 2])
      }))

    test("`isStale` has a fresh value loaded anew in the background", () =>
      Effect.gen(function*() {
        const cache = Cache.make({ ...base, timeToLive: "1 minute", isStale: (n) => n < 2 })
        const { load } = counter()
        const find = Cache.getOrSet(cache, "k", load)
        assert.strictEqual(yield* find, 1)
        assert.strictEqual(yield* find, 1)
        yield* landed
        assert.strictEqual(yield* find, 2)
        yield* landed
        assert.strictEqual(yield* find, 2)
      }))

    test("`refresh` loads and stores whatever there is", () =>
      Effect.gen(function*() {
        const cache = Cache.make({ ...base, timeToLive: "1 minute" })
        const { load } = counter()
        assert.strictEqual(yield* Cache.getOrSet(cache, "k", load), 1)
        assert.strictEqual(yield* Cache.refresh(cache, "k", load), 2)
        assert.strictEqual(yield* Cache.getOrSet(cache, "k", load), 2)
      }))

    test("a page depends on the tags of everything its load reads from caches", () =>
      Effect.gen(function*() {
        const users = Cache.make({
          name: "user",
          schema: Schema.Number,
          key: (id: number) => id,
          timeToLive: "1 hour",
          tags: (_, id) => [`user:${id}`]
        })
        const fragments = Cache.make({
          name: "fragment",
          schema: Schema.Number,
          key: (id: number) => id,
          timeToLive: "1 hour"
        })
        const pages = Cache.make({ name: "page", schema: Schema.Array(Schema.Number), timeToLive: "1 hour" })
        const source = counter()
        const user = (id: number) => Cache.getOrSet(users, id, source.load)
        const fragment = (id: number) => Cache.getOrSet(fragments, id, user(id))
        const page = Cache.getOrSet(pages, "/", Effect.all([fragment(1), fragment(2)]))
        assert.deepStrictEqual(yield* page, [1, 2])
        yield* Cache.invalidateTags(["user:2"])
        assert.deepStrictEqual(yield* page, [1, 3])
        assert.deepStrictEqual(yield* page, [1, 3])
        // Read as hits this time, by a page that is made anew.
        yield* Cache.invalidate(pages, "/")
        assert.deepStrictEqual(yield* page, [1, 3])
        yield* Cache.invalidateTags(["user:1"])
        assert.deepStrictEqual(yield* page, [4, 3])
      }))

    test("a page depends on what its load gets by hand", () =>
      Effect.gen(function*() {
        const users = Cache.make({ name: "user", schema: Schema.Number, timeToLive: "1 hour", tags: ["user"] })
        const pages = Cache.make({ name: "page", schema: Schema.Number, timeToLive: "1 hour" })
        const reads = [
          Effect.map(Cache.get(users, 1), Option.getOrThrow),
          Effect.map(Cache.getMany(users, [0, 1]), ([_, user]) => Option.getOrThrow(user!)),
          Effect.map(Cache.lookup(users, 1), (found) => found._tag === "Hit" ? Exit.getOrElse(found.exit, () => 0) : 0)
        ]
        for (const [i, read] of reads.entries()) {
          yield* Cache.set(users, 1, 1)
          const page = Cache.getOrSet(pages, i, read)
          assert.strictEqual(yield* page, 1)
          yield* Cache.invalidateTags(["user"])
          yield* Cache.set(users, 1, 2)
          assert.strictEqual(yield* page, 2)
        }
      }))

    test("a page made of a value that was loaded past its cache is stored only if the value has no tags", () =>
      Effect.gen(function*() {
        const pages = Cache.make({ name: "page", schema: Schema.Number, timeToLive: "1 hour" })
        for (const [tags, expected] of [[["user"], 2], [[], 1]] as const) {
          const users = Cache.make({ name: "user", schema: Schema.Number, timeToLive: "1 hour", tags, unless: true })
          const source = counter()
          const find = Cache.getOrSet(pages, expected, Cache.getOrSet(users, 1, source.load))
          assert.strictEqual(yield* find, 1)
          yield* Cache.invalidateTags(["user"])
          assert.strictEqual(yield* find, expected)
        }
      }))

    test("a page that does without a fragment that failed is stored, and depends on the fragment's tags", () =>
      Effect.gen(function*() {
        const fragments = Cache.make({
          name: "fragment",
          schema: Schema.Number,
          timeToLive: "1 hour",
          tags: ["fragment"]
        })
        const pages = Cache.make({ name: "page", schema: Schema.Number, timeToLive: "1 hour" })
        const { load } = counter()
        const fragment = Cache.getOrSet(fragments, 1, Effect.fail("no"))
        const page = Cache.getOrSet(pages, "/", Effect.zipRight(Effect.ignore(fragment), load))
        assert.strictEqual(yield* page, 1)
        assert.strictEqual(yield* page, 1)
        yield* Cache.invalidateTags(["fragment"])
        assert.strictEqual(yield* page, 2)
      }))

    test("tags that a value shares with what it was made of count once", () =>
      Effect.gen(function*() {
        const tags = Array.from({ length: 200 }, (_, i) => `tag ${i}`)
        const parts = Cache.make({ name: "part", schema: Schema.Number, timeToLive: "1 hour", tags })
        const wholes = Cache.make({ name: "whole", schema: Schema.Number, timeToLive: "1 hour", tags })
        yield* Cache.getOrSet(wholes, 1, Cache.getOrSet(parts, 1, Effect.succeed(1)))
        assert.isTrue(yield* Cache.has(wholes, 1))
      }))

    test("a policy that dies takes its caller with it, and not the key", () =>
      Effect.gen(function*() {
        const dying = (): never => {
          throw new Error("of a bug in the policy")
        }
        const policies: ReadonlyArray<Partial<Cache.Policy<string, number, string>>> = [
          { tags: dying },
          { timeToLive: dying },
          { storeIf: dying },
          { storeIf: () => Effect.die("storeIf") }
        ]
        const good = Cache.make({ ...base, key: (key: string) => key, timeToLive: "1 minute" })
        for (const [i, policy] of policies.entries()) {
          const bad = Cache.make({ ...base, key: (key: string) => key, timeToLive: "1 minute", ...policy })
          const exit = yield* Effect.exit(Cache.getOrSet(bad, `${i}`, Effect.succeed(1)))
          assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
          const { lease } = yield* CacheBackend
          // A remote store is told after the caller has its answer.
          yield* Effect.repeat(Effect.zipRight(settle, lease(Cache.cacheKey(good, `${i}`), Duration.seconds(1))), {
            until: ({ token }) => token._tag === "Some"
          })
        }
      }))

    test("dependencies can be switched off", () =>
      Effect.gen(function*() {
        const users = Cache.make({ name: "user", schema: Schema.Number, timeToLive: "1 hour", tags: ["user"] })
        const pages = Cache.make({
          name: "page",
          schema: Schema.Number,
          timeToLive: "1 hour",
          trackDependencies: false
        })
        const { load } = counter()
        const page = Cache.getOrSet(pages, "/", Cache.getOrSet(users, 1, load))
        assert.strictEqual(yield* page, 1)
        yield* Cache.invalidateTags(["user"])
        assert.strictEqual(yield* page, 1)
        assert.strictEqual(yield* Cache.getOrSet(users, 1, load), 2)
      }))

    test("a softly invalidated value is served stale within its grace, and is a miss without one", () =>
      Effect.gen(function*() {
        const source = counter()
        for (const [name, grace, expected] of [["graced", "1 hour", 1], ["plain", undefined, 2]] as const) {
          const cache = Cache.make({ name, schema: Schema.Number, timeToLive: "1 hour", grace, tags: ["t"] })
          source.loads = 0
          const find = Cache.getOrSet(cache, "k", source.load)
          yield* find
          yield* Cache.invalidateTags(["t"], { mode: "soft" })
          assert.strictEqual(yield* find, expected)
          yield* landed
          assert.strictEqual(yield* find, 2)
        }
      }))

    test("a load waits for the fresh value where it reads a stale one: stale never becomes fresh by nesting", () =>
      Effect.gen(function*() {
        const policy = { schema: Schema.String, timeToLive: "1 minute", grace: "1 hour" } as const
        const users = Cache.make({ ...policy, name: "user", tags: ["user"] })
        const fragments = Cache.make({ ...policy, name: "fragment" })
        const pages = Cache.make({ ...policy, name: "page" })
        const source = { name: "Ada" }
        const user = Cache.getOrSet(users, 1, Effect.sync(() => source.name))
        const fragment = Cache.getOrSet(fragments, 1, Effect.map(user, (name) => `<b>${name}</b>`))
        const page = Cache.getOrSet(pages, 1, Effect.map(fragment, (html) => `<p>${html}</p>`))
        yield* page
        for (
          const [name, makeStale] of [
            ["Grace", Cache.invalidateTags(["user"], { mode: "soft" })],
            ["Edsger", TestClock.adjust("2 minutes")]
          ] as const
        ) {
          const before = yield* page
          source.name = name
          yield* makeStale
          assert.strictEqual(yield* page, before)
          yield* landed
          assert.strictEqual(yield* page, `<p><b>${name}</b></p>`)
          assert.strictEqual((yield* Cache.lookup(pages, 1))._tag, "Hit")
        }
      }))

    test("who joins a refresh that another process has in hand gets the stale value, not nothing", () =>
      Effect.gen(function*() {
        const cache = Cache.make({ ...base, timeToLive: "1 minute", grace: "1 hour", softTimeout: "1 second" })
        const backend = yield* CacheBackend
        yield* Cache.set(cache, "k", 1)
        yield* TestClock.adjust("2 minutes")
        yield* backend.lease(Cache.cacheKey(cache, "k"), Duration.minutes(5))
        const call = yield* Effect.fork(Cache.getOrSet(cache, "k", Effect.succeed(2)))
        yield* settle
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(call), 1)
      }))

    test("caches of other names and prefixes of names are apart", () =>
      Effect.gen(function*() {
        const { load } = counter()
        const names = ["a", "a:b", "a*", "ab", "~lease"]
        const caches = names.map((name) => Cache.make({ name, schema: Schema.Number, timeToLive: "1 hour" }))
        for (const cache of caches) yield* Cache.getOrSet(cache, "k", load)
        yield* Cache.clear(caches[0]!)
        yield* Cache.clear(caches[2]!)
        const present = yield* Effect.forEach(caches, (cache) => Cache.has(cache, "k"))
        assert.deepStrictEqual(present, [false, true, false, true, true])
      }))
  })

  it.effect("with a soft time-out a call waits that long for a newer value", () =>
    Effect.gen(function*() {
      const cache = Cache.make({ ...base, timeToLive: "1 minute", grace: "1 hour", softTimeout: "1 second" })
      yield* Cache.set(cache, "k", 0)
      yield* TestClock.adjust("2 minutes")
      const quick = yield* Effect.fork(Cache.getOrSet(cache, "k", Effect.delay(Effect.succeed(1), "500 millis")))
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(yield* Fiber.join(quick), 1)
      yield* TestClock.adjust("2 minutes")
      const slow = yield* Effect.fork(Cache.getOrSet(cache, "k", Effect.delay(Effect.succeed(2), "5 seconds")))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(slow), 1)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* Cache.getOrSet(cache, "k", Effect.die("not a hit")), 2)
    }).pipe(Effect.provide(Memory.layer())))

  it.effect("jitter takes a random share off the time to live, and never adds any", () =>
    Effect.gen(function*() {
      const cache = Cache.make({ ...base, timeToLive: "100 seconds", jitter: 0.5 })
      const lives = yield* Effect.forEach(Array.from({ length: 100 }, (_, i) => i), (key) =>
        Effect.gen(function*() {
          yield* Cache.set(cache, key, key)
          const found = yield* Cache.lookup(cache, key)
          assert.strictEqual(found._tag, "Hit")
          return found._tag === "Miss" ? 0 : found.freshUntil
        }))
      assert.isAtLeast(Math.min(...lives), 50_000)
      assert.isAtMost(Math.max(...lives), 100_000)
      assert.isAbove(new Set(lives).size, 50)
    }).pipe(Effect.withRandom(Random.make("jitter")), Effect.provide(Memory.layer())))

  it.effect("`refreshAhead` loads a value anew before its end, while the old one is served", () =>
    Effect.gen(function*() {
      const cache = Cache.make({ ...base, timeToLive: "60 seconds", refreshAhead: true })
      const source = counter()
      const find = Cache.getOrSet(cache, "k", Effect.zipRight(TestClock.adjust("1 second"), source.load))
      yield* find
      for (let reads = 0; reads < 600 && source.loads === 1; reads++) {
        assert.strictEqual(yield* find, 1)
        yield* TestClock.adjust("100 millis")
        yield* Effect.repeatN(Effect.yieldNow(), 20)
      }
      assert.strictEqual(source.loads, 2)
      assert.strictEqual(yield* Cache.getOrSet(cache, "k", Effect.die("not a hit")), 2)
    }).pipe(Effect.withRandom(Random.make("ahead")), Effect.provide(Memory.layer())))

  it.effect("calls are counted by how they were answered", () =>
    Effect.gen(function*() {
      const cache = Cache.make({
        name: "counted",
        schema: Schema.Number,
        key: (key: string) => key,
        timeToLive: "1 minute",
        grace: "1 minute",
        unless: (key) => key === "unless"
      })
      const { load } = counter()
      const find = (key: string) => Cache.getOrSet(cache, key, load)
      yield* find("k")
      yield* find("k")
      yield* find("k")
      yield* TestClock.adjust("1 minute")
      yield* find("k")
      yield* find("unless")
      const count = (result: string) =>
        Metric.value(
          Metric.counter("cache_requests", {
            description: "Calls of a cache by how they were answered",
            incremental: true
          }).pipe(Metric.tagged("cache", "counted"), Metric.tagged("result", result))
        )
      const counts = yield* Effect.all(["miss", "hit", "stale", "bypass"].map(count))
      assert.deepStrictEqual(counts.map((_) => _.count), [1, 2, 1, 1])
    }).pipe(Effect.provide(Memory.layer())))

  it.effect("over Null every call loads, and callers at once still load once", () =>
    Effect.gen(function*() {
      const cache = Cache.make({ ...base, timeToLive: "1 minute", tags: ["t"] })
      const source = counter()
      const find = Cache.getOrSet(cache, "k", Effect.zipLeft(source.load, Effect.yieldNow()))
      assert.deepStrictEqual([yield* find, yield* find], [1, 2])
      yield* Effect.all(Array.from({ length: 100 }, () => find), { concurrency: "unbounded" })
      assert.strictEqual(source.loads, 3)
    }).pipe(Effect.provide(Null.layer)))

  it("an option that cannot be meant is refused by name and value", () => {
    const make = (options: object) => () => Cache.make({ ...base, timeToLive: "1 minute", ...options } as never)
    assert.throws(make({ name: "" }), "name must be 1 to 100 characters, not \"\"")
    assert.throws(make({ timeToLive: -1 }), "timeToLive must be a duration of zero or more, not -1")
    assert.throws(
      make({ timeToLive: "1 fortnight" }),
      "timeToLive must be a duration of zero or more, not \"1 fortnight\""
    )
    assert.throws(make({ timeToLive: NaN }), "timeToLive must be a duration of zero or more, not NaN")
    assert.throws(make({ grace: "-1 seconds" }), "grace must be a duration of zero or more, not \"-1 seconds\"")
    assert.throws(make({ jitter: 2 }), "Cache \"value\": jitter must be a number from 0 to 1, not 2")
    assert.throws(make({ refreshAhead: -1 }), "refreshAhead must be a number of at least 0, not -1")
    assert.throws(make({ schema: undefined }), "schema or codec must be given, not undefined")
  })
})
