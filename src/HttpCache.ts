/**
 * A shared HTTP cache in front of an app, a router or one route (RFC 9111), safe by
 * default: what is stored is what the app says may be, and no answer that could be one
 * user's reaches another. The same for requests that go out is `client`.
 *
 * Wrap what makes responses, not the server that sends them:
 * `HttpServer.serve(HttpCache.middleware()(router))`. Authentication and CORS go
 * outside the cache, what it may share inside.
 *
 * A request is answered in this order:
 *
 * 1. what a cache must not answer runs past it: other methods, bodies, credentials
 * 2. what was not storable a moment ago does not wait for anybody: it goes forward
 * 3. a fresh answer under the URL, or under the variant that its fields select, is sent
 * 4. a stale answer within `grace` is sent, while one request for it runs in the background
 * 5. a miss runs the app once for all who wait; who may not use its answer goes forward
 *
 * @since 1.0.0
 */
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { BackendError, CacheBackend } from "./Backend.js"
import * as Cache from "./Cache.js"
import { ruleKey } from "./internal/http/noVarySearch.js"
import { maxSegments, prefixTag, segmentsOf } from "./internal/http/prefixes.js"
import { keysOfUrl } from "./internal/http/request.js"
import { handle } from "./internal/httpCache/answer.js"
import { cachedClient } from "./internal/httpCache/client.js"
import type { OutgoingOptions } from "./internal/httpCache/clientOptions.js"
import { compileClient } from "./internal/httpCache/clientPolicy.js"
import { Doors, type NodeServer } from "./internal/httpCache/doors.js"
import type { AnswerOptions, RequestOptions } from "./internal/httpCache/options.js"
import { compile } from "./internal/httpCache/policy.js"
import { makeCache, makeSite } from "./internal/httpCache/site.js"
import { InvalidOption } from "./internal/options.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

export type { AnswerOptions, CompressOptions, RequestOptions } from "./internal/httpCache/options.js"

