/**
 * Bodies compressed once, as they are stored.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { brotliCompress, constants, gzip } from "node:zlib"
import type { Fields } from "../http/fields.js"
import { type Form, isOfType, isTransformable } from "../http/forms.js"
import type { InvalidOption } from "../options.js"
import type { CompressOptions } from "./options.js"

export interface Compress {
  readonly minBytes: number
  readonly types: ReadonlyArray<string>
  /** In the order in which they are preferred. */
  readonly codings: ReadonlyArray<Coding>
}

interface Coding {
  readonly name: "br" | "gzip"
  readonly run: (body: Uint8Array) => Effect.Effect<Uint8Array | undefined>
}

const compressions = Metric.counter("http_cache_compressions", {
  description: "Bodies compressed by HTTP caches, by content coding",
  incremental: true
})

const defaultTypes = [
  "text/*",
  "+json",
  "+xml",
  "application/ecmascript",
  "application/javascript",
  "application/json",
  "application/x-javascript",
  "application/x-ndjson",
  "application/xml",
  "application/wasm",
  "image/bmp",
  "font/otf",
  "font/ttf"
]

type Zlib = (body: Uint8Array, callback: (error: Error | null, compressed: Uint8Array) => void) => void

/** On zlib's own threads. What cannot be compressed is sent as it is. */
const codingOf = (name: Coding["name"], zlib: Zlib): Coding => {
  const counted = Metric.tagged(compressions, "coding", name)
  return {
    name,
    run: (body) =>
      Effect.zipRight(
        Metric.increment(counted),
        Effect.async<Uint8Array, Error>((resume) =>
          zlib(body, (error, compressed) => resume(error === null ? Effect.succeed(compressed) : Effect.fail(error)))
        )
      ).pipe(Effect.catchAll((error) =>
        Effect.as(Effect.logWarning(`HttpCache: a body was not compressed by ${name}: ${error.message}`), undefined)
      ))
  }
}

const codings = (level: CompressOptions["level"] = {}): Record<Coding["name"], Coding> => ({
  br: codingOf("br", (body, callback) =>
    brotliCompress(body, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: level.br ?? 5,
        [constants.BROTLI_PARAM_SIZE_HINT]: body.length
      }
    }, callback)),
  gzip: codingOf("gzip", (body, callback) => gzip(body, { level: level.gzip ?? 6 }, callback))
})

const isType = (type: unknown): type is string => /^(?:\+[^\s/;,]+|[^\s/;,]+\/(?:\*|[^\s/;,*]+))$/.test(String(type))

const isLevel = (level: unknown, max: number): boolean =>
  level === undefined || (Number.isInteger(level) && Number(level) >= 0 && Number(level) <= max)

export const compressOf = (
  option: boolean | CompressOptions | undefined,
  invalid: (option: string, value: unknown, expected: string) => InvalidOption
): Compress | undefined => {
  if (option === undefined || option === false) return undefined
  if (option !== true && (typeof option !== "object" || option === null)) {
    throw invalid("compress", option, "a boolean or an object")
  }
  const { encodings = ["br", "gzip"], level, minBytes = 1024, types = defaultTypes } = option === true ? {} : option
  if (!Number.isInteger(minBytes) || minBytes < 0) {
    throw invalid("compress.minBytes", minBytes, "a whole number of bytes")
  }
  if (!Array.isArray(types) || !types.every(isType)) {
    throw invalid("compress.types", types, `media types, as "text/*", "application/json" and "+json"`)
  }
  if (!Array.isArray(encodings) || !encodings.every((name) => name === "br" || name === "gzip")) {
    throw invalid("compress.encodings", encodings, `a list of "br" and "gzip"`)
  }
  if (!isLevel(level?.br, 11) || !isLevel(level?.gzip, 9)) {
    throw invalid("compress.level", level, "br from 0 to 11, gzip from 0 to 9")
  }
  const known = codings(level)
  return {
    minBytes,
    types: types.map((type) => type.toLowerCase()),
    codings: Array.from(new Set<Coding["name"]>(encodings), (name) => known[name])
  }
}

/** Whether a body of these fields is stored in more forms than its own, if it is long enough. */
export const hasForms = (
  compress: Compress | undefined,
  headers: Fields,
  targets: ReadonlyArray<string> | undefined
): compress is Compress =>
  compress !== undefined && isOfType(headers["content-type"], compress.types) && isTransformable(headers, targets)

/** The forms of a body about to be stored: those that are shorter than it. */
export const formsOf = (
  compress: Compress | undefined,
  headers: Fields,
  targets: ReadonlyArray<string> | undefined,
  body: Uint8Array | undefined
): Effect.Effect<ReadonlyArray<Form>> =>
  body === undefined || !hasForms(compress, headers, targets) || body.length < compress.minBytes
    ? Effect.succeed([])
    : Effect.map(
      Effect.forEach(compress.codings, ({ run }) => run(body), { concurrency: "unbounded" }),
      (bodies) =>
        bodies.flatMap((compressed, i) =>
          compressed !== undefined && compressed.length < body.length
            ? [{ coding: compress.codings[i]!.name, body: compressed }]
            : []
        )
    )
