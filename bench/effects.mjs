// What the groups share: a running program with a backend, and loops inside of a fiber.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Scope from "effect/Scope"
import * as Backend from "../dist/Backend.js"

/** Keys that are all in use: few enough to be kept by every cache, more than one. */
export const hotKeys = Array.from({ length: 1024 }, (_, i) => `user:${i}`)
const mask = hotKeys.length - 1

/** `step` done `n` times in one fiber, a key at a time. */
export const loop = (n, step) =>
  Effect.gen(function*() {
    for (let i = 0; i < n; i++) yield* step(i & mask)
  })

/** A runtime with the backend, and the backend itself. */
export const running = async (layer) => {
  const runtime = ManagedRuntime.make(layer)
  const backend = await runtime.runPromise(Backend.CacheBackend)
  return { runtime, backend, inFiber: (step) => (n) => runtime.runPromise(loop(n, step)) }
}

/** A backend that lives as long as the process. */
export const forever = (make) =>
  Layer.effect(Backend.CacheBackend, Effect.flatMap(Scope.make(), (scope) => Scope.extend(make, scope)))
