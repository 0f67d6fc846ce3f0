import { assert, describe, it } from "@effect/vitest"
import type { CacheBackend } from "effect-caching/Backend"
import { Conformance } from "effect-caching/testing"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
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

/** The first program of a page of the documentation. */
const programOf = (page: string) => /```ts\n([\s\S]*?)```/.exec(readFileSync(page, "utf8"))![1]!

describe("README", () => {
  it.effect("the first program loads twice when it is pasted and run", () =>
    Effect.gen(function*() {
      const program = programOf("README.md")
      assert.isAtMost(program.trim().split("\n").length, 20)
      const { stderr, stdout } = yield* run("readme", program)
      assert.strictEqual(stderr, "")
      assert.deepStrictEqual(stdout.trim().split("\n"), ["loading user 1", "loading user 1"])
    }), 20_000)
})

mkdirSync(".examples", { recursive: true })
writeFileSync(".examples/own-backend.ts", programOf("docs/backends.md"))
/** Not a literal: the types are checked before there is such a file. */
const file = "../.examples/own-backend.ts"
const own: { readonly layer: Layer.Layer<CacheBackend> } = await import(/* @vite-ignore */ file)

describe("docs/backends.md", () => {
  describe("the backend in ten lines", () => {
    Conformance.register({ describe, it }, own.layer)
  })
})

describe("docs/from-flask-caching.md", () => {
  /** Names of ours, as `Cache.get`, that are written between backticks. */
  const names = (text: string) =>
    [...text.matchAll(/`([^`]+)`/g)].flatMap(([, code]) => code!.match(/\b[A-Z]\w+\.[a-z]\w+/g) ?? [])

  it("every name in the tables is in a program that is compiled", () => {
    const page = readFileSync("docs/from-flask-caching.md", "utf8")
    const isCode = /```ts\n[\s\S]*?```/g
    const code = page.match(isCode)!.join("\n")
    const rows = page.replaceAll(isCode, "").split("\n").filter((line) => line.startsWith("| "))
    // The first cell is theirs.
    const ours = new Set(rows.flatMap((row) => names(row.split("|").slice(2).join("|"))))
    assert.isAbove(ours.size, 30)
    assert.deepStrictEqual([...ours].filter((name) => !new RegExp(`\\b${name}\\b`).test(code)), [])
  })
})
