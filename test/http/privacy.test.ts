/** One user's answer never reaches another. */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpCache from "effect-caching/HttpCache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { arrivals, type Client, memory, serve, storages } from "./support.js"

type Response = HttpServerResponse.HttpServerResponse

const userOf = Effect.map(
  HttpServerRequest.HttpServerRequest,
  ({ cookies, headers }) =>
    cookies["sid"] ?? headers["authorization"] ?? headers["x-api-key"] ?? headers["x-user"] ?? "nobody"
)

/** A page that names its user. */
const pageFor = (
  headers: Record<string, string>,
  more: (response: Response, user: string) => Effect.Effect<Response, any> = Effect.succeed
) => Effect.flatMap(userOf, (user) => more(HttpServerResponse.text(`page of ${user}`, { headers }), user))

/** Fifty requests at once, each of its own user, and then each again. */
const eachHasItsOwn = (
  app: HttpApp.Default<any, any>,
  options: HttpCache.Options,
  credentials: (user: string) => Record<string, string>,
  check: (
    reply: { readonly body: string; readonly headers: Readonly<Record<string, string | undefined>> },
    user: string
  ) => void = () => {}
) =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<void>()
    const { reach, through } = arrivals()
    const client: Client = yield* serve(
      through(HttpCache.middleware(options)(Effect.zipRight(Deferred.await(gate), app)))
    )
    const users = Array.from({ length: 50 }, (_, i) => `user${i}`)
    const ask = Effect.all(
      users.map((user) => Effect.map(client.get("/page", credentials(user)), (reply) => [user, reply] as const)),
      { concurrency: "unbounded" }
    )
    const asking = yield* Effect.fork(ask)
    yield* reach(50)
    yield* Deferred.succeed(gate, undefined)
    for (const [user, reply] of [...yield* Fiber.join(asking), ...yield* ask]) {
      assert.strictEqual(reply.body, `page of ${user}`)
      check(reply, user)
    }
  })

const fresh = { "cache-control": "max-age=60" }
const cookie = (user: string) => ({ cookie: `sid=${user}` })

