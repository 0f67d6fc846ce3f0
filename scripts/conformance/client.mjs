// Runs the tests of a suite: `node client.mjs SUITE BASE CHUNK OUT` writes their verdicts to OUT. The suite keeps its
// results in its modules, so that each run needs a process of its own.
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const [suite, base, chunk, out] = process.argv.slice(2)
const isCheckout = existsSync(join(suite, "test-engine"))
const load = (path) => import(pathToFileURL(join(suite, path)).href)

const { getResults, runTests } = await load(`${isCheckout ? "test-engine/" : ""}client/runner.mjs`)
const { determineTestResult } = await load(isCheckout ? "test-engine/lib/results.mjs" : "lib/display.mjs")
const { default: suites } = await load("tests/index.mjs")

/** The snapshot is made for node-fetch, which knows no modes of caching and waits for ever. */
const patient = (url, { cache: _cache, ...init } = {}) => fetch(url, { ...init, signal: AbortSignal.timeout(10_000) })

console.error = () => {}
if (isCheckout) {
  await runTests(suites, false, base, Number(chunk))
} else {
  suites.push((await load("tests/surrogate-control.mjs")).default)
  await runTests(suites, patient, false, base, Number(chunk))
}

/** The names of verdicts, by their sign in the suite's reports. */
const names = new Map([
  ["-", "untested"],
  ["✅", "pass"],
  ["⛔️", "fail"],
  ["⚠️", "optional_fail"],
  ["Y", "yes"],
  ["N", "no"],
  ["🔹", "setup_fail"],
  ["⁉️", "harness_fail"],
  ["⚪️", "dependency_fail"],
  ["↻", "retry"]
])
const results = getResults()
const verdicts = suites.flatMap(({ id: group, tests }) =>
  tests.filter((test) => test.browser_only !== true).map(({ id, kind = "required" }) => ({
    group,
    id,
    kind,
    verdict: names.get(determineTestResult(suites, id, results)[2]),
    detail: Array.isArray(results[id]) ? results[id].join(": ") : undefined
  }))
)
writeFileSync(out, JSON.stringify(verdicts))
process.exit(0)
