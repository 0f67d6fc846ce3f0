/**
 * What a client prefers, reduced to what the app has (RFC 9110 §12.5): requests that get
 * the same answer then say the same. Preferences that a client holds equal are settled by
 * the app's order, never by the order in which they were sent.
 */
import { listOf } from "./fields.js"

interface Preference {
  readonly name: string
  readonly weight: number
}

/** RFC 9110 §12.4.2: the members with their weights; those with a malformed weight are left out. */
const preferencesOf = (value: string): ReadonlyArray<Preference> =>
  listOf(value).flatMap((member) => {
    const match = /^([^\s;]+)(?:[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)[ \t]*)?$/i.exec(member)
    return match === null ? [] : [{ name: match[1]!.toLowerCase(), weight: Number(match[2] ?? 1) }]
  })

/** RFC 4647 §3.4: the tag, of those that are known, that a range names, or names without its last subtags. */
const lookup = (range: string, known: ReadonlyArray<string>): string | undefined => {
  let rest = range
  while (rest !== "" && !known.includes(rest)) {
    rest = rest.slice(0, Math.max(0, rest.lastIndexOf("-")))
    // A single letter belongs to what came after it.
    if (rest.at(-2) === "-") rest = rest.slice(0, -2)
  }
  return rest === "" ? undefined : rest
}

/**
 * The language, of those that the app has, that a request prefers, by lookup (RFC 4647
 * §3.4). The first of them where the request names none of them.
 */
export const preferredLanguage = (value: string | undefined, available: ReadonlyArray<string>): string => {
  const known = available.map((tag) => tag.toLowerCase())
  const weights = new Map<string, number>()
  let any = 0
  for (const { name, weight } of preferencesOf(value ?? "")) {
    if (name === "*") any = weight
    // What is refused is refused by its own name only.
    const tag = weight === 0 ? name : lookup(name, known)
    if (tag !== undefined && weights.get(tag) !== 0) {
      weights.set(tag, weight === 0 ? 0 : Math.max(weights.get(tag) ?? 0, weight))
    }
  }
  let best = 0
  let bestWeight = 0
  known.forEach((tag, at) => {
    const weight = weights.get(tag) ?? any
    if (weight > bestWeight) {
      best = at
      bestWeight = weight
    }
  })
  return available[best]!
}

/**
 * The content coding, of those that the app has, that a request prefers; `identity` where
 * it takes none of them, or prefers that (RFC 9110 §12.5.3).
 */
export const preferredEncoding = (value: string | undefined, available: ReadonlyArray<string>): string => {
  const weights = new Map(
    preferencesOf(value ?? "").map(({ name, weight }) => [name.replace(/^x-(?=gzip$|compress$)/, ""), weight])
  )
  const any = weights.get("*")
  let best = "identity"
  let bestWeight = weights.get("identity") ?? 0
  let isFound = false
  for (const coding of available) {
    const weight = weights.get(coding.toLowerCase()) ?? any ?? 0
    // Where both are held equal the coding is the better one.
    if (weight > 0 && (isFound ? weight > bestWeight : weight >= bestWeight)) {
      best = coding
      bestWeight = weight
      isFound = true
    }
  }
  return best
}
