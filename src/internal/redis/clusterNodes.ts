/**
 * The masters of a cluster, one connection to each: found from those that are
 * named, and found anew whenever one tells that something has changed, is lost
 * or falls silent, and every now and then.
 */
import { addressOf, type NatMap } from "./client.js"
import { closed, type Failure, notConnected } from "./failure.js"
import type { Link } from "./link.js"
import type { Nodes } from "./router.js"
import { slotCount } from "./slot.js"

/** While something is wrong we look so often, in milliseconds. */
const hurry = 100

export interface Options {
  /** `"host:port"` each. */
  readonly seeds: ReadonlyArray<string>
  readonly natMap: NatMap
  readonly connect: (host: string, port: number, onDown: () => void) => Link
  readonly commandTimeout: number
  /** Milliseconds between two looks while all is well. */
  readonly refreshInterval: number
}

/** The first slot, the last one, and the address of their master. */
type Range = readonly [first: number, last: number, address: string]

export class ClusterNodes implements Nodes {
  readonly isOne = false
  private readonly slots: Array<Link | undefined> = []
  /** By the address that the servers tell. */
  private links = new Map<string, Link>()
  private masters: ReadonlyArray<Link> = []
  /** No longer needed, but something may be under way on them. */
  private readonly retired = new Set<Link>()
  private listeners: Array<(failure: Failure | undefined) => void> = []
  private timer: ReturnType<typeof setTimeout> | undefined
  private isAsking = false
  private askedAt = 0
  private isClosed = false
  private lastFailure: Failure | undefined

  constructor(private readonly options: Options) {
    for (const seed of options.seeds) this.linkTo(seed)
    this.ask()
  }

  readonly owner = (slot: number): Link | undefined => this.slots[slot]
  readonly standIn = this.owner
  readonly owners = (): ReadonlyArray<Link> => this.masters
  readonly failure = (): Failure => this.isClosed ? closed : this.lastFailure ?? uncovered(this.masters.length > 0)

  readonly at = (address: string, from: Link): Link | undefined => this.linkTo(complete(address, from))

  readonly moved = (slot: number, address: string, from: Link): void => {
    this.slots[slot] = this.at(address, from)
    this.refresh()
  }

  readonly refresh = (done?: (failure: Failure | undefined) => void): void => {
    if (this.isClosed) return done?.(closed)
    if (done === undefined) return this.arm(Math.max(0, this.askedAt + hurry - performance.now()))
    // A look that is under way may have begun before what it is meant to see.
    if (this.isAsking) this.listeners.push(() => this.refresh(done))
    else {
      this.listeners.push(done)
      this.ask()
    }
  }

  /** Calls back when the masters are known and have answered, or when that failed. */
  readonly onOutcome = (listener: (failure: Failure | undefined) => void): () => void => {
    let stop = false
    const settle = (failure: Failure | undefined) => void (stop || listener(failure))
    const onceKnown = (failure: Failure | undefined) => {
      let left = this.masters.length
      if (left === 0) return settle(failure ?? this.failure())
      for (const link of this.masters) link.onOutcome((failure) => (failure !== undefined || --left === 0) && settle(failure))
    }
    this.listeners.push(onceKnown)
    return () => {
      stop = true
    }
  }

  readonly close = (): Promise<void> => {
    this.isClosed = true
    clearTimeout(this.timer)
    this.notify(closed)
    return Promise.all([...this.links.values(), ...this.retired].map((link) => link.end())).then(() => {})
  }

  private linkTo(address: string): Link | undefined {
    const known = this.links.get(address)
    if (known !== undefined || this.isClosed) return known
    const at = this.options.natMap[address] ?? addressOf(address)
    if (at === undefined) return undefined
    const link = this.options.connect(at.host, at.port, () => this.refresh())
    this.links.set(address, link)
    return link
  }

  private ask(): void {
    if (this.isClosed) return
    clearTimeout(this.timer)
    this.timer = undefined
    this.isAsking = true
    this.askedAt = performance.now()
    const up = [...this.links.values()].filter((link) => link.state === "up")
    this.askOneOf(up)
  }

