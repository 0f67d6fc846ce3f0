/** RFC 9211: Cache-Status. */
import { assert, describe, it } from "@effect/vitest"
import { appendStatus, identifierOf } from "../../src/internal/http/cacheStatus.js"

describe("RFC 9211 §2: Cache-Status", () => {
  it("a cache's name is a token, or a string", () => {
    assert.strictEqual(identifierOf("ExampleCache"), "ExampleCache")
    assert.strictEqual(identifierOf("my \"cache\"\n"), "\"my \\\"cache\\\"?\"")
    assert.strictEqual(identifierOf("1st"), "\"1st\"")
  })

  it("the cache nearest to the origin comes first", () => {
    assert.strictEqual(
      appendStatus("inner; hit", "outer", { forward: "uri-miss", isStored: true }),
      "inner; hit, outer; fwd=uri-miss; stored"
    )
  })

  it("§2.1: a hit says how long it is fresh, below zero where it is stale", () => {
    assert.strictEqual(appendStatus(undefined, "c", { ttlMillis: 1999 }), "c; hit; ttl=1")
    assert.strictEqual(appendStatus(undefined, "c", { ttlMillis: -1 }), "c; hit; ttl=-1")
  })

  it("§2.6: a request that used another's answer is collapsed", () => {
    assert.strictEqual(
      appendStatus(undefined, "c", { forward: "vary-miss", isCollapsed: true }),
      "c; fwd=vary-miss; collapsed"
    )
  })
})
