/**
 * A client behind a cache: to the engine it is an app, its requests are those that a
 * server would get, and what the engine answers becomes a client's response again.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import { ResponseError } from "@effect/platform/HttpClientError"
import * as ClientRequest from "@effect/platform/HttpClientRequest"
import type * as ClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as Response from "@effect/platform/HttpServerResponse"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { handle } from "./answer.js"
import type { ClientPolicy } from "./clientPolicy.js"
import { Broken, broken, inMemory, isRedirected, passing, toServer } from "./received.js"
import { detached } from "./request.js"
import { type App, type HttpEntries, makeSite, type Site } from "./site.js"

type Caller = Context.Context<any>

/** A call of the client. */
interface Call {
  readonly request: ClientRequest.HttpClientRequest
  readonly asked: HttpServerRequest.HttpServerRequest
  readonly caller: Caller
  /** The client wants to know when the caller is done with the response. */
  isScoped: boolean
}

class Outgoing extends Context.Tag("effect-caching/HttpCache/Outgoing")<Outgoing, Call>() {}

/** A client in its parts, which `HttpClient.transform` and its like take it to, and its type does not tell. */
interface Parts {
  readonly preprocess: HttpClient.HttpClient.Preprocess<any, any>
  readonly postprocess: HttpClient.HttpClient.Postprocess<any, any>
}

/** What `client` would send is what the cache sees: credentials that it adds to requests are part of the key. */
export const cachedClient = (
  policy: ClientPolicy,
  cache: HttpEntries,
  client: HttpClient.HttpClient.With<any, any>
): HttpClient.HttpClient.With<any, any> => {
  const { postprocess, preprocess } = client as unknown as Parts
  const site = makeSite(policy, cache, send(policy, postprocess))
  return HttpClient.makeWith(
    Effect.flatMap((request: ClientRequest.HttpClientRequest) => execute(site, request, postprocess)),
    preprocess
  )
}

// -----------------------------------------------------------------------------
// the request
// -----------------------------------------------------------------------------

/** The request as a server gets it; `undefined` where it goes to none. */
const asked = (
  request: ClientRequest.HttpClientRequest,
  caller: Caller
): HttpServerRequest.HttpServerRequest | undefined => {
  const made = UrlParams.makeUrl(request.url, request.urlParams, Option.none())
  if (made._tag === "Left") return undefined
  const { origin, password, pathname, protocol, search, username } = made.right
  if ((protocol !== "http:" && protocol !== "https:") || username !== "" || password !== "") return undefined
  const init = Context.getOption(caller, FetchHttpClient.RequestInit)
  return detached({
    method: request.method,
    url: pathname + search,
    originalUrl: origin + pathname + search,
    headers: {
      // `fetch` sends them too.
      ...Headers.fromInput(init._tag === "Some" ? new globalThis.Headers(init.value.headers) : undefined),
      ...request.headers,
      // Content of unknown length: with it, a request is not one that a cache answers.
      ...(request.body._tag === "Empty" ? {} : { "transfer-encoding": "chunked" })
    },
    remoteAddress: Option.none()
  })
}

/** What is sent where the cache asks. */
export const requestFor = (
  asked: Pick<HttpServerRequest.HttpServerRequest, "headers" | "method" | "originalUrl">
): ClientRequest.HttpClientRequest => ClientRequest.make(asked.method)(asked.originalUrl, { headers: asked.headers })

/** The app that a client is: what goes past the cache is sent as it came, and with the services of who called. */
const send = ({ load, redirected }: ClientPolicy, postprocess: Parts["postprocess"]): App =>
  Effect.flatMap(Effect.context<any>(), (context) => {
    const call = Context.unsafeGet(context, Outgoing)
    const asking = Context.unsafeGet(context, HttpServerRequest.HttpServerRequest)
    const scope = Context.unsafeGet(context, Scope.Scope)
    const request = asking === call.asked ? call.request : requestFor(asking)
    return postprocess(Effect.succeed(request)).pipe(
      Effect.mapInputContext((context: Context.Context<any>) =>
        Context.add(
          Context.merge(Context.omit(Outgoing, ...ofServer)(context), Context.pick(...ofServer)(call.caller)),
          Scope.Scope,
          watched(scope, () => {
            call.isScoped = true
          })
        )
      ),
      Effect.catchIf((error) => isUnchanged(error, call, asking), ({ response }) => Effect.succeed(response)),
      Effect.tap((response) => {
        if (isRedirected(response, asking.originalUrl)) redirected.add(asking).add(call.asked)
      }),
      Effect.flatMap((response) => toServer(response, request.method === "HEAD", load.bounds.maxBytes))
    )
  })

