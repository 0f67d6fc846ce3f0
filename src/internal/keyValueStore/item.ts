/**
 * What is stored under a name: bytes with the instant until which they are kept
 * and the generation of their key. Stores that write in place can leave half of
 * it behind, which its checksum tells.
 *
 * Little endian:
 *
 *     0  1  format version
 *     1  4  CRC-32 of every byte from 5 on
 *     5  8  keepUntil  f64, epoch milliseconds or Infinity
 *    13  2  length of the generation
 *    15     generation, in UTF-8, then the bytes
 */
import { crc32 } from "node:zlib"

export interface Item {
  readonly keepUntil: number
  /** See `cleared.ts`. */
  readonly generation: string
  readonly bytes: Uint8Array
}

const format = 1
const fixedLength = 15

export const encode = ({ bytes, generation, keepUntil }: Item): Uint8Array => {
  const text = Buffer.from(generation)
  const item = new Uint8Array(fixedLength + text.length + bytes.length)
  const view = new DataView(item.buffer)
  item[0] = format
  view.setFloat64(5, keepUntil, true)
  view.setUint16(13, text.length, true)
  item.set(text, fixedLength)
  item.set(bytes, fixedLength + text.length)
  view.setUint32(1, crc32(item.subarray(5)), true)
  return item
}

/** `undefined` for anything that is not an item, or not a whole one. */
export const decode = (item: Uint8Array): Item | undefined => {
  const view = new DataView(item.buffer, item.byteOffset, item.byteLength)
  if (item.length < fixedLength || item[0] !== format || crc32(item.subarray(5)) !== view.getUint32(1, true)) {
    return undefined
  }
  const bytesAt = fixedLength + view.getUint16(13, true)
  return {
    keepUntil: view.getFloat64(5, true),
    generation: Buffer.from(item.subarray(fixedLength, bytesAt)).toString(),
    bytes: item.subarray(bytesAt)
  }
}
