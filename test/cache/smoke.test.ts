import { assert, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const users = Cache.make({
  name: "user",
  schema: Schema.Struct({ id: Schema.Number, name: Schema.String }),
  key: (id: number) => id,
  timeToLive: "1 minute",
  tags: (user) => [`user:${user.id}`]
})

for (const storage of ["values", "bytes"] as const) {
  it.effect(`loads once (${storage})`, () =>
    Effect.gen(function*() {
      let loads = 0
      const find = (id: number) => Cache.getOrSet(users, id, Effect.sync(() => ({ id, name: `n${++loads}` })))
      assert.deepStrictEqual(yield* find(1), { id: 1, name: "n1" })
      assert.deepStrictEqual(yield* find(1), { id: 1, name: "n1" })
      const all = yield* Effect.all(Array.from({ length: 100 }, () => find(2)), { concurrency: "unbounded" })
      assert.strictEqual(loads, 2)
      assert.strictEqual(all.length, 100)
      yield* Cache.invalidateTags(["user:1"])
      assert.deepStrictEqual(yield* find(1), { id: 1, name: "n3" })
      yield* Cache.invalidate(users, 1)
      assert.deepStrictEqual(yield* find(1), { id: 1, name: "n4" })
      yield* Cache.clear(users)
      assert.deepStrictEqual(yield* find(1), { id: 1, name: "n5" })
      assert.deepStrictEqual(yield* find(1), { id: 1, name: "n5" })
    }).pipe(Effect.provide(Memory.layer({ storage }))))
}
