/**
 * The same tests over every kind of backend: entries as values, as bytes, derived
 * from primitives over a store that yields between any two steps, in files,
 * in a key value store, on a server, and in tiers.
 */
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import { afterAll, beforeAll, describe, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import * as FileSystem from "effect-caching/backends/FileSystem"
import * as KeyValueBackend from "effect-caching/backends/KeyValueStore"
import * as Memcached from "effect-caching/backends/Memcached"
import * as Memory from "effect-caching/backends/Memory"
import * as Redis from "effect-caching/backends/Redis"
import * as Tiered from "effect-caching/backends/Tiered"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as MemcachedServer from "./memcachedServer.js"
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

const fastest = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()

/** Files in a directory of their own, which is removed afterwards. */
export const files: Layer.Layer<Backend.CacheBackend, Backend.BackendError> = Layer.unwrapScoped(
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(fastest, "effect-caching-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
    ),
    (directory) => FileSystem.layer({ directory })
  )
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

/** The same of memcached. */
export const memcachedForFile = () => {
  const scope = Effect.runSync(Scope.make())
  let server: MemcachedServer.MemcachedServer | undefined
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.extend(MemcachedServer.make(), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const layer = (prefix?: string) =>
    Layer.unwrapEffect(Effect.sync(() => Memcached.layer({ servers: [server!.address], prefix })))
  return { server: () => server!, layer }
}

export interface Kind {
  readonly name: string
  readonly layer: Layer.Layer<Backend.CacheBackend, unknown>
}

type Body = () => Effect.Effect<void, unknown, Backend.CacheBackend | Scope.Scope>

export type Test = (title: string, body: Body) => void

/** Defines the tests once per kind; each test has a backend of its own. */
export const over = (kinds: ReadonlyArray<Kind>, define: (test: Test, kind: Kind) => void): void => {
  for (const kind of kinds) {
    describe(
      kind.name,
      () => define((title, body) => it.scoped(title, () => body().pipe(Effect.provide(kind.layer))), kind)
    )
  }
}

/** Defines the tests once for each kind there is. */
export const overBackends = (define: (test: Test, kind: Kind) => void): void => {
  const redis = redisForFile()
  const memcached = memcachedForFile()
  let count = 0
  const kinds: ReadonlyArray<Kind> = [
    { name: "Memory", layer: Memory.layer() },
    { name: "Memory of bytes", layer: Memory.layer({ storage: "bytes" }) },
    { name: "derived", layer: yielding(false) },
    { name: "derived and shared", layer: yielding(true) },
    { name: "FileSystem", layer: files },
    { name: "KeyValueStore", layer: Layer.provide(KeyValueBackend.layer(), KeyValueStore.layerMemory) },
    { name: "Redis", layer: Layer.suspend(() => redis.layer(`t${count++}:`)) },
    { name: "Memcached", layer: Layer.suspend(() => memcached.layer(`t${count++}:`)) },
    {
      name: "Memory before a derived store",
      layer: Tiered.layer({ local: Memory.layer(), remote: yielding(true), localTimeToLive: "1 hour" })
    },
    {
      name: "a derived store before another",
      layer: Tiered.layer({ local: yielding(false), remote: yielding(true), localTimeToLive: "1 hour" })
    },
    {
      name: "Memory before Redis",
      layer: Layer.suspend(() =>
        Tiered.layer({ local: Memory.layer(), remote: redis.layer(`t${count++}:`), localTimeToLive: "1 hour" })
      )
    }
  ]
  over(kinds, define)
}
