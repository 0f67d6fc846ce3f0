/**
 * What is left behind by callers that were interrupted.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Backend, BackendError } from "../../Backend.js"
import { entry, equal, get, isLeased, isLeasedForLong, lease, minute, suite, turn } from "./kit.js"

const operations: ReadonlyArray<(backend: Backend, key: string) => Effect.Effect<unknown, BackendError>> = [
  (backend, key) => backend.get(key),
  (backend, key) => backend.getMany([key, `${key}2`]),
  (backend, key) => backend.set(key, entry("1"), minute),
  (backend, key) => backend.setMany([[key, entry("1"), minute], [`${key}2`, entry("1"), minute]]),
  (backend, key) => backend.add(key, entry("1"), minute),
  (backend, key) => backend.has(key),
  (backend, key) => backend.remove(key),
  (backend, key) => backend.removeMany([key, `${key}2`]),
  (backend, key) => backend.increment(key, 1, minute),
  (backend, key) => backend.clear(key),
  (backend, key) => backend.fill(key, "wrong", entry("1"), minute),
  (backend, key) => backend.tagVersions([key]),
  (backend, key) => backend.invalidateTags([key], "hard")
]

/** Interrupts `effect` at one of several moments of its life: `at` chooses which. */
const interruptAt = <A, E>(at: number, effect: Effect.Effect<A, E>): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    for (let yields = at % 11; yields > 0; yields--) yield* Effect.yieldNow()
    for (let turns = at % 3; turns > 0; turns--) yield* turn
    return yield* Fiber.interrupt(fiber)
  })

export const interruption = suite("interruption", {
  *"leaves every key usable after two hundred interrupted operations"({ at, backend }) {
    for (let round = 0; round < 200; round++) {
      yield* interruptAt(round * 7, operations[round % operations.length]!(backend, at(String(round % 10))))
    }
    for (let index = 0; index < 10; index++) {
      const key = at(String(index))
      yield* backend.set(key, entry("5"), minute)
      yield* equal("get", get(backend, key), "5")
      yield* equal("increment", backend.increment(key, 1, minute), 6)
      const token = yield* lease(backend, key)
      yield* equal("fill", backend.fill(key, token, entry("7"), minute), true)
      yield* equal("remove", backend.remove(key), true)
      yield* equal("add", backend.add(key, entry("8"), minute), true)
    }
    yield* backend.clear(at(""))
  },
  *"leaves no lease to nobody: who was interrupted while asking does not hold it"({ at, backend }) {
    for (let round = 0; round < 100; round++) {
      const key = at(String(round))
      const exit = yield* interruptAt(round, backend.lease(key, minute))
      if (Exit.isSuccess(exit)) yield* equal("whether the lease is held", isLeased(backend, key), true)
      else yield* equal("whether the lease is held, a second later", isLeasedForLong(backend, key), false)
    }
  },
  *"lets the others through: one interrupted caller among many"({ at, backend }) {
    for (let round = 0; round < 20; round++) {
      const key = at(String(round))
      const others = yield* Effect.fork(
        Effect.all(Array.from({ length: 10 }, () => backend.increment(key, 1, minute)), { concurrency: "unbounded" })
      )
      yield* interruptAt(round, backend.remove(at("elsewhere")))
      yield* interruptAt(round, backend.fill(key, "wrong", entry("1"), minute))
      yield* Fiber.join(others)
      yield* equal("the sum", backend.increment(key, 0, minute), 10)
    }
  },
  *"either stores an interrupted set whole or not at all"({ at, backend }) {
    const value = "v".repeat(100_000)
    for (let round = 0; round < 40; round++) {
      const key = at(String(round))
      yield* interruptAt(round, backend.set(key, entry(value), minute))
      const found = yield* get(backend, key)
      yield* equal("whether it is all there, or absent", Effect.succeed(found === undefined || found === value), true)
    }
  }
})
