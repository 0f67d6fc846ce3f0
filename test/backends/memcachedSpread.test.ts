import { afterAll, assert, describe, it } from "@effect/vitest"
import type { Backend } from "effect-caching/Backend"
import { CacheBackend } from "effect-caching/Backend"
import * as Memcached from "effect-caching/backends/Memcached"
import { Conformance } from "effect-caching/testing"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import memjs from "memjs"
import { randomBytes } from "node:crypto"
import * as Entry from "../../src/internal/entry.js"
import * as FaultProxy from "../support/faultProxy.js"
import * as MemcachedServer from "../support/memcachedServer.js"

const scope = Effect.runSync(Scope.make())
const [server, second] = await Effect.runPromise(
  Scope.extend(
    Effect.all([MemcachedServer.make({ args: ["-m", "512"] }), MemcachedServer.make({ args: ["-m", "512"] })]),
    scope
  )
)
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const minute = Duration.minutes(1)

const entry = (value: string | Uint8Array, keepUntil = Infinity) =>
  new Entry.Entry(false, "text", 0, keepUntil, keepUntil, 1, [], undefined, Buffer.from(value))

const bytesOf = (found: Option.Option<Entry.Entry>) => Option.getOrUndefined(found)?.bytes
const bytes = (backend: Backend, key: string) => Effect.map(backend.get(key), bytesOf)

const isSame = (actual: Uint8Array | undefined, expected: Uint8Array) =>
  actual !== undefined && Buffer.compare(actual, expected) === 0

let shares = 0
const make = (options: Memcached.Options & Memcached.SpreadOptions = {}) => {
  const { chunkBytes, maxValueBytes, ...rest } = options
  return Effect.map(
    Memcached.make({
      servers: [server.address],
      requireConnection: true,
      commandTimeout: "2 seconds",
      prefix: `spread${shares++}:`,
      ...rest
    }),
    Memcached.spread({ chunkBytes, maxValueBytes })
  )
}

/** The names of the chunks that the server has, with their sizes. */
const chunks = (prefix: string) =>
  Effect.map(
    server.text("lru_crawler metadump all"),
    (lines) =>
      lines.flatMap((line) => {
        const name = decodeURIComponent(/^key=(\S+) /.exec(line)?.[1] ?? "")
        const size = Number(/ size=(\d+)/.exec(line)?.[1])
        return name.startsWith(`${prefix}~#`) && size > 2_000 ? [{ name, size }] : []
      })
  )

const client = Effect.acquireRelease(
  Effect.sync(() => memjs.Client.create(server.address, { logger: { log: () => {} } })),
  (client) => Effect.sync(() => client.close())
)

describe("values in chunks of 500,000 bytes", () => {
  const layer = Memcached.layer({ servers: [server.address, second.address] }).pipe(Memcached.spreadLayer())
  Conformance.register({ describe, it }, layer, { largeValueBytes: 3_000_000 })
})
describe("values in chunks of 1,000 bytes", () => {
  const layer = Memcached.layer({ servers: [server.address] }).pipe(Memcached.spreadLayer({ chunkBytes: 1_000 }))
  Conformance.register({ describe, it }, layer, { largeValueBytes: 100_000 })
})

