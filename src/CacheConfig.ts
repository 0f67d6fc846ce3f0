/**
 * The backend that the configuration of a program asks for.
 *
 * | key | what it says | default |
 * |---|---|---|
 * | `CACHE_TYPE` | `MemoryCache`, `NullCache` or `RedisCache`; also `memory`, `null`, `redis`, and `SimpleCache`, `simple` for memory | `MemoryCache` |
 * | `CACHE_URL` | the type and the address in one: `memory://`, `null://`, `redis://…`, `rediss://…` | |
 * | `CACHE_DEFAULT_TIMEOUT` | see `defaultTimeToLive`: seconds, or `5 minutes` | 300 |
 * | `CACHE_KEY_PREFIX` | begins every key in a store that programs share | `cache:` |
 * | `CACHE_THRESHOLD` | the most entries, in memory | 10000 |
 * | `CACHE_REDIS_URL` | `redis://[[username]:password@]host[:port][/db]`, `rediss://` for TLS, or the path of a Unix socket | |
 * | `CACHE_REDIS_HOST`, `CACHE_REDIS_PORT`, `CACHE_REDIS_DB` | used where the url does not say it | `localhost`, 6379, 0 |
 * | `CACHE_REDIS_USERNAME`, `CACHE_REDIS_PASSWORD` | used where the url does not say it | |
 *
 * The keys and the names of types are those of Flask-Caching, in any case. A key
 * that is blank counts as not set. Keys of a type that is not chosen are not read.
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

/** A setting by its key; blank is not set. `parse` answers with what was expected where the text is not it. */
const setting = <A>(key: string, parse: (text: string) => Either.Either<A, string>): Config.Config<Option.Option<A>> =>
  Config.option(Config.mapOrFail(Config.string(key), (text) =>
    text.trim() === ""
      ? Either.left(ConfigError.MissingData([], `${key} is blank`))
      : Either.mapLeft(parse(text), (problem) => ConfigError.InvalidData([], problem))))

const notThat = (expected: string, text: string): Either.Either<never, string> =>
  Either.left(`Expected ${expected}, not ${JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)}`)

const text = (key: string) => setting(key, Either.right)

const secret = (key: string) => setting(key, (text) => Either.right(Redacted.make(text)))

const integer = (key: string, min: number, max: number) =>
  setting(key, (text) => {
    const number = /^\s*\d+\s*$/.test(text) ? Number(text) : NaN
    return number >= min && number <= max
      ? Either.right(number)
      : notThat(max === Infinity ? `an integer of at least ${min}` : `an integer from ${min} to ${max}`, text)
  })

const durationOf = (text: string): Option.Option<Duration.Duration> =>
  /^\s*\d+(\.\d+)?\s*$/.test(text)
    ? Option.some(Duration.seconds(Number(text)))
    : text.trim().startsWith("-")
    ? Option.none()
    : Duration.decodeUnknown(text.trim().toLowerCase())

/**
 * `CACHE_DEFAULT_TIMEOUT` as a duration, for caches whose `timeToLive` is left to
 * the configuration: a number of seconds, or a text as `5 minutes` or `infinity`.
 * Default: 5 minutes.
 *
 * As in Flask-Caching 0 is for ever, and so it is `Duration.infinity` here: a
 * `timeToLive` of zero, which stores nothing, is not what the key has ever said.
 * To store nothing, set `CACHE_TYPE=NullCache`.
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
export const defaultTimeToLive: Config.Config<Duration.Duration> = Config.map(
  setting("CACHE_DEFAULT_TIMEOUT", (text) =>
    Option.match(durationOf(text), {
      onNone: () => notThat(`seconds or a duration like "5 minutes"`, text),
      onSome: Either.right
    })),
  (given) => {
    const duration = Option.getOrElse(given, () => Duration.minutes(5))
    return Duration.toMillis(duration) === 0 ? Duration.infinity : duration
  }
)

// -----------------------------------------------------------------------------
// drivers
// -----------------------------------------------------------------------------

type Url = Option.Option<Redacted.Redacted<string>>

type Opened<E = never, R = never> = Layer.Layer<CacheBackend, E, R>

/** A value of `CACHE_TYPE`, and how to get from the configuration to the layer. */
interface Driver<E = BackendError, R = never> {
  readonly type: string
  /** Other names, without the `Cache` at their end. */
  readonly aliases: ReadonlyArray<string>
  /** What `CACHE_URL` begins with, and how the rest goes on. */
  readonly schemes: Readonly<Record<string, string>>
  /** Keys that nobody sets who does not mean this driver. */
  readonly marks: ReadonlyArray<string>
  /** Its settings, given what `CACHE_URL` says, and the layer they make. */
  readonly open: (url: Url) => Config.Config<Effect.Effect<Opened<E, R>>>
}

/** A row of the table: the module is imported when it is chosen. */
const driver = <Module, Options, E>(
  row: Omit<Driver, "open"> & {
    readonly options: (url: Url) => Config.Config<Options>
    readonly module: () => Promise<Module>
    readonly layer: (module: Module, options: Options) => Opened<E>
  }
): Driver<E> => ({
  type: row.type,
  aliases: row.aliases,
  schemes: row.schemes,
  marks: row.marks,
  open: (url) =>
    Config.map(row.options(url), (options) => Effect.map(Effect.promise(row.module), (_) => row.layer(_, options)))
})

