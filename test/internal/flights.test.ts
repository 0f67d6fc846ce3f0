import { assert, describe, it } from "@effect/vitest"
import { Flight, Flights } from "effect-caching/internal/flights"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** Every place where a fiber may be made to yield, by the number of operations it does before it. */
const budgets = Array.from({ length: 40 }, (_, i) => i + 12)

describe("Flights", () => {
  it.effect("who joins a flight before its fiber is there, and leaves at once, harms nobody", () =>
    Effect.gen(function*() {
      for (const leading of budgets) {
        for (const following of budgets) {
          const flights = new Flights()
          const run = flights.run("k", undefined, () => Effect.never, Effect.never)
          const leader = yield* Effect.fork(Effect.withMaxOpsBeforeYield(run, leading))
          const follower = yield* Effect.fork(Effect.withMaxOpsBeforeYield(run, following))
          yield* Effect.yieldNow()
          follower.unsafeInterruptAsFork(leader.id())
          const exit = yield* Fiber.await(follower)
          assert.isTrue(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause), `${leading} ${following}`)
          yield* Fiber.interrupt(leader)
          assert.strictEqual(flights.size, 0)
        }
      }
    }))

  it.effect("an invalidation that is interrupted, wherever it is, fences nothing that begins after it", () =>
    Effect.gen(function*() {
      for (const budget of budgets) {
        for (const yields of [0, 1, 2, 3]) {
          const flights = new Flights()
          const invalidating = flights.invalidating({ keys: ["k"] }, Effect.never)
          const fiber = yield* Effect.fork(Effect.withMaxOpsBeforeYield(invalidating, budget))
          yield* Effect.repeatN(Effect.yieldNow(), yields)
          fiber.unsafeInterruptAsFork(fiber.id())
          yield* Fiber.await(fiber)
          const isFenced = yield* flights.run(
            "k",
            undefined,
            (flight) => Effect.succeed(flight.isFenced),
            Effect.succeed(true)
          )
          assert.isFalse(isFenced, `${budget} ${yields}`)
        }
      }
    }))

  it.effect("finds a circle through 50,000 flights", () =>
    Effect.gen(function*() {
      const flights = new Flights()
      let first: Flight | undefined
      yield* flights.start("k", (flight) => {
        first = flight
        return Effect.never
      })
      yield* Effect.yieldNow()
      let last = first!
      for (let i = 0; i < 50_000; i++) {
        const next = new Flight(`${i}`, false, 0)
        last.waitsFor.set(next, 1)
        last = next
      }
      const answer = yield* flights.run("k", last, () => Effect.succeed("joined"), Effect.succeed("alone"))
      assert.strictEqual(answer, "alone")
      yield* flights.close
    }))
})
