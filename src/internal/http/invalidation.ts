/**
 * What a request that changes something makes old (RFC 9111 §4.4).
 */
import type { Fields } from "./fields.js"

const safe = new Set(["GET", "HEAD", "OPTIONS", "TRACE"])

/** Whether the answer of an unsafe method, or of one that is not known, ends what is stored. */
export const isInvalidating = (method: string, status: number): boolean =>
  !safe.has(method) && status >= 200 && status < 400

/** The URLs to invalidate: the target, and those that the answer names at the same origin. */
export const invalidatedUrls = (url: string, headers: Fields): ReadonlyArray<string> => {
  const urls = [url]
  let base: URL
  try {
    base = new URL(url)
  } catch {
    return urls
  }
  for (const name of ["location", "content-location"]) {
    const reference = headers[name]
    if (reference === undefined) continue
    try {
      const named = new URL(reference, base)
      if (named.origin === base.origin) urls.push(named.href)
    } catch {
      // Names nothing.
    }
  }
  return urls
}
