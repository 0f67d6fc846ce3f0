import { afterAll, assert, describe, it, vi } from "@effect/vitest"
import type { Backend, BackendError } from "effect-caching/Backend"
import { CacheBackend } from "effect-caching/Backend"
import * as Uwsgi from "effect-caching/backends/Uwsgi"
import { Conformance } from "effect-caching/testing"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Net from "node:net"
import * as Entry from "../../src/internal/entry.js"
import { encode } from "../../src/internal/uwsgi/packets.js"
import * as UwsgiServer from "../support/uwsgiServer.js"

const scope = Effect.runSync(Scope.make())
const start = (options: UwsgiServer.Options) => Effect.runPromise(Scope.extend(UwsgiServer.make(options), scope))
/** Two caches: values of any size in the first, of a block in the second. */
const server = await start({
  caches: [
    "name=first,items=50000,blocksize=4096,blocks=100000,bitmap=1",
    "name=second,items=10000,blocksize=131072"
  ],
  workers: 2
})
/** A server with one cache, which a backend may have for itself. */
const whole = await start({ caches: ["name=only,items=20000,blocksize=131072"] })
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/** An operation is several connections one after the other: on a busy machine, that takes its time. */
vi.setConfig({ testTimeout: 70_000 })
const timeLimit = "60 seconds"
const minute = Duration.minutes(1)
const timeout = "10 seconds"

const entry = (value: string | Uint8Array, keepUntil = Infinity) =>
  new Entry.Entry(false, "text", 0, keepUntil, keepUntil, 1, [], undefined, Buffer.from(value))

const valueOf = (found: Option.Option<Entry.Entry>) =>
  Option.isSome(found) ? Buffer.from(found.value.bytes!).toString() : undefined

const get = (backend: Backend, key: string) => Effect.map(backend.get(key), valueOf)

let shares = 0
const newPrefix = () => `share${shares++}:`
/** A backend with a share of its own. */
const make = (options: Uwsgi.Options = {}) =>
  Uwsgi.make({ port: server.port, timeout, requireConnection: true, prefix: newPrefix(), ...options })

/** As many backends with one share as there are processes. */
const processes = (count: number, options: Uwsgi.Options = {}) => {
  const prefix = newPrefix()
  return Effect.all(Array.from({ length: count }, () => make({ prefix, ...options })))
}

const reasonOf = (effect: Effect.Effect<unknown, BackendError>) =>
  Effect.match(effect, { onFailure: (error) => error.reason, onSuccess: () => "none" as const })

/** Sends a request past the backend, and answers whether the server said something. */
const send = (port: number, pairs: ReadonlyArray<readonly [string, string]>, body?: Uint8Array) =>
  Effect.async<boolean>((resume) => {
    let length = 0
    const socket = Net.connect(port, "127.0.0.1")
    socket.on("data", (chunk) => void (length += chunk.length))
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(length > 0)))
    socket.write(encode(pairs, body))
  })

describe("a cache of many blocks", () => {
  Conformance.register({ describe, it }, Uwsgi.layer({ port: server.port, timeout }), { timeLimit })
})
describe("a cache by name, with a prefix of special characters, over a Unix socket", () => {
  Conformance.register(
    { describe, it },
    Uwsgi.layer({ path: server.path, cacheName: "second", prefix: "é%{a}[b]*?\\^-:\n\0", timeout, concurrency: 3 }),
    { largeValueBytes: 100_000, timeLimit }
  )
})
describe("a cache of its own", () => {
  Conformance.register({ describe, it }, Uwsgi.layer({ port: whole.port, prefix: "", timeout }), {
    largeValueBytes: 100_000,
    timeLimit
  })
})

