/** RFC 9110 §5.6.7: HTTP dates. */
import { assert, describe, it } from "@effect/vitest"
import { formatDate, parseDate } from "../../src/internal/http/date.js"

const now = Date.UTC(2026, 0, 1)
const instant = Date.UTC(1994, 10, 6, 8, 49, 37)

describe("RFC 9110 §5.6.7: HTTP-date", () => {
  it("is read in three formats", () => {
    for (
      const text of [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "sun, 06 nov 1994 08:49:37 gmt"
      ]
    ) {
      assert.strictEqual(parseDate(text, now), instant, text)
    }
  })

  it("a two-digit year more than 50 years ahead is in the past", () => {
    assert.strictEqual(parseDate("Sunday, 06-Nov-77 08:49:37 GMT", now), Date.UTC(1977, 10, 6, 8, 49, 37))
    assert.strictEqual(parseDate("Sunday, 06-Nov-75 08:49:37 GMT", now), Date.UTC(2075, 10, 6, 8, 49, 37))
  })

  it("is nothing else", () => {
    for (
      const text of [
        undefined,
        "",
        "0",
        "-1",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT"
      ]
    ) {
      assert.isUndefined(parseDate(text, now), text)
    }
  })

  it("is written as IMF-fixdate", () => assert.strictEqual(formatDate(instant), "Sun, 06 Nov 1994 08:49:37 GMT"))
})
