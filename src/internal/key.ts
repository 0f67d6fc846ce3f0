/**
 * Keys: one canonical text for each value, the same in every process and
 * release. Equal values have equal text and unequal values unequal text.
 *
 * Every part is tagged with its type and delimits itself:
 *
 *     "text"            4'text         true / false       T / F
 *     1, -0, NaN        1; -0; NaN;    null / undefined   N / U
 *     1n                1n             Date               D<epoch ms>;
 *     [a, b]            [ab]           Map                M[<sorted pairs>]
 *     { k: v }          {k'v}, sorted  Set                S[<sorted>]
 *     bytes             B<type>'<base64>;
 *     a value with a primary key       P<length>'<tag><length>'<primary key>
 *     a tagged value                   O<length>'<tag>{…}
 *
 * A key that is one string is that string behind a single quote, so that it can
 * be read in the store. Text over `maxLength` is replaced by its SHA-256.
 */
import { hash } from "node:crypto"

/** Thrown for a value that can be no part of a key. */
export class UnsupportedKey extends Error {
  override readonly name = "UnsupportedKey"
  constructor(readonly path: string | undefined, readonly found: string) {
    super(`${found} at ${path} cannot be part of a cache key`)
  }
}

/** Text longer than this is hashed; in UTF-16 units. */
export const maxLength = 200

const maxDepth = 200
const maxTexts = 2_000
const primaryKey = Symbol.for("effect/PrimaryKey")
const equal = Symbol.for("effect/Equal")
const effect = Symbol.for("effect/Effect")
const redacted = Symbol.for("effect/Redacted")
const unordered = [Symbol.for("effect/HashMap"), Symbol.for("effect/HashSet"), Symbol.for("effect/MutableHashMap")]

const isWellFormed: (text: string) => boolean = (text) =>
  (text as string & { isWellFormed: () => boolean }).isWellFormed()

/** The share of a backend that belongs to `name`; no name's share begins with another's. */
export const prefixOf = (name: string): string => `${name.replace(/[%:~]/g, percent)}:`

/** The name whose share a key of a backend is in, if it is in one. */
export const nameOf = (key: string): string | undefined => {
  const end = key.indexOf(":")
  return end < 0 ? undefined : key.slice(0, end).replace(/%(?:25|3A|7E)/g, decodeURIComponent)
}

const percent = (char: string): string => `%${char.charCodeAt(0).toString(16).toUpperCase()}`

/** The canonical text of `value`, at most `maxLength` long. */
export const encode = (value: unknown): string => {
  if (typeof value === "string") {
    return value.length < maxLength ? "'" + wellFormed(value, "$") : hashed("'" + wellFormed(value, "$"))
  }
  const text = writeWhole(value)
  return text.length <= maxLength ? text : hashed(text)
}

/**
 * `prefix` and the text of a value, remembered for the last strings and numbers
 * that were asked for: a `Map` finds the very same string sooner than an equal one.
 */
export class Texts {
  private readonly known = new Map<string | number, string>()
  private unknown = 0
  constructor(private readonly prefix: string) {}

  of(value: unknown): string {
    // Not zero: a Map takes -0 for 0. Not what is hashed: it may be of any size.
    const isSmall = typeof value === "string" ? value.length < maxLength : typeof value === "number" && value !== 0
    if (!isSmall) return this.prefix + encode(value)
    const known = this.known.get(value as string | number)
    if (known !== undefined) return known
    const text = this.prefix + encode(value)
    // Keys that come only once must not cost much: when full, remembering begins anew after a while.
    if (this.known.size < maxTexts) this.known.set(value as string | number, text)
    else if (++this.unknown === 8 * maxTexts) {
      this.known.clear()
      this.unknown = 0
    }
    return text
  }
}

/** Only a value that is refused is asked where: it is walked again, with the path. */
const writeWhole = (value: unknown): string => {
  try {
    return write(value, undefined, [])
  } catch (error) {
    if (error instanceof UnsupportedKey) write(value, "$", [])
    throw error
  }
}

/** A short name for texts: equal for equal ones. */
export const digest = (texts: ReadonlyArray<string>): string =>
  hash("sha256", texts.map((text) => sized(text, "$")).join(""), "base64url").slice(0, 12)

const hashed = (text: string): string => "#" + hash("sha256", text, "base64url")

/** Where in the key; `undefined` while nobody asks. */
type Path = string | undefined

const wellFormed = (text: string, path: Path): string => {
  if (isWellFormed(text)) return text
  throw new UnsupportedKey(path, "a string with a lone surrogate")
}

