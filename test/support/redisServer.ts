/**
 * A Redis server of one's own, on a free port of the loopback interface, gone when the scope closes.
 *
 * Waiting is done by the platform's timers and not by Effect's `Clock`, so it works under a `TestClock` too.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import * as Tls from "node:tls"
import { hasEnded, signal } from "./signals.js"

export class RedisServerError extends Data.TaggedError("RedisServerError")<{ readonly message: string }> {}

export interface Options {
  readonly password?: string | undefined
  /** As in the server's configuration: `"2mb"`. Evicts nothing, so that a full server refuses writes. */
  readonly maxmemory?: string | undefined
  /** Further arguments of `redis-server`; later ones win. */
  readonly args?: ReadonlyArray<string> | undefined
  /** Whether it is a node of a cluster, which listens 10000 above its port too. */
  readonly isClusterNode?: boolean | undefined
  /** Speaks nothing but TLS, with clients and with other servers. */
  readonly tls?: Certificate | undefined
  /** Lines of the configuration of a sentinel, if it is one. */
  readonly sentinel?: ReadonlyArray<string> | undefined
}

export interface RedisServer {
  readonly host: string
  readonly port: number
  readonly url: string
  /** Of the process that runs now: another one after `restart`. */
  readonly pid: number
  /** Sends the signal, and if it ends the server, waits until it has. */
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Kills the server, unless that has been done, and starts it again, empty, on the same port. */
  readonly restart: Effect.Effect<void, RedisServerError>
  /** Freezes the server: connections stay open, nothing is answered. */
  readonly stop: () => Effect.Effect<void>
  /** Lets a frozen server go on. */
  readonly cont: () => Effect.Effect<void>
}

/** Where a certificate is, and its key. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** A certificate for these names, which signs itself, gone when the scope closes. */
export const certificate = (...names: ReadonlyArray<string>): Effect.Effect<Certificate, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "certificate-"))),
      (at) => Effect.sync(() => rmSync(at, { recursive: true }))
    ),
    (at) => {
      const files = { key: join(at, "key.pem"), cert: join(at, "cert.pem") }
      const openssl = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
      const which = ["-addext", `subjectAltName=${names.join(",")}`, "-keyout", files.key, "-out", files.cert]
      execFileSync("openssl", openssl.split(" ").concat(which), { stdio: "ignore" })
      return files
    }
  )

/** What `redis-cli` needs to speak with such a server. */
export const cliArguments = ({ password, tls }: Pick<Options, "password" | "tls">): ReadonlyArray<string> => [
  ...(password === undefined ? [] : ["-a", password, "--no-auth-warning"]),
  ...(tls === undefined ? [] : ["--tls", "--cacert", tls.cert])
]

const host = "127.0.0.1"
const startTimeout = 10_000

/** Leaves nothing behind when the tests end without closing their scopes. */
const leftovers = new Set<() => void>()
process.on("exit", () => leftovers.forEach((remove) => remove()))

/** With `setpriv` (Linux) the server dies with the tests even where they are killed. */
const launcher = spawnSync("setpriv", ["--pdeathsig", "KILL", "true"]).status === 0
  ? ["setpriv", "--pdeathsig", "KILL"]
  : []

/** Listens for a moment, to see whether one can. */
const tryPort = (port: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    const server = Net.createServer()
    server.once("error", () => resolve(undefined))
    server.listen(port, host, () => {
      const { port } = server.address() as Net.AddressInfo
      server.close(() => resolve(port))
    })
  })

const freePort = async ({ isClusterNode }: Options): Promise<number> => {
  for (;;) {
    const port = await tryPort(0)
    if (port === undefined || (isClusterNode === true && port > 55_535)) continue
    if (isClusterNode !== true || (await tryPort(port + 10_000)) !== undefined) return port
  }
}

