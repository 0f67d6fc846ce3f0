/**
 * The masters of a cluster as a client of the user's knows them, over its connections.
 */
import type { Cluster, Redis } from "ioredis"
import { closed, type Failure, notConnected } from "./failure.js"
import { Link } from "./link.js"
import type { Listener, Nodes } from "./nodes.js"

export class ForeignNodes implements Nodes {
  readonly isOne = false
  private readonly links = new Map<Redis, Link>()
  private isClosed = false

  constructor(private readonly client: Cluster, private readonly timeout: number) {}

  readonly owner = (slot: number): Link | undefined => this.linkOf(this.client.slots[slot]?.[0])
  readonly standIn = this.owner
  readonly hasStandIns = false
  readonly at = (address: string): Link | undefined => this.linkOf(address)
  readonly owners = (): ReadonlyArray<Link> => this.client.nodes("master").map((redis) => this.linkTo(redis))

  readonly moved = (slot: number, address: string): void => {
    // As the client itself does. One that it does not know yet it finds by looking again.
    if (this.linkOf(address) !== undefined) this.client.slots[slot] = [address]
    this.refresh()
  }

  readonly refresh = (done?: Listener): void => {
    if (this.isClosed) done?.(closed)
    else this.client.refreshSlotsCache((error) => done?.(error ? notConnected : undefined))
  }

  readonly failure = (): Failure => this.isClosed ? closed : notConnected

  readonly close = (): Promise<void> => {
    this.isClosed = true
    for (const link of this.links.values()) link.close()
    return Promise.resolve()
  }

  private linkOf(address: string | undefined): Link | undefined {
    const redis = address === undefined
      ? undefined
      : this.client.nodes("all").find(({ options: { host, port } }) => `${host}:${port}` === address)
    return redis && this.linkTo(redis)
  }

  private linkTo(redis: Redis): Link {
    const known = this.links.get(redis)
    if (known !== undefined) return known
    for (const [redis, link] of this.links) {
      if (redis.status !== "end") continue
      link.close()
      this.links.delete(redis)
    }
    const link = new Link(redis, this.timeout)
    this.links.set(redis, link)
    return link
  }
}
