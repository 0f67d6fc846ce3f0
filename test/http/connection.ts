/** One raw connection to a server, kept alive: what is sent on it and what comes, byte by byte. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

/** An answer that came whole. */
export interface Answer {
  readonly status: number
  /** By names in lower case; several lines of one name between commas. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
}

export interface Connection {
  /** All bytes that came, those of answers that broke off too. */
  readonly received: () => string
  readonly send: (text: string) => void
  /** The next answer; fails where the connection ends before it is whole. */
  readonly next: (method?: string) => Effect.Effect<Answer, Error>
  /** Waits for the first byte that no answer has taken, or the end. */
  readonly begun: Effect.Effect<void>
  /** Waits until what came has this in it; fails where the connection ends before. */
  readonly sees: (text: string) => Effect.Effect<void, Error>
  /** Waits for the end: whether the server cut the connection rather than closed it. */
  readonly isCut: Effect.Effect<boolean>
  /** Stops and goes on reading, as a client that is slow does. */
  readonly pause: () => void
  readonly resume: () => void
  /** Ends it as a client does that is gone. */
  readonly abort: () => void
  /** Ends it, and waits until it has ended. */
  readonly close: Effect.Effect<void>
}

const request = (method: string, target: string, headers: Readonly<Record<string, string>>, body: string): string => {
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("")
  const length = body === "" && method !== "POST" ? "" : `Content-Length: ${Buffer.byteLength(body)}\r\n`
  return `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n${fields}${length}\r\n${body}`
}

/** A request as bytes, without `Connection: close`. */
export const requestOf = (
  target: string,
  { body = "", headers = {}, method = "GET" }: {
    readonly method?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string
  } = {}
): string => request(method, target, headers, body)

interface Parsed {
  readonly answer: Answer
  readonly end: number
}

const headEnd = Buffer.from("\r\n\r\n")

/** The chunks that begin at `at`, if the last is there. */
const chunked = (bytes: Buffer, at: number): { readonly body: Buffer; readonly end: number } | undefined => {
  const parts: Array<Buffer> = []
  for (;;) {
    const line = bytes.indexOf("\r\n", at)
    if (line < 0) return undefined
    const length = parseInt(bytes.toString("latin1", at, line), 16)
    const end = line + 2 + length + 2
    if (bytes.length < end) return undefined
    if (length === 0) return { body: Buffer.concat(parts), end }
    parts.push(bytes.subarray(line + 2, end - 2))
    at = end
  }
}

/** The answer that the bytes begin with, if it is whole. */
const parse = (bytes: Buffer, method: string, isEnded: boolean): Parsed | undefined => {
  const head = bytes.indexOf(headEnd)
  if (head < 0) return undefined
  const [first = "", ...lines] = bytes.toString("latin1", 0, head).split("\r\n")
  const status = Number(first.split(" ")[1])
  const headers: Record<string, string> = Object.create(null)
  for (const line of lines) {
    const colon = line.indexOf(":")
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  }
  const start = head + headEnd.length
  const answer = (body: Buffer, end: number): Parsed => ({ answer: { status, headers, body }, end })
  if (method === "HEAD" || status === 204 || status === 304) return answer(Buffer.alloc(0), start)
  if (headers["transfer-encoding"] === "chunked") {
    const found = chunked(bytes, start)
    return found === undefined ? undefined : answer(found.body, found.end)
  }
  const declared = headers["content-length"]
  if (declared === undefined) return isEnded ? answer(bytes.subarray(start), bytes.length) : undefined
  const end = start + Number(declared)
  return bytes.length < end ? undefined : answer(bytes.subarray(start, end), end)
}

/** Connects; the connection is gone when the scope closes. */
export const connect = (port: number): Effect.Effect<Connection, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Net.Socket, Error>((resume) => {
      const socket = Net.connect({ port, host: "127.0.0.1", noDelay: true })
      socket.once("error", (error) => resume(Effect.fail(error)))
      socket.once("connect", () => resume(Effect.succeed(socket)))
      return Effect.sync(() => socket.destroy())
    }),
    (socket) => Effect.sync(() => socket.destroy())
  ).pipe(Effect.map((socket) => {
    const all: Array<Buffer> = []
    let pending: Buffer = Buffer.alloc(0)
    let isEnded = false
    let isCut = false
    let changed: () => void = () => {}
    socket.on("data", (chunk) => {
      all.push(chunk)
      pending = Buffer.concat([pending, chunk])
      changed()
    })
    socket.on("error", () => isCut = true)
    socket.on("close", () => {
      isEnded = true
      changed()
    })
    const until = <A, E>(look: () => Effect.Effect<A, E> | undefined): Effect.Effect<A, E> =>
      Effect.async<A, E>((resume) => {
        const attempt = () => {
          const found = look()
          if (found === undefined) return
          changed = () => {}
          resume(found)
        }
        changed = attempt
        attempt()
        return Effect.sync(() => changed = () => {})
      })
    return {
      received: () => Buffer.concat(all).toString("latin1"),
      send: (text) => void socket.write(text),
      next: (method = "GET") =>
        until(() => {
          const parsed = parse(pending, method, isEnded)
          if (parsed !== undefined) {
            pending = pending.subarray(parsed.end)
            return Effect.succeed(parsed.answer)
          }
          return isEnded ? Effect.fail(new Error(`broken off after ${pending.length} bytes`)) : undefined
        }),
      sees: (text) =>
        until(() =>
          Buffer.concat(all).includes(text)
            ? Effect.void
            : isEnded
            ? Effect.fail(new Error(`broken off without ${text}`))
            : undefined
        ),
      begun: until(() => pending.length > 0 || isEnded ? Effect.void : undefined),
      isCut: until(() => isEnded ? Effect.sync(() => isCut) : undefined),
      pause: () => void socket.pause(),
      resume: () => void socket.resume(),
      abort: () => void socket.destroy(),
      close: Effect.zipRight(
        Effect.sync(() => void socket.destroy()),
        until(() => isEnded ? Effect.void : undefined)
      )
    }
  }))
