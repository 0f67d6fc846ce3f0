/**
 * The options of an HTTP cache with everything decided that can be decided once.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Options } from "../../HttpCache.js"
import { identifierOf } from "../http/cacheStatus.js"
import { isEtag, strongEtag, weakEtag } from "../http/conditional.js"
import { isToken } from "../http/fields.js"
import { preferredEncoding, preferredLanguage } from "../http/negotiation.js"
import { fieldOf } from "../http/noVarySearch.js"
import { declaredNames, declaredVary, type Normaliser, type RequestRules } from "../http/request.js"
import type { Obedience } from "../http/requestDirectives.js"
import { tagsIn } from "../http/surrogate.js"
import { InvalidOption, requireMillis, requireNumber } from "../options.js"
import { compressOf } from "./compress.js"
import type { LoadRules } from "./load.js"

type Question = ((request: HttpServerRequest.HttpServerRequest) => Effect.Effect<boolean>) | undefined

/** `Options` compiled. */
export interface Policy {
  readonly name: string
  /** In `Cache-Status`; `undefined` where there is to be none. */
  readonly identifier: string | undefined
  readonly rules: RequestRules
  readonly load: LoadRules
  /** How many slots a URL has for its variants. */
  readonly maxVariants: number
  /** Whether answers are tagged with the prefixes of their path. */
  readonly isPrefixed: boolean
  /** Whether `No-Vary-Search` counts. */
  readonly isSearching: boolean
  /** `No-Vary-Search` of answers, for what `query` leaves out of the key. */
  readonly searchField: string | undefined
  /** The field that says in one word how a request was answered. */
  readonly hitHeader: string | undefined
  /** Fields of answers that are for caches only. */
  readonly removed: ReadonlySet<string>
  /** Which of a client's own directives are obeyed. */
  readonly obedience: Obedience | ((request: HttpServerRequest.HttpServerRequest) => Obedience)
  readonly graceMillis: number
  /** Tags that every answer has; `undefined` where they depend on the answer. */
  readonly staticTags: ReadonlyArray<string> | undefined
  readonly unless: Question
  readonly forcedUpdate: Question
}

/** Fields that say who asks, as far as they have common names. */
export const commonCredentials = ["authorization", "api-key", "x-access-token", "x-api-key", "x-auth-token"]

const question = (given: ((...args: ReadonlyArray<any>) => boolean | Effect.Effect<boolean>) | undefined) =>
  given === undefined ? undefined : (...args: ReadonlyArray<any>): Effect.Effect<boolean> => {
    const answer = given(...args)
    return typeof answer === "boolean" ? Effect.succeed(answer) : answer
  }

const isNoStatus = (status: unknown): boolean => !/^[1-9]\d\d$/.test(String(status))

type Invalid = (option: string, value: unknown, expected: string) => InvalidOption

const normalisersOf = (
  { encodings, languages, normalise }: Options,
  invalid: Invalid
): ReadonlyMap<string, Normaliser> | undefined => {
  const normalisers = new Map<string, Normaliser>()
  for (const [name, normaliser] of Object.entries(normalise ?? {})) {
    const known = name.toLowerCase()
    if (!isToken(name) || typeof normaliser !== "function" || ["authorization", "cookie", "host"].includes(known)) {
      throw invalid("normalise", name, "functions by names of fields other than Authorization, Cookie and Host")
    }
    normalisers.set(known, normaliser)
  }
  const isList = (list: unknown) => Array.isArray(list) && list.length > 0 && list.every((_) => isToken(String(_)))
  if (languages !== undefined) {
    if (!isList(languages)) throw invalid("languages", languages, "a list of language tags")
    normalisers.set("accept-language", (value) => preferredLanguage(value, languages))
  }
  if (encodings !== undefined) {
    if (!isList(encodings)) throw invalid("encodings", encodings, "a list of content codings")
    normalisers.set("accept-encoding", (value) => preferredEncoding(value, encodings))
  }
  return normalisers.size === 0 ? undefined : normalisers
}

const statusesOf = (
  statuses: Options["statuses"],
  millis: (duration: Duration.DurationInput) => number
): Pick<LoadRules, "statuses" | "lives"> =>
  typeof statuses !== "object"
    ? { statuses }
    : Array.isArray(statuses)
    ? { statuses: new Set(statuses as ReadonlyArray<number>) }
    : {
      statuses: undefined,
      lives: new Map(Object.entries(statuses).map(([status, duration]) => [Number(status), millis(duration)]))
    }

const etagOf = (etag: Options["etag"], invalid: Invalid): LoadRules["etag"] => {
  if (etag === false) return undefined
  if (etag === undefined || etag === "weak") return weakEtag
  if (etag === "strong") return strongEtag
  if (typeof etag !== "function") throw invalid("etag", etag, `"weak", "strong", false or a function`)
  return (body) => {
    const own = etag(body)
    if (!isEtag(own)) throw invalid("etag", own, "an entity tag, in double quotes, as a function answers it")
    return own
  }
}

/** What parameters can be called: `No-Vary-Search` encodes it. */
const areNames = (names: unknown): boolean =>
  Array.isArray(names) && names.every((name) => typeof name === "string" && !/\p{Surrogate}/u.test(name))

