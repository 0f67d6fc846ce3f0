/**
 * One memcached server as the backend uses it: requests are sent together,
 * answered together, once and in time.
 *
 * The time is ours: memjs' own starts anew with every byte that arrives.
 */
import type { Response } from "memjs"
import { closed, type Failure, ofError, Silence } from "./failure.js"
import { encode, opcodes, type Reply, type Request } from "./packets.js"
import type { Wire } from "./wire.js"

/** A reply for each request, in their order; `undefined` for a get of nothing. */
export type Done = (failure: Failure | undefined, replies: ReadonlyArray<Reply | undefined>) => void

interface Batch {
  readonly first: number
  readonly deadline: number
  readonly requests: ReadonlyArray<Request>
  readonly replies: Array<Reply | undefined>
  readonly done: Done
}

const noop: Request = { opcode: opcodes.noop, key: "" }
const none: ReadonlyArray<never> = []

const shortestPause = 50
const longestPause = 500

export class Node {
  /** In the order in which they were sent, which is that of their deadlines. */
  private readonly batches = new Set<Batch>()
  private timer: ReturnType<typeof setTimeout> | undefined
  private isClosed = false
  /** Whether the server has answered on the present connection. */
  private isProven = false
  /** Until when nothing is tried, after how many failures in a row, and why. */
  private pause: { until: number; failures: number; failure: Failure } | undefined

  constructor(readonly name: string, private readonly wire: Wire, private readonly timeout: number) {
    wire.onEnd.add(this.onEnd)
  }

  /** What a CAS was read on; it holds for no other. */
  get epoch(): number {
    return this.wire.epoch
  }

  send(requests: ReadonlyArray<Request>, done: Done): void {
    if (this.isClosed) return done(closed, none)
    const now = performance.now()
    if (this.pause !== undefined && now < this.pause.until) return done(this.pause.failure, none)
    const { wire } = this
    const first = wire.opaques(requests.length + 1)
    const batch: Batch = {
      first,
      deadline: now + this.timeout,
      requests,
      replies: requests.map(() => undefined),
      done
    }
    const onResponse = (response: Response) => this.respond(batch, response)
    const parts: Array<Uint8Array> = []
    for (let index = 0; index <= requests.length; index++) {
      wire.waiting.set(first + index, onResponse)
      parts.push(...encode(requests[index] ?? noop, first + index))
    }
    this.batches.add(batch)
    if (this.timer === undefined) this.arm(this.timeout)
    wire.write(parts.length > 2 ? joinSmall(parts) : parts)
  }

  /** Answers what is under way and, from now on, everything else with a failure. */
  close(): void {
    this.isClosed = true
    clearTimeout(this.timer)
    this.wire.onEnd.delete(this.onEnd)
    this.settleAll(closed)
  }

  private respond(batch: Batch, { header, key, val }: Response): void {
    const index = header.opaque - batch.first
    const request = batch.requests[index]
    if (request !== undefined) {
      if (request.stat === undefined || key.toString("latin1") === request.stat) {
        batch.replies[index] = { status: header.status, value: val, cas: header.cas }
      }
      return
    }
    this.forget(batch)
    this.isProven = true
    this.pause = undefined
    batch.done(undefined, batch.replies)
  }

  private forget(batch: Batch): void {
    this.batches.delete(batch)
    for (let index = 0; index <= batch.requests.length; index++) this.wire.waiting.delete(batch.first + index)
  }

  private readonly onEnd = (error: Error): void => {
    const failure = ofError(error)
    // A connection that was of use is made again at once; what failed to be one, and a server that is silent, later.
    if (this.batches.size > 0 && (!this.isProven || failure.reason === "Timeout")) {
      const failures = (this.pause?.failures ?? 0) + 1
      const millis = Math.min(shortestPause * 2 ** (failures - 1), longestPause)
      this.pause = { until: performance.now() + millis, failures, failure }
    }
    this.isProven = false
    this.settleAll(failure)
  }

  private settleAll(failure: Failure): void {
    const batches = [...this.batches]
    for (const batch of batches) this.forget(batch)
    for (const batch of batches) batch.done(failure, none)
  }

  private arm(ms: number): void {
    // The replies that came while the event loop was busy are read before anything is called late.
    this.timer = setTimeout(() => setImmediate(() => this.sweep()), ms)
    this.timer.unref()
  }

  private sweep(): void {
    this.timer = undefined
    if (this.isClosed) return
    const [oldest] = this.batches
    if (oldest === undefined) return
    const left = oldest.deadline - performance.now()
    if (left > 0) this.arm(left)
    // What comes after it on the connection has to wait for it: it will not be answered sooner.
    else this.wire.end(new Silence("no answer in time"))
  }
}

const small = 4_096

/** Parts that are worth copying are copied together: a write costs more than the copy. */
const joinSmall = (parts: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  const joined: Array<Uint8Array> = []
  let run: Array<Uint8Array> = []
  const flush = () => {
    if (run.length > 0) joined.push(run.length === 1 ? run[0]! : Buffer.concat(run))
    run = []
  }
  for (const part of parts) {
    if (part.length <= small) run.push(part)
    else {
      flush()
      joined.push(part)
    }
  }
  flush()
  return joined
}
