/**
 * Every backend that reaches its store over a network, with something of a test's own between it and its servers.
 */
import type { Backend, BackendError } from "effect-caching/Backend"
import * as Memcached from "effect-caching/backends/Memcached"
import * as Redis from "effect-caching/backends/Redis"
import * as RedisCluster from "effect-caching/backends/RedisCluster"
import * as RedisSentinel from "effect-caching/backends/RedisSentinel"
import * as Uwsgi from "effect-caching/backends/Uwsgi"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as MemcachedServer from "./memcachedServer.js"
import * as RedisClusterServers from "./redisCluster.js"
import * as RedisSentinelServers from "./redisSentinel.js"
import * as RedisServer from "./redisServer.js"
import * as UwsgiServer from "./uwsgiServer.js"

/** Where a server is, or what stands before it. */
interface Address {
  readonly host: string
  readonly port: number
}

export interface NetworkBackend {
  readonly name: string
  /** Starts the servers. */
  readonly servers: Effect.Effect<Servers, unknown, Scope.Scope>
}

export interface Servers {
  readonly addresses: ReadonlyArray<Address>
  /** The Redis servers that have the data, where it is Redis. */
  readonly redis?: ReadonlyArray<RedisServer.RedisServer>
  /** A backend that reaches each of the addresses by another. No operation may take longer than `timeout` milliseconds. */
  readonly make: (
    fronts: ReadonlyArray<Address>,
    timeout: number
  ) => Effect.Effect<Backend, BackendError, Scope.Scope>
}

const text = ({ host, port }: Address): string => `${host}:${port}`

const natMapOf = (addresses: ReadonlyArray<Address>, fronts: ReadonlyArray<Address>) =>
  Object.fromEntries(addresses.map((address, index) => {
    const { host, port } = fronts[index]!
    return [text(address), { host, port }]
  }))

export const networkBackends: ReadonlyArray<NetworkBackend> = [
  {
    name: "Redis",
    servers: Effect.map(RedisServer.make(), (server) => ({
      addresses: [server],
      redis: [server],
      make: ([front], timeout) =>
        Redis.make({ host: front!.host, port: front!.port, commandTimeout: timeout, connectTimeout: timeout })
    }))
  },
  {
    name: "RedisSentinel",
    servers: Effect.map(RedisSentinelServers.make(), ({ master, sentinels }) => ({
      addresses: [...sentinels, master],
      redis: [master],
      make: (fronts, timeout) =>
        RedisSentinel.make({
          sentinels: fronts.slice(0, -1).map(text),
          natMap: natMapOf([master], fronts.slice(-1)),
          commandTimeout: timeout,
          connectTimeout: timeout
        })
    }))
  },
  {
    name: "RedisCluster",
    servers: Effect.map(RedisClusterServers.make({ replicas: 0 }), ({ servers }) => ({
      addresses: servers,
      redis: servers,
      make: (fronts, timeout) =>
        RedisCluster.make({
          nodes: servers.map(text),
          natMap: natMapOf(servers, fronts),
          commandTimeout: timeout,
          connectTimeout: timeout
        })
    }))
  },
  {
    name: "Memcached",
    servers: Effect.map(MemcachedServer.make(), (server) => ({
      addresses: [server],
      make: (fronts, timeout) => Memcached.make({ servers: fronts.map(text), commandTimeout: timeout })
    }))
  },
  {
    name: "Uwsgi",
    // A worker waits so many seconds for a request that a fault has kept from it.
    servers: Effect.map(UwsgiServer.make({ workers: 4, args: ["--socket-timeout", "1"] }), (server) => ({
      addresses: [server],
      make: ([front], timeout) => Uwsgi.make({ host: front!.host, port: front!.port, timeout })
    }))
  }
]
