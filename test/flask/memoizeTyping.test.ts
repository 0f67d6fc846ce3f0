/** `memoize_typing.py`: checked by the compiler, and more of it in test/types. */
import { it } from "@effect/vitest"
import type { BackendError, CacheBackend } from "effect-caching/Backend"
import * as Memoize from "effect-caching/Memoize"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { expectTypeOf } from "vitest"
import * as Rows from "./rows.js"
import { describeRows } from "./support.js"

class Missing {
  readonly _tag = "Missing"
}

const find = (id: number, language?: string): Effect.Effect<string, Missing, Adder> =>
  id < 0 ? Effect.fail(new Missing()) : Effect.succeed(`${id} ${language}`)

class Adder {
  constructor(readonly id: string, readonly by: number) {}
}

const options = { schema: Schema.String, timeToLive: "1 minute" } as const

describeRows("memoize_typing.py", Rows.memoizeTyping, [], (row) => {
  it(row("decorator_preserves_signature"), () => {
    const memoized = Memoize.wrap(find, { name: "find", ...options })
    expectTypeOf(memoized).parameters.toEqualTypeOf<Parameters<typeof find>>()
    expectTypeOf<ReturnType<typeof memoized>>().toEqualTypeOf<Effect.Effect<string, Missing, CacheBackend | Adder>>()
    // @ts-expect-error a text is no id
    memoized("1")
  })

  it(row("self_binding"), () => {
    const add = Memoize.method((self: Adder, n: number) => Effect.succeed(`${self.by + n}`), {
      name: "add",
      ...options,
      instance: (self) => self.id
    })
    expectTypeOf(add).parameters.toEqualTypeOf<[self: Adder, n: number]>()
    const bound = add.of(new Adder("a", 1))
    expectTypeOf(bound).parameters.toEqualTypeOf<[n: number]>()
    // @ts-expect-error the instance is bound
    bound(new Adder("a", 1), 1)
  })

  it(row("attribute_types"), () => {
    const memoized = Memoize.wrap(find, { name: "find", ...options })
    expectTypeOf(memoized.uncached).toEqualTypeOf<typeof find>()
    expectTypeOf(memoized.invalidate).parameters.toEqualTypeOf<Parameters<typeof find>>()
    expectTypeOf(memoized.invalidateAll).toEqualTypeOf<Effect.Effect<void, BackendError, CacheBackend>>()
    expectTypeOf(memoized.cacheKey).returns.toEqualTypeOf<string>()
  })
})