/**
 * What is cached, for how long, and who may have it. The defaults are safe; what
 * loosens them says so.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options extends RequestOptions, AnswerOptions {
  /** The cache's share of the backend. Default: `"http"`. */
  readonly name?: string | undefined
  /**
   * How long answers are fresh that do not say so themselves, with a status of 200, 203,
   * 204, 300, 301 or 308, or one of `statuses`. Default: those are not stored.
   */
  readonly timeToLive?: Duration.DurationInput | undefined
  /**
   * How long after that a stale answer may be sent while a new one is made, unless it
   * says `must-revalidate`. An answer's own `stale-while-revalidate` counts too, unless it
   * says `s-maxage` (RFC 9111 §5.2.2.10). Default: zero.
   */
  readonly grace?: Duration.DurationInput | undefined
  /**
   * How long after its time an answer may be sent where the app fails or says 500, 502,
   * 503 or 504, unless the answer forbids it. Its own `stale-if-error` counts too.
   * Default: zero.
   */
  readonly staleIfError?: Duration.DurationInput | undefined
  /**
   * Whether answers that say when they were changed, and not how long they are fresh, are
   * fresh for a tenth of the time since, for a day at most (RFC 9111 §4.2.2). Default: false.
   */
  readonly heuristic?: boolean | undefined
  /**
   * Fields that speak to this cache in place of `Cache-Control`, the first that is there,
   * as a name of your own before `CDN-Cache-Control` (RFC 9213). `Surrogate-Control` is
   * read as the Edge Architecture Specification says, and is not sent to clients.
   * Default: `["CDN-Cache-Control"]`.
   */
  readonly targets?: ReadonlyArray<string> | undefined
  /** Request fields that are part of every key, and of every answer's `Vary`. Default: none. */
  readonly vary?: ReadonlyArray<string> | undefined
  /**
   * Which parameters tell entries apart. `"ordered"`: all, in whatever order they come;
   * the values of one name keep theirs. `"exact"`: all, as they come. With `include`
   * or `exclude` the handler does not see the parameters that are left out, and stored answers say so
   * to browsers and caches behind, in `No-Vary-Search`. A query
   * that parsers could disagree on (`;`, `#`, broken escapes) is always taken as it is.
   * Default: `"ordered"`.
   */
  readonly query?:
    | "ordered"
    | "exact"
    | { readonly include: ReadonlyArray<string>; readonly exclude?: undefined }
    | { readonly exclude: ReadonlyArray<string>; readonly include?: undefined }
    | undefined
  /**
   * What becomes of requests with `Authorization` or one of `credentials`. `"bypass"`:
   * they go past the cache. `"per user"`: each value has answers of its own. `"shared"`:
   * they use, and fill, answers that say `public`, `s-maxage` or `must-revalidate`
   * (RFC 9111 §3.5). Default: `"bypass"`.
   */
  readonly authorization?: "bypass" | "per user" | "shared" | undefined
  /**
   * Further request fields that say who asks. Known are `Authorization`, `X-Api-Key`,
   * `Api-Key`, `X-Auth-Token` and `X-Access-Token`.
   */
  readonly credentials?: ReadonlyArray<string> | undefined
  /**
   * What becomes of requests with cookies. `"shared"`: they use, and fill, answers that
   * say `public` or `s-maxage`. `"bypass"`: they go past the cache. `"ignore"`: as if
   * there were none; the handler does not see them. `vary`: each value of these cookies
   * has answers of its own, and the handler sees no other cookie. Default: `"shared"`.
   */
  readonly cookies?: "shared" | "bypass" | "ignore" | { readonly vary: ReadonlyArray<string> } | undefined
  /**
   * Which answers are stored. `"any"`: all that say how long they are fresh; whoever can
   * provoke an error then chooses what others get. Default: 200, 203, 204, 300, 301, 302,
   * 307, 308, 404 and 410. As a record, further ones, and how long answers with them are
   * fresh that do not say so: `{ 404: "10 seconds" }`. An answer below 500 with which the app
   * fails, as `RouteNotFound`, is one of them.
   */
  readonly statuses?: ReadonlyArray<number> | Readonly<Record<number, Duration.DurationInput>> | "any" | undefined
  /** A longer body is sent, not stored; so is one with headers of more than 32 KiB. Default: 1 MiB. */
  readonly maxBodyBytes?: number | undefined
  /** A stream that takes longer than this is sent, not stored. Default: 5 seconds. */
  readonly captureTimeout?: Duration.DurationInput | undefined
  /** What answers depend on, for `Cache.invalidateTags`. Default: none. */
  readonly tags?:
    | ReadonlyArray<string>
    | ((
      response: HttpServerResponse.HttpServerResponse,
      request: HttpServerRequest.HttpServerRequest
    ) => ReadonlyArray<string>)
    | undefined
  /** Whether a request goes past the cache. */
  readonly unless?: ((request: HttpServerRequest.HttpServerRequest) => Cache.Answer) | undefined
  /** Whether a request is answered anew, and the answer stored, whatever there is. */
  readonly forcedUpdate?: ((request: HttpServerRequest.HttpServerRequest) => Cache.Answer) | undefined
  /** Whether an answer that may be stored is. Default: always. */
  readonly storeIf?:
    | ((
      response: HttpServerResponse.HttpServerResponse,
      request: HttpServerRequest.HttpServerRequest
    ) => Cache.Answer)
    | undefined
  /** The cache's name in `Cache-Status` (RFC 9211), or `false` for none. Default: `name`. */
  readonly cacheStatus?: string | false | undefined
}

/**
 * What of outgoing requests is cached, for how long, and for whom.
 *
 * @since 1.0.0
 * @category models
 */
export interface ClientOptions extends OutgoingOptions {}

/**
 * A cache and the servers in front of it.
 *
 * @since 1.0.0
 * @category models
 */
export interface Accelerated {
  /** As `HttpCache.middleware`. */
  readonly middleware: <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<E, R | CacheBackend>
  /** The server itself, which from now on answers what `middleware` has sent before. It may be one of `node:https`. */
  readonly server: <S extends NodeServer>(server: S) => S
}

/**
 * Which entry `invalidate` means: the `name`, `query` and `host` that the cache was made with.
 *
 * @since 1.0.0
 * @category models
 */
