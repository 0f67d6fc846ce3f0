import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Cleared from "../../src/internal/cleared.js"

let versions = 0
const newVersion = () => `v${String(versions++).padStart(11, "0")}`
const fresh = (): Cleared.Directory => ({ root: newVersion(), cleared: [] })

/** Texts that often begin with one another. */
const text = FastCheck.array(FastCheck.constantFrom("a", "b", ":", "1", "é", "😀", "😁"), { maxLength: 6 })
  .map((parts) => parts.join(""))

describe("cleared prefixes", () => {
  it("change the generation of their keys and of no others, while there is room", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(text, { maxLength: 20 }),
        FastCheck.array(text, { minLength: 1 }),
        (prefixes, keys) => {
          let directory = fresh()
          for (const prefix of prefixes) {
            const next = Cleared.clear(directory, prefix, newVersion, 100_000)
            for (const key of keys) {
              const isSame = Cleared.generationOf(directory, key) === Cleared.generationOf(next, key)
              assert.strictEqual(isSame, !key.startsWith(prefix), `${JSON.stringify(key)} ${JSON.stringify(prefix)}`)
            }
            directory = next
          }
        }
      )
    )
  })

  it("never give a key a generation that it had before, however little room there is", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(text, { maxLength: 60 }),
        FastCheck.array(text, { minLength: 1 }),
        FastCheck.integer({ min: 40, max: 400 }),
        (prefixes, keys, maxBytes) => {
          let directory = fresh()
          const before = keys.map(() => new Set<string>())
          for (const prefix of prefixes) {
            keys.forEach((key, index) => before[index]!.add(Cleared.generationOf(directory, key)))
            const next = Cleared.clear(directory, prefix, newVersion, maxBytes)
            assert.isAtMost(Cleared.encode(next).length, maxBytes)
            keys.forEach((key, index) => {
              const now = Cleared.generationOf(next, key)
              if (key.startsWith(prefix)) assert.isFalse(before[index]!.has(now))
              else if (now !== Cleared.generationOf(directory, key)) assert.isFalse(before[index]!.has(now))
            })
            directory = next
          }
        }
      )
    )
  })

  it("cost the neighbours first when there is no more room", () => {
    let directory = fresh()
    for (let index = 0; index < 1_000; index++) {
      directory = Cleared.clear(directory, `page:${index}/`, newVersion, 2_000)
    }
    const elsewhere = Cleared.generationOf(directory, "user:1")
    assert.strictEqual(elsewhere, directory.root)
    directory = Cleared.clear(directory, "x".repeat(5_000), newVersion, 2_000)
    assert.strictEqual(Cleared.generationOf(directory, "user:1"), elsewhere)
  })

  it("come back from their bytes, and from no others", () => {
    const directory = Cleared.clear(Cleared.clear(fresh(), "a\"\n😀", newVersion, 1_000), "b", newVersion, 1_000)
    assert.deepStrictEqual(Cleared.decode(Cleared.encode(directory)), directory)
    for (const bytes of ["", "x", "{}", "[]", "[1]", "[\"a\",[\"b\"]]", "[\"a\",[1,2]]", "null"]) {
      assert.isUndefined(Cleared.decode(Buffer.from(bytes)), bytes)
    }
  })
})
