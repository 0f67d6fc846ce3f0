/**
 * Whether a response may be stored (RFC 9111 §3), for how long, and for whom.
 */
import { type CacheControl, toPrivate } from "./cacheControl.js"
import { type Fields, isFieldValue } from "./fields.js"
import { explicitLifetime, heuristicLifetime, initialAge } from "./freshness.js"
import { directivesOf } from "./targeted.js"
import { hasValidator, validatingFields } from "./validation.js"
import { varyNames } from "./vary.js"

/** What the program decided. */
export interface StoreRules {
  /** For responses that do not say how long they are fresh. */
  readonly timeToLiveMillis: number | undefined
  /** `undefined`: the usual ones. */
  readonly statuses: ReadonlySet<number> | "any" | undefined
  /** Further statuses, and how long responses with them are fresh that do not say so, in milliseconds. */
  readonly lives?: ReadonlyMap<number, number> | undefined
  /** Whether responses with `Set-Cookie` are stored, and with it or without. */
  readonly setCookie?: "bypass" | "strip" | "store" | undefined
  /** Request fields that are part of the key, in lower case. */
  readonly declared: ReadonlySet<string>
  /** Whether responses that only say when they were changed are fresh for a while (§4.2.2). */
  readonly isHeuristic?: boolean | undefined
  /** Fields in place of `Cache-Control`, the first that is there (RFC 9213). */
  readonly targets?: ReadonlyArray<string> | undefined
  /** Whether the cache is one user's (§1): what is said to shared caches does not count. */
  readonly isPrivate?: boolean | undefined
  /** How long stale responses may be sent while one request for a new one is made. */
  readonly graceMillis?: number | undefined
  /** How long stale responses may be sent in place of errors. */
  readonly staleIfErrorMillis?: number | undefined
  /** Whether stale responses are kept for clients that take them (§5.2.1.2). */
  readonly isKeepingStale?: boolean | undefined
}

/** A response, and what matters of its request. */
export interface Exchange {
  readonly status: number
  readonly headers: Fields
  readonly hasCookies: boolean
  /** The request had `Authorization` or the like, which is not part of the key. */
  readonly isAuthorized: boolean
  /** The request had cookies that are not part of the key. */
  readonly isPersonal: boolean
  readonly requestedAt: number
  readonly receivedAt: number
}

export interface Storable {
  readonly _tag: "Storable"
  readonly lifetimeMillis: number
  readonly initialAgeMillis: number
  /** The names of `Vary`, sorted, without the declared ones. */
  readonly vary: ReadonlyArray<string>
  /** Fields that must not be stored. */
  readonly except: ReadonlyArray<string>
  /** Said to be for everybody: requests with cookies may use it. */
  readonly isShared: boolean
  /** Requests with `Authorization` may use it (§3.5). */
  readonly isForAuthorized: boolean
  /** §5.2.2.4: not to be used without validation. */
  readonly mustValidate: boolean
  /** The preconditions that validate it. */
  readonly validating: Fields
  /** §4.2.4, RFC 5861 §3: how long it may be sent stale while a new one is made. */
  readonly whileRevalidateMillis: number
  /** §4.2.4, RFC 5861 §4: how long it may be sent stale in place of an error. */
  readonly ifErrorMillis: number
  /** §4.2.4: no directive forbids to send it stale to a client that says `max-stale`. */
  readonly mayBeStale: boolean
}

export interface NotStorable {
  readonly _tag: "NotStorable"
  readonly reason: Reason
}

export type Reason =
  | "status"
  | "field"
  | "no-store"
  | "private"
  | "no-cache"
  | "set-cookie"
  | "authorization"
  | "cookie"
  | "vary"
  | "fields"
  | "freshness"

/** Final, complete and cacheable: RFC 9110 §15.1 without those whose answer an attacker can provoke. */
const usualStatuses = new Set([200, 203, 204, 300, 301, 302, 307, 308, 404, 410])
/** Those of them that last where they do not say how long. */
const lastingStatuses = new Set([200, 203, 204, 300, 301, 308])

/** Longer fields are sent and not stored: no client takes them, and they are read with every hit. */
const maxFieldsLength = 32 * 1024

const lengthOf = (headers: Fields): number => {
  let length = 0
  for (const name of Object.keys(headers)) length += name.length + headers[name]!.length
  return length
}

/** §3: not final, not complete, or about another response. */
const isNeverStored = (status: number): boolean => status < 200 || status === 206 || status === 304

