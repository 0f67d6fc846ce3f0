import { assert, describe, it } from "@effect/vitest"
import type { BackendError, CacheBackend } from "effect-caching/Backend"
import * as Backend from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { overBackends, redisForFile } from "../support/overBackends.js"
import { makeSource, taggedUsers, users } from "../support/source.js"

/** Lets every fiber that can run do so, and every reply that is on its way arrive. */
const settle = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 20)))

type Invalidation = readonly [
  by: string,
  invalidate: Effect.Effect<unknown, BackendError, CacheBackend>,
  cache: typeof users
]

const invalidations: ReadonlyArray<Invalidation> = [
  ["its key", Cache.invalidate(users, 1), users],
  ["its key among many", Cache.invalidateMany(users, [3, 2, 1]), users],
  ["a tag that the value names", Cache.invalidateTags(["user:1"]), users],
  ["a tag known before the load", Cache.invalidateTags(["users"]), taggedUsers],
  ["a tag made stale", Cache.invalidateTags(["users"], { mode: "soft" }), taggedUsers],
  ["clear", Cache.clear(users), users]
]

describe("law 1: a value whose load began before an invalidation is never served as fresh after it", () => {
  overBackends((test) => {
    for (const [by, invalidate, cache] of invalidations) {
      test(`by ${by}: the load that was under way is not kept`, () =>
        Effect.gen(function*() {
          const reading = yield* Deferred.make<void>()
          const gate = yield* Deferred.make<void>()
          const source = makeSource(Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(gate)))
          const find = Cache.getOrSet(cache, 1, source.load(1))
          const loading = yield* Effect.fork(find)
          yield* Deferred.await(reading)
          source.name = "Grace"
          yield* invalidate
          yield* Deferred.succeed(gate, undefined)
          assert.strictEqual((yield* Fiber.join(loading)).name, "Ada")
          assert.strictEqual((yield* Cache.get(cache, 1))._tag, "None")
          if (by.endsWith("stale")) {
            // Soft: the old value may be served, as stale, while it is loaded anew.
            assert.strictEqual((yield* find).name, "Ada")
            yield* settle
          }
          assert.strictEqual((yield* find).name, "Grace")
          assert.strictEqual((yield* find).name, "Grace")
        }))

      test(`by ${by}: who calls after it does not get the load that was under way`, () =>
        Effect.gen(function*() {
          const reading = yield* Deferred.make<void>()
          const gate = yield* Deferred.make<void>()
          const source = makeSource(Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(gate)))
          const find = Cache.getOrSet(cache, 1, source.load(1))
          const before = yield* Effect.fork(find)
          yield* Deferred.await(reading)
          source.name = "Grace"
          yield* invalidate
          const after = yield* Effect.fork(find)
          yield* settle
          yield* Deferred.succeed(gate, undefined)
          assert.strictEqual((yield* Fiber.join(before)).name, "Ada")
          assert.strictEqual((yield* Fiber.join(after)).name, "Grace")
        }))
    }

    test("by set: a load that was under way does not overwrite what was set", () =>
      Effect.gen(function*() {
        const reading = yield* Deferred.make<void>()
        const gate = yield* Deferred.make<void>()
        const source = makeSource(Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(gate)))
        const loading = yield* Effect.fork(Cache.getOrSet(users, 1, source.load(1)))
        yield* Deferred.await(reading)
        yield* Cache.set(users, 1, { id: 1, name: "Grace" })
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(loading)
        assert.strictEqual((yield* Cache.getOrSet(users, 1, source.load(1))).name, "Grace")
        assert.strictEqual(source.loads, 1)
      }))

    test("a refresh in the background that began before an invalidation is not kept", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const reading = yield* Deferred.make<void>()
        const source = makeSource()
        yield* Cache.set(taggedUsers, 1, { id: 1, name: "Ada" })
        yield* Cache.invalidateTags(["users"], { mode: "soft" })
        const slow = makeSource(Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(gate)))
        assert.strictEqual((yield* Cache.getOrSet(taggedUsers, 1, slow.load(1))).name, "Ada")
        yield* Deferred.await(reading)
        source.name = "Grace"
        yield* Cache.invalidate(taggedUsers, 1)
        yield* Deferred.succeed(gate, undefined)
        yield* settle
        assert.strictEqual((yield* Cache.getOrSet(taggedUsers, 1, source.load(1))).name, "Grace")
      }))

    test("whatever runs between: 2,000 random operations by 20 fibers with small op budgets", () =>
      Effect.gen(function*() {
        // `written` grows before each invalidation begins; a call that begins after it must see at least that much.
        const values = Cache.make({
          name: "random",
          schema: Schema.Number,
          key: (id: number) => id,
          timeToLive: "1 hour",
          tags: (_, id) => [`random:${id}`]
        })
        const written = [0, 0, 0]
        const invalidated = [0, 0, 0]
        const pause = Effect.flatMap(Random.nextIntBetween(0, 4), (n) => Effect.repeatN(Effect.yieldNow(), n))
        const load = (id: number) =>
          Effect.flatMap(Effect.zipRight(pause, Effect.sync(() => written[id]!)), (value) => Effect.as(pause, value))
        const find = (id: number) =>
          Effect.suspend(() => {
            const atLeast = invalidated[id]!
            return Effect.map(Cache.getOrSet(values, id, load(id)), (value) => assert.isAtLeast(value, atLeast))
          })
        const end = (id: number, how: Effect.Effect<unknown, BackendError, CacheBackend>) =>
          Effect.suspend(() => {
            const mine = ++written[id]!
            return Effect.map(how, () => {
              invalidated[id] = Math.max(invalidated[id]!, mine)
            })
          })
        const all = Effect.suspend(() => {
          const mine = written.map((_, id) => ++written[id]!)
          return Effect.map(Cache.clear(values), () =>
            mine.forEach((value, id) => {
              invalidated[id] = Math.max(invalidated[id]!, value)
            }))
        })
        const operation = Effect.gen(function*() {
          const id = yield* Random.nextIntBetween(0, 3)
          const kind = yield* Random.nextIntBetween(0, 20)
          if (kind < 15) return yield* Effect.asVoid(find(id))
          if (kind < 17) return yield* end(id, Cache.invalidate(values, id))
          if (kind < 19) return yield* end(id, Cache.invalidateTags([`random:${id}`]))
          return yield* all
        })
        yield* Effect.forEach(
          Array.from({ length: 20 }, (_, fiber) => fiber),
          (fiber) => Effect.withMaxOpsBeforeYield(Effect.repeatN(operation, 99), 15 + fiber * 7),
          { concurrency: "unbounded", discard: true }
        )
        const { flights } = yield* Backend.CacheBackend
        assert.strictEqual(flights.size, 0)
      }))
  })

  it.effect("a load that ends while an invalidation of its tag is half done is not kept", () =>
    Effect.gen(function*() {
      const map = new Map<string, Uint8Array>()
      const half = yield* Deferred.make<void>()
      const whole = yield* Deferred.make<void>()
      const backend = yield* Backend.fromBytes({ name: "map", isShared: false }, {
        get: (key) => Effect.sync(() => Option.fromNullable(map.get(key))),
        set: (key, bytes) => Effect.sync(() => void map.set(key, bytes)),
        add: (key, bytes) => Effect.sync(() => !map.has(key) && !!map.set(key, bytes)),
        // The version is gone; the answer that it is comes later.
        remove: (key) =>
          key.startsWith("~hard:")
            ? Effect.zipLeft(
              Effect.sync(() => map.delete(key)),
              Effect.zipRight(Deferred.succeed(half, undefined), Deferred.await(whole))
            )
            : Effect.sync(() => map.delete(key)),
        clear: () => Effect.void
      })
      const reading = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const source = makeSource(Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(gate)))
      yield* Effect.gen(function*() {
        const find = Cache.getOrSet(users, 1, source.load(1))
        const loading = yield* Effect.fork(find)
        yield* Deferred.await(reading)
        source.name = "Grace"
        const invalidating = yield* Effect.fork(Cache.invalidateTags(["user:1"]))
        yield* Deferred.await(half)
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(loading)
        yield* Deferred.succeed(whole, undefined)
        yield* Fiber.join(invalidating)
        assert.strictEqual((yield* find).name, "Grace")
      }).pipe(Effect.provideService(Backend.CacheBackend, backend))
    }).pipe(Effect.scoped))

  describe("across processes, on Redis", () => {
    const redis = redisForFile()
    for (const [by, invalidate, cache] of invalidations) {
      it.live(`by ${by}: a load under way in another process is not kept`, () =>
        Effect.gen(function*() {
          const reading = yield* Deferred.make<void>()
          const gate = yield* Deferred.make<void>()
          const source = makeSource(Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(gate)))
          const here = yield* Layer.build(redis.layer(`${by}:`))
          const there = yield* Layer.build(redis.layer(`${by}:`))
          const find = Cache.getOrSet(cache, 1, source.load(1))
          const loading = yield* Effect.fork(Effect.provide(find, here))
          yield* Deferred.await(reading)
          source.name = "Grace"
          yield* Effect.provide(invalidate, there)
          yield* Deferred.succeed(gate, undefined)
          assert.strictEqual((yield* Fiber.join(loading)).name, "Ada")
          if (by.endsWith("stale")) {
            assert.strictEqual((yield* Effect.provide(find, there)).name, "Ada")
            yield* settle
          }
          assert.strictEqual((yield* Effect.provide(find, there)).name, "Grace")
          assert.strictEqual((yield* Effect.provide(find, here)).name, "Grace")
        }).pipe(Effect.scoped))
    }
  })
})
