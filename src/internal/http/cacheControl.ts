/**
 * `Cache-Control` of a response (RFC 9111 §5.2). What forbids is understood even where
 * it is malformed; what allows is understood only where it is well-formed.
 */
import { isToken, listOf } from "./fields.js"

/** `true`: the whole response. Names: without those fields (§5.2.2.4, §5.2.2.7). */
export type Restriction = boolean | ReadonlyArray<string>

/** The directives of a response that a shared cache obeys. Times are in seconds. */
export interface CacheControl {
  readonly noStore: boolean
  readonly noCache: Restriction
  readonly private: Restriction
  readonly public: boolean
  readonly mustRevalidate: boolean
  readonly proxyRevalidate: boolean
  readonly maxAge: number | undefined
  readonly sMaxage: number | undefined
  /** §5.2.2.3 */
  readonly mustUnderstand: boolean
  /** RFC 5861 §3 */
  readonly staleWhileRevalidate: number | undefined
  /** RFC 5861 §4 */
  readonly staleIfError: number | undefined
}

/** What a response without directives says. */
export const silent: CacheControl = {
  noStore: false,
  noCache: false,
  private: false,
  public: false,
  mustRevalidate: false,
  proxyRevalidate: false,
  maxAge: undefined,
  sMaxage: undefined,
  mustUnderstand: false,
  staleWhileRevalidate: undefined,
  staleIfError: undefined
}

/** What a private cache obeys of it: the rest speaks to shared ones (§5.2.2.7, §5.2.2.8, §5.2.2.10). */
export const toPrivate = (cacheControl: CacheControl): CacheControl => ({
  ...cacheControl,
  private: false,
  proxyRevalidate: false,
  sMaxage: undefined
})

/** §1.2.2: what does not fit is this. */
const longest = 2 ** 31

/** Seconds. What is none is zero: such a response is stale (§4.2.1). */
export const secondsOf = (argument: string | undefined): number =>
  argument !== undefined && /^\d+$/.test(argument) ? Math.min(Number(argument), longest) : 0

/** What restrictions say together: everything, fields, or nothing. */
const together = (restrictions: ReadonlyArray<Restriction>): Restriction =>
  restrictions.length > 0 &&
  (restrictions.includes(true) || restrictions.flatMap((_) => typeof _ === "boolean" ? [] : _))

export const fieldsOf = (argument: string): Restriction => {
  const names = argument.split(",").map((_) => _.trim().toLowerCase()).filter((_) => _ !== "")
  return names.length > 0 && names.every(isToken) ? names : true
}

export interface Directive {
  readonly name: string
  /** Well-formed. */
  readonly argument: string | undefined
  readonly isMalformed: boolean
}

const directiveOf = (member: string): Directive | undefined => {
  const match = /^["'\s]*([^\s=;,"']+)(.*)$/s.exec(member)
  if (match === null) return undefined
  const name = match[1]!.toLowerCase()
  const rest = match[2]!
  if (rest === "" && isToken(member)) return { name, argument: undefined, isMalformed: false }
  const argument = rest.slice(1)
  if (rest[0] === "=" && isToken(argument)) return { name, argument, isMalformed: false }
  const quoted = rest[0] === "=" ? /^"((?:[^"\\]|\\.)*)"$/s.exec(argument) : null
  return quoted === null
    ? { name, argument: undefined, isMalformed: true }
    : { name, argument: quoted[1]!.replace(/\\(.)/gs, "$1"), isMalformed: false }
}

/** The directives of a field's value, in order; what has no name is left out. */
export const directivesIn = (value: string | undefined): ReadonlyArray<Directive> =>
  value === undefined ? [] : listOf(value).flatMap((member) => directiveOf(member) ?? [])

export const parseCacheControl = (value: string | undefined): CacheControl => {
  const parsed: { -readonly [K in keyof CacheControl]: CacheControl[K] } = { ...silent }
  const noCache: Array<Restriction> = []
  const isPrivate: Array<Restriction> = []
  for (const { argument, isMalformed, name } of directivesIn(value)) {
    const restriction = argument === undefined ? true : fieldsOf(argument)
    switch (name) {
      case "no-store":
        parsed.noStore = true
        break
      case "no-cache":
        noCache.push(restriction)
        break
      case "private":
        isPrivate.push(restriction)
        break
      case "must-revalidate":
        parsed.mustRevalidate = true
        break
      case "proxy-revalidate":
        parsed.proxyRevalidate = true
        break
      case "public":
        parsed.public ||= !isMalformed && argument === undefined
        break
      // Of several values the most restrictive (§4.2.1).
      case "max-age":
        parsed.maxAge = Math.min(parsed.maxAge ?? longest, secondsOf(argument))
        break
      case "s-maxage":
        parsed.sMaxage = Math.min(parsed.sMaxage ?? longest, secondsOf(argument))
        break
      case "must-understand":
        parsed.mustUnderstand ||= !isMalformed && argument === undefined
        break
      case "stale-while-revalidate":
        parsed.staleWhileRevalidate = Math.min(parsed.staleWhileRevalidate ?? longest, secondsOf(argument))
        break
      case "stale-if-error":
        parsed.staleIfError = Math.min(parsed.staleIfError ?? longest, secondsOf(argument))
        break
    }
  }
  return { ...parsed, noCache: together(noCache), private: together(isPrivate) }
}
