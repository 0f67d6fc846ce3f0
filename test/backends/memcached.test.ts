import { afterAll, assert, describe, it, vi } from "@effect/vitest"
import type { Backend } from "effect-caching/Backend"
import { CacheBackend } from "effect-caching/Backend"
import * as Memcached from "effect-caching/backends/Memcached"
import { Conformance } from "effect-caching/testing"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import memjs from "memjs"
import { mkdtempSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Entry from "../../src/internal/entry.js"
import * as MemcachedServer from "../support/memcachedServer.js"

const scope = Effect.runSync(Scope.make())
const sasl = { username: "tester", password: "p@ss:w0rd,x" }
const [server, second, third, guarded] = await Effect.runPromise(
  Scope.extend(
    Effect.all([
      MemcachedServer.make(),
      MemcachedServer.make(),
      MemcachedServer.make(),
      MemcachedServer.make({ sasl })
    ]),
    scope
  )
)
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const servers = [server.address, second.address, third.address]
const minute = Duration.minutes(1)

const entry = (value: string | Uint8Array, keepUntil = Infinity) =>
  new Entry.Entry(false, "text", 0, keepUntil, keepUntil, 1, [], undefined, Buffer.from(value))

const valueOf = (found: Option.Option<Entry.Entry>) =>
  Option.isSome(found) ? Buffer.from(found.value.bytes!).toString() : undefined

const get = (backend: Backend, key: string) => Effect.map(backend.get(key), valueOf)

let shares = 0
/** A backend with a share of its own. */
const make = (options: Memcached.Options = {}) =>
  Memcached.make({ servers: [server.address], requireConnection: true, prefix: `share${shares++}:`, ...options })

const memjsClient = (addresses: ReadonlyArray<string>, options?: memjs.ClientOptions) =>
  Effect.acquireRelease(
    Effect.sync(() => memjs.Client.create(addresses.join(","), options)),
    (client) => Effect.sync(() => client.close())
  )

const opcodes = { get: 9, set: 1, add: 2, delete: 4, noop: 10, stat: 16, touch: 30 }

/** Passes everything on, and lists the opcodes that were sent; one `noop` ends each round trip. */
const listening = Effect.acquireRelease(
  Effect.promise(async () => {
    const sent: Array<number> = []
    const proxy = Net.createServer((client) => {
      const upstream = Net.connect(server.port, server.host)
      let rest = Buffer.alloc(0)
      client.on("data", (chunk) => {
        upstream.write(chunk)
        rest = Buffer.concat([rest, chunk])
        while (rest.length >= 24 && rest.length >= 24 + rest.readUInt32BE(8)) {
          sent.push(rest[1]!)
          rest = rest.subarray(24 + rest.readUInt32BE(8))
        }
      })
      upstream.pipe(client)
      for (const socket of [client, upstream]) {
        socket.on("error", () => {}).on("close", () => {
          client.destroy()
          upstream.destroy()
        })
      }
    })
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
    return { sent, address: `127.0.0.1:${(proxy.address() as Net.AddressInfo).port}`, proxy }
  }),
  ({ proxy }) => Effect.sync(() => proxy.close())
)

const oneMegabyte = { largeValueBytes: 1_000_000 }

describe("one server", () => {
  Conformance.register({ describe, it }, Memcached.layer({ servers: [server.address] }), oneMegabyte)
})
describe("several servers", () => {
  Conformance.register({ describe, it }, Memcached.layer({ servers }), oneMegabyte)
})
describe("a prefix of special characters", () => {
  Conformance.register(
    { describe, it },
    Memcached.layer({ servers: [server.address], prefix: "é [b]*\n\0" }),
    oneMegabyte
  )
})
describe("a server that wants SASL", () => {
  const { password, username } = sasl
  const layer = Memcached.layerSasl({ servers: [guarded.address], username, password: Redacted.make(password) })
  Conformance.register({ describe, it }, layer, oneMegabyte)
})
describe("a client of the user's", () => {
  const layer = Layer.unwrapScoped(Effect.map(memjsClient(servers), (client) => Memcached.layerFromClient(client)))
  Conformance.register({ describe, it }, layer, oneMegabyte)
})

describe("two processes", () => {
  const pair = Effect.gen(function*() {
    const prefix = `pair${shares++}:`
    return [yield* make({ prefix, servers }), yield* make({ prefix, servers: servers.toReversed() })] as const
  })

  it.scoped("share entries, counters and leases, whatever the order in which they name the servers", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
      const keys = Array.from({ length: 50 }, (_, index) => `k${index}`)
      yield* one.setMany(keys.map((key) => [key, entry(key), minute]))
      assert.deepStrictEqual((yield* other.getMany(keys)).map(valueOf), keys)
      yield* Effect.all(
        Array.from({ length: 200 }, (_, index) => (index % 2 === 0 ? one : other).increment("n", 1, minute)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(yield* one.increment("n", 0, minute), 200)
      const { token } = yield* one.lease("b", minute)
      assert.isTrue(Option.isSome(token))
      assert.isTrue(Option.isNone((yield* other.lease("b", minute)).token))
      assert.isTrue(yield* other.fill("b", Option.getOrThrow(token), entry("2"), minute))
    }))

  it.scoped("void each other's leases", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
      const changes = [
        other.remove("a"),
        other.removeMany(["a"]),
        other.set("a", entry("new"), minute),
        other.setMany([["a", entry("new"), minute]]),
        Effect.zipRight(other.remove("a"), other.add("a", entry("new"), minute)),
        Effect.zipRight(other.remove("a"), other.increment("a", 1, minute)),
        other.clear("")
      ]
      for (const change of changes) {
        const token = Option.getOrThrow((yield* one.lease("a", minute)).token)
        yield* change
        assert.isFalse(yield* one.fill("a", token, entry("late"), minute))
        assert.notStrictEqual(yield* get(one, "a"), "late")
      }
    }))

  it.scoped("see at once what the other has cleared, and keep what is set afterwards", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
      for (const prefix of ["", "a", "a:", "a:b", "a:b:1"]) {
        yield* one.set("a:b:1", entry("old"), minute)
        yield* one.set("c", entry("c"), minute)
        assert.isTrue(yield* other.has("a:b:1"))
        yield* other.clear(prefix)
        assert.isFalse(yield* one.has("a:b:1"))
        assert.strictEqual(yield* one.has("c"), prefix !== "")
        yield* one.set("a:b:1", entry("new"), minute)
        assert.strictEqual(yield* get(other, "a:b:1"), "new")
      }
    }))

  it.scoped("see each other's invalidations, and one version of a tag", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
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

  it.scoped("never keep what was filled under a lease that is older than a clear", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
      const keys = Array.from({ length: 1_000 }, (_, index) => `k${index}`)
      yield* one.setMany(keys.map((key) => [key, entry("old"), minute]))
      const leases = yield* Effect.forEach(keys, (key) => one.lease(key, minute), { concurrency: "unbounded" })
      yield* Effect.all([
        other.clear("k"),
        Effect.forEach(
          leases,
          ({ token }, index) => one.fill(keys[index]!, Option.getOrThrow(token), entry("late"), minute),
          { concurrency: 50 }
        )
      ], { concurrency: "unbounded" })
      const left = yield* one.getMany(keys)
      assert.deepStrictEqual(left.filter(Option.isSome), [])
    }))

  it.scoped("agree, whatever they do to one key at the same time", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
      for (let round = 0; round < 50; round++) {
        const key = `k${round}`
        const token = Option.getOrThrow((yield* one.lease(key, minute)).token)
        const [isFilled, wasThere] = yield* Effect.all(
          [one.fill(key, token, entry("late"), minute), other.remove(key)],
          { concurrency: "unbounded" }
        )
        assert.strictEqual(isFilled, wasThere)
        assert.isFalse(yield* one.has(key))
        const added = yield* Effect.all([one.add(key, entry("1"), minute), other.add(key, entry("2"), minute)], {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(added.toSorted(), [false, true])
        const removed = yield* Effect.all([one.remove(key), other.remove(key)], { concurrency: "unbounded" })
        assert.deepStrictEqual(removed.toSorted(), [false, true])
      }
    }))
})

