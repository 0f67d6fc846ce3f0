import { assert, describe, it, vi } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as RedisBus from "effect-caching/backends/RedisBus"
import * as Tiered from "effect-caching/backends/Tiered"
import * as Cache from "effect-caching/Cache"
import * as InvalidationBus from "effect-caching/InvalidationBus"
import { Faulty } from "effect-caching/testing"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { Redis as Client } from "ioredis"
import * as FaultProxy from "../support/faultProxy.js"
import { redisForFile, yielding } from "../support/overBackends.js"
import { makeSource, taggedUsers, users } from "../support/source.js"

const redis = redisForFile()
let shares = 0

type Process = Context.Context<Backend.CacheBackend>

/** What stands for a process: a local tier of its own before the one Redis, and a bus. */
const processOf = (prefix: string, options: {
  readonly bus?: RedisBus.Options | false
  readonly localTimeToLive?: Tiered.Settings["localTimeToLive"]
} = {}) =>
  Effect.suspend(() =>
    Layer.build(Tiered.layer({
      local: Memory.layer(),
      remote: redis.layer(prefix),
      bus: options.bus === false
        ? undefined
        : RedisBus.layer({ url: redis.server().url, channel: `${prefix}bus`, ...options.bus }),
      localTimeToLive: options.localTimeToLive ?? "1 hour"
    }))
  )

const pair = (options?: Parameters<typeof processOf>[1]) =>
  Effect.gen(function*() {
    const prefix = `bus${shares++}:`
    return { here: yield* processOf(prefix, options), there: yield* processOf(prefix, options), prefix }
  })

/** Through a proxy, so that a connection can be spoiled. */
const proxied = Effect.suspend(() => FaultProxy.make({ port: redis.server().port }))

const nextTurn = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 1)))

/** How many milliseconds it takes until `isDone`; fails after `limit`. */
const millisUntil = <E, R>(limit: number, isDone: Effect.Effect<boolean, E, R>) =>
  Effect.gen(function*() {
    const start = performance.now()
    while (!(yield* isDone)) {
      if (performance.now() - start > limit) return assert.fail(`it was not so within ${limit} ms`)
      yield* nextTurn
    }
    return performance.now() - start
  })

const count = (metric: Metric.Metric.Counter<number>, labels: Record<string, string>) =>
  Effect.map(
    Metric.value(Object.entries(labels).reduce((metric, [key, value]) => Metric.tagged(metric, key, value), metric)),
    (state) => state.count
  )

const faults = (fault: string, bus = "redis") => count(InvalidationBus.faults, { bus, fault })

const changes: Record<string, Effect.Effect<unknown, unknown, Backend.CacheBackend>> = {
  "an invalidation by key": Cache.invalidate(taggedUsers, 1),
  "an invalidation by key among many": Cache.invalidateMany(taggedUsers, [3, 2, 1]),
  "an invalidation by tag": Cache.invalidateTags(["users"]),
  "a clear": Cache.clear(taggedUsers),
  "a set": Cache.set(taggedUsers, 1, { id: 1, name: "Grace" }),
  "a refresh": Cache.refresh(taggedUsers, 1, Effect.succeed({ id: 1, name: "Grace" }))
}

