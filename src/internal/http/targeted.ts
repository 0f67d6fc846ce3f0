/**
 * Cache directives for some caches and not for others (RFC 9213), as in
 * `CDN-Cache-Control`.
 */
import { type CacheControl, fieldsOf, parseCacheControl, type Restriction, secondsOf, silent } from "./cacheControl.js"
import type { Fields } from "./fields.js"
import { type Member, parseDictionary } from "./structured.js"
import { parseSurrogateControl } from "./surrogate.js"

const isFlag = (member: Member | undefined): boolean =>
  member !== undefined && "type" in member && member.type === "boolean" && member.value

const timeOf = (member: Member | undefined): number | undefined =>
  member !== undefined && "type" in member && member.type === "integer" ? secondsOf(String(member.value)) : undefined

/** Fails closed: what is neither `?0` nor a list of fields restricts the whole response. */
const restrictionOf = (member: Member | undefined): Restriction =>
  member === undefined || !("type" in member) || (member.type === "boolean" && !member.value)
    ? false
    : member.type === "string"
    ? fieldsOf(member.value)
    : member.type === "boolean"

/** §2.1: `undefined` where the field is empty or malformed: as if it were not there. */
export const parseTargeted = (value: string): CacheControl | undefined => {
  const members = parseDictionary(value)
  if (members === undefined || members.size === 0) return undefined
  return {
    ...silent,
    noStore: isFlag(members.get("no-store")),
    noCache: restrictionOf(members.get("no-cache")),
    private: restrictionOf(members.get("private")),
    public: isFlag(members.get("public")),
    mustRevalidate: isFlag(members.get("must-revalidate")),
    proxyRevalidate: isFlag(members.get("proxy-revalidate")),
    mustUnderstand: isFlag(members.get("must-understand")),
    maxAge: timeOf(members.get("max-age")),
    sMaxage: timeOf(members.get("s-maxage")),
    staleWhileRevalidate: timeOf(members.get("stale-while-revalidate")),
    staleIfError: timeOf(members.get("stale-if-error"))
  }
}

export interface Directives {
  readonly cacheControl: CacheControl
  /** §2.2: then `Cache-Control` and `Expires` say nothing. */
  readonly isTargeted: boolean
}

/** The directives in force: those of the first of `targets` that is there, or else of `Cache-Control` (§2.2). */
export const directivesOf = (headers: Fields, targets: ReadonlyArray<string>): Directives => {
  for (const name of targets) {
    const value = headers[name]
    const cacheControl = value === undefined
      ? undefined
      : name === "surrogate-control"
      ? parseSurrogateControl(value)
      : parseTargeted(value)
    if (cacheControl !== undefined) return { cacheControl, isTargeted: true }
  }
  return { cacheControl: parseCacheControl(headers["cache-control"]), isTargeted: false }
}