describe("round trips", () => {
  const observed = Effect.gen(function*() {
    const { address, sent } = yield* listening
    const backend = yield* make({ servers: [address] })
    yield* backend.set("warm", entry("1"), minute)
    const counted = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.gen(function*() {
        sent.length = 0
        yield* effect
        return { trips: sent.filter((opcode) => opcode === opcodes.noop).length, requests: [...sent] }
      })
    return { backend, counted }
  })

  it.scoped("reads a hundred keys with one", () =>
    Effect.gen(function*() {
      const { backend, counted } = yield* observed
      const keys = Array.from({ length: 100 }, (_, index) => `k${index}`)
      yield* backend.setMany(keys.map((key) => [key, entry(key), minute]))
      const { requests, trips } = yield* counted(backend.getMany(keys))
      assert.strictEqual(trips, 1)
      // The keys, and what tells of clears.
      assert.deepStrictEqual(requests, [...Array.from({ length: 101 }, () => opcodes.get), opcodes.noop])
    }))

  it.scoped("joins a thousand concurrent reads into a handful, and sends a key that many ask for once", () =>
    Effect.gen(function*() {
      const { backend, counted } = yield* observed
      const keys = Array.from({ length: 1_000 }, (_, index) => `k${index}`)
      yield* backend.setMany(keys.map((key) => [key, entry(key), minute]))
      const read = Effect.forEach(keys, (key) => get(backend, key), { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* read, keys)
      assert.isAtMost((yield* counted(read)).trips, 6)
      const same = Effect.all(Array.from({ length: 500 }, () => get(backend, "k7")), { concurrency: "unbounded" })
      assert.deepStrictEqual(new Set(yield* same), new Set(["k7"]))
      assert.isAtMost((yield* counted(same)).requests.length, 6)
    }))

  it.scoped("takes one for what may be blind or finds nothing, and two for what looks first", () =>
    Effect.gen(function*() {
      const { backend, counted } = yield* observed
      const trips = (effect: Effect.Effect<unknown, unknown>) => Effect.map(counted(effect), ({ trips }) => trips)
      const items = Array.from({ length: 100 }, (_, index) => [`k${index}`, entry("1"), minute] as const)
      assert.strictEqual(yield* trips(backend.get("a")), 1)
      assert.strictEqual(yield* trips(backend.has("a")), 1)
      assert.strictEqual(yield* trips(backend.set("a", entry("1"), minute)), 1)
      assert.strictEqual(yield* trips(backend.setMany(items)), 1)
      assert.strictEqual(yield* trips(backend.add("b", entry("1"), minute)), 1)
      assert.strictEqual(yield* trips(backend.add("b", entry("1"), minute)), 1)
      assert.strictEqual(yield* trips(backend.remove("a")), 2)
      assert.strictEqual(yield* trips(backend.remove("a")), 1)
      assert.strictEqual(yield* trips(backend.increment("n", 1, minute)), 2)
      assert.strictEqual(yield* trips(backend.clear("x")), 2)
      yield* backend.get("a")
      const token = Option.getOrThrow((yield* backend.lease("c", minute)).token)
      assert.strictEqual(yield* trips(backend.lease("d", minute)), 1)
      assert.strictEqual(yield* trips(backend.renew("c", token, minute)), 2)
      assert.strictEqual(yield* trips(backend.fill("c", token, entry("1"), minute)), 2)
      assert.strictEqual(yield* trips(backend.tagVersions(["t", "u"])), 2)
      const versions = yield* backend.tagVersions(["t", "u"])
      assert.strictEqual(yield* trips(backend.tagVersions(["t", "u"])), 1)
      assert.strictEqual(yield* trips(backend.refreshTags(versions)), 1)
      yield* backend.tagEpoch
      assert.strictEqual(yield* trips(backend.tagEpoch), 1)
      assert.strictEqual(yield* trips(backend.invalidateTags(["t", "u"], "hard")), 2)
    }))
})

describe("what is in the server", () => {
  /** For how many seconds the server keeps the key; -1 for ever. */
  const left = (key: string) =>
    Effect.map(server.text(`mg ${key} t`), ([line]) => Number(/^HD t(-?\d+)$/.exec(line ?? "")?.[1] ?? NaN))
  const isThere = (key: string) => Effect.map(server.text(`mg ${key} k`), ([line]) => line!.startsWith("HD"))

  it.scoped("ages with the Clock, while the server keeps it", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "age:" })
      yield* backend.set("a", entry("1", 60_000), minute)
      yield* backend.increment("n", 1, minute)
      const token = Option.getOrThrow((yield* backend.lease("l", minute)).token)
      const ended = Option.getOrThrow((yield* backend.lease("m", Duration.millis(1))).token)
      yield* TestClock.adjust("59 seconds")
      assert.isTrue(yield* backend.has("a"))
      yield* TestClock.adjust("1 second")
      assert.isFalse(yield* backend.has("a"))
      assert.isTrue(Option.isNone(yield* backend.get("a")))
      // A lease is between processes, which share no test's clock: it ends by the time of the machine.
      assert.isTrue(yield* backend.fill("l", token, entry("filled"), minute))
      assert.isFalse(yield* backend.fill("m", ended, entry("late"), minute))
      assert.isTrue(Option.isSome((yield* backend.lease("m", minute)).token))
      assert.isFalse(yield* backend.remove("a"))
      assert.strictEqual(yield* backend.increment("n", 5, minute), 5)
      assert.isTrue(yield* isThere("age:n"))
    }))

  it.scoped("is kept for as long as it may be used: half a second, 31 days, for ever", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "ttl:" })
      const days = 86_400
      const retentions: ReadonlyArray<readonly [Duration.Duration, number, number]> = [
        // The server's clock ticks once a second: less than two could be nothing.
        [Duration.micros(1n), 1, 2],
        [Duration.millis(500), 1, 2],
        [Duration.seconds(1), 1, 2],
        [Duration.millis(1_000_000.5), 1_000, 1_002],
        [Duration.days(30), 30 * days - 1, 30 * days + 2],
        [Duration.days(31), 31 * days - 1, 31 * days + 2],
        [Duration.days(3_650), 3_650 * days - 1, 3_650 * days + 2],
        [Duration.days(365_000), -1, -1],
        [Duration.infinity, -1, -1]
      ]
      for (const [index, [retention, least, most]] of retentions.entries()) {
        const keys = [`set${index}`, `add${index}`, `increment${index}`, `fill${index}`]
        yield* backend.set(keys[0]!, entry("1"), retention)
        yield* backend.add(keys[1]!, entry("1"), retention)
        yield* backend.increment(keys[2]!, 1, retention)
        const token = Option.getOrThrow((yield* backend.lease(keys[3]!, minute)).token)
        yield* backend.fill(keys[3]!, token, entry("1"), retention)
        for (const key of keys) {
          assert.isTrue(yield* backend.has(key))
          const seconds = yield* left(`ttl:${key}`)
          assert.isAtLeast(seconds, least, `${key} ${Duration.format(retention)}`)
          assert.isAtMost(seconds, most, `${key} ${Duration.format(retention)}`)
        }
      }
      yield* backend.tagVersions(["t"])
      assert.approximately(yield* left("ttl:~hard:t"), 30 * days, 5)
    }))

  it.scoped("keeps the time of a counter, and that of an entry whose lease comes and goes", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "kept:" })
      yield* backend.increment("n", 1, Duration.days(1))
      yield* backend.increment("n", 1, minute)
      assert.approximately(yield* left("kept:n"), 86_400, 5)
      yield* backend.set("a", entry("1", 86_400_000), Duration.days(1))
      const token = Option.getOrThrow((yield* backend.lease("a", minute)).token)
      assert.approximately(yield* left("kept:a"), 86_400, 5)
      yield* backend.renew("a", token, Duration.days(2))
      assert.approximately(yield* left("kept:a"), 172_800, 5)
      yield* backend.renew("a", token, Duration.zero)
      assert.approximately(yield* left("kept:a"), 86_400, 5)
    }))

  it.scoped("has names that every protocol takes, and the whole key where the name has only its hash", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "names:" })
      const long = "k".repeat(245)
      for (const key of ["plain", long, "with blank", "é", "", "~hint:", "line\r\nfeed"]) {
        yield* backend.set(key, entry(key), minute)
      }
      assert.isTrue(yield* isThere("names:plain"))
      assert.isFalse(yield* isThere(`names:${long}`))
      const names = yield* server.text("lru_crawler metadump all")
      const ours = names.flatMap((line) => /^key=(\S+) /.exec(line)?.[1] ?? []).map(decodeURIComponent)
        .filter((name) => name.startsWith("names:"))
      assert.isAtLeast(ours.length, 8)
      for (const name of ours) assert.match(name, /^[\x21-\x7e]{1,250}$/)
      // What another key left under a name is not this key's.
      const name = ours.find((name) => name.startsWith("names:~#"))!
      const client = yield* memjsClient([server.address])
      const { value } = yield* Effect.promise(() => client.get(name))
      const other = Buffer.from(value!)
      other[other.indexOf("EFC") - 1]! ^= 1
      yield* Effect.promise(() => client.set(name, other))
      const all = yield* backend.getMany([long, "with blank", "é", "", "~hint:", "line\r\nfeed"])
      assert.strictEqual(all.filter(Option.isNone).length, 1)
    }))

  it.scoped("is the business of others where it is foreign: absent, and overwritten", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "foreign:" })
      const client = yield* memjsClient([server.address])
      yield* backend.set("whole", entry("value"), minute)
      const { value } = yield* Effect.promise(() => client.get("foreign:whole"))
      const whole = Buffer.from(value!)
      const damaged = Buffer.from(whole)
      damaged[whole.length - 1]! ^= 1
      const values = [Buffer.alloc(0), Buffer.from("hello"), whole.subarray(0, -1), whole.subarray(0, 30), damaged]
      for (const value of [...values, Buffer.alloc(200, 0xec)]) {
        for (const key of ["a", "b", "c", "d"]) yield* Effect.promise(() => client.set(`foreign:${key}`, value))
        assert.isTrue(Option.isNone(yield* backend.get("a")))
        assert.deepStrictEqual(yield* backend.getMany(["a", "b"]), [Option.none(), Option.none()])
        assert.isFalse(yield* backend.has("a"))
        assert.isFalse(yield* backend.remove("d"))
        const { entry: found, token } = yield* backend.lease("a", minute)
        assert.isTrue(Option.isNone(found))
        assert.isTrue(yield* backend.fill("a", Option.getOrThrow(token), entry("1"), minute))
        assert.isTrue(yield* backend.add("b", entry("2"), minute))
        assert.strictEqual(yield* backend.increment("c", 3, minute), 3)
        assert.deepStrictEqual((yield* backend.getMany(["a", "b", "c"])).map(valueOf), ["1", "2", "3"])
      }
      // The same of what tells of clears: everything is forgotten, and it is made anew.
      for (const name of ["foreign:~list:", "foreign:~hint:"]) {
        yield* Effect.promise(() => client.set(name, "hello"))
        const other = yield* make({ prefix: "foreign:" })
        yield* other.set("a", entry("3"), minute)
        assert.strictEqual(yield* get(other, "a"), "3")
        yield* other.clear("a")
        assert.isFalse(yield* other.has("a"))
      }
    }))

  it.scoped("stays when clear is not meant for it, and is never flushed", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "mine:" })
      const neighbour = yield* make({ prefix: "mine:x:" })
      yield* backend.set("k", entry("1"), minute)
      yield* neighbour.set("k", entry("1"), minute)
      yield* server.text("set other:k 0 60 1\r\n1")
      yield* backend.clear("")
      assert.isFalse(yield* backend.has("k"))
      assert.isTrue(yield* neighbour.has("k"))
      assert.isTrue(yield* isThere("other:k"))
    }))

  it.scoped("never comes back after a clear, whatever the server evicts", () =>
    Effect.gen(function*() {
      const prefix = "evicted:"
      const keys = ["a:1", "a:2", "b:1"]
      for (const evicted of [["list"], ["hint"], ["list", "hint"]]) {
        const one = yield* make({ prefix })
        const other = yield* make({ prefix })
        yield* one.setMany(keys.map((key) => [key, entry("old"), minute]))
        const lease = Option.getOrThrow((yield* one.lease("a:3", minute)).token)
        yield* other.getMany(keys)
        yield* other.clear("a:")
        for (const name of evicted) yield* server.text(`delete ${prefix}~${name}:`)
        for (const backend of [one, other, yield* make({ prefix })]) {
          const found = (yield* backend.getMany(keys)).map(valueOf)
          assert.deepStrictEqual(found.slice(0, 2), [undefined, undefined])
          yield* backend.set("c", entry("c"), minute)
          assert.strictEqual(yield* get(backend, "c"), "c")
          assert.deepStrictEqual((yield* backend.getMany(keys)).map(valueOf).slice(0, 2), [undefined, undefined])
        }
        assert.isFalse(yield* one.fill("a:3", lease, entry("late"), minute))
        // Before a clear and after the loss of its list too.
        yield* one.setMany(keys.map((key) => [key, entry("old"), minute]))
        for (const name of evicted) yield* server.text(`delete ${prefix}~${name}:`)
        yield* other.clear("a:")
        assert.deepStrictEqual((yield* one.getMany(keys)).map(valueOf).slice(0, 2), [undefined, undefined])
      }
    }))

  it.scoped("is cleared exactly, by a thousand prefixes and more", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "many:" })
      yield* backend.set("first", entry("1"), minute)
      for (let index = 0; index < 1_000; index++) {
        if (index % 100 === 0) yield* backend.set(`p${index}:k`, entry("1"), minute)
        yield* backend.clear(`p${index}:`)
        if (index % 100 === 0) assert.isFalse(yield* backend.has(`p${index}:k`))
      }
      assert.isTrue(yield* backend.has("first"))
      yield* backend.set("later", entry("2"), minute)
      yield* backend.clear("one more")
      // The older half of the list is forgotten, and what was stored before.
      assert.isFalse(yield* backend.has("first"))
      assert.strictEqual(yield* get(backend, "later"), "2")
      yield* backend.clear("p")
      yield* backend.set("p1:k", entry("3"), minute)
      assert.strictEqual(yield* get(backend, "p1:k"), "3")
    }))

  it.scoped("stays as it is when a value is too large to be sent", () =>
    Effect.gen(function*() {
      const small = yield* MemcachedServer.make({ args: ["-I", "512k"] })
      const cases = [
        { backend: yield* make({ maxValueBytes: 10 }), fits: 10 },
        { backend: yield* make(), fits: 1_048_000 },
        { backend: yield* make({ servers: [small.address] }), fits: 523_000 }
      ]
      for (const { backend, fits } of cases) {
        const large = entry(Buffer.alloc(fits === 10 ? 11 : fits + 2_000))
        yield* backend.set("a", entry("1"), minute)
        const token = Option.getOrThrow((yield* backend.lease("l", minute)).token)
        const writes = [
          backend.set("a", large, minute),
          backend.setMany([["b", entry("1"), minute], ["a", large, minute]]),
          backend.add("c", large, minute),
          backend.fill("l", token, large, minute)
        ]
        for (const write of writes) assert.strictEqual((yield* Effect.flip(write)).reason, "TooLarge")
        assert.deepStrictEqual((yield* backend.getMany(["a", "b", "c", "l"])).map(valueOf), [
          "1",
          undefined,
          undefined,
          undefined
        ])
        yield* backend.set("a", entry(Buffer.alloc(fits, 1)), minute)
        assert.strictEqual((yield* get(backend, "a"))!.length, fits)
        // One at the limit can be leased, though the lease is stored with it.
        assert.isTrue(Option.isSome((yield* backend.lease("a", minute)).token))
      }
    }))
})

