import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import * as CachelibRows from "./cachelib/rows.js"
import * as Defects from "./defects.js"
import * as Rows from "./rows.js"

const count = (tables: Readonly<Record<string, object>>) =>
  Object.values(tables).reduce((sum, rows) => sum + Object.keys(rows).length, 0)

/** What the test files of a folder say. */
const tests = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".test.ts") && name !== "rows.test.ts")
    .map((name) => readFileSync(`${folder}/${name}`, "utf8"))

describe("the rows", () => {
  it("are the 189 tests of Flask-Caching and what its type tests say, and the 82 of cachelib", () => {
    const { memoizeTyping, ...run } = Rows
    assert.deepStrictEqual([count(run), count({ memoizeTyping }), count(CachelibRows)], [189, 3, 82])
  })

  it("are all told of: each table is given to a file of tests", () => {
    for (const [folder, tables] of [["test/flask", Rows], ["test/flask/cachelib", CachelibRows]] as const) {
      const texts = tests(folder)
      for (const name of Object.keys(tables)) {
        assert.isTrue(texts.some((text) => new RegExp(`\\bRows\\.${name}\\b`).test(text)), `${folder}: ${name}`)
      }
    }
    const texts = tests("test/flask")
    for (const name of Object.keys(Defects)) assert.isTrue(texts.some((text) => text.includes(`, ${name}, `)), name)
  })

  it("number the defects without a gap", () => {
    const numbers = Object.values(Defects).flatMap((rows) => Object.keys(rows))
    assert.deepStrictEqual(numbers, Array.from({ length: 60 }, (_, i) => `D${i + 1}`))
  })
})
