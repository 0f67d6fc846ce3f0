/**
 * A process of many callers of one missing key: prints how often it loaded and
 * what the callers were answered.
 */
import * as Redis from "effect-caching/backends/Redis"
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
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

Effect.runPromise(Effect.provide(program, Redis.layer({ url: url! }))).then((answers) =>
  process.stdout.write(JSON.stringify({ loads, answers: Array.from(new Set(answers)) }))
)
