import { assert, describe, it } from "@effect/vitest"
import { TagTable } from "../../src/internal/tiered/tagTable.js"

const version = (tag: string, hard: string, soft = "s") => ({ tag, hard, soft })

/** Asks for the tags of the versions and is answered so. */
const confirm = (table: TagTable, versions: ReadonlyArray<ReturnType<typeof version>>, at = 0) => {
  const question = table.ask(versions.map(({ tag }) => tag), at)
  table.learn(question, versions.map((each) => ({ ...each })), versions)
  table.close(question)
}

describe("TagTable", () => {
  it("knows nothing of versions that it has not seen confirmed", () => {
    const table = new TagTable(10)
    assert.strictEqual(table.state([version("a", "1")]), "hard")
    assert.strictEqual(table.state([]), "current")
  })

  it("knows those of a confirmed list until one of its tags is invalidated, by how it is", () => {
    const table = new TagTable(10)
    const versions = [version("a", "1"), version("b", "1")]
    table.remember(versions)
    confirm(table, versions)
    assert.strictEqual(table.state(versions), "current")
    table.forget(["c"], "hard")
    assert.strictEqual(table.state(versions), "current")
    table.forget(["b"], "soft")
    assert.strictEqual(table.state(versions), "soft")
    confirm(table, [version("b", "1", "t")])
    assert.strictEqual(table.state(versions), "soft")
    table.forget(["b"], "hard")
    assert.strictEqual(table.state(versions), "hard")
  })

  it("sees that a tag has another version when it hears of one", () => {
    const table = new TagTable(10)
    const versions = [version("a", "1")]
    confirm(table, versions)
    confirm(table, [version("a", "1", "t")])
    assert.strictEqual(table.state(versions), "soft")
    confirm(table, [version("a", "2", "u")])
    assert.strictEqual(table.state(versions), "hard")
  })

  it("does not bind a version to an answer that differs", () => {
    const table = new TagTable(10)
    const carried = [version("a", "1")]
    const question = table.ask(["a"], 0)
    table.learn(question, [version("a", "2")], carried)
    assert.strictEqual(table.state(carried), "hard")
  })

  it("learns nothing from an answer that was on its way during an invalidation", () => {
    for (const forget of [(table: TagTable) => table.forget(["a"], "soft"), (table: TagTable) => table.forgetAll()]) {
      const table = new TagTable(10)
      const [a, b] = [version("a", "1"), version("b", "1")]
      const question = table.ask(["a", "b"], 0)
      forget(table)
      table.learn(question, [a, b])
      assert.strictEqual(table.state([a]), "hard")
    }
  })

  it("believes neither of two answers that came in another order than they were asked for", () => {
    const table = new TagTable(10)
    const [one, other] = [version("a", "1"), version("a", "2")]
    const first = table.ask(["a"], 0)
    const second = table.ask(["a"], 0)
    table.learn(second, [other])
    assert.strictEqual(table.state([other]), "current")
    table.learn(first, [one])
    assert.strictEqual(table.state([one]), "hard")
    assert.strictEqual(table.state([other]), "hard")
  })

  it("dates a list from the oldest of its confirmations", () => {
    const table = new TagTable(10)
    const [a, b, c] = [version("a", "1"), version("b", "1"), version("c", "1")]
    confirm(table, [a], 100)
    confirm(table, [b], 50)
    assert.strictEqual(table.knownSince([a, b, c], { at: 200, stamp: 9 })?.at, 50)
    assert.strictEqual(table.knownSince([c], { at: 200, stamp: 9 })?.at, 200)
    confirm(table, [b], 150)
    assert.strictEqual(table.knownSince([a, b], { at: 200, stamp: 9 })?.at, 100)
    table.forget(["a"], "hard")
    assert.isUndefined(table.knownSince([a, b], { at: 200, stamp: 9 }))
  })

  it("binds what has been through bytes only to what was confirmed since it was stored", () => {
    const table = new TagTable(10)
    confirm(table, [version("a", "1")])
    const stored = table.nextStamp()
    const copy = version("a", "1")
    table.rebind([copy], stored)
    assert.strictEqual(table.state([copy]), "hard")
    confirm(table, [version("a", "1")])
    table.rebind([copy], stored)
    assert.strictEqual(table.state([copy]), "current")
  })

  it("forgets the tags that were not confirmed for longest, and what depends on them is not current", () => {
    const table = new TagTable(3)
    const versions = ["a", "b", "c", "d"].map((tag) => version(tag, "1"))
    confirm(table, versions.slice(0, 3))
    confirm(table, [versions[0]!])
    confirm(table, [versions[3]!])
    assert.strictEqual(table.size, 3)
    assert.deepStrictEqual(versions.map((each) => table.state([each])), ["current", "hard", "current", "current"])
  })
})
