/**
 * Fields: lists, names, and which of them are stored and sent (RFC 9110 §5, RFC 9111 §3.1).
 */

/** Lower-case names; lines of one name are joined by `", "`. */
export type Fields = Readonly<Record<string, string>>

/** RFC 9110 §5.6.2 */
export const isToken = (text: string): boolean => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)

/** RFC 9110 §5.5: what a server can send as a field's value. */
export const isFieldValue = (text: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(text)

/**
 * The members of a list, trimmed, the empty ones left out (RFC 9110 §5.6.1). Commas in
 * quoted strings do not count, unless a quote is never closed: then none is taken for one.
 */
export const listOf = (value: string): ReadonlyArray<string> => {
  const members: Array<string> = []
  let from = 0
  let isQuoted = false
  for (let i = 0; i < value.length; i++) {
    const char = value[i]
    if (isQuoted && char === "\\") i++
    else if (char === "\"") isQuoted = !isQuoted
    else if (char === "," && !isQuoted) {
      members.push(value.slice(from, i))
      from = i + 1
    }
  }
  members.push(value.slice(from))
  return (isQuoted ? value.split(",") : members).map((_) => _.trim()).filter((_) => _ !== "")
}

/** Names in a list, in lower case, each once. */
export const namesOf = (value: string | undefined): ReadonlyArray<string> =>
  value === undefined ? [] : Array.from(new Set(listOf(value).map((_) => _.toLowerCase())))

/** RFC 9110 §7.6.1 and RFC 9111 §3.1: of one connection, or of a proxy. */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info"
])

/** Of one exchange: not what another one's answer should say. */
const ofOneExchange = new Set([
  "age",
  "cache-status",
  "content-length",
  "set-cookie",
  "server-timing",
  "traceparent",
  "tracestate",
  "x-correlation-id",
  "x-request-id"
])

/** The fields to store: all but those of the connection, of this exchange, and those named in `except`. */
export const storedFields = (headers: Fields, except: ReadonlyArray<string>): Record<string, string> => {
  const named = new Set([...except, ...namesOf(headers["connection"])])
  const stored: Record<string, string> = {}
  for (const name of Object.keys(headers)) {
    if (!hopByHop.has(name) && !ofOneExchange.has(name) && !named.has(name)) stored[name] = headers[name]!
  }
  return stored
}

/** RFC 9110 §15.4.5: what a 304 says; `Last-Modified` where there is no `ETag` to say it. */
export const notModifiedFields = (headers: Fields): Record<string, string> => {
  const sent: Record<string, string> = {}
  for (const name of ["cache-control", "content-location", "date", "etag", "expires", "vary", "age", "cache-status"]) {
    if (headers[name] !== undefined) sent[name] = headers[name]
  }
  if (headers["etag"] === undefined && headers["last-modified"] !== undefined) {
    sent["last-modified"] = headers["last-modified"]
  }
  return sent
}

const ofContent = new Set(["age", "content-range", "etag", "expires", "last-modified"])

/**
 * RFC 9110 §15.5.17: what a 416 says. Nothing of the content, nor of how long that is fresh: a cache behind would send
 * the error to all who ask for the URL.
 */
export const unsatisfiableFields = (headers: Fields, length: number): Record<string, string> => {
  const sent: Record<string, string> = { "content-range": `bytes */${length}` }
  for (const name of Object.keys(headers)) {
    if (!ofContent.has(name) && !/^content-(?!security-policy)|(?:cache|surrogate)-control$/.test(name)) {
      sent[name] = headers[name]!
    }
  }
  return sent
}
