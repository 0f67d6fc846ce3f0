/**
 * Entries in a Redis server, shared by every process that uses it. Needs
 * `ioredis` 5 or 6, and a server of version 6 or later.
 *
 * @since 1.0.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Redis, RedisOptions } from "ioredis"
import * as Backend from "../Backend.js"
import * as derive from "../internal/derive.js"
import * as Entry from "../internal/entry.js"
import { requireMillis, requireNumber } from "../internal/options.js"
import { type Failure, failureOf } from "../internal/redis/failure.js"
import { type Argument, BackOff, type Command, Link } from "../internal/redis/link.js"
import { entryOf, Readers } from "../internal/redis/readers.js"
import * as scripts from "../internal/redis/scripts.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * How a client is used.
 *
 * @since 1.0.0
 * @category models
 */
export interface ClientOptions {
  /** Begins every key of the backend in the server; `clear("")` clears no other. Default: `"cache:"`. */
  readonly prefix?: string | undefined
  /** How long a command may take before it fails with `Timeout`. Default: 500 milliseconds. */
  readonly commandTimeout?: Duration.DurationInput | undefined
  /** The largest payload that is sent, in bytes; above, a write fails with `TooLarge`. Default: 64 MiB. */
  readonly maxValueBytes?: number | undefined
}

/**
 * Where the server is, and how it is used. What `url` says wins over `host`,
 * `port`, `path`, `db`, `username` and `password`.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options extends ClientOptions {
  /** `redis://[[username]:password@]host[:port][/db]`, `rediss://` for TLS, or the path of a Unix socket. */
  readonly url?: string | Redacted.Redacted<string> | undefined
  /** Default: `"localhost"`. */
  readonly host?: string | undefined
  /** Default: 6379. */
  readonly port?: number | undefined
  /** The path of a Unix socket, instead of a host and a port. */
  readonly path?: string | undefined
  /** The number of the database. Default: 0. */
  readonly db?: number | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  /** `true`, or the options of `tls.connect`. Default: no TLS, but with a `rediss://` url. */
  readonly tls?: boolean | RedisOptions["tls"]
  /** How long connecting may take, and how long `make` waits for the first answer. Default: 1 second. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * Whether `make` fails when the server does not answer or refuses the
   * credentials. Default: false; operations fail until it does answer.
   */
  readonly requireConnection?: boolean | undefined
  /** Anything else ioredis takes. What is named here wins over the options this module is safe with. */
  readonly options?: RedisOptions | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A backend in a Redis server, over a connection of its own that ends with the scope.
 *
 * While the server cannot be reached every operation fails, at once or after
 * `commandTimeout`, and a memoized call loads; the connection is made again
 * within a second of the server's return. No command is ever sent twice: one
 * whose reply was lost fails with `Connection` or `Timeout`, and may have run.
 * A `set` that fails with `TooLarge` leaves what is stored as it was.
 *
 * Expiry is told by the `Clock` of this process, so the clocks of the processes
 * that share a server should agree; the server's own time-outs only reclaim
 * space, and end leases. `clear` scans and never blocks the server: what other
 * processes store under the prefix while it runs may stay.
 *
 * Fails where `ioredis` is not installed, the url is not one, or the server does
 * not answer and `requireConnection` is set.
 *
 * @example
 * ```ts
 * import * as Redis from "effect-caching/backends/Redis"
 * import { Effect, Redacted } from "effect"
 *
 * const program = Effect.scoped(
 *   Effect.gen(function*() {
 *     const backend = yield* Redis.make({
 *       host: "cache.internal",
 *       password: Redacted.make("secret"),
 *       prefix: "shop:"
 *     })
 *     return yield* backend.has("user:1")
 *   })
 * )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> =>
  Effect.gen(function*() {
    const settings = settingsOf(options)
    const connectTimeout = requireMillis("Redis", "connectTimeout", options.connectTimeout ?? 1_000)
    const { Redis } = yield* load
    const link = yield* Effect.acquireRelease(
      Effect.flatMap(clientArguments(options, connectTimeout), ({ args, backOff }) =>
        Effect.try({
          try: () => new Link(new Redis(...args), settings.commandTimeout, backOff),
          catch: () => errorOf("connect")({ reason: "InvalidInput", description: "ioredis refused the options" })
        })),
      (link) => Effect.promise(() => link.end())
    )
    // Outside of the acquisition, so that it can be interrupted.
    const connected = firstOutcome(link, connectTimeout)
    yield* options.requireConnection === true ? connected : Effect.ignore(connected)
    return yield* Backend.make(operations(link, settings))
  })

/**
 * A backend over a client that stays yours: it is not connected, configured,
 * reconnected or closed here, and must stay open for as long as the scope.
 *
 * Make the client with `maxRetriesPerRequest: 0` and `enableOfflineQueue: false`,
 * or ioredis runs commands twice and long after they have failed.
 *
 * @example
 * ```ts
 * import * as Redis from "effect-caching/backends/Redis"
 * import { Effect } from "effect"
 * import { Redis as Client } from "ioredis"
 *
 * const program = (client: Client) =>
 *   Effect.scoped(Effect.flatMap(Redis.fromClient(client, { prefix: "shop:" }), (backend) => backend.has("user:1")))
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const fromClient = (
  client: Redis,
  options: ClientOptions = {}
): Effect.Effect<Backend.Backend, never, Scope.Scope> =>
  Effect.suspend(() => {
    const settings = settingsOf(options)
    return Effect.acquireRelease(
      Effect.sync(() => new Link(client, settings.commandTimeout)),
      (link) => Effect.sync(() => link.close())
    ).pipe(Effect.flatMap((link) => Backend.make(operations(link, settings))))
  })

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * `CacheBackend` as `make` makes it.
 *
 * @example
 * ```ts
 * import * as Redis from "effect-caching/backends/Redis"
 *
 * const CacheLive = Redis.layer({ url: "redis://localhost:6379", prefix: "shop:" })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<Backend.CacheBackend, Backend.BackendError> =>
  Layer.scoped(Backend.CacheBackend, make(options))

/**
 * `CacheBackend` with options from the configuration.
 *
 * @example
 * ```ts
 * import * as Redis from "effect-caching/backends/Redis"
 * import { Config } from "effect"
 *
 * const CacheLive = Redis.layerConfig({ url: Config.redacted("CACHE_REDIS_URL") })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Backend.CacheBackend, Backend.BackendError | ConfigError.ConfigError> =>
  Layer.scoped(Backend.CacheBackend, Effect.flatMap(Config.unwrap(options), make))