describe("several processes", () => {
  it.scoped("add a key at once: one wins", () =>
    Effect.gen(function*() {
      const backends = yield* processes(4)
      const won = yield* Effect.all(
        Array.from({ length: 20 }, (_, index) => backends[index % 4]!.add("a", entry(String(index)), minute)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(won.filter((isWinner) => isWinner).length, 1)
      assert.strictEqual(yield* get(backends[0]!, "a"), String(won.indexOf(true)))
    }))

  it.scoped("increment a counter at once: none is lost", () =>
    Effect.gen(function*() {
      const backends = yield* processes(4)
      const answers = yield* Effect.all(
        Array.from({ length: 200 }, (_, index) => backends[index % 4]!.increment("n", 1, minute)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(answers).size, 200)
      assert.strictEqual(yield* backends[0]!.increment("n", 0, minute), 200)
    }))

  it.scoped("void each other's leases", () =>
    Effect.gen(function*() {
      const [one, other] = yield* processes(2) as Effect.Effect<[Backend, Backend], BackendError, Scope.Scope>
      const changes = [
        other.remove("a"),
        other.removeMany(["a"]),
        other.set("a", entry("new"), minute),
        other.setMany([["a", entry("new"), minute]]),
        Effect.zipRight(other.remove("a"), other.add("a", entry("new"), minute)),
        Effect.zipRight(other.remove("a"), other.increment("a", 1, minute)),
        other.clear(""),
        other.clear("a")
      ]
      for (const change of changes) {
        const token = Option.getOrThrow((yield* one.lease("a", minute)).token)
        yield* change
        assert.isFalse(yield* one.fill("a", token, entry("late"), minute))
        assert.notStrictEqual(yield* get(one, "a"), "late")
      }
    }))

  it.scoped("see each other's clears at once, whatever the prefix, and no more than that", () =>
    Effect.gen(function*() {
      const [one, other] = yield* processes(2) as Effect.Effect<[Backend, Backend], BackendError, Scope.Scope>
      const keys = ["", "a", "a:", "a:1", "a:12", "a:2", "b:1", "😀", "😁"]
      for (const prefix of ["a:1", "😀", "a:", "b", "", "a:1", "a"]) {
        for (const key of keys) yield* one.set(key, entry("1"), minute)
        // Known to the other before the clear, and read again after it.
        assert.deepStrictEqual((yield* other.getMany(keys)).map(valueOf), keys.map(() => "1"))
        yield* one.clear(prefix)
        assert.deepStrictEqual(
          (yield* other.getMany(keys)).map(valueOf),
          keys.map((key) => key.startsWith(prefix) ? undefined : "1")
        )
        for (const key of keys) assert.strictEqual(yield* other.has(key), !key.startsWith(prefix))
      }
    }))

  it.scoped("never keep what was filled under a lease that is older than a clear", () =>
    Effect.gen(function*() {
      const [one, other] = yield* processes(2) as Effect.Effect<[Backend, Backend], BackendError, Scope.Scope>
      for (let round = 0; round < 100; round++) {
        const token = Option.getOrThrow((yield* one.lease("a:1", minute)).token)
        const yields = Array.from({ length: round % 23 }, () => Effect.promise(() => new Promise(setImmediate)))
        yield* Effect.all([
          one.fill("a:1", token, entry("late"), minute),
          Effect.zipRight(Effect.all(yields), other.clear("a:"))
        ], { concurrency: "unbounded" })
        assert.strictEqual(yield* get(other, "a:1"), undefined)
        assert.strictEqual(yield* get(one, "a:1"), undefined)
      }
    }))

  it.scoped("clear different prefixes at once: every clear counts", () =>
    Effect.gen(function*() {
      const backends = yield* processes(4)
      const keys = Array.from({ length: 40 }, (_, index) => `a:${index};`)
      for (const key of [...keys, "a"]) yield* backends[0]!.set(key, entry("1"), minute)
      yield* Effect.all(keys.map((key, index) => backends[index % 4]!.clear(key)), { concurrency: "unbounded" })
      for (const backend of backends) {
        assert.deepStrictEqual((yield* backend.getMany(keys)).map(valueOf), keys.map(() => undefined))
        assert.isTrue(yield* backend.has("a"))
      }
    }))

  it.scoped("go on when hundreds of prefixes were cleared: more is forgotten, never less", () =>
    Effect.gen(function*() {
      const [one, other] = yield* processes(2) as Effect.Effect<[Backend, Backend], BackendError, Scope.Scope>
      yield* one.set("elsewhere", entry("1"), minute)
      for (let index = 0; index < 500; index++) {
        const key = `page:${index}/`
        yield* one.set(key, entry("1"), minute)
        yield* one.clear(key)
        assert.isFalse(yield* other.has(key))
      }
      yield* one.clear("x".repeat(20_000))
      assert.isTrue(yield* other.has("elsewhere"))
    }))

  it.scoped("see each other's invalidations, and one version of a tag", () =>
    Effect.gen(function*() {
      const [one, other] = yield* processes(2) as Effect.Effect<[Backend, Backend], BackendError, Scope.Scope>
      const [mine, theirs] = yield* Effect.all([one.tagVersions(["t"]), other.tagVersions(["t"])], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(mine, theirs)
      const epoch = yield* one.tagEpoch
      assert.strictEqual(yield* other.tagEpoch, epoch)
      yield* other.invalidateTags(["t"], "hard")
      assert.notStrictEqual(yield* one.tagEpoch, epoch)
      assert.notStrictEqual((yield* one.refreshTags(mine))[0]!.hard, mine[0]!.hard)
    }))
})

describe("shares of a cache", () => {
  it.scoped("are cleared alone", () =>
    Effect.gen(function*() {
      const one = yield* make()
      const other = yield* make()
      yield* one.set("a", entry("1"), minute)
      yield* other.set("a", entry("2"), minute)
      yield* one.clear("")
      assert.isFalse(yield* one.has("a"))
      assert.strictEqual(yield* get(other, "a"), "2")
    }))

  it.scoped("are forgotten whole when their directory is lost: nothing that was cleared comes back", () =>
    Effect.gen(function*() {
      const prefix = newPrefix()
      const backend = yield* make({ prefix })
      yield* backend.set("a", entry("1"), minute)
      yield* backend.set("b", entry("1"), minute)
      yield* backend.clear("a")
      const { createHash } = yield* Effect.promise(() => import("node:crypto"))
      const directory = prefix + createHash("sha256").update("directory").digest("base64url")
      assert.isTrue(yield* send(server.port, [["cmd", "del"], ["key", directory]]))
      assert.deepStrictEqual((yield* backend.getMany(["a", "b"])).map(valueOf), [undefined, undefined])
      yield* backend.set("a", entry("2"), minute)
      assert.strictEqual(yield* get(backend, "a"), "2")
    }))

  it.scoped("with all of a cache: clear empties it, and nothing else does", () =>
    Effect.gen(function*() {
      const backend = yield* make({ port: whole.port, prefix: "" })
      const put = send(whole.port, [["cmd", "update"], ["key", "foreign"], ["size", "1"]], Buffer.from("1"))
      const isThere = send(whole.port, [["cmd", "exists"], ["key", "foreign"]])
      assert.isTrue(yield* put)
      yield* backend.set("a", entry("1"), minute)
      yield* backend.clear("a")
      assert.isTrue(yield* isThere)
      yield* backend.clear("")
      assert.isFalse(yield* isThere)
      yield* put
      const named = yield* make({ port: whole.port, prefix: "", cacheName: "only" })
      yield* named.clear("")
      assert.isTrue(yield* isThere)
    }))
})

describe("time", () => {
  it.scoped("is told by the Clock", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      yield* backend.set("a", entry("1", 60_000), minute)
      yield* backend.increment("n", 5, minute)
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* get(backend, "a"), "1")
      yield* TestClock.adjust("1 seconds")
      assert.isFalse(yield* backend.has("a"))
      assert.strictEqual(yield* backend.increment("n", 1, minute), 1)
    }))
})

describe("values", () => {
  it.scoped("that are too large are refused before they are sent, and leave what is there", () =>
    Effect.gen(function*() {
      const backend = yield* make({ cacheName: "second", maxValueBytes: 1_000 })
      yield* backend.set("a", entry("1"), minute)
      assert.strictEqual(yield* reasonOf(backend.set("a", entry("v".repeat(1_000)), minute)), "TooLarge")
      assert.strictEqual(yield* get(backend, "a"), "1")
      yield* backend.set("a", entry("v".repeat(900)), minute)
    }))

  it.scoped("are as large as the server takes them, to the byte", () =>
    Effect.gen(function*() {
      const small = yield* UwsgiServer.make({ caches: ["name=small,items=100"] })
      const backend = yield* make({ port: small.port })
      const error = yield* Effect.flip(backend.set("a", entry("v".repeat(70_000)), minute))
      // 65,536 bytes are an item without `blocksize`, and 33 of them are ours.
      assert.match(error.message, /^uwsgi\.set: the value has \d+ bytes with its header, and 65503 is the most$/)
      const header = Entry.encode(entry("")).length
      const largest = Buffer.alloc(65_503 - header, 7)
      yield* backend.set("a", entry(largest), minute)
      assert.strictEqual(Buffer.compare(Option.getOrThrow(yield* backend.get("a")).bytes!, largest), 0)
      assert.strictEqual(
        yield* reasonOf(backend.set("a", entry(Buffer.alloc(largest.length + 1)), minute)),
        "TooLarge"
      )
    }))
})

describe("a server that would lose entries is named at the start:", () => {
  const messageOf = (server: UwsgiServer.Options, options: Uwsgi.Options = {}) =>
    Effect.gen(function*() {
      const { port } = yield* UwsgiServer.make(server)
      const error = yield* Effect.flip(Uwsgi.make({ port, timeout, ...options }))
      assert.strictEqual(error.reason, "Unavailable")
      return error.message
    })

  it.scoped("no cache at all", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* messageOf({ caches: [] }),
        "uwsgi.connect: the server has no cache: start it with the cache plugin and --cache2 name=…,items=…"
      )
    }))

  it.scoped("no cache of the name", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* messageOf({}, { cacheName: "pages" }),
        `uwsgi.connect: the server has no cache "pages": start it with --cache2 name=pages,items=…`
      )
    }))

  it.scoped("keys that are too short", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* messageOf({ caches: ["name=lab,items=100,keysize=40"] }),
        "uwsgi.connect: keys of 49 bytes do not fit into its first cache: raise keysize of --cache2, or shorten the prefix"
      )
    }))

  it.scoped("items that are too short", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* messageOf({ caches: ["name=lab,items=100,blocksize=512"] }, { cacheName: "lab" }),
        `uwsgi.connect: its cache "lab" takes items of at most 512 bytes: raise blocksize of --cache2 to at least 1024`
      )
      assert.strictEqual(
        yield* messageOf({ caches: ["name=lab,items=100"] }, { maxValueBytes: 100_000 }),
        "uwsgi.connect: its first cache takes items of at most 65536 bytes: raise blocksize of --cache2 to at least 100033" +
          ", or lower maxValueBytes to 65503"
      )
    }))

  it.scoped("everything that has a time to expire is lost", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* messageOf({ caches: ["name=lab,items=100,purge_lru=1,lazy_expire=1"] }),
        "uwsgi.connect: its first cache loses at once what has a time to expire: " +
          "remove lazy_expire or purge_lru from --cache2"
      )
    }))

  it.scoped("two servers that take turns", () =>
    Effect.gen(function*() {
      const ports = [(yield* UwsgiServer.make()).port, (yield* UwsgiServer.make()).port]
      let turn = 0
      const balancer = yield* Effect.acquireRelease(
        Effect.async<Net.Server>((resume) => {
          const listener = Net.createServer((client) => {
            const upstream = Net.connect(ports[turn++ % 2]!, "127.0.0.1")
            client.on("error", () => upstream.destroy()).pipe(upstream)
            upstream.on("error", () => client.destroy()).pipe(client)
          })
          listener.listen(0, "127.0.0.1", () => resume(Effect.succeed(listener)))
        }),
        (listener) => Effect.sync(() => listener.close())
      )
      const { port } = balancer.address() as Net.AddressInfo
      const error = yield* Effect.flip(Uwsgi.make({ port, timeout }))
      assert.strictEqual(
        error.message,
        "uwsgi.connect: its first cache loses what it has stored: let one server, and not several, answer at this address"
      )
    }))

  it.scoped("something that is no uWSGI", () =>
    Effect.gen(function*() {
      const web = yield* Effect.acquireRelease(
        Effect.async<Net.Server>((resume) => {
          const listener = Net.createServer((client) => {
            client.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n")
          })
          listener.listen(0, "127.0.0.1", () => resume(Effect.succeed(listener)))
        }),
        (listener) => Effect.sync(() => listener.close())
      )
      const { port } = web.address() as Net.AddressInfo
      const error = yield* Effect.flip(Uwsgi.make({ port, timeout }))
      assert.strictEqual(error.message, "uwsgi.connect: the answer is not one of a uWSGI cache")
    }))

  it.scoped("nothing is left of the question", () =>
    Effect.gen(function*() {
      const tiny = yield* UwsgiServer.make({ caches: ["name=tiny,items=8"] })
      // Seven places: the directory, four spares, a lock, and one.
      for (let round = 0; round < 5; round++) {
        const backend = yield* make({ port: tiny.port, prefix: "a:" })
        yield* backend.set("a", entry(String(round)), minute)
      }
    }))
})

