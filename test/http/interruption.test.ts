/** Who waits, who leaves, and what becomes of the load. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { arrivals, gated, memory, serve, storages } from "./support.js"

const fresh = { "cache-control": "max-age=60" }

for (const storage of storages) {
  describe(`requests that are given up, over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("the client whose request runs the app leaves: the others get the answer", () =>
      Effect.gen(function*() {
        const { app, gate, interrupted, source, started } = yield* gated
        const { leave, reach, through } = arrivals()
        const client = yield* serve(through(HttpCache.middleware()(app)))
        const first = yield* Effect.fork(client.get("/a"))
        yield* Deferred.await(started)
        const others = yield* Effect.fork(
          Effect.all(Array.from({ length: 3 }, () => client.get("/a")), { concurrency: "unbounded" })
        )
        yield* reach(4)
        yield* Fiber.interrupt(first)
        yield* leave(1)
        yield* Deferred.succeed(gate, undefined)
        for (const reply of yield* Fiber.join(others)) {
          assert.strictEqual(reply.status, 200)
          assert.strictEqual(reply.body, "run 1")
        }
        assert.deepStrictEqual(source, { runs: 1, closed: 1 })
        assert.isFalse(yield* Deferred.isDone(interrupted))
        assert.include((yield* client.get("/a")).headers["cache-status"], "hit")
      }).pipe(provide))

    it.scoped("all leave: the app is interrupted, and the next request runs it anew", () =>
      Effect.gen(function*() {
        const { app, gate, interrupted, source, started } = yield* gated
        const { reach, through } = arrivals()
        const client = yield* serve(through(HttpCache.middleware()(app)))
        const asking = yield* Effect.forEach([1, 2, 3], () => Effect.fork(client.get("/a")))
        yield* reach(3)
        yield* Deferred.await(started)
        yield* Fiber.interruptAll(asking)
        yield* Deferred.await(interrupted)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual((yield* client.get("/a")).body, "run 2")
        assert.strictEqual(source.closed, 2)
      }).pipe(provide))

    it.scoped("a response for a client that has left is let go", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const started = yield* Deferred.make<void>()
        const closed: Array<number> = []
        let runs = 0
        const app = Effect.gen(function*() {
          const run = ++runs
          yield* Effect.addFinalizer(() => Effect.sync(() => closed.push(run)))
          yield* Deferred.succeed(started, undefined)
          yield* Deferred.await(gate)
          return HttpServerResponse.stream(Stream.make(new TextEncoder().encode(`run ${run}`)), {
            headers: { "cache-control": "no-store" }
          })
        })
        const { leave, reach, through } = arrivals()
        const client = yield* serve(through(HttpCache.middleware()(app)))
        const first = yield* Effect.fork(client.get("/a"))
        yield* Deferred.await(started)
        const second = yield* Effect.fork(client.get("/a"))
        yield* reach(2)
        yield* Fiber.interrupt(first)
        yield* leave(1)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual((yield* Fiber.join(second)).body, "run 2")
        assert.deepStrictEqual([...closed].sort(), [1, 2])
      }).pipe(provide))

    it.scoped("those who waited for what is not stored go forward at the same time", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const together = yield* Deferred.make<void>()
        const { reach, through } = arrivals()
        let runs = 0
        const app = Effect.gen(function*() {
          const run = ++runs
          if (run === 10) yield* Deferred.succeed(together, undefined)
          yield* Deferred.await(run === 1 ? gate : together)
          return HttpServerResponse.text(`run ${run}`, { headers: { "cache-control": "no-store" } })
        })
        const client = yield* serve(through(HttpCache.middleware()(app)))
        const asking = yield* Effect.fork(
          Effect.all(Array.from({ length: 10 }, () => client.get("/a")), { concurrency: "unbounded" })
        )
        yield* reach(10)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(new Set((yield* Fiber.join(asking)).map(({ body }) => body)).size, 10)
      }).pipe(provide))

    it.scoped("requests for a page that is not stored do not wait for one another", () =>
      Effect.gen(function*() {
        const gates = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const started = yield* Deferred.make<void>()
        let runs = 0
        const app = Effect.gen(function*() {
          const run = ++runs
          if (run === 2) yield* Deferred.succeed(started, undefined)
          if (run === 2) yield* Deferred.await(gates[0]!)
          return HttpServerResponse.text(`run ${run}`, { headers: { "cache-control": "no-store" } })
        })
        const client = yield* serve(HttpCache.middleware()(app))
        yield* client.get("/a")
        const slow = yield* Effect.fork(client.get("/a"))
        yield* Deferred.await(started)
        assert.strictEqual((yield* client.get("/a")).body, "run 3")
        yield* Deferred.succeed(gates[0]!, undefined)
        assert.strictEqual((yield* Fiber.join(slow)).body, "run 2")
        // After a while it is asked again whether it is stored.
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* client.get("/a")).body, "run 4")
      }).pipe(provide))
  })

  describe(`stale answers, over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("are sent within the grace, while one request for them runs behind", () =>
      Effect.gen(function*() {
        let runs = 0
        const gate = yield* Deferred.make<void>()
        const done = yield* Deferred.make<void>()
        const seen: Array<string> = []
        const app = Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          const run = ++runs
          yield* Effect.addFinalizer(() => run === 2 ? Deferred.succeed(done, undefined) : Effect.void)
          if (run === 2) yield* Deferred.await(gate)
          seen.push(`${request.method} ${request.originalUrl} ${request.headers["accept"]} ${request.source}`)
          return HttpServerResponse.text(`run ${run}`, { headers: { ...fresh, vary: "Accept" } })
        })
        const client = yield* serve(HttpCache.middleware({ grace: "1 minute" })(app))
        const ask = client.get("/a?x=1", { accept: "text/x" })
        yield* ask
        yield* TestClock.adjust("70 seconds")
        for (let i = 0; i < 3; i++) {
          const stale = yield* ask
          assert.strictEqual(stale.body, "run 1")
          assert.strictEqual(stale.headers["age"], "70")
          assert.strictEqual(stale.headers["cache-status"], "http; hit; ttl=-10")
        }
        yield* Deferred.succeed(gate, undefined)
        yield* Deferred.await(done)
        const until = (body: string): Effect.Effect<void, Error> =>
          Effect.flatMap(ask, (reply) => reply.body === body ? Effect.void : until(body))
        yield* until("run 2")
        assert.strictEqual(runs, 2)
        assert.deepStrictEqual(new Set(seen), new Set(["GET /a?x=1 text/x undefined"]))
        yield* TestClock.adjust("121 seconds")
        assert.strictEqual((yield* ask).body, "run 3")
      }).pipe(provide))

    it.scoped("are not sent where the app forbids it", () =>
      Effect.gen(function*() {
        let runs = 0
        const app = Effect.sync(() =>
          HttpServerResponse.text(`run ${++runs}`, { headers: { "cache-control": "max-age=60, must-revalidate" } })
        )
        const client = yield* serve(HttpCache.middleware({ grace: "1 minute" })(app))
        yield* client.get("/a")
        yield* TestClock.adjust("70 seconds")
        const reply = yield* client.get("/a")
        assert.notStrictEqual(reply.body, "run 1")
        assert.strictEqual((yield* client.ask("/b", { method: "HEAD" })).status, 200)
      }).pipe(provide))

    it.scoped("stay where the new one is an error, and go where it is private", () =>
      Effect.gen(function*() {
        let runs = 0
        let next = () => HttpServerResponse.text("good", { headers: fresh })
        const ran = yield* Effect.sync(() => ({ resume: undefined as (() => void) | undefined }))
        const app = Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Effect.sync(() => ran.resume?.()))
          runs++
          return next()
        })
        const client = yield* serve(HttpCache.middleware({ grace: "1 hour" })(app))
        yield* client.get("/a")
        yield* TestClock.adjust("2 minutes")
        next = () => HttpServerResponse.text("error", { status: 503 })
        const settled = (wanted: number) =>
          Effect.async<void>((resume) => {
            if (runs >= wanted) resume(Effect.void)
            else ran.resume = () => resume(Effect.void)
          })
        assert.strictEqual((yield* client.get("/a")).body, "good")
        yield* settled(2)
        assert.strictEqual((yield* client.get("/a")).body, "good")
        yield* TestClock.adjust("6 seconds")
        next = () => HttpServerResponse.text("mine", { headers: { "cache-control": "private" } })
        assert.strictEqual((yield* client.get("/a")).body, "good")
        yield* settled(3)
        const until: Effect.Effect<void, Error> = Effect.flatMap(client.get("/a"), (reply) =>
          reply.body === "mine" ? Effect.void : until)
        yield* until
      }).pipe(provide))
  })
}
