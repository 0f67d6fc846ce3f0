/**
 * Whether a response may be stored (RFC 9111 §3), for how long, and for whom.
 */
import { type CacheControl, parseCacheControl } from "./cacheControl.js"
import type { Fields } from "./fields.js"
import { explicitLifetime, initialAge } from "./freshness.js"
import { varyNames } from "./vary.js"

/** What the program decided. */
export interface StoreRules {
  /** For responses that do not say how long they are fresh. */
  readonly timeToLiveMillis: number | undefined
  /** `undefined`: the usual ones. */
  readonly statuses: ReadonlySet<number> | undefined
  /** Request fields that are part of the key, in lower case. */
  readonly declared: ReadonlySet<string>
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
  /** §4.2.4 */
  readonly mayBeStale: boolean
}

export interface NotStorable {
  readonly _tag: "NotStorable"
  readonly reason: Reason
}

export type Reason =
  | "status"
  | "no-store"
  | "private"
  | "no-cache"
  | "set-cookie"
  | "authorization"
  | "cookie"
  | "vary"
  | "freshness"

/** Final, complete and cacheable: RFC 9110 §15.1 without those whose answer an attacker can provoke. */
const usualStatuses = new Set([200, 203, 204, 300, 301, 302, 307, 308, 404, 410])
/** Those of them that last where they do not say how long. */
const lastingStatuses = new Set([200, 203, 204, 300, 301, 308])

/** §3: not final, not complete, or about another response. */
const isNeverStored = (status: number): boolean => status < 200 || status === 206 || status === 304

const no = (reason: Reason): NotStorable => ({ _tag: "NotStorable", reason })

/** §3.5, and by the same reasoning for cookies. */
export const isShared = (cacheControl: CacheControl): boolean =>
  cacheControl.public || cacheControl.sMaxage !== undefined

export const judge = (exchange: Exchange, rules: StoreRules): Storable | NotStorable => {
  const { headers, receivedAt, status } = exchange
  if (!(rules.statuses ?? usualStatuses).has(status) || isNeverStored(status)) return no("status")
  if (headers["content-range"] !== undefined) return no("status")
  const cacheControl = parseCacheControl(headers["cache-control"])
  if (cacheControl.noStore) return no("no-store")
  if (cacheControl.private === true) return no("private")
  if (cacheControl.noCache === true) return no("no-cache")
  if (exchange.hasCookies || headers["set-cookie"] !== undefined) return no("set-cookie")
  const forEverybody = isShared(cacheControl)
  const forAuthorized = forEverybody || cacheControl.mustRevalidate
  if (exchange.isAuthorized && !forAuthorized) return no("authorization")
  if (exchange.isPersonal && !forEverybody) return no("cookie")
  const vary = varyNames(headers, rules.declared)
  if (vary === undefined) return no("vary")
  const lasting = (rules.statuses ?? lastingStatuses).has(status) ? rules.timeToLiveMillis : undefined
  const lifetimeMillis = explicitLifetime(headers, cacheControl, receivedAt) ?? lasting ?? 0
  const initialAgeMillis = initialAge(headers, exchange.requestedAt, receivedAt)
  if (!(lifetimeMillis > initialAgeMillis)) return no("freshness")
  return {
    _tag: "Storable",
    lifetimeMillis,
    initialAgeMillis,
    vary,
    except: [cacheControl.private, cacheControl.noCache].flatMap((_) => typeof _ === "boolean" ? [] : _),
    isShared: forEverybody,
    isForAuthorized: forAuthorized,
    mayBeStale: !cacheControl.mustRevalidate && !cacheControl.proxyRevalidate
  }
}
