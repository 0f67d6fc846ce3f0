/**
 * A site with pages for all and pages for one, and a thousand clients of ten users who ask for them at once, leave at
 * random moments and hold every answer against what it must be. Time is the test's; of one seed the choices are the
 * same, and when they meet is not.
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Random } from "../chaos/chaos.js"
import { type Answer, connect, type Connection, requestOf } from "./connection.js"

// -----------------------------------------------------------------------------
// the site
// -----------------------------------------------------------------------------

interface Page {
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
  readonly body?: "stream" | "cut" | "long"
}

/** What the cache adds to the seconds of a page. */
export const graceSeconds = 1
export const staleIfErrorSeconds = 3
export const maxBodyBytes = 8_192

const pages: Readonly<Record<string, Page>> = {
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
  "/mine": { cacheControl: "max-age=2, stale-while-revalidate=1", isOwn: true, seconds: 3 },
  "/mine/private": { cacheControl: "private, max-age=2", isOwn: true, seconds: 0 },
  "/mine/empty": { cacheControl: "private=\"\", public, max-age=2", isOwn: true, seconds: 0 },
  "/mine/never": { cacheControl: "no-store", isOwn: true, seconds: 0 },
  "/mine/validated": { cacheControl: "no-cache", isOwn: true, seconds: 0 },
  "/mine/sets": { cacheControl: "public, max-age=2", isOwn: true, sets: true, seconds: 0 },
  "/mine/varies": { cacheControl: "public, max-age=2", isOwn: true, vary: "Cookie, Authorization", seconds: 3 },
  "/mine/flaky": { cacheControl: "max-age=1", isOwn: true, fails: true, seconds: 1 + staleIfErrorSeconds },
  "/mine/stream": { cacheControl: "max-age=2", isOwn: true, body: "stream", seconds: 3 },
  "/mine/long": { cacheControl: "max-age=2", isOwn: true, body: "long", seconds: 0 }
}
const paths = Object.keys(pages)
/** Some are asked for more often, as pages are. */
const asked = [...paths, ...Array.from({ length: 4 }, () => ["/public", "/varies", "/mine"]).flat()]

/** A body is all of its mark, again and again: every part of it tells whose it is. */
const bodyOf = (mark: string): string => {
  const isLong = /^\/(mine\/)?long\./.test(mark)
  return `${mark}\n`.repeat(isLong ? 1 + Math.ceil(maxBodyBytes / mark.length) : 3 + mark.length)
}

const turn = Effect.async<void>((resume) => {
  const timer = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(timer))
})

const nobody = "nobody"

/** What the site says where a page fails. */
export const errorOf = (user: string): string => `error of ${user}`

export interface Site {
  /** Fails with who asks. */
  readonly app: HttpApp.Default<string, Scope.Scope>
  /** How often pages were made; and requests to the app that began, and that were done with. */
  readonly counts: { runs: number; opened: number; closed: number }
}

export const makeSite = (random: Random): Site => {
  const counts = { runs: 0, opened: 0, closed: 0 }
  const versions = new Map(paths.map((path) => [path, 0]))
  const pause = Effect.suspend(() => Effect.repeatN(turn, Math.floor(random() * 4)))
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
    counts.runs++
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
      return page.sets === true ? yield* Effect.orDie(HttpServerResponse.setCookie(response, "own", user)) : response
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

// -----------------------------------------------------------------------------
// the clients
// -----------------------------------------------------------------------------

interface Asking {
  readonly path: string
  readonly user: string
  readonly kind: string
  readonly method: "GET" | "HEAD" | "POST"
  readonly headers: Readonly<Record<string, string>>
  /** The version that an answer has at least: that of the last change which was answered before. */
  readonly leastVersion: number
  readonly askedAt: number
}

export interface Report {
  /** What must not have been, in words. */
  readonly problems: Array<string>
  /** How often what came. */
  readonly counts: Record<string, number>
}

export interface Storm {
  readonly port: number
  readonly random: Random
  /** Whether clients say `Cache-Control`, and it is obeyed. */
  readonly isDirected: boolean
}

const markOf = (etag: string | undefined): ReadonlyArray<string> | undefined =>
  /^(?:W\/)?"([^"]*)"$/.exec(etag ?? "")?.[1]?.split(".")

