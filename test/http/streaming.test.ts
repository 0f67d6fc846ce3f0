/** A body that takes time: sent to who asked first as the app makes it, and stored as a whole. */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import { CacheBackend } from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Cache from "effect-caching/Cache"
import * as HttpCache from "effect-caching/HttpCache"
import * as Faulty from "effect-caching/testing/Faulty"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { redisForFile } from "../support/overBackends.js"
import { connect, type Connection, requestOf } from "./connection.js"
import { arrivals, memory, rawOpen, serve } from "./support.js"

const fresh = { "cache-control": "max-age=60" }
const bytes = (text: string) => new TextEncoder().encode(text)
const underWay = "http; fwd=uri-miss; detail=streamed"

const ask = (connection: Connection, headers: Record<string, string> = {}) =>
  Effect.suspend(() => {
    connection.send(requestOf("/a", { headers }))
    return connection.next()
  })

/**
 * An app that sends "first", and "second" when it may, and what becomes of that: each run has a number, which is in both.
 */
const halting = (
  second: (run: number) => Stream.Stream<Uint8Array, unknown>,
  headers: Record<string, string> = fresh
) =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<void>()
    const closed = yield* Deferred.make<void>()
    const source = { runs: 0, interrupted: 0, closed: 0 }
    const app = Effect.gen(function*() {
      yield* Effect.addFinalizer(() =>
        Effect.zipRight(
          Effect.sync(() => source.closed++),
          Deferred.succeed(closed, undefined)
        )
      )
      const run = ++source.runs
      const waiting = Effect.onInterrupt(Deferred.await(gate), () => Effect.sync(() => source.interrupted++))
      const stream = Stream.concat(
        Stream.make(bytes(`first ${run} `)),
        Stream.unwrap(Effect.as(waiting, Stream.suspend(() => second(run))))
      )
      return HttpServerResponse.stream(stream, { headers, contentType: "text/plain" })
    })
    return { app, closed, gate, open: Deferred.succeed(gate, undefined), source }
  })

const ending = halting((run) => Stream.make(bytes(`second ${run}`)))
const breaking = halting(() => Stream.fail("gone"))

/** The app, and when its requests are over: their scopes closed. */
const ended = Effect.gen(function*() {
  const over = yield* Deferred.make<void>()
  const watching = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R | Scope.Scope> =>
    Effect.zipRight(Effect.addFinalizer(() => Deferred.succeed(over, undefined)), app)
  return { over: Deferred.await(over), watching }
})

/** Waits until so many wait for loads of the backend: over Redis they look there first. */
const waiting = (count: number) =>
  Effect.flatMap(CacheBackend, ({ flights }) =>
    Effect.gen(function*() {
      while (Array.from(flights["live"]).reduce((sum, { waiters }) => sum + waiters, 0) < count) yield* turn
    }))

const complete = (deferred: Deferred.Deferred<void>) => Deferred.succeed(deferred, undefined)

const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void
const collectGarbage = Effect.zipRight(turn, Effect.zipRight(Effect.sync(collect), turn))

/** After more than one turn of the event loop: in which what came before has been passed on, if it may be. */
const later = <A, E>(stream: Stream.Stream<A, E>) => Stream.unwrap(Effect.as(Effect.repeatN(turn, 20), stream))

const redis = redisForFile()
let count = 0
const backends: Readonly<Record<string, Layer.Layer<CacheBackend>>> = {
  Memory: memory(),
  "Memory of bytes": memory("bytes"),
  Redis: Layer.orDie(Layer.suspend(() => redis.layer(`s${count++}:`)))
}

