/**
 * Servers that come and go, and who looks after them.
 */
import { closed, type Failure } from "./failure.js"
import type { Link } from "./link.js"

/** The servers, as far as they are known. */
export interface Nodes {
  /** Whether one server has all keys. */
  readonly isOne: boolean
  /** The server that has the slot. */
  readonly owner: (slot: number) => Link | undefined
  /** A server that answers for the owner where an answer that is a little out of date will do. */
  readonly standIn: (slot: number) => Link | undefined
  /** Whether that may be another server than the owner. */
  readonly hasStandIns: boolean
  /** The server at an address that `from` has told. */
  readonly at: (address: string, from: Link) => Link | undefined
  /** A server has told that the slot is another's. */
  readonly moved: (slot: number, address: string, from: Link) => void
  /** Who has keys. */
  readonly owners: () => ReadonlyArray<Link>
  /** What is known may be out of date. Calls back when it is known again, or when that failed. */
  readonly refresh: (done?: Listener) => void
  /** Why a server is not known. */
  readonly failure: () => Failure
  readonly close: () => Promise<void>
}

export type Listener = (failure: Failure | undefined) => void

/** While something is wrong we look so often, in milliseconds. */
export const hurry = 100

/** Looks for the servers again and again, and calls back who waits for the outcome. */
export abstract class Watch {
  protected isClosed = false
  protected lookedAt = -Infinity
  private listeners: Array<Listener> = []
  /** No longer needed, but something may be under way on them. */
  private readonly retired = new Set<Link>()
  private timer: ReturnType<typeof setTimeout> | undefined
  private dueAt = Infinity

  /** `retirement` is how long something may be under way on a connection, in milliseconds. */
  constructor(private readonly retirement: number) {}

  protected abstract look(): void
  protected abstract links(): Iterable<Link>

  readonly close = async (): Promise<void> => {
    this.isClosed = true
    clearTimeout(this.timer)
    this.notify(closed)
    await Promise.all([...this.links(), ...this.retired].map((link) => link.end()))
  }

  protected listen(listener: Listener): void {
    this.listeners.push(listener)
  }

  protected notify(failure: Failure | undefined): void {
    const { listeners } = this
    this.listeners = []
    for (const listener of listeners) listener(failure)
  }

  protected retire(link: Link): void {
    this.retired.add(link)
    const timer = setTimeout(() => {
      void link.end().then(() => this.retired.delete(link))
    }, this.retirement)
    timer.unref()
  }

  /** Looks in so many milliseconds, or earlier if that is due. */
  protected lookIn(ms: number): void {
    const dueAt = performance.now() + ms
    if (this.isClosed || this.dueAt <= dueAt) return
    clearTimeout(this.timer)
    this.dueAt = dueAt
    this.timer = setTimeout(() => this.lookNow(), ms)
    this.timer.unref()
  }

  /** Looks as soon as that is not too often. */
  protected lookSoon(): void {
    this.lookIn(Math.max(0, this.lookedAt + hurry - performance.now()))
  }

  protected lookNow(): void {
    if (this.isClosed) return
    clearTimeout(this.timer)
    this.dueAt = Infinity
    this.lookedAt = performance.now()
    this.look()
  }
}
