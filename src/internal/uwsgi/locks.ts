/**
 * Locks made of items: who adds the item holds the lock.
 *
 * The server takes the item away when its holder has not, but some servers never
 * do (without a master process, or where the least recently used go first). So a
 * lock that this process has seen unchanged for longer than a lock may last, by
 * its own watch, is taken away by who waits for it.
 */
import * as Effect from "effect/Effect"
import * as derive from "../derive.js"
import { pause } from "../pause.js"
import type { Attempt, Items } from "./items.js"

/** A lock that has not changed for so long has no holder any more: ten seconds, and what the server takes to notice. */
const longestHeld = 15_000
/** A holder may remove its lock unseen for so long: nobody can have taken it away. */
const surelyHeld = 8_000
const pollMillis = 5
const lockMillis = 10_000
/** Items that make room for locks in a server that is full, so that it can be told that what it has is out of date. */
const spareCount = 4
const utf8 = new TextEncoder()
const spareName = (index: number): string => `spare ${index}`
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

interface Held {
  readonly token: string
  readonly since: number
}

export class Locks {
  private readonly held = new Map<string, Held>()
  /** Locks of others that were met, since when with this token. */
  private readonly seen = new Map<string, Held>()
  /** Tokens of this process that nobody holds, but the server may have. */
  private readonly lost = new Set<string>()
  /** Spares that were used. */
  private readonly used = new Set<number>()

  constructor(private readonly items: Items) {}

  /** Puts the spares there. What does not fit is left out. */
  get prepare(): Effect.Effect<void> {
    return this.putSpares(Array.from({ length: spareCount }, (_, index) => index))
  }

  /** Whether the lock is held now. In one process, one at a time may ask for a lock. */
  acquire(name: string, millis: number): Attempt<boolean> {
    return Effect.suspend(() => {
      const token = derive.newVersion()
      const isHeld = () => {
        this.seen.delete(name)
        this.held.set(name, { token, since: performance.now() })
        return true
      }
      const add = this.items.add(name, utf8.encode(token), millis)
      return Effect.tapError(
        Effect.flatMap(this.withSpare(add), (added) => {
          if (added.isMine) return Effect.sync(isHeld)
          return this.isAbandoned(name, text(added.found))
            ? Effect.flatMap(
              Effect.zipRight(this.items.remove(name), add),
              (next) => next.isMine ? Effect.sync(isHeld) : Effect.succeed(false)
            )
            : Effect.succeed(false)
        }),
        () => Effect.sync(() => this.lose(token))
      )
    })
  }

  release(name: string): Attempt<boolean> {
    return Effect.suspend(() => {
      const held = this.held.get(name)
      if (held === undefined) return Effect.succeed(false)
      this.held.delete(name)
      const remove = performance.now() - held.since < surelyHeld
        ? this.items.remove(name)
        : Effect.flatMap(
          this.items.get(name),
          (found) => found !== undefined && text(found) === held.token ? this.items.remove(name) : Effect.succeed(false)
        )
      // A server that says that there was nothing may just not have been reached.
      return remove.pipe(
        Effect.tapError(() => Effect.sync(() => this.lose(held.token))),
        Effect.tap((isDone) => isDone ? Effect.void : Effect.sync(() => this.lose(held.token))),
        Effect.zipLeft(this.used.size === 0 ? Effect.void : Effect.suspend(() => this.putSpares([...this.used])))
      )
    })
  }

  /** Runs `use` while the lock is held, as soon as it can be had. `isStillHeld` tells whether that is sure. */
  with<A>(
    name: string,
    onTimeout: () => Attempt<never>,
    use: (isStillHeld: () => boolean) => Attempt<A>
  ): Attempt<A> {
    const wait = (attempts: number): Attempt<void> =>
      Effect.flatMap(this.acquire(name, lockMillis), (isHeld) => {
        if (isHeld) return Effect.void
        if (attempts === 0) return onTimeout()
        return Effect.zipRight(Effect.interruptible(pause(pollMillis)), wait(attempts - 1))
      })
    return Effect.acquireUseRelease(
      wait(2_000),
      () =>
        Effect.suspend(() => {
          const { since } = this.held.get(name)!
          return use(() => performance.now() - since < surelyHeld)
        }),
      () => Effect.ignore(this.release(name))
    )
  }

  private isAbandoned(name: string, token: string): boolean {
    if (this.lost.has(token)) return true
    const now = performance.now()
    const before = this.seen.get(name)
    if (before !== undefined && before.token === token) return now - before.since > longestHeld
    if (this.seen.size >= 1_000) this.seen.clear()
    this.seen.set(name, { token, since: now })
    return false
  }

  private lose(token: string): void {
    if (this.lost.size >= 10_000) this.lost.clear()
    this.lost.add(token)
  }

  /** Where a full server has no room for a lock, a spare item makes some. */
  private withSpare<A>(add: Attempt<A>): Attempt<A> {
    const from = (error: Effect.Effect.Error<Attempt<A>>, index: number): Attempt<A> => {
      if (error.reason !== "OutOfSpace" || index === spareCount) return Effect.fail(error)
      return Effect.flatMap(this.items.remove(spareName(index)), (isFree) => {
        if (!isFree) return from(error, index + 1)
        this.used.add(index)
        return Effect.catchAll(add, (error) => from(error, index + 1))
      })
    }
    return Effect.catchAll(add, (error) => from(error, 0))
  }

  private putSpares(indices: ReadonlyArray<number>): Effect.Effect<void> {
    return Effect.forEach(
      indices,
      (index) =>
        Effect.matchEffect(
          this.items.add(spareName(index), utf8.encode(derive.newVersion())),
          {
            onFailure: () => Effect.sync(() => void this.used.add(index)),
            onSuccess: () => Effect.sync(() => void this.used.delete(index))
          }
        ),
      { discard: true }
    )
  }
}
