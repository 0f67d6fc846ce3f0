/** Defects of Flask-Caching: its interface. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Compressed from "effect-caching/backends/Compressed"
import * as Memory from "effect-caching/backends/Memory"
import * as Tiered from "effect-caching/backends/Tiered"
import * as Cache from "effect-caching/Cache"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as Codec from "effect-caching/Codec"
import * as HttpCache from "effect-caching/HttpCache"
import * as Memoize from "effect-caching/Memoize"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { serve } from "../http/support.js"
import { yielding } from "../support/overBackends.js"
import { configured } from "../support/settings.js"
import { design } from "./defects.js"
import { counted, describeRows, numbers, onMemoryAndRedis } from "./support.js"
import { view } from "./views.js"

const notHere = [
  { row: "D60", reason: "every program of the documentation is compiled, and that of the README run, by other checks" }
] as const

describeRows("defects of Flask-Caching: its interface", design, notHere, (row) => {
  onMemoryAndRedis((test) => {
    test(row("D45"), () =>
      Effect.gen(function*() {
        const { f } = counted<[]>({ unless: () => Effect.as(Effect.yieldNow(), true) })
        assert.deepStrictEqual([yield* f(), yield* f()], [1, 2])
        const { f: kept } = counted<[]>({ name: "kept", unless: () => Effect.as(Effect.yieldNow(), false) })
        assert.deepStrictEqual([yield* kept(), yield* kept()], [1, 1])
      }))

    test(row("D46"), () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const numbers = Memoize.stream(
          () => Stream.concat(Stream.make(1), Stream.fromEffect(Effect.as(Deferred.await(gate), 2))),
          { name: "s", schema: Schema.Number, timeToLive: "1 minute" }
        )
        const queue = yield* Queue.unbounded<number>()
        const reading = yield* Effect.fork(Stream.runForEach(numbers(), (n) => queue.offer(n)))
        assert.strictEqual(yield* queue.take, 1)
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(reading)
        assert.strictEqual(yield* queue.take, 2)
      }))

    test(row("D47", "D50"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number, string]>({ key: (id, trace) => [id, trace.length] })
        assert.deepStrictEqual(yield* Effect.all([f(1, "a"), f(1, "b"), f(1, "ab")]), [1, 1, 2])
        assert.isTrue(yield* f.invalidate(1, "c"))
        assert.deepStrictEqual(yield* Effect.all([f(1, "a"), f(1, "ab")]), [3, 2])
      }))

    test(row("D48"), () =>
      Effect.gen(function*() {
        const { f } = counted<[tenant: number, page: number]>({ keyTags: ([tenant]) => [`tenant:${tenant}`] })
        const all = Effect.all([f(1, 1), f(1, 2), f(2, 1)])
        assert.deepStrictEqual(yield* all, [1, 2, 3])
        yield* Cache.invalidateTags(["tenant:1"])
        assert.deepStrictEqual(yield* all, [4, 5, 3])
        yield* TestClock.adjust("1 minute")
        const { entry, state } = yield* Cache.explain(f.cache, [2, 1])
        assert.strictEqual(state, "hit")
        assert.deepInclude(entry!, { ageMillis: 60_000, freshForMillis: 240_000 })
      }))

    test(row("D49"), () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>()
        yield* f(1)
        let operations = 0
        const backend = Backend.around(yield* Backend.CacheBackend, (_, operation) =>
          Effect.suspend(() => {
            operations++
            return operation
          }))
        assert.strictEqual(yield* Effect.provideService(f(1), Backend.CacheBackend, backend), 1)
        assert.isAtMost(operations, 1)
      }))

    test(row("D51"), () =>
      Effect.gen(function*() {
        const { body } = yield* view({ timeToLive: "1 hour" }, (run) =>
          HttpServerResponse.text(`${run}`, { headers: { "cache-control": "max-age=0" } }))
        assert.deepStrictEqual([yield* body("/"), yield* body("/")], ["1", "2"])
        let calls = 0
        const f = Memoize.wrap(
          (seconds: number) =>
            Effect.as(Cache.setTimeToLive(`${seconds} seconds`), ++calls),
          { name: "f", schema: Schema.Number, timeToLive: "1 hour" }
        )
        assert.deepStrictEqual([yield* f(0), yield* f(0), yield* f(2)], [1, 2, 3])
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* f(2), 4)
      }))

    test(row("D52"), () =>
      Effect.gen(function*() {
        let runs = 0
        const app = Effect.sync(() => HttpServerResponse.text(`${++runs}`))
        const inner = HttpCache.middleware({ name: "inner", timeToLive: "1 hour" })(app)
        const client = yield* serve(HttpCache.middleware({ name: "outer", timeToLive: "1 hour" })(inner))
        const status = Effect.map(client.get("/"), (reply) => reply.headers["cache-status"]!.split(", "))
        const first = yield* status
        assert.strictEqual(first.length, 2)
        assert.match(first[0]!, /^inner; fwd=uri-miss/)
        assert.match(first[1]!, /^outer; fwd=uri-miss/)
        assert.match((yield* status).at(-1)!, /^outer; hit/)
      }))

    test(row("D56"), () =>
      Effect.gen(function*() {
        class Point {
          constructor(readonly id: string) {}
          toString() {
            return "<P>"
          }
        }
        const at = Memoize.method((self: Point) => Effect.succeed(self.id), {
          name: "at",
          schema: Schema.String,
          timeToLive: "1 minute",
          instance: (self) => self.id
        })
        assert.deepStrictEqual(yield* Effect.all([at(new Point("1-1")), at(new Point("11"))]), ["1-1", "11"])
        yield* at.invalidateInstance(new Point("11"))
        assert.isTrue(yield* Cache.has(at.cache, [new Point("1-1")]))
        const { f } = counted<[unknown]>()
        assert.strictEqual(yield* f({ a: 1, b: new Set(["x", "y"]) }), yield* f({ b: new Set(["y", "x"]), a: 1 }))
      }))

    test(row("D57"), () =>
      Effect.gen(function*() {
        let calls = 0
        const f = Memoize.wrap((_: number) => Effect.suspend(() => Effect.fail(`no ${++calls}`)), {
          name: "f",
          schema: Schema.Never,
          failure: Codec.string,
          timeToLive: () => "10 seconds"
        })
        assert.deepStrictEqual([yield* Effect.flip(f(1)), yield* Effect.flip(f(1))], ["no 1", "no 1"])
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* Effect.flip(f(1)), "no 2")
      }))
  })

  it.effect(row("D53"), () =>
    Effect.gen(function*() {
      const { f } = counted<[]>()
      assert.deepStrictEqual(yield* Effect.provide(Effect.all([f(), f()]), configured({}, CacheConfig.layer)), [1, 1])
      // @ts-expect-error a program without a backend is not one that can be run
      const run: (program: Effect.Effect<number>) => unknown = () => Effect.runPromise(f())
      assert.isFunction(run)
    }))

  it(row("D54"), () => {
    const { f } = counted<[unknown, ...Array<unknown>]>()
    assert.deepStrictEqual(
      [f.cacheKey("a"), f.cacheKey(1), f.cacheKey(1, "a"), f.cacheKey({ b: [null], a: true })],
      ["counted:'a", "counted:1;", "counted:[1;1'a]", "counted:[{1'aT1'b[N]}]"]
    )
  })

  it(row("D55"), () => {
    const helper = (n: number) => n + 1
    const other = (n: number) => n + 2
    const f = (n: number) => n
    assert.notStrictEqual(Memoize.sourceVersion(f, helper), Memoize.sourceVersion(f, other))
    assert.strictEqual(Memoize.sourceVersion(f, helper), Memoize.sourceVersion(f, helper))
  })

  it.effect(row("D58"), () =>
    Effect.gen(function*() {
      const { f } = counted<[number]>({ name: "D58" })
      assert.deepStrictEqual(yield* Effect.all([f(1), f(1), f(1)]), [1, 1, 1])
      const hits = Metric.counter("cache_requests", {
        description: "Calls of a cache by how they were answered",
        incremental: true
      }).pipe(Metric.tagged("cache", "D58"), Metric.tagged("result", "hit"))
      assert.strictEqual((yield* Metric.value(hits)).count, 2)
      const texts = Cache.make({ name: "text", schema: Schema.String, timeToLive: "1 minute" })
      yield* Cache.set(texts, "k", "again and ".repeat(10_000))
      assert.strictEqual((yield* Effect.flatten(Cache.get(texts, "k"))).length, 100_000)
    }).pipe(Effect.provide(
      Tiered.layer({ local: Memory.layer(), remote: Compressed.layer(yielding(true)), localTimeToLive: "1 minute" })
    )))

  it.effect(row("D59"), () =>
    Effect.gen(function*() {
      const app = (threshold: string) =>
        Effect.provide(configured({ CACHE_TYPE: "simple", CACHE_THRESHOLD: threshold }))
      const store = Effect.gen(function*() {
        yield* Cache.setMany(numbers, [["a", 1], ["b", 2], ["c", 3]])
        yield* Effect.yieldNow()
        return (yield* Effect.filter(["a", "b", "c"], (key) => Cache.has(numbers, key))).length
      })
      assert.deepStrictEqual(yield* Effect.all([app("1")(store), app("10")(store)], { concurrency: 2 }), [1, 3])
    }))
})
