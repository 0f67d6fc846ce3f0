import { afterAll, assert, beforeAll, describe, it, vi } from "@effect/vitest"
import type { Backend, BackendError } from "effect-caching/Backend"
import { CacheBackend } from "effect-caching/Backend"
import * as Redis from "effect-caching/backends/Redis"
import * as Cache from "effect-caching/Cache"
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
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { Redis as Client, type RedisOptions } from "ioredis"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Entry from "../../src/internal/entry.js"
import * as FaultProxy from "../support/faultProxy.js"
import { eventually } from "../support/faults.js"
import * as RedisServer from "../support/redisServer.js"

const scope = Effect.runSync(Scope.make())
const server = await Effect.runPromise(Scope.extend(RedisServer.make(), scope))
/** Looks at the server past the backend. */
const redis = new Client(server.url, { lazyConnect: true })
beforeAll(() => redis.connect())
afterAll(() => {
  redis.disconnect()
  return Effect.runPromise(Scope.close(scope, Exit.void))
})

const minute = Duration.minutes(1)

const entry = (value: string, keepUntil = Infinity) =>
  new Entry.Entry(false, "text", 0, keepUntil, keepUntil, 1, [], undefined, Buffer.from(value))

const valueOf = (found: Option.Option<Entry.Entry>) =>
  Option.isSome(found) ? Buffer.from(found.value.bytes!).toString() : undefined

const get = (backend: Backend, key: string) => Effect.map(backend.get(key), valueOf)

let shares = 0
/** A backend with a share of its own. */
const make = (options: Redis.Options = {}) =>
  Redis.make({ url: server.url, requireConnection: true, prefix: `share${shares++}:`, ...options })

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "redis-test-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const call = <A = unknown>(...[command, ...args]: [string, ...Array<string | Buffer>]) =>
  Effect.promise(() => redis.call(command, ...args) as Promise<A>)

const withClient = (options: RedisOptions) =>
  Layer.unwrapScoped(Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const client = new Client(server.url, { ...options, lazyConnect: true })
        await client.connect()
        return client
      }),
      (client) => Effect.sync(() => client.disconnect())
    ),
    (client) => Redis.layerFromClient(client)
  ))

describe("a connection of its own", () => {
  Conformance.register({ describe, it }, Redis.layer({ url: server.url }))
})
describe("a prefix of special characters", () => {
  Conformance.register({ describe, it }, Redis.layer({ url: Redacted.make(server.url), prefix: "é%{a}[b]*?\\^-:" }))
})
describe("a client of the user's", () => {
  Conformance.register({ describe, it }, withClient({ maxRetriesPerRequest: 0, enableOfflineQueue: false }))
})
describe("a client of the user's, with a prefix and settings of its own", () => {
  Conformance.register(
    { describe, it },
    withClient({
      keyPrefix: "app[*]{x}:",
      stringNumbers: true,
      enableAutoPipelining: true,
      showFriendlyErrorStack: true
    })
  )
})

