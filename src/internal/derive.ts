/**
 * The whole contract of a backend, derived from five primitives over bytes.
 *
 * What must be one step for its key and is not in the primitives (fill, set with
 * its lease, increment) runs under a lock: in this process a turn per key, and
 * across processes, where the store is shared, a lock entry made with `add`.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { randomBytes } from "node:crypto"
import type { BackendError, Bytes, Lease, Operations, Reason } from "../Backend.js"
import * as Entry from "./entry.js"
import { pause } from "./pause.js"
import { Turns } from "./turns.js"

/** How long a store is asked to keep a tag version. Where one is lost, the entries that carry it are misses. */
export const tagRetention = Duration.days(30)

/** A fresh random version: no clock, and nothing that a lost store could repeat. */
export const newVersion = (): string => randomBytes(9).toString("base64url")

/** The keys a backend keeps for itself. No cache's share begins with `~`. */
export const reserved = {
  lease: (key: string) => `~lease:${key}`,
  lock: (key: string) => `~lock:${key}`,
  hard: (tag: string) => `~hard:${tag}`,
  soft: (tag: string) => `~soft:${tag}`,
  epoch: "~epoch"
} as const

const lockDuration = Duration.seconds(10)
const lockPollMillis = 5
const utf8 = new TextEncoder()
const text = new TextDecoder()

export interface Options {
  readonly name: string
  readonly isShared: boolean
  /** How many keys of one call may be under way at a time. */
  readonly concurrency: number
  readonly fail: (method: string, reason: Reason, description: string) => BackendError
}

/** How long an entry has left; zero when it has expired. */
export const remaining = (keepUntil: number, now: number): Duration.Duration =>
  keepUntil === Infinity ? Duration.infinity : Duration.millis(Math.max(0, keepUntil - now))