describe("interruption", () => {
  it.scoped("of five thousand operations at random mixes up no answers", () =>
    Effect.gen(function*() {
      const backend = yield* make({ servers })
      const keys = Array.from({ length: 50 }, (_, index) => `k${index}`)
      yield* backend.setMany(keys.map((key) => [key, entry(key), minute]))
      let wrong = 0
      const one = (index: number) => {
        const key = keys[index % keys.length]!
        const operation = index % 3 === 0
          ? Effect.map(backend.getMany([key, key]), (found) => found.map(valueOf).every((value) => value === key))
          : index % 7 === 0
          ? Effect.as(backend.set(key, entry(key), minute), true)
          : Effect.map(get(backend, key), (value) => value === key)
        return Effect.gen(function*() {
          const fiber = yield* Effect.fork(operation)
          for (let yields = index % 5; yields > 0; yields--) yield* Effect.yieldNow()
          const exit = index % 2 === 0 ? yield* Fiber.interrupt(fiber) : yield* Fiber.await(fiber)
          if (Exit.isSuccess(exit) ? !exit.value : !Exit.isInterrupted(exit)) wrong++
        })
      }
      yield* Effect.forEach(Array.from({ length: 5_000 }, (_, index) => index), one, { concurrency: 100 })
      assert.strictEqual(wrong, 0)
      assert.deepStrictEqual((yield* backend.getMany(keys)).map(valueOf), keys)
    }))
})

