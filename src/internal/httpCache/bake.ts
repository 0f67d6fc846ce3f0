/**
 * What an app makes of a request, before the rules decide on it: its response with the
 * pre-response handlers that it added, or the answer that its failure is.
 */
import * as HttpApp from "@effect/platform/HttpApp"
import { ResponseError } from "@effect/platform/HttpClientError"
import type * as ClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpServerError from "@effect/platform/HttpServerError"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Respondable from "@effect/platform/HttpServerRespondable"
import * as Response from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import { listOf } from "../http/fields.js"
import { mergeVary } from "../http/vary.js"
import type { Handler } from "./owner.js"

export interface Baked {
  readonly exit: Exit.Exit<Response.HttpServerResponse, any>
  readonly handler: Handler
}

/** The app's own response to `request`, its pre-response handlers applied and forgotten. */
export const bake = (
  app: Effect.Effect<Response.HttpServerResponse, any, any>,
  request: HttpServerRequest.HttpServerRequest
) =>
  Effect.locally(
    Effect.flatMap(Effect.exit(app), (exit) =>
      Effect.flatMap(FiberRef.get(HttpApp.currentPreResponseHandlers), (handler): Effect.Effect<Baked> =>
        exit._tag === "Success" && handler._tag === "Some"
          ? Effect.map(
            Effect.exit(shape(handler.value, request, exit.value)),
            (exit) => ({ exit, handler: Option.none() })
          )
          : Effect.succeed({ exit, handler }))),
    HttpApp.currentPreResponseHandlers,
    Option.none()
  )

/** What was baked, as the effect that it was. */
export const unbaked = ({ exit, handler }: Baked): Effect.Effect<Response.HttpServerResponse, any> =>
  Effect.zipRight(
    handler._tag === "Some" ? HttpApp.appendPreResponseHandler(handler.value) : Effect.void,
    exit
  )

/**
 * The answer that a failure is, as a redirect or a page that is not there; an error stays a failure. What a failure
 * has interrupted beside it changes nothing; a defect beside it is one to be told of.
 */
export const answerIn = (cause: Cause.Cause<any>): Effect.Effect<Exit.Exit<Response.HttpServerResponse, any>> =>
  Cause.isInterruptedOnly(cause) || Chunk.some(Cause.defects(cause), isBug)
    ? Effect.succeed(Exit.failCause(cause))
    : Effect.map(
      HttpServerError.causeResponse(cause),
      ([response]) => response.status >= 500 ? Exit.failCause(cause) : Exit.succeed(response)
    )

const isBug = (defect: unknown): boolean => !Response.isServerResponse(defect) && !Respondable.isRespondable(defect)

/** The answer that a client has refused, as `HttpClient.filterStatusOk` does. */
export const refusedIn = (cause: Cause.Cause<unknown>): ClientResponse.HttpClientResponse | undefined => {
  const failure = Option.getOrUndefined(Cause.failureOption(cause))
  return failure instanceof ResponseError && failure.reason === "StatusCode" ? failure.response : undefined
}

/**
 * The response as the handlers leave it. Those of CORS put their `Vary` in the place of the one that is there, and say
 * `Origin` to the origins that they allow only: what others get would be sent to these.
 */
export const shape = (
  handler: HttpApp.PreResponseHandler,
  request: HttpServerRequest.HttpServerRequest,
  response: Response.HttpServerResponse
): ReturnType<HttpApp.PreResponseHandler> => {
  let isOriginRead = false
  const note = (name: string | symbol) => {
    if (name === "origin") isOriginRead = true
  }
  const headers = new Proxy(request.headers, {
    get: (headers, name) => {
      note(name)
      return Reflect.get(headers, name)
    },
    has: (headers, name) => {
      note(name)
      return Reflect.has(headers, name)
    },
    // `Headers.get` asks for it so.
    getOwnPropertyDescriptor: (headers, name) => {
      note(name)
      return Reflect.getOwnPropertyDescriptor(headers, name)
    },
    // Who copies all of them sees whether it is among them.
    ownKeys: (headers) => {
      note("origin")
      return Reflect.ownKeys(headers)
    }
  })
  return Effect.map(handler(request.modify({ headers }), response), (shaped) => {
    const isForAll = !isOriginRead || shaped.headers["access-control-allow-origin"] === "*"
    const said = mergeVary(response.headers["vary"], listOf(shaped.headers["vary"] ?? ""))
    const vary = mergeVary(said, isForAll ? [] : ["Origin"])
    return vary === shaped.headers["vary"] ? shaped : Response.setHeader(shaped, "vary", vary!)
  })
}
