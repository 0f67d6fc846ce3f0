import { assert, describe, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { tour } from "../../examples/flask-caching-tour/main.js"

describe("examples/flask-caching-tour", () => {
  it.live("prints what is written beside it", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const log = (...texts: ReadonlyArray<unknown>) => void lines.push(texts.join(" "))
      const console = yield* Console.consoleWith(Effect.succeed)
      yield* Effect.withConsole(tour, { ...console, log: (...texts) => Effect.sync(() => log(...texts)) })
      const expected = readFileSync("examples/flask-caching-tour/output.txt", "utf8")
      assert.strictEqual(`${lines.join("\n")}\n`, expected)
    }))
})
