/**
 * What is stored under a key, and under which name.
 *
 * An item is an entry, the lease on its key, or both, so that one CAS guards the
 * two. Little endian:
 *
 *     0   1  magic 0xEC
 *     1   1  format version
 *     2   1  flags: 1 there is a lease, 2 the full key is there
 *     3   1  zero
 *     4  12  id of the namespace it was written in
 *    16   8  f64, how many clears that had seen
 *        20  of a lease: the token, and until when it is held (f64, epoch milliseconds)
 *        4+  of a full key: its length, and the key
 *            the envelope of the entry; nothing where there is none
 */
import { createHash } from "node:crypto"
import * as Entry from "../entry.js"
import type { Stamp } from "./namespace.js"

export interface Lease {
  readonly token: string
  /** Epoch milliseconds of the machine. */
  readonly until: number
}

export class Item {
  private decoded: Entry.Entry | undefined
  constructor(
    readonly stamp: Stamp,
    readonly lease: Lease | undefined,
    /** A view of a larger buffer; `undefined` once it is decoded, and where there is no entry. */
    private envelope: Uint8Array | undefined
  ) {}

  /** The entry, unless it has expired. */
  entry(now: number): Entry.Entry | undefined {
    if (this.envelope !== undefined) this.decoded = Entry.decode(this.envelope)
    this.envelope = undefined
    return this.decoded !== undefined && now < this.decoded.keepUntil ? this.decoded : undefined
  }
}

/** A key as the server knows it. `full` is there where the name does not tell it. */
export interface Name {
  readonly wire: string
  readonly full: string | undefined
}

const magic = 0xec
const formatVersion = 1
const hasLease = 1
const hasKey = 2
const fixedLength = 24
const leaseLength = 20
const idLength = 12

const longestName = 250
/** More than a server adds to an item, beside its key. */
const overhead = 80

/** Neither blank nor control character; `~` at the beginning is ours. */
const isPlain = /^[!-}][!-~]*$/

const digest = (text: string): string => createHash("sha256").update(text).digest("base64url")

/** What begins every name of a share. */
export const shareOf = (prefix: string): string =>
  prefix === "" || (isPlain.test(prefix) && prefix.length <= 100) ? prefix : `~#${digest(prefix)}:`

export const nameOf = (share: string, key: string): Name =>
  isPlain.test(key) && share.length + key.length <= longestName
    ? { wire: share + key, full: undefined }
    : { wire: `${share}~#${digest(key)}`, full: key }

/** The name of something that is not an entry: of what kind, and whose. */
export const reservedName = (share: string, kind: string, of: string): string =>
  (of === "" || isPlain.test(of)) && share.length + kind.length + of.length + 2 <= longestName
    ? `${share}~${kind}:${of}`
    : `${share}~${kind}#${digest(of)}`

/** The parts of an item's value. */
export const encode = (
  { full }: Name,
  { id, clears }: Stamp,
  lease: Lease | undefined,
  envelope: Uint8Array | undefined
): ReadonlyArray<Uint8Array> => {
  const keyLength = full === undefined ? 0 : Buffer.byteLength(full)
  const head = Buffer.alloc(
    fixedLength + (lease === undefined ? 0 : leaseLength) + (full === undefined ? 0 : 4 + keyLength)
  )
  head[0] = magic
  head[1] = formatVersion
  head[2] = (lease === undefined ? 0 : hasLease) | (full === undefined ? 0 : hasKey)
  head.write(id, 4, idLength, "latin1")
  head.writeDoubleLE(clears, 16)
  let at = fixedLength
  if (lease !== undefined) {
    head.write(lease.token, at, 12, "latin1")
    head.writeDoubleLE(lease.until, at + 12)
    at += leaseLength
  }
  if (full !== undefined) {
    head.writeUInt32LE(keyLength, at)
    head.write(full, at + 4)
  }
  return envelope === undefined ? [head] : [head, envelope]
}

/** `undefined` for foreign bytes, and for what another key left under the same name. */
export const decode = ({ full }: Name, value: Buffer): Item | undefined => {
  if (value.length < fixedLength || value[0] !== magic || value[1] !== formatVersion) return undefined
  const flags = value[2]!
  if (((flags & hasKey) !== 0) !== (full !== undefined)) return undefined
  let at = fixedLength
  let lease: Lease | undefined
  if ((flags & hasLease) !== 0) {
    if (value.length < at + leaseLength) return undefined
    lease = { token: value.toString("latin1", at, at + 12), until: value.readDoubleLE(at + 12) }
    at += leaseLength
  }
  if (full !== undefined) {
    if (value.length < at + 4) return undefined
    const end = at + 4 + value.readUInt32LE(at)
    if (value.length < end || value.toString("utf8", at + 4, end) !== full) return undefined
    at = end
  }
  return new Item(
    { id: value.toString("latin1", 4, 4 + idLength), clears: value.readDoubleLE(16) },
    lease,
    at < value.length ? new Uint8Array(value.buffer, value.byteOffset + at, value.length - at) : undefined
  )
}

/** What a server whose items have at most `limit` bytes leaves for an envelope. */
export const roomFor = ({ full, wire }: Name, limit: number): number =>
  limit - overhead - wire.length - fixedLength - leaseLength - (full === undefined ? 0 : 4 + Buffer.byteLength(full))
