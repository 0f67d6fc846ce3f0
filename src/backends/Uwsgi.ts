/**
 * Entries in the cache of a uWSGI server, shared by every process that uses it.
 * Needs no package; the server needs its cache plugin and a `--cache2`.
 *
 * @since 1.0.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Backend from "../Backend.js"
import type { Failure } from "../internal/failure.js"
import { fromConfig, InvalidOption, requireMillis, requireNumber } from "../internal/options.js"
import { Items } from "../internal/uwsgi/items.js"
import { Link } from "../internal/uwsgi/link.js"
import { probe } from "../internal/uwsgi/probe.js"
import * as Store from "../internal/uwsgi/store.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Where the server is, and how it is used.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /** A name is looked up for every request; an address is not. Default: `"127.0.0.1"`. */
  readonly host?: string | undefined
  /** Default: 3031. */
  readonly port?: number | undefined
  /** The path of a Unix socket, instead of a host and a port. */
  readonly path?: string | undefined
  /** The `name` of the server's `--cache2`. Default: the first cache that the server has. */
  readonly cacheName?: string | undefined
  /**
   * Begins every key of the backend in the server, and keeps apart what several
   * backends store there: `clear("")` clears no other. At most 200 bytes. With
   * `""` and no `cacheName` the whole cache is the backend's, and `clear("")`
   * empties it whoever filled it. Default: `"cache:"`.
   */
  readonly prefix?: string | undefined
  /** How long a request may take, from its wait for a connection on, before it fails with `Timeout`. Default: 500 milliseconds. */
  readonly timeout?: Duration.DurationInput | undefined
  /**
   * The largest value that is sent, in bytes with the header of its entry; above,
   * a write fails with `TooLarge`. Default: what the server takes, up to 1 MiB.
   */
  readonly maxValueBytes?: number | undefined
  /** How many connections may be open at a time. More than the server has workers gains little. Default: 8. */
  readonly concurrency?: number | undefined
  /**
   * Whether `make` fails when the server does not answer. Default: false;
   * operations fail until it does answer.
   */
  readonly requireConnection?: boolean | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A backend in the cache of a uWSGI server, over its own protocol.
 *
 * The server is tried out before it is used. One without the cache, with keys or
 * items too short, or one that loses what it has stored makes `make` fail with
 * reason `Unavailable`, and the message says which setting to change; where the
 * server cannot be reached at first, operations fail with it once it can.
 *
 * A request is a connection, and most operations take several requests: reads
 * two at once, writes some seven in a row. Writes to one key take turns by a lock
 * in the server. A process that dies in its turn, or loses its connection, keeps
 * others from writing that key for some ten seconds. Where a reply was lost, an operation fails with
 * `Connection` or `Timeout` and may have run.
 *
 * `clear` makes the keys of its prefix unreachable for every process at once;
 * their room is reclaimed when they expire, which takes at most 30 days. Where
 * hundreds of prefixes are cleared that have no longer one in common, or where
 * the server is full, more may be cleared than was asked, never less.
 *
 * The server has no authentication: keep its socket private. Give it `--master`,
 * or nothing ever expires there. `purge_lru` lets it forget the least recently
 * used instead of refusing writes with `OutOfSpace` when it is full; with that or
 * `lazy_expire` give it one worker, as uWSGI changes its lists under a lock for
 * readers. What such a race could mix up is a miss: every value tells its key.
 *
 * @example
 * ```ts
 * import * as Uwsgi from "effect-caching/backends/Uwsgi"
 * import { Effect } from "effect"
 *
 * // uwsgi --plugin cache --master --socket 127.0.0.1:3031 --cache2 name=pages,items=10000,blocksize=65536
 * const program = Effect.scoped(
 *   Effect.gen(function*() {
 *     const backend = yield* Uwsgi.make({ port: 3031, cacheName: "pages", prefix: "shop:" })
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
    const { address, cacheName, concurrency, maxValueBytes, prefix, timeout } = settingsOf(options)
    const link = yield* Effect.acquireRelease(
      Effect.sync(() => new Link(address, timeout, concurrency)),
      (link) => Effect.sync(() => link.close())
    )
    const items = new Items(link, { cacheName, prefix }, errorOf("connect"))
    const limits: Store.Limits = { itemBytes: 0, valueBytes: maxValueBytes ?? Infinity }
    const store = yield* Store.make(items, limits, {
      concurrency,
      ownsAll: prefix === "" && cacheName === undefined
    })

    let isTried = false
    const turns = yield* Effect.makeSemaphore(1)
    const tryOut = Effect.suspend(() =>
      isTried ? Effect.void : Effect.flatMap(probe(items, maxValueBytes), (itemBytes) => {
        limits.itemBytes = itemBytes
        isTried = true
        return store.prepare
      })
    )
    const tried = Effect.suspend(() => isTried ? Effect.void : turns.withPermits(1)(tryOut))
    yield* Effect.catchIf(
      tried,
      ({ reason }) => options.requireConnection !== true && (reason === "Connection" || reason === "Timeout"),
      () => Effect.void
    )

    const derived = yield* Backend.fromBytes({ name, isShared: true, concurrency }, store)
    return Backend.around(
      derived,
      (method, operation) =>
        Effect.zipRight(tried, method in reads ? operation : store.inOneGeneration(operation)).pipe(
          Effect.mapError(({ cause, description, reason }) =>
            new Backend.BackendError({ backend: name, method, reason, description, cause })
          )
        )
    )
  })

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * `CacheBackend` as `make` makes it.
 *
 * @example
 * ```ts
 * import * as Uwsgi from "effect-caching/backends/Uwsgi"
 *
 * const CacheLive = Uwsgi.layer({ path: "/run/uwsgi/cache.sock", prefix: "shop:" })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<Backend.CacheBackend, Backend.BackendError> =>
  Layer.scoped(Backend.CacheBackend, make(options))