const command = (...words: ReadonlyArray<string>): string =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`

/** Is the server at the port ready, and the process we mean, not another one that took the port? */
const answers = (port: number, pid: number, { password, tls }: Options): Promise<boolean> =>
  new Promise((resolve) => {
    let reply = ""
    const socket = tls === undefined ? Net.connect(port, host) : Tls.connect(port, host, { ca: readFileSync(tls.cert) })
    const settle = (ready: boolean) => {
      socket.destroy()
      resolve(ready)
    }
    socket.setEncoding("utf8").setTimeout(1000, () => settle(false))
    socket.on("error", () => settle(false)).on("close", () => settle(false))
    socket.on("data", (chunk) => {
      reply += chunk
      if (reply.includes("+PONG") && reply.includes(`process_id:${pid}\r\n`)) settle(true)
      else if (/^-/m.test(reply)) settle(false)
    })
    socket.write(
      (password === undefined ? "" : command("AUTH", password)) + command("PING") + command("INFO", "server")
    )
  })

const tlsSettings = (port: number, { cert, key }: Certificate): ReadonlyArray<readonly [string, string]> => [
  ["port", "0"],
  ["tls-port", `${port}`],
  ["tls-cert-file", cert],
  ["tls-key-file", key],
  ["tls-ca-cert-file", cert],
  ["tls-auth-clients", "no"],
  ["tls-replication", "yes"]
]

const commandLine = (port: number, dir: string, options: Options): ReadonlyArray<string> => {
  if (options.sentinel !== undefined) {
    const config = join(dir, "sentinel.conf")
    const ports = options.tls === undefined ? [`port ${port}`] : tlsSettings(port, options.tls).map((_) => _.join(" "))
    const lines = [...ports, `bind ${host}`, `dir ${dir}`, "daemonize no", ...options.sentinel]
    if (options.password !== undefined) lines.push(`requirepass ${options.password}`)
    // The sentinel keeps there what it has learnt.
    if (!existsSync(config)) writeFileSync(config, `${lines.join("\n")}\n`)
    return ["redis-sentinel", config]
  }
  const ports = options.tls === undefined
    ? ["--port", `${port}`]
    : tlsSettings(port, options.tls).flatMap(([name, value]) => [`--${name}`, value])
  return [
    "redis-server",
    ...ports,
    "--bind",
    host,
    "--dir",
    dir,
    "--daemonize",
    "no",
    "--save",
    "",
    "--appendonly",
    "no",
    ...(options.password === undefined ? [] : ["--requirepass", options.password, "--masterauth", options.password]),
    ...(options.maxmemory === undefined ? [] : ["--maxmemory", options.maxmemory, "--maxmemory-policy", "noeviction"]),
    ...(options.isClusterNode === true ? ["--cluster-enabled", "yes"] : []),
    ...(options.isClusterNode === true && options.tls !== undefined ? ["--tls-cluster", "yes"] : []),
    ...(options.args ?? [])
  ]
}

const start = async (port: number, dir: string, options: Options): Promise<ChildProcess> => {
  const [program, ...args] = [...launcher, ...commandLine(port, dir, options)]
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"] })
  let log = ""
  const keep = (chunk: unknown) => {
    log = `${log}${chunk}`.slice(-2000)
  }
  child.stdout.on("data", keep)
  child.stderr.on("data", keep)
  child.on("error", keep)
  const deadline = Date.now() + startTimeout
  while (child.pid !== undefined && !hasEnded(child) && Date.now() < deadline) {
    if (await answers(port, child.pid, options)) return child
    await sleep(15)
  }
  await signal(child, "SIGKILL")
  throw new RedisServerError({ message: `the server did not start on port ${port}: ${log.trim()}` })
}

const acquire = async (
  options: Options
): Promise<{ readonly server: RedisServer; readonly close: () => Promise<void> }> => {
  const dir = mkdtempSync(join(tmpdir(), "redis-server-"))
  const removeDir = () => rmSync(dir, { recursive: true, force: true })
  leftovers.add(removeDir)
  let child: ChildProcess | undefined
  let port = 0
  for (let attempt = 1; child === undefined; attempt++) {
    port = await freePort(options)
    try {
      child = await start(port, dir, options)
    } catch (error) {
      // Somebody else took the port between our look and the server's.
      if (attempt < 5 && /already in use|Failed listening/.test(String(error))) continue
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
  const credentials = options.password === undefined ? "" : `:${encodeURIComponent(options.password)}@`
  return {
    server: {
      host,
      port,
      url: `redis://${credentials}${host}:${port}`,
      get pid() {
        return running.pid!
      },
      kill: (name) => Effect.promise(() => signal(running, name)),
      restart: Effect.uninterruptible(Effect.tryPromise({ try: restart, catch: toError })),
      stop: () => Effect.promise(() => signal(running, "SIGSTOP")),
      cont: () => Effect.promise(() => signal(running, "SIGCONT"))
    },
    close: async () => {
      await signal(running, "SIGKILL")
      removeDir()
      leftovers.delete(killNow)
      leftovers.delete(removeDir)
    }
  }
}

const toError = (cause: unknown): RedisServerError =>
  cause instanceof RedisServerError ? cause : new RedisServerError({ message: String(cause) })

/** Starts a server and waits until it answers. */
export const make = (options: Options = {}): Effect.Effect<RedisServer, RedisServerError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.tryPromise({ try: () => acquire(options), catch: toError }),
      ({ close }) => Effect.promise(close)
    ),
    ({ server }) => server
  )

/** What `redis-cli` prints; dies where it fails. */
export const cli = (...args: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.promise(() =>
    new Promise((resolve, reject) => {
      execFile("redis-cli", args, { timeout: 60_000, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout.replaceAll("\r", ""))
        else reject(new RedisServerError({ message: `redis-cli ${args.join(" ")}: ${stdout.slice(-500)}${stderr}` }))
      })
    })
  )

/** Waits until it holds. */
export const until = (holds: Effect.Effect<boolean>): Effect.Effect<void, RedisServerError> =>
  Effect.suspend(() => {
    const deadline = Date.now() + startTimeout
    const again: Effect.Effect<void, RedisServerError> = Effect.flatMap(holds, (isTrue) =>
      isTrue
        ? Effect.void
        : Date.now() > deadline
        ? Effect.fail(new RedisServerError({ message: `not within ${startTimeout} milliseconds` }))
        : Effect.zipRight(Effect.promise(() => sleep(20)), again))
    return again
  })
