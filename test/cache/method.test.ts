import { assert, describe, it } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as Memoize from "effect-caching/Memoize"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { overBackends } from "../support/overBackends.js"

interface Adder {
  readonly id: string
  readonly by: number
}

/** A method that answers the sum and how often it was called. */
const makeMethod = (before: Effect.Effect<unknown> = Effect.void) => {
  let calls = 0
  return Memoize.method(
    (self: Adder, n: number) => Effect.zipLeft(Effect.sync(() => `${self.by + n}:${++calls}`), before),
    { name: "Adder.add", schema: Schema.String, timeToLive: "1 minute", instance: (self) => self.id }
  )
}

const a: Adder = { id: "a", by: 10 }
const b: Adder = { id: "b", by: 20 }

describe("Memoize.method", () => {
  overBackends((test) => {
    test("instances are apart, and objects of one identity are one instance", () =>
      Effect.gen(function*() {
        const add = makeMethod()
        assert.strictEqual(yield* add(a, 1), "11:1")
        assert.strictEqual(yield* add(b, 1), "21:2")
        assert.strictEqual(yield* add({ id: "a", by: 10 }, 1), "11:1")
        assert.strictEqual(yield* add.of(a)(1), "11:1")
      }))

    test("an argument that is not given and one that is undefined are one call", () =>
      Effect.gen(function*() {
        let calls = 0
        const f = Memoize.method((_: Adder, n: number, more?: number) => Effect.sync(() => `${n} ${more} ${++calls}`), {
          name: "f",
          schema: Schema.String,
          timeToLive: "1 minute",
          instance: (self) => self.id
        })
        assert.strictEqual(yield* f(a, 1), yield* f(a, 1, undefined))
        assert.isTrue(yield* f.of(a).invalidate(1, undefined))
        assert.isFalse(yield* f.of(a).invalidate(1))
      }))

    test("one argument list, one instance and all of them are invalidated apart", () =>
      Effect.gen(function*() {
        const add = makeMethod()
        const all = Effect.all([add(a, 1), add(a, 2), add(b, 1)])
        assert.deepStrictEqual(yield* all, ["11:1", "12:2", "21:3"])
        assert.isTrue(yield* add.invalidate(a, 1))
        assert.deepStrictEqual(yield* all, ["11:4", "12:2", "21:3"])
        yield* add.invalidateInstance(a)
        assert.deepStrictEqual(yield* all, ["11:5", "12:6", "21:3"])
        yield* add.of(b).invalidateAll
        assert.deepStrictEqual(yield* all, ["11:5", "12:6", "21:7"])
        assert.isTrue(yield* add.of(a).invalidate(2))
        assert.deepStrictEqual(yield* all, ["11:5", "12:8", "21:7"])
        yield* add.invalidateAll
        assert.deepStrictEqual(yield* all, ["11:9", "12:10", "21:11"])
      }))

    test("what is computed while its instance is invalidated is not kept", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const add = makeMethod(Deferred.await(gate))
        const computing = yield* Effect.fork(add(a, 1))
        yield* Effect.yieldNow()
        yield* add.invalidateInstance(a)
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(computing)
        const now = yield* add(a, 1)
        assert.strictEqual(yield* add(a, 1), now)
        assert.include(["11:1", "11:2"], now)
      }))

    test("the policy's own tags and options stay", () =>
      Effect.gen(function*() {
        let calls = 0
        const find = Memoize.method(
          (self: Adder, _n: number, _trace?: string) => Effect.sync(() => self.by + ++calls),
          {
            name: "find",
            schema: Schema.Number,
            timeToLive: "1 minute",
            instance: (self) => self.id,
            key: (n) => n,
            keyTags: ([self, n]) => [`${self.id}/${n}`],
            tags: ["all"]
          }
        )
        assert.strictEqual(yield* find(a, 1, "x"), 11)
        assert.strictEqual(yield* find(a, 1, "y"), 11)
        yield* Cache.invalidateTags(["a/1"])
        assert.strictEqual(yield* find(a, 1), 12)
        yield* Cache.invalidateTags(["all"])
        assert.strictEqual(yield* find(a, 1), 13)
        assert.strictEqual(yield* find.withKey(() => "one")(a, 7), 14)
        assert.strictEqual(yield* find.withKey(() => "one")(a, 8), 14)
      }))

    test("stored failures of an instance are invalidated with it", () =>
      Effect.gen(function*() {
        let calls = 0
        const find = Memoize.method((_self: Adder) => Effect.suspend(() => Effect.fail(`no ${++calls}`)), {
          name: "find",
          schema: Schema.Never,
          failure: Codec.string,
          timeToLive: () => "1 minute",
          instance: (self) => self.id
        })
        assert.strictEqual(yield* Effect.flip(find(a)), "no 1")
        assert.strictEqual(yield* Effect.flip(find(a)), "no 1")
        yield* find.invalidateInstance(a)
        assert.strictEqual(yield* Effect.flip(find(a)), "no 2")
      }))
  })
})

