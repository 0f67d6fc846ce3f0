/**
 * A stored entry as people and programs read it.
 */
import type { Entry, TagVersion } from "../Backend.js"
import { describe } from "../internal/describe.js"
import { counterCodec } from "../internal/entry.js"
import * as Render from "./render.js"

/** `invalidated`: a miss, though its time is not over. */
export type State = "fresh" | "stale" | "expired" | "invalidated"

export interface Judged {
  readonly state: State
  /** How a cached call would be answered. */
  readonly answer: "hit" | "stale" | "miss"
  readonly why: ReadonlyArray<string>
  readonly described: ReturnType<typeof describe>
}

/** Made of the entry and the versions that its tags have now. */
export const judge = (entry: Entry, current: ReadonlyArray<TagVersion>, now: number): Judged => {
  const described = describe(entry, current, now)
  const named = (tags: ReadonlyArray<{ readonly tag: string }>) => tags.map(({ tag }) => tag).join(", ")
  const ended = described.tags.filter((tag) => tag.isInvalidated)
  const softened = described.tags.filter((tag) => tag.isStale && !tag.isInvalidated)
  const hasGrace = entry.keepUntil > entry.freshUntil
  const byTime = {
    fresh: `its time to live ends in ${Render.duration(described.freshForMillis)}`,
    stale: `its time to live ended ${Render.duration(described.freshForMillis)} ago, its grace ends in ${
      Render.duration(described.keptForMillis)
    }`,
    expired: `its time ended ${Render.duration(described.keptForMillis)} ago`
  }[described.state].replace("ends in for ever", "does not end")
  const why = [
    ...(ended.length > 0 ? [`invalidated by ${named(ended)}`] : []),
    ...(softened.length > 0 ? [`made stale by ${named(softened)}${hasGrace ? "" : ", and it has no grace"}`] : []),
    byTime
  ]
  const state = described.state === "expired"
    ? "expired"
    : ended.length > 0 || (softened.length > 0 && !hasGrace)
    ? "invalidated"
    : softened.length > 0
    ? "stale"
    : described.state
  return { state, answer: state === "fresh" ? "hit" : state === "stale" ? "stale" : "miss", why, described }
}

/** `null`: for ever. */
const finite = (value: number): number | null => Number.isFinite(value) ? value : null

/** The header, for programs: instants in epoch milliseconds. */
export const headerJson = (entry: Entry, { described }: Judged) => ({
  isFailure: entry.isFailure,
  codec: entry.codec,
  loadedAt: finite(entry.loadedAt),
  freshUntil: finite(entry.freshUntil),
  keepUntil: finite(entry.keepUntil),
  loadMillis: entry.loadMillis,
  bytes: entry.bytes?.length ?? null,
  tags: described.tags
})

/** The header, for people. */
export const headerText = (
  key: string,
  backend: string,
  entry: Entry,
  { described, state }: Judged,
  now: number
): ReadonlyArray<readonly [string, string | undefined]> => [
  ["key", key],
  ["backend", backend],
  ["state", entry.isFailure ? `${state}, the failure of a load` : state],
  ["loaded", `${Render.instant(entry.loadedAt, now)}, which took ${Render.duration(entry.loadMillis)}`],
  ["fresh until", Render.instant(entry.freshUntil, now)],
  ["kept until", Render.instant(entry.keepUntil, now)],
  [
    "tags",
    described.tags.length === 0
      ? "none"
      : described.tags.map(({ isInvalidated, isStale, tag }) =>
        isInvalidated ? `${tag} (invalidated)` : isStale ? `${tag} (made stale)` : tag
      ).join(", ")
  ],
  ["codec", entry.codec],
  ["size", entry.bytes && Render.bytes(entry.bytes.length)]
]

/** The payload, in the form that says most. */
export type Payload =
  | { readonly form: "json"; readonly data: unknown }
  | { readonly form: "text"; readonly data: string }
  | { readonly form: "bytes"; readonly data: Uint8Array }

const utf8 = new TextDecoder("utf-8", { fatal: true })

export const payloadOf = ({ bytes = new Uint8Array(0), codec }: Entry): Payload => {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return { form: "bytes", data: bytes }
  }
  if (codec.startsWith("json:") || codec === counterCodec) {
    try {
      return { form: "json", data: JSON.parse(text) }
    } catch {
      // A schema of nothing writes no bytes.
    }
  }
  return text.includes("\0") ? { form: "bytes", data: bytes } : { form: "text", data: text }
}

export const payloadJson = (payload: Payload) =>
  payload.form === "bytes" ? { form: "base64", data: Buffer.from(payload.data).toString("base64") } : payload

const mostDumped = 1_024

export const payloadText = (payload: Payload): string =>
  payload.form === "json"
    ? Render.visible(JSON.stringify(payload.data, undefined, 2), true)
    : payload.form === "text"
    ? Render.visible(payload.data, true)
    : Render.hexdump(payload.data, mostDumped)
