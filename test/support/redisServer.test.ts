import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as FaultProxy from "./faultProxy.js"
import * as RedisServer from "./redisServer.js"

/** What a bare client sees of one PING: the reply, and how the connection ended. */
const ping = (
  port: number,
  options: { readonly words?: string; readonly timeout?: number } = {}
): Effect.Effect<
  { readonly reply: string; readonly end: "reply" | "FIN" | "timeout" | (string & {}); readonly ms: number }
> =>
  Effect.async((resume) => {
    const start = performance.now()
    let reply = ""
    const socket = Net.connect(port, "127.0.0.1")
    const settle = (end: string) => {
      socket.destroy()
      clearTimeout(timer)
      resume(Effect.succeed({ reply, end, ms: performance.now() - start }))
    }
    const timer = setTimeout(() => settle("timeout"), options.timeout ?? 5000)
    socket.on("connect", () => socket.write(options.words ?? "PING\r\n"))
    socket.on("data", (chunk) => {
      reply += chunk
      if (reply.endsWith("\r\n")) settle("reply")
    })
    socket.on("end", () => settle("FIN"))
    socket.on("error", (error: NodeJS.ErrnoException) => settle(error.code ?? error.message))
  })

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe("redisServer", () => {
  it.scoped("answers at once, also under a TestClock", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      assert.strictEqual((yield* ping(server.port)).reply, "+PONG\r\n")
      assert.strictEqual(server.url, `redis://127.0.0.1:${server.port}`)
    }))

  it.scoped("wants the password it was given", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ password: "s3cret / é" })
      assert.match((yield* ping(server.port)).reply, /^-NOAUTH/)
      assert.strictEqual(server.url, `redis://:s3cret%20%2F%20%C3%A9@127.0.0.1:${server.port}`)
    }))

  it.scoped("refuses writes past its memory, and takes further arguments", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ maxmemory: "100kb", args: ["--databases", "1"] })
      assert.match((yield* ping(server.port, { words: "SET a b\r\n" })).reply, /^-OOM/)
      assert.match((yield* ping(server.port, { words: "SELECT 1\r\n" })).reply, /^-ERR/)
    }))

  it.scoped("is killed and comes back, empty, on the same port", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      const { pid } = server
      yield* ping(server.port, { words: "SET a 1\r\n" })
      yield* server.kill("SIGKILL")
      assert.isFalse(isRunning(pid))
      assert.strictEqual((yield* ping(server.port)).end, "ECONNREFUSED")
      yield* server.restart
      assert.notStrictEqual(server.pid, pid)
      assert.strictEqual((yield* ping(server.port, { words: "GET a\r\n" })).reply, "$-1\r\n")
    }))

  it.scoped("is frozen and goes on", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make()
      yield* server.stop()
      assert.strictEqual((yield* ping(server.port, { timeout: 100 })).end, "timeout")
      yield* server.cont()
      assert.strictEqual((yield* ping(server.port)).end, "reply")
    }))

  it.effect("is gone when its scope closes, even when frozen", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.extend(RedisServer.make(), scope)
      yield* server.stop()
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(isRunning(server.pid))
    }))

  it.scoped("says why it did not start", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(RedisServer.make({ args: ["--no-such-setting", "1"] }))
      assert.match(error.message, /no-such-setting/)
    }))
})

