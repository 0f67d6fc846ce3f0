/**
 * The way of a command to the server that has its key, where servers change:
 * straight, or on a detour when that server has moved, moves the key, or cannot
 * serve for a moment. What goes out again has provably not been done: a command
 * whose reply was lost never does.
 */
import { type Claimant, claimsOfMany, claimsOfOne, type TagSpace } from "./claims.js"
import { closed, type Failure, timedOut } from "./failure.js"
import type { Done, Link } from "./link.js"
import type { Nodes } from "./nodes.js"
import { type Joined, type Reader, readersOfMany, readersOfOne } from "./readers.js"
import { type Key, nowhere, type Servers } from "./servers.js"
import { slotOf } from "./slot.js"

type Attempt = (link: Link, done: Done, isAsking: boolean) => void

/** Between two tries, in milliseconds. */
const tryAgainDelay = 10
const outageDelay = 50
/** So many tries while servers say that they cannot serve, and so many redirections without a pause. */
const outageTries = 3
const quickHops = 3

/** The servers say so when half a slot has moved, until the other half has. */
const halfMoved = "TRYAGAIN"
const outages = new Set(["CLUSTERDOWN", "MASTERDOWN", "LOADING", "READONLY"])
const isRefusal = ({ cause }: Failure): boolean => {
  const code = cause?.code
  return code !== undefined && (code === "MOVED" || code === "ASK" || code === halfMoved || outages.has(code))
}

export class Router implements Servers {
  private readonly readers = new WeakMap<Link, Joined<Reader>>()
  private readonly claims = new WeakMap<Link, Joined<Claimant>>()
  private readonly detours = new Set<Detour>()
  private isClosed = false

  constructor(
    private readonly nodes: Nodes,
    private readonly timeout: number,
    readonly keyPrefix: string
  ) {}

  get isOne(): boolean {
    return this.nodes.isOne
  }

  readonly send: Servers["send"] = (key, command, args, done) => {
    const slot = this.slotOf(key)
    this.route(slot, this.nodes.owner(slot), (link, done, isAsking) => link.send(command, args, done, isAsking), done)
  }

  readonly query: Servers["query"] = (key, command, args, done) => {
    const slot = this.slotOf(key)
    const link = this.nodes.standIn(slot)
    this.route(slot, link, (link, done, isAsking) => link.send(command, args, done, isAsking), done)
  }

  readonly run: Servers["run"] = (script, keys, args, done) => {
    const slot = this.slotOf(keys[0]!)
    this.route(
      slot,
      this.nodes.owner(slot),
      (link, done, isAsking) => link.run(script, keys, args, done, isAsking),
      done
    )
  }

  readonly read: Servers["read"] = (key, reader) =>
    joinedAt(
      this.readers,
      this.nodes.standIn(this.slotOf(key)),
      () => this.isOne ? readersOfOne(this.query) : readersOfMany(this.query, this.together)
    ).ask(key, reader)

  get claim(): Servers["claim"] {
    return this.nodes.hasStandIns ? undefined : this.claimAtOwner
  }

  private readonly claimAtOwner = (key: string, claimant: Claimant, tagSpace: TagSpace) =>
    joinedAt(
      this.claims,
      this.nodes.owner(this.slotOf(key)),
      () => this.isOne ? claimsOfOne(this.run, tagSpace) : claimsOfMany(this.run, this.together)
    ).ask(key, claimant)

  readonly together: Servers["together"] = (body) => {
    const streams = this.nodes.owners().flatMap((link) => link.client.stream ?? [])
    for (const stream of streams) stream.cork()
    try {
      body()
    } finally {
      for (const stream of streams) stream.uncork()
    }
  }

  readonly survey: Servers["survey"] = (done) => {
    let isOver = false
    const settle = (failure: Failure | undefined, survey = nowhere) => {
      clearTimeout(deadline)
      if (!isOver) done(failure, survey)
      isOver = true
    }
    const deadline = setTimeout(() => settle(timedOut), this.timeout)
    this.nodes.refresh((failure) => {
      const links = this.nodes.owners()
      if (links.length === 0) return settle(failure ?? this.nodes.failure())
      if (this.isOne) return settle(undefined, { ...nowhere, links })
      // There may be a master that we do not know of.
      if (failure !== undefined) return settle(failure)
      const shares: Array<string> = []
      const add: Done = (failure, reply) => {
        if (failure !== undefined) return settle(failure)
        if (shares.push(shareOf(String(reply))) < links.length) return
        const mark = shares.sort().join("\n")
        settle(undefined, { links, mark, isMoving: mark.includes("[") })
      }
      for (const link of links) {
        const ask = () => link.send("cluster", ["NODES"], add)
        if (link.state === "connecting") link.onOutcome((failure) => failure === undefined ? ask() : settle(failure))
        else ask()
      }
    })
  }

