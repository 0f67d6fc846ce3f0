import * as Memoize from "effect-caching/Memoize"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { describe, expectTypeOf, it } from "vitest"

describe("the arguments of a memoized function are those of the function", () => {
  const f = (n: number, _trace?: string) => Effect.succeed(n)
  const options = { name: "f", schema: Schema.Number, timeToLive: "1 minute" } as const

  it("though `key` takes fewer", () => {
    const memoized = Memoize.wrap(f, { ...options, key: (n) => n })
    expectTypeOf<Parameters<typeof memoized>>().toEqualTypeOf<Parameters<typeof f>>()
  })

  it("though `tags` and `keyTags` look at fewer", () => {
    const memoized = Memoize.wrap(f, { ...options, tags: (_, [n]) => [`${n}`], keyTags: ([n]) => [`${n}`] })
    expectTypeOf<Parameters<typeof memoized>>().toEqualTypeOf<Parameters<typeof f>>()
  })

  it("and of a method those after the instance", () => {
    const method = Memoize.method((self: { readonly id: string }, n: number, _trace?: string) => Effect.succeed(n), {
      ...options,
      instance: (self) => self.id,
      key: (n) => n,
      keyTags: ([self, n]) => [`${self.id}/${n}`]
    })
    const bound = method.of({ id: "a" })
    expectTypeOf<Parameters<typeof bound>>().toEqualTypeOf<Parameters<typeof f>>()
    expectTypeOf<Parameters<typeof bound.invalidate>>().toEqualTypeOf<Parameters<typeof f>>()
  })
})
