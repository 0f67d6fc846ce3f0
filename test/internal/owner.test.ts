/** A request that goes on with a response whose load is under way. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Flights } from "../../src/internal/flights.js"
import { type Delivery, Owner } from "../../src/internal/httpCache/owner.js"

const delivery: Delivery = {
  exit: Exit.succeed(HttpServerResponse.stream(Stream.never)),
  handler: Option.none(),
  scope: undefined
}

const setUp = Effect.gen(function*() {
  const flights = new Flights()
  const owner = new Owner<string>()
  const interrupted = yield* Deferred.make<void>()
  const scope = yield* Scope.make()
  const load = Effect.zipRight(owner.begin(delivery), Effect.never).pipe(
    Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
  )
  const taking = (after: Effect.Effect<void>) =>
    owner.take(
      (advance) =>
        Effect.tap(flights.run("key", undefined, () => load, Effect.never, Effect.void, advance), () => after),
      scope
    )
  return { flights, interrupted, scope, taking }
})

describe("a request whose response has begun", () => {
  it.effect("is counted among those who wait until its scope closes", () =>
    Effect.gen(function*() {
      const { flights, interrupted, scope, taking } = yield* setUp
      const { delivery, outcome } = yield* taking(Effect.void)
      assert.isUndefined(outcome)
      assert.strictEqual(delivery?.exit._tag, "Success")
      assert.strictEqual(flights.size, 1)
      yield* Scope.close(scope, Exit.interrupt(yield* Effect.fiberId))
      yield* Deferred.await(interrupted)
      assert.strictEqual(flights.size, 0)
    }))

  it.effect("has left where it is interrupted before it could take the response", () =>
    Effect.gen(function*() {
      const { flights, interrupted, taking } = yield* setUp
      const reached = yield* Deferred.make<void>()
      const asking = yield* Effect.fork(taking(Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(asking)
      yield* Deferred.await(interrupted)
      assert.strictEqual(flights.size, 0)
    }))
})
