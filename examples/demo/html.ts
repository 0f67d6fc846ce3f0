/** HTML from templates: what is put in is escaped unless it is HTML itself. */

export class Html {
  constructor(readonly text: string) {}
}

export type Content = Html | string | number | false | undefined | ReadonlyArray<Content>

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

const textOf = (content: Content): string =>
  content instanceof Html
    ? content.text
    : typeof content === "object"
    ? content.map(textOf).join("")
    : content === undefined || content === false
    ? ""
    : String(content).replace(/[&<>"']/g, (character) => escapes[character]!)

export const html = (strings: TemplateStringsArray, ...contents: ReadonlyArray<Content>): Html =>
  new Html(strings.map((text, i) => text + textOf(contents[i])).join(""))

const counts = new Intl.NumberFormat("en")

export const count = (number: number): string => counts.format(number)

export const counted = (number: number, one: string, many: string = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`

export const size = (bytes: number): string => {
  const units = ["B", "kB", "MB", "GB"]
  const power = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3))
  const value = bytes / 1000 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`
}

export const share = (part: number, whole: number): string => `${whole === 0 ? 0 : (100 * part / whole).toFixed(1)}%`

/** A path with its query, without the parameters that say what would be said without them. */
export const link = (path: string, query: Readonly<Record<string, string | number>>): string => {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== 0)
  return given.length === 0
    ? path
    : `${path}?${new URLSearchParams(Object.fromEntries(given.map(([key, value]) => [key, String(value)])))}`
}

export interface Rectangle<A> {
  readonly item: A
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** Rectangles of areas in proportion to `area`, near to squares: rows of items, each row along the shorter side. */
export const treemap = <A>(
  items: ReadonlyArray<A>,
  area: (item: A) => number,
  width: number,
  height: number
): ReadonlyArray<Rectangle<A>> => {
  const rest = items.filter((item) => area(item) > 0).sort((a, b) => area(b) - area(a))
  const scale = width * height / rest.reduce((sum, item) => sum + area(item), 0)
  const found: Array<Rectangle<A>> = []
  let [x, y, w, h] = [0, 0, width, height]
  while (rest.length > 0) {
    const side = Math.min(w, h)
    const worst = (areas: ReadonlyArray<number>): number => {
      const sum = areas.reduce((a, b) => a + b, 0)
      return Math.max(side ** 2 * areas[0]! / sum ** 2, sum ** 2 / (side ** 2 * areas.at(-1)!))
    }
    let row = [area(rest[0]!) * scale]
    for (const item of rest.slice(1)) {
      const longer = [...row, area(item) * scale]
      if (worst(longer) > worst(row)) break
      row = longer
    }
    const thickness = row.reduce((a, b) => a + b, 0) / side
    let along = 0
    for (const part of row) {
      const length = part / thickness
      found.push(
        w >= h
          ? { item: rest.shift()!, x, y: y + along, width: thickness, height: length }
          : { item: rest.shift()!, x: x + along, y, width: length, height: thickness }
      )
      along += length
    }
    if (w >= h) [x, w] = [x + thickness, w - thickness]
    else [y, h] = [y + thickness, h - thickness]
  }
  return found
}
