/**
 * Who runs when: effects one at a time per key, in the order they asked, and
 * effects that want to be alone. Each waits for those before it that it may not
 * meet, so that nobody is starved and an end wakes only who is next.
 */
import * as Effect from "effect/Effect"

class Turn {
  readonly next: Array<Turn> = []
  waitsFor = 0
  /** Its effect has ended, or was interrupted while it waited. */
  isLeft = false
  begin: () => void = () => {}
  constructor(readonly key: string | undefined) {}

  follow(previous: Turn): void {
    previous.next.push(this)
    this.waitsFor++
  }

  readonly come: Effect.Effect<void> = Effect.async<void>((resume) => {
    if (this.waitsFor === 0) return resume(Effect.void)
    this.begin = () => resume(Effect.void)
  })
}

export class Turns {
  /** The last in line for each key since `lastAlone`. */
  private readonly last = new Map<string, Turn>()
  private lastAlone: Turn | undefined = undefined

  /** Runs `effect` when those before it with the same key have ended. */
  one(key: string): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> {
    return this.inTurn(() => {
      const turn = new Turn(key)
      const previous = this.last.get(key) ?? this.lastAlone
      if (previous !== undefined) turn.follow(previous)
      this.last.set(key, turn)
      return turn
    })
  }

  /** Runs `effect` when all before it have ended; all after it wait. */
  readonly alone: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = this.inTurn(() => {
    const turn = new Turn(undefined)
    for (const previous of this.last.values()) turn.follow(previous)
    if (this.lastAlone !== undefined) turn.follow(this.lastAlone)
    this.last.clear()
    this.lastAlone = turn
    return turn
  })

  private inTurn(enter: () => Turn): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> {
    return (effect) =>
      Effect.acquireUseRelease(
        Effect.sync(enter),
        (turn) => Effect.zipRight(turn.come, effect),
        (turn) => Effect.sync(() => this.leave(turn))
      )
  }

  private leave(turn: Turn): void {
    turn.isLeft = true
    // Who was interrupted while waiting keeps its place until those before it have ended: those after it wait for them too.
    const over = turn.waitsFor === 0 ? [turn] : []
    for (const turn of over) {
      if (turn.key !== undefined && this.last.get(turn.key) === turn) this.last.delete(turn.key)
      if (this.lastAlone === turn) this.lastAlone = undefined
      for (const next of turn.next) {
        if (--next.waitsFor > 0) continue
        if (next.isLeft) over.push(next)
        else next.begin()
      }
    }
  }
}
