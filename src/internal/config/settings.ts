/**
 * Settings as they stand in the configuration: one key, its value, and what was
 * expected where it is none.
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"

/** The value of a key, `undefined` where it is not set or blank; the left of `parse` says what was expected. */
export const setting = <A>(
  key: string,
  parse: (text: string) => Either.Either<A, string>
): Config.Config<A | undefined> =>
  Config.string(key).pipe(
    Config.mapOrFail((text) =>
      text.trim() === ""
        ? Either.left(ConfigError.MissingData([], `${key} is blank`))
        : Either.mapLeft(parse(text), (problem) => ConfigError.InvalidData([], problem))
    ),
    Config.withDefault(undefined)
  )

export const notThat = (expected: string, text: string): Either.Either<never, string> =>
  Either.left(`Expected ${expected}, not ${JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)}`)

export const text = (key: string) => setting(key, Either.right)

export const secret = (key: string) => setting(key, (text) => Either.right(Redacted.make(text)))

export const integer = (key: string, min: number, max: number) =>
  setting(key, (text) => {
    const number = /^\s*\d+\s*$/.test(text) ? Number(text) : NaN
    return number >= min && number <= max ? Either.right(number) : notThat(`an integer from ${min} to ${max}`, text)
  })
