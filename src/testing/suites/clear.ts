/**
 * Clearing by prefix.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Item } from "../../Backend.js"
import { after, entry, equal, get, getMany, isLeased, lease, minute, suite, together } from "./kit.js"

const special = Array.from("*?[]^-\\{}()|.+$%_#~'\"`/: \n\r\t\0é😀")

export const clear = suite("clear", {
  *"removes every key that begins with the prefix, and no other"({ at, backend }) {
    const inside = ["a:", "a:1", "a:2:3", "a::"].map(at)
    const outside = ["a", "b:1", "A:1", "ba:1", "", " a:1"].map(at)
    yield* backend.setMany([...inside, ...outside].map((key): Item => [key, entry("1"), minute]))
    yield* backend.increment(at("a:counter"), 1, minute)
    yield* backend.increment(at("counter"), 1, minute)
    yield* backend.clear(at("a:"))
    yield* equal("getMany inside", getMany(backend, [...inside, at("a:counter")]), Array(5).fill(undefined))
    yield* equal("getMany outside", getMany(backend, [...outside, at("counter")]), Array(7).fill("1"))
  },
  *"has nothing to do where no key begins with the prefix"({ at, backend }) {
    yield* backend.set(at("b"), entry("1"), minute)
    yield* backend.clear(at("a"))
    yield* equal("get of another", get(backend, at("b")), "1")
  },
  *"takes the prefix as text: no character of it stands for others"({ at, backend }) {
    const keys = special.map((character) => at(`a${character}b`))
    yield* backend.setMany(keys.map((key): Item => [key, entry("1"), minute]))
    for (const [index, character] of special.entries()) {
      yield* backend.clear(at(`a${character}`))
      yield* equal(
        `getMany after clear of a prefix with ${JSON.stringify(character)}`,
        getMany(backend, keys),
        keys.map((_, other) => other > index ? "1" : undefined)
      )
    }
  },
  *"takes a prefix that would be a pattern as text"({ at, backend }) {
    const patterns = { "a*": "ab", "a?c": "abc", "[ab]": "a", "[^x]": "a", "[a-z]": "m", "\\*": "*", "a**": "a" }
    for (const [prefix, neighbour] of Object.entries(patterns)) {
      yield* backend.set(at(`${prefix}:1`), entry("1"), minute)
      yield* backend.set(at(`${neighbour}:1`), entry("1"), minute)
      yield* backend.clear(at(prefix))
      yield* equal(
        `getMany after clear of ${JSON.stringify(prefix)}`,
        getMany(backend, [at(`${prefix}:1`), at(`${neighbour}:1`)]),
        [undefined, "1"]
      )
      yield* backend.clear(at(neighbour))
    }
  },
  *"tells characters apart that are partly the same bytes"({ at, backend }) {
    const keys = ["😀:1", "😁:1", "é:1", "è:1", "e\u0301:1"].map(at)
    yield* backend.setMany(keys.map((key): Item => [key, entry("1"), minute]))
    yield* backend.clear(at("😀"))
    yield* backend.clear(at("é"))
    yield* equal("getMany", getMany(backend, keys), [undefined, "1", undefined, "1", "1"])
  },
  *"removes a thousand keys"({ at, backend }) {
    const keys = Array.from({ length: 1_000 }, (_, index) => at(`a:${index}`))
    yield* backend.setMany(keys.map((key): Item => [key, entry("1"), minute]))
    yield* backend.clear(at("a:"))
    yield* equal("getMany", getMany(backend, keys), keys.map(() => undefined))
  },
  *"keeps what is set afterwards"({ at, backend }) {
    yield* backend.set(at("a:1"), entry("1"), minute)
    yield* backend.clear(at("a:"))
    yield* backend.set(at("a:1"), entry("2"), minute)
    yield* equal("add of another", backend.add(at("a:2"), entry("3"), minute), true)
    yield* equal("increment of a third", backend.increment(at("a:3"), 4, minute), 4)
    yield* equal("getMany", getMany(backend, [at("a:1"), at("a:2"), at("a:3")]), ["2", "3", "4"])
  },
  *"loses none of the sets outside the prefix that are made at the same time"({ at, backend }) {
    const keys = Array.from({ length: 50 }, (_, index) => at(`b:${index}`))
    yield* Effect.all([
      ...keys.map((key) => backend.set(key, entry("1"), minute)),
      backend.clear(at("a:")),
      backend.clear(at("b:51"))
    ], { concurrency: "unbounded", discard: true })
    yield* equal("getMany", getMany(backend, keys), keys.map(() => "1"))
  },
  *"gets its turn while other callers never pause"({ at, backend }) {
    yield* backend.set(at("a:1"), entry("1"), minute)
    const others = yield* Effect.fork(
      together(10, (index) => after(index, Effect.forever(backend.set(at(`b:${index}`), entry("1"), minute))))
    )
    yield* after(100, backend.clear(at("a:")))
    yield* Fiber.interrupt(others)
    yield* equal("get", get(backend, at("a:1")), undefined)
  },
  *"voids the leases under the prefix, and no other"({ at, backend }) {
    const inside = yield* lease(backend, at("a:1"))
    const outside = yield* lease(backend, at("b:1"))
    yield* backend.clear(at("a:"))
    yield* equal("fill under the prefix", backend.fill(at("a:1"), inside, entry("1"), minute), false)
    yield* equal("whether the key is leased", isLeased(backend, at("a:1")), false)
    yield* equal("fill outside", backend.fill(at("b:1"), outside, entry("2"), minute), true)
    yield* equal("getMany", getMany(backend, [at("a:1"), at("b:1")]), [undefined, "2"])
  }
})
