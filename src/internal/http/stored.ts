/**
 * What is stored for a URL, and its form in bytes.
 *
 * Under the URL's key is either its one answer, or how its answers vary: the names of
 * the fields and a generation. The variants are under keys of their own, and count if
 * their generation is the one under the URL's key: without that, all of them are gone.
 *
 * In bytes: the length of the head (u32, little endian), the head (JSON), the body, and the
 * body in content codings, whose lengths are in the head.
 */
import type { Form } from "./forms.js"

export interface Answer {
  readonly _tag: "Answer"
  /** Of the `Variance` it belongs to; `undefined` where it is the only answer. */
  readonly generation: string | undefined
  /** The digest of the values that select it; `undefined` where it is the only answer. */
  readonly variant: string | undefined
  readonly status: number
  readonly statusText: string | undefined
  readonly headers: Readonly<Record<string, string>>
  /** `Set-Cookie`, each as it is sent: only where the program has asked for it. */
  readonly setCookies: ReadonlyArray<string>
  /** `undefined`: no body, not even an empty one. */
  readonly body: Uint8Array | undefined
  /** The body in content codings. */
  readonly forms: ReadonlyArray<Form>
  readonly receivedAt: number
  readonly initialAgeMillis: number
  readonly lifetimeMillis: number
  readonly isShared: boolean
  readonly isForAuthorized: boolean
  readonly mustValidate: boolean
  /** The preconditions that validate it: of its own validators, not of the one it was given here. */
  readonly validating: Readonly<Record<string, string>>
  readonly whileRevalidateMillis: number
  readonly ifErrorMillis: number
  /** Its directives do not forbid what is stale, where the client allows it. */
  readonly mayBeStale: boolean
  /** It was made stale before its time; not stored. */
  readonly isInvalidated?: boolean | undefined
  /** Of the load; not stored. */
  readonly tags: ReadonlyArray<string>
}

export interface Variance {
  readonly _tag: "Variance"
  readonly generation: string
  /** Sorted, without those that are part of every key of the cache. */
  readonly names: ReadonlyArray<string>
  readonly lifetimeMillis: number
  readonly tags: ReadonlyArray<string>
}

/** Which parts of a path's queries do not matter, as its last answer said (`No-Vary-Search`). */
export interface Search {
  readonly _tag: "Search"
  /** Of the answers that were stored by it: without this, all of them are gone. */
  readonly generation: string
  readonly rule: string
  readonly lifetimeMillis: number
}

export type Stored = Answer | Variance | Search

/** Changes with the form. */
export const format = "http:4"

const utf8 = new TextEncoder()
const text = new TextDecoder("utf-8", { fatal: true })
const noBytes = new Uint8Array(0)

export const encode = (stored: Stored): Uint8Array => {
  const { tags: _, ...rest } = { tags: undefined, ...stored }
  const { body, forms } = stored._tag === "Answer" ? stored : { body: undefined, forms: [] }
  const head = utf8.encode(JSON.stringify({
    ...rest,
    body: body?.length,
    forms: forms.map(({ body, coding }) => [coding, body.length])
  }))
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, head.length, true)
  return concat([length, head, body ?? noBytes, ...forms.map(({ body }) => body)])
}

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** The body and its forms; `undefined` where the lengths are not those of `bytes`. */
const bodiesOf = (
  bytes: Uint8Array,
  bodyLength: unknown,
  forms: unknown
): Pick<Answer, "body" | "forms"> | undefined => {
  const lengths = Array.isArray(forms) ? forms as ReadonlyArray<unknown> : undefined
  if (lengths === undefined || !(bodyLength === undefined || isLength(bodyLength))) return undefined
  let at = bodyLength ?? 0
  const body = bodyLength === undefined ? undefined : bytes.slice(0, at)
  const found: Array<Form> = []
  for (const form of lengths) {
    const [coding, length] = Array.isArray(form) ? form as ReadonlyArray<unknown> : []
    if (!isText(coding) || !isLength(length)) return undefined
    found.push({ coding, body: bytes.slice(at, at + length) })
    at += length
  }
  return at === bytes.length ? { body, forms: found } : undefined
}

const isLength = (u: unknown): u is number => Number.isSafeInteger(u) && Number(u) >= 0

const isTime = (u: unknown): u is number => typeof u === "number" && Number.isFinite(u)
const isText = (u: unknown): u is string => typeof u === "string"

/** `undefined` for what `encode` did not write. */
export const decode = (bytes: Uint8Array): Stored | undefined => {
  if (bytes.length < 4) return undefined
  const bodyAt = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  if (bodyAt > bytes.length) return undefined
  let head: Record<string, unknown>
  try {
    head = JSON.parse(text.decode(bytes.subarray(4, bodyAt))) as Record<string, unknown>
  } catch {
    return undefined
  }
  if (typeof head !== "object" || head === null) return undefined
  const { body, forms, generation, headers, names, setCookies, validating, variant } = head
  if (head["_tag"] === "Variance") {
    return isText(generation) && Array.isArray(names) && names.every(isText) && isTime(head["lifetimeMillis"])
      ? { _tag: "Variance", generation, names, lifetimeMillis: head["lifetimeMillis"], tags: [] }
      : undefined
  }
  if (head["_tag"] === "Search") {
    const { lifetimeMillis, rule } = head
    return isText(generation) && isText(rule) && isTime(lifetimeMillis)
      ? { _tag: "Search", generation, rule, lifetimeMillis }
      : undefined
  }
  const bodies = bodiesOf(bytes.subarray(bodyAt), body, forms)
  return head["_tag"] === "Answer" && bodies !== undefined && Number.isInteger(head["status"]) &&
      typeof headers === "object" &&
      headers !== null && Object.values(headers).every(isText) && typeof validating === "object" &&
      validating !== null && Object.values(validating).every(isText) && isTime(head["receivedAt"]) &&
      Array.isArray(setCookies) && setCookies.every(isText) && isTime(head["initialAgeMillis"]) &&
      isTime(head["lifetimeMillis"]) &&
      isTime(head["whileRevalidateMillis"]) && isTime(head["ifErrorMillis"]) &&
      (generation === undefined || isText(generation)) && (variant === undefined || isText(variant))
    ? {
      _tag: "Answer",
      generation,
      variant,
      status: head["status"] as number,
      statusText: isText(head["statusText"]) ? head["statusText"] : undefined,
      headers: headers as Record<string, string>,
      setCookies,
      body: bodies.body,
      forms: bodies.forms,
      receivedAt: head["receivedAt"],
      initialAgeMillis: head["initialAgeMillis"],
      lifetimeMillis: head["lifetimeMillis"],
      isShared: head["isShared"] === true,
      isForAuthorized: head["isForAuthorized"] === true,
      mustValidate: head["mustValidate"] === true,
      validating: validating as Record<string, string>,
      whileRevalidateMillis: head["whileRevalidateMillis"],
      ifErrorMillis: head["ifErrorMillis"],
      mayBeStale: head["mayBeStale"] === true,
      tags: []
    }
    : undefined
}
