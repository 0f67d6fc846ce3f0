// A cached view beside the same server answering a constant: CPU time of the server's process per request.
//
// The servers are all in one child process; the requests come from this one, over raw connections that stay open.
import { fork } from "node:child_process"
import { once } from "node:events"
import { connect } from "node:net"

const connections = 32

/** Asks `path` over and over, one request at a time per connection. */
const makeLoad = async (port, path) => {
  const request = `GET ${path} HTTP/1.1\r\nHost: bench\r\nAccept: text/plain\r\n\r\n`
  const sockets = Array.from({ length: connections }, () => connect(port, "127.0.0.1").setNoDelay(true))
  await Promise.all(sockets.map((socket) => once(socket, "connect")))

  /** Answers the first response, whole: its length and status hold for all after it. */
  return (n) =>
    Promise.all(sockets.map((socket, i) => {
      let left = Math.ceil((n - i) / connections)
      if (left <= 0) return
      return new Promise((resolve, reject) => {
        let text = ""
        const listen = (data) => {
          text += data.toString("latin1")
          const head = text.indexOf("\r\n\r\n")
          if (head < 0) return
          const length = /content-length: (\d+)/i.exec(text)
          if (!text.startsWith("HTTP/1.1 200") || length === null) return reject(new Error(text))
          if (text.length < head + 4 + Number(length[1])) return
          text = ""
          if (--left > 0) return socket.write(request)
          socket.off("data", listen)
          resolve(undefined)
        }
        socket.on("data", listen)
        socket.write(request)
      })
    }))
}

export default async () => {
  const server = fork(new URL("../servers.mjs", import.meta.url))
  const asked = async (question) => {
    server.send(question)
    const [answer] = await once(server, "message")
    return answer
  }
  const ports = await asked("ports")
  const candidates = []
  for (const [name, port] of Object.entries(ports)) {
    const load = await makeLoad(port, "/users/1")
    candidates.push({
      name,
      run: async (n) => {
        const before = await asked("cpu")
        await load(n)
        return await asked("cpu") - before
      }
    })
  }
  const group = {
    title: "A cached view",
    text: `GET of 1 KB of text over ${connections} connections; the server's CPU time.`,
    unit: "throughput",
    clock: "cpu",
    base: "@effect/platform, a constant",
    sliceMillis: 100,
    atLeast: connections * 8,
    candidates
  }
  return { groups: [group], end: () => server.kill() }
}
