/**
 * Processes over the files of a directory, and disks that are small, full or
 * read-only, where the system lets us make them (Linux, as root).
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "file-system-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Every file below a folder. */
export const filesIn = (path: string): ReadonlyArray<string> =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((file) => !file.isDirectory())
    .map((file) => join(file.parentPath, file.name))

export const entriesIn = (path: string): ReadonlyArray<string> =>
  filesIn(path).filter((file) => file.endsWith(".entry") && file.includes("/entries/"))

/** Starts `fileWorker.ts` with the arguments, behind a program that sets limits, if any. */
const start = (args: ReadonlyArray<string>, launcher: ReadonlyArray<string> = []): ChildProcess => {
  const [program, ...rest] = [
    ...launcher,
    process.execPath,
    "node_modules/vite-node/vite-node.mjs",
    "--config",
    "vitest.config.ts",
    "test/support/fileWorker.ts",
    ...args
  ]
  return spawn(program!, rest, { stdio: ["ignore", "pipe", "pipe"] })
}

/** What the worker printed. */
export const worker = <A>(args: ReadonlyArray<string>, launcher?: ReadonlyArray<string>): Effect.Effect<A, Error> =>
  Effect.async((resume) => {
    const child = start(args, launcher)
    let out = ""
    let err = ""
    child.stdout!.on("data", (data) => (out += data))
    child.stderr!.on("data", (data) => (err += data))
    child.on("close", (code, signal) =>
      resume(
        code === 0
          ? Effect.succeed(JSON.parse(out))
          : Effect.fail(new Error(`the worker ended with ${code ?? signal}: ${err}${out}`))
      ))
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

/** A worker that goes on until the scope closes, once it has said that it is ready. */
export const background = (args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.async<ChildProcess, Error>((resume) => {
      const child = start(args)
      let err = ""
      child.stderr!.on("data", (data) => (err += data))
      child.stdout!.once("data", () => resume(Effect.succeed(child)))
      child.on("close", () => resume(Effect.fail(new Error(`the worker ended: ${err}`))))
    }),
    kill
  )

export const kill = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

const run = (...[program, ...args]: [string, ...Array<string>]): string | undefined => {
  const { error, status, stderr } = spawnSync(program, args, { encoding: "utf8" })
  return status === 0 ? undefined : error?.message ?? stderr.trim()
}

/** A disk in memory with the options of `mount -t tmpfs`. */
export const disk = (options: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = mkdtempSync(join(tmpdir(), "file-system-disk-"))
      const problem = run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)
      if (problem !== undefined) throw new Error(problem)
      return path
    }),
    (path) =>
      Effect.sync(() => {
        run("umount", "-l", path)
        rmSync(path, { recursive: true })
      })
  )

export const remount = (path: string, options: string) =>
  Effect.sync(() => {
    const problem = run("mount", "-o", `remount,${options}`, path)
    if (problem !== undefined) throw new Error(problem)
  })

/** Why there can be no such disk here, if so. */
export const noDisk: string | undefined = (() => {
  const path = mkdtempSync(join(tmpdir(), "file-system-disk-"))
  const problem = run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path)
  if (problem === undefined) run("umount", path)
  rmSync(path, { recursive: true })
  return problem
})()

/** Why a program cannot be run with limits, if so. */
export const noLimits: string | undefined = run("prlimit", "--nofile=64", "true")
