import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile, spawn } from "node:child_process"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as RedisServer from "../support/redisServer.js"

const project = fileURLToPath(new URL("../..", import.meta.url))
const main = "examples/demo/.build/main.js"

// The script builds everything before it starts the demo, here with nothing to do but to print its usage.
beforeAll(async () => {
  const { stdout } = await promisify(execFile)("npm", ["run", "--silent", "demo", "--", "--help"], { cwd: project })
  assert.match(stdout, /--port/)
}, 120_000)

interface Demo {
  /** The one line that it prints. */
  readonly line: string
  readonly url: string
}

/** A demo as `npm run demo` starts it, on a free port. */
const start = (...args: ReadonlyArray<string>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() =>
        new Promise<{ readonly demo: Demo; readonly stop: () => Promise<void> }>((resolve, reject) => {
          const child = spawn(process.execPath, [main, "--port", "0", ...args], { cwd: project })
          const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
          let output = ""
          const read = (chunk: unknown) => {
            output += chunk
            const url = /http:\/\/localhost:\d+/.exec(output)?.[0]
            if (url === undefined || !output.endsWith("\n")) return
            const stop = () => {
              child.kill("SIGINT")
              return ended
            }
            resolve({ demo: { line: output, url: url.replace("localhost", "127.0.0.1") }, stop })
          }
          child.stdout.on("data", read)
          child.stderr.on("data", read)
          void ended.then(() => reject(new Error(`the demo has ended: ${output}`)))
        })
      ),
      ({ stop }) => Effect.promise(stop)
    ),
    ({ demo }) => demo
  )

/** A page as it comes, and what the server says of it. */
const ask = ({ url }: Demo, path: string) =>
  Effect.promise(async () => {
    const response = await fetch(url + path)
    const text = await response.text()
    const timing = response.headers.get("server-timing") ?? ""
    const [, ms, result] = /answer;dur=([\d.]+);desc="(\w+)"/.exec(timing) ?? []
    const load = /load;dur=([\d.]+)/.exec(timing)?.[1]
    return { status: response.status, text, result, ms: Number(ms), load: Number(load) }
  })

const act = ({ url }: Demo, action: string, fields: Readonly<Record<string, string>>) =>
  Effect.promise(async () => {
    const body = new URLSearchParams({ back: "/", ...fields })
    const response = await fetch(`${url}/actions/${action}`, { method: "POST", body, redirect: "manual" })
    await response.arrayBuffer()
    return { status: response.status, location: response.headers.get("location") }
  })

const live = (demo: Demo) =>
  Effect.map(ask(demo, "/live"), ({ text }) =>
    JSON.parse(text) as {
      readonly store: { readonly name: string; readonly problem?: string }
      readonly answers: ReadonlyArray<{ readonly path: string; readonly result: string }>
      readonly caches: ReadonlyArray<{ readonly name: string; readonly hit: number; readonly miss: number }>
    })

const missesOf = (demo: Demo, name: string) =>
  Effect.map(live(demo), ({ caches }) => caches.find((_) => _.name === name)?.miss ?? 0)

const isSlow = ({ ms, result }: { readonly ms: number; readonly result: string | undefined }) => {
  assert.strictEqual(result, "miss")
  assert.isAbove(ms, 50)
}

