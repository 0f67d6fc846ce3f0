/**
 * The prefixes that a path is under, as tags. Whatever routers take for one path has the
 * tags of one: case, empty segments, encodings and what comes after `;` and `#` do not
 * count. To end more than was meant is safe, to end less is not.
 */
import { hash } from "node:crypto"

/** Segments of a prefix; those that come after have none. */
export const maxSegments = 8

/** The segments of a path, as routers compare them. */
export const segmentsOf = (path: string): ReadonlyArray<string> =>
  path.split(/[;#?]/, 1)[0]!.split("/").filter((segment) => segment !== "").map((segment) => {
    try {
      return decodeURIComponent(segment).toLowerCase()
    } catch {
      return segment.toLowerCase()
    }
  })

/** Of bounded length, and without what a client wrote. */
export const prefixTag = (name: string, authority: string, segments: ReadonlyArray<string>): string =>
  `http:prefix:${hash("sha256", JSON.stringify([name, authority, ...segments]), "base64url")}`

/** The tags of a path's entries: of the host, and of each prefix up to the path itself. */
export const prefixTags = (name: string, authority: string, path: string): ReadonlyArray<string> => {
  const segments = segmentsOf(path).slice(0, maxSegments)
  return [...Array(segments.length + 1).keys()].map((count) => prefixTag(name, authority, segments.slice(0, count)))
}
