import { assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as RedisServer from "../support/redisServer.js"
import { configured, providerOf, type Settings } from "../support/settings.js"

const withSettings = (settings: Settings) => Effect.withConfigProvider(providerOf(settings))

/** The name of the backend that the settings give. */
const backendOf = (settings: Settings) =>
  Effect.map(CacheBackend, (backend) => backend.name).pipe(Effect.provide(configured(settings, CacheConfig.layer)))

/** What is wrong with the settings: each key and its message. */
const problemsOf = <E>(settings: Settings, layer: Layer.Layer<CacheBackend, E>) =>
  Effect.map(Effect.flip(Effect.provide(Effect.asVoid(CacheBackend), configured(settings, layer))), (error) => {
    assert.isTrue(ConfigError.isConfigError(error))
    const found: Array<readonly [key: string, message: string]> = []
    const collect = (error: ConfigError.ConfigError): void => {
      if (error._op === "And") [error.left, error.right].forEach(collect)
      else if (error._op === "InvalidData") found.push([error.path.join("."), error.message])
      else assert.fail(`unexpected ${error}`)
    }
    collect(error as ConfigError.ConfigError)
    return Object.fromEntries(found)
  })

const wrongWith = (settings: Settings) => problemsOf(settings, CacheConfig.layer)

const answers = Cache.make({
  name: "answers",
  schema: Schema.Number,
  key: (question: string) => question,
  timeToLive: "1 hour"
})

/** Loads four questions and asks for them again: how many are still there. */
const keptOfFour = Effect.gen(function*() {
  const questions = ["a", "b", "c", "d"]
  for (const question of questions) yield* Cache.getOrSet(answers, question, Effect.succeed(1))
  const found = yield* Effect.forEach(questions, (question) => Cache.lookup(answers, question))
  return found.filter((_) => _._tag === "Hit").length
})

const knownTypes = "MemoryCache, NullCache, RedisCache, RedisSentinelCache, RedisClusterCache, MemcachedCache, " +
  "SASLMemcachedCache, SpreadSASLMemcachedCache, FileSystemCache, UWSGICache"

describe("the type", () => {
  const names: Readonly<Record<string, ReadonlyArray<string>>> = {
    memory: ["MemoryCache", "memory", "SimpleCache", "simple", "simplecache", " MEMORYCACHE "],
    null: ["NullCache", "null", "Null"],
    redis: ["RedisCache", "redis", "REDIS"]
  }
  for (const [backend, types] of Object.entries(names)) {
    it.effect(`is ${backend} where CACHE_TYPE is one of ${types.map((_) => JSON.stringify(_)).join(", ")}`, () =>
      Effect.gen(function*() {
        for (const type of types) {
          assert.strictEqual(yield* backendOf({ CACHE_TYPE: type, CACHE_REDIS_PORT: "1" }), backend)
        }
      }))
  }

  it.effect("is memory where neither CACHE_TYPE nor CACHE_URL says anything", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* backendOf({}), "memory")
      assert.strictEqual(yield* backendOf({ CACHE_TYPE: "", CACHE_URL: " " }), "memory")
    }))

  it.effect("can be told by CACHE_URL", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* backendOf({ CACHE_URL: "memory://" }), "memory")
      assert.strictEqual(yield* backendOf({ CACHE_URL: "null://" }), "null")
      assert.strictEqual(yield* backendOf({ CACHE_URL: "redis://127.0.0.1:1" }), "redis")
      assert.strictEqual(yield* backendOf({ CACHE_URL: "rediss://127.0.0.1:1/2" }), "redis")
      assert.strictEqual(yield* backendOf({ CACHE_URL: "REDIS://127.0.0.1:1", CACHE_TYPE: "redis" }), "redis")
    }))

  it.effect("lists the known ones where it is none of them", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* wrongWith({ CACHE_TYPE: "RedsiCache" }), {
        CACHE_TYPE: `Expected one of ${knownTypes}, not "RedsiCache"`
      })
      assert.deepStrictEqual(yield* wrongWith({ CACHE_TYPE: "cache" }), {
        CACHE_TYPE: `Expected one of ${knownTypes}, not "cache"`
      })
      assert.deepStrictEqual(yield* wrongWith({ CACHE_URL: "mongodb://root:hunter2@db" }), {
        CACHE_URL:
          "Expected a url of memory://, null://, redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster://, rediss+cluster://, memcached://, file://, uwsgi://"
      })
    }))

  it.effect("must be the same in CACHE_TYPE and CACHE_URL", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* wrongWith({ CACHE_TYPE: "simple", CACHE_URL: "redis://:hunter2@cache" }), {
        CACHE_URL: "Expected a url of MemoryCache, as CACHE_TYPE says, not of RedisCache"
      })
    }))

  it.effect("is warned about where only settings of another are there", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => logged.push(...[message].flat()))
      )
      assert.strictEqual(
        yield* backendOf({ CACHE_REDIS_URL: "redis://:hunter2@cache" }).pipe(Effect.provide(logger)),
        "memory"
      )
      assert.deepStrictEqual(logged, [
        "CACHE_REDIS_URL is set but CACHE_TYPE is not, so entries are kept in memory: CACHE_TYPE=RedisCache?"
      ])
    }))

  it.effect("can be one of the program's own", () =>
    Effect.gen(function*() {
      const nameOf = (settings: Settings, layer: Layer.Layer<CacheBackend, unknown>) =>
        Effect.provide(Effect.map(CacheBackend, (_) => _.holds), configured(settings, layer))
      const layer = CacheConfig.layerWith({ BytesCache: Memory.layer({ storage: "bytes" }) })
      assert.strictEqual(yield* nameOf({ CACHE_TYPE: "bytes" }, layer), "bytes")
      assert.strictEqual(yield* nameOf({ CACHE_TYPE: "MemoryCache" }, layer), "values")
      assert.strictEqual(yield* nameOf({}, layer), "values")
      const better = CacheConfig.layerWith({ MemoryCache: Memory.layer({ storage: "bytes" }) })
      assert.strictEqual(yield* nameOf({ CACHE_TYPE: "memory" }, better), "bytes")
      assert.deepStrictEqual(yield* problemsOf({ CACHE_TYPE: "?" }, layer), {
        CACHE_TYPE: `Expected one of BytesCache, ${knownTypes}, not "?"`
      })
    }))
})

