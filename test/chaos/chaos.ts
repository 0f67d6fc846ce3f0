/**
 * Faults and callers chosen by a seed: proxies spoil connections while many fibers use backends through them, and what
 * the callers were answered is held against what they did. Time is the platform's, so of one seed the choices are the
 * same in every run, and when they meet is not.
 */
import { type Backend, CacheBackend } from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import * as FaultProxy from "../support/faultProxy.js"

const { Mode } = FaultProxy

export interface Subject {
  /** Each stands for a process; all of their connections go through the proxies. */
  readonly backends: ReadonlyArray<Backend>
  /** The same entries, past the proxies. */
  readonly direct: Backend
  readonly proxies: ReadonlyArray<FaultProxy.FaultProxy>
  /** After so many milliseconds without an answer the backends give up. */
  readonly timeout: number
  /** No call may take longer, in milliseconds. Default: three time-outs and a second. */
  readonly bound?: number | undefined
  /** Where a server says "nothing" by closing the connection, a lost answer is a miss. Default: false. */
  readonly mayMiss?: boolean | undefined
}

export interface Report {
  /** What must not have been, in words. */
  readonly problems: ReadonlyArray<string>
  /** How often each operation succeeded, failed and was interrupted. */
  readonly counts: Readonly<Record<string, Readonly<Record<"succeeded" | "failed" | "interrupted", number>>>>
  readonly faults: Readonly<Record<string, number>>
  /** How long the slowest operation took, in milliseconds. */
  readonly slowest: number
}

export type Random = () => number

/** Numbers that look random, the same for the same seed. */
export const seeded = (seed: number): Random => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let bits = Math.imul(seed ^ (seed >>> 15), seed | 1)
  bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
  return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
}

const below = (random: Random, end: number) => Math.floor(random() * end)
const pick = <A>(random: Random, all: ReadonlyArray<A>): A => all[below(random, all.length)]!

// -----------------------------------------------------------------------------
// faults
// -----------------------------------------------------------------------------

/** Spoils one proxy after the other, until it is interrupted. */
const spoil = (
  proxies: ReadonlyArray<FaultProxy.FaultProxy>,
  random: Random,
  timeout: number,
  count: (fault: string) => void
): Effect.Effect<never> => {
  const ending = () => pick(random, ["FIN", "RST"] as const)
  const modes: ReadonlyArray<() => FaultProxy.Mode> = [
    () => Mode.Latency({ up: below(random, 60), down: below(random, 60) }),
    () => Mode.Trickle({ bytes: 100 + below(random, 1_000), every: 1 }),
    () =>
      Mode.BlackHole({
        direction: pick(random, ["up", "down", "both"] as const),
        resetAfter: below(random, 2 * timeout)
      }),
    () => Mode.CutAfter({ bytes: below(random, 3_000), with: ending() }),
    () => Mode.CutAfter({ bytes: 0, with: ending() }),
    () => Mode.Hang(),
    () => Mode.Refuse(),
    () => Mode.CloseOnAccept({ with: ending() })
  ]
  const once = Effect.suspend(() => {
    const proxy = pick(random, proxies)
    const mode = pick(random, modes)()
    const cut = pick(random, ["resetAll", "finAll", undefined, undefined] as const)
    const [spoilt, calm] = [20 + below(random, timeout), 20 + below(random, timeout / 2)]
    count(mode._tag)
    if (cut !== undefined) count(cut)
    return proxy.setMode(mode).pipe(
      Effect.zipRight(cut === undefined ? Effect.void : proxy[cut]),
      Effect.zipRight(Effect.sleep(spoilt)),
      Effect.zipRight(proxy.setMode(Mode.Pass())),
      Effect.zipRight(Effect.sleep(calm))
    )
  })
  return Effect.forever(once)
}

// -----------------------------------------------------------------------------
// callers
// -----------------------------------------------------------------------------

/** Tells its key, which of the values of that key it is, and whether it is whole. */
const Value = Schema.Struct({ key: Schema.String, nonce: Schema.Number, body: Schema.String, sum: Schema.String })

type Value = typeof Value.Type

