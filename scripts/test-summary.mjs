// Prints "N passed, N failed" from results in vitest's JSON, of one or more files; exits 1 for a failure and where a
// file has no tests at all.
import { readFileSync } from "node:fs"

const read = (path) => {
  try {
    return JSON.parse(readFileSync(path, "utf8")).testResults
  } catch {
    return []
  }
}

let passed = 0
let failed = 0
const files = process.argv.slice(2).map(read)
for (const { assertionResults, status } of files.flat()) {
  passed += assertionResults.filter((test) => test.status === "passed").length
  const failures = assertionResults.filter((test) => test.status === "failed").length
  // A file that could not be loaded fails without a test.
  failed += status === "failed" ? Math.max(failures, 1) : failures
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = passed > 0 && failed === 0 && files.every((results) => results.length > 0) ? 0 : 1