describe("the settings", () => {
  it.effect("bound the entries in memory by CACHE_THRESHOLD", () =>
    Effect.gen(function*() {
      const kept = (settings: Settings) => Effect.provide(keptOfFour, configured(settings, CacheConfig.layer))
      assert.strictEqual(yield* kept({}), 4)
      assert.strictEqual(yield* kept({ CACHE_THRESHOLD: "2" }), 2)
      assert.strictEqual(yield* kept({ CACHE_TYPE: "NullCache" }), 0)
    }))

  it.effect("are all told at once where they are wrong, with what they say", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* wrongWith({
          CACHE_TYPE: "redis",
          CACHE_DEFAULT_TIMEOUT: "soon",
          CACHE_REDIS_URL: "http://user:hunter2@cache",
          CACHE_REDIS_PORT: "66000",
          CACHE_REDIS_DB: "-1",
          CACHE_REDIS_PASSWORD: "hunter2"
        }),
        {
          CACHE_DEFAULT_TIMEOUT: `Expected seconds or a duration like "5 minutes", not "soon"`,
          CACHE_REDIS_URL:
            "Expected redis://[[username]:password@]host[:port][/db], rediss://… or the path of a Unix socket",
          CACHE_REDIS_PORT: `Expected an integer from 1 to 65535, not "66000"`,
          CACHE_REDIS_DB: `Expected an integer from 0 to 2147483647, not "-1"`
        }
      )
      assert.deepStrictEqual(Object.keys(yield* wrongWith({ CACHE_THRESHOLD: "0", CACHE_DEFAULT_TIMEOUT: "-1" })), [
        "CACHE_THRESHOLD",
        "CACHE_DEFAULT_TIMEOUT"
      ])
      assert.deepStrictEqual(Object.keys(yield* wrongWith({ CACHE_TYPE: "?", CACHE_URL: "?", CACHE_THRESHOLD: "0" })), [
        "CACHE_TYPE",
        "CACHE_URL"
      ])
    }))

  it.effect("never show a password where they are wrong", () =>
    Effect.gen(function*() {
      const urls = [
        "redis://:hunter2/x@cache",
        "redis://user:hunter2@cache/x",
        "redis://user:hunter2@cache:port",
        "user:hunter2@cache",
        "hunter2"
      ]
      for (const url of urls) {
        for (const key of ["CACHE_URL", "CACHE_REDIS_URL"]) {
          const settings = { CACHE_TYPE: "redis", CACHE_REDIS_PASSWORD: "hunter2", [key]: url }
          const error = yield* Effect.flip(backendOf(settings))
          assert.match(String(error), new RegExp(`Invalid data at ${key}`))
          assert.notInclude(`${error}${JSON.stringify(error)}`, "hunter2", url)
        }
      }
    }))

  it.effect("of a type that is not chosen are not read", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* backendOf({ CACHE_TYPE: "null", CACHE_REDIS_PORT: "?", CACHE_THRESHOLD: "?" }), "null")
    }))
})

