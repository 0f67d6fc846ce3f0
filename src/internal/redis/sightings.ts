/**
 * Which entries this process has lately seen, fresh and without tags: the next one who
 * asks will likely find them, and a plain read costs half of one that may take a lease.
 */

const rows = 4_096
const places = 4

/**
 * A memory of one size: in a full row, what is fresh for the shortest time makes room.
 * Keys are told apart by a hash.
 */
export class Sightings {
  private readonly keys = new Int32Array(rows * places)
  private readonly freshUntil = new Float64Array(rows * places)

  note(key: string, freshUntil: number): void {
    const hash = hashOf(key)
    const at = this.find(hash) ?? this.shortest(hash)
    this.keys[at] = hash
    this.freshUntil[at] = freshUntil
  }

  isFresh(key: string, now: number): boolean {
    const at = this.find(hashOf(key))
    return at !== undefined && now < this.freshUntil[at]!
  }

  forget(key: string): void {
    const at = this.find(hashOf(key))
    if (at !== undefined) this.freshUntil[at] = 0
  }

  forgetAll(): void {
    this.freshUntil.fill(0)
  }

  private find(hash: number): number | undefined {
    const row = rowOf(hash)
    for (let at = row; at < row + places; at++) if (this.keys[at] === hash) return at
    return undefined
  }

  private shortest(hash: number): number {
    let shortest = rowOf(hash)
    for (let at = shortest + 1; at < rowOf(hash) + places; at++) {
      if (this.freshUntil[at]! < this.freshUntil[shortest]!) shortest = at
    }
    return shortest
  }
}

const rowOf = (hash: number): number => (hash & (rows - 1)) * places

/** FNV-1a, over UTF-16 units. */
const hashOf = (key: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return hash | 0
}
