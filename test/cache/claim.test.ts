import { assert, describe, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { redisForFile, yielding } from "../support/overBackends.js"

/** A lease that is lost is held for longer than any of these tests. */
const users = Cache.make({ name: "users", schema: Schema.String, timeToLive: "1 minute", leaseDuration: "1 minute" })
/** The same entries as those of another cache, without its tags. */
const untagged = Cache.make({ name: "tagged", schema: Schema.String, timeToLive: "1 minute" })
const minute = Duration.minutes(1)

const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

const until = (what: string, isSo: Effect.Effect<boolean, unknown>): Effect.Effect<void> =>
  Effect.repeat(Effect.zipRight(turn, Effect.orDie(isSo)), { until: (isSo) => isSo }).pipe(
    Effect.timeoutFail({ duration: "2 seconds", onTimeout: () => new Error(`never ${what}`) }),
    Effect.asVoid,
    Effect.orDie
  )

/** A store that reads and leases in one step, and whose first answer is held back until the gate opens. */
const gated = Effect.gen(function*() {
  const store = yield* Backend.CacheBackend
  const isAsked = yield* Deferred.make<void>()
  const gate = yield* Deferred.make<void>()
  let asked = 0
  const backend = Backend.override(store, (self) => ({
    getOrLease: (key, duration) =>
      Effect.uninterruptible(Effect.gen(function*() {
        const isFirst = asked++ === 0
        const { entry, token } = yield* self.lease(key, duration)
        if (entry._tag === "Some" && token._tag === "Some") yield* self.renew(key, token.value, Duration.zero)
        if (isFirst) yield* Effect.zipRight(Deferred.succeed(isAsked, undefined), Deferred.await(gate))
        return { entry, token: entry._tag === "Some" ? Option.none() : token, versions: undefined }
      }))
  }))
  return { backend, isAsked: Deferred.await(isAsked), open: Deferred.succeed(gate, undefined) }
})

describe("the right to load that comes with the answer that there is nothing", () => {
  it.scopedLive("is given up by who finds a load under way, which takes it: one load", () =>
    Effect.gen(function*() {
      const { backend, isAsked, open } = yield* gated
      let loads = 0
      const call = Cache.getOrSet(users, "1", Effect.sync(() => `load ${++loads}`)).pipe(
        Effect.provideService(Backend.CacheBackend, backend)
      )
      const late = yield* Effect.fork(call)
      yield* isAsked
      // Has no right, and starts the load that waits for it.
      const early = yield* Effect.fork(call)
      yield* until("a load under way", Effect.sync(() => backend.flights.size === 1))
      yield* open
      assert.deepStrictEqual(yield* Fiber.join(Fiber.zip(late, early)), ["load 1", "load 1"])
      assert.strictEqual(loads, 1)
    }).pipe(Effect.provide(yielding(true))))

  it.scopedLive("is void where the key was invalidated before the load began: nothing is stored", () =>
    Effect.gen(function*() {
      const { backend, isAsked, open } = yield* gated
      let loads = 0
      const call = Cache.getOrSet(users, "1", Effect.sync(() => `load ${++loads}`)).pipe(
        Effect.provideService(Backend.CacheBackend, backend)
      )
      const first = yield* Effect.fork(call)
      yield* isAsked
      yield* Effect.provideService(Cache.invalidate(users, "1"), Backend.CacheBackend, backend)
      yield* open
      assert.strictEqual(yield* Fiber.join(first), "load 1")
      assert.strictEqual(yield* call, "load 2")
    }).pipe(Effect.provide(yielding(true))))

  it.scopedLive("is given back by who was interrupted while it came", () =>
    Effect.gen(function*() {
      const { backend, isAsked, open } = yield* gated
      const call = yield* Cache.getOrSet(users, "1", Effect.never).pipe(
        Effect.provideService(Backend.CacheBackend, backend),
        Effect.fork
      )
      yield* isAsked
      yield* Fiber.interruptFork(call)
      yield* open
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(call)))
      const isFree = Effect.map(backend.lease(Cache.cacheKey(users, "1"), minute), ({ token }) => token._tag === "Some")
      yield* until("free", isFree)
    }).pipe(Effect.provide(yielding(true))))

  it.scopedLive("is spared by a store that fails: the call loads, or fails where it is to", () =>
    Effect.gen(function*() {
      const store = yield* Backend.CacheBackend
      const error = new Backend.BackendError({ backend: "yielding", method: "getOrLease", reason: "Timeout" })
      const backend = Backend.override(store, () => ({ getOrLease: () => Effect.fail(error) }))
      let loads = 0
      const load = Effect.sync(() => `load ${++loads}`)
      const strict = Cache.make({
        name: "users",
        schema: Schema.String,
        timeToLive: "1 minute",
        onBackendError: "fail"
      })
      const provide = Effect.provideService(Backend.CacheBackend, backend)
      assert.strictEqual(yield* provide(Cache.getOrSet(users, "1", load)), "load 1")
      assert.strictEqual(yield* Effect.flip(provide(Cache.getOrSet(strict, "1", load))), error)
      assert.strictEqual(loads, 1)
    }).pipe(Effect.provide(yielding(true))))

  const redis = redisForFile()

  it.scopedLive("is not asked for by who cannot be interrupted: a finalizer reads, and loads", () =>
    Effect.gen(function*() {
      yield* Cache.set(users, "stored", "stored")
      for (const [id, expected] of [["stored", "stored"], ["missing", "loaded"]] as const) {
        const isRunning = yield* Deferred.make<void>()
        const answer = yield* Deferred.make<string>()
        const fiber = yield* Effect.zipRight(Deferred.succeed(isRunning, undefined), Effect.never).pipe(
          Effect.ensuring(
            Effect.flatMap(
              Effect.exit(Cache.getOrSet(users, id, Effect.succeed("loaded"))),
              (exit) => Deferred.done(answer, exit)
            )
          ),
          Effect.fork
        )
        yield* Deferred.await(isRunning)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* Deferred.await(answer), expected)
      }
    }).pipe(Effect.provide(redis.layer("finalizer:"))))

  it.scopedLive("does not depend on the tags: the value of a load whose tags cannot be tags is returned", () =>
    Effect.gen(function*() {
      for (const tag of ["x".repeat(20_000), "\ud800"]) {
        const tagged = Cache.make({
          name: "tagged",
          schema: Schema.String,
          timeToLive: "1 minute",
          tags: [tag],
          onBackendError: "fail"
        })
        const call = Cache.getOrSet(tagged, String(tag.length), Effect.succeed("loaded"))
        assert.strictEqual(yield* call, "loaded")
        // What is stored was stored without them.
        yield* Cache.set(untagged, String(tag.length), "stored")
        assert.strictEqual(yield* call, "stored")
      }
    }).pipe(Effect.provide(redis.layer("invalid tags:"))))

  it.scopedLive("is held by nobody after its caller was interrupted, wherever that came", () =>
    Effect.gen(function*() {
      const backend = yield* Backend.CacheBackend
      for (let round = 0; round < 300; round++) {
        const id = String(round)
        const key = Cache.cacheKey(users, id)
        const fiber = yield* Cache.getOrSet(users, id, Effect.never).pipe(
          Effect.withMaxOpsBeforeYield(15 + round % 13),
          Effect.fork
        )
        for (let yields = round % 17; yields > 0; yields--) yield* Effect.yieldNow()
        for (let turns = round % 4; turns > 0; turns--) yield* turn
        yield* Fiber.interrupt(fiber)
        yield* until(
          `free: round ${round}`,
          Effect.flatMap(backend.lease(key, minute), ({ token }) =>
            token._tag === "None"
              ? Effect.succeed(false)
              : backend.renew(key, token.value, Duration.zero))
        )
        assert.strictEqual(backend.flights.size, 0)
      }
    }).pipe(Effect.provide(redis.layer())))
})
