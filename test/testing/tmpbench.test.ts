import { it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Effect from "effect/Effect"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
const store = (): Backend.Bytes => { const map = new Map<string, Uint8Array>()
  const step = <A>(f: () => A) => Effect.yieldNow().pipe(Effect.zipRight(Effect.sync(f)), Effect.zipLeft(Effect.yieldNow()))
  return { get: (key) => step(() => Option.fromNullable(map.get(key))), set: (key, bytes) => step(() => void map.set(key, bytes)),
    add: (key, bytes) => step(() => !map.has(key) && !!map.set(key, bytes)), remove: (key) => step(() => map.delete(key)), clear: () => Effect.void } }
for (const isShared of [false, true]) for (const n of [100, 1000, 2000])
it.live(`${isShared} ${n}`, () => Effect.scoped(Effect.gen(function*() {
  const b = yield* Backend.fromBytes({ name: "m", isShared }, store())
  const t = performance.now()
  yield* Effect.all(Array.from({ length: n }, () => b.increment("a", 1, Duration.minutes(1))), { concurrency: "unbounded" })
  const t2 = performance.now()
  yield* Effect.all(Array.from({ length: n }, (_, i) => b.increment("a"+i, 1, Duration.minutes(1))), { concurrency: "unbounded" })
  console.log(isShared, n, Math.round(t2 - t), "distinct", Math.round(performance.now() - t2))
})), 100000)
