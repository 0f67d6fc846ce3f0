/**
 * What the tests of Flask-Caching and cachelib do not ask, and their defects call for:
 * seventeen groups, by their numbers. Those of HTTP are in groupsHttp.test.ts.
 */
import { assert, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as RedisCluster from "effect-caching/backends/RedisCluster"
import * as Cache from "effect-caching/Cache"
import * as Fragment from "effect-caching/Fragment"
import * as Memoize from "effect-caching/Memoize"
import { Faulty } from "effect-caching/testing"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { redisForFile } from "../support/overBackends.js"
import { rawRedis } from "../support/rawRedis.js"
import * as Servers from "../support/redisCluster.js"
import { counted, data, describeRows, each, numbers, onEveryStore, onMemoryAndRedis } from "./support.js"

const rows = {
  "1 functions and fragments": "of 100 who miss at once one computes, and of 100 who render one renders",
  "1 leader": "who leads and is interrupted does not take the others along",
  "2 compute": "what is computed while it is invalidated is not kept",
  "2 write": "a write that ends after an invalidation does not undo it",
  "5": "unusual keys are keys like any other, on every store alike, and none says anything on the wire",
  "6": "what cannot be decoded, is of a foreign type or cut off, is a miss, and is replaced",
  "7 down": "where the backend is down, calls succeed, and the fault is counted",
  "7 slow": "where the backend hangs, calls succeed within its time-out",
  "7 flapping": "where the backend comes and goes, calls succeed, and what is stored is right",
  "8": "a clear removes its own keys and no others, whatever characters are in its name",
  "9": "capacity is never exceeded, what is permanent has not expired, and what was used lately survives",
  "10": "counters count below zero and above 2³², keep their time, and a new one has one",
  "11": "null, undefined, nothing, the empty text, zero, false and no bytes are hits",
  "12": "two functions of one factory, and two of one name in two modules, share nothing",
  "13": "arguments are told apart by what they are, and not by how they print",
  "14 vary": "a fragment varies by parts with `_`, numbers and undefined, and in a loop by what it goes over",
  "14 failure": "a body that fails runs once, and its error is told once",
  "15": "times of zero, below zero, without end, of a fraction, beyond 30 days, 2038 and 2106",
  "16": "the last millisecond of an entry is the same on every store",
  "17": "operations of many keys work over all slots of a cluster"
} as const

const at = (timeToLive: Duration.DurationInput) => numbers.pipe(Cache.withTimeToLive(timeToLive))

const faults = (cache: string) =>
  Effect.map(
    Metric.value(
      Metric.counter("cache_backend_errors", {
        description: "Operations of a backend that failed behind a cached call",
        incremental: true
      }).pipe(Metric.tagged("cache", cache), Metric.tagged("reason", "Connection"))
    ),
    ({ count }) => count
  )

/** The backend of the test with faults on command. */
const faulty = Effect.map(Effect.flatMap(Backend.CacheBackend, Faulty.make), ({ backend, control }) => ({
  control,
  on: Effect.provideService(Backend.CacheBackend, backend),
  bounded: Effect.provideService(Backend.CacheBackend, Backend.timeout(backend, "1 second"))
}))

describeRows("the seventeen groups", rows, [], (row) => {
  onEveryStore((test) => {
    test(row("1 functions and fragments"), () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        let runs = 0
        const slow = <A>(value: A) =>
          Effect.suspend(() => {
            runs++
            return Effect.as(Deferred.await(gate), value)
          })
        const f = Memoize.wrap((n: number) => slow(n), { name: "f", schema: Schema.Number, timeToLive: "1 minute" })
        const fragment = Fragment.cached(slow("text"), { name: "box", timeToLive: "1 minute" })
        const calling = yield* Effect.fork(each(100, () => Effect.zip(f(1), fragment, { concurrent: true })))
        while (runs < 2) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(yield* Fiber.join(calling), Array.from({ length: 100 }, () => [1, "text"]))
        assert.strictEqual(runs, 2)
      }))

    test(row("1 leader"), () =>
      Effect.gen(function*() {
        const [begun, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        let runs = 0
        const load = Effect.suspend(() => {
          runs++
          return Effect.zipRight(Deferred.succeed(begun, undefined), Effect.as(Deferred.await(gate), 7))
        })
        const leader = yield* Effect.fork(Cache.getOrSet(numbers, "k", load))
        yield* Deferred.await(begun)
        const others = yield* Effect.fork(each(20, () => Cache.getOrSet(numbers, "k", load)))
        const { flights } = yield* Backend.CacheBackend
        while ((flights.find(Cache.cacheKey(numbers, "k"))?.waiters ?? 0) < 21) {
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
        yield* Fiber.interrupt(leader)
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(yield* Fiber.join(others), Array.from({ length: 20 }, () => 7))
        assert.strictEqual(runs, 1)
      }))

    test(row("2 compute"), () =>
      Effect.gen(function*() {
        const source = { value: 1 }
        for (
          const invalidate of [
            Cache.invalidate(numbers, "k"),
            Cache.clear(numbers),
            Cache.set(numbers, "k", 2),
            Cache.invalidateTags(["n"])
          ]
        ) {
          const tagged = Cache.make({
            name: "n",
            schema: Schema.Number,
            key: (key: string) => key,
            timeToLive: "1 hour",
            tags: ["n"]
          })
          source.value = 1
          yield* Cache.invalidate(tagged, "k")
          const [read, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          const loading = yield* Effect.fork(Cache.getOrSet(
            tagged,
            "k",
            Effect.suspend(() => {
              const { value } = source
              return Effect.zipRight(Deferred.succeed(read, undefined), Effect.as(Deferred.await(gate), value))
            })
          ))
          yield* Deferred.await(read)
          source.value = 2
          yield* invalidate
          yield* Deferred.succeed(gate, undefined)
          assert.strictEqual(yield* Fiber.join(loading), 1)
          assert.strictEqual(yield* Cache.getOrSet(tagged, "k", Effect.sync(() => source.value)), 2)
        }
      }))

    test(row("2 write"), () =>
      Effect.gen(function*() {
        const [begun, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const state = { value: "old" }
        const f = Memoize.wrap(
          (n: number) =>
            n === 1 ? Effect.sync(() => state.value) : Effect.zipRight(
              Deferred.succeed(begun, undefined),
              Effect.as(Deferred.await(gate), "other")
            ),
          { name: "f", schema: Schema.String, timeToLive: "1 hour" }
        )
        assert.strictEqual(yield* f(1), "old")
        const writing = yield* Effect.fork(f(2))
        yield* Deferred.await(begun)
        state.value = "new"
        yield* f.invalidateAll
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(writing)
        assert.strictEqual(yield* f(1), "new")
      }))

    test(row("5"), () =>
      Effect.gen(function*() {
        const keys = [
          " ",
          "a b",
          "a 0 0 1\r\nx\r\nset injected 0 0 1\r\nx",
          "*3\r\n$3\r\nSET\r\n",
          "\u0000",
          "k".repeat(250),
          "k".repeat(251),
          "日".repeat(5_000),
          "../../injected",
          "%s",
          ""
        ]
        yield* Cache.setMany(data, keys.map((key, i) => [key, i]))
        assert.deepStrictEqual(yield* Cache.getMany(data, keys), keys.map((_, i) => Option.some(i)))
        assert.isFalse(yield* Cache.has(data, "injected"))
        for (const key of keys) assert.isTrue(yield* Cache.invalidate(data, key))
        assert.deepStrictEqual(yield* Cache.getMany(data, keys), keys.map(() => Option.none()))
      }))

    test(row("8"), () =>
      Effect.gen(function*() {
        const names = ["app", "app1", "app[1]", "app*", "a?p", "ap", "app\\", "^app$", "app%", "app:", "{app}", " "]
        const caches = names.map((name) => Cache.make({ name, schema: Schema.String, timeToLive: "1 minute" }))
        for (const cache of caches) {
          for (const each of caches) yield* Cache.set(each, "k", each.name)
          yield* Cache.clear(cache)
          const left = yield* Effect.filter(caches, (each) => Cache.has(each, "k"))
          assert.deepStrictEqual(left.map(({ name }) => name), names.filter((name) => name !== cache.name))
        }
      }))

    test(row("10"), () =>
      Effect.gen(function*() {
        const brief = at("10 seconds")
        assert.strictEqual(yield* Cache.increment(brief, "k", -3), -3)
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual(yield* Cache.increment(at("1 hour"), "k", 2 ** 32), 2 ** 32 - 3)
        assert.strictEqual(yield* Cache.increment(brief, "k", 1e13), 2 ** 32 - 3 + 1e13)
        yield* TestClock.adjust("1 second")
        assert.isFalse(yield* Cache.has(brief, "k"))
        assert.strictEqual(yield* Cache.increment(brief, "k"), 1)
      }))

    test(row("11"), () =>
      Effect.gen(function*() {
        const hit = <A, I>(schema: Schema.Schema<A, I>, value: A) =>
          Effect.gen(function*() {
            let loads = 0
            const cache = Cache.make({ name: "falsy", schema, timeToLive: "1 minute" })
            yield* Cache.clear(cache)
            const find = Cache.getOrSet(cache, "k", Effect.sync(() => (loads++, value)))
            assert.deepStrictEqual([yield* find, yield* find, loads], [value, value, 1])
            assert.deepStrictEqual(yield* Cache.get(cache, "k"), Option.some(value))
          })
        yield* hit(Schema.Null, null)
        yield* hit(Schema.Undefined, undefined)
        yield* hit(Schema.Void, undefined)
        yield* hit(Schema.Option(Schema.Number), Option.none())
        yield* hit(Schema.String, "")
        yield* hit(Schema.Number, 0)
        yield* hit(Schema.Boolean, false)
        yield* hit(Schema.Uint8Array, new Uint8Array(0))
      }))

    test(row("15"), () =>
      Effect.gen(function*() {
        yield* Cache.set(numbers, "zero", 1)
        yield* Cache.set(at(0), "zero", 2)
        assert.isFalse(yield* Cache.has(numbers, "zero"))
        for (const below of [-1, "-5 seconds"] as ReadonlyArray<Duration.DurationInput>) {
          assert.throws(() => at(below), "timeToLive")
        }
        yield* Cache.set(at("200 millis"), "fraction", 1)
        yield* Cache.set(at("31 days"), "month", 1)
        yield* Cache.set(at("7000 days"), "2038", 1)
        yield* Cache.set(at("50000 days"), "2106", 1)
        yield* Cache.set(at(Duration.infinity), "forever", 1)
        const left = Effect.filter(["fraction", "month", "2038", "2106", "forever"], (key) => Cache.has(numbers, key))
        yield* TestClock.adjust("200 millis")
        assert.deepStrictEqual(yield* left, ["month", "2038", "2106", "forever"])
        yield* TestClock.adjust("31 days")
        assert.deepStrictEqual(yield* left, ["2038", "2106", "forever"])
        yield* TestClock.adjust("7000 days")
        assert.deepStrictEqual(yield* left, ["2106", "forever"])
        yield* TestClock.adjust("50000 days")
        assert.deepStrictEqual(yield* left, ["forever"])
      }))

    test(row("16"), () =>
      Effect.gen(function*() {
        // Not less: a server drops what is over in its own time too.
        for (const millis of [60_000, 60_001, 61_200, 3_600_000]) {
          yield* Cache.set(at(millis), "k", 1)
          yield* TestClock.adjust(millis - 1)
          assert.isTrue(yield* Cache.has(numbers, "k"))
          yield* TestClock.adjust(1)
          assert.isFalse(yield* Cache.has(numbers, "k"))
        }
      }))
  })

  onMemoryAndRedis((test) => {
    test(row("7 down"), () =>
      Effect.gen(function*() {
        const { control, on } = yield* faulty
        const before = yield* faults("n")
        yield* control.inject(Faulty.fail("Connection"))
        for (const value of [1, 2]) {
          assert.strictEqual(yield* on(Cache.getOrSet(numbers, "k", Effect.succeed(value))), value)
        }
        assert.isAtLeast((yield* faults("n")) - before, 2)
        assert.strictEqual((yield* Effect.flip(on(Cache.get(numbers, "k"))))._tag, "BackendError")
        yield* control.heal
        assert.strictEqual(yield* on(Cache.getOrSet(numbers, "k", Effect.succeed(3))), 3)
        assert.strictEqual(yield* on(Cache.getOrSet(numbers, "k", Effect.succeed(4))), 3)
      }))

    test(row("7 slow"), () =>
      Effect.gen(function*() {
        const { bounded, control } = yield* faulty
        yield* control.inject(Faulty.hang)
        const calling = yield* Effect.fork(bounded(Cache.getOrSet(numbers, "k", Effect.succeed(1))))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(calling), 1)
      }))

    test(row("7 flapping"), () =>
      Effect.gen(function*() {
        const { control, on } = yield* faulty
        const { f, state } = counted<[number]>()
        for (const fault of [Faulty.fail(), Faulty.lose(), Faulty.forget, Faulty.fail("Timeout"), Faulty.lose()]) {
          yield* control.inject(fault)
          const before = state.calls
          assert.isAtLeast(yield* on(f(1)), 1)
          assert.isAtMost(state.calls, before + 1)
          yield* control.heal
          assert.strictEqual(yield* on(f(1)), yield* on(f(1)))
          yield* on(f.invalidate(1))
          const computed = state.calls
          assert.deepStrictEqual([yield* on(f(1)), yield* on(f(1))], [computed + 1, computed + 1])
        }
      }))

    test(row("12"), () =>
      Effect.gen(function*() {
        const make = (name: string, n: number) =>
          Memoize.wrap((x: number) => Effect.succeed(x + n), { name, schema: Schema.Number, timeToLive: "1 minute" })
        assert.deepStrictEqual(yield* Effect.all([make("add 1", 1)(10), make("add 100", 100)(10)]), [11, 110])
        assert.deepStrictEqual(yield* Effect.all([make("a/find", 1)(1), make("b/find", 2)(1)]), [2, 3])
      }))

    test(row("13"), () =>
      Effect.gen(function*() {
        class Point extends Schema.Class<Point>("Point")({ x: Schema.Number }) {}
        const { f } = counted<[unknown]>()
        const apart: ReadonlyArray<unknown> = [
          ["a,b"],
          ["a", "b"],
          [["a"], "b"],
          ["a", ["b"]],
          0,
          -0,
          NaN,
          Infinity,
          null,
          true,
          1,
          1n,
          "1",
          new Date(0),
          0n,
          new Date(0).toISOString(),
          new Map([["a", 1]]),
          new Map([[1, "a"]]),
          new Set(["a"]),
          Option.some(1),
          Option.none(),
          new Point({ x: 1 }),
          { y: 1 },
          {},
          { a: undefined },
          Uint8Array.of(1)
        ]
        const first = yield* Effect.forEach(apart, (value) => f(value))
        assert.strictEqual(new Set(first).size, apart.length)
        const alike: ReadonlyArray<readonly [unknown, unknown]> = [
          [{ a: 1, b: [{ c: 1, d: 2 }] }, { b: [{ d: 2, c: 1 }], a: 1 }],
          [new Set(["a", "b"]), new Set(["b", "a"])],
          [new Map([["a", 1], ["b", 2]]), new Map([["b", 2], ["a", 1]])],
          [new Point({ x: 7 }), new Point({ x: 7 })]
        ]
        for (const [one, other] of alike) assert.strictEqual(yield* f(one), yield* f(other))
      }))

    test(row("14 vary"), () =>
      Effect.gen(function*() {
        let renders = 0
        const box = (name: string, vary?: unknown) =>
          Fragment.cached(Effect.sync(() => `${++renders}`), { name, vary, timeToLive: "1 minute" })
        const all = Effect.all([
          box("a_b", ["c"]),
          box("a", ["b", "c"]),
          box("a", ["b_c"]),
          box("a", [1]),
          box("a", ["1"]),
          box("a", [undefined]),
          box("a", [null]),
          box("a", []),
          box("a")
        ])
        const first = yield* all
        assert.strictEqual(new Set(first).size, 9)
        assert.deepStrictEqual(yield* all, first)
        const loop = Effect.forEach(["x", "y", "x"], (item) =>
          Fragment.cached(
            Effect.sync(() => `${item}${++renders}`),
            { name: "item", vary: item, timeToLive: "1 minute" }
          ))
        assert.deepStrictEqual(yield* loop, ["x10", "y11", "x10"])
      }))

    test(row("14 failure"), () =>
      Effect.gen(function*() {
        let renders = 0
        const box = Fragment.cached(Effect.suspend(() => Effect.fail(`failed ${++renders}`)), {
          name: "failing",
          timeToLive: "1 minute"
        })
        assert.strictEqual(yield* Effect.flip(box), "failed 1")
        assert.strictEqual(yield* Effect.flip(box), "failed 2")
      }))
  })

  const redis = redisForFile()
  it.scoped(row("6"), () =>
    Effect.gen(function*() {
      const call = yield* rawRedis(redis.server().url)
      const place = `damaged:${Cache.cacheKey(data, "k")}`
      yield* Cache.set(data, "k", { a: "whole" })
      const whole = yield* call("GET", place)
      const damage = [
        call("SET", place, whole.subarray(0, 20)),
        call("SET", place, whole.subarray(0, -1)),
        call("SET", place, ""),
        call("SET", place, "pickled"),
        Effect.zipRight(call("DEL", place), call("LPUSH", place, "an element")),
        Effect.zipRight(call("DEL", place), call("HSET", place, "field", "1"))
      ]
      for (const [i, damaging] of damage.entries()) {
        yield* damaging
        assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.none())
        assert.strictEqual(yield* Cache.getOrSet(data, "k", Effect.succeed(i)), i)
        assert.deepStrictEqual(yield* Cache.get(data, "k"), Option.some(i))
      }
    }).pipe(Effect.provide(Layer.suspend(() => redis.layer("damaged:")))))

  it.effect(row("9"), () =>
    Effect.gen(function*() {
      const keys = Array.from({ length: 200 }, (_, i) => `k${i}`)
      const { has } = yield* Backend.CacheBackend
      const kept = Effect.all([Cache.get(numbers, "used"), Cache.get(numbers, "forever")])
      yield* Cache.set(at("1 hour"), "used", 1)
      yield* Cache.set(at(Duration.infinity), "forever", 1)
      for (const key of keys) {
        yield* Cache.set(numbers, key, 1)
        assert.deepStrictEqual(yield* kept, [Option.some(1), Option.some(1)])
        // Asked of the backend, which does not take it for a use.
        const there = yield* Effect.filter([...keys, "used", "forever"], (key) => has(Cache.cacheKey(numbers, key)))
        assert.isAtMost(there.length, 20)
      }
    }).pipe(Effect.provide(Memory.layer({ maxEntries: 20 }))))

  it.scoped(row("17"), () =>
    Effect.gen(function*() {
      const cluster = yield* Servers.make({ replicas: 0 })
      yield* Effect.gen(function*() {
        const keys = Array.from({ length: 200 }, (_, i) => `k${i}`)
        yield* Cache.setMany(data, keys.map((key, i) => [key, i]))
        assert.deepStrictEqual(yield* Cache.getMany(data, keys), keys.map((_, i) => Option.some(i)))
        assert.strictEqual(yield* Cache.invalidateMany(data, keys.slice(0, 100)), 100)
        yield* Cache.clear(data)
        assert.isTrue((yield* Cache.getMany(data, keys)).every(Option.isNone))
        const { f } = counted<[number]>({ tags: (value) => [`tag ${value}`, "all"] })
        assert.deepStrictEqual(yield* Effect.all([f(1), f(2), f(1), f(2)]), [1, 2, 1, 2])
        yield* Cache.invalidateTags(["tag 1", "tag of nothing"])
        assert.deepStrictEqual(yield* Effect.all([f(1), f(2)]), [3, 2])
      }).pipe(Effect.provide(RedisCluster.layer({ nodes: cluster.addresses, requireConnection: true })))
    }), 60_000)
})