describe("Cache, groups by argument", () => {
  overBackends((test) => {
    test("all calls of a tenant are invalidated by a tag made of the arguments", () =>
      Effect.gen(function*() {
        let calls = 0
        const report = Memoize.wrap(
          (tenant: number, page: number) => Effect.sync(() => `${tenant}/${page}:${++calls}`),
          {
            name: "report",
            schema: Schema.String,
            timeToLive: "1 hour",
            keyTags: ([tenant]) => [`tenant:${tenant}`]
          }
        )
        const all = Effect.all([report(7, 1), report(7, 2), report(8, 1)])
        assert.deepStrictEqual(yield* all, ["7/1:1", "7/2:2", "8/1:3"])
        yield* Cache.invalidateTags(["tenant:7"])
        assert.deepStrictEqual(yield* all, ["7/1:4", "7/2:5", "8/1:3"])
      }))

    test("a value with tags of its key is stored though another tag is invalidated during its load", () =>
      Effect.gen(function*() {
        let calls = 0
        const cache = Cache.make({
          name: "n",
          schema: Schema.Number,
          key: (n: number) => n,
          timeToLive: "1 hour",
          keyTags: (n) => [`n:${n}`]
        })
        const find = Cache.getOrSet(
          cache,
          1,
          Effect.zipRight(Cache.invalidateTags(["other"]), Effect.sync(() => ++calls))
        )
        assert.deepStrictEqual([yield* find, yield* find], [1, 1])
        yield* Cache.set(cache, 1, 5)
        yield* Cache.invalidateTags(["n:1"])
        assert.strictEqual(yield* find, 2)
      }))
  })
})

describe("Cache.setTimeToLive", () => {
  const cache = Cache.make({ name: "token", schema: Schema.Number, key: (key: string) => key, timeToLive: "1 minute" })
  const counter = () => {
    let loads = 0
    return Effect.sync(() => ++loads)
  }
  overBackends((test) => {
    test("a load asks for a longer or a shorter time than the policy's, or for none", () =>
      Effect.gen(function*() {
        for (const [key, time, before, after] of [["long", "1 hour", 59, 1], ["short", "1 minute", 0, 1]] as const) {
          const find = Cache.getOrSet(cache, key, Effect.zipLeft(counter(), Cache.setTimeToLive(time)))
          yield* find
          yield* TestClock.adjust(`${before} minutes`)
          assert.isTrue(yield* Cache.has(cache, key))
          yield* TestClock.adjust(`${after} minutes`)
          assert.isFalse(yield* Cache.has(cache, key))
        }
        yield* Cache.getOrSet(cache, "none", Effect.zipLeft(counter(), Cache.setTimeToLive(0)))
        assert.isFalse(yield* Cache.has(cache, "none"))
      }))

    test("counts for the load that it is in, not for the loads around it nor for what runs past a cache", () =>
      Effect.gen(function*() {
        const off = Cache.make({
          name: "off",
          schema: Schema.Number,
          key: (_: string) => _,
          timeToLive: 1,
          unless: true
        })
        const inner = Effect.zipLeft(Effect.succeed(1), Cache.setTimeToLive("1 second"))
        yield* Cache.getOrSet(
          cache,
          "outer",
          Effect.zipRight(Cache.getOrSet(cache, "inner", inner), Cache.getOrSet(off, "off", inner))
        )
        yield* TestClock.adjust("1 second")
        assert.isFalse(yield* Cache.has(cache, "inner"))
        assert.isTrue(yield* Cache.has(cache, "outer"))
        yield* Cache.setTimeToLive("1 hour")
      }))

    test("a time to live that is a function decides alone", () =>
      Effect.gen(function*() {
        const never = Cache.make({ name: "never", schema: Schema.Number, key: (_: string) => _, timeToLive: () => 0 })
        yield* Cache.getOrSet(never, "k", Effect.zipLeft(Effect.succeed(1), Cache.setTimeToLive("1 hour")))
        assert.isFalse(yield* Cache.has(never, "k"))
      }))
  })
})

