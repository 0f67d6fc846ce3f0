/**
 * A process of many callers of one missing key, over the backend that `CACHE_URL` names: prints how often it loaded and
 * what the callers were answered.
 */
import * as Cache from "effect-caching/Cache"
import * as CacheConfig from "effect-caching/CacheConfig"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

const [url, callers] = process.argv.slice(-2)

const values = Cache.make({ name: "herd", schema: Schema.String, timeToLive: "1 minute" })

let loads = 0
const load = Effect.delay(
  Effect.sync(() => {
    loads++
    return `loaded by ${process.pid}`
  }),
  "2 seconds"
)

const program = Effect.forEach(Array.from({ length: Number(callers) }), () => Cache.getOrSet(values, "k", load), {
  concurrency: "unbounded"
})

const backend = Layer.provide(
  CacheConfig.layer,
  Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["CACHE_URL", url!]])))
)

Effect.runPromise(Effect.provide(program, backend)).then((answers) =>
  process.stdout.write(JSON.stringify({ loads, answers: Array.from(new Set(answers)) }))
)
