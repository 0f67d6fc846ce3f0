/**
 * How the backend reaches its servers: what another client would have to do.
 */
import type * as Memjs from "memjs"
import { crc32 } from "node:zlib"
import { Node } from "./node.js"
import { Wire } from "./wire.js"

export interface Transport {
  readonly nodes: ReadonlyArray<Node>
  /** The one server that has the item of this name. */
  readonly nodeOf: (wire: string) => Node
  /** Answers what is under way, and refuses what comes. */
  readonly close: () => void
}

export interface Address {
  readonly host: string | undefined
  /** Or the path of a Unix socket. */
  readonly port: number | string
}

/** `undefined` for what is no address. */
export const parseAddress = (text: string): Address | undefined => {
  if (text.startsWith("/")) return { host: undefined, port: text }
  const [, six, host = six, digits = "11211"] = /^(?:\[([\da-f:.]+)\]|([^\s:@/,[\]]+))(?::(\d{1,5}))?$/i.exec(text) ??
    []
  const port = Number(digits)
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port }
}

/** A client of our own for the servers; `end` closes its connections. */
export const connect = (
  memjs: typeof Memjs,
  addresses: ReadonlyArray<Address>,
  { password, timeout, username }: {
    readonly username: string | undefined
    readonly password: string | undefined
    /** In milliseconds. */
    readonly timeout: number
  }
): Transport => {
  const servers = addresses.map(({ host, port }) => {
    // The time is the node's to watch.
    const options = { timeout: 86_400, conntimeout: 86_400, keepAlive: true }
    const server = new memjs.Server(host as string, port as number, username, password, options)
    // memjs would take them from the environment.
    return Object.assign(server, { username, password })
  })
  const client = new memjs.Client(servers, { logger: { log: () => {} }, retries: 1 })
  const seeds = addresses.map(({ host, port }) => crc32(`${host}:${port}`))
  // Rendezvous: a server more or less moves the keys of that server only.
  client.getServer = (key) => {
    const hash = crc32(key)
    let [best, most] = [0, -1]
    seeds.forEach((seed, index) => {
      const weight = mix(hash ^ seed)
      if (weight > most) [best, most] = [index, weight]
    })
    return best as unknown as string
  }
  const transport = over(client, timeout)
  return {
    ...transport,
    close: () => {
      transport.close()
      for (const server of servers) Wire.of(client, server).end(new Error("the backend is closed"))
    }
  }
}

/** The servers of a client, whose connections stay open when this is closed. */
export const over = (client: Memjs.Client, timeout: number): Transport => {
  const nodes = client.servers.map((server) => new Node(nameOf(server), Wire.of(client, server), timeout))
  return {
    nodes,
    // Not `client.server`, which may name another for a while: what is cleared and removed there stays here.
    nodeOf: (wire) => nodes[nodes.length === 1 ? 0 : Number(client.getServer(wire))]!,
    close: () => nodes.forEach((node) => node.close())
  }
}

const nameOf = ({ host, port }: Memjs.Server): string => host === undefined ? String(port) : `${host}:${port}`

const mix = (hash: number): number => {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
