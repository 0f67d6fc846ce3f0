/**
 * Entries in files, shared by every process that uses the directory. For disks
 * of the machine: over a network, two machines may not see each other's changes
 * at once.
 *
 * @since 1.0.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { resolve } from "node:path"
import * as Backend from "../Backend.js"
import { errorOf, operations, Work } from "../internal/fileSystem/operations.js"
import { Places } from "../internal/fileSystem/places.js"
import { Store } from "../internal/fileSystem/store.js"
import { Upkeep } from "../internal/fileSystem/upkeep.js"
import { fromConfig, InvalidOption, requireMillis, requireNumber } from "../internal/options.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Where files are, and how many. What cannot be meant is a defect, `InvalidOption`,
 * that names the option.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /**
   * The directory; made where it is missing. Everything is in a folder of its
   * own below it, `effect-caching-1`, and what else is in the directory is left alone.
   */
  readonly directory: string
  /**
   * The most entries of all caches together. Where there are more, the oldest
   * are removed until a tenth is free; for a moment there may be a tenth more.
   * Default: 100,000.
   */
  readonly maxEntries?: number | undefined
  /**
   * The most bytes that entries may take, each counted as whole blocks of 4 KiB;
   * of more than 2,000 entries an estimate. Default: 1 GiB.
   */
  readonly maxBytes?: number | undefined
  /** The largest payload that is written, in bytes; above, a write fails with `TooLarge`. Default: 64 MiB. */
  readonly maxValueBytes?: number | undefined
  /**
   * Whether a write is on the disk before it is answered, and survives a loss of
   * power. Without it the loss of power loses entries, and damages none that are
   * read afterwards. Default: false.
   */
  readonly fsync?: boolean | undefined
  /**
   * How often files that have expired are looked for, besides the looks that
   * writes pay for; `Duration.infinity` for never. Real time. Default: 1 minute.
   */
  readonly sweepInterval?: Duration.DurationInput | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A backend in the files of a directory.
 *
 * An entry is written beside its place and renamed into it: a process that is
 * killed, or a full disk, leaves the old entry as it was. A file that is damaged
 * is a miss, and so is a link. Files and folders are for this user alone, and
 * what somebody else has put among them is left alone. `clear` of a cache is one
 * rename, whatever its size; of a prefix within a cache, it reads every header.
 * An entry takes 4 KiB at least, and a tag two files.
 *
 * Expiry is told by the `Clock` of this process, so the clocks of the processes
 * that share a directory should agree. Leases end in real time.
 *
 * An operation fails with `OutOfSpace` where the disk or a quota is full,
 * `Authentication` where permissions do not suffice, `TooLarge` above a limit on
 * the size of files, and `Unavailable` where the disk is read-only, cannot be
 * read, or the process has too many files open. Reads, removals, `clear` and
 * `invalidateTags` work on a full disk. Only an entry that is not there is a miss.
 *
 * Fails where the directory can be neither made nor used; with `InvalidInput` where
 * it is a file, or below one.
 *
 * @example
 * ```ts
 * import * as FileSystem from "effect-caching/backends/FileSystem"
 * import { Effect } from "effect"
 *
 * const program = Effect.scoped(
 *   Effect.gen(function*() {
 *     const backend = yield* FileSystem.make({ directory: "/var/cache/shop", maxEntries: 50_000 })
 *     return yield* backend.has("user:1")
 *   })
 * )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> =>
  Effect.gen(function*() {
    const { directory, fsync, maxBytes, maxEntries, maxValueBytes, sweepMillis } = settingsOf(options)
    const places = new Places(directory)
    yield* Effect.tryPromise({
      try: () => places.make(),
      catch: errorOf("make", directory)
    })
    const store = new Store(places, fsync)
    const { upkeep, work } = yield* Effect.acquireRelease(
      Effect.sync(() => ({ work: new Work(), upkeep: new Upkeep(store, { maxBytes, maxEntries }, sweepMillis) })),
      ({ upkeep, work }) => Effect.promise(() => end(upkeep, work))
    )
    return yield* Backend.make(operations(store, upkeep, work, Math.min(maxValueBytes, maxBytes)))
  })

/** Waits for what is under way, but not for a disk that hangs. */
const end = async (upkeep: Upkeep, work: Work): Promise<void> => {
  work.isClosed = true
  let timer: ReturnType<typeof setTimeout> | undefined
  await Promise.race([
    Promise.all([work.ended, upkeep.close()]),
    new Promise((resolve) => {
      timer = setTimeout(resolve, 1_000)
    })
  ])
  clearTimeout(timer)
}

/** The options with their defaults; throws `InvalidOption`. */
const settingsOf = (options: Options) => {
  const { directory, fsync = false, maxBytes = 2 ** 30, maxEntries = 100_000 } = options
  const invalid = (option: keyof Options, value: unknown, expected: string) =>
    new InvalidOption({ module: "FileSystem", option, value, expected })
  const whole = (option: keyof Options, value: number, min: number) =>
    requireNumber("FileSystem", option, value, { integer: true, min })
  if (typeof directory !== "string" || directory === "" || directory.includes("\0")) {
    throw invalid("directory", directory, "the path of a directory")
  }
  if (typeof fsync !== "boolean") throw invalid("fsync", fsync, "true or false")
  const sweepMillis = requireMillis("FileSystem", "sweepInterval", options.sweepInterval ?? 60_000)
  if (sweepMillis < 1) throw invalid("sweepInterval", options.sweepInterval, "a duration of a millisecond or more")
  return {
    directory: resolve(directory),
    fsync,
    maxBytes: whole("maxBytes", maxBytes, 4_096),
    maxEntries: whole("maxEntries", maxEntries, 1),
    maxValueBytes: whole("maxValueBytes", options.maxValueBytes ?? 64 * 1024 * 1024, 0),
    sweepMillis
  }
}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * `CacheBackend` as `make` makes it.
 *
 * @example
 * ```ts
 * import * as FileSystem from "effect-caching/backends/FileSystem"
 *
 * const CacheLive = FileSystem.layer({ directory: "/var/cache/shop" })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Backend.CacheBackend, Backend.BackendError> =>
  Layer.scoped(Backend.CacheBackend, make(options))

/**
 * `CacheBackend` with options from the configuration; what is invalid there is a `ConfigError`.
 *
 * @example
 * ```ts
 * import * as FileSystem from "effect-caching/backends/FileSystem"
 * import { Config } from "effect"
 *
 * const CacheLive = FileSystem.layerConfig({ directory: Config.string("CACHE_DIR") })
 * ```
 *
 * @since 1.0.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Backend.CacheBackend, Backend.BackendError | ConfigError.ConfigError> =>
  Layer.scoped(Backend.CacheBackend, Effect.flatMap(Config.unwrap(options), (options) => fromConfig(make(options))))