/** A 304 to what the cache asked, and the caller did not, which `HttpClient.filterStatusOk` or its like refused. */
const isUnchanged = (
  error: unknown,
  { asked }: Call,
  asking: HttpServerRequest.HttpServerRequest
): error is ResponseError =>
  error instanceof ResponseError && error.reason === "StatusCode" && error.response.status === 304 &&
  ["if-none-match", "if-modified-since"].some((name) => asking.headers[name] !== asked.headers[name])

/** What the engine says to apps, and who called may have of a server. */
const ofServer = [HttpServerRequest.HttpServerRequest, HttpServerRequest.ParsedSearchParams] as const

const watched = (scope: Scope.Scope, used: () => void): Scope.Scope =>
  new Proxy(scope, {
    get: (target, key) => {
      if (key === "addFinalizer" || key === "fork") used()
      return Reflect.get(target, key) as unknown
    }
  })

// -----------------------------------------------------------------------------
// the answer
// -----------------------------------------------------------------------------

const execute = (
  site: Site,
  request: ClientRequest.HttpClientRequest,
  postprocess: Parts["postprocess"]
): Effect.Effect<ClientResponse.HttpClientResponse, any, any> =>
  Effect.flatMap(Effect.context<any>(), (caller) => {
    const asking = asked(request, caller)
    if (asking === undefined) return postprocess(Effect.succeed(request))
    const call: Call = { request, asked: asking, caller, isScoped: false }
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Scope.make(), (scope) =>
        Effect.matchCauseEffect(restore(answered(site, call, scope)), {
          onFailure: (cause) => Effect.zipRight(Scope.close(scope, Exit.failCause(cause)), Effect.failCause(cause)),
          onSuccess: (answer) => {
            const close = Scope.close(scope, Exit.void)
            const whole = answer instanceof Broken ? broken(request, answer) : inMemory(request, answer)
            if (whole !== undefined) return Effect.as(close, whole)
            const response = Effect.sync(() => passing(request, answer as Response.HttpServerResponse, close))
            return call.isScoped ? Effect.zipRight(closedWith(scope, caller), response) : response
          }
        }))
    )
  })

/** What the engine answers, in `scope`. What it says to servers about failures is not for the caller's own. */
const answered = (
  site: Site,
  call: Call,
  scope: Scope.Scope
): Effect.Effect<Response.HttpServerResponse | Broken, any, any> =>
  handle(site).pipe(
    Effect.catchSomeDefect((defect) => defect instanceof Broken ? Option.some(Effect.succeed(defect)) : Option.none()),
    Effect.locally(HttpApp.currentPreResponseHandlers, Option.none()),
    Effect.mapInputContext((context: Context.Context<any>) =>
      context.pipe(
        Context.add(Outgoing, call),
        Context.add(HttpServerRequest.HttpServerRequest, call.asked),
        Context.add(Scope.Scope, scope)
      )
    )
  )

/** Closes the scope with the caller's, where it is still open then: who has not read the response by then has left. */
const closedWith = (scope: Scope.CloseableScope, caller: Caller): Effect.Effect<void> =>
  Option.match(Context.getOption(caller, Scope.Scope), {
    onNone: () => Effect.void,
    onSome: (ofCaller) =>
      Effect.flatMap(Scope.fork(ofCaller, scope.strategy), (child) =>
        Effect.zipRight(
          Scope.addFinalizer(child, Scope.close(scope, Exit.interrupt(FiberId.none))),
          Scope.addFinalizer(scope, Scope.close(child, Exit.void))
        ))
  })
