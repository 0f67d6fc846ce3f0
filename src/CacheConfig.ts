/**
 * The backend that the configuration of a program asks for.
 *
 * | key | what it says | default |
 * |---|---|---|
 * | `CACHE_TYPE` | `MemoryCache`, `NullCache`, `FileSystemCache`, `RedisCache`, `RedisSentinelCache`, `RedisClusterCache`, `MemcachedCache`, `SASLMemcachedCache`, `SpreadSASLMemcachedCache` or `UWSGICache` | `MemoryCache` |
 * | `CACHE_URL` | type and address in one: `memory://`, `null://`, `file:///folder`, `redis://…`, `rediss://…`, `redis+sentinel://host:port,host:port/db?master=name`, `redis+cluster://host:port,…`, both with `rediss+…` over TLS, `memcached://host:port,…`, `uwsgi://host:port/cache` | |
 * | `CACHE_DEFAULT_TIMEOUT` | seconds, or a duration like `5 minutes`; see `defaultTimeToLive` | 300 |
 * | `CACHE_KEY_PREFIX` | begins every key in a store that programs share | `cache:`, nothing in a folder |
 * | `CACHE_THRESHOLD` | the most entries, in memory or in a folder | 10000, 100000 |
 * | `CACHE_DIR` | the folder of `FileSystemCache` | |
 * | `CACHE_REDIS_URL` | `redis://[[username]:password@]host[:port][/db]`, `rediss://…` or the path of a Unix socket | |
 * | `CACHE_REDIS_HOST`, `CACHE_REDIS_PORT`, `CACHE_REDIS_DB` | what the url does not say | `localhost`, 6379, 0 |
 * | `CACHE_REDIS_USERNAME`, `CACHE_REDIS_PASSWORD` | what the url does not say | |
 * | `CACHE_REDIS_SENTINELS` | sentinels, `host:port` with commas between them | `127.0.0.1:26379` |
 * | `CACHE_REDIS_SENTINEL_MASTER`, `CACHE_REDIS_SENTINEL_PASSWORD` | the master's name, the sentinels' password | `mymaster` |
 * | `CACHE_REDIS_CLUSTER` | nodes of a cluster, `host:port` with commas between them | `127.0.0.1:6379` |
 * | `CACHE_MEMCACHED_SERVERS` | `host:port` with commas between them | `localhost:11211` |
 * | `CACHE_MEMCACHED_USERNAME`, `CACHE_MEMCACHED_PASSWORD` | credentials for SASL | |
 * | `CACHE_UWSGI_NAME` | `name@host:port`, or the name of the cache | `127.0.0.1:3031` |
 *
 * The keys are those of Flask-Caching, and so are the names of types: case does
 * not matter, the `Cache` at the end may be left out, and `SimpleCache` is
 * `MemoryCache`. A key that is blank counts as not set. The keys of a type that
 * is not chosen are not read.
 *
 * @since 1.0.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { BackendError, CacheBackend } from "./Backend.js"
import { type Driver, drivers, memory } from "./internal/config/drivers.js"
import { notThat, setting, text } from "./internal/config/settings.js"

// -----------------------------------------------------------------------------
// settings
// -----------------------------------------------------------------------------

/**
 * `CACHE_DEFAULT_TIMEOUT`, for caches whose `timeToLive` is left to the
 * configuration: a number of seconds, or a duration like `5 minutes` or
 * `infinity`. Default: 5 minutes.
 *
 * Zero is `Duration.infinity`: that is what the key means to Flask-Caching. To
 * store nothing, set `CACHE_TYPE` to `NullCache`.
 *
 * @example
 * ```ts
 * import { Cache, CacheConfig } from "effect-caching"
 * import { Effect, Schema } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const timeToLive = yield* CacheConfig.defaultTimeToLive
 *   const names = Cache.make({ name: "names", schema: Schema.String, key: (id: number) => id, timeToLive })
 *   return yield* Cache.getOrSet(names, 1, Effect.succeed("Ada"))
 * })
 * ```
 *
 * @since 1.0.0
 * @category settings
 */
export const defaultTimeToLive: Config.Config<Duration.Duration> = setting(
  "CACHE_DEFAULT_TIMEOUT",
  (text) => {
    const duration = durationOf(text.trim().toLowerCase())
    return duration._tag === "None"
      ? notThat(`seconds or a duration like "5 minutes"`, text)
      : Either.right(duration.value)
  }
).pipe(
  Config.map((given = Duration.minutes(5)) => Duration.toMillis(given) === 0 ? Duration.infinity : given)
)

