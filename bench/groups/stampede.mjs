// A thousand callers of one key that is not there.
import { BentoCache, bentostore } from "bentocache"
import { memoryDriver } from "bentocache/drivers/memory"
import * as EffectCache from "effect/Cache"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { LRUCache } from "lru-cache"
import * as Memory from "../../dist/backends/Memory.js"
import * as Codec from "../../dist/Codec.js"
import * as Memoize from "../../dist/Memoize.js"
import { running } from "../effects.mjs"

const callers = 1_000
const loadMillis = 10

export default async () => {
  const { runtime } = await running(Memory.layer())
  let loads = 0
  let keys = 0
  const loading = Effect.suspend(() => {
    loads++
    return Effect.as(Effect.sleep(loadMillis), "loaded")
  })
  const loadingPromise = () => {
    loads++
    return new Promise((resolve) => setTimeout(resolve, loadMillis, "loaded"))
  }

  /** All callers at once, each in a fiber of its own. */
  const herd = (callOf) => {
    const call = Effect.suspend(() => Effect.map(callOf(`key:${keys++}`), (call) => call))
    return (n) =>
      runtime.runPromise(Effect.repeatN(
        Effect.flatMap(call, (one) =>
          Effect.forEach(Array.from({ length: callers }), () => one, { concurrency: "unbounded", discard: true })),
        n - 1
      ))
  }

  const memo = Memoize.wrap((_key) => loading, { name: "herd", codec: Codec.local(), timeToLive: "1 hour" })
  const effectCache = await runtime.runPromise(
    EffectCache.make({ capacity: 10_000, timeToLive: "1 hour", lookup: (_key) => loading })
  )
  const cachedFunction = await runtime.runPromise(Effect.cachedFunction((_key) => loading))
  const lru = new LRUCache({ max: 10_000, ttl: 3_600_000, fetchMethod: loadingPromise })
  const bento = new BentoCache({
    default: "memory",
    stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: 10_000, serialize: false })) }
  })

  const floor = "the limit: all wait for one `Deferred`"
  /** @type {Array<[string, (n: number) => unknown]>} */
  const herds = [
    [
      floor,
      herd(() =>
        Effect.gen(function*() {
          const deferred = yield* Deferred.make()
          yield* Effect.forkDaemon(Effect.intoDeferred(loading, deferred))
          return Deferred.await(deferred)
        })
      )
    ],
    ["**memoized function**", herd((key) => Effect.succeed(Effect.suspend(() => memo(key))))],
    ["effect `Cache.get`", herd((key) => Effect.succeed(Effect.suspend(() => effectCache.get(key))))],
    ["effect `cachedFunction`", herd((key) => Effect.succeed(Effect.suspend(() => cachedFunction(key))))],
    ["lru-cache `fetch`", herd((key) => Effect.succeed(Effect.promise(() => lru.fetch(key))))],
    [
      "bentocache `getOrSet`",
      herd((key) => Effect.succeed(Effect.promise(() => bento.getOrSet({ key, ttl: "1h", factory: loadingPromise }))))
    ]
  ]
  const candidates = herds.map(([name, run]) => ({ name, run, note: "" }))
  for (const candidate of candidates) {
    loads = 0
    await candidate.run(1)
    candidate.note = String(loads)
  }

  const group = {
    title: "A thousand callers of one missing key",
    text: `A load of ${loadMillis} ms, asked for by ${callers.toLocaleString("en")} fibers at once.`,
    unit: "cost",
    clock: "cpu",
    headline: {
      text: "effect's `Cache.get` costs so many times a memoized call",
      of: "effect `Cache.get`",
      to: "**memoized function**"
    },
    base: floor,
    noteTitle: "loads",
    sliceMillis: 250,
    candidates
  }
  return { groups: [group] }
}
