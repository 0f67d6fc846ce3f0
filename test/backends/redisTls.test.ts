import { assert, describe, it } from "@effect/vitest"
import { type Backend, type BackendError, CacheBackend } from "effect-caching/Backend"
import * as RedisCluster from "effect-caching/backends/RedisCluster"
import * as RedisSentinel from "effect-caching/backends/RedisSentinel"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { readFileSync } from "node:fs"
import { entry, get, leavesNothing, minute, printsNothing } from "../support/faults.js"
import * as ClusterServers from "../support/redisCluster.js"
import * as SentinelServers from "../support/redisSentinel.js"
import { certificate } from "../support/redisServer.js"

printsNothing()

/** Reads and writes on every server. */
const isUsed = (backend: Backend) =>
  Effect.gen(function*() {
    const keys = Array.from({ length: 50 }, (_, index) => `k${index}`)
    yield* backend.setMany(keys.map((key) => [key, entry(key), minute]))
    assert.isTrue((yield* backend.getMany(keys)).every(Option.isSome))
    yield* backend.clear("")
    assert.isUndefined(yield* get(backend, "k1"))
  })

const isRefused = <R>(effect: Effect.Effect<unknown, BackendError, R>, code: string) =>
  Effect.map(Effect.flip(effect), ({ cause, reason }) => {
    assert.strictEqual(reason, "Connection")
    assert.strictEqual((cause as { readonly code?: string } | undefined)?.code, code)
  })

const fromUrl = (url: string) =>
  Effect.flatMap(CacheBackend, (backend) => backend.get("k")).pipe(
    Effect.provide(CacheConfig.layer),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["CACHE_URL", url]])))
  ) as Effect.Effect<unknown, BackendError>

describe("TLS", () => {
  it.scopedLive(
    "is spoken with every server of a cluster that can be trusted, and with no other",
    () =>
      Effect.gen(function*() {
        const tls = yield* certificate("IP:127.0.0.1")
        const { addresses: nodes } = yield* ClusterServers.make({ replicas: 0, tls })
        const ca = readFileSync(tls.cert)
        const make = (options: Partial<RedisCluster.Options>) =>
          RedisCluster.make({ nodes, requireConnection: true, ...options })
        yield* leavesNothing(Effect.flatMap(make({ tls: { ca } }), isUsed))
        yield* isRefused(make({ tls: true }), "DEPTH_ZERO_SELF_SIGNED_CERT")
        yield* isRefused(
          make({ tls: { ca, servername: "elsewhere.internal" } }),
          "ERR_TLS_CERT_ALTNAME_INVALID"
        )
        yield* isRefused(make({}), "ECONNRESET")
        yield* isRefused(fromUrl(`rediss+cluster://${nodes.join(",")}`), "DEPTH_ZERO_SELF_SIGNED_CERT")
      }),
    60_000
  )

  it.scopedLive("is spoken with sentinels and with the master, each by its own options", () =>
    Effect.gen(function*() {
      const tls = yield* certificate("IP:127.0.0.1")
      const { addresses: sentinels } = yield* SentinelServers.make({ tls })
      const trusted = { ca: readFileSync(tls.cert) }
      const make = (options: Partial<RedisSentinel.Options>) =>
        RedisSentinel.make({ sentinels, requireConnection: true, ...options })
      yield* leavesNothing(Effect.flatMap(make({ tls: trusted, sentinelTls: trusted }), isUsed))
      yield* isRefused(make({ tls: trusted, sentinelTls: true }), "DEPTH_ZERO_SELF_SIGNED_CERT")
      yield* isRefused(make({ tls: true, sentinelTls: trusted }), "DEPTH_ZERO_SELF_SIGNED_CERT")
      yield* isRefused(make({ sentinelTls: trusted }), "ECONNRESET")
      yield* isRefused(fromUrl(`rediss+sentinel://${sentinels.join(",")}`), "DEPTH_ZERO_SELF_SIGNED_CERT")
    }), 60_000)
})
