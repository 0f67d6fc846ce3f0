/** What operations cost, as the table in docs/backends.md has it. */
import { assert, describe, it } from "@effect/vitest"
import { type Backend, type BackendError, CacheBackend } from "effect-caching/Backend"
import * as Memcached from "effect-caching/backends/Memcached"
import * as Redis from "effect-caching/backends/Redis"
import * as Uwsgi from "effect-caching/backends/Uwsgi"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as FaultProxy from "../support/faultProxy.js"
import { entry, minute } from "../support/faults.js"
import * as MemcachedServer from "../support/memcachedServer.js"
import * as RedisServer from "../support/redisServer.js"
import * as UwsgiServer from "../support/uwsgiServer.js"

const number = { schema: Schema.Number, key: (id: string) => id, timeToLive: "1 minute" } as const
const plain = Cache.make({ name: "plain", ...number })
const tagged = Cache.make({ name: "tagged", ...number, tags: ["tag"] })

/** What `count` counts while each operation runs. */
const costs = (
  backend: Backend,
  count: Effect.Effect<number>
): Effect.Effect<Record<string, number>, BackendError> =>
  Effect.gen(function*() {
    const cost = (operation: Effect.Effect<unknown, BackendError>) =>
      Effect.gen(function*() {
        const before = yield* count
        yield* operation
        return (yield* count) - before
      })
    const items = ["x", "y", "z"].map((key) => [key, entry("1"), minute] as const)
    const lease = (key: string) => Effect.map(backend.lease(key, minute), ({ token }) => Option.getOrThrow(token))
    const cached = (cache: typeof plain, id: string) =>
      Effect.provideService(Cache.getOrSet(cache, id, Effect.succeed(1)), CacheBackend, backend)
    const all = (round: string) =>
      Effect.gen(function*() {
        const [renewed, filled] = [yield* lease(`renewed${round}`), yield* lease(`filled${round}`)]
        return {
          set: yield* cost(backend.set("a", entry("1"), minute)),
          get: yield* cost(backend.get("a")),
          "get, absent": yield* cost(backend.get("absent")),
          has: yield* cost(backend.has("a")),
          setMany: yield* cost(backend.setMany(items)),
          getMany: yield* cost(backend.getMany(["x", "y", "z"])),
          removeMany: yield* cost(backend.removeMany(["x", "y", "z"])),
          remove: yield* cost(backend.remove("a")),
          add: yield* cost(backend.add(`added${round}`, entry("1"), minute)),
          increment: yield* cost(backend.increment("n", 1, minute)),
          lease: yield* cost(backend.lease(`leased${round}`, minute)),
          renew: yield* cost(backend.renew(`renewed${round}`, renewed, minute)),
          fill: yield* cost(backend.fill(`filled${round}`, filled, entry("1"), minute)),
          tagVersions: yield* cost(backend.tagVersions(["tag"])),
          invalidateTags: yield* cost(backend.invalidateTags(["other"], "hard")),
          "cached call, miss": yield* cost(cached(plain, round)),
          "cached call, hit": yield* cost(cached(plain, round)),
          "tagged call, miss": yield* cost(cached(tagged, round)),
          "tagged call, hit": yield* cost(cached(tagged, round)),
          clear: yield* cost(backend.clear("a"))
        }
      })
    // Scripts, lists of what was cleared and the tag's version are there afterwards.
    yield* all("first")
    yield* backend.get("a")
    return yield* all("second")
  })

/** To Memcached and Redis in round trips, to uWSGI in requests, as each is a connection. */
const ofOperations: Readonly<Record<string, readonly [memcached: number, redis: number, uwsgi: number]>> = {
  get: [1, 1, 2],
  "get, absent": [1, 1, 2],
  has: [1, 1, 2],
  getMany: [1, 1, 4],
  set: [1, 1, 6],
  setMany: [1, 1, 16],
  add: [1, 1, 9],
  remove: [2, 1, 7],
  removeMany: [2, 1, 19],
  increment: [2, 1, 7],
  lease: [1, 1, 7],
  renew: [2, 1, 5],
  fill: [2, 1, 6],
  tagVersions: [1, 1, 3],
  invalidateTags: [2, 1, 7],
  clear: [2, 3, 4]
}

const ofCalls: Readonly<Record<string, readonly [memcached: number, uwsgi: number]>> = {
  "cached call, hit": [1, 2],
  "cached call, miss": [4, 15],
  "tagged call, hit": [2, 5],
  "tagged call, miss": [5, 18]
}

const column = <Row extends ReadonlyArray<number>>(table: Readonly<Record<string, Row>>, index: number) =>
  Object.fromEntries(Object.entries(table).map(([name, row]) => [name, row[index]]))

describe("costs", () => {
  it.scopedLive("of Memcached are as they are written down", () =>
    Effect.gen(function*() {
      const proxy = yield* FaultProxy.make(yield* MemcachedServer.make())
      const backend = yield* Memcached.make({ servers: [`${proxy.host}:${proxy.port}`] })
      assert.deepStrictEqual(yield* costs(backend, proxy.roundTrips), {
        ...column(ofOperations, 0),
        ...column(ofCalls, 0)
      })
    }))

  it.scopedLive("of Redis are as they are written down", () =>
    Effect.gen(function*() {
      const proxy = yield* FaultProxy.make(yield* RedisServer.make())
      const backend = yield* Redis.make({ url: `redis://${proxy.host}:${proxy.port}` })
      const measured = yield* costs(backend, proxy.roundTrips)
      const operations = Object.entries(measured).filter(([name]) => name in ofOperations)
      assert.deepStrictEqual(Object.fromEntries(operations), column(ofOperations, 1))
    }))

  it.scopedLive("of uWSGI are as they are written down", () =>
    Effect.gen(function*() {
      const proxy = yield* FaultProxy.make(yield* UwsgiServer.make())
      const backend = yield* Uwsgi.make({ port: proxy.port })
      assert.deepStrictEqual(yield* costs(backend, proxy.roundTrips), {
        ...column(ofOperations, 2),
        ...column(ofCalls, 1)
      })
    }))
})
