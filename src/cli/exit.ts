/**
 * How the program ends.
 */
import * as ValidationError from "@effect/cli/ValidationError"
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Data from "effect/Data"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { BackendError } from "../Backend.js"
import { InvalidOption } from "../internal/options.js"
import { withoutCredentials } from "./render.js"

/** The exit codes, as `docs/command-line.md` tells them. */
export const codes = {
  ok: 0,
  /** No such entry, or the question was answered with no. */
  negative: 1,
  /** The command line or the configuration is wrong. */
  usage: 2,
  /** The store could not be reached, or failed. */
  store: 3,
  /** A package is not installed; main.ts, which must do without packages, says it too. */
  missing: 4,
  fault: 70,
  interrupted: 130
} as const

/** The answer is no. It has been printed. */
export class Negative extends Data.TaggedError("Negative") {}

/** What was asked for cannot be meant. */
export class Usage extends Data.TaggedError("Usage")<{ readonly message: string }> {}

/** Who reads what is printed has gone away: `… | head`. */
export class ReaderGone extends Data.TaggedError("ReaderGone") {}

export interface End {
  readonly code: number
  /** One line for each thing that is wrong. */
  readonly lines: ReadonlyArray<string>
}

export const endOf = (exit: Exit.Exit<unknown, unknown>): End => {
  if (Exit.isSuccess(exit)) return { code: codes.ok, lines: [] }
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (failure !== undefined) return endOfFailure(failure)
  if (Cause.isInterruptedOnly(exit.cause)) return { code: codes.interrupted, lines: [] }
  const defect = Cause.squash(exit.cause)
  return defect instanceof InvalidOption
    ? { code: codes.usage, lines: [withoutCredentials(defect.message)] }
    : { code: codes.fault, lines: [withoutCredentials(`unexpected: ${Cause.pretty(exit.cause)}`)] }
}

const endOfFailure = (failure: unknown): End => {
  if (failure instanceof Negative) return { code: codes.negative, lines: [] }
  if (failure instanceof ReaderGone) return { code: codes.ok, lines: [] }
  if (failure instanceof Usage) return { code: codes.usage, lines: [withoutCredentials(failure.message)] }
  if (failure instanceof BackendError) {
    const isPackage = / needs (ioredis|memjs): npm install /.test(failure.description ?? "")
    return { code: isPackage ? codes.missing : codes.store, lines: [withoutCredentials(failure.message)] }
  }
  if (ConfigError.isConfigError(failure)) return { code: codes.usage, lines: problemsIn(failure) }
  // Printed by the parser of the command line.
  if (ValidationError.isValidationError(failure)) return { code: codes.usage, lines: [] }
  return { code: codes.fault, lines: [withoutCredentials(`unexpected: ${String(failure)}`)] }
}

const problemsIn = (error: ConfigError.ConfigError): ReadonlyArray<string> =>
  error._op === "And" || error._op === "Or"
    ? [...problemsIn(error.left), ...problemsIn(error.right)]
    : [withoutCredentials(`${error.path.join(".").replace(/^CACHE_URL$/, "--url or CACHE_URL")}: ${error.message}`)]
