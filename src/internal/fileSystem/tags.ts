/**
 * The versions of tags, each in a file of its own, and that of all tags: the
 * epoch. While the epoch is the same, what was read before need not be read again.
 */
import type { TagVersion } from "../../Backend.js"
import * as derive from "../derive.js"
import * as Disk from "./disk.js"
import { Refused } from "./failure.js"
import * as Format from "./format.js"
import type { Signal } from "./slot.js"
import type { Store } from "./store.js"

const { epoch: epochKey, hard: hardKey, soft: softKey } = derive.reserved
const retentionMillis = 30 * 24 * 3_600_000
const maxKnown = 10_000

export class Tags {
  /** The versions of tags in this epoch. */
  private known = new Map<string, TagVersion>()
  private knownIn: string | undefined
  /** Versions that this process makes at the moment. */
  private readonly making = new Map<string, Promise<unknown>>()

  constructor(private readonly store: Store) {}

  epoch(now: number, signal: Signal): Promise<string> {
    return this.version(epochKey, now, signal)
  }

  async versions(tags: ReadonlyArray<string>, now: number, signal: Signal): Promise<ReadonlyArray<TagVersion>> {
    const epoch = await this.epoch(now, signal)
    const found = new Map<string, TagVersion>()
    const missing: Array<string> = []
    for (const tag of new Set(tags)) {
      const known = this.knownIn === epoch ? this.known.get(tag) : undefined
      if (known === undefined) missing.push(tag)
      else found.set(tag, known)
    }
    if (missing.length > 0) {
      await Disk.each(missing, async (tag) => {
        const [hard, soft] = await Promise.all([
          this.version(hardKey(tag), now, signal),
          this.version(softKey(tag), now, signal)
        ])
        found.set(tag, { tag, hard, soft })
      })
      // An invalidation changes the epoch before and after: an old version is not taken for one of the new epoch.
      if ((await this.epoch(now, signal)) === epoch) {
        if (this.knownIn !== epoch || this.known.size > maxKnown) this.known = new Map()
        this.knownIn = epoch
        for (const tag of missing) this.known.set(tag, found.get(tag)!)
      }
    }
    return tags.map((tag) => found.get(tag)!)
  }

  /** Nothing is written for it: it has to work on a full disk. */
  async invalidate(tags: ReadonlyArray<string>, mode: "hard" | "soft"): Promise<void> {
    // Before: a load that finds the epoch unchanged at its end has read the tags before they lost their versions.
    await this.remove(epochKey)
    await Disk.each([...new Set(tags)], (tag) => this.remove(derive.reserved[mode](tag)))
    await this.remove(epochKey)
  }

  private remove(key: string): Promise<boolean> {
    return this.store.remove(this.store.places.of("tags", key), () => true)
  }

  /** The text under the key, a new one where there is none. */
  private async version(key: string, now: number, signal: Signal): Promise<string> {
    const place = this.store.places.of("tags", key)
    const isLive = (stored: Format.Stored) => now < stored.expiresAt
    for (let attempt = 0; attempt < 100; attempt++) {
      const found = await this.store.read(
        place,
        (stored) => isLive(stored) ? Buffer.from(stored.value).toString("latin1") : undefined
      )
      if (found !== undefined) return found
      const made = this.making.get(key)
      if (made !== undefined) {
        // Not its answer: that may have been removed again by now.
        await Disk.ignoring(made)
        continue
      }
      const mine = derive.newVersion()
      const file = Format.encode(key, now + retentionMillis, Buffer.from(mine, "latin1"))
      const making = this.store.change(
        place,
        (present) => present !== undefined && isLive(present) ? undefined : file,
        signal
      )
      this.making.set(key, making)
      try {
        if (await making) return mine
      } finally {
        this.making.delete(key)
      }
    }
    throw new Refused("Timeout", "others changed a tag again and again")
  }
}
