/**
 * What a store can tell of what it keeps, for people who look at it: an optional
 * member of a backend, and no part of the contract.
 */
import * as Context from "effect/Context"
import { nameOf } from "./key.js"

/** The entries of one cache. */
export interface Part {
  /** `undefined`: of keys that are no cache's. */
  readonly name: string | undefined
  readonly entries: number
  /** Of the entries as they are stored, without what the store adds. */
  readonly bytes: number
}

/** What a server says of itself, whoever uses it. `undefined`: it does not say. */
export interface Server {
  /** Its address, or its folder. */
  readonly name: string
  readonly version?: string | undefined
  readonly uptimeSeconds?: number | undefined
  readonly entries?: number | undefined
  readonly bytes?: number | undefined
  readonly maxBytes?: number | undefined
  readonly evicted?: number | undefined
  readonly hits?: number | undefined
  readonly misses?: number | undefined
}

export interface Inspection {
  /** `undefined` where the store cannot list its keys. */
  readonly parts: ReadonlyArray<Part> | undefined
  readonly servers: ReadonlyArray<Server>
}

/** Told how many more keys have been dealt with, while an operation scans them. */
export class Progress extends Context.Reference<Progress>()("effect-caching/Progress", {
  defaultValue: (): (count: number) => void => () => {}
}) {}

/** Counts entries by the names of their caches. */
export class Tally {
  private readonly byName = new Map<string | undefined, { entries: number; bytes: number }>()

  add(key: string, bytes: number): void {
    const name = nameOf(key)
    const part = this.byName.get(name) ?? { entries: 0, bytes: 0 }
    part.entries++
    part.bytes += bytes
    this.byName.set(name, part)
  }

  /** In the order of their names, what has none last. */
  get parts(): ReadonlyArray<Part> {
    return Array.from(this.byName, ([name, part]) => ({ name, ...part })).sort((a, b) =>
      a.name === undefined ? 1 : b.name === undefined || a.name < b.name ? -1 : 1
    )
  }
}

/** The number that a server tells as text, if it does. */
export const numberIn = (text: string | undefined): number | undefined => {
  const value = text === undefined || text === "" ? NaN : Number(text)
  return Number.isFinite(value) ? value : undefined
}
