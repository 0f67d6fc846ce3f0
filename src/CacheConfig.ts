/**
 * The backend that the configuration of a program asks for.
 *
 * | key | what it says | default |
 * |---|---|---|
 * | `CACHE_TYPE` | `MemoryCache`, `NullCache` or `RedisCache` | `MemoryCache` |
 * | `CACHE_URL` | type and address in one: `memory://`, `null://`, `redis://…`, `rediss://…` | |
 * | `CACHE_DEFAULT_TIMEOUT` | seconds, or a duration like `5 minutes`; see `defaultTimeToLive` | 300 |
 * | `CACHE_KEY_PREFIX` | begins every key in a store that programs share | `cache:` |
 * | `CACHE_THRESHOLD` | the most entries, in memory | 10000 |
 * | `CACHE_REDIS_URL` | `redis://[[username]:password@]host[:port][/db]`, `rediss://…` or the path of a Unix socket | |
 * | `CACHE_REDIS_HOST`, `CACHE_REDIS_PORT`, `CACHE_REDIS_DB` | what the url does not say | `localhost`, 6379, 0 |
 * | `CACHE_REDIS_USERNAME`, `CACHE_REDIS_PASSWORD` | what the url does not say | |
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
import * as Redacted from "effect/Redacted"
import type { BackendError, CacheBackend } from "./Backend.js"

// -----------------------------------------------------------------------------
// settings
// -----------------------------------------------------------------------------

/** The value of a key, `undefined` where it is not set or blank; the left of `parse` says what was expected. */
const setting = <A>(key: string, parse: (text: string) => Either.Either<A, string>): Config.Config<A | undefined> =>
  Config.string(key).pipe(
    Config.mapOrFail((text) =>
      text.trim() === ""
        ? Either.left(ConfigError.MissingData([], `${key} is blank`))
        : Either.mapLeft(parse(text), (problem) => ConfigError.InvalidData([], problem))
    ),
    Config.withDefault(undefined)
  )

const notThat = (expected: string, text: string): Either.Either<never, string> =>
  Either.left(`Expected ${expected}, not ${JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)}`)

const text = (key: string) => setting(key, Either.right)

const secret = (key: string) => setting(key, (text) => Either.right(Redacted.make(text)))

const integer = (key: string, min: number, max: number) =>
  setting(key, (text) => {
    const number = /^\s*\d+\s*$/.test(text) ? Number(text) : NaN
    return number >= min && number <= max ? Either.right(number) : notThat(`an integer from ${min} to ${max}`, text)
  })

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
// drivers
// -----------------------------------------------------------------------------

/** A value of `CACHE_TYPE`, and the way from its settings to its layer. */
interface Driver<E, R = never> {
  readonly type: string
  readonly aliases: ReadonlyArray<string>
  /** What `CACHE_URL` may begin with. */
  readonly schemes: ReadonlyArray<string>
  /** Keys that are set by nobody who does not mean this driver. */
  readonly marks: ReadonlyArray<string>
  /** Reads `CACHE_URL` where that has chosen it. */
  readonly open: (hasUrl: boolean) => Config.Config<Effect.Effect<Layer.Layer<CacheBackend, E, R>>>
}

/** A row of the table below. The module is imported when it is chosen. */
const row = <Module, Options, E>(
  { layer, load, options, ...known }: Omit<Driver<E>, "open"> & {
    readonly options: (hasUrl: boolean) => Config.Config<Options>
    readonly load: () => Promise<Module>
    readonly layer: (module: Module, options: Options) => Layer.Layer<CacheBackend, E>
  }
): Driver<E> => ({
  ...known,
  open: (hasUrl) =>
    Config.map(options(hasUrl), (options) => Effect.map(Effect.promise(load), (module) => layer(module, options)))
})

/** What is refused is not repeated: it may hold a password. */
const redisUrl = (key: string) =>
  setting(key, (text) => {
    const url = text.trim().replace(/^\w+:/, (scheme) => scheme.toLowerCase())
    return isRedisUrl(url)
      ? Either.right(Redacted.make(url))
      : Either.left("Expected redis://[[username]:password@]host[:port][/db], rediss://… or the path of a Unix socket")
  })

const isRedisUrl = (url: string): boolean =>
  url.startsWith("/") ||
  (/^rediss?:\/\/./.test(url) && URL.canParse(url) && /^\/?\d*$/.test(new URL(url).pathname))

const memory = row({
  type: "MemoryCache",
  aliases: ["SimpleCache"],
  schemes: ["memory"],
  marks: [],
  options: () => Config.all({ maxEntries: integer("CACHE_THRESHOLD", 1, 4_194_304) }),
  load: () => import("./backends/Memory.js"),
  layer: (Memory, options) => Memory.layer(options)
})

const drivers: ReadonlyArray<Driver<BackendError>> = [
  memory,
  row({
    type: "NullCache",
    aliases: [],
    schemes: ["null"],
    marks: [],
    options: () => Config.succeed(undefined),
    load: () => import("./backends/Null.js"),
    layer: (Null) => Null.layer
  }),
  row({
    type: "RedisCache",
    aliases: [],
    schemes: ["redis", "rediss"],
    marks: ["CACHE_REDIS_URL", "CACHE_REDIS_HOST"],
    options: (hasUrl) =>
      Config.all({
        url: redisUrl(hasUrl ? "CACHE_URL" : "CACHE_REDIS_URL"),
        host: text("CACHE_REDIS_HOST"),
        port: integer("CACHE_REDIS_PORT", 1, 65_535),
        db: integer("CACHE_REDIS_DB", 0, 2_147_483_647),
        username: text("CACHE_REDIS_USERNAME"),
        password: secret("CACHE_REDIS_PASSWORD"),
        prefix: text("CACHE_KEY_PREFIX")
      }),
    load: () => import("./backends/Redis.js"),
    layer: (Redis, options) => Redis.layer(options)
  })
]

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
