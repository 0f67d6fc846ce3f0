/**
 * What went wrong with a store, told without what is nobody's business.
 *
 * The errors of drivers and of the system carry commands, paths and addresses,
 * and with them keys, values and passwords. A backend copies out of them what
 * may be read.
 */
import type { Reason } from "../Backend.js"

/** Why a request failed, and what to say about it. */
export interface Failure {
  readonly reason: Reason
  readonly description?: string | undefined
  readonly cause?: Cause | undefined
}

/** A copy of an error with nothing in it that is not meant to be read. */
export class Cause extends Error {
  constructor(
    override readonly name: string,
    message: string,
    /** The first word of an error reply, or the code of a system error. */
    readonly code: string | undefined
  ) {
    super(message)
  }
}

export const timedOut: Failure = { reason: "Timeout" }
export const closed: Failure = { reason: "Connection", description: "the backend is closed" }

/** A connection that could not be made, or broke. */
export const ofConnection = (error: Error): Failure & { readonly cause: Cause } => {
  const message = messageOf(error)
  return {
    reason: "Connection",
    description: `the connection failed: ${message}`,
    cause: new Cause(error.name, message, codeOf(error))
  }
}

/** The code of a system error. */
export const codeOf = (error: Error): string | undefined => {
  const { code } = error as { readonly code?: unknown }
  return typeof code === "string" ? code : undefined
}

/** Node's error for a host with several addresses has an empty message and one error for each. */
const messageOf = (error: Error): string =>
  error.message !== "" || !(error instanceof AggregateError)
    ? error.message
    : error.errors.map((each) => each instanceof Error ? each.message : "").join(", ")

/** Why the system refuses a file. */
export const reasonByCode: Readonly<Record<string, Reason>> = {
  ENOSPC: "OutOfSpace",
  EDQUOT: "OutOfSpace",
  EFBIG: "TooLarge",
  EACCES: "Authentication",
  EPERM: "Authentication",
  EROFS: "Unavailable",
  EMFILE: "Unavailable",
  ENFILE: "Unavailable",
  ENOMEM: "Unavailable",
  EAGAIN: "Unavailable",
  EBUSY: "Unavailable",
  EIO: "Unavailable",
  ESTALE: "Unavailable",
  ETIMEDOUT: "Unavailable",
  EEXIST: "Unavailable",
  ENOENT: "Unavailable",
  ENOTDIR: "Unavailable",
  EISDIR: "Unavailable",
  ELOOP: "Unavailable"
}
