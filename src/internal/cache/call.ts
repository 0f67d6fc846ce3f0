/**
 * A cached call, in the order in which it is answered:
 *
 * 1. a fresh entry in this process: returned at once, in one step
 * 2. `unless`, `forcedUpdate`: the load runs past the cache, or anew
 * 3. a fresh entry: returned
 * 4. a stale entry: returned, while one load runs in the background
 * 5. a miss: the flight of the key is joined, or started; joined at once where it is known to be one
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { type Backend, BackendError, CacheBackend, type TagVersion } from "../../Backend.js"
import { type Advance, Advanced, type Flight } from "../flights.js"
import { isRefreshDue } from "../freshness.js"
import { isInProcess } from "../inProcess.js"
import * as Key from "../key.js"
import { Current, type CurrentLoad, currentLoad, isSameVersion } from "./currentLoad.js"
import { type Call, Claimed, fly, giveBackLater, loadOnly, type Outcome } from "./load.js"
import { type Found, isOwn, judgeClaimed, nothing, read } from "./lookup.js"
import * as Observe from "./observe.js"
import type { Policy } from "./policy.js"

/** The key of `userKey` as the backend knows it, or why there is none. */
export const keyOf = (policy: Policy, userKey: unknown): string | Key.UnsupportedKey => {
  try {
    return policy.texts.of(policy.keyOf(userKey))
  } catch (error) {
    if (error instanceof Key.UnsupportedKey) return error
    throw error
  }
}

/** The error of an operation whose key cannot be one. */
export const invalidKey = (backend: Backend, method: string, error: Key.UnsupportedKey): BackendError =>
  new BackendError({ backend: backend.name, method, reason: "InvalidInput", description: error.message })

const shortestRefreshMillis = 60_000

/** The exit of a fresh entry in this process, if that is all there is to ask. */
export const freshHere = (
  backend: Backend,
  policy: Policy,
  key: string,
  context: Context.Context<never>,
  clock: Clock.Clock
): Exit.Exit<any, any> | undefined => {
  const unsafe = backend.unsafe
  if (unsafe === undefined) return undefined
  const entry = unsafe.get(key)
  if (entry === undefined || entry.exit === undefined || !isOwn(policy, entry)) return undefined
  const now = clock.unsafeCurrentTimeMillis()
  if (!(now < entry.freshUntil && now < entry.keepUntil)) return undefined
  if (entry.tags.length > 0 && unsafe.tagState(entry.tags) !== "current") return undefined
  currentLoad(context)?.depend(backend, entry.tags)
  return entry.exit as Exit.Exit<any, any>
}

const clockOf = (fiber: Fiber.RuntimeFiber<any, any>): Clock.Clock => Observe.clockIn(fiber.currentDefaultServices)

/** Answers from the cache, or loads. With an `advance`, whose load this call runs may end it with an `Advanced`. */
export const getOrSet = (
  policy: Policy,
  userKey: unknown,
  load: Effect.Effect<any, any, any>,
  isForced: boolean,
  advance?: Advance<any> | undefined
): Effect.Effect<any, any, any> =>
  Effect.withFiberRuntime((fiber) => {
    const context = fiber.currentContext
    const backend: Backend = Context.unsafeGet(context, CacheBackend)
    const key = keyOf(policy, userKey)
    if (typeof key !== "string") return unkeyed(policy, backend, key, load)
    if (policy.isPlain && !isForced) {
      const exit = freshHere(backend, policy, key, context, clockOf(fiber))
      if (exit !== undefined) {
        Observe.unsafeCount(policy, backend, key, "hit", fiber)
        return exit
      }
    }
    const call: Call = { policy, backend, key, userKey, load, advance }
    const current = currentLoad(context)
    if (policy.isPlain && !isForced && isMissUnderWay(backend, key)) {
      Observe.unsafeCount(policy, backend, call.key, "miss", fiber)
      return land(call, current, (flight) => fly(call, flight, nothing, false), false)
    }
    return answer(call, isForced, current, fiber)
  })

