/** Defects of Flask-Caching: what happens at once, and what fails. */
import { assert, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as FileSystem from "effect-caching/backends/FileSystem"
import * as Memory from "effect-caching/backends/Memory"
import * as RedisSentinel from "effect-caching/backends/RedisSentinel"
import * as Tiered from "effect-caching/backends/Tiered"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as InvalidationBus from "effect-caching/InvalidationBus"
import * as Nunjucks from "effect-caching/Nunjucks"
import { Faulty } from "effect-caching/testing"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import nunjucks from "nunjucks"
import { vi } from "vitest"
import { Entry } from "../../src/internal/entry.js"
import { entriesIn, folder } from "../support/filePrograms.js"
import { memcachedForFile, redisForFile } from "../support/overBackends.js"
import { rawRedis } from "../support/rawRedis.js"
import * as Sentinels from "../support/redisSentinel.js"
import { consistency } from "./defects.js"
import { counted, data, describeRows, each, numbers, onEveryStore, onMemoryAndRedis } from "./support.js"

/** Waits for what is done beside the operations. */
const eventually = (check: () => void | Promise<void>) =>
  Effect.promise(() => vi.waitFor(check, { timeout: 5_000, interval: 5 }))

const on = (backend: Backend.Backend) => Effect.provideService(Backend.CacheBackend, backend)

/** A load that stops after it has read its source, until it may go on. */
const gated = <A>(read: () => A) =>
  Effect.gen(function*() {
    const [begun, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
    const state = { runs: 0 }
    const load = Effect.suspend(() => {
      state.runs++
      const value = read()
      return Effect.zipRight(Deferred.succeed(begun, undefined), Effect.as(Deferred.await(gate), value))
    })
    return { load, state, begun: Deferred.await(begun), open: Deferred.succeed(gate, undefined) }
  })

describeRows("defects of Flask-Caching: consistency and errors", consistency, [], (row) => {
  onEveryStore((test) => {
    test(row("D18"), () =>
      Effect.gen(function*() {
        const { begun, load, open, state } = yield* gated(() => 7)
        const calling = yield* Effect.fork(each(20, () => Cache.getOrSet(numbers, "k", load)))
        yield* begun
        yield* open
        assert.deepStrictEqual(yield* Fiber.join(calling), Array.from({ length: 20 }, () => 7))
        assert.strictEqual(state.runs, 1)
      }))

    test(row("D19"), () =>
      Effect.gen(function*() {
        const { begun, load, open } = yield* gated(() => 2)
        yield* Cache.set(numbers, "old", 1)
        const writing = yield* Effect.fork(Cache.getOrSet(numbers, "other", load))
        yield* begun
        yield* Cache.clear(numbers)
        yield* open
        yield* Fiber.join(writing)
        assert.isFalse(yield* Cache.has(numbers, "old"))
      }))

    test(row("D20"), () =>
      Effect.gen(function*() {
        const source = { value: "old" }
        const { begun, load, open } = yield* gated(() => source.value)
        const loading = yield* Effect.fork(Cache.getOrSet(data, "k", load))
        yield* begun
        source.value = "new"
        yield* Cache.invalidate(data, "k")
        yield* open
        yield* Fiber.join(loading)
        assert.strictEqual(yield* Cache.getOrSet(data, "k", Effect.sync(() => source.value)), "new")
      }))

    test(row("D22"), () =>
      Effect.gen(function*() {
        const nullable = Cache.make({ name: "null", schema: Schema.NullOr(Schema.Number), timeToLive: "1 minute" })
        assert.deepStrictEqual(yield* Cache.get(nullable, "k"), Option.none())
        yield* Cache.set(nullable, "k", null)
        assert.deepStrictEqual(yield* Cache.get(nullable, "k"), Option.some(null))
      }))

    test(row("D29"), () =>
      Effect.gen(function*() {
        const backend = yield* Backend.CacheBackend
        const poison = new Entry(
          false,
          Codec.schema(Schema.Number).id,
          0,
          Infinity,
          Infinity,
          0,
          [],
          undefined,
          Uint8Array.of(128, 4)
        )
        yield* backend.set(Cache.cacheKey(numbers, "k"), poison, Duration.infinity)
        assert.strictEqual(yield* Cache.getOrSet(numbers, "k", Effect.succeed(1)), 1)
        assert.strictEqual(yield* Cache.getOrSet(numbers, "k", Effect.succeed(2)), 1)
      }))
  })

  onMemoryAndRedis((test) => {
    test(row("D27"), () =>
      Effect.gen(function*() {
        const mistake = () => {
          throw new TypeError("a mistake")
        }
        const { f: byKey } = counted<[number]>({ key: mistake })
        const { f: byForce } = counted<[number]>({ forcedUpdate: mistake })
        const { f: byStale } = counted<[number]>({ name: "stale", isStale: mistake })
        yield* byStale(1)
        for (const f of [byKey, byForce, byStale]) {
          const cause = yield* Effect.flip(Effect.sandbox(f(1)))
          assert.include(Cause.pretty(cause), "a mistake")
        }
      }))

    test(row("D28"), () =>
      Effect.gen(function*() {
        const { f } = counted<[Record<string, unknown>]>()
        const names = ["f", "unless", "self", "forced_update", "args_to_ignore"]
        const first = yield* Effect.forEach(names, (name) => f({ [name]: 1 }))
        assert.deepStrictEqual(yield* Effect.forEach(names, (name) => f({ [name]: 1 })), first)
      }))

    test(row("D33"), () =>
      Effect.gen(function*() {
        const { listeners } = yield* Backend.CacheBackend
        const { f } = counted<[number]>()
        const dying = yield* Effect.fork(Stream.runForEach(Cache.events(), () => Effect.die("a listener")))
        while (!listeners.isAny) yield* Effect.yieldNow()
        assert.deepStrictEqual(yield* Effect.all([f(1), f(1)]), [1, 1])
        assert.strictEqual((yield* Fiber.await(dying))._tag, "Failure")
      }))

    test(row("D34"), () =>
      Effect.gen(function*() {
        const state = { runs: 0, isFailing: true }
        const environment = new nunjucks.Environment(null)
        environment.addGlobal("body", () => {
          state.runs++
          if (state.isFailing) throw new Error("the body failed")
          return state.runs
        })
        environment.addExtension("cache", yield* Nunjucks.extension)
        const template = nunjucks.compile("{% cache none, \"box\" %}{{ body() }}{% endcache %}", environment)
        const named = { render: (_: string, context: object, done: any) => template.render(context, done) }
        const render = Nunjucks.render(named, "page")
        assert.include((yield* Effect.flip(render)).message, "the body failed")
        assert.strictEqual(state.runs, 1)
        state.isFailing = false
        assert.strictEqual(yield* render, "2")
        yield* TestClock.adjust("1000 days")
        assert.strictEqual(yield* render, "2")
      }))

    test(row("D32"), () =>
      Effect.gen(function*() {
        const { backend, control } = yield* Faulty.make(yield* Backend.CacheBackend)
        yield* control.inject(Faulty.hang)
        const calling = yield* Effect.fork(
          on(Backend.timeout(backend, "1 second"))(Cache.getOrSet(numbers, "k", Effect.succeed(1)))
        )
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(calling), 1)
      }))
  })

  const redis = redisForFile()
  const process = (prefix: string) => Effect.map(Layer.build(redis.layer(prefix)), Context.get(Backend.CacheBackend))

  it.scoped(row("D21"), () =>
    Effect.gen(function*() {
      const [one, other] = yield* Effect.all([process("D21:"), process("D21:")])
      const { f, state } = counted<[number]>({ tags: ["group"] })
      yield* Effect.all([on(one)(f(1)), on(other)(f(2))], { concurrency: 2 })
      yield* Effect.all([on(other)(f(1)), on(one)(f(2))])
      assert.strictEqual(state.calls, 2)
      yield* on(other)(Cache.invalidateTags(["group"]))
      yield* Effect.all([on(one)(f(1)), on(one)(f(2))])
      assert.strictEqual(state.calls, 4)
    }))

  it.scoped(row("D23"), () =>
    Effect.gen(function*() {
      const call = yield* rawRedis(redis.server().url)
      const brief = numbers.pipe(Cache.withTimeToLive("1 minute"))
      const left = (key: string) => call<number>("PTTL", `D23:${Cache.cacheKey(numbers, key)}`)
      yield* Effect.gen(function*() {
        yield* call("CONFIG", "RESETSTAT")
        assert.isTrue(yield* Cache.add(brief, "added", 1))
        assert.notInclude(`${yield* call("INFO", "commandstats")}`, "cmdstat_expire")
        assert.isTrue((yield* left("added")) > 0)
        yield* Cache.increment(brief, "counter")
        const before = yield* left("counter")
        assert.isTrue(before > 0 && before <= 60_000)
        yield* Cache.increment(numbers, "counter")
        assert.isAtMost(yield* left("counter"), before)
      }).pipe(Effect.provide(redis.layer("D23:")))
    }))

  it.scoped(row("D24"), () =>
    Effect.gen(function*() {
      const directory = yield* folder
      yield* Effect.gen(function*() {
        yield* each(160, (i) => Cache.set(data, `k${i}`, i))
        yield* eventually(() => assert.isAtMost(entriesIn(directory).length, 50))
      }).pipe(Effect.provide(FileSystem.layer({ directory, maxEntries: 50 })))
    }))

  it.scoped(row("D25"), () =>
    Effect.gen(function*() {
      const { addresses } = yield* Sentinels.make()
      const layer = RedisSentinel.layer({ sentinels: addresses, master: Sentinels.name, requireConnection: true })
      yield* Effect.forEach(Array.from({ length: 100 }, (_, i) => i), (i) =>
        Effect.gen(function*() {
          yield* Cache.set(numbers, "k", i)
          assert.deepStrictEqual(yield* Cache.get(numbers, "k"), Option.some(i))
        })).pipe(Effect.provide(layer))
    }), 60_000)

  it.scoped(row("D26"), () =>
    Effect.gen(function*() {
      const bus = yield* Layer.build(InvalidationBus.layerInProcess)
      const tiers = Effect.map(
        Layer.build(Tiered.layer({
          local: Memory.layer(),
          remote: redis.layer("D26:"),
          bus: Layer.succeedContext(bus),
          localTimeToLive: "1 hour"
        })),
        Context.get(Backend.CacheBackend)
      )
      const [here, there] = yield* Effect.all([tiers, tiers])
      yield* on(here)(Cache.set(numbers, "k", 1))
      assert.deepStrictEqual(yield* on(there)(Cache.get(numbers, "k")), Option.some(1))
      yield* on(here)(Cache.invalidate(numbers, "k"))
      yield* eventually(async () => assert.isFalse(await Effect.runPromise(on(there)(Cache.has(numbers, "k")))))
    }))

  const memcached = memcachedForFile()
  it.scoped(row("D31"), () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Cache.set(data, "k", "x".repeat(2_000_000)))
      assert.isTrue(error._tag === "BackendError" && error.reason === "TooLarge")
      assert.strictEqual((yield* Cache.getOrSet(data, "k", Effect.succeed("y".repeat(2_000_000)))).length, 2_000_000)
    }).pipe(Effect.provide(Layer.suspend(() => memcached.layer("D31:")))))

  it.scoped(row("D30"), () =>
    Effect.gen(function*() {
      const cycle: { self?: unknown } = {}
      cycle.self = cycle
      assert.strictEqual((yield* Effect.flip(Cache.set(data, "k", cycle)))._tag, "ParseError")
      assert.isFalse(yield* Cache.has(data, "k"))
    }).pipe(Effect.provide(Layer.suspend(() => redis.layer("D30:")))))
})