describe("a large value", () => {
  it.scopedLive("of 32 MB is stored and read, whole, by every operation", () =>
    Effect.gen(function*() {
      const one = yield* make({ servers: [server.address, second.address], prefix: "large:" })
      const other = yield* make({ servers: [server.address, second.address], prefix: "large:" })
      const value = randomBytes(32 * 1024 * 1024)
      const first = yield* Clock.currentTimeMillis
      yield* one.set("set", entry(value), minute)
      const written = yield* Clock.currentTimeMillis
      assert.isTrue(isSame(yield* bytes(other, "set"), value))
      assert.isBelow((yield* Clock.currentTimeMillis) - written, 5_000)
      assert.isBelow(written - first, 5_000)
      assert.isTrue(yield* other.has("set"))
      const lease = yield* other.lease("set", minute)
      assert.isTrue(isSame(bytesOf(lease.entry), value))
      assert.isFalse(yield* other.add("set", entry(value), minute))
      assert.strictEqual((yield* Effect.flip(other.increment("set", 1, minute))).reason, "NotANumber")
      const larger = randomBytes(40_000_000)
      assert.isTrue(yield* one.fill("set", Option.getOrThrow(lease.token), entry(larger), minute))
      const [found, none] = yield* other.getMany(["set", "none"])
      assert.isTrue(isSame(bytesOf(found!), larger))
      assert.isTrue(Option.isNone(none!))
      assert.isTrue(yield* other.remove("set"))
      assert.isFalse(yield* one.has("set"))
    }))

  it.scoped("is refused where it is larger than it may be, and what is stored stays", () =>
    Effect.gen(function*() {
      const backend = yield* make({ maxValueBytes: 2_000_000 })
      yield* backend.set("a", entry("1"), minute)
      const large = entry(Buffer.alloc(2_000_001))
      const token = Option.getOrThrow((yield* backend.lease("l", minute)).token)
      const writes = {
        set: backend.set("a", large, minute),
        setMany: backend.setMany([["b", entry("1"), minute], ["a", large, minute]]),
        add: backend.add("c", large, minute),
        fill: backend.fill("l", token, large, minute)
      }
      for (const [method, write] of Object.entries(writes)) {
        const error = yield* Effect.flip<void | boolean, unknown, never>(write) as Effect.Effect<any>
        assert.deepInclude({ ...error }, { reason: "TooLarge", method })
      }
      assert.isFalse(yield* backend.has("b"))
      assert.strictEqual(String(yield* bytes(backend, "a")), "1".charCodeAt(0).toString())
      yield* backend.set("a", entry(Buffer.alloc(2_000_000)), minute)
      assert.strictEqual((yield* bytes(backend, "a"))?.length, 2_000_000)
    }))

  it.scoped("ages with the Clock, and its chunks are kept longer than what tells them", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "age:" })
      yield* backend.set("a", entry(randomBytes(1_200_000), 60_000), minute)
      const seconds = yield* Effect.forEach(
        ["age:a", ...(yield* chunks("age:")).map(({ name }) => name)],
        (name) => Effect.map(server.text(`mg ${name} t`), ([line]) => Number(/^HD t(\d+)$/.exec(line!)![1]))
      )
      assert.strictEqual(seconds.length, 4)
      for (const left of seconds.slice(1)) assert.isAbove(left, seconds[0]! + 50)
      yield* TestClock.adjust("59 seconds")
      assert.isTrue(yield* backend.has("a"))
      yield* TestClock.adjust("1 second")
      assert.isFalse(yield* backend.has("a"))
    }))

  it.scoped("leaves no chunks behind when it is overwritten, removed, or comes too late", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "left:" })
      const large = () => entry(randomBytes(1_200_000))
      const count = Effect.map(chunks("left:"), (all) => all.length)
      yield* backend.set("a", large(), minute)
      assert.strictEqual(yield* count, 3)
      yield* backend.set("a", large(), minute)
      yield* backend.set("a", large(), minute)
      assert.strictEqual(yield* count, 3)
      assert.isFalse(yield* backend.add("a", large(), minute))
      assert.strictEqual(yield* count, 3)
      assert.isFalse(yield* backend.fill("a", "wrong", large(), minute))
      assert.strictEqual(yield* count, 3)
      const added = yield* Effect.all(Array.from({ length: 5 }, () => backend.add("b", large(), minute)), {
        concurrency: "unbounded"
      })
      assert.strictEqual(added.filter((isAdded) => isAdded).length, 1)
      assert.strictEqual(yield* count, 6)
      assert.isTrue(yield* backend.remove("a"))
      assert.strictEqual(yield* count, 3)
      assert.strictEqual(yield* backend.removeMany(["a", "b"]), 1)
      assert.strictEqual(yield* count, 0)
    }))
})

