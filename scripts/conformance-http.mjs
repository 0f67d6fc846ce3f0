// Runs the HTTP cache tests (github.com/http-tests/cache-tests) through examples/proxy and prints the totals beside
// those of other caches: `npm run conformance:http -- --suite DIR [--profile rfc|default] [--options JSON] [--list]`.
// DIR is a checkout of the suite, in which `npm install --ignore-scripts` has run. Exits with 1 where a required test
// fails that is not in `accepted`.
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { parseArgs } from "node:util"

const { values: args } = parseArgs({
  options: {
    suite: { type: "string" },
    profile: { type: "string", multiple: true },
    options: { type: "string", default: "{}" },
    list: { type: "boolean", default: false },
    json: { type: "string" },
    // How many tests run at once.
    chunk: { type: "string", default: "100" }
  }
})

const profiles = {
  // What RFC 9111 lets a shared cache do, and nothing held back.
  rfc: {
    statuses: "any",
    heuristic: true,
    authorization: "shared",
    cookies: "ignore",
    staleIfError: "1 hour",
    clientDirectives: "full",
    // A client's equal preferences are settled by the app's order: any will do, but there must be one.
    languages: ["de", "en"]
  },
  default: {},
  // The cache behind the proxy, in its client.
  client: {
    client: { mode: "shared", statuses: "any", staleIfError: "1 hour", targets: ["CDN-Cache-Control"] }
  }
}

/** Tests that are required and that a program on @effect/platform cannot pass. */
const accepted = new Set(["interim-not-cached"])

/** Required and optional tests passed by others, measured with the same commit of the suite. */
const others = [
  ["Apache Traffic Server 9.2", 133, 71],
  ["Apache httpd 2.4", 131, 68],
  ["undici 7.30", 126, 68],
  ["Varnish 7.1", 119, 45],
  ["Squid 5.7", 117, 58],
  ["nginx 1.22", 102, 59],
  ["Django 3.2", 56, 33],
  ["Nitro 2.13", 12, 2],
  ["Flask-Caching 2.0", 0, 9]
]

if (args.suite === undefined) {
  console.error("--suite DIR is missing: a checkout of github.com/http-tests/cache-tests")
  process.exit(2)
}
const suite = resolve(args.suite)
const scratch = mkdtempSync(join(tmpdir(), "conformance-"))
const children = []

const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address()
      server.close(() => done(port))
    })
  })

const run = async (port, argv, options) => {
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "ignore", "inherit"], ...options })
  children.push(child)
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`${argv.join(" ")} has stopped`)
    if (await fetch(`http://127.0.0.1:${port}/`).then((response) => response.text().then(() => true), () => false)) {
      return child
    }
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error(`${argv.join(" ")} does not answer`)
}

const startOrigin = async () => {
  const port = await freePort()
  // The origin listens on all interfaces, and gives up idle connections that a client may be about to use.
  const preload = join(scratch, "origin.mjs")
  writeFileSync(
    preload,
    `import { Server } from "node:net"
import http from "node:http"
const { listen } = Server.prototype
Server.prototype.listen = function(port, ...rest) {
  if (this instanceof http.Server) this.keepAliveTimeout = 600_000
  return listen.call(this, port, "127.0.0.1", ...rest)
}
`
  )
  await run(port, ["--import", pathToFileURL(preload).href, "test-engine/server/server.mjs"], {
    cwd: suite,
    env: {
      ...process.env,
      npm_config_protocol: "http",
      npm_config_port: String(port),
      npm_config_pidfile: join(scratch, "origin.pid")
    }
  })
  return port
}

/** The suite keeps its results in its modules: each profile runs in a process of its own. */
const runSuite = async (proxyPort) => {
  const runner = join(scratch, "run.mjs")
  const file = (path) => JSON.stringify(pathToFileURL(join(suite, path)).href)
  writeFileSync(
    runner,
    `import { writeFileSync } from "node:fs"
import { getResults, runTests } from ${file("test-engine/client/runner.mjs")}
import { determineTestResult, resultTypes } from ${file("test-engine/lib/results.mjs")}
import suites from ${file("tests/index.mjs")}
console.error = () => {}
await runTests(suites, false, "http://127.0.0.1:${proxyPort}", ${args.chunk})
const results = getResults()
const names = new Map(Object.entries(resultTypes).map(([name, type]) => [type, name]))
const verdicts = suites.flatMap(({ id: group, tests }) => tests.filter((test) => test.browser_only !== true).map((test) => ({
  group,
  id: test.id,
  kind: test.kind ?? "required",
  verdict: names.get(determineTestResult(suites, test.id, results)),
  detail: Array.isArray(results[test.id]) ? results[test.id].join(": ") : undefined
})))
writeFileSync(process.argv[2], JSON.stringify(verdicts))
process.exit(0)
`
  )
  const out = join(scratch, "verdicts.json")
  const child = spawn(process.execPath, ["--no-warnings", runner, out], { stdio: ["ignore", "ignore", "inherit"] })
  children.push(child)
  await new Promise((done) => child.on("exit", done))
  const { readFileSync } = await import("node:fs")
  return JSON.parse(readFileSync(out, "utf8"))
}

const count = (verdicts, kind, verdict) =>
  verdicts.filter((test) => test.kind === kind && test.verdict === verdict).length

let isFailed = false
try {
  const originPort = await startOrigin()
  const rows = []
  for (const profile of args.profile ?? ["rfc", "default"]) {
    const port = await freePort()
    const options = { ...profiles[profile], ...JSON.parse(args.options) }
    const proxy = await run(port, [
      "examples/proxy/.build/main.js",
      `http://127.0.0.1:${originPort}`,
      String(port),
      JSON.stringify(options)
    ])
    const verdicts = await runSuite(port)
    proxy.kill()
    if (args.json !== undefined) writeFileSync(`${args.json}.${profile}.json`, JSON.stringify(verdicts, undefined, 1))
    rows.push([
      `effect-caching, ${profile} profile`,
      count(verdicts, "required", "pass"),
      count(verdicts, "optimal", "pass"),
      `${count(verdicts, "required", "fail")} required failed`,
      `${count(verdicts, "check", "yes")} checks yes`
    ])
    const unexpected = verdicts.filter(({ id, kind, verdict }) =>
      kind === "required" && verdict === "fail" && !accepted.has(id)
    )
    const reused = verdicts.filter(({ detail, kind, verdict }) =>
      kind === "required" && verdict !== "pass" && /comes from cache/.test(detail ?? "")
    )
    isFailed ||= unexpected.length > 0 || reused.length > 0
    if (args.list || unexpected.length > 0) {
      for (const { detail, id, kind, verdict } of verdicts) {
        if (kind === "check" || verdict === "pass") continue
        console.log(
          `${profile}  ${kind.padEnd(8)}  ${verdict.padEnd(15)}  ${id}${detail === undefined ? "" : `  (${detail})`}`
        )
      }
    }
  }
  console.log("required  optional")
  for (const [name, required, optional, ...more] of [...rows, ...others]) {
    console.log(`${String(required).padStart(8)}  ${String(optional).padStart(8)}  ${[name, ...more].join(", ")}`)
  }
} finally {
  for (const child of children) child.kill()
  rmSync(scratch, { recursive: true, force: true })
}
process.exit(isFailed ? 1 : 0)
