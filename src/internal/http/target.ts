/**
 * The request target as it came: what of it is the key, and what the handler is shown.
 *
 * Nothing is parsed as a URL. The router ends a path at `?`, `;` and `#`, WHATWG URL
 * ends a query at `#` and takes `//name` for a host: whoever reads a target in another
 * way than the handler does gives one request the answer of another.
 */

/** Which parameters tell entries apart, and whether their order does. */
export type QueryRule =
  | "ordered"
  | "exact"
  | { readonly include: ReadonlyArray<string>; readonly exclude?: undefined }
  | { readonly exclude: ReadonlyArray<string>; readonly include?: undefined }

export interface Target {
  readonly path: string
  /** Without the question mark; `undefined` where there is none. */
  readonly query: string | undefined
}

export const splitTarget = (raw: string): Target => {
  const at = raw.indexOf("?")
  return at === -1 ? { path: raw, query: undefined } : { path: raw.slice(0, at), query: raw.slice(at + 1) }
}

export const joinTarget = ({ path, query }: Target): string => query === undefined ? path : `${path}?${query}`

/** A target in origin form, and the authority where it came in absolute form. */
export const originForm = (
  raw: string
):
  | { readonly scheme: string | undefined; readonly authority: string | undefined; readonly target: string }
  | undefined =>
{
  if (raw.startsWith("/")) return { scheme: undefined, authority: undefined, target: raw }
  const match = /^(https?):\/\/([^/?#]*)(.*)$/is.exec(raw)
  if (match === null) return undefined
  const rest = match[3]!
  return {
    scheme: match[1]!.toLowerCase(),
    authority: match[2]!.toLowerCase(),
    target: rest.startsWith("/") ? rest : `/${rest}`
  }
}

const decode = (name: string): string => decodeURIComponent(name.replaceAll("+", " "))

/** A parameter's name as it is written in a query, decoded; `undefined` where it is none. */
export const decodeName = (written: string): string | undefined => {
  try {
    return decode(written)
  } catch {
    return undefined
  }
}

const nameOf = (pair: string): string => {
  const at = pair.indexOf("=")
  return decode(at === -1 ? pair : pair.slice(0, at))
}

/** The pairs with their decoded names, or `undefined` where two parsers could disagree on them. */
export const pairsOf = ({ path, query }: Target) => {
  if (query === undefined || /[#;]/.test(path) || /[#;]/.test(query)) return undefined
  try {
    return query.split("&").map((pair) => ({ pair, name: nameOf(pair) }))
  } catch {
    return undefined
  }
}

/** Whether all parsers read the query of a key in one way. */
export const isAgreed = ([, , path, query]: PrimaryKey): boolean => pairsOf({ path, query: query ?? "" }) !== undefined

/** Names that some parser takes for one keep the order of their values. */
const familyOf = (name: string): string => name.split("[", 1)[0]!.toLowerCase()

const compare = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0

/** Whether the rule covers the parameter; the handler must not see one that it does not cover. */
export const covers = (rule: QueryRule, name: string): boolean =>
  typeof rule === "string"
    ? true
    : rule.include !== undefined
    ? rule.include.includes(name)
    : !rule.exclude.includes(name)

export interface Covered {
  /** The query's part of the key. */
  readonly key: string | undefined
  /** The query to show; `undefined` where there is none left. */
  readonly shown: string | undefined
}

/** What a rule makes of a target's query. A query that parsers could disagree on is taken as it is. */
export const coverQuery = (target: Target, rule: QueryRule): Covered => {
  const exact = { key: target.query, shown: target.query }
  if (rule === "exact") return exact
  const pairs = pairsOf(target)
  if (pairs === undefined) return exact
  const kept = typeof rule === "string" ? pairs : pairs.filter(({ name }) => covers(rule, name))
  if (kept.length === 0) return { key: undefined, shown: undefined }
  const ordered = kept
    .map(({ name, pair }) => ({ pair, family: familyOf(name) }))
    .sort((a, b) => compare(a.family, b.family))
  return {
    key: ordered.map(({ pair }) => pair).join("&"),
    shown: kept.length === pairs.length ? target.query : kept.map(({ pair }) => pair).join("&")
  }
}

/** `raw` with the query that may be shown. `raw` may be in absolute form or a part of the original. */
export const showQuery = (raw: string, rule: QueryRule): string => {
  if (typeof rule === "string") return raw
  const target = splitTarget(raw)
  return joinTarget({ path: target.path, query: coverQuery(target, rule).shown })
}

/** The key of a URL's entry; those of its variants begin with it. */
export type PrimaryKey = readonly [scheme: string, authority: string, path: string, query: string | undefined]

export const primaryKey = (scheme: string, authority: string, target: string, rule: QueryRule): PrimaryKey => {
  const split = splitTarget(target)
  return [scheme, authority, split.path, coverQuery(split, rule).key]
}
