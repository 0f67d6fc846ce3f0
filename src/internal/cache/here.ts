/**
 * Fresh entries in this process, for dialects that answer before a fiber is started.
 */
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import { type Backend, CacheBackend } from "../../Backend.js"
import type { Cache } from "../../Cache.js"
import { freshHere, keyOf } from "./call.js"
import { clockIn, type Services, unsafeTell } from "./observe.js"

export { clockIn, type Services } from "./observe.js"

/** Where a program finds its entries, and by what clock they age. */
export interface Place {
  readonly backend: Backend
  readonly services: Services
}

export interface Here<A> {
  /** As the backend knows it. */
  readonly key: string
  readonly value: A
}

/** The value of a fresh entry, as `Cache.getOrSet` would answer it in one step; nothing is counted. */
export const findHere = <Key, A>(
  { policy }: Cache<Key, A>,
  userKey: Key,
  { backend, services }: Place
): Here<A> | undefined => {
  const key = policy.isPlain ? keyOf(policy, userKey) : undefined
  if (typeof key !== "string") return undefined
  const exit = freshHere(backend, policy, key, Context.empty(), clockIn(services))
  return exit?._tag === "Success" ? { key, value: exit.value as A } : undefined
}

/** Counts what was found as `Cache.getOrSet` would have. */
export const countHere = <Key, A>(
  { policy }: Cache<Key, A>,
  { key }: Here<A>,
  { backend, services }: Place
): void => unsafeTell(policy, backend, key, "hit", services)

/** Of the program that the fiber belongs to. */
export const placeOf = (fiber: Fiber.RuntimeFiber<any, any>): Place => ({
  backend: Context.unsafeGet(fiber.currentContext, CacheBackend),
  services: fiber.currentDefaultServices
})
