/**
 * Backends over a client: one of our own, or the user's.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Client } from "memjs"
import * as Backend from "../../Backend.js"
import type { Failure } from "./failure.js"
import { operations } from "./operations.js"
import * as Transport from "./transport.js"

export interface Settings {
  readonly prefix: string
  readonly maxValueBytes: number
  /** Of a request, in milliseconds. */
  readonly timeout: number
}

export interface Servers {
  readonly servers: ReadonlyArray<string>
  readonly username: string | undefined
  readonly password: string | undefined
  /** Whether a first failure to reach a server is one to make a backend. */
  readonly isFatal: (failure: Failure) => boolean
}

const name = "memcached"

const errorOf = (method: string) => (failure: Failure): Backend.BackendError =>
  new Backend.BackendError({ backend: name, method, ...failure })

const load = Effect.tryPromise({
  try: () => import("memjs"),
  catch: () =>
    errorOf("connect")({
      reason: "Unknown",
      description: "effect-caching/backends/Memcached needs memjs: npm install memjs@1"
    })
})

const make = (
  transport: Transport.Transport,
  { maxValueBytes, prefix }: Settings
): Effect.Effect<Backend.Backend, never, Scope.Scope> =>
  Backend.make(operations(transport, { name, errorOf, prefix, maxValueBytes }))

/** A backend over connections that end with the scope. */
export const connect = (
  settings: Settings,
  { isFatal, password, servers, username }: Servers
): Effect.Effect<Backend.Backend, Backend.BackendError, Scope.Scope> =>
  Effect.gen(function*() {
    const addresses = servers.flatMap((server) => Transport.parseAddress(server) ?? [])
    if (servers.length === 0 || addresses.length < servers.length) {
      // What it is may have credentials in it.
      const description = "servers must be a list of host:port, [address]:port or paths of Unix sockets"
      return yield* Effect.fail(errorOf("connect")({ reason: "InvalidInput", description }))
    }
    const memjs = yield* load
    const transport = yield* Effect.acquireRelease(
      Effect.sync(() => Transport.connect(memjs, addresses, { username, password, timeout: settings.timeout })),
      (transport) => Effect.sync(() => transport.close())
    )
    // Outside of the acquisition, so that it can be interrupted.
    yield* Effect.forEach(transport.nodes, (node) =>
      Effect.async<void, Backend.BackendError>((resume) =>
        node.send([], (failure) =>
          resume(
            failure === undefined || !isFatal(failure) ? Effect.void : Effect.fail(errorOf("connect")(failure))
          ))
      ), { concurrency: "unbounded", discard: true })
    return yield* make(transport, settings)
  })

/** A backend over a client that stays open. */
export const over = (client: Client, settings: Settings): Effect.Effect<Backend.Backend, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => Transport.over(client, settings.timeout)),
    (transport) => Effect.sync(() => transport.close())
  ).pipe(Effect.flatMap((transport) => make(transport, settings)))
