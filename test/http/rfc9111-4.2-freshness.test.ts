/** RFC 9111 §4.2: freshness and age. */
import { assert, describe, it } from "@effect/vitest"
import { parseCacheControl } from "../../src/internal/http/cacheControl.js"
import { formatDate } from "../../src/internal/http/date.js"
import { currentAge, explicitLifetime, initialAge, isFresh } from "../../src/internal/http/freshness.js"

const now = Date.UTC(2026, 0, 1)
const lifetime = (headers: Record<string, string>) =>
  explicitLifetime(headers, parseCacheControl(headers["cache-control"]), now)

describe("RFC 9111 §4.2.1: calculating freshness lifetime", () => {
  it("s-maxage comes before max-age, max-age before Expires", () => {
    const expires = formatDate(now + 5000)
    assert.strictEqual(lifetime({ "cache-control": "s-maxage=1, max-age=2", expires }), 1000)
    assert.strictEqual(lifetime({ "cache-control": "max-age=2", expires }), 2000)
    assert.strictEqual(lifetime({ expires }), 5000)
    assert.isUndefined(lifetime({}))
  })

  it("Expires counts from Date, and from receipt where there is none", () => {
    assert.strictEqual(lifetime({ date: formatDate(now - 3000), expires: formatDate(now + 5000) }), 8000)
  })

  it("an invalid Expires, two of them, or one in the past is stale", () => {
    for (
      const expires of ["0", "-1", "soon", `${formatDate(now)}, ${formatDate(now + 5000)}`, formatDate(now - 1000)]
    ) {
      assert.strictEqual(lifetime({ expires }), 0, expires)
    }
  })
})

describe("RFC 9111 §4.2.3: calculating age", () => {
  it("is what Age says and the delay of the answer, or the distance of Date", () => {
    assert.strictEqual(initialAge({}, now, now), 0)
    assert.strictEqual(initialAge({ age: "5" }, now - 2000, now), 7000)
    assert.strictEqual(initialAge({ date: formatDate(now - 9000), age: "5" }, now, now), 9000)
    assert.strictEqual(initialAge({ date: formatDate(now + 9000) }, now, now), 0)
  })

  it("the first Age counts, and no number is none", () => {
    assert.strictEqual(initialAge({ age: "5, 9" }, now, now), 5000)
    assert.strictEqual(initialAge({ age: "-5" }, now, now), 0)
    assert.strictEqual(initialAge({ age: "x" }, now, now), 0)
  })

  it("grows with time spent in the cache, and not below it", () => {
    const stored = { receivedAt: now, initialAgeMillis: 1000, lifetimeMillis: 5000 }
    assert.strictEqual(currentAge(stored, now + 2000), 3000)
    assert.strictEqual(currentAge(stored, now - 2000), 1000)
  })

  it("fresh is younger than the lifetime, and not as old", () => {
    const stored = { receivedAt: now, initialAgeMillis: 1000, lifetimeMillis: 5000 }
    assert.isTrue(isFresh(stored, now + 3999))
    assert.isFalse(isFresh(stored, now + 4000))
  })
})
