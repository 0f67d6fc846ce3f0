// Runs the HTTP cache tests (github.com/http-tests/cache-tests) through examples/proxy.
//
//   npm run conformance:http                  the snapshot on npm, compared with test/http/conformance-0.4.5.json
//   npm run conformance:http -- --update      rewrites the verdicts in that file; its marks stay
//   npm run conformance:http -- --suite DIR   a checkout in which `npm install --ignore-scripts` has run: totals, beside
//                                             those of other caches
//
// --profile rfc|default|client|snapshot and --backend memory|redis|tiered may be repeated; --list prints what is not
// passed. Exits with 1 where a verdict is not the expected one, or a required test of a checkout fails, and with 2 where
// it could not run.
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { parseArgs } from "node:util"
import { count, differences, reused, settled, unexpected, updated } from "./conformance/compare.mjs"
import { freePort, run, scratch, serve } from "./conformance/processes.mjs"

const { values: args } = parseArgs({
  options: {
    suite: { type: "string" },
    update: { type: "boolean", default: false },
    profile: { type: "string", multiple: true },
    backend: { type: "string", multiple: true, default: ["memory"] },
    // The options of HttpCache that a profile is changed by.
    options: { type: "string", default: "{}" },
    list: { type: "boolean", default: false },
    // Where the verdicts go, as JSON: a file for each profile and backend.
    json: { type: "string" },
    // The file of expected verdicts.
    expected: { type: "string" },
    // Verdicts that --json has written, in place of a run.
    from: { type: "string" },
    // A file for the results in the form that vitest has for them.
    results: { type: "string" },
    // How many tests run at once.
    chunk: { type: "string", default: "100" }
  }
})

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/** What RFC 9111 lets a shared cache do, and nothing held back. */
const rfc = {
  statuses: "any",
  heuristic: true,
  authorization: "shared",
  cookies: "ignore",
  staleIfError: "1 hour",
  clientDirectives: "full",
  // A client's equal preferences are settled by the app's order: any will do, but there must be one.
  languages: ["de", "en"]
}

const profiles = {
  rfc,
  default: {},
  // The snapshot asks by `fetch`, which adds `no-cache` to whatever has a precondition.
  snapshot: { ...rfc, clientDirectives: "ignore" },
  // The cache behind the proxy, in its client.
  client: {
    client: { mode: "shared", statuses: "any", staleIfError: "1 hour", targets: ["CDN-Cache-Control"] }
  }
}

/** The environment that gives the example each backend. */
const backends = {
  memory: () => ({ CACHE_TYPE: "MemoryCache" }),
  redis: (url) => ({ CACHE_URL: url }),
  tiered: (url) => ({ CACHE_TYPE: "TieredCache", CACHE_REDIS_URL: url })
}

/** Required and optional tests passed by others, measured with the same commit of the suite. */
const others = [
  ["the rules of RFC 9111, kept faithfully", 159, 97],
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

const oneOf = (name, given, known) => {
  for (const one of given) {
    if (!(one in known)) throw new Error(`--${name} is one of ${Object.keys(known).join(", ")}, not ${one}`)
  }
  return given
}

/** Fetches the snapshot as npm has it, through npm's own cache, and unpacks it for this run. */
const fetchSnapshot = async ({ integrity, suite }) => {
  const npm = ["pack", suite, "--prefer-offline", "--loglevel=error", "--pack-destination", scratch]
  const patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000"]
  await run("npm", [...npm, ...patience], { cwd: scratch, minutes: 2 }).catch((error) => {
    const code = /code (E\w+)/.exec(error.message)?.[1] ?? error.message.split("\n")[0]
    throw new Error(`${suite} cannot be fetched from the registry of npm: ${code}`)
  })
  const archive = join(scratch, `${suite.replace("@", "-")}.tgz`)
  const found = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`
  if (found !== integrity) throw new Error(`${suite} is not what it was: ${found}`)
  await run("tar", ["xzf", archive, "-C", scratch], { minutes: 1 })
  return join(scratch, "package")
}

const serveOrigin = async (suite) => {
  const port = await freePort()
  const server = existsSync(join(suite, "test-engine")) ? "test-engine/server/server.mjs" : "server/server.mjs"
  const argv = ["--import", pathToFileURL(here("conformance/loopback.mjs")).href, server]
  await serve(port, process.execPath, argv, {
    cwd: suite,
    env: {
      ...process.env,
      npm_config_protocol: "http",
      npm_config_port: String(port),
      npm_config_pidfile: join(scratch, "origin.pid")
    }
  })
  return `http://127.0.0.1:${port}`
}

const serveRedis = async () => {
  const port = await freePort()
  const dir = join(scratch, "redis")
  mkdirSync(dir)
  const where = ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir]
  await serve(port, "redis-server", [...where, "--save", "", "--appendonly", "no"])
  return `redis://127.0.0.1:${port}`
}

