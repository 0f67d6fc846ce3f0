import { assert, describe, it } from "@effect/vitest"
import { Backend, Cache } from "effect-caching"
import * as Memory from "effect-caching/backends/Memory"
import { Entry } from "effect-caching/internal/entry"
import { Conformance, Faulty } from "effect-caching/testing"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"

const users = Cache.make({ name: "users", schema: Schema.String, timeToLive: "1 hour" })

const entry = new Entry(false, "text", 0, 60_000, 60_000, 0, [], Exit.succeed("1"), new TextEncoder().encode("1"))
const minute = Duration.minutes(1)

const values = Faulty.layer(Memory.layer())
const bytes = Faulty.layer(Memory.layer({ storage: "bytes" }))

/** A backend that holds an entry under `a`, and the command of it. */
const withEntry = Effect.gen(function*() {
  const backend = yield* Backend.CacheBackend
  const faulty = yield* Faulty.Faulty
  yield* backend.set("a", entry, minute)
  yield* faulty.resetCalls
  return { backend, faulty, has: Effect.map(backend.get("a"), Option.isSome) }
})

describe("a faulty backend without a fault", () => Conformance.register({ describe, it }, values))

describe("Faulty", () => {
  it.effect("fails with the reason it is told, and does nothing", () =>
    Effect.gen(function*() {
      const { backend, faulty, has } = yield* withEntry
      yield* faulty.inject(Faulty.fail("Unavailable"), { methods: ["remove"] })
      const error = yield* Effect.flip(backend.remove("a"))
      assert.deepInclude(error, { _tag: "BackendError", backend: "memory", method: "remove", reason: "Unavailable" })
      assert.isTrue(yield* has)
    }).pipe(Effect.provide(values)))

  it.effect("does what it is told, and loses the answer", () =>
    Effect.gen(function*() {
      const { backend, faulty, has } = yield* withEntry
      yield* faulty.inject(Faulty.lose("Timeout"), { methods: ["remove"] })
      assert.strictEqual((yield* Effect.flip(backend.remove("a"))).reason, "Timeout")
      assert.isFalse(yield* has)
    }).pipe(Effect.provide(values)))

  it.effect("fails in every method until it is healed", () =>
    Effect.gen(function*() {
      const { backend, faulty } = yield* withEntry
      yield* faulty.inject(Faulty.fail())
      const versions = [{ tag: "t", hard: "1", soft: "1" }]
      const calls: Record<Faulty.Method, Effect.Effect<unknown, Backend.BackendError>> = {
        get: backend.get("a"),
        getMany: backend.getMany(["a"]),
        set: backend.set("a", entry, minute),
        setMany: backend.setMany([["a", entry, minute]]),
        add: backend.add("a", entry, minute),
        has: backend.has("a"),
        remove: backend.remove("a"),
        removeMany: backend.removeMany(["a"]),
        increment: backend.increment("a", 1, minute),
        clear: backend.clear(""),
        lease: backend.lease("a", minute),
        renew: backend.renew("a", "token", minute),
        fill: backend.fill("a", "token", entry, minute),
        tagVersions: backend.tagVersions(["t"]),
        refreshTags: backend.refreshTags(versions),
        tagEpoch: backend.tagEpoch,
        invalidateTags: backend.invalidateTags(["t"], "hard")
      }
      for (const [method, call] of Object.entries(calls)) {
        assert.strictEqual((yield* Effect.flip(call)).method, method)
        assert.strictEqual(yield* faulty.calls(method as Faulty.Method), 1)
      }
      assert.strictEqual(yield* faulty.calls(), Object.keys(calls).length)
      yield* faulty.heal
      for (const call of Object.values(calls)) yield* call
    }).pipe(Effect.provide(values)))

  it.effect("fails as often as it is told, the latest fault first", () =>
    Effect.gen(function*() {
      const { faulty, has } = yield* withEntry
      yield* faulty.inject(Faulty.fail("Connection"), { times: 2 })
      yield* faulty.inject(Faulty.fail("Timeout"), { methods: ["get"], times: 1 })
      yield* faulty.inject(Faulty.hang, { methods: ["set"] })
      assert.strictEqual((yield* Effect.flip(has)).reason, "Timeout")
      assert.strictEqual((yield* Effect.flip(has)).reason, "Connection")
      assert.strictEqual((yield* Effect.flip(has)).reason, "Connection")
      assert.isTrue(yield* has)
    }).pipe(Effect.provide(values)))

  it.effect("is slow by the Clock", () =>
    Effect.gen(function*() {
      const { faulty, has } = yield* withEntry
      yield* faulty.inject(Faulty.delay("5 seconds"), { methods: ["get"] })
      const reading = yield* Effect.fork(has)
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(reading)))
      yield* TestClock.adjust("1 seconds")
      assert.isTrue(yield* Fiber.join(reading))
    }).pipe(Effect.provide(values)))

  it.effect("never answers, and can be interrupted", () =>
    Effect.gen(function*() {
      const { faulty, has } = yield* withEntry
      yield* faulty.inject(Faulty.hang)
      const reading = yield* Effect.fork(has)
      yield* TestClock.adjust("1 days")
      assert.isTrue(Option.isNone(yield* Fiber.poll(reading)))
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(reading)))
    }).pipe(Effect.provide(values)))

  it.effect("reads a flipped bit as nothing, wherever it is", () =>
    Effect.gen(function*() {
      const { backend, faulty, has } = yield* withEntry
      yield* faulty.inject(Faulty.corrupt)
      for (let round = 0; round < 1_000; round++) assert.isFalse(yield* has)
      assert.deepStrictEqual(yield* backend.getMany(["a", "b"]), [Option.none(), Option.none()])
      assert.deepStrictEqual((yield* backend.lease("a", minute)).entry, Option.none())
      yield* faulty.heal
      assert.isTrue(yield* has)
    }).pipe(Effect.provide(bytes)))

  it.effect("forgets what is read and what is written", () =>
    Effect.gen(function*() {
      const { backend, faulty, has } = yield* withEntry
      yield* faulty.inject(Faulty.forget, { times: 1 })
      assert.isFalse(yield* has)
      assert.isFalse(yield* has)
      yield* faulty.inject(Faulty.forget, { methods: ["set", "increment"] })
      yield* backend.set("a", entry, minute)
      assert.isFalse(yield* has)
      assert.strictEqual(yield* backend.increment("b", 1, minute), 1)
      assert.strictEqual(yield* backend.increment("b", 1, minute), 1)
    }).pipe(Effect.provide(bytes)))

  it.effect("forgets leases and tag versions", () =>
    Effect.gen(function*() {
      const { backend, faulty } = yield* withEntry
      const token = Option.getOrThrow((yield* backend.lease("b", minute)).token)
      const versions = yield* backend.tagVersions(["t"])
      const epoch = yield* backend.tagEpoch
      yield* faulty.inject(Faulty.forget)
      assert.isFalse(yield* backend.renew("b", token, minute))
      assert.notDeepEqual(yield* backend.refreshTags(versions), versions)
      assert.notDeepEqual(yield* backend.tagVersions(["t"]), versions)
      assert.notStrictEqual(yield* backend.tagEpoch, epoch)
    }).pipe(Effect.provide(values)))

  it.effect("closes the way without a fiber while a fault is active", () =>
    Effect.gen(function*() {
      const { backend, faulty } = yield* withEntry
      const door = backend.unsafe!
      assert.strictEqual(door.get("a"), entry)
      yield* faulty.inject(Faulty.fail(), { methods: ["get"], times: 1 })
      assert.isUndefined(backend.unsafe)
      assert.isUndefined(door.get("a"))
      assert.strictEqual(door.tagState([]), "hard")
      yield* Effect.flip(backend.get("a"))
      assert.strictEqual(backend.unsafe!.get("a"), entry)
    }).pipe(Effect.provide(values)))

  it.effect("refuses what no store can take before it counts", () =>
    Effect.gen(function*() {
      const { backend, faulty } = yield* withEntry
      yield* faulty.inject(Faulty.hang)
      assert.strictEqual((yield* Effect.flip(backend.get("\ud800"))).reason, "InvalidInput")
      assert.strictEqual(yield* faulty.calls(), 0)
    }).pipe(Effect.provide(values)))

  for (const [storage, layer] of [["values", values], ["bytes", bytes]] as const) {
    it.effect(`lets a cache meet the fault, storage ${storage}`, () =>
      Effect.gen(function*() {
        const faulty = yield* Faulty.Faulty
        let loads = 0
        const ask = Cache.getOrSet(users, "1", Effect.sync(() => `Ada ${++loads}`))
        assert.strictEqual(yield* ask, "Ada 1")
        assert.strictEqual(yield* ask, "Ada 1")
        yield* faulty.inject(Faulty.fail())
        assert.strictEqual(yield* ask, "Ada 2")
        yield* faulty.heal
        assert.strictEqual(yield* ask, "Ada 1")
        yield* faulty.inject(Faulty.forget, { times: 1 })
        assert.strictEqual(yield* ask, "Ada 3")
        assert.strictEqual(yield* ask, "Ada 3")
      }).pipe(Effect.provide(layer)))
  }
})
