/**
 * Reads that take the lease of their key where nothing is under it, joined as plain
 * reads are.
 */
import type { Entry } from "../entry.js"
import type { Failure } from "./failure.js"
import type { Argument, Done } from "./link.js"
import { entryOf, type Fetch, Joined } from "./readers.js"
import * as scripts from "./scripts.js"

/** One who asks for what is under a key, or for its lease. Who is gone is not given it. */
export interface Claimant {
  readonly lease: string
  readonly now: number
  readonly token: string
  readonly px: number
  /** Whose versions are wanted with the lease. */
  readonly tags: ReadonlyArray<string>
  readonly isGone: () => boolean
  readonly settle: (failure: Failure | undefined, answer: Answer | undefined) => void
}

export interface Answer {
  /** One for all who asked together, so that its payload is decoded once. */
  readonly entry: Entry | undefined
  /** Present where the lease is the claimant's now. */
  readonly token: string | undefined
  readonly tags: ReadonlyArray<string>
  /** Hard and soft in turn: those of the entry's tags, then those of `tags`; none where they were not read. */
  readonly versions: ReadonlyArray<Buffer>
}

type Reply = readonly [value: Buffer | null, leased: number | string, ...versions: ReadonlyArray<Buffer>]

/** Where the versions of tags are. */
export interface TagSpace {
  /** How long they are kept, in milliseconds. */
  readonly retention: string
  /** What all keys begin with. */
  readonly share: string
}

type Run = (script: scripts.Script, keys: ReadonlyArray<string>, args: ReadonlyArray<Argument>, done: Done) => void

/** What the first one asks, for as long as any of them wants the lease: whoever is left may become its holder. */
const argumentsOf = (claimants: ReadonlyArray<Claimant>, withTags: boolean): Array<Argument> => {
  const { now, tags, token } = claimants[0]!
  const px = claimants.reduce((longest, claimant) => Math.max(longest, claimant.px), 0)
  return withTags ? [now, token, px, tags.length, ...tags] : [now, token, px, 0]
}

/** Where the lease may have been taken for nobody. On its connection, giving it back comes after that. */
const giveBack = (run: Run, { lease, token }: Claimant): void => run(scripts.renew, [lease], [token, "0"], () => {})

const deliver =
  (run: Run) => (claimants: ReadonlyArray<Claimant>, failure: Failure | undefined, reply: Reply | undefined): void => {
    const { tags, token } = claimants[0]!
    if (reply === undefined) {
      giveBack(run, claimants[0]!)
      for (const claimant of claimants) claimant.settle(failure, undefined)
      return
    }
    const [value, leased, ...versions] = reply
    const entry = entryOf(value)
    const isLeased = Number(leased) === 1
    // With the token and the tags that were sent, though it may not be the first one.
    const holder = isLeased ? claimants.find((claimant) => !claimant.isGone()) : undefined
    if (isLeased && holder === undefined) giveBack(run, claimants[0]!)
    // What comes with the lease is for who fills the key.
    const forOthers: Answer = isLeased
      ? { entry: undefined, token: undefined, tags: [], versions: [] }
      : { entry, token: undefined, tags: [], versions }
    for (const claimant of claimants) {
      claimant.settle(undefined, claimant === holder ? { entry, token, tags, versions } : forOthers)
    }
  }

/** Claims on one server, with one script for all keys of a batch. */
export const claimsOfOne = (run: Run, { retention, share }: TagSpace): Joined<Claimant> => {
  let withTags = true
  const fetch: Fetch<Claimant> = (batch, each) => {
    const isTagged = withTags
    const keys: Array<string> = []
    const args: Array<Argument> = isTagged ? [retention, share] : ["", ""]
    for (const [key, claimants] of batch) {
      keys.push(key, claimants[0]!.lease)
      args.push(...argumentsOf(claimants, isTagged))
    }
    run(scripts.getOrLease, keys, args, (failure, replies) => {
      if (isTagged && failure?.reason === "Unknown") {
        // Servers of another make may let a script touch nothing but its KEYS, which the versions are not.
        withTags = false
        for (const [claimant] of batch.values()) giveBack(run, claimant!)
        fetch(batch, each)
      } else for (let at = 0; at < batch.size; at++) each(at, failure, replies?.[at])
    })
  }
  return new Joined(fetch, deliver(run))
}

/** Claims on several servers, with a script for every key. Tags are not looked at: their versions may be elsewhere. */
export const claimsOfMany = (run: Run, together: (body: () => void) => void): Joined<Claimant> =>
  new Joined(
    (batch, each) =>
      together(() => {
        let at = 0
        for (const [key, claimants] of batch) {
          const index = at++
          run(
            scripts.getOrLease,
            [key, claimants[0]!.lease],
            ["", "", ...argumentsOf(claimants, false)],
            (failure, replies) => each(index, failure, replies?.[0])
          )
        }
      }),
    deliver(run)
  )
