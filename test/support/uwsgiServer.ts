/**
 * A uWSGI server of one's own with a cache and nothing else, on a free port of the loopback interface, gone when the
 * scope closes.
 *
 * Waiting is done by the platform's timers and not by Effect's `Clock`, so it works under a `TestClock` too.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { hasEnded, stopped } from "./signals.js"

export class UwsgiServerError extends Data.TaggedError("UwsgiServerError")<{ readonly message: string }> {}

export interface Options {
  /** The `--cache2` options, in their order. Default: one cache of a thousand items of 64 KiB. */
  readonly caches?: ReadonlyArray<string> | undefined
  /** How many processes answer. Default: 1. */
  readonly workers?: number | undefined
  /** Further arguments. */
  readonly args?: ReadonlyArray<string> | undefined
}

export interface UwsgiServer {
  readonly host: string
  readonly port: number
  /** The path of a Unix socket where the server answers too. */
  readonly path: string
  /** Ends the server with all of its processes. */
  readonly kill: Effect.Effect<void>
  /** Ends the server, unless that has been done, and starts it again, empty, on the same port. */
  readonly restart: Effect.Effect<void, UwsgiServerError>
  /** Freezes the server with its workers: connections are made by the system, nothing is answered. */
  readonly stop: Effect.Effect<void>
  /** Lets a frozen server go on. */
  readonly cont: Effect.Effect<void>
  /** What the server has written. */
  readonly log: Effect.Effect<string>
}

const host = "127.0.0.1"
const startTimeout = 10_000

/** Leaves nothing behind when the tests end without closing their scopes. */
const leftovers = new Set<() => void>()
process.on("exit", () => leftovers.forEach((remove) => remove()))

/** With `setpriv` (Linux) the server ends with the tests even where they are killed. */
const launcher = spawnSync("setpriv", ["--pdeathsig", "TERM", "true"]).status === 0
  ? ["setpriv", "--pdeathsig", "TERM"]
  : []

/** To the master and its workers: they are a process group of their own. */
const signal = (child: ChildProcess, name: NodeJS.Signals): void => {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, name)
  } catch {
    // They have ended.
  }
}

const end = async (child: ChildProcess): Promise<void> => {
  if (child.pid === undefined) return
  const ended = hasEnded(child)
    ? Promise.resolve()
    : new Promise<void>((resolve) => child.once("exit", () => resolve()))
  signal(child, "SIGKILL")
  await ended
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = Net.createServer()
    server.once("error", reject)
    server.listen(0, host, () => {
      const { port } = server.address() as Net.AddressInfo
      server.close(() => resolve(port))
    })
  })

/** Whether a worker takes a request and closes the connection, as it does with an empty one. */
const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = Net.connect(port, host)
    const settle = (isReady: boolean) => {
      socket.destroy()
      resolve(isReady)
    }
    socket.setTimeout(1_000, () => settle(false))
    socket.on("error", () => settle(false)).on("end", () => settle(true)).resume()
    socket.write(Buffer.from([111, 0, 0, 17]))
  })

const start = async (port: number, path: string, options: Options): Promise<readonly [ChildProcess, () => string]> => {
  const caches = options.caches ?? ["name=lab,items=1000,blocksize=65536"]
  const [program, ...args] = [
    ...launcher,
    "uwsgi-core",
    "--plugins",
    "cache",
    "--master",
    "--die-on-term",
    "--no-orphans",
    "--socket",
    `${host}:${port}`,
    "--socket",
    path,
    "--processes",
    `${options.workers ?? 1}`,
    ...caches.flatMap((cache) => ["--cache2", cache]),
    ...(options.args ?? [])
  ]
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"], detached: true })
  let log = ""
  const keep = (chunk: unknown) => {
    log = `${log}${chunk}`.slice(-100_000)
  }
  child.stdout.on("data", keep)
  child.stderr.on("data", keep)
  child.on("error", keep)
  const deadline = Date.now() + startTimeout
  while (child.pid !== undefined && !hasEnded(child) && Date.now() < deadline) {
    if (await answers(port)) return [child, () => log]
    await sleep(15)
  }
  await end(child)
  throw new UwsgiServerError({ message: `uwsgi-core did not start on port ${port}: ${log.slice(-2_000).trim()}` })
}

const acquire = async (
  options: Options
): Promise<{ readonly server: UwsgiServer; readonly close: () => Promise<void> }> => {
  const dir = mkdtempSync(join(tmpdir(), "uwsgi-server-"))
  const path = join(dir, "socket")
  const removeDir = () => rmSync(dir, { recursive: true, force: true })
  leftovers.add(removeDir)
  let running: readonly [ChildProcess, () => string] | undefined
  let port = 0
  for (let attempt = 1; running === undefined; attempt++) {
    port = await freePort()
    try {
      running = await start(port, path, options)
    } catch (error) {
      // Somebody else took the port between our look and the server's.
      if (attempt < 5 && /already in use/.test(String(error))) continue
      leftovers.delete(removeDir)
      removeDir()
      throw error
    }
  }
  let [child, log] = running
  const killNow = () => signal(child, "SIGKILL")
  leftovers.add(killNow)
  const restart = async () => {
    await end(child)
    ;[child, log] = await start(port, path, options)
  }
  return {
    server: {
      host,
      port,
      path,
      kill: Effect.promise(() => end(child)),
      restart: Effect.uninterruptible(Effect.tryPromise({ try: restart, catch: toError })),
      stop: Effect.promise(async () => {
        signal(child, "SIGSTOP")
        await stopped(child.pid!)
      }),
      cont: Effect.sync(() => signal(child, "SIGCONT")),
      log: Effect.sync(() => log())
    },
    close: async () => {
      await end(child)
      removeDir()
      leftovers.delete(killNow)
      leftovers.delete(removeDir)
    }
  }
}

const toError = (cause: unknown): UwsgiServerError =>
  cause instanceof UwsgiServerError ? cause : new UwsgiServerError({ message: String(cause) })

/** Starts a server and waits until it answers. */
export const make = (options: Options = {}): Effect.Effect<UwsgiServer, UwsgiServerError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.tryPromise({ try: () => acquire(options), catch: toError }),
      ({ close }) => Effect.promise(close)
    ),
    ({ server }) => server
  )
