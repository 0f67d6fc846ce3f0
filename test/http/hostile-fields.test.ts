/** What anybody may write into a field or a target, read in time that grows with its length and no faster. */
import { assert, describe, it } from "@effect/vitest"
import { directivesIn, parseCacheControl } from "../../src/internal/http/cacheControl.js"
import { isEtag, matchesNone } from "../../src/internal/http/conditional.js"
import { parseDate } from "../../src/internal/http/date.js"
import { listOf, namesOf } from "../../src/internal/http/fields.js"
import { preferredEncoding, preferredLanguage } from "../../src/internal/http/negotiation.js"
import { parseNoVarySearch } from "../../src/internal/http/noVarySearch.js"
import { prefixTags } from "../../src/internal/http/prefixes.js"
import { parseRange } from "../../src/internal/http/ranges.js"
import { cookiesNamed, fingerprint } from "../../src/internal/http/request.js"
import { requestDirectives } from "../../src/internal/http/requestDirectives.js"
import { parseDictionary } from "../../src/internal/http/structured.js"
import { parseSurrogateControl, tagsIn } from "../../src/internal/http/surrogate.js"
import { coverQuery, originForm } from "../../src/internal/http/target.js"
import { normalise, varyNames } from "../../src/internal/http/vary.js"

const readers: Readonly<Record<string, (text: string) => unknown>> = {
  "Accept-Encoding": (text) => preferredEncoding(text, ["br", "gzip"]),
  "Accept-Language": (text) => preferredLanguage(text, ["en", "de-CH"]),
  "Cache-Control": parseCacheControl,
  "Cache-Control of a request": (text) => requestDirectives({ "cache-control": text, pragma: text }, "full"),
  "CDN-Cache-Control": parseDictionary,
  Cookie: (text) => cookiesNamed(text, ["sid", "a"]),
  ETag: isEtag,
  Expires: (text) => parseDate(text, 0),
  "If-None-Match": (text) => matchesNone(text, "\"a\""),
  "No-Vary-Search": parseNoVarySearch,
  Range: (text) => parseRange(text, 1_000),
  "Surrogate-Control": parseSurrogateControl,
  Vary: (text) => [varyNames({ vary: text }, new Set()), normalise("accept-encoding", text), normalise("a", text)],
  "a field of a failed request": (text) => fingerprint({ text }),
  "a list": (text) => [listOf(text), namesOf(text), directivesIn(text)],
  "a path": (text) => [prefixTags("http", "host", `/${text}`), originForm(`http://${text}`)],
  "a query": (
    text
  ) => [coverQuery({ path: "/", query: text }, "ordered"), coverQuery({ path: "/", query: text }, { include: ["a"] })],
  tags: (text) => tagsIn({ text }, ["text"])
}

const length = 200_000
const beginnings = ["", "a", "a=\"", "params=(\"a\""]
const units = [
  " ",
  "\t",
  "-",
  "a-",
  ",",
  "a,",
  ";",
  "a;",
  "\"",
  "\\\"",
  "W/\"",
  "=",
  "&",
  "a[",
  "%41",
  "/",
  "0",
  "\"a\",",
  "x=y; ",
  " ;"
]

it("Cache-Control is read in linear time, with as many names as there is room for", () => {
  const { private: names } = parseCacheControl("private=a,".repeat(100_000))
  assert.strictEqual((names as ReadonlyArray<string>).length, 100_000)
})

describe(`is read in linear time, with ${length} characters of whatever kind:`, () => {
  for (const [field, read] of Object.entries(readers)) {
    it(field, () => {
      for (const beginning of beginnings) {
        for (const unit of units) read(`${beginning}${unit.repeat(length / unit.length)}!`)
      }
    })
  }
})
