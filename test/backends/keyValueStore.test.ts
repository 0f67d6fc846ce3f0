import * as NodeContext from "@effect/platform-node/NodeContext"
import * as PlatformError from "@effect/platform/Error"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import { assert, describe, it } from "@effect/vitest"
import { type BackendError, CacheBackend } from "effect-caching/Backend"
import * as KeyValueBackend from "effect-caching/backends/KeyValueStore"
import { Conformance } from "effect-caching/testing"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { vi } from "vitest"
import { entry, eventually, get, minute, operations, reasonOf, told, valueOf } from "../support/faults.js"
import { disk, folder, noDisk } from "../support/filePrograms.js"

const files = Layer.unwrapScoped(Effect.map(folder, (directory) => KeyValueStore.layerFileSystem(directory))).pipe(
  Layer.provide(NodeContext.layer)
)

/** The store of a browser: nothing but text. */
const texts = KeyValueStore.layerStorage(() => {
  const map = new Map<string, string>()
  return {
    getItem: (key: string) => map.get(key) ?? null,
    setItem: (key: string, value: string) => void map.set(key, value),
    removeItem: (key: string) => void map.delete(key),
    clear: () => map.clear(),
    key: (index: number) => [...map.keys()][index] ?? null,
    get length() {
      return map.size
    }
  }
})

/** Takes bytes, and does not give them back. */
const prefixed = Layer.effect(
  KeyValueStore.KeyValueStore,
  Effect.map(KeyValueStore.KeyValueStore, (store) => KeyValueStore.prefix(store, "shop:"))
).pipe(Layer.provide(KeyValueStore.layerMemory))

const over = <E>(store: Layer.Layer<KeyValueStore.KeyValueStore, E>, options?: KeyValueBackend.Options) =>
  Layer.provide(KeyValueBackend.layer(options), store)

describe("KeyValueStore", () => {
  describe("of memory", () => Conformance.register({ describe, it }, over(KeyValueStore.layerMemory)))
  describe("of files", () => Conformance.register({ describe, it }, over(files)))
  describe("of text", () => Conformance.register({ describe, it }, over(texts)))
  describe("behind a prefix", () => Conformance.register({ describe, it }, over(prefixed)))
})

interface Watched {
  readonly store: KeyValueStore.KeyValueStore
  readonly map: Map<string, string | Uint8Array>
  /** What was asked of the store, in order. */
  readonly calls: Array<string>
  /** What comes before a request: nothing, or what makes it fail or wait. */
  before: (method: "get" | "set" | "remove" | "clear", name: string) => Effect.Effect<void, PlatformError.PlatformError>
}

/** A store in a map that tells what it was asked. */
const watch = (): Watched => {
  const map = new Map<string, string | Uint8Array>()
  const step = <A>(method: "get" | "set" | "remove" | "clear", name: string, f: () => A) =>
    Effect.suspend(() => {
      watched.calls.push(method)
      return Effect.map(watched.before(method, name), f)
    })
  const watched: Watched = {
    map,
    calls: [],
    before: () => Effect.void,
    store: KeyValueStore.make({
      get: (key) => step("get", key, () => Option.map(Option.fromNullable(map.get(key)), String)),
      getUint8Array: (key) => step("get", key, () => Option.fromNullable(map.get(key) as Uint8Array | undefined)),
      set: (key, value) => step("set", key, () => void map.set(key, value)),
      remove: (key) => step("remove", key, () => map.delete(key)),
      clear: step("clear", "", () => map.clear()),
      size: Effect.sync(() => map.size)
    })
  }
  return watched
}

const makeOn = ({ store }: Watched, options?: KeyValueBackend.Options) =>
  Effect.provideService(KeyValueBackend.make(options), KeyValueStore.KeyValueStore, store)

const systemError = (reason: PlatformError.SystemErrorReason, cause?: unknown) =>
  new PlatformError.SystemError({
    reason,
    module: "KeyValueStore",
    method: "set",
    description: "secret",
    pathOrDescriptor: "secret",
    cause
  })

const asked = (watched: Watched, operation: Effect.Effect<unknown, BackendError>) =>
  Effect.suspend(() => {
    watched.calls.length = 0
    return Effect.map(operation, () => [...watched.calls])
  })

const permanent = Duration.infinity

