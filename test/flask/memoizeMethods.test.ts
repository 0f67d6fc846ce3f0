/** `test_memoize.py`: methods. */
import { assert, it } from "@effect/vitest"
import * as Memoize from "effect-caching/Memoize"
import * as Effect from "effect/Effect"
import * as PrimaryKey from "effect/PrimaryKey"
import * as Schema from "effect/Schema"
import { expectTypeOf } from "vitest"
import * as Rows from "./rows.js"
import { counted, describeRows, onMemoryAndRedis } from "./support.js"

class Adder {
  constructor(readonly id: string, public by: number) {}
}

/** Adds what its instance says, and a thousand for each call. */
const method = () => {
  const state = { calls: 0 }
  const add = Memoize.method(
    (self: Adder, a: number, options: { readonly b?: number } = {}) =>
      Effect.sync(() => self.by + a + (options.b ?? 0) + 1_000 * ++state.calls),
    { name: "Adder.add", schema: Schema.Number, timeToLive: "5 minutes", instance: (self) => self.id }
  )
  return { add, state, a: new Adder("a", 0), b: new Adder("b", 0) }
}

describeRows("test_memoize.py, methods", Rows.memoizeMethods, [], (row) => {
  onMemoryAndRedis((test) => {
    test(row("memoize_classfunc"), () =>
      Effect.gen(function*() {
        const { add } = method()
        const [one, ten] = [new Adder("one", 1), new Adder("ten", 10)]
        const both = Effect.all([add(one, 5), add(ten, 5)])
        assert.deepStrictEqual(yield* both, [1_006, 2_015])
        assert.deepStrictEqual(yield* both, [1_006, 2_015])
      }))

    test(row("memoize_classfunc_repr"), () =>
      Effect.gen(function*() {
        class Named {
          constructor(readonly id: string, readonly printed: string) {}
          toString() {
            return this.printed
          }
          [PrimaryKey.symbol]() {
            return this.id
          }
        }
        const { f } = counted<[Named]>()
        assert.deepStrictEqual(
          yield* Effect.all([f(new Named("a", "same")), f(new Named("b", "same")), f(new Named("a", "other"))]),
          [1, 2, 1]
        )
        const { add } = method()
        assert.strictEqual(yield* add(new Adder("a", 1), 1), 1_002)
        // Another object with that identity: in another process it would be another object too.
        assert.strictEqual(yield* add(new Adder("a", 5), 1), 1_002)
      }))

    test(row("memoize_classfunc_delete"), () =>
      Effect.gen(function*() {
        const { a, add, b } = method()
        const all = Effect.all([add(a, 0), add(b, 0)])
        assert.deepStrictEqual(yield* all, [1_000, 2_000])
        yield* add.invalidateInstance(a)
        assert.deepStrictEqual(yield* all, [3_000, 2_000])
        yield* add.invalidateAll
        assert.deepStrictEqual(yield* all, [4_000, 5_000])
      }))

    test(row("memoize_classfunc_delete_via_attribute"), () =>
      Effect.gen(function*() {
        const { a, add, b } = method()
        const all = Effect.all([add.of(a)(0), add.of(b)(0)])
        assert.deepStrictEqual(yield* all, [1_000, 2_000])
        // What hangs on a bound method forgets its instance alone.
        yield* add.of(b).invalidateAll
        assert.deepStrictEqual(yield* all, [1_000, 3_000])
        yield* add.invalidateAll
        assert.deepStrictEqual(yield* all, [4_000, 5_000])
      }))

    test(row("memoize_classfunc_delete_with_args"), () =>
      Effect.gen(function*() {
        const { a, add, b } = method()
        const all = Effect.all([add(a, 1), add(a, 2), add(b, 1)])
        assert.deepStrictEqual(yield* all, [1_001, 2_002, 3_001])
        assert.isTrue(yield* add.of(a).invalidate(1))
        assert.deepStrictEqual(yield* all, [4_001, 2_002, 3_001])
      }))

    test(row("memoize_classfunc_delete_with_explicit_instance"), () =>
      Effect.gen(function*() {
        const { a, add, b } = method()
        const all = Effect.all([add(a, 1), add(b, 1)])
        assert.deepStrictEqual(yield* all, [1_001, 2_001])
        assert.isTrue(yield* add.invalidate(b, 1))
        assert.deepStrictEqual(yield* all, [1_001, 3_001])
        assert.isFalse(yield* add.invalidate(b, 2))
      }))

    test(row("memoize_classfunc_delete_with_args_to_ignore_self"), () =>
      Effect.gen(function*() {
        const { f } = counted<[Adder, number]>({ key: (_, n) => n })
        assert.deepStrictEqual(yield* Effect.all([f(new Adder("a", 1), 1), f(new Adder("b", 2), 1)]), [1, 1])
        yield* f(new Adder("a", 1), 2)
        assert.isTrue(yield* f.invalidate(new Adder("c", 3), 1))
        assert.deepStrictEqual(yield* Effect.all([f(new Adder("a", 1), 1), f(new Adder("a", 1), 2)]), [3, 2])
      }))

    test(row("memoize_classfunc_delete_with_kwargs_only"), () =>
      Effect.gen(function*() {
        const state = { calls: 0 }
        const add = Memoize.method(
          (self: Adder, { by, twice = false }: { readonly by: number; readonly twice?: boolean }) =>
            Effect.sync(() => self.by + by * (twice ? 2 : 1) + 1_000 * ++state.calls),
          { name: "Adder.by", schema: Schema.Number, timeToLive: "5 minutes", instance: (self) => self.id }
        )
        const a = new Adder("a", 0)
        const all = Effect.all([add(a, { by: 1 }), add(a, { by: 1, twice: true })])
        assert.deepStrictEqual(yield* all, [1_001, 2_002])
        assert.isTrue(yield* add.of(a).invalidate({ twice: true, by: 1 }))
        assert.deepStrictEqual(yield* all, [1_001, 3_002])
        expectTypeOf(add.invalidate).parameter(0).toEqualTypeOf<Adder>()
      }))

    test(row("memoize_classmethod_delete"), () =>
      Effect.gen(function*() {
        const state = { calls: 0 }
        class Shop {
          static readonly price = Memoize.wrap((n: number) => Effect.sync(() => n + 1_000 * ++state.calls), {
            name: "Shop.price",
            schema: Schema.Number,
            timeToLive: "5 minutes"
          })
        }
        const all = Effect.all([Shop.price(1), Shop.price(2)])
        assert.deepStrictEqual(yield* all, [1_001, 2_002])
        yield* Shop.price.invalidateAll
        assert.deepStrictEqual(yield* all, [3_001, 4_002])
      }))

    test(row("memoize_classmethod_delete_with_args"), () =>
      Effect.gen(function*() {
        const state = { calls: 0 }
        const price = Memoize.method(
          (_: typeof Corner | typeof Mall, n: number) => Effect.sync(() => n + 1_000 * ++state.calls),
          { name: "price", schema: Schema.Number, timeToLive: "5 minutes", instance: (shop) => shop.id }
        )
        class Corner {
          static readonly id = "corner"
        }
        class Mall {
          static readonly id = "mall"
        }
        const all = Effect.all([price(Corner, 1), price(Mall, 1)])
        assert.deepStrictEqual(yield* all, [1_001, 2_001])
        assert.isTrue(yield* price.invalidate(Corner, 1))
        assert.deepStrictEqual(yield* all, [3_001, 2_001])
        // @ts-expect-error the class is missing: here the number is taken for it
        const error = yield* Effect.exit(Effect.suspend(() => price.invalidate(1)))
        assert.isTrue(error._tag === "Success" && !error.value)
        assert.deepStrictEqual(yield* all, [3_001, 2_001])
      }))

    test(row("memoize_method_ignore_self_arg"), () =>
      Effect.gen(function*() {
        const { f, state } = counted<[Adder, number]>({ key: (_, n) => n })
        yield* Effect.forEach(["a", "b", "c"], (id) => f(new Adder(id, 1), 1))
        assert.strictEqual(state.calls, 1)
      }))
  })

  it("an instance without an identity is no key: it would have another one in each process", () => {
    const { f } = counted<[Adder]>()
    assert.throws(() => f.cacheKey(new Adder("a", 1)), "an instance of Adder")
  })
})
