/** RFC 9111 §4.2.2, §4.2.4, §5.2.2, RFC 5861: what the directives of a response allow and forbid. */
import { assert, describe, it } from "@effect/vitest"
import { silent } from "../../src/internal/http/cacheControl.js"
import { heuristicLifetime } from "../../src/internal/http/freshness.js"
import { judge, type Storable, type StoreRules } from "../../src/internal/http/storable.js"

const judged = (headers: Record<string, string>, rules: Partial<StoreRules> = {}, status = 200) =>
  judge(
    { status, headers, hasCookies: false, isAuthorized: false, isPersonal: false, requestedAt: 0, receivedAt: 0 },
    { timeToLiveMillis: undefined, statuses: undefined, declared: new Set(), ...rules }
  )
const says = (cacheControl: string, rules?: Partial<StoreRules>, more: Record<string, string> = {}) => {
  const verdict = judged({ "cache-control": cacheControl, ...more }, rules)
  assert.strictEqual(verdict._tag, "Storable", cacheControl)
  return verdict as Storable
}
const etag = { etag: "\"a\"" }

describe("RFC 9111 §5.2.2.3: must-understand", () => {
  it("overrides no-store where the status is understood", () =>
    assert.strictEqual(says("max-age=60, no-store, must-understand").lifetimeMillis, 60_000))

  it("forbids storing where it is not, whatever else is said", () => {
    for (const value of ["max-age=60, must-understand", "max-age=60, no-store, must-understand"]) {
      assert.strictEqual(judged({ "cache-control": value }, { statuses: "any" }, 599)._tag, "NotStorable")
    }
  })

  it("overrides nothing where it is malformed", () =>
    assert.strictEqual(judged({ "cache-control": "max-age=60, no-store, must-understand=1" })._tag, "NotStorable"))
})

describe("RFC 9111 §3: statuses", () => {
  it("any, but for those that are not final, not complete, or about another response", () => {
    for (const status of [299, 400, 503, 599]) {
      assert.strictEqual(judged({ "cache-control": "max-age=60" }, { statuses: "any" }, status)._tag, "Storable")
    }
    for (const status of [101, 206, 304]) {
      assert.strictEqual(judged({ "cache-control": "max-age=60" }, { statuses: "any" }, status)._tag, "NotStorable")
    }
  })
})

describe("RFC 9111 §5.2.2.4: no-cache", () => {
  it("is stored with a validator, to be validated each time", () => {
    const verdict = says("no-cache, max-age=60, stale-while-revalidate=60", { graceMillis: 1000 }, etag)
    assert.deepStrictEqual(
      [verdict.mustValidate, verdict.lifetimeMillis, verdict.whileRevalidateMillis, verdict.validating],
      [true, 0, 0, { "if-none-match": "\"a\"" }]
    )
  })

  it("a response that is never fresh is kept for its validator, one that says nothing is not", () => {
    assert.strictEqual(says("max-age=0", {}, etag).lifetimeMillis, 0)
    assert.strictEqual(judged(etag)._tag, "NotStorable")
  })
})

describe("RFC 9111 §4.2.4, RFC 5861: stale answers", () => {
  it("are allowed for as long as they say", () => {
    const verdict = says("max-age=1, stale-while-revalidate=2, stale-if-error=3")
    assert.deepStrictEqual([verdict.whileRevalidateMillis, verdict.ifErrorMillis], [2000, 3000])
    const malformed = says("max-age=1, stale-while-revalidate=x, stale-if-error=\"-1\"")
    assert.deepStrictEqual([malformed.whileRevalidateMillis, malformed.ifErrorMillis], [0, 0])
  })

  it("are forbidden by must-revalidate and proxy-revalidate, whoever allows them", () => {
    for (const word of ["must-revalidate", "proxy-revalidate"]) {
      const verdict = says(`max-age=1, stale-while-revalidate=2, stale-if-error=3, ${word}`, {
        graceMillis: 1000,
        staleIfErrorMillis: 1000
      })
      assert.deepStrictEqual([verdict.whileRevalidateMillis, verdict.ifErrorMillis], [0, 0], word)
    }
  })

  it("§5.2.2.10: with s-maxage are those that grace allows, and no others", () => {
    const verdict = says("s-maxage=1, stale-while-revalidate=2, stale-if-error=3", {
      graceMillis: 1000,
      staleIfErrorMillis: 1000
    })
    assert.deepStrictEqual([verdict.whileRevalidateMillis, verdict.ifErrorMillis], [1000, 0])
  })
})

describe("RFC 9111 §4.2.2: heuristic freshness", () => {
  const now = Date.UTC(2026, 0, 2)
  const before = (millis: number) => ({ "last-modified": new Date(now - millis).toUTCString() })

  it("is a tenth of the time since the change, a day at most", () => {
    assert.strictEqual(heuristicLifetime(200, before(100_000), silent, now), 10_000)
    assert.strictEqual(heuristicLifetime(200, before(100 * 24 * 3_600_000), silent, now), 24 * 3_600_000)
    assert.strictEqual(heuristicLifetime(200, before(-100_000), silent, now), 0)
    assert.isUndefined(heuristicLifetime(200, {}, silent, now))
  })

  it("is for statuses that are cacheable by themselves, or public", () => {
    assert.isUndefined(heuristicLifetime(201, before(100_000), silent, now))
    assert.strictEqual(heuristicLifetime(599, before(100_000), { ...silent, public: true }, now), 10_000)
  })

  it("is off unless the program wants it", () => {
    const headers = { "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT", date: "Thu, 01 Jan 1970 00:00:00 GMT" }
    assert.strictEqual(judged(headers)._tag, "NotStorable")
  })
})
