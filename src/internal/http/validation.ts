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

/** What a HEAD's response is compared with. */
export interface Compared {
  readonly headers: Fields
  readonly body: Uint8Array | undefined
  /** The preconditions made of its own validators. */
  readonly validating: Fields
}

/**
 * §4.3.5: what the response to a HEAD says of a stored one: that it is the `"same"`, as all
 * validators that were received match, that it has `"changed"`, or nothing, as none was.
 */
export const headSays = (head: Fields, { body, headers, validating }: Compared): "same" | "changed" | undefined => {
  const length = head["content-length"]
  const isMatching = (received: string | undefined, own: string | undefined) =>
    received === undefined || received === own
  if (
    !isMatching(head["etag"], validating["if-none-match"]) ||
    !isMatching(head["last-modified"], headers["last-modified"]) ||
    !isMatching(length, String(body?.length ?? 0))
  ) {
    return "changed"
  }
  return hasValidator(head) ? "same" : undefined
}