const durationOf = (text: string): Option.Option<Duration.Duration> =>
  /^\d+(\.\d+)?$/.test(text)
    ? Option.some(Duration.seconds(Number(text)))
    : text === "infinity"
    ? Option.some(Duration.infinity)
    : text.startsWith("-")
    ? Option.none()
    : Duration.decodeUnknown(text)

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * The backend that `CACHE_TYPE` or `CACHE_URL` names, made from its settings; in
 * memory where neither is set. Its module, and with it the client it needs, is
 * imported only when it is chosen.
 *
 * Settings come from the `ConfigProvider`, which reads the environment by
 * default. All that is wrong with them is told in one `ConfigError`: every key,
 * what it says and what was expected, but for urls, which may hold a password.
 *
 * @example
 * ```ts
 * import { CacheConfig } from "effect-caching"
 * import { Effect } from "effect"
 *
 * // CACHE_TYPE=RedisCache CACHE_REDIS_URL=redis://localhost:6379 node main.js
 * const main = Effect.log("…").pipe(Effect.provide(CacheConfig.layer))
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer: Layer.Layer<CacheBackend, BackendError | ConfigError.ConfigError> = Layer.unwrapEffect(
  Effect.suspend(() => choose(drivers))
)

/**
 * Like `layer`, with types of your own: `CACHE_TYPE` may also be one of the names
 * of `types`, in any case. A name of ours means yours.
 *
 * @example
 * ```ts
 * import { CacheConfig } from "effect-caching"
 * import * as Memory from "effect-caching/backends/Memory"
 * import { Config } from "effect"
 *
 * // CACHE_TYPE=WeighedCache CACHE_WEIGHT=1000000 node main.js
 * const CacheLive = CacheConfig.layerWith({
 *   WeighedCache: Memory.layerConfig({
 *     storage: Config.succeed("bytes"),
 *     maxWeight: Config.integer("CACHE_WEIGHT")
 *   })
 * })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerWith = <E, R>(
  types: Readonly<Record<string, Layer.Layer<CacheBackend, E, R>>>
): Layer.Layer<CacheBackend, BackendError | ConfigError.ConfigError | E, R> => {
  const own = Object.entries(types).map(([type, layer]): Driver<E, R> => ({
    type,
    aliases: [],
    schemes: [],
    marks: [],
    open: () => Config.succeed(Effect.succeed(layer))
  }))
  return Layer.unwrapEffect(Effect.suspend(() => choose<BackendError | E, R>([...own, ...drivers])))
}

/** The layer that is asked for, or all that is wrong with the settings. */
const choose = Effect.fnUntraced(function*<E, R>(drivers: ReadonlyArray<Driver<E, R>>) {
  const errors: Array<ConfigError.ConfigError> = []
  const read = <A>(config: Config.Config<A>): Effect.Effect<A | undefined> =>
    Effect.catchAll(config, (error) => Effect.sync(() => void errors.push(error)))
  const byType = yield* read(driverOfType(drivers))
  const byUrl = yield* read(driverOfUrl(drivers, byType))
  const named = byType ?? byUrl
  // While it is in doubt which driver is meant, its settings are not known to be wrong.
  const open = named === undefined && errors.length > 0
    ? undefined
    : yield* read((named ?? memory).open(byUrl !== undefined))
  yield* read(defaultTimeToLive)
  if (open === undefined || errors.length > 0) return yield* Effect.fail(errors.reduce(ConfigError.And))
  if (named === undefined) yield* warnOfMarks(drivers)
  return yield* open
})

const driverOfType = <E, R>(drivers: ReadonlyArray<Driver<E, R>>) =>
  setting("CACHE_TYPE", (name) => {
    const found = drivers.find(({ aliases, type }) => [type, ...aliases].some((_) => shorten(_) === shorten(name)))
    return found === undefined ? notThat(`one of ${drivers.map((_) => _.type).join(", ")}`, name) : Either.right(found)
  })

const shorten = (name: string): string => name.trim().toLowerCase().replace(/(?<=.)cache$/, "")

const driverOfUrl = <E, R>(drivers: ReadonlyArray<Driver<E, R>>, byType: Driver<E, R> | undefined) =>
  setting("CACHE_URL", (url) => {
    const scheme = /^\s*([a-z0-9+.-]+):\/\//i.exec(url)?.[1]?.toLowerCase() ?? ""
    const found = drivers.find(({ schemes }) => schemes.includes(scheme))
    if (found === undefined) {
      return Either.left(`Expected a url of ${drivers.flatMap((_) => _.schemes).map((_) => `${_}://`).join(", ")}`)
    }
    return byType === undefined || byType === found
      ? Either.right(found)
      : Either.left(`Expected a url of ${byType.type}, as CACHE_TYPE says, not of ${found.type}`)
  })

const warnOfMarks = <E, R>(drivers: ReadonlyArray<Driver<E, R>>) =>
  Effect.forEach(
    drivers.flatMap(({ marks, type }) => marks.map((mark) => [mark, type] as const)),
    ([mark, type]) =>
      Effect.flatMap(Effect.option(text(mark)), (given) =>
        given._tag === "Some" && given.value !== undefined
          ? Effect.logWarning(
            `${mark} is set but CACHE_TYPE is not, so entries are kept in memory: CACHE_TYPE=${type}?`
          )
          : Effect.void),
    { discard: true }
  )
