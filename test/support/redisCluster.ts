/**
 * A Redis Cluster of one's own: three masters, each with a replica, on free ports of the loopback interface, gone when
 * the scope closes.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as RedisServer from "./redisServer.js"

export interface Options {
  readonly password?: string | undefined
  /** How many replicas each of the three masters has. Default: 1. */
  readonly replicas?: number | undefined
  readonly tls?: RedisServer.Certificate | undefined
}

export interface RedisCluster {
  readonly servers: ReadonlyArray<RedisServer.RedisServer>
  /** `"host:port"` each. */
  readonly addresses: ReadonlyArray<string>
  /** What `redis-cli` answers, asked of any server, or of one. */
  readonly cli: (...args: ReadonlyArray<string>) => Effect.Effect<string>
  readonly call: (server: RedisServer.RedisServer, ...args: ReadonlyArray<string>) => Effect.Effect<string>
  readonly masters: Effect.Effect<ReadonlyArray<RedisServer.RedisServer>>
  /** The master that has the key. */
  readonly ownerOf: (key: string) => Effect.Effect<RedisServer.RedisServer>
  readonly idOf: (server: RedisServer.RedisServer) => Effect.Effect<string>
  /** Moves so many slots from one master to another, and takes as long as that takes. */
  readonly reshard: (
    from: RedisServer.RedisServer,
    to: RedisServer.RedisServer,
    slots: number
  ) => Effect.Effect<string>
}

/** After so many milliseconds of silence a server counts as gone. */
export const nodeTimeout = 1_000

export const make = (
  { password, replicas = 1, tls }: Options = {}
): Effect.Effect<RedisCluster, RedisServer.RedisServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const args = [
      ["--cluster-node-timeout", `${nodeTimeout}`],
      ["--cluster-replica-validity-factor", "0"],
      ["--repl-diskless-sync-delay", "0"],
      ["--repl-ping-replica-period", "1"]
    ].flat()
    const servers = yield* Effect.all(
      Array.from({ length: 3 * (1 + replicas) }, () => RedisServer.make({ password, tls, args, isClusterNode: true })),
      { concurrency: "unbounded" }
    )
    const addresses = servers.map(({ host, port }) => `${host}:${port}`)
    const credentials = RedisServer.cliArguments({ password, tls })
    const cli = (...args: ReadonlyArray<string>) => RedisServer.cli(...credentials, ...args)
    const call = (server: RedisServer.RedisServer, ...args: ReadonlyArray<string>) =>
      cli("-p", `${server.port}`, ...args)
    yield* cli("--cluster", "create", ...addresses, "--cluster-replicas", `${replicas}`, "--cluster-yes")
    for (const server of servers) {
      yield* RedisServer.until(Effect.map(call(server, "cluster", "info"), (info) => info.includes("cluster_state:ok")))
      yield* RedisServer.until(
        Effect.map(call(server, "info", "replication"), (info) => !info.includes("master_link_status:down"))
      )
    }
    /** The line of CLUSTER NODES in which the server tells of itself. */
    const line = (server: RedisServer.RedisServer) =>
      Effect.map(
        call(server, "cluster", "nodes"),
        (nodes) => nodes.split("\n").find((line) => line.includes("myself"))!.split(" ")
      )
    const idOf = (server: RedisServer.RedisServer) => Effect.map(line(server), ([id]) => id!)
    return {
      servers,
      addresses,
      cli,
      call,
      masters: Effect.filter(servers, (server) => Effect.map(line(server), (words) => words[2]!.includes("master"))),
      ownerOf: (key) =>
        Effect.gen(function*() {
          const slot = Number(yield* call(servers[0]!, "cluster", "keyslot", key))
          for (const server of servers) {
            const words = yield* line(server)
            const ranges = words.slice(8).map((range) => range.split("-").map(Number))
            const has = ranges.some(([first, last = first]) => first! <= slot && slot <= last!)
            if (words[2]!.includes("master") && has) return server
          }
          return yield* Effect.dieMessage(`nobody has slot ${slot}`)
        }),
      idOf,
      reshard: (from, to, slots) =>
        Effect.gen(function*() {
          const ends = ["--cluster-from", yield* idOf(from), "--cluster-to", yield* idOf(to)]
          const address = `${to.host}:${to.port}`
          return yield* cli("--cluster", "reshard", address, ...ends, "--cluster-slots", `${slots}`, "--cluster-yes")
        })
    }
  })
