/**
 * What a backend keeps under a key, and its form in bytes.
 *
 * An entry is a header (when it was loaded, until when it is fresh, until when
 * it may be kept, the tag versions it depends on) and a payload, held as the
 * `exit` of its load, as `bytes`, or as both: each conversion is made once.
 *
 * The envelope, little endian:
 *
 *     0  3  magic "EFC"
 *     3  1  format version
 *     4  1  flags: 1 the load failed, 2 the checksum is set
 *     5  4  CRC-32 of the flags and of every byte from 9 on, or zero where the flag is not set
 *     9  8  loadedAt      f64, epoch milliseconds
 *    17  8  freshUntil    f64, epoch milliseconds or Infinity
 *    25  8  keepUntil     f64, epoch milliseconds or Infinity
 *    33  8  loadMillis    f64
 *    41  4  payload length
 *    45  2  codec length
 *    47  2  number of tags
 *    49     codec, then per tag: u16 length, tag, u8 length, hard, u8 length, soft
 *           payload
 */
import { crc32 } from "node:zlib"

/** The version of a tag that an entry was loaded under. */
export interface TagVersion {
  readonly tag: string
  /** Changed by every invalidation that makes a miss. */
  readonly hard: string
  /** Changed by every invalidation that makes stale. */
  readonly soft: string
}

/** What is known of an entry without its payload. Instants are epoch milliseconds. */
export interface Header {
  /** Whether the payload is the success or the failure of its load. */
  readonly isFailure: boolean
  /** What wrote the payload: a codec's id with the fingerprint of its schema. */
  readonly codec: string
  /** When the load ended. */
  readonly loadedAt: number
  /** Fresh while now is before this instant. */
  readonly freshUntil: number
  /** May be served, fresh or stale, while now is before this instant. */
  readonly keepUntil: number
  /** How long the load took. */
  readonly loadMillis: number
  readonly tags: ReadonlyArray<TagVersion>
}

/** `exit` is an `Exit`, opaque here; one of `exit` and `bytes` is always there. */
export class Entry implements Header {
  constructor(
    readonly isFailure: boolean,
    readonly codec: string,
    readonly loadedAt: number,
    readonly freshUntil: number,
    readonly keepUntil: number,
    readonly loadMillis: number,
    readonly tags: ReadonlyArray<TagVersion>,
    public exit: unknown,
    public bytes: Uint8Array | undefined
  ) {}
}

/** `codec` of a counter: a decimal number as text, which every codec may read. */
export const counterCodec = "counter"

const formatVersion = 1
const fixedLength = 49
const maxTagCount = 0xffff
const isFailureFlag = 1
const isCheckedFlag = 2

const utf8 = new TextEncoder()
const text = new TextDecoder("utf-8", { fatal: true })

/** The envelope of an entry that has `bytes`. */
export const encode = (entry: Entry): Uint8Array => {
  const payload = entry.bytes!
  const codec = utf8.encode(entry.codec)
  const tags = entry.tags.slice(0, maxTagCount).map(({ hard, soft, tag }) =>
    [utf8.encode(tag), utf8.encode(hard), utf8.encode(soft)] as const
  )
  const length = fixedLength + codec.length + payload.length +
    tags.reduce((sum, [tag, hard, soft]) => sum + 4 + tag.length + hard.length + soft.length, 0)
  const out = new Uint8Array(length)
  const view = new DataView(out.buffer)
  out[0] = 0x45
  out[1] = 0x46
  out[2] = 0x43
  out[3] = formatVersion
  out[4] = (entry.isFailure ? isFailureFlag : 0) | isCheckedFlag
  view.setFloat64(9, entry.loadedAt, true)
  view.setFloat64(17, entry.freshUntil, true)
  view.setFloat64(25, entry.keepUntil, true)
  view.setFloat64(33, entry.loadMillis, true)
  view.setUint32(41, payload.length, true)
  view.setUint16(45, codec.length, true)
  view.setUint16(47, tags.length, true)
  let at = fixedLength
  const put = (bytes: Uint8Array) => {
    out.set(bytes, at)
    at += bytes.length
  }
  put(codec)
  for (const [tag, hard, soft] of tags) {
    view.setUint16(at, tag.length, true)
    at += 2
    put(tag)
    out[at++] = hard.length
    put(hard)
    out[at++] = soft.length
    put(soft)
  }
  put(payload)
  view.setUint32(5, crc32(out.subarray(9), out[4]), true)
  return out
}

/**
 * The entry in an envelope, its payload copied out of `envelope`; `undefined`
 * for foreign bytes, another format version, truncation and corruption alike.
 */
export const decode = (envelope: Uint8Array): Entry | undefined => {
  if (
    envelope.length < fixedLength || envelope[0] !== 0x45 || envelope[1] !== 0x46 || envelope[2] !== 0x43 ||
    envelope[3] !== formatVersion
  ) return undefined
  const view = new DataView(envelope.buffer, envelope.byteOffset, envelope.byteLength)
  const flags = envelope[4]!
  const checksum = (flags & isCheckedFlag) === 0 ? 0 : crc32(envelope.subarray(9), flags)
  if (checksum !== view.getUint32(5, true)) return undefined
  const payloadAt = envelope.length - view.getUint32(41, true)
  const codecEnd = fixedLength + view.getUint16(45, true)
  let at = codecEnd
  try {
    const tags: Array<TagVersion> = []
    const take = (length: number): string => {
      if (at + length > payloadAt) throw new RangeError("truncated")
      const part = text.decode(envelope.subarray(at, at + length))
      at += length
      return part
    }
    for (let left = view.getUint16(47, true); left > 0; left--) {
      const length = view.getUint16(at, true)
      at += 2
      const tag = take(length)
      const hard = take(envelope[at++]!)
      const soft = take(envelope[at++]!)
      tags.push({ tag, hard, soft })
    }
    if (at !== payloadAt) return undefined
    return new Entry(
      (flags & isFailureFlag) !== 0,
      text.decode(envelope.subarray(fixedLength, codecEnd)),
      view.getFloat64(9, true),
      view.getFloat64(17, true),
      view.getFloat64(25, true),
      view.getFloat64(33, true),
      tags,
      undefined,
      // Not `slice`: that of a `Buffer`, as drivers answer, is a view.
      new Uint8Array(envelope.subarray(payloadAt))
    )
  } catch {
    return undefined
  }
}

/** A counter holding `value`, kept until `keepUntil`. */
export const counter = (value: number, now: number, keepUntil: number): Entry =>
  new Entry(false, counterCodec, now, keepUntil, keepUntil, 0, [], undefined, utf8.encode(String(value)))

/** The entry with another number for its payload and the rest of its header as it was. */
export const withNumber = (entry: Entry, value: number): Entry =>
  new Entry(
    false,
    entry.codec,
    entry.loadedAt,
    entry.freshUntil,
    entry.keepUntil,
    entry.loadMillis,
    entry.tags,
    undefined,
    utf8.encode(String(value))
  )

/** The safe integer that an entry's payload is the text of, if it is. */
export const numberOf = (bytes: Uint8Array): number | undefined => {
  const digits = bytes.length <= 20
    ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")
    : ""
  const value = /^-?\d+$/.test(digits) ? Number(digits) : NaN
  return Number.isSafeInteger(value) ? value : undefined
}
