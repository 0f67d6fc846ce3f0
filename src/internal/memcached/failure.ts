/**
 * What went wrong with a request, told from the errors of sockets and memjs and
 * from the statuses of the protocol. None of it has a key, a value or a secret.
 */
import { type Failure, ofConnection, timedOut } from "../failure.js"
import { statuses } from "./packets.js"

export { closed, type Failure } from "../failure.js"

export const contended: Failure = { reason: "Unavailable", description: "others kept changing the key" }

/** The connection fell silent. */
export class Silence extends Error {
  override readonly name = "Silence"
}

export const ofError = (error: Error): Failure => {
  if (error instanceof Silence) return timedOut
  // memjs' own words, for whichever way a server refuses.
  if (/authentication failed/i.test(error.message)) return { reason: "Authentication" }
  return ofConnection(error)
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
