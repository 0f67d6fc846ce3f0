/**
 * Counters.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { counterCodec } from "../../internal/entry.js"
import { entry, equal, fail, get, getMany, minute, permanent, refused, suite, together, valueOf } from "./kit.js"

const tags = [{ tag: "t", hard: "h", soft: "s" }]

export const increment = suite("increment", {
  *"starts at zero, and adds amounts of either sign"({ at, backend }) {
    yield* equal("increment", backend.increment(at("a"), 5, minute), 5)
    yield* equal("increment", backend.increment(at("a"), 1, minute), 6)
    yield* equal("increment", backend.increment(at("a"), -10, minute), -4)
    yield* equal("a new counter below zero", backend.increment(at("b"), -3, minute), -3)
  },
  *"loses none of a thousand at once"({ at, backend }) {
    const answers = yield* together(1_000, () => backend.increment(at("a"), 1, minute))
    yield* equal("the sum", backend.increment(at("a"), 0, minute), 1_000)
    yield* equal("different answers", Effect.succeed(new Set(answers).size), 1_000)
  },
  *"is exact around 2^31, 2^32 and 2^53"({ at, backend }) {
    for (const power of [2 ** 31, 2 ** 32, 2 ** 53 - 1]) {
      for (const sign of [1, -1]) {
        const key = at(String(sign * power))
        yield* equal("up to", backend.increment(key, sign * (power - 1), minute), sign * (power - 1))
        yield* equal("at", backend.increment(key, sign, minute), sign * power)
        yield* equal("back", backend.increment(key, -2 * sign, minute), sign * (power - 2))
      }
    }
  },
  *"reads with an amount of zero"({ at, backend }) {
    yield* equal("of nothing", backend.increment(at("a"), 0, minute), 0)
    yield* backend.increment(at("a"), 7, minute)
    yield* equal("of seven", backend.increment(at("a"), 0, minute), 7)
  },
  *"keeps the time at which a counter expires"({ at, backend }) {
    yield* backend.increment(at("a"), 1, minute)
    yield* backend.increment(at("b"), 1, Duration.infinity)
    yield* TestClock.adjust("40 seconds")
    yield* equal("in between", backend.increment(at("a"), 1, Duration.infinity), 2)
    yield* backend.increment(at("b"), 1, minute)
    yield* TestClock.adjust("20 seconds")
    yield* equal("after a minute", backend.increment(at("a"), 1, minute), 1)
    yield* TestClock.adjust(Duration.days(400))
    yield* equal("of one kept for ever", backend.increment(at("b"), 1, minute), 3)
  },
  *"makes an entry whose payload is the number as text"({ at, backend }) {
    yield* TestClock.adjust("5 seconds")
    yield* backend.increment(at("a"), -12, minute)
    const found = yield* backend.get(at("a"))
    if (Option.isNone(found)) return fail("get", "an entry", "none")
    const { codec, isFailure, keepUntil, loadedAt } = found.value
    yield* equal("the payload", Effect.succeed(valueOf(found)), "-12")
    yield* equal("the header", Effect.succeed({ codec, isFailure, keepUntil, loadedAt }), {
      codec: counterCodec,
      isFailure: false,
      keepUntil: 65_000,
      loadedAt: 5_000
    })
    yield* backend.increment(at("b"), 1, minute)
    yield* equal("getMany", getMany(backend, [at("a"), at("b")]), ["-12", "1"])
    yield* equal("has", backend.has(at("a")), true)
    yield* equal("remove", backend.remove(at("a")), true)
    yield* equal("increment after remove", backend.increment(at("a"), 1, minute), 1)
  },
  *"counts on from an entry that is the text of a number, and keeps its header"({ at, backend }) {
    yield* backend.set(at("a"), entry("41", { codec: "json:1", tags, freshUntil: 1_000, loadMillis: 3 }), minute)
    yield* equal("increment", backend.increment(at("a"), 1, Duration.infinity), 42)
    const found = yield* backend.get(at("a"))
    if (Option.isNone(found)) return fail("get", "an entry", "none")
    const { codec, freshUntil, keepUntil, loadMillis, tags: kept } = found.value
    yield* equal("the payload", Effect.succeed(valueOf(found)), "42")
    yield* equal("the header", Effect.succeed({ codec, freshUntil, keepUntil, loadMillis, kept: [...kept] }), {
      codec: "json:1",
      freshUntil: 1_000,
      keepUntil: 60_000,
      loadMillis: 3,
      kept: tags
    })
    yield* TestClock.adjust(minute)
    yield* equal("get at keepUntil", get(backend, at("a")), undefined)
  },
  *"is overwritten by set and kept by add"({ at, backend }) {
    yield* backend.increment(at("a"), 5, minute)
    yield* equal("add", backend.add(at("a"), entry("1"), minute), false)
    yield* equal("increment after add", backend.increment(at("a"), 1, minute), 6)
    yield* backend.set(at("a"), entry("100"), minute)
    yield* equal("increment after set", backend.increment(at("a"), 1, minute), 101)
  },
  *"refuses what is not a number, and leaves it as it was"({ at, backend }) {
    const texts = ["", "one", " 1", "1 ", "1.5", "1e3", "0x10", "+1", "--1", "-", "1\n", "١", "9007199254740992", "NaN"]
    for (const text of [...texts, "1".repeat(400), "-9007199254740992", "Infinity"]) {
      yield* backend.set(at(text), ...permanent(text))
      yield* refused(`increment of ${JSON.stringify(text)}`, backend.increment(at(text), 1, minute), "NotANumber")
      yield* equal("get afterwards", get(backend, at(text)), text)
    }
  },
  *"refuses to pass the safe integers, and leaves the number as it was"({ at, backend }) {
    for (const sign of [1, -1]) {
      const key = at(String(sign))
      yield* backend.increment(key, sign * Number.MAX_SAFE_INTEGER, minute)
      yield* refused("increment", backend.increment(key, sign, minute), "NotANumber")
      yield* refused("increment", backend.increment(key, sign * Number.MAX_SAFE_INTEGER, minute), "NotANumber")
      yield* equal("increment afterwards", backend.increment(key, 0, minute), sign * Number.MAX_SAFE_INTEGER)
    }
  },
  *"refuses an amount that is not a safe integer"({ at, backend }) {
    yield* backend.increment(at("a"), 5, minute)
    for (const by of [0.5, NaN, Infinity, -Infinity, Number.MAX_SAFE_INTEGER + 1]) {
      yield* refused(`increment by ${by}`, backend.increment(at("a"), by, minute), "InvalidInput")
    }
    yield* equal("increment afterwards", backend.increment(at("a"), 0, minute), 5)
  }
})
