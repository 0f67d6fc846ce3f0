/**
 * Wakes one fiber that waits for work. A ring that comes while it works is kept.
 */
import * as Effect from "effect/Effect"

export class Bell {
  private hasRung = false
  private wake: (() => void) | undefined

  ring(): void {
    this.hasRung = true
    this.wake?.()
  }

  readonly wait: Effect.Effect<void> = Effect.async<void>((resume) => {
    const wake = () => {
      this.wake = undefined
      this.hasRung = false
      resume(Effect.void)
    }
    if (this.hasRung) return wake()
    this.wake = wake
    return Effect.sync(() => {
      this.wake = undefined
    })
  })
}