for (const storage of storages) {
  describe(`a page of fifty users at once, over a backend of ${storage}`, () => {
    const provide = Effect.provide(memory(storage))

    for (
      const directive of [
        "private, max-age=60",
        "private=\"\", max-age=60",
        "No-StOrE;, max-age=60",
        "no-cache, max-age=60"
      ]
    ) {
      it.scoped(`T14: Cache-Control: ${directive}`, () =>
        eachHasItsOwn(pageFor({ "cache-control": directive }), {}, (user) => ({ "x-user": user })).pipe(provide))
    }

    it.scoped("T15: a cookie in the response's jar", () =>
      eachHasItsOwn(
        pageFor({ "cache-control": "public, max-age=60" }, (response, user) =>
          HttpServerResponse.setCookie(response, "sid", user)),
        {},
        (user) => ({ "x-user": user }),
        ({ headers }, user) =>
          assert.strictEqual(headers["set-cookie"], `sid=${user}`)
      ).pipe(provide))

    it.scoped("T15: a cookie in the response's headers", () =>
      eachHasItsOwn(
        pageFor({ "cache-control": "public, max-age=60" }, (response, user) =>
          Effect.succeed(HttpServerResponse.setHeader(response, "Set-Cookie", `sid=${user}`))),
        {},
        (user) => ({ "x-user": user }),
        ({ headers }, user) =>
          assert.strictEqual(headers["set-cookie"], `sid=${user}`)
      ).pipe(provide))

    for (
      const [how, end] of [
        ["fails", (response: Response) => Effect.fail(response)],
        ["dies", (response: Response) => Effect.die(response)]
      ] as const
    ) {
      // A proxy's address tells requests apart for the app and not for the cache.
      const asker = (user: string) => ({ "x-forwarded-for": user })
      const askerOf = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => headers["x-forwarded-for"] ?? "")
      const text = (user: string, headers: Record<string, string>) =>
        HttpServerResponse.text(`page of ${user}`, { headers })

      it.scoped(`T15: a cookie in a response with which the app ${how}`, () =>
        eachHasItsOwn(
          Effect.flatMap(askerOf, (user) =>
            Effect.flatMap(HttpServerResponse.setCookie(text(user, {}), "sid", user), end)),
          {},
          asker,
          ({ headers }, user) =>
            assert.strictEqual(headers["set-cookie"], `sid=${user}`)
        ).pipe(provide))

      it.scoped(`T14: a private response with which the app ${how}`, () =>
        eachHasItsOwn(
          Effect.flatMap(askerOf, (user) => end(text(user, { "cache-control": "private" }))),
          {},
          asker
        ).pipe(provide))
    }

    it.scoped("§2.2: a cookie set by a pre-response handler", () =>
      eachHasItsOwn(
        pageFor({ "cache-control": "public, max-age=60" }, (response, user) =>
          Effect.as(
            HttpApp.appendPreResponseHandler((_, response) =>
              Effect.orDie(HttpServerResponse.setCookie(response, "sid", user))
            ),
            response
          )),
        {},
        (user) => ({ "x-user": user }),
        ({ headers }, user) => assert.strictEqual(headers["set-cookie"], `sid=${user}`)
      ).pipe(provide))

    it.scoped("T16: Authorization, by default", () =>
      eachHasItsOwn(
        pageFor({ "cache-control": "public, max-age=60" }),
        {},
        (user) => ({ authorization: user }),
        ({ headers }) => assert.strictEqual(headers["cache-status"], "http; fwd=bypass")
      ).pipe(provide))

    it.scoped("T16: an API key, by default", () =>
      eachHasItsOwn(pageFor({ "cache-control": "public, max-age=60" }), {}, (user) => ({ "x-api-key": user })).pipe(
        provide
      ))

    it.scoped("T16: Authorization where it may be shared, and the answer does not say so", () =>
      eachHasItsOwn(pageFor(fresh), { authorization: "shared" }, (user) => ({ authorization: user })).pipe(provide))

    it.scoped("T16: Authorization per user", () =>
      eachHasItsOwn(
        pageFor(fresh),
        { authorization: "per user" },
        (user) => ({ authorization: user }),
        ({ headers }) => assert.strictEqual(headers["vary"], "Authorization")
      ).pipe(provide))

    it.scoped("a session cookie, by default", () => eachHasItsOwn(pageFor(fresh), {}, cookie).pipe(provide))

    it.scoped("a session cookie, and a time to live for everything", () =>
      eachHasItsOwn(pageFor({}), { timeToLive: "1 hour" }, cookie).pipe(provide))

    it.scoped("a session cookie, and cookies bypass", () =>
      eachHasItsOwn(pageFor({ "cache-control": "public, max-age=60" }), { cookies: "bypass" }, cookie).pipe(provide))

    it.scoped("a session cookie that is part of the key", () =>
      eachHasItsOwn(
        pageFor(fresh),
        { cookies: { vary: ["sid"] } },
        cookie,
        ({ headers }) => assert.strictEqual(headers["vary"], "Cookie")
      ).pipe(provide))

    it.scoped("T17: Vary by a field that says who asks", () =>
      eachHasItsOwn(pageFor({ ...fresh, vary: "X-User" }), {}, (user) => ({ "x-user": user })).pipe(provide))

    for (const vary of ["Cookie", "*", "Accept, Authorization"]) {
      it.scoped(`T17: Vary: ${vary}`, () =>
        eachHasItsOwn(pageFor({ ...fresh, vary }), {}, (user) => ({ "x-user": user })).pipe(provide))
    }

    it.scoped("a failure that says who asked", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { reach, through } = arrivals()
        const app = Effect.zipRight(Deferred.await(gate), Effect.flip(userOf))
        const cached = Effect.catchAll(
          through(HttpCache.middleware()(app as unknown as HttpApp.Default<string>)),
          (user) => HttpServerResponse.text(`no page for ${user}`)
        )
        const client = yield* serve(cached)
        const users = Array.from({ length: 20 }, (_, i) => `user${i}`)
        const asking = yield* Effect.fork(
          Effect.all(
            users.flatMap((user) => [client.get("/page", cookie(user)), client.get("/page", { "x-user": user })]),
            {
              concurrency: "unbounded"
            }
          )
        )
        yield* reach(40)
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(
          (yield* Fiber.join(asking)).map(({ body }) => body),
          users.flatMap((user) => [`no page for ${user}`, `no page for ${user}`])
        )
      }).pipe(provide))
  })
}

