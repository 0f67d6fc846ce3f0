import { assert, describe, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as RedisBus from "effect-caching/backends/RedisBus"
import * as Tiered from "effect-caching/backends/Tiered"
import * as Cache from "effect-caching/Cache"
import * as InvalidationBus from "effect-caching/InvalidationBus"
import { Conformance, Faulty } from "effect-caching/testing"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { Redis as Client } from "ioredis"
import { redisForFile, yielding } from "../support/overBackends.js"
import { makeSource, taggedUsers, users } from "../support/source.js"

const redis = redisForFile()
const bus = Layer.suspend(() => RedisBus.layer({ url: redis.server().url }))

describe("Memory before Redis", () => {
  Conformance.register({ describe, it }, Tiered.layer({ local: Memory.layer(), remote: redis.layer() }))
})
describe("Memory before Redis, with a bus", () => {
  Conformance.register({ describe, it }, Tiered.layer({ local: Memory.layer(), remote: redis.layer(), bus }))
})
describe("Memory before a derived store", () => {
  Conformance.register({ describe, it }, Tiered.layer({ local: Memory.layer(), remote: yielding(true) }))
})
describe("Memory of bytes before a derived store, with a bus", () => {
  Conformance.register(
    { describe, it },
    Tiered.layer({
      local: Memory.layer({ storage: "bytes" }),
      remote: yielding(true),
      bus: InvalidationBus.layerInProcess
    })
  )
})
describe("a derived store before Redis", () => {
  Conformance.register({ describe, it }, Tiered.layer({ local: yielding(false), remote: redis.layer() }))
})

let shares = 0
const share = () => `tiered${shares++}:`

/** The remote tier of a test, as the tiers and as the test sees it. */
const derived = Effect.map(Layer.build(yielding(true)), (context) => Context.get(context, Backend.CacheBackend))

/** A backend whose operations can be held up once: before they are done, or when they are and have not answered. */
const gated = (self: Backend.Backend) => {
  const gates = new Map<string, { readonly reached: Deferred.Deferred<void>; readonly gate: Deferred.Deferred<void> }>()
  const pass = (place: string) =>
    Effect.suspend(() => {
      const found = gates.get(place)
      gates.delete(place)
      return found === undefined
        ? Effect.void
        : Effect.zipRight(Deferred.succeed(found.reached, undefined), Deferred.await(found.gate))
    })
  const backend = Backend.around(
    self,
    (method, operation) => Effect.zipRight(pass(`before ${method}`), Effect.zipLeft(operation, pass(`after ${method}`)))
  )
  const hold = (method: keyof Backend.Operations, when: "before" | "after" = "after") =>
    Effect.gen(function*() {
      const held = { reached: yield* Deferred.make<void>(), gate: yield* Deferred.make<void>() }
      gates.set(`${when} ${method}`, held)
      return { reached: Deferred.await(held.reached), letGo: Deferred.succeed(held.gate, undefined) }
    })
  return { backend, hold }
}

const on = (backend: Backend.Backend) => Effect.provideService(Backend.CacheBackend, backend)

/** How often each operation of the backend was called. */
const counted = (self: Backend.Backend) => {
  const calls: Array<string> = []
  const backend = Backend.around(self, (method, operation) =>
    Effect.suspend(() => {
      calls.push(method)
      return operation
    }))
  return { backend, calls, take: () => calls.splice(0) }
}

describe("what is read while it is changed", () => {
  const changes = {
    remove: Cache.invalidate(users, 1),
    clear: Cache.clear(users),
    "invalidation of a tag": Cache.invalidateTags(["user:1"]),
    set: Cache.set(users, 1, { id: 1, name: "Grace" })
  }
  for (const [name, change] of Object.entries(changes)) {
    for (const method of ["get", "refreshTags"] as const) {
      it.scoped(`a read that had its answer of ${method} before a ${name} ended does not bring it back`, () =>
        Effect.gen(function*() {
          const remote = gated(yield* derived)
          const backend = yield* Tiered.make({ local: yield* Memory.make(), remote: remote.backend })
          yield* Effect.gen(function*() {
            const source = makeSource()
            yield* Cache.getOrSet(users, 1, source.load(1))
            // The local copy is over, the remote entry is not.
            yield* TestClock.adjust("20 seconds")
            const held = yield* remote.hold(method)
            const reading = yield* Effect.fork(Cache.getOrSet(users, 1, source.load(1)))
            yield* held.reached
            source.name = "Grace"
            yield* change
            yield* held.letGo
            yield* Fiber.join(reading)
            assert.strictEqual((yield* Cache.getOrSet(users, 1, source.load(1))).name, "Grace")
            assert.strictEqual((yield* Cache.getOrSet(users, 1, source.load(1))).name, "Grace")
          }).pipe(on(backend))
        }))

      it.scoped(`nor does one whose process was told of the ${name} by another (${method})`, () =>
        Effect.gen(function*() {
          const store = yield* derived
          const remote = gated(store)
          const bus = yield* InvalidationBus.inProcess
          const here = yield* Tiered.make({ local: yield* Memory.make(), remote: remote.backend, bus })
          const there = yield* Tiered.make({ local: yield* Memory.make(), remote: store, bus })
          const source = makeSource()
          const find = Cache.getOrSet(users, 1, source.load(1))
          yield* find.pipe(on(there))
          const held = yield* remote.hold(method)
          const reading = yield* Effect.fork(find.pipe(on(here)))
          yield* held.reached
          source.name = "Grace"
          yield* change.pipe(on(there))
          yield* held.letGo
          yield* Fiber.join(reading)
          assert.strictEqual((yield* find.pipe(on(here))).name, "Grace")
        }))
    }
  }

  for (const [name, change] of Object.entries(changes)) {
    it.scoped(`a copy that is being written while a ${name} is made is not left behind`, () =>
      Effect.gen(function*() {
        const local = gated(yield* derived)
        const store = yield* derived
        const backend = yield* Tiered.make({ local: local.backend, remote: store })
        const other = yield* Tiered.make({ local: yield* Memory.make(), remote: store })
        const source = makeSource()
        const find = Cache.getOrSet(users, 1, source.load(1)).pipe(on(backend))
        yield* Cache.getOrSet(users, 1, source.load(1)).pipe(on(other))
        const held = yield* local.hold("set", "before")
        const reading = yield* Effect.fork(find)
        yield* held.reached
        source.name = "Grace"
        const changing = yield* Effect.fork(change.pipe(on(backend)))
        yield* Effect.repeatN(Effect.yieldNow(), 200)
        yield* held.letGo
        yield* Fiber.join(reading)
        yield* Fiber.join(changing)
        assert.strictEqual((yield* find).name, "Grace")
      }))
  }

  it.scoped("of two writes at once the local tier has the one that the remote tier has, or none", () =>
    Effect.gen(function*() {
      const remote = gated(yield* derived)
      const backend = yield* Tiered.make({ local: yield* Memory.make(), remote: remote.backend })
      yield* Effect.gen(function*() {
        // The first is stored before the second and answers after it.
        const held = yield* remote.hold("set")
        const first = yield* Effect.fork(Cache.set(users, 1, { id: 1, name: "first" }))
        yield* held.reached
        yield* Cache.set(users, 1, { id: 1, name: "second" })
        yield* held.letGo
        yield* Fiber.join(first)
        assert.strictEqual(Option.getOrThrow(yield* Cache.get(users, 1)).name, "second")
      }).pipe(on(backend))
    }))

  it.scoped("an interrupted write leaves nothing here that is not there", () =>
    Effect.gen(function*() {
      const store = yield* derived
      const remote = gated(store)
      const backend = yield* Tiered.make({ local: yield* Memory.make(), remote: remote.backend })
      yield* Effect.gen(function*() {
        yield* Cache.set(users, 1, { id: 1, name: "Ada" })
        const held = yield* remote.hold("set")
        const writing = yield* Effect.fork(Cache.set(users, 1, { id: 1, name: "Grace" }))
        yield* held.reached
        yield* Fiber.interrupt(writing)
        assert.strictEqual(Option.getOrThrow(yield* Cache.get(users, 1)).name, "Grace")
      }).pipe(on(backend))
    }))
})

describe("the local tier", () => {
  const setUp = (options: Partial<Tiered.Tiers> = {}) =>
    Effect.gen(function*() {
      const remote = counted(yield* derived)
      const local = yield* Memory.make()
      const backend = yield* Tiered.make({ local, remote: remote.backend, ...options })
      return { local, remote, backend }
    })

  it.scoped("answers a hit without asking the remote one, whatever its tags", () =>
    Effect.gen(function*() {
      const { backend, remote } = yield* setUp()
      const source = makeSource()
      yield* Cache.getOrSet(users, 1, source.load(1)).pipe(on(backend))
      yield* Cache.getOrSet(taggedUsers, 1, source.load(1)).pipe(on(backend))
      remote.take()
      for (let i = 0; i < 10; i++) {
        yield* Cache.getOrSet(users, 1, source.load(1)).pipe(on(backend))
        yield* Cache.get(taggedUsers, 1).pipe(on(backend))
      }
      assert.deepStrictEqual(remote.calls, [])
    }))

  it.scoped("answers without a fiber where it can, and not at all where it cannot", () =>
    Effect.gen(function*() {
      assert.isDefined((yield* setUp()).backend.unsafe)
      assert.isUndefined((yield* setUp({ local: yield* Memory.make({ storage: "bytes" }) })).backend.unsafe)
      assert.isUndefined((yield* setUp({ local: yield* derived })).backend.unsafe)
    }))

  it.scoped("of bytes answers tagged entries too", () =>
    Effect.gen(function*() {
      const { backend, remote } = yield* setUp({ local: yield* Memory.make({ storage: "bytes" }) })
      const source = makeSource()
      yield* Cache.getOrSet(users, 1, source.load(1)).pipe(on(backend))
      remote.take()
      yield* Cache.getOrSet(users, 1, source.load(1)).pipe(on(backend))
      assert.deepStrictEqual(remote.calls, [])
      yield* Cache.invalidateTags(["user:1"]).pipe(on(backend))
      source.name = "Grace"
      assert.strictEqual((yield* Cache.getOrSet(users, 1, source.load(1)).pipe(on(backend))).name, "Grace")
    }))

  it.scoped("serves what another process changed for localTimeToLive and no longer", () =>
    Effect.gen(function*() {
      const store = yield* derived
      const here = yield* Tiered.make({ local: yield* Memory.make(), remote: store, localTimeToLive: "5 seconds" })
      const there = yield* Tiered.make({ local: yield* Memory.make(), remote: store })
      const changes = [
        Cache.invalidate(taggedUsers, 1),
        Cache.clear(taggedUsers),
        Cache.invalidateTags(["users"])
      ]
      for (const [round, change] of changes.entries()) {
        const source = makeSource()
        const find = Cache.getOrSet(taggedUsers, 1, source.load(1))
        yield* find.pipe(on(here))
        yield* TestClock.adjust("3 seconds")
        source.name = `Grace ${round}`
        yield* change.pipe(on(there))
        yield* TestClock.adjust(1_999)
        assert.strictEqual((yield* find.pipe(on(here))).name, "Ada")
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* find.pipe(on(here))).name, `Grace ${round}`)
        yield* change.pipe(on(here))
      }
    }))

  it.scoped("serves a tag's old entries no longer where they are read late", () =>
    Effect.gen(function*() {
      const store = yield* derived
      const here = yield* Tiered.make({ local: yield* Memory.make(), remote: store, localTimeToLive: "5 seconds" })
      const there = yield* Tiered.make({ local: yield* Memory.make(), remote: store })
      const source = makeSource()
      const find = (id: number) => Cache.getOrSet(taggedUsers, id, source.load(id))
      yield* find(1).pipe(on(there))
      yield* find(2).pipe(on(there))
      yield* find(1).pipe(on(here))
      yield* TestClock.adjust("4 seconds")
      yield* Cache.invalidateTags(["users"]).pipe(on(there))
      source.name = "Grace"
      // What is known of the tag is four seconds old: not good enough for what is read now.
      assert.strictEqual((yield* find(2).pipe(on(here))).name, "Grace")
    }))

  it.scoped("counts the time of what it loads from when its tags were read", () =>
    Effect.gen(function*() {
      const store = yield* derived
      const here = yield* Tiered.make({ local: yield* Memory.make(), remote: store, localTimeToLive: "5 seconds" })
      const there = yield* Tiered.make({ local: yield* Memory.make(), remote: store })
      const source = makeSource(Effect.sleep("3 seconds"))
      const find = Cache.getOrSet(taggedUsers, 1, source.load(1)).pipe(on(here))
      const loading = yield* Effect.fork(find)
      yield* TestClock.adjust("1 seconds")
      source.name = "Grace"
      yield* Cache.invalidateTags(["users"]).pipe(on(there))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(loading)
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual((yield* find).name, "Ada")
      yield* TestClock.adjust("1 millis")
      const loadingAgain = yield* Effect.fork(find)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(loadingAgain)).name, "Grace")
    }))

  it.scoped("keeps the times of an entry, and hides no newer one behind a stale copy", () =>
    Effect.gen(function*() {
      const store = yield* derived
      const here = yield* Tiered.make({ local: yield* Memory.make(), remote: store, localTimeToLive: "1 hour" })
      const there = yield* Tiered.make({ local: yield* Memory.make(), remote: store, localTimeToLive: "1 hour" })
      yield* Cache.set(taggedUsers, 1, { id: 1, name: "Ada" }).pipe(on(here))
      const found = yield* Cache.lookup(taggedUsers, 1).pipe(on(here))
      assert.deepInclude(found, { _tag: "Hit", loadedAt: 0, freshUntil: 60_000 })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Cache.lookup(taggedUsers, 1).pipe(on(here)))._tag, "Stale")
      yield* Cache.set(taggedUsers, 1, { id: 1, name: "Grace" }).pipe(on(there))
      assert.deepInclude(yield* Cache.lookup(taggedUsers, 1).pipe(on(here)), { _tag: "Hit", loadedAt: 60_000 })
    }))

  it.scoped("has no copies of counters", () =>
    Effect.gen(function*() {
      const store = yield* derived
      const [here, there] = yield* Effect.all([
        Tiered.make({ local: yield* Memory.make(), remote: store }),
        Tiered.make({ local: yield* Memory.make(), remote: store })
      ])
      const views = Cache.make({ name: "views", schema: Schema.Number, timeToLive: "1 hour" })
      for (let i = 1; i < 5; i++) {
        assert.strictEqual(yield* Cache.increment(views, "home", 1).pipe(on(i % 2 === 0 ? here : there)), i)
        assert.deepStrictEqual(yield* Cache.get(views, "home").pipe(on(here)), Option.some(i))
        assert.deepStrictEqual(yield* Cache.get(views, "home").pipe(on(there)), Option.some(i))
      }
    }))

  it.scoped("serves what is fresh while the remote one is down, and then fails or loads", () =>
    Effect.gen(function*() {
      const { backend: remote, control } = yield* Faulty.make(yield* derived)
      const backend = yield* Tiered.make({ local: yield* Memory.make(), remote })
      const source = makeSource()
      yield* Cache.getOrSet(users, 1, source.load(1)).pipe(on(backend))
      yield* control.inject(Faulty.fail("Connection"))
      assert.strictEqual((yield* Cache.get(users, 1).pipe(on(backend)))._tag, "Some")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Cache.invalidate(users, 1).pipe(on(backend)))))
      // Whether that was done is not known: what is here is not trusted any more.
      source.name = "Grace"
      assert.strictEqual((yield* Cache.getOrSet(users, 1, source.load(1)).pipe(on(backend))).name, "Grace")
    }))

  it.live("that fails is not read, and serves nothing that it could not remove", () =>
    Effect.gen(function*() {
      const { backend: local, control } = yield* Faulty.make(yield* derived)
      const backend = yield* Tiered.make({ local, remote: yield* derived })
      const source = makeSource()
      const find = Cache.getOrSet(users, 1, source.load(1)).pipe(on(backend))
      yield* find
      yield* control.inject(Faulty.fail("Unknown"))
      assert.strictEqual((yield* find).name, "Ada")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Cache.invalidate(users, 1).pipe(on(backend)))))
      source.name = "Grace"
      assert.strictEqual((yield* find).name, "Grace")
      yield* control.heal
      assert.strictEqual((yield* find).name, "Grace")
      assert.strictEqual(source.loads, 2)
    }).pipe(Effect.scoped))

  it.scoped("is one for each backend, though the layer is the same", () =>
    Effect.gen(function*() {
      const local = Memory.layer()
      const [one, other] = yield* Effect.all(
        [yielding(true), yielding(true)].map((remote) =>
          Effect.map(Layer.build(Tiered.layer({ local, remote })), Context.get(Backend.CacheBackend))
        )
      )
      yield* Cache.set(users, 1, { id: 1, name: "Ada" }).pipe(on(one!))
      assert.isTrue(Option.isNone(yield* Cache.get(users, 1).pipe(on(other!))))
    }))

  it.scoped("wants a bound that is one", () =>
    Effect.gen(function*() {
      const remote = yield* derived
      const local = yield* Memory.make()
      for (const localTimeToLive of [0, -1, Infinity, NaN]) {
        const exit = yield* Effect.exit(Tiered.make({ local, remote, localTimeToLive }))
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.match(String(defect), /localTimeToLive must be/)
      }
    }))
})

