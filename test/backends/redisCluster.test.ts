import { afterAll, assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as RedisCluster from "effect-caching/backends/RedisCluster"
import { Conformance } from "effect-caching/testing"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as fc from "fast-check"
import { Cluster } from "ioredis"
import { slotOf } from "../../src/internal/redis/slot.js"
import { entry, get, minute, reasons, timed, told, valueOf } from "../support/faults.js"
import * as Servers from "../support/redisCluster.js"
import * as RedisServer from "../support/redisServer.js"

const scope = Effect.runSync(Scope.make())
const cluster = await Effect.runPromise(Scope.extend(Servers.make({ replicas: 0 }), scope))
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const nodes = cluster.addresses

let shares = 0
/** A backend with a share of its own. */
const make = (options: Partial<RedisCluster.Options> = {}) =>
  RedisCluster.make({ nodes, requireConnection: true, prefix: `share${shares++}:`, ...options })

const client = (options: ConstructorParameters<typeof Cluster>[1] = {}) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Cluster(cluster.servers.map(({ host, port }) => ({ host, port })), {
        ...options,
        lazyConnect: true
      })
      await client.connect()
      return client
    }),
    (client) => Effect.sync(() => client.disconnect())
  )

const withClient = (options?: ConstructorParameters<typeof Cluster>[1]) =>
  Layer.unwrapScoped(Effect.map(client(options), (client) => RedisCluster.layerFromClient(client)))

/** What redis-cli answers, asked of each server. */
const everywhere = (...args: ReadonlyArray<string>) =>
  Effect.forEach(cluster.servers, (server) => cluster.call(server, ...args))

/** The keys that match, of all servers. */
const keysLike = (pattern: string) =>
  Effect.map(
    everywhere("--raw", "keys", pattern),
    (found) => found.flatMap((keys) => keys.split("\n")).filter((key) => key !== "").sort()
  )

const readsOf = Effect.map(
  everywhere("info", "stats"),
  (all) => all.map((stats) => Number(/total_reads_processed:(\d+)/.exec(stats)![1]))
)

/** How often each server read from its connections while the effect ran, and how often all of them ran which command. */
const counted = (effect: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function*() {
    // Scripts are known the second time.
    yield* Effect.orDie(effect)
    yield* everywhere("config", "resetstat")
    const before = yield* readsOf
    yield* Effect.orDie(effect)
    const after = yield* readsOf
    const alone = yield* readsOf
    const commands: Record<string, number> = {}
    for (const stats of yield* everywhere("info", "commandstats")) {
      for (const [, command, calls] of stats.matchAll(/cmdstat_(\S+):calls=(\d+)/g)) {
        if (!/^(info|config|cluster|ping|role|hello|command)/.test(command!)) {
          commands[command!] = (commands[command!] ?? 0) + Number(calls)
        }
      }
    }
    return { commands, reads: after.map((count, index) => (count - before[index]!) - (alone[index]! - count)) }
  })

describe("connections of its own", () => {
  Conformance.register({ describe, it }, RedisCluster.layer({ nodes }))
})
describe("a prefix of special characters", () => {
  Conformance.register({ describe, it }, RedisCluster.layer({ nodes, prefix: "é%{a}[b]*?\\^-:" }))
})
describe("connections with a prefix and settings of their own", () => {
  Conformance.register(
    { describe, it },
    RedisCluster.layer({ nodes, options: { keyPrefix: "app[*]:", stringNumbers: true, enableAutoPipelining: true } })
  )
})
describe("a client of the user's", () => {
  Conformance.register({ describe, it }, withClient({ redisOptions: { maxRetriesPerRequest: 0 } }))
})
describe("a client of the user's, with a prefix of its own", () => {
  Conformance.register({ describe, it }, withClient({ redisOptions: { keyPrefix: "app[*]{x}:" } }))
})

