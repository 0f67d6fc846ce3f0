/**
 * `No-Vary-Search` (RFC-to-be of draft-ietf-httpbis-no-vary-search): which parts of a
 * query an answer does not depend on.
 */
import { type Item, type Member, parseDictionary } from "./structured.js"
import { decodeName, pairsOf, type PrimaryKey, type QueryRule } from "./target.js"

/** What of a query does not matter. */
export interface SearchRule {
  readonly isOrderFree: boolean
  /** `true`: no parameter matters but `except`. Otherwise the names of those that do not. */
  readonly ignored: true | ReadonlyArray<string>
  readonly except: ReadonlyArray<string>
}

const isItem = (member: Member): member is Item => "type" in member

/** The decoded names in an inner list; `undefined` where it is none, or one is no name. */
const namesIn = (member: Member): ReadonlyArray<string> | undefined => {
  if (isItem(member)) return undefined
  const names: Array<string> = []
  for (const item of member) {
    const name = item.type === "string" ? decodeName(item.value) : undefined
    if (name === undefined) return undefined
    names.push(name)
  }
  return Array.from(new Set(names)).sort()
}

const flagOf = (member: Member | undefined): boolean | undefined =>
  member === undefined ? false : isItem(member) && member.type === "boolean" ? member.value : undefined

/** `undefined`: everything matters, also where the field is malformed in any part. */
export const parseNoVarySearch = (value: string | undefined): SearchRule | undefined => {
  const members = value === undefined ? undefined : parseDictionary(value)
  if (members === undefined) return undefined
  const isOrderFree = flagOf(members.get("key-order"))
  const params = members.get("params")
  const all = flagOf(params)
  const ignored = all === undefined ? namesIn(params!) : all ? true : []
  const except = members.has("except") ? namesIn(members.get("except")!) : []
  if (isOrderFree === undefined || ignored === undefined || except === undefined) return undefined
  if (members.has("except") && ignored !== true) return undefined
  return isOrderFree || ignored === true || ignored.length > 0 ? { isOrderFree, ignored, except } : undefined
}

/** What a key that leaves parameters out says to caches behind; `undefined` where it leaves none out. */
export const fieldOf = (rule: QueryRule): string | undefined => {
  if (typeof rule === "string") return undefined
  const names = (rule.include ?? rule.exclude).map((name) => `"${encodeURIComponent(name)}"`).join(" ")
  if (rule.include !== undefined) return names === "" ? "params" : `params, except=(${names})`
  return names === "" ? undefined : `params=(${names})`
}

/** Equal for rules that say the same. */
export const textOf = (rule: SearchRule): string => JSON.stringify([rule.isOrderFree, rule.ignored, rule.except])

/** What `textOf` wrote. */
export const ruleOf = (text: string): SearchRule => {
  const [isOrderFree, ignored, except] = JSON.parse(text) as [boolean, true | Array<string>, Array<string>]
  return { isOrderFree, ignored, except }
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : 0

/** Where the last rule of a path is kept: without it, nothing that was stored by it is found. */
export const ruleKey = ([scheme, authority, path]: PrimaryKey): ReadonlyArray<unknown> => [
  scheme,
  authority,
  path,
  undefined,
  "search"
]

/**
 * The key of an answer by what matters of its query, under a generation of the path's rule;
 * `undefined` where parsers could disagree on the query: then all of it matters.
 */
export const searchKey = (
  [scheme, authority, path, query]: PrimaryKey,
  { except, ignored, isOrderFree }: SearchRule,
  generation: string
): ReadonlyArray<unknown> | undefined => {
  const pairs = query === undefined ? [] : pairsOf({ path, query })
  if (pairs === undefined) return undefined
  const kept = pairs.filter(({ name }) => ignored === true ? except.includes(name) : !ignored.includes(name))
  // Stable: the values of one name keep their order.
  const ordered = isOrderFree ? kept.sort(byName) : kept
  const rest = ordered.length === 0 ? undefined : ordered.map(({ pair }) => pair).join("&")
  return [scheme, authority, path, rest, "search", generation]
}
