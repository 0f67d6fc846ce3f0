/**
 * What the backends over Redis have in common: their options, the options that
 * every connection is made with, and waiting for the first answer.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { RedisOptions } from "ioredis"
import { BackendError } from "../../Backend.js"
import { InvalidOption, requireMillis, requireNumber } from "../options.js"
import { type Failure, failureOf, timedOut } from "./failure.js"
import type { BackOff } from "./link.js"
import type { Settings } from "./operations.js"

/**
 * How a client is used.
 *
 * @since 1.0.0
 * @category models
 */
export interface ClientOptions {
  /** Begins every key of the backend in the server; `clear("")` clears no other. Default: `"cache:"`. */
  readonly prefix?: string | undefined
  /** How long a command may take before it fails with `Timeout`. Default: 500 milliseconds. */
  readonly commandTimeout?: Duration.DurationInput | undefined
  /** The largest payload that is sent, in bytes; above, a write fails with `TooLarge`. Default: 64 MiB. */
  readonly maxValueBytes?: number | undefined
}

/** How connections are made. */
export interface ConnectionOptions extends ClientOptions {
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  /** `true`, or the options of `tls.connect`. Default: no TLS. */
  readonly tls?: boolean | RedisOptions["tls"]
  /** How long connecting may take, and how long `make` waits for the first answer. Default: 1 second. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * Whether `make` fails when no server answers or the credentials are refused.
   * Default: false; operations fail until one does answer.
   */
  readonly requireConnection?: boolean | undefined
  /** Anything else ioredis takes. What is named here wins over the options this module is safe with. */
  readonly options?: RedisOptions | undefined
}

export interface Address {
  readonly host: string
  readonly port: number
}

/**
 * The addresses at which this process reaches servers that know each other by
 * other ones, as `"host:port"`: behind a NAT, or in containers.
 */
export type NatMap = Readonly<Record<string, Address>>

/** One who waits for the first answer is called back, and can stop waiting. */
export type OnOutcome = (listener: (failure: Failure | undefined) => void) => () => void

export interface Kit {
  readonly settings: Settings
  readonly errorOf: Settings["errorOf"]
  readonly commandTimeout: number
}

/** What follows from the options for a module of that name; `name` is the backend's. */
export const kitOf = (module: string, name: string, options: ClientOptions): Kit => {
  const errorOf = (method: string) => (failure: Failure) => new BackendError({ backend: name, method, ...failure })
  return {
    errorOf,
    settings: {
      name,
      errorOf,
      prefix: options.prefix ?? "cache:",
      maxValueBytes: requireNumber(module, "maxValueBytes", options.maxValueBytes ?? 64 * 1024 * 1024, { min: 0 })
    },
    commandTimeout: requireMillis(module, "commandTimeout", options.commandTimeout ?? 500)
  }
}

export const connectTimeoutOf = (module: string, { connectTimeout }: ConnectionOptions): number =>
  requireMillis(module, "connectTimeout", connectTimeout ?? 1_000)

/** ioredis, if it is installed. */
export const load = (module: string, { errorOf }: Kit) =>
  Effect.tryPromise({
    try: () => import("ioredis"),
    catch: (error) =>
      errorOf("connect")({
        ...failureOf(error),
        reason: "Unknown",
        description: `effect-caching/backends/${module} needs ioredis: npm install ioredis@5`
      })
  })

/** The options of a connection that only `connect` starts. */
export const redisOptions = (
  { options, password, tls, username }: ConnectionOptions,
  connectTimeout: number,
  backOff: BackOff
): RedisOptions => ({
  // A lost reply is a failure, never a second try; nothing is kept to be sent later.
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  retryStrategy: backOff.next,
  connectTimeout,
  disconnectTimeout: 100,
  // The link asks for a first answer itself; ioredis' way prints where INFO is not permitted, and waits out a load.
  enableReadyCheck: false,
  disableClientInfo: true,
  keepAlive: 10_000,
  // ioredis 6 would speak RESP3; one protocol for both.
  ...({ protocol: 2 } as object),
  ...options,
  ...withoutUndefined({ password: password && Redacted.value(password), username }),
  ...(tls === undefined || tls === false ? {} : { tls: tls === true ? {} : tls }),
  lazyConnect: true
})

export const withoutUndefined = <A extends object>(record: A): { [K in keyof A]: NonNullable<A[K]> } =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as {
    [K in keyof A]: NonNullable<A[K]>
  }

/** Waits for the first answer, and fails where `requireConnection` wants one and there is none; `late` says how. */
export const connected = (
  onOutcome: OnOutcome,
  timeout: number,
  { requireConnection }: ConnectionOptions,
  { errorOf }: Kit,
  late: () => Failure = () => timedOut
): Effect.Effect<void, BackendError> => {
  const outcome = Effect.async<void, BackendError>((resume) => {
    const settle = (failure: Failure | undefined) => {
      clearTimeout(timer)
      resume(failure === undefined ? Effect.void : Effect.fail(errorOf("connect")(failure)))
    }
    const timer = setTimeout(() => settle(late()), timeout)
    const stop = onOutcome(settle)
    return Effect.sync(() => {
      clearTimeout(timer)
      stop()
    })
  })
  return requireConnection === true ? outcome : Effect.ignore(outcome)
}

/** `make` of an ioredis client, which refuses some options by throwing. */
export const refusing = <A>(make: () => A, { errorOf }: Kit): Effect.Effect<A, BackendError> =>
  Effect.try({
    try: make,
    catch: () => errorOf("connect")({ reason: "InvalidInput", description: "ioredis refused the options" })
  })

/** `host:port`, as servers write it: an address with colons needs no brackets. */
export const addressOf = (text: string): Address | undefined => {
  const colon = text.lastIndexOf(":")
  const host = text.slice(0, colon).replace(/^\[(.*)\]$/, "$1")
  const port = Number(text.slice(colon + 1))
  return colon >= 0 && isPort(port) ? { host, port } : undefined
}

const isPort = (port: number): boolean => Number.isInteger(port) && port > 0 && port < 65_536

/** The addresses of an option, or throws. A port left out is `defaultPort`. */
export const requireAddresses = (
  module: string,
  option: string,
  given: ReadonlyArray<string | { readonly host: string; readonly port?: number | undefined }>,
  defaultPort: number
): ReadonlyArray<Address> => {
  const fail = (value: unknown) => {
    throw new InvalidOption({ module, option, value, expected: "one or more of \"host:port\" or { host, port }" })
  }
  if (!Array.isArray(given) || given.length === 0) return fail(given)
  return given.map((node): Address => {
    if (typeof node === "string") {
      const text = node.trim()
      const address = addressOf(/^[^:]+$|^\[[^\]]+\]$/.test(text) ? `${text}:${defaultPort}` : text)
      // What comes before an @ may be a password.
      return address !== undefined && /^[^\s@/]+$/.test(address.host) ? address : fail(text.replace(/^.*@/s, "…@"))
    }
    const { host, port = defaultPort } = node ?? {}
    return typeof host === "string" && host !== "" && isPort(port) ? { host, port } : fail(node)
  })
}
