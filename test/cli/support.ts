/**
 * The command line as it is built, run as a process of its own.
 */
import { assert } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { copyFileSync, mkdirSync } from "node:fs"
import { resolve } from "node:path"

/** Builds into a folder of its own, and answers the file to run. */
export const build = (name: string): string => {
  const folder = resolve(".build", name)
  mkdirSync(folder, { recursive: true })
  copyFileSync("package.json", ".build/package.json")
  const tsc = ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json", "--outDir", folder]
  const { status, stdout } = spawnSync(process.execPath, tsc, { encoding: "utf8" })
  if (status !== 0) throw new Error(stdout)
  return resolve(folder, "cli/main.js")
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Typed on a terminal when the question is there, and then the end of input; without it there is no terminal. */
  readonly typed?: string
}

/** A command that is still there then hangs. */
const patience = 15_000

export class Hangs extends Data.TaggedError("Hangs")<{ readonly args: ReadonlyArray<string> }> {}

const launched = (main: string, args: ReadonlyArray<string>, { env = {}, typed }: RunOptions): ChildProcess => {
  const given = { PATH: process.env["PATH"] ?? "", ...env }
  if (typed === undefined) {
    return spawn(process.execPath, [main, ...args], { env: given, stdio: ["ignore", "pipe", "pipe"] })
  }
  const quoted = [process.execPath, main, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")
  return spawn("script", ["-qec", quoted, "/dev/null"], { env: given, stdio: ["pipe", "pipe", "pipe"] })
}

/** Until the process ends. `use` is given it while it runs. */
export const run = (
  main: string,
  args: ReadonlyArray<string>,
  options: RunOptions = {},
  use: (child: ChildProcess, stdout: () => string) => void = () => {}
): Effect.Effect<Ended, Hangs> =>
  Effect.async((resume) => {
    const child = launched(main, args, options)
    let stdout = ""
    let stderr = ""
    let { typed } = options
    child.stdout!.setEncoding("utf8").on("data", (text) => {
      stdout += text
      if (typed !== undefined && stdout.includes("[y/N] ")) {
        child.stdin!.end(typed)
        typed = undefined
      }
      use(child, () => stdout)
    })
    child.stderr!.setEncoding("utf8").on("data", (text) => {
      stderr += text
    })
    const timer = setTimeout(() => {
      resume(Effect.fail(new Hangs({ args })))
      child.kill("SIGKILL")
    }, patience)
    child.on("close", (code) => {
      clearTimeout(timer)
      resume(Effect.succeed({ code, stdout, stderr }))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** No form of a password is in what was printed. */
export const assertDiscreet = ({ stderr, stdout }: Ended, password: string): void => {
  for (const secret of [password, encodeURIComponent(password)]) {
    assert.notInclude(stdout, secret)
    assert.notInclude(stderr, secret)
  }
}
