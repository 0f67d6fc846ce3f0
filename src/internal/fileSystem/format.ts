/**
 * The form of a file: until when it is kept, whose it is, and bytes.
 *
 * Little endian:
 *
 *     0  4  magic "EFCF"
 *     4  4  CRC-32 of every byte from 8 on to the end of the key
 *     8  4  format version
 *    12  4  key length
 *    16  4  value length
 *    20  8  expiresAt     f64, epoch milliseconds or Infinity
 *    28     key, value
 *
 * The value vouches for itself: an envelope has a checksum of its own.
 */
import { crc32 } from "node:zlib"

/** What is in a file. `value` is a view of the bytes that were decoded. */
export interface Stored {
  readonly key: string
  /** Epoch milliseconds, or Infinity. */
  readonly expiresAt: number
  readonly value: Uint8Array
}

const headerBytes = 28
const magic = 0x46_43_46_45
const version = 1
const utf8 = new TextEncoder()

export const encode = (key: string, expiresAt: number, value: Uint8Array): Buffer => {
  const keyBytes = utf8.encode(key)
  const out = Buffer.allocUnsafe(headerBytes + keyBytes.length + value.length)
  out.writeUInt32LE(magic, 0)
  out.writeUInt32LE(version, 8)
  out.writeUInt32LE(keyBytes.length, 12)
  out.writeUInt32LE(value.length, 16)
  out.writeDoubleLE(expiresAt, 20)
  out.set(keyBytes, headerBytes)
  out.set(value, headerBytes + keyBytes.length)
  out.writeUInt32LE(crc32(out.subarray(8, headerBytes + keyBytes.length)), 4)
  return out
}

/** How long the file that begins with `head` says it is; `undefined` where it is none of ours. */
export const lengthOf = (head: Buffer): number | undefined =>
  head.length >= headerBytes && head.readUInt32LE(0) === magic && head.readUInt32LE(8) === version
    ? headerBytes + head.readUInt32LE(12) + head.readUInt32LE(16)
    : undefined

/** What is in the file; `undefined` for foreign bytes, truncation and a damaged header. */
export const decode = (bytes: Buffer): Stored | undefined => {
  if (lengthOf(bytes) !== bytes.length) return undefined
  const keyEnd = headerBytes + bytes.readUInt32LE(12)
  if (crc32(bytes.subarray(8, keyEnd)) !== bytes.readUInt32LE(4)) return undefined
  return {
    key: bytes.toString("utf8", headerBytes, keyEnd),
    expiresAt: bytes.readDoubleLE(20),
    value: bytes.subarray(keyEnd)
  }
}
