/**
 * What went wrong with a request, told from the errors of sockets and memjs and
 * from the statuses of the protocol. None of it has a key, a value or a secret.
 */
import { Cause, type Failure } from "../redis/failure.js"
import { statuses } from "./packets.js"

export type { Failure } from "../redis/failure.js"

export const timedOut: Failure = { reason: "Timeout" }
export const closed: Failure = { reason: "Connection", description: "the backend is closed" }
export const contended: Failure = { reason: "Unavailable", description: "others kept changing the key" }

/** The connection fell silent. */
export class Silence extends Error {
  override readonly name = "Silence"
}

export const ofError = (error: Error): Failure => {
  if (error instanceof Silence) return timedOut
  // memjs' own words, for whichever way a server refuses.
  if (/authentication failed/i.test(error.message)) return { reason: "Authentication" }
  const message = error.message !== "" || !(error instanceof AggregateError)
    ? error.message
    : error.errors.map((each) => each instanceof Error ? each.message : "").join(", ")
  const { code } = error as { readonly code?: unknown }
  const cause = new Cause(error.name, message, typeof code === "string" ? code : undefined)
  return { reason: "Connection", description: `the connection failed: ${message}`, cause }
}

export const ofStatus = (status: number): Failure => {
  switch (status) {
    case statuses.tooLarge:
      return { reason: "TooLarge" }
    case statuses.outOfMemory:
      return { reason: "OutOfSpace" }
    case statuses.authentication:
      return { reason: "Authentication" }
    case statuses.busy:
    case statuses.temporary:
      return { reason: "Unavailable" }
    default:
      return { reason: "Unknown", description: `the server answered with status 0x${status.toString(16)}` }
  }
}
