/** `has.py` of cachelib. */
import { assert } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import { data, describeRows, mixed, onEveryStore } from "../support.js"
import * as Rows from "./rows.js"

describeRows("has.py", Rows.has, [], (row) => {
  onEveryStore((test) => {
    test(row("has"), () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, mixed)
        for (const [key] of mixed) assert.isTrue(yield* Cache.has(data, key))
        assert.isFalse(yield* Cache.has(data, "unknown"))
      }))
  })
})
