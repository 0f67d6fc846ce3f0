/**
 * What was not storable a moment ago is likely not storable now: those who ask for it
 * must not wait for one another.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Visit } from "../http/request.js"

const rememberMillis = 5_000
const maxRemembered = 10_000

type Class = Pick<Visit, "isAuthorized" | "isPersonal">

/** A memory of this process, bounded in time and number. */
export class Unstorable {
  private readonly until = new Map<string, number>()

  /** Requests with credentials are remembered apart: what is not stored for them may be for others. */
  private nameOf(key: ReadonlyArray<unknown>, { isAuthorized, isPersonal }: Class): string {
    return JSON.stringify([isAuthorized, isPersonal, key])
  }

  has(key: ReadonlyArray<unknown>, of: Class): Effect.Effect<boolean> {
    return this.until.size === 0
      ? Effect.succeed(false)
      : Effect.map(Clock.currentTimeMillis, (now) => this.hasAt(key, of, now))
  }

  hasAt(key: ReadonlyArray<unknown>, of: Class, now: number): boolean {
    if (this.until.size === 0) return false
    const name = this.nameOf(key, of)
    const until = this.until.get(name)
    if (until === undefined) return false
    if (now < until) return true
    this.until.delete(name)
    return false
  }

  add(key: ReadonlyArray<unknown>, of: Class): Effect.Effect<void> {
    return Effect.map(Clock.currentTimeMillis, (now) => {
      const name = this.nameOf(key, of)
      // The oldest come first.
      this.until.delete(name)
      this.until.set(name, now + rememberMillis)
      for (const oldest of this.until.keys()) {
        if (this.until.size <= maxRemembered) break
        this.until.delete(oldest)
      }
    })
  }
}
