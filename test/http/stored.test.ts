import { assert, describe, it } from "@effect/vitest"
import * as Stored from "../../src/internal/http/stored.js"

const answer: Stored.Answer = {
  _tag: "Answer",
  generation: "g",
  variant: "v",
  status: 200,
  statusText: undefined,
  headers: { "content-type": "text/plain", "x-ä": "ü" },
  setCookies: ["a=1; Path=/"],
  body: new Uint8Array([0, 255, 128]),
  forms: [{ coding: "gzip", body: new Uint8Array([1, 2]) }],
  receivedAt: 1,
  initialAgeMillis: 2,
  lifetimeMillis: 3,
  isShared: true,
  isForAuthorized: false,
  mustValidate: false,
  validating: { "if-none-match": "\"a\"" },
  whileRevalidateMillis: 4,
  ifErrorMillis: 5,
  mayBeStale: true,
  tags: []
}
const variance: Stored.Variance = { _tag: "Variance", generation: "g", names: ["accept"], lifetimeMillis: 5, tags: [] }

describe("what is stored for a URL", () => {
  it("comes back from its bytes", () => {
    const { generation: _, ...without } = answer
    for (
      const stored of [answer, { ...answer, body: undefined }, { ...answer, body: new Uint8Array(0) }, {
        ...without,
        generation: undefined
      }, variance]
    ) {
      assert.deepStrictEqual(Stored.decode(Stored.encode(stored)), stored)
    }
  })

  it("does not come from other bytes", () => {
    const bytes = Stored.encode(answer)
    for (let length = 0; length < bytes.length - 3; length++) assert.isUndefined(Stored.decode(bytes.slice(0, length)))
    for (const text of ["", "{}", "null", "[]", "{\"_tag\":\"Answer\"}", "{\"_tag\":\"Variance\",\"generation\":1}"]) {
      const head = new TextEncoder().encode(text)
      const made = new Uint8Array(4 + head.length)
      new DataView(made.buffer).setUint32(0, head.length, true)
      made.set(head, 4)
      assert.isUndefined(Stored.decode(made), text)
    }
  })
})
