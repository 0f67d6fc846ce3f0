/**
 * What has been cleared on a server, which cannot list its keys.
 *
 * A namespace has a random id and counts its clears. It remembers the prefixes
 * that were cleared and at which count; an item carries the id and the count
 * that it was written at. The item is void if the id is another, or if a prefix
 * of its key was cleared since. All of this is in one item of the server: where
 * that is evicted, the next has another id and everything is void, so that
 * nothing that was cleared can come back.
 *
 * The list is bounded: beyond that, the older half of it goes, and with it what
 * was written before.
 */
import { newVersion } from "../derive.js"

/** When an item was written. */
export interface Stamp {
  readonly id: string
  readonly clears: number
}

export interface Namespace extends Stamp {
  /** What was written at a lower count is void, whatever its key. */
  readonly floor: number
  /** The count at which each prefix was cleared, in the order of the counts. */
  readonly cleared: ReadonlyMap<string, number>
  /** The lengths of the prefixes. */
  readonly lengths: ReadonlyArray<number>
}

const largest = { prefixes: 1_000, characters: 50_000 }

const namespace = (id: string, clears: number, floor: number, cleared: ReadonlyMap<string, number>): Namespace => ({
  id,
  clears,
  floor,
  cleared,
  lengths: [...new Set([...cleared.keys()].map((prefix) => prefix.length))]
})

export const make = (): Namespace => namespace(newVersion(), 0, 0, new Map())

/** Whether what was stored under the key, with the stamp, has been cleared. */
export const isVoid = (current: Namespace, key: string, stamp: Stamp): boolean =>
  stamp.id !== current.id || stamp.clears < current.floor ||
  (stamp.clears < current.clears &&
    current.lengths.some((length) =>
      key.length >= length && (current.cleared.get(key.slice(0, length)) ?? 0) > stamp.clears
    ))

export const clear = (current: Namespace, prefix: string): Namespace => {
  const clears = current.clears + 1
  if (prefix === "") return namespace(current.id, clears, clears, new Map())
  let cleared = [...current.cleared].filter(([other]) => !other.startsWith(prefix))
  cleared.push([prefix, clears])
  let floor = current.floor
  const characters = cleared.reduce((sum, [other]) => sum + other.length, 0)
  if (cleared.length > largest.prefixes || characters > largest.characters) {
    const older = cleared.slice(0, Math.ceil(cleared.length / 2))
    floor = older.at(-1)![1]
    cleared = cleared.slice(older.length)
  }
  return namespace(current.id, clears, floor, new Map(cleared))
}

export const encode = ({ clears, cleared, floor, id }: Namespace): Buffer =>
  Buffer.from(JSON.stringify([id, clears, floor, ...cleared]))

/** `undefined` for foreign bytes. */
export const decode = (value: Buffer): Namespace | undefined => {
  try {
    const [id, clears, floor, ...cleared]: Array<any> = JSON.parse(value.toString())
    const isOurs = typeof id === "string" && Number.isSafeInteger(clears) && Number.isSafeInteger(floor) &&
      cleared.every((pair) => typeof pair[0] === "string" && Number.isSafeInteger(pair[1]))
    return isOurs ? namespace(id, clears, floor, new Map(cleared)) : undefined
  } catch {
    return undefined
  }
}
