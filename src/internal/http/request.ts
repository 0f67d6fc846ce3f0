/**
 * What of a request decides on its answer: whether a cache may answer it, what of it is
 * the key, and what the handler is shown. A handler that sees no more than the key
 * covers cannot be made to answer one request in the words of another.
 */
import type { Preconditions } from "./conditional.js"
import { type Fields, listOf } from "./fields.js"
import {
  joinTarget,
  originForm,
  type PrimaryKey,
  primaryKey,
  type QueryRule,
  showQuery,
  splitTarget
} from "./target.js"

export type CookieRule = "shared" | "bypass" | "ignore" | { readonly vary: ReadonlyArray<string> }
export type AuthorizationRule = "bypass" | "per user" | "shared"

/** What the program decided on requests. */
export interface RequestRules {
  readonly query: QueryRule
  readonly cookies: CookieRule
  readonly authorization: AuthorizationRule
  /** Fields that say who asks, in lower case. */
  readonly credentials: ReadonlyArray<string>
  /** Fields that are always part of the key, in lower case, sorted. */
  readonly vary: ReadonlyArray<string>
  /** What the key and the handler have of the authority; `false`: nothing. Default: all of it. */
  readonly host?: HostRule | undefined
  /** What the key and the handler have of a field, by its name in lower case. */
  readonly normalisers?: ReadonlyMap<string, Normaliser> | undefined
  /**
   * Whether requests go out, and the program itself makes them: what it says of forwarding
   * is sent on and part of the key, and a part that is not stored is asked for as a part.
   */
  readonly isOutgoing?: boolean | undefined
}

/** `undefined`: not a host of the app's. */
export type HostRule = boolean | ((host: string) => string | undefined)

/** `undefined`: as if the field were not there. */
export type Normaliser = (value: string | undefined) => string | undefined

/** A request as it came. */
export interface Asked {
  readonly method: string
  /** As the handler sees it: a part of the target where a router has taken a prefix off. */
  readonly url: string
  readonly originalUrl: string
  readonly headers: Fields
}

/** Why a request goes past the cache. */
export type Bypass = "method" | "bypass"

/** A request that may be answered from the cache. */
export interface Visit {
  readonly primary: PrimaryKey
  readonly isHead: boolean
  /** It has cookies that its handler sees and its key has not. */
  readonly isPersonal: boolean
  /** It has credentials that its handler sees and its key has not. */
  readonly isAuthorized: boolean
  /** Its key says who asks: what it gets is for one user. */
  readonly isOneUsers: boolean
  /** Its answers have variants, whatever they say: its key is more than the URL. */
  readonly isVarying: boolean
  /** It asks for a part and not for the whole. */
  readonly isPartial: boolean
  readonly preconditions: Preconditions
  /** In place of the authority that came; `undefined` where that is shown as it is. */
  readonly authority: string | undefined
  /** What the handler may see, without preconditions and ranges: those are answered here. */
  readonly fields: Fields
}

/** Read by frameworks, part of no key: whoever sends them must not choose what others get (CAPEC-141). */
const unkeyed = new Set([
  "forwarded",
  "front-end-https",
  "x-forwarded",
  "x-forwarded-host",
  "x-forwarded-method",
  "x-forwarded-path",
  "x-forwarded-port",
  "x-forwarded-prefix",
  "x-forwarded-protocol",
  "x-forwarded-scheme",
  "x-forwarded-server",
  "x-forwarded-ssl",
  "x-forwarded-uri",
  "x-host",
  "x-http-host-override",
  "x-http-method",
  "x-http-method-override",
  "x-method-override",
  "x-original-host",
  "x-original-method",
  "x-original-uri",
  "x-original-url",
  "x-rewrite-url",
  "x-scheme",
  "x-script-name",
  "x-url-scheme",
  "x-wap-profile"
])

/**
 * RFC 9110 §7.6.1: of the connection that a request came by. A proxy behind the cache takes off what `Connection` names:
 * it would not see what the key has.
 */
const ofConnection = new Set(["connection", "keep-alive", "proxy-connection", "te", "trailer"])

const conditional = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"]

/** The preconditions and ranges of a request. */
export const conditionalFields = (headers: Fields): Fields =>
  Object.fromEntries(conditional.flatMap((name) => headers[name] === undefined ? [] : [[name, headers[name]]]))

const has = (fields: Fields, name: string): boolean => fields[name] !== undefined

