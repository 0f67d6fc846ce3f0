// The processes of a run, which end with it, and the folder for what they write.
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export const scratch = mkdtempSync(join(tmpdir(), "conformance-"))
const children = new Set()

process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL")
  rmSync(scratch, { recursive: true, force: true })
})
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1))

export const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address()
      server.close(() => done(port))
    })
  })

/** Starts a program whose output nobody reads, but for what it complains of where it ends too early. */
const start = (command, argv, options) => {
  const child = spawn(command, argv, { stdio: ["ignore", "ignore", "pipe"], ...options })
  child.complaint = ""
  child.stderr.on("data", (chunk) => child.complaint = `${child.complaint}${chunk}`.slice(-2000))
  child.ended = new Promise((done) => child.on("exit", done).on("error", done)).then(() => children.delete(child))
  children.add(child)
  return child
}

/** Runs a program to its end, which must come within `minutes`. */
export const run = async (command, argv, { minutes, ...options }) => {
  const child = start(command, argv, options)
  const timer = setTimeout(() => child.kill("SIGKILL"), minutes * 60_000)
  await child.ended
  clearTimeout(timer)
  if (child.exitCode !== 0) {
    const how = child.signalCode === "SIGKILL" ? `has not ended within ${minutes} minutes` : "has failed"
    throw new Error(`${command} ${argv[0]} ${how}\n${child.complaint}`.trim())
  }
}

/** Whether somebody listens on a port. */
const isOpen = (port) =>
  new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => done(true))
    socket.on("error", () => done(false)).on("connect", () => socket.destroy())
  })

/** Starts a server and waits until it listens; what this resolves to stops it. */
export const serve = async (port, command, argv, options) => {
  const child = start(command, argv, options)
  const deadline = Date.now() + 20_000
  while (children.has(child) && Date.now() < deadline) {
    if (await isOpen(port)) {
      return async () => {
        child.kill("SIGKILL")
        await child.ended
      }
    }
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error(`${command} ${argv[0]} does not answer\n${child.complaint}`.trim())
}
