import { assert, describe, it } from "@effect/vitest"
import type { TagVersion } from "effect-caching/internal/entry"
import { TagRegistry } from "effect-caching/internal/tagRegistry"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

/** Collects garbage until the registry knows `size` tags, for fifty turns of the event loop at most. */
const shrinksTo = async (registry: TagRegistry, size: number): Promise<boolean> => {
  for (let turn = 0; turn < 50 && registry.size > size; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
    collectGarbage()
  }
  return registry.size === size
}

const versions = (registry: TagRegistry, ...names: Array<string>) => names.map((name) => registry.version(name))

const copies = (versions: ReadonlyArray<TagVersion>) => versions.map(({ hard, soft, tag }) => ({ tag, hard, soft }))

describe("TagRegistry", () => {
  for (
    const [title, remembered, copied] of [
      ["its own versions", false, false],
      ["its own versions in a remembered list", true, false],
      ["copies of its versions", false, true],
      ["copies of its versions in a remembered list", true, true]
    ] as const
  ) {
    it(`tells current, soft and hard for ${title}`, () => {
      const registry = new TagRegistry("r.")
      const own = versions(registry, "a", "b")
      const list = copied ? copies(own) : own
      if (remembered) registry.remember(list)
      for (let i = 0; i < 2; i++) assert.strictEqual(registry.state(list), "current")
      registry.invalidate(["other"], "hard")
      for (let i = 0; i < 2; i++) assert.strictEqual(registry.state(list), "current")
      registry.invalidate(["b"], "soft")
      for (let i = 0; i < 2; i++) assert.strictEqual(registry.state(list), "soft")
      const young = versions(registry, "a", "b")
      assert.strictEqual(registry.state(young), "current")
      registry.invalidate(["a"], "hard")
      assert.strictEqual(registry.state(list), "hard")
      assert.strictEqual(registry.state(young), "hard")
      assert.strictEqual(registry.state(versions(registry, "a", "b")), "current")
      assert.strictEqual(own.length, 2)
    })
  }

  it("makes every version older than a hard invalidation die of it, those made stale before too", () => {
    const registry = new TagRegistry("r.")
    const lists = [0, 1, 2].map(() => {
      const list = versions(registry, "a")
      registry.invalidate(["a"], "soft")
      return list
    })
    assert.deepStrictEqual(lists.map((list) => registry.state(list)), ["soft", "soft", "soft"])
    registry.invalidate(["a"], "hard")
    assert.deepStrictEqual(lists.map((list) => registry.state(list)), ["hard", "hard", "hard"])
  })

  it("does not take the versions of another registry for its own", () => {
    const one = new TagRegistry("1.")
    const other = new TagRegistry("2.")
    const list = versions(one, "a")
    one.remember(list)
    assert.strictEqual(one.state(list), "current")
    assert.strictEqual(other.state(list), "hard")
    versions(other, "a")
    assert.strictEqual(other.state(list), "hard")
    assert.strictEqual(one.state(list), "current")
  })

  it("takes lists that cannot be extended, and leaves no trace that a comparison sees", () => {
    const registry = new TagRegistry("r.")
    const frozen = Object.freeze(versions(registry, "a"))
    const list = versions(registry, "a")
    for (const each of [frozen, list]) {
      registry.remember(each)
      assert.strictEqual(registry.state(each), "current")
    }
    assert.deepStrictEqual(list, copies(list))
    assert.deepStrictEqual(Object.keys(list), ["0"])
    assert.strictEqual(JSON.stringify(list), JSON.stringify(copies(list)))
  })

  it("never gives a version twice", () => {
    const registry = new TagRegistry("r.")
    const seen = new Set<string>()
    for (let i = 0; i < 100; i++) {
      const { hard, soft } = registry.version("a")
      seen.add(hard).add(soft)
      registry.invalidate(["a"], "hard")
      registry.invalidate(["a"], "soft")
    }
    assert.strictEqual(seen.size, 200)
  })

  it("forgets the tags that nobody depends on, and no others", async () => {
    const registry = new TagRegistry("r.")
    let kept: ReadonlyArray<TagVersion> | undefined = versions(registry, "a", "b")
    for (let i = 0; i < 1_000; i++) registry.version(`tag:${i}`)
    assert.isTrue(await shrinksTo(registry, 2))
    assert.strictEqual(registry.state(kept), "current")
    // An outdated version keeps its tag known: a later invalidation must find it.
    registry.invalidate(["a"], "soft")
    assert.isTrue(await shrinksTo(registry, 2))
    registry.invalidate(["a"], "hard")
    assert.strictEqual(registry.state(kept), "hard")
    kept = undefined
    assert.isTrue(await shrinksTo(registry, 0))
  })

  it("knows the tags of copies while they are held", async () => {
    const registry = new TagRegistry("r.")
    const list = copies(versions(registry, "a"))
    let held: unknown = registry.hold(list)
    assert.isFalse(registry.owns(list))
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setImmediate(resolve))
      collectGarbage()
    }
    assert.strictEqual(registry.state(list), "current")
    assert.isDefined(held)
    held = undefined
    assert.isTrue(await shrinksTo(registry, 0))
    assert.strictEqual(registry.state(list), "hard")
  })
})