/** What is wrong with a whole answer; `undefined`: nothing. */
const wrong = (asking: Asking, { body, headers, status }: Answer, now: number): string | undefined => {
  const page = pages[asking.path]!
  if (asking.method === "POST") return status === 200 && /^\d+$/.test(body.toString()) ? undefined : "not a version"
  if (status === 504) return asking.headers["cache-control"] === "only-if-cached" ? undefined : "504"
  if (status === 500) {
    if (page.fails !== true && page.body !== "cut") return "an error where there was none"
    const own = asking.method === "HEAD" || page.body === "cut" ? "" : errorOf(asking.user)
    return body.toString() === own ? undefined : "an error of others"
  }
  const mark = markOf(headers["etag"])
  if (mark === undefined) return `no mark: ${headers["etag"]}`
  const [path, owner, kind, version] = mark
  if (path !== asking.path) return `another page: ${path}`
  if (owner !== (page.isOwn === true ? asking.user : "all")) return `the page of ${owner}`
  if (kind !== (page.vary === "X-Kind" ? asking.kind : "one")) return `the kind ${kind}`
  if (!(Number(version) >= asking.leastVersion)) return `version ${version}, after ${asking.leastVersion}`
  const age = Number(headers["age"] ?? 0)
  if (age > page.seconds + Math.ceil((now - asking.askedAt) / 1000)) return `${age} seconds old`
  if (headers["x-owner"] !== undefined && headers["x-owner"] !== asking.user) {
    return `the field of ${headers["x-owner"]}`
  }
  if (headers["set-cookie"] !== undefined && !headers["set-cookie"].startsWith(`own=${asking.user}`)) return "a cookie"
  const whole = bodyOf(mark.join("."))
  const length = headers["content-length"]
  switch (status) {
    case 200: {
      if (asking.method === "HEAD") {
        return length === undefined || Number(length) === whole.length ? undefined : `a length of ${length}`
      }
      if (page.body === "cut") return "a body that was cut, as if it were whole"
      return body.toString() === whole ? undefined : `${body.length} bytes of ${whole.length}`
    }
    case 206: {
      const [, from, to, of] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers["content-range"] ?? "") ?? []
      return asking.headers["range"] !== undefined && Number(of) === whole.length &&
          body.toString() === whole.slice(Number(from), Number(to) + 1)
        ? undefined
        : `the part ${headers["content-range"]}`
    }
    case 304:
      return markOf(asking.headers["if-none-match"])?.join() === mark.join() ? undefined : "304 for what it has not"
    default:
      return `the status ${status}`
  }
}

