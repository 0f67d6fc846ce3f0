/**
 * Readers who come together share one reading.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"

/**
 * What `read` answers, read after the asking: who comes while a reading is under
 * way waits for the next one, with everybody else who does.
 */
export const joined = <A, E>(read: Effect.Effect<A, E>): Effect.Effect<Effect.Effect<A, E>> =>
  Effect.map(Effect.runtime<never>(), (runtime) => {
    type Waiter = (exit: Exit.Exit<A, E>) => void
    let waiting = new Set<Waiter>()
    let isReading = false
    const readOn: Effect.Effect<void> = Effect.suspend(() => {
      if (waiting.size === 0) {
        isReading = false
        return Effect.void
      }
      const readers = waiting
      waiting = new Set()
      return Effect.flatMap(Effect.exit(read), (exit) => {
        for (const reader of readers) reader(exit)
        return readOn
      })
    })
    return Effect.async<A, E>((resume) => {
      const waiter: Waiter = (exit) => resume(exit)
      waiting.add(waiter)
      if (!isReading) {
        isReading = true
        Runtime.runFork(runtime)(readOn)
      }
      return Effect.sync(() => waiting.delete(waiter))
    })
  })
