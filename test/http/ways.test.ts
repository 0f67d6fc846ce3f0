/**
 * What one client sends and what the next one gets, on sockets of real servers, in every way that an answer can take:
 * through each kind of store, before a fiber, in its forms, and bit by bit.
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import type { CacheBackend } from "effect-caching/Backend"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { createServer } from "node:http"
import { gunzipSync } from "node:zlib"
import { redisForFile } from "../support/overBackends.js"
import { memory, rawOpen, serve } from "./support.js"

interface Way {
  readonly backend: Layer.Layer<CacheBackend>
  readonly options?: HttpCache.Options
  readonly isAccelerated?: boolean
  readonly isStreamed?: boolean
}

const redis = redisForFile()
let count = 0
const overRedis: Layer.Layer<CacheBackend> = Layer.orDie(Layer.suspend(() => redis.layer(`w${count++}:`)))
const ways: Readonly<Record<string, Way>> = {
  "memory": { backend: memory() },
  "memory of bytes": { backend: memory("bytes") },
  "Redis": { backend: overRedis },
  "memory, accelerated": { backend: memory(), isAccelerated: true },
  "memory, accelerated and compressed": { backend: memory(), isAccelerated: true, options: { compress: true } },
  "Redis, compressed": { backend: overRedis, options: { compress: true } },
  "memory, bit by bit": { backend: memory(), isStreamed: true },
  "Redis, bit by bit": { backend: overRedis, isStreamed: true }
}

const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
const utf8 = new TextEncoder()

/** Serves an app that answers with a text made of the request, long enough to be compressed. */
const serving = (
  { isAccelerated = false, isStreamed = false, options = {} }: Way,
  text: (request: HttpServerRequest.HttpServerRequest) => string,
  headers: Record<string, string>,
  more: HttpCache.Options = {}
) => {
  const app: HttpApp.Default = Effect.map(HttpServerRequest.HttpServerRequest, (request) => {
    const whole = `<${text(request)}>${".".repeat(1_100)}`
    const parts = Stream.concat(
      Stream.make(utf8.encode(whole.slice(0, 10))),
      Stream.unwrap(Effect.as(Effect.repeatN(turn, 5), Stream.make(utf8.encode(whole.slice(10)))))
    )
    return isStreamed
      ? HttpServerResponse.stream(parts, { headers, contentType: "text/plain" })
      : HttpServerResponse.text(whole, { headers })
  })
  const all = { ...options, ...more }
  if (!isAccelerated) return serve(HttpCache.middleware(all)(app))
  const cached = HttpCache.accelerate(all)
  return serve(cached.middleware(app), cached.server(createServer()))
}

const askOf = (target: string, fields: ReadonlyArray<string>, method = "GET"): string =>
  `${[`${method} ${target} HTTP/1.1`, "Host: good", "Connection: close", ...fields].join("\r\n")}\r\n\r\n`

const dechunked = (body: string): string => {
  let rest = body
  let whole = ""
  for (;;) {
    const [size = ""] = rest.split("\r\n", 1)
    const length = parseInt(size, 16)
    if (!(length > 0)) return whole
    whole += rest.slice(size.length + 2, size.length + 2 + length)
    rest = rest.slice(size.length + 4 + length)
  }
}

/** What came, with the body as it was before it was compressed and sent in chunks. */
const plain = (got: string): string => {
  const end = got.indexOf("\r\n\r\n") + 4
  const head = got.slice(0, end)
  const body = /^transfer-encoding: chunked/im.test(head) ? dechunked(got.slice(end)) : got.slice(end)
  return head + (/^content-encoding: gzip/im.test(head) && body !== ""
    ? gunzipSync(Buffer.from(body, "latin1")).toString()
    : body)
}

/** Often enough to be answered in every way, before a fiber too. */
const often = (port: number, target: string, fields: ReadonlyArray<string> = [], method = "GET") =>
  Effect.forEach(["", "gzip", "", "gzip"], (coding) => {
    const all = coding === "" ? fields : [...fields, `Accept-Encoding: ${coding}`]
    return Effect.map(rawOpen(port, askOf(target, all, method)), plain)
  })

/** Everything that the handler sees, one field on a line. */
const mirror = ({ headers, method, originalUrl, url }: HttpServerRequest.HttpServerRequest): string =>
  [method, url, originalUrl, ...Object.entries(headers).filter(([name]) => name !== "accept-encoding").map(String)]
    .join("\n")

const fresh = { "cache-control": "public, max-age=60" }