describe("requests", () => {
  it.scoped("are one for a hit, a miss and a write, and few for the rest", () =>
    Effect.gen(function*() {
      const watched = watch()
      const backend = yield* makeOn(watched)
      yield* backend.has("opens the store")
      assert.deepStrictEqual(yield* asked(watched, backend.get("a")), ["get"])
      assert.deepStrictEqual(yield* asked(watched, backend.set("a", entry("1"), minute)), ["set"])
      assert.deepStrictEqual(yield* asked(watched, backend.get("a")), ["get"])
      assert.deepStrictEqual(yield* asked(watched, backend.getMany(["a", "b", "c"])), ["get", "get", "get"])
      assert.deepStrictEqual(yield* asked(watched, backend.add("b", entry("1"), minute)), ["get", "set"])
      assert.deepStrictEqual(yield* asked(watched, backend.increment("n", 1, minute)), ["get", "set"])
      assert.deepStrictEqual(yield* asked(watched, backend.remove("a")), ["get", "get", "remove"])
      watched.calls.length = 0
      const { token } = yield* backend.lease("l", minute)
      assert.deepStrictEqual(watched.calls, ["get"])
      const fill = backend.fill("l", Option.getOrThrow(token), entry("1"), minute)
      assert.deepStrictEqual(yield* asked(watched, fill), ["set"])
      yield* backend.tagVersions(["t"])
      assert.deepStrictEqual(yield* asked(watched, backend.refreshTags(yield* backend.tagVersions(["t"]))), [
        "get",
        "get"
      ])
      assert.deepStrictEqual(yield* asked(watched, backend.invalidateTags(["t"], "hard")), ["set", "get", "remove"])
      assert.deepStrictEqual(yield* asked(watched, backend.clear("user:")), ["set"])
    }))

  it.scoped("try the store out once, however many come first", () =>
    Effect.gen(function*() {
      const watched = watch()
      const backend = yield* makeOn(watched)
      yield* Effect.all([backend.get("a"), backend.get("b"), backend.get("c")], { concurrency: "unbounded" })
      // The trial, the directory, and one each.
      assert.deepStrictEqual(watched.calls, ["set", "get", "remove", "get", "set", "get", "get", "get"])
      assert.deepStrictEqual([...watched.map.keys()], ["cache:directory"])
    }))
})

describe("another backend later on the same store", () => {
  it.scoped("finds what was kept, and not what was cleared, removed or made out of date", () =>
    Effect.gen(function*() {
      const watched = watch()
      const tags = yield* Effect.scoped(Effect.gen(function*() {
        const backend = yield* makeOn(watched)
        yield* backend.setMany(["a", "user:1", "gone"].map((key) => [key, entry(key), permanent]))
        yield* backend.clear("user:")
        yield* backend.remove("gone")
        const before = yield* backend.tagVersions(["old", "current"])
        yield* backend.invalidateTags(["old"], "hard")
        return before
      }))
      const backend = yield* makeOn(watched)
      assert.strictEqual(yield* get(backend, "a"), "a")
      assert.isUndefined(yield* get(backend, "user:1"))
      assert.isUndefined(yield* get(backend, "gone"))
      const now = yield* backend.refreshTags(tags)
      assert.notStrictEqual(now[0]!.hard, tags[0]!.hard)
      assert.strictEqual(now[1]!.hard, tags[1]!.hard)
    }))

  it.scoped("finds nothing where the list of what was cleared is lost or spoilt: nothing comes back", () =>
    Effect.gen(function*() {
      for (const spoil of [undefined, new Uint8Array([1, 2, 3])]) {
        const watched = watch()
        yield* Effect.scoped(Effect.flatMap(makeOn(watched), (backend) => backend.set("a", entry("1"), permanent)))
        if (spoil === undefined) watched.map.delete("cache:directory")
        else watched.map.set("cache:directory", spoil)
        const backend = yield* makeOn(watched)
        assert.isUndefined(yield* get(backend, "a"))
        assert.isTrue(yield* backend.add("a", entry("2"), permanent))
        assert.strictEqual(yield* get(backend, "a"), "2")
      }
    }))

  it.scoped("under another prefix sees nothing of it, and clears nothing of it", () =>
    Effect.gen(function*() {
      const watched = watch()
      watched.map.set("mine", "not the cache's")
      const [a, b] = [yield* makeOn(watched, { prefix: "a:" }), yield* makeOn(watched, { prefix: "b:" })]
      yield* a.set("k", entry("1"), permanent)
      assert.isUndefined(yield* get(b, "k"))
      yield* b.clear("")
      assert.strictEqual(yield* get(a, "k"), "1")
      assert.strictEqual(watched.map.get("mine"), "not the cache's")
    }))
})

