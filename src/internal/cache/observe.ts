/**
 * What a cache tells of itself: counters with bounded labels, an attribute on
 * the caller's span, and events for those who listen. Never a value, and a key
 * only to a listener.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as MetricKey from "effect/MetricKey"
import type { Backend, BackendError } from "../../Backend.js"

/** How a call was answered. */
export type Result = "hit" | "stale" | "miss" | "bypass"

export type Counters = Readonly<Record<Result, Metric.Metric.Counter<number>>>

const requests = MetricKey.counter("cache_requests", {
  description: "Calls of a cache by how they were answered",
  incremental: true
})

const faults = Metric.counter("cache_backend_errors", {
  description: "Operations of a backend that failed behind a cached call",
  incremental: true
})

const undecodable = Metric.counter("cache_undecodable_entries", {
  description: "Entries that a codec did not accept: taken as misses",
  incremental: true
})

const counters = new Map<string, Counters>()

/** The counters of a name: made once, as fragments describe their cache anew at each use. */
export const countersOf = (cache: string): Counters => {
  const present = counters.get(cache)
  if (present !== undefined) return present
  // From a key with its labels: `Metric.tagged` looks the counter up in the registry at each update.
  const of = (result: Result) =>
    Metric.fromMetricKey(MetricKey.tagged(MetricKey.tagged(requests, "cache", cache), "result", result))
  const made = { hit: of("hit"), stale: of("stale"), miss: of("miss"), bypass: of("bypass") }
  counters.set(cache, made)
  return made
}

const noLabels: Array<never> = []

/** The default services of a fiber, or of the one that they were taken from. */
export type Services = Fiber.RuntimeFiber<any, any>["currentDefaultServices"]

export const clockIn = (services: Services): Clock.Clock => services.unsafeMap.get(Clock.Clock.key) as Clock.Clock

/** The part of a cached call that is told of. `key` is `undefined` where the arguments cannot be one. */
export interface Answered {
  readonly policy: { readonly name: string; readonly counters: Counters }
  readonly backend: Backend
  readonly key: string | undefined
}

/** Counts a call, with or without a fiber. */
export const unsafeTell = (
  { counters, name }: Answered["policy"],
  { listeners }: Backend,
  key: string | undefined,
  result: Result,
  services: Services
): void => {
  counters[result].unsafeUpdate(1, noLabels)
  if (listeners.isAny) {
    const at = clockIn(services).unsafeCurrentTimeMillis()
    listeners.tell({ _tag: tags[result], cache: name, at, key, error: undefined })
  }
}

/** Counts a call and names its result on the caller's span: synchronous, for the hit path. */
export const unsafeCount = (
  policy: Answered["policy"],
  backend: Backend,
  key: string | undefined,
  result: Result,
  fiber: Fiber.RuntimeFiber<any, any>
): void => {
  unsafeTell(policy, backend, key, result, fiber.currentDefaultServices)
  const span = fiber.currentSpan
  if (span !== undefined && span._tag === "Span") span.attribute("cache.result", result)
}

const tags = { hit: "Hit", stale: "Stale", miss: "Miss", bypass: "Bypass" } as const

export const count = ({ backend, key, policy }: Answered, result: Result): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    unsafeCount(policy, backend, key, result, fiber)
    return Effect.void
  })

/** A fault behind a call that goes on without the backend: counted, and logged where someone debugs. */
export const backendError = (
  { backend: { listeners }, key, policy: { name } }: Answered,
  error: BackendError
): Effect.Effect<void> =>
  Effect.zipRight(
    Metric.increment(Metric.tagged(Metric.tagged(faults, "cache", name), "reason", error.reason)),
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      if (listeners.isAny) listeners.tell({ _tag: "Error", cache: name, at, key, error })
      return Effect.logDebug(`cache ${name}: ${error.message}`)
    })
  )

export const undecodableEntry = (cache: string): Effect.Effect<void> =>
  Effect.zipRight(
    Metric.increment(Metric.tagged(undecodable, "cache", cache)),
    Effect.logDebug(`cache ${cache}: an entry could not be decoded and counts as a miss`)
  )

/** Something the program should be mended for, behind a call that succeeds all the same. */
export const notStored = (cache: string, why: string): Effect.Effect<void> =>
  Effect.logWarning(`cache ${cache}: a value was not stored: ${why}`)
