/**
 * A bounded map: entries by key, evicted by S3-FIFO (Yang, Zhang, Qiu, Yue,
 * Vigfusson: FIFO queues are all you need for cache eviction, SOSP 2023).
 *
 * A new entry waits in the small queue, a tenth of the room. What was read there
 * more than once moves on to the main queue; the rest is evicted, and its key
 * remembered as a ghost. A ghost that comes back goes straight to the main queue,
 * where an entry is given another round for each read, up to three.
 *
 * Entries are slots of parallel arrays, and the queues are rings through `next`
 * and `previous` that begin and end in the slots 0, 1 and 2: no object per entry
 * for the garbage collector to trace, and any entry leaves its queue in one step.
 */

const small = 0
const main = 1
const ghost = 2
/** A slot's queue when it holds nothing. */
const none = 3
const firstSlot = 3

const maxUses = 3
const initialCapacity = 64
/** How many slots every write examines for entries that have expired. */
const sweptPerWrite = 4

/** The most entries: V8 refuses a Map of 2^24 keys, deleted ones included, and as many ghosts may be kept. */
export const maxEntriesLimit = 2 ** 22

/** `V` is never `undefined`. Weights are whole numbers; instants are of one clock, the caller's. */
export class S3Fifo<V> {
  private slots = new Map<string, number>()
  private keys: Array<string> = []
  private values: Array<V | undefined> = []
  private next = new Int32Array(0)
  private previous = new Int32Array(0)
  private queues = new Uint8Array(0)
  private uses = new Uint8Array(0)
  private expiries = new Float64Array(0)
  /** Left out where nothing is weighed. */
  private weights: Float64Array | undefined = undefined
  private counts = [0, 0, 0]
  private queueWeights = [0, 0]
  /** Slots from here on were never used. */
  private end = firstSlot
  /** The first of the slots that were used and are not. */
  private unused = 0
  private hand = firstSlot

  constructor(
    readonly maxEntries: number,
    /** `Infinity`: weights do not count. */
    readonly maxWeight: number
  ) {
    this.reset()
  }

  /** How many entries there are, expired ones that nobody met included. */
  get size(): number {
    return this.counts[small]! + this.counts[main]!
  }

  /** The weight of all entries; 0 where nothing is weighed. */
  get weight(): number {
    return this.queueWeights[small]! + this.queueWeights[main]!
  }

  /** The value, expired or not. Counts as a use. */
  get(key: string): V | undefined {
    const slot = this.slots.get(key)
    if (slot === undefined) return undefined
    const uses = this.uses[slot]!
    if (uses < maxUses) this.uses[slot] = uses + 1
    return this.values[slot]
  }

  /** The value unless it has expired, in which case it is removed. Counts as a use. */
  getAt(key: string, now: number): V | undefined {
    const slot = this.live(key, now)
    if (slot === undefined) return undefined
    const uses = this.uses[slot]!
    if (uses < maxUses) this.uses[slot] = uses + 1
    return this.values[slot]
  }

  /** Whether there is a value that has not expired. */
  hasAt(key: string, now: number): boolean {
    return this.live(key, now) !== undefined
  }

  /** When an entry that is there expires. */
  expiresAt(key: string): number {
    return this.expiries[this.slots.get(key)!]!
  }

  /**
   * Stores until `expiresAt`. What has expired already, or is heavier than the
   * whole room, is not stored; what was there is removed all the same.
   */
  set(key: string, value: V, weight: number, expiresAt: number, now: number): void {
    this.sweep(now)
    let slot = this.slots.get(key)
    if (weight > this.maxWeight || now >= expiresAt) {
      if (slot !== undefined && this.queues[slot] !== ghost) this.drop(slot)
      return
    }
    if (slot === undefined) {
      this.makeRoom(weight, now)
      slot = this.allocate(key)
      this.link(slot, small, weight)
    } else {
      const queue = this.queues[slot]!
      if (queue === ghost) {
        this.unlink(slot)
        this.uses[slot] = 0
        this.makeRoom(weight, now)
        this.link(slot, main, weight)
      } else if (this.weights !== undefined && this.weights[slot] !== weight) {
        // Out of its queue while room is made: it must not be the one that is evicted for itself.
        this.unlink(slot)
        this.makeRoom(weight, now)
        this.link(slot, queue, weight)
      }
    }
    this.values[slot] = value
    this.expiries[slot] = expiresAt
  }

  /** Whether there was an entry that had not expired. */
  delete(key: string, now: number): boolean {
    const slot = this.live(key, now)
    if (slot === undefined) return false
    this.drop(slot)
    return true
  }

  /** Removes every entry whose key begins with `prefix`. */
  clear(prefix: string): void {
    if (prefix === "") return this.reset()
    for (const [key, slot] of this.slots) {
      if (this.queues[slot] !== ghost && key.startsWith(prefix)) this.drop(slot)
    }
  }

