/**
 * What the cases are written with.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { YieldWrap } from "effect/Utils"
import { AssertionError } from "node:assert/strict"
import { inspect, isDeepStrictEqual } from "node:util"
import type { Backend, BackendError, Lease, Reason } from "../../Backend.js"
import * as Entry from "../../internal/entry.js"

/** What a case gets: the backend, and a share of its keys that no other run uses. */
export interface Kit {
  readonly backend: Backend
  /** The key, or tag, called `name` in this run. */
  readonly at: (name: string) => string
  readonly largeValueBytes: number
}

/** The body of a case. Its clock is a `TestClock`, and stands at zero. */
export type Scenario = (kit: Kit) => Generator<YieldWrap<Effect.Effect<any, unknown, Scope.Scope>>, void, never>

export interface Suite {
  readonly name: string
  readonly cases: Readonly<Record<string, Scenario>>
}

export const suite = (name: string, cases: Readonly<Record<string, Scenario>>): Suite => ({ name, cases })

export const minute = Duration.minutes(1)

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** An entry loaded at zero and kept for a minute, unless `header` says otherwise. */
export const entry = (value: string | Uint8Array, header: Partial<Entry.Header> = {}): Entry.Entry => {
  const { codec = "text", isFailure = false, keepUntil = 60_000, loadMillis = 1, loadedAt = 0, tags = [] } = header
  return new Entry.Entry(
    isFailure,
    codec,
    loadedAt,
    header.freshUntil ?? keepUntil,
    keepUntil,
    loadMillis,
    tags,
    isFailure ? Exit.fail(value) : Exit.succeed(value),
    typeof value === "string" ? utf8.encode(value) : value
  )
}

/** An entry that is kept for ever, and the retention that goes with it. */
export const permanent = (value: string) => [entry(value, { keepUntil: Infinity }), Duration.infinity] as const

/** The payload of an entry that came back, whichever way the backend kept it. */
export const payload = (entry: Entry.Entry): Uint8Array => {
  if (entry.bytes !== undefined) return entry.bytes
  const exit = entry.exit as Exit.Exit<unknown, unknown>
  const value = Exit.isSuccess(exit) ? exit.value : exit.cause._tag === "Fail" ? exit.cause.error : undefined
  return value instanceof Uint8Array ? value : utf8.encode(String(value))
}

/** The payload as text; `undefined` for none. */
export const valueOf = (found: Option.Option<Entry.Entry>): string | undefined =>
  Option.isSome(found) ? text.decode(payload(found.value)) : undefined

export const get = (backend: Backend, key: string): Effect.Effect<string | undefined, BackendError> =>
  Effect.map(backend.get(key), valueOf)

export const getMany = (
  backend: Backend,
  keys: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string | undefined>, BackendError> =>
  Effect.map(backend.getMany(keys), (all) => all.map(valueOf))

/** The token of a lease that must be free. */
export const lease = (backend: Backend, key: string): Effect.Effect<string, BackendError> =>
  Effect.map(
    backend.lease(key, minute),
    ({ token }: Lease) => Option.getOrElse(token, () => fail("a lease", "a token", "none"))
  )

export const isLeased = (backend: Backend, key: string): Effect.Effect<boolean, BackendError> =>
  Effect.map(backend.lease(key, minute), ({ token }) => Option.isNone(token))

/** Why the effect failed; `undefined` when it did not. */
export const reasonOf = (effect: Effect.Effect<unknown, BackendError>): Effect.Effect<Reason | undefined> =>
  Effect.match(effect, { onFailure: (error) => error.reason, onSuccess: () => undefined })

/** `effect` with every index below `count`, all at once. */
export const together = <A, E, R>(count: number, effect: (index: number) => Effect.Effect<A, E, R>) =>
  Effect.all(Array.from({ length: count }, (_, index) => effect(index)), { concurrency: "unbounded" })

/** `effect` once the other fibers have had `yields` chances to run: moves the meeting point of two operations. */
export const after = <A, E, R>(yields: number, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  yields === 0 ? effect : Effect.zipRight(Effect.yieldNow(), after(yields - 1, effect))

/** One turn of the event loop: lets the I/O that is under way go on. */
export const turn: Effect.Effect<void> = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Whether the key stays leased for a second: a lease may be given back behind the back of who was interrupted. */
export const isLeasedForLong = (backend: Backend, key: string): Effect.Effect<boolean, BackendError> =>
  Effect.suspend(() => {
    const deadline = performance.now() + 1_000
    const ask: Effect.Effect<boolean, BackendError> = Effect.flatMap(
      isLeased(backend, key),
      (isHeld) => isHeld && performance.now() < deadline ? Effect.zipRight(turn, ask) : Effect.succeed(isHeld)
    )
    return ask
  })

const show = (value: unknown): string =>
  inspect(value, { depth: 3, maxArrayLength: 10, maxStringLength: 100, breakLength: 120 })

export const fail = (what: string, expected: unknown, actual: unknown): never => {
  throw new AssertionError({
    message: `${what}: expected ${show(expected)}, but got ${show(actual)}`,
    actual,
    expected,
    operator: "conformance",
    stackStartFn: fail
  })
}

/** Runs `effect` and wants it to answer `expected`. */
export const equal = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>, expected: A): Effect.Effect<void, E, R> =>
  Effect.map(effect, (actual) => {
    if (!isDeepStrictEqual(actual, expected)) fail(what, expected, actual)
  })

/** Runs `effect` and wants it to fail with `reason`. */
export const refused = (what: string, effect: Effect.Effect<unknown, BackendError>, reason: Reason) =>
  equal<Reason | undefined, never, never>(`the reason ${what} fails`, reasonOf(effect), reason)
