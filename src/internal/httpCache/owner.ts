/**
 * The request that runs a load, and what the load brings to it and to no other: at the
 * end, with what all who wait are told, or before, where its response can be sent as it
 * is read.
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpBody from "@effect/platform/HttpBody"
import * as Response from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Advance, Advanced } from "../flights.js"

/** What one request may have and no other: a response in the scope it lives in, or a failure. */
export interface Delivery {
  readonly exit: Exit.Exit<Response.HttpServerResponse, any>
  /** The pre-response handlers that the app added and that were not applied. */
  readonly handler: Handler
  /** Open until the response is sent; `undefined` where it needs none. */
  readonly scope: Scope.CloseableScope | undefined
}

/** Pre-response handlers. */
export type Handler = Option.Option<HttpApp.PreResponseHandler>

/** What a request gets of a call of the cache. */
export interface Taken<Outcome> {
  /** `undefined` where it is not known yet: the response is sent while its load goes on. */
  readonly outcome: Outcome | undefined
  /** Present where this request's own load brought it. */
  readonly delivery: Delivery | undefined
}

/** For how long who has the whole of a body waits for its load: what is done with it there must not hold the key for ever. */
const patience = Duration.minutes(1)

/**
 * The request whose call runs the load. It may be gone when the load is done, and a
 * load in the background is nobody's: what is delivered then is let go.
 */
export class Owner<Outcome> {
  private delivered: { readonly outcome: Outcome; readonly delivery: Delivery } | undefined
  private isGone = false
  /** What is delivered then is needed for its scope alone: a client that is slow keeps it for long. */
  private isSending = false
  private readonly advance = new Advance<Delivery>()
  /** Whether its response may have been sent. */
  hasBegun = false

  /** Called by the load, where its response may be sent while its body is read. It has no scope of its own. */
  begin(delivery: Delivery): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.hasBegun = true
      return this.advance.give(delivery)
    })
  }

  /** Called by the load: `delivery` goes with `outcome`. */
  deliver(outcome: Outcome, delivery: Delivery): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isGone || (this.isSending && delivery.scope === undefined)) return letGo(delivery)
      this.delivered = { outcome, delivery }
      return Effect.void
    })
  }

  /**
   * Called by the request, once: what it gets of the cache. With a `scope`, it does not wait for more than a response
   * that has begun; then it goes on waiting in that scope, as who leaves may be the last one that the load runs for.
   */
  take<R>(
    asking: (advance: Advance<Delivery> | undefined) => Effect.Effect<Outcome | Advanced<Delivery>, never, R>,
    scope: Scope.Scope | undefined
  ): Effect.Effect<Taken<Outcome>, never, R> {
    // The wait may be interrupted, the step from the cache's answer to the scope that comes with it must not be.
    return Effect.uninterruptible(
      Effect.flatMap(
        Effect.exit(Effect.interruptible(Effect.suspend(() => asking(scope && this.advance)))),
        (exit): Effect.Effect<Taken<Outcome>> => {
          if (exit._tag === "Failure") {
            return Effect.zipRight(
              Effect.zipRight(this.advance.taken?.leave ?? Effect.void, this.taken(undefined)),
              Effect.failCause(exit.cause)
            )
          }
          return exit.value instanceof Advanced ? this.sending(exit.value, scope!) : this.taken(exit.value)
        }
      )
    )
  }

  /** What was delivered, if the outcome is its own. */
  private taken(outcome: Outcome | undefined): Effect.Effect<Taken<Outcome>> {
    return Effect.suspend(() => {
      const { delivered } = this
      this.isGone = true
      this.delivered = undefined
      return delivered === undefined || delivered.outcome === outcome
        ? Effect.succeed({ outcome, delivery: delivered?.delivery })
        : Effect.as(letGo(delivered.delivery), { outcome, delivery: undefined })
    })
  }

  /** The response, until whose end the request is counted among those that wait. */
  private sending(
    { landed, leave, value: { exit, handler } }: Advanced<Delivery>,
    scope: Scope.Scope
  ): Effect.Effect<Taken<Outcome>> {
    this.isSending = true
    if (this.delivered?.delivery.scope === undefined) this.delivered = undefined
    let progress: "none" | "part" | "whole" = "none"
    const noting = (response: Response.HttpServerResponse): Response.HttpServerResponse => {
      const body = response.body as HttpBody.Stream
      const stream = Stream.suspend(() => {
        progress = "part"
        return Stream.onEnd(body.stream, Effect.sync(() => progress = "whole"))
      })
      return Response.setBody(response, HttpBody.stream(stream, body.contentType, body.contentLength))
    }
    /** Who got another response in its place, of something between, has not left. */
    const hasLeft = (exit: Exit.Exit<unknown, unknown>) =>
      progress === "part" || (progress === "none" && exit._tag === "Failure")
    const staying = Effect.zipRight(Effect.timeoutOption(landed, patience), leave)
    return Effect.as(
      Scope.addFinalizerExit(
        scope,
        (exit) => Effect.zipRight(hasLeft(exit) ? leave : awaiting(staying), this.taken(undefined))
      ),
      { outcome: undefined, delivery: { exit: Exit.map(exit, noting), handler, scope: undefined } }
    )
  }
}

/** Waits for the effect. Where the wait is interrupted, the effect goes on. */
const awaiting = (effect: Effect.Effect<void>): Effect.Effect<unknown> =>
  Effect.flatMap(
    Effect.forkDaemon(Effect.interruptible(effect)),
    (fiber) => Effect.exit(Effect.interruptible(Fiber.await(fiber)))
  )

export const letGo = ({ exit, scope }: Delivery): Effect.Effect<void> =>
  Effect.zipRight(
    Effect.sync(() => {
      const given = exit._tag === "Success" ? exit.value : Option.getOrUndefined(raisedIn(exit.cause))
      if (Response.isServerResponse(given)) discard(given)
    }),
    scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  )

/** What an app failed or died with: it may be a response. */
const raisedIn = (cause: Cause.Cause<unknown>): Option.Option<unknown> =>
  Option.orElse(Cause.failureOption(cause), () => Cause.dieOption(cause))

/** A file that Node has opened stays open until somebody says otherwise. */
const discard = ({ body }: Response.HttpServerResponse): void => {
  if (body._tag !== "Raw" || typeof body.body !== "object" || body.body === null) return
  const { destroy } = body.body as { readonly destroy?: unknown }
  if (typeof destroy === "function") destroy.call(body.body)
}