/** The contract over `store`. */
export const fromBytes = (store: Bytes, { concurrency, fail, isShared, name }: Options): Operations => {
  const turns = new Turns()

  const locked = (method: string, key: string) => <A, E>(effect: Effect.Effect<A, E | BackendError>) =>
    turns.one(key)(
      isShared
        ? Effect.acquireUseRelease(acquireLock(method, key, 2_000), () =>
          effect, () =>
          Effect.ignore(store.remove(reserved.lock(key))))
        : effect
    )

  const acquireLock = (method: string, key: string, attempts: number): Effect.Effect<void, BackendError> =>
    Effect.flatMap(store.add(reserved.lock(key), utf8.encode("1"), lockDuration), (isMine) => {
      if (isMine) return Effect.void
      if (attempts === 0) return Effect.fail(fail(method, "Timeout", "the key stayed locked"))
      return Effect.zipRight(Effect.interruptible(pause(lockPollMillis)), acquireLock(method, key, attempts - 1))
    })

  const live = (bytes: Option.Option<Uint8Array>, now: number): Option.Option<Entry.Entry> => {
    const entry = bytes._tag === "Some" ? Entry.decode(bytes.value) : undefined
    return entry !== undefined && now < entry.keepUntil ? Option.some(entry) : Option.none()
  }

  const get = (key: string) => Effect.zipWith(store.get(key), Clock.currentTimeMillis, live)

  const getBytes = store.getMany ?? ((keys: ReadonlyArray<string>) => Effect.forEach(keys, store.get, { concurrency }))

  const texts = (keys: ReadonlyArray<string>) =>
    Effect.map(getBytes(keys), (values) => values.map(Option.map((bytes) => text.decode(bytes))))

  /** The text under each key, written with a new version where there is none. */
  const versionsOf = (
    method: string,
    keys: ReadonlyArray<string>,
    attempts = 10
  ): Effect.Effect<ReadonlyArray<string>, BackendError> =>
    Effect.flatMap(texts(keys), (found) =>
      Effect.forEach(keys, (key, index) => {
        const version = found[index]!
        if (version._tag === "Some") return Effect.succeed(version.value)
        if (attempts === 0) return Effect.fail(fail(method, "Unknown", "the store neither keeps a version nor has one"))
        const mine = newVersion()
        return Effect.flatMap(store.add(key, utf8.encode(mine), tagRetention), (isMine) =>
          isMine
            ? Effect.succeed(mine)
            : Effect.map(versionsOf(method, [key], attempts - 1), (versions) => versions[0]!))
      }))

  const voidLease = (key: string) => store.remove(reserved.lease(key))

  const put = (key: string, entry: Entry.Entry, retention: Duration.Duration) =>
    Effect.suspend(() => store.set(key, Entry.encode(entry), retention))

  const set: Operations["set"] = (key, entry, retention) =>
    locked("set", key)(Effect.zipRight(voidLease(key), put(key, entry, retention)))

  const remove: Operations["remove"] = (key) =>
    locked("remove", key)(Effect.gen(function*() {
      yield* voidLease(key)
      const present = yield* get(key)
      return (yield* store.remove(key)) && present._tag === "Some"
    }))

  // Under the lock, not by `store.add` alone: a fill or remove that has looked before it would undo what was added.
  const add: Operations["add"] = (key, entry, retention) =>
    locked("add", key)(Effect.flatMap(get(key), (present) =>
      present._tag === "Some"
        ? Effect.succeed(false)
        : Effect.as(Effect.zipRight(voidLease(key), put(key, entry, retention)), true)))

  const held = (token: string, duration: Duration.Duration) =>
    Effect.map(Clock.currentTimeMillis, (now) => utf8.encode(`${token} ${now + Duration.toMillis(duration)}`))

  /** Who holds the lease on the key, by the Clock: the store may keep it for longer. */
  const holder = (key: string) =>
    Effect.zipWith(store.get(reserved.lease(key)), Clock.currentTimeMillis, (bytes, now) => {
      const [token, until] = bytes._tag === "Some" ? text.decode(bytes.value).split(" ") : []
      return now < Number(until) ? token : undefined
    })

  const holdsLease = (key: string, token: string) => Effect.map(holder(key), (current) => current === token)

  const renew: Operations["renew"] = (key, token, duration) =>
    locked("renew", key)(Effect.flatMap(holdsLease(key, token), (isHeld) =>
      !isHeld
        ? Effect.succeed(false)
        : Effect.as(
          Duration.equals(duration, Duration.zero)
            ? voidLease(key)
            : Effect.flatMap(held(token, duration), (bytes) => store.set(reserved.lease(key), bytes, duration)),
          true
        )))

  const lease: Operations["lease"] = (key, duration) =>
    Effect.suspend(() => {
      const token = newVersion()
      const asking = Effect.gen(function*() {
        const mine = yield* held(token, duration)
        const isMine = (yield* store.add(reserved.lease(key), mine, duration)) || (
          (yield* holder(key)) === undefined &&
          (yield* Effect.as(store.set(reserved.lease(key), mine, duration), true))
        )
        const lease: Lease = { token: isMine ? Option.some(token) : Option.none(), entry: yield* get(key) }
        return lease
      })
      // Outside of the lock: an interruption that comes while the lock is given back loses the token too.
      return Effect.onInterrupt(locked("lease", key)(asking), () => Effect.forkDaemon(renew(key, token, Duration.zero)))
    })

  const tagVersions: Operations["tagVersions"] = (tags) =>
    Effect.map(
      versionsOf("tagVersions", [...tags.map(reserved.hard), ...tags.map(reserved.soft)]),
      (versions) => tags.map((tag, i) => ({ tag, hard: versions[i]!, soft: versions[tags.length + i]! }))
    )

  return {
    name,
    isShared,
    holds: "bytes",
    unsafe: undefined,
    get,
    getMany: (keys) =>
      Effect.zipWith(getBytes(keys), Clock.currentTimeMillis, (all, now) => all.map((_) => live(_, now))),
    set,
    setMany: (items) => {
      // The last of several for one key counts.
      const byKey = new Map(items.map((item) => [item[0], item]))
      return Effect.forEach(byKey.values(), (item) => set(...item), { concurrency, discard: true })
    },
    add,
    has: (key) => Effect.map(get(key), Option.isSome),
    remove,
    removeMany: (keys) =>
      Effect.map(
        Effect.forEach(new Set(keys), remove, { concurrency }),
        (removed) => removed.filter((wasThere) => wasThere).length
      ),
    increment: (key, by, retention) =>
      locked("increment", key)(Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const present = live(yield* store.get(key), now)
        const before = present._tag === "None" ? 0 : Entry.numberOf(present.value.bytes!)
        const after = before === undefined ? NaN : before + by
        if (!Number.isSafeInteger(after)) {
          return yield* Effect.fail(fail("increment", "NotANumber", "the stored value plus `by` is not a safe integer"))
        }
        yield* voidLease(key)
        yield* present._tag === "None"
          ? put(key, Entry.counter(after, now, now + Duration.toMillis(retention)), retention)
          : put(key, Entry.withNumber(present.value, after), remaining(present.value.keepUntil, now))
        return after
      })),
    clear: (prefix) => turns.alone(Effect.zipRight(store.clear(reserved.lease(prefix)), store.clear(prefix))),
    lease,
    renew,
    fill: (key, token, entry, retention) =>
      locked("fill", key)(
        Effect.flatMap(holdsLease(key, token), (isHeld) =>
          isHeld ? Effect.as(Effect.zipRight(voidLease(key), put(key, entry, retention)), true) : Effect.succeed(false))
      ),
    tagVersions,
    refreshTags: (versions) => tagVersions(versions.map((_) => _.tag)),
    tagEpoch: Effect.map(versionsOf("tagEpoch", [reserved.epoch]), (versions) => versions[0]!),
    invalidateTags: (tags, mode) =>
      // The epoch first: a load that reads it unchanged at its end has read the tags before they lost their versions.
      Effect.zipRight(
        Effect.suspend(() => store.set(reserved.epoch, utf8.encode(newVersion()), tagRetention)),
        Effect.forEach(tags, (tag) => store.remove(reserved[mode](tag)), { discard: true })
      )
  }
}
