/**
 * What this process knows of the versions that tags have in the remote tier.
 *
 * A version object that came from the remote tier is bound to what is known of its
 * tag from the moment on at which the two were seen to agree. That knowledge is
 * taken back by an invalidation, here or in another process, and by the loss of
 * messages. It has no age of its own: an entry in the local tier is kept for a
 * bounded time after the oldest knowledge it was stored under.
 */
import type { TagVersion } from "../entry.js"
import { type Ticket, Tickets } from "./tickets.js"

type State = "current" | "soft" | "hard"

interface Known {
  readonly hard: string
  readonly soft: string
  /** Shared by all that is known under one hard version: a hard invalidation ends them all. */
  readonly era: { isOver: boolean }
  isStale: boolean
  /** When this was last asked for. */
  stamp: number
  at: number
}

/** When something was asked: in the order of all that was, and on the clock. */
export interface Instant {
  readonly stamp: number
  readonly at: number
}

/** A question to the remote tier on its way. */
export interface Question extends Instant {
  readonly tickets: ReadonlyArray<Ticket>
}

/** Where a list of versions remembers that it was current. */
const checked: unique symbol = Symbol("effect-caching/tiered")

type Versions = ReadonlyArray<TagVersion> & { [checked]?: object | undefined }

export class TagTable {
  /** The least recently confirmed first. */
  private readonly known = new Map<string, Known>()
  private readonly bound = new WeakMap<TagVersion, Known>()
  private readonly tickets = new Tickets()
  private stamp = 0
  /** Replaced whenever something that was current no longer is. */
  private mark: object = {}

  constructor(private readonly maxTags: number) {}

  get size(): number {
    return this.known.size
  }

  /** Greater than any before: questions, and what is stored, in their order. */
  nextStamp(): number {
    return ++this.stamp
  }

  ask(tags: ReadonlyArray<string>, at: number): Question {
    return { tickets: tags.map((tag) => this.tickets.begin(tag)), stamp: this.nextStamp(), at }
  }

  /** Ends a question, answered or not. */
  close(question: Question): void {
    for (const ticket of question.tickets) this.tickets.end(ticket)
  }

  /** Takes the answer to `question`; `carried` are the version objects it was asked for, where there are any. */
  learn(question: Question, answer: ReadonlyArray<TagVersion>, carried?: ReadonlyArray<TagVersion>): void {
    answer.forEach((version, i) => {
      // The tag was invalidated while the answer was on its way.
      if (question.tickets[i]!.isSpoiled) return
      const known = this.know(version, question)
      if (known === undefined) return
      this.bound.set(version, known)
      const old = carried?.[i]
      if (old !== undefined && isSame(old, known)) this.bound.set(old, known)
    })
  }

  /** Binds versions that have been through bytes since they were stored under `stamp`. */
  rebind(versions: ReadonlyArray<TagVersion>, stamp: number): void {
    for (const version of versions) {
      const known = this.known.get(version.tag)
      if (known?.isStale === false && known.stamp >= stamp && isSame(version, known)) this.bound.set(version, known)
    }
  }

  /** Takes back what is known of the tags. */
  forget(tags: Iterable<string>, mode: "hard" | "soft"): void {
    for (const tag of tags) {
      this.tickets.spoil(tag)
      this.retire(tag, mode)
    }
  }

  /** Takes back everything. */
  forgetAll(): void {
    this.tickets.spoilPrefix("")
    for (const tag of this.known.keys()) this.retire(tag, "hard")
  }

  /** What is known of the versions here; `hard` where nothing is. */
  state(versions: ReadonlyArray<TagVersion>): State {
    if (versions.length === 0 || (versions as Versions)[checked] === this.mark) return "current"
    let isSoft = false
    for (const version of versions) {
      const state = stateOf(this.bound.get(version))
      if (state === "hard") return "hard"
      if (state === "soft") isSoft = true
    }
    if (isSoft) return "soft"
    if (checked in versions) (versions as Versions)[checked] = this.mark
    return "current"
  }

  /** Lets `state` remember of this list, which must not change any more, that it was current. */
  remember(versions: ReadonlyArray<TagVersion>): void {
    if (versions.length === 0 || checked in versions || !Object.isExtensible(versions)) return
    Object.defineProperty(versions, checked, { value: undefined, writable: true })
  }

  /**
   * Since when an entry with these versions, read or written as `from` tells, is
   * known to have been right: those not bound yet are confirmed later than that.
   * Never, where one is known not to be the tag's any more.
   */
  knownSince(versions: ReadonlyArray<TagVersion>, from: Instant): Instant | undefined {
    let { at, stamp } = from
    for (const version of versions) {
      const known = this.bound.get(version)
      if (known === undefined) continue
      if (stateOf(known) !== "current") return undefined
      at = Math.min(at, known.at)
      stamp = Math.min(stamp, known.stamp)
    }
    return { at, stamp }
  }

  private know(version: TagVersion, { at, stamp }: Question): Known | undefined {
    const present = this.known.get(version.tag)
    if (present?.isStale === false && isSame(version, present)) {
      present.stamp = Math.max(present.stamp, stamp)
      present.at = Math.max(present.at, at)
      this.known.delete(version.tag)
      this.known.set(version.tag, present)
      return present
    }
    if (present !== undefined) {
      this.retire(version.tag, present.hard === version.hard ? "soft" : "hard")
      // Asked for earlier, answered later: nobody can tell which of the two is the newer.
      if (present.stamp > stamp) return undefined
    }
    const known: Known = {
      hard: version.hard,
      soft: version.soft,
      era: present?.era.isOver === false ? present.era : { isOver: false },
      isStale: false,
      stamp,
      at
    }
    this.known.delete(version.tag)
    this.known.set(version.tag, known)
    if (this.known.size > this.maxTags) this.retire(this.known.keys().next().value!, "hard")
    return known
  }

  private retire(tag: string, mode: "soft" | "hard"): void {
    const present = this.known.get(tag)
    if (present === undefined) return
    this.mark = {}
    if (mode === "soft") {
      present.isStale = true
      return
    }
    present.era.isOver = true
    this.known.delete(tag)
  }
}

const stateOf = (known: Known | undefined): State =>
  known === undefined || known.era.isOver ? "hard" : known.isStale ? "soft" : "current"

const isSame = (a: Pick<TagVersion, "hard" | "soft">, b: Pick<TagVersion, "hard" | "soft">): boolean =>
  a.hard === b.hard && a.soft === b.soft
