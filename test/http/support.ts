/** A real server, and clients that show what went over the wire. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServer from "@effect/platform/HttpServer"
import { fromWeb, HttpServerRequest } from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Backend from "effect-caching/Backend"
import * as Memory from "effect-caching/backends/Memory"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Net from "node:net"

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

export interface Asking {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface Client {
  readonly port: number
  /** Asks on a connection of its own; fails if the answer breaks off. */
  readonly ask: (path: string, asking?: Asking) => Effect.Effect<Reply, Error>
  /** Asks, and gives up where it is interrupted. */
  readonly get: (path: string, headers?: Readonly<Record<string, string>>) => Effect.Effect<Reply, Error>
}

export const clientOf = (port: number): Client => {
  const ask = (path: string, { body, headers = {}, method = "GET" }: Asking = {}) =>
    Effect.async<Reply, Error>((resume) => {
      const request = Http.request({ port, method, path, headers, agent: false }, (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("error", (error) => resume(Effect.fail(error)))
        response.on("end", () =>
          resume(
            response.complete
              ? Effect.succeed({
                status: response.statusCode!,
                headers: Object.fromEntries(
                  Object.entries(response.headers).map((
                    [name, value]
                  ) => [name, Array.isArray(value) ? value.join("|") : value])
                ),
                body: Buffer.concat(chunks).toString()
              })
              : Effect.fail(new Error("broken off"))
          ))
      })
      request.on("error", (error) => resume(Effect.fail(error)))
      request.end(body)
      return Effect.sync(() => request.destroy())
    })
  return { port, ask, get: (path, headers = {}) => ask(path, { headers }) }
}

/** Serves the app on a port of its own until the scope closes. */
export const serve = <E, R>(
  app: HttpApp.Default<E, R>,
  http: Http.Server = Http.createServer()
): Effect.Effect<Client, never, Scope.Scope | Exclude<R, Scope.Scope | HttpServerRequest>> =>
  Effect.gen(function*() {
    const server = yield* Layer.build(NodeHttpServer.layer(() => http, { port: 0, backlog: 2048 }))
    return yield* Effect.gen(function*() {
      yield* HttpServer.serveEffect(app as HttpApp.Default)
      const { address } = yield* HttpServer.HttpServer
      return clientOf(address._tag === "TcpAddress" ? address.port : 0)
    }).pipe(Effect.provide(server))
  }).pipe(Effect.orDie) as any

/** What comes over a connection when these bytes are all that is sent on it, until the server closes it. */
export const raw = (port: number, text: string): Effect.Effect<string> => exchange(port, (socket) => socket.end(text))

/** The same for a request that asks for the connection to be closed, from a client that keeps its side open. */
export const rawOpen = (port: number, text: string): Effect.Effect<string> =>
  exchange(port, (socket) => socket.write(text))

const exchange = (port: number, send: (socket: Net.Socket) => void): Effect.Effect<string> =>
  Effect.async((resume) => {
    const socket = Net.connect({ port }, () => send(socket))
    let got = ""
    socket.on("data", (chunk) => got += chunk.toString("latin1"))
    socket.on("close", () => resume(Effect.succeed(got)))
    socket.on("error", () => resume(Effect.succeed(got)))
  })

/** What comes for a request to the host `good` with these fields, on a connection of its own. */
export const send = (
  port: number,
  target: string,
  fields: ReadonlyArray<string> = [],
  rest = "",
  method = "GET"
): Effect.Effect<string> =>
  raw(port, [`${method} ${target} HTTP/1.1`, "Host: good", "Connection: close", ...fields, "", rest].join("\r\n"))

export const storages = ["values", "bytes"] as const

export const memory = (storage: "values" | "bytes" = "values"): Layer.Layer<Backend.CacheBackend> =>
  Memory.layer({ storage })

/** Counts requests on their way to the app, and those whose clients have left. */
export interface Arrivals {
  /** Waits until so many have come. */
  readonly reach: (count: number) => Effect.Effect<void>
  /** Waits until the server has noticed that so many were given up. */
  readonly leave: (count: number) => Effect.Effect<void>
  readonly through: <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<E, R>
}

const counter = () => {
  let count = 0
  let waiting: ReadonlyArray<readonly [count: number, resume: () => void]> = []
  return {
    add: () => {
      count++
      const ready = waiting.filter(([wanted]) => count >= wanted)
      waiting = waiting.filter(([wanted]) => count < wanted)
      // The request that is counted goes on before those who waited for it.
      for (const [, resume] of ready) setImmediate(resume)
    },
    until: (wanted: number) =>
      Effect.async<void>((resume) => {
        if (count >= wanted) resume(Effect.void)
        else waiting = [...waiting, [wanted, () => resume(Effect.void)]]
      })
  }
}

export const arrivals = (): Arrivals => {
  const come = counter()
  const left = counter()
  return {
    reach: come.until,
    leave: left.until,
    through: (app) =>
      Effect.suspend(() => {
        come.add()
        return Effect.onInterrupt(app, () => Effect.sync(left.add))
      })
  }
}

/** A backend over this map, whose bytes can be counted, looked at and changed. */
export const storeOf = (store: Map<string, Uint8Array>): Layer.Layer<Backend.CacheBackend> =>
  Layer.scoped(
    Backend.CacheBackend,
    Backend.fromBytes({ name: "map", isShared: false }, {
      get: (key) => Effect.sync(() => Option.fromNullable(store.get(key))),
      set: (key, bytes) => Effect.sync(() => void store.set(key, bytes)),
      add: (key, bytes) => Effect.sync(() => !store.has(key) && store.set(key, bytes) === store),
      remove: (key) => Effect.sync(() => store.delete(key)),
      clear: () => Effect.sync(() => store.clear())
    })
  )

/** The app's response to a request, without a server. */
export const askApp = <E, R>(app: HttpApp.Default<E, R>, path: string, headers: Record<string, string>) =>
  Effect.provideService(app, HttpServerRequest, fromWeb(new Request(`http://example.com${path}`, { headers })))

/** An app that answers when it may, and tells who started it and what became of it. */
export const gated = Effect.gen(function*() {
  const started = yield* Deferred.make<void>()
  const gate = yield* Deferred.make<void>()
  const interrupted = yield* Deferred.make<void>()
  const source = { runs: 0, closed: 0 }
  const app = Effect.gen(function*() {
    yield* Effect.addFinalizer(() => Effect.sync(() => source.closed++))
    const run = ++source.runs
    yield* Deferred.succeed(started, undefined)
    yield* Effect.onInterrupt(Deferred.await(gate), () => Deferred.succeed(interrupted, undefined))
    return HttpServerResponse.text(`run ${run}`, { headers: { "cache-control": "max-age=60" } })
  })
  return { app, gate, interrupted, source, started }
})
