/**
 * Backends that keep payloads in another form. The form is named at the end of an
 * entry's codec, so that entries in any form, or in none, are told apart.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Backend, BackendError, Operations } from "../Backend.js"
import { Entry } from "./entry.js"

/** Another form of a payload. What `restore` cannot restore is a miss. */
export interface Form {
  readonly change: (key: string, entry: Entry) => Effect.Effect<Entry, BackendError>
  readonly restore: (key: string, entry: Entry) => Effect.Effect<Option.Option<Entry>>
}

/** The entry with another codec and payload; its `exit`, which is what the payload decodes to, is left out. */
export const withPayload = (entry: Entry, codec: string, bytes: Uint8Array): Entry =>
  new Entry(
    entry.isFailure,
    codec,
    entry.loadedAt,
    entry.freshUntil,
    entry.keepUntil,
    entry.loadMillis,
    entry.tags,
    undefined,
    bytes
  )

/** The operations of `self` that carry entries, with their payloads in another form. */
export const mapPayload = (self: Backend, { change, restore }: Form): Partial<Operations> => {
  const restored = (key: string, found: Option.Option<Entry>): Effect.Effect<Option.Option<Entry>> =>
    found._tag === "None" ? Effect.succeed(found) : restore(key, found.value)
  const { getOrLease } = self
  return {
    holds: "bytes",
    unsafe: undefined,
    get: (key) => Effect.flatMap(self.get(key), (found) => restored(key, found)),
    getMany: (keys) =>
      Effect.flatMap(self.getMany(keys), (all) => Effect.forEach(all, (found, i) => restored(keys[i]!, found))),
    set: (key, entry, retention) => Effect.flatMap(change(key, entry), (changed) => self.set(key, changed, retention)),
    setMany: (items) =>
      Effect.flatMap(
        Effect.forEach(items, ([key, entry, retention]) =>
          Effect.map(change(key, entry), (changed) => [key, changed, retention] as const)),
        self.setMany
      ),
    add: (key, entry, retention) => Effect.flatMap(change(key, entry), (changed) => self.add(key, changed, retention)),
    fill: (key, token, entry, retention) =>
      Effect.flatMap(change(key, entry), (changed) => self.fill(key, token, changed, retention)),
    lease: (key, duration) =>
      Effect.flatMap(
        self.lease(key, duration),
        (lease) => Effect.map(restored(key, lease.entry), (entry) => ({ ...lease, entry }))
      ),
    // Nothing is restored for who got the right to fill the key, nor can that be interrupted.
    getOrLease: getOrLease &&
      ((key, duration, tags) =>
        Effect.flatMap(
          getOrLease(key, duration, tags),
          (claim) =>
            claim.token._tag === "Some" ? Effect.succeed({ ...claim, entry: Option.none() }) : Effect.map(
              Effect.interruptible(restored(key, claim.entry)),
              // What cannot be restored has no tags to know of.
              (entry) => ({ ...claim, entry, versions: entry._tag === "None" ? undefined : claim.versions })
            )
        ))
  }
}