describe("layerConfig", () => {
  it.scoped("takes its bound from the configuration", () =>
    Effect.gen(function*() {
      const remote = yield* derived
      const layer = Tiered.layerConfig(
        { local: Memory.layer(), remote: Layer.succeed(Backend.CacheBackend, remote) },
        { localTimeToLive: Config.duration("LOCAL") }
      )
      const nameOf = Effect.map(Cache.get(users, 1), (user) => Option.getOrThrow(user).name)
      yield* Effect.gen(function*() {
        yield* Cache.set(users, 1, { id: 1, name: "Ada" })
        yield* Cache.set(users, 1, { id: 1, name: "Grace" }).pipe(on(remote))
        yield* TestClock.adjust("29 seconds")
        assert.strictEqual(yield* nameOf, "Ada")
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(yield* nameOf, "Grace")
      }).pipe(
        Effect.provide(layer),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["LOCAL", "30 seconds"]])))
      )
    }))

  it.scoped("fails where the configuration cannot be meant", () =>
    Effect.gen(function*() {
      const layer = Tiered.layerConfig(
        { local: Memory.layer(), remote: yielding(true) },
        { localTimeToLive: Config.succeed("0 seconds") }
      )
      const error = yield* Effect.flip(Effect.provide(Backend.CacheBackend, layer))
      assert.match(String(error), /localTimeToLive must be more than zero, and finite/)
    }))
})