export const compile = (options: Options): Policy => {
  const name = options.name ?? "http"
  const module = `HttpCache ${JSON.stringify(name)}`
  const invalid = (option: string, value: unknown, expected: string) =>
    new InvalidOption({ module, option, value, expected })
  const fieldNames = (option: string, names: ReadonlyArray<string>, isSorted = true): ReadonlyArray<string> => {
    for (const name of names) if (!isToken(name)) throw invalid(option, name, "a list of field names")
    const known = Array.from(new Set(names.map((_) => _.toLowerCase())))
    return isSorted ? known.sort() : known
  }
  const { authorization = "bypass", cacheStatus = name, cookies = "shared", query = "ordered", vary = [] } = options
  if (!["bypass", "per user", "shared"].includes(authorization)) {
    throw invalid("authorization", authorization, `"bypass", "per user" or "shared"`)
  }
  if (typeof cookies === "object" ? !Array.isArray(cookies.vary) : !["shared", "bypass", "ignore"].includes(cookies)) {
    throw invalid("cookies", cookies, `"shared", "bypass", "ignore" or the names of cookies to vary by`)
  }
  if (
    typeof query === "object"
      ? !areNames(query.include ?? query.exclude) || (query.include !== undefined && query.exclude !== undefined)
      : query !== "ordered" && query !== "exact"
  ) {
    throw invalid("query", query, `"ordered", "exact" or the names of parameters to include or to exclude`)
  }
  const varyNames = fieldNames("vary", vary)
  if (varyNames.includes("cookie")) throw invalid("vary", "Cookie", "without Cookie: see the option cookies")
  const rules: RequestRules = {
    query,
    cookies,
    authorization,
    credentials: fieldNames("credentials", [...commonCredentials, ...(options.credentials ?? [])])
      .filter((name) => !varyNames.includes(name)),
    vary: varyNames,
    host: options.host,
    normalisers: normalisersOf(options, invalid)
  }
  if (rules.host !== undefined && typeof rules.host !== "boolean" && typeof rules.host !== "function") {
    throw invalid("host", rules.host, "true, false or a function")
  }
  if (
    options.statuses !== undefined && options.statuses !== "any" &&
    (typeof options.statuses !== "object" || options.statuses === null ||
      (Array.isArray(options.statuses) ? options.statuses : Object.keys(options.statuses)).some(isNoStatus))
  ) {
    throw invalid("statuses", options.statuses, `status codes, status codes with durations, or "any"`)
  }
  const { setCookie = "bypass" } = options
  if (!["bypass", "strip", "store"].includes(setCookie)) {
    throw invalid("setCookie", setCookie, `"bypass", "strip" or "store"`)
  }
  const { clientDirectives = "ignore" } = options
  if (typeof clientDirectives !== "function" && !["ignore", "safe", "full"].includes(clientDirectives)) {
    throw invalid("clientDirectives", clientDirectives, `"ignore", "safe", "full", or a function that answers one`)
  }
  const graceMillis = options.grace === undefined ? 0 : requireMillis(module, "grace", options.grace)
  const timeToLiveMillis = options.timeToLive === undefined
    ? undefined
    : requireMillis(module, "timeToLive", options.timeToLive)
  // A time without end has no JSON, and no seconds to tell.
  const longest = 10 * 365 * 24 * 3_600_000
  const { hitHeader, tags } = options
  const targets = fieldNames("targets", options.targets ?? ["CDN-Cache-Control"], false)
  const tagsFrom = fieldNames("tagsFrom", options.tagsFrom ?? [], false)
  const ownTags = typeof tags === "function" ? tags as LoadRules["tags"] : () => tags ?? []
  return {
    name,
    identifier: cacheStatus === false ? undefined : identifierOf(cacheStatus),
    rules,
    maxVariants: requireNumber(module, "maxVariants", options.maxVariants ?? 256, { integer: true, min: 1 }),
    isPrefixed: options.prefixes ?? false,
    isSearching: options.noVarySearch ?? false,
    // These see all of the query, and what they decide on must be asked for.
    searchField: options.unless === undefined && options.forcedUpdate === undefined ? fieldOf(query) : undefined,
    obedience: clientDirectives,
    hitHeader: hitHeader === undefined ? undefined : fieldNames("hitHeader", [hitHeader])[0],
    removed: new Set([
      ...(options.keepTagFields === true ? [] : tagsFrom),
      ...targets.filter((name) => name === "surrogate-control")
    ]),
    graceMillis,
    staticTags: typeof tags === "function" || tagsFrom.length > 0 ? undefined : tags ?? [],
    unless: question(options.unless),
    forcedUpdate: question(options.forcedUpdate),
    load: {
      timeToLiveMillis: timeToLiveMillis === undefined ? undefined : Math.min(timeToLiveMillis, longest),
      ...statusesOf(options.statuses, (duration) => Math.min(requireMillis(module, "statuses", duration), longest)),
      setCookie,
      etag: etagOf(options.etag, invalid),
      compress: compressOf(options.compress, invalid),
      graceMillis: Math.min(graceMillis, longest),
      staleIfErrorMillis: options.staleIfError === undefined
        ? 0
        : Math.min(requireMillis(module, "staleIfError", options.staleIfError), longest),
      isKeepingStale: typeof clientDirectives === "function" || clientDirectives === "full",
      isHeuristic: options.heuristic ?? false,
      targets,
      declared: new Set(declaredNames(rules)),
      bounds: {
        maxBytes: requireNumber(module, "maxBodyBytes", options.maxBodyBytes ?? 1024 * 1024, { integer: true, min: 0 }),
        timeout: Duration.millis(
          options.captureTimeout === undefined ? 5_000 : requireMillis(module, "captureTimeout", options.captureTimeout)
        )
      },
      addedVary: declaredVary(rules, vary, options.credentials ?? []),
      storeIf: question(options.storeIf) ?? (() => Effect.succeed(true)),
      tags: tagsFrom.length === 0
        ? ownTags
        : (response, request) => [...ownTags(response, request), ...tagsIn(response.headers, tagsFrom)]
    }
  }
}
