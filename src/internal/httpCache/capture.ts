/**
 * Reading a body into memory, within bounds, and without losing a byte of one that is
 * out of bounds.
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export type Captured =
  /** All of it. */
  | { readonly _tag: "Complete"; readonly bytes: Uint8Array }
  /** The stream failed: what was read is not the body. */
  | { readonly _tag: "Broken"; readonly cause: Cause.Cause<unknown> }
  /** Too long, or too slow: all of it, read on from where the capture stopped; of one use. */
  | { readonly _tag: "OutOfBounds"; readonly stream: Stream.Stream<Uint8Array, unknown> }

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

/** Reads the stream in `scope`, which must stay open for as long as an `OutOfBounds` stream is used. */
export const capture = (
  stream: Stream.Stream<Uint8Array, unknown>,
  { maxBytes, timeout }: Bounds,
  scope: Scope.Scope
): Effect.Effect<Captured> =>
  Effect.gen(function*() {
    const pull = yield* Scope.extend(Stream.toPull(stream), scope)
    let read: Array<Uint8Array> = []
    let size = 0
    let isOutOfTime = false
    const reading: Effect.Effect<End> = Effect.matchCauseEffect(pull, {
      onSuccess: (chunk) => {
        for (const part of chunk) {
          read.push(part)
          size += part.length
        }
        return isOutOfTime || size > maxBytes ? Effect.succeed<End>("more") : reading
      },
      onFailure: (cause) => Effect.succeed<End>(Option.getOrElse(Cause.flipCauseOption(cause), () => "end" as const))
    })
    // In a fiber of its own: interrupting a pull for being late would lose what it was about to read.
    const reader = yield* Effect.forkIn(reading, scope)
    const taken = () => {
      const parts = Chunk.fromIterable(read)
      read = []
      return parts
    }
    /** What was read and not taken yet, and what comes after it. */
    const rest = (end: End): Stream.Stream<Uint8Array, unknown> =>
      Stream.concat(
        Stream.fromChunk(taken()),
        end === "end" ? Stream.empty : end === "more" ? Stream.fromPull(Effect.succeed(pull)) : Stream.failCause(end)
      )
    const end = yield* Effect.timeoutOption(Fiber.join(reader), timeout)
    if (end._tag === "None") {
      isOutOfTime = true
      return {
        _tag: "OutOfBounds",
        stream: Stream.concat(Stream.fromChunk(taken()), Stream.unwrap(Effect.map(Fiber.join(reader), rest)))
      }
    }
    if (end.value === "end") return { _tag: "Complete", bytes: concat(read) }
    return end.value === "more" ? { _tag: "OutOfBounds", stream: rest("more") } : { _tag: "Broken", cause: end.value }
  })
