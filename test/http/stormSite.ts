/** A site with pages for all and pages for one, whose answers tell what they are in every part. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Random } from "../chaos/chaos.js"

export interface Page {
  readonly cacheControl: string
  /** For how many seconds an answer may be sent, stale or not. */
  readonly seconds: number
  /** Whether it shows who asks. */
  readonly isOwn?: boolean
  readonly vary?: string
  readonly fails?: boolean
  readonly sets?: boolean
  /** Who asks, in a field that is not for others. */
  readonly names?: boolean
  /** Its answer is one that it fails with, as redirects often are. */
  readonly raises?: boolean
  readonly body?: "stream" | "cut" | "long"
}

/** What the cache adds to the seconds of a page. */
export const graceSeconds = 1
export const staleIfErrorSeconds = 3
export const maxBodyBytes = 8_192

export const pages: Readonly<Record<string, Page>> = {
  "/public": { cacheControl: "public, max-age=1, stale-while-revalidate=2", seconds: 3 },
  "/validated": { cacheControl: "public, no-cache", seconds: 0 },
  "/varies": { cacheControl: "public, max-age=2", vary: "X-Kind", seconds: 3 },
  "/flaky": { cacheControl: "public, max-age=1", fails: true, seconds: 1 + staleIfErrorSeconds },
  "/shared": { cacheControl: "s-maxage=2", seconds: 3 },
  "/strict": { cacheControl: "public, max-age=2, must-revalidate", seconds: 2 },
  "/named": { cacheControl: "public, max-age=2, private=\"x-owner\"", names: true, seconds: 3 },
  "/stream": { cacheControl: "public, max-age=2", body: "stream", seconds: 3 },
  "/cut": { cacheControl: "public, max-age=2", body: "cut", seconds: 3 },
  "/long": { cacheControl: "public, max-age=2", body: "long", seconds: 0 },
  "/raised": { cacheControl: "public, max-age=2", raises: true, seconds: 3 },
  "/mine": { cacheControl: "max-age=2, stale-while-revalidate=1", isOwn: true, seconds: 3 },
  "/mine/private": { cacheControl: "private, max-age=2", isOwn: true, seconds: 0 },
  "/mine/empty": { cacheControl: "private=\"\", public, max-age=2", isOwn: true, seconds: 0 },
  "/mine/never": { cacheControl: "no-store", isOwn: true, seconds: 0 },
  "/mine/validated": { cacheControl: "no-cache", isOwn: true, seconds: 0 },
  "/mine/sets": { cacheControl: "public, max-age=2", isOwn: true, sets: true, seconds: 0 },
  "/mine/raised": { cacheControl: "private", isOwn: true, raises: true, seconds: 0 },
  "/mine/raised/sets": { cacheControl: "public, max-age=2", isOwn: true, raises: true, sets: true, seconds: 0 },
  "/mine/varies": { cacheControl: "public, max-age=2", isOwn: true, vary: "Cookie, Authorization", seconds: 3 },
  "/mine/flaky": { cacheControl: "max-age=1", isOwn: true, fails: true, seconds: 1 + staleIfErrorSeconds },
  "/mine/stream": { cacheControl: "max-age=2", isOwn: true, body: "stream", seconds: 3 },
  "/mine/long": { cacheControl: "max-age=2", isOwn: true, body: "long", seconds: 0 }
}
export const paths = Object.keys(pages)
/** Some are asked for more often, as pages are. */
export const asked = [...paths, ...Array.from({ length: 4 }, () => ["/public", "/varies", "/mine", "/flaky"]).flat()]

/** A body is all of its mark, again and again: every part of it tells whose it is. */
export const bodyOf = (mark: string): string => {
  const isLong = /^\/(mine\/)?long\./.test(mark)
  return `${mark}\n`.repeat(isLong ? 1 + Math.ceil(maxBodyBytes / mark.length) : 3 + mark.length)
}

export const turn = Effect.async<void>((resume) => {
  const timer = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(timer))
})

export const nobody = "nobody"

/** What the site says where a page fails. */
export const errorOf = (user: string): string => `error of ${user}`

export interface Site {
  /** Fails with who asks, or with an answer. */
  readonly app: HttpApp.Default<string | HttpServerResponse.HttpServerResponse, Scope.Scope>
  /** How often pages were made; and requests to the app that began, and that were done with. */
  readonly counts: { runs: number; opened: number; closed: number }
}

export const makeSite = (random: Random): Site => {
  const counts = { runs: 0, opened: 0, closed: 0 }
  const versions = new Map(paths.map((path) => [path, 0]))
  const pause = Effect.suspend(() => Effect.repeatN(turn, Math.floor(random() * 12)))
  const app = Effect.gen(function*() {
    const { cookies, headers, method, url } = yield* HttpServerRequest.HttpServerRequest
    counts.opened++
    yield* Effect.addFinalizer(() => Effect.sync(() => counts.closed++))
    const path = url.split("?")[0]!
    const page = pages[path]!
    const user = cookies["sid"] ?? headers["authorization"]?.split(" ")[1] ?? nobody
    if (method === "POST") {
      const version = versions.get(path)! + 1
      versions.set(path, version)
      yield* pause
      return HttpServerResponse.text(String(version))
    }
    const run = ++counts.runs
    const version = versions.get(path)!
    yield* pause
    if (page.fails === true && random() < 0.4) {
      return random() < 0.5
        ? yield* Effect.fail(user)
        : HttpServerResponse.text(errorOf(user), { status: 500, headers: { "cache-control": "max-age=60" } })
    }
    const kind = page.vary === "X-Kind" ? headers["x-kind"] ?? "none" : "one"
    const mark = [path, page.isOwn === true ? user : "all", kind, version].join(".")
    const fields = {
      "cache-control": page.cacheControl,
      etag: `"${mark}"`,
      ...(page.vary === undefined ? {} : { vary: page.vary }),
      ...(page.isOwn === true || page.names === true ? { "x-owner": user } : {})
    }
    if (headers["if-none-match"] === fields.etag) return HttpServerResponse.empty({ status: 304, headers: fields })
    const text = bodyOf(mark)
    if (page.body === undefined) {
      const response = HttpServerResponse.text(text, { headers: fields })
      const answer = page.sets === true
        ? yield* Effect.orDie(HttpServerResponse.setCookie(response, "own", `${user}.${run}`))
        : response
      return page.raises === true ? yield* Effect.fail(answer) : answer
    }
    const parts = Stream.fromIterable(text.match(/[^]{1,500}/g)!).pipe(
      Stream.rechunk(1),
      Stream.tap(() => pause),
      Stream.encodeText
    )
    return HttpServerResponse.stream(
      page.body === "cut" ? Stream.concat(Stream.take(parts, 1), Stream.fail("cut")) : parts,
      { headers: fields, contentType: "text/plain" }
    )
  })
  return { app, counts }
}
