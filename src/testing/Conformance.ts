/**
 * The contract of a backend as data: cases that any backend must pass, under any
 * test runner. A case is a sentence about behaviour, and an effect that fails
 * where a backend does otherwise.
 *
 * Cases can share one server, as each run has keys and tags of its own. Time is a
 * `TestClock`: nothing sleeps.
 *
 * @since 1.0.0
 */
import * as Cause from "effect/Cause"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as TestContext from "effect/TestContext"
import { randomUUID } from "node:crypto"
import { CacheBackend } from "../Backend.js"
import { claims } from "./suites/claim.js"
import { clear } from "./suites/clear.js"
import { add, getAndSet, many, remove } from "./suites/entries.js"
import { expiry } from "./suites/expiry.js"
import { increment } from "./suites/increment.js"
import { interruption } from "./suites/interruption.js"
import { keys } from "./suites/keys.js"
import type { Scenario } from "./suites/kit.js"
import { leases } from "./suites/lease.js"
import { tags } from "./suites/tags.js"
import { values } from "./suites/values.js"

const all = [getAndSet, many, add, remove, expiry, increment, clear, leases, claims, tags, keys, values, interruption]

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * One thing that a backend must do.
 *
 * @since 1.0.0
 * @category models
 */
export interface Case {
  readonly suite: string
  /** A sentence about behaviour. */
  readonly name: string
  /** Fails, or dies with an `AssertionError`, where the backend does otherwise. */
  readonly run: Effect.Effect<void, unknown, CacheBackend | Scope.Scope>
  /** Why the case is left out; its `run` does nothing then. */
  readonly leftOut: string | undefined
}

/**
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /**
   * What to leave out, and why: by suite (`"tags"`) or by case (`"tags: keeps the
   * tags of an entry"`). A name that matches nothing is an error.
   */
  readonly skip?: Readonly<Record<string, string>> | undefined
  /** About how large the largest values of the cases are. Default: 1 MiB. */
  readonly largeValueBytes?: number | undefined
  /** The real time that a case may take before it fails. Default: 15 seconds. */
  readonly timeLimit?: Duration.DurationInput | undefined
}

/**
 * The functions of a test runner that `register` uses: those of vitest, jest,
 * bun and `node:test` fit.
 *
 * @since 1.0.0
 * @category models
 */
export interface Runner {
  readonly describe: (name: string, body: () => void) => unknown
  readonly it: {
    (name: string, run: () => Promise<void>): unknown
    readonly skip?: ((name: string, run: () => Promise<void>) => unknown) | undefined
  }
}

/**
 * How a backend did in one case.
 *
 * @since 1.0.0
 * @category models
 */
export interface Result {
  readonly suite: string
  readonly name: string
  readonly outcome: "passed" | "failed" | "left out"
  /** What went wrong, or why the case was left out. */
  readonly reason?: string | undefined
}

/**
 * A row per suite, with a cell per backend.
 *
 * @since 1.0.0
 * @category models
 */