/** Requests that must not change what others get of `/a`: by fields, target, content, or all of their bytes. */
const poison: Readonly<Record<string, string | ReadonlyArray<string>>> = {
  "Forwarded": ["Forwarded: host=evil"],
  "X-Forwarded-Host": ["X-Forwarded-Host: evil"],
  "X-Forwarded-Host, twice": ["X-Forwarded-Host: evil", "x-forwarded-hoST: evil"],
  "X-Forwarded-Proto": ["X-Forwarded-Proto: evil"],
  "X-Forwarded-Protocol": ["X-Forwarded-Protocol: evil"],
  "X-Forwarded-Method": ["X-Forwarded-Method: evil"],
  "X-Forwarded-Path": ["X-Forwarded-Path: /evil"],
  "X-Original-Method": ["X-Original-Method: evil"],
  "X-Original-URL": ["X-Original-URL: /evil"],
  "X-Rewrite-URL": ["X-Rewrite-URL: /evil"],
  "X-HTTP-Method-Override": ["X-HTTP-Method-Override: evil"],
  "Connection, and what it names": ["Connection: evil, host, cookie"],
  "Keep-Alive": ["Keep-Alive: evil"],
  "TE": ["TE: evil"],
  "Range": ["Range: bytes=evil-1"],
  "If-Range": ["Range: bytes=0-3", "If-Range: \"evil\""],
  "If-None-Match": ["If-None-Match: \"evil\""],
  "If-Match": ["If-Match: \"evil\""],
  "If-Modified-Since": ["If-Modified-Since: evil"],
  "Expect": ["Expect: evil"],
  "Upgrade": ["Connection: upgrade", "Upgrade: evil"],
  "content": ["Content-Length: 4", "", "evil"],
  "content in chunks": ["Transfer-Encoding: chunked", "", "4\r\nevil\r\n0\r\n\r\n"],
  "content, in chunks and by length": ["Transfer-Encoding: chunked", "Content-Length: 4", "", "0\r\n\r\nevil"],
  "Content-Length, twice": ["Content-Length: 4", "Content-Length: 0", "", "evil"],
  "Content-Length with a sign": ["Content-Length: +4", "", "evil"],
  "Transfer-Encoding that is none": ["Transfer-Encoding: evil"],
  "Transfer-Encoding with a space": ["Transfer-Encoding : chunked", "", "0\r\n\r\nevil"],
  "a field over two lines": ["X-A: b", " evil"],
  "a line feed alone": ["X-A: b\nX-Forwarded-Host: evil"],
  "a null": ["X-Evil: \0"],
  "no colon": ["evil"],
  "absolute form": "GET http://evil/a HTTP/1.1\r\nHost: good\r\nConnection: close\r\n\r\n",
  "absolute form of the same host":
    "GET http://good/a HTTP/1.1\r\nHost: good\r\nX-Evil: evil\r\nConnection: close\r\n\r\n",
  "absolute form with a user": "GET http://evil@good/a HTTP/1.1\r\nHost: good\r\nConnection: close\r\n\r\n",
  "absolute form of another scheme": "GET evil://good/a HTTP/1.1\r\nHost: good\r\nConnection: close\r\n\r\n",
  "authority form": "GET evil:80 HTTP/1.1\r\nHost: good\r\nConnection: close\r\n\r\n",
  "Host, twice": "GET /a HTTP/1.1\r\nHost: evil\r\nHost: good\r\nConnection: close\r\n\r\n",
  "Host, twice, good first": "GET /a HTTP/1.1\r\nHost: good\r\nHost: evil\r\nConnection: close\r\n\r\n",
  "Host with a path": "GET /a HTTP/1.1\r\nHost: good/evil\r\nConnection: close\r\n\r\n",
  "Host with a port": "GET /a HTTP/1.1\r\nHost: good:1evil\r\nConnection: close\r\n\r\n",
  "Host with a user": "GET /a HTTP/1.1\r\nHost: evil@good\r\nConnection: close\r\n\r\n",
  "no Host": "GET /a HTTP/1.0\r\nX-Forwarded-Host: evil\r\nConnection: close\r\n\r\n",
  "a colon before the name": "GET /a HTTP/1.1\r\nHost: good\r\n:authority: evil\r\nConnection: close\r\n\r\n",
  "a method of one's own": "EVIL /a HTTP/1.1\r\nHost: good\r\nConnection: close\r\n\r\n",
  "a method in lower case": "get /a HTTP/1.1\r\nHost: good\r\nX-A: evil\r\nConnection: close\r\n\r\n",
  "a backslash": "GET \\a HTTP/1.1\r\nHost: good\r\nX-A: evil\r\nConnection: close\r\n\r\n",
  "HTTP/0.9": "GET /a\r\n\r\n",
  "HTTP/2.0": "GET /a HTTP/2.0\r\nHost: evil\r\n\r\n"
}

