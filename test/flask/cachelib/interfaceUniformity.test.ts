/** `test_interface_uniformity.py` of cachelib. */
import { assert } from "@effect/vitest"
import { type Backend, CacheBackend } from "effect-caching/Backend"
import * as Effect from "effect/Effect"
import { describeRows, onEveryStore } from "../support.js"
import * as Rows from "./rows.js"

/** Typed: an operation that the contract gets, and this list lacks, does not compile. What a store may lack is not in it. */
const operations: Record<
  NonNullable<{ [K in keyof Backend]: Backend[K] extends Function ? K : never }[keyof Backend]>,
  true
> = {
  get: true,
  getMany: true,
  set: true,
  setMany: true,
  add: true,
  has: true,
  remove: true,
  removeMany: true,
  increment: true,
  clear: true,
  lease: true,
  renew: true,
  fill: true,
  tagVersions: true,
  refreshTags: true,
  invalidateTags: true,
  tagInStore: true
}

describeRows("test_interface_uniformity.py", Rows.interfaceUniformity, [], (row) => {
  onEveryStore((test) => {
    test(row("types_have_all_base_methods"), () =>
      Effect.map(CacheBackend, (backend) => {
        for (const name of Object.keys(operations) as Array<keyof typeof operations>) {
          assert.isFunction(backend[name], name)
        }
        assert.isTrue(Effect.isEffect(backend.tagEpoch))
      }))
  })
})
