import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import * as RedisCluster from "../support/redisCluster.js"
import * as RedisSentinel from "../support/redisSentinel.js"
import * as RedisServer from "../support/redisServer.js"

const urls: Record<string, Effect.Effect<string, unknown, Scope.Scope>> = {
  Redis: Effect.map(RedisServer.make(), ({ url }) => url),
  "Redis Sentinel": Effect.map(
    RedisSentinel.make(),
    ({ addresses }) => `redis+sentinel://${addresses.join(",")}/0?master=${RedisSentinel.name}`
  ),
  "Redis Cluster": Effect.map(
    RedisCluster.make({ replicas: 0 }),
    ({ addresses }) => `redis+cluster://${addresses.join(",")}`
  )
}

const herd = (url: string) =>
  Effect.async<{ readonly loads: number; readonly answers: ReadonlyArray<string> }, Error>((resume) => {
    const child = spawn(process.execPath, [
      "node_modules/vite-node/vite-node.mjs",
      "--config",
      "vitest.config.ts",
      "test/support/herd.ts",
      url,
      "250"
    ], { stdio: ["ignore", "pipe", "pipe"] })
    let out = ""
    let err = ""
    child.stdout.on("data", (data) => (out += data))
    child.stderr.on("data", (data) => (err += data))
    child.on("close", (code) =>
      resume(
        code === 0 ? Effect.succeed(JSON.parse(out)) : Effect.fail(new Error(`exit ${code}: ${err}${out}`))
      ))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

describe("law 2 across processes", () => {
  for (const [name, start] of Object.entries(urls)) {
    it.scopedLive(`4 processes with 250 callers each make one load, on ${name}`, () =>
      Effect.gen(function*() {
        const url = yield* start
        const herds = yield* Effect.all([herd(url), herd(url), herd(url), herd(url)], { concurrency: "unbounded" })
        assert.strictEqual(herds.reduce((sum, { loads }) => sum + loads, 0), 1)
        assert.strictEqual(new Set(herds.flatMap(({ answers }) => answers)).size, 1)
      }), 60_000)
  }
})
