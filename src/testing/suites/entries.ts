/**
 * Single keys, many keys, add and remove.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import type { Item } from "../../Backend.js"
import { after, entry, equal, fail, get, getMany, minute, permanent, refused, suite, together } from "./kit.js"

export const getAndSet = suite("get and set", {
  *"answers nothing for a key that was never set"({ at, backend }) {
    yield* equal("get", get(backend, at("a")), undefined)
    yield* equal("has", backend.has(at("a")), false)
  },
  *"answers what was set"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    yield* equal("get", get(backend, at("a")), "1")
    yield* equal("has", backend.has(at("a")), true)
  },
  *"overwrites with the latest set"({ at, backend }) {
    yield* backend.set(at("a"), entry("a longer value"), minute)
    yield* backend.set(at("a"), entry("2"), minute)
    yield* equal("get", get(backend, at("a")), "2")
  },
  *"keeps keys apart, one of which begins with the other too"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    yield* backend.set(at("ab"), entry("2"), minute)
    yield* equal("get", get(backend, at("a")), "1")
    yield* backend.remove(at("a"))
    yield* equal("get of the other", get(backend, at("ab")), "2")
  },
  *"keeps one of many concurrent sets, and keeps it whole"({ at, backend }) {
    const value = (index: number) => String(index).padStart(2, "0").repeat(5_000)
    yield* together(50, (index) => backend.set(at("a"), entry(value(index)), minute))
    const found = (yield* get(backend, at("a"))) ?? ""
    if (found !== value(Number(found.slice(0, 2)))) fail("get", "one of the values that were set", found)
  },
  *"does not change what was read when the key is written again"({ at, backend }) {
    yield* backend.set(at("a"), entry("1".repeat(1_000)), minute)
    const before = yield* backend.get(at("a"))
    yield* together(50, (index) => backend.set(at("a"), entry(String(index).repeat(1_000)), minute))
    yield* together(50, () => backend.get(at("a")))
    yield* equal("what was read first", get({ ...backend, get: () => Effect.succeed(before) }, ""), "1".repeat(1_000))
  },
  *"refuses a retention of nothing"({ at, backend }) {
    const zero = Duration.zero
    const items: ReadonlyArray<Item> = [[at("b"), entry("1"), minute], [at("a"), entry("1"), zero]]
    yield* refused("set", backend.set(at("a"), entry("1"), zero), "InvalidInput")
    yield* refused("setMany", backend.setMany(items), "InvalidInput")
    yield* refused("add", backend.add(at("a"), entry("1"), zero), "InvalidInput")
    yield* refused("increment", backend.increment(at("a"), 1, zero), "InvalidInput")
    yield* refused("lease", backend.lease(at("a"), zero), "InvalidInput")
    yield* refused("fill", backend.fill(at("a"), "token", entry("1"), zero), "InvalidInput")
    yield* equal("getMany afterwards", getMany(backend, [at("a"), at("b")]), [undefined, undefined])
  }
})

export const many = suite("many keys", {
  *"answers in the order asked, with nothing where there is nothing"({ at, backend }) {
    yield* backend.setMany([[at("a"), entry("1"), minute], [at("c"), entry("3"), minute]])
    yield* equal("getMany", getMany(backend, [at("c"), at("b"), at("a")]), ["3", undefined, "1"])
  },
  *"answers a key as often as it is asked for"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    yield* equal("getMany", getMany(backend, [at("a"), at("b"), at("a"), at("b")]), ["1", undefined, "1", undefined])
  },
  *"keeps the last of the items under one key"({ at, backend }) {
    yield* backend.setMany(["a1", "b2", "a3"].map(([name, value]): Item => [at(name!), entry(value!), minute]))
    yield* equal("getMany", getMany(backend, [at("a"), at("b")]), ["3", "2"])
  },
  *"takes empty lists"({ backend }) {
    yield* equal("getMany", getMany(backend, []), [])
    yield* backend.setMany([])
    yield* equal("removeMany", backend.removeMany([]), 0)
  },
  *"takes a thousand keys"({ at, backend }) {
    const keys = Array.from({ length: 1_000 }, (_, index) => at(`k${index}`))
    yield* backend.setMany(keys.map((key, index): Item => [key, entry(String(index)), minute]))
    yield* equal("getMany", getMany(backend, keys), keys.map((_, index) => String(index)))
    yield* equal("removeMany", backend.removeMany(keys), 1_000)
    yield* equal("getMany afterwards", getMany(backend, keys), keys.map(() => undefined))
  }
})

export const add = suite("add", {
  *"stores where there is nothing"({ at, backend }) {
    yield* equal("add", backend.add(at("a"), entry("1"), minute), true)
    yield* equal("get", get(backend, at("a")), "1")
  },
  *"leaves alone what is there"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    yield* equal("add", backend.add(at("a"), entry("2"), minute), false)
    yield* equal("get", get(backend, at("a")), "1")
  },
  *"has one winner among fifty at once"({ at, backend }) {
    const won = yield* together(50, (index) => backend.add(at("a"), entry(String(index)), minute))
    const winners = won.flatMap((isWinner, index) => isWinner ? [String(index)] : [])
    if (winners.length !== 1) fail("winners", 1, winners.length)
    yield* equal("get", get(backend, at("a")), winners[0])
  },
  *"stores over what has expired, again with one winner among fifty"({ at, backend }) {
    yield* backend.set(at("a"), entry("old"), minute)
    yield* TestClock.adjust(minute)
    const won = yield* together(
      50,
      (index) => backend.add(at("a"), entry(String(index), { loadedAt: 60_000, keepUntil: 120_000 }), minute)
    )
    const winners = won.flatMap((isWinner, index) => isWinner ? [String(index)] : [])
    if (winners.length !== 1) fail("winners", 1, winners.length)
    yield* equal("get", get(backend, at("a")), winners[0])
  },
  *"stores where something was removed"({ at, backend }) {
    yield* backend.set(at("a"), ...permanent("1"))
    yield* backend.remove(at("a"))
    yield* equal("add", backend.add(at("a"), entry("2"), minute), true)
    yield* equal("get", get(backend, at("a")), "2")
  },
  *"has one last word when an add and a remove meet"({ at, backend }) {
    for (let round = 0; round < 50; round++) {
      const key = at(String(round))
      const [isAdded, isRemoved] = yield* Effect.all(
        [after(round % 12, backend.add(key, entry("1"), minute)), after(round % 5, backend.remove(key))],
        { concurrency: "unbounded" }
      )
      yield* equal("add", Effect.succeed(isAdded), true)
      yield* equal(`has, where remove has answered ${isRemoved}`, backend.has(key), !isRemoved)
    }
  }
})

export const remove = suite("remove", {
  *"answers whether there was something, and leaves nothing"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    yield* equal("remove", backend.remove(at("a")), true)
    yield* equal("get", get(backend, at("a")), undefined)
    yield* equal("has", backend.has(at("a")), false)
    yield* equal("remove again", backend.remove(at("a")), false)
  },
  *"answers false for a key that was never set"({ at, backend }) {
    yield* equal("remove", backend.remove(at("a")), false)
  },
  *"counts the keys that were there, each once"({ at, backend }) {
    yield* backend.setMany(["a", "b", "c"].map((name): Item => [at(name), entry(name), minute]))
    yield* equal("removeMany", backend.removeMany([at("a"), at("missing"), at("b"), at("a")]), 2)
    yield* equal("getMany", getMany(backend, [at("a"), at("b"), at("c")]), [undefined, undefined, "c"])
    yield* equal("removeMany of missing keys", backend.removeMany([at("a"), at("b")]), 0)
  },
  *"has one winner among fifty at once"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    const won = yield* together(50, () => backend.remove(at("a")))
    yield* equal("winners", Effect.succeed(won.filter((isWinner) => isWinner).length), 1)
  }
})
