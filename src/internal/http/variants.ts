/**
 * Where the variants of a URL are kept (RFC 9111 §4.1). A URL has a fixed number of
 * slots, and the selecting values choose one: however many values are sent, no more
 * entries are stored. What is in a slot says which values it answers; two that share one
 * replace each other.
 */
import { hash } from "node:crypto"
import type { Fields } from "./fields.js"
import { forwarding, type RequestRules } from "./request.js"
import { selectingValues } from "./vary.js"

/** Which of a URL's variants answers a request. */
export interface Variant {
  /** Of the entry. */
  readonly key: ReadonlyArray<unknown>
  /** Of the selecting values: what the entry must have. */
  readonly digest: string
}

const digestOf = (values: unknown): string => hash("sha256", JSON.stringify(values), "base64url")

/** The slot of a digest: its first 32 bits. */
const slotOf = (digest: string, slots: number): number | string =>
  slots === Infinity ? digest : Buffer.from(digest.slice(0, 6), "base64url").readUInt32BE() % slots

/** The variant that answers these fields, in one of `slots`. Who asks, where that is part of the key, has slots of their own. */
export const variantOf = (
  primary: ReadonlyArray<unknown>,
  rules: RequestRules,
  fields: Fields,
  names: ReadonlyArray<string>,
  slots: number
): Variant => {
  const selecting = digestOf([
    selectingValues(fields, rules.vary),
    selectingValues(fields, names),
    ...(rules.isOutgoing === true ? selectingValues(fields, forwarding.filter((_) => fields[_] !== undefined)) : [])
  ])
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
