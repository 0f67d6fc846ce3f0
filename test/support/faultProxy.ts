/**
 * A TCP proxy that spoils connections on demand: put it between a client and a server of the loopback interface.
 *
 * A mode holds for what happens after it was set; connections made under another mode stay open. No mode drops bytes
 * of a connection that lives on, as no network does: a black hole always ends in a reset. Time is the platform's, not
 * that of Effect's `Clock`.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import { setTimeout as sleep } from "node:timers/promises"

/** Up is from the client to the server, down the way back. */
export type Mode = Data.TaggedEnum<{
  Pass: {}
  /** Delays each chunk, in milliseconds. */
  Latency: { readonly up?: number; readonly down?: number }
  /** Passes on `bytes` at a time, every so many milliseconds, on the way down. */
  Trickle: { readonly bytes: number; readonly every: number }
  /** Swallows what comes that way, and resets the connection so many milliseconds after the first bytes lost. */
  BlackHole: { readonly direction: "up" | "down" | "both"; readonly resetAfter: number }
  /** Ends a connection after so many bytes down it, counted from now: 0 loses the whole reply. */
  CutAfter: { readonly bytes: number; readonly with: "FIN" | "RST" }
  /** Accepts new connections and is silent. */
  Hang: {}
  /** Nothing listens: new connections are refused. */
  Refuse: {}
  /** Accepts new connections and ends them at once. */
  CloseOnAccept: { readonly with: "FIN" | "RST" }
}>

export const Mode = Data.taggedEnum<Mode>()

export interface FaultProxy {
  readonly host: string
  readonly port: number
  readonly setMode: (mode: Mode) => Effect.Effect<void>
  /** Resets (RST) the connections that are open, and says how many. */
  readonly resetAll: Effect.Effect<number>
  /** Ends (FIN) the connections that are open, and says how many. */
  readonly finAll: Effect.Effect<number>
  /** How many connections were accepted so far, and how many of them are open. */
  readonly connections: Effect.Effect<{ readonly accepted: number; readonly open: number }>
  /** How often a client has spoken so far, after it had connected or had heard something. */
  readonly roundTrips: Effect.Effect<number>
}

interface Connection {
  readonly client: Net.Socket
  readonly server: Net.Socket | undefined
  /** Under `CutAfter`, the bytes that went down since the mode was set. */
  cut: { readonly mode: Mode; bytes: number } | undefined
  /** Under `BlackHole`, bytes have been lost and the reset is on its way. */
  isLost: boolean
  /** The client has spoken, and heard nothing since. */
  isAsking: boolean
}

const host = "127.0.0.1"

