/**
 * Keys that stores and protocols trip over.
 */
import * as Effect from "effect/Effect"
import type { Item } from "../../Backend.js"
import { entry, equal, get, getMany, isLeased, lease, minute, refused, suite } from "./kit.js"

const long = "k".repeat(10_000)

const blanks = ["", " ", "  ", "a ", " a", "a b", "\t", "\n", "\r\n", "a\n", "a\r", "a\r\n", "\0", "a\0", "a\0b"]
const patterns = ["a*", "*", "?", "[a]", "[", "]", "^", "-", "\\", "\\*", "{a}", "{b}", "a{b}c", "$", "#", "&"]
const paths = ["/", "//", "a/b", "../a", "..", ".", "./a", "a.", "CON", "%", "%20", "%0A", "%00", ":", "::", "a:b"]
const reserved = ["~a", "~lease:a", "~lock:a", "~hard:a", "~soft:a", "~epoch"]
const quotes = ["'", "\"", "`", "<", ">", "|", "get a\r\nflush_all\r\n", "*1\r\n$8\r\nFLUSHALL\r\n"]
const characters = ["A", "é", "e\u0301", "😀", "👩‍👩‍👧", "\u200b", "\ufeff", "\uffff", "\u2028", "\x7f", "\x80"]
const words = ["a", "__proto__", "constructor", "toString", "undefined", "null", "0", "00", "-0"]
const longer = [long, `${long}k`, `${long.slice(1)}l`]

const hostile = [blanks, patterns, paths, reserved, quotes, characters, words, longer].flat()

const lone = ["\ud800", "a\udc00", "\udfff\ud800", "😀\ud83d"] as const

export const keys = suite("keys", {
  *"takes every key, and tells every two apart"({ at, backend }) {
    const items = hostile.map((name, index): Item => [at(name), entry(String(index)), minute])
    for (const item of items) yield* backend.set(...item)
    for (const [index, name] of hostile.entries()) {
      yield* equal(`get of ${JSON.stringify(name.slice(0, 20))}`, get(backend, at(name)), String(index))
    }
    yield* equal("getMany", getMany(backend, hostile.map(at)), hostile.map((_, index) => String(index)))
    for (const [index, name] of hostile.entries()) {
      if (index % 2 === 0) {
        yield* equal(`remove of ${JSON.stringify(name.slice(0, 20))}`, backend.remove(at(name)), true)
      }
    }
    yield* equal(
      "getMany after every other was removed",
      getMany(backend, hostile.map(at)),
      hostile.map((_, index) => index % 2 === 0 ? undefined : String(index))
    )
  },
  *"counts, adds and leases under every key"({ at, backend }) {
    for (const [index, name] of hostile.entries()) {
      const what = JSON.stringify(name.slice(0, 20))
      yield* equal(`add of ${what}`, backend.add(at(`add${name}`), entry("1"), minute), true)
      yield* equal(`increment of ${what}`, backend.increment(at(`increment${name}`), index, minute), index)
      const token = yield* lease(backend, at(`lease${name}`))
      yield* equal(`whether ${what} is leased`, isLeased(backend, at(`lease${name}`)), true)
      yield* equal(`fill of ${what}`, backend.fill(at(`lease${name}`), token, entry("2"), minute), true)
      yield* equal(`get of ${what}`, get(backend, at(`lease${name}`)), "2")
    }
  },
  *"takes every tag, and tells every two apart"({ at, backend }) {
    const before = yield* backend.tagVersions(hostile.map(at))
    for (const [index, name] of hostile.entries()) {
      if (index % 2 === 0) yield* backend.invalidateTags([at(name)], "hard")
    }
    const after = yield* backend.tagVersions(hostile.map(at))
    yield* equal(
      "the tags that changed",
      Effect.succeed(hostile.filter((_, index) => before[index]!.hard !== after[index]!.hard)),
      hostile.filter((_, index) => index % 2 === 0)
    )
  },
  *"takes the empty key"({ backend }) {
    yield* backend.set("", entry("1"), minute)
    yield* equal("get", get(backend, ""), "1")
    yield* equal("remove", backend.remove(""), true)
    yield* equal("has", backend.has(""), false)
  },
  *"refuses a key with a lone surrogate, whatever it is asked to do with it"({ at, backend }) {
    for (const bad of lone.map(at)) {
      yield* refused("get", backend.get(bad), "InvalidInput")
      yield* refused("getMany", backend.getMany([at("a"), bad]), "InvalidInput")
      yield* refused("set", backend.set(bad, entry("1"), minute), "InvalidInput")
      yield* refused(
        "setMany",
        backend.setMany([[at("a"), entry("1"), minute], [bad, entry("1"), minute]]),
        "InvalidInput"
      )
      yield* refused("add", backend.add(bad, entry("1"), minute), "InvalidInput")
      yield* refused("has", backend.has(bad), "InvalidInput")
      yield* refused("remove", backend.remove(bad), "InvalidInput")
      yield* refused("removeMany", backend.removeMany([at("a"), bad]), "InvalidInput")
      yield* refused("increment", backend.increment(bad, 1, minute), "InvalidInput")
      yield* refused("clear", backend.clear(bad), "InvalidInput")
      yield* refused("lease", backend.lease(bad, minute), "InvalidInput")
      yield* refused("renew", backend.renew(bad, "token", minute), "InvalidInput")
      yield* refused("fill", backend.fill(bad, "token", entry("1"), minute), "InvalidInput")
      yield* refused("tagVersions", backend.tagVersions([at("a"), bad]), "InvalidInput")
      yield* refused("refreshTags", backend.refreshTags([{ tag: bad, hard: "1", soft: "1" }]), "InvalidInput")
      yield* refused("invalidateTags", backend.invalidateTags([at("a"), bad], "hard"), "InvalidInput")
    }
    yield* equal("has, of the key beside it in setMany", backend.has(at("a")), false)
  }
})
