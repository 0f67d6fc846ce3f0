/**
 * The whole contract of a backend over memcached servers.
 *
 * An entry and the lease on its key are one item, changed by CAS: who writes has
 * seen what it overwrites, or nothing is written and it looks again. That takes
 * two round trips, and one where a write may be blind (`set`) or the key is
 * found absent (`add`, `lease`).
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { BackendError, Item as BackendItem, Lease, Operations } from "../../Backend.js"
import * as derive from "../derive.js"
import * as Entry from "../entry.js"
import { Turns } from "../turns.js"
import { clear } from "./clear.js"
import { contended, type Failure, ofStatus } from "./failure.js"
import { inspect } from "./inspect.js"
import * as Item from "./item.js"
import * as Namespace from "./namespace.js"
import type { Node } from "./node.js"
import { expirationOf, getQuiet, opcodes, remove, type Request, statuses } from "./packets.js"
import { batchesOf, eachOf, groupBy, makeWay, mostConflicts, Requests } from "./requests.js"
import { type Found, type Place, Shard } from "./shard.js"
import { tagOperations } from "./tags.js"
import type { Transport } from "./transport.js"

export interface Settings {
  /** Names the backend. */
  readonly name: string
  readonly prefix: string
  /** The largest payload that is sent. */
  readonly maxValueBytes: number
  readonly errorOf: (method: string) => (failure: Failure) => BackendError
}

/** What to put under a key. */
interface Content {
  readonly entry: Entry.Entry | undefined
  readonly lease: Item.Lease | undefined
  /** How long the server keeps it, in milliseconds. */
  readonly millis: number
}

interface Plan<A> {
  readonly answer: A
  /** Nothing is written where this is not there. */
  readonly write?: Content | "nothing" | undefined
}

const removeConcurrency = 256

