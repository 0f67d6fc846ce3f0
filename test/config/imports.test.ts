import { assert, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import { vi } from "vitest"

const imported = vi.hoisted(() => new Set<string>())

vi.mock("ioredis", (original) => {
  imported.add("ioredis")
  return original()
})

it.effect("a driver's client is imported only where the driver is chosen", () =>
  Effect.gen(function*() {
    const backendOf = (type: string) =>
      Effect.map(CacheBackend, (backend) => backend.name).pipe(
        Effect.provide(CacheConfig.layer),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["CACHE_TYPE", type], ["CACHE_REDIS_PORT", "1"]])))
      )
    assert.strictEqual(yield* backendOf("MemoryCache"), "memory")
    assert.strictEqual(yield* backendOf("NullCache"), "null")
    assert.strictEqual(imported.size, 0)
    assert.strictEqual(yield* backendOf("RedisCache"), "redis")
    assert.strictEqual(imported.size, 1)
  }))
