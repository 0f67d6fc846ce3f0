/**
 * `test_memoize.py`. Not portable, and why:
 *
 * - annotated, annotated_delete, kwargs_to_args: no signature is looked at
 * - hashes (6): keys are canonical text, and SHA-256 past 200 characters; there is nothing to choose
 * - arg_kwarg, multiple_arg_kwarg_calls, multiple_arg_kwarg_delete: a call has one spelling; see "property order"
 * - verhash_delete, version_key_*: there are no version keys beside the entries; see test/laws/law1
 * - classfunc_delete_with_kwargs_only, classmethod_delete_with_args: the type of the method asks for the instance
 */
import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Memoize from "effect-caching/Memoize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { counted, onMemoryAndRedis } from "./support.js"

class Adder {
  constructor(readonly id: string, public by: number) {}
}

const method = () => {
  const state = { calls: 0 }
  const add = Memoize.method(
    (self: Adder, a: number, b: number = 0) => Effect.sync(() => self.by + a + b + 1_000 * ++state.calls),
    { name: "Adder.add", schema: Schema.Number, timeToLive: "5 minutes", instance: (self) => self.id }
  )
  return { add, state }
}

describe("test_memoize.py", () => {
  onMemoryAndRedis((test) => {
    test("memoize: same arguments are cached, other arguments are separate, each entry expires by itself", () =>
      Effect.gen(function*() {
        const { f } = counted<[number, number]>({ timeToLive: "3 seconds" })
        assert.deepStrictEqual(yield* Effect.all([f(5, 2), f(5, 2)]), [1, 1])
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* Effect.all([f(5, 3), f(5, 2)]), [2, 1])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Effect.all([f(5, 2), f(5, 3)]), [3, 2])
      }))

    test("memoize_falsy_default_argument: undefined, 0 and null are different arguments", () =>
      Effect.gen(function*() {
        const { f } = counted<[number, (number | null | undefined)?]>()
        assert.deepStrictEqual(yield* Effect.all([f(1), f(1, undefined), f(1, 0), f(1, null)]), [1, 1, 2, 3])
        assert.deepStrictEqual(yield* Effect.all([f(1), f(1, undefined), f(1, 0), f(1, null)]), [1, 1, 2, 3])
      }))

    test("memoize_timeout: the time to live is used", () =>
      Effect.gen(function*() {
        const { f } = counted<[]>({ timeToLive: "1 second" })
        yield* f()
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* f(), 2)
      }))

    test("memoize_entry_written_late_keeps_its_own_timeout, version_key_outlives_newest_entry", () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>({ timeToLive: "1 minute" })
        yield* f(1)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* f(2), 2)
        yield* TestClock.adjust("50 seconds")
        assert.deepStrictEqual(yield* Effect.all([f(2), f(1)]), [2, 3])
      }))

    test("memoize_delete_resets_version_key: after an invalidation caching works again, also an hour later", () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>({ timeToLive: "2 hours" })
        yield* f(1)
        yield* f.invalidateAll
        assert.deepStrictEqual([yield* f(1), yield* f(1)], [2, 2])
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* f(1), 2)
      }))

    test("memoize_utf8_arguments, memoize_unicode_arguments: arguments beyond ASCII do not fail", () =>
      Effect.gen(function*() {
        const { f } = counted<[string]>()
        const texts = ["höhö", "ÜÜ", "日本", "😀", "\u0000", "a b\r\n", ""]
        const first = yield* Effect.forEach(texts, (text) => f(text))
        assert.strictEqual(new Set(first).size, texts.length)
        assert.deepStrictEqual(yield* Effect.forEach(texts, (text) => f(text)), first)
      }))

    test("memoize_delete, memoize_delete_via_attribute: all calls of a function are invalidated", () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>()
        yield* Effect.all([f(1), f(2)])
        yield* f.invalidateAll
        assert.deepStrictEqual(yield* Effect.all([f(1), f(2)]), [3, 4])
      }))

    test("memoize_no_timeout_delete: the invalidation of one call leaves the others", () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>({ timeToLive: Duration.infinity })
        yield* Effect.all([f(1), f(2)])
        assert.isTrue(yield* f.invalidate(1))
        assert.deepStrictEqual(yield* Effect.all([f(1), f(2)]), [3, 2])
      }))

    test("memoize_args, memoize_kwargs: lists and records are arguments, and are invalidated by equal ones", () =>
      Effect.gen(function*() {
        const { f } = counted<[unknown]>()
        assert.deepStrictEqual(yield* Effect.all([f([1, 2]), f([1, 2]), f([2, 1]), f({ a: 1 }), f({ a: 1 })]), [
          1,
          1,
          2,
          3,
          3
        ])
        assert.isTrue(yield* f.invalidate([1, 2]))
        assert.isTrue(yield* f.invalidate({ a: 1 }))
        assert.deepStrictEqual(yield* Effect.all([f([2, 1]), f([1, 2]), f({ a: 1 })]), [2, 4, 5])
      }))

    test("memoize_arg_kwarg_var_keyword: the order of properties does not matter", () =>
      Effect.gen(function*() {
        const { f } = counted<[{ readonly a?: number; readonly b?: number }]>()
        assert.deepStrictEqual([yield* f({ a: 1, b: 2 }), yield* f({ b: 2, a: 1 })], [1, 1])
        assert.isTrue(yield* f.invalidate({ b: 2, a: 1 }))
      }))

    test("memoize_classarg: a changed object is another argument; of a class without identity nothing is cached", () =>
      Effect.gen(function*() {
        const { f } = counted<[{ value: number }]>()
        const argument = { value: 1 }
        yield* f(argument)
        argument.value = 2
        assert.strictEqual(yield* f(argument), 2)
      }))

    test("memoize_classfunc, classfunc_repr: instances are separate, by the identity they are given", () =>
      Effect.gen(function*() {
        const { add } = method()
        const [a, again, b] = [new Adder("a", 1), new Adder("a", 1), new Adder("b", 1)]
        assert.deepStrictEqual(yield* Effect.all([add(a, 1), add(again, 1), add(b, 1)]), [1_002, 1_002, 2_002])
      }))

    test("memoize_classfunc_delete, delete_via_attribute: of one instance, and of the class", () =>
      Effect.gen(function*() {
        const { add } = method()
        const [a, b] = [new Adder("a", 0), new Adder("b", 0)]
        const both = Effect.all([add(a, 0), add(b, 0)])
        assert.deepStrictEqual(yield* both, [1_000, 2_000])
        yield* add.invalidateInstance(a)
        assert.deepStrictEqual(yield* both, [3_000, 2_000])
        yield* add.invalidateAll
        assert.deepStrictEqual(yield* both, [4_000, 5_000])
      }))

    test("memoize_classfunc_delete_with_args, with_explicit_instance: only that call of that instance", () =>
      Effect.gen(function*() {
        const { add } = method()
        const [a, b] = [new Adder("a", 0), new Adder("b", 0)]
        const all = Effect.all([add(a, 1), add(a, 2), add(b, 1)])
        assert.deepStrictEqual(yield* all, [1_001, 2_002, 3_001])
        assert.isTrue(yield* add.of(a).invalidate(1))
        assert.deepStrictEqual(yield* all, [4_001, 2_002, 3_001])
        assert.isTrue(yield* add.invalidate(b, 1))
        assert.deepStrictEqual(yield* all, [4_001, 2_002, 5_001])
      }))

    test("memoize_classfunc_delete_with_args_to_ignore_self, method_ignore_self_arg: all instances share an entry", () =>
      Effect.gen(function*() {
        const { f, state } = counted<[Adder, number]>({ key: (_, n) => n })
        yield* f(new Adder("a", 1), 1)
        assert.strictEqual(yield* f(new Adder("b", 2), 1), 1)
        assert.isTrue(yield* f.invalidate(new Adder("c", 3), 1))
        assert.strictEqual(state.calls, 1)
      }))

    test("memoize_forced_update, forced_update_parameters: asked once per call with its arguments; the value replaces", () =>
      Effect.gen(function*() {
        const asked: Array<unknown> = []
        const mode = { isForced: false }
        const { f } = counted<[number, string]>({
          forcedUpdate: (args) => {
            asked.push(args)
            return mode.isForced
          }
        })
        assert.deepStrictEqual([yield* f(1, "a"), yield* f(1, "a")], [1, 1])
        mode.isForced = true
        assert.strictEqual(yield* f(1, "a"), 2)
        mode.isForced = false
        assert.strictEqual(yield* f(1, "a"), 2)
        assert.deepStrictEqual(asked, Array.from({ length: 4 }, () => [1, "a"]))
      }))

    test("memoize_is_stale, is_stale_parameters: asked on hits only, with value and arguments; computed anew where true", () =>
      Effect.gen(function*() {
        const asked: Array<unknown> = []
        const mode = { isStale: false }
        const { f } = counted<[number]>({
          isStale: (value, args) => {
            asked.push([value, ...args])
            return mode.isStale && value < 2
          },
          softTimeout: "1 hour"
        })
        yield* f(7)
        assert.deepStrictEqual(asked, [])
        assert.strictEqual(yield* f(7), 1)
        assert.deepStrictEqual(asked, [[1, 7]])
        mode.isStale = true
        assert.strictEqual(yield* f(7), 2)
        mode.isStale = false
        assert.strictEqual(yield* f(7), 2)
      }))

    test("memoize_when_using_args_unpacking, variable_mix: any number of arguments", () =>
      Effect.gen(function*() {
        const { f } = counted<Array<number>>()
        assert.deepStrictEqual(yield* Effect.all([f(), f(1), f(1, 2), f(1, 2, 3), f(1, 2)]), [1, 2, 3, 4, 3])
      }))

    test("memoize_none, memoize_never_accept_none: null is a value; `storeIf` leaves it out", () =>
      Effect.gen(function*() {
        const state = { calls: 0 }
        const make = (isStored: boolean) =>
          Memoize.wrap(() => Effect.sync((): number | null => (state.calls++, null)), {
            name: `null ${isStored}`,
            schema: Schema.NullOr(Schema.Number),
            timeToLive: "1 minute",
            storeIf: (value) => isStored || value !== null
          })
        yield* Effect.all([make(true)(), make(true)()])
        assert.strictEqual(state.calls, 1)
        yield* Effect.all([make(false)(), make(false)()])
        assert.strictEqual(state.calls, 3)
      }))

    test("memoize_with_source_check_enabled, disabled: another version is another entry, none is the same", () =>
      Effect.gen(function*() {
        const { f: first } = counted<[]>({ version: "a" })
        const { f: second } = counted<[]>({ version: "b" })
        yield* first()
        yield* first.refresh()
        assert.deepStrictEqual([yield* first(), yield* second(), yield* first()], [2, 1, 2])
        const { f: plain } = counted<[]>()
        const { f: other } = counted<[]>()
        yield* plain()
        yield* plain.refresh()
        assert.strictEqual(yield* other(), 2)
      }))

    test("memoize_delete_with_source_check_from_config: an invalidation finds the key of its version", () =>
      Effect.gen(function*() {
        const { f } = counted<[number]>({ version: "7" })
        yield* f(1)
        assert.isTrue(yield* f.invalidate(1))
      }))

    test("memoize_ignore_args, function_ignore_kwarg: an argument that is left out of the key shares the entry", () =>
      Effect.gen(function*() {
        const { f } = counted<[{ readonly id: number; readonly trace: string }]>({ key: ({ id }) => id })
        assert.deepStrictEqual([yield* f({ id: 1, trace: "a" }), yield* f({ id: 1, trace: "b" })], [1, 1])
      }))

    test("delete_memoized_matches_configured_hash_method: a call and its invalidation have one key, hashed or not", () =>
      Effect.gen(function*() {
        const { f } = counted<[string]>()
        for (const text of ["short", "long".repeat(500)]) {
          yield* f(text)
          assert.isTrue(yield* Cache.has(f.cache, [text]))
          assert.isTrue(yield* f.invalidate(text))
        }
      }))
  })

  it.effect("memoize_arg_kwarg: a failure of the function passes through", () =>
    Effect.gen(function*() {
      const f = Memoize.wrap((_: number) => Effect.fail("no"), { name: "f", schema: Schema.Never, timeToLive: 1 })
      assert.strictEqual(yield* Effect.flip(f(1)), "no")
    }).pipe(Effect.provide(Memory.layer())))
})