  /** Answers everything that is under way, and ends the connections. */
  close(): Promise<void> {
    this.isClosed = true
    for (const detour of this.detours) detour.settle(closed, undefined)
    return this.nodes.close()
  }

  private slotOf(key: Key): number {
    if (this.isOne) return 0
    if (this.keyPrefix === "") return slotOf(key)
    return slotOf(Buffer.concat([Buffer.from(this.keyPrefix), Buffer.from(key as Buffer)]))
  }

  private route(slot: number, link: Link | undefined, attempt: Attempt, done: Done): void {
    if (this.isClosed) return done(closed, undefined)
    if (link?.state !== "up") return this.detour(slot, attempt, done).to(link)
    const startedAt = performance.now()
    attempt(link, (failure, reply) => {
      if (failure === undefined) return done(undefined, reply)
      if (failure.reason === "Timeout" || failure.reason === "Connection") this.nodes.refresh()
      if (isRefusal(failure) && !this.isClosed) this.detour(slot, attempt, done, startedAt).after(failure, link)
      else done(failure, undefined)
    }, false)
  }

  private detour(slot: number, attempt: Attempt, done: Done, startedAt = performance.now()): Detour {
    const time = Math.max(0, startedAt + this.timeout - performance.now())
    const detour: Detour = new Detour(this.nodes, slot, attempt, time, (failure, reply) => {
      this.detours.delete(detour)
      done(failure, reply)
    })
    this.detours.add(detour)
    return detour
  }
}

/** What is joined for a server; alone where none is known. */
const joinedAt = <Asker>(
  known: WeakMap<Link, Joined<Asker>>,
  link: Link | undefined,
  make: () => Joined<Asker>
): Joined<Asker> => {
  const joined = (link && known.get(link)) ?? make()
  if (link !== undefined) known.set(link, joined)
  return joined
}

/** One command that did not get through at once. It takes no longer than any other. */
class Detour {
  private readonly deadline: ReturnType<typeof setTimeout>
  private pause: ReturnType<typeof setTimeout> | undefined
  private isOver = false
  private hops = 0
  private outages = 0
  private stopWaiting: (() => void) | undefined

  constructor(
    private readonly nodes: Nodes,
    private readonly slot: number,
    private readonly attempt: Attempt,
    time: number,
    private readonly done: Done
  ) {
    this.deadline = setTimeout(() => this.settle(timedOut, undefined), time)
    this.deadline.unref()
  }

  to(link: Link | undefined, isAsking = false): void {
    if (this.isOver) return
    if (link === undefined) return this.settle(this.nodes.failure(), undefined)
    if (link.state === "connecting") {
      this.stopWaiting = link.onOutcome((failure) =>
        failure === undefined ? this.to(link, isAsking) : this.settle(failure, undefined)
      )
      return
    }
    if (link.state === "down") {
      this.nodes.refresh()
      return this.settle(link.failure, undefined)
    }
    this.attempt(
      link,
      (failure, reply) => {
        if (failure !== undefined && isRefusal(failure)) this.after(failure, link)
        else this.settle(failure, reply)
      },
      isAsking
    )
  }

  /** To the server that has the key already, though not yet the slot. */
  private toThat(link: Link | undefined): void {
    if (link !== undefined) return this.to(link, true)
    this.nodes.refresh()
    this.later(tryAgainDelay)
  }

  after(failure: Failure, from: Link): void {
    if (this.isOver) return
    const [code, , address] = failure.cause!.message.split(" ")
    switch (code) {
      case "MOVED":
        this.nodes.moved(this.slot, address!, from)
        return this.hop(() => this.to(this.nodes.owner(this.slot)))
      case "ASK":
        return this.hop(() => this.toThat(this.nodes.at(address!, from)))
      case halfMoved:
        return this.later(tryAgainDelay)
      default:
        this.nodes.refresh()
        if (++this.outages > outageTries) this.settle(failure, undefined)
        else this.later(outageDelay)
    }
  }

  settle(failure: Failure | undefined, reply: unknown): void {
    if (this.isOver) return
    this.isOver = true
    clearTimeout(this.deadline)
    clearTimeout(this.pause)
    this.stopWaiting?.()
    this.done(failure, reply)
  }

  private hop(go: () => void): void {
    if (++this.hops <= quickHops) go()
    else this.later(tryAgainDelay)
  }

  private later(delay: number): void {
    this.pause = setTimeout(() => this.to(this.nodes.owner(this.slot)), delay)
    this.pause.unref()
  }
}

/** The slots of the server that answered CLUSTER NODES, and those that come and go, in brackets. */
const shareOf = (nodes: string): string => {
  const line = nodes.split("\n").find((line) => line.includes("myself")) ?? ""
  const [id, , , , , , , , ...slots] = line.split(" ")
  return [id, ...slots].join(" ")
}