describe("two processes", () => {
  for (const [name, change] of Object.entries(changes)) {
    it.live(`with a bus: ${name} in one is seen in the other within 100 milliseconds`, () =>
      Effect.gen(function*() {
        const { here, there } = yield* pair()
        const source = makeSource()
        const find = Effect.provide(Cache.getOrSet(taggedUsers, 1, source.load(1)), here)
        const times: Array<number> = []
        for (let round = 0; round < 9; round++) {
          source.name = "Ada"
          yield* Effect.provide(Cache.set(taggedUsers, 1, { id: 1, name: "Ada" }), there)
          yield* millisUntil(5_000, Effect.map(find, ({ name }) => name === "Ada"))
          source.name = "Grace"
          yield* Effect.provide(change, there)
          times.push(yield* millisUntil(5_000, Effect.map(find, ({ name }) => name === "Grace")))
        }
        // The median: on a busy machine any one may wait its turn.
        assert.isBelow(times.toSorted((a, b) => a - b)[4]!, 100)
      }).pipe(Effect.scoped))

    it.live(`without one: ${name} in one is seen in the other within localTimeToLive`, () =>
      Effect.gen(function*() {
        const { here, there } = yield* pair({ bus: false, localTimeToLive: "200 millis" })
        const source = makeSource()
        const find = Effect.provide(Cache.getOrSet(taggedUsers, 1, source.load(1)), here)
        yield* find
        yield* find
        source.name = "Grace"
        yield* Effect.provide(change, there)
        const changedAt = performance.now()
        let isSeen = false
        while (!isSeen) {
          const age = performance.now() - changedAt
          isSeen = (yield* find).name === "Grace"
          if (!isSeen) assert.isAtMost(age, 201)
          yield* nextTurn
        }
      }).pipe(Effect.scoped))
  }

  it.live("with a bus: a tag made stale in one is stale in the other", () =>
    Effect.gen(function*() {
      const { here, there } = yield* pair()
      const source = makeSource()
      yield* Effect.provide(Cache.getOrSet(taggedUsers, 1, source.load(1)), here)
      yield* Effect.provide(Cache.invalidateTags(["users"], { mode: "soft" }), there)
      const state = Effect.map(Effect.provide(Cache.lookup(taggedUsers, 1), here), (found) => found._tag)
      yield* millisUntil(1_000, Effect.map(state, (tag) => tag === "Stale"))
    }).pipe(Effect.scoped))

  it.live("tell each other nothing of loads of what was not there, and of increments later", () =>
    Effect.gen(function*() {
      const { here, there, prefix } = yield* pair()
      const heard: Array<string> = []
      const bus = yield* RedisBus.make({ url: redis.server().url, channel: `${prefix}bus` })
      yield* bus.subscribe({ onMessage: (message) => heard.push(message), onSubscribed: () => {}, onLost: () => {} })
      const source = makeSource()
      for (let id = 0; id < 20; id++) yield* Effect.provide(Cache.getOrSet(users, id, source.load(id)), here)
      yield* Effect.provide(Cache.invalidate(users, 1), there)
      yield* millisUntil(1_000, Effect.sync(() => heard.length > 0))
      assert.strictEqual(heard.length, 1)
      assert.notInclude(heard[0], "Ada")
    }).pipe(Effect.scoped))

  it.live("whatever runs between: what one has invalidated the other does not serve half a second later", () =>
    Effect.gen(function*() {
      const { here, there } = yield* pair()
      const written = [0, 0, 0, 0, 0]
      const source = (id: number) => Effect.suspend(() => Effect.succeed({ id, name: String(written[id]) }))
      const find = (id: number, process: Process) =>
        Effect.map(Effect.provide(Cache.getOrSet(users, id, source(id)), process), ({ name }) => Number(name))
      const ended: Array<{ readonly id: number; readonly version: number; readonly at: number }> = []
      const processes = [here, there]
      let isOver = false
      const reader = (process: Process) =>
        Effect.gen(function*() {
          while (!isOver) {
            const due = performance.now() - 500
            const known = ended.filter(({ at }) => at < due).slice(-20)
            for (const { id, version } of known) assert.isAtLeast(yield* find(id, process), version)
            yield* Effect.yieldNow()
          }
        })
      const writer = Effect.gen(function*() {
        for (let round = 0; round < 300; round++) {
          const id = round % written.length
          const version = ++written[id]!
          const how = round % 3 === 0 ? Cache.invalidate(users, id) : Cache.invalidateTags([`user:${id}`])
          yield* Effect.provide(how, processes[round % 2]!)
          ended.push({ id, version, at: performance.now() })
          if (round % 4 === 0) yield* nextTurn
        }
        yield* millisUntil(5_000, Effect.sync(() => performance.now() - ended[ended.length - 1]!.at > 600))
        isOver = true
      })
      yield* Effect.all([reader(here), reader(there), writer], { concurrency: "unbounded" })
    }).pipe(Effect.scoped))
})

