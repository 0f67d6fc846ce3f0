import { assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { overBackends } from "../support/overBackends.js"

const values = Cache.make({
  name: "value",
  schema: Schema.Number,
  key: (key: string) => key,
  timeToLive: "1 minute",
  grace: "1 hour"
})

/** A load that counts what became of it. */
const makeLoad = (body: Effect.Effect<unknown>) => {
  const counts = { started: 0, acquired: 0, released: 0, interrupted: 0 }
  const load = Effect.gen(function*() {
    counts.started++
    yield* Effect.acquireRelease(Effect.sync(() => counts.acquired++), () => Effect.sync(() => counts.released++))
    yield* body
    return counts.started
  }).pipe(Effect.onInterrupt(() => Effect.sync(() => counts.interrupted++)))
  return { counts, load }
}

const untilStarted = (counts: { started: number }) =>
  Effect.iterate(0, {
    while: () => counts.started === 0,
    body: () => Effect.as(Effect.promise(() => new Promise<void>((_) => setImmediate(_))), 0)
  })

/** Nobody holds the right to load the key. */
const assertNoLease = (key: string) =>
  Effect.gen(function*() {
    const backend = yield* CacheBackend
    const lease = yield* backend.lease(Cache.cacheKey(values, key), Duration.seconds(1))
    assert.strictEqual(lease.token._tag, "Some")
    if (lease.token._tag === "Some") yield* backend.renew(Cache.cacheKey(values, key), lease.token.value, Duration.zero)
    assert.strictEqual(backend.flights.size, 0)
  })

describe("law 3: a load is interrupted when, and only when, nobody waits for it any more", () => {
  overBackends((test) => {
    test("the first caller is interrupted: the others get the value of the same load", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { counts, load } = makeLoad(Deferred.await(gate))
        const first = yield* Effect.fork(Cache.getOrSet(values, "k", load))
        yield* untilStarted(counts)
        const others = yield* Effect.fork(
          Effect.all(Array.from({ length: 3 }, () => Cache.getOrSet(values, "k", load)), { concurrency: "unbounded" })
        )
        yield* Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 20)))
        yield* Fiber.interrupt(first)
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(yield* Fiber.join(others), [1, 1, 1])
        assert.deepStrictEqual(counts, { started: 1, acquired: 1, released: 1, interrupted: 0 })
      }))

    test("all callers are interrupted: so is the load, its scope is closed, and nobody holds the key", () =>
      Effect.gen(function*() {
        const { counts, load } = makeLoad(Effect.never)
        const callers = yield* Effect.forEach([1, 2, 3], () => Effect.fork(Cache.getOrSet(values, "k", load)))
        yield* untilStarted(counts)
        yield* Fiber.interruptAll(callers)
        assert.deepStrictEqual(counts, { started: 1, acquired: 1, released: 1, interrupted: 1 })
        yield* Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 20)))
        yield* assertNoLease("k")
        assert.strictEqual(yield* Cache.getOrSet(values, "k", Effect.succeed(9)), 9)
      }))

    test("a caller that comes while the load is dying starts another", () =>
      Effect.gen(function*() {
        const dying = yield* Deferred.make<void>()
        const end = yield* Deferred.make<void>()
        const { counts, load } = makeLoad(
          Effect.onInterrupt(
            Effect.never,
            () => Effect.zipRight(Deferred.succeed(dying, undefined), Deferred.await(end))
          )
        )
        const first = yield* Effect.fork(Cache.getOrSet(values, "k", load))
        yield* untilStarted(counts)
        const interrupting = yield* Effect.fork(Fiber.interrupt(first))
        yield* Deferred.await(dying)
        const second = yield* Effect.fork(Cache.getOrSet(values, "k", Effect.succeed(2)))
        yield* Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 20)))
        yield* Deferred.succeed(end, undefined)
        assert.strictEqual(yield* Fiber.join(second), 2)
        yield* Fiber.join(interrupting)
      }))

    test("a load that interrupts itself interrupts those who wait, and stores nothing", () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Cache.getOrSet(values, "k", Effect.interrupt))
        assert.isTrue(Exit.isInterrupted(exit))
        assert.strictEqual(yield* Cache.getOrSet(values, "k", Effect.succeed(3)), 3)
      }))
  })

  it.effect("a caller that times out does not wait for the load, and others are not harmed", () =>
    Effect.gen(function*() {
      const { counts, load } = makeLoad(Effect.sleep("1 hour"))
      const find = Cache.getOrSet(values, "k", load)
      const patient = yield* Effect.fork(find)
      const hasty = yield* Effect.fork(Effect.timeoutOption(find, "1 second"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(hasty))._tag, "None")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* Fiber.join(patient), 1)
      assert.strictEqual(counts.interrupted, 0)
    }).pipe(Effect.provide(Memory.layer())))

  it.effect("a refresh in the background is not interrupted with the caller that set it off", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { counts, load } = makeLoad(Deferred.await(gate))
      yield* Cache.set(values, "k", 0)
      yield* TestClock.adjust("2 minutes")
      const caller = yield* Effect.fork(Cache.getOrSet(values, "k", load))
      assert.strictEqual(yield* Fiber.join(caller), 0)
      yield* untilStarted(counts)
      yield* Fiber.interrupt(caller)
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.repeatN(Effect.yieldNow(), 50)
      assert.strictEqual(yield* Cache.getOrSet(values, "k", load), 1)
      assert.deepStrictEqual(counts, { started: 1, acquired: 1, released: 1, interrupted: 0 })
    }).pipe(Effect.provide(Memory.layer())))

  it.effect("a refresh in the background that never ends is given up, and does not hold the key for ever", () =>
    Effect.gen(function*() {
      const { counts, load } = makeLoad(Effect.never)
      yield* Cache.set(values, "k", 0)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* Cache.getOrSet(values, "k", load), 0)
      yield* untilStarted(counts)
      const late = yield* Effect.zipRight(
        TestClock.adjust("59 minutes"),
        Effect.fork(Cache.getOrSet(values, "k", Effect.succeed(7)))
      )
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* Fiber.join(late), 7)
      assert.strictEqual(counts.interrupted, 1)
    }).pipe(Effect.provide(Memory.layer())))

  it.effect("the end of the backend interrupts the loads that run for it", () =>
    Effect.gen(function*() {
      const { counts, load } = makeLoad(Effect.never)
      yield* Effect.scoped(Effect.gen(function*() {
        const backend = yield* Memory.make()
        yield* Effect.forkDaemon(Effect.provideService(Cache.getOrSet(values, "k", load), CacheBackend, backend))
        yield* untilStarted(counts)
      }))
      assert.deepStrictEqual(counts, { started: 1, acquired: 1, released: 1, interrupted: 1 })
    }))

  for (const storage of ["values", "bytes"] as const) {
    it.effect(
      `law 6: 20,000 random operations with interrupts leak nothing and harm nobody (${storage})`,
      () =>
        Effect.gen(function*() {
          const keys = ["a", "b", "c", "d"]
          const counts = { acquired: 0, released: 0, done: 0, failed: 0, interrupted: 0, foreign: 0 }
          const load = Effect.scoped(Effect.gen(function*() {
            yield* Effect.acquireRelease(
              Effect.sync(() => counts.acquired++),
              () => Effect.sync(() => counts.released++)
            )
            yield* Effect.repeatN(Effect.yieldNow(), yield* Random.nextIntBetween(0, 6))
            if ((yield* Random.nextIntBetween(0, 4)) === 0) {
              return yield* Effect.fail("no" as const)
            }
            return 1
          }))
          const operation = Effect.gen(function*() {
            const key = keys[yield* Random.nextIntBetween(0, keys.length)]!
            const budget = yield* Random.nextIntBetween(12, 60)
            const fiber = yield* Effect.fork(Effect.withMaxOpsBeforeYield(Cache.getOrSet(values, key, load), budget))
            let isMine = false
            if (yield* Random.nextBoolean) {
              yield* Effect.repeatN(Effect.yieldNow(), yield* Random.nextIntBetween(0, 4))
              isMine = true
              yield* Effect.forkDaemon(Fiber.interrupt(fiber))
            }
            if ((yield* Random.nextIntBetween(0, 3)) === 0) yield* Cache.invalidate(values, key)
            const exit = yield* Fiber.await(fiber)
            if (Exit.isSuccess(exit)) counts.done++
            else if (!Exit.isInterrupted(exit)) counts.failed++
            else if (isMine) counts.interrupted++
            else counts.foreign++
          })
          yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.repeatN(operation, 999), {
            concurrency: "unbounded",
            discard: true
          })
          yield* Effect.repeatN(Effect.yieldNow(), 100)
          assert.strictEqual(counts.foreign, 0)
          assert.strictEqual(counts.done + counts.failed + counts.interrupted, 20_000)
          assert.isAbove(counts.interrupted, 1_000)
          assert.strictEqual(counts.acquired, counts.released)
          for (const key of keys) yield* assertNoLease(key)
        }).pipe(Effect.provide(Memory.layer({ storage }))),
      60_000
    )
  }
})