describe("what is for everybody", () => {
  it.scoped("an answer said to be public is for requests with cookies too, and one that is not is not", () =>
    Effect.gen(function*() {
      let runs = 0
      const router = HttpRouter.empty.pipe(
        HttpRouter.get(
          "/public",
          Effect.sync(() =>
            HttpServerResponse.text(`${++runs}`, { headers: { "cache-control": "public, max-age=60" } })
          )
        ),
        HttpRouter.get("/plain", Effect.sync(() => HttpServerResponse.text(`${++runs}`, { headers: fresh })))
      )
      const client = yield* serve(HttpCache.middleware()(router))
      assert.strictEqual((yield* client.get("/public", cookie("a"))).body, "1")
      assert.strictEqual((yield* client.get("/public", cookie("b"))).body, "1")
      assert.strictEqual((yield* client.get("/public")).body, "1")
      assert.strictEqual((yield* client.get("/plain")).body, "2")
      const forbidden = yield* client.get("/plain", cookie("a"))
      assert.strictEqual(forbidden.body, "3")
      assert.strictEqual(forbidden.headers["cache-status"], "http; fwd=request")
      assert.strictEqual((yield* client.get("/plain")).body, "2")
      const other = yield* client.get("/plain", { authorization: "x" })
      assert.strictEqual(other.headers["cache-status"], "http; fwd=bypass")
    }).pipe(Effect.provide(memory())))

  it.scoped("cookies that are ignored are not seen", () =>
    Effect.gen(function*() {
      const client = yield* serve(HttpCache.middleware({ cookies: "ignore", timeToLive: "1 minute" })(pageFor({})))
      assert.strictEqual((yield* client.get("/page", cookie("a"))).body, "page of nobody")
      const hit = yield* client.get("/page", cookie("b"))
      assert.strictEqual(hit.body, "page of nobody")
      assert.strictEqual(hit.headers["cache-status"], "http; hit; ttl=60")
    }).pipe(Effect.provide(memory())))

  it.scoped("what was stored for nobody does not keep others from being cached", () =>
    Effect.gen(function*() {
      const client = yield* serve(HttpCache.middleware()(pageFor(fresh)))
      assert.strictEqual((yield* client.get("/page", cookie("a"))).headers["cache-status"], "http; fwd=uri-miss")
      assert.strictEqual((yield* client.get("/page")).headers["cache-status"], "http; fwd=uri-miss; stored")
      assert.strictEqual((yield* client.get("/page")).body, "page of nobody")
      assert.strictEqual((yield* client.get("/page", cookie("a"))).body, "page of a")
    }).pipe(Effect.provide(memory())))

  it.scoped("S14: a page that becomes private ends the public one", () =>
    Effect.gen(function*() {
      let directive = "max-age=60"
      const app = Effect.suspend(() => pageFor({ "cache-control": directive }))
      const client = yield* serve(
        HttpCache.middleware({ forcedUpdate: ({ headers }) => headers["x-anew"] !== undefined })(app)
      )
      yield* client.get("/page")
      directive = "private, max-age=60"
      yield* client.get("/page", { "x-anew": "1", "x-user": "a" })
      assert.strictEqual((yield* client.get("/page", { "x-user": "b" })).body, "page of b")
    }).pipe(Effect.provide(memory())))

  it.scoped("an answer's private fields and ids are for the one who asked", () =>
    Effect.gen(function*() {
      const app = pageFor({
        "cache-control": "max-age=60, private=\"x-name\"",
        "x-name": "ada",
        "x-request-id": "1",
        "x-kept": "1"
      })
      const client = yield* serve(HttpCache.middleware()(app))
      const own = (yield* client.get("/page")).headers
      assert.deepStrictEqual([own["x-name"], own["x-request-id"], own["x-kept"]], ["ada", "1", "1"])
      const other = (yield* client.get("/page")).headers
      assert.deepStrictEqual([other["x-name"], other["x-request-id"], other["x-kept"]], [undefined, undefined, "1"])
    }).pipe(Effect.provide(memory())))
})

