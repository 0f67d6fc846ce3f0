/** RFC 9111 §1: a private cache is one user's, and what speaks to shared ones is not for it. */
import { assert, describe, it } from "@effect/vitest"
import { parseCacheControl, toPrivate } from "../../src/internal/http/cacheControl.js"
import { type Asked, type RequestRules, visit } from "../../src/internal/http/request.js"
import { judge, type StoreRules } from "../../src/internal/http/storable.js"
import { varyNames } from "../../src/internal/http/vary.js"

const rules: StoreRules = { timeToLiveMillis: undefined, statuses: undefined, declared: new Set(), isPrivate: true }
const verdict = (cacheControl: string, more: Record<string, string> = {}) =>
  judge({
    status: 200,
    headers: { "cache-control": cacheControl, ...more },
    hasCookies: false,
    isAuthorized: false,
    isPersonal: false,
    requestedAt: 0,
    receivedAt: 0
  }, rules)

describe("a private cache", () => {
  it("§5.2.2.7: stores what is private, and the fields that are", () => {
    for (const directives of ["private, max-age=60", "private=\"x-user\", max-age=60", "private=\"\", max-age=60"]) {
      const stored = verdict(directives)
      assert(stored._tag === "Storable")
      assert.deepStrictEqual([stored.lifetimeMillis, stored.except], [60_000, []])
    }
  })

  it("§5.2.2.10, §5.2.2.8: does not obey s-maxage and proxy-revalidate", () => {
    const stored = verdict("max-age=60, s-maxage=5, proxy-revalidate, stale-while-revalidate=10, stale-if-error=20")
    assert(stored._tag === "Storable")
    assert.strictEqual(stored.lifetimeMillis, 60_000)
    assert.deepStrictEqual([stored.whileRevalidateMillis, stored.ifErrorMillis], [10_000, 20_000])
    assert.deepInclude(verdict("s-maxage=60"), { _tag: "NotStorable", reason: "freshness" })
  })

  it("obeys everything else", () => {
    for (const directives of ["no-store, max-age=60", "no-cache, max-age=60"]) {
      assert.strictEqual(verdict(directives)._tag, "NotStorable")
    }
    assert.strictEqual(verdict("private, max-age=60", { "set-cookie": "a=1" })._tag, "NotStorable")
    const { mustRevalidate, noStore, public: isPublic } = toPrivate(
      parseCacheControl("no-store, must-revalidate, public")
    )
    assert.deepStrictEqual([noStore, mustRevalidate, isPublic], [true, true, true])
  })

  it("§4.1: stores what varies by who asks, but not what varies by everything", () => {
    assert.isUndefined(varyNames({ vary: "User-Agent" }, new Set()))
    assert.deepStrictEqual(varyNames({ vary: "User-Agent, Cookie" }, new Set(), true), ["cookie", "user-agent"])
    assert.isUndefined(varyNames({ vary: "*" }, new Set(), true))
  })
})

describe("an outgoing request", () => {
  const outgoing: RequestRules = {
    query: "exact",
    cookies: "shared",
    authorization: "per user",
    credentials: ["authorization", "cookie"],
    vary: [],
    isOutgoing: true
  }
  const seen = (headers: Record<string, string>, given: Partial<RequestRules> = {}) => {
    const asked: Asked = { method: "GET", url: "/a", originalUrl: "http://a.example/a", headers }
    const result = visit(asked, { ...outgoing, ...given })
    assert(typeof result !== "string", String(result))
    return result
  }

  it("goes where its URL says, whatever its fields tell of where it came from", () => {
    const { fields, primary } = seen({ "x-forwarded-proto": "https", "x-forwarded-host": "b.example" })
    assert.deepStrictEqual(primary, ["http", "a.example", "/a", undefined])
    assert.deepInclude(fields, { "x-forwarded-proto": "https", "x-forwarded-host": "b.example" })
  })

  it("has a key of its own where it has credentials, cookies or forwarding fields", () => {
    assert.isFalse(seen({ accept: "text/plain" }).isVarying)
    for (const name of ["authorization", "cookie", "x-forwarded-host"]) assert.isTrue(seen({ [name]: "x" }).isVarying)
    assert.isFalse(seen({ cookie: "x" }).isPersonal)
    assert.isTrue(seen({ cookie: "x" }, { authorization: "shared", credentials: ["authorization"] }).isPersonal)
  })

  it("asks for a part, and not for the whole", () => {
    assert.isTrue(seen({ range: "bytes=0-1" }).isPartial)
    assert.isFalse(seen({ range: "bytes=0-1" }, { isOutgoing: false }).isPartial)
  })
})
