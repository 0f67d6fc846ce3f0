/**
 * Waiting for others: another process, a lock. By the platform's timers and not
 * by the `Clock`, as a clock that a test sets moves nobody else.
 */
import * as Effect from "effect/Effect"

export const pause = (millis: number): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const timer = setTimeout(() => resume(Effect.void), millis)
    return Effect.sync(() => clearTimeout(timer))
  })
