import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const src = fileURLToPath(new URL("./src", import.meta.url))
/** A file that gets the results as JSON besides the report on the terminal. */
const results = process.env["TEST_RESULTS"]

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-caching$/, replacement: `${src}/index.ts` },
      { find: /^effect-caching\/testing$/, replacement: `${src}/testing/index.ts` },
      { find: /^effect-caching\/(.*)$/, replacement: `${src}/$1.ts` }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    // `npm run check` reports type errors elsewhere.
    typecheck: { enabled: true, include: ["test/**/*.test-d.ts"], ignoreSourceErrors: true },
    globalSetup: "test/support/globalSetup.ts",
    setupFiles: "test/support/setup.ts",
    testTimeout: 20_000,
    hookTimeout: 60_000,
    minWorkers: 1,
    maxWorkers: 2,
    reporters: [
      "default",
      "./test/support/conformanceReporter.ts",
      ...(results === undefined ? [] : [["json", { outputFile: results }] as [string, Record<string, unknown>]])
    ]
  }
})
