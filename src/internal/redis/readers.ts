/**
 * Concurrent reads joined into one command: alone and at once when nothing is
 * under way, together when something is.
 */
import * as Entry from "../entry.js"
import type { Failure } from "./failure.js"
import type { Argument, Command, Done } from "./link.js"

export type Reader = (failure: Failure | undefined, entry: Entry.Entry | undefined) => void
/** Calls `each` once for every key, with its index. */
export type Fetch = (
  keys: ReadonlyArray<string>,
  each: (index: number, failure: Failure | undefined, reply: Buffer | null) => void
) => void

const largestBatch = 256
/** A read is not kept waiting behind a command that has been under way for so many milliseconds. */
const patience = 20

/** The entry in a reply, told apart from nothing, foreign bytes and a value of another type. */
export const entryOf = (reply: Buffer | null): Entry.Entry | undefined =>
  // A Uint8Array and not the Buffer: its `slice` copies, so that a small payload does not keep a large reply alive.
  reply === null ? undefined : Entry.decode(new Uint8Array(reply.buffer, reply.byteOffset, reply.byteLength))

type Send = (key: string, command: Command, args: Array<Argument>, done: Done) => void

/** One command for all keys, sent to where the first one is. */
export const joined = (send: Send): Fetch => (keys, each) =>
  keys.length === 1
    ? send(keys[0]!, "get", [keys[0]!], (failure, reply) => each(0, failure, reply))
    : send(keys[0]!, "mget", [...keys], (failure, replies) => keys.forEach((_, at) => each(at, failure, replies?.[at])))

/** A command for every key. */
export const apart = (send: Send): Fetch => (keys, each) =>
  keys.forEach((key, at) => send(key, "get", [key], (failure, reply) => each(at, failure, reply)))

export class Readers {
  /** Who waits for which key; nothing has been sent for them yet. */
  private waiting = new Map<string, Array<Reader>>()
  /** The newest batch under way. */
  private newest: object | undefined
  private sentAt = 0
  private isScheduled = false

  constructor(private readonly fetch: Fetch) {}

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
    const mine = this.newest = {}
    this.waiting = new Map()
    this.sentAt = performance.now()
    const readers = [...batch.values()]
    this.fetch([...batch.keys()], (index, failure, reply) => {
      // With the first answer: the others of the batch are right behind it, or on a detour of their own.
      if (this.newest === mine) {
        this.newest = undefined
        // Who waits behind a command that got no answer has waited as long, but for our patience.
        if (failure?.reason === "Timeout" || failure?.reason === "Connection") this.fail(failure)
        else this.flush()
      }
      const isForeign = failure?.cause?.code === "WRONGTYPE"
      const entry = failure === undefined ? entryOf(reply) : undefined
      for (const reader of readers[index]!) reader(isForeign ? undefined : failure, entry)
    })
  }

  private fail(failure: Failure): void {
    const { waiting } = this
    this.waiting = new Map()
    for (const readers of waiting.values()) {
      for (const reader of readers) reader(failure, undefined)
    }
  }
}
