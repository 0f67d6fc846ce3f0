/** RFC 9111 §2: the cache key, and what the handler may see. */
import { assert, describe, it } from "@effect/vitest"
import {
  type Asked,
  fingerprint,
  keysOfUrl,
  type RequestRules,
  shownTargets,
  visit
} from "../../src/internal/http/request.js"
import { coverQuery, splitTarget } from "../../src/internal/http/target.js"

const rules: RequestRules = {
  query: "ordered",
  cookies: "shared",
  authorization: "bypass",
  credentials: ["authorization", "x-api-key"],
  vary: []
}
const asked = (url: string, headers: Record<string, string> = { host: "example.com" }, method = "GET"): Asked => ({
  method,
  url,
  originalUrl: url,
  headers
})
const seen = (asked: Asked, given: Partial<RequestRules> = {}) => {
  const result = visit(asked, { ...rules, ...given })
  assert(typeof result !== "string", String(result))
  return result
}
const key = (url: string, headers?: Record<string, string>) => JSON.stringify(seen(asked(url, headers)).primary)
const ordered = (target: string) => coverQuery(splitTarget(target), "ordered").key

describe("RFC 9111 §2: the key is the method class and the target URI", () => {
  it("GET and HEAD have one", () => {
    assert.deepStrictEqual(seen(asked("/a")).primary, seen(asked("/a", undefined, "HEAD")).primary)
  })

  it("the authority is in it, in any case the same", () => {
    assert.notStrictEqual(key("/a", { host: "a.example" }), key("/a", { host: "b.example" }))
    assert.strictEqual(key("/a", { host: "A.example" }), key("/a", { host: "a.example" }))
    assert.strictEqual(seen(asked("/a", { host: "A.example" })).fields["host"], "a.example")
  })

  it("the scheme that a proxy tells is in it, and nothing else that it tells", () => {
    assert.notStrictEqual(key("/a", { host: "a", "x-forwarded-proto": "https" }), key("/a", { host: "a" }))
    assert.strictEqual(key("/a", { host: "a", "x-forwarded-proto": "<script>" }), key("/a", { host: "a" }))
    assert.strictEqual(
      seen(asked("/a", { host: "a", "x-forwarded-proto": "<script>" })).fields["x-forwarded-proto"],
      "http"
    )
  })

  it("//evil is a path, not a host", () => {
    assert.deepStrictEqual(seen(asked("//evil/x")).primary, ["http", "example.com", "//evil/x", undefined])
  })

  it("targets that some parser takes for one are not one", () => {
    const targets = [
      "/semi",
      "/semi#f?x=1",
      "/semi;x?x=1",
      "/semi?x=1",
      "/semi?x=1#y",
      "/semi?",
      "/a/../semi",
      "/semi/",
      "/%73emi",
      "/semi?x=1;y=2",
      "/semi?x=1&y=2"
    ]
    assert.strictEqual(new Set(targets.map((target) => key(target))).size, targets.length)
  })

  it("a web request's absolute URL has the key of the same request to Node", () => {
    const web = visit({ method: "GET", url: "/a?b=1", originalUrl: "http://example.com/a?b=1", headers: {} }, rules)
    assert.deepStrictEqual(typeof web !== "string" && web.primary, seen(asked("/a?b=1")).primary)
  })
})

describe("RFC 3986 §3.4: the query", () => {
  it("is ordered by name", () => {
    assert.strictEqual(ordered("/?b=2&a=1"), ordered("/?a=1&b=2"))
  })

  it("the values of one name keep their order", () => {
    assert.notStrictEqual(ordered("/?a=1&a=2"), ordered("/?a=2&a=1"))
    assert.strictEqual(ordered("/?a=1&b=3&a=2"), ordered("/?b=3&a=1&a=2"))
  })

  it("names that are written differently, or that some parser takes for one, keep theirs too", () => {
    for (const [a, b] of [["a", "%61"], ["a b", "a+b"], ["a", "a[]"], ["a[0]", "a[1]"], ["a", "A"]] as const) {
      assert.notStrictEqual(ordered(`/?${a}=1&${b}=2`), ordered(`/?${b}=2&${a}=1`), `${a} ${b}`)
    }
  })

  it("is taken as it is where parsers could disagree", () => {
    for (const query of ["b=1;a=2&c=3", "b=1&a=2#x", "%zz=1&a=2", "%ff=1&a=2"]) {
      assert.strictEqual(ordered(`/?${query}`), query)
    }
    assert.strictEqual(ordered("/semi#f?b=1&a=2"), "b=1&a=2")
    assert.strictEqual(ordered("/semi;f?b=1&a=2"), "b=1&a=2")
  })

  it("a parameter that is left out of the key is not shown", () => {
    const exclude = { exclude: ["utm_source"] }
    const request = asked("/a?utm_source=x&b=1&utm%5Fsource=y&a=2")
    assert.strictEqual(seen(request, { query: exclude }).primary[3], "a=2&b=1")
    assert.deepStrictEqual(shownTargets(request, exclude), { url: "/a?b=1&a=2", originalUrl: "/a?b=1&a=2" })
    assert.strictEqual(shownTargets(request, { include: [] }).url, "/a")
    assert.strictEqual(
      shownTargets({ ...request, originalUrl: "http://h.example/a?utm_source=1" }, exclude).originalUrl,
      "http://h.example/a"
    )
  })

  it("a parameter cloaked in another is part of the key", () => {
    const exclude = { exclude: ["utm_source"] }
    const target = "/a?utm_source=x;b=evil"
    assert.strictEqual(seen(asked(target), { query: exclude }).primary[3], "utm_source=x;b=evil")
    assert.strictEqual(shownTargets(asked(target), exclude).url, target)
  })
})

