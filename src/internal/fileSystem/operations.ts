/**
 * The whole contract of a backend over files.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { BackendError, type Lease, type Operations } from "../../Backend.js"
import * as Entry from "../entry.js"
import { Progress } from "../inspection.js"
import { Abandoned, codeOf, failureOf, Refused } from "./failure.js"
import * as Format from "./format.js"
import { inspect } from "./inspect.js"
import { newId, type Place } from "./places.js"
import type { Signal } from "./slot.js"
import type { Store } from "./store.js"
import { Tags } from "./tags.js"
import type { Upkeep } from "./upkeep.js"

const name = "fileSystem"
const concurrency = 16

export const errorOf = (method: string, directory: string) => (error: unknown): BackendError =>
  new BackendError({ backend: name, method, ...failureOf(error, directory) })

/** What is under way. */
export class Work {
  private readonly under = new Set<Promise<unknown>>()
  isClosed = false

  add(promise: Promise<unknown>): void {
    this.under.add(promise)
    const end = () => void this.under.delete(promise)
    promise.then(end, end)
  }

  get ended(): Promise<unknown> {
    return Promise.allSettled(this.under)
  }
}

/**
 * Changes of a key one after the other, in the order they were asked for. A
 * change that nobody waits for any more keeps its place until it has ended.
 */
class Lines {
  private readonly last = new Map<string, Promise<unknown>>()

  next<A>(key: string, run: () => Promise<A>): Promise<A> {
    const previous = this.last.get(key)
    const running = previous === undefined ? run() : previous.then(run)
    const end = () => {
      if (this.last.get(key) === ended) this.last.delete(key)
    }
    const ended = running.then(end, end)
    this.last.set(key, ended)
    return running
  }
}