describe("two processes", () => {
  const pair = Effect.gen(function*() {
    const prefix = `pair${shares++}:`
    return [yield* make({ prefix }), yield* make({ prefix })] as const
  })

  it.scoped("share entries, counters and leases", () =>
    Effect.gen(function*() {
      const [one, other] = yield* pair
      yield* one.set("a", entry("1"), minute)
      assert.strictEqual(yield* get(other, "a"), "1")
      yield* Effect.all(
        Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? one : other).increment("n", 1, minute)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(yield* one.increment("n", 0, minute), 100)
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
      const keys = Array.from({ length: 3_000 }, (_, index) => `k${index}`)
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
})

describe("reads that may take a lease", () => {
  const ask = (backend: Backend, key: string, duration = minute, tags: ReadonlyArray<string> = []) =>
    Effect.uninterruptible(backend.getOrLease!(key, duration, tags))

  it.scoped("answer entries with thousands of tags, and leases with as many", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      const names = Array.from({ length: 5_000 }, (_, index) => `tag${index}`)
      const tags = yield* backend.tagVersions(names)
      const tagged = new Entry.Entry(false, "text", 0, Infinity, Infinity, 1, tags, undefined, Buffer.from("1"))
      yield* backend.set("a", tagged, minute)
      const found = yield* ask(backend, "a")
      assert.strictEqual(valueOf(found.entry), "1")
      assert.deepStrictEqual(found.versions, tags)
      const leased = yield* ask(backend, "b", minute, names)
      assert.isTrue(Option.isSome(leased.token))
      assert.deepStrictEqual(leased.versions, tags)
    }))

  it.scoped("lease for as long as the one wants who holds the lease in the end", () =>
    Effect.gen(function*() {
      const prefix = `share${shares++}:`
      const backend = yield* make({ prefix })
      // Under way: the next two are asked together.
      const before = yield* Effect.fork(ask(backend, "before"))
      yield* Effect.yieldNow()
      const first = yield* Effect.fork(ask(backend, "a", Duration.millis(50)))
      yield* Effect.yieldNow()
      const second = yield* Effect.fork(ask(backend, "a", minute))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(first)
      yield* Fiber.join(before)
      assert.isTrue(Option.isSome((yield* Fiber.join(second)).token))
      assert.isAbove(yield* call<number>("PTTL", `{${prefix}a}~lease`), 50)
    }))

  it.scoped("take any bytes for an entry, or for nothing, and lease what they take for nothing", () =>
    Effect.gen(function*() {
      const prefix = `share${shares++}:`
      const backend = yield* make({ prefix })
      const tags = yield* backend.tagVersions(["a{%}", "\u00fc", ""])
      const whole = Entry.encode(
        new Entry.Entry(false, "text", 0, Infinity, Infinity, 1, tags, undefined, Buffer.from("1"))
      )
      const damaged = [
        ...Array.from(whole, (_, length) => whole.subarray(0, length)),
        ...Array.from(whole, (byte, at) => Buffer.from(whole).fill(byte ^ 0xff, at, at + 1))
      ]
      for (const bytes of damaged) {
        yield* call("SET", `${prefix}a`, Buffer.from(bytes))
        const { entry, token } = yield* ask(backend, "a", minute, ["b"])
        assert.deepStrictEqual(entry, Option.none())
        if (Option.isSome(token)) assert.isTrue(yield* backend.renew("a", token.value, Duration.zero))
      }
      yield* call("DEL", `${prefix}a`)
      yield* call("RPUSH", `${prefix}a`, "1")
      const { token } = yield* ask(backend, "a")
      assert.isTrue(yield* backend.fill("a", Option.getOrThrow(token), entry("2"), minute))
      assert.strictEqual(yield* get(backend, "a"), "2")
    }))
})

describe("round trips", () => {
  /** How often the server ran each command that a client sent; what a script calls counts too. */
  const counted = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.zipRight(effect, countedOnce(effect))

  const countedOnce = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      yield* call("CONFIG", "RESETSTAT")
      yield* effect
      const stats = yield* call<string>("INFO", "commandstats")
      return Object.fromEntries(
        [...stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)]
          .map(([, command, calls]) => [command!, Number(calls)] as const)
          .filter(([command]) => !command.startsWith("config") && command !== "info")
      )
    })

  it.scoped("reads with one GET, and many with one MGET", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      const keys = Array.from({ length: 100 }, (_, index) => `k${index}`)
      assert.deepStrictEqual(yield* counted(backend.get("a")), { get: 1 })
      assert.deepStrictEqual(yield* counted(backend.getMany(keys)), { mget: 1 })
    }))

  const cache = (tags: ReadonlyArray<string> = []) =>
    Cache.make({ name: "users", schema: Schema.String, timeToLive: "1 minute", leaseDuration: "1 minute", tags })
  let loads = 0
  const load = Effect.sync(() => String(loads++))

  it.scoped("answers a cached call that hits with one GET, and with one script where there are tags", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      for (const [tags, versions] of [[[], 0], [["a"], 2], [["a", "b%{}"], 4]] as const) {
        const users = cache(tags)
        const key = tags.join()
        const call = Effect.provideService(Cache.getOrSet(users, key, load), CacheBackend, backend)
        yield* call
        const before = loads
        assert.deepStrictEqual(
          yield* counted(call),
          versions === 0 ? { get: 1 } : { evalsha: 1, get: 1 + versions }
        )
        assert.strictEqual(loads, before)
      }
    }))

  it.scoped("answers a cached call that misses with two: read or lease, and fill", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      for (const [tags, versions] of [[[], 0], [["a", "b"], 4]] as const) {
        const users = cache(tags)
        let keys = 0
        const call = Effect.suspend(() => Cache.getOrSet(users, `${tags.length}/${keys++}`, load)).pipe(
          Effect.provideService(CacheBackend, backend)
        )
        const before = loads
        const { evalsha, get, ...others } = yield* counted(call)
        assert.strictEqual(loads, before + 2)
        // In the scripts: the entry and the versions, then the lease.
        assert.deepStrictEqual({ evalsha, get }, { evalsha: 2, get: 1 + versions + 1 })
        assert.deepStrictEqual(
          Object.keys(others).sort(),
          versions === 0 ? ["set", "unlink"] : ["pexpire", "set", "unlink"]
        )
      }
    }))

  it.scoped("loads what has expired, or was removed here, with two, however often it was seen", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      const users = cache()
      const provide = Effect.provideService(CacheBackend, backend)
      const call = provide(Cache.getOrSet(users, "1", load))
      const ending: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        TestClock.adjust("1 minute"),
        provide(Cache.invalidate(users, "1")),
        provide(Cache.clear(users))
      ]
      for (const end of ending) {
        yield* Effect.repeatN(call, 3)
        const before = loads
        yield* end
        assert.strictEqual((yield* countedOnce(call))["evalsha"], 2)
        assert.strictEqual(loads, before + 1)
      }
    }))

  it.scoped("loads what another process removed with one more, the first time", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "seen:" })
      const other = yield* make({ prefix: "seen:" })
      const users = cache()
      const call = Effect.provideService(Cache.getOrSet(users, "1", load), CacheBackend, backend)
      yield* Effect.repeatN(call, 3)
      yield* other.remove(Cache.cacheKey(users, "1"))
      const before = loads
      // The entry, the lease with the entry, and the lease before it is filled.
      const { evalsha, get } = yield* countedOnce(call)
      assert.deepStrictEqual({ evalsha, get }, { evalsha: 2, get: 3 })
      assert.strictEqual(loads, before + 1)
    }))

  it.scoped("answers with one script again what another process stored with tags, from the second time on", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "tagged since:" })
      const other = yield* make({ prefix: "tagged since:" })
      const call = Effect.provideService(Cache.getOrSet(cache(), "1", load), CacheBackend, backend)
      yield* Effect.repeatN(call, 3)
      yield* Effect.provideService(Cache.set(cache(["a"]), "1", "stored"), CacheBackend, other)
      assert.deepStrictEqual(yield* countedOnce(call), { get: 1, mget: 1 })
      assert.deepStrictEqual(yield* countedOnce(call), { evalsha: 1, get: 3 })
    }))

  it.scoped("loads what a tag was invalidated of with two, too", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      const users = cache(["a"])
      const call = Effect.provideService(Cache.getOrSet(users, "1", load), CacheBackend, backend)
      yield* call
      const before = loads
      const { evalsha } = yield* counted(Effect.zipRight(backend.invalidateTags(["a"], "hard"), call))
      assert.strictEqual(evalsha, 2)
      assert.strictEqual(loads, before + 2)
    }))

  it.scoped("decodes once what many calls that are joined find", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      let decoded = 0
      const counting = Schema.transform(Schema.String, Schema.String, {
        decode: (text) => {
          decoded++
          return text
        },
        encode: (text) => text
      })
      const users = Cache.make({ name: "users", schema: counting, timeToLive: "1 minute", tags: ["a"] })
      const provide = Effect.provideService(CacheBackend, backend)
      yield* provide(Cache.set(users, "1", "stored"))
      const calls = yield* Effect.forEach(
        Array.from({ length: 50 }),
        () => Cache.getOrSet(users, "1", load),
        { concurrency: "unbounded" }
      ).pipe(provide)
      assert.deepStrictEqual([...new Set(calls)], ["stored"])
      // The first one asks alone.
      assert.strictEqual(decoded, 2)
    }))

  it.scoped("joins a thousand concurrent cached calls into a handful of commands", () =>
    Effect.gen(function*() {
      const filler = yield* make({ prefix: "joined:" })
      const reader = yield* make({ prefix: "joined:" })
      const users = cache()
      const calls = Effect.forEach(
        Array.from({ length: 1_000 }, (_, index) => String(index)),
        (key) => Cache.getOrSet(users, key, load),
        { concurrency: "unbounded" }
      )
      yield* Effect.provideService(calls, CacheBackend, filler)
      const before = loads
      const read = Effect.provideService(calls, CacheBackend, reader)
      const { evalsha: first } = yield* countedOnce(read)
      assert.isAtMost(first!, 6)
      // What was seen is read plainly, but for the few keys that are forgotten.
      const { evalsha = 0, mget } = yield* countedOnce(read)
      assert.isAtMost(evalsha + mget!, 12)
      assert.strictEqual(loads, before)
    }))

  it.scoped("joins a thousand concurrent reads into a handful", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      const keys = Array.from({ length: 1_000 }, (_, index) => `k${index}`)
      yield* backend.setMany(keys.map((key) => [key, entry(key), minute]))
      const read = Effect.forEach(keys, (key) => get(backend, key), { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* read, keys)
      const { get: alone, mget, ...others } = yield* counted(read)
      assert.deepStrictEqual(others, {})
      assert.isAtMost(alone! + mget!, 6)
    }))

  it.scoped("sends a key that many ask for once", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      yield* backend.set("a", entry("1"), minute)
      const read = Effect.all(Array.from({ length: 500 }, () => get(backend, "a")), { concurrency: "unbounded" })
      assert.deepStrictEqual(new Set(yield* read), new Set(["1"]))
      assert.deepStrictEqual(yield* counted(read), { get: 2 })
    }))

  it.scoped("does everything else with one script, or one command", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      const sent = (effect: Effect.Effect<unknown, unknown>) =>
        Effect.map(counted(effect), ({ evalsha = 0, eval: evaluated = 0, ...inner }) => ({
          scripts: evalsha + evaluated,
          inner
        }))
      const items = Array.from({ length: 100 }, (_, index) => [`k${index}`, entry("1"), minute] as const)
      const operations = [
        backend.set("a", entry("1"), minute),
        backend.setMany(items),
        backend.add("a", entry("1"), minute),
        backend.has("a"),
        backend.remove("a"),
        backend.removeMany(items.map(([key]) => key)),
        backend.increment("n", 1, minute),
        backend.lease("b", minute),
        backend.renew("b", "token", minute),
        backend.fill("b", "token", entry("1"), minute),
        backend.tagVersions(["t", "u"])
      ]
      for (const operation of operations) assert.strictEqual((yield* sent(operation)).scripts, 1)
      assert.deepStrictEqual(yield* counted(backend.refreshTags(yield* backend.tagVersions(["t", "u"]))), { mget: 1 })
      assert.deepStrictEqual(yield* counted(backend.tagEpoch), { mget: 1 })
      assert.deepStrictEqual(yield* counted(backend.invalidateTags(["t", "u"], "hard")), { unlink: 1 })
    }))
})

