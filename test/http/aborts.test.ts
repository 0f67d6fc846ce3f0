/** Clients that leave, that read slowly, and bodies that break off, on connections that are kept alive. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Http from "node:http"
import { connect, type Connection, requestOf } from "./connection.js"
import { arrivals, gated, memory, serve, storages } from "./support.js"

const fresh = { "cache-control": "max-age=60" }
const bytes = (text: string) => new TextEncoder().encode(text)
const chunk = "0123456789abcdef".repeat(4_096)

/** Asks on the connection, and waits for the whole answer. */
const ask = (connection: Connection, path: string, headers: Record<string, string> = {}) =>
  Effect.suspend(() => {
    connection.send(requestOf(path, { headers }))
    return connection.next()
  })

const connectAll = (port: number, count: number) =>
  Effect.all(Array.from({ length: count }, () => connect(port)), { concurrency: "unbounded" })

for (const storage of storages) {
  describe(`connections over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    it.scoped("the leader and half of those who wait leave: the others have the answer of its run", () =>
      Effect.gen(function*() {
        const { app, gate, interrupted, source, started } = yield* gated
        const { leave, reach, through } = arrivals()
        const { port } = yield* serve(through(HttpCache.middleware()(app)))
        const connections = yield* connectAll(port, 20)
        connections[0]!.send(requestOf("/a"))
        yield* Deferred.await(started)
        for (const connection of connections.slice(1)) connection.send(requestOf("/a"))
        yield* reach(20)
        for (const connection of connections.slice(0, 10)) connection.abort()
        yield* leave(10)
        yield* Deferred.succeed(gate, undefined)
        for (const connection of connections.slice(10)) {
          const { body, status } = yield* connection.next()
          assert.deepStrictEqual([status, body.toString()], [200, "run 1"])
        }
        for (const connection of connections.slice(10)) {
          assert.include((yield* ask(connection, "/a")).headers["cache-status"], "hit")
        }
        assert.isFalse(yield* Deferred.isDone(interrupted))
        assert.deepStrictEqual(source, { runs: 1, closed: 1 })
        for (const connection of connections.slice(0, 10)) assert.strictEqual(connection.received(), "")
      }).pipe(provide))

    it.scoped("all leave: the load is interrupted, its scope is closed, and nothing is stored", () =>
      Effect.gen(function*() {
        const { app, gate, interrupted, source, started } = yield* gated
        const { leave, reach, through } = arrivals()
        const { port } = yield* serve(through(HttpCache.middleware()(app)))
        const connections = yield* connectAll(port, 20)
        for (const connection of connections) connection.send(requestOf("/a"))
        yield* reach(20)
        yield* Deferred.await(started)
        for (const connection of connections) connection.abort()
        yield* leave(20)
        yield* Deferred.await(interrupted)
        yield* Deferred.succeed(gate, undefined)
        const { body, headers } = yield* ask(yield* connect(port), "/a")
        assert.strictEqual(body.toString(), "run 2")
        assert.include(headers["cache-status"], "stored")
        assert.deepStrictEqual(source, { runs: 2, closed: 2 })
      }).pipe(provide))

    it.scoped("who changes something and leaves before the answer has ended what was stored", () =>
      Effect.gen(function*() {
        const changed = yield* Deferred.make<void>()
        const noticed = yield* Deferred.make<void>()
        const gate = yield* Deferred.make<void>()
        const ended = yield* Deferred.make<void>()
        let name = "Ada"
        // As what is written in a transaction: not to be interrupted.
        const change = Effect.uninterruptible(Effect.gen(function*() {
          name = "Grace"
          yield* Deferred.succeed(changed, undefined)
          yield* Deferred.await(gate)
          return HttpServerResponse.empty()
        }))
        const app = Effect.flatMap(
          HttpServerRequest.HttpServerRequest,
          ({ method }) =>
            method === "GET" ? Effect.sync(() => HttpServerResponse.text(name, { headers: fresh })) : change
        )
        const cached = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ method, source }) => {
          const { socket } = source as Http.IncomingMessage
          if (method === "POST") socket.once("close", () => Deferred.unsafeDone(noticed, Effect.void))
          return Effect.ensuring(
            HttpCache.middleware()(app),
            method === "POST" ? Deferred.succeed(ended, undefined) : Effect.void
          )
        })
        const { port } = yield* serve(Effect.interruptible(cached))
        const reader = yield* connect(port)
        assert.strictEqual((yield* ask(reader, "/a")).body.toString(), "Ada")
        const writer = yield* connect(port)
        writer.send(requestOf("/a", { method: "POST" }))
        yield* Deferred.await(changed)
        writer.abort()
        yield* Deferred.await(noticed)
        yield* Deferred.succeed(gate, undefined)
        yield* Deferred.await(ended)
        assert.strictEqual((yield* ask(reader, "/a")).body.toString(), "Grace")
      }).pipe(provide))

    it.scoped("a client that does not read holds nobody up, and has the whole body in the end", () =>
      Effect.gen(function*() {
        const count = 128
        let runs = 0
        const app = Effect.sync(() => {
          runs++
          return HttpServerResponse.stream(Stream.rechunk(Stream.map(Stream.range(1, count), () => bytes(chunk)), 1), {
            headers: fresh
          })
        })
        const whole = count * chunk.length
        for (const [maxBodyBytes, expected] of [[2 * whole, 1], [chunk.length, 2]] as const) {
          runs = 0
          const { port } = yield* serve(HttpCache.middleware({ name: String(maxBodyBytes), maxBodyBytes })(app))
          const slow = yield* connect(port)
          slow.send(requestOf("/a"))
          yield* slow.begun
          slow.pause()
          const quick = yield* ask(yield* connect(port), "/a")
          assert.strictEqual(quick.body.length, whole)
          assert.isBelow(slow.received().length, whole)
          assert.strictEqual(runs, expected)
          slow.resume()
          assert.isTrue((yield* slow.next()).body.equals(quick.body))
        }
      }).pipe(provide))
  })
}

describe("a body that breaks off is an error or an answer that breaks off, and never a short answer", () => {
  const half = Stream.concat(Stream.make(bytes("half")), Stream.fail("gone"))
  const long = Stream.concat(Stream.make(bytes(chunk), bytes(chunk)), Stream.fail("gone"))
  const stream = (
    body: Stream.Stream<Uint8Array, unknown>,
    cacheControl: string,
    contentLength?: number
  ): HttpApp.Default =>
    Effect.sync(() =>
      HttpServerResponse.stream(body, { headers: { "cache-control": cacheControl }, contentLength } as any)
    )
  const cases: Readonly<Record<string, { readonly app: HttpApp.Default; readonly headers?: Record<string, string> }>> =
    {
      "captured": { app: stream(half, "max-age=60") },
      "captured, shorter than it said": { app: stream(Stream.make(bytes("half")), "max-age=60", 8) },
      "longer than what is captured": { app: stream(long, "max-age=60") },
      "not for others": { app: stream(half, "private") },
      "not for others, shorter than it said": { app: stream(Stream.make(bytes("half")), "private", 8) },
      "not for others, longer than it said": { app: stream(Stream.make(bytes("halfhalf")), "private", 4) },
      "past the cache": { app: stream(half, "max-age=60"), headers: { authorization: "Bearer ada" } },
      "past the cache, shorter than it said": {
        app: stream(Stream.make(bytes("half")), "max-age=60", 8),
        headers: { authorization: "Bearer ada" }
      }
    }
  for (const [name, { app, headers = {} }] of Object.entries(cases)) {
    it.scoped(name, () =>
      Effect.gen(function*() {
        const router = Effect.flatMap(
          HttpServerRequest.HttpServerRequest,
          ({ url }) => url === "/a" ? app : Effect.succeed(HttpServerResponse.text("another page"))
        )
        const { port } = yield* serve(HttpCache.middleware({ maxBodyBytes: chunk.length })(router))
        for (let i = 0; i < 3; i++) {
          const connection = yield* connect(port)
          // The answer to the second must not be the rest of the first.
          connection.send(requestOf("/a", { headers }) + requestOf("/b"))
          const first = yield* Effect.either(connection.next())
          if (first._tag === "Left") assert.notInclude(connection.received(), "another page")
          else {
            assert.strictEqual(first.right.status, 500)
            assert.strictEqual((yield* connection.next()).body.toString(), "another page")
          }
        }
      }).pipe(Effect.provide(memory())))
  }

  for (
    const [name, cacheControl, field] of [
      ["longer than what is captured", "max-age=60", "X: 1"],
      ["not for others", "private", "X: 1"],
      ["past the cache", "max-age=60", "Authorization: Bearer ada"]
    ] as const
  ) {
    it.scoped(`${name}, for a client of HTTP/1.0: the connection is cut, as its end would be the end of the body`, () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const failing = Stream.fromEffect(Effect.zipRight(Deferred.await(gate), Effect.fail("gone")))
        const app = stream(Stream.concat(Stream.make(bytes("half")), failing), cacheControl)
        const { port } = yield* serve(HttpCache.middleware({ maxBodyBytes: 2 })(app))
        const connection = yield* connect(port)
        connection.send(`GET /a HTTP/1.0\r\nHost: localhost\r\n${field}\r\n\r\n`)
        yield* connection.sees("half")
        yield* Deferred.succeed(gate, undefined)
        assert.isTrue(yield* connection.isCut)
      }).pipe(Effect.provide(memory())))
  }

  it.scoped("those who waited for it have no part of it, and the next one has the whole", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { reach, through } = arrivals()
      let runs = 0
      const app = Effect.sync(() =>
        HttpServerResponse.stream(
          ++runs === 1
            ? Stream.concat(
              Stream.make(bytes("half")),
              Stream.fromEffect(Effect.zipRight(Deferred.await(gate), Effect.fail("gone")))
            )
            : Stream.make(bytes("whole")),
          { headers: fresh }
        )
      )
      const { port } = yield* serve(through(HttpCache.middleware()(app)))
      const connections = yield* connectAll(port, 20)
      for (const connection of connections) connection.send(requestOf("/a"))
      yield* reach(20)
      yield* Deferred.succeed(gate, undefined)
      const answers = yield* Effect.all(connections.map((connection) => Effect.either(connection.next())))
      // Who asked first had the first half already.
      assert.strictEqual(answers.filter(({ _tag }) => _tag === "Left").length, 1)
      for (const [i, answer] of answers.entries()) {
        if (answer._tag === "Left") continue
        assert.strictEqual(answer.right.status, 500)
        assert.notInclude(connections[i]!.received(), "half")
      }
      const next = yield* connect(port)
      for (const status of ["stored", "hit"]) {
        const { body, headers } = yield* ask(next, "/a")
        assert.strictEqual(body.toString(), "whole")
        assert.include(headers["cache-status"], status)
      }
      assert.strictEqual(runs, 2)
    }).pipe(Effect.provide(memory())))
})