const redisAddress = "redis://[[username]:password@]host[:port][/db], rediss://… or the path of a Unix socket"

/** The text is not repeated where it is refused: what it is not may be a password. */
const redisUrl = (key: string) =>
  setting(key, (text) =>
    isRedisUrl(text.trim()) ? Either.right(Redacted.make(text.trim())) : Either.left(`Expected ${redisAddress}`))

const isRedisUrl = (text: string): boolean => {
  if (text.startsWith("/")) return true
  if (!/^rediss?:\/\//i.test(text) || !URL.canParse(text)) return false
  return /^\/?\d*$/.test(new URL(text).pathname)
}

const drivers: ReadonlyArray<Driver> = [
  driver({
    type: "MemoryCache",
    aliases: ["simple"],
    schemes: { memory: "" },
    marks: [],
    options: () => Config.all({ maxEntries: integer("CACHE_THRESHOLD", 1, 4_194_304) }),
    module: () => import("./backends/Memory.js"),
    layer: (Memory, { maxEntries }) => Memory.layer({ maxEntries: Option.getOrUndefined(maxEntries) })
  }),
  driver({
    type: "NullCache",
    aliases: [],
    schemes: { null: "" },
    marks: [],
    options: () => Config.succeed(undefined),
    module: () => import("./backends/Null.js"),
    layer: (Null) => Null.layer
  }),
  driver({
    type: "RedisCache",
    aliases: [],
    schemes: { redis: "…", rediss: "…" },
    marks: ["CACHE_REDIS_URL", "CACHE_REDIS_HOST"],
    options: (url) =>
      Config.all({
        url: Config.map(
          Config.all([redisUrl("CACHE_REDIS_URL"), Option.isSome(url) ? redisUrl("CACHE_URL") : Config.succeed(url)]),
          ([own, common]) => Option.orElse(common, () => own)
        ),
        host: text("CACHE_REDIS_HOST"),
        port: integer("CACHE_REDIS_PORT", 1, 65_535),
        db: integer("CACHE_REDIS_DB", 0, Infinity),
        username: text("CACHE_REDIS_USERNAME"),
        password: secret("CACHE_REDIS_PASSWORD"),
        prefix: text("CACHE_KEY_PREFIX")
      }),
    module: () => import("./backends/Redis.js"),
    layer: (Redis, options) =>
      Redis.layer({
        url: Option.getOrUndefined(options.url),
        host: Option.getOrUndefined(options.host),
        port: Option.getOrUndefined(options.port),
        db: Option.getOrUndefined(options.db),
        username: Option.getOrUndefined(options.username),
        password: Option.getOrUndefined(options.password),
        prefix: Option.getOrUndefined(options.prefix)
      })
  })
]

const shorten = (name: string): string => name.trim().toLowerCase().replace(/(?<=.)cache$/, "")

/** The choice, and all that is wrong with it. */
const choose = <E, R>(
  drivers: ReadonlyArray<Driver<E, R>>
): Effect.Effect<Effect.Effect<Opened<E, R>>, ConfigError.ConfigError> =>
  Effect.gen(function*() {
    const byType = yield* Effect.either(setting("CACHE_TYPE", (name) => {
      const found = drivers.find((_) => [_.type, ..._.aliases].some((known) => shorten(known) === shorten(name)))
      return found === undefined ? notThat(`one of ${drivers.map((_) => _.type).join(", ")}`, name) : Either.right(found)
    }))
    const byUrl = yield* Effect.either(setting("CACHE_URL", (text) => {
      const scheme = /^\s*([a-z0-9+.-]+):/i.exec(text)?.[1]?.toLowerCase() ?? ""
      const found = drivers.find((_) => Object.hasOwn(_.schemes, scheme))
      if (found !== undefined) return Either.right({ driver: found, url: Redacted.make(text.trim()) })
      const known = drivers.flatMap((_) => Object.entries(_.schemes)).map(([name, rest]) => `${name}://${rest}`)
      return Either.left(`Expected one of ${known.join(", ")}`)
    }))
    const settings: Array<Either.Either<unknown, ConfigError.ConfigError>> = [byType, byUrl]
    settings.push(yield* Effect.either(defaultTimeToLive))
    const type = Option.flatten(Either.getRight(byType))
    const url = Option.flatten(Either.getRight(byUrl))
    if (Option.isSome(type) && Option.isSome(url) && type.value !== url.value.driver) {
      const message = `CACHE_TYPE asks for ${type.value.type}, and this is the url of ${url.value.driver.type}`
      settings.push(Either.left(ConfigError.InvalidData(["CACHE_URL"], message)))
    }
    const chosen = Option.getOrElse(
      Option.orElse(type, () => Option.map(url, (_) => _.driver)),
      () => drivers[0]!
    )
    // Where the type is in doubt, what its settings say is not known to be wrong.
    const isClear = settings.every(Either.isRight) || Option.isSome(type)
    const layer = yield* Effect.either(isClear ? chosen.open(Option.map(url, (_) => _.url)) : Config.succeed(Effect.never))
    settings.push(layer)
    const errors = settings.filter(Either.isLeft).map((_) => _.left)
    if (errors.length > 0) return yield* Effect.fail(errors.reduce(ConfigError.And))
    return Either.getOrThrow(layer)
  })
