/** effect.md §2.5: where a cache is attached. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import * as HttpApiSecurity from "@effect/platform/HttpApiSecurity"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import type { CacheBackend } from "effect-caching/Backend"
import * as HttpCache from "effect-caching/HttpCache"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { expectTypeOf } from "vitest"
import { memory, serve } from "./support.js"

const fresh = { "cache-control": "max-age=60" }

class User extends Context.Tag("User")<User, string>() {}
class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}) {}
class Authorization extends HttpApiMiddleware.Tag<Authorization>()("Authorization", {
  failure: Unauthorized,
  provides: User,
  security: { bearer: HttpApiSecurity.bearer }
}) {}

const users = HttpApiGroup.make("users")
  .add(HttpApiEndpoint.get("me", "/me").addSuccess(Schema.String).middleware(Authorization))
  .add(HttpApiEndpoint.get("open", "/open").addSuccess(Schema.Number))
const api = HttpApi.make("api").add(users)

describe("a cache is attached to", () => {
  it.scoped("all routes of a router", () =>
    Effect.gen(function*() {
      let runs = 0
      const router = HttpRouter.empty.pipe(
        HttpRouter.get(
          "/users/:id",
          Effect.map(HttpRouter.params, ({ id }) => HttpServerResponse.text(`${++runs} ${id}`, { headers: fresh }))
        ),
        HttpRouter.use(HttpCache.middleware())
      )
      expectTypeOf(router).toExtend<HttpRouter.HttpRouter<never, CacheBackend>>()
      const client = yield* serve(router)
      assert.strictEqual((yield* client.get("/users/1")).body, "1 1")
      assert.strictEqual((yield* client.get("/users/2")).body, "2 2")
      assert.strictEqual((yield* client.get("/users/1")).body, "1 1")
    }).pipe(Effect.provide(memory())))

  it.scoped("routes of an HttpLayerRouter", () =>
    Effect.gen(function*() {
      let runs = 0
      const counted = Effect.sync(() => HttpServerResponse.text(`${++runs}`))
      const cached = HttpCache.layerRouter({ timeToLive: "1 minute" })
      expectTypeOf(cached).toEqualTypeOf<Layer.Layer<never, never, CacheBackend>>()
      const routes = Layer.mergeAll(
        HttpLayerRouter.add("GET", "/cached", counted).pipe(Layer.provide(cached)),
        HttpLayerRouter.add("GET", "/plain", counted)
      )
      const app = yield* HttpLayerRouter.toHttpEffect(routes)
      const client = yield* serve(app)
      assert.strictEqual((yield* client.get("/cached")).body, "1")
      assert.strictEqual((yield* client.get("/cached")).body, "1")
      assert.strictEqual((yield* client.get("/plain")).body, "2")
      assert.strictEqual((yield* client.get("/plain")).body, "3")
    }).pipe(Effect.provide(memory())))

  it.scoped("an HttpApi, outside its security, without letting anybody in", () =>
    Effect.gen(function*() {
      let runs = 0
      const handlers = HttpApiBuilder.group(api, "users", (handlers) =>
        handlers
          .handle("me", () => User)
          .handle("open", () => Effect.sync(() => ++runs)))
      const authorization = Layer.succeed(Authorization, {
        bearer: (token) => {
          const user = Redacted.value(token)
          return user === "" ? Effect.fail(new Unauthorized()) : Effect.succeed(user)
        }
      })
      const cached = HttpCache.layerApi({ timeToLive: "1 minute" })
      expectTypeOf(cached).toEqualTypeOf<Layer.Layer<never, never, CacheBackend>>()
      const context = yield* Layer.build(
        Layer.mergeAll(
          HttpApiBuilder.api(api),
          HttpApiBuilder.Router.Live,
          HttpApiBuilder.Middleware.layer,
          HttpServer.layerContext
        ).pipe(
          Layer.provide(handlers),
          Layer.provide(authorization),
          Layer.provideMerge(cached)
        )
      )
      const app = yield* Effect.provide(HttpApiBuilder.httpApp, context)
      const client = yield* serve(app as HttpApp.Default)
      for (const user of ["ada", "bob"]) {
        assert.strictEqual((yield* client.get("/me", { authorization: `Bearer ${user}` })).body, JSON.stringify(user))
      }
      assert.notStrictEqual((yield* client.get("/me")).status, 200)
      assert.strictEqual((yield* client.get("/open")).body, "1")
      assert.strictEqual((yield* client.get("/open")).body, "1")
    }).pipe(Effect.provide(memory())))

  it.scoped("one endpoint of an HttpApi, inside its security", () =>
    Effect.gen(function*() {
      let runs = 0
      const me = Effect.map(User, (user) => HttpServerResponse.text(`${++runs} ${user}`, { headers: fresh }))
      const handlers = HttpApiBuilder.group(api, "users", (handlers) =>
        handlers
          .handle("me", () => HttpCache.middleware({ authorization: "per user" })(me))
          .handle("open", () => Effect.succeed(1)))
      const authorization = Layer.succeed(Authorization, { bearer: (token) => Effect.succeed(Redacted.value(token)) })
      const context = yield* Layer.build(
        Layer.mergeAll(
          HttpApiBuilder.api(api),
          HttpApiBuilder.Router.Live,
          HttpApiBuilder.Middleware.layer,
          HttpServer.layerContext
        ).pipe(
          Layer.provide(handlers),
          Layer.provide(authorization)
        )
      )
      const client = yield* serve((yield* Effect.provide(HttpApiBuilder.httpApp, context)) as HttpApp.Default)
      const ask = (user: string) =>
        Effect.map(client.get("/me", { authorization: `Bearer ${user}` }), ({ body }) => body)
      assert.deepStrictEqual([yield* ask("ada"), yield* ask("bob"), yield* ask("ada"), yield* ask("bob")], [
        "1 ada",
        "2 bob",
        "1 ada",
        "2 bob"
      ])
    }).pipe(Effect.provide(memory())))
})