describe("a bus that is cut", () => {
  it.live("for 300 milliseconds while 100 invalidations are made loses none of them", () =>
    Effect.gen(function*() {
      const prefix = `bus${shares++}:`
      const proxy = yield* proxied
      const here = yield* processOf(prefix, { bus: { url: `redis://127.0.0.1:${proxy.port}` } })
      const there = yield* processOf(prefix)
      const names = Array.from({ length: 100 }, () => "Ada")
      const find = (id: number) =>
        Effect.provide(Cache.getOrSet(users, id, Effect.sync(() => ({ id, name: names[id]! }))), here)
      for (let id = 0; id < 100; id++) yield* find(id)
      const before = yield* faults("lost")
      const drops = yield* count(Tiered.drops, { backend: "memory" })
      yield* proxy.setMode(FaultProxy.Mode.Refuse())
      yield* proxy.resetAll
      const start = performance.now()
      for (let id = 0; id < 100; id++) {
        names[id] = "Grace"
        yield* Effect.provide(
          id % 2 === 0 ? Cache.invalidate(users, id) : Cache.invalidateTags([`user:${id}`]),
          there
        )
      }
      // Cut off, the local tier goes on as it is.
      assert.strictEqual((yield* find(0)).name, "Ada")
      yield* millisUntil(1_000, Effect.sync(() => performance.now() - start > 300))
      yield* proxy.setMode(FaultProxy.Mode.Pass())
      const dropped = Effect.map(count(Tiered.drops, { backend: "memory" }), (now) => now > drops)
      yield* millisUntil(5_000, dropped)
      for (let id = 0; id < 100; id++) assert.strictEqual((yield* find(id)).name, "Grace")
      assert.isAbove(yield* faults("lost"), before)
    }).pipe(Effect.scoped))

  it.live("where it publishes: what could not be told is told when it is back, and no caller fails", () =>
    Effect.gen(function*() {
      const prefix = `bus${shares++}:`
      const proxy = yield* proxied
      const here = yield* processOf(prefix)
      const there = yield* processOf(prefix, { bus: { url: `redis://127.0.0.1:${proxy.port}` } })
      const names = Array.from({ length: 100 }, () => "Ada")
      const find = (id: number) =>
        Effect.provide(Cache.getOrSet(users, id, Effect.sync(() => ({ id, name: names[id]! }))), here)
      for (let id = 0; id < 100; id++) yield* find(id)
      const before = yield* faults("unsent")
      yield* proxy.setMode(FaultProxy.Mode.Refuse())
      yield* proxy.resetAll
      for (let id = 0; id < 100; id++) {
        names[id] = "Grace"
        yield* Effect.provide(Cache.invalidate(users, id), there)
      }
      assert.isAbove(yield* faults("unsent"), before)
      assert.strictEqual((yield* find(99)).name, "Ada")
      yield* proxy.setMode(FaultProxy.Mode.Pass())
      yield* millisUntil(8_000, Effect.map(find(99), ({ name }) => name === "Grace"))
      for (let id = 0; id < 100; id++) assert.strictEqual((yield* find(id)).name, "Grace")
    }).pipe(Effect.scoped))

  it.live("at the start holds up nobody, and is joined when it comes", () =>
    Effect.gen(function*() {
      const prefix = `bus${shares++}:`
      const proxy = yield* proxied
      yield* proxy.setMode(FaultProxy.Mode.Refuse())
      const start = performance.now()
      const here = yield* processOf(prefix, { bus: { url: `redis://127.0.0.1:${proxy.port}` } })
      assert.isBelow(performance.now() - start, 5_000)
      const there = yield* processOf(prefix)
      const source = makeSource()
      const find = Effect.provide(Cache.getOrSet(users, 1, source.load(1)), here)
      yield* find
      source.name = "Grace"
      yield* Effect.provide(Cache.invalidate(users, 1), there)
      assert.strictEqual((yield* find).name, "Ada")
      yield* proxy.setMode(FaultProxy.Mode.Pass())
      yield* millisUntil(8_000, Effect.map(find, ({ name }) => name === "Grace"))
    }).pipe(Effect.scoped))

  it.live("without a word is found out by asking it", () =>
    Effect.gen(function*() {
      const prefix = `bus${shares++}:`
      const proxy = yield* proxied
      const here = yield* processOf(prefix, {
        bus: { url: `redis://127.0.0.1:${proxy.port}`, pingInterval: "100 millis", commandTimeout: "200 millis" }
      })
      const there = yield* processOf(prefix)
      const source = makeSource()
      const find = Effect.provide(Cache.getOrSet(users, 1, source.load(1)), here)
      yield* find
      const before = yield* faults("lost")
      // Nothing arrives any more, and the connection stays.
      yield* proxy.setMode(FaultProxy.Mode.BlackHole({ direction: "both", resetAfter: 60_000 }))
      source.name = "Grace"
      yield* Effect.provide(Cache.invalidate(users, 1), there)
      yield* millisUntil(8_000, Effect.map(faults("lost"), (now) => now > before))
      yield* proxy.setMode(FaultProxy.Mode.Pass())
      yield* millisUntil(8_000, Effect.map(find, ({ name }) => name === "Grace"))
    }).pipe(Effect.scoped))

  it.live("stays up while it is idle: asked every few milliseconds it answers", () =>
    Effect.gen(function*() {
      const lost: Array<string> = []
      const bus = yield* RedisBus.make({ url: redis.server().url, channel: "idle", pingInterval: "5 millis" })
      yield* bus.subscribe({
        onMessage: () => {},
        onSubscribed: () => lost.push("subscribed"),
        onLost: () => lost.push("lost")
      })
      const start = performance.now()
      yield* millisUntil(1_000, Effect.sync(() => performance.now() - start > 200))
      assert.deepStrictEqual(lost, ["subscribed"])
    }).pipe(Effect.scoped))
})

