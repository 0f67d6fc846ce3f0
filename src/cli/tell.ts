/**
 * Telling the local tiers of running programs what was changed in their store.
 */
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as RedisBus from "../backends/RedisBus.js"
import { newVersion } from "../internal/derive.js"
import { type Change, Changes } from "../internal/tiered/changes.js"
import * as Message from "../internal/tiered/message.js"
import { redisServer } from "./store.js"

export const option = Options.text("tell").pipe(
  Options.withDescription(
    "For programs with a Tiered backend over this Redis server: the channel of their RedisBus, cache:invalidations unless they say otherwise"
  ),
  Options.optional
)

/** The bus is there before anything is changed; and what may have been changed is told, though it failed. */
export const telling = (channel: Option.Option<string>, change: Change) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Option.isNone(channel) ? self : Effect.scoped(Effect.gen(function*() {
    const server = yield* redisServer("--tell")
    const bus = yield* RedisBus.make({ ...server, channel: channel.value, requireConnection: true })
    const exit = yield* Effect.exit(self)
    const changes = new Changes()
    changes.add(change)
    let count = 0
    const messages = Message.encode(changes, newVersion(), () => ++count)
    yield* Effect.forEach(messages, (message) => bus.publish(message), { discard: true })
    return yield* exit
  }))
