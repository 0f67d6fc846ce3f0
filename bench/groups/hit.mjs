// A hit in memory, inside of a running fiber: 1,024 keys that are all there.
import { BentoCache, bentostore } from "bentocache"
import { memoryDriver } from "bentocache/drivers/memory"
import * as EffectCache from "effect/Cache"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { LRUCache } from "lru-cache"
import * as Memory from "../../dist/backends/Memory.js"
import * as Cache from "../../dist/Cache.js"
import * as Codec from "../../dist/Codec.js"
import * as Memoize from "../../dist/Memoize.js"
import { hotKeys, running } from "../effects.mjs"

const value = { id: 1, name: "Ada", email: "ada@example.org" }
const User = Schema.Struct({ id: Schema.Number, name: Schema.String, email: Schema.String })
const load = Effect.succeed(value)
const hour = "1 hour"

export default async () => {
  const { inFiber, runtime } = await running(Memory.layer())

  const exits = new Map(hotKeys.map((key) => [key, Exit.succeed(value)]))
  const limit = (i) => Effect.withFiberRuntime(() => exits.get(hotKeys[i]))

  const memo = Memoize.wrap((_id) => load, { name: "memo", codec: Codec.local(), timeToLive: hour })
  const memoSchema = Memoize.wrap((_id) => load, { name: "schema", schema: User, timeToLive: hour })
  const memoObject = Memoize.wrap((_args) => load, { name: "object", codec: Codec.local(), timeToLive: hour })
  const objects = hotKeys.map((id) => ({ id, page: 1, order: "name" }))
  const plain = Cache.make({ name: "plain", codec: Codec.local(), timeToLive: hour })
  const tags = Array.from({ length: 10 }, (_, i) => `tag:${i}`)
  const tagged = Cache.make({ name: "tagged", codec: Codec.local(), timeToLive: hour, tags })

  const effectCache = await runtime.runPromise(
    EffectCache.make({ capacity: 10_000, timeToLive: hour, lookup: (_key) => load })
  )
  const cachedFunction = await runtime.runPromise(Effect.cachedFunction((_key) => load))

  const lru = new LRUCache({ max: 10_000, ttl: 3_600_000, fetchMethod: async () => value })
  for (const key of hotKeys) lru.set(key, value)
  const bento = new BentoCache({
    default: "memory",
    stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: 10_000, serialize: false })) }
  })
  const bentoOptions = (key) => ({ key, ttl: "1h", factory: async () => value })

  const group = {
    title: "A hit in memory",
    text: "One call that is answered from memory, made in a running fiber.",
    unit: "cost",
    clock: "cpu",
    headline: {
      text: "effect's `Cache.get` costs so many times a memoized call",
      of: "effect `Cache.get`",
      to: "**memoized function**, a string"
    },
    base: "the limit: one lazy step that answers from a `Map`",
    candidates: [
      ["the limit: one lazy step that answers from a `Map`", limit],
      ["**memoized function**, a string", (i) => memo(hotKeys[i])],
      ["**memoized function**, a string, with a schema", (i) => memoSchema(hotKeys[i])],
      ["**memoized function**, an object of 3 fields", (i) => memoObject(objects[i])],
      ["**`Cache.getOrSet`**", (i) => Cache.getOrSet(plain, hotKeys[i], load)],
      ["**`Cache.getOrSet`**, 10 tags", (i) => Cache.getOrSet(tagged, hotKeys[i], load)],
      ["effect `Cache.get`", (i) => effectCache.get(hotKeys[i])],
      ["effect `cachedFunction`", (i) => cachedFunction(hotKeys[i])],
      ["lru-cache `get` in `Effect.sync`", (i) => Effect.sync(() => lru.get(hotKeys[i]))],
      ["lru-cache `fetch` in `Effect.promise`", (i) => Effect.promise(() => lru.fetch(hotKeys[i]))],
      [
        "bentocache `getOrSet` in `Effect.promise`",
        (i) => Effect.promise(() => bento.getOrSet(bentoOptions(hotKeys[i])))
      ]
    ].map(([name, step]) => ({ name, run: inFiber(step) }))
  }
  return { groups: [group] }
}
