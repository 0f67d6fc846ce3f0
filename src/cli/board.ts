/**
 * What `watch` shows: how often each cache was answered in each way lately.
 */
import type { Counts, Report, Sample } from "../CacheEvents.js"
import { sum, total } from "../internal/telemetry/report.js"
import * as Render from "./render.js"

/** Rates are those of so many milliseconds. */
const windowMillis = 5_000
const mostSenders = 1_000
const mostSamples = 8

const none: Counts = { hits: 0, stale: 0, misses: 0, bypasses: 0, errors: 0 }

/** Of calls that a cache could have answered. */
export const hitRatio = ({ hits, misses, stale }: Counts): number => (hits + stale) / (hits + stale + misses)

export class Board {
  private recent: Array<{ readonly heardAt: number; readonly report: Report }> = []
  private readonly totals = new Map<string, Counts>()
  private readonly senders = new Map<string, { readonly program: string | undefined; readonly heardAt: number }>()
  private samples: ReadonlyArray<Sample> = []
  private uncounted = 0
  isSubscribed = true

  constructor(private readonly channel: string, private readonly startedAt: number) {}

  hear(report: Report, heardAt: number): void {
    this.recent.push({ heardAt, report })
    this.senders.delete(report.sender)
    this.senders.set(report.sender, { program: report.program, heardAt })
    if (this.senders.size > mostSenders) this.senders.delete(this.senders.keys().next().value!)
    for (const [name, counts] of Object.entries(report.caches)) {
      this.totals.set(name, sum(this.totals.get(name) ?? none, counts))
    }
    this.uncounted += report.uncounted
    this.samples = [...this.samples, ...report.samples].slice(-mostSamples)
  }

  text(now: number): string {
    this.recent = this.recent.filter(({ heardAt }) => now - heardAt < windowMillis)
    const seconds = Math.max(1_000, Math.min(windowMillis, now - this.startedAt)) / 1_000
    const lately = new Map<string, Counts>()
    for (const { report } of this.recent) {
      for (const [name, counts] of Object.entries(report.caches)) {
        lately.set(name, sum(lately.get(name) ?? none, counts))
      }
    }
    const rows = Array.from(this.totals, ([name, all]) => {
      const counts = lately.get(name) ?? none
      const rates = [counts.hits, counts.stale, counts.misses, counts.bypasses, counts.errors]
      return [
        name,
        ...rates.map((count) => Render.rate(count / seconds)),
        Render.percent(hitRatio(counts)),
        Render.count(total(all)),
        Render.percent(hitRatio(all))
      ]
    }).sort(([a], [b]) => a! < b! ? -1 : 1)
    return [
      this.headline(now),
      rows.length === 0 ? "no calls so far" : Render.table(columns, rows),
      ...(this.uncounted > 0 ? [`${Render.count(this.uncounted)} calls of further caches`] : []),
      ...(this.samples.some(({ key }) => key !== undefined) ? [this.samplesText()] : [])
    ].join("\n\n")
  }

  private headline(now: number): string {
    const live = Array.from(this.senders.values()).filter(({ heardAt }) => now - heardAt < windowMillis)
    const programs = Array.from(new Set(live.flatMap(({ program }) => program ?? []))).sort()
    const heard = `${Render.plural(live.length, "process", "processes")}${
      programs.length === 0 ? "" : ` of ${Render.visible(programs.join(", "))}`
    }`
    const state = this.isSubscribed ? `heard lately: ${heard}` : "the connection is lost, and is made again"
    return `${Render.visible(this.channel)}: ${state}`
  }

  private samplesText(): string {
    return Render.table(
      [{ title: "some calls" }, { title: "cache" }, { title: "key" }],
      this.samples.map(({ cache, key = "", outcome }) => [outcome.toLowerCase(), cache, key])
    )
  }
}

const columns: ReadonlyArray<Render.Column> = [
  { title: "cache" },
  ...["hits/s", "stale/s", "misses/s", "bypassed/s", "faults/s", "ratio", "calls", "ratio of all"].map((title) => ({
    title,
    isNumber: true
  }))
]
