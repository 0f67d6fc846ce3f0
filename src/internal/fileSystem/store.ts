/**
 * Bytes under keys, in files. Every change of a key is one step, for this
 * process and for others: see `slot.ts`.
 */
import * as Disk from "./disk.js"
import { Refused } from "./failure.js"
import * as Format from "./format.js"
import {
  covered,
  entryPattern,
  newId,
  type Place,
  type Places,
  segmentPattern,
  shardPattern,
  slotPattern,
  type Tree
} from "./places.js"
import { isHeld, leaseName, type Signal, Slots, writerName } from "./slot.js"

/** How often a change begins again because others have interfered. */
const maxAttempts = 200

const nothing = new Uint8Array(0)

/** What a change makes of what is there: the file to write, or `undefined` to leave it as it is. */
export type Decide = (present: Format.Stored | undefined) => Buffer | undefined

export class Store {
  readonly slots: Slots

  constructor(readonly places: Places, private readonly sync: boolean) {
    this.slots = new Slots(places, sync)
  }

  /** What `use` makes of what is there; it must not keep a view of it. */
  read<A>(place: Place, use: (stored: Format.Stored) => A): Promise<A | undefined> {
    const { folder } = place
    return this.places.knows(folder)
      ? readEntry(place, use)
      : this.places.has(folder).then((isThere) => isThere ? readEntry(place, use) : undefined)
  }

