/**
 * What is done beside the operations: files that have expired or were left
 * behind are removed, and the oldest where there are too many. Nothing here is
 * done per write: what a write adds to is an estimate.
 */
import * as Disk from "./disk.js"
import type * as Format from "./format.js"
import {
  entryPattern,
  idPattern,
  newId,
  segmentPattern,
  shardPattern,
  slotPattern,
  trashPattern,
  type Tree
} from "./places.js"
import { heldOf, isHeld, isOurs } from "./slot.js"
import type { Store } from "./store.js"

export interface Limits {
  readonly maxEntries: number
  readonly maxBytes: number
}

/** What a file takes of a disk. */
const blocks = (bytes: number): number => Math.ceil(bytes / 4_096) * 4_096

/** After so many writes, so many files are looked at. */
const sweepEvery = { writes: 64, files: 128 }
const filesPerTimer = 5_000
/** Nobody writes for so long. */
const leftBehindMillis = 10 * 60_000

export class Upkeep {
  /** More, or less, than there is: counted now and then, and what this process has written since. */
  private entries = 0
  private bytes = 0
  private isCounted = false
  private writes = 0
  private isClosed = false
  /** That of the last operation: the one that entries expire by. */
  clock: { readonly unsafeCurrentTimeMillis: () => number } | undefined
  private timer: ReturnType<typeof setInterval> | undefined
  private rotation: AsyncGenerator<void> | undefined
  private readonly under = new Map<string, Promise<void>>()

  constructor(private readonly store: Store, private readonly limits: Limits, sweepMillis: number) {
    this.once("trash", () => this.emptyTrash())
    this.once("staged", () => this.removeStaged())
    if (sweepMillis < 2 ** 31) {
      this.timer = setInterval(() => this.sweep(filesPerTimer), sweepMillis)
      this.timer.unref()
    }
  }

  /** An entry was written. Waits for room to be made where there is far too little. */
  wrote(bytes: number): Promise<void> | undefined {
    this.entries++
    this.bytes += blocks(bytes)
    if (++this.writes % sweepEvery.writes === 0) this.sweep(sweepEvery.files)
    const { maxBytes, maxEntries } = this.limits
    if ((maxEntries < Infinity || maxBytes < Infinity) && (!this.isCounted || this.isOver(1))) {
      const pruning = this.once("prune", () => this.prune())
      if (this.isOver(1.1)) return pruning
    }
    return undefined
  }

  /** Something was moved to the trash. */
  cleared(): void {
    this.isCounted = false
    this.once("trash", () => this.emptyTrash())
  }

  /** The disk is full. Waits for what is in the trash, if it is being removed. */
  full(): Promise<void> | undefined {
    this.sweep(filesPerTimer)
    return this.under.get("trash")
  }

  async close(): Promise<void> {
    this.isClosed = true
    clearInterval(this.timer)
    await Promise.all(this.under.values())
  }

  /** One at a time of each kind. What fails is tried again at the next occasion. */
  private once(kind: string, run: () => Promise<unknown>): Promise<void> {
    const current = this.under.get(kind)
    if (current !== undefined) return current
    if (this.isClosed) return Promise.resolve()
    const next = Disk.ignoring(run()).then(() => void this.under.delete(kind))
    this.under.set(kind, next)
    return next
  }

  // ---------------------------------------------------------------------------
  // room
  // ---------------------------------------------------------------------------

  private isOver(factor: number): boolean {
    return this.entries > this.limits.maxEntries * factor || this.bytes > this.limits.maxBytes * factor
  }

  /** Counts, and removes the oldest until a tenth is free where there are too many. */
  private async prune(): Promise<void> {
    const { maxBytes, maxEntries } = this.limits
    const wasCounted = this.isCounted
    for (let round = 0; round < 100 && !this.isClosed; round++) {
      const before = { entries: this.entries, bytes: this.bytes }
      const { count, sample } = await this.census()
      const isAll = sample.length === count
      const known: Array<{ readonly path: string; readonly bytes: number; readonly at: number }> = []
      const isStatNeeded = maxBytes < Infinity || count > maxEntries * 0.9
      await Disk.each(isStatNeeded ? sample : [], async (path) => {
        const stats = await Disk.lstat(path).catch(() => undefined)
        if (stats?.isFile() === true) known.push({ path, bytes: blocks(stats.size), at: stats.mtimeMs })
      })
      const bytes = known.reduce((sum, file) => sum + file.bytes, 0)
      const counted = known.length === 0 || isAll ? bytes : bytes / known.length * count
      // What was written meanwhile may have been counted too: better too many than too few.
      this.entries += count - before.entries
      this.bytes += counted - before.bytes
      this.isCounted = true
      // After the first count there may be no need; otherwise the estimate has come to the limit, and does so again soon.
      if (round === 0 && !wasCounted && !this.isOver(1)) return
      let tooMany = count - Math.floor(maxEntries * 0.9)
      let tooLarge = counted - maxBytes * 0.9
      if (tooMany <= 0 && tooLarge <= 0) return
      let left = isAll ? known.length : Math.max(1, Math.ceil(known.length / 3))
      for (const file of known.sort((a, b) => a.at - b.at)) {
        if ((tooMany <= 0 && tooLarge <= 0) || left-- <= 0 || this.isClosed) break
        await Disk.ignoring(Disk.unlink(file.path))
        this.entries--
        this.bytes -= file.bytes
        tooMany--
        tooLarge -= file.bytes
      }
      if (tooMany <= 0 && tooLarge <= 0 && isAll) return
    }
  }