describe("clearing", () => {
  it.scoped("of everything empties the store where it is the backend's own", () =>
    Effect.gen(function*() {
      const watched = watch()
      const backend = yield* makeOn(watched, { prefix: "" })
      watched.map.set("whoever", "filled it")
      yield* backend.set("k", entry("1"), permanent)
      yield* backend.clear("k")
      assert.isTrue(watched.map.has("whoever"))
      yield* backend.clear("")
      assert.deepStrictEqual([...watched.map.keys()], ["directory"])
      yield* backend.set("k", entry("2"), permanent)
      assert.strictEqual(yield* get(backend, "k"), "2")
    }))

  it.scoped("that fails says so, and what is called again clears", () =>
    Effect.gen(function*() {
      for (const prefix of ["", "cache:"]) {
        const watched = watch()
        const backend = yield* makeOn(watched, { prefix })
        yield* backend.set("k", entry("1"), permanent)
        watched.before = (method) => method === "get" ? Effect.void : Effect.fail(systemError("Busy"))
        assert.strictEqual((yield* Effect.flip(backend.clear(""))).reason, "Unavailable")
        watched.before = () => Effect.void
        yield* backend.clear("")
        assert.isUndefined(yield* get(backend, "k"))
      }
    }))
})

describe("room", () => {
  const sizeAfterWrites = (watched: Watched, expected: number) =>
    Effect.promise(() => vi.waitFor(() => assert.strictEqual(watched.map.size, expected), { timeout: 5_000 }))

  it.scoped("that expired values take is given back by later writes", () =>
    Effect.gen(function*() {
      const watched = watch()
      const backend = yield* makeOn(watched)
      yield* backend.setMany(Array.from({ length: 10 }, (_, i) => [`short:${i}`, entry("1"), Duration.seconds(1)]))
      yield* backend.set("long", entry("1"), permanent)
      yield* TestClock.adjust("2 seconds")
      for (let i = 0; i < 10; i++) yield* backend.set("other", entry("1"), permanent)
      yield* sizeAfterWrites(watched, 3)
      assert.strictEqual(yield* get(backend, "long"), "1")
    }))

  it.scoped("that cleared values take is given back by later writes, and what was stored again stays", () =>
    Effect.gen(function*() {
      const watched = watch()
      const backend = yield* makeOn(watched)
      yield* backend.setMany(Array.from({ length: 10 }, (_, i) => [`user:${i}`, entry("1"), permanent]))
      yield* backend.clear("user:")
      yield* backend.set("user:3", entry("2"), permanent)
      for (let i = 0; i < 10; i++) yield* backend.set("other", entry("1"), permanent)
      yield* sizeAfterWrites(watched, 3)
      assert.strictEqual(yield* get(backend, "user:3"), "2")
    }))

  it.scoped("that an earlier process has left behind is given back once it was asked for", () =>
    Effect.gen(function*() {
      const watched = watch()
      yield* Effect.scoped(Effect.flatMap(makeOn(watched), (backend) => backend.set("k", entry("1"), minute)))
      yield* TestClock.adjust("2 minutes")
      const backend = yield* makeOn(watched)
      assert.isUndefined(yield* get(backend, "k"))
      yield* backend.set("other", entry("1"), permanent)
      yield* sizeAfterWrites(watched, 2)
    }))
})

