import { assert, describe, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as CircuitBreaker from "effect-caching/backends/CircuitBreaker"
import * as Compressed from "effect-caching/backends/Compressed"
import * as Encrypted from "effect-caching/backends/Encrypted"
import * as Memory from "effect-caching/backends/Memory"
import * as Metered from "effect-caching/backends/Metered"
import * as ReadOnly from "effect-caching/backends/ReadOnly"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import { Conformance, Faulty } from "effect-caching/testing"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { Entry } from "../../src/internal/entry.js"
import { redisForFile } from "../support/overBackends.js"

const bytes = Memory.layer({ storage: "bytes" })
const secret = (letter: string) => Redacted.make(letter.repeat(40))
const timed = <E, R>(layer: Layer.Layer<Backend.CacheBackend, E, R>) =>
  Backend.mapLayer(layer, (self) => Effect.succeed(Backend.timeout(self, "10 seconds")))

/** Reads through `ReadOnly` what is written beside it. */
const readOnly = (self: Backend.Backend) =>
  Backend.override(ReadOnly.wrap(self), () => ({
    set: self.set,
    setMany: self.setMany,
    add: self.add,
    remove: self.remove,
    removeMany: self.removeMany,
    increment: self.increment,
    clear: self.clear,
    lease: self.lease,
    renew: self.renew,
    fill: self.fill,
    tagVersions: self.tagVersions,
    tagEpoch: self.tagEpoch,
    invalidateTags: self.invalidateTags
  }))

describe("every combinator keeps the contract", () => {
  const redis = redisForFile()
  let count = 0
  const remote = Layer.suspend(() => redis.layer(`combinator ${count++}:`))
  const layers: Record<string, Layer.Layer<Backend.CacheBackend, unknown>> = {
    "compressed, gzip": Compressed.layer(bytes, { minBytes: 1 }),
    "compressed, brotli, on Redis": Compressed.layer(remote, { minBytes: 1, format: "brotli" }),
    "encrypted": Encrypted.layer(bytes, { keys: [secret("a")] }),
    "encrypted, on Redis": Encrypted.layer(remote, { keys: [secret("a"), secret("b")] }),
    "compressed, then encrypted": Compressed.layer(Encrypted.layer(bytes, { keys: [secret("a")] }), { minBytes: 1 }),
    "with a time-out": timed(bytes),
    "with a time-out, on Redis": timed(remote),
    "behind a circuit breaker": CircuitBreaker.layer(bytes),
    "read only, written beside it": Backend.mapLayer(bytes, (self) => Effect.succeed(readOnly(self))),
    "metered": Metered.layer(Memory.layer()),
    "prefixed": Backend.mapLayer(bytes, Backend.prefixed("p:")),
    "prefixed, on Redis": Backend.mapLayer(remote, Backend.prefixed("*[a]?\\"))
  }
  const skip = {
    "lease and fill: is void after increment: a late fill writes nothing":
      "increment adds under the lease: it waits for the holder instead"
  }
  for (const [name, layer] of Object.entries(layers)) {
    describe(name, () => Conformance.register({ describe, it }, layer, name.includes("encrypted") ? { skip } : {}))
  }
})

describe("around", () => {
  const redis = redisForFile()

  it.scopedLive("gives back a lease that is not passed on, whether it came before or comes after", () =>
    Effect.gen(function*() {
      const store = yield* Backend.CacheBackend
      const minute = Duration.minutes(1)
      const lost = new Backend.BackendError({ backend: "redis", method: "any", reason: "Timeout" })
      const late = Backend.around(store, (_, operation) => Effect.zipRight(operation, Effect.fail(lost)))
      const early = Backend.around(
        store,
        (_, operation) => Effect.zipRight(Effect.forkDaemon(operation), Effect.fail(lost))
      )
      const isFree = Effect.map(store.lease("a", minute), ({ token }) => Option.isSome(token))
      for (const { getOrLease, lease } of [late, early]) {
        for (const ask of [lease("a", minute), Effect.uninterruptible(getOrLease!("a", minute, []))]) {
          assert.strictEqual(yield* Effect.flip(ask), lost)
          yield* Effect.repeat(isFree, { until: (isFree) => isFree })
          yield* store.remove("a")
        }
      }
    }).pipe(Effect.provide(redis.layer("around:"))))
})

const texts = Cache.make({ name: "text", schema: Schema.String, timeToLive: "1 hour" })
const raw = Cache.make({ name: "raw", codec: Codec.bytes, timeToLive: "1 hour" })

/** The entry as the inner backend keeps it. */
const inner = (key: string) =>
  Effect.gen(function*() {
    const found = yield* (yield* Inner).get(key)
    return Option.getOrThrow(found)
  })

class Inner extends Context.Tag("Inner")<Inner, Backend.Backend>() {}

/** Provides the backend of `layer` as `Inner`, and what `wrap` makes of it as the backend. */
const over = (
  layer: Layer.Layer<Backend.CacheBackend>,
  wrap: (self: Backend.Backend) => Effect.Effect<Backend.Backend>
) =>
  Layer.effect(Backend.CacheBackend, Effect.flatMap(Inner, wrap)).pipe(
    Layer.provideMerge(Layer.effect(Inner, Backend.CacheBackend)),
    Layer.provide(layer)
  )

describe("Compressed", () => {
  it.effect("keeps large payloads small and leaves small ones, and those that do not shrink, as they are", () =>
    Effect.gen(function*() {
      const long = "all work and no play ".repeat(1_000)
      const noise = crypto.getRandomValues(new Uint8Array(5_000))
      yield* Cache.set(texts, "long", long)
      yield* Cache.set(texts, "short", "short")
      yield* Cache.set(raw, "noise", noise)
      assert.isBelow((yield* inner(Cache.cacheKey(texts, "long"))).bytes!.length, 500)
      assert.strictEqual((yield* inner(Cache.cacheKey(texts, "short"))).bytes!.length, 7)
      assert.strictEqual((yield* inner(Cache.cacheKey(raw, "noise"))).bytes!.length, 5_000)
      assert.deepStrictEqual(yield* Cache.getMany(texts, ["long", "short"]), [Option.some(long), Option.some("short")])
      assert.deepStrictEqual(yield* Cache.get(raw, "noise"), Option.some(noise))
    }).pipe(Effect.provide(over(bytes, (self) => Effect.succeed(Compressed.wrap(self))))))

  it.effect("reads what was stored in the other format, and takes what grows too large or is damaged for a miss", () =>
    Effect.gen(function*() {
      const self = yield* Inner
      const provide = (options: Compressed.Options) =>
        Effect.provideService(Backend.CacheBackend, Compressed.wrap(self, options))
      const long = "a".repeat(100_000)
      yield* Cache.set(texts, "k", long).pipe(provide({ format: "brotli" }))
      assert.deepStrictEqual(yield* Cache.get(texts, "k").pipe(provide({ format: "gzip" })), Option.some(long))
      assert.deepStrictEqual(yield* Cache.get(texts, "k").pipe(provide({ maxBytes: 50_000 })), Option.none())
      const key = Cache.cacheKey(texts, "k")
      const { codec } = yield* inner(key)
      yield* self.set(
        key,
        new Entry(false, codec, 0, Infinity, Infinity, 0, [], undefined, new Uint8Array([1, 2, 3])),
        Duration.infinity
      )
      assert.strictEqual(yield* Cache.getOrSet(texts, "k", Effect.succeed("loaded")).pipe(provide({})), "loaded")
    }).pipe(Effect.provide(over(bytes, Effect.succeed))))
})

describe("Encrypted", () => {
  const provide = (self: Backend.Backend, ...keys: ReadonlyArray<Redacted.Redacted<string>>) =>
    Effect.provideService(Backend.CacheBackend, Encrypted.wrap(self, { keys }))

  it.effect("the store does not see the payload, and the same payload looks different each time", () =>
    Effect.gen(function*() {
      const self = yield* Inner
      const seen = new Set<string>()
      for (const key of ["a", "b"]) {
        yield* Cache.set(texts, key, "the plain text").pipe(provide(self, secret("a")))
        const stored = Buffer.from((yield* inner(Cache.cacheKey(texts, key))).bytes!).toString("latin1")
        assert.notInclude(stored, "plain")
        seen.add(stored)
      }
      assert.strictEqual(seen.size, 2)
    }).pipe(Effect.provide(over(bytes, Effect.succeed))))

  it.effect("keys rotate: the old one still reads, and one that is gone makes misses", () =>
    Effect.gen(function*() {
      const self = yield* Inner
      const get = (...keys: ReadonlyArray<Redacted.Redacted<string>>) =>
        Cache.get(texts, "k").pipe(provide(self, ...keys))
      yield* Cache.set(texts, "k", "v").pipe(provide(self, secret("a")))
      assert.deepStrictEqual(yield* get(secret("b"), secret("a")), Option.some("v"))
      assert.deepStrictEqual(yield* get(secret("b")), Option.none())
      yield* Cache.set(texts, "k", "v").pipe(provide(self, secret("b"), secret("a")))
      assert.deepStrictEqual(yield* get(secret("b")), Option.some("v"))
      assert.deepStrictEqual(yield* get(secret("a")), Option.none())
    }).pipe(Effect.provide(over(bytes, Effect.succeed))))

  it.effect("an entry that was tampered with, moved or planted is a miss", () =>
    Effect.gen(function*() {
      const self = yield* Inner
      const key = Cache.cacheKey(texts, "k")
      yield* Cache.set(texts, "k", "v").pipe(provide(self, secret("a")))
      const good = yield* inner(key)
      const planted = (change: { readonly [K in keyof Entry]?: Entry[K] }, at = key) => {
        const entry = { ...good, ...change }
        return Effect.zipRight(
          self.set(
            at,
            new Entry(
              entry.isFailure,
              entry.codec,
              entry.loadedAt,
              entry.freshUntil,
              entry.keepUntil,
              entry.loadMillis,
              entry.tags,
              undefined,
              entry.bytes
            ),
            Duration.infinity
          ),
          Cache.get(texts, at === key ? "k" : "other").pipe(provide(self, secret("a")))
        )
      }
      assert.deepStrictEqual(yield* planted({}), Option.some("v"))
      for (let bit = 0; bit < good.bytes!.length * 8; bit += 7) {
        const flipped = good.bytes!.slice()
        flipped[bit >> 3]! ^= 1 << (bit & 7)
        assert.deepStrictEqual(yield* planted({ bytes: flipped }), Option.none())
      }
      assert.deepStrictEqual(yield* planted({ freshUntil: Infinity, keepUntil: Infinity }), Option.none())
      assert.deepStrictEqual(yield* planted({ tags: [{ tag: "t", hard: "h", soft: "s" }] }), Option.none())
      assert.deepStrictEqual(yield* planted({ isFailure: true }), Option.none())
      assert.deepStrictEqual(yield* planted({ bytes: good.bytes!.subarray(0, 20) }), Option.none())
      assert.deepStrictEqual(yield* planted({}, Cache.cacheKey(texts, "other")), Option.none())
      const plain = Codec.schema(Schema.String)
      assert.deepStrictEqual(
        yield* planted({ codec: plain.id, bytes: new TextEncoder().encode("\"planted\"") }),
        Option.none()
      )
    }).pipe(Effect.provide(over(bytes, Effect.succeed))))

  it("a key that is too short, or none, is refused without being shown", () => {
    const self = {} as Backend.Backend
    assert.throws(
      () => Encrypted.wrap(self, { keys: [Redacted.make("hunter2")] }),
      /^Encrypted: keys must be keys of at least 32 characters, not "a key of 7 characters"$/
    )
    assert.throws(() => Encrypted.wrap(self, { keys: [] }), "keys must be at least one key")
  })
})

describe("CircuitBreaker", () => {
  const options = { window: 4, failureRate: 0.5, resetAfter: "1 second" } as const
  const layer = Layer.effect(
    Backend.CacheBackend,
    Effect.flatMap(Backend.CacheBackend, CircuitBreaker.wrap(options))
  ).pipe(Layer.provideMerge(Faulty.layer(bytes)))
  const reason = Effect.flatMap(Backend.CacheBackend, (self) => Effect.flip(self.get("k"))).pipe(
    Effect.map((error) => error.reason)
  )
  const get = Effect.flatMap(Backend.CacheBackend, (self) => self.get("k"))

  it.effect("opens at the failure rate, not at the first failure, and then does not ask the store", () =>
    Effect.gen(function*() {
      const faulty = yield* Faulty.Faulty
      yield* Effect.all([get, get, get])
      yield* faulty.inject(Faulty.fail("Timeout"))
      assert.strictEqual(yield* reason, "Timeout")
      assert.strictEqual(yield* reason, "Timeout")
      yield* faulty.resetCalls
      assert.strictEqual(yield* reason, "Unavailable")
      assert.strictEqual(yield* faulty.calls(), 0)
    }).pipe(Effect.provide(layer)))

  /** The circuit has opened, and the next operation is a probe. */
  const dueForProbe = Effect.gen(function*() {
    const faulty = yield* Faulty.Faulty
    yield* faulty.inject(Faulty.fail())
    yield* Effect.all([reason, reason, reason, reason])
    yield* TestClock.adjust("1 second")
    return faulty
  })

  it.effect("lets one probe through after a while, stays open if it fails and closes if it succeeds", () =>
    Effect.gen(function*() {
      const faulty = yield* dueForProbe
      yield* faulty.resetCalls
      const reasons = yield* Effect.all(Array.from({ length: 10 }, () => reason), { concurrency: "unbounded" })
      assert.strictEqual(yield* faulty.calls(), 1)
      assert.strictEqual(reasons.filter((_) => _ === "Connection").length, 1)
      yield* faulty.heal
      assert.strictEqual(yield* reason, "Unavailable")
      yield* TestClock.adjust("1 second")
      yield* Effect.all([get, get, get])
    }).pipe(Effect.provide(layer)))

  it.effect("a probe that is interrupted leaves the way open for the next", () =>
    Effect.gen(function*() {
      const faulty = yield* dueForProbe
      yield* faulty.inject(Faulty.hang)
      const probe = yield* Effect.fork(get)
      yield* Effect.yieldNow()
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(probe)))
      yield* faulty.heal
      yield* get
    }).pipe(Effect.provide(layer)))

  it.effect("a probe that never answers does not keep it open: another one is sent after it", () =>
    Effect.gen(function*() {
      const faulty = yield* dueForProbe
      yield* faulty.inject(Faulty.hang)
      yield* Effect.fork(get)
      yield* Effect.yieldNow()
      yield* faulty.heal
      assert.strictEqual(yield* reason, "Unavailable")
      yield* TestClock.adjust("1 second")
      yield* Effect.all([get, get, get])
    }).pipe(Effect.provide(layer)))

  it.effect("a store that answers well, but later than another probe is sent, closes it", () =>
    Effect.gen(function*() {
      const faulty = yield* dueForProbe
      yield* faulty.inject(Faulty.delay("1500 millis"))
      const first = yield* Effect.fork(get)
      yield* TestClock.adjust("1 second")
      const second = yield* Effect.fork(get)
      yield* TestClock.adjust("500 millis")
      yield* Fiber.join(first)
      yield* faulty.heal
      yield* Effect.all([get, get, get])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(second)
      yield* get
    }).pipe(Effect.provide(layer)))

  it.effect("operations that are given up say nothing of the store", () =>
    Effect.gen(function*() {
      const faulty = yield* Faulty.Faulty
      for (let i = 0; i < 4; i++) {
        yield* faulty.inject(Faulty.fail("Timeout"))
        assert.strictEqual(yield* reason, "Timeout")
        yield* faulty.inject(Faulty.hang)
        for (let i = 0; i < 3; i++) {
          const givenUp = yield* Effect.fork(get)
          yield* Effect.yieldNow()
          yield* Fiber.interrupt(givenUp)
        }
      }
      yield* faulty.heal
      assert.strictEqual(yield* reason, "Unavailable")
    }).pipe(Effect.provide(layer)))

  it.effect("an operation of a store of several that fails, and interrupts those beside it, has failed", () =>
    Effect.gen(function*() {
      const several = Backend.around(
        yield* Backend.CacheBackend,
        (_, operation) => Effect.map(Effect.all([operation, Effect.never], { concurrency: 2 }), ([value]) => value)
      )
      yield* (yield* Faulty.Faulty).inject(Faulty.fail())
      const self = yield* CircuitBreaker.wrap(several, options)
      for (let i = 0; i < 4; i++) assert.strictEqual((yield* Effect.flip(self.get("k"))).reason, "Connection")
      assert.strictEqual((yield* Effect.flip(self.get("k"))).reason, "Unavailable")
    }).pipe(Effect.provide(Faulty.layer(bytes))))

  it.effect("mistakes of callers do not open it", () =>
    Effect.gen(function*() {
      const self = yield* Backend.CacheBackend
      for (let i = 0; i < 20; i++) yield* Effect.flip(self.get("\ud800"))
      yield* get
    }).pipe(Effect.provide(layer)))

  it.effect("cached calls go on without the store while the circuit is open", () =>
    Effect.gen(function*() {
      const faulty = yield* Faulty.Faulty
      yield* faulty.inject(Faulty.fail())
      for (let i = 0; i < 10; i++) assert.strictEqual(yield* Cache.getOrSet(texts, "k", Effect.succeed("v")), "v")
      assert.isBelow(yield* faulty.calls(), 10)
    }).pipe(Effect.provide(layer)))
})

