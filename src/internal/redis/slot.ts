/**
 * Which of the 16384 hash slots of a cluster a key is in: CRC-16/XMODEM of what
 * is between the first brace and the next closing one, or of the whole key.
 */

export const slotCount = 16_384

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
  return crc
})

const openingBrace = 0x7b
const closingBrace = 0x7d

export const slotOf = (key: string | Uint8Array): number => {
  const bytes = typeof key === "string" ? Buffer.from(key) : key
  const opening = bytes.indexOf(openingBrace)
  const closing = opening < 0 ? -1 : bytes.indexOf(closingBrace, opening + 1)
  // `{}` is no tag.
  const [from, to] = closing > opening + 1 ? [opening + 1, closing] : [0, bytes.length]
  let crc = 0
  for (let at = from; at < to; at++) crc = ((crc << 8) & 0xffff) ^ table[(crc >> 8) ^ bytes[at]!]!
  return crc % slotCount
}
