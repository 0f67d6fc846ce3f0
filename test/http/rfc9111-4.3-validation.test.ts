/** RFC 9111 §4.3 and §3.2: validation, and what a 304 changes. */
import { assert, describe, it } from "@effect/vitest"
import { freshened, hasValidator, isAbout, validatingFields } from "../../src/internal/http/validation.js"

describe("RFC 9111 §4.3.1: a request that validates", () => {
  it("has the stored entity tag, the stored date, or both", () => {
    assert.deepStrictEqual(validatingFields({ etag: "\"a\"" }), { "if-none-match": "\"a\"" })
    assert.deepStrictEqual(validatingFields({ "last-modified": "d" }), { "if-modified-since": "d" })
    assert.deepStrictEqual(validatingFields({ etag: "W/\"a\"", "last-modified": "d" }), {
      "if-none-match": "W/\"a\"",
      "if-modified-since": "d"
    })
    assert.isFalse(hasValidator({ date: "d" }))
  })
})

describe("RFC 9111 §4.3.4: a 304 is about the stored response", () => {
  it("where its strong entity tag is the stored one", () => {
    assert.isTrue(isAbout({ etag: "\"a\"" }, { etag: "\"a\"" }))
    assert.isFalse(isAbout({ etag: "\"b\"" }, { etag: "\"a\"" }))
    assert.isFalse(isAbout({ etag: "\"a\"" }, { etag: "W/\"a\"" }))
  })

  it("where its weak entity tag matches weakly", () => {
    assert.isTrue(isAbout({ etag: "W/\"a\"" }, { etag: "\"a\"" }))
    assert.isFalse(isAbout({ etag: "W/\"b\"" }, { etag: "W/\"a\"" }))
  })

  it("where it has none", () => assert.isTrue(isAbout({}, { etag: "\"a\"" })))
})

describe("RFC 9111 §3.2: a 304 changes the stored fields", () => {
  it("that it has, and leaves the others", () => {
    assert.deepStrictEqual(freshened({ a: "1", b: "1" }, { b: "2", c: "2" }), { a: "1", b: "2", c: "2" })
  })

  it("but for those of the body that is stored", () => {
    for (const name of ["content-encoding", "content-length", "content-range"]) {
      assert.deepStrictEqual(freshened({ a: "1" }, { [name]: "2" }), { a: "1" }, name)
    }
  })

  it("but for those of the connection", () => {
    assert.deepStrictEqual(freshened({ a: "1" }, { connection: "x", x: "2", "transfer-encoding": "chunked" }), {
      a: "1"
    })
  })

  it("with its date, which is not the stored one", () => {
    assert.deepStrictEqual(freshened({ a: "1", date: "x" }, { date: "y" }), { a: "1", date: "y" })
    assert.deepStrictEqual(freshened({ a: "1", date: "x" }, {}), { a: "1" })
  })

  it("with its age, which is counted from then on", () => {
    assert.deepStrictEqual(freshened({ a: "1" }, { age: "7" }), { a: "1", age: "7" })
  })
})
