/**
 * The master that the sentinels name, and a replica where one is wanted: a
 * connection to every sentinel, each asked again and again, and one to each
 * server, replaced when the greatest configuration epoch heard of names another.
 */
import { type Address, addressOf, type NatMap } from "./client.js"
import { closed, type Failure, notConnected } from "./failure.js"
import type { Link } from "./link.js"
import { hurry, type Listener, type Nodes, Watch } from "./nodes.js"

/** Between two looks while all is well, in milliseconds. */
const interval = 500

export interface Options {
  readonly sentinels: ReadonlyArray<Address>
  /** The name of the master. */
  readonly master: string
  /** Whether entries are read from a replica. */
  readonly wantsReplica: boolean
  readonly natMap: NatMap
  readonly connectToSentinel: (host: string, port: number) => Link
  readonly connect: (role: "master" | "slave", host: string, port: number, onDown: () => void) => Link
  readonly commandTimeout: number
}

interface Server {
  readonly address: string
  readonly link: Link
}

type Facts = ReadonlyMap<string, string>

export class SentinelNodes extends Watch implements Nodes {
  readonly isOne = true
  readonly hasStandIns: boolean
  private readonly sentinels: ReadonlyArray<Link>
  /** Sentinels that have yet to answer. */
  private readonly asked = new Set<Link>()
  private master: Server | undefined
  /** No older than what named the master. */
  private epoch = 0
  private replica: Server | undefined
  private lastFailure: Failure | undefined

  constructor(private readonly options: Options) {
    super(options.commandTimeout)
    this.hasStandIns = options.wantsReplica
    this.sentinels = options.sentinels.map(({ host, port }) => options.connectToSentinel(host, port))
    for (const link of this.sentinels) {
      link.onOutcome((failure) => failure === undefined ? this.lookNow() : this.miss(failure))
    }
    this.lookIn(hurry)
  }

  readonly owner = (): Link | undefined => this.master?.link
  readonly standIn = (): Link | undefined => this.replica?.link.state === "up" ? this.replica.link : this.master?.link
  readonly owners = (): ReadonlyArray<Link> => this.master === undefined ? [] : [this.master.link]
  readonly failure = (): Failure => this.isClosed ? closed : this.lastFailure ?? notConnected
  readonly at = this.owner
  readonly moved = (): void => {}

  readonly refresh = (done?: Listener): void => {
    if (this.isClosed) return done?.(closed)
    if (done === undefined) return this.lookSoon()
    this.listen(done)
    this.lookNow()
  }

  /** Calls back when the master is known and has answered, or when that failed. */
  readonly onOutcome = (listener: Listener): () => void => {
    let isOver = false
    const settle: Listener = (failure) => void (isOver || listener(failure))
    this.listen((failure) => {
      if (this.master === undefined) settle(failure ?? this.failure())
      else this.master.link.onOutcome(settle)
    })
    return () => {
      isOver = true
    }
  }

  protected links(): Iterable<Link> {
    return [...this.sentinels, ...this.owners(), ...(this.replica === undefined ? [] : [this.replica.link])]
  }

  /** Asks every sentinel that is there and has nothing to answer yet. */
  protected look(): void {
    this.lookIn(this.master?.link.state === "up" ? interval : hurry)
    const { master: name, wantsReplica } = this.options
    for (const link of this.sentinels) {
      if (link.state !== "up" || this.asked.has(link)) continue
      this.asked.add(link)
      let epoch = 0
      // The epoch before the address: of the two, the address may be the newer one, never the epoch.
      link.send("sentinel", ["MASTER", name], (failure, reply) => {
        if (failure === undefined) epoch = Number(factsOf(reply).get("config-epoch"))
      })
      link.send("sentinel", ["GET-MASTER-ADDR-BY-NAME", name], (failure, reply) => {
        this.asked.delete(link)
        if (failure !== undefined) this.miss(failure)
        else if (reply === null) this.miss({ reason: "InvalidInput", description: "ERR No such master with that name" })
        else this.hear(`${reply[0]}:${reply[1]}`, epoch)
      })
      if (wantsReplica) {
        link.send("sentinel", ["SLAVES", name], (failure, reply) => {
          if (failure === undefined) this.hearOfReplicas((reply as ReadonlyArray<unknown>).map(factsOf))
        })
      }
    }
    if (this.asked.size === 0) this.miss(this.sentinels.find((link) => link.state === "down")?.failure)
  }

  private hear(address: string, epoch: number): void {
    if (this.isClosed) return
    if (address !== this.master?.address) {
      // A sentinel that was cut off names a master of long ago: worth a try only where there is none.
      if (this.master !== undefined && epoch <= this.epoch && this.master.link.state !== "down") return
      this.master = this.serverAt(address, "master", this.master)
      this.epoch = epoch
    } else this.epoch = Math.max(epoch, this.epoch)
    this.lastFailure = undefined
    this.notify(undefined)
  }

  private hearOfReplicas(replicas: ReadonlyArray<Facts>): void {
    if (this.isClosed) return
    const addresses = replicas.filter(isWell).map((facts) => `${facts.get("ip")}:${facts.get("port")}`)
    if (this.replica !== undefined && this.replica.link.state !== "down" && addresses.includes(this.replica.address)) {
      return
    }
    const address = addresses[Math.floor(Math.random() * addresses.length)]
    if (address !== undefined && address !== this.replica?.address) {
      this.replica = this.serverAt(address, "slave", this.replica)
    } else if (address === undefined && this.replica !== undefined) {
      this.retire(this.replica.link)
      this.replica = undefined
    }
  }

  private serverAt(address: string, role: "master" | "slave", before: Server | undefined): Server | undefined {
    const at = this.options.natMap[address] ?? addressOf(address)
    if (at === undefined) return before
    if (before !== undefined) this.retire(before.link)
    return { address, link: this.options.connect(role, at.host, at.port, () => this.refresh()) }
  }

  /** One has not answered. While another one may, there is hope. */
  private miss(failure: Failure | undefined): void {
    this.lastFailure = failure ?? this.lastFailure
    if (this.asked.size === 0 && this.sentinels.every((link) => link.state !== "connecting")) {
      this.notify(this.failure())
    }
  }
}

const factsOf = (reply: unknown): Facts => {
  const words = (reply as ReadonlyArray<unknown>).map(String)
  return new Map(words.flatMap((word, index) => index % 2 === 0 ? [[word, words[index + 1]!]] : []))
}

const isWell = (replica: Facts): boolean =>
  !/disconnected|s_down|o_down/.test(replica.get("flags") ?? "") && replica.get("master-link-status") === "ok"
