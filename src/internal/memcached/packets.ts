/**
 * Requests of memcached's binary protocol, in bytes.
 *
 * Built here and not by memjs: its requests have no place for a CAS, are copied
 * twice, and lose what is beyond 32 bits.
 */

export const opcodes = {
  set: 0x01,
  add: 0x02,
  delete: 0x04,
  getQuiet: 0x09,
  noop: 0x0a,
  stat: 0x10,
  getAndTouchQuiet: 0x1e
} as const

export const statuses = {
  ok: 0x00,
  notFound: 0x01,
  exists: 0x02,
  tooLarge: 0x03,
  notStored: 0x05,
  authentication: 0x20,
  outOfMemory: 0x82,
  busy: 0x85,
  temporary: 0x86
} as const

export interface Request {
  readonly opcode: number
  /** ASCII, of 250 characters at most. */
  readonly key: string
  /** Seconds, as `expirationOf` tells them; of requests that store or touch. */
  readonly expiration?: number | undefined
  /** The value, in parts. */
  readonly value?: ReadonlyArray<Uint8Array> | undefined
  /** Only if the item still has this CAS; all zero or absent: in any case. */
  readonly cas?: Buffer | undefined
  /** Of the many answers to a `stat`, the one that is kept. */
  readonly stat?: string | undefined
}

export interface Reply {
  readonly status: number
  /** A view of a larger buffer: to be copied before it is kept. */
  readonly value: Buffer
  readonly cas: Buffer
}

const headerLength = 24
const noValue: ReadonlyArray<Uint8Array> = []

/** The parts of the request, to be written in one go. */
export const encode = (request: Request, opaque: number): ReadonlyArray<Uint8Array> => {
  const { cas, expiration, key, opcode, value = noValue } = request
  const stores = opcode === opcodes.set || opcode === opcodes.add
  const extrasLength = stores ? 8 : expiration === undefined ? 0 : 4
  const valueLength = value.reduce((sum, part) => sum + part.length, 0)
  const head = Buffer.alloc(headerLength + extrasLength + key.length)
  head[0] = 0x80
  head[1] = opcode
  head.writeUInt16BE(key.length, 2)
  head[4] = extrasLength
  head.writeUInt32BE(extrasLength + key.length + valueLength, 8)
  head.writeUInt32BE(opaque, 12)
  if (cas !== undefined) cas.copy(head, 16)
  if (expiration !== undefined) head.writeUInt32BE(expiration, headerLength + extrasLength - 4)
  head.write(key, headerLength + extrasLength, "latin1")
  return valueLength === 0 ? [head] : [head, ...value]
}

export const getQuiet = (key: string): Request => ({ opcode: opcodes.getQuiet, key })

export const remove = (key: string, cas?: Buffer): Request => ({ opcode: opcodes.delete, key, cas })

const longestDelta = 30 * 24 * 60 * 60

/**
 * How a server is told to keep an item for at least so many milliseconds: zero
 * is for ever, more than thirty days is an instant. The server counts in whole
 * seconds of a clock that ticks once a second, so that an item may go up to a
 * second early: it gets one more.
 */
export const expirationOf = (millis: number): number => {
  const seconds = Math.ceil(millis / 1_000) + 1
  if (seconds <= longestDelta) return seconds
  const at = Math.floor(Date.now() / 1_000) + seconds
  return at < 2 ** 32 ? at : 0
}
