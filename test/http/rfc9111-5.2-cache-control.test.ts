/** RFC 9111 §5.2: Cache-Control of responses. */
import { assert, describe, it } from "@effect/vitest"
import { parseCacheControl } from "../../src/internal/http/cacheControl.js"

describe("RFC 9111 §5.2: Cache-Control", () => {
  it("names are case-insensitive", () => {
    assert.isTrue(parseCacheControl("No-StOrE").noStore)
    assert.strictEqual(parseCacheControl("MAX-AGE=5").maxAge, 5)
  })

  it("arguments may be tokens or quoted strings", () => {
    assert.strictEqual(parseCacheControl("max-age=\"5\", s-maxage=7").maxAge, 5)
    assert.strictEqual(parseCacheControl("max-age=\"5\", s-maxage=7").sMaxage, 7)
  })

  it("a comma in a quoted string does not separate directives", () => {
    const parsed = parseCacheControl("ext=\"no-store, private\", max-age=5")
    assert.isFalse(parsed.noStore)
    assert.isFalse(parsed.private)
    assert.strictEqual(parsed.maxAge, 5)
  })

  it("unknown directives are ignored", () => {
    assert.deepStrictEqual(parseCacheControl("frobnicate, x=1, max-age=1"), parseCacheControl("max-age=1"))
  })

  it("nothing is said by nothing", () => {
    for (const value of [undefined, "", ",", " , ,"]) {
      assert.deepStrictEqual(parseCacheControl(value), parseCacheControl(undefined))
    }
  })
})

describe("RFC 9111 §1.2.2: delta-seconds", () => {
  it("what is no number of seconds is stale", () => {
    for (
      const value of [
        "max-age=-1",
        "max-age='3600'",
        "max-age=1.5",
        "max-age=",
        "max-age",
        "max-age=1e9",
        "max-age = 60",
        "max-age=60;"
      ]
    ) {
      assert.strictEqual(parseCacheControl(value).maxAge, 0, value)
    }
  })

  it("what is too large is 2^31", () => {
    assert.strictEqual(parseCacheControl("max-age=99999999999999999999").maxAge, 2 ** 31)
  })
})

describe("RFC 9111 §4.2.1: conflicting values", () => {
  it("the most restrictive of several values counts", () => {
    assert.strictEqual(parseCacheControl("max-age=60, max-age=5").maxAge, 5)
    assert.strictEqual(parseCacheControl("max-age=60, max-age=x").maxAge, 0)
  })
})

describe("RFC 9111 §5.2.2.4 and §5.2.2.7: qualified no-cache and private", () => {
  it("name the fields they are about, in lower case", () => {
    assert.deepStrictEqual(parseCacheControl("private=\"Set-Cookie, X-A\"").private, ["set-cookie", "x-a"])
    assert.deepStrictEqual(parseCacheControl("no-cache=x-b").noCache, ["x-b"])
  })

  it("the unqualified form wins", () => {
    assert.isTrue(parseCacheControl("private, private=\"a\"").private)
    assert.isTrue(parseCacheControl("private=\"a\", private").private)
  })

  it("a malformed prohibition forbids everything", () => {
    for (
      const value of [
        "private=\"\"",
        "private=\",\"",
        "private = \"x\"",
        "private=",
        "private;",
        "private=\"a b\"",
        "'private'",
        "private=\"x, max-age=60"
      ]
    ) {
      assert.isTrue(parseCacheControl(value).private, value)
    }
    for (
      const value of [
        "no-store;",
        "No-StOrE;",
        "no-store=1",
        "no-store=\"",
        " no-store ",
        "\"no-store\"",
        "a=\"b, no-store"
      ]
    ) {
      assert.isTrue(parseCacheControl(value).noStore, value)
    }
    for (const value of ["no-cache=", "no-cache=\"\"", "no-cache ;"]) {
      assert.isTrue(parseCacheControl(value).noCache, value)
    }
  })

  it("a malformed permission permits nothing", () => {
    for (const value of ["public=1", "public;", "'public'"]) assert.isFalse(parseCacheControl(value).public, value)
  })
})
