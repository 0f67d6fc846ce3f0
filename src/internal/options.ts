/**
 * Options that cannot be meant.
 */
import * as ConfigError from "effect/ConfigError"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/**
 * An option has a value that cannot be meant. Thrown by pure constructors: it is
 * a mistake in the program, not a condition of its surroundings.
 */
export class InvalidOption extends Data.TaggedError("InvalidOption")<{
  readonly module: string
  readonly option: string
  readonly value: unknown
  readonly expected: string
}> {
  override get message(): string {
    return `${this.module}: ${this.option} must be ${this.expected}, not ${show(this.value)}`
  }
}

const show = (value: unknown): string =>
  typeof value === "string"
    ? JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
    : Duration.isDuration(value)
    ? Duration.format(value)
    : typeof value === "object" && value !== null
    ? "an object"
    : String(value)

/** The milliseconds of a duration; `undefined` where the input is none. */
export const millisOf = (input: unknown): number | undefined => {
  if (typeof input === "number" ? !(input >= 0) : typeof input === "string" && input.startsWith("-")) return undefined
  const duration = Duration.decodeUnknown(input)
  return duration._tag === "Some" ? Duration.toMillis(duration.value) : undefined
}

/** Milliseconds of a duration option, or throws. */
export const requireMillis = (module: string, option: string, value: unknown): number => {
  const millis = millisOf(value)
  if (millis === undefined) throw new InvalidOption({ module, option, value, expected: "a duration of zero or more" })
  return millis
}

/** A number in `[min, max]`, or throws. */
export const requireNumber = (
  module: string,
  option: string,
  value: number,
  { integer = false, max = Infinity, min }: { readonly min: number; readonly max?: number; readonly integer?: boolean }
): number => {
  if (
    typeof value === "number" && value >= min && value <= max &&
    (!integer || Number.isInteger(value) || value === Infinity)
  ) {
    return value
  }
  const kind = integer ? "an integer" : "a number"
  throw new InvalidOption({
    module,
    option,
    value,
    expected: max === Infinity ? `${kind} of at least ${min}` : `${kind} from ${min} to ${max}`
  })
}

/** The effect with options that came from the configuration: what is wrong with them is the configuration's error. */
export const fromConfig = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | ConfigError.ConfigError, R> =>
  Effect.catchAllDefect(effect, (defect) =>
    defect instanceof InvalidOption
      ? Effect.fail(ConfigError.InvalidData([defect.option], defect.message))
      : Effect.die(defect))