/** Of outgoing requests, part of the key where they are there. */
export const forwarding: ReadonlyArray<string> = [...unkeyed, "x-forwarded-proto"].sort()

/** RFC 9110 §9.3.1: content of a GET has no meaning, but a handler may read it. */
const hasContent = (fields: Fields): boolean =>
  has(fields, "transfer-encoding") || (has(fields, "content-length") && fields["content-length"]!.trim() !== "0")

/** The pairs of `Cookie` with these names, as they were sent. */
export const cookiesNamed = (header: string | undefined, names: ReadonlyArray<string>): string | undefined => {
  if (header === undefined) return undefined
  const kept = header.split(";").map((_) => _.trim()).filter((pair) => names.includes(pair.split("=", 1)[0]!.trim()))
  return kept.length === 0 ? undefined : kept.join("; ")
}

/** What the handler sees of the fields. */
const shownFields = (headers: Fields, rules: RequestRules, authority: string, scheme: string): Fields => {
  const shown: Record<string, string> = Object.create(null)
  for (const name of Object.keys(headers)) {
    if (typeof headers[name] !== "string") continue
    const isCovered = rules.isOutgoing === true || rules.vary.includes(name) ||
      !(unkeyed.has(name) || ofConnection.has(name))
    if (isCovered) shown[name] = headers[name]
  }
  for (const name of conditional) delete shown[name]
  if (rules.host === false) delete shown["host"]
  else if (has(shown, "host")) shown["host"] = authority
  if (has(shown, "x-forwarded-proto") && rules.isOutgoing !== true && !rules.vary.includes("x-forwarded-proto")) {
    shown["x-forwarded-proto"] = scheme
  }
  if (typeof rules.cookies === "object" || rules.cookies === "ignore") {
    const kept = rules.cookies === "ignore" ? undefined : cookiesNamed(shown["cookie"], rules.cookies.vary)
    if (kept === undefined) delete shown["cookie"]
    else shown["cookie"] = kept
  }
  for (const [name, normalise] of rules.normalisers ?? []) {
    const value = normalise(shown[name])
    if (value === undefined) delete shown[name]
    else shown[name] = value
  }
  return shown
}

/** Where a request goes: `undefined` where that is not certain. */
const locate = (
  asked: Asked,
  rules: RequestRules
): { readonly scheme: string; readonly authority: string; readonly target: string } | undefined => {
  // A target in absolute form on the wire names an authority that `Host` need not repeat.
  const target = asked.url.startsWith("/") ? originForm(asked.originalUrl) : undefined
  const host = asked.headers["host"]?.toLowerCase()
  if (target === undefined || (host !== undefined && target.authority !== undefined && host !== target.authority)) {
    return undefined
  }
  return {
    // Of an outgoing request it tells whence it came, and not where it goes.
    scheme: schemeOf((rules.isOutgoing === true ? undefined : asked.headers["x-forwarded-proto"]) ?? target.scheme),
    authority: host ?? target.authority ?? "",
    target: target.target
  }
}

/** The URL that a request is for. */
export const urlOf = (asked: Asked, rules: RequestRules): string | undefined => {
  const located = locate(asked, rules)
  return located === undefined ? undefined : `${located.scheme}://${located.authority}${located.target}`
}

/** The request as a cache sees it, or why it goes past the cache. */
export const visit = (asked: Asked, rules: RequestRules): Visit | Bypass => {
  const { headers, method } = asked
  if (method !== "GET" && method !== "HEAD") return "method"
  if (hasContent(headers) || has(headers, "upgrade") || has(headers, "expect")) return "bypass"
  if (has(headers, "if-match") || has(headers, "if-unmodified-since")) return "bypass"
  const isAuthorized = rules.credentials.some((name) => has(headers, name))
  if (isAuthorized && rules.authorization === "bypass") return "bypass"
  if (rules.cookies === "bypass" && has(headers, "cookie")) return "bypass"
  const located = locate(asked, rules)
  if (located === undefined) return "bypass"
  const { scheme, target } = located
  const authority = keyedAuthority(rules.host, located.authority)
  if (authority === undefined) return "bypass"
  let fields: Fields | undefined
  return {
    primary: primaryKey(scheme, authority, target, rules.query),
    isHead: method === "HEAD",
    authority: authority === located.authority ? undefined : authority,
    isPersonal: rules.cookies === "shared" && has(headers, "cookie") &&
      !(rules.authorization === "per user" && rules.credentials.includes("cookie")),
    isAuthorized: rules.authorization === "shared" && isAuthorized,
    isOneUsers: (rules.authorization === "per user" && isAuthorized) ||
      (typeof rules.cookies === "object" && has(headers, "cookie")),
    isVarying: rules.isOutgoing === true ? declaredNames(rules).some((name) => has(headers, name)) : isVarying(rules),
    isPartial: rules.isOutgoing === true && has(headers, "range"),
    preconditions: { ifNoneMatch: headers["if-none-match"], ifModifiedSince: headers["if-modified-since"] },
    // Most hits never ask.
    get fields() {
      return fields ??= shownFields(headers, rules, authority, scheme)
    }
  }
}