describe("a chunk", () => {
  const value = randomBytes(2_400_000)
  const damages: Record<string, (client: memjs.Client, name: string) => Promise<unknown>> = {
    "that is lost": (client, name) => client.delete(name),
    "of foreign bytes": (client, name) => client.set(name, "hello"),
    "that is cut short": async (client, name) => client.set(name, (await client.get(name)).value!.subarray(0, -1)),
    "with a bit turned over": async (client, name) => {
      const bytes = Buffer.from((await client.get(name)).value!)
      bytes[bytes.length >> 1]! ^= 1
      return client.set(name, bytes)
    },
    "that is another chunk, whole": async (client, name) => {
      // An entry of the right length with a right checksum of its own.
      const bytes = Buffer.from((await client.get(name)).value!)
      const at = bytes.indexOf("EFC")
      const chunk = Entry.decode(bytes.subarray(at))!
      chunk.bytes = randomBytes(chunk.bytes!.length)
      return client.set(name, Buffer.concat([bytes.subarray(0, at), Entry.encode(chunk)]))
    }
  }
  for (const [what, damage] of Object.entries(damages)) {
    it.scoped(`${what}: makes the value absent for every operation, never wrong`, () =>
      Effect.gen(function*() {
        const prefix = `damage${shares++}:`
        const backend = yield* make({ prefix })
        const memjsClient = yield* client
        const spoiled = Effect.gen(function*() {
          yield* backend.clear("")
          // What was cleared is there until the server needs its space.
          const before = new Set((yield* chunks(prefix)).map(({ name }) => name))
          yield* backend.set("a", entry(value), minute)
          assert.isTrue(isSame(yield* bytes(backend, "a"), value))
          const name = (yield* chunks(prefix)).find(({ name }) => !before.has(name))!.name
          yield* Effect.promise(() => damage(memjsClient, name))
        })
        yield* spoiled
        assert.isUndefined(yield* bytes(backend, "a"))
        assert.isTrue(Option.isNone((yield* backend.getMany(["a"]))[0]!))
        assert.isFalse(yield* backend.has("a"))
        const lease = yield* backend.lease("a", minute)
        assert.isTrue(Option.isNone(lease.entry))
        assert.isTrue(yield* backend.fill("a", Option.getOrThrow(lease.token), entry(value), minute))
        assert.isTrue(isSame(yield* bytes(backend, "a"), value))
        yield* spoiled
        assert.isTrue(yield* backend.add("a", entry(value), minute))
        assert.isTrue(isSame(yield* bytes(backend, "a"), value))
        yield* spoiled
        assert.strictEqual(yield* backend.increment("a", 2, minute), 2)
        yield* spoiled
        yield* backend.set("a", entry("small"), minute)
        assert.strictEqual(Buffer.from((yield* bytes(backend, "a"))!).toString(), "small")
      }))
  }

  it.scoped("told by a manifest that lies: is not asked for", () =>
    Effect.gen(function*() {
      const inner = yield* Memcached.make({ servers: [server.address], prefix: "lies:" })
      const backend = Memcached.spread(inner)
      yield* backend.set("a", entry(value), minute)
      const manifest = Option.getOrThrow(yield* inner.get("a"))
      for (
        const lie of [
          (bytes: Buffer) => bytes.writeDoubleLE(2 ** 52, 5),
          (bytes: Buffer) => bytes.writeDoubleLE(NaN, 5),
          (bytes: Buffer) => bytes.writeDoubleLE(-1, 5),
          (bytes: Buffer) => bytes.writeDoubleLE(1.5, 5),
          (bytes: Buffer) => bytes.writeUInt32LE(0, 1),
          (bytes: Buffer) => bytes.writeUInt32LE(1, 1),
          (bytes: Buffer) => bytes.writeUInt8(9, 0)
        ]
      ) {
        const bytes = Buffer.from(manifest.bytes!)
        lie(bytes)
        const { codec } = manifest
        yield* inner.set("a", new Entry.Entry(false, codec, 0, Infinity, Infinity, 1, [], undefined, bytes), minute)
        assert.isTrue(Option.isNone(yield* backend.get("a")))
      }
    }))
})

