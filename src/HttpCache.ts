/**
 * A shared HTTP cache in front of an app, a router or one route (RFC 9111), safe by
 * default: what is stored is what the app says may be, and no answer that could be one
 * user's reaches another.
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
import { randomUUID } from "node:crypto"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Response from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { BackendError, CacheBackend } from "./Backend.js"
import * as Cache from "./Cache.js"
import * as Codec from "./Codec.js"
import { appendStatus, type Forward, type Status } from "./internal/http/cacheStatus.js"
import { isNotModified } from "./internal/http/conditional.js"
import { notModifiedFields } from "./internal/http/fields.js"
import { currentAge, isFresh } from "./internal/http/freshness.js"
import * as Rules from "./internal/http/request.js"
import * as Stored from "./internal/http/stored.js"
import { covers, type PrimaryKey } from "./internal/http/target.js"
import { maxNames } from "./internal/http/vary.js"
import { type Delivery, fromBytes, load, type Loaded, Owner, withVary } from "./internal/httpLoad.js"
import { compile, type Policy } from "./internal/httpPolicy.js"
import { detached, isSent } from "./internal/httpRequest.js"
import { InvalidOption } from "./internal/options.js"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * What is cached, for how long, and who may have it. The defaults are safe; what
 * loosens them says so.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /** The cache's share of the backend. Default: `"http"`. */
  readonly name?: string | undefined
  /**
   * How long answers are fresh that do not say so themselves, with a status of 200, 203,
   * 204, 300, 301 or 308, or one of `statuses`. Default: those are not stored.
   */
  readonly timeToLive?: Duration.DurationInput | undefined
  /**
   * How long after that a stale answer may be sent while a new one is made, unless it
   * says `must-revalidate`. Default: zero.
   */
  readonly grace?: Duration.DurationInput | undefined
  /** Request fields that are part of every key, and of every answer's `Vary`. Default: none. */
  readonly vary?: ReadonlyArray<string> | undefined
  /**
   * Which parameters tell entries apart. `"ordered"`: all, in whatever order they come;
   * the values of one name keep theirs. `"exact"`: all, as they come. With `include`
   * or `exclude` the handler does not see the parameters that are left out. A query
   * that parsers could disagree on (`;`, `#`, broken escapes) is always taken as it is.
   * Default: `"ordered"`.
   */
  readonly query?:
    | "ordered"
    | "exact"
    | { readonly include: ReadonlyArray<string> }
    | { readonly exclude: ReadonlyArray<string> }
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
  /** Which answers are stored. Default: 200, 203, 204, 300, 301, 302, 307, 308, 404 and 410. */
  readonly statuses?: ReadonlyArray<number> | undefined
  /** A longer body is sent, not stored. Default: 1 MiB. */
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
 * Which entry `invalidate` means: the `name` and `query` that the cache was made with.
 *
 * @since 1.0.0
 * @category models
 */
export interface Target extends Pick<Options, "name" | "query"> {
  /**
   * Where a path belongs, as `"https://example.com"`. Default: where the request that is
   * being answered belongs.
   */
  readonly origin?: string | undefined
}

/** What a load brings to those who wait for it; what is not `Stored` is for nobody to keep. */
type Outcome =
  | Stored.Stored
  /** Its response was for the request that ran it, and for no other. */
  | { readonly _tag: "Unstored" }
  /** The app failed; shared with requests of the same fingerprint, where there is one. */
  | { readonly _tag: "Failed"; readonly cause: Cause.Cause<any>; readonly fingerprint: string | undefined }

/** A cache in front of an app. */
interface Site {
  readonly policy: Policy
  readonly cache: Cache.Cache<ReadonlyArray<unknown>, Outcome>
  readonly app: Effect.Effect<HttpServerResponse.HttpServerResponse, any, any>
  readonly unstorable: Unstorable
  /** The answers that loads in this process brought, by their number. */
  readonly landed: WeakMap<object, number>
  loads: number
  isMisplaced: boolean
}

/** A request being answered. */
interface Call {
  readonly site: Site
  readonly request: HttpServerRequest.HttpServerRequest
  readonly visit: Rules.Visit
  readonly isForced: boolean
  /** How many loads had ended when the request came. */
  readonly cameAfter: number
}

