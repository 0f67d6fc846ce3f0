/**
 * Tag versions.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Backend, BackendError, TagVersion } from "../../Backend.js"
import { entry, equal, fail, minute, suite, together } from "./kit.js"

const version = (backend: Backend, tag: string): Effect.Effect<TagVersion, BackendError> =>
  Effect.map(backend.tagVersions([tag]), (versions) => versions[0]!)

/** Which parts of the version `change` changes. */
const changes = (backend: Backend, tag: string, change: Effect.Effect<unknown, BackendError>) =>
  Effect.gen(function*() {
    const before = yield* version(backend, tag)
    yield* change
    const after = yield* version(backend, tag)
    return { hard: before.hard !== after.hard, soft: before.soft !== after.soft }
  })

export const tags = suite("tags", {
  *"answers the same version until the tag is invalidated"({ at, backend }) {
    const first = yield* version(backend, at("a"))
    yield* equal("the second answer", version(backend, at("a")), first)
    yield* backend.invalidateTags([at("a")], "hard")
    yield* equal("the second answer afterwards", version(backend, at("a")), yield* version(backend, at("a")))
  },
  *"answers in the order asked, and a tag as often as it is asked for"({ at, backend }) {
    const [a, b, again] = yield* backend.tagVersions([at("a"), at("b"), at("a")])
    yield* equal("the third", Effect.succeed(again), a)
    yield* equal("the other way round", backend.tagVersions([at("b"), at("a")]), [b!, a!])
    if (!a!.tag.endsWith(at("a")) || !b!.tag.endsWith(at("b"))) fail("the tags", [at("a"), at("b")], [a, b])
    yield* equal("for no tags", backend.tagVersions([]), [])
  },
  *"gives different tags different versions"({ at, backend }) {
    const all = yield* backend.tagVersions(Array.from({ length: 50 }, (_, index) => at(String(index))))
    yield* equal("hard versions", Effect.succeed(new Set(all.map((_) => _.hard)).size), 50)
    yield* equal("soft versions", Effect.succeed(new Set(all.map((_) => _.soft)).size), 50)
  },
  *"gives fifty who ask first, at once, one version"({ at, backend }) {
    const all = yield* together(50, () => version(backend, at("a")))
    for (const other of all) yield* equal("a version", Effect.succeed(other), all[0]!)
    yield* equal("the version afterwards", version(backend, at("a")), all[0]!)
  },
  *"changes the hard version when hard, and only that"({ at, backend }) {
    const change = backend.invalidateTags([at("a")], "hard")
    yield* equal("what changed", changes(backend, at("a"), change), { hard: true, soft: false })
  },
  *"changes the soft version when soft, and only that"({ at, backend }) {
    const change = backend.invalidateTags([at("a")], "soft")
    yield* equal("what changed", changes(backend, at("a"), change), { hard: false, soft: true })
  },
  *"never gives a version twice"({ at, backend }) {
    const seen = new Set<string>()
    for (let round = 0; round < 20; round++) {
      const { hard, soft } = yield* version(backend, at("a"))
      seen.add(`hard ${hard}`).add(`soft ${soft}`)
      yield* backend.invalidateTags([at("a")], "hard")
      yield* backend.invalidateTags([at("a")], "soft")
    }
    yield* equal("different versions", Effect.succeed(seen.size), 40)
  },
  *"leaves other tags alone, also those that a pattern would match"({ at, backend }) {
    const others = ["ab", "a", "", "A*", "a**", "a*b"].map(at)
    const before = yield* backend.tagVersions(others)
    yield* backend.invalidateTags([at("a*")], "hard")
    yield* equal("the others", backend.tagVersions(others), before)
  },
  *"invalidates many tags, a tag nobody has asked for, one tag twice, and none"({ at, backend }) {
    const names = Array.from({ length: 500 }, (_, index) => at(String(index)))
    const before = yield* backend.tagVersions(names)
    yield* backend.invalidateTags([...names, at("unknown"), at("0")], "hard")
    const after = yield* backend.tagVersions(names)
    const same = names.filter((_, index) => before[index]!.hard === after[index]!.hard)
    yield* equal("tags that kept their version", Effect.succeed(same), [])
    yield* backend.invalidateTags([], "hard")
  },
  *"refreshes the versions an entry carries, in their order"({ at, backend }) {
    const old = yield* backend.tagVersions([at("a"), at("b"), at("c")])
    yield* equal("refreshTags", backend.refreshTags(old), old)
    yield* backend.invalidateTags([at("b")], "hard")
    yield* backend.invalidateTags([at("c")], "soft")
    const now = yield* backend.tagVersions([at("c"), at("b"), at("a")])
    yield* equal("refreshTags, reversed", backend.refreshTags(old.toReversed()), now)
    yield* equal("refreshTags of none", backend.refreshTags([]), [])
    yield* equal("the first, unchanged", Effect.succeed(now[2]), old[0])
    if (now[1]!.hard === old[1]!.hard || now[0]!.soft === old[2]!.soft) fail("refreshTags", "new versions", now)
  },
  *"has an epoch that stays while nothing is invalidated"({ at, backend }) {
    // Another run on the same server may invalidate at the same time: one quiet attempt is enough.
    const attempts: Array<boolean> = []
    while (attempts.length < 5 && !attempts.includes(true)) {
      const before = yield* backend.tagEpoch
      yield* backend.tagVersions([at("a"), at("b")])
      yield* backend.set(at("a"), entry("1"), minute)
      attempts.push(before === (yield* backend.tagEpoch))
    }
    yield* equal("attempts with two equal epochs", Effect.succeed(attempts.includes(true)), true)
  },
  *"has an epoch that changes with every invalidation, never to return"({ at, backend }) {
    const seen = [yield* backend.tagEpoch]
    for (const mode of ["hard", "soft", "hard"] as const) {
      for (const tag of [at("a"), at("never asked for")]) {
        yield* backend.invalidateTags([tag], mode)
        seen.push(yield* backend.tagEpoch)
      }
    }
    yield* equal("different epochs", Effect.succeed(new Set(seen).size), seen.length)
  },
  *"keeps the tags of an entry"({ at, backend }) {
    const versions = yield* backend.tagVersions(["a", "é😀", "*", "", "\n", "x".repeat(1_000)].map(at))
    yield* backend.set(at("a"), entry("1", { tags: versions }), minute)
    const found = yield* backend.get(at("a"))
    if (Option.isNone(found)) return fail("get", "an entry", "none")
    yield* equal("its tags", Effect.succeed([...found.value.tags]), [...versions])
    yield* equal("refreshTags of its tags", backend.refreshTags(found.value.tags), versions)
  },
  *"tells without a fiber, where it can, whether versions are current"({ at, backend }) {
    const { unsafe } = backend
    if (unsafe === undefined) return
    const versions = yield* backend.tagVersions([at("a"), at("b")])
    const state = Effect.sync(() => unsafe.tagState(versions))
    yield* equal("at first", state, "current")
    yield* equal("of no versions", Effect.sync(() => unsafe.tagState([])), "current")
    yield* backend.invalidateTags([at("b")], "soft")
    yield* equal("after a soft invalidation", state, "soft")
    yield* backend.invalidateTags([at("a")], "hard")
    yield* equal("after a hard one", state, "hard")
    yield* equal("of new versions", Effect.map(backend.tagVersions([at("a"), at("b")]), unsafe.tagState), "current")
  }
})