const sumOf = (key: string, nonce: number, body: string) =>
  createHash("sha1").update(`${key} ${nonce} ${body}`).digest("hex")

const policy = { timeToLive: "1 hour", leaseDuration: "300 millis" } as const

const values = Cache.make({ ...policy, name: "values", schema: Value, key: (key: string) => key })
const strict = Cache.make({
  ...policy,
  name: "strict",
  schema: Value,
  key: (key: string) => key,
  onBackendError: "fail"
})
const counters = Cache.make({ ...policy, name: "counters", schema: Schema.Number, key: (key: string) => key })

const shared = Array.from({ length: 12 }, (_, index) => `shared ${index}`)
const counted = Array.from({ length: 4 }, (_, index) => `counter ${index}`)

interface Counter {
  attempted: number
  readonly acknowledged: Set<number>
}

/** A write that was not acknowledged may still be on its way for so many milliseconds. */
const onItsWay = 2_000

/** Lets `callers` fibers use the backends for so many seconds while the proxies spoil their connections. */
export const run = (
  { backends, direct, mayMiss = false, proxies, timeout, bound = 3 * timeout + 1_000 }: Subject,
  { callers = 50, seconds, seed }: { readonly callers?: number; readonly seconds: number; readonly seed: number }
): Effect.Effect<Report> =>
  Effect.gen(function*() {
    const problems: Array<string> = []
    const counts: Record<string, Record<"succeeded" | "failed" | "interrupted", number>> = {}
    const faults: Record<string, number> = {}
    const nonces = new Map<string, number>()
    const tallies = new Map(counted.map((key): [string, Counter] => [key, { attempted: 0, acknowledged: new Set() }]))
    const underWay = new Set<{ readonly name: string; readonly start: number }>()
    let slowest = 0

    const valueOf = (key: string, random: Random): Value => {
      const nonce = (nonces.get(key) ?? 0) + 1
      nonces.set(key, nonce)
      const body = `${key}:${nonce};`.repeat(1 + Math.floor(random() ** 4 * 500))
      return { key, nonce, body, sum: sumOf(key, nonce, body) }
    }
    const judge = (key: string, value: Value, where: string) => {
      const { body, nonce, sum } = value
      const isRight = value.key === key && nonce >= 1 && nonce <= (nonces.get(key) ?? 0) &&
        sum === sumOf(key, nonce, body)
      if (!isRight) problems.push(`${where}: ${key} is ${JSON.stringify(value).slice(0, 200)}`)
    }

    /** Makes the call, which may be interrupted, and notes how it went. */
    const call = <A, E>(
      name: string,
      backend: Backend,
      random: Random,
      effect: Effect.Effect<A, E, CacheBackend>
    ): Effect.Effect<Exit.Exit<A, E>> =>
      Effect.gen(function*() {
        const interruptAfter = random() < 0.2 ? below(random, timeout) * random() : undefined
        const noted = { name, start: performance.now() }
        underWay.add(noted)
        const fiber = yield* Effect.forkDaemon(Effect.provideService(effect, CacheBackend, backend))
        const exit = interruptAfter === undefined
          ? yield* Fiber.await(fiber)
          : yield* Effect.raceFirst(
            Fiber.await(fiber),
            Effect.delay(Effect.succeed(undefined), interruptAfter)
          ).pipe(Effect.flatMap((exit) => exit === undefined ? Fiber.interrupt(fiber) : Effect.succeed(exit)))
        underWay.delete(noted)
        const ms = performance.now() - noted.start
        slowest = Math.max(slowest, ms)
        if (ms > bound) problems.push(`${name} took ${Math.round(ms)} ms`)
        const count = counts[name] ??= { succeeded: 0, failed: 0, interrupted: 0 }
        if (Exit.isSuccess(exit)) count.succeeded++
        else if (Cause.isInterruptedOnly(exit.cause)) {
          count.interrupted++
          if (interruptAfter === undefined) problems.push(`${name} was interrupted by nobody`)
        } else count.failed++
        if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause) && Cause.isDie(exit.cause)) {
          problems.push(`${name} died: ${Cause.pretty(exit.cause)}`)
        }
        return exit
      })

    const caller = (index: number, end: number): Effect.Effect<void> => {
      const random = seeded(seed + 7_919 * (index + 1))
      const backend = backends[index % backends.length]!
      /** Nobody else writes this key: what it has is known where all of its writes were acknowledged. */
      const own = `own ${index}`
      let known: { readonly nonce: number | undefined } | undefined
      let unknownUntil = 0
      const wrote = (exit: Exit.Exit<unknown, unknown>, nonce: number | undefined) => {
        known = Exit.isSuccess(exit) ? { nonce } : undefined
        if (known === undefined) unknownUntil = performance.now() + onItsWay
      }
      const load = (key: string) =>
        Effect.suspend(() =>
          Effect.delay(
            random() < 0.1 ? Effect.fail("the load failed" as const) : Effect.sync(() => valueOf(key, random)),
            below(random, 30)
          )
        )
      const got = (name: string, key: string, exit: Exit.Exit<Option.Option<Value>, unknown>) => {
        if (Exit.isSuccess(exit) && Option.isSome(exit.value)) judge(key, exit.value.value, name)
      }
      const loaded = (name: string, key: string, exit: Exit.Exit<Value, unknown>) => {
        if (Exit.isSuccess(exit)) judge(key, exit.value, name)
      }
      const operations: ReadonlyArray<readonly [share: number, () => Effect.Effect<void>]> = [
        [3, () => {
          const key = pick(random, shared)
          return Effect.map(call("get", backend, random, Cache.get(values, key)), (exit) => got("get", key, exit))
        }],
        [1, () =>
          Effect.map(call("getMany", backend, random, Cache.getMany(values, shared)), (exit) => {
            if (Exit.isFailure(exit)) return
            exit.value.forEach((found, i) => got("getMany", shared[i]!, Exit.succeed(found)))
          })],
        [2, () => {
          const key = pick(random, shared)
          return Effect.asVoid(call("set", backend, random, Cache.set(values, key, valueOf(key, random))))
        }],
        [2, () => {
          const value = valueOf(own, random)
          return Effect.map(call("set", backend, random, Cache.set(values, own, value)), (exit) =>
            wrote(exit, value.nonce))
        }],
        [3, () =>
          Effect.map(call("get", backend, random, Cache.get(values, own)), (exit) => {
            got("get", own, exit)
            if (Exit.isFailure(exit) || known === undefined || performance.now() < unknownUntil) {
              return
            }
            const nonce = Option.getOrUndefined(exit.value)?.nonce
            if (nonce === undefined && mayMiss) {
              return
            }
            if (nonce !== known.nonce) {
              problems.push(`get: ${own} is ${nonce} and not ${known.nonce}`)
            }
          })],
        [1, () =>
          Effect.map(
            call("invalidate", backend, random, Cache.invalidate(values, own)),
            (exit) =>
              wrote(exit, undefined)
          )],
        [3, () => {
          const key = pick(random, counted)
          const tally = tallies.get(key)!
          tally.attempted++
          return Effect.map(call("increment", backend, random, Cache.increment(counters, key)), (exit) => {
            if (Exit.isFailure(exit)) return
            const isNew = !tally.acknowledged.has(exit.value)
            if (!isNew || !(exit.value >= 1 && exit.value <= tally.attempted)) {
              problems.push(`increment: ${key} was ${exit.value}${isNew ? "" : " twice"}, of ${tally.attempted}`)
            }
            tally.acknowledged.add(exit.value)
          })
        }],
        [3, () => {
          const key = pick(random, shared)
          return Effect.map(
            call("getOrSet", backend, random, Cache.getOrSet(values, key, load(key))),
            (exit) => loaded("getOrSet", key, exit)
          )
        }],
        [1, () => {
          const key = pick(random, shared)
          return Effect.map(
            call("getOrSet that fails", backend, random, Cache.getOrSet(strict, key, load(key))),
            (exit) => loaded("getOrSet that fails", key, exit)
          )
        }],
        [2, () => {
          const cache = random() < 0.5 ? values : strict
          return Effect.asVoid(call("invalidate", backend, random, Cache.invalidate(cache, pick(random, shared))))
        }]
      ]
      const all = operations.flatMap(([share, operation]) => Array.from({ length: share }, () => operation))
      return Effect.whileLoop({
        while: () => performance.now() < end,
        body: () => Effect.zipRight(pick(random, all)(), Effect.sleep(below(random, 20))),
        step: () => {}
      })
    }

    const end = performance.now() + seconds * 1_000
    const spoiling = yield* Effect.fork(
      spoil(proxies, seeded(seed), timeout, (fault) => (faults[fault] = (faults[fault] ?? 0) + 1))
    )
    // Nobody waits for the fibers themselves: one that does not end is to be told of.
    const fibers = yield* Effect.forEach(
      Array.from({ length: callers }, (_, index) => caller(index, end)),
      (each) => Effect.forkDaemon(each)
    )
    yield* Effect.sleep(seconds * 1_000)
    yield* Fiber.interrupt(spoiling)
    for (const proxy of proxies) yield* proxy.setMode(Mode.Pass())
    const calm = performance.now()

    for (const [index, backend] of backends.entries()) {
      const random = seeded(seed - 1 - index)
      const key = `calm ${index}`
      const isUsable = Effect.suspend(() => {
        const value = valueOf(key, random)
        return Effect.zipRight(Cache.set(values, key, value), Cache.get(values, key)).pipe(
          Effect.provideService(CacheBackend, backend),
          Effect.map((found) => Option.isSome(found) && found.value.sum === value.sum),
          Effect.either,
          Effect.map(Either.getOrElse(() => false))
        )
      })
      while (!(yield* isUsable) && performance.now() - calm < 2 * bound) yield* Effect.sleep(10)
      const ms = performance.now() - calm
      if (ms > 2_000) problems.push(`usable only after ${Math.round(ms)} ms of calm`)
    }

    while (underWay.size > 0 && performance.now() - calm < 2 * bound) yield* Effect.sleep(10)
    for (const { name, start } of underWay) {
      problems.push(`${name} has not settled in ${Math.round(performance.now() - start)} ms`)
    }
    if (underWay.size === 0) yield* Effect.forEach(fibers, Fiber.await)

    const check = Effect.gen(function*() {
      for (const [key, { acknowledged, attempted }] of tallies) {
        const final = Option.getOrElse(yield* Cache.get(counters, key), () => 0)
        if (final < acknowledged.size || final > attempted || acknowledged.has(final + 1)) {
          problems.push(`${key} is ${final}: ${acknowledged.size} acknowledged, ${attempted} attempted`)
        }
        const next = yield* Cache.increment(counters, key)
        if (next !== final + 1) problems.push(`${key} is ${next} after ${final}`)
      }
      for (const cache of [values, strict]) {
        const found = yield* Cache.getMany(cache, shared)
        found.forEach((value, i) => Option.isSome(value) && judge(shared[i]!, value.value, "in the end"))
      }
    })
    // What was still on its way arrives; then the numbers stand still.
    yield* Effect.sleep(500)
    yield* Effect.orDie(Effect.provideService(check, CacheBackend, direct))
    for (const [index, backend] of backends.entries()) {
      const random = seeded(seed - 1 - index)
      const again = Effect.gen(function*() {
        for (const key of shared) {
          const call = Cache.getOrSet(strict, key, Effect.sync(() => valueOf(key, random)))
          // A request of before that was lost and comes now may void a lease, or be taken for a miss.
          for (let left = mayMiss ? 5 : 1; left > 0; left--) {
            const value = yield* call
            judge(key, value, "getOrSet in the end")
            if ((yield* call).nonce === value.nonce) break
            if (left === 1) problems.push(`getOrSet in the end: ${key} is not kept`)
          }
        }
      })
      const exit = yield* Effect.exit(Effect.provideService(again, CacheBackend, backend))
      if (Exit.isFailure(exit)) problems.push(`in the end: ${Cause.pretty(exit.cause)}`)
    }
    return { problems: [...new Set(problems)], counts, faults, slowest }
  })
