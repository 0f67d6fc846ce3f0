import { assert, describe, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import { Faulty } from "effect-caching/testing"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { Entry } from "../../src/internal/entry.js"
import { makeSource, taggedUsers, users } from "../support/source.js"

const layers = [
  ["values", Faulty.layer(Memory.layer())],
  ["bytes", Faulty.layer(Memory.layer({ storage: "bytes" }))]
] as const

const reasons: ReadonlyArray<Backend.Reason> = [
  "Connection",
  "Timeout",
  "Authentication",
  "OutOfSpace",
  "TooLarge",
  "Unavailable",
  "Unknown"
]

const methods = ["get", "lease", "fill", "renew", "tagVersions", "refreshTags", "tagEpoch", "remove"] as const

describe("law 4: no fault of the backend makes a bypassing call fail, hang or print", () => {
  for (const [storage, layer] of layers) {
    for (const reason of reasons) {
      it.effect(`a backend that fails with ${reason}: the value is loaded (${storage})`, () =>
        Effect.gen(function*() {
          const faulty = yield* Faulty.Faulty
          const source = makeSource()
          yield* faulty.inject(Faulty.fail(reason))
          for (const cache of [users, taggedUsers]) {
            assert.strictEqual((yield* Cache.getOrSet(cache, 1, source.load(1))).name, "Ada")
            assert.strictEqual((yield* Cache.getOrSet(cache, 1, source.load(1))).name, "Ada")
          }
          assert.strictEqual(source.loads, 4)
          yield* faulty.heal
          for (const cache of [users, taggedUsers]) {
            yield* Cache.getOrSet(cache, 1, source.load(1))
            yield* Cache.getOrSet(cache, 1, source.load(1))
          }
          assert.strictEqual(source.loads, 6)
        }).pipe(Effect.provide(layer)))
    }

    for (const method of methods) {
      for (const fault of [Faulty.fail(), Faulty.lose()]) {
        it.effect(`${method} alone fails (${fault._tag}): calls go on, and nothing old is served (${storage})`, () =>
          Effect.gen(function*() {
            const faulty = yield* Faulty.Faulty
            const source = makeSource()
            yield* faulty.inject(fault, { methods: [method] })
            for (const cache of [users, taggedUsers]) {
              assert.strictEqual((yield* Cache.getOrSet(cache, 1, source.load(1))).name, "Ada")
            }
            yield* faulty.heal
            // Where the answer to a lease was lost, the lease ends by itself.
            yield* TestClock.adjust("1 second")
            source.name = "Grace"
            yield* Cache.invalidateTags(["users", "user:1"])
            for (const cache of [users, taggedUsers]) {
              assert.strictEqual((yield* Cache.getOrSet(cache, 1, source.load(1))).name, "Grace")
            }
          }).pipe(Effect.provide(layer)))
      }
    }

    it.effect(`callers of one key still load once while the backend fails (${storage})`, () =>
      Effect.gen(function*() {
        const faulty = yield* Faulty.Faulty
        const source = makeSource(Effect.yieldNow())
        yield* faulty.inject(Faulty.fail())
        yield* Effect.all(Array.from({ length: 100 }, () => Cache.getOrSet(users, 1, source.load(1))), {
          concurrency: "unbounded"
        })
        assert.strictEqual(source.loads, 1)
      }).pipe(Effect.provide(layer)))

    it.effect(`a value is loaded although all that was stored is forgotten (${storage})`, () =>
      Effect.gen(function*() {
        const faulty = yield* Faulty.Faulty
        const source = makeSource()
        yield* Cache.getOrSet(users, 1, source.load(1))
        yield* faulty.inject(Faulty.forget)
        yield* Cache.getOrSet(users, 1, source.load(1))
        assert.strictEqual(source.loads, 2)
      }).pipe(Effect.provide(layer)))
  }

  it.effect("a backend that hangs is given up after its time-out, and the value is loaded", () =>
    Effect.gen(function*() {
      const faulty = yield* Faulty.Faulty
      const source = makeSource()
      yield* faulty.inject(Faulty.hang)
      const loading = yield* Effect.fork(Cache.getOrSet(users, 1, source.load(1)))
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* Fiber.join(loading)).name, "Ada")
      yield* faulty.heal
      yield* Cache.getOrSet(users, 1, source.load(1))
      yield* Cache.getOrSet(users, 1, source.load(1))
      assert.strictEqual(source.loads, 2)
    }).pipe(
      Effect.provide(Layer.effect(
        Backend.CacheBackend,
        Effect.map(Backend.CacheBackend, Backend.timeout("500 millis"))
      )),
      Effect.provide(Faulty.layer(Memory.layer()))
    ))

  it.effect("a store of primitives that hang is given up after its time-out, by every operation", () =>
    Effect.gen(function*() {
      const hanging = yield* Backend.fromBytes({ name: "hanging" }, {
        get: () => Effect.never,
        set: () => Effect.never,
        add: () => Effect.never,
        remove: () => Effect.never,
        clear: () => Effect.never
      })
      const backend = Backend.timeout(hanging, "500 millis")
      const entry = new Entry(false, "text", 0, Infinity, Infinity, 0, [], undefined, new Uint8Array(1))
      const operations: ReadonlyArray<Effect.Effect<unknown, Backend.BackendError>> = [
        backend.get("k"),
        backend.set("k", entry, Duration.infinity),
        backend.add("k", entry, Duration.infinity),
        backend.remove("k"),
        backend.increment("k", 1, Duration.infinity),
        backend.clear(""),
        backend.lease("k", Duration.seconds(1)),
        backend.renew("k", "token", Duration.seconds(1)),
        backend.fill("k", "token", entry, Duration.infinity),
        backend.tagVersions(["t"]),
        backend.tagEpoch,
        backend.invalidateTags(["t"], "hard")
      ]
      for (const operation of operations) {
        const asking = yield* Effect.fork(Effect.flip(operation))
        yield* TestClock.adjust("500 millis")
        assert.strictEqual((yield* Fiber.join(asking)).reason, "Timeout")
      }
    }).pipe(Effect.scoped))

  it.effect("a caller of a backend that hangs can be interrupted", () =>
    Effect.gen(function*() {
      const faulty = yield* Faulty.Faulty
      for (const method of ["get", "lease", "fill", "tagVersions"] as const) {
        yield* faulty.inject(Faulty.hang, { methods: [method] })
        const source = makeSource()
        const caller = yield* Effect.fork(Cache.getOrSet(taggedUsers, 1, source.load(1)))
        yield* Effect.repeatN(Effect.yieldNow(), 50)
        assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(caller)), method)
        yield* faulty.heal
      }
    }).pipe(Effect.provide(Faulty.layer(Memory.layer({ storage: "bytes" })))))

  it.effect("nothing is logged above debug", () =>
    Effect.gen(function*() {
      const faulty = yield* Faulty.Faulty
      const logged: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => {
        if (LogLevel.greaterThan(logLevel, LogLevel.Debug)) logged.push(message)
      })
      yield* faulty.inject(Faulty.fail())
      const source = makeSource()
      yield* Cache.getOrSet(users, 1, source.load(1)).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Logger.withMinimumLogLevel(LogLevel.All)
      )
      assert.deepStrictEqual(logged, [])
    }).pipe(Effect.provide(Faulty.layer(Memory.layer()))))

  it.effect("`onBackendError: \"fail\"` fails with the error of the backend, and spares the load", () =>
    Effect.gen(function*() {
      const strict = Cache.make({
        name: "strict",
        schema: Schema.Number,
        timeToLive: "1 minute",
        onBackendError: "fail"
      })
      const faulty = yield* Faulty.Faulty
      let loads = 0
      const find = Cache.getOrSet(strict, "k", Effect.sync(() => ++loads))
      for (const method of ["get", "lease"] as const) {
        yield* faulty.inject(Faulty.fail("Timeout"), { methods: [method] })
        const error: Backend.BackendError = yield* Effect.flip(find)
        assert.strictEqual(error.reason, "Timeout")
        assert.strictEqual(error.method, method)
        yield* faulty.heal
      }
      assert.strictEqual(loads, 0)
      assert.strictEqual(yield* find, 1)
    }).pipe(Effect.provide(Faulty.layer(Memory.layer()))))

  it.effect("explicit operations fail with the error of the backend", () =>
    Effect.gen(function*() {
      const faulty = yield* Faulty.Faulty
      yield* faulty.inject(Faulty.fail("OutOfSpace"))
      const operations = {
        get: Cache.get(users, 1),
        lookup: Cache.lookup(users, 1),
        getMany: Cache.getMany(users, [1]),
        has: Cache.has(users, 1),
        set: Cache.set(users, 1, { id: 1, name: "Ada" }),
        setMany: Cache.setMany(users, [[1, { id: 1, name: "Ada" }]]),
        add: Cache.add(users, 1, { id: 1, name: "Ada" }),
        invalidate: Cache.invalidate(users, 1),
        invalidateMany: Cache.invalidateMany(users, [1]),
        invalidateTags: Cache.invalidateTags(["user:1"]),
        clear: Cache.clear(users)
      }
      for (const [name, operation] of Object.entries(operations)) {
        const error = yield* Effect.flip(
          operation as Effect.Effect<unknown, Backend.BackendError, Backend.CacheBackend>
        )
        assert.strictEqual(error._tag, "BackendError", name)
        assert.strictEqual(error.reason, "OutOfSpace", name)
      }
    }).pipe(Effect.provide(Faulty.layer(Memory.layer()))))

  it.effect("a key that cannot be one is loaded for, not cached; explicit operations say what is wrong", () =>
    Effect.gen(function*() {
      const any = Cache.make({ name: "any", schema: Schema.Number, timeToLive: "1 minute" })
      let loads = 0
      for (const key of ["\ud800", () => 1, Symbol("s"), Promise.resolve()]) {
        yield* Cache.getOrSet(any, key, Effect.sync(() => ++loads))
        const error = yield* Effect.flip(Cache.get(any, key))
        assert.strictEqual(error._tag, "BackendError")
        assert.strictEqual(error.reason, "InvalidInput")
        assert.include(error.message, "cannot be part of a cache key")
      }
      assert.strictEqual(loads, 4)
    }).pipe(Effect.provide(Memory.layer()), Effect.provide(Logger.remove(Logger.defaultLogger))))
})
