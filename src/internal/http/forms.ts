/**
 * The forms in which one stored body is sent: as it is, and in content codings (RFC 9110 §8.4).
 */
import { directivesIn } from "./cacheControl.js"
import type { Fields } from "./fields.js"
import { preferredEncoding } from "./negotiation.js"
import { mergeVary } from "./vary.js"

/** A body in a content coding. */
export interface Form {
  readonly coding: string
  readonly body: Uint8Array
}

/** What is sent of a stored answer. */
export interface Chosen {
  readonly headers: Fields
  readonly body: Uint8Array | undefined
}

/** What tells of every byte that is sent, or says that nothing may be changed. */
const ofBytes = ["content-encoding", "content-range", "content-digest", "repr-digest", "digest", "content-md5"]

/** Whether a body may be sent in other forms than its own: RFC 9111 §5.2.2.6, said to anybody. */
export const isTransformable = (headers: Fields, targets: ReadonlyArray<string> = []): boolean =>
  ofBytes.every((name) => headers[name] === undefined) &&
  ["cache-control", ...targets].every((field) =>
    directivesIn(headers[field]).every(({ name }) => name !== "no-transform")
  )

/** Whether the type is one of `types`, as `text/*`, `application/json` or `+json`. */
export const isOfType = (contentType: string | undefined, types: ReadonlyArray<string>): boolean => {
  const type = contentType?.split(";", 1)[0]!.trim().toLowerCase()
  return type !== undefined &&
    types.some((known) =>
      known.startsWith("+")
        ? type.endsWith(known)
        : known.endsWith("/*")
        ? type.startsWith(known.slice(0, -1))
        : type === known
    )
}

/** §8.8.3.3: strong validators tell forms apart; weak ones need not. */
const tagOf = (etag: string, coding: string): string =>
  etag.startsWith("W/") || !etag.endsWith("\"") ? etag : `${etag.slice(0, -1)}-${coding}"`

/**
 * The coding that a request gets; `identity` where it takes none of those that there are,
 * also where it refuses that too: §15.5.7 lets a server send what it has.
 */
export const codingFor = (acceptEncoding: string | undefined, forms: ReadonlyArray<Form>): string =>
  forms.length === 0 || acceptEncoding === undefined
    ? "identity"
    : preferredEncoding(acceptEncoding, forms.map(({ coding }) => coding))

/** The form in that coding, with the fields that belong to it. */
export const formIn = (
  coding: string,
  { body, forms, headers }: Chosen & { readonly forms: ReadonlyArray<Form> }
): Chosen => {
  if (forms.length === 0) return { headers, body }
  const varying: Record<string, string> = { ...headers, vary: mergeVary(headers["vary"], ["Accept-Encoding"])! }
  const form = forms.find((form) => form.coding === coding)
  if (form === undefined) return { headers: varying, body }
  varying["content-encoding"] = coding
  if (varying["etag"] !== undefined) varying["etag"] = tagOf(varying["etag"], coding)
  return { headers: varying, body: form.body }
}
