/**
 * Parts of pages, cached apart.
 *
 * @since 1.0.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Scope from "effect/Scope"
import type { BackendError, CacheBackend } from "./Backend.js"
import * as Cache from "./Cache.js"
import * as Codec from "./Codec.js"

/**
 * Which fragment: its name, and what its text varies by.
 *
 * @since 1.0.0
 * @category models
 */
export interface Identity {
  /** Names the fragment: of one name there is one template. */
  readonly name: string
  /** What the text depends on: the user, the language, the page. Default: nothing. */
  readonly vary?: unknown
}

/**
 * A fragment and how long it is kept: the policy of a cache of text.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options extends Identity, Omit<Cache.Policy<unknown, string>, "timeToLive"> {
  /** How long the text is fresh. `Duration.infinity`: until it is invalidated. */
  readonly timeToLive: Duration.DurationInput
}

/** Fragments that differ only in their policy share their entries: the name and `vary` say where they are. */
const cacheOf = (options: Identity & Partial<Options>): Cache.Cache<unknown, string> =>
  Cache.make({ ...options, name: `fragment/${options.name}`, codec: Codec.string, timeToLive: options.timeToLive ?? 0 })

/**
 * The text of `render`, cached. Inside a page that is cached itself, the page
 * depends on the fragment's tags too. What is cached is text as it is rendered:
 * in @effect/platform's templates it is put in unescaped, as the output of `html`
 * is.
 *
 * @example
 * ```ts
 * import { HttpServerResponse } from "@effect/platform"
 * import { Fragment } from "effect-caching"
 * import { Effect } from "effect"
 *
 * const menu = (language: string) =>
 *   Fragment.cached(
 *     Effect.succeed(`<nav lang="${language}">…</nav>`),
 *     { name: "menu", vary: language, timeToLive: "1 hour", tags: ["menu"] }
 *   )
 *
 * const page = HttpServerResponse.html`<body>${menu("en")}</body>`
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const cached: {
  (
    options: Options
  ): <E, R>(render: Effect.Effect<string, E, R>) => Effect.Effect<string, E, CacheBackend | Exclude<R, Scope.Scope>>
  <E, R>(
    render: Effect.Effect<string, E, R>,
    options: Options
  ): Effect.Effect<string, E, CacheBackend | Exclude<R, Scope.Scope>>
} = dual(
  2,
  (render: Effect.Effect<string, any, any>, options: Options) => Cache.getOrSet(cacheOf(options), options.vary, render)
)

/**
 * The key of a fragment, as the backend knows it. Throws where `vary` cannot be
 * part of a key.
 *
 * @since 1.0.0
 * @category introspection
 */
export const key = (identity: Identity): string => Cache.cacheKey(cacheOf(identity), identity.vary)

/**
 * Removes one variant of a fragment, and answers whether there was one.
 *
 * @since 1.0.0
 * @category invalidation
 */
export const invalidate = (identity: Identity): Effect.Effect<boolean, BackendError, CacheBackend> =>
  Cache.invalidate(cacheOf(identity), identity.vary)

/**
 * Removes every variant of a fragment.
 *
 * @since 1.0.0
 * @category invalidation
 */
export const invalidateAll = (name: string): Effect.Effect<void, BackendError, CacheBackend> =>
  Cache.clear(cacheOf({ name }))