export const operations = (store: Store, upkeep: Upkeep, work: Work, maxValueBytes: number): Operations => {
  const lines = new Lines()
  const tags = new Tags(store)
  const { places } = store
  const at = (key: string): Place => places.of("entries", key)

  /**
   * Runs to its end even where the caller is interrupted, which does not wait
   * for it: a disk that hangs holds nobody up.
   */
  const attempt = <A>(
    method: string,
    run: (clock: Clock.Clock, signal: Signal) => Promise<A>
  ): Effect.Effect<A, BackendError> =>
    Effect.clockWith((clock) =>
      Effect.async((resume) => {
        const signal: Signal = { isAbandoned: false }
        upkeep.clock = clock
        const running = work.isClosed
          ? Promise.reject(new Refused("Unavailable", "the backend is closed"))
          : run(clock, signal)
        work.add(running)
        running.then(
          (answer) => resume(Effect.succeed(answer)),
          (error) => resume(Effect.fail(errorOf(method, places.directory)(error)))
        )
        return Effect.sync(() => {
          signal.isAbandoned = true
        })
      })
    )

  const changing = <A>(method: string, key: string, run: (clock: Clock.Clock, signal: Signal) => Promise<A>) =>
    attempt(
      method,
      (clock, signal) =>
        lines.next(key, () => signal.isAbandoned ? Promise.reject(new Abandoned()) : run(clock, signal))
    )

  /** Tries again where the disk was full of what is being removed. */
  const withSpace = async <A>(run: () => Promise<A>): Promise<A> => {
    try {
      return await run()
    } catch (error) {
      const code = codeOf(error)
      if (code !== "ENOSPC" && code !== "EDQUOT") throw error
      const emptied = upkeep.full()
      if (emptied === undefined) throw error
      await emptied
      return run()
    }
  }

  const entryOf = (stored: Format.Stored, now: number): Entry.Entry | undefined => {
    const entry = now < stored.expiresAt ? Entry.decode(stored.value) : undefined
    return entry !== undefined && now < entry.keepUntil ? entry : undefined
  }

  const read = (key: string, clock: Clock.Clock): Promise<Option.Option<Entry.Entry>> =>
    store.read(at(key), (stored) => entryOf(stored, clock.unsafeCurrentTimeMillis())).then(Option.fromNullable)

  const fileOf = (key: string, entry: Entry.Entry, retention: Duration.Duration, now: number): Buffer => {
    const { length } = entry.bytes!
    if (length > maxValueBytes) {
      throw new Refused("TooLarge", `the value has ${length} bytes, and ${maxValueBytes} is the most`)
    }
    return Format.encode(key, Math.min(entry.keepUntil, now + Duration.toMillis(retention)), Entry.encode(entry))
  }

  const set: Operations["set"] = (key, entry, retention) =>
    changing("set", key, async (clock, signal) => {
      const file = fileOf(key, entry, retention, clock.unsafeCurrentTimeMillis())
      await withSpace(() => store.set(at(key), file, signal))
      await upkeep.wrote(file.length)
    })

  const remove: Operations["remove"] = (key) =>
    changing("remove", key, (clock) => {
      const now = clock.unsafeCurrentTimeMillis()
      return store.remove(at(key), (stored) => entryOf(stored, now) !== undefined)
    })

  const add: Operations["add"] = (key, entry, retention) =>
    changing("add", key, async (clock, signal) => {
      const now = clock.unsafeCurrentTimeMillis()
      const file = fileOf(key, entry, retention, now)
      const isLive = (stored: Format.Stored) => entryOf(stored, now) !== undefined
      if (await store.read(at(key), isLive) === true) return false
      const isMine = await withSpace(() =>
        store.change(at(key), (present) => present !== undefined && isLive(present) ? undefined : file, signal)
      )
      if (isMine) await upkeep.wrote(file.length)
      return isMine
    })

  const increment: Operations["increment"] = (key, by, retention) =>
    changing("increment", key, async (clock, signal) => {
      const now = clock.unsafeCurrentTimeMillis()
      let after = 0
      let length = 0
      const decide = (stored: Format.Stored | undefined): Buffer => {
        const present = stored && entryOf(stored, now)
        const before = present === undefined ? 0 : Entry.numberOf(present.bytes!)
        after = before === undefined ? NaN : before + by
        if (!Number.isSafeInteger(after)) {
          throw new Refused("NotANumber", "the stored value plus `by` is not a safe integer")
        }
        const keepUntil = now + Duration.toMillis(retention)
        const file = present === undefined
          ? Format.encode(key, keepUntil, Entry.encode(Entry.counter(after, now, keepUntil)))
          : Format.encode(key, stored!.expiresAt, Entry.encode(Entry.withNumber(present, after)))
        length = file.length
        return file
      }
      await withSpace(() => store.change(at(key), decide, signal))
      await upkeep.wrote(length)
      return after
    })

  const renew: Operations["renew"] = (key, token, duration) =>
    changing("renew", key, () => store.renew(at(key), token, Duration.toMillis(duration)))

  const lease: Operations["lease"] = (key, duration) =>
    Effect.suspend(() => {
      const token = newId()
      const asking = changing("lease", key, async (clock, signal): Promise<Lease> => {
        const isMine = await withSpace(() => store.lease(at(key), token, Duration.toMillis(duration), signal))
        let isTold = false
        try {
          const entry = await read(key, clock)
          isTold = !signal.isAbandoned
          return { token: isMine ? Option.some(token) : Option.none(), entry }
        } finally {
          if (isMine && !isTold) await store.renew(at(key), token, 0)
        }
      })
      // The answer may have come when it was too late to be heard.
      return Effect.onInterrupt(asking, () => Effect.forkDaemon(renew(key, token, Duration.zero)))
    })

  const versions = (method: string, names: ReadonlyArray<string>) =>
    attempt(
      method,
      (clock, signal) => withSpace(() => tags.versions(names, clock.unsafeCurrentTimeMillis(), signal))
    )

  return {
    name,
    holds: "bytes",
    isShared: true,
    unsafe: undefined,
    get: (key) => attempt("get", (clock) => read(key, clock)),
    getMany: (keys) => attempt("getMany", (clock) => Promise.all(keys.map((key) => read(key, clock)))),
    set,
    setMany: (items) => Effect.forEach(items, (item) => set(...item), { concurrency, discard: true }),
    add,
    has: (key) => attempt("has", (clock) => read(key, clock).then(Option.isSome)),
    remove,
    removeMany: (keys) =>
      Effect.map(
        Effect.forEach(keys, remove, { concurrency }),
        (removed) => removed.filter((wasThere) => wasThere).length
      ),
    increment,
    clear: (prefix) =>
      attempt("clear", async (_, signal) => {
        const isTrash = await store.clear("entries", prefix, signal)
        if ((prefix === "" && await store.clear("tags", "", signal)) || isTrash) upkeep.cleared()
      }),
    lease,
    renew,
    fill: (key, token, entry, retention) =>
      changing("fill", key, async (clock) => {
        const file = fileOf(key, entry, retention, clock.unsafeCurrentTimeMillis())
        const isFilled = await store.fill(at(key), token, file)
        if (isFilled) await upkeep.wrote(file.length)
        return isFilled
      }),
    tagVersions: (names) => versions("tagVersions", names),
    refreshTags: (old) => versions("refreshTags", old.map((version) => version.tag)),
    tagEpoch: attempt(
      "tagEpoch",
      (clock, signal) => withSpace(() => tags.epoch(clock.unsafeCurrentTimeMillis(), signal))
    ),
    invalidateTags: (names, mode) => attempt("invalidateTags", () => tags.invalidate(names, mode)),
    inspect: (prefix) =>
      Effect.flatMap(
        Progress,
        (report) =>
          attempt("inspect", (clock, signal) => inspect(store, prefix, clock.unsafeCurrentTimeMillis(), signal, report))
      )
  }
}