describe("what is in the server", () => {
  it.scoped("ages with the Clock, while the server keeps it", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "age:" })
      yield* backend.set("a", entry("1", 60_000), minute)
      yield* backend.increment("n", 1, minute)
      yield* TestClock.adjust("59 seconds")
      assert.isTrue(yield* backend.has("a"))
      yield* TestClock.adjust("1 second")
      assert.isFalse(yield* backend.has("a"))
      assert.isTrue(Option.isNone(yield* backend.get("a")))
      assert.isFalse(yield* backend.remove("a"))
      assert.strictEqual(yield* backend.increment("n", 5, minute), 5)
      assert.strictEqual(yield* call("EXISTS", "age:n"), 1)
    }))

  it.scoped("has a time-out where the retention has an end", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "px:" })
      yield* backend.set("a", entry("1"), Duration.millis(1_000_000.5))
      yield* backend.set("b", entry("1"), Duration.infinity)
      yield* backend.increment("c", 1, Duration.days(1))
      yield* backend.increment("c", 1, Duration.infinity)
      yield* backend.lease("d", minute)
      yield* backend.tagVersions(["t"])
      const left = (key: string) => call<number>("PTTL", key)
      assert.approximately(yield* left("px:a"), 1_000_001, 5_000)
      assert.strictEqual(yield* left("px:b"), -1)
      assert.approximately(yield* left("px:c"), 86_400_000, 5_000)
      assert.approximately(yield* left("{px:d}~lease"), 60_000, 5_000)
      // A version outlives what is loaded now, however old it is.
      yield* call("PEXPIRE", "px:~hard:t", "1000")
      yield* backend.tagVersions(["t"])
      assert.approximately(yield* left("px:~hard:t"), 30 * 86_400_000, 5_000)
    }))

  it.scoped("is under the prefix, an entry and its lease in one hash slot", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "slot{1}:" })
      yield* backend.set("a{b}%", entry("1"), minute)
      yield* backend.lease("a{b}%", minute)
      const keys = yield* call<Array<string>>("KEYS", "*slot*")
      assert.deepStrictEqual(keys.sort(), ["slot%7B1%7D:a%7Bb%7D%25", "{slot%7B1%7D:a%7Bb%7D%25}~lease"])
    }))

  it.scoped("is the business of others where it is foreign: absent, and overwritten", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "foreign:" })
      const envelope = Buffer.from(Entry.encode(entry("value")))
      const damaged = Buffer.from(envelope)
      damaged[envelope.length - 1]! ^= 1
      const values = [Buffer.alloc(0), Buffer.from("hello"), envelope.subarray(0, -1), Buffer.alloc(200, "EFC\x02")]
      for (const value of [...values, "a hash"]) {
        for (const key of ["a", "b", "c", "d"]) {
          yield* call("DEL", `foreign:${key}`)
          yield* typeof value === "string"
            ? call("HSET", `foreign:${key}`, "field", "1")
            : call("SET", `foreign:${key}`, value)
        }
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
      yield* call("SET", "foreign:a", damaged)
      assert.isTrue(Option.isNone(yield* backend.get("a")))
    }))

  it.scoped("stays when clear is not meant for it", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "a[b]*:" })
      yield* backend.set("k", entry("1"), minute)
      const neighbours = ["ab:k", "ab*:k", "a[b]x:k", "a[b]*", "A[b]*:k", "x{a[b]*:k}~lease"]
      for (const key of neighbours) yield* call("SET", key, "1")
      yield* backend.clear("")
      assert.isFalse(yield* backend.has("k"))
      assert.strictEqual(yield* call("EXISTS", ...neighbours), neighbours.length)
    }))

  it.scoped("is cleared where keys are not text", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "binary:" })
      yield* call("SET", Buffer.from("binary:\xff\xfe", "latin1"), "1")
      yield* backend.clear("")
      assert.deepStrictEqual(yield* call("KEYS", "binary:*"), [])
    }))

  it.scoped("stays as it is when a value is too large to be sent", () =>
    Effect.gen(function*() {
      const backend = yield* make({ maxValueBytes: 10 })
      const large = entry("01234567890")
      yield* backend.set("a", entry("0123456789"), minute)
      const { token } = yield* backend.lease("a", minute)
      for (
        const write of [
          backend.set("a", large, minute),
          backend.setMany([["b", entry("1"), minute], ["a", large, minute]]),
          backend.add("b", large, minute),
          backend.fill("a", Option.getOrThrow(token), large, minute)
        ]
      ) assert.strictEqual((yield* Effect.flip(write)).reason, "TooLarge")
      assert.deepStrictEqual((yield* backend.getMany(["a", "b"])).map(valueOf), ["0123456789", undefined])
    }))
})

