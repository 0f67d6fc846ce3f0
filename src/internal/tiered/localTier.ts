/**
 * The local tier: copies of remote entries, each for a bounded time after the
 * remote tier was last asked.
 *
 * A copy is written under a ticket. It begins before the remote tier is asked and
 * is spoiled by whatever changes the entry meanwhile, here or, by the bus, in
 * another process; a spoiled ticket writes nothing. Writes to the local tier take
 * turns by key, so that the look at the ticket and the write are one step.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Backend, BackendError, Item, TagVersion } from "../../Backend.js"
import { newVersion } from "../derive.js"
import { counterCodec, Entry } from "../entry.js"
import { pause } from "../pause.js"
import { Turns } from "../turns.js"
import { Bell } from "./bell.js"
import { Changes } from "./changes.js"
import type { Receiver } from "./messenger.js"
import { ofLocal } from "./observe.js"
import { type Instant, type Question, TagTable } from "./tagTable.js"
import { type Ticket, Tickets } from "./tickets.js"

const maxTags = 100_000
const firstRetryMillis = 10
const longestRetryMillis = 1_000

/** A copy in a tier that holds values. Fresh, and kept, for as long as the copy may be served. */
class Copy extends Entry {
  constructor(readonly origin: Entry, until: number) {
    const { bytes, codec, exit, isFailure, loadMillis, loadedAt, tags } = origin
    super(isFailure, codec, loadedAt, until, until, loadMillis, tags, exit, bytes)
  }
}

/** Entries on their way from the remote tier, or to it. */
export interface Passage extends Instant {
  readonly keys: ReadonlyArray<string>
  readonly tickets: ReadonlyArray<Ticket>
}

/** An entry that the remote tier has, and how long that was asked to keep it. */
export interface Stored {
  readonly entry: Entry
  readonly retention: number
}

export class LocalTier {
  readonly tags = new TagTable(maxTags)
  private readonly tickets = new Tickets()
  private readonly turns = new Turns()
  private readonly observe: ReturnType<typeof ofLocal>
  /** Tells the copies of this process in a tier that outlives it. */
  private readonly instance = newVersion()
  /** Changes told by other processes, not yet made here. */
  private told = new Changes()
  private readonly bell = new Bell()
  /** Everything is to be dropped, and has not been: the tier is not read. */
  private isOff = false

  constructor(private readonly local: Backend, private readonly maxMillis: number) {
    this.observe = ofLocal(local.name)
  }

  /** Whether nothing is under way. */
  get isIdle(): boolean {
    return this.tickets.size === 0
  }

  // ---------------------------------------------------------------------------
  // reading
  // ---------------------------------------------------------------------------

  /** The entry, where a copy may be served. */
  find(key: string): Effect.Effect<Entry | undefined> {
    // Not by `get`, which removes what is over: it may be read again, and need not be decoded again.
    if (this.local.unsafe !== undefined) return Effect.map(Clock.currentTimeMillis, (now) => this.liveAt(key, now))
    return Effect.suspend(() =>
      this.isOff ? Effect.succeed(undefined) : Effect.catchAllCause(
        Effect.map(this.local.get(key), (found) => this.served(Option.getOrUndefined(found))),
        () => Effect.sync(() => void this.observe.failed())
      )
    )
  }