describe("what goes out", () => {
  const keys = Array.from({ length: 100 }, (_, index) => `k${index}`)

  it.scoped("is one write for each master, however many keys there are", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      const tags = keys.slice(0, 20)
      const versions = yield* backend.tagVersions(tags)
      const operations = {
        getMany: [backend.getMany(keys), { mget: 100 }],
        setMany: [backend.setMany(keys.map((key) => [key, entry(key), minute])), {
          evalsha: 100,
          set: 100,
          unlink: 100
        }],
        refreshTags: [backend.refreshTags(versions), { mget: 40 }],
        tagVersions: [backend.tagVersions(tags), { evalsha: 40, get: 40, pexpire: 40 }],
        joined: [
          Effect.forEach(keys.slice(0, 50), (key) => backend.get(key), { concurrency: "unbounded" }),
          { get: 50 }
        ]
      } as const
      for (const [name, [operation, expected]] of Object.entries(operations)) {
        const { commands, reads } = yield* counted(operation)
        assert.deepStrictEqual(commands, expected, name)
        // The first of joined reads goes alone. A script is too long for a hundred of them to be read at once.
        const most = name === "setMany" ? 3 : name === "joined" ? 2 : 1
        for (const count of reads) assert.isAtMost(count, most, name)
      }
    }))

  it.scoped("is the epoch before the versions where tags are invalidated", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      const { commands, reads } = yield* counted(backend.invalidateTags(keys.slice(0, 30), "hard"))
      assert.deepStrictEqual(commands, { unlink: 31 })
      assert.isAtMost(reads.reduce((sum, count) => sum + count, 0), 4)
    }))

  it.scoped("comes back in the order of the keys, from whichever master", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      yield* backend.setMany(keys.filter((_, index) => index % 3 > 0).map((key) => [key, entry(key), minute]))
      const found = (yield* backend.getMany([...keys, "k1", "k1"])).map(valueOf)
      assert.deepStrictEqual(found, [
        ...keys.map((key, index) => index % 3 > 0 ? key : undefined),
        "k1",
        "k1"
      ])
      assert.strictEqual(yield* backend.removeMany([...keys, "none"]), 66)
    }))
})

describe("what is in the servers", () => {
  it.scoped("is in the slot that the servers compute", () =>
    Effect.gen(function*() {
      const redis = yield* client()
      const tagged = fc.array(fc.constantFrom("{", "}", "a", "é"), { maxLength: 8 }).map((parts) => parts.join(""))
      for (const key of fc.sample(fc.oneof(fc.string({ unit: "binary" }), tagged), 300)) {
        const slot = yield* Effect.promise(() => redis.nodes()[0]!.cluster("KEYSLOT", key))
        assert.deepStrictEqual([slotOf(key), slotOf(Buffer.from(key))], [slot, slot], JSON.stringify(key))
      }
    }))

  it.scoped("has an entry and its lease in one slot, whatever is in the key", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "slot{1}:" })
      for (const key of ["a", "a{b}%", "{a}", "{}", "}{", "\u00e9"]) {
        const { token } = yield* backend.lease(key, minute)
        assert.isTrue(yield* backend.fill(key, Option.getOrThrow(token), entry(key), minute))
        assert.strictEqual(yield* get(backend, key), Buffer.from(key).toString("latin1"))
        yield* backend.lease(key, minute)
      }
      const keys = yield* keysLike("*slot*")
      assert.strictEqual(keys.length, 12)
      assert.strictEqual(new Set(keys.map(slotOf)).size, 6)
      yield* backend.clear("a")
      assert.strictEqual((yield* keysLike("*slot*")).length, 8)
    }))

  it.scoped("is cleared on every master, and nothing else is", () =>
    Effect.gen(function*() {
      const backend = yield* make({ prefix: "a[b]*:" })
      const other = yield* make({ prefix: "a[b]*" })
      const names = Array.from({ length: 3_000 }, (_, index) => `${index % 2 === 0 ? "even" : "odd"}:${index}`)
      for (const each of [backend, other]) {
        yield* each.setMany(names.map((name) => [name, entry(name), minute]))
        for (const name of names.slice(0, 50)) yield* each.lease(name, minute)
      }
      const counts = yield* everywhere("dbsize")
      for (const count of counts) assert.isAbove(Number(count), 1_000)
      yield* backend.clear("even:")
      assert.strictEqual((yield* keysLike("a\\[b\\]\\*:*")).length, 1_500)
      assert.strictEqual((yield* keysLike("{a\\[b\\]\\*:*")).length, 25)
      yield* backend.clear("")
      assert.deepStrictEqual(yield* keysLike("*a\\[b\\]\\*:*"), [])
      assert.strictEqual((yield* other.getMany(names)).filter(Option.isSome).length, 3_000)
      yield* other.clear("")
      assert.deepStrictEqual(yield* keysLike("*a\\[b\\]*"), [])
    }))

  it.scoped("ages with the Clock", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      yield* backend.increment("n", 1, minute)
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* backend.has("n"))
      assert.strictEqual(yield* backend.increment("n", 5, minute), 5)
    }))
})

