/**
 * A store of bytes in a `KeyValueStore`, which this process has for itself.
 *
 * A name in the store is the digest of its key, so that any text can be one, of a
 * length that every store takes and in one case. What is stored under it tells
 * the generation of its key (see `cleared.ts`): the store cannot list its names,
 * so a clear makes what has another generation dead. Dead and expired items are
 * taken out by later writes, two at a time, as far as this process knows them.
 *
 * The operations of one key take turns, and one that has begun to write ends,
 * whoever waits for it: what is written late would undo what came after it.
 */
import type { PlatformError } from "@effect/platform/Error"
import type { KeyValueStore } from "@effect/platform/KeyValueStore"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { createHash, randomBytes } from "node:crypto"
import type { BackendError, Bytes } from "../../Backend.js"
import * as Cleared from "../cleared.js"
import * as derive from "../derive.js"
import { closed, type Failure } from "../failure.js"
import { pause } from "../pause.js"
import { Turns } from "../turns.js"
import { failureOf } from "./failure.js"
import * as Item from "./item.js"

const longestDirectory = 8_192
const leasePrefix = derive.reserved.lease("")
/** How many items a write looks at, whether they have expired. */
const lookedAt = 2
/** The end does not wait for longer for what is being written, in milliseconds. */
const longestEnd = 1_000

type Attempt<A> = Effect.Effect<A, BackendError>

