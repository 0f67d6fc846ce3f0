/**
 * A way to a server that can be made to swallow the packets that ask for a connection, as a firewall does: put it
 * between a client and a server of the loopback interface.
 *
 * It is a process of its own that passes everything on. To swallow, it is frozen with a full backlog: Linux then drops
 * what asks for another connection, without a reset and without an answer. This needs neither root nor a firewall.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import * as Net from "node:net"
import { setTimeout as sleep } from "node:timers/promises"

export interface SynHole {
  readonly host: string
  readonly port: number
  /** Ends the connections that are open, and swallows what asks for another. */
  readonly close: Effect.Effect<void>
  /** Lets everything through again. */
  readonly open: Effect.Effect<void>
}

const host = "127.0.0.1"
/** Enough for what a backend asks for at once while nothing is wrong. */
const backlog = 32

const passOn = `
  const Net = require("node:net")
  const sockets = new Set()
  const server = Net.createServer((client) => {
    const upstream = Net.connect(Number(process.argv[1]), "${host}")
    client.pipe(upstream).pipe(client)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on("error", () => {}).on("close", () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
  })
  server.listen({ port: 0, host: "${host}", backlog: ${backlog} }, () => console.log(server.address().port))
  process.stdin.on("data", () => {
    for (const socket of sockets) socket.destroy()
    console.log("ended")
  }).on("end", () => process.exit())
`

const acquire = async (target: number) => {
  const child = spawn(process.execPath, ["-e", passOn, `${target}`], { stdio: ["pipe", "pipe", "ignore"] })
  const line = () => new Promise<string>((resolve) => child.stdout.once("data", (chunk) => resolve(String(chunk))))
  const port = Number(await line())
  /** Connections that nobody accepts: one more than there is room for. */
  let fillers: ReadonlyArray<Net.Socket> = []
  const release = () => {
    for (const filler of fillers) filler.destroy()
    fillers = []
  }
  const hole: SynHole = {
    host,
    port,
    close: Effect.promise(async () => {
      const ended = line()
      child.stdin.write("end\n")
      await ended
      child.kill("SIGSTOP")
      fillers = Array.from({ length: backlog + 1 }, () => Net.connect(port, host).on("error", () => {}))
      await Promise.all(fillers.map((filler) => new Promise((resolve) => filler.once("connect", resolve))))
      // What asks now is swallowed, or there was more room than the system had said.
      const probe = Net.connect(port, host).on("error", () => {})
      const isThrough = await Promise.race([
        new Promise<boolean>((resolve) => probe.once("connect", () => resolve(true))),
        sleep(100, false)
      ])
      probe.destroy()
      if (isThrough) throw new Error("the system accepts more connections than the backlog has room for")
    }),
    open: Effect.sync(() => {
      release()
      child.kill("SIGCONT")
    })
  }
  const close = async () => {
    release()
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGKILL")
    await ended
  }
  return { hole, close }
}

/** Listens on a free port and passes everything on to the port of the target. */
export const make = (target: { readonly port: number }): Effect.Effect<SynHole, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(Effect.promise(() => acquire(target.port)), ({ close }) => Effect.promise(close)),
    ({ hole }) => hole
  )
