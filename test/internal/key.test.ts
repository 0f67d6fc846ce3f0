import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import * as PrimaryKey from "effect/PrimaryKey"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import * as Key from "../../src/internal/key.js"

class FindUser extends Schema.TaggedRequest<FindUser>()("FindUser", {
  failure: Schema.Never,
  success: Schema.String,
  payload: { id: Schema.Number, traceId: Schema.String }
}) {
  [PrimaryKey.symbol]() {
    return String(this.id)
  }
}

/** No two of these are equal. */
const different: ReadonlyArray<unknown> = [
  undefined,
  null,
  true,
  false,
  0,
  -0,
  1,
  NaN,
  Infinity,
  -Infinity,
  1n,
  "",
  "1",
  "true",
  "null",
  "undefined",
  "'",
  "#",
  [],
  [undefined],
  [null],
  [[]],
  ["a", "b"],
  ["a,b"],
  ["ab"],
  ["a", ["b"]],
  [1, 2],
  [12],
  ["1", 2],
  {},
  { a: undefined },
  { a: null },
  { a: 1 },
  { a: "1" },
  { a: { b: 1 } },
  { "a.b": 1 },
  { ab: 1 },
  new Date(0),
  new Date(NaN),
  new Date(0).toISOString(),
  new Map(),
  new Map([["a", 1]]),
  new Map([[1, "a"]]),
  new Set(),
  new Set(["a"]),
  new Set([1]),
  new Uint8Array(0),
  new Uint8Array([1, 2]),
  new Uint16Array([1, 2]),
  new Uint8Array([1, 2]).buffer,
  new URL("https://example.org/a"),
  "https://example.org/a",
  Option.none(),
  Option.some(1),
  Option.some("1"),
  Option.some(undefined),
  Chunk.make(1, 2),
  HashSet.make(1, 2),
  HashMap.make(["a", 1]),
  Data.tuple(1, 3),
  Duration.seconds(1),
  DateTime.unsafeMake(0),
  new FindUser({ id: 1, traceId: "x" }),
  new FindUser({ id: 2, traceId: "x" })
]

describe("Key", () => {
  it("law 7: unequal arguments give unequal keys", () => {
    const seen = new Map<string, unknown>()
    for (const value of different) {
      const key = Key.encode(value)
      assert.isFalse(seen.has(key), `${key} stands for two values`)
      seen.set(key, value)
    }
  })

  it("law 7: unequal arguments give unequal keys, whatever they hold", () => {
    const value = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true })
    fc.assert(
      fc.property(value, value, (a, b) => {
        let keys: [string, string]
        try {
          keys = [Key.encode(a), Key.encode(b)]
        } catch (error) {
          assert.instanceOf(error, Key.UnsupportedKey)
          return
        }
        // fast-check's own notion of equality: `fc.stringify` prints a value with its types.
        if (keys[0] === keys[1]) assert.deepStrictEqual(sorted(a), sorted(b))
      }),
      { numRuns: 2_000 }
    )
  })

  it("law 7: equal arguments give equal keys in every release", () => {
    assert.deepStrictEqual(
      [
        "ada",
        42,
        -0,
        10n,
        [1, "ada", true],
        { name: "ada", id: 1 },
        new Map([["b", 1], ["a", 2]]),
        new Set([2, 1]),
        new Date(86_400_000),
        new Uint8Array([255, 0]),
        new FindUser({ id: 1, traceId: "t" })
      ].map(Key.encode),
      [
        "'ada",
        "42;",
        "-0;",
        "10n",
        "[1;3'adaT]",
        "{2'id1;4'name3'ada}",
        "M[1'a2;1'b1;]",
        "S[1;2;]",
        "D86400000;",
        "BUint8Array'/wA=;",
        "P8'FindUser1'1"
      ]
    )
  })

  it("takes the fields of an object in any order", () => {
    assert.strictEqual(Key.encode({ a: 1, b: { c: 2, d: 3 } }), Key.encode({ b: { d: 3, c: 2 }, a: 1 }))
    assert.strictEqual(Key.encode(new Set(["a", "b"])), Key.encode(new Set(["b", "a"])))
    assert.strictEqual(Key.encode(HashMap.make(["a", 1], ["b", 2])), Key.encode(HashMap.make(["b", 2], ["a", 1])))
  })

  it("takes a value by its primary key", () => {
    assert.strictEqual(
      Key.encode(new FindUser({ id: 1, traceId: "a" })),
      Key.encode(new FindUser({ id: 1, traceId: "b" }))
    )
  })

  it("does not change when a date was looked at", () => {
    const date = DateTime.unsafeMake(0)
    const before = Key.encode(date)
    DateTime.toPartsUtc(date)
    assert.strictEqual(Key.encode(date), before)
  })

  it("hashes what is longer than the bound", () => {
    const long = Key.encode("x".repeat(Key.maxLength))
    assert.strictEqual(long.length, 44)
    assert.notStrictEqual(long, Key.encode("x".repeat(Key.maxLength + 1)))
    assert.strictEqual(Key.encode("x".repeat(Key.maxLength - 1)), `'${"x".repeat(Key.maxLength - 1)}`)
  })

  it("refuses what cannot be part of a key, and says where it stands", () => {
    const cycle: Array<unknown> = []
    cycle.push(cycle)
    let deep: unknown = 1
    for (let i = 0; i < 300; i++) deep = [deep]
    const cases: ReadonlyArray<[unknown, string]> = [
      [{ user: { f: () => 1 } }, "a function at $.user.f"],
      [[1, Symbol("s")], "a symbol at $[1]"],
      [cycle, "a cycle at $[0]"],
      [deep, "nested deeper than 200 levels"],
      ["\ud800", "a string with a lone surrogate at $"],
      [{ "\udfff": 1 }, "a string with a lone surrogate at $"],
      [new Error("x"), "an instance of Error at $"],
      [Effect.sync(() => 1), "an effect at $"],
      [Promise.resolve(), "an instance of Promise at $"],
      [Redacted.make("secret"), "a redacted value at $"],
      [Option.some(Redacted.make("secret")), "a redacted value at $.value"]
    ]
    for (const [value, message] of cases) {
      assert.throws(() => Key.encode(value), message)
    }
  })

  it("gives no name a share that begins with another's", () => {
    const names = ["a", "a:b", "a%3Ab", "a:", ":", "~lock", "ab"]
    const prefixes = names.map(Key.prefixOf)
    for (const [i, one] of prefixes.entries()) {
      assert.isFalse(one.startsWith("~"))
      for (const [j, other] of prefixes.entries()) assert.isTrue(i === j || !one.startsWith(other))
    }
  })
})

/** The value with all that has no order put in order, and bytes by their type. */
const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (value instanceof Map) return ["Map", Array.from(value, sorted).map((_) => fc.stringify(_)).sort()]
  if (value instanceof Set) return ["Set", Array.from(value, sorted).map((_) => fc.stringify(_)).sort()]
  if (typeof value !== "object" || value === null || value instanceof Date || ArrayBuffer.isView(value)) return value
  return Object.keys(value).sort().map((key) => [key, sorted((value as Record<string, unknown>)[key])])
}
