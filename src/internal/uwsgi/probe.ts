/**
 * What a server says of itself, asked before it is trusted: it answers nothing
 * both where something is missing and where something is wrong with it.
 */
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import { type Attempt, type Items, overhead, valueOf } from "./items.js"

/** Items smaller than this leave no room for the header of an entry and what else is stored. */
const smallestItem = 1_024
/** Where nothing else is asked for, items are not larger, whatever the server takes: 1 MiB, and room for a header. */
const largestItem = 1_048_576 + 4_096
/** Without `blocksize`, an item of a cache has so many bytes. */
const usualItem = 65_536
/** A server that goes on waiting for the rest of a request for so long knows the cache that it names. */
const patience = 100

/**
 * The largest item that the server takes, up to what `maxValueBytes` needs. Fails
 * with reason `Unavailable`, and with the setting to change, where the server's
 * cache is not there or loses what it is given.
 */
export const probe = (items: Items, maxValueBytes: number | undefined): Attempt<number> =>
  Effect.gen(function*() {
    const { cacheName } = items.settings
    const cache = cacheName === undefined ? "its first cache" : `its cache "${cacheName}"`
    const at = items.locate(`probe ${randomBytes(9).toString("base64url")}`)
    const unfit = (description: string) => Effect.fail(items.fail({ reason: "Unavailable", description }))
    const ask = (packet: Uint8Array) => Effect.mapError(items.exchange(packet), items.fail)
    const isOk = (packet: Uint8Array) => Effect.map(ask(packet), (answer) => answer?.pairs.get("status") === "ok")
    const value = valueOf(at, randomBytes(9))
    const isThere = Effect.map(
      ask(items.packet("get", at)),
      (answer) => answer !== undefined && Buffer.compare(answer.body, value) === 0
    )
    const remove = ask(items.packet("del", at))

    /** Whether the server waits for a value of this size, which it does where it would take one. */
    const waitsFor = (size: number) =>
      Effect.matchEffect(items.exchange(items.packet("set", at, undefined, undefined, size), patience), {
        onFailure: (failure) => failure.reason === "Timeout" ? Effect.succeed(true) : Effect.fail(items.fail(failure)),
        onSuccess: () => Effect.succeed(false)
      })

    if (!(yield* isOk(items.packet("set", at, 60_000, value)))) {
      if (!(yield* waitsFor(1))) {
        return yield* unfit(
          cacheName === undefined
            ? "the server has no cache: start it with the cache plugin and --cache2 name=…,items=…"
            : `the server has no cache "${cacheName}": start it with --cache2 name=${cacheName},items=…`
        )
      }
      const short = { ...at, wire: Buffer.from(randomBytes(6).toString("base64url")) }
      const takesShort = yield* isOk(items.packet("set", short, 60_000, value))
      yield* ask(items.packet("del", short))
      if (takesShort) {
        return yield* unfit(
          `keys of ${at.wire.length} bytes do not fit into ${cache}: raise keysize of --cache2, or shorten the prefix`
        )
      }
      // Full, and that can change: what it has can still be read and removed.
      return maxValueBytes === undefined ? usualItem : maxValueBytes + overhead
    }
    if (!(yield* isThere)) {
      const keepsForEver = (yield* isOk(items.packet("update", at, undefined, value))) && (yield* isThere)
      yield* remove
      return yield* unfit(
        keepsForEver
          ? `${cache} loses at once what has a time to expire: remove lazy_expire or purge_lru from --cache2`
          : `${cache} loses what it has stored: let one server, and not several, answer at this address`
      )
    }
    if (yield* isOk(items.packet("set", at, 60_000, value))) {
      return yield* unfit(`${cache} stores a key twice: let one server, and not several, answer at this address`)
    }

    // A value that is too large is not read, and that it could not be sent is no news. One that is refused for want of
    // room may be taken later.
    const takes = (size: number): Attempt<boolean> =>
      Effect.flatMap(
        Effect.orElseSucceed(isOk(items.packet("update", at, 60_000, new Uint8Array(size).fill(1))), () => false),
        (isTaken) => isTaken ? Effect.succeed(true) : waitsFor(size)
      )
    const wanted = maxValueBytes === undefined ? largestItem : maxValueBytes + overhead
    let largest = wanted
    if (!(yield* takes(wanted))) {
      let [taken, refused] = [0, wanted]
      for (const size of [usualItem + 1, usualItem]) {
        if (size >= refused) continue
        if (yield* takes(size)) {
          taken = size
          break
        }
        refused = size
      }
      while (refused - taken > 1) {
        const middle = (taken + refused) >> 1
        if (yield* takes(middle)) taken = middle
        else refused = middle
      }
      largest = taken
    }
    yield* remove
    const least = Math.max(smallestItem, maxValueBytes === undefined ? 0 : wanted)
    if (largest < least) {
      return yield* unfit(
        `${cache} takes items of at most ${largest} bytes: raise blocksize of --cache2 to at least ${least}` +
          (largest < smallestItem ? "" : `, or lower maxValueBytes to ${largest - overhead}`)
      )
    }
    return largest
  })
