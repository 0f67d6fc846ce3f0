/**
 * Clearing one server's share by prefix: the list of what was cleared is
 * written, the hint of those who know an older one is removed.
 */
import * as Effect from "effect/Effect"
import type { BackendError } from "../../Backend.js"
import * as Namespace from "./namespace.js"
import { getQuiet, opcodes, remove, statuses } from "./packets.js"
import { makeWay, mostConflicts, type Requests } from "./requests.js"
import type { Shard } from "./shard.js"

export const clear = (requests: Requests, shard: Shard, prefix: string): Effect.Effect<void, BackendError> => {
  const { hint, list, node } = shard

  // Without its list, nothing of the share is of any account.
  const forgetAll = Effect.flatMap(
    requests.send("clear", node, [remove(list), remove(hint)]),
    (removed) => requests.mustBeGone("clear", removed)
  )

  const attempt = (conflicts: number): Effect.Effect<void, BackendError> =>
    Effect.suspend(() => {
      const { epoch } = node
      return Effect.flatMap(requests.send("clear", node, [getQuiet(list)]), ([reply]) => {
        const namespace = reply && Namespace.decode(reply.value)
        if (namespace === undefined) return forgetAll
        // A CAS of before a restart of the server may have come to mean another list.
        if (node.epoch !== epoch) return attempt(conflicts)
        const value = [Namespace.encode(Namespace.clear(namespace, prefix))]
        const writing = { opcode: opcodes.set, key: list, expiration: 0, value, cas: reply!.cas }
        // The hint last: who makes the next one reads a list that is not older.
        return Effect.flatMap(requests.send("clear", node, [writing, remove(hint)]), ([written, removed]) => {
          switch (written!.status) {
            case statuses.ok:
              return requests.mustBeGone("clear", [removed])
            case statuses.exists:
            case statuses.notFound:
              return conflicts === mostConflicts
                ? forgetAll
                : Effect.zipRight(makeWay(conflicts), attempt(conflicts + 1))
            default:
              return forgetAll
          }
        })
      })
    })

  return Effect.ensuring(attempt(0), Effect.sync(() => shard.forget()))
}
