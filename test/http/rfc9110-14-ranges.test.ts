/** RFC 9110 §14: ranges. */
import { assert, describe, it } from "@effect/vitest"
import { unsatisfiableFields } from "../../src/internal/http/fields.js"
import { isRangeFor, parseRange } from "../../src/internal/http/ranges.js"

describe("RFC 9110 §14.1.2: a range of bytes", () => {
  it("from one byte to another, to the end, or the last so many", () => {
    assert.deepStrictEqual(parseRange("bytes=1-3", 10), { _tag: "Part", from: 1, to: 4 })
    assert.deepStrictEqual(parseRange("bytes=1-", 10), { _tag: "Part", from: 1, to: 10 })
    assert.deepStrictEqual(parseRange("bytes=-3", 10), { _tag: "Part", from: 7, to: 10 })
    assert.deepStrictEqual(parseRange("Bytes=0-99", 10), { _tag: "Part", from: 0, to: 10 })
    assert.deepStrictEqual(parseRange("bytes=-99", 10), { _tag: "Part", from: 0, to: 10 })
  })

  it("cannot be satisfied past the end, nor by no bytes", () => {
    for (const range of ["bytes=10-", "bytes=10-20", "bytes=-0"]) {
      assert.strictEqual(parseRange(range, 10)?._tag, "Unsatisfiable", range)
    }
    assert.strictEqual(parseRange("bytes=-1", 0)?._tag, "Unsatisfiable")
  })

  it("is ignored where it is malformed, of another unit, or one of several", () => {
    for (const range of [undefined, "", "bytes=", "bytes=-", "bytes=3-1", "bytes=a-", "lines=1-2", "bytes=0-1,3-4"]) {
      assert.isUndefined(parseRange(range, 10), range)
    }
  })
})

describe("RFC 9110 §13.1.5: If-Range", () => {
  const modified = "Sun, 06 Nov 1994 08:49:37 GMT"
  const is = (ifRange: string | undefined, headers: Record<string, string>) => isRangeFor(ifRange, headers, 0)

  it("needs the stored entity tag, by strong comparison", () => {
    assert.isTrue(is(undefined, {}))
    assert.isTrue(is("\"a\"", { etag: "\"a\"" }))
    assert.isFalse(is("\"b\"", { etag: "\"a\"" }))
    assert.isFalse(is("W/\"a\"", { etag: "W/\"a\"" }))
    assert.isFalse(is("\"a\"", {}))
  })

  it("or the exact date, where that is a strong validator", () => {
    assert.isTrue(is(modified, { "last-modified": modified, date: "Sun, 06 Nov 1994 08:49:38 GMT" }))
    assert.isFalse(is(modified, { "last-modified": modified, date: modified }))
    assert.isFalse(
      is("Sun, 06 Nov 1994 08:49:38 GMT", { "last-modified": modified, date: "Mon, 07 Nov 1994 00:00:00 GMT" })
    )
    assert.isFalse(is("nonsense", { "last-modified": "nonsense", date: "nonsense" }))
  })
})

describe("RFC 9110 §15.5.17: 416 Range Not Satisfiable", () => {
  it("says the length, and nothing by which a cache behind would keep it", () =>
    assert.deepStrictEqual(
      unsatisfiableFields({
        "accept-ranges": "bytes",
        "access-control-allow-origin": "*",
        age: "5",
        "cache-control": "max-age=60",
        "cdn-cache-control": "max-age=600",
        "content-encoding": "br",
        "content-security-policy": "default-src 'none'",
        "content-type": "text/plain",
        date: "Sun, 06 Nov 1994 08:49:37 GMT",
        etag: "\"a\"",
        expires: "Sun, 06 Nov 1994 08:59:37 GMT",
        vary: "Accept-Encoding"
      }, 10),
      {
        "accept-ranges": "bytes",
        "access-control-allow-origin": "*",
        "content-range": "bytes */10",
        "content-security-policy": "default-src 'none'",
        date: "Sun, 06 Nov 1994 08:49:37 GMT",
        vary: "Accept-Encoding"
      }
    ))
})
