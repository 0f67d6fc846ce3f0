/** RFC 9111 §4.4: invalidation by unsafe methods. */
import { assert, describe, it } from "@effect/vitest"
import { invalidatedUrls, isInvalidating } from "../../src/internal/http/invalidation.js"

describe("RFC 9111 §4.4: what is stored ends", () => {
  it("by a non-error answer to an unsafe method, or to one that is not known", () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"]) {
      for (const status of [200, 201, 204, 302]) assert.isTrue(isInvalidating(method, status))
      for (const status of [100, 400, 404, 500]) assert.isFalse(isInvalidating(method, status))
    }
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE"]) assert.isFalse(isInvalidating(method, 200))
  })

  it("under the target, Location and Content-Location", () => {
    assert.deepStrictEqual(
      invalidatedUrls("http://a.example/x/y?q=1", { location: "/z", "content-location": "w?b=2" }),
      ["http://a.example/x/y?q=1", "http://a.example/z", "http://a.example/x/w?b=2"]
    )
  })

  it("never at another origin", () => {
    for (const location of ["http://b.example/z", "//b.example/z", "https://a.example/z", "http://a.example:81/z"]) {
      assert.deepStrictEqual(invalidatedUrls("http://a.example/x", { location }), ["http://a.example/x"], location)
    }
    assert.deepStrictEqual(invalidatedUrls("http://a.example/x", { location: "http://[" }), ["http://a.example/x"])
  })
})