  findMany(keys: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Entry | undefined>> {
    if (this.local.unsafe !== undefined) {
      return Effect.map(Clock.currentTimeMillis, (now) => keys.map((key) => this.liveAt(key, now)))
    }
    const nothing = keys.map(() => undefined)
    return Effect.suspend(() =>
      this.isOff ? Effect.succeed(nothing) : Effect.catchAllCause(
        Effect.map(this.local.getMany(keys), (found) => found.map((_) => this.served(Option.getOrUndefined(_)))),
        () => Effect.sync(() => (this.observe.failed(), nothing))
      )
    )
  }

  /** Without a fiber, for a tier that can: the copy, that ends when it may no longer be served. */
  unsafeGet(key: string): Entry | undefined {
    if (this.isOff) return undefined
    const copy = this.local.unsafe!.get(key)
    if (!(copy instanceof Copy)) return undefined
    // Decoded by who read it first, from the entry that it was copied from.
    if (copy.exit === undefined) copy.exit = copy.origin.exit
    return copy
  }

  private liveAt(key: string, now: number): Entry | undefined {
    const copy = this.unsafeGet(key)
    return copy !== undefined && now < copy.keepUntil ? this.served(copy) : undefined
  }

  private served(found: Entry | undefined): Entry | undefined {
    if (found === undefined || this.isOff) return undefined
    if (found instanceof Copy) return this.tags.state(found.tags) === "current" ? found.origin : undefined
    const unpacked = unpack(found)
    if (unpacked === undefined) return undefined
    if (unpacked.instance === this.instance) this.tags.rebind(found.tags, unpacked.stamp)
    return this.tags.state(found.tags) === "current" ? unpacked.entry : undefined
  }

  // ---------------------------------------------------------------------------
  // passing on
  // ---------------------------------------------------------------------------

  /** Runs `use` with tickets for the keys. */
  passing<A, E, R>(
    keys: ReadonlyArray<string>,
    use: (passage: Passage) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.acquireUseRelease(
      Effect.map(Clock.currentTimeMillis, (at): Passage => ({
        keys,
        tickets: keys.map((key) => this.tickets.begin(key)),
        stamp: this.tags.nextStamp(),
        at
      })),
      use,
      ({ tickets }) => Effect.sync(() => tickets.forEach((ticket) => this.tickets.end(ticket)))
    )
  }

  /** Runs `use` with a question for the versions of tags. */
  asking<A, E, R>(
    tags: ReadonlyArray<string>,
    use: (question: Question) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.acquireUseRelease(
      Effect.map(Clock.currentTimeMillis, (at) => this.tags.ask(tags, at)),
      use,
      (question) => Effect.sync(() => this.tags.close(question))
    )
  }

  /** Copies what was read, unless it was changed meanwhile. */
  keep(passage: Passage, read: ReadonlyArray<Option.Option<Entry>>): Effect.Effect<void> {
    const stored = read.map((_) => _._tag === "Some" ? { entry: _.value, retention: Infinity } : undefined)
    if (stored.every((_) => _ === undefined)) return Effect.void
    return Effect.catchAllCause(
      this.inTurn(passage.keys, this.write(passage, stored, false)),
      () => Effect.sync(() => this.observe.failed())
    )
  }

  /**
   * The remote tier was changed, or may have been: what else is under way for the
   * keys is spoiled, and the local tier has what was stored, or nothing.
   */
  settle(passage: Passage, stored: ReadonlyArray<Stored | undefined>): Effect.Effect<void, BackendError> {
    return Effect.suspend(() => {
      passage.tickets.forEach((ticket) => this.tickets.spoil(ticket.name, ticket))
      return this.orDrop(this.inTurn(passage.keys, this.write(passage, stored, true)))
    })
  }

  /** Every key that begins with `prefix` was removed, or may have been. */
  clear(prefix: string): Effect.Effect<void, BackendError> {
    return Effect.suspend(() => {
      this.tickets.spoilPrefix(prefix)
      return this.orDrop(this.turns.alone(this.local.clear(prefix)))
    })
  }

  private write(
    passage: Passage,
    stored: ReadonlyArray<Stored | undefined>,
    isChange: boolean
  ): Effect.Effect<void, BackendError> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const { keys, tickets } = passage
      const items: Array<Item> = []
      const removed: Array<string> = []
      keys.forEach((key, i) => {
        const present = stored[i]
        const item = present === undefined || tickets[i]!.isSpoiled
          ? undefined
          : this.itemOf(key, present, passage, now, isChange)
        if (item !== undefined) items.push(item)
        else if (isChange) removed.push(key)
      })
      const removing = removed.length === 0 ? Effect.void : this.local.removeMany(removed)
      return items.length === 0
        ? Effect.asVoid(removing)
        : Effect.zipRight(removing, items.length === 1 ? this.local.set(...items[0]!) : this.local.setMany(items))
    })
  }

  /** The copy to store, if it may be served for any time at all. */
  private itemOf(
    key: string,
    { entry, retention }: Stored,
    from: Instant,
    now: number,
    isOwn: boolean
  ): Item | undefined {
    // A number that many processes change is read where they change it.
    if (entry.codec === counterCodec) return undefined
    const { bytes, freshUntil, keepUntil, tags } = entry
    const known = this.tags.knownSince(tags, from)
    if (known === undefined) return undefined
    const until = Math.min(freshUntil, keepUntil, from.at + retention, known.at + this.maxMillis)
    if (!(now < until)) return undefined
    // The caller may go on to use the buffer of what it has stored.
    const origin = isOwn && bytes !== undefined ? withBytes(entry, bytes.slice()) : entry
    const keptFor = Duration.millis(Math.ceil(until - now) + 1)
    if (this.local.holds === "bytes") {
      return bytes === undefined ? undefined : [key, pack(origin, until, this.instance, known.stamp), keptFor]
    }
    this.shareExit(key, origin)
    this.tags.remember(tags)
    return [key, new Copy(origin, until), keptFor]
  }

  /** What was decoded once is not decoded again when it is read again. */
  private shareExit(key: string, origin: Entry): void {
    if (origin.exit !== undefined || origin.bytes === undefined) return
    const before = this.local.unsafe?.get(key)
    if (!(before instanceof Copy)) return
    const { bytes, codec, exit, isFailure } = before.origin
    if (exit === undefined || bytes === undefined || codec !== origin.codec || isFailure !== origin.isFailure) return
    if (Buffer.compare(bytes, origin.bytes) === 0) origin.exit = exit
  }

  private inTurn<A, E>(keys: ReadonlyArray<string>, effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return keys.length === 1 ? this.turns.one(keys[0]!)(effect) : this.turns.alone(effect)
  }

  /** A local tier that could not be changed has what it must not have. */
  private orDrop<A>(effect: Effect.Effect<A, BackendError>): Effect.Effect<A, BackendError> {
    return Effect.onError(effect, () => Effect.sync(() => this.drop()))
  }

  // ---------------------------------------------------------------------------
  // told by others
  // ---------------------------------------------------------------------------

  /** Changes that another process made. */
  apply({ hard, isAll, keys, prefixes, soft }: Changes): void {
    if (isAll) return this.drop()
    for (const key of keys) this.tickets.spoil(key)
    for (const prefix of prefixes) this.tickets.spoilPrefix(prefix)
    this.tags.forget(soft, "soft")
    this.tags.forget(hard, "hard")
    if (keys.size > 0) this.told.add({ _tag: "Keys", keys: [...keys] })
    for (const prefix of prefixes) this.told.add({ _tag: "Prefix", prefix })
    if (this.told.isAll) return this.drop()
    if (this.told.size > 0) this.bell.ring()
  }

  readonly receiver: Receiver = { apply: (changes) => this.apply(changes), drop: () => this.drop() }

  /** Nothing here can be trusted: changes may have been missed. */
  drop(): void {
    this.observe.dropped()
    this.isOff = true
    this.tickets.spoilPrefix("")
    this.tags.forgetAll()
    this.told.addAll()
    this.bell.ring()
  }

  /** Makes what was told; runs for as long as the tier. */
  readonly follow: Effect.Effect<never> = Effect.forever(
    Effect.zipRight(this.bell.wait, Effect.suspend(() => this.makeTold(firstRetryMillis)))
  )

  private makeTold(retryMillis: number): Effect.Effect<void> {
    const { isAll, keys, prefixes } = this.told
    this.told = new Changes()
    const making = isAll
      ? this.local.clear("")
      : Effect.zipRight(
        keys.size === 0 ? Effect.void : this.local.removeMany([...keys]),
        Effect.forEach(prefixes, (prefix) => this.local.clear(prefix), { discard: true })
      )
    return Effect.matchCauseEffect(this.turns.alone(making), {
      onSuccess: () =>
        Effect.sync(() => {
          if (isAll && !this.told.isAll) this.isOff = false
        }),
      onFailure: () =>
        Effect.suspend(() => {
          this.observe.failed()
          this.isOff = true
          this.told.addAll()
          const next = Math.min(retryMillis * 2, longestRetryMillis)
          return Effect.zipRight(pause(retryMillis), Effect.suspend(() => this.makeTold(next)))
        })
    })
  }
}

