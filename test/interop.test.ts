import * as PersistedCache from "@effect/experimental/PersistedCache"
import * as Persistence from "@effect/experimental/Persistence"
import { persisted } from "@effect/experimental/RequestResolver"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import { assert, describe } from "@effect/vitest"
import * as RedisCluster from "effect-caching/backends/RedisCluster"
import * as Interop from "effect-caching/Interop"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PrimaryKey from "effect/PrimaryKey"
import * as Request from "effect/Request"
import * as RequestResolver from "effect/RequestResolver"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { over, overBackends, type Test } from "./support/overBackends.js"
import * as ClusterServers from "./support/redisCluster.js"

class FindUser extends Schema.TaggedRequest<FindUser>()("FindUser", {
  failure: Schema.String,
  success: Schema.Struct({ id: Schema.Number, at: Schema.Date }),
  payload: { id: Schema.Number }
}) {
  [PrimaryKey.symbol]() {
    return String(this.id)
  }
}

describe("Interop", () => {
  const define = (test: Test) => {
    test("PersistedCache keeps its results in the backend", () =>
      Effect.gen(function*() {
        let lookups = 0
        const make = PersistedCache.make({
          storeId: "users",
          lookup: (request: FindUser) =>
            Effect.suspend(() => {
              lookups++
              return request.id > 0 ? Effect.succeed({ id: request.id, at: new Date(5) }) : Effect.fail("none")
            }),
          timeToLive: (_, exit) => Exit.isSuccess(exit) ? Duration.minutes(5) : Duration.minutes(1),
          inMemoryTTL: Duration.millis(1)
        })
        const first = yield* make
        assert.deepStrictEqual((yield* first.get(new FindUser({ id: 1 }))).at, new Date(5))
        assert.strictEqual(yield* Effect.flip(first.get(new FindUser({ id: -1 }))), "none")
        yield* TestClock.adjust("10 millis")
        const second = yield* make
        assert.deepStrictEqual((yield* second.get(new FindUser({ id: 1 }))).at, new Date(5))
        assert.strictEqual(yield* Effect.flip(second.get(new FindUser({ id: -1 }))), "none")
        assert.strictEqual(lookups, 2)
        yield* TestClock.adjust("6 minutes")
        yield* second.get(new FindUser({ id: 1 }))
        assert.strictEqual(lookups, 3)
        yield* second.invalidate(new FindUser({ id: 1 }))
        yield* second.get(new FindUser({ id: 1 }))
        assert.strictEqual(lookups, 4)
      }).pipe(Effect.provide(Layer.provide(Persistence.layerResult, Interop.layerBackingPersistence))))

    test("stores of other ids are apart, entries without time are kept, and clear empties one store", () =>
      Effect.gen(function*() {
        const backing = yield* Persistence.BackingPersistence
        const a = yield* backing.make("a")
        const ab = yield* backing.make("ab")
        const glob = yield* backing.make("a*")
        yield* a.clear
        yield* a.setMany([["bc", { n: 1 }, Option.none()], ["x", [1], Option.some(Duration.minutes(1))]])
        yield* ab.set("c", 2, Option.none())
        assert.deepStrictEqual(yield* ab.get("c"), Option.some(2))
        assert.deepStrictEqual(yield* a.getMany(["bc", "no", "x"]), [
          Option.some({ n: 1 }),
          Option.none(),
          Option.some([1])
        ])
        yield* glob.clear
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* a.getMany(["bc", "x"]), [Option.some({ n: 1 }), Option.none()])
        yield* a.remove("missing")
        yield* a.clear
        assert.deepStrictEqual(yield* a.get("bc"), Option.none())
        assert.deepStrictEqual(yield* ab.get("c"), Option.some(2))
      }).pipe(Effect.provide(Interop.layerBackingPersistence)))

    test("KeyValueStore gets, sets, modifies, removes and clears", () =>
      Effect.gen(function*() {
        const store = yield* KeyValueStore.KeyValueStore
        assert.deepStrictEqual(yield* store.get("k"), Option.none())
        yield* store.set("k", "v")
        assert.deepStrictEqual(yield* store.get("k"), Option.some("v"))
        assert.isTrue(yield* store.has("k"))
        assert.deepStrictEqual(yield* store.modify("k", (v) => v + "!"), Option.some("v!"))
        for (const bytes of [new Uint8Array([0, 255]), Buffer.from([0, 255])]) {
          yield* store.set("b", bytes)
          bytes[0] = 9
          assert.deepStrictEqual(
            Option.map(yield* store.getUint8Array("b"), (_) => Array.from(_)),
            Option.some([0, 255])
          )
        }
        yield* store.remove("k")
        assert.isFalse(yield* store.has("k"))
        yield* store.clear
        assert.isFalse(yield* store.has("b"))
        assert.include((yield* Effect.flip(store.size)).message, "does not count")
      }).pipe(Effect.provide(Interop.layerKeyValueStore())))

    test("a persisted request resolver asks its source for what is not stored, in any process", () =>
      Effect.gen(function*() {
        const asked: Array<ReadonlyArray<number>> = []
        const source = RequestResolver.makeBatched((requests: ReadonlyArray<FindUser>) => {
          asked.push(requests.map(({ id }) => id))
          return Effect.forEach(requests, (request) =>
            Request.complete(
              request,
              request.id > 0 ? Exit.succeed({ id: request.id, at: new Date(5) }) : Exit.fail("none")
            ), { discard: true })
        })
        /** What a process answers: each has a resolver of its own. */
        const find = (...ids: ReadonlyArray<number>) =>
          Effect.flatMap(
            persisted(source, { storeId: "users", timeToLive: () => "5 minutes" }),
            (resolver) =>
              Effect.forEach(ids, (id) => Effect.either(Effect.request(new FindUser({ id }), resolver)), {
                batching: true
              })
          )
        const user = (id: number) => Either.right({ id, at: new Date(5) })
        assert.deepStrictEqual(yield* find(1, 2, -1), [user(1), user(2), Either.left("none")])
        assert.deepStrictEqual(yield* find(2, 3, -1), [user(2), user(3), Either.left("none")])
        assert.deepStrictEqual(asked, [[1, 2, -1], [3]])
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(yield* find(1), [user(1)])
        assert.deepStrictEqual(asked[2], [1])
      }).pipe(
        Effect.withRequestCaching(false),
        Effect.provide(Layer.provide(Persistence.layerResult, Interop.layerBackingPersistence))
      ))
  }

  overBackends(define)
  over([{
    name: "Redis Cluster",
    layer: Layer.unwrapScoped(
      Effect.map(ClusterServers.make({ replicas: 0 }), ({ addresses }) => RedisCluster.layer({ nodes: addresses }))
    )
  }], define)
})