  async set(place: Place, file: Buffer, signal: Signal): Promise<void> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const name = writerName()
      await this.slots.enter(place, name, file, signal, false)
      if (await this.slots.publish(place, name)) return
    }
    throw interfered()
  }

  /** Whether `decide` made a file. */
  async change(place: Place, decide: Decide, signal: Signal): Promise<boolean> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const name = writerName()
      // The key in the file, for `clear`, until it is the new one.
      await this.slots.enter(place, name, Format.encode(place.key, 0, nothing), signal, false)
      let next: Buffer | undefined
      try {
        let isThere = false
        next = await this.read(place, (stored) => {
          isThere = true
          return decide(stored)
        })
        if (!isThere) next = decide(undefined)
        if (next !== undefined && !(await this.rewrite(place, name, next))) continue
      } catch (error) {
        await Disk.ignoring(this.slots.leave(place, name))
        throw error
      }
      if (next === undefined) {
        await this.slots.leave(place, name)
        return false
      }
      if (await this.slots.publish(place, name)) return true
    }
    throw interfered()
  }

  /** Writes the file that is in the slot; `false` where it is not there any more. */
  private rewrite(place: Place, name: string, file: Buffer): Promise<boolean> {
    return Disk.succeeds(Disk.write(`${place.slot}/${name}`, "old", file, this.sync), "ENOENT")
  }

  /** Removes what is there and voids a lease; whether there was something that `isLive`. */
  async remove(place: Place, isLive: (stored: Format.Stored) => boolean): Promise<boolean> {
    // Nothing is written for it: it has to work on a full disk.
    if (!(await this.places.has(place.folder))) return false
    const present = await Disk.read(place.entry, (stored) => stored.key === place.key && isLive(stored))
    let isRemoved = false
    // A writer or a lease that came before it may have put an entry there since: looked for again once they are gone.
    for (let round = 0; round < maxAttempts; round++) {
      const wasThere = await Disk.succeeds(Disk.unlink(place.entry), "ENOENT")
      if (!wasThere && round > 0) break
      isRemoved ||= wasThere
      await this.slots.empty(place.slot)
    }
    return isRemoved && (present === undefined || present === true)
  }

  // ---------------------------------------------------------------------------
  // leases
  // ---------------------------------------------------------------------------

  /** Whether the lease is the token's now. */
  async lease(place: Place, token: string, millis: number, signal: Signal): Promise<boolean> {
    // A look costs less than a try, and those who wait for a load look often.
    if (isHeld(await this.slots.lease(place))) return false
    const until = Date.now() + millis
    const file = Format.encode(place.key, until, nothing)
    const isMine = await this.slots.enter(place, leaseName(token, until), file, signal, true)
    if (isMine && signal.isAbandoned) await this.renew(place, token, 0)
    return isMine
  }

  /** Holds the lease for so long, or gives it back where that is no time. */
  async renew(place: Place, token: string, millis: number): Promise<boolean> {
    return this.withLease(place, token, (name) =>
      millis === 0
        ? this.slots.leave(place, name)
        : this.renamed(place, name, leaseName(token, Date.now() + millis)))
  }

  /** Writes where the token holds the lease, and ends it. */
  async fill(place: Place, token: string, file: Buffer): Promise<boolean> {
    const writer = writerName()
    // Of many who fill, one has the file afterwards.
    if (!(await this.withLease(place, token, (name) => this.renamed(place, name, writer)))) return false
    try {
      if (!(await this.rewrite(place, writer, file))) return false
    } catch (error) {
      // The right to fill is not kept from others by who could not.
      await Disk.ignoring(this.slots.leave(place, writer))
      throw error
    }
    return this.slots.publish(place, writer)
  }

  private async withLease(place: Place, token: string, f: (name: string) => Promise<boolean>): Promise<boolean> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const held = await this.slots.lease(place)
      if (!isHeld(held) || held.token !== token) return false
      if (await f(held.name)) return true
      // It was renewed, and has another name, or it is gone.
    }
    return false
  }

  private renamed({ slot }: Place, from: string, to: string): Promise<boolean> {
    return Disk.succeeds(Disk.rename(`${slot}/${from}`, `${slot}/${to}`), "ENOENT")
  }

  // ---------------------------------------------------------------------------
  // many
  // ---------------------------------------------------------------------------

  /** Every folder of a tree that entries are in. */
  async *folders(tree: Tree, isMeant: (segment: string) => boolean = () => true): AsyncGenerator<string> {
    const root = this.places.tree(tree)
    for (const segment of await Disk.namesIn(root)) {
      if (!segmentPattern.test(segment) || !isMeant(segment)) continue
      if (!(await this.places.has(`${root}/${segment}`))) continue
      for (const shard of await Disk.namesIn(`${root}/${segment}`)) {
        const folder = `${root}/${segment}/${shard}`
        if (shardPattern.test(shard) && await this.places.has(folder)) yield folder
      }
    }
  }

  /** Removes every key of a tree that begins with `prefix`; whether something is in the trash now. */
  async clear(tree: Tree, prefix: string, signal: Signal): Promise<boolean> {
    const root = this.places.tree(tree)
    await this.places.ensure(this.places.trash)
    let isTrash = false
    const isScanned = new Set<string>()
    for (const segment of await Disk.namesIn(root)) {
      if (!segmentPattern.test(segment)) continue
      const which = covered(segment, prefix)
      if (which === "none") continue
      if (which === "some") {
        isScanned.add(segment)
        continue
      }
      try {
        await Disk.rename(`${root}/${segment}`, `${this.places.trash}/${newId()}-${tree}-${segment}`)
        isTrash = true
      } catch {
        // Some systems do not move some folders.
        isScanned.add(segment)
      }
    }
    this.places.forget()
    if (isScanned.size > 0) await this.scan(tree, (segment) => isScanned.has(segment), prefix, signal)
    return isTrash
  }

  private async scan(
    tree: Tree,
    isMeant: (segment: string) => boolean,
    prefix: string,
    signal: Signal
  ): Promise<void> {
    const begins = (stored: Format.Stored) => stored.key.startsWith(prefix)
    // Those who may write first: what they have written by then is among the entries.
    for await (const folder of this.folders(tree, isMeant)) {
      for (const name of await Disk.namesIn(folder)) {
        if (!slotPattern.test(name)) continue
        if (!(await this.isAnothers(`${folder}/${name}`, begins))) await this.slots.empty(`${folder}/${name}`)
      }
    }
    for await (const folder of this.folders(tree, isMeant)) {
      await Disk.each(await Disk.namesIn(folder), async (name) => {
        // Who does not wait for the end may write again before it.
        if (signal.isAbandoned || !entryPattern.test(name)) return
        const found = await Disk.read(`${folder}/${name}`, (stored) => begins(stored) ? stored.key : undefined)
        if (typeof found === "string") await this.remove(this.places.of(tree, found), () => true)
      })
    }
  }

  /** Whether who is in the slot, if anybody, is there for a key that is not meant. */
  private async isAnothers(slot: string, isMeant: (stored: Format.Stored) => boolean): Promise<boolean> {
    for (let attempt = 0; attempt < 5; attempt++) {
      const [name] = await Disk.namesIn(slot)
      if (name === undefined) return true
      const found = await Disk.read(`${slot}/${name}`, isMeant)
      // It has another name by now, or it is gone.
      if (found !== undefined) return found === false
    }
    return false
  }
}

const readEntry = <A>({ entry, key }: Place, use: (stored: Format.Stored) => A): Promise<A | undefined> =>
  Disk.read(entry, (stored) => stored.key === key ? use(stored) : undefined).then((found) =>
    found === Disk.damaged ? undefined : found
  )

const interfered = () => new Refused("Timeout", "others changed the entry again and again")