describe("make", () => {
  it.scoped("takes its options from the configuration, and says what is wrong with them", () =>
    Effect.gen(function*() {
      const layerOf = (settings: Record<string, string>) =>
        RedisCluster.layerConfig({
          nodes: Config.array(Config.string(), "NODES"),
          prefix: Config.string("PREFIX"),
          slotsRefreshInterval: Config.string("INTERVAL") as Config.Config<"1 second">
        }).pipe(
          Layer.provide(
            Layer.setConfigProvider(
              ConfigProvider.fromMap(
                new Map(Object.entries({ NODES: nodes.join(), PREFIX: "config:", INTERVAL: "1 second", ...settings }))
              )
            )
          )
        )
      yield* Effect.flatMap(CacheBackend, (backend) => backend.set("a", entry("1"), minute)).pipe(
        Effect.provide(layerOf({}))
      )
      assert.deepStrictEqual(yield* keysLike("config:*"), ["config:a"])
      const wrong = {
        nodes: { NODES: "http://:secret@host" },
        slotsRefreshInterval: { INTERVAL: "often" }
      }
      for (const [option, settings] of Object.entries(wrong)) {
        const error = yield* Effect.flip(Layer.build(layerOf(settings)))
        assert.isTrue(ConfigError.isConfigError(error))
        assert.include(String(error), option)
        assert.notInclude(String(error), "secret")
      }
    }))

  it.scoped("dies where an option cannot be meant", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [string, Partial<RedisCluster.Options>]> = [
        ["nodes", { nodes: [] }],
        ["nodes", { nodes: [{ host: "a", port: 0 }] }],
        ["nodes", { nodes: ["a:b"] }],
        ["commandTimeout", { commandTimeout: -1 }],
        ["connectTimeout", { connectTimeout: -1 }],
        ["slotsRefreshInterval", { slotsRefreshInterval: -1 }],
        ["maxValueBytes", { maxValueBytes: -1 }]
      ]
      for (const [option, options] of wrong) {
        const cause = yield* Effect.flip(Effect.sandbox(make(options)))
        assert.include(String(Cause.squash(cause)), `RedisCluster: ${option} must be`)
      }
    }))

  it.scopedLive("needs one of the nodes only, and not the first", () =>
    Effect.gen(function*() {
      const backend = yield* make({ nodes: ["127.0.0.1:1", cluster.addresses[2]!, "nowhere.invalid"] })
      assert.isTrue(Option.isNone(yield* backend.get("a")))
    }))

  it.scopedLive("says why a server is of no use", () =>
    Effect.gen(function*() {
      const nothing = yield* timed(make({ nodes: ["127.0.0.1:1"] }))
      assert.isBelow(nothing.ms, 1_000)
      const refused = yield* Effect.flip(make({ nodes: ["127.0.0.1:1"] }))
      assert.strictEqual(refused.reason, "Connection")
      assert.include(refused.message, "ECONNREFUSED 127.0.0.1:1")
      const backend = yield* make({ nodes: ["127.0.0.1:1"], requireConnection: false })
      assert.deepStrictEqual(yield* reasons(backend), ["Connection"])
    }))

  it.scopedLive("says that a server is in no cluster", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const error = yield* Effect.flip(make({ nodes: [{ host: server.host, port: server.port }] }))
      assert.include(error.message, "cluster support disabled")
    }))

  it.scopedLive("takes a password, and tells no wrong one", () =>
    Effect.gen(function*() {
      const { addresses } = yield* Servers.make({ password: "right", replicas: 0 })
      const backend = yield* make({ nodes: addresses, password: Redacted.make("right") })
      yield* backend.setMany(["a", "b", "c"].map((key) => [key, entry(key), minute]))
      assert.strictEqual(yield* get(backend, "b"), "b")
      const secret = "s3cret-wrong"
      for (const password of [Redacted.make(secret), undefined]) {
        const error = yield* Effect.flip(make({ nodes: addresses, password }))
        assert.strictEqual(error.reason, "Authentication")
        assert.notInclude(told(error), secret)
        const other = yield* make({ nodes: addresses, password, requireConnection: false })
        assert.deepStrictEqual(yield* reasons(other), ["Authentication"])
      }
    }))

  it.scoped("leaves a client of the user's open, with no listener of ours", () =>
    Effect.gen(function*() {
      const redis = yield* client({ redisOptions: { maxRetriesPerRequest: 0 } })
      const listeners = () => redis.nodes().map((node) => node.eventNames().map((name) => node.listenerCount(name)))
      yield* Effect.promise(() => Promise.all(redis.nodes().map((node) => node.ping())))
      const before = listeners()
      const scope = yield* Scope.make()
      const backend = yield* Scope.extend(RedisCluster.fromClient(redis, { prefix: "client:" }), scope)
      yield* backend.setMany(["a", "b", "c", "d"].map((key) => [key, entry(key), minute]))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(backend.get("a"))).reason, "Connection")
      assert.strictEqual((yield* keysLike("client:*")).length, 4)
      assert.deepStrictEqual(listeners(), before)
    }))
})