/**
 * `CacheBackend` with options from the configuration; what is invalid there is a `ConfigError`.
 *
 * @example
 * ```ts
 * import * as Uwsgi from "effect-caching/backends/Uwsgi"
 * import { Config } from "effect"
 *
 * const CacheLive = Uwsgi.layerConfig({
 *   host: Config.string("CACHE_UWSGI_HOST"),
 *   port: Config.integer("CACHE_UWSGI_PORT")
 * })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Backend.CacheBackend, Backend.BackendError | ConfigError.ConfigError> =>
  Layer.scoped(Backend.CacheBackend, Effect.flatMap(Config.unwrap(options), (options) => fromConfig(make(options))))

// -----------------------------------------------------------------------------
// the server
// -----------------------------------------------------------------------------

const name = "uwsgi"

/** In milliseconds: a timer of the platform cannot be set to more. */
const longestTimer = 2 ** 31 - 1

/** Operations that change nothing; `clear` changes the generation itself. */
const reads = { get: 1, getMany: 1, has: 1, tagVersions: 1, refreshTags: 1, tagEpoch: 1, clear: 1 }

const errorOf = (method: string) => (failure: Failure): Backend.BackendError =>
  new Backend.BackendError({ backend: name, method, ...failure })

/** The options with their defaults; throws `InvalidOption`. */
const settingsOf = (options: Options) => {
  const { cacheName, host = "127.0.0.1", path, port = 3031, prefix = "cache:" } = options
  const text = (option: "cacheName" | "prefix", value: string, shortest: number, longest: number) => {
    const length = Buffer.byteLength(value)
    if (length < shortest || length > longest) {
      const expected = `a text of ${shortest} to ${longest} bytes`
      throw new InvalidOption({ module: "Uwsgi", option, value, expected })
    }
  }
  if (cacheName !== undefined) text("cacheName", cacheName, 1, 200)
  text("prefix", prefix, 0, 200)
  const number = (option: keyof Options, value: number, min: number, max: number) =>
    requireNumber("Uwsgi", option, value, { integer: true, min, max })
  const { maxValueBytes } = options
  return {
    address: path === undefined ? { host, port: number("port", port, 1, 65_535) } : { path },
    cacheName,
    prefix,
    timeout: Math.min(requireMillis("Uwsgi", "timeout", options.timeout ?? 500), longestTimer),
    maxValueBytes: maxValueBytes === undefined ? undefined : number("maxValueBytes", maxValueBytes, 1, 2 ** 30),
    concurrency: number("concurrency", options.concurrency ?? 8, 1, 1_000)
  }
}