/** The contract over `transport`. */
export const operations = (
  transport: Transport,
  { errorOf, maxValueBytes, name, prefix }: Settings
): Operations => {
  const share = Item.shareOf(prefix)
  const turns = new Turns()
  const requests = new Requests(transport, errorOf)
  const { attempt, fail, send } = requests
  const shards = new Map(transport.nodes.map((node) => [node, new Shard(node, share)]))

  const placeOf = (key: string): Place => {
    const name = Item.nameOf(share, key)
    return { key, name, shard: shards.get(transport.nodeOf(name.wire))! }
  }

  const look = (method: string, place: Place) => attempt<Found>(method, (done) => place.shard.read(place, done))

  const refresh = (method: string, shard: Shard) =>
    attempt<Namespace.Namespace | undefined>(method, (done) => shard.refresh(done))

  /** The namespace to write with, made where there is none. */
  const namespaceOf = (method: string, shard: Shard, attempts = 5): Effect.Effect<Namespace.Namespace, BackendError> =>
    Effect.suspend(() => {
      const { recent } = shard
      if (recent !== undefined) return Effect.succeed(recent)
      return Effect.flatMap(refresh(method, shard), (namespace) => {
        if (namespace !== undefined) return Effect.succeed(namespace)
        if (attempts === 0) return fail(method, { reason: "OutOfSpace" })
        return Effect.zipRight(
          attempt<void>(method, (done) => shard.establish((failure) => done(failure))),
          namespaceOf(method, shard, attempts - 1)
        )
      })
    })

  const refuse = (method: string, bytes: number, most: number): Effect.Effect<never, BackendError> =>
    fail(method, { reason: "TooLarge", description: `the value has ${bytes} bytes, and ${most} is the most` })

  /** A request that stores `content`; by CAS, where there is one. */
  const storing = (
    method: string,
    opcode: number,
    { name, shard }: Place,
    namespace: Namespace.Namespace,
    { entry, lease, millis }: Content,
    cas?: Buffer
  ): Effect.Effect<Request, BackendError> => {
    const payload = entry?.bytes?.length ?? 0
    if (payload > maxValueBytes) return refuse(method, payload, maxValueBytes)
    const envelope = entry && Entry.encode(entry)
    // What is refused by the server takes with it what was there.
    const room = shard.limit === undefined ? Infinity : Item.roomFor(name, shard.limit)
    if (envelope !== undefined && envelope.length > room) {
      return refuse(method, payload, Math.max(0, room - envelope.length + payload))
    }
    const value = Item.encode(name, namespace, lease, envelope)
    return Effect.succeed({ opcode, key: name.wire, expiration: expirationOf(millis), value, cas })
  }

  /** Whether the request was carried out; false where others came first. */
  const conditionally = (method: string, node: Node, epoch: number, request: Request) =>
    Effect.suspend(() =>
      // A CAS of before a restart of the server may have come to mean another item.
      node.epoch !== epoch ? Effect.succeed(false) : Effect.flatMap(send(method, node, [request]), ([reply]) => {
        switch (reply!.status) {
          case statuses.ok:
            return Effect.succeed(true)
          case statuses.exists:
          case statuses.notFound:
          case statuses.notStored:
            return Effect.succeed(false)
          default:
            return fail(method, ofStatus(reply!.status))
        }
      })
    )

  const commit = (method: string, place: Place, { cas, epoch, namespace }: Found, write: Content | "nothing") => {
    const { name, shard } = place
    if (write === "nothing") return conditionally(method, shard.node, epoch, remove(name.wire, cas))
    return Effect.flatMap(
      namespace === undefined ? namespaceOf(method, shard) : Effect.succeed(namespace),
      (namespace) =>
        Effect.flatMap(
          storing(method, cas === undefined ? opcodes.add : opcodes.set, place, namespace, write, cas),
          (request) => conditionally(method, shard.node, epoch, request)
        )
    )
  }

  /** Looks at the key and does as planned, until nobody interferes. One at a time for a key, in this process. */
  const modify = <A>(
    method: string,
    place: Place,
    plan: (found: Found, now: number) => Plan<A> | Failure,
    seen?: Found,
    conflicts = 0
  ): Effect.Effect<A, BackendError> =>
    Effect.flatMap(
      Effect.zip(seen === undefined ? look(method, place) : Effect.succeed(seen), Clock.currentTimeMillis),
      ([found, now]) => {
        const planned = plan(found, now)
        if ("reason" in planned) return fail(method, planned)
        const { answer, write } = planned
        if (write === undefined) return Effect.succeed(answer)
        return Effect.flatMap(commit(method, place, found, write), (isDone) => {
          if (isDone) return Effect.succeed(answer)
          if (conflicts === mostConflicts) return fail(method, contended)
          return Effect.zipRight(makeWay(conflicts), modify(method, place, plan, undefined, conflicts + 1))
        })
      }
    )

  /** Stores where there is nothing at all, in one round trip. Answers what is there otherwise, if it is known. */
  const open = (method: string, place: Place, content: Content) =>
    Effect.suspend((): Effect.Effect<{ readonly isStored: boolean; readonly found?: Found }, BackendError> => {
      const { name, shard } = place
      const { recent } = shard
      if (recent === undefined) return Effect.succeed({ isStored: false })
      return Effect.flatMap(storing(method, opcodes.add, place, recent, content), (request) =>
        Effect.flatMap(
          send(method, shard.node, [request, getQuiet(shard.hint), getQuiet(name.wire)]),
          ([added, hint, reply]) => {
            const { status } = added!
            const isProven = shard.proves(hint, recent)
            if (status === statuses.exists || status === statuses.notStored) {
              return Effect.succeed(
                isProven
                  ? { isStored: false, found: shard.found(place, reply, recent, shard.node.epoch) }
                  : { isStored: false }
              )
            }
            if (status !== statuses.ok) return fail(method, ofStatus(status))
            if (isProven) return Effect.succeed({ isStored: true })
            return Effect.map(refresh(method, shard), (namespace) => ({
              isStored: namespace !== undefined && !Namespace.isVoid(namespace, place.key, recent)
            }))
          }
        ))
    })

  /** Overwrites blindly, and looks afterwards whether it was written for the current namespace. */
  const put = (
    method: string,
    shard: Shard,
    items: ReadonlyArray<readonly [place: Place, content: Content]>,
    attempts = 10
  ): Effect.Effect<void, BackendError> =>
    Effect.flatMap(namespaceOf(method, shard), (namespace) =>
      Effect.flatMap(
        Effect.forEach(items, ([place, content]) => storing(method, opcodes.set, place, namespace, content)),
        (requests) =>
          Effect.flatMap(send(method, shard.node, [...requests, getQuiet(shard.hint)]), (replies) => {
            const failed = replies.find((reply, index) => index < requests.length && reply!.status !== statuses.ok)
            if (failed !== undefined) return fail(method, ofStatus(failed.status))
            if (shard.proves(replies.at(-1), namespace)) return Effect.void
            return Effect.flatMap(refresh(method, shard), (current) => {
              const lost = items.filter(([place]) =>
                current === undefined || Namespace.isVoid(current, place.key, namespace)
              )
              if (lost.length === 0) return Effect.void
              return attempts === 0
                ? fail(method, contended)
                : put(method, shard, lost, attempts - 1)
            })
          })
      ))

  const contentOf = (entry: Entry.Entry, retention: Duration.Duration): Content => ({
    entry,
    lease: undefined,
    millis: Duration.toMillis(retention)
  })

  const putMany = (items: ReadonlyArray<BackendItem>): Effect.Effect<void, BackendError> =>
    Effect.suspend(() => {
      const byShard = groupBy(
        items.map(([key, entry, retention]) => [placeOf(key), contentOf(entry, retention)] as const),
        ([place]) => place.shard
      )
      // Every item is looked at before the first is sent: one that is refused stops them all.
      const checked = eachOf(byShard, (shard, items) =>
        Effect.flatMap(namespaceOf("setMany", shard), (namespace) =>
          Effect.forEach(items, ([place, content]) =>
            storing("setMany", opcodes.set, place, namespace, content), {
            discard: true
          })))
      const written = eachOf(byShard, (shard, items) =>
        Effect.forEach(
          batchesOf(items, ([, { entry }]) =>
            entry!.bytes!.length),
          (batch) =>
            put("setMany", shard, batch),
          { discard: true }
        ))
      return Effect.zipRight(checked, written)
    })

  const get: Operations["get"] = (key) =>
    Clock.clockWith((clock) =>
      Effect.async((resume) => {
        const place = placeOf(key)
        place.shard.read(place, (failure, { item }) =>
          resume(
            failure === undefined
              ? Effect.succeed(Option.fromNullable(item?.entry(clock.unsafeCurrentTimeMillis())))
              : fail("get", failure)
          ))
      })
    )

  const getMany: Operations["getMany"] = (keys) =>
    Clock.clockWith((clock) =>
      attempt<ReadonlyArray<Option.Option<Entry.Entry>>>("getMany", (done) => {
        const answers = Array.from<Option.Option<Entry.Entry>>({ length: keys.length })
        let left = keys.length
        keys.map(placeOf).forEach((place, index) =>
          place.shard.read(place, (failure, { item }) => {
            if (failure !== undefined) return done(failure, [])
            answers[index] = Option.fromNullable(item?.entry(clock.unsafeCurrentTimeMillis()))
            if (--left === 0) done(undefined, answers)
          })
        )
      })
    )

  const removeOne = (method: string, key: string): Effect.Effect<boolean, BackendError> =>
    turns.one(key)(
      modify(method, placeOf(key), ({ cas, item }, now): Plan<boolean> =>
        cas === undefined ? { answer: false } : { answer: item?.entry(now) !== undefined, write: "nothing" })
    )

  /**
   * Who holds the lease. By the time of the machine and not by the Clock, which a test may move while a renewal is
   * under way: other processes would not see it move either.
   */
  const holder = ({ item }: Found): string | undefined =>
    item?.lease !== undefined && Date.now() < item.lease.until ? item.lease.token : undefined

  const kept = (entry: Entry.Entry | undefined, now: number): number => entry === undefined ? 0 : entry.keepUntil - now

  const renew: Operations["renew"] = (key, token, duration) =>
    turns.one(key)(modify("renew", placeOf(key), (found, now): Plan<boolean> => {
      if (holder(found) !== token) return { answer: false }
      const entry = found.item!.entry(now)
      const millis = Duration.toMillis(duration)
      if (millis > 0) {
        const lease = { token, until: Date.now() + millis }
        return { answer: true, write: { entry, lease, millis: Math.max(millis, kept(entry, now)) } }
      }
      return entry === undefined
        ? { answer: true, write: "nothing" }
        : { answer: true, write: { entry, lease: undefined, millis: kept(entry, now) } }
    }))

  const lease: Operations["lease"] = (key, duration) =>
    Effect.suspend(() => {
      const token = derive.newVersion()
      const place = placeOf(key)
      const millis = Duration.toMillis(duration)
      const asking = Effect.gen(function*() {
        const until = Date.now() + millis
        const opened = yield* open("lease", place, { entry: undefined, lease: { token, until }, millis })
        if (opened.isStored) return { token: Option.some(token), entry: Option.none() } satisfies Lease
        return yield* modify("lease", place, (found, now): Plan<Lease> => {
          const entry = found.item?.entry(now)
          const before = holder(found)
          const answer = { token: Option.some(token), entry: Option.fromNullable(entry) }
          // Ours already, where the answer to the first try was not proven.
          if (before === token) return { answer }
          if (before !== undefined) return { answer: { ...answer, token: Option.none() } }
          return {
            answer,
            write: { entry, lease: { token, until: Date.now() + millis }, millis: Math.max(millis, kept(entry, now)) }
          }
        }, opened.found)
      })
      // Who does not learn the token cannot give the lease back.
      return Effect.onError(turns.one(key)(asking), () => Effect.forkDaemon(renew(key, token, Duration.zero)))
    })

  return {
    name,
    isShared: true,
    holds: "bytes",
    unsafe: undefined,
    get,
    getMany,
    set: (key, entry, retention) =>
      Effect.suspend(() => {
        const place = placeOf(key)
        return put("set", place.shard, [[place, contentOf(entry, retention)]])
      }),
    setMany: putMany,
    add: (key, entry, retention) => {
      const place = placeOf(key)
      const content = contentOf(entry, retention)
      return turns.one(key)(
        Effect.flatMap(open("add", place, content), ({ found, isStored }) =>
          isStored ?
            Effect.succeed(true) :
            modify("add", place, ({ item }, now): Plan<boolean> =>
              item?.entry(now) === undefined ? { answer: true, write: content } : { answer: false }, found))
      )
    },
    has: (key) =>
      Effect.zipWith(
        look("has", placeOf(key)),
        Clock.currentTimeMillis,
        ({ item }, now) => item?.entry(now) !== undefined
      ),
    remove: (key) => removeOne("remove", key),
    removeMany: (keys) =>
      Effect.map(
        Effect.forEach(new Set(keys), (key) => removeOne("removeMany", key), { concurrency: removeConcurrency }),
        (removed) => removed.filter((wasThere) => wasThere).length
      ),
    increment: (key, by, retention) =>
      turns.one(key)(modify("increment", placeOf(key), ({ item }, now): Plan<number> | Failure => {
        const entry = item?.entry(now)
        const before = entry === undefined ? 0 : Entry.numberOf(entry.bytes!)
        const after = before === undefined ? NaN : before + by
        if (!Number.isSafeInteger(after)) return { reason: "NotANumber" }
        const millis = Duration.toMillis(retention)
        return {
          answer: after,
          write: entry === undefined
            ? { entry: Entry.counter(after, now, now + millis), lease: undefined, millis }
            : { entry: Entry.withNumber(entry, after), lease: undefined, millis: kept(entry, now) }
        }
      })),
    clear: (prefix) => eachOf(shards, (_, shard) => clear(requests, shard, prefix)),
    lease,
    renew,
    fill: (key, token, entry, retention) =>
      turns.one(key)(modify("fill", placeOf(key), (found): Plan<boolean> =>
        holder(found) === token
          ? { answer: true, write: contentOf(entry, retention) }
          : { answer: false })),
    inspect: () => inspect(requests, transport.nodes),
    ...tagOperations(requests, share)
  }
}
