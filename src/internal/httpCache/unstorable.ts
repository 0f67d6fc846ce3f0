/**
 * What was not storable a moment ago is likely not storable now: those who ask for it
 * must not wait for one another. Errors too: they would wait for the next error.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { hash } from "node:crypto"
import type { Visit } from "../http/request.js"

const rememberMillis = 5_000
const maxRemembered = 10_000
/** Longer names are hashed: who asks for what is not there chooses them. */
const maxNameLength = 256

type Class = Pick<Visit, "isAuthorized" | "isPersonal">

interface Mark {
  readonly until: number
  readonly isLasting: boolean
}

/** A memory of this process, bounded in time and number. */
export class Unstorable {
  private readonly marks = new Map<string, Mark>()

  /** Requests with credentials are remembered apart: what is not stored for them may be for others. */
  private nameOf(key: ReadonlyArray<unknown>, { isAuthorized, isPersonal }: Class): string {
    const name = JSON.stringify([isAuthorized, isPersonal, key])
    return name.length <= maxNameLength ? name : hash("sha256", name, "base64url")
  }

  has(key: ReadonlyArray<unknown>, of: Class): Effect.Effect<boolean> {
    return this.marks.size === 0
      ? Effect.succeed(false)
      : Effect.map(Clock.currentTimeMillis, (now) => this.hasAt(key, of, now))
  }

  hasAt(key: ReadonlyArray<unknown>, of: Class, now: number): boolean {
    if (this.marks.size === 0) return false
    const name = this.nameOf(key, of)
    const mark = this.marks.get(name)
    if (mark === undefined) return false
    if (now < mark.until) return true
    this.marks.delete(name)
    return false
  }

  /** Whether an answer that goes forward and may be stored is to end it. */
  isEnding(key: ReadonlyArray<unknown>, of: Class): boolean {
    return this.marks.size > 0 && this.marks.get(this.nameOf(key, of))?.isLasting === false
  }

  end(key: ReadonlyArray<unknown>, of: Class): void {
    this.marks.delete(this.nameOf(key, of))
  }

  /** `isLasting`: for a reason that is not seen by the fields of an answer that goes forward. */
  add(key: ReadonlyArray<unknown>, of: Class, isLasting = false): Effect.Effect<void> {
    return Effect.map(Clock.currentTimeMillis, (now) => {
      const name = this.nameOf(key, of)
      // The oldest come first.
      this.marks.delete(name)
      this.marks.set(name, { until: now + rememberMillis, isLasting })
      for (const oldest of this.marks.keys()) {
        if (this.marks.size <= maxRemembered) break
        this.marks.delete(oldest)
      }
    })
  }
}