const no = (reason: Reason): NotStorable => ({ _tag: "NotStorable", reason })

/** §3.5, and by the same reasoning for cookies. */
export const isShared = (cacheControl: CacheControl): boolean =>
  cacheControl.public || cacheControl.sMaxage !== undefined

export const judge = (exchange: Exchange, rules: StoreRules): Storable | NotStorable => {
  const { headers, receivedAt, status } = exchange
  const statuses = rules.statuses === "any" ? undefined : rules.statuses
  if (
    isNeverStored(status) ||
    (rules.statuses !== "any" && !(statuses ?? usualStatuses).has(status) && rules.lives?.has(status) !== true)
  ) {
    return no("status")
  }
  // RFC 9110 §14.4: it means nothing here; an app that sends it is likely wrong about its status.
  if (headers["content-range"] !== undefined && rules.statuses !== "any") return no("status")
  // RFC 9110 §5.5: it cannot be sent; stored, it would be an error for all.
  if (!Object.values(headers).every(isFieldValue)) return no("field")
  const isPrivate = rules.isPrivate === true
  const { cacheControl: directives, isTargeted } = directivesOf(headers, rules.targets ?? [])
  const cacheControl = isPrivate ? toPrivate(directives) : directives
  // §5.2.2.3: who understands the status need not obey `no-store`, who does not must not store.
  if (cacheControl.mustUnderstand ? !usualStatuses.has(status) : cacheControl.noStore) return no("no-store")
  if (cacheControl.private === true) return no("private")
  const isValidatable = hasValidator(headers)
  const mustValidate = cacheControl.noCache === true
  if (mustValidate && !isValidatable) return no("no-cache")
  const setsCookies = exchange.hasCookies || headers["set-cookie"] !== undefined
  if (setsCookies && (rules.setCookie ?? "bypass") === "bypass") return no("set-cookie")
  const forEverybody = isShared(cacheControl)
  const forAuthorized = forEverybody || cacheControl.mustRevalidate
  if (exchange.isAuthorized && !forAuthorized) return no("authorization")
  if (exchange.isPersonal && !forEverybody) return no("cookie")
  const vary = varyNames(headers, rules.declared, isPrivate)
  if (vary === undefined) return no("vary")
  if (lengthOf(headers) > maxFieldsLength) return no("fields")
  const lasting = rules.lives?.get(status) ??
    ((statuses ?? lastingStatuses).has(status) ? rules.timeToLiveMillis : undefined)
  const { expires: _, ...withoutExpires } = headers
  const explicit = explicitLifetime(isTargeted ? withoutExpires : headers, cacheControl, receivedAt)
  const said = explicit ?? lasting ??
    (rules.isHeuristic === true ? heuristicLifetime(status, headers, cacheControl, receivedAt) : undefined)
  const lifetimeMillis = mustValidate ? 0 : said ?? 0
  const initialAgeMillis = initialAge(headers, exchange.requestedAt, receivedAt)
  const mayBeStale = !mustValidate && !cacheControl.mustRevalidate && !cacheControl.proxyRevalidate
  // §5.2.2.10: `s-maxage` forbids what is stale too. `grace` is the program's word, for its own app.
  const saysStale = mayBeStale && cacheControl.sMaxage === undefined
  const whileRevalidateMillis = Math.max(
    mayBeStale ? rules.graceMillis ?? 0 : 0,
    saysStale ? (cacheControl.staleWhileRevalidate ?? 0) * 1000 : 0
  )
  const ifErrorMillis = saysStale
    ? Math.max(rules.staleIfErrorMillis ?? 0, (cacheControl.staleIfError ?? 0) * 1000)
    : 0
  // What says how long it is fresh, be it not at all, is kept for its validator.
  const isKept = (isValidatable || (rules.isKeepingStale === true && saysStale)) &&
    (mustValidate || said !== undefined)
  if (!(lifetimeMillis > initialAgeMillis) && !isKept) return no("freshness")
  return {
    _tag: "Storable",
    lifetimeMillis,
    initialAgeMillis,
    vary,
    except: [cacheControl.private, cacheControl.noCache].flatMap((_) => typeof _ === "boolean" ? [] : _),
    isShared: forEverybody,
    isForAuthorized: forAuthorized,
    mustValidate,
    validating: validatingFields(headers),
    whileRevalidateMillis,
    ifErrorMillis,
    mayBeStale: saysStale
  }
}
