/**
 * Processes with local tiers of their own, started from `tieredWorker.ts`, gone when the scope closes.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { kill } from "./filePrograms.js"
import type { Reply, Requests, Settings } from "./tieredWorker.js"

/** Asks a process to do what the name says. */
export type Worker = <Name extends keyof Requests>(
  name: Name,
  argument: Parameters<Requests[Name]>[0]
) => Effect.Effect<ReturnType<Requests[Name]>, Error>

const start = (settings: Settings): Effect.Effect<ChildProcess, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<ChildProcess, Error>((resume) => {
      const child = spawn(process.execPath, [
        "node_modules/vite-node/vite-node.mjs",
        "--config",
        "vitest.config.ts",
        "test/support/tieredWorker.ts",
        JSON.stringify(settings)
      ], { stdio: ["ignore", "pipe", "pipe", "ipc"] })
      let printed = ""
      for (const stream of [child.stdout, child.stderr]) stream!.on("data", (data) => (printed += data))
      child.once("message", () => resume(Effect.succeed(child)))
      child.on("close", () => resume(Effect.fail(new Error(`the worker ended: ${printed}`))))
    }),
    kill
  )

/** Starts a process, and waits until it can be asked. */
export const make = (settings: Settings): Effect.Effect<Worker, Error, Scope.Scope> =>
  Effect.map(start(settings), (child) => {
    const waiting = new Map<number, (answer: Effect.Effect<any, Error>) => void>()
    let requests = 0
    child.on("message", (reply: Reply) => {
      waiting.get(reply.id)?.("error" in reply ? Effect.fail(new Error(reply.error)) : Effect.succeed(reply.value))
      waiting.delete(reply.id)
    })
    child.on("exit", () => waiting.forEach((resume) => resume(Effect.fail(new Error("the worker has ended")))))
    return (name, argument) =>
      Effect.async((resume) => {
        const id = requests++
        waiting.set(id, resume)
        child.send({ id, name, argument })
      })
  })
