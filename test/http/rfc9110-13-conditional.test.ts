/** RFC 9110 §8.8 and §13: validators and conditional requests. */
import { assert, describe, it } from "@effect/vitest"
import { isNotModified, matchesNone, weakEtag } from "../../src/internal/http/conditional.js"
import { notModifiedFields } from "../../src/internal/http/fields.js"

const now = Date.UTC(2026, 0, 1)
const before = "Wed, 31 Dec 2025 00:00:00 GMT"
const after = "Thu, 01 Jan 2026 00:00:00 GMT"
const check = (
  ifNoneMatch: string | undefined,
  ifModifiedSince: string | undefined,
  headers: Record<string, string>,
  status = 200
) => isNotModified({ ifNoneMatch, ifModifiedSince }, status, headers, now)

describe("RFC 9110 §13.1.2: If-None-Match", () => {
  it("is compared weakly (§8.8.3.2)", () => {
    for (const field of ["\"a\"", "W/\"a\"", "\"x\", W/\"a\"", "\"x\",\"a\"", "\"x, y\", \"a\""]) {
      assert.isFalse(matchesNone(field, "\"a\""), field)
      assert.isFalse(matchesNone(field, "W/\"a\""), field)
    }
    for (const field of ["\"b\"", "a", "w/\"a", "", "\"a", "\"x,a\""]) assert.isTrue(matchesNone(field, "\"a\""), field)
  })

  it("* matches whatever there is", () => assert.isFalse(matchesNone("*", undefined)))
})

describe("RFC 9110 §13.2.2: precedence of preconditions", () => {
  it("If-None-Match alone counts where it is given", () => {
    assert.isFalse(check("\"b\"", after, { etag: "\"a\"", "last-modified": before }))
    assert.isTrue(check("\"a\"", before, { etag: "\"a\"", "last-modified": after }))
  })

  it("If-Modified-Since counts where the date is one", () => {
    assert.isTrue(check(undefined, after, { "last-modified": before }))
    assert.isTrue(check(undefined, before, { "last-modified": before }))
    assert.isFalse(check(undefined, before, { "last-modified": after }))
    assert.isFalse(check(undefined, "yesterday", { "last-modified": before }))
    assert.isFalse(check(undefined, after, {}))
  })

  it("is about a 200 only", () => assert.isFalse(check("*", undefined, { etag: "\"a\"" }, 404)))
})

describe("RFC 9110 §15.4.5: 304 Not Modified", () => {
  it("says what guides caches, and nothing of the content", () => {
    const fields = {
      etag: "\"a\"",
      date: after,
      "cache-control": "max-age=1",
      vary: "Accept",
      expires: after,
      "content-location": "/a",
      age: "1",
      "cache-status": "c; hit"
    }
    const more = {
      "content-type": "text/plain",
      "content-length": "3",
      "content-encoding": "gzip",
      "set-cookie": "a=b",
      "last-modified": before
    }
    assert.deepStrictEqual(notModifiedFields({ ...fields, ...more }), fields)
    assert.deepStrictEqual(notModifiedFields({ "last-modified": before }), { "last-modified": before })
  })
})

describe("RFC 9110 §8.8.1: weak validators", () => {
  it("are the same for the same bytes, and others for others", () => {
    const of = (text: string) => weakEtag(new TextEncoder().encode(text))
    assert.match(of("a"), /^W\/"[\w-]{27}"$/)
    assert.strictEqual(of("a"), of("a"))
    assert.notStrictEqual(of("a"), of("b"))
  })
})
