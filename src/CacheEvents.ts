/**
 * How the caches of a program answer, told to other processes: to
 * `effect-caching watch`, or to a monitor of yours.
 *
 * A program publishes reports: how many hits, stale answers, misses, bypasses and
 * faults each cache had since the last one, and a sample of the calls. A call adds
 * to a counter and waits for nothing. Values are never told, and keys only where
 * that is asked for: they may say who a user is.
 *
 * @since 1.0.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CacheBackend } from "./Backend.js"
import { newVersion } from "./internal/derive.js"
import { InvalidOption, requireMillis, requireNumber } from "./internal/options.js"
import * as Internal from "./internal/telemetry/report.js"
import type { Bus } from "./InvalidationBus.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * How often calls of a cache were answered in each way. An error is a fault of the
 * backend behind a call, which is counted among the others too.
 *
 * @since 1.0.0
 * @category models
 */
export interface Counts {
  readonly hits: number
  readonly stale: number
  readonly misses: number
  readonly bypasses: number
  readonly errors: number
}

/**
 * One call of many.
 *
 * @since 1.0.0
 * @category models
 */
export interface Sample {
  readonly outcome: "Hit" | "Stale" | "Miss" | "Bypass" | "Error"
  /** The cache's name. */
  readonly cache: string
  /** In epoch milliseconds, by the clock of the call. */
  readonly at: number
  /** As the backend knows it, where the program tells keys. */
  readonly key?: string | undefined
}

/**
 * What one process tells of a while.
 *
 * @since 1.0.0
 * @category models
 */
export interface Report {
  /** Random, one for each `publish`: tells processes of one program apart. */
  readonly sender: string
  /** The program, where it has given a name. */
  readonly program?: string | undefined
  /** In epoch milliseconds. */
  readonly from: number
  readonly until: number
  /** By the names of the caches. */
  readonly caches: Readonly<Record<string, Counts>>
  /** Calls of caches beyond the 256 that a report names. */
  readonly uncounted: number
  readonly samples: ReadonlyArray<Sample>
}

/**
 * What is told, and how often.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /** Names the program to who watches, at most 100 characters. Default: none. */
  readonly program?: string | undefined
  /** How long reports are apart: 10 milliseconds at least, and finite. Default: 1 second. */
  readonly interval?: Duration.DurationInput | undefined
  /** The most calls that a report tells one by one, at most 1,000; picked at random. Default: 20. */
  readonly samples?: number | undefined
  /** Whether samples have their keys, which may say who a user is. Default: false. */
  readonly keys?: boolean | undefined
}

// -----------------------------------------------------------------------------
// tags
// -----------------------------------------------------------------------------

/**
 * The bus that reports go over: `RedisBus.layerEvents` makes one over Redis.
 *
 * @since 1.0.0
 * @category tags
 */
export class EventBus extends Context.Tag("effect-caching/EventBus")<EventBus, Bus>() {}

// -----------------------------------------------------------------------------
// publishing
// -----------------------------------------------------------------------------

/**
 * Publishes how the caches over this backend answer, until the scope closes; then
 * the last report is sent. Dies with `InvalidOption` where an option cannot be meant.
 *
 * What is collected is bounded, whatever the load. A bus that is down neither
 * fails nor delays a call: what could not be told is added to the next report.
 *
 * @since 1.0.0
 * @category publishing
 */
export const publish = (
  options: Options = {}
): Effect.Effect<void, never, CacheBackend | EventBus | Scope.Scope> =>
  Effect.gen(function*() {
    const { interval, isWithKeys, maxSamples, program } = settingsOf(options)
    const { listeners } = yield* CacheBackend
    const bus = yield* EventBus
    const collector = new Internal.Collector(maxSamples, isWithKeys)
    const sender = newVersion()
    let from = yield* Clock.currentTimeMillis
    let unsent: Internal.Report | undefined
    const outcome = (outcome: string) =>
      Metric.increment(Metric.tagged(Metric.tagged(reports, "bus", bus.name), "outcome", outcome))
    const send = Effect.gen(function*() {
      const until = yield* Clock.currentTimeMillis
      const collected = collector.take()
      if (collected !== undefined) {
        const report: Internal.Report = { v: 1, sender, ...program, from, until, ...collected }
        unsent = unsent === undefined ? report : Internal.merge(unsent, report)
      }
      from = until
      if (unsent === undefined) return
      const isSent = yield* Effect.isSuccess(bus.publish(Internal.encode(unsent)))
      if (isSent) unsent = undefined
      yield* outcome(isSent ? "sent" : "unsent")
    })
    // The last report is sent when nothing more can come, and no other is under way.
    yield* Effect.addFinalizer(() => send)
    yield* Effect.acquireRelease(
      Effect.sync(() => listeners.add(collector.listen)),
      () => Effect.sync(() => listeners.remove(collector.listen))
    )
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.sleep(interval), Effect.uninterruptible(send))))
  })

