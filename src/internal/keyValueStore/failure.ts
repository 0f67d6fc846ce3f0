/**
 * What went wrong with a key value store, told from the platform's errors.
 *
 * What such an error describes is the store's business: it may quote what was
 * stored, and where. What is told here has neither.
 */
import type { PlatformError, SystemErrorReason } from "@effect/platform/Error"
import type { Reason } from "../../Backend.js"
import { Cause, codeOf, type Failure, reasonByCode } from "../failure.js"

const reasonBySystem: Record<SystemErrorReason, Reason> = {
  AlreadyExists: "Unavailable",
  BadResource: "Unavailable",
  Busy: "Unavailable",
  InvalidData: "Unknown",
  NotFound: "Unavailable",
  PermissionDenied: "Authentication",
  TimedOut: "Timeout",
  UnexpectedEof: "Connection",
  Unknown: "Unknown",
  WouldBlock: "Unavailable",
  WriteZero: "OutOfSpace"
}

export const failureOf = (error: PlatformError): Failure => {
  const code = error.cause instanceof Error ? codeOf(error.cause) : undefined
  const what = error._tag === "BadArgument" ? "BadArgument" : error.reason
  const message = `${error.module}.${error.method}: ${code ?? what}`
  return {
    reason: reasonByCode[code ?? ""] ?? (error._tag === "BadArgument" ? "InvalidInput" : reasonBySystem[error.reason]),
    description: `the store failed, ${message}`,
    cause: new Cause(error._tag, message, code)
  }
}
