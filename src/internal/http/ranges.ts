/**
 * Ranges of stored bodies (RFC 9110 §14).
 */
import { parseDate } from "./date.js"
import type { Fields } from "./fields.js"

export type Range =
  | { readonly _tag: "Part"; readonly from: number; readonly to: number }
  /** §14.4 */
  | { readonly _tag: "Unsatisfiable" }

/** §14.1.2: one range of bytes, `to` not included; `undefined` for what is to be ignored. */
export const parseRange = (value: string | undefined, length: number): Range | undefined => {
  const match = value === undefined ? null : /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(value)
  if (match === null) return undefined
  const [, first, last] = match as unknown as [string, string, string]
  if (first === "") {
    if (last === "") return undefined
    const size = Math.min(Number(last), length)
    return size === 0 ? { _tag: "Unsatisfiable" } : { _tag: "Part", from: length - size, to: length }
  }
  const from = Number(first)
  if (last !== "" && Number(last) < from) return undefined
  if (from >= length) return { _tag: "Unsatisfiable" }
  return { _tag: "Part", from, to: last === "" ? length : Math.min(Number(last) + 1, length) }
}

/** §13.1.5: whether `Range` counts. A validator must be strong, and a date the one of the response. */
export const isRangeFor = (ifRange: string | undefined, headers: Fields, now: number): boolean => {
  if (ifRange === undefined) return true
  if (ifRange.startsWith("\"")) return ifRange === headers["etag"]
  if (ifRange.startsWith("W/")) return false
  const modified = parseDate(headers["last-modified"], now)
  const date = parseDate(headers["date"], now)
  // §8.8.2.2: strong where the response was made at least a second after.
  return modified !== undefined && date !== undefined && date - modified >= 1000 && parseDate(ifRange, now) === modified
}
