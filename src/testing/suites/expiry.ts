/**
 * What the `Clock` takes away.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { entry, equal, get, getMany, lease, minute, permanent, suite, valueOf } from "./kit.js"

export const expiry = suite("expiry", {
  *"keeps an entry until its time, and no longer"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    yield* TestClock.adjust(59_999)
    yield* equal("get a millisecond before", get(backend, at("a")), "1")
    yield* TestClock.adjust(1)
    yield* equal("get at keepUntil", get(backend, at("a")), undefined)
  },
  *"counts what has expired as absent when reading and removing"({ at, backend }) {
    const keys = ["a", "b", "c"].map(at)
    for (const key of keys) yield* backend.set(key, entry("1"), minute)
    yield* backend.set(at("d"), ...permanent("4"))
    yield* TestClock.adjust("2 minutes")
    yield* equal("get", get(backend, at("a")), undefined)
    yield* equal("getMany", getMany(backend, [...keys, at("d")]), [undefined, undefined, undefined, "4"])
    yield* equal("has", backend.has(at("a")), false)
    yield* equal("remove", backend.remove(at("a")), false)
    yield* equal("removeMany", backend.removeMany([at("b"), at("c"), at("d")]), 1)
  },
  *"goes by the entry's own time where the retention is longer"({ at, backend }) {
    yield* backend.set(at("a"), entry("1", { keepUntil: 1_000 }), minute)
    yield* backend.set(at("b"), entry("1", { keepUntil: 1_000 }), Duration.infinity)
    yield* TestClock.adjust("1 seconds")
    yield* equal("getMany", getMany(backend, [at("a"), at("b")]), [undefined, undefined])
  },
  *"adds over what has expired"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    yield* TestClock.adjust(minute)
    yield* equal("add", backend.add(at("a"), entry("2", { keepUntil: 120_000 }), minute), true)
    yield* equal("get", get(backend, at("a")), "2")
  },
  *"increments from zero over what has expired, a number or not"({ at, backend }) {
    yield* backend.increment(at("a"), 5, minute)
    yield* backend.set(at("b"), entry("no number"), minute)
    yield* TestClock.adjust(minute)
    yield* equal("increment of an expired counter", backend.increment(at("a"), 1, minute), 1)
    yield* equal("increment of an expired entry", backend.increment(at("b"), 1, minute), 1)
  },
  *"leases without an entry over what has expired"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    yield* TestClock.adjust(minute)
    const answer = yield* backend.lease(at("a"), minute)
    yield* equal("the entry of the lease", Effect.succeed(valueOf(answer.entry)), undefined)
    yield* equal("whether the lease was free", Effect.succeed(Option.isSome(answer.token)), true)
  },
  *"never expires what is kept for ever"({ at, backend }) {
    yield* backend.set(at("a"), ...permanent("1"))
    yield* backend.add(at("b"), ...permanent("2"))
    yield* backend.increment(at("c"), 3, Duration.infinity)
    yield* backend.setMany([[at("d"), ...permanent("4")]])
    yield* TestClock.adjust(Duration.days(36_500))
    yield* equal("getMany", getMany(backend, ["a", "b", "c", "d"].map(at)), ["1", "2", "3", "4"])
  },
  *"takes retentions of a fraction of a millisecond and of a hundred years"({ at, backend }) {
    yield* backend.set(at("a"), entry("1", { keepUntil: Infinity }), Duration.micros(1n))
    const years = Duration.days(36_500)
    yield* backend.set(at("b"), entry("2", { keepUntil: Duration.toMillis(years) }), years)
    yield* backend.set(at("c"), entry("3", { keepUntil: 1_234.5 }), Duration.millis(60_000.5))
    yield* equal("getMany", getMany(backend, [at("b"), at("c")]), ["2", "3"])
  },
  *"keeps each item of setMany for its own time"({ at, backend }) {
    yield* backend.setMany([
      [at("a"), entry("1", { keepUntil: 60_000 }), minute],
      [at("b"), entry("2", { keepUntil: 120_000 }), Duration.minutes(2)],
      [at("c"), ...permanent("3")]
    ])
    yield* TestClock.adjust(minute)
    yield* equal("getMany after one minute", getMany(backend, ["a", "b", "c"].map(at)), [undefined, "2", "3"])
    yield* TestClock.adjust(minute)
    yield* equal("getMany after two", getMany(backend, ["a", "b", "c"].map(at)), [undefined, undefined, "3"])
  },
  *"starts anew with each set, longer or shorter"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    yield* backend.set(at("b"), ...permanent("1"))
    yield* TestClock.adjust("30 seconds")
    yield* backend.set(at("a"), entry("2", { keepUntil: 90_000 }), minute)
    yield* backend.set(at("b"), entry("2", { keepUntil: 40_000 }), Duration.seconds(10))
    yield* TestClock.adjust("30 seconds")
    yield* equal("getMany", getMany(backend, [at("a"), at("b")]), ["2", undefined])
  },
  *"expires what was filled"({ at, backend }) {
    const token = yield* lease(backend, at("a"))
    yield* backend.fill(at("a"), token, entry("1"), minute)
    yield* TestClock.adjust(59_999)
    yield* equal("get a millisecond before", get(backend, at("a")), "1")
    yield* TestClock.adjust(1)
    yield* equal("get at keepUntil", get(backend, at("a")), undefined)
  }
})
