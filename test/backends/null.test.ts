import { assert, describe, it } from "@effect/vitest"
import * as Null from "effect-caching/backends/Null"
import { CacheBackend } from "effect-caching/Backend"
import { Conformance } from "effect-caching/testing"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { Entry } from "../../src/internal/entry.js"

const entry = new Entry(false, "text", 0, Infinity, Infinity, 0, [], Exit.succeed("value"), undefined)

describe("Null", () => {
  it.effect("accepts what it is given, and keeps none of it", () =>
    Effect.gen(function*() {
      const backend = yield* CacheBackend
      yield* backend.set("a", entry, Duration.infinity)
      yield* backend.setMany([["a", entry, Duration.infinity]])
      assert.isTrue(yield* backend.add("a", entry, Duration.infinity))
      assert.isTrue(yield* backend.add("a", entry, Duration.infinity))
      assert.isTrue(yield* backend.fill("a", "any token", entry, Duration.infinity))
      assert.deepStrictEqual(yield* backend.get("a"), Option.none())
      assert.deepStrictEqual(yield* backend.getMany(["a", "b"]), [Option.none(), Option.none()])
      assert.isFalse(yield* backend.has("a"))
      assert.isFalse(yield* backend.remove("a"))
      assert.strictEqual(yield* backend.removeMany(["a"]), 0)
    }).pipe(Effect.provide(Null.layer)))

  it.effect("counts from zero each time", () =>
    Effect.gen(function*() {
      const backend = yield* CacheBackend
      assert.strictEqual(yield* backend.increment("a", 2, Duration.infinity), 2)
      assert.strictEqual(yield* backend.increment("a", -3, Duration.infinity), -3)
    }).pipe(Effect.provide(Null.layer)))

  it.effect("leases to everybody", () =>
    Effect.gen(function*() {
      const backend = yield* CacheBackend
      const first = yield* backend.lease("a", Duration.minutes(1))
      const second = yield* backend.lease("a", Duration.minutes(1))
      assert.isTrue(Option.isSome(first.token) && Option.isSome(second.token))
      assert.notDeepEqual(first.token, second.token)
    }).pipe(Effect.provide(Null.layer)))
})
