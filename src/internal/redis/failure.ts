/**
 * What went wrong with a command, told from the errors of ioredis and of Redis.
 *
 * An error of ioredis carries its command, and with it values and passwords; a
 * reply may quote a key. What is told here has neither.
 */
import type { Socket } from "node:net"
import type { Reason } from "../../Backend.js"
import { Cause, type Failure, ofConnection, timedOut } from "../failure.js"

export { closed, type Failure, timedOut } from "../failure.js"

const reasonByWord: Record<string, Reason> = {
  WRONGPASS: "Authentication",
  NOAUTH: "Authentication",
  NOPERM: "Authentication",
  OOM: "OutOfSpace",
  LOADING: "Unavailable",
  READONLY: "Unavailable",
  MASTERDOWN: "Unavailable",
  CLUSTERDOWN: "Unavailable",
  TRYAGAIN: "Unavailable",
  BUSY: "Unavailable",
  UNKILLABLE: "Unavailable",
  NOREPLICAS: "Unavailable",
  MISCONF: "Unavailable"
}

const reasonByText: ReadonlyArray<readonly [pattern: RegExp, reason: Reason]> = [
  [/^ERR max number of clients/, "Connection"],
  [/^ERR (invalid password|invalid username|AUTH )/, "Authentication"],
  [/^ERR (DB index|invalid DB index|No such master)/, "InvalidInput"],
  [/^ERR Protocol error: invalid (multi)?bulk length/, "TooLarge"]
]

/** Of a connection that was lost or is not there: the reason is in the error event that came before. */
const isConsequence = /max retries per request|Stream isn't writeable|Connection is closed|Command aborted/

export const notConnected: Failure = { reason: "Connection", description: "there is no connection" }

/**
 * The failure of a connection that was not made, with what its socket knows: a port that does not speak TLS is silent
 * to one who does, as a server that is away would be.
 */
export const whileConnecting = (failure: Failure, socket: Socket | undefined): Failure => {
  const { connecting = false, secureConnecting = false } =
    socket as Partial<Socket & { readonly secureConnecting: boolean }> | undefined ?? {}
  if (connecting || !secureConnecting) return failure
  const { description = "no answer in time" } = failure
  return { ...failure, description: `${description}: the TLS handshake was not completed; does the port speak TLS?` }
}

/** `before` is what last went wrong with the connection. */
export const failureOf = (error: unknown, before?: Failure | undefined): Failure => {
  if (!(error instanceof Error)) return { reason: "Unknown" }
  if (error.name === "ReplyError") return ofReply(error.message)
  if (error.message === "Command timed out") return timedOut
  if (isConsequence.test(error.message)) {
    return before ?? { reason: "Connection", cause: new Cause(error.name, error.message, undefined) }
  }
  const isMistake = error instanceof TypeError || error instanceof RangeError ||
    /subscriber mode|monitoring/.test(error.message)
  const connection = ofConnection(error)
  return isMistake ? { reason: "Unknown", cause: connection.cause } : connection
}

const ofReply = (reply: string): Failure => {
  const message = withoutQuotes(reply)
  // Redis 6 wraps what a script's command answers.
  const word = /^ERR Error running script.*-([A-Z]+) /.exec(message)?.[1] ?? /^[A-Z]+/.exec(message)?.[0]
  const reason = reasonByText.find(([pattern]) => pattern.test(message))?.[1] ?? reasonByWord[word ?? ""] ?? "Unknown"
  return { reason, description: message, cause: new Cause("ReplyError", message, word) }
}

/** Error replies quote commands, which help, and arguments, which are nobody's business. */
const withoutQuotes = (reply: string): string =>
  reply.replace(/,? with args beginning with.*$/s, "").replace(
    /'[^']*'/g,
    (quoted, at: number) => / (command|the|for) $/.test(reply.slice(0, at)) ? quoted : "'…'"
  )
