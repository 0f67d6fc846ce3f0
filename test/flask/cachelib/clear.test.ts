/** `clear.py` of cachelib. */
import { assert } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { data, describeRows, mixed, onEveryStore } from "../support.js"
import * as Rows from "./rows.js"

describeRows("clear.py", Rows.clear, [], (row) => {
  onEveryStore((test) => {
    test(row("clear"), () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, mixed)
        yield* Cache.clear(data)
        assert.isTrue((yield* Cache.getMany(data, mixed.map(([key]) => key))).every(Option.isNone))
      }))

    test("and nothing of another cache, though its name begins alike; a second time clears nothing, and is no error", () =>
      Effect.gen(function*() {
        const other = Cache.make({ name: "data2", schema: Schema.Number, timeToLive: "1 minute" })
        yield* Cache.setMany(data, mixed)
        yield* Cache.set(other, "k", 1)
        yield* Cache.clear(data)
        yield* Cache.clear(data)
        assert.isFalse(yield* Cache.has(data, "text"))
        assert.isTrue(yield* Cache.has(other, "k"))
      }))
  })
})