describe("what is not stored", () => {
  it.scoped("keeps its cookie, whatever the preconditions of its request", () =>
    Effect.gen(function*() {
      const app = pageFor(
        { ...fresh, etag: "\"a\"" },
        (response, user) => HttpServerResponse.setCookie(response, "sid", user)
      )
      const client = yield* serve(HttpCache.middleware()(app))
      const reply = yield* client.get("/page", { "if-none-match": "\"a\"" })
      assert.strictEqual(reply.status, 200)
      assert.strictEqual(reply.headers["set-cookie"], "sid=nobody")
    }).pipe(Effect.provide(memory())))
})

describe("§2.6: ten users with sessions, many of whom leave", () => {
  for (const storage of storages) {
    it.scoped(`no byte crosses (${storage})`, () =>
      Effect.gen(function*() {
        let seed = 7
        const random = (below: number) => {
          seed = (seed * 1103515245 + 12345) % 2147483648
          return seed % below
        }
        const turn = Effect.async<void>((resume) => {
          const timer = setImmediate(() => resume(Effect.void))
          return Effect.sync(() => clearImmediate(timer))
        })
        const turns = (count: number) => Effect.repeatN(turn, count)
        const page = (path: HttpRouter.PathInput, headers: Record<string, string>, sets: boolean) =>
          HttpRouter.get(
            path,
            Effect.gen(function*() {
              const user = yield* userOf
              yield* turns(random(4))
              const response = HttpServerResponse.text(
                `${path} of ${headers["cache-control"]!.startsWith("public") ? "all" : user}`,
                { headers }
              )
              return sets ? yield* HttpServerResponse.setCookie(response, "sid", user) : response
            })
          )
        const client = yield* serve(
          HttpCache.middleware({ grace: "1 second" })(HttpRouter.empty.pipe(
            page("/mine", { "cache-control": "max-age=1" }, false),
            page("/private", { "cache-control": "private, max-age=1" }, false),
            page("/sets", { "cache-control": "max-age=1" }, true),
            page("/all", { "cache-control": "public, max-age=1" }, false),
            page("/varies", { "cache-control": "max-age=60", vary: "X-User" }, false)
          ))
        )
        const paths = ["/mine", "/private", "/sets", "/all", "/varies"] as const
        let finished = 0
        const one = (i: number) =>
          Effect.gen(function*() {
            const user = `u${random(10)}`
            const path = paths[random(paths.length)]!
            const fiber = yield* Effect.fork(
              Effect.either(
                client.get(
                  path,
                  random(2) === 0 || path === "/varies" ? { ...cookie(user), "x-user": user } : cookie(user)
                )
              )
            )
            if (random(3) === 0) {
              yield* turns(random(6))
              return yield* Fiber.interruptFork(fiber)
            }
            const reply = yield* Fiber.join(fiber)
            assert(reply._tag === "Right", String(i))
            finished++
            assert.strictEqual(reply.right.status, 200)
            assert.strictEqual(reply.right.body, `${path} of ${path === "/all" ? "all" : user}`)
            if (reply.right.headers["set-cookie"] !== undefined) {
              assert.strictEqual(reply.right.headers["set-cookie"], `sid=${user}`)
            }
          })
        yield* Effect.forEach(Array.from({ length: 600 }, (_, i) => i), one, { concurrency: 25, discard: true })
        assert.isAbove(finished, 300)
      }).pipe(Effect.provide(memory(storage))))
  }
})
