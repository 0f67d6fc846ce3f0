/** A real origin that counts, and the real clients that ask it. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type { CacheBackend } from "effect-caching/Backend"
import * as HttpCache from "effect-caching/HttpCache"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

export interface Hit {
  readonly method: string
  readonly url: string
  readonly headers: Http.IncomingHttpHeaders
}

export interface Origin {
  readonly url: string
  /** The requests that came, in order. */
  readonly hits: ReadonlyArray<Hit>
  /** Waits until no connection is open. */
  readonly closed: Effect.Effect<void>
}

export type Answer = (request: Http.IncomingMessage, response: Http.ServerResponse, hit: number) => void

/** Answers on a port of its own until the scope closes. `hit` counts from one. */
export const origin = (answer: Answer): Effect.Effect<Origin, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<{ readonly server: Http.Server; readonly origin: Origin }>((resume) => {
        const hits: Array<Hit> = []
        const sockets = new Set<object>()
        let waiting: ReadonlyArray<() => void> = []
        const server = Http.createServer((request, response) => {
          hits.push({ method: request.method!, url: request.url!, headers: request.headers })
          answer(request, response, hits.length)
        })
        server.on("connection", (socket) => {
          sockets.add(socket)
          socket.on("close", () => {
            sockets.delete(socket)
            if (sockets.size > 0) return
            for (const resume of waiting) resume()
            waiting = []
          })
        })
        const closed = Effect.async<void>((resume) => {
          if (sockets.size === 0) resume(Effect.void)
          else waiting = [...waiting, () => resume(Effect.void)]
        })
        server.listen(0, "127.0.0.1", () => {
          const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
          resume(Effect.succeed({ server, origin: { url, hits, closed } }))
        })
      }),
      ({ server }) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    ),
    ({ origin }) => origin
  )

/** Answers with how often it was asked, and for what. */
export const counting =
  (headers: Http.OutgoingHttpHeaders = { "cache-control": "max-age=60" }): Answer => (request, response, hit) => {
    response.writeHead(200, { "content-type": "text/plain", ...headers })
    response.end(`${hit} ${request.url}`)
  }

export const clients: ReadonlyArray<
  { readonly name: string; readonly layer: Layer.Layer<HttpClient.HttpClient> }
> = [
  { name: "fetch", layer: FetchHttpClient.layer },
  { name: "undici", layer: NodeHttpClient.layerUndici },
  { name: "node:http", layer: NodeHttpClient.layer }
]

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

/** What is cached of the client that there is, asked for a whole reply. */
export const caching = (
  options: HttpCache.ClientOptions = {}
): Effect.Effect<
  {
    readonly client: HttpClient.HttpClient.With<unknown, CacheBackend>
    readonly ask: (
      request: HttpClientRequest.HttpClientRequest
    ) => Effect.Effect<Reply, unknown, CacheBackend>
    readonly get: (
      url: string,
      headers?: Readonly<Record<string, string>>
    ) => Effect.Effect<Reply, unknown, CacheBackend>
  },
  never,
  HttpClient.HttpClient
> =>
  Effect.map(HttpClient.HttpClient, (inner) => {
    const client = HttpCache.client(options)(inner)
    const whole = (asking: ReturnType<typeof client.execute>) =>
      Effect.flatMap(
        asking,
        (response) =>
          Effect.map(response.text, (body) => ({ status: response.status, headers: response.headers, body }))
      )
    return {
      client,
      ask: (request) => whole(client.execute(request)),
      get: (url, headers = {}) => whole(client.get(url, { headers }))
    }
  })
