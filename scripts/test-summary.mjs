// Prints "N passed, N failed" from the results vitest wrote as JSON; exits 1 for a failure and for no tests at all.
import { readFileSync } from "node:fs"

const read = () => {
  try {
    return JSON.parse(readFileSync(process.argv[2], "utf8"))
  } catch {
    return { testResults: [] }
  }
}

let passed = 0
let failed = 0
for (const { assertionResults, status } of read().testResults) {
  passed += assertionResults.filter((test) => test.status === "passed").length
  const failures = assertionResults.filter((test) => test.status === "failed").length
  // A file that could not be loaded fails without a test.
  failed += status === "failed" ? Math.max(failures, 1) : failures
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = passed > 0 && failed === 0 ? 0 : 1
