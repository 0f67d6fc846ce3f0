/**
 * What was changed, gathered: to be told to other processes, or told by one.
 * Where it was, in which order and how often makes no difference.
 */

export type Change =
  | { readonly _tag: "Keys"; readonly keys: ReadonlyArray<string> }
  | { readonly _tag: "Prefix"; readonly prefix: string }
  | { readonly _tag: "Tags"; readonly tags: ReadonlyArray<string>; readonly mode: "hard" | "soft" }

/** With more names than this everything counts as changed: the price is that entries are read anew. */
const maxNames = 10_000
/** In UTF-16 units. A longer key is named by the prefix of this length. */
const longestKey = 1_024

export class Changes {
  readonly keys = new Set<string>()
  readonly prefixes = new Set<string>()
  readonly hard = new Set<string>()
  readonly soft = new Set<string>()
  isAll = false

  get size(): number {
    return this.isAll ? 1 : this.keys.size + this.prefixes.size + this.hard.size + this.soft.size
  }

  add(change: Change): void {
    if (this.isAll) return
    switch (change._tag) {
      case "Keys": {
        for (const key of change.keys) {
          if (key.length <= longestKey) this.keys.add(key)
          else this.prefixes.add(startOf(key))
        }
        break
      }
      case "Prefix": {
        this.prefixes.add(startOf(change.prefix))
        break
      }
      case "Tags":
        for (const tag of change.tags) this[change.mode].add(tag)
    }
    if (this.size > maxNames) this.addAll()
  }

  addAll(): void {
    this.isAll = true
    for (const names of [this.keys, this.prefixes, this.hard, this.soft]) names.clear()
  }
}

const startOf = (text: string): string => {
  const start = text.slice(0, longestKey)
  return (start as string & { isWellFormed: () => boolean }).isWellFormed() ? start : start.slice(0, -1)
}