describe("on a server", () => {
  /** The commands that the server has been given, but for those of the test. */
  const commands = (client: Client) =>
    Effect.promise(async () => {
      const stats = await client.info("commandstats")
      return Array.from(stats.matchAll(/cmdstat_(\S+?):calls=(\d+)/g))
        .filter(([, name]) => name !== "info")
        .reduce((sum, [, , calls]) => sum + Number(calls), 0)
    })

  const connect = Effect.acquireRelease(
    Effect.sync(() => new Client(redis.server().url)),
    (client) => Effect.sync(() => client.disconnect())
  )

  it.live("a local hit sends no command, and an entry is decoded once in a process", () =>
    Effect.gen(function*() {
      let decoded = 0
      const Counted = Schema.transform(Schema.String, Schema.String, {
        decode: (text) => {
          decoded++
          return text
        },
        encode: (text) => text
      })
      const pages = Cache.make({ name: "page", schema: Counted, timeToLive: "1 hour", tags: ["pages", "all"] })
      const client = yield* connect
      const prefix = share()
      const layer = Layer.suspend(() =>
        Tiered.layer({ local: Memory.layer(), remote: redis.layer(prefix), localTimeToLive: "200 millis" })
      )
      const [here, there] = yield* Effect.all([Layer.build(layer), Layer.build(layer)])
      const find = Cache.getOrSet(pages, "home", Effect.succeed("<p>"))
      yield* Effect.provide(find, there)
      assert.strictEqual(yield* Effect.provide(find, here), "<p>")
      assert.strictEqual(decoded, 1)
      const before = yield* commands(client)
      yield* Effect.repeatN(Effect.provide(find, here), 99)
      assert.strictEqual(yield* commands(client), before)
      assert.strictEqual(decoded, 1)
      // Read again when the copy is over, and not decoded again, as it is the same.
      const asked = Effect.zipRight(Effect.provide(find, here), commands(client))
      yield* Effect.repeat(asked, Schedule.recurUntil((sent: number) => sent > before))
      assert.strictEqual(yield* Effect.provide(find, here), "<p>")
      assert.strictEqual(decoded, 1)
    }).pipe(Effect.scoped))

  it.scoped("what comes with its lease is outdated, and not copied, whatever is known of its tags", () =>
    Effect.gen(function*() {
      const prefix = share()
      const there = Context.get(yield* Layer.build(redis.layer(prefix)), Backend.CacheBackend)
      const local = yield* Memory.make()
      const here = yield* Tiered.make({ local, remote: there })
      yield* Cache.getOrSet(taggedUsers, 1, makeSource().load(1)).pipe(on(there))
      yield* here.tagVersions(["users"])
      yield* Cache.invalidateTags(["users"]).pipe(on(there))
      const key = Cache.cacheKey(taggedUsers, 1)
      const { token } = yield* Effect.uninterruptible(here.getOrLease!(key, Duration.minutes(1), []))
      assert.isTrue(Option.isSome(token))
      assert.deepStrictEqual(yield* local.get(key), Option.none())
    }))

  it.live("a lease ends with its process, though hits are answered in this one", () =>
    Effect.gen(function*() {
      const prefix = share()
      const here = yield* Layer.build(Tiered.layer({ local: Memory.layer(), remote: redis.layer(prefix) }))
      const client = yield* connect
      const gate = yield* Deferred.make<void>()
      const reading = yield* Deferred.make<void>()
      const source = makeSource(Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(gate)))
      const loading = yield* Effect.fork(Effect.provide(Cache.getOrSet(users, 1, source.load(1)), here))
      yield* Deferred.await(reading)
      const [lease] = yield* Effect.promise(() => client.keys(`*${prefix}*~lease`))
      const left = yield* Effect.promise(() => client.pttl(lease!))
      assert.isTrue(left > 0 && left <= Duration.toMillis("1 second"))
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(loading)
    }).pipe(Effect.scoped))
})