describe("faultProxy", () => {
  const { Mode } = FaultProxy
  const make = Effect.flatMap(RedisServer.make(), FaultProxy.make)

  it.scoped("passes everything on, and counts", () =>
    Effect.gen(function*() {
      const proxy = yield* make
      assert.strictEqual((yield* ping(proxy.port)).reply, "+PONG\r\n")
      assert.strictEqual((yield* ping(proxy.port)).reply, "+PONG\r\n")
      assert.strictEqual((yield* proxy.connections).accepted, 2)
    }))

  it.scoped("delays, both ways", () =>
    Effect.gen(function*() {
      const proxy = yield* make
      yield* proxy.setMode(Mode.Latency({ up: 60, down: 60 }))
      const { ms, reply } = yield* ping(proxy.port)
      assert.strictEqual(reply, "+PONG\r\n")
      assert.isAtLeast(ms, 115)
    }))

  it.scoped("trickles", () =>
    Effect.gen(function*() {
      const proxy = yield* make
      yield* proxy.setMode(Mode.Trickle({ bytes: 1, every: 10 }))
      const { ms, reply } = yield* ping(proxy.port)
      assert.strictEqual(reply, "+PONG\r\n")
      assert.isAtLeast(ms, 55)
    }))

  it.scoped("swallows bytes, then resets", () =>
    Effect.gen(function*() {
      const proxy = yield* make
      for (const direction of ["up", "down", "both"] as const) {
        yield* proxy.setMode(Mode.BlackHole({ direction, resetAfter: 50 }))
        const { end, ms, reply } = yield* ping(proxy.port)
        assert.deepStrictEqual({ end, reply }, { end: "ECONNRESET", reply: "" })
        assert.isAtLeast(ms, 45)
      }
    }))

  it.scoped("cuts a reply after so many bytes", () =>
    Effect.gen(function*() {
      const proxy = yield* make
      yield* proxy.setMode(Mode.CutAfter({ bytes: 3, with: "FIN" }))
      const cut = yield* ping(proxy.port)
      assert.deepStrictEqual([cut.reply, cut.end], ["+PO", "FIN"])
      yield* proxy.setMode(Mode.CutAfter({ bytes: 3, with: "RST" }))
      const reset = yield* ping(proxy.port)
      assert.deepStrictEqual([reset.reply, reset.end], ["+PO", "ECONNRESET"])
      yield* proxy.setMode(Mode.CutAfter({ bytes: 0, with: "RST" }))
      const lost = yield* ping(proxy.port)
      assert.deepStrictEqual([lost.reply, lost.end], ["", "ECONNRESET"])
    }))

  it.scoped("accepts and is silent", () =>
    Effect.gen(function*() {
      const proxy = yield* make
      yield* proxy.setMode(Mode.Hang())
      assert.strictEqual((yield* ping(proxy.port, { timeout: 100 })).end, "timeout")
    }))

  it.scoped("refuses, and listens again on the same port", () =>
    Effect.gen(function*() {
      const proxy = yield* make
      yield* proxy.setMode(Mode.Refuse())
      assert.strictEqual((yield* ping(proxy.port)).end, "ECONNREFUSED")
      yield* proxy.setMode(Mode.Pass())
      assert.strictEqual((yield* ping(proxy.port)).end, "reply")
    }))

  it.scoped("ends connections when it accepts them", () =>
    Effect.gen(function*() {
      const proxy = yield* make
      yield* proxy.setMode(Mode.CloseOnAccept({ with: "FIN" }))
      assert.strictEqual((yield* ping(proxy.port)).end, "FIN")
      yield* proxy.setMode(Mode.CloseOnAccept({ with: "RST" }))
      assert.strictEqual((yield* ping(proxy.port)).end, "ECONNRESET")
    }))

  it.scoped("ends and resets the connections that are open", () =>
    Effect.gen(function*() {
      const proxy = yield* make
      for (const [act, end] of [[proxy.finAll, "FIN"], [proxy.resetAll, "ECONNRESET"]] as const) {
        const waiting = yield* Effect.fork(ping(proxy.port, { words: "BLPOP nothing 0\r\n" }))
        while ((yield* proxy.connections).open === 0) yield* Effect.promise(() => new Promise((r) => setTimeout(r, 5)))
        assert.strictEqual(yield* act, 1)
        assert.strictEqual((yield* waiting).end, end)
        while ((yield* proxy.connections).open > 0) yield* Effect.promise(() => new Promise((r) => setTimeout(r, 5)))
      }
    }))
})