describe("RedisBus", () => {
  it.live("leaves no connection and prints nothing, up or down", () =>
    Effect.gen(function*() {
      const printed = [vi.spyOn(console, "error"), vi.spyOn(console, "warn"), vi.spyOn(console, "log")]
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new Client(redis.server().url)),
        (client) => Effect.sync(() => client.disconnect())
      )
      const connections = Effect.promise(async () => String(await client.client("LIST")).trim().split("\n").length)
      const proxy = yield* proxied
      const before = yield* connections
      for (const isCut of [false, true]) {
        const scope = yield* Scope.make()
        const bus = yield* Scope.extend(RedisBus.make({ url: `redis://127.0.0.1:${proxy.port}` }), scope)
        yield* Scope.extend(
          bus.subscribe({ onMessage: () => {}, onSubscribed: () => {}, onLost: () => {} }),
          scope
        )
        assert.strictEqual(yield* connections, before + 2)
        if (isCut) {
          yield* proxy.setMode(FaultProxy.Mode.Refuse())
          yield* proxy.resetAll
          yield* nextTurn
        }
        const start = performance.now()
        yield* Scope.close(scope, Exit.void)
        assert.isBelow(performance.now() - start, 2_000)
        yield* millisUntil(1_000, Effect.map(connections, (now) => now === before))
      }
      for (const spy of printed) {
        assert.strictEqual(spy.mock.calls.length, 0)
        spy.mockRestore()
      }
    }).pipe(Effect.scoped))

  it.live("fails at the start where it must have a connection, and says why", () =>
    Effect.gen(function*() {
      const proxy = yield* proxied
      yield* proxy.setMode(FaultProxy.Mode.Refuse())
      const url = `redis://127.0.0.1:${proxy.port}`
      const error = yield* Effect.flip(RedisBus.make({ url, requireConnection: true }))
      assert.strictEqual(error.reason, "Connection")
      assert.strictEqual((yield* Effect.flip(RedisBus.make({ url: "http://localhost" }))).reason, "InvalidInput")
    }).pipe(Effect.scoped))
})