  private reset(): void {
    this.slots = new Map()
    this.keys = ["", "", ""]
    this.values = [undefined, undefined, undefined]
    this.next = new Int32Array(initialCapacity)
    this.previous = new Int32Array(initialCapacity)
    this.queues = new Uint8Array(initialCapacity).fill(none)
    this.uses = new Uint8Array(initialCapacity)
    this.expiries = new Float64Array(initialCapacity)
    this.weights = this.maxWeight === Infinity ? undefined : new Float64Array(initialCapacity)
    for (let queue = small; queue <= ghost; queue++) this.next[queue] = this.previous[queue] = queue
    this.counts = [0, 0, 0]
    this.queueWeights = [0, 0]
    this.end = firstSlot
    this.unused = 0
    this.hand = firstSlot
  }

  /** The slot of the entry, if it is there and has not expired. */
  private live(key: string, now: number): number | undefined {
    const slot = this.slots.get(key)
    if (slot === undefined || this.queues[slot] === ghost) return undefined
    if (now < this.expiries[slot]!) return slot
    this.expire(slot)
    return undefined
  }

  private sweep(now: number): void {
    for (let left = Math.min(sweptPerWrite, this.end - firstSlot); left > 0; left--) {
      if (this.hand >= this.end) this.hand = firstSlot
      const slot = this.hand++
      if (this.queues[slot]! <= main && now >= this.expiries[slot]!) this.expire(slot)
    }
  }

  private makeRoom(weight: number, now: number): void {
    for (;;) {
      const isFull = this.size >= this.maxEntries
      if (!isFull && this.weight + weight <= this.maxWeight) return
      const isSmallFull = isFull
        ? this.counts[small]! * 10 >= this.maxEntries
        : this.queueWeights[small]! * 10 >= this.maxWeight
      if (this.counts[main] === 0 || (isSmallFull && this.counts[small] !== 0)) this.evictFromSmall(now)
      else this.evictFromMain(now)
    }
  }

  private evictFromSmall(now: number): void {
    for (let slot = this.previous[small]!; slot !== small; slot = this.previous[small]!) {
      if (now >= this.expiries[slot]!) return this.expire(slot)
      if (this.uses[slot]! <= 1) return this.forget(slot)
      this.uses[slot] = 0
      this.link(slot, main, this.unlink(slot))
    }
    this.evictFromMain(now)
  }

  private evictFromMain(now: number): void {
    for (;;) {
      const slot = this.previous[main]!
      if (now >= this.expiries[slot]!) return this.expire(slot)
      if (this.uses[slot] === 0) return this.drop(slot)
      this.uses[slot]!--
      this.link(slot, main, this.unlink(slot))
    }
  }

  /** What was popular is remembered: it goes on in the main queue when it is loaded anew. */
  private expire(slot: number): void {
    if (this.queues[slot] === main || this.uses[slot]! > 1) this.forget(slot)
    else this.drop(slot)
  }

  /** Makes the entry a ghost. */
  private forget(slot: number): void {
    this.values[slot] = undefined
    this.unlink(slot)
    this.link(slot, ghost, 0)
    this.trimGhosts()
  }

  /** No more ghosts than entries. */
  private trimGhosts(): void {
    while (this.counts[ghost]! > this.size) this.release(this.previous[ghost]!)
  }

  private drop(slot: number): void {
    this.release(slot)
    this.trimGhosts()
  }

  private release(slot: number): void {
    this.unlink(slot)
    this.slots.delete(this.keys[slot]!)
    this.keys[slot] = ""
    this.values[slot] = undefined
    this.uses[slot] = 0
    this.next[slot] = this.unused
    this.unused = slot
  }

  private allocate(key: string): number {
    let slot = this.unused
    if (slot !== 0) this.unused = this.next[slot]!
    else {
      if (this.end === this.next.length) this.grow()
      slot = this.end++
    }
    this.keys[slot] = key
    this.slots.set(key, slot)
    return slot
  }

  private grow(): void {
    const capacity = this.end * 2
    const copy = <A extends Int32Array | Uint8Array | Float64Array>(from: A, to: A): A => {
      to.set(from)
      return to
    }
    this.next = copy(this.next, new Int32Array(capacity))
    this.previous = copy(this.previous, new Int32Array(capacity))
    this.queues = copy(this.queues, new Uint8Array(capacity).fill(none))
    this.uses = copy(this.uses, new Uint8Array(capacity))
    this.expiries = copy(this.expiries, new Float64Array(capacity))
    this.weights &&= copy(this.weights, new Float64Array(capacity))
  }

  /** Puts the slot in front of its queue. */
  private link(slot: number, queue: number, weight: number): void {
    const first = this.next[queue]!
    this.next[slot] = first
    this.previous[slot] = queue
    this.previous[first] = slot
    this.next[queue] = slot
    this.queues[slot] = queue
    this.counts[queue]!++
    if (this.weights !== undefined && queue !== ghost) {
      this.weights[slot] = weight
      this.queueWeights[queue]! += weight
    }
  }

  /** Takes the slot out of its queue, and answers what it weighed. */
  private unlink(slot: number): number {
    const queue = this.queues[slot]!
    const next = this.next[slot]!
    const previous = this.previous[slot]!
    this.next[previous] = next
    this.previous[next] = previous
    this.queues[slot] = none
    this.counts[queue]!--
    if (this.weights === undefined || queue === ghost) return 0
    const weight = this.weights[slot]!
    this.queueWeights[queue]! -= weight
    return weight
  }
}
