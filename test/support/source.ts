/**
 * What caches stand before in tests: users that can change, and that count how
 * often they were loaded.
 */
import * as Cache from "effect-caching/Cache"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

export const User = Schema.Struct({ id: Schema.Number, name: Schema.String })

export type User = typeof User.Type

export interface Source {
  name: string
  loads: number
  readonly load: (id: number) => Effect.Effect<User>
}

/** Reads the name, then waits for `afterReading`, then answers: what it answers may be old by then. */
export const makeSource = (afterReading: Effect.Effect<unknown> = Effect.void): Source => {
  const source: Source = {
    name: "Ada",
    loads: 0,
    load: (id) =>
      Effect.suspend(() => {
        const user = { id, name: source.name }
        source.loads++
        return Effect.as(afterReading, user)
      })
  }
  return source
}

export const users = Cache.make({
  name: "user",
  schema: User,
  key: (id: number) => id,
  timeToLive: "1 minute",
  tags: (user) => [`user:${user.id}`]
})

/** As `users`, with tags that are known before the load. */
export const taggedUsers = Cache.make({
  name: "tagged",
  schema: User,
  key: (id: number) => id,
  timeToLive: "1 minute",
  grace: "10 minutes",
  tags: ["users"]
})
