/** effect.md §2.3: what bodies are stored, and what becomes of the others. */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import type { CacheBackend } from "effect-caching/Backend"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as FS from "node:fs"
import { arrivals, memory, serve, storages } from "./support.js"

const fresh = { "cache-control": "max-age=60" }
const bytes = (text: string) => new TextEncoder().encode(text)
const streamOf = (...parts: ReadonlyArray<string>) => Stream.fromIterable(parts.map(bytes)).pipe(Stream.rechunk(1))
const hit = "http; hit; ttl=60"
const missed = "http; fwd=uri-miss"

for (const storage of storages) {
  describe(`bodies over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    const kinds: Record<string, Effect.Effect<HttpServerResponse.HttpServerResponse>> = {
      text: Effect.succeed(HttpServerResponse.text("héllo", { headers: fresh })),
      "text without a character": Effect.succeed(HttpServerResponse.text("", { headers: fresh })),
      json: Effect.orDie(HttpServerResponse.json({ a: 1 }, { headers: fresh })),
      html: Effect.map(HttpServerResponse.html`<b>${1}</b>`, HttpServerResponse.setHeaders(fresh)),
      bytes: Effect.succeed(
        HttpServerResponse.uint8Array(bytes("bytes"), { headers: { ...fresh, "content-type": "image/x" } })
      ),
      "bytes without a type": Effect.succeed(HttpServerResponse.raw(bytes("raw"), { headers: fresh })),
      "raw text": Effect.succeed(
        HttpServerResponse.raw("räw", { headers: { ...fresh, "content-type": "text/x; charset=utf-8" } })
      ),
      "nothing, 204": Effect.succeed(HttpServerResponse.empty({ headers: fresh })),
      "nothing, 200": Effect.succeed(HttpServerResponse.empty({ status: 200, headers: fresh })),
      redirect: Effect.succeed(HttpServerResponse.redirect("/b", { status: 301, headers: fresh })),
      stream: Effect.sync(() =>
        HttpServerResponse.stream(streamOf("a", "b", "c"), { headers: fresh, contentType: "text/s" })
      ),
      "stream of a known length": Effect.sync(() =>
        HttpServerResponse.stream(streamOf("a", "b"), { headers: fresh, contentLength: 2 })
      ),
      "a web response": Effect.sync(() =>
        HttpServerResponse.fromWeb(new Response("web", { headers: { ...fresh, "content-type": "text/w" } }))
      )
    }
    for (const [kind, app] of Object.entries(kinds)) {
      it.scoped(`stored as it is: ${kind}`, () =>
        Effect.gen(function*() {
          let runs = 0
          const counted = Effect.suspend(() => {
            runs++
            return app
          })
          const plain = yield* serve(app)
          const client = yield* serve(HttpCache.middleware()(counted))
          const expected = yield* plain.get("/a")
          const own = yield* client.get("/a")
          const stored = yield* client.get("/a")
          assert.strictEqual(own.headers["cache-status"], `${missed}; stored`)
          assert.strictEqual(stored.headers["cache-status"], hit)
          for (const reply of [own, stored]) {
            assert.strictEqual(reply.status, expected.status)
            assert.strictEqual(reply.body, expected.body)
            for (const name of ["content-type", "location", "cache-control"]) {
              assert.strictEqual(reply.headers[name], expected.headers[name], name)
            }
          }
          assert.strictEqual(runs, 1)
        }).pipe(provide))
    }

    it.scoped("a stream is captured with its length, and not evaluated again", () =>
      Effect.gen(function*() {
        let evaluations = 0
        const stream = Stream.unwrap(Effect.sync(() => streamOf("run ", String(++evaluations))))
        const client = yield* serve(
          HttpCache.middleware()(Effect.succeed(HttpServerResponse.stream(stream, { headers: fresh })))
        )
        for (let i = 0; i < 3; i++) {
          const reply = yield* client.get("/a")
          assert.strictEqual(reply.body, "run 1")
          assert.strictEqual(reply.headers["content-length"], "5")
        }
        assert.strictEqual(evaluations, 1)
      }).pipe(provide))

    it.scoped("bytes that the app writes to later stay as they were sent", () =>
      Effect.gen(function*() {
        for (const buffer of [bytes("one"), Buffer.from("one")]) {
          const client = yield* serve(
            HttpCache.middleware()(Effect.sync(() => HttpServerResponse.uint8Array(buffer, { headers: fresh })))
          )
          yield* client.get("/a")
          buffer.set(bytes("two"))
          assert.strictEqual((yield* client.get("/a")).body, "one")
        }
      }).pipe(provide))
  })
}

describe("bodies that are not stored", () => {
  const provide = Effect.provide(memory())

  it.scoped("too long: sent whole, from one run", () =>
    Effect.gen(function*() {
      let runs = 0
      let closed = 0
      const long = Effect.zipRight(
        Effect.addFinalizer(() => Effect.sync(() => closed++)),
        Effect.sync(() => {
          runs++
          return HttpServerResponse.stream(
            Stream.ensuring(
              streamOf("abc", "def", "ghi", "jkl"),
              Effect.sync(() => assert.strictEqual(closed, runs - 1))
            ),
            { headers: fresh }
          )
        })
      )
      const client = yield* serve(HttpCache.middleware({ maxBodyBytes: 5 })(long))
      const reply = yield* client.get("/a")
      assert.strictEqual(reply.body, "abcdefghijkl")
      assert.strictEqual(reply.headers["cache-status"], missed)
      assert.deepStrictEqual([runs, closed], [1, 1])
      assert.strictEqual((yield* client.get("/a")).body, "abcdefghijkl")
      const fits = yield* serve(HttpCache.middleware({ maxBodyBytes: 12 })(long))
      yield* fits.get("/a")
      assert.strictEqual((yield* fits.get("/a")).headers["cache-status"], hit)
    }).pipe(provide))

  it.scoped("too long, in memory or by its own word: sent as it is", () =>
    Effect.gen(function*() {
      let evaluations = 0
      const router = HttpRouter.empty.pipe(
        HttpRouter.get("/text", Effect.succeed(HttpServerResponse.text("too long", { headers: fresh }))),
        HttpRouter.get(
          "/stream",
          Effect.sync(() =>
            HttpServerResponse.stream(Stream.unwrap(Effect.sync(() => (evaluations++, streamOf("too ", "long")))), {
              headers: fresh,
              contentLength: 8
            })
          )
        )
      )
      const client = yield* serve(HttpCache.middleware({ maxBodyBytes: 5 })(router))
      for (const path of ["/text", "/stream", "/text", "/stream"]) {
        const reply = yield* client.get(path)
        assert.strictEqual(reply.body, "too long")
        assert.strictEqual(reply.headers["cache-status"], missed)
      }
      assert.strictEqual(evaluations, 2)
    }).pipe(provide))

  it.scoped("broken off: an error, not a short answer, and not stored", () =>
    Effect.gen(function*() {
      let runs = 0
      const broken = Effect.sync(() =>
        ++runs <= 2
          ? HttpServerResponse.stream(Stream.concat(streamOf("half"), Stream.fail("gone")), { headers: fresh })
          : HttpServerResponse.stream(streamOf("half", "half"), { headers: fresh })
      )
      const client = yield* serve(HttpCache.middleware()(broken))
      assert.strictEqual((yield* client.get("/a")).status, 500)
      assert.strictEqual((yield* client.get("/a")).status, 500)
      const whole = yield* client.get("/a")
      assert.strictEqual(whole.body, "halfhalf")
      assert.strictEqual((yield* client.get("/a")).headers["cache-status"], hit)
    }).pipe(provide))

  it.scoped("T26: shorter than it said: an error, and not stored", () =>
    Effect.gen(function*() {
      const short = Effect.sync(() => HttpServerResponse.stream(streamOf("abc"), { headers: fresh, contentLength: 5 }))
      const client = yield* serve(HttpCache.middleware()(short))
      for (let i = 0; i < 2; i++) assert.strictEqual((yield* client.get("/a")).status, 500)
    }).pipe(provide))

  it.scoped("never ending: after the time given for it, it is sent as it comes", () =>
    Effect.gen(function*() {
      const reading = yield* Deferred.make<void>()
      const more = yield* Deferred.make<void>()
      let isClosed = false
      const slow = Effect.sync(() =>
        HttpServerResponse.stream(
          streamOf("first ").pipe(
            Stream.concat(
              Stream.fromEffect(
                Effect.zipRight(Deferred.succeed(reading, undefined), Effect.as(Deferred.await(more), bytes("second ")))
              )
            ),
            Stream.concat(streamOf("third")),
            Stream.ensuring(Effect.sync(() => isClosed = true))
          ),
          { headers: fresh }
        )
      )
      const client = yield* serve(HttpCache.middleware({ captureTimeout: "3 seconds" })(slow))
      const asking = yield* Effect.fork(client.get("/a"))
      yield* Deferred.await(reading)
      yield* TestClock.adjust("3 seconds")
      yield* Deferred.succeed(more, undefined)
      const reply = yield* Fiber.join(asking)
      assert.strictEqual(reply.body, "first second third")
      assert.strictEqual(reply.headers["cache-status"], `${missed}; detail=streamed`)
      assert.isTrue(isClosed)
    }).pipe(provide))

  it.scoped("never ending, with nobody there any more: closed", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const endless = Effect.sync(() =>
        HttpServerResponse.stream(
          Stream.concat(
            streamOf("a"),
            Stream.fromEffect(Effect.zipRight(Deferred.succeed(started, undefined), Effect.never))
          ).pipe(
            Stream.ensuring(Deferred.succeed(closed, undefined))
          ),
          { headers: fresh }
        )
      )
      const client = yield* serve(HttpCache.middleware()(endless))
      const asking = yield* Effect.fork(client.get("/a"))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(asking)
      yield* Deferred.await(closed)
    }).pipe(provide))

  it.scoped("an event stream: sent as it comes, without waiting for anything", () =>
    Effect.gen(function*() {
      const events = Effect.sync(() =>
        HttpServerResponse.stream(streamOf("data: 1\n\n", "data: 2\n\n"), {
          headers: fresh,
          contentType: "text/event-stream"
        })
      )
      const client = yield* serve(HttpCache.middleware()(events))
      for (let i = 0; i < 2; i++) {
        const reply = yield* client.get("/a")
        assert.strictEqual(reply.body, "data: 1\n\ndata: 2\n\n")
        assert.strictEqual(reply.headers["cache-status"], missed)
      }
    }).pipe(provide))

  it.scoped("a form, whose boundary is made when it is sent", () =>
    Effect.gen(function*() {
      const form = new FormData()
      form.append("a", "1")
      const client = yield* serve(
        HttpCache.middleware()(Effect.succeed(HttpServerResponse.formData(form, { headers: fresh })))
      )
      for (let i = 0; i < 2; i++) {
        const reply = yield* client.get("/a")
        assert.include(reply.body, "name=\"a\"")
        assert.strictEqual(reply.headers["cache-status"], missed)
      }
    }).pipe(provide))

  it.scoped("a file that Node has open: sent, and closed", () =>
    Effect.gen(function*() {
      const path = new URL(import.meta.url).pathname
      const opened: Array<FS.ReadStream> = []
      const file = Effect.sync(() => {
        const stream = FS.createReadStream(path, { end: 9 })
        opened.push(stream)
        return HttpServerResponse.raw(stream, { headers: { ...fresh, etag: "\"file\"" } })
      })
      const client = yield* serve(HttpCache.middleware()(file))
      assert.strictEqual((yield* client.get("/a")).body.length, 10)
      assert.strictEqual((yield* client.get("/a", { "if-none-match": "\"file\"" })).body.length, 10)
      assert.isTrue(opened.every((stream) => stream.destroyed))
      assert.strictEqual(opened.length, 2)
    }).pipe(provide))

  it.scoped("what was too long goes to each who waited, from a run of its own", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { reach, through } = arrivals()
      let runs = 0
      const app = Effect.zipRight(
        Deferred.await(gate),
        Effect.sync(() => HttpServerResponse.stream(streamOf(`${++runs}:`, "123456"), { headers: fresh }))
      )
      const client = yield* serve(through(HttpCache.middleware({ maxBodyBytes: 5 })(app)))
      const asking = yield* Effect.fork(
        Effect.all(Array.from({ length: 20 }, () => client.get("/a")), { concurrency: "unbounded" })
      )
      yield* reach(20)
      yield* Deferred.succeed(gate, undefined)
      const bodies = (yield* Fiber.join(asking)).map(({ body }) => body)
      assert.strictEqual(new Set(bodies).size, 20)
      assert.isTrue(bodies.every((body) => body.endsWith(":123456")))
      assert.strictEqual(runs, 20)
    }).pipe(provide))

  it.scoped("a stream given to a web handler lives until it is read", () =>
    Effect.gen(function*() {
      const resource = { isOpen: true }
      const app = Effect.zipRight(
        Effect.addFinalizer(() => Effect.sync(() => resource.isOpen = false)),
        Effect.succeed(HttpServerResponse.setBody(
          HttpServerResponse.empty({ status: 200, headers: fresh }),
          HttpBody.stream(Stream.map(streamOf("abc", "def", "ghi"), (part) => resource.isOpen ? part : bytes("closed")))
        ))
      )
      const handler = HttpApp.toWebHandlerRuntime(yield* Effect.runtime<CacheBackend>())(
        HttpCache.middleware({ maxBodyBytes: 4 })(app)
      )
      const response = yield* Effect.promise(() => handler(new Request("http://h/a")))
      assert.isTrue(resource.isOpen)
      assert.strictEqual(yield* Effect.promise(() => response.text()), "abcdefghi")
      assert.isFalse(resource.isOpen)
    }).pipe(provide))
})
