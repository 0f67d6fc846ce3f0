/**
 * Who is told of the calls that a backend's caches answer. A listener is a queue
 * and nothing else: it cannot fail, and it cannot hold a call up.
 */

/** What a call is told as. `key` is as the backend knows it. */
export interface Told {
  readonly _tag: "Hit" | "Stale" | "Miss" | "Bypass" | "Error"
  readonly cache: string
  readonly at: number
  readonly key: string | undefined
  readonly error: unknown
}

export class Listeners {
  private readonly all = new Set<(told: Told) => void>()

  /** Whether there is anybody to tell: asked before anything is made for it. */
  get isAny(): boolean {
    return this.all.size > 0
  }

  add(listener: (told: Told) => void): void {
    this.all.add(listener)
  }

  remove(listener: (told: Told) => void): void {
    this.all.delete(listener)
  }

  tell(told: Told): void {
    for (const listener of this.all) listener(told)
  }
}
