/**
 * What a process tells of its caches in a while: counts by name, and some of the calls as they were.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Told } from "../listeners.js"

/** In the order in which they are written. */
const outcomes = ["Hit", "Stale", "Miss", "Bypass", "Error"] as const

const Counts = Schema.Struct({
  hits: Schema.NonNegativeInt,
  stale: Schema.NonNegativeInt,
  misses: Schema.NonNegativeInt,
  bypasses: Schema.NonNegativeInt,
  errors: Schema.NonNegativeInt
})

const Sample = Schema.Struct({
  outcome: Schema.Literal(...outcomes),
  cache: Schema.String,
  at: Schema.Number,
  key: Schema.optional(Schema.String)
})

const Report = Schema.Struct({
  v: Schema.Literal(1),
  sender: Schema.String,
  program: Schema.optional(Schema.String),
  from: Schema.Number,
  until: Schema.Number,
  caches: Schema.Record({ key: Schema.String, value: Counts }),
  uncounted: Schema.NonNegativeInt,
  samples: Schema.Array(Sample)
})

export type Counts = typeof Counts.Type
export type Sample = typeof Sample.Type
export type Report = typeof Report.Type

const json = Schema.parseJson(Report)
const decodeJson = Schema.decodeUnknownOption(json)

export const encode: (report: Report) => string = Schema.encodeSync(json)

/** The report in a message; `undefined` for what is none of this format. */
export const decode = (message: string): Report | undefined => Option.getOrUndefined(decodeJson(message))

type Tally = { -readonly [K in keyof Counts]: number }

const fields = { Hit: "hits", Stale: "stale", Miss: "misses", Bypass: "bypasses", Error: "errors" } as const

/** So many names in a report; the calls of more are counted without a name. */
const maxNames = 256
const longestKey = 512

/** Collects between two reports: a call costs a look-up and an addition, whoever hears of it. */
export class Collector {
  private tallies = new Map<string, Tally>()
  private samples: Array<Sample> = []
  private uncounted = 0
  private seen = 0

  constructor(private readonly maxSamples: number, private readonly isWithKeys: boolean) {}

  readonly listen = ({ _tag, at, cache, key }: Told): void => {
    let tally = this.tallies.get(cache)
    if (tally === undefined) {
      if (this.tallies.size >= maxNames) return void this.uncounted++
      tally = { hits: 0, stale: 0, misses: 0, bypasses: 0, errors: 0 }
      this.tallies.set(cache, tally)
    }
    tally[fields[_tag]]++
    // Each of the calls seen so far is among the samples with the same chance.
    const place = this.seen++ < this.maxSamples ? this.samples.length : Math.floor(Math.random() * this.seen)
    if (place >= this.maxSamples) return
    const isTold = this.isWithKeys && key !== undefined && key.length <= longestKey
    this.samples[place] = isTold ? { outcome: _tag, cache, at, key } : { outcome: _tag, cache, at }
  }

  /** What has come since the last time; `undefined` where that is nothing. */
  take(): Pick<Report, "caches" | "uncounted" | "samples"> | undefined {
    const { samples, tallies, uncounted } = this
    if (tallies.size === 0) return undefined
    this.tallies = new Map()
    this.samples = []
    this.uncounted = 0
    this.seen = 0
    return { caches: Object.fromEntries(tallies), uncounted, samples }
  }
}

/** Two reports of a sender as one: of the samples those of the later. */
export const merge = (earlier: Report, later: Report): Report => {
  const caches = new Map(Object.entries(earlier.caches))
  let uncounted = earlier.uncounted + later.uncounted
  for (const [name, counts] of Object.entries(later.caches)) {
    const before = caches.get(name)
    if (before !== undefined || caches.size < maxNames) {
      caches.set(name, before === undefined ? counts : sum(before, counts))
    } else uncounted += total(counts)
  }
  return { ...later, from: earlier.from, caches: Object.fromEntries(caches), uncounted }
}

export const sum = (a: Counts, b: Counts): Counts => ({
  hits: a.hits + b.hits,
  stale: a.stale + b.stale,
  misses: a.misses + b.misses,
  bypasses: a.bypasses + b.bypasses,
  errors: a.errors + b.errors
})

/** How many calls were answered; an error is a fault behind one. */
export const total = ({ bypasses, hits, misses, stale }: Counts): number => hits + stale + misses + bypasses