export interface Row {
  readonly suite: string
  readonly cells: Readonly<
    Record<string, { readonly passed: number; readonly failed: number; readonly leftOut: number }>
  >
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * The names of the suites, in their order.
 *
 * @since 1.0.0
 * @category constructors
 */
export const suites: ReadonlyArray<string> = all.map((suite) => suite.name)

/**
 * Every case of the contract, those that `options` leave out with their reason.
 *
 * @since 1.0.0
 * @category constructors
 */
export const cases = (options: Options = {}): ReadonlyArray<Case> => {
  const skip = new Map(Object.entries(options.skip ?? {}))
  const used = new Set<string>()
  const found = all.flatMap((suite) =>
    Object.entries(suite.cases).map(([name, scenario]): Case => {
      const matches = [`${suite.name}: ${name}`, suite.name].filter((key) => skip.has(key))
      for (const key of matches) used.add(key)
      const key = matches[0]
      return {
        suite: suite.name,
        name,
        run: key === undefined ? run(scenario, options.largeValueBytes ?? 1_048_576) : Effect.void,
        leftOut: key === undefined ? undefined : skip.get(key)
      }
    })
  )
  for (const key of skip.keys()) {
    if (!used.has(key)) throw new Error(`Conformance: there is no suite and no case "${key}" to leave out`)
  }
  return found
}

const run = (scenario: Scenario, largeValueBytes: number): Case["run"] =>
  Effect.flatMap(CacheBackend, (backend) => {
    const prefix = `conformance:${randomUUID()}:`
    return Effect.gen(() => scenario({ backend, at: (name) => prefix + name, largeValueBytes }))
  }).pipe(
    Effect.provide(TestContext.TestContext),
    // `provide` leaves the `TestClock` behind in the fiber: what comes after the case would wait for it.
    Effect.locallyWith(DefaultServices.currentServices, identity)
  )

// -----------------------------------------------------------------------------
// running
// -----------------------------------------------------------------------------

/**
 * Registers every case with a test runner. Each gets a backend of its own from
 * `layer`, made with the real clock; what is left out is reported with its reason.
 *
 * @example
 * ```ts
 * import * as Memory from "effect-caching/backends/Memory"
 * import { Conformance } from "effect-caching/testing"
 * import { describe, it } from "node:test"
 *
 * Conformance.register({ describe, it }, Memory.layer())
 * ```
 *
 * @since 1.0.0
 * @category running
 */
export const register = <E>(runner: Runner, layer: Layer.Layer<CacheBackend, E>, options: Options = {}): void => {
  const { it } = runner
  const selected = cases(options)
  for (const suite of suites) {
    runner.describe(suite, () => {
      for (const case_ of selected.filter((_) => _.suite === suite)) {
        if (case_.leftOut !== undefined) {
          const leaveOut = it.skip ?? it
          leaveOut(`${case_.name} (left out: ${case_.leftOut})`, () => Promise.resolve())
          continue
        }
        it(case_.name, async () => {
          const exit = await Effect.runPromise(attempt(case_, layer, options))
          // The error itself, for the runner to show with its difference.
          if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
        })
      }
    })
  }
}

/**
 * How the backend of `layer` does in every case.
 *
 * @since 1.0.0
 * @category running
 */
export const results = <E>(
  layer: Layer.Layer<CacheBackend, E>,
  options: Options = {}
): Effect.Effect<ReadonlyArray<Result>> =>
  Effect.suspend(() =>
    Effect.forEach(cases(options), (case_): Effect.Effect<Result> => {
      const { leftOut, name, suite } = case_
      if (leftOut !== undefined) return Effect.succeed({ suite, name, outcome: "left out", reason: leftOut })
      return Effect.map(attempt(case_, layer, options), (exit) =>
        Exit.isSuccess(exit)
          ? { suite, name, outcome: "passed" }
          : { suite, name, outcome: "failed", reason: String((Cause.squash(exit.cause) as Error).message) })
    })
  )

/**
 * Results of several backends, side by side.
 *
 * @since 1.0.0
 * @category running
 */
export const table = (byBackend: Readonly<Record<string, ReadonlyArray<Result>>>): ReadonlyArray<Row> =>
  suites.map((suite) => {
    const count = (results: ReadonlyArray<Result>, outcome: Result["outcome"]): number =>
      results.filter((_) => _.suite === suite && _.outcome === outcome).length
    const cells = Object.entries(byBackend).map(([backend, results]) => [backend, {
      passed: count(results, "passed"),
      failed: count(results, "failed"),
      leftOut: count(results, "left out")
    }])
    return { suite, cells: Object.fromEntries(cells) as Row["cells"] }
  })

const attempt = <E>(
  { name, run }: Case,
  layer: Layer.Layer<CacheBackend, E>,
  options: Options
): Effect.Effect<Exit.Exit<void, unknown>> => {
  const limit = Duration.decode(options.timeLimit ?? "15 seconds")
  return Effect.scoped(run).pipe(
    Effect.provide(layer),
    // Disconnected: a backend that cannot be interrupted must not hold up the report.
    Effect.disconnect,
    Effect.timeoutFail({
      duration: limit,
      onTimeout: () => new Error(`"${name}" did not end within ${Duration.format(limit)}`)
    }),
    Effect.exit
  )
}
