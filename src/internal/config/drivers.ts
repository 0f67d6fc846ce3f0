/**
 * The table of what `CACHE_TYPE` can be: a row for each backend, with the settings
 * it reads and the way from them to its layer.
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { type BackendError, type CacheBackend, mapLayer, prefixed } from "../../Backend.js"
import { integer, notThat, secret, setting, text } from "./settings.js"
import * as StoreUrl from "./storeUrl.js"

/** A value of `CACHE_TYPE`, and the way from its settings to its layer. */
export interface Driver<E, R = never> {
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

/** Whether the address asks for TLS. */
const isSecure = (url: StoreUrl.StoreUrl | undefined): boolean => url?.scheme.startsWith("rediss") ?? false

/** An address, where `CACHE_URL` is one; refused without being repeated. */
const address = (hasUrl: boolean, expected: string, isValid: (url: StoreUrl.StoreUrl) => boolean) =>
  hasUrl
    ? setting("CACHE_URL", (text) => {
      const url = StoreUrl.parse(text.trim())
      return url !== undefined && isValid(url) ? Either.right(url) : Either.left(`Expected ${expected}`)
    })
    : Config.succeed(undefined)

const hosts = (key: string) =>
  setting(key, (text) => {
    const url = StoreUrl.parse(`hosts://${text.trim()}`)
    return url !== undefined && url.hosts.length > 0 && url.path === undefined && url.username === undefined
      ? Either.right(url.hosts)
      : notThat("host:port, with commas between several", text)
  })

const redacted = (text: string | undefined) => text === undefined ? undefined : Redacted.make(text)

const databaseOf = (url: StoreUrl.StoreUrl | undefined) => url?.path === undefined ? undefined : Number(url.path)

const hasDatabase = (url: StoreUrl.StoreUrl) => url.hosts.length > 0 && /^\d{0,10}$/.test(url.path ?? "")

/** What the Redis drivers have in common, without an address. */
const redisSettings = {
  db: integer("CACHE_REDIS_DB", 0, 2_147_483_647),
  username: text("CACHE_REDIS_USERNAME"),
  password: secret("CACHE_REDIS_PASSWORD"),
  prefix: text("CACHE_KEY_PREFIX")
}

/** Where one Redis server is. */
export const redisServer = (hasUrl: boolean) =>
  Config.all({
    url: redisUrl(hasUrl ? "CACHE_URL" : "CACHE_REDIS_URL"),
    host: text("CACHE_REDIS_HOST"),
    port: integer("CACHE_REDIS_PORT", 1, 65_535),
    username: redisSettings.username,
    password: redisSettings.password
  })

const memcachedSettings = (hasUrl: boolean) =>
  Config.map(
    Config.all({
      url: address(hasUrl, "memcached://[username:password@]host[:port],…", (url) => url.hosts.length > 0),
      servers: hosts("CACHE_MEMCACHED_SERVERS"),
      username: text("CACHE_MEMCACHED_USERNAME"),
      password: secret("CACHE_MEMCACHED_PASSWORD"),
      prefix: text("CACHE_KEY_PREFIX")
    }),
    ({ password, prefix, servers, url, username }) => ({
      servers: url?.hosts ?? servers,
      username: url?.username ?? username,
      password: redacted(url?.password) ?? password,
      prefix
    })
  )

/** Both, or an error that names what is missing. */
const withCredentials = <A extends { readonly username?: string | undefined; readonly password?: unknown }>(
  options: Config.Config<A>
) =>
  Config.mapOrFail(options, (given) =>
    given.username === undefined || given.password === undefined
      ? Either.left(ConfigError.InvalidData(
        [given.username === undefined ? "CACHE_MEMCACHED_USERNAME" : "CACHE_MEMCACHED_PASSWORD"],
        "Expected to be set, as SASL needs a username and a password"
      ))
      : Either.right(given as A & { readonly username: string; readonly password: Redacted.Redacted<string> }))

export const memory = row({
  type: "MemoryCache",
  aliases: ["SimpleCache"],
  schemes: ["memory"],
  marks: [],
  options: () => Config.all({ maxEntries: integer("CACHE_THRESHOLD", 1, 4_194_304) }),
  load: () => import("../../backends/Memory.js"),
  layer: (Memory, options) => Memory.layer(options)
})

export const drivers: ReadonlyArray<Driver<BackendError>> = [
  memory,
  row({
    type: "NullCache",
    aliases: [],
    schemes: ["null"],
    marks: [],
    options: () => Config.succeed(undefined),
    load: () => import("../../backends/Null.js"),
    layer: (Null) => Null.layer
  }),
  row({
    type: "RedisCache",
    aliases: [],
    schemes: ["redis", "rediss"],
    marks: ["CACHE_REDIS_URL", "CACHE_REDIS_HOST"],
    options: (hasUrl) =>
      Config.map(
        Config.all([redisServer(hasUrl), Config.all({ db: redisSettings.db, prefix: redisSettings.prefix })]),
        ([server, rest]) => ({ ...server, ...rest })
      ),
    load: () => import("../../backends/Redis.js"),
    layer: (Redis, options) => Redis.layer(options)
  }),
  row({
    type: "RedisSentinelCache",
    aliases: [],
    schemes: ["redis+sentinel", "rediss+sentinel"],
    marks: ["CACHE_REDIS_SENTINELS", "CACHE_REDIS_SENTINEL_MASTER"],
    options: (hasUrl) =>
      Config.map(
        Config.all({
          url: address(hasUrl, "redis+sentinel://[[username]:password@]host[:port],…[/db][?master=name]", hasDatabase),
          sentinels: hosts("CACHE_REDIS_SENTINELS"),
          master: text("CACHE_REDIS_SENTINEL_MASTER"),
          sentinelPassword: secret("CACHE_REDIS_SENTINEL_PASSWORD"),
          ...redisSettings
        }),
        ({ url, ...given }) => ({
          ...given,
          sentinels: url?.hosts ?? given.sentinels ?? ["127.0.0.1:26379"],
          master: url?.parameters.get("master") ?? given.master,
          username: url?.username ?? given.username,
          password: redacted(url?.password) ?? given.password,
          db: databaseOf(url) ?? given.db,
          tls: isSecure(url),
          sentinelTls: isSecure(url)
        })
      ),
    load: () => import("../../backends/RedisSentinel.js"),
    layer: (RedisSentinel, options) => RedisSentinel.layer(options)
  }),
  row({
    type: "RedisClusterCache",
    aliases: [],
    schemes: ["redis+cluster", "rediss+cluster"],
    marks: ["CACHE_REDIS_CLUSTER"],
    options: (hasUrl) =>
      Config.map(
        Config.all({
          url: address(
            hasUrl,
            "redis+cluster://[[username]:password@]host[:port],…",
            (url) => url.hosts.length > 0 && url.path === undefined
          ),
          nodes: hosts("CACHE_REDIS_CLUSTER"),
          username: redisSettings.username,
          password: redisSettings.password,
          prefix: redisSettings.prefix
        }),
        ({ url, ...given }) => ({
          nodes: url?.hosts ?? given.nodes ?? ["127.0.0.1:6379"],
          username: url?.username ?? given.username,
          password: redacted(url?.password) ?? given.password,
          prefix: given.prefix,
          tls: isSecure(url)
        })
      ),
    load: () => import("../../backends/RedisCluster.js"),
    layer: (RedisCluster, options) => RedisCluster.layer(options)
  }),
  row({
    type: "MemcachedCache",
    aliases: [],
    schemes: ["memcached"],
    marks: ["CACHE_MEMCACHED_SERVERS"],
    options: memcachedSettings,
    load: () => import("../../backends/Memcached.js"),
    layer: (Memcached, options) => Memcached.layer(options)
  }),
  row({
    type: "SASLMemcachedCache",
    aliases: [],
    schemes: [],
    marks: [],
    options: (hasUrl) => withCredentials(memcachedSettings(hasUrl)),
    load: () => import("../../backends/Memcached.js"),
    layer: (Memcached, options) => Memcached.layerSasl(options)
  }),
  row({
    type: "SpreadSASLMemcachedCache",
    aliases: [],
    schemes: [],
    marks: [],
    options: (hasUrl) => withCredentials(memcachedSettings(hasUrl)),
    load: () => import("../../backends/Memcached.js"),
    layer: (Memcached, options) => Memcached.spreadLayer()(Memcached.layerSasl(options))
  }),
  row({
    type: "FileSystemCache",
    aliases: [],
    schemes: ["file"],
    marks: ["CACHE_DIR"],
    options: (hasUrl) =>
      Config.mapOrFail(
        Config.all({
          url: address(hasUrl, "file:///folder", (url) => url.hosts.length === 0 && url.path !== undefined),
          directory: text("CACHE_DIR"),
          maxEntries: integer("CACHE_THRESHOLD", 1, 1_000_000_000),
          prefix: text("CACHE_KEY_PREFIX")
        }),
        ({ directory, maxEntries, prefix, url }) => {
          const folder = url === undefined ? directory : `/${url.path}`
          return folder === undefined
            ? Either.left(
              ConfigError.InvalidData(["CACHE_DIR"], "Expected to be set, as FileSystemCache needs a folder")
            )
            : Either.right({ prefix, options: { directory: folder, maxEntries } })
        }
      ),
    load: () => import("../../backends/FileSystem.js"),
    layer: (FileSystem, { options, prefix }) =>
      prefix === undefined ? FileSystem.layer(options) : mapLayer(FileSystem.layer(options), prefixed(prefix))
  }),
  row({
    type: "UWSGICache",
    aliases: [],
    schemes: ["uwsgi"],
    marks: ["CACHE_UWSGI_NAME"],
    options: (hasUrl) =>
      Config.map(
        Config.all({
          url: address(hasUrl, "uwsgi://host[:port][/cache]", (url) => url.hosts.length === 1),
          name: text("CACHE_UWSGI_NAME"),
          prefix: text("CACHE_KEY_PREFIX")
        }),
        ({ name, prefix, url }) => {
          const [cacheName, server] = url === undefined ? (name ?? "").split("@") : [url.path ?? "", url.hosts[0]]
          const [host, port] = (server ?? "").split(/:(?=\d+$)/)
          return {
            prefix,
            cacheName: cacheName === "" ? undefined : cacheName,
            host: host === "" ? undefined : host,
            port: port === undefined ? undefined : Number(port)
          }
        }
      ),
    load: () => import("../../backends/Uwsgi.js"),
    layer: (Uwsgi, options) => Uwsgi.layer(options)
  })
]