describe("the demo", () => {
  it.scopedLive("says in one line where it is and how it is stopped", () =>
    Effect.gen(function*() {
      const { line } = yield* start()
      assert.match(line, /^node_modules is at http:\/\/localhost:\d+\/, cached in memory; Ctrl\+C stops it\n$/)
    }))

  it.scopedLive("gives its second answer at least fifty times faster than its first", () =>
    Effect.gen(function*() {
      const demo = yield* start()
      for (const path of ["/", "/code", "/duplicates"]) {
        const first = yield* ask(demo, path)
        const later = yield* Effect.replicateEffect(ask(demo, path), 3)
        assert.strictEqual(first.status, 200)
        isSlow(first)
        for (const second of later) {
          assert.strictEqual(second.result, "hit")
          assert.strictEqual(second.text, first.text)
          assert.isAtMost(second.load, first.ms)
        }
        // The fastest of them: the machine may be busy with something else meanwhile.
        const ms = Math.min(...later.map((_) => _.ms))
        assert.isAtLeast(first.ms / ms, 50, `${path}: ${first.ms} ms, then ${ms} ms`)
      }
    }))

  it.scopedLive("caches each view by its query, in any order of its parameters", () =>
    Effect.gen(function*() {
      const demo = yield* start()
      assert.strictEqual((yield* ask(demo, "/packages?text=effect&sort=files")).result, "miss")
      const other = yield* ask(demo, "/packages?text=redis&sort=files")
      assert.strictEqual(other.result, "miss")
      assert.include(other.text, "ioredis")
      const again = yield* ask(demo, "/packages?sort=files&text=redis")
      assert.strictEqual(again.result, "hit")
      assert.strictEqual(again.text, other.text)
    }))

  it.scopedLive("reads the files of an invalidated package again, and of no other", () =>
    Effect.gen(function*() {
      const demo = yield* start()
      isSlow(yield* ask(demo, "/duplicates"))
      const before = yield* missesOf(demo, "digests")
      assert.isAbove(before, 50)
      const back = "/package?at=ioredis"
      assert.deepStrictEqual(yield* act(demo, "invalidate", { tag: "package:ioredis", back }), {
        status: 303,
        location: back
      })
      assert.strictEqual((yield* ask(demo, "/duplicates")).result, "miss")
      assert.strictEqual((yield* missesOf(demo, "digests")) - before, 1)
      assert.strictEqual((yield* ask(demo, "/duplicates")).result, "hit")
    }))

  it.scopedLive("is slow again after everything was invalidated, or a refresh was forced", () =>
    Effect.gen(function*() {
      const demo = yield* start()
      isSlow(yield* ask(demo, "/duplicates"))
      assert.strictEqual((yield* ask(demo, "/duplicates")).result, "hit")
      yield* act(demo, "everything", {})
      isSlow(yield* ask(demo, "/duplicates"))
      const before = yield* missesOf(demo, "digests")
      yield* act(demo, "refresh", { back: "/duplicates" })
      assert.isAtLeast((yield* missesOf(demo, "digests")) - before, 50)
      assert.strictEqual((yield* ask(demo, "/duplicates")).result, "miss")
      assert.strictEqual((yield* ask(demo, "/duplicates")).result, "hit")
    }))

  it.scopedLive("answers at once with what is stale, and computes it anew meanwhile", () =>
    Effect.gen(function*() {
      const demo = yield* start()
      const first = yield* ask(demo, "/duplicates")
      yield* act(demo, "stale", { back: "/duplicates" })
      const second = yield* ask(demo, "/duplicates")
      assert.strictEqual(second.result, "stale")
      assert.isAtLeast(first.ms / second.ms, 50)
      const { result } = yield* Effect.repeat(ask(demo, "/duplicates"), { while: (_) => _.result === "stale" })
      assert.strictEqual(result, "hit")
    }))

  it.scopedLive("shows its last answers", () =>
    Effect.gen(function*() {
      const demo = yield* start()
      yield* ask(demo, "/packages")
      yield* ask(demo, "/packages")
      const { answers, store } = yield* live(demo)
      assert.deepStrictEqual(answers.map((_) => [_.path, _.result]), [["/packages", "hit"], ["/packages", "miss"]])
      assert.deepStrictEqual(store, { name: "memory" })
    }))

  it.scopedLive("says what it has not, and sends nobody elsewhere", () =>
    Effect.gen(function*() {
      const demo = yield* start()
      assert.strictEqual((yield* ask(demo, "/nothing")).status, 404)
      const missing = yield* ask(demo, "/package?at=%3Cscript%3E")
      assert.strictEqual(missing.status, 404)
      assert.include(missing.text, "node_modules/&lt;script&gt;")
      for (const back of ["//example.com", "https://example.com", "/\\example.com"]) {
        assert.strictEqual((yield* act(demo, "everything", { back })).status, 400)
      }
    }))
})

describe("the demo with --redis", () => {
  it.scopedLive("shares its answers with every process that uses the server", () =>
    Effect.gen(function*() {
      const redis = yield* RedisServer.make()
      const [one, two] = yield* Effect.all([start("--redis", redis.url), start("--redis", redis.url)])
      assert.include(one.line, `redis at 127.0.0.1:${redis.port}`)
      const first = yield* ask(one, "/duplicates")
      isSlow(first)
      const second = yield* ask(two, "/duplicates")
      assert.strictEqual(second.result, "hit")
      assert.strictEqual(second.text, first.text)
      assert.isAtLeast(first.ms / second.ms, 10)
      assert.strictEqual(yield* missesOf(two, "digests"), 0)
      yield* act(two, "everything", {})
      isSlow(yield* ask(one, "/duplicates"))
    }), 60_000)

  it.scopedLive("works without the server, and says so", () =>
    Effect.gen(function*() {
      const redis = yield* RedisServer.make()
      yield* redis.kill("SIGKILL")
      const demo = yield* start("--redis", redis.url)
      assert.match(demo.line, /out of reach: .*; Ctrl\+C stops it\n$/)
      for (const _ of [1, 2]) {
        const page = yield* ask(demo, "/")
        assert.strictEqual(page.status, 200)
        assert.strictEqual(page.result, "miss")
        assert.include(page.text, "What is in node_modules")
      }
      assert.isString((yield* live(demo)).store.problem)
      assert.strictEqual((yield* act(demo, "everything", {})).status, 503)
      yield* redis.restart
      yield* Effect.repeat(live(demo), { while: (_) => _.store.problem !== undefined })
      yield* ask(demo, "/")
      assert.strictEqual((yield* ask(demo, "/")).result, "hit")
    }), 60_000)
})

describe("the demo does not start", () => {
  const refused = (...args: ReadonlyArray<string>) =>
    Effect.promise(() =>
      promisify(execFile)(process.execPath, [main, ...args], { cwd: project }).then(
        () => assert.fail("it has started"),
        ({ code, stderr, stdout }) => ({ code, text: stderr + stdout })
      )
    )

  const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, text: string]> = [
    [["--prot", "80"], "Unknown option '--prot'; try --help\n"],
    [["index.html"], "Unexpected argument 'index.html'; try --help\n"],
    [["--port", "http"], "--port must be a number from 0 to 65535, not \"http\"\n"],
    [["--port", "65536"], "--port must be a number from 0 to 65535, not \"65536\"\n"],
    [["--redis", "localhost:6379"], "--redis must be redis://[[username]:password@]host[:port][/db] or rediss://…\n"]
  ]
  for (const [args, text] of cases) {
    it.live(`with ${args.join(" ")}, and says why in a line`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* refused(...args), { code: 1, text })
      }))
  }

  it.scopedLive("on a port that is taken, and says so in a line", () =>
    Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Promise<Net.Server>((resolve) => {
            const server = Net.createServer().listen(0, "127.0.0.1", () => resolve(server))
          })
        ),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = server.address() as Net.AddressInfo
      assert.deepStrictEqual(yield* refused("--port", `${port}`), {
        code: 1,
        text: `port ${port} is taken; choose another one with --port\n`
      })
    }))
})
