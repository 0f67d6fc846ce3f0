/** A connection to a Redis server beside the cache: for what others write there, and what is there in truth. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Redis as Client } from "ioredis"

export type Call = <A = Buffer>(command: string, ...args: ReadonlyArray<string | Buffer>) => Effect.Effect<A>

/** Strings are answered as bytes. */
export const rawRedis = (url: string): Effect.Effect<Call, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(Effect.sync(() => new Client(url)), (client) => Effect.sync(() => client.disconnect())),
    (client): Call => (command, ...args) =>
      Effect.promise(() => client.callBuffer(command, ...args as Array<string>) as Promise<any>)
  )
