import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Entry from "../../src/internal/entry.js"

const header = fc.record({
  isFailure: fc.boolean(),
  codec: fc.string({ unit: "grapheme" }),
  instants: fc.array(fc.oneof(fc.double({ noNaN: true }), fc.constant(Infinity)), { minLength: 4, maxLength: 4 }),
  tags: fc.array(
    fc.record({
      tag: fc.string({ unit: "grapheme" }),
      hard: fc.hexaString({ maxLength: 20 }),
      soft: fc.hexaString({ maxLength: 20 })
    })
  ),
  payload: fc.uint8Array()
})

type Header = typeof header extends fc.Arbitrary<infer A> ? A : never

const entryOf = ({ codec, instants, isFailure, payload, tags }: Header) =>
  new Entry.Entry(isFailure, codec, instants[0]!, instants[1]!, instants[2]!, instants[3]!, tags, undefined, payload)

const simple = new Entry.Entry(
  false,
  "json:x",
  1,
  2,
  3,
  4,
  [{ tag: "user:1", hard: "a", soft: "b" }],
  undefined,
  new Uint8Array([1, 2, 3])
)

describe("Entry", () => {
  it("comes back from its envelope as it was", () => {
    fc.assert(fc.property(header, (header) => {
      const entry = entryOf(header)
      assert.deepStrictEqual({ ...Entry.decode(Entry.encode(entry)) }, {
        ...entry,
        bytes: new Uint8Array(entry.bytes!)
      })
    }))
  })

  it("law 5: an envelope with any bit flipped is a miss", () => {
    const envelope = Entry.encode(simple)
    for (let bit = 0; bit < envelope.length * 8; bit++) {
      const flipped = envelope.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      const decoded = Entry.decode(flipped)
      // The flag that says there is a checksum is the one bit that nothing guards: without it the rest is unchanged.
      if (decoded !== undefined) assert.deepStrictEqual({ ...decoded }, { ...simple, isFailure: decoded.isFailure })
    }
  })

  it("law 5: a truncated or lengthened envelope is a miss", () => {
    const envelope = Entry.encode(simple)
    for (let length = 0; length < envelope.length; length++) {
      assert.isUndefined(Entry.decode(envelope.subarray(0, length)))
    }
    assert.isUndefined(Entry.decode(new Uint8Array([...envelope, 0])))
  })

  it("law 5: foreign bytes are a miss", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => assert.isUndefined(Entry.decode(bytes))))
  })

  it("law 5: another format version is a miss", () => {
    const envelope = Entry.encode(simple)
    envelope[3] = 2
    assert.isUndefined(Entry.decode(envelope))
  })

  it("does not share memory with the envelope it was read from", () => {
    for (const envelope of [Entry.encode(simple), Buffer.from(Entry.encode(simple))]) {
      const entry = Entry.decode(envelope)!
      envelope.fill(0)
      assert.deepStrictEqual(entry.bytes, new Uint8Array([1, 2, 3]))
    }
  })

  it("reads a number from its text, and nothing else", () => {
    const numberOf = (text: string) => Entry.numberOf(new TextEncoder().encode(text))
    assert.deepStrictEqual(["0", "-5", "9007199254740991"].map(numberOf), [0, -5, Number.MAX_SAFE_INTEGER])
    for (const text of ["", "1.5", "9007199254740993", "1e3", " 1", "0x10", "NaN", "\"1\""]) {
      assert.isUndefined(numberOf(text))
    }
  })
})
