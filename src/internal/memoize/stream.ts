/**
 * A cached stream. It is the load of a cache: what a load keeps, a stream keeps
 * too. Who comes while it is produced follows it instead of waiting for its end.
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { type Backend, CacheBackend } from "../../Backend.js"
import * as Cache from "../../Cache.js"
import { Current, currentLoad } from "../cache/currentLoad.js"
import { count } from "../cache/observe.js"
import type { Flight } from "../flights.js"
import { abandoned, Production } from "./production.js"

export interface Options {
  readonly entries: Cache.Cache<any, ReadonlyArray<any>, any, any, any>
  readonly f: (...args: ReadonlyArray<any>) => Stream.Stream<any, any, any>
  readonly maxSize: number
  readonly sizeOf: (element: any) => number
}

/** The value of a load whose stream was too long: never stored, and never served. */
export const tooLong: ReadonlyArray<never> = Object.freeze([])

type Watcher = (production: Production<any>, flight: Flight | undefined) => void

/** What the flights under way produce, and who waits for a production of a key to begin. */
const productions = new WeakMap<Flight, Production<any>>()
const watchers = new WeakMap<Backend, Map<string, Set<Watcher>>>()

const watchersOf = (backend: Backend): Map<string, Set<Watcher>> => {
  const known = watchers.get(backend)
  if (known !== undefined) return known
  const made = new Map<string, Set<Watcher>>()
  watchers.set(backend, made)
  return made
}

/** The stream for the arguments: stored, followed or produced. */
export const subscribe = (options: Options, args: ReadonlyArray<any>): Stream.Stream<any, any, any> =>
  Stream.unwrapScoped(Effect.contextWithEffect((context: Context.Context<never>) => {
    const stored = (load: Effect.Effect<ReadonlyArray<any>, any, any>) => Cache.getOrSet(options.entries, args, load)
    const replay = (elements: ReadonlyArray<any>) =>
      elements === tooLong ? options.f(...args) : Stream.fromIterable(elements)
    // In a load the whole value is waited for, with the tags that the load then depends on.
    return currentLoad(context) !== undefined
      ? Effect.map(stored(produce(options, args, () => {})), replay)
      : follow(options, args, (load) => Effect.map(stored(load), replay))
  }))

const follow = (
  options: Options,
  args: ReadonlyArray<any>,
  stored: (load: Effect.Effect<ReadonlyArray<any>, any, any>) => Effect.Effect<Stream.Stream<any, any, any>, any, any>
) =>
  Effect.gen(function*() {
    const backend = yield* CacheBackend
    const key = keyOf(options, args)
    const answer = yield* Deferred.make<Stream.Stream<any, any, any>, any>()
    const landed = yield* Deferred.make<void>()
    const mine = { isSettled: false, leave: () => {}, flight: undefined as Flight | undefined }
    const watcher: Watcher = (production, flight) => {
      if (mine.isSettled) return
      mine.isSettled = true
      const follower = production.follow()
      mine.leave = () => production.leave(follower)
      mine.flight = flight
      // Held from now on: who leads it may leave before this fiber goes on.
      if (flight !== undefined) flight.waiters++
      Deferred.unsafeDone(answer, Effect.succeed(production.read(follower, Deferred.await(flight?.deferred ?? landed))))
    }
    const all = watchersOf(backend)
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const flight = key === undefined ? undefined : backend.flights.find(key)
        const production = flight === undefined ? undefined : productions.get(flight)
        // A tag that was invalidated since may be one of its tags.
        const isNew = flight?.startedAfter === backend.flights.tagInvalidations
        if (production !== undefined && isNew && !production.isOverLong) watcher(production, flight)
        else if (key !== undefined) {
          const those = all.get(key) ?? new Set()
          all.set(key, those.add(watcher))
        }
      }),
      () =>
        Effect.suspend(() => {
          mine.isSettled = true
          const those = key === undefined ? undefined : all.get(key)
          if (those?.delete(watcher) === true && those.size === 0) all.delete(key!)
          mine.leave()
          return mine.flight === undefined ? Effect.void : backend.flights.leave(mine.flight)
        })
    )
    // Who joins reads what is not stored yet, as who waits for a load does; who does not is counted by its cached call.
    if (mine.isSettled) yield* count({ policy: options.entries.policy, backend, key }, "miss")
    else {
      const load = produce(options, args, (production, flight) => {
        // Whoever else waits for this key follows too.
        for (const other of flight === undefined || key === undefined ? [] : [...all.get(key) ?? []]) {
          if (other !== watcher) other(production, flight)
        }
        watcher(production, undefined)
      })
      yield* Effect.forkScoped(Effect.flatMap(Effect.exit(stored(load)), (exit) =>
        Effect.sync(() => {
          Deferred.unsafeDone(landed, Effect.void)
          if (mine.isSettled) return
          mine.isSettled = true
          Deferred.unsafeDone(answer, exit)
        })))
    }
    return yield* Deferred.await(answer)
  })

const keyOf = (options: Options, args: ReadonlyArray<any>): string | undefined => {
  try {
    return Cache.cacheKey(options.entries, args)
  } catch {
    return undefined
  }
}

/** The load: produces the stream, tells of it, and answers its elements. */
const produce = (
  { entries, f, maxSize, sizeOf }: Options,
  args: ReadonlyArray<any>,
  announce: Watcher
): Effect.Effect<ReadonlyArray<any>, any, any> =>
  Effect.flatMap(Effect.all([Current, CacheBackend]), ([current, backend]) =>
    Effect.suspend(() => {
      const production = new Production<any>(maxSize, sizeOf)
      const key = keyOf({ entries, f, maxSize, sizeOf }, args)
      // In a load that runs past its cache the flight is that of the load around it.
      const flight = current?.flight?.key === key ? current?.flight : undefined
      if (flight !== undefined) productions.set(flight, production)
      announce(production, flight)
      let isFreed = false
      return Stream.runForEachChunk(f(...args), (chunk) =>
        Effect.zipRight(
          Effect.suspend(() => {
            if (!production.isOverLong || isFreed) return Effect.void
            isFreed = true
            // Nothing is stored any more, and who comes now begins a stream of its own, in every process.
            return Effect.forkScoped(
              Effect.retry(Cache.invalidate(entries, args), Schedule.spaced("1 second"))
            )
          }),
          production.push(chunk)
        )).pipe(
          Effect.onExit((exit) => Effect.sync(() => production.end(exit))),
          Effect.as(undefined),
          Effect.catchIf((error) => error === abandoned, () => Effect.void),
          Effect.map(() => production.isOverLong ? tooLong : production.elements),
          Effect.provideService(CacheBackend, backend)
        )
    }))