describe("make", () => {
  it.scoped("takes its options from the configuration", () =>
    Effect.gen(function*() {
      const layer = Memcached.layerConfig({
        servers: Config.array(Config.string(), "SERVERS"),
        prefix: Config.string("PREFIX"),
        commandTimeout: Config.duration("TIMEOUT")
      }).pipe(Layer.provide(Layer.setConfigProvider(
        ConfigProvider.fromMap(
          new Map([["SERVERS", servers.join(",")], ["PREFIX", "config:"], ["TIMEOUT", "2 seconds"]])
        )
      )))
      yield* Effect.flatMap(CacheBackend, (backend) => backend.set("a", entry("1"), minute)).pipe(Effect.provide(layer))
      assert.isTrue(yield* (yield* make({ servers, prefix: "config:" })).has("a"))
    }))

  it.scoped("connects through a Unix socket", () =>
    Effect.gen(function*() {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "memcached-test-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true }))
      )
      const path = join(folder, "memcached.sock")
      const relay = Net.createServer((client) => {
        const upstream = Net.connect(server.port, server.host)
        client.pipe(upstream).pipe(client)
        for (const socket of [client, upstream]) socket.on("error", () => {})
      })
      yield* Effect.acquireRelease(
        Effect.promise(() => new Promise<void>((resolve) => relay.listen(path, resolve))),
        () => Effect.sync(() => relay.close())
      )
      const backend = yield* make({ servers: [path] })
      yield* backend.set("a", entry("1"), minute)
      assert.strictEqual(yield* get(backend, "a"), "1")
    }))

  it.scoped("refuses what is no server, and does not tell it", () =>
    Effect.gen(function*() {
      for (const bad of ["user:secret@localhost:1", "secret:port", "secret:0", "secret:70000", "secret,b", "", "a b"]) {
        const error = yield* Effect.flip(make({ servers: [server.address, bad] }))
        assert.strictEqual(error.reason, "InvalidInput")
        assert.notInclude(`${error} ${error.stack} ${JSON.stringify(error)}`, "secret")
      }
      assert.strictEqual((yield* Effect.flip(make({ servers: [] }))).reason, "InvalidInput")
    }))

  it.scoped("does not take credentials from the environment", () =>
    Effect.gen(function*() {
      process.env["MEMCACHE_USERNAME"] = sasl.username
      process.env["MEMCACHE_PASSWORD"] = sasl.password
      const error = yield* Effect.flip(make({ servers: [guarded.address] }))
      delete process.env["MEMCACHE_USERNAME"]
      delete process.env["MEMCACHE_PASSWORD"]
      assert.strictEqual(error.reason, "Authentication")
    }))

  it.scoped("says what to install where memjs is not", () =>
    Effect.gen(function*() {
      vi.resetModules()
      vi.doMock("memjs", () => {
        throw Object.assign(new Error("Cannot find package 'memjs'"), { code: "ERR_MODULE_NOT_FOUND" })
      })
      const { make } = yield* Effect.promise(() => import("effect-caching/backends/Memcached"))
      const error = yield* Effect.flip(make())
      vi.doUnmock("memjs")
      assert.strictEqual(
        error.message,
        "memcached.connect: effect-caching/backends/Memcached needs memjs: npm install memjs@1"
      )
    }))

  it.scoped("leaves a client of the user's open, and of use beside the backend and after it", () =>
    Effect.gen(function*() {
      const client = yield* memjsClient([server.address], { logger: { log: () => {} } })
      const scope = yield* Scope.make()
      const backend = yield* Scope.extend(Memcached.fromClient(client, { prefix: "client:" }), scope)
      const values = Array.from({ length: 100 }, (_, index) => String(index))
      yield* Effect.all(
        values.flatMap((value) => [
          Effect.promise(() => client.set(`theirs${value}`, value)),
          backend.set(value, entry(value), minute)
        ]),
        { concurrency: "unbounded" }
      )
      const both = yield* Effect.forEach(values, (value) =>
        Effect.zip(
          Effect.promise(async () => String((await client.get(`theirs${value}`)).value)),
          get(backend, value),
          { concurrent: true }
        ), { concurrency: "unbounded" })
      assert.deepStrictEqual(both, values.map((value): [string, string] => [value, value])) // Over the number at which memjs ends.
      ;(client as { seq: number }).seq = 0x7fffffff - 3
      for (const value of values) {
        assert.strictEqual(yield* get(backend, value), value)
        assert.strictEqual(String((yield* Effect.promise(() => client.get(`theirs${value}`))).value), value)
      }
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(backend.get("1"))).reason, "Connection")
      assert.strictEqual(String((yield* Effect.promise(() => client.get("theirs1"))).value), "1")
    }))
})