  /** How many entries there are, and some of them, each as likely as any other. */
  private async census(): Promise<{ readonly count: number; readonly sample: ReadonlyArray<string> }> {
    const size = Math.min(32_768, Math.max(2_048, this.limits.maxEntries * 0.3))
    const sample: Array<string> = []
    let count = 0
    for await (const folder of this.store.folders("entries")) {
      for (const name of await Disk.namesIn(folder)) {
        if (!entryPattern.test(name)) continue
        count++
        if (sample.length < size) sample.push(`${folder}/${name}`)
        else {
          const at = Math.floor(Math.random() * count)
          if (at < size) sample[at] = `${folder}/${name}`
        }
      }
    }
    return { count, sample }
  }

  // ---------------------------------------------------------------------------
  // what is over
  // ---------------------------------------------------------------------------

  /** Looks at the next files, and goes round. */
  private sweep(files: number): void {
    this.once("sweep", async () => {
      for (let left = files; left > 0 && !this.isClosed; left--) {
        this.rotation ??= this.rotate()
        const { done } = await this.rotation.next().catch(() => ({ done: true }))
        if (done === true) {
          this.rotation = undefined
          return
        }
      }
    })
  }

  private async *rotate(): AsyncGenerator<void> {
    await this.emptyTrash()
    await this.removeStaged()
    for (const tree of ["entries", "tags"] as const) {
      for await (const folder of this.store.folders(tree)) {
        for (const name of await Disk.namesIn(folder)) {
          if (entryPattern.test(name)) await Disk.ignoring(this.removeExpired(`${folder}/${name}`))
          else if (slotPattern.test(name)) await Disk.ignoring(this.removeSlot(`${folder}/${name}`))
          yield
        }
      }
    }
  }

  private async removeExpired(path: string): Promise<void> {
    const now = this.clock?.unsafeCurrentTimeMillis()
    if (now === undefined) return
    const isLive = (stored: Format.Stored) => now < stored.expiresAt
    const isOver = (found: boolean | typeof Disk.damaged | undefined) => found === false || found === Disk.damaged
    if (!isOver(await Disk.read(path, isLive))) return
    // It may be another file by now: that one is put back, unless there is yet another.
    const taken = `${this.store.places.staged}/${newId()}`
    await Disk.rename(path, taken)
    if (!isOver(await Disk.read(taken, isLive))) await Disk.ignoring(Disk.link(taken, path))
    else if (path.startsWith(this.store.places.tree("entries"))) this.entries--
    await Disk.unlink(taken)
  }

  private async removeSlot(slot: string): Promise<void> {
    const names = await Disk.namesIn(slot)
    const isOld = Date.now() - (await Disk.lstat(slot)).mtimeMs > leftBehindMillis
    for (const name of names) {
      const held = heldOf(name)
      const isOver = held === undefined ? isOld && isOurs(name) : !isHeld(held)
      if (isOver) await Disk.unlink(`${slot}/${name}`)
    }
    await Disk.ignoring(Disk.rmdir(slot))
  }

  /** Files of those who died while they wrote. */
  private async removeStaged(): Promise<void> {
    const { staged } = this.store.places
    if (!(await this.store.places.has(staged))) return
    for (const id of await Disk.namesIn(staged)) {
      if (!idPattern.test(id)) continue
      const path = `${staged}/${id}`
      const stats = await Disk.lstat(path).catch(() => undefined)
      if (stats === undefined || Date.now() - stats.mtimeMs < leftBehindMillis) continue
      if (stats.isDirectory()) {
        for (const name of await Disk.namesIn(path)) {
          if (isOurs(name)) await Disk.ignoring(Disk.unlink(`${path}/${name}`))
        }
        await Disk.ignoring(Disk.rmdir(path))
      } else await Disk.ignoring(Disk.unlink(path))
    }
  }

  // ---------------------------------------------------------------------------
  // trash
  // ---------------------------------------------------------------------------

  private async emptyTrash(): Promise<void> {
    const { trash } = this.store.places
    if (!(await this.store.places.has(trash))) return
    for (const name of await Disk.namesIn(trash)) {
      const match = trashPattern.exec(name)
      if (match === null || !segmentPattern.test(match[2]!)) continue
      await Disk.ignoring(this.removeSegment(`${trash}/${name}`, match[1] as Tree, match[2]!))
    }
  }

  private async removeSegment(from: string, tree: Tree, segment: string): Promise<void> {
    const home = `${this.store.places.tree(tree)}/${segment}`
    for (const shard of await Disk.namesIn(from)) {
      const folder = `${from}/${shard}`
      if (!shardPattern.test(shard) || !(await Disk.lstat(folder)).isDirectory()) {
        await Disk.ignoring(this.putBack(folder, home, shard))
        continue
      }
      await Disk.each(await Disk.namesIn(folder), async (name) => {
        if (this.isClosed) return
        const path = `${folder}/${name}`
        await Disk.ignoring(
          entryPattern.test(name)
            ? Disk.unlink(path)
            : slotPattern.test(name)
            ? this.removeWholeSlot(path)
            : this.putBack(path, `${home}/${shard}`, name)
        )
      })
      await Disk.ignoring(Disk.rmdir(folder))
    }
    await Disk.ignoring(Disk.rmdir(from))
  }

  private async removeWholeSlot(slot: string): Promise<void> {
    for (const name of await Disk.namesIn(slot)) if (isOurs(name)) await Disk.unlink(`${slot}/${name}`)
    await Disk.rmdir(slot)
  }

  /** What is not ours goes back to where it was, unless something is there. */
  private async putBack(path: string, folder: string, name: string): Promise<void> {
    await this.store.places.ensure(folder)
    if ((await Disk.lstat(`${folder}/${name}`).catch(() => undefined)) === undefined) {
      await Disk.rename(path, `${folder}/${name}`)
    }
  }
}
