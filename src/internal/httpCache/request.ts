/**
 * The request that a handler sees behind a cache: what the key covers, and nothing of
 * the connection it came by, which may be gone before the handler is done.
 */
import * as Cookies from "@effect/platform/Cookies"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Headers from "@effect/platform/Headers"
import * as IncomingMessage from "@effect/platform/HttpIncomingMessage"
import type { HttpMethod } from "@effect/platform/HttpMethod"
import { RequestError } from "@effect/platform/HttpServerError"
import * as ServerRequest from "@effect/platform/HttpServerRequest"
import * as Multipart from "@effect/platform/Multipart"
import type * as Path from "@effect/platform/Path"
import type * as Socket from "@effect/platform/Socket"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import type { ReadonlyRecord } from "effect/Record"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

interface Parts {
  readonly method: HttpMethod
  readonly url: string
  readonly originalUrl: string
  readonly headers: Headers.Headers
  readonly remoteAddress: Option.Option<string>
}

class DetachedRequest extends Inspectable.Class implements ServerRequest.HttpServerRequest {
  readonly [ServerRequest.TypeId]: ServerRequest.TypeId = ServerRequest.TypeId
  readonly [IncomingMessage.TypeId]: IncomingMessage.TypeId = IncomingMessage.TypeId
  readonly method: HttpMethod
  readonly url: string
  readonly originalUrl: string
  readonly headers: Headers.Headers
  readonly remoteAddress: Option.Option<string>
  readonly source: unknown = undefined

  constructor(parts: Parts) {
    super()
    this.method = parts.method
    this.url = parts.url
    this.originalUrl = parts.originalUrl
    this.headers = parts.headers
    this.remoteAddress = parts.remoteAddress
  }

  get cookies(): ReadonlyRecord<string, string> {
    return Cookies.parseHeader(this.headers["cookie"] ?? "")
  }

  modify(options: {
    readonly url?: string
    readonly headers?: Headers.Headers
    readonly remoteAddress?: string
  }): ServerRequest.HttpServerRequest {
    return new DetachedRequest({
      ...this,
      url: options.url ?? this.url,
      headers: options.headers ?? this.headers,
      remoteAddress: options.remoteAddress === undefined ? this.remoteAddress : Option.some(options.remoteAddress)
    })
  }

  private refuse(description: string) {
    return new RequestError({ request: this, reason: "Decode", description })
  }

  get text(): Effect.Effect<string, RequestError> {
    return Effect.succeed("")
  }

  get json(): Effect.Effect<unknown, RequestError> {
    return Effect.suspend(() => Effect.fail(this.refuse("a request behind a cache has no body")))
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, RequestError> {
    return Effect.succeed(UrlParams.empty)
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, RequestError> {
    return Effect.sync(() => new ArrayBuffer(0))
  }

  get stream(): Stream.Stream<Uint8Array, RequestError> {
    return Stream.empty
  }

  get multipart(): Effect.Effect<
    Multipart.Persisted,
    Multipart.MultipartError,
    Scope.Scope | FileSystem.FileSystem | Path.Path
  > {
    return Effect.suspend(() => Effect.fail(noMultipart()))
  }

  get multipartStream(): Stream.Stream<Multipart.Part, Multipart.MultipartError> {
    return Stream.suspend(() => Stream.fail(noMultipart()))
  }

  get upgrade(): Effect.Effect<Socket.Socket, RequestError> {
    return Effect.suspend(() => Effect.fail(this.refuse("a request behind a cache cannot be upgraded")))
  }

  toJSON(): unknown {
    return IncomingMessage.inspect(this, {
      _id: "@effect/platform/HttpServerRequest",
      method: this.method,
      url: this.originalUrl
    })
  }
}

const noMultipart = () =>
  new Multipart.MultipartError({ reason: "Parse", cause: new Error("a request behind a cache has no body") })

/** A request of these parts, without a body and without a connection. */
export const detached = (
  parts: Omit<Parts, "headers"> & { readonly headers: Readonly<Record<string, string>> }
): ServerRequest.HttpServerRequest => new DetachedRequest({ ...parts, headers: Headers.fromInput(parts.headers) })

const handled = Symbol.for("@effect/platform/HttpApp/handled")

/** Whether the app has sent its answer to this request already: then it was wrapped where answers can no longer change. */
export const isSent = (request: ServerRequest.HttpServerRequest): boolean => handled in request