export interface Target extends Pick<Options, "name" | "query" | "host"> {
  /**
   * Where a path belongs, as `"https://example.com"`. Default: where the request that is
   * being answered belongs.
   */
  readonly origin?: string | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A cache in front of an app, a router or one route. Behind it, a handler sees a
 * request without body, connection, preconditions and forwarding fields: no more than
 * the key covers. What a handler sets in a `FiberRef` does not come back, but for
 * pre-response handlers, which are applied before the answer is judged.
 *
 * @example
 * ```ts
 * import { HttpCache } from "effect-caching"
 * import * as Memory from "effect-caching/backends/Memory"
 * import { HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
 * import { Layer } from "effect"
 *
 * const router = HttpRouter.empty.pipe(
 *   HttpRouter.get("/time", HttpServerResponse.text("now", { headers: { "cache-control": "max-age=60" } }))
 * )
 *
 * const server = HttpServer.serve(HttpCache.middleware({ grace: "1 minute" })(router)).pipe(
 *   Layer.provide(Memory.layer())
 * )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const middleware = (
  options: Options = {}
): <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<E, R | CacheBackend> => {
  const policy = compile(options)
  const cache = makeCache(policy)
  return (app) => handle(makeSite(policy, cache, app))
}

/**
 * `middleware`, and a Node server in front of it that answers what this middleware has sent
 * before without starting a fiber: several times as many hits a second. Put both in one
 * program; everything that is not a fresh hit in this process's memory reaches the app.
 *
 * **What is outside the cache does not see such a hit**: no authentication, no access log, no
 * span. Give it to a cache that is outermost, whose answers are for whoever asks by the rules
 * of the cache alone. Middleware that changes the fields of requests, and pre-response handlers,
 * as those of CORS, are noticed: then nothing is answered early any more, and a warning says so.
 * So that it is, the first request with a forwarding field, as `X-Forwarded-Host`, goes to the app.
 * What is done to the response of the wrapped app is not. Counters and `Cache.events` know all hits.
 *
 * It needs a backend in this process, `Memory` or `Tiered` over it. Requests with `Range`,
 * those that a client's directive may decide on, and with `unless` or `forcedUpdate` all
 * requests, go to the app.
 *
 * @example
 * ```ts
 * import { HttpCache } from "effect-caching"
 * import * as Memory from "effect-caching/backends/Memory"
 * import { HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { createServer } from "node:http"
 *
 * const router = HttpRouter.empty.pipe(HttpRouter.get("/", HttpServerResponse.text("Hello")))
 *
 * const cached = HttpCache.accelerate({ timeToLive: "1 minute" })
 *
 * const server = HttpServer.serve(cached.middleware(router)).pipe(
 *   Layer.provide(Memory.layer()),
 *   Layer.provide(NodeHttpServer.layer(() => cached.server(createServer()), { port: 3000 }))
 * )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const accelerate = (options: Options = {}): Accelerated => {
  const policy = compile(options)
  const cache = makeCache(policy)
  const doors = new Doors(policy)
  return {
    middleware: (app) => handle(makeSite(policy, cache, app, doors)),
    server: (server) => doors.before(server)
  }
}

/**
 * `middleware` for the routes of an `HttpLayerRouter`: provide it to their layers, before
 * those of sessions and authentication, as the last is the outermost. Routes that change
 * what others show need it as well: their answers end what is stored.
 *
 * @example
 * ```ts
 * import { HttpCache } from "effect-caching"
 * import * as Memory from "effect-caching/backends/Memory"
 * import { HttpLayerRouter, HttpServerResponse } from "@effect/platform"
 * import { Layer } from "effect"
 *
 * const routes = HttpLayerRouter.add("GET", "/", HttpServerResponse.text("Hello")).pipe(
 *   Layer.provide(HttpCache.layerRouter({ timeToLive: "1 minute" })),
 *   Layer.provide(Memory.layer())
 * )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const layerRouter = (options: Options = {}): Layer.Layer<never, never, CacheBackend> =>
  HttpLayerRouter.middleware(
    // Not as it is: of a generic function the router infers that it needs what it does not know.
    Effect.map(provided(options), (cached) => (app: HttpApp.Default<HttpLayerRouter.unhandled>) => cached(app))
  ).layer

/**
 * `middleware` for a whole `HttpApi`. It is outside the security of the endpoints: keep
 * `authorization` and `cookies` as they are unless every answer is for everybody, and
 * name the fields of your API keys in `credentials`. Provide it after `middlewareCors`,
 * as the first is the outermost.
 *
 * @example
 * ```ts
 * import { HttpCache } from "effect-caching"
 * import * as Memory from "effect-caching/backends/Memory"
 * import { HttpApi, HttpApiBuilder } from "@effect/platform"
 * import { Layer } from "effect"
 *
 * const api = HttpApi.make("api")
 *
 * const server = HttpApiBuilder.serve().pipe(
 *   Layer.provide(HttpCache.layerApi({ timeToLive: "1 minute" })),
 *   Layer.provide(HttpApiBuilder.api(api)),
 *   Layer.provide(Memory.layer())
 * )
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const layerApi = (options: Options = {}): Layer.Layer<never, never, CacheBackend> =>
  HttpApiBuilder.middleware(provided(options))

/**
 * A client with a cache for its answers, by the same rules: fresh answers cost the origin
 * nothing, stale ones are validated, what unsafe methods change is forgotten, and calls
 * at the same time are one request. The directives of a request's `Cache-Control` are
 * obeyed; with `only-if-cached` the answer may be a 504 that nobody sent (RFC 9111
 * §5.2.1.7). Errors are those of the client.
 *
 * It sees requests as the client would send them. What tells users apart must be in
 * them, and not be added below by the client's own connection. Each hop of a redirect
 * is cached where `HttpClient.followRedirects` is applied to the cached client; an answer
 * that `fetch` got by a redirect is not stored.
 *
 * @example
 * ```ts
 * import { HttpCache } from "effect-caching"
 * import * as Memory from "effect-caching/backends/Memory"
 * import { FetchHttpClient, HttpClient } from "@effect/platform"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const client = HttpCache.client({ staleIfError: "1 hour" })(yield* HttpClient.HttpClient)
 *   const response = yield* client.get("https://example.com/articles")
 *   return yield* response.json
 * })
 *
 * const runnable = program.pipe(Effect.provide(FetchHttpClient.layer), Effect.provide(Memory.layer()))
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const client = (
  options: ClientOptions = {}
): <E, R>(client: HttpClient.HttpClient.With<E, R>) => HttpClient.HttpClient.With<E, R | CacheBackend> => {
  const policy = compileClient(options)
  const cache = makeCache(policy)
  return (client) => cachedClient(policy, cache, client)
}

/**
 * `client` for the client that is there: who asks for `HttpClient` gets the cached one.
 *
 * @example
 * ```ts
 * import { HttpCache } from "effect-caching"
 * import * as Memory from "effect-caching/backends/Memory"
 * import { FetchHttpClient } from "@effect/platform"
 * import { Layer } from "effect"
 *
 * const cached = HttpCache.layerClient().pipe(Layer.provide([FetchHttpClient.layer, Memory.layer()]))
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const layerClient = (
  options: ClientOptions = {}
): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient | CacheBackend> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.flatMap(Effect.context<CacheBackend>(), (context) =>
      Effect.map(
        HttpClient.HttpClient,
        (inner) =>
          HttpClient.transformResponse(
            client(options)(inner),
            Effect.mapInputContext((input: Context.Context<never>) => Context.merge(context, input))
          )
      ))
  )

/** A middleware that has its backend. */
const provided = (options: Options) =>
  Effect.map(Effect.context<CacheBackend>(), (context) => {
    const cached = middleware(options)
    return <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
      Effect.mapInputContext(
        cached(app),
        (input: Context.Context<R | HttpServerRequest.HttpServerRequest>) => Context.merge(context, input)
      )
  })

// -----------------------------------------------------------------------------
// invalidation
// -----------------------------------------------------------------------------

/**
 * Removes what is cached for a URL, all variants of it, and answers whether there was
 * something; with `noVarySearch` also what is cached for other queries of the path by
 * that rule. An answer that is being made is not stored. `url` is absolute, or a path,
 * with its query if it has one, at `origin` or at the origin of the current request.
 *
 * @example
 * ```ts
 * import { HttpCache } from "effect-caching"
 *
 * const forget = HttpCache.invalidate("/articles?page=1", { origin: "https://example.com" })
 * ```
 *
 * @since 1.0.0
 * @category invalidation
 */
export const invalidate = (url: string, target: Target = {}): Effect.Effect<boolean, BackendError, CacheBackend> =>
  Effect.flatMap(keysOf("url", url, target), ({ keys, policy }) => {
    const all = keys.flatMap((key) => [key, ruleKey(key)])
    return Effect.map(Cache.invalidateMany(makeCache(policy), all), (count) => count > 0)
  })

/**
 * Ends all answers of a path and of the paths below it, with every query and in all
 * variants, of a cache made with `prefixes: true`: `/articles` ends `/articles`, `/articles/1`
 * and `/articles?page=2`, and not `/articles-of-mine`. Costs the same however many there
 * are. What is being made is not kept as fresh either. `mode` is that of
 * `Cache.invalidateTags`. A prefix has eight segments at most.
 *
 * @example
 * ```ts
 * import { HttpCache } from "effect-caching"
 *
 * const forget = HttpCache.invalidatePrefix("/articles", { origin: "https://example.com" })
 * ```
 *
 * @since 1.0.0
 * @category invalidation
 */
export const invalidatePrefix = (
  prefix: string,
  target: Target & { readonly mode?: "hard" | "soft" | undefined } = {}
): Effect.Effect<void, BackendError, CacheBackend> =>
  Effect.flatMap(keysOf("prefix", prefix, target), ({ keys, policy }) => {
    const tags = keys.map(([, authority, path]) => {
      const segments = segmentsOf(path)
      if (segments.length <= maxSegments) return prefixTag(policy.name, authority, segments)
      const expected = `a path of at most ${maxSegments} segments`
      throw new InvalidOption({ module: "HttpCache", option: "prefix", value: prefix, expected })
    })
    return Cache.invalidateTags(new Set(tags), { mode: target.mode })
  })

/**
 * Ends all answers that depend on one of the tags, and whatever else does, in every cache
 * of the backend: what `tags` and `tagsFrom` name. It is `Cache.invalidateTags`.
 *
 * @example
 * ```ts
 * import { HttpCache } from "effect-caching"
 *
 * const forget = HttpCache.invalidateTags(["article:1"])
 * ```
 *
 * @since 1.0.0
 * @category invalidation
 */
export const invalidateTags: typeof Cache.invalidateTags = Cache.invalidateTags

/**
 * Removes everything that caches of this name have stored, `"http"` where they were given
 * none, and nothing else.
 *
 * @example
 * ```ts
 * import { HttpCache } from "effect-caching"
 *
 * const forget = HttpCache.clear({ name: "api" })
 * ```
 *
 * @since 1.0.0
 * @category invalidation
 */
export const clear = ({ name }: Pick<Target, "name"> = {}): Effect.Effect<void, BackendError, CacheBackend> =>
  Effect.suspend(() => Cache.clear(makeCache(compile({ name }))))

/** The keys of a URL, or of a path where the target or the current request is; one for each scheme. */
const keysOf = (option: string, url: string, target: Target) =>
  Effect.map(Effect.serviceOption(HttpServerRequest.HttpServerRequest), (request) => {
    const policy = compile({ name: target.name, query: target.query, host: target.host })
    const origin = target.origin ?? originOf(Option.getOrUndefined(request))
    const keys = keysOfUrl(url.startsWith("/") ? origin + url : url, policy.rules.query, policy.rules.host)
    if (keys === undefined) {
      const expected = "an absolute URL, or a path with an origin or in a request"
      throw new InvalidOption({ module: "HttpCache", option, value: url, expected })
    }
    return { keys, policy }
  })

/** Of the request that is being answered, without a slash at the end. */
const originOf = (request: HttpServerRequest.HttpServerRequest | undefined): string => {
  const host = request?.headers["host"]
  return host !== undefined ? `http://${host}` : /^https?:\/\/[^/?#]*/i.exec(request?.originalUrl ?? "")?.[0] ?? ""
}
