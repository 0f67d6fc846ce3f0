/**
 * The backend that `CACHE_URL` or `CACHE_TYPE` names, with a type of our own: `TieredCache`
 * is memory before the Redis of `CACHE_REDIS_URL`.
 */
import * as Memory from "effect-caching/backends/Memory"
import * as Redis from "effect-caching/backends/Redis"
import * as RedisBus from "effect-caching/backends/RedisBus"
import * as Tiered from "effect-caching/backends/Tiered"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as Config from "effect/Config"

const url = Config.redacted("CACHE_REDIS_URL")

export const layer = CacheConfig.layerWith({
  TieredCache: Tiered.layer({
    local: Memory.layer(),
    remote: Redis.layerConfig({ url }),
    bus: RedisBus.layerConfig({ url })
  })
})
