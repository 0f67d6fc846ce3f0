/**
 * Explicit operations on the entries of a cache. What writes an entry fences the
 * loads of its key that are under way.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { ParseError } from "effect/ParseResult"
import { type Backend, BackendError, CacheBackend, type Entry } from "../../Backend.js"
import { remaining } from "../derive.js"
import { pause } from "../pause.js"
import { invalidKey, keyOf } from "./call.js"
import { currentLoad } from "./currentLoad.js"
import { encodedEntry } from "./load.js"
import { type Found, judge, judgeMany, read } from "./lookup.js"
import type { Lookup } from "./model.js"
import { maxTags, type Policy } from "./policy.js"

/** Runs `f` with the backend and the keys as the backend knows them. */
const withKeys = <A, E, R>(
  policy: Policy,
  method: string,
  userKeys: ReadonlyArray<unknown>,
  f: (backend: Backend, keys: ReadonlyArray<string>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | BackendError, R | CacheBackend> =>
  Effect.flatMap(CacheBackend, (backend): Effect.Effect<A, E | BackendError, R> => {
    const keys: Array<string> = []
    for (const userKey of userKeys) {
      const key = keyOf(policy, userKey)
      if (typeof key !== "string") return Effect.fail(invalidKey(backend, method, key))
      keys.push(key)
    }
    return f(backend, keys)
  })

/** As `withKeys`, with the loads of the keys fenced while `f` runs. */
const writing = <A, E, R>(
  policy: Policy,
  method: string,
  userKeys: ReadonlyArray<unknown>,
  f: (backend: Backend, keys: ReadonlyArray<string>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | BackendError, R | CacheBackend> =>
  withKeys(policy, method, userKeys, (backend, keys) => backend.flights.invalidating({ keys }, f(backend, keys)))

// -----------------------------------------------------------------------------
// reading
// -----------------------------------------------------------------------------

const findMany = (
  policy: Policy,
  method: string,
  userKeys: ReadonlyArray<unknown>
): Effect.Effect<ReadonlyArray<Found>, BackendError, any> =>
  withKeys(policy, method, userKeys, (backend, keys) =>
    keys.length === 1
      ? Effect.flatMap(read(policy, backend, keys[0]!), (found) => noted(backend, [found]))
      : Effect.zip(backend.getMany(keys), Clock.currentTimeMillis).pipe(
        Effect.flatMap(([entries, now]) => judgeMany(policy, backend, entries.map(Option.getOrUndefined), now)),
        Effect.flatMap((found) => noted(backend, found))
      ))

/** A load depends on what it reads by hand, as on what it reads by cached calls. */
const noted = (backend: Backend, found: ReadonlyArray<Found>): Effect.Effect<ReadonlyArray<Found>> =>
  Effect.withFiberRuntime((fiber) => {
    const current = currentLoad(fiber.currentContext)
    for (const { entry, state } of found) if (state !== "miss") current?.depend(backend, entry?.tags)
    return Effect.succeed(found)
  })

const freshValue = ({ entry, state }: Found): Option.Option<any> => {
  const exit = state === "hit" ? entry?.exit as Exit.Exit<any, any> | undefined : undefined
  return exit?._tag === "Success" ? Option.some(exit.value) : Option.none()
}

export const lookup = (policy: Policy, userKey: unknown): Effect.Effect<Lookup<any, any>, BackendError, any> =>
  Effect.map(findMany(policy, "lookup", [userKey]), ([found]) => {
    const { entry, served, state } = found!
    return state === "miss" || entry === undefined ? { _tag: "Miss" } : {
      _tag: state === "hit" ? "Hit" : "Stale",
      exit: served ?? entry.exit as Exit.Exit<any, any>,
      loadedAt: entry.loadedAt,
      freshUntil: entry.freshUntil
    }
  })

export const getMany = (
  policy: Policy,
  method: string,
  userKeys: ReadonlyArray<unknown>
): Effect.Effect<ReadonlyArray<Option.Option<any>>, BackendError, any> =>
  Effect.map(findMany(policy, method, userKeys), (found) => found.map(freshValue))

export const get = (
  policy: Policy,
  method: string,
  userKey: unknown
): Effect.Effect<Option.Option<any>, BackendError, any> =>
  Effect.map(getMany(policy, method, [userKey]), (values) => values[0]!)

// -----------------------------------------------------------------------------
// writing
// -----------------------------------------------------------------------------

/** The entry for a value given by hand, with the versions its tags have now; none where it has no time to live. */
const entryFor = (
  policy: Policy,
  backend: Backend,
  userKey: unknown,
  value: unknown
): Effect.Effect<Entry | undefined, BackendError | ParseError, any> =>
  Effect.gen(function*() {
    const names = Array.from(new Set(policy.tags(value, userKey)))
    if (names.length > maxTags) {
      const description = `a value must have at most ${maxTags} tags, not ${names.length}`
      return yield* new BackendError({ backend: backend.name, method: "set", reason: "InvalidInput", description })
    }
    const tags = yield* backend.tagVersions(names)
    const now = yield* Clock.currentTimeMillis
    return yield* encodedEntry(policy, backend, userKey, Exit.succeed(value), tags, now, 0)
  })

const retentionOf = (entry: Entry): Duration.Duration => remaining(entry.keepUntil, entry.loadedAt)

export const set = (
  policy: Policy,
  userKey: unknown,
  value: unknown
): Effect.Effect<void, BackendError | ParseError, any> =>
  writing(policy, "set", [userKey], (backend, [key]) =>
    Effect.flatMap(
      entryFor(policy, backend, userKey, value),
      (entry) =>
        entry === undefined ? Effect.asVoid(backend.remove(key!)) : backend.set(key!, entry, retentionOf(entry))
    ))

export const setMany = (
  policy: Policy,
  given: Iterable<readonly [unknown, unknown]>
): Effect.Effect<void, BackendError | ParseError, any> =>
  Effect.suspend(() => {
    const pairs = Array.from(given)
    return writing(policy, "setMany", pairs.map(([userKey]) => userKey), (backend, keys) =>
      Effect.gen(function*() {
        const entries = yield* Effect.forEach(pairs, ([userKey, value]) => entryFor(policy, backend, userKey, value))
        yield* backend.removeMany(keys.filter((_, i) => entries[i] === undefined))
        yield* backend.setMany(
          entries.flatMap((entry, i) => entry === undefined ? [] : [[keys[i]!, entry, retentionOf(entry)] as const])
        )
      }))
  })

export const add = (
  policy: Policy,
  userKey: unknown,
  value: unknown
): Effect.Effect<boolean, BackendError | ParseError, any> =>
  writing(
    policy,
    "add",
    [userKey],
    (backend, [key]) =>
      Effect.flatMap(entryFor(policy, backend, userKey, value), (entry) =>
        entry === undefined ? Effect.succeed(false) : Effect.flatMap(
          backend.add(key!, entry, retentionOf(entry)),
          (isAdded) =>
            isAdded ? Effect.succeed(true) : addOverDead(policy, backend, key!, entry)
        ))
  )

/** What the backend keeps may be dead to the cache: stale, ended by a tag, or another schema's. Only one may replace it. */
const addOverDead = (
  policy: Policy,
  backend: Backend,
  key: string,
  entry: Entry
): Effect.Effect<boolean, BackendError, any> =>
  Effect.uninterruptible(
    Effect.flatMap(backend.lease(key, addLease), (lease): Effect.Effect<boolean, BackendError, any> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.flatMap(judge(policy, backend, Option.getOrUndefined(lease.entry), now), ({ state }) => {
          const token = Option.getOrUndefined(lease.token)
          if (token === undefined) {
            return state === "hit"
              ? Effect.succeed(false)
              : Effect.zipRight(Effect.interruptible(pause(addPollMillis)), addOverDead(policy, backend, key, entry))
          }
          return state === "hit"
            ? Effect.as(backend.renew(key, token, Duration.zero), false)
            : Effect.flatMap(backend.fill(key, token, entry, retentionOf(entry)), (isFilled) =>
              isFilled ? Effect.succeed(true) : addOverDead(policy, backend, key, entry))
        })))
  )

const addLease = Duration.seconds(1)
const addPollMillis = 5

export const increment = (policy: Policy, userKey: unknown, by: number): Effect.Effect<number, BackendError, any> =>
  writing(
    policy,
    "increment",
    [userKey],
    (backend, [key]) => backend.increment(key!, by, remaining(policy.timeToLiveMillis(Exit.succeed(by), userKey), 0))
  )

// -----------------------------------------------------------------------------
// invalidating
// -----------------------------------------------------------------------------

export const invalidate = (policy: Policy, userKey: unknown): Effect.Effect<boolean, BackendError, CacheBackend> =>
  writing(policy, "invalidate", [userKey], (backend, [key]) => backend.remove(key!))

export const invalidateMany = (
  policy: Policy,
  userKeys: ReadonlyArray<unknown>
): Effect.Effect<number, BackendError, CacheBackend> =>
  writing(policy, "invalidateMany", userKeys, (backend, keys) => backend.removeMany(keys))

export const clear = ({ prefix }: Policy): Effect.Effect<void, BackendError, CacheBackend> =>
  Effect.flatMap(CacheBackend, (backend) => backend.flights.invalidating({ prefix }, backend.clear(prefix)))

/** Counted before and after: who joins a flight from before, or one that began meanwhile, has its result checked. */
export const invalidateTags = (
  tags: Iterable<string>,
  mode: "hard" | "soft"
): Effect.Effect<void, BackendError, CacheBackend> =>
  Effect.flatMap(CacheBackend, (backend) => {
    const counted = Effect.sync(() => void backend.flights.tagInvalidations++)
    return Effect.zipRight(
      counted,
      Effect.ensuring(Effect.suspend(() => backend.invalidateTags(Array.from(new Set(tags)), mode)), counted)
    )
  })
