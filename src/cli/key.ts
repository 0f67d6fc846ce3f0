/**
 * How a person names an entry: by the name of its cache and the arguments, or by
 * the key as the backend knows it.
 */
import * as Key from "../internal/key.js"

export class NotAKey extends Error {}

/**
 * The key of a call of the cache. An argument is JSON; what cannot be, as a bare
 * word, is a string. One argument is the key itself, several are a list: as
 * `Memoize` has it, and `Cache` for keys that are lists.
 */
export const keyOf = (name: string, version: string | undefined, args: ReadonlyArray<string>): string => {
  const values = args.map(valueOf)
  const share = Key.prefixOf(name) + (version === undefined ? "" : `@${Key.prefixOf(version)}`)
  try {
    return share + Key.encode(values.length === 1 ? values[0] : values)
  } catch (error) {
    throw error instanceof Key.UnsupportedKey ? new NotAKey(error.message) : error
  }
}

const valueOf = (argument: string): unknown => {
  try {
    return JSON.parse(argument)
  } catch {
    // What begins like JSON was meant as JSON.
    if (/^\s*["[{]/.test(argument)) throw new NotAKey(`${argument} is not JSON`)
    return argument
  }
}
