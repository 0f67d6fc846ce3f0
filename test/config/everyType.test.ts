import { assert, describe, it } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parse } from "../../src/internal/config/storeUrl.js"
import * as MemcachedServer from "../support/memcachedServer.js"
import * as RedisCluster from "../support/redisCluster.js"
import * as RedisSentinel from "../support/redisSentinel.js"
import * as RedisServer from "../support/redisServer.js"
import * as UwsgiServer from "../support/uwsgiServer.js"

type Settings = Readonly<Record<string, string>>

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "cache-config-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const sasl = { username: "tester", password: "s3cret/with:marks@in,it" } as const

/** For each type the settings that name it, by its keys and, where there is one, by a url. */
const types: Record<string, Effect.Effect<ReadonlyArray<Settings>, unknown, Scope.Scope>> = {
  MemoryCache: Effect.succeed([{ CACHE_TYPE: "simple" }, { CACHE_URL: "memory://" }]),
  FileSystemCache: Effect.map(folder, (path) => [
    { CACHE_TYPE: "filesystem", CACHE_DIR: path, CACHE_THRESHOLD: "100" },
    { CACHE_URL: `file://${path}` }
  ]),
  RedisCache: Effect.map(RedisServer.make({ password: "p:w@/" }), ({ port }) => [
    {
      CACHE_TYPE: "redis",
      CACHE_REDIS_HOST: "127.0.0.1",
      CACHE_REDIS_PORT: String(port),
      CACHE_REDIS_PASSWORD: "p:w@/"
    },
    { CACHE_URL: `redis://:${encodeURIComponent("p:w@/")}@127.0.0.1:${port}/1` }
  ]),
  RedisSentinelCache: Effect.map(RedisSentinel.make({ password: "pw" }), ({ addresses }) => [
    {
      CACHE_TYPE: "RedisSentinelCache",
      CACHE_REDIS_SENTINELS: addresses.join(", "),
      CACHE_REDIS_SENTINEL_MASTER: RedisSentinel.name,
      CACHE_REDIS_PASSWORD: "pw"
    },
    { CACHE_URL: `redis+sentinel://:pw@${addresses.join(",")}/2?master=${RedisSentinel.name}` }
  ]),
  RedisClusterCache: Effect.map(RedisCluster.make({ replicas: 0 }), ({ addresses }) => [
    { CACHE_TYPE: "rediscluster", CACHE_REDIS_CLUSTER: addresses.join(",") },
    { CACHE_URL: `redis+cluster://${addresses.join(",")}` }
  ]),
  MemcachedCache: Effect.map(Effect.all([MemcachedServer.make(), MemcachedServer.make()]), (servers) => [
    { CACHE_TYPE: "memcached", CACHE_MEMCACHED_SERVERS: servers.map((_) => _.address).join(",") },
    { CACHE_URL: `memcached://${servers[0]!.address},${servers[1]!.address}` }
  ]),
  SASLMemcachedCache: Effect.map(
    MemcachedServer.make({ sasl }),
    ({ address }) =>
      ["SASLMemcachedCache", "SpreadSASLMemcachedCache"].map((type) => ({
        CACHE_TYPE: type,
        CACHE_MEMCACHED_SERVERS: address,
        CACHE_MEMCACHED_USERNAME: sasl.username,
        CACHE_MEMCACHED_PASSWORD: sasl.password
      }))
  ),
  UWSGICache: Effect.map(UwsgiServer.make({ caches: ["name=lab,items=100,blocksize=4096"] }), ({ port }) => [
    { CACHE_TYPE: "uwsgi", CACHE_UWSGI_NAME: `lab@127.0.0.1:${port}` },
    { CACHE_URL: `uwsgi://127.0.0.1:${port}/lab` }
  ])
}

const texts = Cache.make({ name: "text", schema: Schema.String, timeToLive: "1 minute" })

const layerOf = (settings: Settings) =>
  Layer.fresh(CacheConfig.layer).pipe(
    Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(settings)))))
  )

describe("every type of CACHE_TYPE", () => {
  for (const [type, start] of Object.entries(types)) {
    it.scopedLive(`${type} keeps what is cached on a real server`, () =>
      Effect.gen(function*() {
        for (const settings of yield* start) {
          yield* Effect.gen(function*() {
            yield* Cache.set(texts, settings, "kept")
            assert.strictEqual(yield* Cache.getOrSet(texts, settings, Effect.succeed("loaded")), "kept")
            assert.isTrue(yield* Cache.invalidate(texts, settings))
          }).pipe(Effect.provide(layerOf(settings)))
        }
      }), 30_000)
  }

  it.effect("what is missing or malformed is named, and no password is repeated", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [Settings, string]> = [
        [{ CACHE_TYPE: "FileSystemCache" }, "CACHE_DIR"],
        [{ CACHE_TYPE: "SASLMemcachedCache", CACHE_MEMCACHED_PASSWORD: "hunter2" }, "CACHE_MEMCACHED_USERNAME"],
        [{ CACHE_TYPE: "MemcachedCache", CACHE_MEMCACHED_SERVERS: "a b:1" }, "CACHE_MEMCACHED_SERVERS"],
        [{ CACHE_URL: "redis+cluster://u:hunter2@" }, "CACHE_URL"],
        [{ CACHE_URL: "redis+sentinel://u:hunter2@h:1/x" }, "CACHE_URL"],
        [{ CACHE_URL: "uwsgi://a:1,b:2/lab" }, "CACHE_URL"]
      ]
      for (const [settings, key] of cases) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layerOf(settings))))
        assert.include(String(error), key)
        assert.notInclude(JSON.stringify(error) + String(error), "hunter2")
      }
    }))

  it("an address is taken apart as it stands", () => {
    assert.deepInclude(parse("redis+sentinel://a%40b:p%3Aw@h1:1,[::1]:2/3?master=m"), {
      scheme: "redis+sentinel",
      username: "a@b",
      password: "p:w",
      hosts: ["h1:1", "[::1]:2"],
      path: "3"
    })
    for (const text of ["", "h:1", "x://a b", "x://h:p:1", "x://%zz:p@h", "x://h1,,h2"]) {
      assert.isUndefined(parse(text), text)
    }
  })
})
