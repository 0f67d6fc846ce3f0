import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Redis from "effect-caching/backends/Redis"
import * as RedisBus from "effect-caching/backends/RedisBus"
import * as Cache from "effect-caching/Cache"
import * as CacheEvents from "effect-caching/CacheEvents"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { vi } from "vitest"
import * as RedisServer from "../support/redisServer.js"
import { assertDiscreet, build, run } from "./support.js"

// Each test starts several processes.
vi.setConfig({ testTimeout: 60_000 })

const password = "p@ss:w/rd"
const main = build("watch")
const scope = Effect.runSync(Scope.make())
let redis: RedisServer.RedisServer

beforeAll(async () => {
  redis = await Effect.runPromise(Scope.extend(RedisServer.make({ password }), scope))
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const pages = Cache.make({ name: "pages", schema: Schema.Number, key: (key: string) => key, timeToLive: "1 minute" })

/** A program that reads a page again and again, and tells of it. */
const program = (options: CacheEvents.Options) =>
  Cache.getOrSet(pages, "/secret", Effect.succeed(1)).pipe(
    Effect.repeat(Schedule.spaced("5 millis")),
    Effect.provide(
      CacheEvents.layer({ interval: "50 millis", ...options }).pipe(
        Layer.provide(RedisBus.layerEvents({ url: redis.url })),
        Layer.provideMerge(Redis.layer({ url: redis.url }))
      )
    )
  )

/** What `watch` prints while the program runs. */
const watched = (args: ReadonlyArray<string>, options: CacheEvents.Options, use?: Parameters<typeof run>[3]) =>
  Effect.raceFirst(
    run(main, ["watch", "--url", redis.url, ...args], {}, use),
    Effect.zipRight(program(options), Effect.never)
  ).pipe(Effect.tap((ended) => assertDiscreet(ended, password)))

describe("effect-caching watch", () => {
  it.live("tells in lines of JSON what programs publish, with no keys", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* watched(["--json", "--count", "4"], { program: "shop" })
      assert.strictEqual(code, 0)
      const [subscribed, ...reports] = stdout.trim().split("\n").map((line) => JSON.parse(line))
      assert.deepStrictEqual(subscribed, { type: "subscribed" })
      assert.strictEqual(reports.length, 3)
      for (const { caches, program, type, until, from } of reports) {
        assert.deepStrictEqual([type, program], ["report", "shop"])
        assert.deepStrictEqual(Object.keys(caches), ["pages"])
        assert.isAbove(caches.pages.hits + caches.pages.misses, 0)
        assert.isAbove(until, from)
      }
      assert.notInclude(stdout, "/secret")
    }))

  it.live("shows tables: rates, ratio and totals by cache, and keys where the program tells them", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* watched(["--count", "2"], { keys: true })
      assert.strictEqual(code, 0)
      assert.match(stdout, /^cache:events: heard lately: 1 process\n/)
      assert.match(
        stdout,
        /\ncache +hits\/s +stale\/s +misses\/s +bypassed\/s +faults\/s +ratio +calls +ratio of all\n/
      )
      assert.match(stdout, /\npages +[\d.,]+ +0\.0 +\d+\.\d +0\.0 +0\.0 +[\d.]+ % +\d+ +[\d.]+ %\n/)
      assert.include(stdout, "pages:'/secret")
      assert.strictEqual(stdout.match(/^cache:events:/gm)?.length, 2)
    }))

  it.live("hears the channel that it is told", () =>
    Effect.gen(function*() {
      const { stdout } = yield* watched(["--channel", "elsewhere", "--count", "2"], {})
      assert.match(stdout, /^elsewhere: heard lately: 0 processes\n\nno calls so far\n/)
    }))

  it.live("ends with 130 when it is interrupted, and with 0 when its reader has gone", () =>
    Effect.gen(function*() {
      const interrupted = yield* watched(["--json"], {}, (child, stdout) => {
        if (stdout().split("\n").length > 2) child.kill("SIGINT")
      })
      assert.deepInclude(interrupted, { code: 130, stderr: "" })
      const left = yield* watched(["--json"], {}, (child) => child.stdout!.destroy())
      assert.deepInclude(left, { code: 0, stderr: "" })
    }))

  it.live("says when the connection is lost, and goes on when it is back", () =>
    Effect.gen(function*() {
      let isRestarted = false
      const { code, stdout } = yield* watched(["--json"], {}, (child, stdout) => {
        if (!isRestarted && stdout().includes("report")) {
          isRestarted = true
          Effect.runFork(Effect.orDie(redis.restart))
        } else if (/"lost"[^]*"subscribed"[^]*"report"/.test(stdout())) child.kill("SIGINT")
      })
      assert.strictEqual(code, 130)
      assert.match(stdout, /"report"[^]*"lost"[^]*"subscribed"[^]*"report"/)
    }))

  it.live("exits with 3 where the server cannot be reached", () =>
    Effect.gen(function*() {
      const ended = yield* run(main, ["watch", "--url", `redis://:${encodeURIComponent(password)}@127.0.0.1:1`])
      assert.deepInclude(ended, { code: 3, stdout: "" })
      assertDiscreet(ended, password)
    }))
})
