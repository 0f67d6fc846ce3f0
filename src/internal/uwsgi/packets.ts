/**
 * Packets of the uwsgi protocol as the caching framework of uWSGI uses it.
 *
 *     0  1  modifier 1: 111, the cache
 *     1  2  length of the pairs, little endian
 *     3  1  modifier 2: 17, a command or its answer
 *     4     pairs: u16 length, name, u16 length, value
 *           body, as long as the pair `size` says
 */

const modifier1 = 111
const modifier2 = 17
const headerLength = 4
const longest = 0xffff

export type Command = "get" | "set" | "update" | "del" | "exists" | "clear"

/** A packet that has been read whole. */
export interface Packet {
  /** The values as Latin-1: a character is a byte. */
  readonly pairs: ReadonlyMap<string, string>
  readonly body: Uint8Array
}

/** A packet of these pairs, in their order; `body` follows as it is. */
export const encode = (
  pairs: Iterable<readonly [name: string, value: string | Uint8Array]>,
  body?: Uint8Array | undefined
): Buffer => {
  const parts: Array<Uint8Array> = []
  let length = 0
  const put = (part: string | Uint8Array) => {
    const bytes = typeof part === "string" ? Buffer.from(part, "latin1") : part
    if (bytes.length > longest) throw new RangeError("a part of a uwsgi packet is too long")
    const size = Buffer.alloc(2)
    size.writeUInt16LE(bytes.length)
    parts.push(size, bytes)
    length += 2 + bytes.length
  }
  for (const [name, value] of pairs) {
    put(name)
    put(value)
  }
  if (length > longest) throw new RangeError("a uwsgi packet is too long")
  const header = Buffer.alloc(headerLength)
  header[0] = modifier1
  header.writeUInt16LE(length, 1)
  header[3] = modifier2
  return Buffer.concat(body === undefined ? [header, ...parts] : [header, ...parts, body])
}

/** Puts a packet together from the chunks in which it arrives. */
export class PacketReader {
  private chunks: Array<Uint8Array> = []
  private length = 0
  /** How many bytes must be there before another look is worth while. */
  private needed = headerLength
  private pairs: ReadonlyMap<string, string> | undefined
  private bodyAt = 0

  /** Whether nothing has arrived. */
  get isEmpty(): boolean {
    return this.length === 0
  }

  /** The packet once it is whole; `"foreign"` where the bytes are none. Bytes after its end are ignored. */
  push(chunk: Uint8Array): Packet | "foreign" | undefined {
    this.chunks.push(chunk)
    this.length += chunk.length
    while (this.length >= this.needed) {
      const bytes = this.joined()
      if (this.pairs !== undefined) {
        return { pairs: this.pairs, body: new Uint8Array(bytes.subarray(this.bodyAt, this.needed)) }
      }
      if (bytes[0] !== modifier1 || bytes[3] !== modifier2) return "foreign"
      this.bodyAt = headerLength + bytes.readUInt16LE(1)
      if (this.length < this.bodyAt) {
        this.needed = this.bodyAt
        return undefined
      }
      this.pairs = pairsOf(bytes.subarray(headerLength, this.bodyAt))
      const size = this.pairs?.get("size") ?? "0"
      if (this.pairs === undefined || !/^\d{1,15}$/.test(size)) return "foreign"
      this.needed = this.bodyAt + Number(size)
    }
    return undefined
  }

  private joined(): Buffer {
    if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks)]
    const { buffer, byteLength, byteOffset } = this.chunks[0]!
    return Buffer.from(buffer, byteOffset, byteLength)
  }
}

const pairsOf = (bytes: Buffer): ReadonlyMap<string, string> | undefined => {
  const pairs = new Map<string, string>()
  let at = 0
  const take = (): string | undefined => {
    if (at + 2 > bytes.length) return undefined
    const start = at + 2
    const end = start + bytes.readUInt16LE(at)
    if (end > bytes.length) return undefined
    at = end
    return bytes.toString("latin1", start, end)
  }
  while (at < bytes.length) {
    const name = take()
    const value = take()
    if (name === undefined || value === undefined) return undefined
    pairs.set(name, value)
  }
  return pairs
}
