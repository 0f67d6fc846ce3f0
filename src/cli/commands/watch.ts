/**
 * The command `watch`: hits and misses of running programs.
 */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as RedisBus from "../../backends/RedisBus.js"
import * as CacheEvents from "../../CacheEvents.js"
import { Board } from "../board.js"
import { type ReaderGone, Usage } from "../exit.js"
import * as Screen from "../screen.js"
import * as Store from "../store.js"

const watch = Command.make("watch", {
  url: Store.options.url,
  channel: Options.text("channel").pipe(
    Options.withDescription("The channel that the programs publish on"),
    Options.withDefault("cache:events")
  ),
  every: Options.integer("every").pipe(
    Options.withDescription("Seconds between two tables"),
    Options.withDefault(1)
  ),
  count: Options.integer("count").pipe(
    Options.withDescription("End after so many tables, or lines of JSON"),
    Options.optional
  ),
  json: Store.json
}, (given) =>
  Effect.gen(function*() {
    const { channel, every, json } = given
    const count = Option.getOrElse(given.count, () => Number.MAX_SAFE_INTEGER)
    if (every < 1 || every > 3_600) return yield* new Usage({ message: "--every must be from 1 to 3600" })
    if (count < 1) return yield* new Usage({ message: "--count must be 1 or more" })
    const server = yield* Store.redisServer("watch")
    const bus = RedisBus.layerEvents({ ...server, channel, requireConnection: true })
    const shown = json ? lines(count) : tables(channel, every, count)
    yield* Effect.provide(shown, bus)
  }).pipe(Store.configured({ ...given, keyPrefix: Option.none() }))).pipe(
    Command.withDescription(
      "Shows live how the caches of running programs answer: those that publish with CacheEvents over this Redis server"
    )
  )

/** What is heard, a line each. */
const lines = (count: number): Effect.Effect<void, ReaderGone, CacheEvents.EventBus> =>
  CacheEvents.watch.pipe(
    Stream.map((heard) =>
      heard._tag === "Report" ? { type: "report", ...heard.report } : { type: heard._tag.toLowerCase() }
    ),
    Stream.take(count),
    Stream.runForEach(Screen.printJson)
  )

/** A table now and then: on a terminal each in the place of the one before. */
const tables = (
  channel: string,
  every: number,
  count: number
): Effect.Effect<void, ReaderGone, CacheEvents.EventBus> =>
  Effect.gen(function*() {
    const board = new Board(channel, yield* Clock.currentTimeMillis)
    const hear = (heard: CacheEvents.Heard) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        if (heard._tag === "Report") board.hear(heard.report, now)
        else board.isSubscribed = heard._tag === "Subscribed"
      })
    const show = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const text = board.text(now)
      return Screen.print(Screen.isTerminal() ? `\x1b[H\x1b[2J${text}` : `${text}\n`)
    })
    yield* Stream.runForEach(CacheEvents.watch, hear).pipe(
      Effect.raceFirst(
        Stream.tick(Duration.seconds(every)).pipe(Stream.drop(1), Stream.take(count), Stream.runForEach(() => show))
      )
    )
  })

export const commands = [watch] as const
