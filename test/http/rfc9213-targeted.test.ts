/** RFC 9213: targeted cache control, and the dictionaries of RFC 9651 that it is made of. */
import { assert, describe, it } from "@effect/vitest"
import { parseDictionary } from "../../src/internal/http/structured.js"
import { directivesOf, parseTargeted } from "../../src/internal/http/targeted.js"

const targets = ["mine-cache-control", "cdn-cache-control"]

describe("RFC 9651 §4.2.2: a dictionary", () => {
  it("has items, lists and parameters", () => {
    const members = parseDictionary("a, b=?0;x=1, c=10, d=1.5, e=tok;q, f=\"s\\\"t\", g=(1 \"x\";y z), h=:AQ==:, i=@1")!
    assert.deepStrictEqual([...members.keys()], ["a", "b", "c", "d", "e", "f", "g", "h", "i"])
    assert.deepStrictEqual(members.get("b"), { type: "boolean", value: false })
    assert.deepStrictEqual(members.get("f"), { type: "string", value: "s\"t" })
    assert.deepStrictEqual(members.get("g"), [
      { type: "integer", value: 1 },
      { type: "string", value: "x" },
      { type: "token", value: "z" }
    ])
    assert.strictEqual(parseDictionary("")?.size, 0)
    assert.deepStrictEqual(parseDictionary("a=1, a=2")!.get("a"), { type: "integer", value: 2 })
  })

  it("is malformed as a whole or not at all", () => {
    for (
      const text of ["a,", "A=1", "a=", "a=1 b", "a b", "a=\"x", "a=(1", "a=(1,2)", "a=1.", "a=1.2345", "a;", ",a", "é"]
    ) {
      assert.isUndefined(parseDictionary(text), text)
    }
  })
})

describe("RFC 9213 §2.2: the directives in force", () => {
  it("are those of the first target that is there", () => {
    const both = { "cache-control": "no-store", "cdn-cache-control": "max-age=1", "mine-cache-control": "max-age=2" }
    assert.strictEqual(directivesOf(both, targets).cacheControl.maxAge, 2)
    assert.isFalse(directivesOf(both, targets).cacheControl.noStore)
    assert.isTrue(directivesOf(both, targets).isTargeted)
    assert.isTrue(directivesOf(both, []).cacheControl.noStore)
  })

  it("are not those of a target that is empty or malformed", () => {
    for (const value of ["", "max-age=1,", "max-age=\"1", "MAX-AGE=1"]) {
      const { cacheControl, isTargeted } = directivesOf(
        { "cache-control": "no-store", "cdn-cache-control": value },
        targets
      )
      assert.isFalse(isTargeted, value)
      assert.isTrue(cacheControl.noStore, value)
    }
  })
})

describe("RFC 9213 §2.1: a targeted field", () => {
  it("ignores what is of another type", () => {
    assert.isUndefined(parseTargeted("max-age=1.5")?.maxAge)
    assert.isUndefined(parseTargeted("max-age=\"1\"")?.maxAge)
    assert.strictEqual(parseTargeted("max-age=1;x=2")?.maxAge, 1)
    assert.strictEqual(parseTargeted("max-age=-1")?.maxAge, 0)
    assert.isFalse(parseTargeted("no-store=?0")?.noStore)
    assert.isTrue(parseTargeted("no-store")?.noStore)
    assert.deepStrictEqual(parseTargeted("private=\"a, b\"")?.private, ["a", "b"])
    assert.strictEqual(parseTargeted("private=\"\"")?.private, true)
  })

  it("counts as there with nothing known in it", () => assert.isDefined(parseTargeted("none")))
})