export const make = (
  store: KeyValueStore,
  { fail, prefix }: { readonly prefix: string; readonly fail: (failure: Failure) => BackendError }
): Effect.Effect<Bytes, never, Scope.Scope> =>
  Effect.gen(function*() {
    /** Where nobody else uses the store, all of it may be cleared. */
    const ownsAll = prefix === ""
    const directoryName = `${prefix}directory`
    const turns = new Turns()
    const opening = yield* Effect.makeSemaphore(1)
    /** Of no use to anybody after this process. */
    const leases = new Map<string, Uint8Array>()
    /** Until when the items that this process has stored are kept, by key; zero for those that are dead. */
    const kept = new Map<string, number>()
    let directory: Cleared.Directory | undefined
    let isText = false
    let isClosed = false

    const nameOf = (key: string) => prefix + createHash("sha256").update(key).digest("hex")

    const ask = <A>(effect: Effect.Effect<A, PlatformError>): Attempt<A> =>
      Effect.mapError(effect, (error) => fail(failureOf(error)))

    const getBytes = (name: string): Attempt<Uint8Array | undefined> =>
      Effect.map(
        ask(
          isText
            ? Effect.map(store.get(name), Option.map((text): Uint8Array => Buffer.from(text, "base64")))
            : store.getUint8Array(name)
        ),
        Option.getOrUndefined
      )

    const setBytes = (name: string, bytes: Uint8Array): Attempt<void> =>
      Effect.asVoid(ask(store.set(name, isText ? Buffer.from(bytes).toString("base64") : bytes)))

    const removeName = (name: string): Attempt<void> =>
      ask(Effect.catchIf(
        store.remove(name),
        (error) => error._tag === "SystemError" && error.reason === "NotFound",
        () => Effect.void
      ))

    /** Some stores take bytes and do not give them back, as one behind `KeyValueStore.prefix` of @effect/platform 0.97. */
    const tryOut: Attempt<void> = Effect.gen(function*() {
      const name = `${prefix}trial-${derive.newVersion()}`
      const bytes = randomBytes(64)
      for (const asText of [false, true]) {
        isText = asText
        yield* setBytes(name, bytes)
        const found = yield* getBytes(name)
        yield* removeName(name)
        if (found !== undefined && Buffer.compare(found, bytes) === 0) return
      }
      return yield* Effect.fail(
        fail({ reason: "Unavailable", description: "the store does not give back what was stored" })
      )
    })

    /** `cleared` is the prefix that is not in the directory before. */
    const writeDirectory = (next: Cleared.Directory, cleared?: string): Attempt<void> =>
      Effect.map(
        setBytes(
          directoryName,
          Item.encode({ keepUntil: Infinity, generation: "", bytes: Cleared.encode(next) })
        ),
        () => {
          directory = next
          if (cleared === undefined) return
          for (const key of kept.keys()) if (key.startsWith(cleared)) kept.set(key, 0)
        }
      )

    /** Where there is no directory, or none that can be read, nothing that is stored can be trusted: a new one. */
    const open: Attempt<void> = Effect.gen(function*() {
      if (directory !== undefined) return
      yield* tryOut
      const bytes = yield* getBytes(directoryName)
      const item = bytes && Item.decode(bytes)
      const found = item && Cleared.decode(item.bytes)
      if (found === undefined) yield* writeDirectory({ root: derive.newVersion(), cleared: [] })
      else directory = found
    })

    const present: Attempt<Cleared.Directory> = Effect.suspend(() =>
      isClosed
        ? Effect.fail(fail(closed))
        : directory !== undefined
        ? Effect.succeed(directory)
        : Effect.map(opening.withPermits(1)(open), () => directory!)
    )

    /** Goes on where nobody waits for it any more. */
    const toTheEnd = <A>(effect: Attempt<A>): Attempt<A> => Effect.flatMap(Effect.forkDaemon(effect), Fiber.join)

    const inTurn = <A>(name: string, effect: Attempt<A>): Attempt<A> => toTheEnd(turns.one(name)(effect))

    /** Whether something is there, and the bytes unless they have expired or were cleared. */
    const look = (key: string, bytes: Uint8Array | undefined): Effect.Effect<Uint8Array | undefined> =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const item = bytes && Item.decode(bytes)
        const isLive = item !== undefined && now < item.keepUntil &&
          item.generation === Cleared.generationOf(directory!, key)
        if (isLive) return item.bytes
        if (bytes !== undefined && !kept.has(key)) kept.set(key, 0)
        return undefined
      })

    const get = (key: string): Attempt<Option.Option<Uint8Array>> =>
      Effect.gen(function*() {
        yield* present
        const name = nameOf(key)
        const bytes = yield* getBytes(name)
        // Half an item may be one that is being written: in turn, nobody writes.
        const whole = bytes !== undefined && Item.decode(bytes) === undefined
          ? yield* turns.one(name)(getBytes(name))
          : bytes
        return Option.fromNullable(yield* look(key, whole))
      })

    const put = (key: string, item: Item.Item): Attempt<void> =>
      Effect.suspend(() => {
        kept.set(key, item.keepUntil)
        return Effect.zipRight(setBytes(nameOf(key), Item.encode(item)), Effect.forkDaemon(tidy))
      })

    /** Writes in the generation of its beginning: to a clear that comes in between, it has come before. */
    const write = <A>(
      key: string,
      bytes: Uint8Array,
      retention: Duration.Duration,
      f: (put: Attempt<void>) => Attempt<A>
    ): Attempt<A> =>
      Effect.flatMap(Effect.zip(present, Clock.currentTimeMillis), ([directory, now]) => {
        const generation = Cleared.generationOf(directory, key)
        const keepUntil = now + Duration.toMillis(retention)
        return inTurn(nameOf(key), f(put(key, { keepUntil, generation, bytes })))
      })

    const remove = (key: string): Attempt<boolean> =>
      Effect.flatMap(present, () =>
        inTurn(
          nameOf(key),
          Effect.gen(function*() {
            const bytes = yield* getBytes(nameOf(key))
            const found = yield* look(key, bytes)
            if (bytes !== undefined) yield* removeName(nameOf(key))
            kept.delete(key)
            return found !== undefined
          })
        ))

    const clearAll: Attempt<void> = turns.alone(Effect.suspend(() => {
      kept.clear()
      return Effect.zipRight(ask(store.clear), writeDirectory({ root: derive.newVersion(), cleared: [] }))
    }))

    const clear = (prefix: string): Attempt<void> =>
      Effect.suspend(() =>
        writeDirectory(Cleared.clear(directory!, prefix, derive.newVersion, longestDirectory), prefix)
      )

    /** Looks at the items that were looked at the longest ago. */
    const tidy: Effect.Effect<void> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const next = kept.entries()
      const due: Array<string> = []
      for (let left = Math.min(lookedAt, kept.size); left > 0; left--) {
        const [key, keepUntil] = next.next().value!
        kept.delete(key)
        if (now < keepUntil) kept.set(key, keepUntil)
        else due.push(key)
      }
      return Effect.forEach(due, (key) => {
        const isStoredAgain = () => kept.has(key)
        return turns.one(nameOf(key))(
          Effect.suspend(() => isStoredAgain() ? Effect.void : removeName(nameOf(key)))
        ).pipe(Effect.catchAll(() => Effect.sync(() => isStoredAgain() || kept.set(key, 0))))
      }, { discard: true })
    })

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isClosed = true
        return Effect.interruptible(Effect.raceFirst(turns.alone(Effect.void), pause(longestEnd)))
      })
    )

    return {
      get: (key) => key.startsWith(leasePrefix) ? Effect.sync(() => Option.fromNullable(leases.get(key))) : get(key),
      set: (key, bytes, retention) =>
        key.startsWith(leasePrefix)
          ? Effect.sync(() => void leases.set(key, bytes))
          : write(key, bytes, retention, (put) => put),
      add: (key, bytes, retention) =>
        key.startsWith(leasePrefix)
          ? Effect.sync(() => !leases.has(key) && !!leases.set(key, bytes))
          : write(key, bytes, retention, (put) =>
            Effect.flatMap(Effect.flatMap(getBytes(nameOf(key)), (found) => look(key, found)), (found) =>
              found === undefined ? Effect.as(put, true) : Effect.succeed(false))),
      remove: (key) =>
        key.startsWith(leasePrefix) ? Effect.sync(() => leases.delete(key)) : remove(key),
      clear: (prefix) => {
        if (prefix.startsWith(leasePrefix)) {
          return Effect.sync(() => {
            for (const key of leases.keys()) if (key.startsWith(prefix)) leases.delete(key)
          })
        }
        return Effect.flatMap(
          present,
          () => ownsAll && prefix === "" ? toTheEnd(clearAll) : inTurn(directoryName, clear(prefix))
        )
      }
    }
  })
