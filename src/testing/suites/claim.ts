/**
 * `getOrLease`, and what it is made of where a backend does not offer it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type { Backend, BackendError, Claim, TagVersion } from "../../Backend.js"
import {
  entry,
  equal,
  fail,
  get,
  isLeased,
  isLeasedForLong,
  lease,
  minute,
  permanent,
  suite,
  together,
  turn,
  valueOf
} from "./kit.js"

const isOutdated = (entry: ReadonlyArray<TagVersion>, now: ReadonlyArray<TagVersion>): boolean =>
  entry.some((version, i) => version.hard !== now[i]!.hard)

const composed = (
  backend: Backend
): NonNullable<Backend["getOrLease"]> =>
(key, duration, tags) =>
  Effect.uninterruptible(Effect.gen(function*() {
    const found = yield* Effect.interruptible(backend.get(key))
    const carried = Option.match(found, { onNone: () => [], onSome: (entry) => entry.tags })
    const versions = yield* Effect.interruptible(backend.refreshTags(carried))
    if (found._tag === "Some" && !isOutdated(carried, versions)) {
      return { entry: found, token: Option.none(), versions }
    }
    const asked = yield* Effect.interruptible(backend.tagVersions(tags))
    const { token } = yield* backend.lease(key, duration)
    const isMine = token._tag === "Some"
    return isMine
      ? { entry: found, token, versions: [...versions, ...asked] }
      : { entry: Option.none(), token, versions: undefined }
  }))

const claim = (
  backend: Backend,
  key: string,
  tags: ReadonlyArray<string> = [],
  duration = minute
): Effect.Effect<Claim, BackendError> => (backend.getOrLease ?? composed(backend))(key, duration, tags)

const tokenOf = ({ token }: Claim): string => Option.getOrElse(token, () => fail("a claim", "a token", "none"))

export const claims = suite("read or lease", {
  *"answers what is stored, and leases nothing"({ at, backend }) {
    yield* backend.set(at("a"), entry("1"), minute)
    const found = yield* claim(backend, at("a"))
    yield* equal("the entry", Effect.succeed(valueOf(found.entry)), "1")
    yield* equal("the token", Effect.succeed(found.token), Option.none())
    yield* equal("whether it is leased", isLeased(backend, at("a")), false)
  },
  *"gives a key with nothing under it to one of fifty who ask at once"({ at, backend }) {
    const answers = yield* together(50, () => claim(backend, at("a")))
    const tokens = answers.flatMap(({ token }) => Option.toArray(token))
    yield* equal("holders", Effect.succeed(tokens.length), 1)
    yield* equal("entries", Effect.succeed(answers.filter(({ entry }) => entry._tag === "Some")), [])
    yield* equal("fill", backend.fill(at("a"), tokens[0]!, entry("1"), minute), true)
    yield* equal("get", get(backend, at("a")), "1")
  },
  *"gives different keys to different holders"({ at, backend }) {
    const answers = yield* together(300, (index) => claim(backend, at(String(index))))
    yield* equal("different tokens", Effect.succeed(new Set(answers.map(tokenOf)).size), 300)
  },
  *"shares its leases with lease"({ at, backend }) {
    yield* lease(backend, at("a"))
    const refused = yield* claim(backend, at("a"))
    yield* equal("a claim of what is leased", Effect.succeed(refused.token), Option.none())
    const token = tokenOf(yield* claim(backend, at("b")))
    yield* equal("whether what is claimed is leased", isLeased(backend, at("b")), true)
    yield* equal("renew", backend.renew(at("b"), token, Duration.zero), true)
    yield* equal("whether what was given back is leased", isLeased(backend, at("b")), false)
  },
  *"is void after a remove, and extended by its holder"({ at, backend }) {
    yield* equal("renew", backend.renew(at("a"), tokenOf(yield* claim(backend, at("a"))), minute), true)
    const token = tokenOf(yield* claim(backend, at("b")))
    yield* backend.remove(at("b"))
    yield* equal("fill after a remove", backend.fill(at("b"), token, entry("late"), minute), false)
    yield* equal("get", get(backend, at("b")), undefined)
  },
  *"takes an expired entry for none"({ at, backend }) {
    yield* backend.set(at("a"), entry("1", { keepUntil: 10 }), Duration.millis(10))
    yield* TestClock.adjust("10 millis")
    tokenOf(yield* claim(backend, at("a")))
  },
  *"tells the current versions of an entry's tags, or nothing of them"({ at, backend }) {
    const tags = yield* backend.tagVersions([at("t{%}"), at("ü")])
    yield* backend.set(at("a"), entry("1", { tags }), minute)
    const found = yield* claim(backend, at("a"), [at("other")])
    yield* equal("the token", Effect.succeed(found.token), Option.none())
    if (found.versions !== undefined) yield* equal("the versions", Effect.succeed(found.versions), tags)
    yield* backend.invalidateTags([at("ü")], "soft")
    const stale = yield* claim(backend, at("a"))
    yield* equal("the token of a stale one", Effect.succeed(stale.token), Option.none())
    yield* equal("the stale one", Effect.succeed(valueOf(stale.entry)), "1")
    const now = stale.versions ?? (yield* backend.refreshTags(tags))
    yield* equal(
      "what has changed",
      Effect.succeed(tags.map((tag, i) => [tag.hard !== now[i]!.hard, tag.soft !== now[i]!.soft])),
      [[false, false], [false, true]]
    )
  },
  *"does not answer what a tag has been invalidated of as if it were current"({ at, backend }) {
    const tags = yield* backend.tagVersions([at("t"), at("u")])
    yield* backend.set(at("a"), entry("1", { tags }), minute)
    yield* backend.invalidateTags([at("u")], "hard")
    const { token, versions } = yield* claim(backend, at("a"))
    if (token._tag === "Some") {
      yield* equal("fill", backend.fill(at("a"), token.value, entry("2"), minute), true)
      yield* equal("get", get(backend, at("a")), "2")
    } else if (versions !== undefined && !isOutdated(tags, versions)) {
      fail("an outdated entry", "a token, or versions that differ", versions)
    }
  },
  *"tells the versions of the tags that a load will have"({ at, backend }) {
    const { token, versions } = yield* claim(backend, at("a"), [at("t"), at("u{}")])
    yield* equal("whether it is leased", Effect.succeed(token._tag), "Some")
    if (versions !== undefined) {
      yield* equal("the versions", backend.tagVersions([at("t"), at("u{}")]), versions)
      yield* backend.invalidateTags([at("t")], "hard")
      yield* equal(
        "whether they are outdated after an invalidation",
        Effect.map(backend.refreshTags(versions), (now) => isOutdated(versions, now)),
        true
      )
    }
  },
  *"leaves no lease to nobody: who was interrupted while asking does not hold it"({ at, backend }) {
    for (let round = 0; round < 100; round++) {
      const key = at(String(round))
      const answers: Array<Claim> = []
      const ask = Effect.uninterruptible(Effect.map(claim(backend, key), (answer) => void answers.push(answer)))
      const fiber = yield* Effect.fork(ask)
      for (let yields = round % 11; yields > 0; yields--) yield* Effect.yieldNow()
      for (let turns = round % 3; turns > 0; turns--) yield* turn
      yield* Fiber.interrupt(fiber)
      if (answers.length > 0) yield* equal("whether it is held", isLeased(backend, key), true)
      else yield* equal("whether it is held, a second later", isLeasedForLong(backend, key), false)
    }
  },
  *"is somebody's where one of many who ask is interrupted"({ at, backend }) {
    for (let round = 0; round < 30; round++) {
      const key = at(String(round))
      const first = yield* Effect.fork(Effect.uninterruptible(claim(backend, key)))
      const others = yield* Effect.fork(together(5, () => claim(backend, key)))
      for (let yields = round % 7; yields > 0; yields--) yield* Effect.yieldNow()
      const exit = yield* Fiber.interrupt(first)
      const holders = [...(yield* Fiber.join(others)), ...(Exit.isSuccess(exit) ? [exit.value] : [])]
        .filter(({ token }) => token._tag === "Some")
      if (holders.length > 1) fail("holders", "one at most", holders.length)
      const [holder] = holders
      if (holder === undefined) yield* equal("whether it is held by nobody", isLeasedForLong(backend, key), false)
      else yield* equal("fill", backend.fill(key, tokenOf(holder), ...permanent("1")), true)
    }
  }
})