describe("what goes past the cache", () => {
  const result = (asked: Asked, given: Partial<RequestRules> = {}) => visit(asked, { ...rules, ...given })

  it("methods other than GET and HEAD", () => {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "QUERY"]) {
      assert.strictEqual(result(asked("/", {}, method)), "method")
    }
  })

  it("a GET with content (RFC 9110 §9.3.1), an upgrade, an expectation", () => {
    for (const field of ["transfer-encoding", "upgrade", "expect"]) {
      assert.strictEqual(result(asked("/", { [field]: "x" })), "bypass")
    }
    assert.strictEqual(result(asked("/", { "content-length": "1" })), "bypass")
    assert.notStrictEqual(result(asked("/", { "content-length": "0" })), "bypass")
  })

  it("preconditions that are not applicable to a cache (RFC 9111 §4.3.2): If-Match and If-Unmodified-Since", () => {
    assert.strictEqual(result(asked("/", { "if-match": "*" })), "bypass")
    assert.strictEqual(result(asked("/", { "if-unmodified-since": "x" })), "bypass")
  })

  it("a target in absolute form on the wire, or none", () => {
    assert.strictEqual(result(asked("http://evil/a")), "bypass")
    assert.strictEqual(result(asked("*")), "bypass")
    assert.strictEqual(result({ ...asked("/a", { host: "a" }), originalUrl: "http://b/a" }), "bypass")
  })

  it("credentials, unless told how", () => {
    for (const name of ["authorization", "x-api-key"]) {
      assert.strictEqual(result(asked("/", { [name]: "x" })), "bypass")
      assert.isTrue(seen(asked("/", { [name]: "x" }), { authorization: "shared" }).isAuthorized)
    }
    assert.strictEqual(result(asked("/", { cookie: "a=b" }), { cookies: "bypass" }), "bypass")
  })
})

describe("what the handler sees", () => {
  it("no field that chooses answers for others", () => {
    const hidden = [
      "forwarded",
      "x-forwarded-host",
      "x-forwarded-prefix",
      "x-host",
      "x-original-url",
      "x-rewrite-url",
      "x-http-method-override"
    ]
    const { fields } = seen(
      asked("/", Object.fromEntries([["host", "a"], ["x-kept", "1"], ...hidden.map((name) => [name, "evil"])]))
    )
    assert.deepStrictEqual({ ...fields }, { host: "a", "x-kept": "1" })
    assert.strictEqual(
      seen(asked("/", { "x-forwarded-host": "b" }), { vary: ["x-forwarded-host"] }).fields["x-forwarded-host"],
      "b"
    )
  })

  it("no precondition and no range, so that the whole answer is stored", () => {
    const { fields, preconditions } = seen(
      asked("/", { "if-none-match": "\"a\"", "if-modified-since": "x", "if-range": "x", range: "bytes=0-1" })
    )
    assert.deepStrictEqual({ ...fields }, {})
    assert.strictEqual(preconditions.ifNoneMatch, "\"a\"")
  })

  it("no cookies where they are ignored, and only those that are part of the key", () => {
    const request = asked("/", { cookie: "theme=dark; sid=1; theme=light" })
    assert.isUndefined(seen(request, { cookies: "ignore" }).fields["cookie"])
    assert.isFalse(seen(request, { cookies: "ignore" }).isPersonal)
    assert.strictEqual(seen(request, { cookies: { vary: ["theme"] } }).fields["cookie"], "theme=dark; theme=light")
    assert.isUndefined(seen(request, { cookies: { vary: ["lang"] } }).fields["cookie"])
    assert.strictEqual(seen(request).fields["cookie"], "theme=dark; sid=1; theme=light")
    assert.isTrue(seen(request).isPersonal)
  })
})

describe("the fingerprint of a request", () => {
  it("is equal for requests that differ in their senders only", () => {
    assert.strictEqual(
      fingerprint({ accept: "a", "user-agent": "x", traceparent: "1" }),
      fingerprint({ accept: "a", "user-agent": "y" })
    )
    assert.notStrictEqual(fingerprint({ cookie: "a=1" }), fingerprint({ cookie: "a=2" }))
    assert.notStrictEqual(fingerprint({ "x-user": "1" }), fingerprint({}))
  })
})

describe("the keys of a URL", () => {
  it("are those of requests for it, by either scheme", () => {
    assert.deepStrictEqual(keysOfUrl("https://Example.com/a?b=2&a=1#f", "ordered"), [
      ["http", "example.com", "/a", "a=1&b=2"],
      ["https", "example.com", "/a", "a=1&b=2"]
    ])
    assert.deepStrictEqual(keysOfUrl("http://example.com", "ordered")?.[0], ["http", "example.com", "/", undefined])
    assert.isUndefined(keysOfUrl("/a", "ordered"))
  })
})