describe("messages", () => {
  /** A process on a bus that the test speaks on, and what the process has said. */
  const setUp = Effect.gen(function*() {
    const bus = yield* InvalidationBus.inProcess
    const said: Array<string> = []
    yield* bus.subscribe({ onMessage: (message) => said.push(message), onSubscribed: () => {}, onLost: () => {} })
    const remote = Context.get(yield* Layer.build(yielding(true)), Backend.CacheBackend)
    const here = yield* Tiered.make({ local: yield* Memory.make(), remote, bus })
    const source = makeSource()
    const find = Cache.getOrSet(users, 1, source.load(1)).pipe(Effect.provideService(Backend.CacheBackend, here))
    yield* find
    // Its key is what is said of it when it is invalidated.
    yield* Cache.invalidate(users, 1).pipe(Effect.provideService(Backend.CacheBackend, here))
    const key: string = JSON.parse(said[said.length - 1]!).keys[0]
    /** Whether the local copy is served. */
    const isCopied = Effect.sync(() => {
      const copy = here.unsafe!.get(key)
      return copy !== undefined && here.unsafe!.tagState(copy.tags) === "current"
    })
    // A copy that is written while what was told is carried out may go with it.
    const copyAgain = millisUntil(5_000, Effect.zipRight(find, Effect.zipRight(nextTurn, isCopied)))
    yield* copyAgain
    const isGone = millisUntil(5_000, Effect.map(isCopied, (isCopied) => !isCopied))
    return { bus, here, remote, said, key, isCopied, isGone, copyAgain }
  })

  const message = (content: object, n = 1, from = "other") => JSON.stringify({ v: 1, from, n, ...content })

  it.live("name what was changed, and every name ends a copy", () =>
    Effect.gen(function*() {
      const { bus, copyAgain, isCopied, isGone, key } = yield* setUp
      const contents = [
        { keys: ["x", key] },
        { prefixes: [key.slice(0, 4)] },
        { prefixes: [""] },
        { hard: ["user:1"] },
        { soft: ["user:1"] },
        { all: true }
      ]
      for (const [n, content] of contents.entries()) {
        yield* bus.publish(message({ keys: ["x"], prefixes: ["y"], hard: ["z"], soft: ["z"] }, 2 * n + 1))
        assert.isTrue(yield* isCopied)
        yield* bus.publish(message(content, 2 * n + 2))
        yield* isGone
        yield* copyAgain
      }
    }).pipe(Effect.scoped))

  it.live("that come twice do what they did, and one that is missing costs the whole local tier", () =>
    Effect.gen(function*() {
      const { bus, isCopied, isGone } = yield* setUp
      for (const n of [5, 5, 6, 5, 7]) yield* bus.publish(message({ keys: ["x"] }, n))
      yield* bus.publish(message({ keys: ["x"] }, 1, "another"))
      assert.isTrue(yield* isCopied)
      const before = yield* faults("gap", "in-process")
      yield* bus.publish(message({ keys: ["x"] }, 9))
      yield* isGone
      assert.strictEqual(yield* faults("gap", "in-process"), before + 1)
    }).pipe(Effect.scoped))

  it.live("that nobody can read cost the whole local tier", () =>
    Effect.gen(function*() {
      const { bus, copyAgain, isGone } = yield* setUp
      const unreadable = [
        "",
        "null",
        "hello",
        JSON.stringify({ v: 2, from: "other", n: 1, keys: [] }),
        JSON.stringify({ v: 1, from: 1, n: 1 }),
        JSON.stringify({ v: 1, from: "other", n: 1, keys: "x" }),
        JSON.stringify({ v: 1, from: "other", n: 1, hard: [1] })
      ]
      for (const text of unreadable) {
        const before = yield* faults("unreadable", "in-process")
        yield* bus.publish(text)
        yield* isGone
        assert.strictEqual(yield* faults("unreadable", "in-process"), before + 1)
        yield* copyAgain
      }
    }).pipe(Effect.scoped))

  it.live("that were lost cost what is under way too: a read, and a load with its tags", () =>
    Effect.gen(function*() {
      const { bus, here, remote } = yield* setUp
      // Tells nobody.
      const there = yield* Tiered.make({ local: yield* Memory.make(), remote })
      const reading = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const source = makeSource(Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(gate)))
      const find = Effect.provideService(Cache.getOrSet(taggedUsers, 1, source.load(1)), Backend.CacheBackend, here)
      const loading = yield* Effect.fork(find)
      yield* Deferred.await(reading)
      source.name = "Grace"
      yield* Effect.provideService(Cache.invalidateTags(["users"]), Backend.CacheBackend, there)
      yield* bus.publish("lost")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(loading)
      assert.strictEqual((yield* find).name, "Grace")

      // What the load has told others, later than it ended, must not be what ends the read.
      yield* Effect.repeatN(nextTurn, 5)
      const found = yield* Deferred.make<void>()
      const answer = yield* Deferred.make<void>()
      const slow = Backend.around(remote, (method, operation) =>
        method === "get"
          ? Effect.zipLeft(operation, Effect.zipRight(Deferred.succeed(found, undefined), Deferred.await(answer)))
          : operation)
      const another = yield* Tiered.make({ local: yield* Memory.make(), remote: slow, bus })
      const get = Effect.provideService(Cache.getOrSet(taggedUsers, 1, source.load(1)), Backend.CacheBackend, another)
      const finding = yield* Effect.fork(get)
      yield* Deferred.await(found)
      source.name = "Joan"
      yield* Effect.provideService(Cache.invalidate(taggedUsers, 1), Backend.CacheBackend, there)
      yield* bus.publish("lost")
      // The tier has been cleared when the answer comes.
      yield* Effect.repeatN(nextTurn, 5)
      yield* Deferred.succeed(answer, undefined)
      yield* Fiber.join(finding)
      assert.strictEqual((yield* get).name, "Joan")
    }).pipe(Effect.scoped))

  it.live("are sent too where nobody knows whether the change was made", () =>
    Effect.gen(function*() {
      const { bus, here, isGone, key, remote } = yield* setUp
      const { backend: losing, control } = yield* Faulty.make(remote)
      const there = yield* Tiered.make({ local: yield* Memory.make(), remote: losing, bus })
      assert.isDefined(here.unsafe!.get(key))
      yield* control.inject(Faulty.lose("Timeout"), { times: 1 })
      assert.strictEqual((yield* Effect.flip(there.remove(key))).reason, "Timeout")
      yield* isGone
    }).pipe(Effect.scoped))

  it.live("of a tag uncover what another process has loaded since", () =>
    Effect.gen(function*() {
      const { bus, here, remote } = yield* setUp
      const there = yield* Tiered.make({ local: yield* Memory.make(), remote, bus })
      const on = (backend: Backend.Backend) => Effect.provideService(Backend.CacheBackend, backend)
      yield* Cache.set(taggedUsers, 1, { id: 1, name: "Ada" }).pipe(on(here))
      yield* Cache.invalidateTags(["users"]).pipe(on(there))
      yield* Cache.getOrSet(taggedUsers, 1, Effect.succeed({ id: 1, name: "Grace" })).pipe(on(there))
      const found = yield* Cache.get(taggedUsers, 1).pipe(on(here))
      assert.deepInclude(Option.getOrThrow(found), { name: "Grace" })
    }).pipe(Effect.scoped))

  it.live("of one's own are ignored", () =>
    Effect.gen(function*() {
      const { bus, isCopied, said } = yield* setUp
      for (const text of said.slice()) yield* bus.publish(text)
      assert.isTrue(yield* isCopied)
    }).pipe(Effect.scoped))

  it.live("are bounded: many names, and long ones", () =>
    Effect.gen(function*() {
      const { here, said } = yield* setUp
      const take = () => said.splice(0).map((text) => JSON.parse(text))
      take()
      const keys = Array.from({ length: 5_000 }, (_, i) => `${i} ${"k".repeat(50)}`)
      yield* here.removeMany(keys)
      assert.isTrue(said.every((text) => text.length < 100_000))
      const messages = take()
      assert.isAbove(messages.length, 5)
      assert.deepStrictEqual(messages.flatMap((_) => _.keys), keys)
      yield* here.removeMany(Array.from({ length: 20_000 }, (_, i) => String(i)))
      assert.deepInclude(take()[0], { all: true })
      const long = `${"k".repeat(1_023)}😀${"k".repeat(100_000)}`
      yield* here.remove(long)
      assert.deepInclude(take()[0], { prefixes: ["k".repeat(1_023)] })
    }).pipe(Effect.scoped))

  it.live("of many changes at once are few", () =>
    Effect.gen(function*() {
      const { here, said } = yield* setUp
      said.splice(0)
      yield* Effect.all(Array.from({ length: 500 }, (_, i) => here.remove(String(i))), { concurrency: "unbounded" })
      const keys = said.flatMap((text) => JSON.parse(text).keys)
      assert.strictEqual(new Set(keys).size, 500)
      assert.isBelow(said.length, 500)
    }).pipe(Effect.scoped))
})

describe("a bus that nobody can rely on", () => {
  it.live("hangs, dies or fails, and no caller does", () =>
    Effect.gen(function*() {
      const publications = [Effect.never, Effect.die("bus"), Effect.fail(unavailable)]
      for (const publish of publications) {
        const bus: InvalidationBus.Bus = { name: "bad", publish: () => publish, subscribe: () => Effect.void }
        const remote = Context.get(yield* Layer.build(yielding(true)), Backend.CacheBackend)
        const here = yield* Tiered.make({ local: yield* Memory.make(), remote, bus })
        const before = yield* faults("unsent", "bad")
        const start = performance.now()
        yield* here.remove("a")
        yield* here.remove("a")
        assert.isBelow(performance.now() - start, 5_000)
        yield* millisUntil(8_000, Effect.map(faults("unsent", "bad"), (now) => now > before))
      }
    }).pipe(Effect.scoped))
})

const unavailable = new Backend.BackendError({ backend: "bad", method: "publish", reason: "Unavailable" })