const acquire = async (target: { readonly port: number; readonly host?: string | undefined }) => {
  let mode: Mode = Mode.Pass()
  let accepted = 0
  let roundTrips = 0
  const open = new Set<Connection>()
  const ended = new Set<Net.Socket>()

  const reset = ({ client, server }: Connection) => {
    server?.destroy()
    client.resetAndDestroy()
  }
  const fin = ({ client, server }: Connection) => {
    server?.destroy()
    client.end(() => client.destroy())
  }

  /** Passes one chunk on as the mode wants it; the next chunk waits until this one is through. */
  const relay = async (connection: Connection, direction: "up" | "down", to: Net.Socket, chunk: Buffer) => {
    const now = mode
    const write = (bytes: Buffer) =>
      bytes.length === 0 || to.destroyed
        ? Promise.resolve()
        : new Promise<void>((resolve) => void to.write(bytes, () => resolve()))
    if (connection.isLost) return
    switch (now._tag) {
      case "Latency": {
        await sleep(now[direction] ?? 0)
        return write(chunk)
      }
      case "Trickle": {
        if (direction === "up") return write(chunk)
        let at = 0
        for (; at < chunk.length && !to.destroyed && mode === now; at += now.bytes) {
          await write(chunk.subarray(at, at + now.bytes))
          await sleep(now.every)
        }
        return write(chunk.subarray(at))
      }
      case "BlackHole": {
        if (now.direction !== "both" && now.direction !== direction) return write(chunk)
        connection.isLost = true
        await sleep(now.resetAfter)
        return reset(connection)
      }
      case "CutAfter": {
        if (direction === "up") return write(chunk)
        if (connection.cut?.mode !== now) connection.cut = { mode: now, bytes: 0 }
        const room = now.bytes - connection.cut.bytes
        connection.cut.bytes += chunk.length
        if (chunk.length < room) return write(chunk)
        connection.isLost = true
        await write(chunk.subarray(0, room))
        if (now.with === "FIN") return fin(connection)
        // A reset discards what the client has not read yet: give it the time to read the part meant for it.
        if (room > 0) await sleep(15)
        return reset(connection)
      }
      default:
        return write(chunk)
    }
  }

  const pump = (connection: Connection, direction: "up" | "down", from: Net.Socket, to: Net.Socket) => {
    from.on("data", (chunk: Buffer) => {
      from.pause()
      if (direction === "up" && !connection.isAsking) roundTrips++
      connection.isAsking = direction === "up"
      void relay(connection, direction, to, chunk).then(() => from.resume())
    })
    from.on("end", () => to.end())
    from.on("close", () => {
      if (!connection.isLost) to.destroySoon()
    })
  }

  const accept = (client: Net.Socket) => {
    accepted++
    client.on("error", () => {}).setNoDelay(true)
    if (mode._tag === "CloseOnAccept") {
      if (mode.with === "RST") return void client.resetAndDestroy()
      // What comes is read: left unread, it would make a reset of the end.
      ended.add(client)
      return void client.resume().on("end", () => client.destroy()).on("close", () => ended.delete(client)).end()
    }
    const server = mode._tag === "Hang"
      ? undefined
      : Net.connect({ port: target.port, host: target.host ?? host, allowHalfOpen: true, noDelay: true })
    const connection: Connection = { client, server, cut: undefined, isLost: false, isAsking: false }
    open.add(connection)
    client.on("close", () => open.delete(connection))
    if (server === undefined) return void client.resume().on("end", () => client.end())
    // The server's refusal or reset is the client's.
    server.on("error", () => client.resetAndDestroy())
    pump(connection, "up", client, server)
    pump(connection, "down", server, client)
  }

  const listener = Net.createServer({ allowHalfOpen: true }, accept)
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      if (listener.listening) return resolve()
      listener.once("error", reject)
      listener.listen(port, host, () => {
        listener.off("error", reject)
        resolve()
      })
    })
  // `close` calls back when the open connections have gone, but refuses new ones at once.
  const unlisten = () => void (listener.listening && listener.close())

  await listen(0)
  const { port } = listener.address() as Net.AddressInfo
  const all = (f: (connection: Connection) => void) =>
    Effect.sync(() => {
      const count = open.size
      open.forEach(f)
      return count
    })
  const proxy: FaultProxy = {
    host,
    port,
    setMode: (next) =>
      Effect.promise(async () => {
        mode = next
        if (next._tag === "Refuse") unlisten()
        else await listen(port)
      }),
    resetAll: all(reset),
    finAll: all(fin),
    connections: Effect.sync(() => ({ accepted, open: open.size })),
    roundTrips: Effect.sync(() => roundTrips)
  }
  return {
    proxy,
    close: () => {
      unlisten()
      open.forEach(reset)
      ended.forEach((client) => client.destroy())
    }
  }
}

/** Listens on a free port and passes everything on to the target, until a mode is set. */
export const make = (
  target: { readonly port: number; readonly host?: string | undefined }
): Effect.Effect<FaultProxy, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(Effect.promise(() => acquire(target)), ({ close }) => Effect.sync(close)),
    ({ proxy }) => proxy
  )
