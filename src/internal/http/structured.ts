/**
 * Dictionaries of structured fields (RFC 9651 §4.2.2), as far as caches read them.
 */

/** A bare item; strings, tokens and the like are told apart by `type`. */
export type Item =
  | { readonly type: "integer" | "decimal" | "date"; readonly value: number }
  | { readonly type: "string" | "token" | "binary" | "display"; readonly value: string }
  | { readonly type: "boolean"; readonly value: boolean }

/** A member: an item, or the items of an inner list. Parameters are left out. */
export type Member = Item | ReadonlyArray<Item>

class Malformed extends Error {}

const key = /[a-z*][a-z0-9_\-.*]*/y
const ows = /[ \t]*/y
const spaces = / */y
const decimal = /-?\d{1,12}\.\d{1,3}(?![\d.])/y
const integer = /-?\d{1,15}(?![\d.])/y
const text = /"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y
const token = /[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*/y
const bytes = /:([A-Za-z0-9+/=]*):/y
const display = /%"((?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*)"/y
const date = /@(-?\d{1,15})(?![\d.])/y
const boolean = /\?([01])/y

class Reader {
  at = 0
  constructor(readonly input: string) {}

  take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at
    const match = pattern.exec(this.input)
    if (match === null) return undefined
    this.at = pattern.lastIndex
    return match
  }

  need(pattern: RegExp): RegExpExecArray {
    const match = this.take(pattern)
    if (match === undefined) throw new Malformed()
    return match
  }

  has(char: string): boolean {
    if (this.input[this.at] !== char) return false
    this.at++
    return true
  }

  get isAtEnd(): boolean {
    return this.at >= this.input.length
  }
}

const bareItem = (reader: Reader): Item => {
  let match = reader.take(decimal)
  if (match !== undefined) return { type: "decimal", value: Number(match[0]) }
  if ((match = reader.take(integer)) !== undefined) return { type: "integer", value: Number(match[0]) }
  if ((match = reader.take(text)) !== undefined) {
    return { type: "string", value: match[1]!.replace(/\\(.)/g, "$1") }
  }
  if ((match = reader.take(token)) !== undefined) return { type: "token", value: match[0] }
  if ((match = reader.take(bytes)) !== undefined) return { type: "binary", value: match[1]! }
  if ((match = reader.take(boolean)) !== undefined) return { type: "boolean", value: match[1] === "1" }
  if ((match = reader.take(date)) !== undefined) return { type: "date", value: Number(match[1]) }
  return { type: "display", value: reader.need(display)[1]! }
}

const skipParameters = (reader: Reader): void => {
  while (reader.has(";")) {
    reader.need(spaces)
    reader.need(key)
    if (reader.has("=")) bareItem(reader)
  }
}

const member = (reader: Reader): Member => {
  if (!reader.has("(")) {
    const item = bareItem(reader)
    skipParameters(reader)
    return item
  }
  const items: Array<Item> = []
  for (;;) {
    reader.need(spaces)
    if (reader.has(")")) {
      skipParameters(reader)
      return items
    }
    items.push(bareItem(reader))
    skipParameters(reader)
    const next = reader.input[reader.at]
    if (next !== " " && next !== ")") throw new Malformed()
  }
}

/** The members by key, of several with one key the last; `undefined` where the whole is malformed (§4.2). */
export const parseDictionary = (value: string): ReadonlyMap<string, Member> | undefined => {
  const reader = new Reader(value.replace(/^ +|(?<! ) +$/g, ""))
  const members = new Map<string, Member>()
  try {
    while (!reader.isAtEnd) {
      const name = reader.need(key)[0]
      let value: Member = { type: "boolean", value: true }
      if (reader.has("=")) value = member(reader)
      else skipParameters(reader)
      members.delete(name)
      members.set(name, value)
      reader.need(ows)
      if (reader.isAtEnd) break
      if (!reader.has(",")) return undefined
      reader.need(ows)
      if (reader.isAtEnd) return undefined
    }
    return members
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}
