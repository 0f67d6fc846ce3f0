/**
 * A thousand clients of ten users who ask a site for its pages at once, leave at random moments and hold every answer
 * against what it must be. Time is the test's; of one seed the choices are the same, and when they meet is not.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Random } from "../chaos/chaos.js"
import { type Answer, connect, type Connection, requestOf } from "./connection.js"
import { asked, bodyOf, errorOf, nobody, pages, paths, turn } from "./stormSite.js"

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
  /** Cookies that came: each run of the app gives one, to one client. */
  readonly cookies: Set<string>
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
        const cookie = headers["set-cookie"]
        if (cookie !== undefined) {
          if (report.cookies.has(cookie)) report.problems.push(`${told}: a cookie that another client has, ${cookie}`)
          report.cookies.add(cookie)
          count("cookies")
        }
        count(String(status))
        const cache = headers["cache-status"] ?? ""
        for (const what of ["hit", "collapsed", "stored", "streamed", "ttl=-"]) if (cache.includes(what)) count(what)
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
  const report: Report = { problems: [], counts: {}, cookies: new Set() }
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
export const visitAll = (port: number) =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* connect(port)
    const problems: Array<string> = []
    for (const user of [...Array.from({ length: 10 }, (_, i) => `user${i}`), nobody]) {
      for (const path of paths.filter((path) => pages[path]!.body !== "cut")) {
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
