import { assert, describe, it } from "@effect/vitest"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as Memoize from "effect-caching/Memoize"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Supervisor from "effect/Supervisor"
import * as Tracer from "effect/Tracer"

const find = Memoize.wrap((id: number) => Effect.succeed(`user ${id}`), {
  name: "find",
  schema: Schema.String,
  timeToLive: "1 minute",
  tags: ["a", "b", "c"]
})

describe("law 8: a hit costs no span, no fiber and no other step than its own", () => {
  it.effect("a hit in this process starts no fiber and no span", () =>
    Effect.gen(function*() {
      yield* find(1)
      const spans: Array<string> = []
      const tracer = Tracer.make({
        span: (name, parent, context, links, startTime, kind) => {
          spans.push(name)
          return new NoSpan(name, parent, context, links, startTime, kind)
        },
        context: (f) => f()
      })
      const supervisor = yield* Supervisor.track
      const hits = Effect.repeatN(find(1), 99)
      yield* hits.pipe(Effect.withTracer(tracer), Effect.supervised(supervisor))
      assert.deepStrictEqual(spans, [])
      assert.strictEqual((yield* supervisor.value).length, 0)
    }).pipe(Effect.provide(Memory.layer())))

  it.effect("a hit is one step of the fiber that asks, with three tags as with none", () =>
    Effect.gen(function*() {
      const plain = Cache.make({ name: "plain", schema: Schema.String, timeToLive: "1 minute" })
      yield* find(1)
      yield* Cache.getOrSet(plain, "k", Effect.succeed("v"))
      const steps = (effect: Effect.Effect<unknown, never, any>) =>
        Effect.withFiberRuntime<number, never, any>((fiber) => {
          const before = fiber.currentOpCount
          return Effect.map(effect, () => fiber.currentOpCount - before)
        })
      const one = yield* steps(Effect.withFiberRuntime(() => Exit.void))
      assert.strictEqual(yield* steps(Cache.getOrSet(plain, "k", Effect.die("not a hit"))), one)
      assert.strictEqual(yield* steps(find(1)), one)
    }).pipe(Effect.provide(Memory.layer())))

  it.effect("the value of a hit in this process is the one that was loaded, not a copy", () =>
    Effect.gen(function*() {
      const objects = Cache.make({
        name: "object",
        schema: Schema.Struct({ n: Schema.Number }),
        timeToLive: "1 minute"
      })
      const value = { n: 1 }
      yield* Cache.getOrSet(objects, "k", Effect.succeed(value))
      assert.strictEqual(yield* Cache.getOrSet(objects, "k", Effect.die("not a hit")), value)
    }).pipe(Effect.provide(Memory.layer())))

  it.effect("the result of a call is on the span of the caller", () =>
    Effect.gen(function*() {
      const results: Array<unknown> = []
      const call = Effect.gen(function*() {
        yield* find(7)
        const span = yield* Effect.currentSpan
        results.push(span.attributes.get("cache.result"))
      }).pipe(Effect.withSpan("request"), Effect.orDie)
      yield* call
      yield* call
      assert.deepStrictEqual(results, ["miss", "hit"])
    }).pipe(Effect.provide(Memory.layer())))
})

class NoSpan implements Tracer.Span {
  readonly _tag = "Span"
  readonly spanId = "0"
  readonly traceId = "0"
  readonly sampled = false
  readonly status: Tracer.SpanStatus
  readonly attributes = new Map<string, unknown>()
  constructor(
    readonly name: string,
    readonly parent: Option.Option<Tracer.AnySpan>,
    readonly context: Tracer.Span["context"],
    readonly links: ReadonlyArray<Tracer.SpanLink>,
    startTime: bigint,
    readonly kind: Tracer.SpanKind
  ) {
    this.status = { _tag: "Started", startTime }
  }
  end() {}
  attribute() {}
  event() {}
  addLinks() {}
}