describe("ReadOnly", () => {
  it.effect("answers what is stored, stores nothing, and says so to who writes", () =>
    Effect.gen(function*() {
      const self = yield* Inner
      yield* Cache.set(texts, "k", "stored").pipe(Effect.provideService(Backend.CacheBackend, self))
      assert.strictEqual(yield* Cache.getOrSet(texts, "k", Effect.succeed("loaded")), "stored")
      assert.strictEqual(yield* Cache.getOrSet(texts, "l", Effect.succeed("loaded")), "loaded")
      assert.isFalse(yield* Cache.has(texts, "l"))
      for (const write of [Cache.set(texts, "k", "x"), Cache.invalidate(texts, "k"), Cache.clear(texts)]) {
        const error = yield* Effect.flip(write as Effect.Effect<unknown, Backend.BackendError, Backend.CacheBackend>)
        assert.strictEqual(error.reason, "Unavailable")
        assert.include(error.message, "read only")
      }
      assert.isTrue(yield* Cache.has(texts, "k"))
    }).pipe(Effect.provide(over(bytes, (self) => Effect.succeed(ReadOnly.wrap(self))))))
})

describe("Metered", () => {
  it.effect("counts operations by how they ended", () =>
    Effect.gen(function*() {
      const faulty = yield* Faulty.Faulty
      const self = Metered.wrap({ ...yield* Backend.CacheBackend, name: "metered here" })
      yield* self.has("k")
      yield* self.has("k")
      yield* faulty.inject(Faulty.fail("Timeout"))
      yield* Effect.flip(self.has("k"))
      const count = (outcome: string) =>
        Effect.map(
          Metric.value(Metered.operations.pipe(
            Metric.tagged("backend", self.name),
            Metric.tagged("method", "has"),
            Metric.tagged("outcome", outcome)
          )),
          (_) => _.count
        )
      assert.deepStrictEqual(yield* Effect.all([count("success"), count("Timeout")]), [2, 1])
    }).pipe(Effect.provide(Faulty.layer(bytes))))
})

