import { assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Null from "effect-caching/backends/Null"
import { Entry } from "effect-caching/internal/entry"
import { Conformance } from "effect-caching/testing"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"

const entry = new Entry(false, "text", 0, Infinity, Infinity, 0, [], Exit.succeed("value"), undefined)

describe("Null", () => {
  describe("contract", () => {
    const keepsNothing = "it keeps nothing; what it answers instead is tested below"
    const suites = Conformance.suites.filter((suite) => suite !== "tags" && suite !== "keys")
    Conformance.register({ describe, it }, Null.layer, {
      skip: {
        ...Object.fromEntries(suites.map((suite) => [suite, keepsNothing])),
        "tags: keeps the tags of an entry": keepsNothing,
        "keys: takes every key, and tells every two apart": keepsNothing,
        "keys: counts, adds and leases under every key": keepsNothing,
        "keys: takes the empty key": keepsNothing
      }
    })
  })

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
      yield* backend.clear("")
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
      assert.isTrue(yield* backend.renew("a", "any token", Duration.minutes(1)))
    }).pipe(Effect.provide(Null.layer)))
})
