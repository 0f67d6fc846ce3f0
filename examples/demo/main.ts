/** A site that answers slow questions about the project's own `node_modules`, and shows what caching does for it. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Headers from "@effect/platform/Headers"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import type { ServeError } from "@effect/platform/HttpServerError"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { CacheBackend } from "effect-caching/Backend"
import * as Cache from "effect-caching/Cache"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as HttpCache from "effect-caching/HttpCache"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { createServer } from "node:http"
import { parseArgs } from "node:util"
import { answered, computed, live, problem } from "./live.js"
import * as Packages from "./packages.js"
import * as Pages from "./pages.js"

// -----------------------------------------------------------------------------
// the site
// -----------------------------------------------------------------------------

/** Whatever address a demo is reached at, it is the same site: two that share a store share its pages. */
const oneSite = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    Effect.provideService(
      app,
      HttpServerRequest.HttpServerRequest,
      request.modify({ headers: Headers.set(request.headers, "host", "demo") })
    ))

/** A page that is cached as a whole, by its path and query. It is the same for everybody, whatever cookies they have. */
const view = <E, R>(path: HttpRouter.PathInput, handler: HttpApp.Default<E, R>) => {
  const cached = HttpCache.middleware({
    timeToLive: "10 minutes",
    grace: "1 hour",
    tags: [Pages.pageTag(path)],
    cookies: "ignore"
  })
  return HttpRouter.makeRoute("GET", path, handler.pipe(computed, cached, oneSite, answered))
}

/** Where the form was: a path of this site. */
const Back = Schema.String.pipe(Schema.filter((path) => /^\/(?![/\\])/.test(path)))

/** Acts on the cache, and goes back to where the form was. */
const action = <A extends { readonly back: string }, I extends Readonly<Record<string, string | undefined>>, E, R>(
  form: Schema.Schema<A, I>,
  act: (given: A) => Effect.Effect<unknown, E, R>
) =>
  HttpServerRequest.schemaBodyUrlParams(form).pipe(
    Effect.flatMap((given) => Effect.as(act(given), HttpServerResponse.redirect(given.back, { status: 303 })))
  )

const invalidatePackage = action(
  Schema.Struct({ back: Back, tag: Schema.String }),
  ({ tag }) => Cache.invalidateTags([tag])
)

const invalidateEverything = action(Schema.Struct({ back: Back }), () => Cache.invalidateTags([Packages.diskTag]))

/** The next who ask get what there is, while the page is made anew. */
const markStale = action(Schema.Struct({ back: Back }), ({ back }) => {
  const { pathname } = new URL(back, "http://localhost")
  return Cache.invalidateTags([Pages.pageTag(pathname)], { mode: "soft" })
})

const refresh = action(Schema.Struct({ back: Back }), ({ back }) => {
  const { pathname, searchParams } = new URL(back, "http://localhost")
  return Effect.zipRight(
    Pages.refresh(pathname, searchParams),
    Cache.invalidateTags([Pages.pageTag(pathname), Pages.partsTag(pathname)])
  )
})

const problemPage = (status: number, text: string) => HttpServerResponse.text(`${text}\n`, { status })

const site = (store: string) =>
  HttpRouter.fromIterable([
    view("/", Pages.overview),
    view("/packages", Pages.packages),
    view("/package", Pages.packagePage),
    view("/duplicates", Pages.duplicates),
    view("/code", Pages.code)
  ]).pipe(
    HttpRouter.get("/live", live(store)),
    HttpRouter.post("/actions/invalidate", invalidatePackage),
    HttpRouter.post("/actions/everything", invalidateEverything),
    HttpRouter.post("/actions/stale", markStale),
    HttpRouter.post("/actions/refresh", refresh),
    Effect.catchTags({
      RouteNotFound: () => Pages.missing,
      ParseError: () => problemPage(400, "This is no form of this site."),
      RequestError: () => problemPage(400, "This request cannot be read."),
      BackendError: (error) => problemPage(503, `The cache could not do it: ${error.message}`)
    }),
    Effect.catchAllCause((cause) =>
      Effect.as(Effect.logError(cause), problemPage(500, "The files could not be read; the terminal says why."))
    )
  )

// -----------------------------------------------------------------------------
// the program
// -----------------------------------------------------------------------------

/** What is wrong, in a line for whoever started the demo. */
class Mistake extends Data.TaggedError("Mistake")<{ readonly message: string }> {}

const usage = `npm run demo -- [--port 3000] [--redis redis://localhost:6379]

  --port   where to listen; 0 is any port that is free
  --redis  keep the cache in a Redis server, shared by all demos that use it`

const readArguments = Effect.try({
  try: () => {
    const { values } = parseArgs({
      options: { port: { type: "string" }, redis: { type: "string" }, help: { type: "boolean", short: "h" } }
    })
    return values
  },
  // The message ends with advice about positional arguments, which there are none of.
  catch: (error) => new Mistake({ message: `${(error as Error).message.split(". ")[0]!}; try --help` })
})

const portOf = (text: string) =>
  /^\d{1,5}$/.test(text) && Number(text) <= 65_535
    ? Effect.succeed(Number(text))
    : new Mistake({ message: `--port must be a number from 0 to 65535, not ${JSON.stringify(text)}` })

/** The backend that the environment asks for (`CACHE_TYPE` and so on), or the Redis of `--redis`. */
const backend = (redis: string | undefined) => {
  const settings = new Map([["CACHE_KEY_PREFIX", "effect-caching-demo:"]])
  const own = redis === undefined ? [] : [["CACHE_TYPE", "RedisCache"], ["CACHE_URL", redis]] as const
  const provider = ConfigProvider.fromMap(new Map(own)).pipe(
    ConfigProvider.orElse(ConfigProvider.fromEnv),
    ConfigProvider.orElse(() => ConfigProvider.fromMap(settings))
  )
  return CacheConfig.layer.pipe(
    Layer.provide(Layer.setConfigProvider(provider)),
    Layer.mapError((error) =>
      new Mistake({
        message: error._tag === "ConfigError" && redis !== undefined
          ? `--redis must be redis://[[username]:password@]host[:port][/db] or rediss://…`
          : String(error)
      })
    )
  )
}

const server = (port: number) =>
  NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port }).pipe(
    Layer.mapError((error: ServeError) => {
      const { code, message } = error.cause as NodeJS.ErrnoException
      return new Mistake({
        message: code === "EADDRINUSE" ? `port ${port} is taken; choose another one with --port` : message
      })
    })
  )

const main = Effect.gen(function*() {
  const { help, port, redis } = yield* readArguments
  if (help === true) return yield* Console.log(usage)
  const listen = yield* portOf(port ?? "3000")
  const program = Effect.gen(function*() {
    const { name } = yield* CacheBackend
    const store = redis === undefined ? name : `redis at ${new URL(redis).host}`
    yield* HttpServer.serveEffect(site(store))
    const trouble = yield* problem
    yield* HttpServer.addressWith((address) =>
      Console.log(
        `node_modules is at http://localhost:${address._tag === "TcpAddress" ? address.port : 0}/, cached in ${
          name === "redis" ? store : name
        }${trouble === undefined ? "" : ` (out of reach: ${trouble})`}; Ctrl+C stops it`
      )
    )
    return yield* Effect.never
  })
  yield* Effect.scoped(program).pipe(
    Effect.provide(Layer.mergeAll(backend(redis), server(listen), NodeFileSystem.layer))
  )
})

main.pipe(
  Effect.tapErrorTag("Mistake", (mistake) => Console.error(mistake.message)),
  (program) => NodeRuntime.runMain(program, { disableErrorReporting: true })
)
