import { assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Redis from "effect-caching/backends/Redis"
import * as Cache from "effect-caching/Cache"
import * as Memoize from "effect-caching/Memoize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as RedisServer from "../support/redisServer.js"

/** The time-out of an operation is 300 ms: a call may take that and a fifth, and what a busy machine adds. */
const commandTimeout = 300
const bound = commandTimeout * 1.2 + 200

const make = () => {
  const state = { loads: 0 }
  const square = Memoize.wrap((n: number) => Effect.sync(() => (state.loads++, n * n)), {
    name: "square",
    schema: Schema.Number,
    timeToLive: "1 minute",
    tags: ["squares"]
  })
  return { square, state }
}

/** Fails if the process prints while `effect` runs. */
const silently = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const printed: Array<unknown> = []
      const streams = [process.stdout, process.stderr] as const
      const writes = streams.map((stream) => stream.write)
      streams.forEach((stream) => (stream.write = (chunk: unknown) => (printed.push(chunk), true)))
      return { printed, restore: () => streams.forEach((stream, i) => (stream.write = writes[i]!)) }
    }),
    ({ printed }) => Effect.zipLeft(effect, Effect.sync(() => assert.deepStrictEqual(printed, []))),
    ({ restore }) => Effect.sync(restore)
  )

/** Calls for distinct arguments: each must answer right, and in time. */
const callsAnswer = (square: ReturnType<typeof make>["square"], count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, i) => i),
    (n) =>
      Effect.map(Effect.timed(square(n)), ([time, answer]) => {
        assert.strictEqual(answer, n * n)
        assert.isBelow(Duration.toMillis(time), bound)
      }),
    { concurrency: 5, discard: true }
  )

/** Until a value is stored again, at most a second. */
const storesWithinASecond = Effect.gen(function*() {
  const backend = yield* CacheBackend
  const started = Date.now()
  while (true) {
    const stored = yield* Effect.either(backend.tagVersions(["probe"]))
    if (stored._tag === "Right") break
    assert.isBelow(Date.now() - started, 1_000, "not usable within a second of the server's return")
    yield* Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 10)))
  }
})

const numbers = Cache.make({ name: "number", schema: Schema.Number, timeToLive: "1 minute" })

const layerOf = (server: RedisServer.RedisServer, options: Redis.Options = {}) =>
  Redis.layer({ url: server.url, commandTimeout, ...options })

describe("law 4 on Redis: a memoized call never fails or waits past its time-out, prints nothing, and works again", () => {
  it.live("killed with -9 and started again", () =>
    silently(Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const context = yield* Layer.build(layerOf(server))
      yield* Effect.gen(function*() {
        const { square, state } = make()
        yield* callsAnswer(square, 5)
        yield* callsAnswer(square, 5)
        assert.strictEqual(state.loads, 5)
        yield* server.kill("SIGKILL")
        yield* callsAnswer(square, 20)
        const error = yield* Effect.flip(Cache.set(numbers, "k", 1))
        assert.strictEqual(error._tag === "BackendError" && error.reason, "Connection")
        yield* server.restart
        yield* storesWithinASecond
        state.loads = 0
        yield* callsAnswer(square, 5)
        yield* callsAnswer(square, 5)
        assert.strictEqual(state.loads, 5)
      }).pipe(Effect.provide(context))
    })).pipe(Effect.scoped))

  it.live("stopped and continued", () =>
    silently(Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const context = yield* Layer.build(layerOf(server))
      yield* Effect.gen(function*() {
        const { square, state } = make()
        yield* callsAnswer(square, 5)
        yield* server.stop()
        yield* callsAnswer(square, 15)
        const error = yield* Effect.flip(Cache.set(numbers, "k", 1))
        assert.include(["Timeout", "Connection"], error._tag === "BackendError" ? error.reason : error._tag)
        yield* server.cont()
        yield* storesWithinASecond
        // A lease that was asked for while the server stood still may have been granted when it went on.
        yield* Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 1_000)))
        yield* callsAnswer(square, 15)
        state.loads = 0
        yield* callsAnswer(square, 15)
        assert.strictEqual(state.loads, 0)
      }).pipe(Effect.provide(context))
    })).pipe(Effect.scoped), 30_000)

  it.live("refusing the password", () =>
    silently(Effect.gen(function*() {
      const server = yield* RedisServer.make({ password: "the right one" })
      const context = yield* Layer.build(
        layerOf(server, { url: `redis://127.0.0.1:${server.port}`, password: Redacted.make("a wrong one") })
      )
      yield* Effect.gen(function*() {
        const { square } = make()
        yield* callsAnswer(square, 20)
        const error = yield* Effect.flip(Cache.set(numbers, "k", 1))
        assert.strictEqual(error._tag === "BackendError" && error.reason, "Authentication")
        assert.notInclude(JSON.stringify(error) + String(error), "wrong one")
      }).pipe(Effect.provide(context))
    })).pipe(Effect.scoped))

  it.live("full", () =>
    silently(Effect.gen(function*() {
      const server = yield* RedisServer.make({ maxmemory: "3mb" })
      const context = yield* Layer.build(layerOf(server))
      yield* Effect.gen(function*() {
        const texts = Cache.make({ name: "text", schema: Schema.String, timeToLive: "1 hour" })
        let error: unknown
        for (let i = 0; i < 100 && error === undefined; i++) {
          const stored = yield* Effect.either(Cache.set(texts, i, "x".repeat(100_000)))
          if (stored._tag === "Left") error = stored.left
        }
        assert.strictEqual((error as { readonly reason: string }).reason, "OutOfSpace")
        assert.isTrue(yield* Cache.has(texts, 0))
        const { square } = make()
        yield* callsAnswer(square, 20)
        yield* Cache.clear(texts)
        yield* callsAnswer(square, 20)
        const { square: again, state } = make()
        yield* callsAnswer(again, 20)
        assert.strictEqual(state.loads, 0)
      }).pipe(Effect.provide(context))
    })).pipe(Effect.scoped))
})
