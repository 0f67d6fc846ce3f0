/**
 * Concurrent reads joined into one command: alone and at once when nothing is
 * under way, together when something is.
 */
import * as Entry from "../entry.js"
import type { Failure } from "./failure.js"
import type { Link } from "./link.js"

export type Reader = (failure: Failure | undefined, entry: Entry.Entry | undefined) => void

const largestBatch = 256
/** A read is not kept waiting behind a command that has been under way for so many milliseconds. */
const patience = 20

/** The entry in a reply, told apart from nothing, foreign bytes and a value of another type. */
export const entryOf = (reply: Buffer | null): Entry.Entry | undefined =>
  // A Uint8Array and not the Buffer: its `slice` copies, so that a small payload does not keep a large reply alive.
  reply === null ? undefined : Entry.decode(new Uint8Array(reply.buffer, reply.byteOffset, reply.byteLength))

export class Readers {
  /** Who waits for which key; nothing has been sent for them yet. */
  private waiting = new Map<string, Array<Reader>>()
  /** The newest batch under way. */
  private newest: object | undefined
  private sentAt = 0
  private isScheduled = false

  constructor(private readonly link: Link) {}

  read(key: string, reader: Reader): void {
    const readers = this.waiting.get(key)
    if (readers === undefined) this.waiting.set(key, [reader])
    else readers.push(reader)
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
    const keys = [...batch.keys()]
    const mine = this.newest = {}
    this.waiting = new Map()
    this.sentAt = performance.now()
    this.link.send(keys.length === 1 ? "get" : "mget", keys, (failure, reply) => {
      if (this.newest === mine) {
        this.newest = undefined
        // Who waits behind a command that timed out has waited as long, but for our patience.
        if (failure?.reason === "Timeout") this.fail(failure)
        else this.flush()
      }
      if (failure !== undefined && failure.cause?.code !== "WRONGTYPE") return failAll(batch, failure)
      const replies: ReadonlyArray<Buffer | null> = keys.length > 1 ? reply : [failure === undefined ? reply : null]
      let at = 0
      for (const readers of batch.values()) {
        const entry = entryOf(replies[at++]!)
        for (const reader of readers) reader(undefined, entry)
      }
    })
  }

  private fail(failure: Failure): void {
    const waiting = this.waiting
    this.waiting = new Map()
    failAll(waiting, failure)
  }
}

const failAll = (batch: ReadonlyMap<string, ReadonlyArray<Reader>>, failure: Failure): void => {
  for (const readers of batch.values()) {
    for (const reader of readers) reader(failure, undefined)
  }
}
