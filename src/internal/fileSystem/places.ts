/**
 * Where files are. Below the directory:
 *
 *     effect-caching-1/
 *       entries/c-user/2f/<sha256 of the key>.entry
 *                        /<sha256 of the key>.slot/   who may change the entry
 *       tags/              the versions of tags, in the same form
 *       staged/<id>/       files that are being written
 *       trash/<id>-c-user/ what was cleared, and is being removed
 *
 * The keys of a cache begin with its name and a colon, so that `c-user` is a
 * cache, and is cleared by one rename. No part of a path is a text of the user's.
 */
import { hash, randomBytes } from "node:crypto"
import { folderMode, lstat, mkdir } from "./disk.js"
import { codeOf, Refused } from "./failure.js"

export type Tree = "entries" | "tags"

/** The files of one key. */
export interface Place {
  readonly key: string
  readonly folder: string
  readonly entry: string
  readonly slot: string
}

export const newId = (): string => randomBytes(12).toString("hex")
export const idPattern = /^[0-9a-f]{24}$/
export const shardPattern = /^[0-3][0-9a-f]$/
export const segmentPattern = /^(c-[a-z0-9_=]{0,120}|h-[0-9a-f]{64}|none)$/
export const entryPattern = /^[0-9a-f]{64}\.entry$/
export const slotPattern = /^[0-9a-f]{64}\.slot$/
export const trashPattern = /^[0-9a-f]{24}-(entries|tags)-(.+)$/

/** Lower case only, as some disks do not tell the cases apart. */
const escape = (text: string): string =>
  Array.from(Buffer.from(text), (byte) => {
    const char = String.fromCharCode(byte)
    return /[a-z0-9_]/.test(char) ? char : `=${byte.toString(16).padStart(2, "0")}`
  }).join("")

const unescape = (text: string): string =>
  Buffer.from(text.replace(/=(..)/g, (_, digits) => String.fromCharCode(parseInt(digits, 16))), "latin1").toString()

/** The folder of the keys that begin with `text` and a colon, or of those that have no colon. */
const segmentOf = (text: string | undefined): string => {
  if (text === undefined) return "none"
  const name = text.length > 120 ? undefined : `c-${escape(text)}`
  return name !== undefined && segmentPattern.test(name) ? name : `h-${hash("sha256", text)}`
}

const colonOf = (key: string): string | undefined => {
  const at = key.indexOf(":")
  return at < 0 ? undefined : key.slice(0, at)
}

/** Which keys of a segment begin with a prefix. */
export const covered = (segment: string, prefix: string): "all" | "some" | "none" => {
  const text = colonOf(prefix)
  if (text !== undefined) {
    return segmentOf(text) !== segment
      ? "none"
      : prefix.length === text.length + 1
      ? "all"
      : "some"
  }
  if (prefix === "") return "all"
  if (!segment.startsWith("c-")) return "some"
  return unescape(segment.slice(2)).startsWith(prefix) ? "all" : "none"
}

/** The paths below the directory, and the folders that are known to be there. */
export class Places {
  readonly base: string
  readonly staged: string
  readonly trash: string
  private readonly known = new Set<string>()

  constructor(readonly directory: string) {
    this.base = `${directory}/effect-caching-1`
    this.staged = `${this.base}/staged`
    this.trash = `${this.base}/trash`
  }

  tree(tree: Tree): string {
    return `${this.base}/${tree}`
  }

  of(tree: Tree, key: string): Place {
    const name = hash("sha256", key)
    const shard = (parseInt(name.slice(0, 2), 16) & 63).toString(16).padStart(2, "0")
    const folder = `${this.base}/${tree}/${segmentOf(colonOf(key))}/${shard}`
    return { key, folder, entry: `${folder}/${name}.entry`, slot: `${folder}/${name}.slot` }
  }

  /** Whether the folder was there when this process looked. */
  knows(folder: string): boolean {
    return this.known.has(folder)
  }

  /** Whether the folder is there, and is a folder. */
  async has(folder: string): Promise<boolean> {
    if (this.known.has(folder)) return true
    if (folder !== this.base && !(await this.has(parentOf(folder)))) return false
    const stats = await lstat(folder).catch((error) => {
      if (codeOf(error) === "ENOENT") return undefined
      throw error
    })
    if (stats === undefined) return false
    if (!stats.isDirectory()) throw new Refused("Unavailable", "what is not a folder stands in the way")
    if (folder === this.base) checkOwner(stats)
    this.known.add(folder)
    return true
  }

  /** Makes the directory and the folders that are always there. */
  async make(): Promise<void> {
    try {
      await mkdir(this.directory, { recursive: true, mode: folderMode })
    } catch (error) {
      const what = { EEXIST: "is a file", ENOTDIR: "is below a file" }[codeOf(error)!]
      if (what === undefined) throw error
      throw new Refused("InvalidInput", `the option \`directory\` must be the path of a directory, and it ${what}`)
    }
    for (const folder of [this.staged, this.trash, this.tree("entries"), this.tree("tags")]) await this.ensure(folder)
  }

  /** Makes the folder where it is not there. */
  async ensure(folder: string): Promise<void> {
    if (this.known.has(folder)) return
    if (folder === this.base) await mkdir(this.directory, { recursive: true, mode: folderMode })
    else await this.ensure(parentOf(folder))
    try {
      await mkdir(folder, folderMode)
      this.known.add(folder)
    } catch (error) {
      // A read-only disk says so before it says that the folder is there.
      if (codeOf(error) !== "EEXIST" && codeOf(error) !== "EROFS") throw error
      if (!(await this.has(folder))) throw error
    }
  }

  /** Some folder is not there any more. */
  forget(): void {
    this.known.clear()
  }
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"))

/** In a folder of another's, or one that others may write to, entries would be what others want them to be. */
const checkOwner = ({ mode, uid }: { readonly mode: number; readonly uid: number }): void => {
  const me = process.geteuid?.()
  if (me === undefined) return
  if (uid !== me && uid !== 0) throw new Refused("Authentication", "the folder belongs to another user")
  if ((mode & 0o022) !== 0) throw new Refused("Authentication", "others may write to the folder")
}