/** Whether nothing is there, and a load that others wait for is under way: who leads it has looked already. */
const isMissUnderWay = (backend: Backend, key: string): boolean =>
  isInProcess(backend) && backend.flights.find(key)?.isBackground === false && backend.unsafe!.get(key) === undefined

/**
 * A load that runs past its cache. In another load what it reads is read by that one, but what it asks for is its own.
 * The versions of its tags are not known: where it has any, what is made of it is not stored.
 */
const apart = ({ backend, load, policy }: Pick<Call, "backend" | "load" | "policy">): Effect.Effect<any, any, any> =>
  Effect.withFiberRuntime((fiber) => {
    const outer = currentLoad(fiber.currentContext)
    if (outer === undefined) return Effect.scoped(load)
    outer.depend(backend, policy.isUntagged ? [] : undefined)
    return Effect.scoped(Effect.provideService(load, Current, outer.apart()))
  })

/** Arguments that no key can be made of are loaded for, not cached. */
const unkeyed = (policy: Policy, backend: Backend, error: Key.UnsupportedKey, load: Effect.Effect<any, any, any>) =>
  policy.isFailingOpen
    ? Effect.zipRight(
      Effect.zipRight(
        Effect.logDebug(`cache ${policy.name}: not cached: ${error.message}`),
        Observe.count({ policy, backend, key: undefined }, "bypass")
      ),
      apart({ policy, backend, load })
    )
    : Effect.fail(invalidKey(backend, "get", error))

const answer = (
  call: Call,
  isForcedByCaller: boolean,
  current: CurrentLoad | undefined,
  fiber: Fiber.RuntimeFiber<any, any>
): Effect.Effect<any, any, any> => {
  const { backend, policy, userKey } = call
  if (!isForcedByCaller && policy.isPlain) return lookUp(call, current, fiber)
  return Effect.gen(function*() {
    if (policy.unless !== undefined && (yield* policy.unless(userKey))) {
      Observe.unsafeCount(policy, backend, call.key, "bypass", fiber)
      return yield* apart(call)
    }
    const isForced = isForcedByCaller || (policy.forcedUpdate !== undefined && (yield* policy.forcedUpdate(userKey)))
    return yield* isForced ? serve(call, nothing, true, current, fiber) : lookUp(call, current, fiber)
  })
}

const lookUp = (
  call: Call,
  current: CurrentLoad | undefined,
  fiber: Fiber.RuntimeFiber<any, any>
): Effect.Effect<any, any, any> => {
  const { backend, key, policy } = call
  const { getOrLease } = backend
  const reading = () => serveRead(call, read(policy, backend, key), current, fiber)
  if (getOrLease === undefined || !mayNeedRight(call, clockOf(fiber).unsafeCurrentTimeMillis())) return reading()
  // A claim can be interrupted wherever it is made: in a finalizer, after an interruption, it would be at once.
  return Effect.checkInterruptible((isInterruptible) =>
    isInterruptible ? claim(call, getOrLease, current, fiber) : reading()
  )
}

const serveRead = (
  call: Call,
  reading: Effect.Effect<Found, BackendError, any>,
  current: CurrentLoad | undefined,
  fiber: Fiber.RuntimeFiber<any, any>
): Effect.Effect<any, any, any> =>
  Effect.flatMap(find(call, reading), (found) => serve(call, found, false, current, fiber))

/** Neither who will join a load that is under way, nor who will find what is there, needs the right to load. */
const mayNeedRight = ({ backend, key }: Call, now: number): boolean =>
  backend.flights.find(key) === undefined && backend.isLikely?.(key, now) !== true

/**
 * What is stored, or the right to load it, in one round trip. Uninterruptible from the
 * answer on: a right that is not used, as where a flight was there first, is given back.
 */
