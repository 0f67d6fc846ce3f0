/**
 * What memcached servers tell of themselves. Keys they do not list.
 */
import * as Effect from "effect/Effect"
import type { BackendError } from "../../Backend.js"
import { type Inspection, numberIn } from "../inspection.js"
import type { Node } from "./node.js"
import { opcodes } from "./packets.js"
import type { Requests } from "./requests.js"

const stats = ["version", "uptime", "curr_items", "bytes", "limit_maxbytes", "evictions", "get_hits", "get_misses"]

/** A `stat` answers all, of which a request keeps one: the server is asked once for each. */
export const inspect = (requests: Requests, nodes: ReadonlyArray<Node>): Effect.Effect<Inspection, BackendError> =>
  Effect.map(
    Effect.forEach(nodes, (node) =>
      Effect.map(
        requests.send("inspect", node, stats.map((stat) => ({ opcode: opcodes.stat, key: "", stat }))),
        (replies) => {
          const [version, ...numbers] = replies.map((reply) => reply?.value.toString("latin1"))
          const [uptimeSeconds, entries, bytes, maxBytes, evicted, hits, misses] = numbers.map(numberIn)
          return { name: node.name, version, uptimeSeconds, entries, bytes, maxBytes, evicted, hits, misses }
        }
      ), { concurrency: "unbounded" }),
    (servers) => ({ parts: undefined, servers })
  )
