import { assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { overBackends, redisForFile } from "../support/overBackends.js"
import { makeSource, users } from "../support/source.js"

const values = Cache.make({
  name: "value",
  schema: Schema.Number,
  key: (key: string) => key,
  timeToLive: "1 minute"
})

describe("law 2: one load per key at a time", () => {
  overBackends((test) => {
    test("1,000 callers of one missing key make one load", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const source = makeSource(Deferred.await(gate))
        const callers = yield* Effect.fork(
          Effect.all(Array.from({ length: 1_000 }, () => Cache.getOrSet(users, 1, source.load(1))), {
            concurrency: "unbounded"
          })
        )
        yield* Effect.repeatN(Effect.yieldNow(), 100)
        yield* Deferred.succeed(gate, undefined)
        const answers = yield* Fiber.join(callers)
        assert.strictEqual(source.loads, 1)
        assert.isTrue(answers.every((user) => user.name === "Ada"))
      }))

    test("1,000 callers make one load each for 10 keys", () =>
      Effect.gen(function*() {
        const source = makeSource(Effect.yieldNow())
        yield* Effect.forEach(
          Array.from({ length: 1_000 }, (_, i) => i % 10),
          (id) => Effect.withMaxOpsBeforeYield(Cache.getOrSet(users, id, source.load(id)), 17 + id),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(source.loads, 10)
      }))

    test("a failure is shared by those who waited, and not stored", () =>
      Effect.gen(function*() {
        let loads = 0
        const gate = yield* Deferred.make<void>()
        const load = Effect.zipRight(
          Deferred.await(gate),
          Effect.suspend(() => Effect.fail(`failure ${++loads}` as const))
        )
        const callers = yield* Effect.fork(
          Effect.all(Array.from({ length: 100 }, () => Effect.flip(Cache.getOrSet(values, "k", load))), {
            concurrency: "unbounded"
          })
        )
        yield* Effect.repeatN(Effect.yieldNow(), 50)
        yield* Deferred.succeed(gate, undefined)
        const failures = yield* Fiber.join(callers)
        assert.deepStrictEqual(new Set(failures), new Set(["failure 1" as const]))
        assert.strictEqual(yield* Cache.getOrSet(values, "k", Effect.succeed(5)), 5)
      }))

    test("a defect is shared by those who waited, and not stored", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const load = Effect.zipRight(Deferred.await(gate), Effect.die("defect"))
        const callers = yield* Effect.fork(
          Effect.all(Array.from({ length: 10 }, () => Effect.exit(Cache.getOrSet(values, "k", load))), {
            concurrency: "unbounded"
          })
        )
        yield* Effect.repeatN(Effect.yieldNow(), 50)
        yield* Deferred.succeed(gate, undefined)
        for (const exit of yield* Fiber.join(callers)) assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(yield* Cache.getOrSet(values, "k", Effect.succeed(5)), 5)
      }))

    test("a load that reads its own key runs, and does not wait for itself", () =>
      Effect.gen(function*() {
        const inner = Cache.getOrSet(values, "k", Effect.succeed(1))
        const outer = Cache.getOrSet(values, "k", Effect.map(inner, (n) => n + 1))
        assert.strictEqual(yield* outer, 2)
        assert.strictEqual(yield* Cache.getOrSet(values, "k", Effect.succeed(9)), 2)
      }))

    test("loads of two keys that read each other do not wait for each other for ever", () =>
      Effect.gen(function*() {
        const bothStarted = yield* Deferred.make<void>()
        let started = 0
        const meet = Effect.suspend(() =>
          ++started === 2 ? Deferred.succeed(bothStarted, undefined) : Deferred.await(bothStarted)
        )
        const a: Effect.Effect<number, never, any> = Cache.getOrSet(
          values,
          "a",
          Effect.zipRight(meet, Cache.getOrSet(values, "b", Effect.succeed(1)))
        )
        const b: Effect.Effect<number, never, any> = Cache.getOrSet(
          values,
          "b",
          Effect.zipRight(meet, Cache.getOrSet(values, "a", Effect.succeed(2)))
        )
        const [first, second] = yield* Effect.all([a, b], { concurrency: "unbounded" })
        assert.include([1, 2], first)
        assert.include([1, 2], second)
      }))

    test("nested memoized loads 1,000 deep do not overflow", () =>
      Effect.gen(function*() {
        const depth = (n: number): Effect.Effect<number, never, any> =>
          Cache.getOrSet(
            values,
            `depth ${n}`,
            n === 0 ? Effect.succeed(0) : Effect.suspend(() => Effect.map(depth(n - 1), (m) => m + 1))
          )
        assert.strictEqual(yield* depth(1_000), 1_000)
      }))
  })

  it.effect("nested memoized loads 5,000 deep do not overflow in memory", () =>
    Effect.gen(function*() {
      const depth = (n: number): Effect.Effect<number, never, any> =>
        Cache.getOrSet(
          values,
          `depth ${n}`,
          n === 0 ? Effect.succeed(0) : Effect.suspend(() => Effect.map(depth(n - 1), (m) => m + 1))
        )
      assert.strictEqual(yield* depth(5_000), 5_000)
    }).pipe(Effect.provide(Memory.layer())))

  describe("across processes, on Redis", () => {
    const redis = redisForFile()

    it.live("a process that waits for another's load gets its value as soon as it is stored", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const here = yield* Layer.build(redis.layer("wait:"))
        const there = yield* Layer.build(redis.layer("wait:"))
        const source = makeSource(Deferred.await(gate))
        const find = Cache.getOrSet(users, 1, source.load(1))
        const loading = yield* Effect.fork(Effect.provide(find, here))
        yield* Effect.iterate(0, { while: () => source.loads === 0, body: () => Effect.as(Effect.yieldNow(), 0) })
        const waiting = yield* Effect.fork(Effect.provide(find, there))
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(yield* Fiber.join(waiting), yield* Fiber.join(loading))
        assert.strictEqual(source.loads, 1)
      }).pipe(Effect.scoped))

    it.live("a load that takes longer than the lease keeps the right to fill", () =>
      Effect.gen(function*() {
        const slow = Cache.make({
          name: "slow",
          schema: Schema.Number,
          timeToLive: "1 minute",
          leaseDuration: "500 millis"
        })
        let loads = 0
        const load = Effect.delay(Effect.sync(() => ++loads), "1500 millis")
        const here = yield* Layer.build(redis.layer("slow:"))
        const there = yield* Layer.build(redis.layer("slow:"))
        const answers = yield* Effect.all([
          Effect.provide(Cache.getOrSet(slow, "k", load), here),
          Effect.provide(Cache.getOrSet(slow, "k", load), there)
        ], { concurrency: "unbounded" })
        assert.deepStrictEqual(answers, [1, 1])
        assert.strictEqual(loads, 1)
      }).pipe(Effect.scoped))

    it.live("a process that dies while it loads holds the others up for no longer than its lease", () =>
      Effect.gen(function*() {
        const brief = Cache.make({
          name: "brief",
          schema: Schema.Number,
          timeToLive: "1 minute",
          leaseDuration: "100 millis"
        })
        const there = yield* Layer.build(redis.layer("dead:"))
        // A lease that nobody extends: what a killed process leaves behind.
        yield* Effect.provide(leaseOf(Cache.cacheKey(brief, "k")), there)
        assert.strictEqual(yield* Effect.provide(Cache.getOrSet(brief, "k", Effect.succeed(7)), there), 7)
      }).pipe(Effect.scoped, Effect.timeout("2 seconds")))
  })
})

const leaseOf = (key: string) => Effect.flatMap(CacheBackend, (backend) => backend.lease(key, Duration.millis(100)))
