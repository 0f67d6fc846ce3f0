/**
 * Where the commands of a backend go: to one server, or to several that share the keys.
 */
import { type Claimant, claimsOfOne, type TagSpace } from "./claims.js"
import type { Failure } from "./failure.js"
import type { Argument, Command, Done, Link } from "./link.js"
import { type Reader, readersOfOne } from "./readers.js"
import type { Script } from "./scripts.js"

export type Key = string | Buffer

/** The servers that have keys at the moment. */
export interface Survey {
  readonly links: ReadonlyArray<Link>
  /** Changes when keys have moved from one server to another. */
  readonly mark: string
  /** Whether keys are on their way from one server to another. */
  readonly isMoving: boolean
}

export interface Servers {
  /** ioredis puts it before the keys of commands, but neither before a pattern nor off what SCAN answers. */
  readonly keyPrefix: string
  /** Whether the keys of a command may be any. Where not, a command has one key, or one and its lease. */
  readonly isOne: boolean
  /** Sends a command to the server that has `key`. */
  readonly send: (key: Key, command: Command, args: Array<Argument>, done: Done) => void
  /** As `send`, where an answer that is a little out of date will do. */
  readonly query: (key: Key, command: Command, args: Array<Argument>, done: Done) => void
  readonly run: (script: Script, keys: ReadonlyArray<string>, args: ReadonlyArray<Argument>, done: Done) => void
  /** The entry under the key, read together with what others read at the same time. */
  readonly read: (key: string, reader: Reader) => void
  /** The entry under the key or its lease, joined likewise; absent where reads go to other servers than writes. */
  readonly claim: ((key: string, claimant: Claimant, tagSpace: TagSpace) => void) | undefined
  /** What `body` sends goes out at once, in one write for each server. */
  readonly together: (body: () => void) => void
  readonly survey: (done: (failure: Failure | undefined, survey: Survey) => void) => void
}

export const nowhere: Survey = { links: [], mark: "", isMoving: false }

/** Everything goes to the one server of `link`. */
export const one = (link: Link): Servers => {
  const send: Servers["send"] = (_, command, args, done) => link.send(command, args, done)
  const run: Servers["run"] = (script, keys, args, done) => link.run(script, keys, args, done)
  const readers = readersOfOne(send)
  let claims: ReturnType<typeof claimsOfOne> | undefined
  const survey: Survey = { ...nowhere, links: [link] }
  return {
    keyPrefix: link.client.options.keyPrefix ?? "",
    isOne: true,
    send,
    query: send,
    run,
    read: (key, reader) => readers.ask(key, reader),
    claim: (key, claimant, tagSpace) => (claims ??= claimsOfOne(run, tagSpace)).ask(key, claimant),
    together: (body) => body(),
    survey: (done) => done(undefined, survey)
  }
}
