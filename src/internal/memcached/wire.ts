/**
 * A server of a memjs client, made safe.
 *
 * As it comes, memjs keeps half a reply of a lost connection and takes the next
 * one for its end, which gives wrong bytes; never answers what is under way when
 * a server closes; forgets new sockets when old ones close; and breaks at its
 * 2³¹st request. Here one socket is one state of the parser, and every way in
 * which it can end answers everything that is under way.
 */
import type { Client, Response, Server } from "memjs"
import type { Socket } from "node:net"

/** What memjs' servers have inside. */
type Internals =
  & {
    -readonly [K in "connected" | "timeoutSet" | "responseBuffer" | "username" | "password"]: Server[K]
  }
  & {
    _socket: Socket | undefined
    sock: (sasl: boolean, go: (socket: Socket) => void) => void
    error: (error: unknown) => void
    respond: (response: Response) => void
    removeAllListeners: (event: string) => void
  }

/** Who numbers the requests: one for all servers of a client. */
interface Counter {
  seq: number
  incrSeq: () => void
}

export type OnResponse = (response: Response) => void

const largestOpaque = 0x7fffffff

export class Wire {
  /** Another one for each connection: what was read on one says nothing on the next. */
  epoch = 0
  /** Who waits for the answers to the requests with this opaque. */
  readonly waiting = new Map<number, OnResponse>()
  /** Told when a connection, or the attempt to make one, has ended. */
  readonly onEnd = new Set<(error: Error) => void>()
  private readonly server: Internals
  private readonly memjsError: (error: unknown) => void
  private socket: Socket | undefined
  private corked: Socket | undefined

  private constructor(private readonly counter: Counter, server: Server) {
    const internals = this.server = server as unknown as Internals
    const { error, respond, sock } = internals
    this.memjsError = error
    internals.error = (error) => this.end(error instanceof Error ? error : new Error(String(error)))
    internals.respond = (response) => {
      const onResponse = this.waiting.get(response.header.opaque)
      if (onResponse === undefined) respond.call(server, response)
      else onResponse(response)
    }
    internals.sock = (sasl, go) => {
      const before = internals._socket
      sock.call(server, sasl, go)
      const socket = internals._socket
      if (socket !== undefined && socket !== before) this.adopt(socket)
    }
  }

  private static readonly known = new WeakMap<Server, Wire>()

  /** The wire of a server, which stays as it is then: memjs' own operations are safe on it too. */
  static of(client: Client, server: Server): Wire {
    let wire = Wire.known.get(server)
    if (wire === undefined) {
      const counter = client as unknown as Counter
      // memjs wraps to negative numbers, which it cannot write.
      counter.incrSeq = () => {
        counter.seq = (counter.seq + 1) & largestOpaque
      }
      wire = new Wire(counter, server)
      Wire.known.set(server, wire)
    }
    return wire
  }

  /** As many opaques in a row as asked for: the first of them. */
  opaques(count: number): number {
    const { counter } = this
    // All on one side of the wrap.
    if (counter.seq + count > largestOpaque) counter.seq = 0
    const first = counter.seq + 1
    counter.seq += count
    return first
  }

  /** Writes once there is a connection, or not at all. All of one turn of the event loop goes out at once. */
  write(parts: ReadonlyArray<Uint8Array>): void {
    this.server.sock(false, (socket) => {
      if (socket !== this.corked) {
        this.corked = socket
        socket.cork()
        queueMicrotask(() => {
          this.corked = undefined
          socket.uncork()
        })
      }
      for (const part of parts) socket.write(part)
    })
  }

  /** Ends the connection, answers memjs' own requests and tells the others. */
  end(error: Error): void {
    const { server, socket } = this
    this.socket = undefined
    this.epoch++
    server._socket = undefined
    server.connected = false
    server.timeoutSet = false
    server.responseBuffer = Buffer.alloc(0)
    server.removeAllListeners("authenticated")
    if (socket !== undefined) {
      for (const event of ["connect", "data", "timeout"]) socket.removeAllListeners(event)
      socket.on("error", () => {})
      socket.destroy()
    }
    this.memjsError.call(server, error)
    for (const listener of this.onEnd) listener(error)
  }

  private adopt(socket: Socket): void {
    this.socket = socket
    socket.removeAllListeners("error")
    socket.removeAllListeners("close")
    socket.setNoDelay(true)
    socket.on("error", (error) => {
      if (this.socket === socket) this.end(error)
    })
    socket.on("close", () => {
      if (this.socket !== socket) return
      this.end(Object.assign(new Error("the server closed the connection"), { code: "ECONNRESET" }))
    })
  }
}
