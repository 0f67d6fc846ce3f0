/**
 * Where one server is, and what a client of it is made with.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Redis, RedisOptions } from "ioredis"
import type { BackendError } from "../../Backend.js"
import * as Client from "./client.js"
import { BackOff } from "./link.js"

/** What `url` says wins over the rest. */
export interface ServerOptions extends Client.ConnectionOptions {
  readonly url?: string | Redacted.Redacted<string> | undefined
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly path?: string | undefined
  readonly db?: number | undefined
}

export interface OneServer {
  /** A client by ioredis' `Redis`, which is loaded only where it is used. */
  readonly clientOf: (Client: typeof Redis) => Redis
  readonly backOff: BackOff
}

export const oneServer = (
  options: ServerOptions,
  connectTimeout: number,
  { errorOf }: Client.Kit
): Effect.Effect<OneServer, BackendError> =>
  Effect.suspend(() => {
    const { db, host, path, port } = options
    const url = Redacted.isRedacted(options.url) ? Redacted.value(options.url) : options.url
    if (url !== undefined && !isUrl(url)) {
      return Effect.fail(errorOf("connect")({ reason: "InvalidInput", description: `the url must be ${expectedUrl}` }))
    }
    const backOff = new BackOff()
    const clientOptions: RedisOptions = {
      ...Client.redisOptions(options, connectTimeout, backOff),
      ...Client.withoutUndefined({ db, host, path, port })
    }
    return Effect.succeed({
      clientOf: (Client) => url === undefined ? new Client(clientOptions) : new Client(url, clientOptions),
      backOff
    })
  })

/** The url that was given is not told: it may hold a password. */
const expectedUrl = "redis://[[username]:password@]host[:port][/db], rediss://… for TLS, or the path of a Unix socket"

const isUrl = (url: string): boolean => url.startsWith("/") || (/^rediss?:\/\//.test(url) && URL.canParse(url))
