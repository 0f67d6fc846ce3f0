import { assert, describe, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import { Entry } from "effect-caching/internal/entry"
import { Conformance } from "effect-caching/testing"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"

/** A store that lets other fibers in before and after every step, as a remote one does. */
const mapStore = (): Backend.Bytes => {
  const map = new Map<string, Uint8Array>()
  return {
    get: (key) => step(() => Option.fromNullable(map.get(key))),
    set: (key, bytes) => step(() => void map.set(key, bytes)),
    add: (key, bytes) => step(() => !map.has(key) && !!map.set(key, bytes)),
    remove: (key) => step(() => map.delete(key)),
    clear: (prefix) =>
      step(() => [...map.keys()].filter((key) => key.startsWith(prefix)).forEach((key) => map.delete(key)))
  }
}

const step = <A>(f: () => A): Effect.Effect<A> =>
  Effect.yieldNow().pipe(Effect.zipRight(Effect.sync(f)), Effect.zipLeft(Effect.yieldNow()))

const fromBytes = (store: () => Backend.Bytes, isShared = false) =>
  Layer.scoped(Backend.CacheBackend, Effect.suspend(() => Backend.fromBytes({ name: "map", isShared }, store())))

/** `layer` with some operations done wrong. */
const over = (operations: (self: Backend.Backend) => Partial<Backend.Operations>, layer = fromBytes(mapStore)) =>
  Backend.mapLayer(layer, (self) => Effect.succeed(Backend.override(self, operations)))

/** A store with some primitives done wrong, behind the derived backend. */
const store = (change: (self: Backend.Bytes) => Partial<Backend.Bytes>) =>
  fromBytes(() => {
    const self = mapStore()
    return { ...self, ...change(self) }
  })

describe("fromBytes, in one process", () => Conformance.register({ describe, it }, fromBytes(mapStore)))
describe("fromBytes, shared", () => Conformance.register({ describe, it }, fromBytes(mapStore, true)))
describe("prefixed", () =>
  Conformance.register({ describe, it }, Backend.mapLayer(fromBytes(mapStore), Backend.prefixed("part[*]:"))))

describe("a broken backend is noticed", () => {
  /** The cases of `suite` that the backend fails. */
  const failing = (layer: Layer.Layer<Backend.CacheBackend>, suite: string) =>
    Effect.map(
      Conformance.results(layer, {
        skip: Object.fromEntries(
          Conformance.suites.filter((_) => _ !== suite).map((suite) => [suite, "not looked at"])
        ),
        timeLimit: "1 seconds"
      }),
      (results) => results.filter((_) => _.outcome === "failed").map((_) => _.name)
    )

  interface Flaw {
    readonly suite: string
    readonly layer: Layer.Layer<Backend.CacheBackend>
    readonly cases: ReadonlyArray<string>
  }

  const globStore = (): Backend.Bytes => {
    const self = mapStore()
    const keys = new Set<string>()
    return {
      ...self,
      set: (key, bytes, retention) =>
        Effect.zipRight(self.set(key, bytes, retention), Effect.sync(() => keys.add(key))),
      clear: (prefix) => {
        const glob = new RegExp(`^${prefix.replace(/[.+^${}()|\\]/g, "\\$&").replace(/[*?]/g, ".$&")}`, "s")
        return Effect.forEach([...keys].filter((key) => glob.test(key)), self.remove, { discard: true })
      }
    }
  }

  const flaws: Record<string, Flaw> = {
    "add is get, then set": {
      suite: "add",
      layer: over((self) => ({
        add: (key, entry, retention) =>
          Effect.flatMap(
            self.has(key),
            (isThere) => isThere ? Effect.succeed(false) : Effect.as(self.set(key, entry, retention), true)
          )
      })),
      cases: ["has one winner among fifty at once", "stores over what has expired, again with one winner among fifty"]
    },
    "add does not see that an entry has expired": {
      suite: "expiry",
      layer: over((self) => {
        const seen = new Set<string>()
        return {
          set: (key, entry, retention) =>
            Effect.zipRight(Effect.sync(() => seen.add(key)), self.set(key, entry, retention)),
          add: (key, entry, retention) => seen.has(key) ? Effect.succeed(false) : self.add(key, entry, retention)
        }
      }),
      cases: ["adds over what has expired"]
    },
    "clear takes patterns": {
      suite: "clear",
      layer: fromBytes(globStore),
      cases: [
        "takes the prefix as text: no character of it stands for others",
        "takes a prefix that would be a pattern as text"
      ]
    },
    "clear forgets the leases": {
      suite: "clear",
      layer: store((self) => ({ clear: (prefix) => prefix.startsWith("~lease:") ? Effect.void : self.clear(prefix) })),
      cases: ["voids the leases under the prefix, and no other"]
    },
    "fill does not look at the token": {
      suite: "lease and fill",
      layer: over((self) => ({
        fill: (key, _token, entry, retention) => Effect.as(self.set(key, entry, retention), true)
      })),
      cases: ["writes nothing with a token that holds nothing", "is void after remove: a late fill writes nothing"]
    },
    "leases outlive what voids them": {
      suite: "lease and fill",
      layer: store((self) => ({
        remove: (key) => key.startsWith("~lease:") ? Effect.succeed(false) : self.remove(key)
      })),
      cases: ["is void after remove: a late fill writes nothing", "has one last word when a fill and a remove meet"]
    },
    "entries never expire": {
      suite: "expiry",
      layer: over((self) => ({
        set: (key, entry, retention) => self.set(key, { ...entry, keepUntil: Infinity }, retention)
      })),
      cases: [
        "keeps an entry until its time, and no longer",
        "counts what has expired as absent when reading and removing"
      ]
    },
    "increment is get, then set": {
      suite: "increment",
      layer: over((self) => ({
        increment: (key, by, retention) =>
          Effect.gen(function*() {
            const now = yield* Clock.currentTimeMillis
            const before = Option.match(yield* self.get(key), {
              onNone: () => 0,
              onSome: (entry) => Number(new TextDecoder().decode(entry.bytes))
            })
            const bytes = new TextEncoder().encode(String(before + by))
            const keepUntil = now + Duration.toMillis(retention)
            yield* self.set(
              key,
              new Entry(false, "counter", now, keepUntil, keepUntil, 0, [], undefined, bytes),
              retention
            )
            return before + by
          })
      })),
      cases: [
        "loses none of a thousand at once",
        "keeps the time at which a counter expires",
        "refuses what is not a number, and leaves it as it was",
        "refuses to pass the safe integers, and leaves the number as it was"
      ]
    },
    "keys are trimmed": {
      suite: "keys",
      layer: store((self) => ({
        get: (key) => self.get(key.trim()),
        set: (key, bytes, retention) => self.set(key.trim(), bytes, retention)
      })),
      cases: ["takes every key, and tells every two apart"]
    },
    "keys are Latin-1": {
      suite: "keys",
      layer: store((self) => ({
        get: (key) => self.get(Buffer.from(key, "latin1").toString("latin1")),
        set: (key, bytes, retention) => self.set(Buffer.from(key, "latin1").toString("latin1"), bytes, retention)
      })),
      cases: ["takes every key, and tells every two apart"]
    },
    "lone surrogates are let through": {
      suite: "keys",
      layer: Backend.mapLayer(
        fromBytes(mapStore),
        (self) => Effect.succeed({ ...self, has: (key) => self.has(key.replace(/\p{Surrogate}/gu, "\ufffd")) })
      ),
      cases: ["refuses a key with a lone surrogate, whatever it is asked to do with it"]
    },
    "bytes are sent as text": {
      suite: "values",
      layer: store((self) => ({
        set: (key, bytes, retention) => self.set(key, Buffer.from(Buffer.from(bytes).toString("utf8")), retention)
      })),
      cases: ["keeps every byte"]
    },
    "the whole buffer of a view is sent": {
      suite: "values",
      layer: over((self) => ({
        set: (key, entry, retention) =>
          self.set(key, { ...entry, bytes: new Uint8Array(entry.bytes!.buffer) }, retention)
      })),
      cases: ["keeps the part of a buffer that a view shows, and no more"]
    },
    "the caller's buffer is kept": {
      suite: "values",
      layer: over(() => ({ holds: "bytes" }), Memory.layer()),
      cases: ["keeps what was set, whatever becomes of the buffer after the call"]
    },
    "large values are cut": {
      suite: "values",
      layer: store((self) => ({
        set: (key, bytes, retention) => self.set(key, bytes.subarray(0, 1_048_576), retention)
      })),
      cases: ["keeps large values, and values a byte smaller and larger"]
    },
    "instants are whole seconds": {
      suite: "values",
      layer: over((self) => ({
        set: (key, entry, retention) =>
          self.set(key, { ...entry, freshUntil: Math.floor(entry.freshUntil / 1_000) * 1_000 }, retention)
      })),
      cases: ["keeps the header: instants, and instants without end"]
    },
    "getMany answers what it has, closed up": {
      suite: "many keys",
      layer: over((self) => ({
        getMany: (keys) => Effect.map(self.getMany([...new Set(keys)]), (all) => all.filter(Option.isSome))
      })),
      cases: [
        "answers in the order asked, with nothing where there is nothing",
        "answers a key as often as it is asked for"
      ]
    },
    "everybody gets a lease": {
      suite: "lease and fill",
      layer: over((self) => ({
        lease: (key, duration) =>
          Effect.map(self.lease(key, duration), (lease) => ({
            ...lease,
            token: Option.orElseSome(lease.token, () => "another")
          }))
      })),
      cases: ["gives a key to one of fifty who ask at once"]
    },
    "a lease that went to nobody stays": {
      suite: "interruption",
      layer: over((self) => ({
        lease: (key, duration) => Effect.tap(self.lease(key, duration), Effect.yieldNow()),
        renew: () => Effect.succeed(true)
      })),
      cases: ["leaves no lease to nobody: who was interrupted while asking does not hold it"]
    },
    "a soft invalidation is a hard one": {
      suite: "tags",
      layer: over((self) => ({ invalidateTags: (tags) => self.invalidateTags(tags, "hard") })),
      cases: ["changes the soft version when soft, and only that"]
    },
    "the epoch never changes": {
      suite: "tags",
      layer: over(() => ({ tagEpoch: Effect.succeed("1") })),
      cases: ["has an epoch that changes with every invalidation, never to return"]
    },
    "first readers of a tag disagree": {
      suite: "tags",
      layer: store((self) => ({
        add: (key, bytes, retention) => Effect.as(self.set(key, bytes, retention), true)
      })),
      cases: ["gives fifty who ask first, at once, one version"]
    },
    "remove never ends": {
      suite: "remove",
      layer: over(() => ({ remove: () => Effect.never })),
      cases: ["answers false for a key that was never set"]
    }
  }

  for (const [name, { cases, layer, suite }] of Object.entries(flaws)) {
    it.live(`where ${name}`, () =>
      Effect.gen(function*() {
        assert.includeMembers(yield* failing(layer, suite), [...cases])
      }))
  }
})

describe("Conformance", () => {
  const skip = Object.fromEntries(
    Conformance.suites.filter((_) => _ !== "add").map((suite) => [suite, "not looked at"])
  )

  it("leaves out suites and cases with a reason, and says so", () => {
    const titles: Array<string> = []
    const describe = (_: string, body: () => void) => body()
    const it = Object.assign((name: string) => titles.push(name), {
      skip: (name: string) => titles.push(`skip ${name}`)
    })
    Conformance.register({ describe, it }, Memory.layer(), {
      skip: { ...skip, "add: stores where there is nothing": "no" }
    })
    assert.include(titles, "skip stores where there is nothing (left out: no)")
    assert.include(titles, "skip takes the empty key (left out: not looked at)")
    assert.include(titles, "leaves alone what is there")
    assert.strictEqual(titles.length, Conformance.cases().length)
  })

  it("leaves out nothing that it does not have", () => {
    assert.throws(() => Conformance.cases({ skip: { ad: "a typing error" } }), /no suite and no case "ad"/)
    assert.throws(() => Conformance.cases({ skip: { "add: stores": "a typing error" } }), /"add: stores"/)
  })

  it("gives each case a name of its own", () => {
    const names = Conformance.cases().map((_) => `${_.suite}: ${_.name}`)
    assert.strictEqual(new Set(names).size, names.length)
  })

  it.live("answers results, and a table of them", () =>
    Effect.gen(function*() {
      const memory = yield* Conformance.results(Memory.layer(), { skip })
      const broken = yield* Conformance.results(
        over(() => ({ add: () => Effect.succeed(true) })),
        { skip: { ...skip, "add: stores where something was removed": "as an example" } }
      )
      const cases = Conformance.cases().filter((_) => _.suite === "add").length
      const row = Conformance.table({ memory, broken }).find((_) => _.suite === "add")!
      assert.deepStrictEqual(row.cells["memory"], { passed: cases, failed: 0, leftOut: 0 })
      assert.deepStrictEqual(row.cells["broken"], { passed: 0, failed: cases - 1, leftOut: 1 })
      assert.deepInclude(broken, {
        suite: "add",
        name: "leaves alone what is there",
        outcome: "failed",
        reason: "add: expected false, but got true"
      })
    }))

  it.live("reports a backend that never answers, interruptible or not", () =>
    Effect.gen(function*() {
      for (const hung of [Effect.never, Effect.uninterruptible(Effect.never)]) {
        const results = yield* Conformance.results(over(() => ({ add: () => hung })), { skip, timeLimit: "50 millis" })
        assert.deepStrictEqual(new Set(results.map((_) => _.outcome)), new Set(["failed", "left out"]))
        assert.include(results.map((_) => _.reason), `"leaves alone what is there" did not end within 50ms`)
      }
    }))

  it.live("reports a layer that cannot be built", () =>
    Effect.gen(function*() {
      const results = yield* Conformance.results(Layer.fail(new Error("no server")), { skip })
      assert.include(results.map((_) => _.reason), "no server")
    }))
})

describe("fromBytes", () => {
  it.effect("copies what a driver answers out of the driver's buffer", () =>
    Effect.scoped(Effect.gen(function*() {
      const reply = Buffer.alloc(1_000)
      const self = mapStore()
      const backend = yield* Backend.fromBytes({ name: "map", isShared: false }, {
        ...self,
        get: (key) => Effect.map(self.get(key), Option.map((bytes) => reply.fill(bytes).subarray(0, bytes.length)))
      })
      const stored = new Entry(false, "text", 0, 1, 1, 0, [], undefined, new Uint8Array([1, 2, 3]))
      yield* backend.set("a", stored, Duration.infinity)
      const { bytes } = Option.getOrThrow(yield* backend.get("a"))
      reply.fill(0)
      assert.deepStrictEqual(bytes, new Uint8Array([1, 2, 3]))
    })))

  it.effect("ends leases by the Clock over a store that keeps everything for ever", () =>
    Effect.gen(function*() {
      const backend = yield* Backend.CacheBackend
      const lease = Effect.map(backend.lease("a", Duration.minutes(1)), (_) => Option.getOrUndefined(_.token))
      const first = yield* lease
      assert.isDefined(first)
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(yield* lease)
      yield* backend.renew("a", first!, Duration.minutes(1))
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(yield* lease)
      yield* TestClock.adjust("1 seconds")
      assert.isFalse(yield* backend.renew("a", first!, Duration.minutes(1)))
      assert.isDefined(yield* lease)
    }).pipe(Effect.provide(fromBytes(mapStore))))

  it.effect("fails where a store neither keeps a tag's version nor answers one", () =>
    Effect.gen(function*() {
      const backend = yield* Backend.CacheBackend
      assert.strictEqual((yield* Effect.flip(backend.tagVersions(["a"]))).reason, "Unknown")
    }).pipe(Effect.provide(fromBytes(() => ({ ...mapStore(), add: () => Effect.succeed(false) })))))
})