/** What of an authority is part of the key; `undefined` where it is not one of the app's. */
const keyedAuthority = (rule: HostRule | undefined, authority: string): string | undefined =>
  typeof rule === "function" ? rule(authority)?.toLowerCase() : rule === false ? "" : authority

const schemeOf = (scheme: string | undefined): string => scheme?.toLowerCase() === "https" ? "https" : "http"

/** The targets that the handler is shown. */
export const shownTargets = (
  asked: Asked,
  rule: QueryRule,
  /** In place of the one in a target in absolute form. */
  authority?: string | undefined
): { readonly url: string; readonly originalUrl: string } => {
  const form = authority === undefined ? undefined : originForm(asked.originalUrl)
  const original = form?.authority === undefined
    ? asked.originalUrl
    : authority === ""
    ? form.target
    : `${form.scheme}://${authority}${form.target}`
  return { url: showQuery(asked.url, rule), originalUrl: showQuery(original, rule) }
}

/** Whether every answer has variants, whatever it says. */
export const isVarying = (rules: RequestRules): boolean =>
  rules.vary.length > 0 || rules.authorization === "per user" || typeof rules.cookies === "object"

/** The request fields that are part of the key by decision of the program. */
export const declaredNames = (rules: RequestRules): ReadonlyArray<string> => [
  ...rules.vary,
  ...(typeof rules.cookies === "object" ? ["cookie"] : []),
  ...(rules.authorization === "per user" ? rules.credentials : []),
  ...(rules.isOutgoing === true ? forwarding : [])
]

/** Their names as the answer's `Vary` has them; `fields` and `credentials` as the program wrote them. */
export const declaredVary = (
  rules: RequestRules,
  fields: ReadonlyArray<string>,
  credentials: ReadonlyArray<string>
): ReadonlyArray<string> => [
  ...fields,
  ...(typeof rules.cookies === "object" ? ["Cookie"] : []),
  ...(rules.authorization === "per user" ? ["Authorization", ...credentials] : [])
]

/** The keys of a URL's entries: one for each scheme that the requests may have come by. */
export const keysOfUrl = (
  url: string,
  rule: QueryRule,
  host?: HostRule | undefined
): ReadonlyArray<PrimaryKey> | undefined => {
  const form = originForm(url)
  if (form?.authority === undefined) return undefined
  const authority = keyedAuthority(host, form.authority)
  if (authority === undefined) return []
  const { path, query } = splitTarget(form.target)
  // A fragment is not sent.
  const target = joinTarget({
    path: path.split("#", 1)[0]!,
    query: path.includes("#") ? undefined : query?.split("#", 1)[0]
  })
  return ["http", "https"].map((scheme) => primaryKey(scheme, authority, target, rule))
}

/** Tells senders apart, not requests: ignored where requests are compared. */
const incidental = new Set([
  "accept-encoding",
  "b3",
  "baggage",
  "cache-control",
  "connection",
  "dnt",
  "pragma",
  "priority",
  "referer",
  "te",
  "traceparent",
  "tracestate",
  "upgrade-insecure-requests",
  "user-agent",
  "x-correlation-id",
  "x-forwarded-for",
  "x-real-ip",
  "x-request-id"
])

/** Equal for requests that a handler can hardly tell apart: a failure is shared among those. */
export const fingerprint = (fields: Fields): string =>
  JSON.stringify(
    Object.keys(fields)
      .filter((name) => !incidental.has(name) && !name.startsWith("sec-") && !name.startsWith("x-b3-"))
      .sort()
      .map((name) => [name, name === "host" ? "" : listOf(fields[name]!)])
  )
