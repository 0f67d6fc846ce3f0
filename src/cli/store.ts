/**
 * Which store is meant, and opening it.
 */
import * as Options from "@effect/cli/Options"
import type * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { existsSync } from "node:fs"
import { type Backend, BackendError, CacheBackend } from "../Backend.js"
import * as CacheConfig from "../CacheConfig.js"
import * as Drivers from "../internal/config/drivers.js"
import { text } from "../internal/config/settings.js"
import * as StoreUrl from "../internal/config/storeUrl.js"
import { Usage } from "./exit.js"
import { note } from "./screen.js"

/** The options that say which store. */
export const options = {
  url: Options.redacted("url").pipe(
    Options.withAlias("u"),
    Options.withDescription(
      "The store: redis://…, rediss://…, redis+sentinel://…, redis+cluster://…, memcached://…, file:///folder, uwsgi://…; without it, CACHE_URL or CACHE_TYPE and its settings"
    ),
    Options.optional
  ),
  keyPrefix: Options.text("key-prefix").pipe(
    Options.withDescription("What begins every key in the store; without it, CACHE_KEY_PREFIX, or \"cache:\""),
    Options.optional
  )
}

export const name = (description: string) =>
  Options.text("name").pipe(Options.withAlias("n"), Options.withDescription(description), Options.optional)

export const json = Options.boolean("json").pipe(Options.withDescription("Answer in JSON, for programs"))

export interface Given {
  readonly url: Option.Option<Redacted.Redacted<string>>
  readonly keyPrefix: Option.Option<string>
}

/** The environment, with what the command line says in its place. */
export const configured = ({ keyPrefix, url }: Given) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const settings = new Map(Object.entries(process.env).map(([key, value]) => [key, value ?? ""]))
    if (Option.isSome(url)) {
      settings.delete("CACHE_TYPE")
      settings.set("CACHE_URL", Redacted.value(url.value))
    }
    if (Option.isSome(keyPrefix)) settings.set("CACHE_KEY_PREFIX", keyPrefix.value)
    return Effect.withConfigProvider(effect, ConfigProvider.fromMap(settings))
  })

/** Neither an address nor a type: what is in the memory of this process is of use to nobody. */
const requireStore: Effect.Effect<void, Usage | ConfigError.ConfigError> = Effect.flatMap(
  Effect.all([text("CACHE_URL"), text("CACHE_TYPE")]),
  ([url, type]) =>
    url === undefined && type === undefined
      ? Effect.fail(new Usage({ message: "which store? Give --url, or set CACHE_URL, or CACHE_TYPE and its settings" }))
      : Effect.void
)

/** The one Redis server that is meant, for its channels. */
export const redisServer = (what: string) =>
  Effect.gen(function*() {
    const url = yield* text("CACHE_URL")
    const type = yield* text("CACHE_TYPE")
    const isRedis = url === undefined ? /^\s*redis(cache)?\s*$/i.test(type ?? "") : /^\s*rediss?:\/\//i.test(url)
    if (isRedis) return yield* Drivers.redisServer(url !== undefined)
    return yield* new Usage({ message: `${what} needs one Redis server: give --url redis://…` })
  })

/** A folder that is not there would be made, and a mistake in its name would look like an empty store. */
const requireFolder: Effect.Effect<void, BackendError | ConfigError.ConfigError> = Effect.gen(function*() {
  const url = yield* text("CACHE_URL")
  const type = yield* text("CACHE_TYPE")
  const isFiles = url === undefined ? /^\s*filesystem(cache)?\s*$/i.test(type ?? "") : /^\s*file:/i.test(url)
  if (!isFiles) return
  const path = url === undefined ? undefined : StoreUrl.parse(url.trim())?.path
  const folder = url === undefined ? yield* text("CACHE_DIR") : path && `/${path}`
  // Where none is named, the layer says so.
  if (folder === undefined || existsSync(folder)) return
  const description = `there is no folder ${folder}`
  return yield* new BackendError({ backend: "fileSystem", method: "open", reason: "Unavailable", description })
})

/** Runs with the store open, and closes it. */
export const withStore = (given: Given) =>
<A, E>(
  use: (backend: Backend) => Effect.Effect<A, E, CacheBackend>
): Effect.Effect<A, E | Usage | BackendError | ConfigError.ConfigError> => {
  const opened = Effect.flatMap(CacheBackend, (backend) => {
    const warning = `a ${backend.name} backend is in each process that uses it: nothing of theirs can be seen here`
    return Effect.zipRight(backend.isShared ? Effect.void : note(warning), use(backend))
  })
  return configured(given)(requireStore.pipe(
    Effect.zipRight(requireFolder),
    Effect.zipRight(Effect.provide(opened, CacheConfig.layer))
  ))
}