/**
 * `CacheBackend` over a client of yours, as `fromClient` makes it.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerFromClient = (client: Redis, options?: ClientOptions): Layer.Layer<Backend.CacheBackend> =>
  Layer.scoped(Backend.CacheBackend, fromClient(client, options))

// -----------------------------------------------------------------------------
// the client
// -----------------------------------------------------------------------------

const name = "redis"

const errorOf = (method: string) => (failure: Failure): Backend.BackendError =>
  new Backend.BackendError({ backend: name, method, ...failure })

interface Settings {
  readonly prefix: string
  readonly commandTimeout: number
  readonly maxValueBytes: number
}

const settingsOf = (options: ClientOptions): Settings => ({
  prefix: options.prefix ?? "cache:",
  commandTimeout: requireMillis("Redis", "commandTimeout", options.commandTimeout ?? 500),
  maxValueBytes: requireNumber("Redis", "maxValueBytes", options.maxValueBytes ?? 64 * 1024 * 1024, { min: 0 })
})

const load = Effect.tryPromise({
  try: () => import("ioredis"),
  catch: (error) =>
    errorOf("connect")({
      ...failureOf(error),
      reason: "Unknown",
      description: "effect-caching/backends/Redis needs ioredis: npm install ioredis@5"
    })
})

const clientArguments = (options: Options, connectTimeout: number) =>
  Effect.suspend(() => {
    const { db, host, password, path, port, tls, username } = options
    const url = Redacted.isRedacted(options.url) ? Redacted.value(options.url) : options.url
    if (url !== undefined && !isUrl(url)) {
      return Effect.fail(errorOf("connect")({ reason: "InvalidInput", description: "the url is not a redis url" }))
    }
    const backOff = new BackOff()
    const clientOptions: RedisOptions = {
      // A lost reply is a failure, never a second try; nothing is kept to be sent later.
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      retryStrategy: backOff.next,
      connectTimeout,
      disconnectTimeout: 100,
      // The link asks for a first answer itself; ioredis' way prints where INFO is not permitted, and waits out a load.
      enableReadyCheck: false,
      disableClientInfo: true,
      keepAlive: 10_000,
      ...options.options,
      ...withoutUndefined({ db, host, password: password && Redacted.value(password), path, port, username }),
      ...(tls === undefined || tls === false ? {} : { tls: tls === true ? {} : tls }),
      lazyConnect: true
    }
    const args: [any] = url === undefined ? [clientOptions] : [url, clientOptions] as any
    return Effect.succeed({ args, backOff })
  })

const isUrl = (url: string): boolean => url.startsWith("/") || (/^rediss?:\/\//.test(url) && URL.canParse(url))

const withoutUndefined = <A extends object>(record: A): { [K in keyof A]: NonNullable<A[K]> } =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as any

const firstOutcome = (link: Link, timeout: number): Effect.Effect<void, Backend.BackendError> =>
  Effect.async((resume) => {
    const settle = (failure: Failure | undefined) => {
      clearTimeout(timer)
      resume(failure === undefined ? Effect.void : Effect.fail(errorOf("connect")(failure)))
    }
    const timer = setTimeout(() => settle({ reason: "Timeout" }), timeout)
    const stop = link.onOutcome(settle)
    return Effect.sync(() => {
      clearTimeout(timer)
      stop()
    })
  })

// -----------------------------------------------------------------------------
// the operations
// -----------------------------------------------------------------------------

const readBatch = 1_000
const removeBatch = 500
const writeBatch = { items: 256, bytes: 1024 * 1024 }
const scanCount = 1_000

const operations = (link: Link, { maxValueBytes, prefix }: Settings): Backend.Operations => {
  const readers = new Readers(link)
  /** ioredis puts it before the keys of commands, but neither before a pattern nor off what SCAN answers. */
  const clientPrefix = link.client.options.keyPrefix ?? ""

  // An entry and its lease have one hash slot: braces are the lease's alone.
  const share = escapeBraces(prefix)
  const wire = (key: string): string => share + escapeBraces(key)
  const leaseOf = (wired: string): string => `{${wired}}~lease`
  const both = (key: string): [key: string, lease: string] => {
    const wired = wire(key)
    return [wired, leaseOf(wired)]
  }

  const attempt = (method: string, command: Command, args: Array<Argument>): Effect.Effect<any, Backend.BackendError> =>
    Effect.async((resume) =>
      link.send(
        command,
        args,
        (failure, reply) =>
          resume(failure === undefined ? Effect.succeed(reply) : Effect.fail(errorOf(method)(failure)))
      )
    )

  const run = (
    method: string,
    script: scripts.Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<Argument>
  ): Effect.Effect<any, Backend.BackendError> =>
    Effect.async((resume) =>
      link.run(
        script,
        keys,
        args,
        (failure, reply) =>
          resume(failure === undefined ? Effect.succeed(reply) : Effect.fail(errorOf(method)(failure)))
      )
    )

  /** As `run`, with the time of the Clock for the first argument. */
  const runNow = (
    method: string,
    script: scripts.Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<Argument>
  ): Effect.Effect<any, Backend.BackendError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => run(method, script, keys, [now, ...args]))

  /** The envelope as a script takes it: how the server reclaims its space comes after it. */
  const valueOf = (
    method: string,
    entry: Entry.Entry,
    retention: Duration.Duration
  ): Effect.Effect<[value: Buffer, px: string], Backend.BackendError> =>
    Effect.suspend(() => {
      if (entry.bytes!.length > maxValueBytes) {
        const description = `the value has ${entry.bytes!.length} bytes, and ${maxValueBytes} is the most`
        return Effect.fail(errorOf(method)({ reason: "TooLarge", description }))
      }
      const { buffer, byteLength, byteOffset } = Entry.encode(entry)
      return Effect.succeed([Buffer.from(buffer, byteOffset, byteLength), pxOf(retention)])
    })

  const get: Backend.Operations["get"] = (key) =>
    Effect.zipWith(
      Effect.async<Entry.Entry | undefined, Backend.BackendError>((resume) =>
        readers.read(wire(key), (failure, entry) =>
          resume(failure === undefined ? Effect.succeed(entry) : Effect.fail(errorOf("get")(failure))))
      ),
      Clock.currentTimeMillis,
      live
    )

  const mget = (
    method: string,
    keys: ReadonlyArray<string>
  ): Effect.Effect<Array<Buffer | null>, Backend.BackendError> =>
    keys.length <= readBatch
      ? attempt(method, "mget", [...keys])
      : Effect.map(
        Effect.forEach(chunksOf(keys, readBatch), (chunk) => attempt(method, "mget", chunk), {
          concurrency: "unbounded"
        }),
        (replies) => replies.flat()
      )

  const setMany = (method: string, items: ReadonlyArray<Backend.Item>): Effect.Effect<void, Backend.BackendError> =>
    Effect.flatMap(
      // Every item is looked at before the first is sent: one that is refused stops them all.
      Effect.forEach(
        items,
        ([key, entry, retention]) =>
          Effect.map(valueOf(method, entry, retention), (value) => [both(key), value] as const)
      ),
      (writes) =>
        Effect.forEach(
          batchesOf(writes, ([, [value]]) => value.length),
          (batch) => run(method, scripts.set, batch.flatMap(([keys]) => keys), batch.flatMap(([, value]) => value)),
          { discard: true }
        )
    )

  const remove = (method: string, keys: ReadonlyArray<string>): Effect.Effect<number, Backend.BackendError> =>
    runNow(method, scripts.remove, keys.flatMap(both), [])

  /** The versions under keys, new ones where there are none, all kept for `tagRetention` from now. */
  const versions = (
    method: string,
    keys: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<string>, Backend.BackendError> =>
    Effect.map(
      Effect.forEach(chunksOf(keys, readBatch), (chunk): Effect.Effect<Array<Buffer>, Backend.BackendError> =>
        run(method, scripts.versions, chunk, [pxOf(derive.tagRetention), ...chunk.map(derive.newVersion)])),
      (replies) =>
        replies.flat().map(String)
    )

  /** As `versions`, but only where one is missing is anything written. */
  const readVersions = (
    method: string,
    keys: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<string>, Backend.BackendError> =>
    Effect.flatMap(mget(method, keys), (replies) => {
      const missing = keys.filter((_, index) => replies[index] === null)
      if (missing.length === 0) return Effect.succeed(replies.map(String))
      return Effect.map(versions(method, missing), (made) => {
        const left = made[Symbol.iterator]()
        return replies.map((reply) => reply === null ? left.next().value! : String(reply))
      })
    })

  const versionKeys = (tags: ReadonlyArray<string>) =>
    [...tags.map(derive.reserved.hard), ...tags.map(derive.reserved.soft)].map(wire)

  const tagged = (tags: ReadonlyArray<string>) => (versions: ReadonlyArray<string>): ReadonlyArray<Entry.TagVersion> =>
    tags.map((tag, i) => ({ tag, hard: versions[i]!, soft: versions[tags.length + i]! }))

  const epoch = wire(derive.reserved.epoch)

  const unlinkMatching = (pattern: string, cursor: string | Buffer = "0"): Effect.Effect<void, Backend.BackendError> =>
    Effect.flatMap(
      attempt("clear", "scan", [cursor, "MATCH", pattern, "COUNT", scanCount]),
      ([next, keys]: [Buffer, Array<Buffer>]) => {
        const found = keys.map((key) => key.subarray(Buffer.byteLength(clientPrefix)))
        const unlinked = Effect.forEach(chunksOf(found, readBatch), (chunk) => attempt("clear", "unlink", chunk), {
          discard: true
        })
        return String(next) === "0" ? unlinked : Effect.zipRight(unlinked, unlinkMatching(pattern, next))
      }
    )

  return {
    name,
    isShared: true,
    holds: "bytes",
    unsafe: undefined,
    get,
    getMany: (keys) =>
      Effect.zipWith(
        mget("getMany", keys.map(wire)),
        Clock.currentTimeMillis,
        (replies, now) => replies.map((reply) => live(entryOf(reply), now))
      ),
    set: (key, entry, retention) => setMany("set", [[key, entry, retention]]),
    setMany: (items) => setMany("setMany", items),
    add: (key, entry, retention) =>
      pipe(
        valueOf("add", entry, retention),
        Effect.flatMap((value) => runNow("add", scripts.add, both(key), value)),
        Effect.map(isOne)
      ),
    has: (key) => Effect.map(runNow("has", scripts.has, [wire(key)], []), isOne),
    remove: (key) => Effect.map(remove("remove", [key]), isOne),
    removeMany: (keys) =>
      Effect.map(
        Effect.forEach(chunksOf(keys, removeBatch), (chunk) => remove("removeMany", chunk)),
        (removed) => removed.reduce((sum, count) => sum + Number(count), 0)
      ),
    increment: (key, by, retention) =>
      pipe(
        Clock.currentTimeMillis,
        Effect.flatMap((now) =>
          valueOf("increment", Entry.counter(by, now, now + Duration.toMillis(retention)), retention)
        ),
        Effect.flatMap((fresh) => runNow("increment", scripts.increment, both(key), [by, ...fresh])),
        Effect.flatMap((reply: Buffer | null) =>
          reply === null
            ? Effect.fail(errorOf("increment")({ reason: "NotANumber" }))
            : Effect.succeed(Number(String(reply)))
        )
      ),
    clear: (prefix) => {
      const pattern = `${asPattern(wire(prefix))}*`
      // The leases first: an entry that is filled with one before it is gone is there when the entries are scanned.
      return Effect.zipRight(
        unlinkMatching(`${asPattern(clientPrefix)}{${pattern}`),
        unlinkMatching(asPattern(clientPrefix) + pattern)
      )
    },
    lease: (key, duration) =>
      Effect.suspend(() => {
        const token = derive.newVersion()
        const keys = both(key)
        return pipe(
          run("lease", scripts.lease, keys, [token, leaseMillis(duration)]),
          Effect.zip(Clock.currentTimeMillis),
          Effect.map(([[isMine, reply], now]: [[number | string, Buffer | null], number]): Backend.Lease => ({
            token: isOne(isMine) ? Option.some(token) : Option.none(),
            entry: live(entryOf(reply), now)
          })),
          // Who does not learn the token cannot give the lease back. On this connection, that comes after it.
          Effect.onError(() => Effect.sync(() => link.run(scripts.renew, [keys[1]], [token, "0"], () => {})))
        )
      }),
    renew: (key, token, duration) =>
      Effect.map(run("renew", scripts.renew, [both(key)[1]], [token, leaseMillis(duration)]), isOne),
    fill: (key, token, entry, retention) =>
      pipe(
        valueOf("fill", entry, retention),
        Effect.flatMap((value) => run("fill", scripts.fill, both(key), [token, ...value])),
        Effect.map(isOne)
      ),
    tagVersions: (tags) => Effect.map(versions("tagVersions", versionKeys(tags)), tagged(tags)),
    refreshTags: (carried) => {
      const tags = carried.map(({ tag }) => tag)
      return Effect.map(readVersions("refreshTags", versionKeys(tags)), tagged(tags))
    },
    tagEpoch: Effect.map(readVersions("tagEpoch", [epoch]), (versions) => versions[0]!),
    invalidateTags: (tags, mode) =>
      // A version that is gone is made anew by who asks next: nothing to write, so a full server invalidates too.
      Effect.forEach(
        chunksOf(tags, removeBatch),
        (chunk) =>
          attempt("invalidateTags", "unlink", [epoch, ...chunk.map((tag) => wire(derive.reserved[mode](tag)))]),
        { discard: true }
      )
  }
}

const live = (entry: Entry.Entry | undefined, now: number): Option.Option<Entry.Entry> =>
  entry !== undefined && now < entry.keepUntil ? Option.some(entry) : Option.none()

/** ioredis answers numbers as text where the client was made with `stringNumbers`. */
const isOne = (reply: number | string): boolean => Number(reply) === 1

/** What the server takes for milliseconds; empty for a time beyond what it can count. */
const pxOf = (duration: Duration.Duration): string => {
  const millis = Math.ceil(Duration.toMillis(duration))
  return millis <= Number.MAX_SAFE_INTEGER ? String(millis) : ""
}

/** A lease always ends, and one of no time at once. */
const leaseMillis = (duration: Duration.Duration): number =>
  Math.min(Math.ceil(Duration.toMillis(duration)), Number.MAX_SAFE_INTEGER)

const escapeBraces = (text: string): string => text.replace(/[%{}]/g, encodeURIComponent)

/** The text as a glob pattern that matches it and nothing else. */
const asPattern = (text: string): string => text.replace(/[\\*?[\]^-]/g, "\\$&")

const chunksOf = <A>(items: ReadonlyArray<A>, size: number): Array<Array<A>> =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

const batchesOf = <A>(items: ReadonlyArray<A>, bytesOf: (item: A) => number): Array<Array<A>> => {
  const batches: Array<Array<A>> = []
  let room = { items: 0, bytes: 0 }
  for (const item of items) {
    const bytes = bytesOf(item)
    if (room.items === 0 || room.bytes < bytes) {
      batches.push([])
      room = { ...writeBatch }
    }
    batches[batches.length - 1]!.push(item)
    room = { items: room.items - 1, bytes: room.bytes - bytes }
  }
  return batches
}
