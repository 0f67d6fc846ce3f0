/**
 * Values and headers, byte for byte.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Entry } from "../../Backend.js"
import { entry, equal, fail, get, minute, payload, suite, together } from "./kit.js"
import type { Kit } from "./kit.js"

const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index)

/** Bytes that do not compress, the same in every run. */
const noise = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  for (let index = 0, state = length | 1; index < length; index++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 | 0
    bytes[index] = state >>> 24
  }
  return bytes
}

const found = ({ at, backend }: Kit, name: string): Effect.Effect<Entry, unknown> =>
  Effect.map(backend.get(at(name)), Option.getOrElse(() => fail(`get of ${name}`, "an entry", "none")))

/** Wants the payload of the entry called `name` to be `bytes`. */
const holds = (kit: Kit, name: string, bytes: Uint8Array): Effect.Effect<void, unknown> =>
  Effect.map(found(kit, name), (entry) => {
    const actual = payload(entry)
    if (Buffer.compare(actual, bytes) !== 0) {
      const at = bytes.findIndex((byte, index) => byte !== actual[index])
      fail(`the payload of ${name}`, `${bytes.length} bytes`, `${actual.length} bytes that differ from byte ${at} on`)
    }
  })

/** Wants the header to come back as it was stored. */
const header = (kit: Kit, name: string, stored: Entry): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    yield* kit.backend.set(kit.at(name), stored, Duration.infinity)
    const pick = ({ codec, freshUntil, isFailure, keepUntil, loadMillis, loadedAt, tags }: Entry) => ({
      codec,
      freshUntil,
      isFailure,
      keepUntil,
      loadMillis,
      loadedAt,
      tags: tags.map(({ hard, soft, tag }) => ({ hard, soft, tag }))
    })
    yield* equal(`the header of ${name}`, Effect.map(found(kit, name), pick), pick(stored))
    yield* holds(kit, name, payload(stored))
  })

export const values = suite("values", {
  *"keeps no bytes at all, which is not the same as nothing"(kit) {
    yield* kit.backend.set(kit.at("empty"), entry(new Uint8Array(0)), minute)
    yield* holds(kit, "empty", new Uint8Array(0))
    yield* equal("has", kit.backend.has(kit.at("empty")), true)
  },
  *"keeps every byte"(kit) {
    yield* kit.backend.set(kit.at("bytes"), entry(everyByte), minute)
    yield* holds(kit, "bytes", everyByte)
    yield* kit.backend.set(kit.at("protocol"), entry("\r\nEND\r\n\0*3\r\n$3\r\nSET\r\n"), minute)
    yield* equal("get", get(kit.backend, kit.at("protocol")), "\r\nEND\r\n\0*3\r\n$3\r\nSET\r\n")
  },
  *"keeps the part of a buffer that a view shows, and no more"(kit) {
    const buffer = new Uint8Array(1_000).fill(7)
    buffer.set(everyByte, 300)
    yield* kit.backend.set(kit.at("view"), entry(buffer.subarray(300, 556)), minute)
    yield* kit.backend.set(kit.at("Buffer"), entry(Buffer.from(buffer.buffer, 300, 256)), minute)
    yield* holds(kit, "view", everyByte)
    yield* holds(kit, "Buffer", everyByte)
  },
  *"keeps large values, and values a byte smaller and larger"(kit) {
    for (const length of [65_535, 65_536, kit.largeValueBytes - 1, kit.largeValueBytes, kit.largeValueBytes + 1]) {
      const name = `${length} bytes`
      yield* kit.backend.set(kit.at(name), entry(noise(length)), minute)
      yield* holds(kit, name, noise(length))
      yield* kit.backend.remove(kit.at(name))
    }
  },
  *"keeps values apart that are written and read at once"(kit) {
    const value = (index: number) => noise(20_000 + index)
    yield* together(30, (index) => kit.backend.set(kit.at(String(index)), entry(value(index)), minute))
    yield* together(30, (index) => holds(kit, String(index), value(index)))
  },
  *"keeps what was set, whatever becomes of the buffer after the call"(kit) {
    if (kit.backend.holds !== "bytes") return
    const buffer = noise(1_000)
    yield* kit.backend.set(kit.at("set"), entry(buffer), minute)
    yield* kit.backend.setMany([[kit.at("setMany"), entry(buffer), minute]])
    yield* kit.backend.add(kit.at("add"), entry(buffer), minute)
    buffer.fill(0)
    yield* holds(kit, "set", noise(1_000))
    yield* holds(kit, "setMany", noise(1_000))
    yield* holds(kit, "add", noise(1_000))
  },
  *"keeps the header: instants, and instants without end"(kit) {
    yield* header(
      kit,
      "plain",
      entry("1", { loadedAt: -1, freshUntil: 30_000.25, keepUntil: 60_000, loadMillis: 12.5 })
    )
    yield* header(kit, "endless", entry("1", { freshUntil: Infinity, keepUntil: Infinity, loadMillis: 0 }))
    yield* header(kit, "never fresh", entry("1", { freshUntil: 0, loadMillis: 1e9 }))
    yield* header(kit, "of today", entry("1", { loadedAt: 1_790_000_000_000, keepUntil: 1_790_000_060_000 }))
  },
  *"keeps the header: failures and codecs"(kit) {
    yield* header(kit, "failure", entry("no such user", { isFailure: true }))
    yield* header(kit, "codec", entry("1", { codec: "json:é😀\n\0" }))
    yield* header(kit, "no codec", entry("1", { codec: "" }))
  },
  *"keeps the header: many tags"(kit) {
    const tags = Array.from({ length: 1_000 }, (_, index) => ({ tag: `tag é ${index}`, hard: `h${index}`, soft: "" }))
    yield* header(kit, "a thousand tags", entry("1", { tags }))
    yield* header(kit, "a long tag", entry("1", { tags: [{ tag: "t".repeat(60_000), hard: "h", soft: "s" }] }))
  }
})
