/**
 * `No-Vary-Search`: one answer for queries that differ in what does not matter.
 *
 * A path's last rule is an entry of its own, with a generation. Answers that say the
 * same are under what matters of their query and that generation: removing the rule ends
 * them all, and a rule that is written late finds none that were there before.
 */
import * as Effect from "effect/Effect"
import { randomUUID } from "node:crypto"
import * as Cache from "../../Cache.js"
import { parseNoVarySearch, ruleKey, ruleOf, searchKey, textOf } from "../http/noVarySearch.js"
import type * as Stored from "../http/stored.js"
import { type Call, find, keepMillis, timeToLiveMillis } from "./site.js"

/** A path keeps its rule for this long, if answers by it do not live longer. */
const searchMillis = 3_600_000

/** The call under the key of its whole URL if there is something, or else under that of what matters of it. */
export const searching = (call: Call): Effect.Effect<Call, never, any> => {
  const { site, visit } = call
  return Effect.flatMap(
    Effect.zip(site.exact.has(visit.primary, visit), find(site.cache, visit.primary)),
    ([isExact, found]) =>
      isExact || found !== undefined
        ? Effect.succeed(call)
        : Effect.map(find(site.cache, ruleKey(visit.primary)), (search) => {
          if (search?._tag !== "Search") return call
          const primary = searchKey(visit.primary, ruleOf(search.rule), search.generation)
          return primary === undefined ? call : { ...call, primary, search }
        })
  )
}

/**
 * Whether the answer may be stored under the call's key: it has the whole query, or the
 * answer says of queries what the key was made by. Keeps what it says for those to come.
 */
export const isUnderRule = (call: Call, answer: Stored.Answer): Effect.Effect<boolean, never, any> => {
  const { search, site, visit } = call
  if (!site.policy.isSearching) return Effect.succeed(true)
  const said = parseNoVarySearch(answer.headers["no-vary-search"])
  const rule = said === undefined ? undefined : textOf(said)
  if (search !== undefined && search.rule === rule) return Effect.succeed(true)
  const isWhole = search === undefined
  return Effect.as(
    Effect.zipRight(
      // Next time under its whole URL: the rule of the others is not for it.
      isWhole ? Effect.void : site.exact.add(visit.primary, visit),
      rule === undefined
        ? Effect.void
        : remember(call, rule, timeToLiveMillis(answer) + keepMillis(site.policy, answer))
    ),
    isWhole
  )
}

const remember = (
  { site, visit }: Call,
  rule: string,
  leastMillis: number
): Effect.Effect<void, never, any> => {
  const key = ruleKey(visit.primary)
  return Effect.flatMap(find(site.cache, key), (known) => {
    // A new generation would end what is stored by the same rule.
    if (known?._tag === "Search" && known.rule === rule) return Effect.void
    const search: Stored.Search = {
      _tag: "Search",
      generation: randomUUID(),
      rule,
      lifetimeMillis: Math.max(searchMillis, leastMillis)
    }
    return Effect.ignore(Cache.set(site.cache, key, search))
  })
}