describe("version", () => {
  overBackends((test) => {
    test("entries of another version are not found, and are found again at their own", () =>
      Effect.gen(function*() {
        const at = (version: string | undefined, value: number) =>
          Memoize.wrap((_: string) => Effect.succeed(value), {
            name: "f",
            schema: Schema.Number,
            timeToLive: "1 hour",
            version
          })
        assert.strictEqual(yield* at("1", 1)("k"), 1)
        assert.strictEqual(yield* at("2", 2)("k"), 2)
        assert.strictEqual(yield* at(undefined, 3)("k"), 3)
        assert.strictEqual(yield* at("1", 0)("k"), 1)
        assert.isTrue(yield* at("1", 0).invalidate("k"))
        assert.strictEqual(yield* at("2", 0)("k"), 2)
        yield* at("3", 0).invalidateAll
        assert.strictEqual(yield* at("2", 20)("k"), 20)
        assert.strictEqual(yield* at(undefined, 30)("k"), 30)
      }))
  })

  it("a versioned key is never an unversioned one, and an empty version is refused", () => {
    const f = (version?: string) =>
      Memoize.wrap((_: unknown) => Effect.succeed(1), { name: "f", schema: Schema.Number, timeToLive: 1, version })
    assert.strictEqual(f("2:0").cacheKey("k"), "f:@2%3A0:'k")
    assert.notStrictEqual(f("2").cacheKey("k"), f().cacheKey("@2:'k"))
    assert.throws(() => f(""), "version")
  })

  it("sourceVersion changes with the text of any of the functions", () => {
    const one = (n: number) => n + 1
    const two = (n: number) => n + 2
    assert.strictEqual(Memoize.sourceVersion(one, two), Memoize.sourceVersion(one, two))
    const others = [[one], [two], [one, two], [two, one]].map((_) => Memoize.sourceVersion(..._))
    assert.strictEqual(new Set(others).size, 4)
  })
})

describe("a memoized function tells of itself", () => {
  it.effect("timeToLive is readable; withTimeToLive and withKey make new values", () =>
    Effect.sync(() => {
      const f = Memoize.wrap((a: number, _b: number) => Effect.succeed(a), {
        name: "f",
        schema: Schema.Number,
        timeToLive: "1 minute"
      })
      assert.strictEqual(f.timeToLive, "1 minute")
      assert.strictEqual(f.withTimeToLive("1 hour").timeToLive, "1 hour")
      assert.strictEqual(f.timeToLive, "1 minute")
      const first = f.withKey((a) => a)
      assert.strictEqual(first.cacheKey(1, 2), first.cacheKey(1, 3))
      assert.strictEqual(first.timeToLive, "1 minute")
      assert.notStrictEqual(f.cacheKey(1, 2), f.cacheKey(1, 3))
    }))
})
