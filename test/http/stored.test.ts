import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import * as Stored from "../../src/internal/http/stored.js"
import { askApp, storeOf } from "./support.js"

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

describe("T30: what is no entry of the URL", () => {
  const page = HttpServerResponse.text("page", { headers: { "cache-control": "max-age=60", vary: "X-Kind" } })
  const ofKey = (store: Map<string, Uint8Array>) => Array.from(store.keys()).filter((key) => key.includes("/a"))

  for (
    const [what, changed] of [
      ["random bytes", (bytes: Uint8Array) => bytes.map((_, i) => (i * 167 + 13) % 256)],
      ["bytes that end early", (bytes: Uint8Array) => bytes.slice(0, bytes.length >> 1)],
      ["no bytes", () => new Uint8Array(0)],
      [
        "an entry in another form",
        (bytes: Uint8Array) =>
          Uint8Array.from(
            Buffer.from(Buffer.from(bytes).toString("latin1").replaceAll(Stored.format, "http:3"), "latin1")
          )
      ]
    ] as const
  ) {
    it.effect(`is a miss: ${what}`, () => {
      const store = new Map<string, Uint8Array>()
      return Effect.gen(function*() {
        let runs = 0
        const app = HttpCache.middleware()(Effect.sync(() => HttpServerResponse.setHeader(page, "x-runs", `${++runs}`)))
        const ask = Effect.map(
          askApp(app, "/a", {}),
          ({ headers, status }) => [status, headers["x-runs"], headers["cache-status"]!.split(";")[1]]
        )
        yield* ask
        assert.deepStrictEqual(yield* ask, [200, "1", " hit"])
        assert.strictEqual(ofKey(store).length, 2)
        for (const key of ofKey(store)) {
          assert.notDeepEqual(changed(store.get(key)!), store.get(key))
          store.set(key, changed(store.get(key)!))
        }
        assert.deepStrictEqual(yield* ask, [200, "2", " fwd=uri-miss"])
        assert.deepStrictEqual(yield* ask, [200, "2", " hit"])
      }).pipe(Effect.provide(storeOf(store)))
    })
  }
})