const claim = (
  call: Call,
  getOrLease: NonNullable<Backend["getOrLease"]>,
  current: CurrentLoad | undefined,
  fiber: Fiber.RuntimeFiber<any, any>
): Effect.Effect<any, any, any> => {
  const { backend, key, policy, userKey } = call
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.either(getOrLease(key, policy.leaseDuration, policy.claimedTags(userKey))), (answer) => {
      if (answer._tag === "Left" || answer.right.token._tag === "None") {
        const reading = answer._tag === "Right"
          ? Effect.clockWith((clock) => judgeClaimed(policy, backend, answer.right, clock.unsafeCurrentTimeMillis()))
          : answer.left.reason === "InvalidInput"
          // What cannot be a tag is told of where the load needs its version, and what cannot be a key here.
          ? read(policy, backend, key)
          : Effect.fail(answer.left)
        return restore(serveRead(call, reading, current, fiber))
      }
      const claimed = new Claimed(answer.right.token.value)
      const found: Found = { ...nothing, current: answer.right.versions }
      return Effect.onExit(
        restore(serve(call, found, false, current, fiber, claimed)),
        () => giveBackUnused(call, claimed)
      )
    })
  )
}

const giveBackUnused = (call: Call, claimed: Claimed): Effect.Effect<unknown> =>
  Effect.suspend(() => {
    const token = claimed.take()
    return token === undefined ? Effect.void : giveBackLater(call, token)
  })

const serve = (
  call: Call,
  found: Found | undefined,
  isForced: boolean,
  current: CurrentLoad | undefined,
  fiber: Fiber.RuntimeFiber<any, any>,
  claimed?: Claimed
): Effect.Effect<any, any, any> =>
  Effect.gen(function*() {
    const { backend, policy } = call
    if (found === undefined) {
      Observe.unsafeCount(policy, backend, call.key, "bypass", fiber)
      return yield* land(call, current, (flight) => Effect.map(loadOnly(call, flight), unstored(flight)), true)
    }
    const stored = found.served ?? found.entry?.exit as Exit.Exit<any, any> | undefined
    if (found.state !== "miss" && stored !== undefined) {
      const isHit = found.state === "hit" && !(yield* isStaleByPolicy(call, stored))
      if (isHit) {
        if (yield* isDue(policy, found)) yield* refreshInBackground(call, found, true)
      } else {
        yield* refreshInBackground(call, found, found.state === "hit")
        // In a load it is waited for: what is made of stale values would be stored as fresh.
        const patience = current === undefined ? policy.softTimeoutMillis : Infinity
        const newer = patience === 0 ? undefined : yield* awaitRefresh(call, current, found, patience)
        if (newer !== undefined) {
          Observe.unsafeCount(policy, backend, call.key, "miss", fiber)
          return yield* newer
        }
      }
      current?.depend(backend, found.entry!.tags)
      Observe.unsafeCount(policy, backend, call.key, isHit ? "hit" : "stale", fiber)
      return yield* stored
    }
    Observe.unsafeCount(policy, backend, call.key, "miss", fiber)
    return yield* land(call, current, (flight) => fly(call, flight, found, isForced, claimed), isForced, claimed)
  })

/** What is read; `undefined` where the backend cannot say and the call goes on without it. */
const find = (
  call: Call,
  reading: Effect.Effect<Found, BackendError, any>
): Effect.Effect<Found | undefined, BackendError, any> =>
  call.policy.isFailingOpen
    ? Effect.catchAll(reading, (error) => Effect.as(Observe.backendError(call, error), undefined))
    : reading

const isStaleByPolicy = ({ policy, userKey }: Call, stored: Exit.Exit<any, any>): Effect.Effect<boolean> =>
  policy.isStale === undefined || stored._tag === "Failure"
    ? Effect.succeed(false)
    : policy.isStale(stored.value, userKey)

const isDue = (policy: Policy, { entry }: Found): Effect.Effect<boolean> =>
  policy.refreshAhead === 0 ? Effect.succeed(false) : Effect.zipWith(
    Clock.currentTimeMillis,
    Random.next,
    (now, random) => isRefreshDue(entry!, now, policy.refreshAhead, random)
  )

