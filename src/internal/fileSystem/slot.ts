/**
 * Who may change an entry: a folder beside it that holds one file at most.
 *
 * - `l-<token>-<until>`: a lease. Whoever changes the entry removes it. It ends in
 *   real time: a clock that a test sets moves no other process.
 * - `w-<id>`: a writer, which renames this very file onto the entry.
 *
 * A folder that holds a file is moved to the place of the slot: that fails
 * while another is there, and so there is one holder. To write is to rename the
 * file out of the slot, by its name: that fails once another has removed it. So
 * a writer that was thought dead, and goes on, writes nothing; nobody need know
 * who is alive, and whoever waits for long enough may go ahead.
 */
import * as Disk from "./disk.js"
import { Abandoned, codeOf, Refused } from "./failure.js"
import { newId, type Place, type Places } from "./places.js"

/** How long a writer is left alone. A writer that lives needs about a millisecond, and begins again where it is not. */
const patienceMillis = 1_000
const timeoutMillis = 10_000

const writerPattern = /^w-[0-9a-f]{24}$/
const leasePattern = /^l-([0-9a-f]{24})-(-?\d+|never)$/

/** Whether anybody still waits for the answer. */
export interface Signal {
  isAbandoned: boolean
}

export interface Held {
  readonly name: string
  readonly token: string
  readonly until: number
}

/** A folder that is not in its slot yet, and the name of its file. */
interface Staged {
  readonly folder: string
  readonly name: string
}

export const leaseName = (token: string, until: number): string =>
  `l-${token}-${until < Number.MAX_SAFE_INTEGER ? Math.ceil(until) : "never"}`

export const heldOf = (name: string): Held | undefined => {
  const match = leasePattern.exec(name)
  return match === null
    ? undefined
    : { name, token: match[1]!, until: match[2] === "never" ? Infinity : Number(match[2]) }
}

export const isHeld = (held: Held | undefined): held is Held => held !== undefined && Date.now() < held.until

export const isOurs = (name: string): boolean => writerPattern.test(name) || leasePattern.test(name)

export const writerName = (): string => `w-${newId()}`

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

export class Slots {
  constructor(private readonly places: Places, private readonly sync: boolean) {}

  /** Brings a file into the slot; whether it is there, which it is not where leases count and one is held. */
  async enter(place: Place, name: string, bytes: Uint8Array, signal: Signal, leasesCount: boolean): Promise<boolean> {
    const staged = await this.stage(name, bytes)
    try {
      const isIn = await this.move(staged, place, signal, leasesCount)
      if (!isIn) await this.discard(staged)
      return isIn
    } catch (error) {
      await this.discard(staged)
      throw error
    }
  }

  private async stage(name: string, bytes: Uint8Array): Promise<Staged> {
    const folder = `${this.places.staged}/${newId()}`
    await this.places.ensure(this.places.staged)
    if (!(await Disk.succeeds(Disk.mkdir(folder, Disk.folderMode), "ENOENT"))) {
      this.places.forget()
      await this.places.ensure(this.places.staged)
      await Disk.mkdir(folder, Disk.folderMode)
    }
    const staged = { folder, name }
    try {
      await Disk.write(`${folder}/${name}`, "new", bytes, this.sync)
      return staged
    } catch (error) {
      await this.discard(staged)
      throw error
    }
  }

  private async discard({ folder, name }: Staged): Promise<void> {
    await Disk.ignoring(Disk.unlink(`${folder}/${name}`))
    await Disk.ignoring(Disk.rmdir(folder))
  }

  private async move(
    staged: Staged,
    { folder, slot }: Place,
    signal: Signal,
    leasesCount: boolean
  ): Promise<boolean> {
    await this.places.ensure(folder)
    const start = performance.now()
    let writer: string | undefined
    let since = start
    let cleared = 0
    while (true) {
      try {
        await Disk.rename(staged.folder, slot)
        return true
      } catch (error) {
        const code = codeOf(error)
        if (code === "ENOENT" && cleared++ < 20) {
          // The folder was cleared.
          this.places.forget()
          await this.places.ensure(folder)
        } else if (code !== "ENOTEMPTY" && code !== "EEXIST" && !(process.platform === "win32" && code === "EPERM")) {
          throw error
        }
      }
      if (signal.isAbandoned) throw new Abandoned()
      const time = performance.now()
      if (time - start > timeoutMillis) throw new Refused("Timeout", "the entry stayed locked")
      const names = await Disk.namesIn(slot)
      // Not every system replaces an empty folder.
      if (names.length === 0) await Disk.ignoring(Disk.rmdir(slot))
      for (const name of names) {
        const held = heldOf(name)
        if (held !== undefined) {
          if (leasesCount && isHeld(held)) return false
          await Disk.ignoring(Disk.unlink(`${slot}/${name}`))
        } else if (name !== writer) {
          writer = name
          since = time
        } else if (time - since > patienceMillis && isOurs(name)) {
          await Disk.ignoring(Disk.unlink(`${slot}/${name}`))
        }
      }
      if (names.some((name) => heldOf(name) === undefined)) await pause(1 + Math.random() * 4)
    }
  }

  /** Makes a writer's file the entry, unless it was removed; then nothing is written. */
  async publish(place: Place, name: string): Promise<boolean> {
    let isPublished = false
    try {
      isPublished = await Disk.succeeds(Disk.rename(`${place.slot}/${name}`, place.entry), "ENOENT")
    } finally {
      if (!isPublished) await Disk.ignoring(Disk.unlink(`${place.slot}/${name}`))
      await Disk.ignoring(Disk.rmdir(place.slot))
    }
    if (isPublished && this.sync) await Disk.syncFolder(place.folder)
    return isPublished
  }

  /** Takes a file out of the slot; whether it was there. */
  async leave(place: Place, name: string): Promise<boolean> {
    const wasThere = await Disk.succeeds(Disk.unlink(`${place.slot}/${name}`), "ENOENT")
    await Disk.ignoring(Disk.rmdir(place.slot))
    return wasThere
  }

  /** Whoever is in the slot has to begin again, or has lost its lease. */
  async empty(slot: string): Promise<void> {
    const names = await Disk.namesIn(slot)
    for (const name of names) {
      if (isOurs(name)) await Disk.succeeds(Disk.unlink(`${slot}/${name}`), "ENOENT")
    }
    if (names.length > 0) await Disk.ignoring(Disk.rmdir(slot))
  }

  /** The lease in the slot, ended or not. */
  async lease(place: Place): Promise<Held | undefined> {
    const names = await Disk.namesIn(place.slot)
    return names.map(heldOf).find((held) => held !== undefined)
  }
}