type Answering = Effect.Effect<HttpServerResponse.HttpServerResponse, any, any>

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
  const cache = Cache.make({
    name: policy.name,
    codec,
    timeToLive: (exit) => exit._tag === "Success" ? remainingMillis(exit.value) : 0,
    grace: policy.graceMillis,
    tags: policy.staticTags ?? ((value) => "tags" in value ? value.tags : [])
  })
  return (app) => handle({ policy, cache, app, unstorable: new Unstorable(), landed: new WeakMap(), loads: 0, isMisplaced: false })
}

/**
 * `middleware` for the routes of an `HttpLayerRouter`: provide it to their layers.
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
export const layerRouter = (options: Options = {}) => HttpLayerRouter.middleware(provided(options)).layer

/**
 * `middleware` for a whole `HttpApi`. It is outside the security of the endpoints: keep
 * `authorization` and `cookies` as they are unless every answer is for everybody.
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
 * something. An answer that is being made is not stored. `url` is absolute, or a path,
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
  Effect.flatMap(Effect.serviceOption(HttpServerRequest.HttpServerRequest), (request) => {
    const { policy, cache } = cacheOf(target)
    const absolute = url.startsWith("/") ? (target.origin ?? originOf(Option.getOrUndefined(request))) + url : url
    const keys = Rules.keysOfUrl(absolute, policy.rules.query)
    if (keys === undefined) {
      throw new InvalidOption({ module: "HttpCache", option: "url", value: url, expected: "absolute, or a path of a known origin" })
    }
    return Effect.map(Cache.invalidateMany(cache, keys), (count) => count > 0)
  })

const cacheOf = ({ name, query }: Target) => {
  const policy = compile({ name, query })
  return { policy, cache: Cache.make({ name: policy.name, codec, timeToLive: 0 }) }
}

const originOf = (request: HttpServerRequest.HttpServerRequest | undefined): string => {
  const host = request?.headers["host"]
  if (host !== undefined) return `http://${host}`
  return /^https?:\/\/[^/?#]*/i.exec(request?.originalUrl ?? "")?.[0] ?? ""
}

// -----------------------------------------------------------------------------
// answering
// -----------------------------------------------------------------------------

const handle = (site: Site): Answering =>
  Effect.withFiberRuntime((fiber) => {
    if (site.isMisplaced) return site.app
    const { policy } = site
    const request = Context.unsafeGet(fiber.currentContext, HttpServerRequest.HttpServerRequest)
    const visit = Rules.visit(request, policy.rules)
    if (typeof visit === "string") return marked(site, site.app, { forward: visit })
    const call: Call = { site, request, visit, isForced: false, cameAfter: site.loads }
    if (policy.unless === undefined && policy.forcedUpdate === undefined) return answer(call)
    return Effect.flatMap(policy.unless?.(request) ?? Effect.succeed(false), (isPast) =>
      isPast
        ? marked(site, site.app, { forward: "bypass" })
        : Effect.flatMap(
          policy.forcedUpdate?.(request) ?? Effect.succeed(false),
          (isForced) => answer({ ...call, isForced })
        ))
  })

const answer = (call: Call): Answering => {
  const { site, visit } = call
  if (visit.isHead) return answerFromStore(call)
  return Effect.flatMap(site.unstorable.has(visit.primary, visit), (isUnstorable) =>
    isUnstorable ? answerFromStore(call) : answerFromCache(call, visit.primary, undefined, call.isForced))
}

/** Without waiting for anybody: what is stored, or the app's own answer. */
const answerFromStore = (call: Call): Answering => {
  const { site, visit } = call
  const find = (key: ReadonlyArray<unknown>) =>
    Effect.map(
      Effect.option(Effect.interruptible(Cache.lookup(site.cache, key))),
      (found) => found._tag === "Some" && found.value._tag !== "Miss" && found.value.exit._tag === "Success" ? found.value.exit.value : undefined
    )
  return Effect.flatMap(find(visit.primary), (first) =>
    Effect.flatMap(
      first?._tag === "Variance" ? find(variantOf(call, first)) : Effect.succeed(first),
      (found) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const use = found?._tag === "Answer" ? usability(call, found, first, now) : "unusable"
          if (use === "fresh" || use === "stale") return serve(call, found as Stored.Answer, now, undefined)
          return alone(call, use === "forbidden" ? "request" : use === "outdated" ? "stale" : first === undefined ? "uri-miss" : "vary-miss")
        })
    ))
}

