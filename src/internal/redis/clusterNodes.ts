/**
 * The masters of a cluster, one connection to each: found from those that are
 * named, and found anew whenever one tells that something has changed, is lost
 * or falls silent, and every now and then.
 */
import { addressOf, type NatMap } from "./client.js"
import { closed, type Failure, notConnected } from "./failure.js"
import type { Link } from "./link.js"
import { hurry, type Listener, type Nodes, Watch } from "./nodes.js"
import { slotCount } from "./slot.js"

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

export class ClusterNodes extends Watch implements Nodes {
  readonly isOne = false
  private slots: Array<Link | undefined> = []
  /** By the address that the servers tell. */
  private known = new Map<string, Link>()
  private masters: ReadonlyArray<Link> = []
  private isLooking = false
  /** What is being asked for may be older than the last sign of a change. */
  private isLate = false
  private lastFailure: Failure | undefined

  constructor(private readonly options: Options) {
    super(options.commandTimeout)
    this.lookNow()
  }

  readonly owner = (slot: number): Link | undefined => this.slots[slot]
  readonly standIn = this.owner
  readonly hasStandIns = false
  readonly owners = (): ReadonlyArray<Link> => this.masters
  readonly failure = (): Failure =>
    this.isClosed ? closed : this.lastFailure ?? (this.masters.length > 0 ? uncovered : notConnected)

  readonly at = (address: string, from: Link): Link | undefined => this.linkTo(complete(address, from))

  readonly moved = (slot: number, address: string, from: Link): void => {
    this.slots[slot] = this.at(address, from)
    this.refresh()
  }

  readonly refresh = (done?: Listener): void => {
    if (this.isClosed) return done?.(closed)
    if (done === undefined) {
      this.isLate = this.isLooking
      if (!this.isLooking) this.lookSoon()
    } else if (this.isLooking) this.listen(() => this.refresh(done))
    else {
      this.listen(done)
      this.lookNow()
    }
  }

  /** Calls back when the masters are known and have answered or not, or when nobody knows them. */
  readonly onOutcome = (listener: Listener): () => void => {
    let isOver = false
    const settle: Listener = (failure) => void (isOver || listener(failure))
    this.listen((failure) => {
      let left = this.masters.length
      if (left === 0) settle(failure ?? this.failure())
      // One that does not answer may be about to be replaced.
      for (const link of this.masters) link.onOutcome(() => void (--left === 0 && settle(undefined)))
    })
    return () => {
      isOver = true
    }
  }

  protected links(): Iterable<Link> {
    return this.known.values()
  }

  protected look(): void {
    this.isLooking = true
    this.askOneOf([...this.known.values()].filter((link) => link.state === "up"))
  }

  private linkTo(address: string): Link | undefined {
    const known = this.known.get(address)
    if (known !== undefined || this.isClosed) return known
    const at = this.options.natMap[address] ?? addressOf(address)
    if (at === undefined) return undefined
    const link = this.options.connect(at.host, at.port, () => this.refresh())
    this.known.set(address, link)
    return link
  }

  /** Asks one that answers; those that are named where none does. */
  private askOneOf(links: Array<Link>): void {
    const [link] = links.splice(Math.floor(Math.random() * links.length), 1)
    if (link === undefined) return this.askSeeds()
    this.ask(link, (failure) => {
      if (failure !== undefined) this.askOneOf(links)
    })
  }

  /** Asks all of them, whichever answers first: one may be frozen. */
  private askSeeds(): void {
    const { seeds } = this.options
    let left = seeds.length
    let isOver = false
    const settle: Listener = (failure) => {
      left--
      if (isOver) return
      if (failure !== undefined && failure !== notConnected) this.lastFailure = failure
      if (failure !== undefined && left > 0) return
      isOver = true
      if (failure !== undefined) this.end(this.lastFailure ?? failure)
    }
    for (const seed of seeds) {
      const link = this.linkTo(seed)
      if (link === undefined) settle(notConnected)
      else link.onOutcome((failure) => failure === undefined && !isOver ? this.ask(link, settle) : settle(failure))
    }
  }

  private ask(link: Link, done: Listener): void {
    link.send("cluster", ["SLOTS"], (failure, reply) => {
      if (this.isClosed) return
      const ranges = failure === undefined ? rangesOf(reply, link) : []
      if (ranges.length > 0 && this.isLooking) this.adopt(ranges)
      done(failure ?? (ranges.length > 0 ? undefined : uncovered))
    })
  }

  private adopt(ranges: ReadonlyArray<Range>): void {
    const before = this.known
    this.known = new Map()
    this.slots = Array.from({ length: slotCount })
    for (const [first, last, address] of ranges) {
      const known = before.get(address)
      if (known !== undefined) this.known.set(address, known)
      this.slots.fill(this.linkTo(address), first, last + 1)
    }
    this.masters = [...this.known.values()]
    for (const [address, link] of before) {
      if (!this.known.has(address)) this.retire(link)
    }
    this.end(undefined)
  }

  private end(failure: Failure | undefined): void {
    this.isLooking = false
    this.lastFailure = failure
    const isWell = failure === undefined && !this.isLate && this.masters.every((link) => link.state === "up")
    this.isLate = false
    this.lookIn(isWell ? this.options.refreshInterval : hurry)
    this.notify(failure)
  }
}

const uncovered: Failure = { reason: "Unavailable", description: "no server has the key's slot" }

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
