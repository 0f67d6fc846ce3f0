/**
 * Single flight: one load per key at a time in this process.
 *
 * A flight runs in a fiber of its own and is counted by those who wait for it:
 * it is interrupted when, and only when, nobody waits any more. An invalidation
 * fences the flights it concerns: those who wait still get the result, nobody
 * joins any more, and nothing is stored.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"

/** One load under way. */
export class Flight {
  readonly deferred: Deferred.Deferred<any, never> = Deferred.unsafeMake(FiberId.none)
  /** The flights that this one's load waits for: walked to find a circle before closing it. */
  readonly waitsFor: Map<Flight, number> = new Map()
  fiber: Fiber.RuntimeFiber<any, never> | undefined = undefined
  /** Who starts a flight waits for it from then on: before its fiber is there, another may join and leave. */
  waiters: number
  isDone = false
  /** An invalidation came since the start: the result must not be stored. */
  isFenced = false
  constructor(
    readonly key: string,
    /** Nobody waits for a background flight; it ends with its load or with the backend. */
    readonly isBackground: boolean,
    /** How many tag invalidations this process had made when the load began. */
    readonly startedAfter: number
  ) {
    this.waiters = isBackground ? 0 : 1
  }
}

/** What a load gives to the call that started its flight, before it is over. */
export class Advance<A> {
  private deferred: Deferred.Deferred<A | undefined> | undefined
  /** What the call ends with: whoever made the call must leave in its place, where it was interrupted just then. */
  taken: Advanced<A> | undefined

  /** `undefined` where the flight has landed without giving anything. Made where it is waited for: most calls are hits. */
  get given(): Deferred.Deferred<A | undefined> {
    return this.deferred ??= Deferred.unsafeMake(FiberId.none)
  }

  give(value: A): Effect.Effect<void> {
    return Effect.asVoid(Deferred.succeed(this.given, value))
  }
}

/** What a call gets that does not wait any longer: it is counted among those who wait until it leaves. */
export class Advanced<A> {
  constructor(
    readonly value: A,
    /** Waits for the end of the flight. */
    readonly landed: Effect.Effect<void>,
    /** To be run once. */
    readonly leave: Effect.Effect<void>
  ) {}
}

/** What an invalidation concerns: some keys, or all that begin with a prefix. */
export type Target =
  | { readonly keys: ReadonlyArray<string>; readonly prefix?: undefined }
  | { readonly prefix: string; readonly keys?: undefined }

/** The flights of one backend. */
export class Flights {
  private readonly current = new Map<string, Flight>()
  private readonly live = new Set<Flight>()
  private readonly invalidations = new Set<Target>()
  /** How many tag invalidations this process has made. */
  tagInvalidations = 0

  /** How many loads are under way, fenced ones included. */
  get size(): number {
    return this.live.size
  }

  /** The flight that a newcomer would join. */
  find(key: string): Flight | undefined {
    return this.current.get(key)
  }

  /**
   * Joins the flight of `key`, or starts `body` as one. Where joining would make
   * `parent`, the flight that asks, wait for itself, runs `alone` instead. Before either,
   * runs `joining`. Where it started the flight, it may end with an `advance`.
   */
  run<A, R, R2, B = never>(
    key: string,
    parent: Flight | undefined,
    body: (flight: Flight) => Effect.Effect<A, never, R>,
    alone: Effect.Effect<A, never, R2>,
    joining: Effect.Effect<unknown> = Effect.void,
    advance?: Advance<B> | undefined
  ): Effect.Effect<A | Advanced<B>, never, R | R2> {
    return Effect.uninterruptibleMask((restore) =>
      // Look-up and registration are one synchronous step: a yield in between would let a second leader in.
      Effect.suspend((): Effect.Effect<A | Advanced<B>, never, R | R2> => {
        const existing = this.current.get(key)
        if (existing !== undefined) {
          if (parent !== undefined && reaches(existing, parent)) return Effect.zipRight(joining, restore(alone))
          existing.waiters++
          return Effect.zipRight(joining, this.wait(existing, parent, restore))
        }
        return Effect.flatMap(
          this.launch(key, false, body),
          (flight) =>
            advance === undefined || parent !== undefined
              ? this.wait(flight, parent, restore)
              : this.waitForAdvance(flight, advance, restore)
        )
      })
    )
  }

