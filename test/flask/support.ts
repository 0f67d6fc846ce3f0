/**
 * The tests of Flask-Caching, told anew from one-line statements of what each of
 * them asserts: on Memory, and on Redis.
 */
import { describe, it } from "@effect/vitest"
import type { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Memoize from "effect-caching/Memoize"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { redisForFile } from "../support/overBackends.js"

type Body = () => Effect.Effect<void, unknown, CacheBackend | Scope.Scope>

export const onMemoryAndRedis = (define: (test: (title: string, body: Body) => void) => void): void => {
  const redis = redisForFile()
  let count = 0
  const kinds = { Memory: Memory.layer(), Redis: Layer.suspend(() => redis.layer(`f${count++}:`)) }
  for (const [name, layer] of Object.entries(kinds)) {
    describe(name, () => define((title, body) => it.scoped(title, () => body().pipe(Effect.provide(layer)))))
  }
}

/** A memoized function that answers the number of its call. */
export const counted = <Args extends ReadonlyArray<any>>(
  options: Partial<Memoize.Options<Args, number, unknown, "bypass">> = {}
) => {
  const state = { calls: 0, seen: [] as Array<Args> }
  const f = Memoize.wrap(
    (...args: Args) =>
      Effect.sync(() => {
        state.seen.push(args)
        return ++state.calls
      }),
    { name: "counted", schema: Schema.Number, timeToLive: "5 minutes", ...options } as any
  ) as Memoize.Memoized<Args, number, never, never>
  return { f, state }
}
