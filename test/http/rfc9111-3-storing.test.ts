/** RFC 9111 §3: storing responses. */
import { assert, describe, it } from "@effect/vitest"
import { storedFields } from "../../src/internal/http/fields.js"
import { type Exchange, judge, type StoreRules } from "../../src/internal/http/storable.js"

const rules: StoreRules = { timeToLiveMillis: undefined, statuses: undefined, declared: new Set() }
const verdict = (exchange: Partial<Exchange>, given: Partial<StoreRules> = {}) =>
  judge({
    status: 200,
    headers: { "cache-control": "max-age=60" },
    hasCookies: false,
    isAuthorized: false,
    isPersonal: false,
    requestedAt: 0,
    receivedAt: 0,
    ...exchange
  }, { ...rules, ...given })
const outcome = (exchange: Partial<Exchange>, given?: Partial<StoreRules>) => {
  const answer = verdict(exchange, given)
  return answer._tag === "Storable" ? answer.lifetimeMillis / 1000 : answer.reason
}
const says = (cacheControl: string, more: Record<string, string> = {}) => ({
  headers: { "cache-control": cacheControl, ...more }
})

describe("RFC 9111 §3: a response is stored if", () => {
  it("its status code is final and understood", () => {
    for (const status of [200, 203, 204, 300, 301, 302, 307, 308, 404, 410]) assert.strictEqual(outcome({ status }), 60)
    for (const status of [100, 206, 304, 400, 401, 403, 405, 413, 414, 429, 431, 500, 502, 503]) {
      assert.strictEqual(outcome({ status }), "status")
    }
    assert.strictEqual(outcome({ status: 206 }, { statuses: new Set([206]) }), "status")
    assert.strictEqual(outcome(says("max-age=60", { "content-range": "bytes 0-1/2" })), "status")
  })

  it("no-store is not present", () => {
    assert.strictEqual(outcome(says("max-age=60, no-store")), "no-store")
    assert.strictEqual(outcome(says("no-store;max-age=60"), { timeToLiveMillis: 1000 }), "no-store")
  })

  it("private is not present, or names fields only, which are left out", () => {
    assert.strictEqual(outcome(says("max-age=60, private")), "private")
    const qualified = verdict(says("max-age=60, private=\"x-user\""))
    assert.deepStrictEqual(qualified._tag === "Storable" && qualified.except, ["x-user"])
  })

  it("no-cache is not present, as nothing is validated yet", () => {
    assert.strictEqual(outcome(says("max-age=60, no-cache")), "no-cache")
    assert.strictEqual(outcome(says("no-cache"), { timeToLiveMillis: 1000 }), "no-cache")
  })

  it("it says how long it is fresh, or the program does", () => {
    assert.strictEqual(outcome({ headers: {} }), "freshness")
    assert.strictEqual(outcome({ headers: {} }, { timeToLiveMillis: 5000 }), 5)
    assert.strictEqual(outcome(says("max-age=0"), { timeToLiveMillis: 5000 }), "freshness")
    assert.strictEqual(outcome(says("max-age=60"), { timeToLiveMillis: 5000 }), 60)
    assert.strictEqual(outcome(says("public")), "freshness")
  })

  it("the program's time is for answers that last, or whose status it named", () => {
    for (const status of [302, 307, 404, 410]) {
      assert.strictEqual(outcome({ status, headers: {} }, { timeToLiveMillis: 5000 }), "freshness")
    }
    assert.strictEqual(outcome({ status: 404, headers: {} }, { timeToLiveMillis: 5000, statuses: new Set([404]) }), 5)
    assert.strictEqual(outcome({ status: 200 }, { statuses: new Set([404]) }), "status")
  })

  it("its fields are no longer than 32 KiB", () => {
    const others = "cache-controlmax-age=60x".length
    assert.strictEqual(outcome(says("max-age=60", { x: "x".repeat(32 * 1024 - others) })), 60)
    assert.strictEqual(outcome(says("max-age=60", { x: "x".repeat(32 * 1024 - others + 1) })), "fields")
  })

  it("it is younger than it is fresh", () => {
    assert.strictEqual(outcome(says("max-age=60", { age: "60" })), "freshness")
    assert.strictEqual(outcome(says("max-age=60", { age: "59" })), 60)
  })
})