describe("callers", () => {
  it.scoped("are interrupted, five thousand of them, and the others get what is theirs", () =>
    Effect.gen(function*() {
      const backend = yield* make()
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
      const layer = Redis.layerConfig({
        url: Config.redacted("URL"),
        prefix: Config.string("PREFIX"),
        commandTimeout: Config.duration("TIMEOUT")
      }).pipe(Layer.provide(Layer.setConfigProvider(
        ConfigProvider.fromMap(new Map([["URL", server.url], ["PREFIX", "config:"], ["TIMEOUT", "2 seconds"]]))
      )))
      yield* Effect.flatMap(CacheBackend, (backend) => backend.set("a", entry("1"), minute)).pipe(Effect.provide(layer))
      assert.strictEqual(yield* call("EXISTS", "config:a"), 1)
    }))

  it.scoped("uses the database it is given, by number or in the url", () =>
    Effect.gen(function*() {
      const second = yield* make({ db: 2, prefix: "db:" })
      yield* second.set("a", entry("1"), minute)
      assert.isTrue(Option.isNone(yield* (yield* make({ prefix: "db:" })).get("a")))
      assert.isTrue(yield* (yield* make({ url: `${server.url}/2`, prefix: "db:" })).has("a"))
    }))

  it.scoped("connects through a Unix socket, named by its path or in the url", () =>
    Effect.gen(function*() {
      const path = join(yield* folder, "redis.sock")
      yield* RedisServer.make({ args: ["--unixsocket", path] })
      for (const options of [{ path }, { url: path }]) {
        const backend = yield* Redis.make({ ...options, requireConnection: true })
        yield* backend.set("a", entry("1"), minute)
        assert.strictEqual(yield* get(backend, "a"), "1")
      }
    }))

  it.scoped("speaks TLS with a server that it can trust, and with no other", () =>
    Effect.gen(function*() {
      const { cert, key } = yield* RedisServer.certificate("DNS:localhost")
      // A port that was free a moment ago.
      const { port: tlsPort } = yield* Effect.scoped(FaultProxy.make({ port: 1 }))
      yield* RedisServer.make({
        args: ["--tls-port", `${tlsPort}`, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no"]
      })
      const ca = readFileSync(cert)
      const url = `rediss://localhost:${tlsPort}`
      const backend = yield* Redis.make({ url, tls: { ca }, requireConnection: true })
      yield* backend.set("a", entry("1"), minute)
      assert.strictEqual(yield* get(backend, "a"), "1")
      const untrusted: ReadonlyArray<readonly [string, Redis.Options]> = [
        ["DEPTH_ZERO_SELF_SIGNED_CERT", { url }],
        ["DEPTH_ZERO_SELF_SIGNED_CERT", { host: "localhost", port: tlsPort, tls: true }],
        ["ERR_TLS_CERT_ALTNAME_INVALID", { host: "127.0.0.1", port: tlsPort, tls: { ca } }],
        ["ECONNRESET", { host: "localhost", port: tlsPort }]
      ]
      for (const [code, options] of untrusted) {
        const { cause, reason } = yield* Effect.flip(Redis.make({ ...options, requireConnection: true }))
        assert.strictEqual(reason, "Connection")
        assert.strictEqual((cause as { readonly code: string } | undefined)?.code, code)
      }
    }))

  it.scopedLive("says that the handshake was not completed where it speaks TLS with a port that does not", () =>
    Effect.gen(function*() {
      const { port } = yield* RedisServer.make()
      const options = { host: "127.0.0.1", port, tls: true, connectTimeout: "200 millis" } as const
      const expected = /: the TLS handshake was not completed; does the port speak TLS\?$/
      const required = yield* Effect.flip(Redis.make({ ...options, requireConnection: true }))
      assert.strictEqual(required.reason, "Timeout")
      assert.match(required.message, expected)
      const backend = yield* Redis.make(options)
      const failures: Array<BackendError> = []
      const timedOut = Effect.map(Effect.flip(backend.get("a")), (error) => {
        failures.push(error)
        return (error.cause as { readonly code?: string } | undefined)?.code === "ETIMEDOUT"
      })
      yield* eventually("the attempt has timed out", timedOut)
      for (const { message, reason } of failures) {
        assert.strictEqual(reason, "Connection")
        assert.match(message, expected)
      }
    }))

  it.scoped("does not fall back to another database where there is no such one", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(make({ db: 99 }))).reason, "InvalidInput")
      const backend = yield* make({ db: 99, requireConnection: false })
      assert.strictEqual((yield* Effect.flip(backend.get("a"))).reason, "InvalidInput")
    }))

  it.scoped("refuses what is not a url, says what is expected, and does not tell it", () =>
    Effect.gen(function*() {
      const urls = [
        "localhost:secret",
        "http://:secret@localhost",
        "redis://:secret@host:port",
        "secret.local:6379",
        ""
      ]
      for (const url of urls) {
        const error = yield* Effect.flip(make({ url }))
        assert.strictEqual(error.reason, "InvalidInput")
        assert.strictEqual(
          error.message,
          "redis.connect: the url must be redis://[[username]:password@]host[:port][/db], rediss://… for TLS, " +
            "or the path of a Unix socket"
        )
        assert.notInclude(`${error} ${error.stack} ${JSON.stringify(error)}`, "secret")
      }
    }))

  it.scoped("says what to install where ioredis is not", () =>
    Effect.gen(function*() {
      vi.resetModules()
      vi.doMock("ioredis", () => {
        throw Object.assign(new Error("Cannot find package 'ioredis'"), { code: "ERR_MODULE_NOT_FOUND" })
      })
      const { make } = yield* Effect.promise(() => import("effect-caching/backends/Redis"))
      const error = yield* Effect.flip(make())
      vi.doUnmock("ioredis")
      assert.strictEqual(
        error.message,
        "redis.connect: effect-caching/backends/Redis needs ioredis: npm install ioredis@5"
      )
    }))

  it.scoped("leaves a client of the user's open, with no listener of ours", () =>
    Effect.gen(function*() {
      const listeners = redis.eventNames().map((name) => redis.listenerCount(name))
      const scope = yield* Scope.make()
      const backend = yield* Scope.extend(Redis.fromClient(redis, { prefix: "client:" }), scope)
      yield* backend.set("a", entry("1"), minute)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(backend.get("a"))).reason, "Connection")
      assert.strictEqual(yield* call("EXISTS", "client:a"), 1)
      assert.deepStrictEqual(redis.eventNames().map((name) => redis.listenerCount(name)), listeners)
    }))
})