const graceOf = ({ policy, userKey }: Call, { entry }: Found): number =>
  policy.graceMillis(entry!.exit as Exit.Exit<any, any>, userKey)

/** A load that takes longer than its result could have been waited for is given up: it must not hold the key for ever. */
const refreshInBackground = (call: Call, found: Found, isForced: boolean): Effect.Effect<void, never, any> =>
  call.backend.flights.start(call.key, (flight) =>
    Effect.map(
      Effect.timeoutOption(
        fly(call, flight, found, isForced),
        Duration.millis(Math.max(graceOf(call, found), shortestRefreshMillis))
      ),
      Option.getOrElse((): Outcome => ({
        exit: undefined,
        tags: undefined,
        isLoaded: false,
        startedAfter: flight.startedAfter
      }))
    ))

/** The result of the refresh under way, if it comes in time and is better than the stale one. */
const awaitRefresh = (
  call: Call,
  current: CurrentLoad | undefined,
  found: Found,
  patienceMillis: number
): Effect.Effect<Exit.Exit<any, any> | undefined, never, any> =>
  Effect.map(
    Effect.timeoutOption(
      Effect.exit(land({ ...call, advance: undefined }, current, (flight) => fly(call, flight, found, false), false)),
      Duration.millis(patienceMillis)
    ),
    (newer) => {
      if (newer._tag === "None") return undefined
      const exit = newer.value
      if (exit._tag === "Success") return exit
      return exit.cause._tag === "Fail" && !call.policy.staleIf(exit.cause.error) ? exit : undefined
    }
  )

/** Joins or starts the flight of the key, and takes its result if it is not older than this call may see. */
const land = (
  call: Call,
  current: CurrentLoad | undefined,
  body: (flight: Flight) => Effect.Effect<Outcome, never, any>,
  isForced: boolean,
  claimed?: Claimed
): Effect.Effect<any, any, any> =>
  Effect.suspend(() => {
    const { backend, key } = call
    const joinedAfter = backend.flights.tagInvalidations
    const joining = claimed === undefined ? Effect.void : giveBackUnused(call, claimed)
    const flying = backend.flights.run(key, current?.flight, body, alone(call), joining, call.advance)
    return Effect.flatMap(flying, (outcome) => {
      if (outcome instanceof Advanced) return Effect.succeed(outcome)
      const { exit } = outcome
      if (exit === undefined || (isForced && !outcome.isLoaded)) return land(call, current, body, isForced)
      const accept = Effect.suspend(() => {
        current?.depend(backend, outcome.tags)
        return exit
      })
      // A flight that began before a tag was invalidated, joined after it: its result may be the old one.
      return outcome.startedAfter < joinedAfter && exit._tag === "Success"
        ? Effect.flatMap(areCurrent(backend, outcome.tags), (isCurrent) =>
          isCurrent ? accept : land(call, current, body, isForced))
        : accept
    })
  })

/** Versions that are not known, or cannot be compared, may be old ones. */
const areCurrent = (backend: Backend, tags: ReadonlyArray<TagVersion> | undefined): Effect.Effect<boolean> =>
  tags === undefined ? Effect.succeed(false) : Effect.match(backend.refreshTags(tags), {
    onSuccess: (now) => tags.every((version, i) => isSameVersion(version, now[i]!)),
    onFailure: () => false
  })

/** The load without a flight, in the load that asks: what it reads is read by that one. */
const alone = (call: Call): Effect.Effect<Outcome, never, any> =>
  Effect.suspend(() =>
    Effect.map(Effect.exit(apart(call)), (exit): Outcome => ({
      exit,
      tags: call.policy.isUntagged ? [] : undefined,
      isLoaded: true,
      startedAfter: call.backend.flights.tagInvalidations
    }))
  )

const unstored = (flight: Flight) => (exit: Exit.Exit<any, any>): Outcome => ({
  exit,
  tags: undefined,
  isLoaded: true,
  startedAfter: flight.startedAfter
})
