/**
 * `Cache-Status` (RFC 9211): how a cache handled a request.
 */
import { isToken } from "./fields.js"

/** §2.2: why the request went forward. */
export type Forward = "uri-miss" | "vary-miss" | "stale" | "request" | "method" | "bypass"

export interface Status {
  readonly forward?: Forward | undefined
  /** §2.3: what the app said, where the client is told another status. */
  readonly forwardStatus?: number | undefined
  /** The answer of the app was stored. */
  readonly isStored?: boolean | undefined
  /** Another request's answer was waited for and used. */
  readonly isCollapsed?: boolean | undefined
  /** How long the answer is still fresh; negative where it is stale. */
  readonly ttlMillis?: number | undefined
  /** §2.8: why it was neither sent from the cache nor forwarded, or is stale, or what is not known yet. */
  readonly detail?: string | undefined
}

/** The cache's name as a structured field item: a token where it is one. */
export const identifierOf = (name: string): string =>
  /^[A-Za-z*]/.test(name) && isToken(name) ? name : `"${name.replace(/["\\]/g, "\\$&").replace(/[^\x20-\x7e]/g, "?")}"`

const statusText = (
  identifier: string,
  { detail, forward, forwardStatus, isCollapsed, isStored, ttlMillis }: Status
): string => {
  const parts = [identifier]
  if (forward !== undefined) parts.push(`fwd=${forward}`)
  else if (detail === undefined) parts.push("hit")
  if (forwardStatus !== undefined) parts.push(`fwd-status=${forwardStatus}`)
  if (ttlMillis !== undefined) parts.push(`ttl=${Math.floor(ttlMillis / 1000)}`)
  if (isStored === true) parts.push("stored")
  if (isCollapsed === true) parts.push("collapsed")
  if (detail !== undefined) parts.push(`detail=${detail}`)
  return parts.join("; ")
}

/** `detail` of a stale answer in place of an error (RFC 5861 §4). */
export const ifError = "stale-if-error"

/** In one word, for people and for tools that know no `Cache-Status`. */
export const plainStatus = ({ detail, forward, ttlMillis }: Status): "HIT" | "STALE" | "MISS" | "BYPASS" =>
  forward === undefined
    ? detail !== undefined
      ? "MISS"
      : ttlMillis !== undefined && ttlMillis < 0
      ? "STALE"
      : "HIT"
    : forward === "bypass" || forward === "method"
    ? "BYPASS"
    : detail === ifError
    ? "STALE"
    : "MISS"

/** §2: the cache nearest to the origin comes first. */
export const appendStatus = (value: string | undefined, identifier: string, status: Status): string =>
  value === undefined || value === "" ? statusText(identifier, status) : `${value}, ${statusText(identifier, status)}`