for (const [backend, layer] of Object.entries(backends)) {
  describe(`a body that takes time, over ${backend}`, () => {
    const provide = Effect.provide(layer)

    it.scoped("T1: who asked first has each part as it is made, and the next one the whole of the same run", () =>
      Effect.gen(function*() {
        const { app, open, source } = yield* ending
        const { port } = yield* serve(HttpCache.middleware()(app))
        const [first, next] = yield* Effect.all([connect(port), connect(port)])
        first.send(requestOf("/a"))
        yield* first.sees("first 1 ")
        assert.notInclude(first.received(), "second")
        yield* open
        const own = yield* first.next()
        assert.deepStrictEqual([own.status, own.body.toString()], [200, "first 1 second 1"])
        assert.strictEqual(own.headers["cache-status"], underWay)
        const stored = yield* ask(next)
        assert.strictEqual(stored.body.toString(), "first 1 second 1")
        assert.strictEqual(stored.headers["cache-status"], "http; hit; ttl=60")
        assert.strictEqual(stored.headers["content-length"], "16")
        assert.strictEqual(stored.headers["date"], own.headers["date"])
        assert.strictEqual(stored.headers["content-type"], "text/plain")
        assert.isString(stored.headers["etag"])
        assert.deepStrictEqual(source, { runs: 1, interrupted: 0, closed: 1 })
      }).pipe(provide))

    it.scoped("the connection is kept, and what follows on it is answered", () =>
      Effect.gen(function*() {
        const { app, open } = yield* ending
        const { port } = yield* serve(HttpCache.middleware()(app))
        const connection = yield* connect(port)
        connection.send(requestOf("/a") + requestOf("/a"))
        yield* connection.sees("first 1 ")
        yield* open
        for (const status of [underWay, "http; fwd=uri-miss; ttl=60; collapsed"]) {
          const { body, headers } = yield* connection.next()
          assert.deepStrictEqual([body.toString(), headers["cache-status"]], ["first 1 second 1", status])
        }
      }).pipe(provide))

    it.scoped("who comes while it is sent waits for the whole of it, from one run", () =>
      Effect.gen(function*() {
        const { app, open, source } = yield* ending
        const { port } = yield* serve(HttpCache.middleware()(app))
        const first = yield* connect(port)
        first.send(requestOf("/a"))
        yield* first.sees("first 1 ")
        const others = yield* Effect.all(Array.from({ length: 20 }, () => connect(port)))
        for (const other of others) other.send(requestOf("/a"))
        yield* waiting(21)
        for (const other of others) assert.strictEqual(other.received(), "")
        yield* open
        for (const connection of [first, ...others]) {
          assert.strictEqual((yield* connection.next()).body.toString(), "first 1 second 1")
        }
        assert.deepStrictEqual(source, { runs: 1, interrupted: 0, closed: 1 })
      }).pipe(provide))

    it.scoped("who asked first leaves half-way: who waits for it has the whole, and so has the next one", () =>
      Effect.gen(function*() {
        const { app, open, source } = yield* ending
        const { over, watching } = yield* ended
        const { port } = yield* serve(watching(HttpCache.middleware()(app)))
        const [first, other] = yield* Effect.all([connect(port), connect(port)])
        first.send(requestOf("/a"))
        yield* first.sees("first 1 ")
        other.send(requestOf("/a"))
        yield* waiting(2)
        first.abort()
        yield* over
        yield* open
        assert.strictEqual((yield* other.next()).body.toString(), "first 1 second 1")
        assert.strictEqual((yield* ask(other)).headers["cache-status"], "http; hit; ttl=60")
        assert.deepStrictEqual(source, { runs: 1, interrupted: 0, closed: 1 })
      }).pipe(provide))

    it.scoped("who asked first leaves half-way, and nobody waits: the app is interrupted, and nothing is stored", () =>
      Effect.gen(function*() {
        const { app, closed, open, source } = yield* ending
        const { flights } = yield* CacheBackend
        const { port } = yield* serve(HttpCache.middleware()(app))
        const [first, next] = yield* Effect.all([connect(port), connect(port)])
        first.send(requestOf("/a"))
        yield* first.sees("first 1 ")
        first.abort()
        yield* Deferred.await(closed)
        assert.deepStrictEqual(source, { runs: 1, interrupted: 1, closed: 1 })
        yield* open
        assert.strictEqual((yield* ask(next)).body.toString(), "first 2 second 2")
        assert.strictEqual(flights.size, 0)
      }).pipe(provide))

    it.scoped("T2: it breaks off half-way: an answer that breaks off, errors for who waits, and nothing stored", () =>
      Effect.gen(function*() {
        const { app, open, source } = yield* breaking
        const { port } = yield* serve(HttpCache.middleware()(app))
        const [first, other, next] = yield* Effect.all([connect(port), connect(port), connect(port)])
        first.send(requestOf("/a"))
        yield* first.sees("first 1 ")
        other.send(requestOf("/a"))
        yield* waiting(2)
        yield* open
        assert.strictEqual((yield* Effect.either(first.next()))._tag, "Left")
        assert.strictEqual((yield* other.next()).status, 500)
        assert.notInclude(other.received(), "first")
        // What is broken at once, as it is now, has not begun: nothing of it was sent.
        assert.strictEqual((yield* ask(next)).status, 500)
        assert.deepStrictEqual(source, { runs: 2, interrupted: 0, closed: 2 })
      }).pipe(provide))

    it.scoped("it is invalidated while it is sent: its first client has it, and nothing is stored", () =>
      Effect.gen(function*() {
        const { app, open } = yield* ending
        const options = { tags: () => ["page"] }
        const { port } = yield* serve(HttpCache.middleware(options)(app))
        const first = yield* connect(port)
        first.send(requestOf("/a"))
        yield* first.sees("first 1 ")
        yield* HttpCache.invalidate("http://localhost/a")
        yield* open
        assert.strictEqual((yield* first.next()).body.toString(), "first 1 second 1")
        assert.strictEqual((yield* ask(first)).body.toString(), "first 2 second 2")
      }).pipe(provide))

    it.scoped("T1: past `maxBodyBytes` it is sent on, from the same run, and not stored", () =>
      Effect.gen(function*() {
        const { app, closed, open, source } = yield* ending
        const { port } = yield* serve(HttpCache.middleware({ maxBodyBytes: 10 })(app))
        const first = yield* connect(port)
        first.send(requestOf("/a"))
        yield* first.sees("first 1 ")
        yield* open
        assert.strictEqual((yield* first.next()).body.toString(), "first 1 second 1")
        yield* Deferred.await(closed)
        assert.deepStrictEqual(source, { runs: 1, interrupted: 0, closed: 1 })
        assert.strictEqual((yield* ask(first)).body.toString(), "first 2 second 2")
      }).pipe(provide))
  })
}