describe("writes", () => {
  it.scopedLive("that were interrupted end before what comes after them, and undo none of it", () =>
    Effect.gen(function*() {
      const watched = watch()
      const backend = yield* makeOn(watched)
      yield* backend.set("k", entry("first"), permanent)
      const [reached, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      watched.before = (method) =>
        method === "set" ? Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(gate)) : Effect.void
      const late = yield* Effect.fork(backend.set("k", entry("late"), permanent))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(late)
      watched.before = () => Effect.void
      const removing = yield* Effect.fork(backend.remove("k"))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(removing)
      assert.isUndefined(yield* get(backend, "k"))
    }))

  it.scopedLive("that were interrupted before a clear are cleared", () =>
    Effect.gen(function*() {
      const watched = watch()
      const backend = yield* makeOn(watched)
      yield* backend.set("k", entry("first"), permanent)
      const [reached, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let isFirst = true
      watched.before = (method) => {
        if (method !== "set" || !isFirst) return Effect.void
        isFirst = false
        return Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(gate))
      }
      const late = yield* Effect.fork(backend.set("k", entry("late"), permanent))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(late)
      yield* backend.clear("")
      watched.calls.length = 0
      yield* Deferred.succeed(gate, undefined)
      yield* eventually("the late one is stored and taken out", Effect.sync(() => watched.calls.includes("remove")))
      assert.isUndefined(yield* get(backend, "k"))
    }))

  it.scopedLive("are whole to who reads at the same time, in files too", () =>
    Effect.gen(function*() {
      const backend = yield* CacheBackend
      const values = ["a", "b"].map((letter) => letter.repeat(1_000_000))
      yield* backend.set("k", entry(values[0]!), permanent)
      const writing = yield* Effect.fork(
        Effect.forEach(Array.from({ length: 30 }), (_, index) => backend.set("k", entry(values[index % 2]!), permanent))
      )
      let reads = 0
      while ((yield* Fiber.poll(writing))._tag === "None") {
        assert.include(values, (yield* get(backend, "k"))!)
        reads++
      }
      yield* Fiber.join(writing)
      assert.isAbove(reads, 10)
    }).pipe(Effect.provide(over(files))))

  it.scopedLive("under way are waited for at the end, and later ones fail", () =>
    Effect.gen(function*() {
      const watched = watch()
      const scope = yield* Scope.make()
      const backend = yield* Scope.extend(makeOn(watched), scope)
      yield* backend.has("opens the store")
      const [reached, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      watched.before = (method) =>
        method === "set" ? Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(gate)) : Effect.void
      const writing = yield* Effect.fork(backend.set("k", entry("1"), permanent))
      yield* Deferred.await(reached)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* eventually(
        "the backend is closed",
        Effect.map(reasonOf(backend.get("k")), (reason) => reason === "Connection")
      )
      assert.isTrue(Option.isNone(yield* Fiber.poll(closing)))
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(writing)
      yield* Fiber.join(closing)
      assert.strictEqual(watched.map.size, 2)
    }))
})

