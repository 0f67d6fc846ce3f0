/**
 * Requests to a uWSGI server: a connection each, so many at a time, every one
 * answered once and in time.
 */
import * as Net from "node:net"
import { closed, type Failure, ofConnection, timedOut } from "../failure.js"
import { type Packet, PacketReader } from "./packets.js"

/** What came of a request; `packet` is `undefined` where the server closed the connection without a word. */
export type Outcome =
  | { readonly failure: Failure }
  | { readonly failure?: undefined; readonly packet: Packet | undefined }

export type Address = { readonly host: string; readonly port: number } | { readonly path: string }

interface Call {
  readonly packet: Uint8Array
  readonly done: (outcome: Outcome) => void
  readonly isPatient: boolean
  readonly deadline: number
  /** When the timer should fire. */
  dueAt: number
  isExtended: boolean
  socket: Net.Socket | undefined
  timer: ReturnType<typeof setTimeout> | undefined
}

/** After a time-out, requests fail at once for so long; then one is tried. */
const silence = 200
/** A timer that fires so late was held up by this process: the answer may be waiting to be read. */
const lateness = 20

export class Link {
  private readonly waiting = new Set<Call>()
  private readonly open = new Set<Call>()
  private isClosed = false
  /** Since a request went unanswered: until when others are not tried. */
  private silentUntil: number | undefined
  private trial: Call | undefined

  constructor(
    private readonly address: Address,
    private readonly timeout: number,
    private readonly concurrency: number
  ) {}

  /** Sends a request, calls back once, and answers how to give it up. With `within`, silence is an answer too. */
  send(packet: Uint8Array, done: (outcome: Outcome) => void, within?: number): () => void {
    const now = performance.now()
    const call: Call = {
      packet,
      done,
      isPatient: within !== undefined,
      // Counted from here: who waits for a connection does not wait for longer.
      deadline: now + (within ?? this.timeout),
      dueAt: 0,
      isExtended: false,
      socket: undefined,
      timer: undefined
    }
    if (this.isClosed) {
      done({ failure: closed })
      return () => {}
    }
    if (this.silentUntil !== undefined) {
      if (now < this.silentUntil || this.trial !== undefined) {
        done({ failure: timedOut })
        return () => {}
      }
      this.trial = call
    }
    this.waiting.add(call)
    this.pump()
    return () => this.end(call)
  }

  /** Answers what is under way and, from now on, everything else with a failure. */
  close(): void {
    this.isClosed = true
    for (const call of [...this.open, ...this.waiting]) this.settle(call, { failure: closed })
  }

  private pump(): void {
    for (const call of this.waiting) {
      if (this.open.size >= this.concurrency) return
      this.waiting.delete(call)
      this.start(call)
    }
  }

  private start(call: Call): void {
    this.open.add(call)
    const now = performance.now()
    call.dueAt = Math.max(now, call.deadline)
    call.timer = setTimeout(() => this.expire(call), call.dueAt - now)
    const reader = new PacketReader()
    const socket = Net.connect({ ...this.address, noDelay: true } as Net.NetConnectOpts)
    call.socket = socket
    socket.on("error", (error) => this.settle(call, { failure: ofConnection(error) }))
    socket.on("data", (chunk) => {
      const packet = reader.push(chunk)
      if (packet === undefined) return
      this.settle(
        call,
        packet === "foreign"
          ? { failure: { reason: "Unavailable", description: "the answer is not one of a uWSGI cache" } }
          : { packet }
      )
    })
    socket.on("end", () =>
      this.settle(
        call,
        reader.isEmpty
          ? { packet: undefined }
          : { failure: { reason: "Connection", description: "the answer was cut off" } }
      ))
    socket.on("close", () => this.settle(call, { failure: { reason: "Connection" } }))
    socket.write(call.packet)
  }

  private expire(call: Call): void {
    const late = performance.now() - call.dueAt
    if (late > lateness && !call.isExtended) {
      call.isExtended = true
      call.dueAt += 2 * late
      call.timer = setTimeout(() => this.expire(call), Math.min(late, this.timeout))
      return
    }
    if (!call.isPatient) this.silentUntil = performance.now() + silence
    this.settle(call, { failure: timedOut })
  }

  private settle(call: Call, outcome: Outcome): void {
    if (!this.open.has(call) && !this.waiting.has(call)) return
    if (outcome.failure === undefined) this.silentUntil = undefined
    this.end(call)
    call.done(outcome)
  }

  private end(call: Call): void {
    clearTimeout(call.timer)
    this.waiting.delete(call)
    if (this.trial === call) this.trial = undefined
    if (!this.open.delete(call)) return
    // A server that is behind will still carry it out: it reads what has arrived, whatever became of the connection.
    call.socket!.destroy()
    this.pump()
  }
}
