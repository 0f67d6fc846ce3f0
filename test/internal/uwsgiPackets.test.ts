import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { encode, type Packet, PacketReader } from "../../src/internal/uwsgi/packets.js"

const pairs = FastCheck.uniqueArray(
  FastCheck.tuple(FastCheck.string({ maxLength: 20 }), FastCheck.uint8Array({ maxLength: 300 })),
  { maxLength: 8, selector: ([name]) => Buffer.from(name, "latin1").toString("latin1") }
).map((all) => all.filter(([name]) => Buffer.from(name, "latin1").toString("latin1") !== "size"))
const body = FastCheck.uint8Array({ maxLength: 2_000 })
const cuts = FastCheck.array(FastCheck.nat(3_000), { maxLength: 10 })

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1")

/** Feeds the reader with `bytes`, cut at these places. */
const read = (bytes: Uint8Array, cuts: ReadonlyArray<number>): Packet | "foreign" | undefined => {
  const reader = new PacketReader()
  const places = [0, ...[...cuts].sort((a, b) => a - b).filter((cut) => cut < bytes.length), bytes.length]
  for (let index = 1; index < places.length; index++) {
    const read = reader.push(bytes.subarray(places[index - 1], places[index]))
    if (read !== undefined) return read
  }
  return undefined
}

describe("packets of uwsgi", () => {
  it("come back as they were, however they are cut and whatever follows", () => {
    FastCheck.assert(
      FastCheck.property(pairs, body, cuts, FastCheck.uint8Array({ maxLength: 5 }), (pairs, body, cuts, rest) => {
        const bytes = encode([...pairs, ["size", String(body.length)]], body)
        const packet = read(Buffer.concat([bytes, rest]), cuts)
        if (packet === undefined || packet === "foreign") return assert.fail(String(packet))
        assert.deepStrictEqual(
          [...packet.pairs],
          [...pairs.map(([name, value]) => [latin1(Buffer.from(name, "latin1")), latin1(value)]), [
            "size",
            String(body.length)
          ]]
        )
        assert.strictEqual(Buffer.compare(packet.body, body), 0)
      })
    )
  })

  it("are not there before their last byte", () => {
    FastCheck.assert(
      FastCheck.property(pairs, body, cuts, FastCheck.nat(), (pairs, body, cuts, at) => {
        const bytes = encode([...pairs, ["size", String(body.length)]], body)
        assert.strictEqual(read(bytes.subarray(0, at % bytes.length), cuts), undefined)
      })
    )
  })

  it("are never made of bytes that are none", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.uint8Array({ maxLength: 500 }), cuts, (bytes, cuts) => {
        const packet = read(bytes, cuts)
        if (packet !== undefined && packet !== "foreign") {
          assert.strictEqual(bytes[0], 111)
          assert.strictEqual(bytes[3], 17)
        }
      })
    )
    const wrong: Record<string, ReadonlyArray<number>> = {
      "another modifier": [110, 0, 0, 17],
      "an answer to something else": [111, 0, 0, 7],
      "a name beyond the end": [111, 3, 0, 17, 9, 0, 97],
      "a value beyond the end": [111, 6, 0, 17, 1, 0, 97, 9, 0, 98],
      "a name without a value": [111, 3, 0, 17, 1, 0, 97],
      "text": [...Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")]
    }
    for (const [what, bytes] of Object.entries(wrong)) {
      assert.strictEqual(new PacketReader().push(Uint8Array.from(bytes)), "foreign", what)
    }
    for (const size of ["-1", "1.5", "", "x", "1e3", "99999999999999999999"]) {
      assert.strictEqual(new PacketReader().push(encode([["size", size]])), "foreign", size)
    }
  })

  it("are those that uWSGI sends and understands", () => {
    assert.strictEqual(
      encode([["cmd", "get"], ["key", "foo"], ["cache", "lab"]]).toString("hex"),
      "6f200011" + "0300636d64" + "0300676574" + "03006b6579" + "0300666f6f" + "05006361636865" + "03006c6162"
    )
    const answer = Buffer.from("6f1500110600737461747573" + "02006f6b" + "040073697a65" + "010033" + "626172", "hex")
    assert.deepStrictEqual(new PacketReader().push(answer), {
      pairs: new Map([["status", "ok"], ["size", "3"]]),
      body: new Uint8Array(Buffer.from("bar"))
    })
  })

  it("are refused where a part is too long for them", () => {
    assert.throws(() => encode([["key", "k".repeat(65_536)]]), RangeError)
    assert.throws(() => encode([["a", "k".repeat(40_000)], ["b", "k".repeat(40_000)]]), RangeError)
  })
})
