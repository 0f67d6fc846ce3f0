// Reading from a Redis server of our own on the loopback: values of 1 KB, one process, one connection each.
import { BentoCache, bentostore } from "bentocache"
import { redisDriver } from "bentocache/drivers/redis"
import * as Effect from "effect/Effect"
import { Redis as Client } from "ioredis"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Redis from "../../dist/backends/Redis.js"
import * as Cache from "../../dist/Cache.js"
import * as Codec from "../../dist/Codec.js"
import { forever, running } from "../effects.mjs"

const value = "x".repeat(1024)
/** More than are ever asked for at once: no two callers want the same key. */
const keys = Array.from({ length: 2_000 }, (_, i) => `user:${i}`)

const freePort = async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address())
  server.close()
  await once(server, "close")
  return port
}

/** A server that keeps nothing and ends with this process. */
const startServer = async () => {
  const port = await freePort()
  const dir = await mkdtemp(join(tmpdir(), "bench-redis-"))
  const options = { port, bind: "127.0.0.1", dir, save: "", appendonly: "no" }
  const child = spawn("redis-server", Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]))
  const end = async () => {
    child.kill("SIGKILL")
    await rm(dir, { recursive: true, force: true })
  }
  process.once("exit", () => child.kill("SIGKILL"))
  await Promise.race([
    once(child.stdout, "data"),
    once(child, "error").then(([error]) => Promise.reject(error))
  ])
  return { port, end }
}

/** The limit: requests written ahead, and nothing done with replies, all of one length, but count them. */
const rawClient = async (port) => {
  const socket = connect(port, "127.0.0.1")
  await once(socket, "connect")
  const length = `$${value.length}\r\n${value}\r\n`.length
  const waiting = []
  let bytes = 0
  socket.on("data", (data) => {
    for (bytes += data.length; bytes >= length; bytes -= length) waiting.shift()()
  })
  return (key) =>
    new Promise((resolve) => {
      waiting.push(resolve)
      socket.write(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`)
    })
}

let next = 0
const nextKey = () => keys[next++ % keys.length]
const nextHundred = () => Array.from({ length: 100 }, nextKey)

const calling = (callers, call) => async (n) => {
  let left = n
  const caller = async () => {
    while (left-- > 0) await call()
  }
  await Promise.all(Array.from({ length: callers }, caller))
}

const callingInFibers = (runtime, callers, call) => (n) => {
  let left = n
  const caller = Effect.whileLoop({ while: () => left-- > 0, body: call, step: () => {} })
  return runtime.runPromise(
    Effect.forEach(Array.from({ length: callers }), () => caller, { concurrency: "unbounded", discard: true })
  )
}

export default async () => {
  const { end, port } = await startServer()
  const client = new Client({ port, lazyConnect: true })
  await client.connect()
  const { backend, runtime } = await running(
    forever(Redis.make({ port, prefix: "ours:", commandTimeout: "10 seconds", requireConnection: true }))
  )
  const cache = Cache.make({ name: "users", codec: Codec.string, timeToLive: "1 hour" })
  const bento = new BentoCache({
    default: "redis",
    stores: { redis: bentostore().useL2Layer(redisDriver({ connection: { host: "127.0.0.1", port } })) }
  })
  const raw = await rawClient(port)
  const load = Effect.succeed(value)
  for (const key of keys) {
    await client.set(key, value)
    await bento.set({ key, value, ttl: "1h" })
    await runtime.runPromise(Cache.set(cache, key, value))
  }

  /** Candidates with how many commands the server was sent for one call. */
  const counted = async (candidates, callers) => {
    for (const candidate of candidates) {
      const n = callers * 4
      await client.config("RESETSTAT")
      await candidate.run(n)
      const stats = await client.info("commandstats")
      const calls = [...stats.matchAll(/cmdstat_(\w+)[^:]*:calls=(\d+)/g)]
        .filter(([, name]) => name !== "config" && name !== "info")
        .reduce((sum, [, , calls]) => sum + Number(calls), 0)
      candidate.note = (calls / n).toFixed(2)
    }
    return candidates
  }

  const group = (valuesAtOnce, title, text, base, atLeast, candidates) => ({
    title,
    text,
    unit: "throughput",
    // One caller waits most of its time; many keep this process busy, and its time does not count what others do.
    clock: valuesAtOnce === 1 ? "wall" : "cpu",
    base,
    noteTitle: "commands per call",
    atLeast,
    candidates
  })

  const gets = async (callers) => {
    const inFibers = (call) => callingInFibers(runtime, callers, call)
    return group(
      callers,
      callers === 1 ? "Reading from Redis, one caller" : `Reading from Redis, ${callers} callers at once`,
      "One value of 1 KB per call, over one connection.",
      "ioredis `get`",
      callers * 4,
      await counted([
        { name: "the limit: a raw socket", run: calling(callers, () => raw(nextKey())) },
        { name: "ioredis `get`", run: calling(callers, () => client.get(nextKey())) },
        { name: "ioredis `get` in `Effect.promise`", run: inFibers(() => Effect.promise(() => client.get(nextKey()))) },
        { name: "**`get` of the backend**", run: inFibers(() => backend.get(`users:'${nextKey()}`)) },
        { name: "**`Cache.get`**", run: inFibers(() => Cache.get(cache, nextKey())) },
        { name: "**`Cache.getOrSet`**", run: inFibers(() => Cache.getOrSet(cache, nextKey(), load)) },
        { name: "bentocache `get`", run: calling(callers, () => bento.get({ key: nextKey() })) },
        {
          name: "bentocache `getOrSet`",
          run: calling(callers, () => bento.getOrSet({ key: nextKey(), ttl: "1h", factory: () => value }))
        }
      ], callers)
    )
  }

  const many = group(
    100,
    "Reading 100 values from Redis in one call",
    "A hundred values of 1 KB per call, one caller.",
    "ioredis `mget`",
    4,
    await counted([
      { name: "ioredis `mget`", run: calling(1, () => client.mget(nextHundred())) },
      {
        name: "**`getMany` of the backend**",
        run: callingInFibers(runtime, 1, () => backend.getMany(nextHundred().map((key) => `users:'${key}`)))
      },
      { name: "**`Cache.getMany`**", run: callingInFibers(runtime, 1, () => Cache.getMany(cache, nextHundred())) },
      {
        name: "bentocache, 100 times `get`",
        run: calling(1, () => Promise.all(nextHundred().map((key) => bento.get({ key }))))
      }
    ], 1)
  )
  return { groups: [await gets(1), await gets(50), await gets(500), many], end }
}
