import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"

/** The output of a program of the documentation, run as it stands. */
const run = (name: string, program: string) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      mkdirSync(".examples", { recursive: true })
      const file = `.examples/run-${name}.ts`
      writeFileSync(file, program)
      return file
    }),
    (file) =>
      Effect.sync(() =>
        spawnSync(process.execPath, ["node_modules/vite-node/vite-node.mjs", "--config", "vitest.config.ts", file], {
          encoding: "utf8"
        })
      ),
    (file) => Effect.sync(() => rmSync(file, { force: true }))
  )

describe("README", () => {
  it.effect("the first program loads twice when it is pasted and run", () =>
    Effect.gen(function*() {
      const readme = readFileSync("README.md", "utf8")
      const program = /```ts\n([\s\S]*?)```/.exec(readme)![1]!
      assert.isAtMost(program.trim().split("\n").length, 20)
      const { stderr, stdout } = yield* run("readme", program)
      assert.strictEqual(stderr, "")
      assert.deepStrictEqual(stdout.trim().split("\n"), ["loading user 1", "loading user 1"])
    }), 20_000)
})
