/**
 * Asking whether a stored response is still the one (RFC 9111 §4.3).
 */
import type { Fields } from "./fields.js"
import { storedFields } from "./fields.js"

export const hasValidator = (headers: Fields): boolean =>
  headers["etag"] !== undefined || headers["last-modified"] !== undefined

/** §4.3.1: the preconditions of a request that validates a response with these fields. */
export const validatingFields = (headers: Fields): Fields => ({
  ...(headers["etag"] === undefined ? {} : { "if-none-match": headers["etag"] }),
  ...(headers["last-modified"] === undefined ? {} : { "if-modified-since": headers["last-modified"] })
})

const isStrong = (etag: string | undefined): boolean => etag !== undefined && !etag.startsWith("W/")

/** §4.3.4: whether a 304 is about the stored response. A strong validator must be the stored one. */
export const isAbout = (notModified: Fields, stored: Fields): boolean =>
  notModified["etag"] === undefined || stored["etag"] === undefined ||
  (isStrong(notModified["etag"])
    ? notModified["etag"] === stored["etag"]
    : notModified["etag"].replace(/^W\//, "") === stored["etag"].replace(/^W\//, ""))

/** §3.2: of the body that is stored, which a 304 does not bring. */
const ofBody = new Set(["content-encoding", "content-length", "content-range"])

/** §3.2: the stored fields with those of a 304 in place of their own. */
export const freshened = (stored: Fields, notModified: Fields): Record<string, string> => {
  // A 304 without a date is dated by when it comes (RFC 9110 §6.6.1), not by what it confirms.
  const { date: _, ...merged }: Record<string, string> = { ...stored }
  for (const [name, value] of Object.entries(storedFields(notModified, []))) {
    if (!ofBody.has(name)) merged[name] = value
  }
  // Of this exchange, and to be counted in once.
  if (notModified["age"] !== undefined) merged["age"] = notModified["age"]
  return merged
}
