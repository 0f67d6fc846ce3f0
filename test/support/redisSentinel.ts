/**
 * A master and a replica with three sentinels that watch them, on free ports of the loopback interface, gone when the
 * scope closes.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as RedisServer from "./redisServer.js"

export interface Options {
  readonly password?: string | undefined
  readonly sentinelPassword?: string | undefined
  /** For the servers and for the sentinels. */
  readonly tls?: RedisServer.Certificate | undefined
}

export interface RedisSentinel {
  /** The one that was the master at first. */
  readonly master: RedisServer.RedisServer
  /** The one that was the replica at first. */
  readonly replica: RedisServer.RedisServer
  readonly sentinels: ReadonlyArray<RedisServer.RedisServer>
  /** `"host:port"` of each sentinel. */
  readonly addresses: ReadonlyArray<string>
  readonly call: (server: RedisServer.RedisServer, ...args: ReadonlyArray<string>) => Effect.Effect<string>
  readonly callSentinel: (sentinel: RedisServer.RedisServer, ...args: ReadonlyArray<string>) => Effect.Effect<string>
}

/** The name of the master. */
export const name = "mymaster"
/** After so many milliseconds of silence a sentinel thinks that a server is gone. */
export const downAfter = 1_000

export const make = (
  { password, sentinelPassword, tls }: Options = {}
): Effect.Effect<RedisSentinel, RedisServer.RedisServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const args = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
    const master = yield* RedisServer.make({ password, tls, args })
    const replicaOf = ["--replicaof", `${master.host} ${master.port}`]
    const replica = yield* RedisServer.make({ password, tls, args: [...args, ...replicaOf] })
    const calls = (password: string | undefined) => {
      const credentials = RedisServer.cliArguments({ password, tls })
      return (server: RedisServer.RedisServer, ...args: ReadonlyArray<string>) =>
        RedisServer.cli(...credentials, "-p", `${server.port}`, ...args)
    }
    const call = calls(password)
    const callSentinel = calls(sentinelPassword)
    yield* RedisServer.until(
      Effect.map(call(replica, "info", "replication"), (info) => info.includes("master_link_status:up"))
    )
    const sentinel = [
      `sentinel monitor ${name} ${master.host} ${master.port} 2`,
      `sentinel down-after-milliseconds ${name} ${downAfter}`,
      `sentinel failover-timeout ${name} 3000`,
      `sentinel parallel-syncs ${name} 1`,
      ...(password === undefined ? [] : [`sentinel auth-pass ${name} ${password}`]),
      ...(sentinelPassword === undefined ? [] : [`sentinel sentinel-pass ${sentinelPassword}`])
    ]
    const sentinels = yield* Effect.all(
      Array.from({ length: 3 }, () => RedisServer.make({ sentinel, tls, password: sentinelPassword })),
      { concurrency: "unbounded" }
    )
    for (const each of sentinels) {
      yield* RedisServer.until(Effect.map(callSentinel(each, "sentinel", "master", name), (text) => {
        const words = text.split("\n")
        const fact = (key: string) => words[words.indexOf(key) + 1]
        return fact("num-other-sentinels") === "2" && fact("num-slaves") === "1"
      }))
      yield* RedisServer.until(Effect.map(
        callSentinel(each, "sentinel", "slaves", name),
        (text) => /master-link-status\nok/.test(text)
      ))
    }
    const addresses = sentinels.map(({ host, port }) => `${host}:${port}`)
    return { master, replica, sentinels, addresses, call, callSentinel }
  })