/** The verdicts of the suite on the example, with a profile and a backend. */
const judge = async ({ backend, origin, profile, redis, suite }) => {
  const port = await freePort()
  const options = JSON.stringify({ ...profiles[profile], ...JSON.parse(args.options) })
  const env = Object.entries(process.env).filter(([name]) => !name.startsWith("CACHE_"))
  const stop = await serve(port, process.execPath, [
    here("../examples/proxy/.build/main.js"),
    origin,
    String(port),
    options
  ], { env: { ...Object.fromEntries(env), ...backends[backend](redis) } })
  const out = join(scratch, `${profile}-${backend}.json`)
  const client = [here("conformance/client.mjs"), suite, `http://127.0.0.1:${port}`, args.chunk, out]
  await run(process.execPath, ["--no-warnings", ...client], { minutes: 3 })
  await stop()
  const verdicts = JSON.parse(readFileSync(out, "utf8"))
  if (args.json !== undefined) {
    writeFileSync(`${args.json}.${profile}.${backend}.json`, JSON.stringify(verdicts, null, 1))
  }
  if (args.list) {
    for (const { detail, id, kind, verdict } of verdicts) {
      if (kind === "check" || verdict === "pass") continue
      const told = detail === undefined ? "" : `  (${detail})`
      console.log(`${profile}  ${backend}  ${kind.padEnd(8)}  ${verdict.padEnd(15)}  ${id}${told}`)
    }
  }
  return verdicts
}

/**
 * The verdicts of up to three runs. The lifetimes in the tests are seconds: on a machine that is busy with something
 * else one comes out late now and then, though not the same one.
 */
const judgeUntilExpected = async (expected, setting) => {
  let verdicts = await judge(setting)
  for (let tries = 1; tries < 3; tries++) {
    const again = unexpected(expected, verdicts)
    if (again.length === 0) break
    const some = again.length > 5 ? `${again.slice(0, 5).join(", ")} and ${again.length - 5} more` : again.join(", ")
    console.log(`${setting.profile} profile, ${setting.backend}: once more, for ${some}`)
    verdicts = settled(expected, verdicts, await judge(setting))
  }
  return verdicts
}

/** Compares the runs of the snapshot with the file of expected verdicts. */
const compare = (path, file, runs) => {
  const expected = args.update ? updated(file, runs[0].verdicts) : file
  if (args.update) writeFileSync(path, `${JSON.stringify(expected, undefined, 2)}\n`)
  const results = []
  for (const { name, verdicts } of runs) {
    const lines = differences(expected, verdicts)
    for (const line of lines) console.log(`${name}: ${line}`)
    const [required, optional] = ["required", "optimal"].map((kind) => count(verdicts, kind, "pass"))
    console.log(
      `${expected.suite}, ${name}: ${required} required and ${optional} optional passed; ` +
        `of ${verdicts.length} verdicts ${lines.length === 0 ? "all" : "not all"} are as expected`
    )
    for (let i = lines.length; i < verdicts.length; i++) results.push({ status: "passed" })
    results.push(...lines.map(() => ({ status: "failed" })))
  }
  if (args.results !== undefined) {
    writeFileSync(args.results, JSON.stringify({ testResults: [{ assertionResults: results }] }))
  }
  return results.every(({ status }) => status === "passed")
}

/** The rows of a checkout's run, and whether nothing failed that is required. */
const table = (runs) => {
  const rows = runs.map(({ name, verdicts }) => [
    `effect-caching, ${name}`,
    count(verdicts, "required", "pass"),
    count(verdicts, "optimal", "pass"),
    `${count(verdicts, "required", "fail")} required failed`,
    `${reused(verdicts).length} reused that must not be`,
    `${count(verdicts, "check", "yes")} checks yes`
  ])
  console.log("required  optional")
  for (const [name, required, optional, ...more] of [...rows, ...others]) {
    console.log(`${String(required).padStart(8)}  ${String(optional).padStart(8)}  ${[name, ...more].join(", ")}`)
  }
  return runs.every(({ verdicts }) => count(verdicts, "required", "fail") === 0 && reused(verdicts).length === 0)
}

const main = async () => {
  const isSnapshot = args.suite === undefined
  const path = args.expected ?? here("../test/http/conformance-0.4.5.json")
  const expected = JSON.parse(readFileSync(path, "utf8"))
  if (args.from !== undefined) {
    return compare(path, expected, [{ name: args.from, verdicts: JSON.parse(readFileSync(args.from, "utf8")) }])
  }
  const wanted = oneOf("backend", args.backend, backends)
  const chosen = oneOf("profile", args.profile ?? (isSnapshot ? ["snapshot"] : ["rfc", "default"]), profiles)
  const suite = isSnapshot ? await fetchSnapshot(expected) : resolve(args.suite)
  const origin = await serveOrigin(suite)
  const redis = wanted.every((backend) => backend === "memory") ? undefined : await serveRedis()
  const runs = []
  for (const profile of chosen) {
    for (const backend of wanted) {
      const setting = { backend, origin, profile, redis, suite }
      const isCompared = isSnapshot && !args.update
      const verdicts = await (isCompared ? judgeUntilExpected(expected, setting) : judge(setting))
      runs.push({ name: `${profile} profile, ${backend}`, verdicts })
    }
  }
  return isSnapshot ? compare(path, expected, runs) : table(runs)
}

await main().then(
  (isPassed) => process.exit(isPassed ? 0 : 1),
  (error) => {
    console.error(`conformance: ${error.message}`)
    process.exit(2)
  }
)
