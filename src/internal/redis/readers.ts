/**
 * Concurrent questions joined into one command: alone and at once when nothing is
 * under way, together when something is.
 */
import * as Entry from "../entry.js"
import type { Failure } from "./failure.js"
import type { Argument, Command, Done } from "./link.js"

/** Sends the questions of a batch, and calls `each` once for every key, with its index. */
export type Fetch<Asker> = (
  batch: ReadonlyMap<string, ReadonlyArray<Asker>>,
  each: (index: number, failure: Failure | undefined, reply: any) => void
) => void

/** Answers all who asked about one key. */
export type Deliver<Asker> = (askers: ReadonlyArray<Asker>, failure: Failure | undefined, reply: any) => void

const largestBatch = 256
/** A question is not kept waiting behind a command that has been under way for so many milliseconds. */
const patience = 20

export class Joined<Asker> {
  /** Who asks about which key; nothing has been sent for them yet. */
  private waiting = new Map<string, Array<Asker>>()
  /** The newest batch under way. */
  private newest: object | undefined
  private sentAt = 0
  private isScheduled = false

  constructor(private readonly fetch: Fetch<Asker>, private readonly deliver: Deliver<Asker>) {}

  ask(key: string, asker: Asker): void {
    const askers = this.waiting.get(key)
    if (askers === undefined) this.waiting.set(key, [asker])
    else askers.push(asker)
    if (this.newest === undefined || this.waiting.size === largestBatch) this.flush()
    else if (!this.isScheduled && performance.now() - this.sentAt > patience) {
      this.isScheduled = true
      queueMicrotask(() => this.flush())
    }
  }

  private flush(): void {
    this.isScheduled = false
    const batch = this.waiting
    if (batch.size === 0) return
    const mine = this.newest = {}
    this.waiting = new Map()
    this.sentAt = performance.now()
    const askers = [...batch.values()]
    this.fetch(batch, (index, failure, reply) => {
      // With the first answer: the others of the batch are right behind it, or on a detour of their own.
      if (this.newest === mine) {
        this.newest = undefined
        // Who waits behind a command that got no answer has waited as long, but for our patience.
        if (failure?.reason === "Timeout" || failure?.reason === "Connection") this.fail(failure)
        else this.flush()
      }
      this.deliver(askers[index]!, failure, reply)
    })
  }

  private fail(failure: Failure): void {
    const { waiting } = this
    this.waiting = new Map()
    for (const askers of waiting.values()) this.deliver(askers, failure, undefined)
  }
}

// -----------------------------------------------------------------------------
// reads
// -----------------------------------------------------------------------------

export type Reader = (failure: Failure | undefined, entry: Entry.Entry | undefined) => void

export type Send = (key: string, command: Command, args: Array<Argument>, done: Done) => void

/** The entry in a reply, told apart from nothing, foreign bytes and a value of another type. */
export const entryOf = (reply: Buffer | null): Entry.Entry | undefined =>
  // A Uint8Array and not the Buffer: its `slice` copies, so that a small payload does not keep a large reply alive.
  reply === null ? undefined : Entry.decode(new Uint8Array(reply.buffer, reply.byteOffset, reply.byteLength))

const deliverEntry: Deliver<Reader> = (readers, failure, reply: Buffer | null) => {
  const isForeign = failure?.cause?.code === "WRONGTYPE"
  const entry = failure === undefined ? entryOf(reply) : undefined
  for (const reader of readers) reader(isForeign ? undefined : failure, entry)
}

/** Reads of one server, with one command for all keys of a batch. */
export const readersOfOne = (send: Send): Joined<Reader> =>
  new Joined((batch, each) => {
    const keys = Array.from(batch.keys())
    if (keys.length === 1) send(keys[0]!, "get", keys, (failure, reply) => each(0, failure, reply))
    else {
      send(keys[0]!, "mget", keys, (failure, replies) => keys.forEach((_, at) => each(at, failure, replies?.[at])))
    }
  }, deliverEntry)

/** Reads of several servers, with a command for every key. */
export const readersOfMany = (send: Send, together: (body: () => void) => void): Joined<Reader> =>
  new Joined(
    (batch, each) =>
      together(() => {
        let at = 0
        for (const key of batch.keys()) {
          const index = at++
          send(key, "get", [key], (failure, reply) => each(index, failure, reply))
        }
      }),
    deliverEntry
  )
