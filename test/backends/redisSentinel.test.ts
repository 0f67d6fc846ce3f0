import { afterAll, assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as RedisSentinel from "effect-caching/backends/RedisSentinel"
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
import { entry, eventually, get, minute, reasons, timed, told, valueOf } from "../support/faults.js"
import * as Servers from "../support/redisSentinel.js"

const scope = Effect.runSync(Scope.make())
const password = "s3cret-server"
const sentinelPassword = "s3cret-sentinel"
const servers = await Effect.runPromise(Scope.extend(Servers.make({ password, sentinelPassword }), scope))
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const options: RedisSentinel.Options = {
  sentinels: servers.addresses,
  password: Redacted.make(password),
  sentinelPassword: Redacted.make(sentinelPassword),
  requireConnection: true
}

let shares = 0
/** A backend with a share of its own. */
const make = (others: Partial<RedisSentinel.Options> = {}) =>
  RedisSentinel.make({ ...options, prefix: `share${shares++}:`, ...others })

const callMaster = (...args: ReadonlyArray<string>) => servers.call(servers.master, "--raw", ...args)
const callReplica = (...args: ReadonlyArray<string>) => servers.call(servers.replica, "--raw", ...args)

describe("the master", () => {
  Conformance.register({ describe, it }, RedisSentinel.layer(options))
})
describe("the master, with a prefix and settings of its own", () => {
  Conformance.register(
    { describe, it },
    RedisSentinel.layer({
      ...options,
      prefix: "é%{a}[b]*?\\^-:",
      db: 3,
      options: { keyPrefix: "app[*]:", stringNumbers: true }
    })
  )
})

describe("reads", () => {
  /** How often a server has run the command since its statistics were reset. */
  const calls = (call: typeof callMaster, command: string) =>
    Effect.map(
      call("info", "commandstats"),
      (stats) => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
    )

  it.scopedLive("are the master's", () =>
    Effect.gen(function*() {
      const backend = yield* make()
      yield* callReplica("config", "resetstat")
      yield* backend.set("a", entry("1"), minute)
      assert.strictEqual(yield* get(backend, "a"), "1")
      assert.strictEqual(yield* calls(callReplica, "get"), 0)
    }))

  it.scopedLive("are a replica's where that is wanted: of entries, and of nothing else", () =>
    Effect.gen(function*() {
      const backend = yield* make({ role: "slave" })
      yield* backend.set("a", entry("1"), minute)
      yield* eventually("replicated", Effect.map(get(backend, "a"), (value) => value === "1"))
      yield* callMaster("config", "resetstat")
      yield* callReplica("config", "resetstat")
      assert.strictEqual(yield* get(backend, "a"), "1")
      assert.deepStrictEqual((yield* backend.getMany(["a", "b"])).map(valueOf), ["1", undefined])
      assert.strictEqual(yield* calls(callMaster, "get"), 0)
      assert.strictEqual(yield* calls(callMaster, "mget"), 0)
      assert.strictEqual(yield* calls(callReplica, "get"), 1)
      assert.strictEqual(yield* calls(callReplica, "mget"), 1)
      const versions = yield* backend.tagVersions(["t"])
      yield* backend.refreshTags(versions)
      assert.strictEqual(yield* calls(callMaster, "mget"), 1)
      assert.isTrue(yield* backend.has("a"))
      assert.isTrue(yield* backend.remove("a"))
    }))
})

describe("make", () => {
  it.scopedLive("takes its options from the configuration, and says what is wrong with them", () =>
    Effect.gen(function*() {
      const layerOf = (settings: Record<string, string>) =>
        RedisSentinel.layerConfig({
          sentinels: Config.array(Config.string(), "SENTINELS"),
          master: Config.string("MASTER"),
          role: Config.string("ROLE") as Config.Config<"master">,
          password: Config.redacted("PASSWORD"),
          sentinelPassword: Config.redacted("SENTINEL_PASSWORD"),
          prefix: Config.succeed("config:")
        }).pipe(
          Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(
            new Map(Object.entries({
              SENTINELS: servers.addresses.join(),
              MASTER: Servers.name,
              ROLE: "master",
              PASSWORD: password,
              SENTINEL_PASSWORD: sentinelPassword,
              ...settings
            }))
          )))
        )
      yield* Effect.flatMap(CacheBackend, (backend) => backend.set("a", entry("1"), minute)).pipe(
        Effect.provide(layerOf({}))
      )
      assert.strictEqual((yield* callMaster("exists", "config:a")).trim(), "1")
      const wrong = {
        sentinels: { SENTINELS: "redis://:secret@host" },
        master: { MASTER: "" },
        role: { ROLE: "replica" }
      }
      for (const [option, settings] of Object.entries(wrong)) {
        const error = yield* Effect.flip(Layer.build(layerOf(settings)))
        assert.isTrue(ConfigError.isConfigError(error))
        assert.include(String(error), option)
        assert.notInclude(String(error), "secret")
      }
    }))

  it.scopedLive("dies where an option cannot be meant", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [string, Partial<RedisSentinel.Options>]> = [
        ["sentinels", { sentinels: [] }],
        ["sentinels", { sentinels: ["host:99999"] }],
        ["master", { master: "" }],
        ["commandTimeout", { commandTimeout: -1 }],
        ["connectTimeout", { connectTimeout: -1 }],
        ["maxValueBytes", { maxValueBytes: -1 }]
      ]
      for (const [option, options] of wrong) {
        const cause = yield* Effect.flip(Effect.sandbox(make(options)))
        assert.include(String(Cause.squash(cause)), `RedisSentinel: ${option} must be`)
      }
    }))

  it.scopedLive("needs one of the sentinels only, and not the first", () =>
    Effect.gen(function*() {
      const backend = yield* make({ sentinels: ["127.0.0.1:1", servers.addresses[2]!, "nowhere.invalid"] })
      assert.isTrue(Option.isNone(yield* backend.get("a")))
    }))

  it.scopedLive("says why there is no master", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(make({ sentinels: ["127.0.0.1:1"] }))
      assert.strictEqual(refused.reason, "Connection")
      assert.include(refused.message, "ECONNREFUSED 127.0.0.1:1")
      const unknown = yield* timed(Effect.flip(make({ master: "other" })))
      assert.isBelow(unknown.ms, 1_000)
      assert.include(String(unknown.result), "No such master with that name")
      const backend = yield* make({ master: "other", requireConnection: false })
      assert.deepStrictEqual(yield* reasons(backend), ["InvalidInput"])
    }))

  it.scopedLive("takes a password for the server and one for the sentinels, and tells no wrong one", () =>
    Effect.gen(function*() {
      const secret = "s3cret-wrong"
      const wrong: ReadonlyArray<Partial<RedisSentinel.Options>> = [
        { password: Redacted.make(secret) },
        { password: undefined },
        { sentinelPassword: Redacted.make(secret) },
        { sentinelUsername: "nobody" },
        { sentinelPassword: undefined }
      ]
      for (const options of wrong) {
        const error = yield* Effect.flip(make(options))
        assert.strictEqual(error.reason, "Authentication")
        for (const each of [secret, password, sentinelPassword]) assert.notInclude(told(error), each)
        const backend = yield* make({ ...options, requireConnection: false })
        assert.deepStrictEqual(yield* reasons(backend), ["Authentication"])
      }
      const backend = yield* make()
      assert.isFalse(yield* backend.has("a"))
    }))
})