const settingsOf = ({ interval = 1_000, keys = false, program, samples = 20 }: Options) => {
  const module = "CacheEvents"
  const millis = requireMillis(module, "interval", interval)
  if (millis < 10 || millis === Infinity) {
    throw new InvalidOption({
      module,
      option: "interval",
      value: interval,
      expected: "10 milliseconds or more, finite"
    })
  }
  if (program !== undefined && (typeof program !== "string" || program === "" || program.length > 100)) {
    throw new InvalidOption({ module, option: "program", value: program, expected: "1 to 100 characters" })
  }
  return {
    interval: millis,
    isWithKeys: keys,
    maxSamples: requireNumber(module, "samples", samples, { min: 0, max: 1_000, integer: true }),
    program: program === undefined ? {} : { program }
  }
}

/**
 * `publish` for as long as the program runs. Give it the backend that the program
 * uses, by `Layer.provideMerge`.
 *
 * @example
 * ```ts
 * import { CacheEvents } from "effect-caching"
 * import * as Redis from "effect-caching/backends/Redis"
 * import * as RedisBus from "effect-caching/backends/RedisBus"
 * import { Layer } from "effect"
 *
 * const url = "redis://localhost:6379"
 *
 * // To be watched with `effect-caching watch --url redis://localhost:6379`.
 * const CacheLive = CacheEvents.layer({ program: "shop" }).pipe(
 *   Layer.provide(RedisBus.layerEvents({ url })),
 *   Layer.provideMerge(Redis.layer({ url }))
 * )
 * ```
 *
 * @since 1.0.0
 * @category publishing
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, CacheBackend | EventBus> =>
  Layer.scopedDiscard(publish(options))

// -----------------------------------------------------------------------------
// watching
// -----------------------------------------------------------------------------

/**
 * What is heard on the bus: the reports of all programs that publish on it, and
 * whether the subscription holds. Reports from while it does not are lost.
 *
 * @since 1.0.0
 * @category models
 */
export type Heard =
  | { readonly _tag: "Report"; readonly report: Report }
  | { readonly _tag: "Subscribed" | "Lost" }

/**
 * What is heard on the bus, from when the stream is run. Messages that are no
 * reports, or of a later form, are passed over. Who lags by more than 1,024 of
 * them misses the oldest.
 *
 * @example
 * ```ts
 * import { CacheEvents } from "effect-caching"
 * import { Console, Stream } from "effect"
 *
 * const main = Stream.runForEach(CacheEvents.watch, (heard) =>
 *   heard._tag === "Report" ? Console.log(heard.report.program, heard.report.caches) : Console.log(heard._tag))
 * ```
 *
 * @since 1.0.0
 * @category watching
 */
export const watch: Stream.Stream<Heard, never, EventBus> = Stream.unwrapScoped(Effect.gen(function*() {
  const bus = yield* EventBus
  const queue = yield* Effect.acquireRelease(Queue.sliding<Heard>(1_024), Queue.shutdown)
  yield* bus.subscribe({
    onMessage: (message) => {
      const decoded = Internal.decode(message)
      if (decoded === undefined) return
      const { v: _, ...report } = decoded
      queue.unsafeOffer({ _tag: "Report", report })
    },
    onSubscribed: () => void queue.unsafeOffer({ _tag: "Subscribed" }),
    onLost: () => void queue.unsafeOffer({ _tag: "Lost" })
  })
  return Stream.fromQueue(queue)
}))

// -----------------------------------------------------------------------------
// metrics
// -----------------------------------------------------------------------------

/**
 * Reports, by `bus` and `outcome`: `sent`, or `unsent` (its counts are in the next one).
 *
 * @since 1.0.0
 * @category metrics
 */
export const reports = Metric.counter("cache_event_reports", {
  description: "Reports of cache events, by outcome: sent, or unsent and told with the next one",
  incremental: true
})
