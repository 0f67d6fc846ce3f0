/**
 * A memcached server of one's own, on a free port of the loopback interface, gone when the scope closes.
 *
 * Waiting is done by the platform's timers and not by Effect's `Clock`, so it works under a `TestClock` too.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { hasEnded, signal } from "./signals.js"

export class MemcachedServerError extends Data.TaggedError("MemcachedServerError")<{ readonly message: string }> {}

export interface Options {
  /** Asks for SASL PLAIN, and knows this user only. */
  readonly sasl?: { readonly username: string; readonly password: string } | undefined
  /** Further arguments of `memcached`: `-m`, `-M`, `-I` and the like. */
  readonly args?: ReadonlyArray<string> | undefined
}

export interface MemcachedServer {
  readonly host: string
  readonly port: number
  /** As the backend wants it. */
  readonly address: string
  /** Sends the signal, and if it ends the server, waits until it has. */
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Kills the server, unless that has been done, and starts it again, empty, on the same port. */
  readonly restart: Effect.Effect<void, MemcachedServerError>
  /** Freezes the server: connections stay open, nothing is answered. */
  readonly stop: () => Effect.Effect<void>
  /** Lets a frozen server go on. */
  readonly cont: () => Effect.Effect<void>
  /** What the server answers to a command of the text protocol, in lines; a server with SASL knows none. */
  readonly text: (command: string) => Effect.Effect<ReadonlyArray<string>>
}

const host = "127.0.0.1"
const startTimeout = 10_000

/** Leaves nothing behind when the tests end without closing their scopes. */
const leftovers = new Set<() => void>()
process.on("exit", () => leftovers.forEach((remove) => remove()))

/** With `setpriv` (Linux) the server dies with the tests even where they are killed. */
const launcher = spawnSync("setpriv", ["--pdeathsig", "KILL", "true"]).status === 0
  ? ["setpriv", "--pdeathsig", "KILL"]
  : []

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = Net.createServer()
    server.once("error", reject)
    server.listen(0, host, () => {
      const { port } = server.address() as Net.AddressInfo
      server.close(() => resolve(port))
    })
  })

/** Sends `words` and collects the answer until `isWhole`, or the end. */
const converse = (port: number, words: string | Buffer, isWhole: (reply: string) => boolean): Promise<string> =>
  new Promise((resolve) => {
    let reply = ""
    const socket = Net.connect(port, host)
    const settle = () => {
      socket.destroy()
      resolve(reply)
    }
    socket.setEncoding("latin1").setTimeout(1_000, settle)
    socket.on("error", settle).on("close", settle)
    socket.on("data", (chunk) => {
      reply += chunk
      if (isWhole(reply)) settle()
    })
    socket.write(words)
  })

const endOfText = /(^|\n)(END|OK|HD[^\r]*|EN|STORED|DELETED|NOT_FOUND|[A-Z_]*ERROR[^\r]*)\r\n$/

/** A request of the binary protocol that needs no authentication. */
const version = Buffer.alloc(24)
version.writeUInt16BE(0x800b)

/** Is the server at the port ready, and the process we mean, not another one that took the port? */
const answers = async (port: number, pid: number, hasSasl: boolean): Promise<boolean> =>
  hasSasl
    ? (await converse(port, version, (reply) => reply.length >= 24)).startsWith("\x81\x0b")
    : (await converse(port, "stats\r\n", (reply) => endOfText.test(reply))).includes(`STAT pid ${pid}\r\n`)

const start = async (port: number, dir: string, options: Options): Promise<ChildProcess> => {
  const asRoot = process.getuid?.() === 0 ? ["-u", "root"] : []
  const [program, ...args] = [
    ...launcher,
    "memcached",
    "-l",
    host,
    "-p",
    `${port}`,
    "-U",
    "0",
    ...asRoot,
    ...(options.sasl === undefined ? [] : ["-S"]),
    ...(options.args ?? [])
  ]
  const env = { ...process.env, SASL_CONF_PATH: dir }
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"], env })
  let log = ""
  const keep = (chunk: unknown) => {
    log = `${log}${chunk}`.slice(-2_000)
  }
  child.stdout.on("data", keep)
  child.stderr.on("data", keep)
  child.on("error", keep)
  const deadline = Date.now() + startTimeout
  while (child.pid !== undefined && !hasEnded(child) && Date.now() < deadline) {
    if (await answers(port, child.pid, options.sasl !== undefined)) return child
    await sleep(15)
  }
  await signal(child, "SIGKILL")
  throw new MemcachedServerError({ message: `memcached did not start on port ${port}: ${log.trim()}` })
}

const acquire = async (
  options: Options
): Promise<{ readonly server: MemcachedServer; readonly close: () => Promise<void> }> => {
  const dir = mkdtempSync(join(tmpdir(), "memcached-server-"))
  const removeDir = () => rmSync(dir, { recursive: true, force: true })
  leftovers.add(removeDir)
  if (options.sasl !== undefined) {
    const database = join(dir, "sasldb2")
    writeFileSync(join(dir, "memcached.conf"), `mech_list: plain\nsasldb_path: ${database}\n`)
    const { password, username } = options.sasl
    const made = spawnSync("saslpasswd2", ["-p", "-a", "memcached", "-c", "-f", database, username], {
      input: password,
      encoding: "utf8"
    })
    if (made.status !== 0) throw new MemcachedServerError({ message: `saslpasswd2: ${made.stderr}` })
  }
  let child: ChildProcess | undefined
  let port = 0
  for (let attempt = 1; child === undefined; attempt++) {
    port = await freePort()
    try {
      child = await start(port, dir, options)
    } catch (error) {
      // Somebody else took the port between our look and the server's.
      if (attempt < 5 && /already in use/.test(String(error))) continue
      leftovers.delete(removeDir)
      removeDir()
      throw error
    }
  }
  let running = child
  const killNow = () => void running.kill("SIGKILL")
  leftovers.add(killNow)
  const restart = async () => {
    await signal(running, "SIGKILL")
    running = await start(port, dir, options)
  }
  return {
    server: {
      host,
      port,
      address: `${host}:${port}`,
      kill: (name) => Effect.promise(() => signal(running, name)),
      restart: Effect.uninterruptible(Effect.tryPromise({ try: restart, catch: toError })),
      stop: () => Effect.promise(() => signal(running, "SIGSTOP")),
      cont: () => Effect.promise(() => signal(running, "SIGCONT")),
      text: (command) =>
        Effect.map(
          Effect.promise(() => converse(port, `${command}\r\n`, (reply) => endOfText.test(reply))),
          (reply) => reply.split(/\r?\n/).slice(0, -1)
        )
    },
    close: async () => {
      await signal(running, "SIGKILL")
      removeDir()
      leftovers.delete(killNow)
      leftovers.delete(removeDir)
    }
  }
}

const toError = (cause: unknown): MemcachedServerError =>
  cause instanceof MemcachedServerError ? cause : new MemcachedServerError({ message: String(cause) })

/** Starts a server and waits until it answers. */
export const make = (options: Options = {}): Effect.Effect<MemcachedServer, MemcachedServerError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.tryPromise({ try: () => acquire(options), catch: toError }),
      ({ close }) => Effect.promise(close)
    ),
    ({ server }) => server
  )