/** A client of one user, on connections that it keeps until it leaves. */
const client = (storm: Storm, report: Report, changed: Map<string, number>, i: number) =>
  Effect.gen(function*() {
    const { isDirected, random } = storm
    const pick = <A>(all: ReadonlyArray<A>): A => all[Math.floor(random() * all.length)]!
    const isOften = (share: number) => random() < share
    const count = (what: string) => report.counts[what] = (report.counts[what] ?? 0) + 1
    const user = i % 11 === 10 ? nobody : `user${i % 11}`
    const credentials: Record<string, string> = user === nobody
      ? {}
      : isOften(0.6)
      ? { cookie: `theme=${pick(["dark", "light"])}; sid=${user}` }
      : { authorization: `Bearer ${user}` }
    const known = new Map<string, string>()

    const choose = (askedAt: number): Asking => {
      const path = pick(asked)
      const kind = pick(["a", "b", "c"])
      const etag = known.get(`${path} ${kind}`)
      const method = isOften(0.04) ? "POST" : isOften(0.1) ? "HEAD" : "GET"
      const directive = isDirected && isOften(0.2)
        ? { "cache-control": pick(["no-cache", "no-store", "max-age=0", "only-if-cached"]) }
        : {}
      const condition = method === "POST"
        ? {}
        : etag !== undefined && isOften(0.5)
        ? { "if-none-match": etag }
        : isOften(0.15)
        ? { range: `bytes=${Math.floor(random() * 50)}-${50 + Math.floor(random() * 50)}` }
        : {}
      const headers = { "x-kind": kind, ...credentials, ...directive, ...condition }
      return { path, user, kind, method, headers, leastVersion: changed.get(path) ?? 0, askedAt }
    }

    const take = (connection: Connection, asking: Asking, mayBreakOff: boolean) =>
      Effect.gen(function*() {
        const answer = yield* Effect.either(connection.next(asking.method))
        const told = `${asking.method} ${asking.path} for ${user} with ${JSON.stringify(asking.headers)}`
        if (answer._tag === "Left") {
          // A body that breaks off after its head was sent can end in no other way.
          if (!mayBreakOff) report.problems.push(`${told}: ${answer.left.message}`)
          count("broken off by the app")
          return false
        }
        const { body, headers, status } = answer.right
        const problem = wrong(asking, answer.right, yield* Clock.currentTimeMillis)
        if (problem !== undefined) report.problems.push(`${told}: ${problem}, ${headers["cache-status"]}`)
        count(String(status))
        const cache = headers["cache-status"] ?? ""
        for (const what of ["hit", "collapsed", "stored", "ttl=-"]) if (cache.includes(what)) count(what)
        if (asking.method === "POST") {
          changed.set(asking.path, Math.max(changed.get(asking.path) ?? 0, Number(body)))
        } else if (status === 200 && headers["etag"] !== undefined) {
          known.set(`${asking.path} ${asking.kind}`, headers["etag"])
        }
        return true
      })

    /** Asks, and leaves at some moment or takes the answers; whether the connection is still there. */
    const ask = (connection: Connection) =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const askings = isOften(0.1) ? [choose(now), choose(now)] : [choose(now)]
        const text = askings.map(({ headers, method, path }) => requestOf(path, { method, headers })).join("")
        const leaves = isOften(0.25) ? pick(["half asked", "asked", "answered in part"]) : undefined
        connection.send(leaves === "half asked" ? text.slice(0, Math.floor(random() * text.length)) : text)
        if (leaves === undefined) {
          const mayBreakOff = askings.some(({ path }) => pages[path]!.body === "cut")
          for (const asking of askings) if (!(yield* take(connection, asking, mayBreakOff))) return false
          return true
        }
        if (leaves === "answered in part") yield* connection.begun
        else yield* Effect.repeatN(turn, Math.floor(random() * 8))
        connection.abort()
        count(`left, ${leaves}`)
        return false
      })

    /** All that came, of answers that broke off too, is of this user or of nobody in particular. */
    const inspect = (connection: Connection) => {
      for (const [name] of connection.received().matchAll(/user\d|nobody/g)) {
        if (name !== user) return void report.problems.push(`bytes of ${name} for ${user}`)
      }
    }

    let requests = 0
    while (requests < 3) {
      yield* Effect.scoped(Effect.gen(function*() {
        const connection = yield* connect(storm.port)
        while (requests++ < 3 && (yield* ask(connection))) count("kept alive")
        yield* connection.close
        inspect(connection)
      }))
    }
  })

/** A thousand clients at once, until each has asked three times. */
export const run = (storm: Storm, clients = 1_000) => {
  const report: Report = { problems: [], counts: {} }
  const changed = new Map<string, number>()
  return Effect.as(
    Effect.forEach(Array.from({ length: clients }, (_, i) => i), (i) => client(storm, report, changed, i), {
      concurrency: "unbounded",
      discard: true
    }),
    report
  )
}

/** Each page once for each user and once for nobody, after the storm. */
export const visitAll = (port: number, leave: ReadonlyArray<string> = []) =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* connect(port)
    const problems: Array<string> = []
    for (const user of [...Array.from({ length: 10 }, (_, i) => `user${i}`), nobody]) {
      for (const path of paths.filter((path) => pages[path]!.body !== "cut" && !leave.includes(path))) {
        const headers: Record<string, string> = user === nobody ? {} : { cookie: `sid=${user}` }
        const askedAt = yield* Clock.currentTimeMillis
        connection.send(requestOf(path, { headers: { "x-kind": "a", ...headers } }))
        const answer = yield* connection.next()
        const asking: Asking = { path, user, kind: "a", method: "GET", headers, leastVersion: 0, askedAt }
        const problem = wrong(asking, answer, askedAt)
        if (problem !== undefined) problems.push(`${path} for ${user}: ${problem}`)
      }
    }
    return problems
  }))