const withBytes = (entry: Entry, bytes: Uint8Array): Entry => {
  const { codec, exit, freshUntil, isFailure, keepUntil, loadMillis, loadedAt, tags } = entry
  return new Entry(isFailure, codec, loadedAt, freshUntil, keepUntil, loadMillis, tags, exit, bytes)
}

// A tier that holds bytes has the copy's time in the header, and what it replaces in front of the codec's name.

const pack = (entry: Entry, until: number, instance: string, stamp: number): Entry => {
  const { bytes, codec, exit, freshUntil, isFailure, keepUntil, loadMillis, loadedAt, tags } = entry
  const packed = `~${instance} ${stamp} ${freshUntil} ${keepUntil} ${codec}`
  return new Entry(isFailure, packed, loadedAt, until, until, loadMillis, tags, exit, bytes)
}

const packing = /^~(\S+) (\S+) (\S+) (\S+) /

const unpack = (
  packed: Entry
): { readonly entry: Entry; readonly instance: string; readonly stamp: number } | undefined => {
  const found = packing.exec(packed.codec)
  if (found === null) return undefined
  const [front, instance, stamp, freshUntil, keepUntil] = found
  const { bytes, codec, exit, isFailure, loadMillis, loadedAt, tags } = packed
  const entry = new Entry(
    isFailure,
    codec.slice(front.length),
    loadedAt,
    Number(freshUntil),
    Number(keepUntil),
    loadMillis,
    tags as ReadonlyArray<TagVersion>,
    exit,
    bytes
  )
  return { entry, instance: instance!, stamp: Number(stamp) }
}
