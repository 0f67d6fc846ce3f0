/**
 * The right to fill a key.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Backend, BackendError } from "../../Backend.js"
import { after, entry, equal, fail, get, isLeased, lease, minute, suite, together, valueOf } from "./kit.js"

/** What voids a lease on `key`, and what the key holds then. */
const voiding: Record<string, (backend: Backend, key: string) => Effect.Effect<unknown, BackendError>> = {
  remove: (backend, key) => backend.remove(key),
  removeMany: (backend, key) => backend.removeMany([key]),
  clear: (backend, key) => backend.clear(key),
  set: (backend, key) => backend.set(key, entry("1"), minute),
  setMany: (backend, key) => backend.setMany([[key, entry("1"), minute]]),
  add: (backend, key) => backend.add(key, entry("1"), minute),
  increment: (backend, key) => backend.increment(key, 1, minute)
}

export const leases = suite("lease and fill", {
  *"gives a key to one of fifty who ask at once"({ at, backend }) {
    const answers = yield* together(50, () => backend.lease(at("a"), minute))
    yield* equal("holders", Effect.succeed(answers.filter((_) => Option.isSome(_.token)).length), 1)
  },
  *"gives different keys to different holders, each with a token of its own"({ at, backend }) {
    const tokens = yield* together(10, (index) => lease(backend, at(String(index))))
    yield* equal("different tokens", Effect.succeed(new Set(tokens).size), 10)
  },
  *"stores with the holder's token, and ends the lease"({ at, backend }) {
    const token = yield* lease(backend, at("a"))
    yield* equal("fill", backend.fill(at("a"), token, entry("1"), minute), true)
    yield* equal("get", get(backend, at("a")), "1")
    yield* equal("fill again", backend.fill(at("a"), token, entry("2"), minute), false)
    yield* equal("get after the second fill", get(backend, at("a")), "1")
    yield* equal("whether it is leased", isLeased(backend, at("a")), false)
  },
  *"overwrites what is there"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    const token = yield* lease(backend, at("a"))
    yield* equal("fill", backend.fill(at("a"), token, entry("2"), minute), true)
    yield* equal("get", get(backend, at("a")), "2")
  },
  *"writes nothing with a token that holds nothing"({ at, backend }) {
    yield* equal("fill without a lease", backend.fill(at("a"), "wrong", entry("1"), minute), false)
    const token = yield* lease(backend, at("a"))
    const other = yield* lease(backend, at("b"))
    for (const wrong of ["wrong", "", other, `${token} `]) {
      yield* equal("fill with a wrong token", backend.fill(at("a"), wrong, entry("1"), minute), false)
    }
    yield* equal("get", get(backend, at("a")), undefined)
    yield* equal("fill with the right one", backend.fill(at("a"), token, entry("2"), minute), true)
  },
  *"has one winner among many fills with one token"({ at, backend }) {
    const token = yield* lease(backend, at("a"))
    const filled = yield* together(20, (index) => backend.fill(at("a"), token, entry(String(index)), minute))
    yield* equal("fills", Effect.succeed(filled.filter((isFilled) => isFilled).length), 1)
    yield* equal("get", get(backend, at("a")), String(filled.indexOf(true)))
  },
  *"answers what is stored, to the holder and to the others"({ at, backend }) {
    const none = yield* backend.lease(at("a"), minute)
    yield* equal("the entry of an absent key", Effect.succeed(valueOf(none.entry)), undefined)
    yield* backend.set(at("b"), entry("1"), minute)
    const first = yield* backend.lease(at("b"), minute)
    const second = yield* backend.lease(at("b"), minute)
    yield* equal("the holder's entry", Effect.succeed(valueOf(first.entry)), "1")
    yield* equal("the other's entry", Effect.succeed(valueOf(second.entry)), "1")
    yield* equal("the other's token", Effect.succeed(second.token), Option.none())
  },
  *"is not an entry: a leased key is absent until it is filled"({ at, backend }) {
    const token = yield* lease(backend, at("a"))
    yield* equal("get", get(backend, at("a")), undefined)
    yield* equal("has", backend.has(at("a")), false)
    yield* equal("fill", backend.fill(at("a"), token, entry("1"), minute), true)
    yield* lease(backend, at("b"))
    yield* equal("remove", backend.remove(at("b")), false)
    yield* lease(backend, at("b"))
    yield* equal("removeMany", backend.removeMany([at("b")]), 0)
    yield* lease(backend, at("b"))
    yield* equal("add", backend.add(at("b"), entry("1"), minute), true)
  },
  ...Object.fromEntries(
    Object.entries(voiding).map(([name, change]) => [
      `is void after ${name}: a late fill writes nothing`,
      function*({ at, backend }: { readonly at: (name: string) => string; readonly backend: Backend }) {
        const token = yield* lease(backend, at("a"))
        yield* change(backend, at("a"))
        const left = yield* get(backend, at("a"))
        yield* equal("fill", backend.fill(at("a"), token, entry("late"), minute), false)
        yield* equal("renew", backend.renew(at("a"), token, minute), false)
        yield* equal("get afterwards", get(backend, at("a")), left)
        yield* equal("whether it is leased", isLeased(backend, at("a")), false)
      }
    ])
  ),
  *"is void after remove of what was there while it was held"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    const token = yield* lease(backend, at("a"))
    yield* backend.remove(at("a"))
    yield* equal("fill", backend.fill(at("a"), token, entry("late"), minute), false)
    yield* equal("get", get(backend, at("a")), undefined)
  },
  *"has one last word when a fill and a remove meet"({ at, backend }) {
    for (let round = 0; round < 50; round++) {
      const key = at(String(round))
      const token = yield* lease(backend, key)
      const [isFilled, isRemoved] = yield* Effect.all(
        [after(round % 12, backend.fill(key, token, entry("1"), minute)), after(round % 5, backend.remove(key))],
        { concurrency: "unbounded" }
      )
      const isThere = yield* backend.has(key)
      if (isThere || isFilled !== isRemoved) {
        fail("a key removed while it was filled", "the fill removed, or refused", { isFilled, isRemoved, isThere })
      }
    }
  },
  *"has one last word when a fill and an add meet"({ at, backend }) {
    for (let round = 0; round < 50; round++) {
      const key = at(String(round))
      const token = yield* lease(backend, key)
      const [isFilled, isAdded] = yield* Effect.all(
        [
          after(round % 5, backend.fill(key, token, entry("filled"), minute)),
          after(round % 12, backend.add(key, entry("added"), minute))
        ],
        { concurrency: "unbounded" }
      )
      const value = yield* get(backend, key)
      if (isFilled === isAdded || value !== (isFilled ? "filled" : "added")) {
        fail("a key filled and added at once", "one of the two", { isFilled, isAdded, value })
      }
    }
  },
  *"belongs to the next holder once it is void"({ at, backend }) {
    const first = yield* lease(backend, at("a"))
    yield* backend.remove(at("a"))
    const second = yield* lease(backend, at("a"))
    yield* equal("fill by the first", backend.fill(at("a"), first, entry("1"), minute), false)
    yield* equal("renew by the first", backend.renew(at("a"), first, minute), false)
    yield* equal("giving back by the first", backend.renew(at("a"), first, Duration.zero), false)
    yield* equal("whether it is leased", isLeased(backend, at("a")), true)
    yield* equal("fill by the second", backend.fill(at("a"), second, entry("2"), minute), true)
    yield* equal("get", get(backend, at("a")), "2")
  },
  *"is extended by its holder only"({ at, backend }) {
    const token = yield* lease(backend, at("a"))
    yield* equal("renew by another", backend.renew(at("a"), "wrong", minute), false)
    yield* equal("renew", backend.renew(at("a"), token, minute), true)
    yield* equal("whether it is leased", isLeased(backend, at("a")), true)
    yield* equal("fill", backend.fill(at("a"), token, entry("1"), minute), true)
    yield* equal("renew after the fill", backend.renew(at("a"), token, minute), false)
    yield* equal("renew where nothing was leased", backend.renew(at("b"), token, minute), false)
  },
  *"ends when its holder gives it back, and a fill is refused then"({ at, backend }) {
    const token = yield* lease(backend, at("a"))
    yield* equal("renew with zero", backend.renew(at("a"), token, Duration.zero), true)
    yield* equal("fill", backend.fill(at("a"), token, entry("1"), minute), false)
    yield* equal("get", get(backend, at("a")), undefined)
    yield* equal("whether it is leased", isLeased(backend, at("a")), false)
  },
  *"leaves what is stored alone when it is taken, extended and given back"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    const token = yield* lease(backend, at("a"))
    yield* backend.renew(at("a"), token, minute)
    yield* backend.renew(at("a"), token, Duration.zero)
    yield* equal("get", get(backend, at("a")), "1")
  }
})
