import { assert, describe, it } from "@effect/vitest"
import { Turns } from "effect-caching/internal/turns"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** Effects that say when they run, and end when they are told to. */
const make = () => {
  const turns = new Turns()
  const log: Array<string> = []
  const start = (name: string, place: (typeof turns)["alone"]) =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const effect = Effect.zipRight(Effect.sync(() => log.push(name)), Deferred.await(gate))
      const fiber = yield* Effect.fork(place(effect))
      yield* Effect.yieldNow()
      return {
        end: Effect.zipRight(Deferred.succeed(gate, undefined), Fiber.join(fiber)),
        interrupt: Fiber.interrupt(fiber)
      }
    })
  return { turns, log, start }
}

describe("Turns", () => {
  it.effect("runs one at a time per key, in the order asked, and keys side by side", () =>
    Effect.gen(function*() {
      const { log, start, turns } = make()
      const a1 = yield* start("a1", turns.one("a"))
      const a2 = yield* start("a2", turns.one("a"))
      const a3 = yield* start("a3", turns.one("a"))
      const b1 = yield* start("b1", turns.one("b"))
      assert.deepStrictEqual(log, ["a1", "b1"])
      yield* a1.end
      yield* a2.end
      yield* a3.end
      yield* b1.end
      assert.deepStrictEqual(log, ["a1", "b1", "a2", "a3"])
    }))

  it.effect("lets one be alone: it waits for all before it, and all after it wait", () =>
    Effect.gen(function*() {
      const { log, start, turns } = make()
      const a1 = yield* start("a1", turns.one("a"))
      const b1 = yield* start("b1", turns.one("b"))
      const alone = yield* start("alone", turns.alone)
      const c1 = yield* start("c1", turns.one("c"))
      const again = yield* start("alone again", turns.alone)
      const a2 = yield* start("a2", turns.one("a"))
      yield* a1.end
      assert.deepStrictEqual(log, ["a1", "b1"])
      yield* b1.end
      yield* Effect.yieldNow()
      assert.deepStrictEqual(log, ["a1", "b1", "alone"])
      yield* alone.end
      yield* c1.end
      yield* again.end
      yield* a2.end
      assert.deepStrictEqual(log, ["a1", "b1", "alone", "c1", "alone again", "a2"])
    }))

  it.effect("keeps the place of who was interrupted while waiting", () =>
    Effect.gen(function*() {
      const { log, start, turns } = make()
      const a1 = yield* start("a1", turns.one("a"))
      const a2 = yield* start("a2", turns.one("a"))
      const alone = yield* start("alone", turns.alone)
      const a3 = yield* start("a3", turns.one("a"))
      const a4 = yield* start("a4", turns.one("a"))
      yield* a2.interrupt
      yield* alone.interrupt
      yield* Effect.yieldNow()
      assert.deepStrictEqual(log, ["a1"])
      yield* a1.interrupt
      yield* a3.end
      yield* a4.end
      assert.deepStrictEqual(log, ["a1", "a3", "a4"])
    }))

  it.effect("forgets keys that nobody uses", () =>
    Effect.gen(function*() {
      const { log, start, turns } = make()
      const a1 = yield* start("a1", turns.one("a"))
      const a2 = yield* start("a2", turns.one("a"))
      yield* a2.interrupt
      yield* a1.end
      yield* Effect.scoped(turns.alone(Effect.void))
      const { last, lastAlone } = turns as unknown as { last: Map<string, unknown>; lastAlone: unknown }
      assert.deepStrictEqual([last.size, lastAlone, log], [0, undefined, ["a1"]])
    }))
})