describe("RFC 9111 §3.5: responses to requests with Authorization", () => {
  it("are stored with public, s-maxage or must-revalidate only", () => {
    assert.strictEqual(outcome({ isAuthorized: true }), "authorization")
    for (const directive of ["public", "must-revalidate", "s-maxage=60"]) {
      assert.strictEqual(outcome({ isAuthorized: true, ...says(`max-age=60, ${directive}`) }), 60)
    }
  })

  it("those to requests with cookies are stored with public or s-maxage only", () => {
    assert.strictEqual(outcome({ isPersonal: true }), "cookie")
    assert.strictEqual(outcome({ isPersonal: true, ...says("max-age=60, must-revalidate") }), "cookie")
    assert.strictEqual(outcome({ isPersonal: true, ...says("max-age=60, public") }), 60)
    assert.strictEqual(outcome({ isPersonal: true, ...says("s-maxage=60") }), 60)
  })
})

describe("RFC 9111 §7.3: responses with Set-Cookie", () => {
  it("are not stored, wherever the cookie is", () => {
    assert.strictEqual(outcome({ hasCookies: true }), "set-cookie")
    assert.strictEqual(outcome(says("max-age=60, public", { "set-cookie": "a=b" })), "set-cookie")
  })
})

describe("RFC 9111 §4.1: Vary", () => {
  const varies = (vary: string) => verdict(says("max-age=60", { vary }))
  it("with * anywhere forbids to store", () => {
    for (const vary of ["*", "Accept, *", "*, Accept", " * "]) {
      assert.strictEqual(varies(vary)._tag, "NotStorable", vary)
    }
  })

  it("by what there are as many values of as users forbids to store, unless it was asked for", () => {
    for (const vary of ["Cookie", "Authorization", "User-Agent", "Referer"]) {
      assert.strictEqual(varies(vary)._tag, "NotStorable", vary)
    }
    assert.strictEqual(outcome(says("max-age=60", { vary: "User-Agent" }), { declared: new Set(["user-agent"]) }), 60)
  })

  it("by more fields than anybody sends alike forbids to store", () => {
    assert.strictEqual(varies("a,b,c,d,e,f,g,h")._tag, "Storable")
    assert.strictEqual(varies("a,b,c,d,e,f,g,h,i")._tag, "NotStorable")
  })

  it("a malformed name forbids to store", () => assert.strictEqual(varies("accept language")._tag, "NotStorable"))

  it("a content coding varies by Accept-Encoding, said or not", () => {
    const coded = verdict(says("max-age=60", { "content-encoding": "gzip" }))
    assert.deepStrictEqual(coded._tag === "Storable" && coded.vary, ["accept-encoding"])
  })
})

describe("RFC 9111 §3.1: header fields that are stored", () => {
  it("are all but those of the connection, of the exchange, and excluded ones", () => {
    const stored = storedFields({
      connection: "close, X-Hop",
      "x-hop": "1",
      "keep-alive": "1",
      te: "trailers",
      "transfer-encoding": "chunked",
      upgrade: "h2c",
      "proxy-authenticate": "Basic",
      age: "5",
      "cache-status": "inner; hit",
      "content-length": "3",
      "set-cookie": "a=b",
      "x-request-id": "1",
      "server-timing": "db",
      "x-user": "ada",
      "x-unknown": "kept",
      "content-type": "text/plain"
    }, ["x-user"])
    assert.deepStrictEqual(stored, { "x-unknown": "kept", "content-type": "text/plain" })
  })
})
