import type * as HttpClient from "@effect/platform/HttpClient"
import type { BackendError, CacheBackend } from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as Codec from "effect-caching/Codec"
import * as HttpCache from "effect-caching/HttpCache"
import * as Memoize from "effect-caching/Memoize"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import type { ParseError } from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { describe, expectTypeOf, it } from "vitest"

class Database extends Context.Tag("Database")<Database, { readonly read: (id: number) => Effect.Effect<string> }>() {}
class NotFound extends Data.TaggedError("NotFound")<{ readonly id: number }> {}
class User extends Schema.Class<User>("User")({ id: Schema.Number, name: Schema.String }) {}

const findUser = (id: number, _trace?: string): Effect.Effect<User, NotFound, Database | Scope.Scope> =>
  Effect.flatMap(
    Database,
    (_) => id < 0 ? Effect.fail(new NotFound({ id })) : Effect.succeed(new User({ id, name: "" }))
  )

describe("types are inferred without annotations", () => {
  it("a memoized function keeps its arguments, success, failure and requirements; the load's scope is its own", () => {
    const find = Memoize.wrap(findUser, { name: "user", schema: User, timeToLive: "1 minute" })
    expectTypeOf<Parameters<typeof find>>().toEqualTypeOf<Parameters<typeof findUser>>()
    expectTypeOf(find(1)).toEqualTypeOf<Effect.Effect<User, NotFound, Database | CacheBackend>>()
    expectTypeOf(find.refresh(1)).toEqualTypeOf<Effect.Effect<User, NotFound, Database | CacheBackend>>()
    expectTypeOf(find.invalidate(1)).toEqualTypeOf<Effect.Effect<boolean, BackendError, CacheBackend>>()
    expectTypeOf(find.invalidateAll).toEqualTypeOf<Effect.Effect<void, BackendError, CacheBackend>>()
    expectTypeOf(find.uncached).toEqualTypeOf(findUser)
    expectTypeOf(find.withTimeToLive("1 hour")(1)).toEqualTypeOf(find(1))
  })

  it("the policy of a memoized function sees its arguments and its value", () => {
    Memoize.wrap(findUser, {
      name: "user",
      schema: User,
      key: (id, trace) => {
        expectTypeOf(id).toEqualTypeOf<number>()
        expectTypeOf(trace).toEqualTypeOf<string | undefined>()
        return id
      },
      timeToLive: "1 minute",
      tags: (user, [id]) => {
        expectTypeOf(user).toEqualTypeOf<User>()
        expectTypeOf(id).toEqualTypeOf<number>()
        return [`user:${id}`]
      },
      unless: ([id]) => id === 0,
      storeIf: (user) => Effect.succeed(user.name !== "")
    })
  })

  it("a fault of the backend is in the type only where it fails the call", () => {
    const strict = Memoize.wrap(findUser, { name: "user", schema: User, timeToLive: 1, onBackendError: "fail" })
    expectTypeOf(strict(1)).toEqualTypeOf<Effect.Effect<User, NotFound | BackendError, Database | CacheBackend>>()
  })

  it("failures that are stored are in the type", () => {
    const negative = Cache.make({
      name: "user",
      schema: User,
      failure: Codec.string,
      key: (id: number) => id,
      timeToLive: (exit, id) => {
        expectTypeOf(exit).toEqualTypeOf<Exit.Exit<User, string>>()
        expectTypeOf(id).toEqualTypeOf<number>()
        return 1
      }
    })
    const user = Cache.getOrSet(negative, 1, Effect.fail("no" as const))
    expectTypeOf(user).toEqualTypeOf<Effect.Effect<User, string, CacheBackend>>()
    // @ts-expect-error: this failure could not be stored
    Cache.getOrSet(negative, 1, Effect.fail(new NotFound({ id: 1 })))
  })

  it("failures of a memoized function are those that its policy knows", () => {
    Memoize.wrap(findUser, {
      name: "user",
      schema: User,
      timeToLive: 1,
      staleIf: (error: NotFound) => error.id === 0
    })
    Memoize.wrap(findUser, {
      name: "user",
      schema: User,
      timeToLive: 1,
      staleIf: (error: NotFound | ParseError) => error._tag === "NotFound"
    })
    // @ts-expect-error: the function fails otherwise
    Memoize.wrap(findUser, { name: "user", schema: User, timeToLive: 1, staleIf: (_: ParseError) => true })
    // @ts-expect-error: this codec cannot store the function's failures
    Memoize.wrap(findUser, { name: "user", schema: User, timeToLive: 1, failure: Codec.string })
  })

  it("a codec of failures needs nothing: its needs would be in no type", () => {
    const needy = Schema.transformOrFail(Schema.String, Schema.String, {
      decode: (s) => Effect.as(Database, s),
      encode: (s) => Effect.as(Database, s)
    })
    // @ts-expect-error: Database
    Cache.make({ name: "user", schema: User, timeToLive: 1, failure: Codec.schema(needy) })
  })

  it("keys and values are checked", () => {
    const users = Cache.make({ name: "user", schema: User, key: (id: number) => id, timeToLive: 1 })
    expectTypeOf(users).toEqualTypeOf<Cache.Cache<number, User>>()
    expectTypeOf(Cache.set(users, 1, new User({ id: 1, name: "" }))).toEqualTypeOf<
      Effect.Effect<void, BackendError | ParseError, CacheBackend>
    >()
    // @ts-expect-error: the key is a number
    Cache.get(users, "1")
    // @ts-expect-error: the value is a user
    Cache.set(users, 1, "Ada")
    // @ts-expect-error: only numbers are counted
    Effect.runFork(Cache.increment(users, 1, 1))
    const counts = Cache.make({ name: "count", schema: Schema.Number, timeToLive: 1 })
    expectTypeOf(Cache.increment(counts, 1)).toEqualTypeOf<Effect.Effect<number, BackendError, CacheBackend>>()
    // @ts-expect-error: what is loaded must be a user
    Cache.getOrSet(users, 1, Effect.succeed("Ada"))
    // @ts-expect-error: a predicate that can fail is none
    Cache.make({ name: "user", schema: User, timeToLive: 1, unless: () => Effect.fail("no") })
    // @ts-expect-error: a promise is no answer
    Cache.make({ name: "user", schema: User, timeToLive: 1, unless: () => Promise.resolve(true) })
    // @ts-expect-error: schema or codec
    Cache.make({ name: "user", timeToLive: 1 })
  })

  it("a cached client keeps its errors and requirements, and needs a backend; a layer is the client that there was", () => {
    const cached = HttpCache.client({ tags: (response, request) => [request.url, `${response.status}`] })
    expectTypeOf(cached<NotFound, Database>).returns.toEqualTypeOf<
      HttpClient.HttpClient.With<NotFound, Database | CacheBackend>
    >()
    expectTypeOf(HttpCache.layerClient()).toEqualTypeOf<
      Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient | CacheBackend>
    >()
  })

  it("what a schema needs is needed by the calls", () => {
    const needy = Schema.transformOrFail(Schema.String, Schema.String, {
      decode: (s) => Effect.as(Database, s),
      encode: (s) => Effect.as(Database, s)
    })
    const cache = Cache.make({ name: "needy", schema: needy, timeToLive: 1 })
    expectTypeOf(Cache.getOrSet(cache, 1, Effect.succeed(""))).toEqualTypeOf<
      Effect.Effect<string, never, CacheBackend | Database>
    >()
    expectTypeOf(Cache.invalidate(cache, 1)).toEqualTypeOf<Effect.Effect<boolean, BackendError, CacheBackend>>()
  })
})