  /** Starts `body` in the background, unless a flight of `key` is under way. */
  start<R>(key: string, body: (flight: Flight) => Effect.Effect<unknown, never, R>): Effect.Effect<void, never, R> {
    return Effect.uninterruptible(
      Effect.suspend(() => this.current.has(key) ? Effect.void : Effect.asVoid(this.launch(key, true, body)))
    )
  }

  /** Fences the flights that `target` names, those that begin while `effect` runs included. */
  invalidating<A, E, R>(target: Target, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        const mine = { ...target } as Target
        this.invalidations.add(mine)
        this.fence(mine)
        return mine
      }),
      () => effect,
      (mine) =>
        Effect.sync(() => {
          this.invalidations.delete(mine)
          this.fence(mine)
        })
    )
  }

  /** Interrupts every load under way: for the end of the backend. */
  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    Fiber.interruptAll(Array.from(this.live, (flight) => flight.fiber!).filter((fiber) => fiber !== undefined))
  )

  private fence(target: Target): void {
    const keys = target.keys ?? Array.from(this.current.keys()).filter((key) => key.startsWith(target.prefix))
    for (const key of keys) {
      const flight = this.current.get(key)
      if (flight === undefined) continue
      flight.isFenced = true
      this.current.delete(key)
    }
  }

  private drop(flight: Flight): void {
    if (this.current.get(flight.key) === flight) this.current.delete(flight.key)
  }

  private launch<A, R>(
    key: string,
    isBackground: boolean,
    body: (flight: Flight) => Effect.Effect<A, never, R>
  ): Effect.Effect<Flight, never, R> {
    const flight = new Flight(key, isBackground, this.tagInvalidations)
    for (const target of this.invalidations) {
      if (target.keys === undefined ? key.startsWith(target.prefix) : target.keys.includes(key)) flight.isFenced = true
    }
    this.current.set(key, flight)
    this.live.add(flight)
    return Effect.map(Effect.forkDaemon(Effect.interruptible(Effect.suspend(() => body(flight)))), (fiber) => {
      flight.fiber = fiber
      // An observer, not a continuation: a fiber interrupted before its first step runs no continuation.
      fiber.addObserver((exit) => {
        flight.isDone = true
        this.live.delete(flight)
        this.drop(flight)
        Deferred.unsafeDone(flight.deferred, exit)
      })
      return flight
    })
  }

  /** For one who is counted among the waiters already. */
  private wait(
    flight: Flight,
    parent: Flight | undefined,
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ): Effect.Effect<any> {
    parent?.waitsFor.set(flight, (parent.waitsFor.get(flight) ?? 0) + 1)
    return Effect.flatMap(Effect.exit(restore(Deferred.await(flight.deferred))), (exit) => {
      if (parent !== undefined) {
        const times = parent.waitsFor.get(flight)! - 1
        if (times === 0) parent.waitsFor.delete(flight)
        else parent.waitsFor.set(flight, times)
      }
      return Effect.zipRight(this.leave(flight), exit)
    })
  }

  private waitForAdvance<A, B>(
    flight: Flight,
    advance: Advance<B>,
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ): Effect.Effect<A | Advanced<B>> {
    const landing = Deferred.await(flight.deferred) as Effect.Effect<any>
    const leaving = this.leave(flight)
    const { given } = advance
    flight.fiber!.addObserver(() => Deferred.unsafeDone(given, Exit.succeed(undefined)))
    return Effect.flatMap(
      Effect.exit(restore(Deferred.await(given))),
      (exit): Effect.Effect<A | Advanced<B>> =>
        exit._tag === "Failure"
          ? Effect.zipRight(leaving, Effect.failCause(exit.cause))
          : exit.value === undefined
          ? Effect.zipRight(leaving, landing)
          : Effect.succeed(advance.taken = new Advanced(exit.value, Effect.asVoid(Effect.exit(landing)), leaving))
    )
  }

  /** For who was counted as waiting: the last one out ends the load. */
  leave(flight: Flight): Effect.Effect<void> {
    return Effect.suspend(() => {
      flight.waiters--
      if (flight.waiters > 0 || flight.isDone || flight.isBackground) return Effect.void
      // Dropped before it is interrupted: nobody joins a load that is about to die.
      this.drop(flight)
      return Effect.asVoid(Fiber.interrupt(flight.fiber!))
    })
  }
}

const reaches = (from: Flight, to: Flight): boolean => {
  const met = new Set([from])
  for (const flight of met) {
    if (flight === to) return true
    for (const next of flight.waitsFor.keys()) met.add(next)
  }
  return false
}
