/**
 * The options of an HTTP cache with everything decided that can be decided once.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Options } from "../../HttpCache.js"
import { identifierOf } from "../http/cacheStatus.js"
import { isToken } from "../http/fields.js"
import { declaredNames, declaredVary, isVarying, type RequestRules } from "../http/request.js"
import type { Obedience } from "../http/requestDirectives.js"
import { InvalidOption, requireMillis, requireNumber } from "../options.js"
import type { LoadRules } from "./load.js"

type Question = ((request: HttpServerRequest.HttpServerRequest) => Effect.Effect<boolean>) | undefined

/** `Options` compiled. */
export interface Policy {
  readonly name: string
  /** In `Cache-Status`; `undefined` where there is to be none. */
  readonly identifier: string | undefined
  readonly rules: RequestRules
  readonly load: LoadRules
  /** Whether no answer is the only one of its URL. */
  readonly isVarying: boolean
  /** How many slots a URL has for its variants. */
  readonly maxVariants: number
  /** Which of a client's own directives are obeyed. */
  readonly obedience: Obedience | ((request: HttpServerRequest.HttpServerRequest) => Obedience)
  readonly graceMillis: number
  /** Tags that every answer has; `undefined` where they depend on the answer. */
  readonly staticTags: ReadonlyArray<string> | undefined
  readonly unless: Question
  readonly forcedUpdate: Question
}

/** Fields that say who asks, as far as they have common names. */
const commonCredentials = ["authorization", "api-key", "x-access-token", "x-api-key", "x-auth-token"]

const question = (given: ((...args: ReadonlyArray<any>) => boolean | Effect.Effect<boolean>) | undefined) =>
  given === undefined ? undefined : (...args: ReadonlyArray<any>): Effect.Effect<boolean> => {
    const answer = given(...args)
    return typeof answer === "boolean" ? Effect.succeed(answer) : answer
  }

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
      ? !Array.isArray(query.include ?? query.exclude) || (query.include !== undefined && query.exclude !== undefined)
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
    vary: varyNames
  }
  if (options.statuses !== undefined && options.statuses !== "any" && !Array.isArray(options.statuses)) {
    throw invalid("statuses", options.statuses, `status codes, or "any"`)
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
  const { tags } = options
  return {
    name,
    identifier: cacheStatus === false ? undefined : identifierOf(cacheStatus),
    rules,
    isVarying: isVarying(rules),
    maxVariants: requireNumber(module, "maxVariants", options.maxVariants ?? 256, { integer: true, min: 1 }),
    obedience: clientDirectives,
    graceMillis,
    staticTags: typeof tags === "function" ? undefined : tags ?? [],
    unless: question(options.unless),
    forcedUpdate: question(options.forcedUpdate),
    load: {
      timeToLiveMillis: timeToLiveMillis === undefined ? undefined : Math.min(timeToLiveMillis, longest),
      statuses: options.statuses === undefined || options.statuses === "any"
        ? options.statuses
        : new Set(options.statuses),
      graceMillis: Math.min(graceMillis, longest),
      staleIfErrorMillis: options.staleIfError === undefined
        ? 0
        : Math.min(requireMillis(module, "staleIfError", options.staleIfError), longest),
      isKeepingStale: typeof clientDirectives === "function" || clientDirectives === "full",
      isHeuristic: options.heuristic ?? false,
      targets: fieldNames("targets", options.targets ?? ["CDN-Cache-Control"], false),
      declared: new Set(declaredNames(rules)),
      bounds: {
        maxBytes: requireNumber(module, "maxBodyBytes", options.maxBodyBytes ?? 1024 * 1024, { integer: true, min: 0 }),
        timeout: Duration.millis(
          options.captureTimeout === undefined ? 5_000 : requireMillis(module, "captureTimeout", options.captureTimeout)
        )
      },
      addedVary: declaredVary(rules, vary, options.credentials ?? []),
      storeIf: question(options.storeIf) ?? (() => Effect.succeed(true)),
      tags: typeof tags === "function"
        ? tags as (
          response: HttpServerResponse.HttpServerResponse,
          request: HttpServerRequest.HttpServerRequest
        ) => ReadonlyArray<string>
        : () => tags ?? []
    }
  }
}
