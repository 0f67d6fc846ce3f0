/**
 * Validators and conditional requests (RFC 9110 §8.8, §13).
 */
import { createHash } from "node:crypto"
import { parseDate } from "./date.js"
import type { Fields } from "./fields.js"

/** The preconditions that a cache answers. */
export interface Preconditions {
  readonly ifNoneMatch: string | undefined
  readonly ifModifiedSince: string | undefined
}

/** A weak validator of the bytes: what comes after may still encode them in another way. */
export const weakEtag = (body: Uint8Array): string =>
  `W/"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`

/** A strong validator: every byte is the same, and nothing that comes after changes one. */
export const strongEtag = (body: Uint8Array): string => weakEtag(body).slice(2)

/** RFC 9110 §8.8.3 */
export const isEtag = (text: unknown): boolean =>
  typeof text === "string" && /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/.test(text)

const opaque = /(?:W\/)?"[\x21\x23-\x7e\x80-\uffff]*"/g

/** §13.1.2, by weak comparison (§8.8.3.2). */
export const matchesNone = (ifNoneMatch: string, etag: string | undefined): boolean => {
  if (ifNoneMatch.trim() === "*") return false
  if (etag === undefined) return true
  const weak = etag.replace(/^W\//, "")
  return !(ifNoneMatch.match(opaque) ?? []).some((candidate) => candidate.replace(/^W\//, "") === weak)
}

/** §13.2.2: whether a GET or HEAD that selects this 200 is answered 304. `If-None-Match` alone counts where it is given. */
export const isNotModified = (
  preconditions: Preconditions,
  status: number,
  headers: Fields,
  now: number
): boolean => {
  if (status !== 200) return false
  if (preconditions.ifNoneMatch !== undefined) return !matchesNone(preconditions.ifNoneMatch, headers["etag"])
  const since = parseDate(preconditions.ifModifiedSince, now)
  const modified = parseDate(headers["last-modified"], now)
  return since !== undefined && modified !== undefined && modified <= since
}
