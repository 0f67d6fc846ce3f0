/** What the server tells of itself: each answer's time in its headers, and the state of the cache. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { CacheBackend } from "effect-caching/Backend"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Metric from "effect/Metric"
import * as MetricState from "effect/MetricState"

interface Answer {
  readonly path: string
  readonly result: string
  readonly ms: number
}

const kept = 9
const answers: Array<Answer> = []

const computedIn = "x-computed-in"

const timing = (name: string, ms: number, description?: string): string =>
  `${name};dur=${ms.toFixed(3)}${description === undefined ? "" : `;desc="${description}"`}`

/**
 * Inside the cache: how long computing the answer took, in a header that is stored with it, and so comes with every hit.
 */
export const computed = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(app, (response) =>
      HttpServerResponse.setHeader(response, computedIn, (performance.now() - start).toFixed(3)))
  })

/**
 * Outside of the cache: how long this answer took, and where it came from. `Cache-Status` tells an answer from the cache
 * from one that went forward; which of those from the cache are stale, the attribute of the span does.
 *
 * The browser is to ask again each time, so that each look at a page is a question to the server.
 */
export const answered = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
  Effect.useSpan("answer", (span) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const start = performance.now()
      return Effect.map(Effect.withParentSpan(app, span), (response) => {
        const ms = performance.now() - start
        const isForwarded = !/;\s*hit/.test(response.headers["cache-status"] ?? "")
        const result = isForwarded ? "miss" : span.attributes.get("cache.result") === "stale" ? "stale" : "hit"
        answers.unshift({ path: request.originalUrl, result, ms })
        answers.length = Math.min(answers.length, kept)
        const load = Number(response.headers[computedIn] ?? NaN)
        return HttpServerResponse.setHeaders(response, {
          "server-timing": timing("answer", ms, result) + (Number.isNaN(load) ? "" : `, ${timing("load", load)}`),
          "cache-control": "no-store"
        })
      })
    }))

type Counts = Record<"hit" | "stale" | "miss" | "bypass", number>

/** The counters of every cache that was asked, the one asked most first. */
const caches = Effect.map(Metric.snapshot, (pairs) => {
  const found = new Map<string, Counts>()
  for (const { metricKey, metricState } of pairs) {
    if (metricKey.name !== "cache_requests" || !MetricState.isCounterState(metricState)) continue
    const tags = new Map(metricKey.tags.map((tag) => [tag.key, tag.value]))
    const name = tags.get("cache") ?? ""
    const counts = found.get(name) ?? { hit: 0, stale: 0, miss: 0, bypass: 0 }
    found.set(name, { ...counts, [tags.get("result") ?? "bypass"]: Number(metricState.count) })
  }
  const all = (_: Counts) => _.hit + _.stale + _.miss + _.bypass
  return [...found].map(([name, counts]) => ({ name, ...counts })).filter((_) => all(_) > 0).sort((a, b) =>
    all(b) - all(a)
  )
})

/** Why the store does not answer, if so. */
export const problem = Effect.flatMap(
  CacheBackend,
  (backend) =>
    Effect.map(
      Effect.either(backend.has("health")),
      (answer) => Either.isLeft(answer) ? answer.left.message : undefined
    )
)

export const live = (store: string) =>
  Effect.gen(function*() {
    const state = { name: store, problem: yield* problem }
    return HttpServerResponse.unsafeJson({ store: state, process: process.pid, answers, caches: yield* caches })
  })