describe("Redis", () => {
  const reaches = (settings: Settings) =>
    Effect.flatMap(CacheBackend, (backend) => backend.has("user:1")).pipe(
      Effect.either,
      Effect.map(
        Either.match({
          onLeft: (error) => error._tag === "BackendError" ? error.reason : error._tag,
          onRight: () => "ok"
        })
      ),
      Effect.provide(configured({ CACHE_TYPE: "RedisCache", ...settings }, CacheConfig.layer))
    )

  it.scoped("is reached by a url, or by host, port and password", () =>
    Effect.gen(function*() {
      const { host, port, url } = yield* RedisServer.make({ password: "s3cret / é" })
      const at = { CACHE_REDIS_HOST: host, CACHE_REDIS_PORT: `${port}` }
      assert.strictEqual(yield* reaches({ CACHE_REDIS_URL: url }), "ok")
      assert.strictEqual(yield* reaches({ CACHE_URL: url }), "ok")
      assert.strictEqual(yield* reaches({ CACHE_URL: url, CACHE_REDIS_URL: "redis://127.0.0.1:1" }), "ok")
      assert.strictEqual(yield* reaches({ ...at, CACHE_REDIS_PASSWORD: "s3cret / é" }), "ok")
      assert.strictEqual(
        yield* reaches({ CACHE_REDIS_URL: `redis://${host}:${port}`, CACHE_REDIS_PASSWORD: "s3cret / é" }),
        "ok"
      )
      assert.strictEqual(
        yield* reaches({ CACHE_REDIS_URL: url, CACHE_REDIS_HOST: "nowhere", CACHE_REDIS_PORT: "1" }),
        "ok"
      )
      assert.strictEqual(yield* reaches(at), "Authentication")
    }))

  it.scoped("has its keys under CACHE_KEY_PREFIX, in the database CACHE_REDIS_DB", () =>
    Effect.gen(function*() {
      const { url } = yield* RedisServer.make()
      const of = (settings: Settings) =>
        configured({ CACHE_TYPE: "RedisCache", CACHE_REDIS_URL: url, ...settings }, CacheConfig.layer)
      const find = (load: number) => Cache.getOrSet(answers, "a", Effect.succeed(load))
      const shop = { CACHE_KEY_PREFIX: "shop:" }
      assert.strictEqual(yield* Effect.provide(find(1), of(shop)), 1)
      assert.strictEqual(yield* Effect.provide(find(2), of({})), 2)
      assert.strictEqual(yield* Effect.provide(find(3), of({ ...shop, CACHE_REDIS_DB: "3" })), 3)
      assert.strictEqual(yield* Effect.provide(find(4), of({ CACHE_REDIS_URL: `${url}/3`, ...shop })), 3)
      assert.strictEqual(yield* Effect.provide(find(5), of(shop)), 1)
      assert.strictEqual(yield* Effect.provide(find(6), of({})), 2)
    }))
})

describe("FileSystem", () => {
  it.scoped("has the keys of each CACHE_KEY_PREFIX apart in one folder, and clears those of its own", () =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "cache-config-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      const of = (settings: Settings) =>
        configured({ CACHE_TYPE: "FileSystemCache", CACHE_DIR: directory, ...settings }, CacheConfig.layer)
      const shop = of({ CACHE_KEY_PREFIX: "shop:" })
      const blog = of({ CACHE_KEY_PREFIX: "blog:" })
      const find = (load: number) => Cache.getOrSet(answers, "a", Effect.succeed(load))
      assert.strictEqual(yield* Effect.provide(find(1), shop), 1)
      assert.strictEqual(yield* Effect.provide(find(2), blog), 2)
      assert.strictEqual(yield* Effect.provide(find(3), of({})), 3)
      yield* Effect.provide(Cache.clear(answers), blog)
      assert.strictEqual(yield* Effect.provide(find(4), blog), 4)
      assert.strictEqual(yield* Effect.provide(find(5), shop), 1)
      assert.strictEqual(yield* Effect.provide(find(6), of({})), 3)
    }))
})

describe("defaultTimeToLive", () => {
  const cases: ReadonlyArray<readonly [text: string, expected: Duration.DurationInput]> = [
    ["", "5 minutes"],
    ["300", "5 minutes"],
    ["0.5", "500 millis"],
    ["5 minutes", "5 minutes"],
    [" 1 Hour ", "1 hour"],
    ["infinity", Duration.infinity],
    ["0", Duration.infinity],
    ["0 seconds", Duration.infinity]
  ]
  for (const [text, expected] of cases) {
    it.effect(`is ${Duration.format(expected)} for ${JSON.stringify(text)}`, () =>
      Effect.gen(function*() {
        const duration = yield* CacheConfig.defaultTimeToLive.pipe(withSettings({ CACHE_DEFAULT_TIMEOUT: text }))
        assert.isTrue(Duration.equals(duration, Duration.decode(expected)), Duration.format(duration))
      }))
  }

  it.effect("is 5 minutes where it is not set", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* CacheConfig.defaultTimeToLive.pipe(withSettings({})), Duration.minutes(5))
    }))

  it.effect("refuses what is no duration", () =>
    Effect.gen(function*() {
      for (const text of ["-1", "-5 minutes", "soon", "1e3", "5 parsecs"]) {
        const error = yield* Effect.flip(
          CacheConfig.defaultTimeToLive.pipe(withSettings({ CACHE_DEFAULT_TIMEOUT: text }))
        )
        assert.strictEqual(
          String(error),
          `(Invalid data at CACHE_DEFAULT_TIMEOUT: "Expected seconds or a duration like "5 minutes", not ${
            JSON.stringify(text)
          }")`
        )
      }
    }))
})