describe("a store", () => {
  it.scoped("that spoils what it keeps has lost it, and keeps what is stored next", () =>
    Effect.gen(function*() {
      const watched = watch()
      const backend = yield* makeOn(watched)
      yield* backend.set("k", entry("value"), permanent)
      const [name, whole] = [...watched.map].find(([name]) => name !== "cache:directory") as [string, Uint8Array]
      for (let at = 0; at < whole.length; at++) {
        watched.map.set(name, whole.map((byte, index) => index === at ? byte ^ 1 : byte))
        assert.isUndefined(yield* get(backend, "k"), `byte ${at}`)
        watched.map.set(name, whole.slice(0, at))
        assert.isUndefined(yield* get(backend, "k"), `cut at ${at}`)
      }
      yield* backend.set("k", entry("next"), permanent)
      assert.strictEqual(yield* get(backend, "k"), "next")
    }))

  it.scoped("that does not give back what was stored is refused, and tried again", () =>
    Effect.gen(function*() {
      const watched = watch()
      const backend = yield* Effect.provideService(KeyValueBackend.make(), KeyValueStore.KeyValueStore, {
        ...watched.store,
        set: () => Effect.void
      })
      for (let round = 0; round < 2; round++) {
        const error = yield* Effect.flip(backend.get("k"))
        assert.strictEqual(error.reason, "Unavailable")
        assert.strictEqual(error.message, "key-value-store.get: the store does not give back what was stored")
      }
    }))

  it.scoped("that fails at first is used as soon as it does not", () =>
    Effect.gen(function*() {
      const watched = watch()
      watched.before = () => Effect.fail(systemError("Busy"))
      const backend = yield* makeOn(watched)
      // A lease is kept in this process: without one, these two need not ask.
      const { fill: _, renew: __, ...asking } = operations(backend)
      for (const [name, operation] of Object.entries(asking)) {
        const error = yield* Effect.flip(operation)
        assert.deepStrictEqual([error.method, error.reason], [name, "Unavailable"])
      }
      watched.before = () => Effect.void
      yield* backend.set("k", entry("1"), permanent)
      assert.strictEqual(yield* get(backend, "k"), "1")
    }))

  it.scoped("says why it fails by the reason that fits, and tells no secret of it", () =>
    Effect.gen(function*() {
      const watched = watch()
      const backend = yield* makeOn(watched)
      yield* backend.has("opens the store")
      const code = (code: string) => Object.assign(new Error("secret"), { code })
      const cases: ReadonlyArray<readonly [PlatformError.PlatformError, BackendError["reason"]]> = [
        [systemError("PermissionDenied"), "Authentication"],
        [systemError("TimedOut"), "Timeout"],
        [systemError("WriteZero"), "OutOfSpace"],
        [systemError("UnexpectedEof"), "Connection"],
        [systemError("NotFound"), "Unavailable"],
        [systemError("Unknown"), "Unknown"],
        [systemError("Unknown", code("ENOSPC")), "OutOfSpace"],
        [systemError("Unknown", code("EFBIG")), "TooLarge"],
        [systemError("Unknown", code("EMFILE")), "Unavailable"],
        [
          new PlatformError.BadArgument({ module: "KeyValueStore", method: "set", description: "secret" }),
          "InvalidInput"
        ]
      ]
      for (const [cause, reason] of cases) {
        watched.before = () => Effect.fail(cause)
        const error = yield* Effect.flip(backend.set("secret", entry("secret"), permanent))
        assert.deepStrictEqual([error.backend, error.method, error.reason], ["key-value-store", "set", reason])
        assert.notInclude(told(error), "secret")
      }
      watched.before = () => Effect.void
      yield* backend.set("k", entry("1"), permanent)
    }))

  it.scoped("that hangs holds nobody up for longer than the time-out", () =>
    Effect.gen(function*() {
      const watched = watch()
      const backend = yield* makeOn(watched, { timeout: "1 second" })
      watched.before = () => Effect.never
      const fiber = yield* Effect.fork(Effect.flip(backend.get("k")))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).reason, "Timeout")
    }))

  it.scopedLive.skipIf(noDisk !== undefined)(
    "of files on a full disk refuses writes, goes on reading, and is used when there is room",
    () =>
      Effect.gen(function*() {
        const directory = yield* disk("size=1m")
        yield* Effect.gen(function*() {
          const backend = yield* CacheBackend
          const large = entry(Buffer.alloc(400_000, "x"))
          yield* backend.set("kept", entry("kept"), permanent)
          yield* backend.set("a", large, permanent)
          yield* backend.set("b", large, permanent)
          assert.strictEqual(yield* reasonOf(backend.set("c", large, permanent)), "OutOfSpace")
          // What was half written counts as absent.
          assert.isUndefined(yield* get(backend, "c"))
          assert.strictEqual(yield* get(backend, "kept"), "kept")
          yield* backend.remove("a")
          yield* backend.remove("c")
          yield* backend.set("c", large, permanent)
          assert.strictEqual(yield* get(backend, "c"), valueOf(Option.some(large)))
        }).pipe(Effect.provide(over(Layer.provide(KeyValueStore.layerFileSystem(directory), NodeContext.layer))))
      })
  )

  it.scoped("of files whose directory is gone says so, and is used when it is back", () =>
    Effect.gen(function*() {
      const backend = yield* CacheBackend
      const store = yield* KeyValueStore.KeyValueStore
      yield* backend.set("k", entry("1"), permanent)
      yield* store.clear
      assert.isUndefined(yield* get(backend, "k"))
      yield* backend.set("k", entry("2"), permanent)
      assert.strictEqual(yield* get(backend, "k"), "2")
    }).pipe(Effect.provide(Layer.provideMerge(KeyValueBackend.layer(), files))))
})

describe("options", () => {
  it.scoped("that cannot be meant are refused", () =>
    Effect.gen(function*() {
      const refused = (options: KeyValueBackend.Options) =>
        Effect.map(
          Effect.sandbox(Effect.flip(Effect.sandbox(makeOn(watch(), options)))),
          (cause) => String(cause)
        )
      assert.include(yield* refused({ prefix: "x".repeat(61) }), "KeyValueStore: prefix must be")
      assert.include(yield* refused({ concurrency: 0 }), "KeyValueStore: concurrency must be")
      assert.include(yield* refused({ timeout: -1 }), "KeyValueStore: timeout must be")
    }))

  it.scoped("come from the configuration too, where what is wrong is its error", () =>
    Effect.gen(function*() {
      const layer = KeyValueBackend.layerConfig({ prefix: Config.string("CACHE_KEY_PREFIX") })
      const build = (prefix: string) =>
        Layer.build(layer).pipe(
          Effect.provideService(KeyValueStore.KeyValueStore, watch().store),
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["CACHE_KEY_PREFIX", prefix]])))
        )
      yield* build("shop:")
      assert.strictEqual((yield* Effect.flip(build("x".repeat(61))))._op, "InvalidData")
    }))
})