  /** Asks one that answers; those that are named where none does. */
  private askOneOf(links: Array<Link>): void {
    const [link] = links.splice(Math.floor(Math.random() * links.length), 1)
    if (link === undefined) return this.askSeeds()
    this.look(link, (failure) => failure === undefined || this.askOneOf(links))
  }

  /** Asks all of them, whichever answers first: one may be frozen. */
  private askSeeds(): void {
    const { seeds } = this.options
    let left = seeds.length
    let isDone = false
    const settle = (failure: Failure | undefined) => {
      left--
      if (isDone) return
      if (failure !== undefined && failure !== notConnected) this.lastFailure = failure
      if (failure !== undefined && left > 0) return
      isDone = true
      if (failure !== undefined) this.end(this.lastFailure ?? failure)
    }
    for (const seed of seeds) {
      const link = this.linkTo(seed)
      if (link === undefined) settle(notConnected)
      else link.onOutcome((failure) => failure === undefined ? this.look(link, settle, () => isDone) : settle(failure))
    }
  }

  private look(link: Link, done: (failure: Failure | undefined) => void, isLate = () => false): void {
    link.send("cluster", ["SLOTS"], (failure, reply) => {
      if (this.isClosed || isLate()) return done(closed)
      const ranges = failure === undefined ? rangesOf(reply, link) : []
      if (ranges.length === 0) return done(failure ?? uncovered(true))
      this.adopt(ranges)
      done(undefined)
    })
  }

  private adopt(ranges: ReadonlyArray<Range>): void {
    const before = this.links
    this.links = new Map()
    this.slots.length = 0
    this.slots.length = slotCount
    for (const [first, last, address] of ranges) {
      const known = before.get(address)
      if (known !== undefined) this.links.set(address, known)
      this.slots.fill(known ?? this.linkTo(address), first, last + 1)
    }
    for (const [address, link] of before) {
      if (!this.links.has(address)) this.retire(link)
    }
    this.masters = [...this.links.values()]
    this.end(undefined)
  }

  private retire(link: Link): void {
    this.retired.add(link)
    const timer = setTimeout(() => {
      void link.end().then(() => this.retired.delete(link))
    }, this.options.commandTimeout)
    timer.unref()
  }

  private end(failure: Failure | undefined): void {
    this.isAsking = false
    this.lastFailure = failure
    this.notify(failure)
    const isWell = failure === undefined && this.masters.every((link) => link.state !== "down")
    this.arm(isWell ? this.options.refreshInterval : hurry)
  }

  private notify(failure: Failure | undefined): void {
    const { listeners } = this
    this.listeners = []
    for (const listener of listeners) listener(failure)
  }

  private dueAt = 0

  /** Looks again after so many milliseconds, or earlier if that was planned. */
  private arm(ms: number): void {
    if (this.isClosed || this.isAsking) return
    const dueAt = performance.now() + ms
    if (this.timer !== undefined && this.dueAt <= dueAt) return
    clearTimeout(this.timer)
    this.dueAt = dueAt
    this.timer = setTimeout(() => this.ask(), ms)
    this.timer.unref()
  }
}

const uncovered = (isCluster: boolean): Failure =>
  isCluster ? { reason: "Unavailable", description: "no server has the key's slot" } : notConnected

/** A server that does not know its own address tells none, or `?`: it is the one that was asked. */
const complete = (address: string, from: Link): string =>
  address.replace(/^\??:(?=\d+$)/, () => `${from.client.options.host}:`)

const rangesOf = (reply: unknown, from: Link): ReadonlyArray<Range> =>
  (reply as ReadonlyArray<readonly [unknown, unknown, readonly [Buffer | null, unknown] | undefined]>)
    .flatMap(([first, last, master]): ReadonlyArray<Range> =>
      master === undefined
        ? []
        : [[Number(String(first)), Number(String(last)), complete(`${master[0] ?? ""}:${master[1]}`, from)]]
    )
