/** RFC 9111 §4.1: selecting by Vary. */
import { assert, describe, it } from "@effect/vitest"
import { mergeVary, normalise, selectingValues, varyNames } from "../../src/internal/http/vary.js"

describe("RFC 9111 §4.1: calculating cache keys with Vary", () => {
  it("names are case-insensitive, each counts once, in any order", () => {
    assert.deepStrictEqual(varyNames({ vary: "Accept-Language, accept, ACCEPT" }, new Set()), [
      "accept",
      "accept-language"
    ])
  })

  it("absent is not empty", () => {
    assert.deepStrictEqual(selectingValues({ b: "" }, ["a", "b"]), [["a", undefined], ["b", ""]])
  })

  it("names of Object's members are names like others", () => {
    assert.deepStrictEqual(selectingValues(Object.create(null), ["constructor"]), [["constructor", undefined]])
  })

  it("whitespace and line joins do not matter", () => {
    assert.strictEqual(normalise("x", "a ,b ; q=1"), normalise("x", "a, b;q=1"))
  })

  it("case and order do not matter where they have no meaning, weights do", () => {
    assert.strictEqual(normalise("accept-encoding", "gzip, BR;q=0.5"), normalise("accept-encoding", "br;q=0.5,gzip"))
    assert.strictEqual(normalise("accept-language", "de-DE, en"), normalise("accept-language", "DE-de,en"))
    assert.notStrictEqual(normalise("accept-language", "de, en"), normalise("accept-language", "en, de"))
    assert.notStrictEqual(normalise("accept-encoding", "br;q=0.5"), normalise("accept-encoding", "br;q=0.6"))
    assert.notStrictEqual(normalise("x", "a, b"), normalise("x", "b, a"))
    assert.notStrictEqual(normalise("x", "a"), normalise("x", "A"))
  })

  it("names are added to a Vary, not put in its place", () => {
    assert.strictEqual(mergeVary("Accept-Encoding", ["Origin", "accept-encoding"]), "Accept-Encoding, Origin")
    assert.strictEqual(mergeVary(undefined, ["Origin"]), "Origin")
    assert.strictEqual(mergeVary("*", ["Origin"]), "*")
    assert.isUndefined(mergeVary(undefined, []))
  })
})
