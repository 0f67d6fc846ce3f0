/**
 * Versions of tags: random texts under names of their own, each on the server of
 * its name.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { BackendError, Operations } from "../../Backend.js"
import { newVersion, tagRetention } from "../derive.js"
import type { TagVersion } from "../entry.js"
import { ofStatus } from "./failure.js"
import { reservedName } from "./item.js"
import { expirationOf, getQuiet, opcodes, type Request, statuses } from "./packets.js"
import type { Requests } from "./requests.js"

export const tagOperations = (
  { fail, removeAll, sendAll }: Requests,
  share: string
): Pick<Operations, "tagVersions" | "refreshTags" | "tagEpoch" | "invalidateTags"> => {
  const epoch = reservedName(share, "epoch", "")
  const namesOf = (mode: "hard" | "soft", tags: ReadonlyArray<string>) =>
    tags.map((tag) => reservedName(share, mode, tag))
  const expiration = () => expirationOf(Duration.toMillis(tagRetention))

  /** The version under each name, a new one where there is none. */
  const versions = (
    method: string,
    names: ReadonlyArray<string>,
    request: (name: string) => Request,
    attempts = 5
  ): Effect.Effect<ReadonlyArray<string>, BackendError> =>
    Effect.flatMap(sendAll(method, names, (name) => [request(name)]), (replies) => {
      const found = replies.map(([reply]) => reply?.value.toString("latin1"))
      const missing = names.filter((_, index) => found[index] === undefined)
      if (missing.length === 0) return Effect.succeed(found as Array<string>)
      const making = sendAll(method, missing, (key) => [
        { opcode: opcodes.add, key, expiration: expiration(), value: [Buffer.from(newVersion())] },
        getQuiet(key)
      ])
      return Effect.flatMap(making, (made): Effect.Effect<ReadonlyArray<string>, BackendError> => {
        const lost = made.find(([, reply]) => reply === undefined)
        if (lost === undefined) {
          const left = made[Symbol.iterator]()
          return Effect.succeed(found.map((version) => version ?? left.next().value![1]!.value.toString("latin1")))
        }
        const { status } = lost[0]!
        if (status !== statuses.ok && status !== statuses.exists) return fail(method, ofStatus(status))
        return attempts === 0
          ? fail(method, { reason: "OutOfSpace", description: "the server keeps no version" })
          : versions(method, names, request, attempts - 1)
      })
    })

  const tagged = (
    method: string,
    tags: ReadonlyArray<string>,
    request: (name: string) => Request
  ): Effect.Effect<ReadonlyArray<TagVersion>, BackendError> =>
    Effect.map(
      versions(method, [...namesOf("hard", tags), ...namesOf("soft", tags)], request),
      (found) => tags.map((tag, index) => ({ tag, hard: found[index]!, soft: found[tags.length + index]! }))
    )

  return {
    // Kept for as long from now: a version outlives what is loaded under it.
    tagVersions: (tags) =>
      tagged("tagVersions", tags, (key) => ({ opcode: opcodes.getAndTouchQuiet, key, expiration: expiration() })),
    refreshTags: (carried) => tagged("refreshTags", carried.map(({ tag }) => tag), getQuiet),
    tagEpoch: Effect.map(versions("tagEpoch", [epoch], getQuiet), ([version]) => version!),
    invalidateTags: (tags, mode) =>
      // A version that is gone is made anew by who asks next: nothing to write, so a full server invalidates too.
      // The epoch first: a load that reads it unchanged at its end has read the tags before they lost their versions.
      Effect.zipRight(
        removeAll("invalidateTags", [epoch]),
        removeAll("invalidateTags", namesOf(mode, [...new Set(tags)]))
      )
  }
}