/** What a call may do with a stored answer. */
const usability = (
  { site, visit }: Call,
  stored: Stored.Answer,
  under: Outcome | undefined,
  now: number
): "fresh" | "stale" | "outdated" | "forbidden" | "unusable" => {
  const generation = under?._tag === "Variance" ? under.generation : undefined
  if (stored.generation !== generation || (generation === undefined && site.policy.isVarying)) return "unusable"
  if ((visit.isPersonal && !stored.isShared) || (visit.isAuthorized && !stored.isForAuthorized)) return "forbidden"
  return isFresh(stored, now) ? "fresh" : stored.mayBeStale ? "stale" : "outdated"
}

/** From the cache, under the URL's key or, where that says how its answers vary, the variant's. */
const answerFromCache = (
  call: Call,
  key: ReadonlyArray<unknown>,
  variance: Stored.Variance | undefined,
  isForced: boolean
): Answering => {
  const { site, visit } = call
  const miss: Forward = isForced ? "request" : variance === undefined ? "uri-miss" : "vary-miss"
  return Effect.flatMap(cachedCall(call, key, variance, isForced), ({ delivery, outcome }) => {
    if (site.isMisplaced) return site.app
    if (delivery !== undefined) return deliver(call, delivery, { forward: miss, isStored: isStored(outcome) })
    switch (outcome._tag) {
      case "Failed":
        return outcome.fingerprint === Rules.fingerprint(visit.fields)
          ? marked(site, Effect.failCause(outcome.cause), { forward: miss, isCollapsed: true })
          : alone(call, miss)
      case "Unstored":
        return alone(call, miss)
      case "Variance": {
        const variant = variantOf(call, outcome)
        return Effect.flatMap(site.unstorable.has(variant, visit), (isUnstorable) =>
          isUnstorable || variance !== undefined
            ? alone(call, "vary-miss")
            : answerFromCache(call, variant, outcome, isForced))
      }
      case "Answer":
        return Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const use = usability(call, outcome, variance, now)
          if (use === "fresh" || use === "stale") return serve(call, outcome, now, miss)
          if (use === "forbidden" || isForced) return alone(call, "request")
          // Of another generation, or too old to be sent: made anew, once.
          return answerFromCache(call, key, variance, true)
        })
    }
  })
}

const isStored = (outcome: Outcome): boolean => outcome._tag === "Answer" || outcome._tag === "Variance"

interface Taken {
  readonly outcome: Outcome
  /** Present where this call's own load brought the outcome. */
  readonly delivery: Delivery | undefined
}

const cachedCall = (
  call: Call,
  key: ReadonlyArray<unknown>,
  variance: Stored.Variance | undefined,
  isForced: boolean
): Effect.Effect<Taken, never, any> => {
  const { cache } = call.site
  // No step between the answer of the cache and the hand-over of what was delivered may be interrupted.
  return Effect.uninterruptible(Effect.suspend(() => {
    const owner = new Owner()
    const loading = loadFor(call, owner, variance)
    const asked = isForced ? Cache.refresh(cache, key, loading) : Cache.getOrSet(cache, key, loading)
    return Effect.flatMap(Effect.exit(Effect.interruptible(asked)), (exit): Effect.Effect<Taken, never, any> =>
      exit._tag === "Failure"
        ? Effect.zipRight(owner.take(undefined), Effect.failCause(exit.cause))
        : Effect.tap(
          Effect.map(owner.take(exit.value), (delivery): Taken => ({ outcome: exit.value, delivery })),
          ({ delivery }) => delivery?.scope === undefined ? Effect.void : closeWithRequest(delivery.scope)
        ))
  }))
}

const closeWithRequest = (scope: Scope.CloseableScope): Effect.Effect<void> =>
  Effect.flatMap(Effect.serviceOption(Scope.Scope), (ofRequest) =>
    ofRequest._tag === "Some"
      ? Scope.addFinalizerExit(ofRequest.value, (exit) => Scope.close(scope, exit))
      : Scope.close(scope, Exit.void))

/** The app, for this request as the key covers it. */
const loadFor = (call: Call, owner: Owner, variance: Stored.Variance | undefined): Effect.Effect<Outcome, never, any> =>
  Effect.suspend(() => {
    const { site, visit } = call
    const request = requestFor(call, visit.fields)
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(load(forRequest(call, request), request, visit, site.policy.load)), (loaded) =>
        Effect.flatMap(isSent(request) ? misplaced(site) : outcomeOf(call, loaded, variance), (outcome) => {
          site.landed.set(outcome, ++site.loads)
          return Effect.as(owner.deliver(outcome, loaded.delivery), outcome)
        }))
    )
  })
