/**
 * Where the variants of a URL are kept (RFC 9111 §4.1). A URL has a fixed number of
 * slots, and the selecting values choose one: however many values are sent, no more
 * entries are stored. What is in a slot says which values it answers; two that share one
 * replace each other.
 */
import { hash } from "node:crypto"
import type { Fields } from "./fields.js"
import type { RequestRules } from "./request.js"
import { selectingValues } from "./vary.js"

/** Which of a URL's variants answers a request. */
export interface Variant {
  /** Of the entry. */
  readonly key: ReadonlyArray<unknown>
  /** Of the selecting values: what the entry must have. Nobody's credentials can be read from it. */
  readonly digest: string
}

const digestOf = (values: unknown): string => hash("sha256", JSON.stringify(values), "base64url")

/** Values that are short, and say nothing about who asks, are their own digest. */
const longestText = 100
const isOpen = (name: string): boolean => name.startsWith("accept")

/** FNV-1a: whoever wants two values in one slot has them soon, with any hash. */
const slotOf = (digest: string, slots: number): number | string => {
  if (slots === Infinity) return digest
  let mixed = 0x811c9dc5
  for (let i = 0; i < digest.length; i++) mixed = Math.imul(mixed ^ digest.charCodeAt(i), 0x01000193)
  return (mixed >>> 0) % slots
}

/** The variant that answers these fields, in one of `slots`. Who asks, where that is part of the key, has slots of their own. */
export const variantOf = (
  primary: ReadonlyArray<unknown>,
  rules: RequestRules,
  fields: Fields,
  names: ReadonlyArray<string>,
  slots: number
): Variant => {
  const values = JSON.stringify([selectingValues(fields, rules.vary), selectingValues(fields, names)])
  const isText = values.length <= longestText && names.every(isOpen) && rules.vary.every(isOpen)
  const selecting = isText ? values : hash("sha256", values, "base64url")
  const isPerUser = rules.authorization === "per user"
  if (typeof rules.cookies !== "object" && !isPerUser) {
    return { key: [...primary, slotOf(selecting, slots)], digest: selecting }
  }
  const asker = digestOf([
    typeof rules.cookies === "object" ? fields["cookie"] ?? null : undefined,
    isPerUser ? rules.credentials.map((name) => fields[name] ?? null) : undefined
  ])
  return { key: [...primary, slotOf(selecting, slots), asker], digest: `${selecting}.${asker}` }
}
