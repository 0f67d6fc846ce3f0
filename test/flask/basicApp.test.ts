/** `test_basic_app.py` */
import { assert, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { redisForFile } from "../support/overBackends.js"
import { rawRedis } from "../support/rawRedis.js"
import { configured, providerOf, type Settings } from "../support/settings.js"
import * as Rows from "./rows.js"
import { describeRows, type NotHere, numbers } from "./support.js"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.basicApp>> = [
  {
    row: "init_app_sets_app_attribute",
    reason: "a cache knows of no app: its backend is a requirement of the program"
  },
  {
    row: "subclassed_cache_class",
    reason: "a cache is a value and no class; a wrapped backend is in subclassing.test.ts"
  }
]

const backendName = Effect.map(CacheBackend, (backend) => backend.name)

describeRows("test_basic_app.py", Rows.basicApp, notHere, (row) => {
  it.effect(row("dict_config"), () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* backendName, "memory")
      for (const key of ["a", "b"]) yield* Cache.set(numbers, key, 1)
      assert.strictEqual((yield* Cache.getMany(numbers, ["a", "b"])).filter(Option.isSome).length, 1)
    }).pipe(Effect.provide(configured({ CACHE_TYPE: "SimpleCache", CACHE_THRESHOLD: "1" }))))

  it.effect(row("dict_config_initapp"), () =>
    Effect.gen(function*() {
      // The program is made before anybody has said which backend it is to have.
      const program = Effect.provide(backendName, CacheConfig.layer)
      for (const [CACHE_TYPE, name] of [["SimpleCache", "memory"], ["NullCache", "null"]] as const) {
        assert.strictEqual(yield* Effect.withConfigProvider(program, providerOf({ CACHE_TYPE })), name)
      }
    }))

  it.effect(row("dict_config_both"), () =>
    Effect.gen(function*() {
      const earlier = providerOf({ CACHE_TYPE: "NullCache", CACHE_DEFAULT_TIMEOUT: "7" })
      const later = providerOf({ CACHE_TYPE: "SimpleCache" })
      const both = ConfigProvider.orElse(later, () => earlier)
      assert.strictEqual(
        yield* Effect.withConfigProvider(Effect.provide(backendName, CacheConfig.layer), both),
        "memory"
      )
      assert.deepStrictEqual(
        yield* Effect.withConfigProvider(CacheConfig.defaultTimeToLive, both),
        Duration.seconds(7)
      )
    }))

  it.effect(row("app_custom_cache_backend"), () =>
    Effect.gen(function*() {
      const layer = CacheConfig.layerWith({ CustomCache: Memory.layer({ storage: "bytes" }) })
      const holds = (settings: Settings) =>
        Effect.provide(Effect.map(CacheBackend, (_) => _.holds), configured(settings, layer))
      assert.strictEqual(yield* holds({ CACHE_TYPE: "CustomCache" }), "bytes")
      assert.strictEqual(yield* holds({ CACHE_TYPE: "SimpleCache" }), "values")
    }))

  const redis = redisForFile()

  it.effect(row("init_app_multi_apps"), () =>
    Effect.gen(function*() {
      const app = (prefix: string) => {
        const layer = configured({
          CACHE_TYPE: "redis",
          CACHE_REDIS_URL: redis.server().url,
          CACHE_KEY_PREFIX: prefix
        })
        return Effect.provide(layer)
      }
      const [one, other] = [app("foo"), app("bar")]
      yield* one(Cache.set(numbers, "k", 1))
      yield* other(Cache.set(numbers, "k", 2))
      assert.deepStrictEqual(yield* one(Cache.get(numbers, "k")), Option.some(1))
      yield* other(Cache.clear(numbers))
      assert.deepStrictEqual(yield* one(Cache.get(numbers, "k")), Option.some(1))
      assert.deepStrictEqual(yield* other(Cache.get(numbers, "k")), Option.none())
    }))

  /** In which of the server's first four databases an entry is, once it was stored with these settings. */
  const databasesOf = (settings: (url: string) => Settings) =>
    Effect.gen(function*() {
      const { url } = redis.server()
      const call = yield* rawRedis(url)
      yield* call("FLUSHALL")
      yield* Effect.provide(
        Cache.set(numbers, "k", 1),
        configured({ CACHE_TYPE: "RedisCache", CACHE_KEY_PREFIX: "db:", ...settings(url) })
      )
      const found: Array<number> = []
      for (const db of [0, 1, 2, 3]) {
        yield* call("SELECT", `${db}`)
        if ((yield* call<number>("EXISTS", `db:${Cache.cacheKey(numbers, "k")}`)) === 1) found.push(db)
      }
      return found
    })

  it.scoped(row("app_redis_cache_backend_url_default_db"), () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* databasesOf((url) => ({ CACHE_REDIS_URL: url })), [0])
    }))

  it.scoped(row("app_redis_cache_backend_url_custom_db"), () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* databasesOf((url) => ({ CACHE_REDIS_URL: `${url}/2` })), [2])
      assert.deepStrictEqual(
        yield* databasesOf((url) => ({ CACHE_REDIS_URL: `${url}/2`, CACHE_REDIS_DB: "1" })),
        [2]
      )
    }))

  it.scoped(row("app_redis_cache_backend_url_explicit_db_arg"), () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* databasesOf((url) => ({ CACHE_REDIS_URL: url, CACHE_REDIS_DB: "1" })), [1])
    }))
})
