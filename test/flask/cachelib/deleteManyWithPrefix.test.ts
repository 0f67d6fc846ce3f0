/** `delete_many_with_prefix.py` of cachelib. */
import { assert } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { data, describeRows, onEveryStore } from "../support.js"
import * as Rows from "./rows.js"

describeRows("delete_many_with_prefix.py", Rows.deleteManyWithPrefix, [], (row) => {
  onEveryStore((test) => {
    test(row("delete_many_with_prefix"), () =>
      Effect.gen(function*() {
        const whole = yield* Backend.CacheBackend
        const part = yield* Backend.prefixed(whole, "part/")
        const inPart = Effect.provideService(Backend.CacheBackend, part)
        yield* Cache.setMany(data, [["a", 1], ["b", 2]])
        yield* inPart(Cache.setMany(data, [["a", 3], ["b", 4], ["c", 5]]))
        assert.strictEqual(yield* inPart(Cache.invalidateMany(data, ["a", "b", "missing"])), 2)
        assert.deepStrictEqual(yield* inPart(Cache.getMany(data, ["a", "b", "c"])), [
          Option.none(),
          Option.none(),
          Option.some(5)
        ])
        assert.deepStrictEqual(yield* Cache.getMany(data, ["a", "b"]), [Option.some(1), Option.some(2)])
      }))
  })
})
