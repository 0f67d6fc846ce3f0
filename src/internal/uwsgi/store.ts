/**
 * A store of bytes in a uWSGI cache.
 *
 * A key is stored under its generation (see `cleared.ts`), so every operation
 * asks for the directory too. Reads ask for both at once, with the generation
 * that was the last one known, and once more where it was not the present one.
 * An operation that changes something stays in the generation that it found at
 * its beginning: to a clear that comes in between, it has come before.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type { Bytes } from "../../Backend.js"
import * as Cleared from "../cleared.js"
import * as derive from "../derive.js"
import { type Attempt, directoryName, type Items, overhead } from "./items.js"
import { joined } from "./joined.js"
import { Locks } from "./locks.js"

const directoryLock = "directory lock"
const longestDirectory = 8_192
const lockPrefix = derive.reserved.lock("")
const leasePrefix = derive.reserved.lease("")

/** The directory of the operation that a fiber is in. */
const present = FiberRef.unsafeMake<Cleared.Directory | undefined>(undefined)

const generationOf = (directory: Cleared.Directory, key: string): string =>
  Cleared.generationOf(directory, key.startsWith(leasePrefix) ? key.slice(leasePrefix.length) : key)

export interface Limits {
  /** The largest value that the server takes. */
  itemBytes: number
  /** The largest that is sent. */
  valueBytes: number
}

export interface Store extends Bytes {
  /** Keeps an operation in one generation. */
  readonly inOneGeneration: <A>(operation: Attempt<A>) => Attempt<A>
  readonly prepare: Effect.Effect<void>
}

export const make = (
  items: Items,
  limits: Limits,
  options: {
    readonly concurrency: number
    /** Whether nobody else uses the cache: all of it may be cleared. */
    readonly ownsAll: boolean
  }
): Effect.Effect<Store> =>
  Effect.gen(function*() {
    const locks = new Locks(items)
    let known: Cleared.Directory | undefined
    let knownBytes: Uint8Array | undefined

    const recognize = (bytes: Uint8Array): Cleared.Directory | undefined => {
      if (known === undefined || Buffer.compare(bytes, knownBytes!) !== 0) {
        known = Cleared.decode(bytes)
        knownBytes = bytes
      }
      return known
    }

    const tooLong = () =>
      Effect.fail(items.fail({ reason: "Timeout", description: "the directory of the cache stayed locked" }))

    const forget = Effect.asVoid(items.remove(directoryName))

    /** Where there is none, or none that can be read, nothing that is stored can be trusted: a new one. */
    const read = (attempts: number): Attempt<Cleared.Directory> =>
      Effect.flatMap(items.get(directoryName), (bytes): Attempt<Cleared.Directory> => {
        const directory = bytes && recognize(bytes)
        if (directory !== undefined) return Effect.succeed(directory)
        if (attempts === 0) {
          return Effect.fail(items.fail({ reason: "Unavailable", description: "the server keeps nothing" }))
        }
        const first = Cleared.encode({ root: derive.newVersion(), cleared: [] })
        return Effect.zipRight(
          bytes === undefined ? Effect.void : forget,
          Effect.zipRight(items.add(directoryName, first), read(attempts - 1))
        )
      })

    const current = yield* joined(read(5))

    const at = (directory: Cleared.Directory, key: string): string => `entry ${generationOf(directory, key)} ${key}`

    /** What `look` finds in the present generation. */
    const look = <A>(
      keys: ReadonlyArray<string>,
      look: (directory: Cleared.Directory, isCareful: boolean) => Attempt<A>
    ): Attempt<A> =>
      Effect.flatMap(FiberRef.get(present), (directory) => {
        if (directory !== undefined) return look(directory, true)
        const before = known
        if (before === undefined) return Effect.flatMap(current, (directory) => look(directory, false))
        return Effect.flatMap(
          Effect.zip(current, Effect.either(look(before, false)), { concurrent: true }),
          ([directory, found]) =>
            directory === before || keys.every((key) => at(directory, key) === at(before, key))
              ? found
              : look(directory, false)
        )
      })

    const here = <A>(f: (directory: Cleared.Directory) => Attempt<A>): Attempt<A> =>
      Effect.flatMap(FiberRef.get(present), (directory) =>
        directory === undefined ? Effect.flatMap(current, f) : f(directory))

    /**
     * The answer where something is done because of it: that there is nothing, the server must say twice, and something
     * in between, or it is just not answering.
     */
    const surely = <A>(ask: Attempt<A>, isNothing: (answer: A) => boolean): Attempt<A> =>
      Effect.flatMap(ask, (answer) =>
        isNothing(answer) ? Effect.zipRight(current, ask) : Effect.succeed(answer))

    const fits = (bytes: Uint8Array): Attempt<void> => {
      const most = Math.min(limits.valueBytes, limits.itemBytes - overhead)
      return bytes.length <= most
        ? Effect.void
        : Effect.fail(items.fail({
          reason: "TooLarge",
          description: `the value has ${bytes.length} bytes with its header, and ${most} is the most`
        }))
    }

    const clearPrefix = (prefix: string): Attempt<void> =>
      locks.with(directoryLock, tooLong, (isStillHeld) =>
        Effect.flatMap(read(5), (directory) => {
          const most = Math.min(longestDirectory, limits.itemBytes - overhead)
          const next = Cleared.encode(Cleared.clear(directory, prefix, derive.newVersion, most))
          // A lock that is lost is another's, who may have read the directory already: nobody may be overwritten.
          return isStillHeld() ? items.set(directoryName, next) : tooLong()
        })).pipe(
          // No room for the lock, or for the directory as it should be: without a directory everything is cleared.
          Effect.catchIf((error) => error.reason === "OutOfSpace", () => forget)
        )

    return {
      get: (key) =>
        Effect.map(
          look([key], (directory, isCareful) =>
            isCareful
              ? surely(items.get(at(directory, key)), (found) => found === undefined)
              : items.get(at(directory, key))),
          Option.fromNullable
        ),
      getMany: (keys) =>
        look(keys, (directory) =>
          Effect.forEach(keys, (key) =>
            Effect.map(items.get(at(directory, key)), Option.fromNullable), {
            concurrency: options.concurrency
          })),
      set: (key, bytes, retention) =>
        Effect.zipRight(
          fits(bytes),
          here((directory) =>
            items.set(at(directory, key), bytes, Duration.toMillis(retention))
          )
        ),
      add: (key, bytes, retention) =>
        key.startsWith(lockPrefix)
          ? locks.acquire(key, Duration.toMillis(retention))
          : Effect.zipRight(
            fits(bytes),
            here((directory) =>
              Effect.map(
                items.add(at(directory, key), bytes, Duration.toMillis(retention)),
                ({ isMine }) => isMine
              )
            )
          ),
      remove: (key) =>
        key.startsWith(lockPrefix)
          ? locks.release(key)
          : here((directory) => {
            const remove = items.remove(at(directory, key))
            // After a lease, its key is read or written: a server that says nothing does not get by unnoticed.
            return key.startsWith(leasePrefix) ? remove : surely(remove, (isDone) => !isDone)
          }),
      clear: (prefix) =>
        prefix.startsWith(leasePrefix)
          // The lease of a key has the key's generation, and the clear of that is about to come.
          ? Effect.void
          : prefix === "" && options.ownsAll
          ? Effect.flatMap(items.clear, (isDone) => isDone ? locks.prepare : clearPrefix(prefix))
          : clearPrefix(prefix),
      inOneGeneration: (operation) =>
        Effect.flatMap(current, (directory) => Effect.locally(operation, present, directory)),
      prepare: locks.prepare
    }
  })
