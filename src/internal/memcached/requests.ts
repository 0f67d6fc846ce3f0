/**
 * Requests to servers, as effects.
 */
import * as Effect from "effect/Effect"
import type { BackendError } from "../../Backend.js"
import { pause } from "../pause.js"
import { type Failure, ofStatus } from "./failure.js"
import type { Node } from "./node.js"
import { remove, type Reply, type Request, statuses } from "./packets.js"
import type { Transport } from "./transport.js"

type Replies = ReadonlyArray<Reply | undefined>

/** How often an operation looks again because others changed what it was about to. */
export const mostConflicts = 100

/** A pause after so many conflicts, for others to get through. */
export const makeWay = (conflicts: number): Effect.Effect<void> =>
  conflicts < 3 ? Effect.void : pause(Math.random() * Math.min(conflicts, 20))

const writeBatch = { items: 256, bytes: 1024 * 1024 }

export class Requests {
  constructor(
    private readonly transport: Transport,
    private readonly errorOf: (method: string) => (failure: Failure) => BackendError
  ) {}

  readonly fail = (method: string, failure: Failure): Effect.Effect<never, BackendError> =>
    Effect.fail(this.errorOf(method)(failure))

  readonly attempt = <A>(
    method: string,
    run: (done: (failure: Failure | undefined, answer: A) => void) => void
  ): Effect.Effect<A, BackendError> =>
    Effect.async((resume) =>
      run((failure, answer) => resume(failure === undefined ? Effect.succeed(answer) : this.fail(method, failure)))
    )

  readonly send = (
    method: string,
    node: Node,
    requests: ReadonlyArray<Request>
  ): Effect.Effect<Replies, BackendError> => this.attempt(method, (done) => node.send(requests, done))

  /** Requests about each of the names, those of one server together; the replies in the order of the names. */
  readonly sendAll = (
    method: string,
    names: ReadonlyArray<string>,
    requestsOf: (name: string) => ReadonlyArray<Request>
  ): Effect.Effect<ReadonlyArray<Replies>, BackendError> =>
    Effect.suspend(() => {
      const answers = names.map((): Replies => [])
      const byNode = groupBy(names.map((name, index) => ({ name, index })), ({ name }) => this.transport.nodeOf(name))
      const sent = eachOf(byNode, (node, group) => {
        const each = group.map(({ name }) => requestsOf(name))
        return Effect.map(this.send(method, node, each.flat()), (replies) => {
          let at = 0
          group.forEach(({ index }, i) => {
            answers[index] = replies.slice(at, at += each[i]!.length)
          })
        })
      })
      return Effect.as(sent, answers)
    })

  /** What says that something was invalidated must not be left undone. */
  readonly mustBeGone = (method: string, replies: Replies): Effect.Effect<void, BackendError> => {
    const failed = replies.find((reply) => reply!.status !== statuses.ok && reply!.status !== statuses.notFound)
    return failed === undefined ? Effect.void : this.fail(method, ofStatus(failed.status))
  }

  readonly removeAll = (method: string, names: ReadonlyArray<string>): Effect.Effect<void, BackendError> =>
    Effect.flatMap(
      this.sendAll(method, names, (name) => [remove(name)]),
      (replies) => this.mustBeGone(method, replies.flat())
    )
}

/** `f` of all at once; of one without the price of a fiber. */
export const eachOf = <K, A, E>(
  groups: ReadonlyMap<K, A>,
  f: (key: K, group: A) => Effect.Effect<void, E>
): Effect.Effect<void, E> => {
  const [first] = groups
  return groups.size === 1
    ? f(...first!)
    : Effect.forEach(groups, ([key, group]) => f(key, group), { concurrency: "unbounded", discard: true })
}

export const groupBy = <A, K>(items: ReadonlyArray<A>, keyOf: (item: A) => K): Map<K, Array<A>> => {
  const groups = new Map<K, Array<A>>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

/** The items in runs that are written in one go. */
export const batchesOf = <A>(items: ReadonlyArray<A>, bytesOf: (item: A) => number): Array<Array<A>> => {
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
