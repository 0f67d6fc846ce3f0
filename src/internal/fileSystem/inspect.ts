/**
 * What the files of a directory tell of the entries that are in them.
 */
import { type Inspection, Tally } from "../inspection.js"
import * as Disk from "./disk.js"
import { covered, entryPattern } from "./places.js"
import type { Signal } from "./slot.js"
import type { Store } from "./store.js"

/** Reads every entry whose key begins with `prefix`; what has expired `now` does not count. */
export const inspect = async (
  store: Store,
  prefix: string,
  now: number,
  signal: Signal,
  report: (count: number) => void
): Promise<Inspection> => {
  const tally = new Tally()
  for await (const folder of store.folders("entries", (segment) => covered(segment, prefix) !== "none")) {
    await Disk.each(await Disk.namesIn(folder), async (name) => {
      if (signal.isAbandoned || !entryPattern.test(name)) return
      await Disk.read(`${folder}/${name}`, ({ expiresAt, key, value }) => {
        if (now >= expiresAt || !key.startsWith(prefix)) return
        tally.add(key, value.length)
        report(1)
      })
    })
  }
  return { parts: tally.parts, servers: [{ name: store.places.directory }] }
}
