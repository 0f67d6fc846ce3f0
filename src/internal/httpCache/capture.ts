/**
 * Reading a body into memory, within bounds, and without losing a byte of one that is
 * out of bounds. What is read can be passed on as it comes.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export interface Capturing {
  /** The whole body, as it comes; a second use of it dies. Past the bounds it needs the scope of the capture. */
  readonly stream: Stream.Stream<Uint8Array, unknown>
  /** Waits for the first bytes, and for what comes with them: whether there is more to wait for. */
  readonly isUnderWay: Effect.Effect<boolean>
  /** Of one use, as it lets go of what was read: a client that is slow keeps the stream for long. */
  readonly captured: Effect.Effect<Captured>
}

export type Captured =
  /** All of it. */
  | { readonly _tag: "Complete"; readonly bytes: Uint8Array }
  /** The stream failed: what was read is not the body. */
  | { readonly _tag: "Broken"; readonly cause: Cause.Cause<unknown> }
  /** Too long, or too slow. */
  | { readonly _tag: "OutOfBounds" }

/** Why reading stopped: the stream ended, there is more, or it failed. */
type End = "end" | "more" | Cause.Cause<unknown>

export interface Bounds {
  readonly maxBytes: number
  readonly timeout: Duration.Duration
}

export const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** What comes in one packet is read in one turn of the event loop. */
const turn = Effect.async<void>((resume) => {
  const next = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(next))
})

/** Reads the stream in `scope`: what is not read by its end is never read. */
export const capture = (
  stream: Stream.Stream<Uint8Array, unknown>,
  { maxBytes, timeout }: Bounds,
  scope: Scope.Scope
): Effect.Effect<Capturing> =>
  Effect.gen(function*() {
    const pull = yield* Scope.extend(Stream.toPull(stream), scope)
    const passed = yield* Mailbox.make<Uint8Array, unknown>()
    const begun = yield* Deferred.make<void>()
    const settled = yield* Deferred.make<End>()
    const read: Array<Uint8Array> = []
    let size = 0
    let isSettled = false
    let isPassed = false
    let hasMore = false

    const settle = (end: End) => {
      if (isSettled) return
      isSettled = true
      if (end !== "end") read.length = 0
      Deferred.unsafeDone(settled, Exit.succeed(end))
      Deferred.unsafeDone(begun, Exit.void)
    }
    const stop = (end: End) => {
      hasMore = end === "more"
      passed.unsafeDone(typeof end === "string" ? Exit.void : Exit.failCause(end))
      settle(end)
    }
    const reading: Effect.Effect<void> = Effect.matchCauseEffect(pull, {
      onSuccess: (chunk) => {
        for (const part of chunk) {
          passed.unsafeOffer(part)
          // A copy, where `slice` gives a view of a Node buffer: who made it or gets it may write to it before all is there.
          if (!isSettled) read.push(new Uint8Array(part))
          size += part.length
        }
        if (isSettled || size > maxBytes) return Effect.sync(() => stop("more"))
        if (size > 0) Deferred.unsafeDone(begun, Exit.void)
        return reading
      },
      onFailure: (cause) =>
        Effect.sync(() => stop(Option.getOrElse(Cause.flipCauseOption(cause), () => "end" as const)))
    })
    // Whoever reads on must not wait for what nobody reads any more.
    yield* Scope.addFinalizerExit(
      scope,
      () => Effect.withFiberRuntime((fiber) => Effect.sync(() => passed.unsafeDone(Exit.interrupt(fiber.id()))))
    )
    // In a fiber of its own: interrupting a pull for being late would lose what it was about to read.
    yield* Effect.forkIn(reading, scope)
    // Not by `Effect.timeout`: an interruption that comes just as it begins is lost until its time is over.
    yield* Effect.forkIn(Effect.delay(Effect.sync(() => settle("more")), timeout), scope)

    return {
      stream: Stream.suspend(() => {
        if (isPassed) return Stream.die(new Error("a body that is read as it comes can be read once"))
        isPassed = true
        return Stream.concat(
          Mailbox.toStream(passed),
          Stream.suspend(() => hasMore ? Stream.fromPull(Effect.succeed(pull)) : Stream.empty)
        )
      }),
      isUnderWay: Effect.map(Effect.zipRight(Deferred.await(begun), turn), () => !isSettled),
      captured: Effect.map(
        Deferred.await(settled),
        (end): Captured =>
          end === "end"
            ? { _tag: "Complete", bytes: concat(read.splice(0)) }
            : end === "more"
            ? { _tag: "OutOfBounds" }
            : { _tag: "Broken", cause: end }
      )
    }
  })
