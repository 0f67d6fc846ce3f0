/**
 * Which prefixes were cleared: what stands in for removing keys that a store
 * cannot list.
 *
 * A directory has a random version for everything, and one for each prefix that
 * was cleared. The versions that concern a key are its generation, and the key
 * is stored under both: a clear gives the keys of its prefix another generation,
 * and what was stored under the one before cannot be found any more.
 */

export interface Directory {
  /** The generation of every key. */
  readonly root: string
  /** In the order of the prefixes. */
  readonly cleared: ReadonlyArray<readonly [prefix: string, version: string]>
}

export const generationOf = ({ cleared, root }: Directory, key: string): string => {
  let generation = root
  for (const [prefix, version] of cleared) if (key.startsWith(prefix)) generation += version
  return generation
}

/**
 * The directory after a clear of `prefix`, at most `maxBytes` long: where that is
 * too little, more is cleared than was asked, by as short a prefix as it takes.
 */
export const clear = (
  directory: Directory,
  prefix: string,
  newVersion: () => string,
  maxBytes: number
): Directory => {
  if (prefix === "") return { root: newVersion(), cleared: [] }
  const longest = maxBytes >> 4
  if (prefix.length > longest) return clear(directory, wellFormed(prefix.slice(0, longest)), newVersion, maxBytes)
  // Longer prefixes need no version of their own any more: none of their keys has another generation than this one's.
  const cleared = directory.cleared.filter(([each]) => !each.startsWith(prefix))
  const at = cleared.findIndex(([each]) => each > prefix)
  cleared.splice(at < 0 ? cleared.length : at, 0, [prefix, newVersion()])
  const next = { root: directory.root, cleared }
  return encode(next).length > maxBytes ? clear(next, shortest(cleared), newVersion, maxBytes) : next
}

/** A prefix that stands for at least two of the list: one with which as little else as possible is cleared. */
const shortest = (cleared: Directory["cleared"]): string => {
  let longest = ""
  for (let index = 1; index < cleared.length; index++) {
    const shared = common(cleared[index - 1]![0], cleared[index]![0])
    if (shared.length > longest.length) longest = shared
  }
  return wellFormed(longest)
}

const common = (a: string, b: string): string => {
  let length = 0
  while (length < a.length && length < b.length && a[length] === b[length]) length++
  return a.slice(0, length)
}

/** Without half a character at its end. */
const wellFormed = (text: string): string => /[\ud800-\udbff]$/.test(text) ? text.slice(0, -1) : text

export const encode = ({ cleared, root }: Directory): Uint8Array => Buffer.from(JSON.stringify([root, ...cleared]))

/** `undefined` for anything that is not a directory. */
export const decode = (bytes: Uint8Array): Directory | undefined => {
  try {
    const [root, ...cleared] = JSON.parse(Buffer.from(bytes).toString())
    const isDirectory = typeof root === "string" &&
      cleared.every((each: unknown) =>
        Array.isArray(each) && each.length === 2 && each.every((part) => typeof part === "string")
      )
    return isDirectory ? { root, cleared } : undefined
  } catch {
    return undefined
  }
}
