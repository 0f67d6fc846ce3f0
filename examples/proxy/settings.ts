/**
 * What the proxy is told: by its arguments `ORIGIN [PORT] [OPTIONS]`, of which the last are
 * the options of `HttpCache` as JSON, and by `CACHE_URL` or `CACHE_TYPE`, which name the backend.
 */
import * as Memory from "effect-caching/backends/Memory"
import * as Redis from "effect-caching/backends/Redis"
import * as RedisBus from "effect-caching/backends/RedisBus"
import * as Tiered from "effect-caching/backends/Tiered"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as HttpCache from "effect-caching/HttpCache"
import * as Config from "effect/Config"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Hops from "./hops.js"

interface Options extends HttpCache.Options {
  /** Hits are answered before a fiber is started. */
  readonly accelerate?: boolean
  /** The cache is behind the proxy, in the client that asks the origin, with these options. */
  readonly client?: HttpCache.ClientOptions
}

const [, , to = "http://localhost:8000", at = "8080", options = "{}"] = process.argv
const { accelerate = false, client: behind, ...before } = JSON.parse(options) as Options

export const origin = to
export const port = Number(at)

const url = Config.redacted("CACHE_REDIS_URL")

/** `CACHE_TYPE=TieredCache` is memory before the Redis of `CACHE_REDIS_URL`. */
export const backend = CacheConfig.layerWith({
  TieredCache: Tiered.layer({
    local: Memory.layer(),
    remote: Redis.layerConfig({ url }),
    bus: RedisBus.layerConfig({ url })
  })
})

export const cache = behind !== undefined
  ? { middleware: identity, server: identity }
  : accelerate
  ? HttpCache.accelerate(before)
  : { middleware: HttpCache.middleware(before), server: identity }

export const client = behind === undefined
  ? Hops.client
  : Layer.provide(HttpCache.layerClient(behind), [Hops.client, backend])
