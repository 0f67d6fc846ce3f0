/**
 * The whole contract of a backend over Redis servers.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import * as Option from "effect/Option"
import type { BackendError, Claim, Item, Lease, Operations } from "../../Backend.js"
import * as derive from "../derive.js"
import * as Entry from "../entry.js"
import { Progress } from "../inspection.js"
import type { Answer } from "./claims.js"
import type { Failure } from "./failure.js"
import { inspect } from "./inspect.js"
import type { Argument, Done, Link } from "./link.js"
import { entryOf } from "./readers.js"
import * as scripts from "./scripts.js"
import type { Servers, Survey } from "./servers.js"
import { Sightings } from "./sightings.js"

const readBatch = 1_000
const removeBatch = 500
const writeBatch = { items: 256, bytes: 1024 * 1024 }
const scanCount = 1_000

export interface Settings {
  /** Names the backend. */
  readonly name: string
  readonly prefix: string
  /** The largest payload that is sent. */
  readonly maxValueBytes: number
  readonly errorOf: (method: string) => (failure: Failure) => BackendError
}

/** The contract over `servers`. */
export const operations = (servers: Servers, { errorOf, maxValueBytes, name, prefix }: Settings): Operations => {
  const { keyPrefix } = servers

  // An entry and its lease have one hash slot: braces are the lease's alone.
  const share = escapeBraces(prefix)
  const wire = (key: string): string => share + escapeBraces(key)
  const leaseOf = (wired: string): string => `{${keyPrefix}${wired}}~lease`
  const both = (key: string): [key: string, lease: string] => {
    const wired = wire(key)
    return [wired, leaseOf(wired)]
  }

  const attempt = (method: string, send: (done: Done) => void): Effect.Effect<any, BackendError> =>
    Effect.async((resume) =>
      send((failure, reply) =>
        resume(failure === undefined ? Effect.succeed(reply) : Effect.fail(errorOf(method)(failure)))
      )
    )

  const run = (
    method: string,
    script: scripts.Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<Argument>
  ) => attempt(method, (done) => servers.run(script, keys, args, done))

  /**
   * One command for all items where one server has them all, one for each where
   * several do; the replies in that order, when the last one is there.
   */
  const inParts = <A>(
    method: string,
    items: ReadonlyArray<A>,
    send: (part: ReadonlyArray<A>, done: Done) => void
  ): Effect.Effect<Array<any>, BackendError> => {
    if (servers.isOne) return Effect.map(attempt(method, (done) => send(items, done)), (reply) => [reply])
    if (items.length === 0) return Effect.succeed([])
    return attempt(method, (done) => {
      const replies = items.map((): unknown => undefined)
      let left = items.length
      let failed: Failure | undefined
      servers.together(() =>
        items.forEach((item, index) =>
          send([item], (failure, reply) => {
            failed ??= failure
            replies[index] = reply
            if (--left === 0) done(failed, replies)
          })
        )
      )
    })
  }

  const unlink = (method: string, keys: ReadonlyArray<string | Buffer>): Effect.Effect<unknown, BackendError> =>
    inParts(method, keys, (part, done) => servers.send(part[0]!, "unlink", [...part], done))

  /** As `run`, with the time of the Clock for the first argument. */
  const runNow = (
    method: string,
    script: scripts.Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<Argument>
  ): Effect.Effect<any, BackendError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => run(method, script, keys, [now, ...args]))

  /** The envelope as a script takes it: how the server reclaims its space comes after it. */
  const valueOf = (
    method: string,
    entry: Entry.Entry,
    retention: Duration.Duration
  ): Effect.Effect<[value: Buffer, px: string], BackendError> =>
    Effect.suspend(() => {
      if (entry.bytes!.length > maxValueBytes) {
        const description = `the value has ${entry.bytes!.length} bytes, and ${maxValueBytes} is the most`
        return Effect.fail(errorOf(method)({ reason: "TooLarge", description }))
      }
      const { buffer, byteLength, byteOffset } = Entry.encode(entry)
      return Effect.succeed([Buffer.from(buffer, byteOffset, byteLength), pxOf(retention)])
    })

  const sightings = new Sightings()

  const get: Operations["get"] = (key) =>
    Effect.async((resume) => {
      const wired = wire(key)
      servers.read(wired, (failure, entry) => {
        if (entry === undefined || entry.tags.length > 0) sightings.forget(wired)
        resume(
          failure === undefined
            ? Effect.clockWith((clock) => Effect.succeed(live(entry, clock.unsafeCurrentTimeMillis())))
            : Effect.fail(errorOf("get")(failure))
        )
      })
    })

  const mget = (
    method: string,
    keys: ReadonlyArray<string>,
    send: Servers["send"]
  ): Effect.Effect<Array<Buffer | null>, BackendError> => {
    const batch = (keys: ReadonlyArray<string>) =>
      inParts(method, keys, (part, done) => send(part[0]!, "mget", [...part], done))
    return Effect.map(
      keys.length <= readBatch
        ? batch(keys)
        : Effect.map(
          Effect.forEach(chunksOf(keys, readBatch), batch, { concurrency: "unbounded" }),
          (batches) => batches.flat()
        ),
      (replies) => replies.length === 1 ? replies[0] : replies.flat()
    )
  }

  const setMany = (method: string, items: ReadonlyArray<Item>): Effect.Effect<void, BackendError> =>
    Effect.flatMap(
      // Every item is looked at before the first is sent: one that is refused stops them all.
      Effect.forEach(
        items,
        ([key, entry, retention]) =>
          Effect.map(valueOf(method, entry, retention), (value) => [both(key), value] as const)
      ),
      (writes) =>
        Effect.forEach(
          batchesOf(writes, ([, [value]]) => value.length),
          (batch) =>
            inParts(method, batch, (part, done) =>
              servers.run(
                scripts.set,
                part.flatMap(([keys]) => keys),
                part.flatMap(([, value]) => value),
                done
              )),
          { discard: true }
        )
    )

  const remove = (method: string, keys: ReadonlyArray<string>): Effect.Effect<number, BackendError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      for (const key of keys) sightings.forget(wire(key))
      return Effect.map(
        inParts(method, keys, (part, done) => servers.run(scripts.remove, part.flatMap(both), [now], done)),
        (removed) => removed.reduce<number>((sum, count) => sum + Number(count), 0)
      )
    })

  /** The versions under keys, new ones where there are none, all kept for `tagRetention` from now. */
  const versions = (
    method: string,
    keys: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<string>, BackendError> =>
    Effect.map(
      Effect.forEach(chunksOf(keys, readBatch), (chunk) =>
        inParts(method, chunk, (part, done) =>
          servers.run(scripts.versions, part, [pxOf(derive.tagRetention), ...part.map(derive.newVersion)], done))),
      (replies) =>
        replies.flat(2).map(String)
    )

  /** As `versions`, but only where one is missing is anything written. */
  const readVersions = (
    method: string,
    keys: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<string>, BackendError> =>
    Effect.flatMap(mget(method, keys, servers.send), (replies) => {
      const missing = keys.filter((_, index) => replies[index] === null)
      if (missing.length === 0) return Effect.succeed(replies.map(String))
      return Effect.map(versions(method, missing), (made) => {
        const left = made[Symbol.iterator]()
        return replies.map((reply) => reply === null ? left.next().value! : String(reply))
      })
    })

  const versionKeys = (tags: ReadonlyArray<string>) =>
    [...tags.map(derive.reserved.hard), ...tags.map(derive.reserved.soft)].map(wire)

  const tagged = (tags: ReadonlyArray<string>) => (versions: ReadonlyArray<string>): ReadonlyArray<Entry.TagVersion> =>
    tags.map((tag, i) => ({ tag, hard: versions[i]!, soft: versions[tags.length + i]! }))

  const tagSpace = { retention: pxOf(derive.tagRetention), share: keyPrefix + share }

  const getOrLease = (
    claim: NonNullable<Servers["claim"]>,
    key: string,
    duration: Duration.Duration,
    tags: ReadonlyArray<string>
  ): Effect.Effect<Claim, BackendError> =>
    Effect.clockWith((clock) => {
      const [wired, lease] = both(key)
      let isGone = false
      let token: string | undefined
      const asking = Effect.async<Claim, BackendError>((resume) =>
        claim(wired, {
          lease,
          now: clock.unsafeCurrentTimeMillis(),
          token: nextToken(),
          px: leaseMillis(duration),
          tags,
          isGone: () => isGone,
          settle: (failure, answer) => {
            token = answer?.token
            resume(
              answer === undefined
                ? Effect.fail(errorOf("getOrLease")(failure!))
                : Effect.sync(() => {
                  const claim = claimOf(answer, clock.unsafeCurrentTimeMillis())
                  const entry = Option.getOrUndefined(claim.entry)
                  if (entry?.tags.length === 0) sightings.note(wired, entry.freshUntil)
                  return claim
                })
            )
          }
        }, tagSpace)
      )
      // Interruptible in an uninterruptible step: what was granted is either learned or given back.
      return Effect.uninterruptible(
        Effect.onError(Effect.interruptible(asking), () =>
          Effect.sync(() => {
            isGone = true
            if (token !== undefined) servers.run(scripts.renew, [lease], [token, "0"], () => {})
          }))
      )
    })

  const epoch = wire(derive.reserved.epoch)

  const unlinkMatching = (
    link: Link,
    pattern: string,
    cursor: string | Buffer = "0"
  ): Effect.Effect<void, BackendError> =>
    Effect.flatMap(
      attempt("clear", (done) => link.send("scan", [cursor, "MATCH", pattern, "COUNT", scanCount], done)),
      ([next, keys]: [Buffer, Array<Buffer>]) => {
        const found = keys.map((key) => key.subarray(Buffer.byteLength(keyPrefix)))
        const unlinked = Effect.forEach(chunksOf(found, readBatch), (chunk) => unlink("clear", chunk), {
          discard: true
        })
        const told = Effect.zipRight(unlinked, Effect.map(Progress, (report) => report(found.length)))
        return String(next) === "0" ? told : Effect.zipRight(told, unlinkMatching(link, pattern, next))
      }
    )

  const survey: Effect.Effect<Survey, BackendError> = attempt("clear", servers.survey)

  const keyOf = (wired: string): string => wired.slice(share.length).replace(/%(?:25|7B|7D)/g, decodeURIComponent)

  /** Answers whether no key can have got away from a server that was still to be scanned to one that had been. */
  const unlinkEverywhere = (patterns: ReadonlyArray<string>): Effect.Effect<boolean, BackendError> =>
    Effect.flatMap(survey, (before) =>
      Effect.zipRight(
        Effect.forEach(
          before.links,
          (link) => Effect.forEach(patterns, (pattern) => unlinkMatching(link, pattern), { discard: true }),
          { concurrency: "unbounded", discard: true }
        ),
        Effect.map(survey, (after) => !before.isMoving && !after.isMoving && before.mark === after.mark)
      ))

  return {
    name,
    isShared: true,
    holds: "bytes",
    unsafe: undefined,
    get,
    getMany: (keys) =>
      Effect.zipWith(
        mget("getMany", keys.map(wire), servers.query),
        Clock.currentTimeMillis,
        (replies, now) => replies.map((reply) => live(entryOf(reply), now))
      ),
    set: (key, entry, retention) => setMany("set", [[key, entry, retention]]),
    setMany: (items) => setMany("setMany", items),
    add: (key, entry, retention) =>
      pipe(
        valueOf("add", entry, retention),
        Effect.flatMap((value) => runNow("add", scripts.add, both(key), value)),
        Effect.map(isOne)
      ),
    has: (key) => Effect.map(runNow("has", scripts.has, [wire(key)], []), isOne),
    remove: (key) => Effect.map(remove("remove", [key]), (count) => count === 1),
    removeMany: (keys) =>
      Effect.map(
        Effect.forEach(chunksOf(keys, removeBatch), (chunk) => remove("removeMany", chunk)),
        (removed) => removed.reduce((sum, count) => sum + count, 0)
      ),
    increment: (key, by, retention) =>
      pipe(
        Clock.currentTimeMillis,
        Effect.flatMap((now) =>
          valueOf("increment", Entry.counter(by, now, now + Duration.toMillis(retention)), retention)
        ),
        Effect.flatMap((fresh) => runNow("increment", scripts.increment, both(key), [by, ...fresh])),
        Effect.flatMap((reply: Buffer | null) =>
          reply === null
            ? Effect.fail(errorOf("increment")({ reason: "NotANumber" }))
            : Effect.succeed(Number(String(reply)))
        )
      ),
    clear: (prefix) => {
      const pattern = asPattern(keyPrefix + wire(prefix))
      // The leases first: an entry that is filled with one before it is gone is there when the entries are scanned.
      const everywhere = unlinkEverywhere([`${asPattern(keyPrefix)}{${pattern}*`, `${pattern}*`])
      // A key moves once: what got away the first time is found the second time.
      return Effect.zipRight(
        Effect.sync(() => sightings.forgetAll()),
        Effect.flatMap(everywhere, (isWhole) => isWhole ? Effect.void : everywhere)
      )
    },
    lease: (key, duration) =>
      Effect.suspend(() => {
        const token = derive.newVersion()
        const keys = both(key)
        return pipe(
          run("lease", scripts.lease, keys, [token, leaseMillis(duration)]),
          Effect.zip(Clock.currentTimeMillis),
          Effect.map(([[isMine, reply], now]: [[number | string, Buffer | null], number]): Lease => ({
            token: isOne(isMine) ? Option.some(token) : Option.none(),
            entry: live(entryOf(reply), now)
          })),
          // Who does not learn the token cannot give the lease back. On its connection, that comes after it.
          Effect.onError(() => Effect.sync(() => servers.run(scripts.renew, [keys[1]], [token, "0"], () => {})))
        )
      }),
    getOrLease: servers.claim && ((key, duration, tags) => getOrLease(servers.claim!, key, duration, tags)),
    isLikely: (key, now) => sightings.isFresh(wire(key), now),
    renew: (key, token, duration) =>
      Effect.map(run("renew", scripts.renew, [both(key)[1]], [token, leaseMillis(duration)]), isOne),
    fill: (key, token, entry, retention) =>
      pipe(
        valueOf("fill", entry, retention),
        Effect.flatMap((value) => run("fill", scripts.fill, both(key), [token, ...value])),
        Effect.map((reply: number | string) => {
          const isFilled = isOne(reply)
          if (isFilled && entry.tags.length === 0) sightings.note(wire(key), entry.freshUntil)
          return isFilled
        })
      ),
    tagVersions: (tags) => Effect.map(versions("tagVersions", versionKeys(tags)), tagged(tags)),
    refreshTags: (carried) => {
      const tags = carried.map(({ tag }) => tag)
      return Effect.map(readVersions("refreshTags", versionKeys(tags)), tagged(tags))
    },
    tagEpoch: Effect.map(readVersions("tagEpoch", [epoch]), (versions) => versions[0]!),
    invalidateTags: (tags, mode) => {
      // A version that is gone is made anew by who asks next: nothing to write, so a full server invalidates too.
      const chunks = chunksOf(tags.map((tag) => wire(derive.reserved[mode](tag))), removeBatch)
      if (servers.isOne) {
        return Effect.forEach(chunks, (chunk) => unlink("invalidateTags", [epoch, ...chunk]), { discard: true })
      }
      // The epoch first: a load that reads it unchanged at its end has read the tags before they lost their versions.
      return Effect.zipRight(
        unlink("invalidateTags", [epoch]),
        Effect.forEach(chunks, (chunk) => unlink("invalidateTags", chunk), { discard: true })
      )
    },
    inspect: (prefix) =>
      inspect({
        pattern: `${asPattern(keyPrefix + wire(prefix))}*`,
        scanCount,
        keyPrefix,
        keyOf: (wired) => wired.startsWith("{") || wired.startsWith("~", share.length) ? undefined : keyOf(wired),
        survey: attempt("inspect", servers.survey),
        attempt: (send) => attempt("inspect", send)
      })
  }
}

/** Of this process and of no other: cheaper than a random one each, as most are not used. */
const tokenOrigin = derive.newVersion()
let tokens = 0
const nextToken = (): string => `${tokenOrigin}.${(tokens++).toString(36)}`

const claimOf = ({ entry: found, tags, token, versions }: Answer, now: number): Claim => {
  const entry = live(found, now)
  const names = [...(entry._tag === "Some" ? entry.value.tags.map(({ tag }) => tag) : []), ...tags]
  return {
    entry,
    token: Option.fromNullable(token),
    versions: versions.length === 2 * names.length
      ? names.map((tag, i) => ({ tag, hard: String(versions[2 * i]), soft: String(versions[2 * i + 1]) }))
      : undefined
  }
}

const live = (entry: Entry.Entry | undefined, now: number): Option.Option<Entry.Entry> =>
  entry !== undefined && now < entry.keepUntil ? Option.some(entry) : Option.none()

/** ioredis answers numbers as text where the client was made with `stringNumbers`. */
const isOne = (reply: number | string): boolean => Number(reply) === 1

/** What the server takes for milliseconds; empty for a time beyond what it can count. */
const pxOf = (duration: Duration.Duration): string => {
  const millis = Math.ceil(Duration.toMillis(duration))
  return millis <= Number.MAX_SAFE_INTEGER ? String(millis) : ""
}

/** A lease always ends, and one of no time at once. */
const leaseMillis = (duration: Duration.Duration): number =>
  Math.min(Math.ceil(Duration.toMillis(duration)), Number.MAX_SAFE_INTEGER)

const escapeBraces = (text: string): string => text.replace(/[%{}]/g, encodeURIComponent)

/** The text as a glob pattern that matches it and nothing else. */
const asPattern = (text: string): string => text.replace(/[\\*?[\]^-]/g, "\\$&")

const chunksOf = <A>(items: ReadonlyArray<A>, size: number): Array<Array<A>> =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

const batchesOf = <A>(items: ReadonlyArray<A>, bytesOf: (item: A) => number): Array<Array<A>> => {
  const batches: Array<Array<A>> = []
  let room = { items: 0, bytes: 0 }
  for (const item of items) {
    const bytes = bytesOf(item)
    if (room.items === 0 || room.bytes < bytes) {
      batches.push([])
      room = { ...writeBatch }
    }
    batches[batches.length - 1]!.push(item)
    room = { items: room.items - 1, bytes: room.bytes - bytes }
  }
  return batches
}