describe("around", () => {
  it.effect("what is read through it is of the same backend: who read it depends on its tags", () =>
    Effect.gen(function*() {
      const self = yield* Backend.CacheBackend
      const users = Cache.make({ name: "user", schema: Schema.Number, timeToLive: "1 hour", tags: ["user"] })
      const pages = Cache.make({ name: "page", schema: Schema.Number, timeToLive: "1 hour" })
      let loads = 0
      const user = Cache.getOrSet(users, 1, Effect.sync(() => ++loads)).pipe(
        Effect.provideService(Backend.CacheBackend, Backend.around(self, (_, operation) => operation))
      )
      const page = Cache.getOrSet(pages, "/", user)
      assert.strictEqual(yield* page, 1)
      yield* Cache.invalidateTags(["user"])
      assert.strictEqual(yield* page, 2)
    }).pipe(Effect.provide(Memory.layer())))
})

describe("prefixed", () => {
  it.effect("keeps tags apart that look like tags of the store behind the prefix", () =>
    Effect.gen(function*() {
      let loads = 0
      const cache = Cache.make({
        name: "tagged",
        schema: Schema.Number,
        timeToLive: "1 hour",
        tags: () => ["x", "p:x"]
      })
      const find = Cache.getOrSet(cache, "k", Effect.sync(() => ++loads))
      yield* find
      yield* Cache.invalidateTags(["x"])
      assert.strictEqual(yield* find, 2)
      yield* Cache.invalidateTags(["p:x"])
      assert.strictEqual(yield* find, 3)
      assert.strictEqual(yield* find, 3)
    }).pipe(Effect.provide(Backend.mapLayer(bytes, Backend.prefixed("p:")))))
})