describe("options", () => {
  it.scoped("come from the configuration", () =>
    Effect.gen(function*() {
      const layer = Uwsgi.layerConfig({ port: Config.integer("PORT"), prefix: Config.string("PREFIX") })
      const use = (values: Record<string, string>) =>
        Effect.flatMap(CacheBackend, (backend) => backend.has("a")).pipe(
          Effect.provide(
            Layer.provide(layer, Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values)))))
          ),
          Effect.either
        )
      assert.deepStrictEqual((yield* use({ PORT: String(server.port), PREFIX: "x:" }))._tag, "Right")
      const refused = yield* use({ PORT: "0", PREFIX: "x:" })
      assert.match(String(refused._tag === "Left" && refused.left), /Uwsgi: port must be an integer from 1 to 65535/)
    }))

  it.scoped("that cannot be meant are defects", () =>
    Effect.gen(function*() {
      const wrong: Array<Uwsgi.Options> = [
        { port: 70_000 },
        { prefix: "p".repeat(201) },
        { cacheName: "" },
        { concurrency: 0 },
        { maxValueBytes: -1 },
        { timeout: -5 }
      ]
      for (const options of wrong) {
        const exit = yield* Effect.exit(Effect.scoped(Uwsgi.make(options)))
        assert.match(String(exit), /InvalidOption|must be/)
      }
    }))
})
