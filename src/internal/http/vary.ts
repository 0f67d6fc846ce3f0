/**
 * `Vary` (RFC 9111 §4.1): by which request fields the answers of one URL are told apart.
 */
import { type Fields, isToken, listOf, namesOf } from "./fields.js"

/** More fields than this make more variants than are ever asked for again. */
export const maxNames = 8

/** Their values are as many as there are users: only by request of the program. */
const unbounded = new Set(["authorization", "cookie", "referer", "user-agent"])

/**
 * The names by which a response varies, sorted; `undefined` where no stored response
 * can be selected. `declared` names are part of the key anyway. In a private cache
 * there is one who asks.
 */
export const varyNames = (
  headers: Fields,
  declared: ReadonlySet<string>,
  isPrivate = false
): ReadonlyArray<string> | undefined => {
  // A body in a coding is for those who asked for it, whether the response says so or not.
  const implied = headers["content-encoding"] === undefined ? [] : ["accept-encoding"]
  const names = Array.from(new Set([...namesOf(headers["vary"]), ...implied])).filter((name) => !declared.has(name))
  return names.length > maxNames ||
      !names.every((name) => isToken(name) && name !== "*" && (isPrivate || !unbounded.has(name)))
    ? undefined
    : names.sort()
}

/** §4.1: a value in the form in which equal meanings are equal text; absent stays absent. */
export const normalise = (name: string, value: string | undefined): string | undefined => {
  if (value === undefined) return undefined
  const members = listOf(value).map((member) => member.split(";").map((_) => _.trim()).join(";"))
  // Of languages, some take the order for a preference.
  if (name === "accept-encoding") return members.map((_) => _.toLowerCase()).sort().join(",")
  return name === "accept-language" ? members.join(",").toLowerCase() : members.join(",")
}

/** The values that select a variant, in the order of `names`. */
export const selectingValues = (
  headers: Fields,
  names: ReadonlyArray<string>
): ReadonlyArray<readonly [name: string, value: string | undefined]> =>
  names.map((name) => [name, normalise(name, headers[name])])

/** `Vary` with further names; those that are there stay as they are written. */
export const mergeVary = (value: string | undefined, names: ReadonlyArray<string>): string | undefined => {
  const known = new Set(namesOf(value))
  if (known.has("*")) return value
  const added = names.filter((name) => !known.has(name.toLowerCase()))
  return added.length === 0
    ? value
    : value === undefined || known.size === 0
    ? added.join(", ")
    : `${value}, ${added.join(", ")}`
}
