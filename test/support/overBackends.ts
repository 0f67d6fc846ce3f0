/**
 * The same tests over every kind of backend: entries as values, as bytes, derived
 * from primitives over a store that yields between any two steps, and on a server.
 */
import { afterAll, beforeAll, describe, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Redis from "effect-caching/backends/Redis"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as RedisServer from "./redisServer.js"

/** A store in a map, between whose steps others may run. */
export const yielding = (isShared: boolean): Layer.Layer<Backend.CacheBackend> =>
  Layer.scoped(
    Backend.CacheBackend,
    Effect.suspend(() => {
      const map = new Map<string, Uint8Array>()
      const step = <A>(f: () => A) =>
        Effect.zipRight(Effect.yieldNow(), Effect.zipLeft(Effect.sync(f), Effect.yieldNow()))
      return Backend.fromBytes({ name: "yielding", isShared }, {
        get: (key) => step(() => Option.fromNullable(map.get(key))),
        set: (key, bytes) => step(() => void map.set(key, bytes)),
        add: (key, bytes) => step(() => !map.has(key) && !!map.set(key, bytes)),
        remove: (key) => step(() => map.delete(key)),
        clear: (prefix) =>
          step(() => Array.from(map.keys()).filter((key) => key.startsWith(prefix)).forEach((key) => map.delete(key)))
      })
    })
  )

/** A Redis server for the tests of this file, and layers of clients to it: each stands for a process of its own. */
export const redisForFile = () => {
  const scope = Effect.runSync(Scope.make())
  let server: RedisServer.RedisServer | undefined
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.extend(RedisServer.make(), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const layer = (prefix?: string) => Layer.unwrapEffect(Effect.sync(() => Redis.layer({ url: server!.url, prefix })))
  return { server: () => server!, layer }
}

export interface Kind {
  readonly name: string
  readonly layer: Layer.Layer<Backend.CacheBackend, unknown>
}

type Body = () => Effect.Effect<void, unknown, Backend.CacheBackend | Scope.Scope>

/** Defines the tests once per kind; each test has a backend of its own. */
export const overBackends = (define: (test: (title: string, body: Body) => void, kind: Kind) => void): void => {
  const redis = redisForFile()
  let count = 0
  const kinds: ReadonlyArray<Kind> = [
    { name: "Memory", layer: Memory.layer() },
    { name: "Memory of bytes", layer: Memory.layer({ storage: "bytes" }) },
    { name: "derived", layer: yielding(false) },
    { name: "derived and shared", layer: yielding(true) },
    { name: "Redis", layer: Layer.suspend(() => redis.layer(`t${count++}:`)) }
  ]
  for (const kind of kinds) {
    describe(
      kind.name,
      () => define((title, body) => it.scoped(title, () => body().pipe(Effect.provide(kind.layer))), kind)
    )
  }
}
