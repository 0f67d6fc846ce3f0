/**
 * The whole contract over a local and a remote tier, in the order of a read: the
 * copy here, the remote entry, a copy of that. A change goes to the remote tier,
 * then to the local one, then to the other processes.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Backend, BackendError, Operations } from "../../Backend.js"
import type { Entry } from "../entry.js"
import type { Change } from "./changes.js"
import type { LocalTier, Passage, Stored } from "./localTier.js"
import type { Messenger } from "./messenger.js"

/** In front of the token of a lease: whether there was an entry under the key, which other processes may have copied. */
const overwriting = "+"
const filling = "-"

/** A change that these failed with was not made. */
const isUnmade = ({ reason }: BackendError): boolean =>
  reason === "InvalidInput" || reason === "TooLarge" || reason === "NotANumber" || reason === "OutOfSpace"

type Telling = "at once" | "later" | "not at all"

export const operations = (
  name: string,
  remote: Backend,
  localTier: LocalTier,
  hasUnsafe: boolean,
  messenger: Messenger | undefined
): Operations => {
  const { tags } = localTier
  const { getOrLease } = remote

  const tellLater = (change: Change) => Effect.sync(() => messenger?.tellLater(change))

  const tell = (change: Change, how: Telling): Effect.Effect<void> =>
    messenger === undefined || how === "not at all"
      ? Effect.void
      : how === "at once"
      ? messenger.tell(change)
      : tellLater(change)

  /** `remote`, then `here` whatever came of it, then the others are told if it was made, or may have been. */
  const changing = <A>(
    change: Change,
    remote: Effect.Effect<A, BackendError>,
    here: (exit: Exit.Exit<A, BackendError>) => Effect.Effect<void, BackendError>,
    tellingOf: (answer: A) => Telling
  ): Effect.Effect<A, BackendError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.exit(restore(remote)), (exit) => {
        if (Exit.isSuccess(exit)) {
          return here(exit).pipe(
            Effect.onError(() => tellLater(change)),
            Effect.zipRight(restore(tell(change, tellingOf(exit.value)))),
            Effect.as(exit.value)
          )
        }
        const wasMade = !(exit.cause._tag === "Fail" && isUnmade(exit.cause.error))
        return Effect.ignore(here(exit)).pipe(
          Effect.zipRight(wasMade ? tellLater(change) : Effect.void),
          Effect.zipRight(exit)
        )
      })
    )

  const changingKeys = <A>(
    keys: ReadonlyArray<string>,
    remote: Effect.Effect<A, BackendError>,
    storedOf: (answer: A) => ReadonlyArray<Stored | undefined>,
    tellingOf: (answer: A) => Telling = () => "at once"
  ): Effect.Effect<A, BackendError> =>
    localTier.passing(keys, (passage) =>
      changing(
        { _tag: "Keys", keys },
        remote,
        (exit) => localTier.settle(passage, Exit.isSuccess(exit) ? storedOf(exit.value) : []),
        tellingOf
      ))

  const storedAs = (entry: Entry, retention: Duration.Duration): Stored => ({
    entry,
    retention: Duration.toMillis(retention)
  })

  const nothing = () => []

  const kept = (passage: Passage) => (read: ReadonlyArray<Option.Option<Entry>>) => localTier.keep(passage, read)

  return {
    name,
    isShared: remote.isShared,
    holds: "bytes",
    get: (key) =>
      Effect.flatMap(localTier.find(key), (found) =>
        found !== undefined
          ? Effect.succeedSome(found)
          : localTier.passing(
            [key],
            (passage) => Effect.tap(remote.get(key), (read) => localTier.keep(passage, [read]))
          )),
    getMany: (keys) =>
      Effect.flatMap(localTier.findMany(keys), (found) => {
        const missing = Array.from(new Set(keys.filter((_, i) => found[i] === undefined)))
        if (missing.length === 0) return Effect.succeed(found.map(Option.fromNullable))
        return Effect.map(
          localTier.passing(missing, (passage) => Effect.tap(remote.getMany(missing), kept(passage))),
          (read) => {
            const byKey = new Map(missing.map((key, i) => [key, read[i]!]))
            return keys.map((key, i) => found[i] === undefined ? byKey.get(key)! : Option.some(found[i]))
          }
        )
      }),
    set: (key, entry, retention) =>
      changingKeys([key], remote.set(key, entry, retention), () => [storedAs(entry, retention)]),
    setMany: (items) => {
      // The last one of a key is the one that stays.
      const last = new Map(items.map((item) => [item[0], item]))
      const stored = Array.from(last.values(), ([, entry, retention]) => storedAs(entry, retention))
      return changingKeys(Array.from(last.keys()), remote.setMany(items), () => stored)
    },
    add: (key, entry, retention) =>
      changingKeys(
        [key],
        remote.add(key, entry, retention),
        (isAdded) => isAdded ? [storedAs(entry, retention)] : [],
        (isAdded) => isAdded ? "at once" : "not at all"
      ),
    has: remote.has,
    remove: (key) => changingKeys([key], remote.remove(key), nothing),
    removeMany: (keys) => changingKeys(Array.from(new Set(keys)), remote.removeMany(keys), nothing),
    increment: (key, by, retention) =>
      changingKeys([key], remote.increment(key, by, retention), nothing, () => "later"),
    clear: (prefix) =>
      changing({ _tag: "Prefix", prefix }, remote.clear(prefix), () => localTier.clear(prefix), () => "at once"),
    lease: (key, duration) =>
      localTier.passing([key], (passage) =>
        Effect.map(
          Effect.tap(remote.lease(key, duration), ({ entry }) => localTier.keep(passage, [entry])),
          ({ entry, token }) => ({
            entry,
            token: Option.map(token, (token) => (entry._tag === "Some" ? overwriting : filling) + token)
          })
        )),
    getOrLease: getOrLease &&
      ((key, duration, tags) =>
        Effect.flatMap(Effect.interruptible(localTier.find(key)), (found) =>
          found !== undefined
            ? Effect.succeed({ entry: Option.some(found), token: Option.none(), versions: undefined })
            : localTier.passing([key], (passage) =>
              Effect.map(
                Effect.tap(getOrLease(key, duration, tags), ({ entry, token }) =>
                  // What comes with the lease is outdated, whatever is known of its tags here.
                  token._tag === "Some" ? Effect.void : localTier.keep(passage, [entry])),
                // Versions are asked for apart: what is learned of a tag must have been asked for by its name.
                ({ entry, token, versions }) => ({
                  entry,
                  // Copies of an outdated entry carry its tags: by them, every process knows.
                  token: Option.map(token, (token) => filling + token),
                  versions: versions?.length === 0 ? versions : undefined
                })
              )))),
    renew: (key, token, duration) => remote.renew(key, token.slice(1), duration),
    fill: (key, token, entry, retention) =>
      changingKeys(
        [key],
        remote.fill(key, token.slice(1), entry, retention),
        (isFilled) => isFilled ? [storedAs(entry, retention)] : [],
        // Where nothing was, no other process has a copy of it: a load of something new is nobody's business.
        (isFilled) => isFilled && token.startsWith(overwriting) ? "later" : "not at all"
      ),
    tagVersions: (names) =>
      localTier.asking(
        names,
        (question) => Effect.tap(remote.tagVersions(names), (answer) => Effect.sync(() => tags.learn(question, answer)))
      ),
    refreshTags: (versions) =>
      Effect.suspend(() =>
        tags.state(versions) === "current" ? Effect.succeed(versions) : localTier.asking(
          versions.map((version) => version.tag),
          (question) =>
            Effect.tap(
              remote.refreshTags(versions),
              (answer) => Effect.sync(() => tags.learn(question, answer, versions))
            )
        )
      ),
    tagEpoch: remote.tagEpoch,
    invalidateTags: (names, mode) =>
      changing(
        { _tag: "Tags", tags: names, mode },
        remote.invalidateTags(names, mode),
        // Where it may have been made, nothing is known.
        (exit) => Effect.sync(() => tags.forget(names, Exit.isSuccess(exit) ? mode : "hard")),
        () => "at once"
      ),
    unsafe: hasUnsafe
      ? { get: (key) => localTier.unsafeGet(key), tagState: (versions) => tags.state(versions) }
      : undefined
  }
}
