/**
 * What the tests of backends under faults have in common: every operation at once, how long it took, what was printed
 * and what was left behind. Time is the platform's.
 */
import { afterAll, assert, vi } from "@effect/vitest"
import type { Backend, BackendError } from "effect-caching/Backend"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { inspect } from "node:util"
import * as Entry from "../../src/internal/entry.js"

/** Nothing may reach the terminal while the tests of the file run. */
export const printsNothing = (): void => {
  const printed: Array<string> = []
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, "write").mockImplementation((chunk) => {
      printed.push(String(chunk))
      return true
    })
  )
  for (const method of ["log", "info", "warn", "error", "debug"] as const) {
    spies.push(vi.spyOn(console, method).mockImplementation((...args) => void printed.push(args.join(" "))) as any)
  }
  const warn = (warning: Error) => void printed.push(String(warning))
  process.on("warning", warn)
  afterAll(() => {
    process.off("warning", warn)
    for (const spy of spies) spy.mockRestore()
    assert.deepStrictEqual(printed, [])
  })
}

export const minute = Duration.minutes(1)

export const entry = (value: string | Uint8Array) =>
  new Entry.Entry(false, "text", 0, Infinity, Infinity, 1, [], undefined, Buffer.from(value))

export const valueOf = (found: Option.Option<Entry.Entry>) =>
  Option.isSome(found) ? Buffer.from(found.value.bytes!).toString("latin1") : undefined

export const get = (backend: Backend, key: string) => Effect.map(backend.get(key), valueOf)

/** How long the effect took, in milliseconds of real time, and what came of it. */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(Effect.either(effect), (result) => ({ result, ms: performance.now() - start }))
  })

export const reasonOf = (effect: Effect.Effect<unknown, BackendError>) =>
  Effect.match(effect, { onFailure: (error) => error.reason, onSuccess: () => "none" as const })

/** Every operation once, by name. */
export const operations = (backend: Backend): Record<string, Effect.Effect<unknown, BackendError>> => ({
  get: backend.get("a"),
  getMany: backend.getMany(["a", "b"]),
  set: backend.set("a", entry("1"), minute),
  setMany: backend.setMany([["a", entry("1"), minute]]),
  add: backend.add("a", entry("1"), minute),
  has: backend.has("a"),
  remove: backend.remove("a"),
  removeMany: backend.removeMany(["a"]),
  increment: backend.increment("n", 1, minute),
  clear: backend.clear(""),
  lease: backend.lease("l", minute),
  renew: backend.renew("l", "token", minute),
  fill: backend.fill("l", "token", entry("1"), minute),
  tagVersions: backend.tagVersions(["t"]),
  refreshTags: backend.refreshTags([{ tag: "t", hard: "h", soft: "s" }]),
  tagEpoch: backend.tagEpoch,
  invalidateTags: backend.invalidateTags(["t"], "hard")
})

/** The reasons why each operation fails, all made at once. */
export const reasons = (backend: Backend) =>
  Effect.map(
    Effect.all(Object.values(operations(backend)).map(reasonOf), { concurrency: "unbounded" }),
    (all) => [...new Set(all)]
  )

/** Tries until it holds, and says how long that took. */
export const eventually = <E = never>(what: string, holds: Effect.Effect<boolean, E>, within = 5_000) =>
  Effect.suspend(() => {
    const start = performance.now()
    const again: Effect.Effect<number, E> = Effect.flatMap(holds, (isTrue) => {
      const ms = performance.now() - start
      if (isTrue) return Effect.succeed(ms)
      return ms > within ? Effect.die(new Error(`${what}: not within ${within} ms`)) : Effect.delay(again, 5)
    })
    return again
  })

export const works = (backend: Backend) => Effect.isSuccess(backend.set("works", entry("1"), minute))

const handles = () => {
  const count: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) {
    if (/TCP|Pipe|Timeout/.test(kind)) count[kind] = (count[kind] ?? 0) + 1
  }
  return count
}

/** Fibers that have begun and not ended, whoever forked them. */
const fibers = Metric.value(Metric.fiberActive)

/** Runs `body` and wants every fiber that it forked to have ended afterwards. */
export const leavesNoFiber = <A, E>(body: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function*() {
    const { count } = yield* fibers
    const result = yield* Effect.scoped(body)
    yield* eventually("no fiber more than before", Effect.map(fibers, (now) => now.count <= count))
    return result
  })

/** Runs `body` and wants every socket, timer and fiber that it made to be gone afterwards. */
export const leavesNothing = <A, E>(body: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function*() {
    const before = handles()
    const result = yield* leavesNoFiber(body)
    yield* eventually(
      `handles like ${inspect(before)}`,
      // One timer is that of the polling itself.
      Effect.sync(() => Object.entries(handles()).every(([kind, count]) => count <= (before[kind] ?? 0)))
    )
    return result
  })

/** Everything that an error tells, in any way of printing it. */
export const told = (error: BackendError): string =>
  [JSON.stringify(error), inspect(error, { depth: 20, showHidden: true }), String(error), error.stack].join()