const sized = (text: string, path: Path): string => `${text.length}'${wellFormed(text, path)}`

const write = (value: unknown, path: Path, within: Array<object>): string => {
  switch (typeof value) {
    case "string":
      return sized(value, path)
    case "number":
      return Object.is(value, -0) ? "-0;" : `${value};`
    case "bigint":
      return `${value}n`
    case "boolean":
      return value ? "T" : "F"
    case "undefined":
      return "U"
    case "object": {
      if (value === null) return "N"
      if (within.includes(value)) throw new UnsupportedKey(path, "a cycle")
      if (within.length === maxDepth) throw new UnsupportedKey(path, `a value nested deeper than ${maxDepth} levels`)
      within.push(value)
      const text = writeObject(value, path, within)
      within.pop()
      return text
    }
    default:
      throw new UnsupportedKey(path, `a ${typeof value}`)
  }
}

const writeObject = (value: object, path: Path, within: Array<object>): string => {
  if (Array.isArray(value)) {
    let text = "["
    for (let i = 0; i < value.length; i++) text += write(value[i], path && `${path}[${i}]`, within)
    return text + "]"
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return writeFields(value, path, within)
  if (primaryKey in value) {
    const key = (value[primaryKey] as () => string).call(value)
    return `P${sized(tagOf(value) ?? "", path)}${sized(key, path)}`
  }
  if (value instanceof Date) return `D${value.getTime()};`
  if (value instanceof URL) return `L${sized(value.href, path)}`
  if (value instanceof Map) {
    const pairs = Array.from(
      value,
      ([k, v]) => write(k, path && `${path}.key`, within) + write(v, path && `${path}.value`, within)
    )
    return `M[${pairs.sort().join("")}]`
  }
  if (value instanceof Set) return `S[${writeAll(value, path, within).sort().join("")}]`
  if (ArrayBuffer.isView(value)) {
    return writeBytes(
      value[Symbol.toStringTag as never] ?? "DataView",
      value.buffer,
      value.byteOffset,
      value.byteLength
    )
  }
  if (value instanceof ArrayBuffer) return writeBytes("ArrayBuffer", value, 0, value.byteLength)
  if (equal in value && !(redacted in value)) return writeData(value, path, within)
  throw new UnsupportedKey(
    path,
    redacted in value ? "a redacted value" : `an instance of ${prototype.constructor?.name || "a class without a name"}`
  )
}

/** Effect's data types: compared by value, and not all of them by their fields. */
const writeData = (value: object, path: Path, within: Array<object>): string => {
  const tag = tagOf(value)
  if (tag !== undefined) return `O${sized(tag, path)}${writeFields(value, path, within)}`
  if (effect in value) throw new UnsupportedKey(path, "an effect")
  if (Symbol.iterator in value) {
    const parts = writeAll(value as Iterable<unknown>, path, within)
    return unordered.some((id) => id in value) ? `H[${parts.sort().join("")}]` : `I[${parts.join("")}]`
  }
  const json = "toJSON" in value ? (value as { toJSON: () => unknown }).toJSON() : undefined
  return typeof json === "object" && json !== null && "_id" in json
    ? `J${writeFields(json, path, within)}`
    : writeFields(value, path, within)
}

const tagOf = (value: object): string | undefined =>
  "_tag" in value && typeof value._tag === "string" ? value._tag : undefined

const writeAll = (values: Iterable<unknown>, path: Path, within: Array<object>): Array<string> =>
  Array.from(values, (value, index) => write(value, path && `${path}[${index}]`, within))

const writeFields = (value: object, path: Path, within: Array<object>): string => {
  const fields = Object.keys(value)
  if (!isSorted(fields)) fields.sort()
  let text = "{"
  for (const field of fields) {
    text += name(field, path) + write((value as Record<string, unknown>)[field], path && `${path}.${field}`, within)
  }
  return text + "}"
}

/** Field names that were written: programs have few, and use them again and again. */
const names = new Map<string, string>()
const maxNames = 1_000

const name = (field: string, path: Path): string => {
  const known = names.get(field)
  if (known !== undefined) return known
  const text = sized(field, path)
  if (names.size < maxNames && field.length <= 50) names.set(field, text)
  return text
}

/** Most are: sorting what is sorted costs more than looking. */
const isSorted = (texts: ReadonlyArray<string>): boolean => {
  for (let i = 1; i < texts.length; i++) if (texts[i - 1]! > texts[i]!) return false
  return true
}

const writeBytes = (type: string, buffer: ArrayBufferLike, at: number, length: number): string =>
  `B${type}'${Buffer.from(buffer, at, length).toString("base64")};`