describe("writers and readers at once", () => {
  it.scopedLive("of one value of 2.4 MB, in four processes: nobody reads a mixture", () =>
    Effect.gen(function*() {
      const prefix = "torn:"
      const servers = [server.address, second.address]
      const processes = yield* Effect.all(Array.from({ length: 4 }, () => make({ prefix, servers })))
      const valueOf = (writer: number, round: number) => Buffer.alloc(2_400_000, (writer * 100 + round) % 251)
      yield* processes[0]!.set("a", entry(valueOf(0, 0)), minute)
      let isOver = false
      let reads = 0
      let misses = 0
      const write = (writer: number) =>
        Effect.forEach(
          Array.from({ length: 25 }, (_, round) => round),
          (round) => processes[writer]!.set("a", entry(valueOf(writer, round)), minute),
          { discard: true }
        )
      const read = (reader: number): Effect.Effect<void, unknown> =>
        Effect.suspend(() =>
          isOver ? Effect.void : Effect.flatMap(bytes(processes[reader]!, "a"), (found) => {
            reads++
            if (found === undefined) misses++
            else assert.isTrue(isSame(found, Buffer.alloc(2_400_000, found[0]!)))
            return read(reader)
          })
        )
      yield* Effect.all([
        Effect.ensuring(
          Effect.all([write(0), write(1)], { concurrency: "unbounded" }),
          Effect.sync(() => {
            isOver = true
          })
        ),
        read(2),
        read(3)
      ], { concurrency: "unbounded" })
      assert.isAbove(reads, 10)
      assert.isBelow(misses, reads)
      assert.isDefined(yield* bytes(processes[2]!, "a"))
    }))

  it.scopedLive("where the writer is cut off half-way: the old value stays, whole", () =>
    Effect.gen(function*() {
      const prefix = "cut:"
      const proxy = yield* FaultProxy.make(server)
      const reader = yield* make({ prefix })
      const writer = yield* make({ prefix, servers: [`127.0.0.1:${proxy.port}`] })
      const old = randomBytes(2_400_000)
      yield* writer.set("a", entry(old), minute)
      for (const bytes_ of [0, 30, 60, 100]) {
        // Each batch of chunks is answered in some fifty bytes.
        yield* proxy.setMode(FaultProxy.Mode.CutAfter({ bytes: bytes_, with: "RST" }))
        const exit = yield* Effect.exit(writer.set("a", entry(randomBytes(2_400_000)), minute))
        assert.isTrue(Exit.isFailure(exit))
        assert.isTrue(isSame(yield* bytes(reader, "a"), old))
        yield* proxy.setMode(FaultProxy.Mode.Pass())
      }
    }))
})

describe("spread", () => {
  it.scoped("refuses chunks that could not hold a number, or what tells of chunks", () =>
    Effect.gen(function*() {
      const inner = yield* Memcached.make({ servers: [server.address] })
      for (const chunkBytes of [0, 63, NaN, 100.5]) {
        assert.throws(() => Memcached.spread(inner, { chunkBytes }), /chunkBytes must be an integer/)
      }
    }))

  it.scoped("shares the loads under way with the backend it is made from, and is one for a layer", () =>
    Effect.gen(function*() {
      const inner = yield* Memcached.make({ servers: [server.address] })
      assert.strictEqual(Memcached.spread(inner).flights, inner.flights)
      assert.strictEqual(Memcached.spread()(inner).flights, inner.flights)
      const layer = Memcached.layer({ servers: [server.address], prefix: "layer:" }).pipe(Memcached.spreadLayer())
      const value = randomBytes(1_500_000)
      const found = yield* Effect.flatMap(
        CacheBackend,
        (backend) => Effect.zipRight(backend.set("a", entry(value), minute), bytes(backend, "a"))
      ).pipe(Effect.provide(layer))
      assert.isTrue(isSame(found, value))
    }))
})
