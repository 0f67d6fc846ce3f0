/**
 * What people read, as text: pure.
 */

/** Characters that a terminal would obey, as escapes. Line ends and tabs stay where `isMultiline`. */
export const visible = (text: string, isMultiline = false): string =>
  text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (char) => isMultiline && (char === "\n" || char === "\t") ? char : `\\u{${char.codePointAt(0)!.toString(16)}}`
  )

/** The text with everything removed that may be a credential in an address. */
export const withoutCredentials = (text: string): string =>
  text.replace(/(?<!\bfile)(:\/\/)[^]*@/g, "$1…@").replace(/(\w*(?:password|username)=)[^&\s"']*/gi, "$1…")

export interface Column {
  readonly title: string
  /** Numbers stand on the right. */
  readonly isNumber?: boolean | undefined
}

/** Rows under titles, as wide as they must be; the lines do not end in spaces. */
export const table = (columns: ReadonlyArray<Column>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const lines = [columns.map(({ title }) => title), ...rows.map((row) => row.map((cell) => visible(cell)))]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)))
  return lines.map((line) =>
    line.map((cell, i) => columns[i]!.isNumber === true ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))
      .join("  ").trimEnd()
  ).join("\n")
}

/** Names and what they are, below each other; what is `undefined` is left out. */
export const facts = (pairs: ReadonlyArray<readonly [name: string, fact: string | undefined]>): string => {
  const present = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined)
  const width = Math.max(0, ...present.map(([name]) => name.length))
  return present.map(([name, fact]) => `${name.padEnd(width)}  ${visible(fact)}`.trimEnd()).join("\n")
}

/** 1234567 is "1,234,567". */
export const count = (value: number): string => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",")

export const plural = (value: number, one: string, many: string): string =>
  `${count(value)} ${value === 1 ? one : many}`

const units = ["B", "KiB", "MiB", "GiB", "TiB"] as const

export const bytes = (value: number): string => {
  const unit = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10))
  return unit === 0 ? `${value} B` : `${(value / 1024 ** unit).toFixed(1)} ${units[unit]}`
}

/** The two largest units of a time in milliseconds, which may be negative. */
export const duration = (millis: number): string => {
  if (millis === Infinity) return "for ever"
  const all = Math.abs(millis)
  if (all < 1_000) return `${Math.round(all)} ms`
  const seconds = Math.floor(all / 1_000)
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"]
  ] as const
  const first = parts.findIndex(([value]) => value > 0)
  return parts.slice(first, first + 2).filter(([value]) => value > 0).map(([value, unit]) => `${value} ${unit}`)
    .join(" ")
}

/** An instant, and how far it is from now. */
export const instant = (at: number, now: number): string => {
  if (at === Infinity) return "for ever"
  const text = Math.abs(at) <= 8.64e15 ? new Date(at).toISOString() : String(at)
  return `${text} (${at > now ? `in ${duration(at - now)}` : `${duration(now - at)} ago`})`
}

export const percent = (share: number): string => Number.isNaN(share) ? "–" : `${(100 * share).toFixed(1)} %`

export const rate = (perSecond: number): string => perSecond >= 100 ? count(perSecond) : perSecond.toFixed(1)

/** Sixteen bytes a line, with what of them is ASCII; no more than `most` bytes. */
export const hexdump = (value: Uint8Array, most: number): string => {
  const lines: Array<string> = []
  for (let at = 0; at < Math.min(value.length, most); at += 16) {
    const row = value.subarray(at, Math.min(at + 16, most))
    const hex = Array.from(row, (byte) => byte.toString(16).padStart(2, "0"))
    const halves = `${hex.slice(0, 8).join(" ").padEnd(23)}  ${hex.slice(8).join(" ").padEnd(23)}`
    const ascii = Array.from(row, (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("")
    lines.push(`${at.toString(16).padStart(8, "0")}  ${halves}  |${ascii}|`)
  }
  if (value.length > most) lines.push(`… ${plural(value.length - most, "more byte", "more bytes")}`)
  return lines.join("\n")
}
