/**
 * The current versions of tags, in this process.
 *
 * A version is an object that knows its tag, and a tag knows its current version:
 * whether one is still current is seen without a look-up by name. The registry
 * knows tags weakly. One that no entry and no load depends on is forgotten, and
 * gets a new version when somebody asks again.
 */
import type { TagVersion } from "./entry.js"

class Tag {
  current: TagVersion
  constructor(readonly registry: TagRegistry, readonly name: string, hard: string, soft: string) {
    this.current = this.version(hard, soft)
  }
  version(hard: string, soft: string): TagVersion {
    // Not enumerable: to compare and to print, a version is its three strings.
    return Object.defineProperty({ tag: this.name, hard, soft }, owner, { value: this })
  }
}

/** The tag of a version. */
const owner: unique symbol = Symbol("effect-caching/owner")

const ownerOf = (version: TagVersion): Tag | undefined => (version as TagVersion & { readonly [owner]?: Tag })[owner]

/** Where a list of versions remembers that it was current. */
const checked: unique symbol = Symbol("effect-caching/checked")

type Versions = ReadonlyArray<TagVersion> & { [checked]?: object | undefined }

export class TagRegistry {
  private readonly tags = new Map<string, WeakRef<Tag>>()
  private readonly forget = new FinalizationRegistry<string>((name) => {
    // Another tag may have the name by now.
    if (this.find(name) === undefined) this.tags.delete(name)
  })
  private count = 0
  private invalidations = 0
  /** Replaced by every invalidation. An object of its own: no other registry's mark is mistaken for it. */
  private mark: object = {}

  /** `prefix` tells this registry's versions from those of every other. */
  constructor(private readonly prefix: string) {}

  /** How many tags are known. */
  get size(): number {
    return this.tags.size
  }

  /** Another text after every invalidation. */
  get epoch(): string {
    return `${this.prefix}${this.invalidations}`
  }

  /** The current version of a tag; a new one if the tag is not known. */
  version(name: string): TagVersion {
    const known = this.find(name)
    if (known !== undefined) return known.current
    const tag = new Tag(this, name, this.newText(), this.newText())
    this.tags.set(name, new WeakRef(tag))
    this.forget.register(tag, name)
    return tag.current
  }

  invalidate(names: ReadonlyArray<string>, mode: "hard" | "soft"): void {
    this.invalidations++
    this.mark = {}
    for (const name of names) {
      const tag = this.find(name)
      if (tag === undefined) continue
      const { hard, soft } = tag.current
      tag.current = mode === "hard"
        ? tag.version(this.newText(), soft)
        : tag.version(hard, this.newText())
    }
  }

  /** Whether the versions are current. A list that `remember` has seen costs the same for any number of them. */
  state(versions: ReadonlyArray<TagVersion>): "current" | "soft" | "hard" {
    if (versions.length === 0 || (versions as Versions)[checked] === this.mark) return "current"
    let isSoft = false
    for (const version of versions) {
      const current = this.tagOf(version)?.current
      if (current === version) continue
      // By text: the version may be a copy that has been through bytes.
      if (current?.hard !== version.hard) return "hard"
      if (current.soft !== version.soft) isSoft = true
    }
    if (isSoft) return "soft"
    if (checked in versions) (versions as Versions)[checked] = this.mark
    return "current"
  }

  /** Lets `state` remember of this list, which must not change any more, that it was current. */
  remember(versions: ReadonlyArray<TagVersion>): void {
    if (versions.length === 0 || checked in versions || !Object.isExtensible(versions)) return
    Object.defineProperty(versions, checked, { value: undefined, writable: true })
  }

  /** Whether the versions are this registry's own objects: their tags are known for as long as they live. */
  owns(versions: ReadonlyArray<TagVersion>): boolean {
    return versions.every((version) => ownerOf(version)?.registry === this)
  }

  /** What keeps the tags of copied versions known for as long as it is held. */
  hold(versions: ReadonlyArray<TagVersion>): ReadonlyArray<object> {
    return versions.map((version) => this.tagOf(version)).filter((tag) => tag !== undefined)
  }

  private tagOf(version: TagVersion): Tag | undefined {
    const tag = ownerOf(version)
    return tag?.registry === this ? tag : this.find(version.tag)
  }

  private find(name: string): Tag | undefined {
    return this.tags.get(name)?.deref()
  }

  private newText(): string {
    return this.prefix + (this.count++).toString(36)
  }
}
