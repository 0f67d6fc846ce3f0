/**
 * Items of a uWSGI cache: what the protocol leaves out, put round it.
 *
 * The server says "no" and "nothing there" in one way, by saying nothing, and a
 * server that has just died looks the same. So what matters is told from the
 * answers that are something: a write is done when the server says so.
 *
 * An item's name on the wire is the digest of its name here, so that any text
 * can be one. Its value begins with the digest too, and with a format version:
 * it is never empty, and never taken for another's.
 */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import type { BackendError } from "../../Backend.js"
import type { Failure } from "../failure.js"
import type { Link, Outcome } from "./link.js"
import { type Command, encode, type Packet } from "./packets.js"

const format = 1
const digestLength = 32
/** Where a store keeps what was cleared: an item that is there whenever anything is. */
export const directoryName = "directory"
/** By how much an item is larger than what is stored in it. */
export const overhead = 1 + digestLength
/** Nothing is asked to be kept for longer: what a clear has left behind goes in the end. */
const longestSeconds = 30 * 24 * 60 * 60

export interface Settings {
  readonly cacheName: string | undefined
  /** Begins the name of every item. */
  readonly prefix: string
}

/** What became of an item that was to be added. */
export type Added = { readonly isMine: true } | { readonly isMine: false; readonly found: Uint8Array }

export type Attempt<A> = Effect.Effect<A, BackendError>

export class Items {
  constructor(
    readonly link: Link,
    readonly settings: Settings,
    readonly fail: (failure: Failure) => BackendError
  ) {}

  /** The payload under a name. */
  get(name: string): Attempt<Uint8Array | undefined> {
    return Effect.map(this.find(this.locate(name)), payloadOf)
  }

  /** Overwrites. Without `millis`, the item stays until the server runs out of room. */
  set(name: string, payload: Uint8Array, millis?: number): Attempt<void> {
    const at = this.locate(name)
    const update = this.ask("update", at, valueOf(at, payload), millis)
    const verify = Effect.map(this.find(at), (found) => isEqual(payloadOf(found), payload))
    const once = Effect.flatMap(update, (isDone) => isDone ? Effect.succeed(true) : verify)
    return Effect.flatMap(once, (isDone) =>
      isDone
        ? Effect.void
        : Effect.flatMap(once, (isDone) => isDone ? Effect.void : this.refused))
  }

  /** Stores where there is nothing. The payload must be like no other, for its writer to know it again. */
  add(name: string, payload: Uint8Array, millis?: number): Attempt<Added> {
    const at = this.locate(name)
    const value = valueOf(at, payload)
    const attempt = (left: number): Attempt<Added> =>
      Effect.flatMap(this.ask("set", at, value, millis), (isDone): Attempt<Added> => {
        if (isDone) return Effect.succeed({ isMine: true })
        return Effect.flatMap(this.find(at), (item): Attempt<Added> => {
          const found = payloadOf(item)
          // The server has stored it, and its answer was lost.
          if (isEqual(found, payload)) return Effect.succeed({ isMine: true })
          if (found !== undefined) return Effect.succeed({ isMine: false, found })
          if (left === 0) return this.refused
          // Nothing of ours is under the name: it has gone since, or it is not what was stored there.
          return item === undefined ? attempt(left - 1) : Effect.zipRight(this.ask("del", at), attempt(left - 1))
        })
      })
    return attempt(1)
  }

  /** Whether there was something to remove. */
  remove(name: string): Attempt<boolean> {
    const once = this.ask("del", this.locate(name))
    return Effect.flatMap(once, (isDone) => isDone ? Effect.succeed(true) : once)
  }

  /** Removes every item of the whole cache, whoever stored it. */
  get clear(): Attempt<boolean> {
    return this.ask("clear", undefined)
  }

  /** A full server and one that is broken refuse in the same way, but only one of them has what it had. */
  private get refused(): Attempt<never> {
    return Effect.flatMap(this.get(directoryName), (found) =>
      Effect.fail(this.fail(
        found === undefined
          ? { reason: "Unavailable", description: "the server stores nothing, and has nothing" }
          : { reason: "OutOfSpace", description: "the server stored nothing: its cache is full" }
      )))
  }

  /** The server's answer to any request; nothing counts as one. */
  exchange(packet: Uint8Array, within?: number): Effect.Effect<Packet | undefined, Failure> {
    return Effect.async((resume) =>
      Effect.sync(
        this.link.send(packet, (outcome: Outcome) =>
          resume(
            outcome.failure === undefined ? Effect.succeed(outcome.packet) : Effect.fail(outcome.failure)
          ), within)
      )
    )
  }

  /** A packet of the cache's protocol; `size` is that of the body, which may follow later. */
  packet(command: Command, at: Location | undefined, millis?: number, body?: Uint8Array, size = body?.length): Buffer {
    const pairs: Array<[string, string | Uint8Array]> = [["cmd", command]]
    if (at !== undefined) pairs.push(["key", at.wire])
    if (size !== undefined) pairs.push(["size", String(size)])
    if (millis !== undefined) pairs.push(["expires", String(secondsOf(millis))])
    if (this.settings.cacheName !== undefined) pairs.push(["cache", Buffer.from(this.settings.cacheName)])
    return encode(pairs, body)
  }

  locate(name: string): Location {
    const digest = createHash("sha256").update(name).digest()
    return { wire: Buffer.from(this.settings.prefix + digest.toString("base64url")), digest }
  }

  private find(at: Location): Attempt<Found> {
    return Effect.mapBoth(this.exchange(this.packet("get", at)), {
      onFailure: this.fail,
      onSuccess: (packet) => packet && { at, value: packet.body }
    })
  }

  private ask(
    command: Command,
    at: Location | undefined,
    value?: Uint8Array | undefined,
    millis?: number
  ): Attempt<boolean> {
    return Effect.suspend(() =>
      Effect.mapBoth(this.exchange(this.packet(command, at, millis, value)), {
        onFailure: this.fail,
        onSuccess: (packet) => packet?.pairs.get("status") === "ok"
      })
    )
  }
}

export interface Location {
  /** The name on the wire. */
  readonly wire: Uint8Array
  readonly digest: Uint8Array
}

type Found = { readonly at: Location; readonly value: Uint8Array } | undefined

export const valueOf = ({ digest }: Location, payload: Uint8Array): Uint8Array => {
  const value = new Uint8Array(overhead + payload.length)
  value[0] = format
  value.set(digest, 1)
  value.set(payload, overhead)
  return value
}

const payloadOf = (found: Found): Uint8Array | undefined =>
  found !== undefined && found.value[0] === format &&
    isEqual(found.value.subarray(1, overhead), found.at.digest)
    ? found.value.subarray(overhead)
    : undefined

const isEqual = (a: Uint8Array | undefined, b: Uint8Array): boolean => a !== undefined && Buffer.compare(a, b) === 0

/** The server counts whole seconds from the beginning of the present one; zero would be for ever. */
const secondsOf = (millis: number): number => Math.min(Math.ceil(millis / 1_000) + 1, longestSeconds)
