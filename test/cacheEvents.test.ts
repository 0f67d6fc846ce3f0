import { assert, describe, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as CacheEvents from "effect-caching/CacheEvents"
import * as InvalidationBus from "effect-caching/InvalidationBus"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"

const cacheOf = (name: string) =>
  Cache.make({ name, schema: Schema.Number, key: (key: string) => key, timeToLive: "1 minute", grace: "1 minute" })

const numbers = cacheOf("numbers")
const find = (key: string) => Cache.getOrSet(numbers, key, Effect.succeed(1))

/** A bus that keeps what is published, and fails while it is told to. */
const recorder = () => {
  const messages: Array<string> = []
  const state = { isDown: false }
  const down = new Backend.BackendError({ backend: "bus", method: "publish", reason: "Connection" })
  const bus: InvalidationBus.Bus = {
    name: "recorder",
    publish: (message) => state.isDown ? Effect.fail(down) : Effect.sync(() => void messages.push(message)),
    subscribe: () => Effect.void
  }
  return {
    state,
    layer: Layer.succeed(CacheEvents.EventBus, bus),
    take: () => messages.splice(0).map((message): CacheEvents.Report => JSON.parse(message))
  }
}

describe("CacheEvents.publish", () => {
  it.effect("tells, once in an interval, how calls were answered, and nothing where there were none", () => {
    const { layer, take } = recorder()
    return Effect.gen(function*() {
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(take(), [])
      yield* find("a")
      yield* find("a")
      yield* find("b")
      yield* TestClock.adjust("1 second")
      const [report, ...more] = take()
      assert.deepStrictEqual(more, [])
      assert.deepInclude(report, {
        program: "shop",
        from: 3_000,
        until: 4_000,
        caches: { numbers: { hits: 1, stale: 0, misses: 2, bypasses: 0, errors: 0 } },
        uncounted: 0
      })
      assert.deepStrictEqual(report!.samples.map(({ outcome }) => outcome), ["Miss", "Hit", "Miss"])
      yield* TestClock.adjust("1 minute")
      yield* find("a")
      yield* TestClock.adjust("1 second")
      assert.deepInclude(take()[0]?.caches["numbers"], { hits: 0, stale: 1 })
    }).pipe(Effect.provide(
      CacheEvents.layer({ program: "shop" }).pipe(Layer.provide(layer), Layer.provideMerge(Memory.layer()))
    ))
  })

  it.effect("tells keys only where it is asked to", () =>
    Effect.gen(function*() {
      for (const keys of [false, true]) {
        const { layer, take } = recorder()
        yield* Effect.scoped(Effect.gen(function*() {
          yield* CacheEvents.publish({ keys })
          yield* find("ada@example.org")
          yield* TestClock.adjust("1 second")
          const text = JSON.stringify(take())
          assert.strictEqual(text.includes("ada@example.org"), keys)
        })).pipe(Effect.provide(layer), Effect.provide(Memory.layer()))
      }
    }))

  it.effect("counts every call, and samples no more than it is told to", () => {
    const { layer, take } = recorder()
    return Effect.gen(function*() {
      yield* CacheEvents.publish({ samples: 3 })
      for (let i = 0; i < 500; i++) yield* find(String(i % 10))
      yield* TestClock.adjust("1 second")
      const [report] = take()
      assert.deepInclude(report!.caches["numbers"], { hits: 490, misses: 10 })
      assert.strictEqual(report!.samples.length, 3)
    }).pipe(Effect.scoped, Effect.provide(layer), Effect.provide(Memory.layer()))
  })

  it.effect("names 256 caches in a report, and counts the calls of others together", () => {
    const { layer, take } = recorder()
    return Effect.gen(function*() {
      yield* CacheEvents.publish()
      for (let i = 0; i < 260; i++) yield* Cache.getOrSet(cacheOf(`c${i}`), "k", Effect.succeed(1))
      yield* TestClock.adjust("1 second")
      const [report] = take()
      assert.strictEqual(Object.keys(report!.caches).length, 256)
      assert.strictEqual(report!.uncounted, 4)
    }).pipe(Effect.scoped, Effect.provide(layer), Effect.provide(Memory.layer()))
  })

  it.effect("a bus that is down fails no call, and what could not be told is told when it is back", () => {
    const { layer, state, take } = recorder()
    return Effect.gen(function*() {
      yield* CacheEvents.publish()
      state.isDown = true
      for (const key of ["a", "a", "b"]) {
        yield* find(key)
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(take(), [])
      state.isDown = false
      yield* Cache.getOrSet(cacheOf("constructor"), "k", Effect.succeed(1))
      yield* TestClock.adjust("1 second")
      const [report] = take()
      assert.deepInclude(report, { from: 0, until: 4_000 })
      assert.deepInclude(report!.caches["numbers"], { hits: 1, misses: 2 })
      assert.deepInclude(report!.caches["constructor"], { misses: 1 })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(take(), [])
    }).pipe(Effect.scoped, Effect.provide(layer), Effect.provide(Memory.layer()))
  })

  it.effect("a bus that never answers delays no call", () => {
    const bus: InvalidationBus.Bus = { name: "stuck", publish: () => Effect.never, subscribe: () => Effect.void }
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Scope.extend(CacheEvents.publish({ interval: "1 second" }), scope)
      yield* find("a")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* find("a"), 1)
    }).pipe(Effect.provideService(CacheEvents.EventBus, bus), Effect.provide(Memory.layer()))
  })

  it.effect("tells what is left when the scope closes, and listens no more", () => {
    const { layer, take } = recorder()
    return Effect.gen(function*() {
      const { listeners } = yield* Backend.CacheBackend
      const scope = yield* Scope.make()
      yield* Scope.extend(CacheEvents.publish(), scope)
      assert.isTrue(listeners.isAny)
      yield* find("a")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(take()[0]?.caches["numbers"]?.misses, 1)
      assert.isFalse(listeners.isAny)
    }).pipe(Effect.provide(layer), Effect.provide(Memory.layer()))
  })

  it.effect("refuses options that cannot be meant", () => {
    const { layer } = recorder()
    return Effect.forEach(
      [{ interval: 0 }, { interval: Infinity }, { samples: -1 }, { samples: 1_001 }, { program: "" }],
      (options) =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(CacheEvents.publish(options))
          assert.isTrue(Exit.isFailure(exit))
          if (Exit.isFailure(exit)) {
            assert.match(String(Cause.squash(exit.cause)), /CacheEvents: (interval|samples|program) must/)
          }
        })
    ).pipe(Effect.scoped, Effect.provide(layer), Effect.provide(Memory.layer()))
  })
})

describe("CacheEvents.watch", () => {
  it.effect("hears the reports of programs, and passes over what is none", () =>
    Effect.gen(function*() {
      const bus = yield* InvalidationBus.inProcess
      yield* Effect.gen(function*() {
        const heard = yield* Queue.unbounded<CacheEvents.Heard>()
        const watching = yield* Effect.fork(Stream.runForEach(CacheEvents.watch, (each) => heard.offer(each)))
        assert.deepStrictEqual(yield* heard.take, { _tag: "Subscribed" })
        yield* CacheEvents.publish({ program: "shop" })
        for (
          const foreign of ["", "{", "{}", "{\"v\":2}", "{\"v\":1,\"sender\":\"x\",\"caches\":{\"a\":{\"hits\":-1}}}"]
        ) {
          yield* bus.publish(foreign)
        }
        yield* find("a")
        yield* TestClock.adjust("1 second")
        const report = yield* heard.take
        assert.strictEqual(report._tag === "Report" ? report.report.program : undefined, "shop")
        assert.strictEqual(yield* heard.size, 0)
        yield* Fiber.interrupt(watching)
      }).pipe(Effect.scoped, Effect.provideService(CacheEvents.EventBus, bus), Effect.provide(Memory.layer()))
    }))
})
