/**
 * The answers of caches as a stream. Without a listener nothing is made for it.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { type BackendError, CacheBackend } from "../../Backend.js"
import type { Told } from "../listeners.js"

interface Common {
  /** The cache's name. */
  readonly cache: string
  /** In epoch milliseconds, by the clock of the call. */
  readonly at: number
  /** As the backend knows it, where keys were asked for: it may tell who a user is. */
  readonly key?: string | undefined
}

/**
 * How a cached call was answered, or a fault of the backend behind one.
 *
 * @since 1.0.0
 * @category models
 */
export type Event =
  | Common & { readonly _tag: "Hit" | "Stale" | "Miss" | "Bypass" }
  | Common & { readonly _tag: "Error"; readonly error: BackendError }

export const events = (isWithKeys: boolean, capacity: number): Stream.Stream<Event, never, CacheBackend> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const { listeners } = yield* CacheBackend
    const queue = yield* Effect.acquireRelease(Queue.dropping<Event>(capacity), Queue.shutdown)
    const listener = (told: Told) => void queue.unsafeOffer(eventOf(told, isWithKeys))
    yield* Effect.acquireRelease(
      Effect.sync(() => listeners.add(listener)),
      () => Effect.sync(() => listeners.remove(listener))
    )
    return Stream.fromQueue(queue)
  }))

const eventOf = ({ _tag, at, cache, error, key }: Told, isWithKeys: boolean): Event => {
  const common = isWithKeys ? { cache, at, key } : { cache, at }
  return _tag === "Error" ? { _tag, ...common, error: error as BackendError } : { _tag, ...common }
}
