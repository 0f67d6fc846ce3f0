/**
 * Fields for caches that belong to the app: `Surrogate-Control` (Edge Architecture
 * Specification 1.0 §2) and fields with tags. Clients have no use for them.
 */
import { type CacheControl, secondsOf, silent } from "./cacheControl.js"
import { type Fields, listOf } from "./fields.js"

/**
 * §2.2.2: `no-store`, and `max-age` with the time it may be sent stale after a plus sign.
 * Directives for a surrogate that is named after a semicolon are not for this one.
 */
export const parseSurrogateControl = (value: string): CacheControl | undefined => {
  const directives = listOf(value)
  if (directives.length === 0) return undefined
  let maxAge: number | undefined
  let extension: number | undefined
  let noStore = false
  for (const directive of directives) {
    const [name, argument] = directive.split("=", 2) as [string, string | undefined]
    if (directive.includes(";")) continue
    if (name.trim().toLowerCase() === "no-store") noStore = true
    if (name.trim().toLowerCase() === "max-age") {
      const match = /^(\d+)(?:\+(\d+))?$/.exec(argument ?? "")
      // Of several the most restrictive.
      maxAge = Math.min(maxAge ?? Infinity, secondsOf(match?.[1]))
      extension = Math.min(extension ?? Infinity, secondsOf(match?.[2]))
    }
  }
  // It may be about other things only: then it must not stand in for `Cache-Control`.
  if (!noStore && maxAge === undefined) return undefined
  return { ...silent, noStore, maxAge, staleWhileRevalidate: extension === 0 ? undefined : extension }
}

/** The tags in the fields of these names: between commas and white space. */
export const tagsIn = (headers: Fields, names: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...new Set(names.flatMap((name) => headers[name]?.split(/[\s,]+/).filter((tag) => tag !== "") ?? []))
]

/** Without the fields of these names. */
export const without = (headers: Fields, names: ReadonlySet<string>): Fields => {
  if (names.size === 0) return headers
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.has(name)))
}
