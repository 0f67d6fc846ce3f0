/** `test_memcached_cache.py` of cachelib. */
import { assert } from "@effect/vitest"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { data, describeRows, each, type NotHere, onEveryStore } from "../support.js"
import * as Rows from "./rows.js"

const notHere: ReadonlyArray<NotHere<keyof typeof Rows.memcachedCache>> = [
  { row: "bool_roundtrip", reason: "a defect there: here they come back as they are, which the first test below says" },
  {
    row: "pool_enforces_capacity_and_blocking_waits_for_release",
    reason: "one connection carries all requests: there is no pool"
  },
  { row: "non_blocking_pool_raises_when_exhausted", reason: "one connection carries all requests: there is no pool" }
]

describeRows("test_memcached_cache.py", Rows.memcachedCache, notHere, () => {
  onEveryStore((test) => {
    test("true and false come back as true and false, and not as numbers", () =>
      Effect.gen(function*() {
        yield* Cache.setMany(data, [["yes", true], ["no", false]])
        assert.deepStrictEqual(yield* Cache.getMany(data, ["yes", "no"]), [Option.some(true), Option.some(false)])
      }))

    test("300 requests at once need no pool: each gets its own answer", () =>
      Effect.gen(function*() {
        yield* each(300, (i) => Cache.set(data, `k${i}`, i))
        const got = yield* each(300, (i) => Cache.get(data, `k${i}`))
        assert.deepStrictEqual(got, Array.from({ length: 300 }, (_, i) => Option.some(i)))
      }))
  })
})