describe("a body that takes time", () => {
  const provide = Effect.provide(memory())

  it.scoped("a client that reads slowly keeps neither the app nor others, and has the whole in the end", () =>
    Effect.gen(function*() {
      const large = "0123456789abcdef".repeat(65_536)
      const { app, closed, open, source } = yield* halting(() => Stream.make(bytes(large)))
      const { port } = yield* serve(HttpCache.middleware({ maxBodyBytes: 2 * large.length })(app))
      const [slow, other] = yield* Effect.all([connect(port), connect(port)])
      slow.send(requestOf("/a"))
      yield* slow.sees("first 1 ")
      slow.pause()
      yield* open
      yield* Deferred.await(closed)
      assert.strictEqual((yield* ask(other)).headers["cache-status"], "http; hit; ttl=60")
      assert.isBelow(slow.received().length, large.length)
      slow.resume()
      assert.strictEqual((yield* slow.next()).body.length, large.length + 8)
      assert.strictEqual(source.runs, 1)
    }).pipe(provide))

  it.scoped("of what a slow client has not read there is one copy in memory, however long it takes", () =>
    Effect.gen(function*() {
      const { flights } = yield* CacheBackend
      const part = 1 << 20
      const parts = Stream.rechunk(Stream.range(1, 32), 1).pipe(Stream.map(() => new Uint8Array(part)))
      const { app, open } = yield* halting(() => parts)
      const options = { maxBodyBytes: 64 * part, storeIf: () => Effect.succeed(false) }
      const { port } = yield* serve(HttpCache.middleware(options)(app))
      const slow = yield* connect(port)
      slow.send(requestOf("/a"))
      yield* slow.sees("first 1 ")
      slow.pause()
      const held = Effect.map(collectGarbage, () => process.memoryUsage().arrayBuffers / part)
      const before = yield* held
      yield* open
      while (flights.size > 0) yield* turn
      // What was let go of just now may be found by a later collection only.
      const left = Effect.map(held, (after) => after - before)
      assert.isBelow(yield* Effect.repeat(left, { times: 50, until: (size) => size < 1.5 * 32 }), 1.5 * 32)
    }).pipe(provide))

  it.scoped("of a failure is sent to who asked, in its scope, and to nobody else", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { reach, through } = arrivals()
      let runs = 0
      const app = Effect.gen(function*() {
        const run = ++runs
        let isOpen = true
        yield* Effect.addFinalizer(() => Effect.sync(() => isOpen = false))
        yield* Deferred.await(gate)
        const body = Stream.suspend(() => isOpen ? Stream.make(bytes(`error ${run}`)) : Stream.fail("closed"))
        return yield* Effect.fail(HttpServerResponse.stream(body, { status: 503 }))
      })
      const client = yield* serve(through(HttpCache.middleware()(app)))
      const asking = yield* Effect.fork(Effect.all([client.get("/a"), client.get("/a")], { concurrency: 2 }))
      yield* reach(2)
      yield* Deferred.succeed(gate, undefined)
      const replies = yield* Fiber.join(asking)
      assert.deepStrictEqual(replies.map(({ body, status }) => `${status} ${body}`).sort(), [
        "503 error 1",
        "503 error 2"
      ])
    }).pipe(Effect.provide(memory())))

  it.scoped("who is sent a part may write to it: what is stored is what the app gave", () =>
    Effect.gen(function*() {
      const { app, open } = yield* ending
      const changing = (change: (part: Uint8Array) => Uint8Array) =>
        Effect.map((response: HttpServerResponse.HttpServerResponse) =>
          response.body._tag === "Stream"
            ? HttpServerResponse.setBody(response, HttpBody.stream(Stream.map(response.body.stream, change)))
            : response
        )
      const ofBuffers = changing((part) => Buffer.from(part))(app)
      const { port } = yield* serve(changing((part) => part.fill(0))(HttpCache.middleware()(ofBuffers)))
      const connection = yield* connect(port)
      connection.send(requestOf("/a"))
      yield* connection.sees("\0")
      yield* open
      assert.strictEqual((yield* connection.next()).body.toString(), "\0".repeat(16))
      assert.strictEqual((yield* ask(connection)).body.toString(), "first 1 second 1")
    }).pipe(provide))

  it.scoped("to HTTP/1.0, where it ends with the connection, nothing is sent before it is whole", () =>
    Effect.gen(function*() {
      for (const [making, status, body] of [[ending, 200, "first 1 second 1"], [breaking, 500, ""]] as const) {
        const { app, open } = yield* making
        const { reach, through } = arrivals()
        const { port } = yield* serve(through(HttpCache.middleware({ name: String(status) })(app)))
        const got = yield* Effect.fork(rawOpen(port, "GET /a HTTP/1.0\r\nHost: h\r\n\r\n"))
        yield* reach(1)
        for (let turns = 0; turns < 20; turns++) yield* turn
        yield* open
        const [head = "", rest] = (yield* Fiber.join(got)).split("\r\n\r\n")
        assert.include(head, `HTTP/1.1 ${status} `)
        assert.strictEqual(rest, body)
      }
    }).pipe(provide))

  it.scoped("a function of the program's that fails when it was sent is told of: the client has its answer", () =>
    Effect.gen(function*() {
      const logged = yield* Deferred.make<string>()
      const logger = Logger.make(({ cause, logLevel, message }) => {
        if (logLevel._tag === "Warning") Deferred.unsafeDone(logged, Exit.succeed(`${message}: ${Cause.pretty(cause)}`))
      })
      const { app, open } = yield* ending
      const tags = () => {
        throw new Error("no tags")
      }
      const { port } = yield* Effect.provide(
        serve(HttpCache.middleware({ tags })(app)),
        Logger.replace(Logger.defaultLogger, logger)
      )
      const connection = yield* connect(port)
      connection.send(requestOf("/a"))
      yield* connection.sees("first 1 ")
      yield* open
      assert.strictEqual((yield* connection.next()).body.toString(), "first 1 second 1")
      assert.include(yield* Deferred.await(logged), "an answer that was sent was not stored: Error: no tags")
    }).pipe(provide))

  it.scoped("what is done with it when it was sent does not hold its key for ever", () =>
    Effect.gen(function*() {
      const { flights } = yield* CacheBackend
      const { app, open, source } = yield* ending
      const asked = yield* Deferred.make<void>()
      const storeIf = () => source.runs > 1 ? Effect.succeed(true) : Effect.zipRight(complete(asked), Effect.never)
      const { port } = yield* serve(HttpCache.middleware({ storeIf })(app))
      const connection = yield* connect(port)
      connection.send(requestOf("/a"))
      yield* connection.sees("first 1 ")
      yield* open
      assert.strictEqual((yield* connection.next()).body.toString(), "first 1 second 1")
      yield* Deferred.await(asked)
      while (flights.size > 0) {
        yield* turn
        yield* TestClock.adjust("1 minute")
      }
      assert.strictEqual((yield* ask(connection)).body.toString(), "first 2 second 2")
    }).pipe(provide))

  it.scoped("who has all of it has not left: it is stored though its request is over before", () =>
    Effect.gen(function*() {
      const { app, open, source } = yield* ending
      const faults = yield* Faulty.Faulty
      yield* faults.inject(Faulty.delay("1 second"), { methods: ["fill"] })
      const { port } = yield* serve(HttpCache.middleware()(app))
      const first = yield* connect(port)
      first.send(requestOf("/a"))
      yield* first.sees("first 1 ")
      yield* open
      assert.strictEqual((yield* first.next()).body.toString(), "first 1 second 1")
      first.abort()
      const other = yield* connect(port)
      other.send(requestOf("/a"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* other.next()).body.toString(), "first 1 second 1")
      assert.strictEqual(source.runs, 1)
    }).pipe(Effect.provide(Faulty.layer(memory()))))

  it.scoped("what the request is to be compared with may be in it: preconditions are answered when it is whole", () =>
    Effect.gen(function*() {
      const { app, open, source } = yield* halting(() => later(Stream.make(bytes("second"))), {
        ...fresh,
        etag: "\"app\""
      })
      const { reach, through } = arrivals()
      const client = yield* serve(through(HttpCache.middleware()(app)))
      const asking = yield* Effect.fork(client.get("/a", { "if-none-match": "\"app\"" }))
      yield* reach(1)
      yield* open
      const { headers, status } = yield* Fiber.join(asking)
      assert.deepStrictEqual([status, headers["cache-status"]], [
        304,
        "http; fwd=uri-miss; fwd-status=200; stored"
      ])
      assert.strictEqual((yield* client.get("/a")).headers["cache-status"], "http; hit; ttl=60")
      assert.strictEqual(source.runs, 1)
    }).pipe(provide))

  it.scoped("RFC 5861 §4: nothing of it is sent while a stale answer may be sent in its place", () =>
    Effect.gen(function*() {
      let isWhole = true
      const { app, open } = yield* halting(() => isWhole ? Stream.make(bytes("second")) : later(Stream.fail("gone")))
      const { port } = yield* serve(HttpCache.middleware({ staleIfError: "1 hour" })(app))
      const connection = yield* connect(port)
      yield* open
      yield* ask(connection)
      isWhole = false
      yield* TestClock.adjust("61 seconds")
      const { body, headers } = yield* ask(connection)
      assert.strictEqual(body.toString(), "first 1 second")
      assert.strictEqual(
        headers["cache-status"],
        "http; fwd=stale; fwd-status=500; ttl=-1; detail=stale-if-error"
      )
    }).pipe(provide))

  it.scoped("in the load of another cache it is whole: what it was made of counts there too", () =>
    Effect.gen(function*() {
      const { app, open, source } = yield* ending
      const inner = HttpCache.middleware({ name: "inner", tags: () => ["page"] })(app)
      const { port } = yield* serve(HttpCache.middleware({ name: "outer" })(inner))
      const connection = yield* connect(port)
      connection.send(requestOf("/a"))
      // The request waits for the outer load, and that for the inner one, which has its first bytes by then.
      yield* waiting(2)
      yield* Effect.repeatN(turn, 20)
      yield* open
      yield* connection.next()
      assert.include((yield* ask(connection)).headers["cache-status"], "outer; hit")
      yield* Cache.invalidateTags(["page"])
      assert.strictEqual((yield* ask(connection)).body.toString(), "first 2 second 2")
      assert.strictEqual(source.runs, 2)
    }).pipe(provide))

  it.scoped("forms are made of the whole: who asked first has the plain one", () =>
    Effect.gen(function*() {
      const text = "0123456789abcdef".repeat(256)
      const { app, open } = yield* halting(() => Stream.make(bytes(text)))
      const { port } = yield* serve(HttpCache.middleware({ compress: true })(app))
      const first = yield* connect(port)
      first.send(requestOf("/a", { headers: { "accept-encoding": "gzip" } }))
      yield* first.sees("first 1 ")
      yield* open
      const own = yield* first.next()
      assert.isUndefined(own.headers["content-encoding"])
      assert.include(own.headers["vary"], "Accept-Encoding")
      assert.strictEqual(own.body.toString(), `first 1 ${text}`)
      const next = yield* ask(first, { "accept-encoding": "gzip" })
      assert.strictEqual(next.headers["content-encoding"], "gzip")
    }).pipe(provide))

  it.scoped("a middleware outside that sends another response in its place: it is stored all the same", () =>
    Effect.gen(function*() {
      const { app, open, source } = yield* ending
      const cached = HttpCache.middleware()(app)
      const outside = yield* serve(Effect.as(cached, HttpServerResponse.text("another")))
      const inside = yield* serve(cached)
      assert.strictEqual((yield* outside.get("/a", { host: "h" })).body, "another")
      yield* open
      assert.strictEqual((yield* inside.get("/a", { host: "h" })).body, "first 1 second 1")
      assert.strictEqual((yield* inside.get("/a", { host: "h" })).headers["cache-status"], "http; hit; ttl=60")
      assert.strictEqual(source.runs, 1)
    }).pipe(provide))

  it.scoped("the end of the backend ends it: nobody waits for what is not read any more", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const backend = yield* Layer.buildWithScope(Memory.layer(), scope)
      const { app } = yield* ending
      const { port } = yield* serve(Effect.provide(HttpCache.middleware()(app), backend))
      const first = yield* connect(port)
      first.send(requestOf("/a"))
      yield* first.sees("first 1 ")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.either(first.next()))._tag, "Left")
    }))

  it.effect("who is interrupted just as the response begins has left, at whichever step", () =>
    Effect.gen(function*() {
      const { flights } = yield* CacheBackend
      const ends = { before: 0, after: 0 }
      for (let i = 0; i < 400; i++) {
        const { app, closed, source } = yield* ending
        const first = yield* Deferred.make<void>()
        const telling = Effect.map(app, (response) => {
          const { stream } = response.body as HttpBody.Stream
          const told = Stream.tap(stream, () => Deferred.succeed(first, undefined))
          return HttpServerResponse.setBody(response, HttpBody.stream(told, "text/plain"))
        })
        const request = HttpServerRequest.fromWeb(new Request(`http://h/${i}`))
        const asking = yield* Effect.zipRight(
          Effect.provideService(HttpCache.middleware()(telling), HttpServerRequest.HttpServerRequest, request),
          Effect.onInterrupt(Effect.never, () => Effect.sync(() => ends.after++))
        ).pipe(Effect.scoped, Effect.withMaxOpsBeforeYield(15 + i % 50), Effect.fork)
        yield* Deferred.await(first)
        for (let turns = 0; turns < Math.floor(i / 100); turns++) {
          yield* turn
        }
        yield* Fiber.interrupt(asking)
        yield* Deferred.await(closed)
        assert.deepStrictEqual([source.runs, source.closed], [1, 1])
        assert.strictEqual(flights.size, 0)
      }
      ends.before = 400 - ends.after
      assert.isAbove(ends.before, 0)
      assert.isAbove(ends.after, 0)
    }).pipe(provide))

  describe("given to a web handler", () => {
    const handler = (app: HttpApp.Default<never, Scope.Scope>) =>
      Effect.map(
        Effect.runtime<CacheBackend>(),
        (runtime) => HttpApp.toWebHandlerRuntime(runtime)(HttpCache.middleware()(app))
      )
    const get = (handle: (request: Request) => Promise<Response>) =>
      Effect.promise(() => handle(new Request("http://h/a")))

    it.scoped("it is read as it is made, and stored when it was read", () =>
      Effect.gen(function*() {
        const { app, open, source } = yield* ending
        const handle = yield* handler(app)
        const response = yield* get(handle)
        const reader = response.body!.getReader()
        const read = Effect.map(Effect.promise(() => reader.read()), ({ value }) => new TextDecoder().decode(value))
        assert.strictEqual(yield* read, "first 1 ")
        yield* open
        assert.strictEqual(yield* read, "second 1")
        assert.isTrue((yield* Effect.promise(() => reader.read())).done)
        assert.strictEqual((yield* get(handle)).headers.get("cache-status"), "http; hit; ttl=60")
        assert.deepStrictEqual(source, { runs: 1, interrupted: 0, closed: 1 })
      }).pipe(provide))

    it.scoped("who cancels it has left: the app is interrupted", () =>
      Effect.gen(function*() {
        const { app, closed, source } = yield* ending
        const handle = yield* handler(app)
        const reader = (yield* get(handle)).body!.getReader()
        yield* Effect.promise(() => reader.read())
        yield* Effect.promise(() => reader.cancel())
        yield* Deferred.await(closed)
        assert.deepStrictEqual(source, { runs: 1, interrupted: 1, closed: 1 })
      }).pipe(provide))

    it.scoped("it cannot be read twice", () =>
      Effect.gen(function*() {
        const { app, open } = yield* ending
        const body = yield* HttpCache.middleware()(app).pipe(
          Effect.map((response) => (response.body as HttpBody.Stream).stream),
          Effect.provideService(
            HttpServerRequest.HttpServerRequest,
            HttpServerRequest.fromWeb(new Request("http://h/a"))
          )
        )
        yield* open
        assert.strictEqual(yield* Stream.mkString(Stream.decodeText(body)), "first 1 second 1")
        assert.strictEqual((yield* Effect.exit(Stream.runDrain(body)))._tag, "Failure")
      }).pipe(provide))
  })
})