/** Paths and queries that somebody may take for `/a`. */
const aliases = [
  ...String.raw`/A //a /a/ /./a /b/../a /b/..;/a /%61 /%2561 /a%00 /a%20 /a%2F /a;evil /a#evil /a%23evil /a%3Fevil`
    .split(" "),
  ...String.raw`/a&evil /\a /a\ /%5Ca /a.css /a/x.css /a/.. /%c0%afa /a%zz /__proto__ /constructor /a?utf8=✓`.split(
    " "
  ),
  ...String.raw`/a? /a?evil /a?# /a?? /a?& /a?%00 /a?__proto__=evil /a?constructor[prototype]=evil /a?_method=POST`
    .split(" "),
  ...String.raw`/a?x=1&x=2 /a?x=2&x=1 /a?x[]=1 /a?x=1;y=2 /a?X=1&x=2 /a?x=%20 /a?x=+ /a?x=%2B /a?%78=1 /a?x /a?x= /a?=x`
    .split(" "),
  `/a?${"p=1&".repeat(3_000)}`,
  `/${"%41".repeat(2_000)}`,
  `/a${"/..".repeat(2_000)}`
]

/** Pages whose paths look like those of files, and the ways in which a user asks for one. */
const pages = ["/a", "/account/x.css", "/account;x.js", "/account%2Fx.css", "/__proto__"]
const asUser = [
  ["Cookie: sid=ada"],
  ["Authorization: ada"],
  ["AUTHORIZATION: ada"],
  ["Cookie: a=b", "Cookie: sid=ada"],
  ["Cookie: sid=ada; sid=ada"],
  ["Cookie: sid=ada", "Range: bytes=0-20"],
  ["Cookie: sid=ada", "If-None-Match: \"two\""],
  ["Cookie: sid=ada", "If-None-Match: *"],
  ["Cookie: sid=ada", "Cache-Control: no-cache, max-stale, only-if-cached"],
  ["Cookie: sid=ada", "Accept-Encoding: gzip"]
]

for (const [name, way] of Object.entries(ways)) {
  describe(`over ${name}`, () => {
    const provide = Effect.provide(way.backend)

    it.scoped("what a crafted request says is not in what others get", () =>
      Effect.gen(function*() {
        for (const [title, crafted] of Object.entries(poison)) {
          const path = `/${encodeURIComponent(title)}`
          const { port } = yield* serving(way, mirror, fresh, { name: path })
          const bytes = typeof crafted === "string"
            ? crafted.replace("/a", path)
            : askOf(path, crafted)
          for (let i = 0; i < 3; i++) yield* rawOpen(port, bytes)
          const answers = yield* often(port, path)
          for (const got of answers) {
            assert.include(got, "HTTP/1.1 200", title)
            assert.notMatch(got.replace(/^.*cache-status.*$/gim, ""), /evil|http:\/\//, title)
            assert.include(got, `<GET\n${path}\n${path}\n`, title)
            assert.include(got, "host,good", title)
          }
          assert.include(answers[3], "; hit;", title)
        }
      }).pipe(provide), 120_000)

    it.scoped("targets that somebody may take for one have answers of their own", () =>
      Effect.gen(function*() {
        const { port } = yield* serving(way, ({ originalUrl }) => originalUrl, fresh)
        for (const target of aliases) {
          for (const got of yield* often(port, target)) {
            if (!got.includes("HTTP/1.1 400")) assert.include(got, `<${target}>`)
          }
        }
        for (const got of yield* often(port, "/a")) assert.include(got, "</a>")
      }).pipe(provide), 60_000)

    it.scoped(
      "a user's page is the user's, by whatever path, method, range or precondition",
      () =>
        Effect.gen(function*() {
          const { port } = yield* serving(
            way,
            ({ cookies, headers }) => `page of ${headers["authorization"] ?? cookies["sid"] ?? "nobody"}`,
            { "cache-control": "max-age=60", etag: "\"one\"" },
            { staleIfError: "1 hour" }
          )
          for (const page of pages) {
            for (const [i, fields] of asUser.entries()) {
              const target = `${page}?${i}`
              for (const method of ["HEAD", "GET"]) yield* rawOpen(port, askOf(target, fields, method))
              for (const got of yield* often(port, target)) assert.include(got, "page of nobody", `${target} ${fields}`)
              for (const got of yield* often(port, target, ["Cookie: sid=bob"])) assert.include(got, "page of bob")
              yield* often(port, target, [], "HEAD")
            }
          }
        }).pipe(provide),
      120_000
    )
  })
}
