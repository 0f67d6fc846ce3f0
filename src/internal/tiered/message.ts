/**
 * What processes tell each other: names of what was changed, never a value.
 *
 *     {"v":1,"from":"<sender>","n":7,"keys":[…],"prefixes":[…],"hard":[…],"soft":[…]}
 *     {"v":1,"from":"<sender>","n":8,"all":true}
 *
 * `n` counts the messages of a sender: one that is missing is missed. `hard` and
 * `soft` are tags, by how they were invalidated.
 */
import type { Changes } from "./changes.js"

/** Whoever cannot read a message takes it that everything was changed. */
const version = 1

/** About how many characters the names in a message may have together. */
const room = 32_768

const lists = ["keys", "prefixes", "hard", "soft"] as const

type Names = Partial<Record<(typeof lists)[number], Array<string>>>

export interface Message extends Readonly<Names> {
  readonly from: string
  readonly n: number
  readonly all?: true
}

/** The messages that tell of the changes; `next` numbers them. */
export const encode = (changes: Changes, from: string, next: () => number): Array<string> => {
  const write = (content: Names | { readonly all: true }) => JSON.stringify({ v: version, from, n: next(), ...content })
  if (changes.isAll) return [write({ all: true })]
  const parts: Array<Names> = []
  let left = 0
  for (const list of lists) {
    for (const name of changes[list]) {
      if (parts.length === 0 || left < name.length) {
        parts.push({})
        left = room
      }
      const part = parts[parts.length - 1]!
      ;(part[list] ??= []).push(name)
      left -= name.length + 3
    }
  }
  return parts.map(write)
}

/** The message in a text; `undefined` where it is not one of this version. */
export const decode = (text: string): Message | undefined => {
  let message: any
  try {
    message = JSON.parse(text)
  } catch {
    return undefined
  }
  const isMessage = typeof message === "object" && message !== null && message.v === version &&
    typeof message.from === "string" && Number.isSafeInteger(message.n) &&
    (message.all === undefined || message.all === true) && lists.every((list) => isNames(message[list]))
  return isMessage ? message : undefined
}

const isNames = (names: unknown): boolean =>
  names === undefined || (Array.isArray(names) && names.every((name) => typeof name === "string"))
