/**
 * What went wrong with a file, told from the errors of the system.
 *
 * Such an error carries a path, and a path the name of a cache. What is told
 * here has the directory that the program chose, and nothing below it.
 */
import type { Reason } from "../../Backend.js"
import { reasonByCode } from "../failure.js"

/** Why an operation failed, and what to say about it. */
export interface Failure {
  readonly reason: Reason
  readonly description: string
  readonly cause?: Cause | undefined
}

/** A copy of an error of the system, without its paths. */
export class Cause extends Error {
  override readonly name = "SystemError"
  constructor(message: string, readonly code: string, readonly syscall: string | undefined) {
    super(message)
  }
}

/** Thrown where it is not the system that refuses. */
export class Refused extends Error {
  constructor(readonly reason: Reason, readonly description: string) {
    super(description)
  }
}

/** Nobody waits for the answer any more. */
export class Abandoned extends Error {}

/** The code of a system error. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).code === "string"
    ? (error as NodeJS.ErrnoException).code
    : undefined

export const failureOf = (error: unknown, directory: string): Failure => {
  if (error instanceof Refused) return { reason: error.reason, description: `${error.description}: ${directory}` }
  const code = codeOf(error)
  if (code === undefined) return { reason: "Unknown", description: `the operation failed: ${directory}` }
  const { message, syscall } = error as NodeJS.ErrnoException
  // "ENOSPC: no space left on device, write '/a/path'"
  const text = /^\w+: ([^,]+), /.exec(message)?.[1] ?? "the system refused"
  const what = `${code}: ${text}${syscall === undefined ? "" : `, ${syscall}`}`
  return {
    reason: reasonByCode[code] ?? "Unknown",
    description: `${what}: ${directory}`,
    cause: new Cause(what, code, syscall)
  }
}
