/** `test_init.py` */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as HttpCache from "effect-caching/HttpCache"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { expectTypeOf } from "vitest"
import { serve } from "../http/support.js"
import { folder } from "../support/filePrograms.js"
import { configured } from "../support/settings.js"
import * as Rows from "./rows.js"
import { describeRows, onMemoryAndRedis } from "./support.js"

describeRows("test_init.py", Rows.init, [], (row) => {
  it.scoped(row("init_nullcache"), () =>
    Effect.gen(function*() {
      const nobody = "127.0.0.1:1"
      const types = {
        NullCache: ["null", {}],
        SimpleCache: ["memory", {}],
        FileSystemCache: ["fileSystem", { CACHE_DIR: yield* folder }],
        RedisCache: ["redis", { CACHE_REDIS_URL: `redis://${nobody}` }],
        RedisSentinelCache: ["redis-sentinel", { CACHE_REDIS_SENTINELS: nobody }],
        RedisClusterCache: ["redis-cluster", { CACHE_REDIS_CLUSTER: nobody }],
        MemcachedCache: ["memcached", { CACHE_MEMCACHED_SERVERS: nobody }],
        SASLMemcachedCache: ["memcached", {
          CACHE_MEMCACHED_SERVERS: nobody,
          CACHE_MEMCACHED_USERNAME: "ada",
          CACHE_MEMCACHED_PASSWORD: "pw"
        }]
      } as const
      for (const [CACHE_TYPE, [name, settings]] of Object.entries(types)) {
        const layer = configured({ CACHE_TYPE, ...settings })
        assert.strictEqual(yield* Effect.provide(Effect.map(CacheBackend, (_) => _.name), layer), name, CACHE_TYPE)
      }
    }))

  it(row("cached_response_init_is_typed"), () => {
    expectTypeOf(Cache.setTimeToLive).parameters.toEqualTypeOf<[Duration.DurationInput]>()
    assert.throws(() => Effect.runSync(Cache.setTimeToLive("-1 seconds")), "Cache.setTimeToLive")
  })

  onMemoryAndRedis((test) => {
    test(row("cached_response_construction_with_flask_response"), () =>
      Effect.gen(function*() {
        let runs = 0
        const app = Effect.map(HttpServerRequest.HttpServerRequest, () =>
          HttpServerResponse.text(`body ${++runs}`, { status: 203, headers: { "cache-control": "max-age=10" } }))
        const client = yield* serve(HttpCache.middleware({ timeToLive: "1 hour" })(app))
        const expect = (body: string) =>
          Effect.map(client.get("/"), (reply) =>
            assert.deepStrictEqual([reply.status, reply.body], [203, body]))
        yield* expect("body 1")
        yield* TestClock.adjust("9 seconds")
        yield* expect("body 1")
        yield* TestClock.adjust("1 second")
        yield* expect("body 2")
      }))
  })
})
