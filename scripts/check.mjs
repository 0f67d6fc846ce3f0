// Everything that is checked besides the tests. All steps run, and any failure fails the whole.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"

const bin = (path, ...args) => ["node", [`node_modules/${path}`, ...args]]
const tsc = (...args) => bin("typescript/bin/tsc", ...args)

const steps = [
  ["types", ...tsc("--pretty", "false")],
  ["format", ...bin("dprint/bin.cjs", "check")],
  ["import directions", "node", ["scripts/check-imports.mjs"]],
  ["examples in the docs", "node", ["scripts/check-examples.mjs"]],
  ["build", "npm", ["run", "--silent", "build"]],
  // After the build: the names that the benchmarks import are looked up in it.
  ["lint", ...bin("oxlint/bin/oxlint", "--deny-warnings")],
  // The benchmarks import what was built, and their packages are installed only where they are run.
  ...(existsSync("bench/node_modules") ? [["types of bench", ...tsc("-p", "bench", "--pretty", "false")]] : []),
  ["package exports", ...bin("publint/src/cli.js", "--strict")]
]

const failed = []
for (const [name, command, args] of steps) {
  const start = performance.now()
  const { stderr, stdout, status } = spawnSync(command, args, { encoding: "utf8" })
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  const output = (stdout + stderr).trimEnd()
  console.log(`${status === 0 ? "ok    " : "FAILED"} ${name} (${seconds} s)`)
  if (status !== 0) failed.push(name)
  if (output !== "" && (status !== 0 || name.startsWith("ex"))) console.log(output.replaceAll(/^/gm, "       "))
}
if (failed.length > 0) {
  console.error(`check failed: ${failed.join(", ")}`)
  process.exit(1)
}
