/**
 * A stream that several follow while it is produced: each reads from its
 * beginning at a pace of its own. What was produced is kept up to a bound; beyond
 * it, only what those who follow have not read yet, and the slowest sets the pace.
 */
import type * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** How many chunks beyond the bound the slowest may be behind. */
const window = 16

/** Nobody follows, and it is too long to be kept. */
export const abandoned = Symbol("abandoned")

export interface Follower {
  at: number
}

export class Production<A> {
  private chunks: Array<Chunk.Chunk<A>> = []
  private dropped = 0
  private size = 0
  private exit: Exit.Exit<unknown, any> | undefined
  private changed = Deferred.unsafeMake<void>(FiberId.none)
  private readonly followers = new Set<Follower>()
  isOverLong = false

  constructor(private readonly maxSize: number, private readonly sizeOf: (element: A) => number) {}

  /** All that was produced, where it was kept. */
  get elements(): ReadonlyArray<A> {
    return this.chunks.flatMap((chunk) => Array.from(chunk))
  }

  follow(): Follower {
    const follower = { at: 0 }
    this.followers.add(follower)
    return follower
  }

  leave(follower: Follower): void {
    this.followers.delete(follower)
    this.signal()
  }

  end(exit: Exit.Exit<unknown, any>): void {
    this.exit = exit
    this.signal()
  }

  push(chunk: Chunk.Chunk<A>): Effect.Effect<void, typeof abandoned> {
    return Effect.suspend(() => {
      this.chunks.push(chunk)
      if (!this.isOverLong) {
        for (const element of chunk) this.size += this.sizeOf(element)
        this.isOverLong = this.size > this.maxSize
      }
      this.signal()
      return this.isOverLong ? this.room() : Effect.void
    })
  }

  /** Waits for the slowest to come near. */
  private room(): Effect.Effect<void, typeof abandoned> {
    return Effect.suspend(() => {
      if (this.followers.size === 0) return Effect.fail(abandoned)
      const slowest = Math.min(...Array.from(this.followers, ({ at }) => at))
      this.chunks.splice(0, slowest - this.dropped)
      this.dropped = slowest
      return this.chunks.length <= window
        ? Effect.void
        : Effect.flatMap(Deferred.await(this.changed), () => this.room())
    })
  }

  /** Ends when `landed` does: who reads to the end waits for what was read to be stored. */
  read(follower: Follower, landed: Effect.Effect<unknown>): Stream.Stream<A, any> {
    const pull: Effect.Effect<Chunk.Chunk<A>, Option.Option<any>> = Effect.suspend(() => {
      const chunk = this.chunks[follower.at - this.dropped]
      if (chunk !== undefined) {
        follower.at++
        if (this.isOverLong) this.signal()
        return Effect.succeed(chunk)
      }
      if (this.exit === undefined) return Effect.flatMap(Deferred.await(this.changed), () => pull)
      return this.exit._tag === "Success"
        ? Effect.zipRight(landed, Effect.fail(Option.none()))
        : Exit.mapError(this.exit as Exit.Exit<never, any>, Option.some)
    })
    return Stream.repeatEffectChunkOption(pull)
  }

  private signal(): void {
    const { changed } = this
    this.changed = Deferred.unsafeMake<void>(FiberId.none)
    Deferred.unsafeDone(changed, Effect.void)
  }
}
