#!/usr/bin/env node
/**
 * What `effect-caching` runs. The packages of the command line are optional peers:
 * where one is missing, it says what to install.
 */
const packages = "@effect/cli@0.76 @effect/printer@0.50 @effect/printer-ansi@0.50 @effect/platform-node@0.108"

try {
  const { run } = await import("./app.js")
  run(process.argv)
} catch (error) {
  const missing = /^Cannot find package '([^']+)'/.exec(error instanceof Error ? error.message : "")?.[1]
  if (missing === undefined) throw error
  process.stderr.write(`effect-caching: ${missing} is not installed: npm install ${packages}\n`)
  process.exitCode = 4
}
