/**
 * A backend that keeps large payloads compressed.
 *
 * @since 1.0.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { promisify } from "node:util"
import { brotliCompress, brotliDecompress, constants, gunzip, gzip } from "node:zlib"
import * as Backend from "../Backend.js"
import { mapPayload, withPayload } from "../internal/mapPayload.js"
import { requireNumber } from "../internal/options.js"

/**
 * Which payloads are compressed, and how.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /** Payloads of at least this many bytes are compressed. Default: 1,024. */
  readonly minBytes?: number | undefined
  /** `"gzip"`: fast. `"brotli"`: smaller, and slower to write. Default: `"gzip"`. */
  readonly format?: "gzip" | "brotli" | undefined
  /** What a payload may grow to when it is read; what grows larger is a miss. Default: 256 MiB. */
  readonly maxBytes?: number | undefined
}

const formats = {
  gzip: {
    pack: (bytes: Uint8Array) => promisify(gzip)(bytes, { level: 1 }),
    unpack: (bytes: Uint8Array, maxOutputLength: number) => promisify(gunzip)(bytes, { maxOutputLength })
  },
  brotli: {
    pack: (bytes: Uint8Array) => promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
    unpack: (bytes: Uint8Array, maxOutputLength: number) => promisify(brotliDecompress)(bytes, { maxOutputLength })
  }
} as const

const suffixes = Object.keys(formats).map((format) => [`+${format}`, formats[format as keyof typeof formats]] as const)

/**
 * `self` with payloads compressed from a size on. Entries that were stored without
 * compression, or with the other format, are read too. A payload that does not
 * get smaller is kept as it is.
 *
 * @example
 * ```ts
 * import { Backend } from "effect-caching"
 * import * as Compressed from "effect-caching/backends/Compressed"
 * import * as Redis from "effect-caching/backends/Redis"
 *
 * const layer = Compressed.layer(Redis.layer(), { format: "brotli" })
 * ```
 *
 * @since 1.0.0
 * @category combinators
 */
export const wrap: {
  (options?: Options): (self: Backend.Backend) => Backend.Backend
  (self: Backend.Backend, options?: Options): Backend.Backend
} = dual((args) => Backend.isBackend(args[0]), (self: Backend.Backend, options: Options = {}): Backend.Backend => {
  const { format = "gzip" } = options
  const minBytes = requireNumber("Compressed", "minBytes", options.minBytes ?? 1_024, { min: 0, integer: true })
  const maxBytes = requireNumber("Compressed", "maxBytes", options.maxBytes ?? 256 * 1_024 * 1_024, {
    min: 1,
    integer: true
  })
  return Backend.override(self, () =>
    mapPayload(self, {
      change: (_, entry) =>
        entry.bytes!.length < minBytes
          ? Effect.succeed(entry)
          : Effect.map(
            Effect.promise(() => formats[format].pack(entry.bytes!)),
            (packed) =>
              packed.length < entry.bytes!.length ? withPayload(entry, `${entry.codec}+${format}`, packed) : entry
          ),
      restore: (_, entry) => {
        const found = suffixes.find(([suffix]) => entry.codec.endsWith(suffix))
        if (found === undefined) return Effect.succeed(Option.some(entry))
        const [suffix, { unpack }] = found
        return Effect.option(Effect.map(
          Effect.tryPromise(() => unpack(entry.bytes!, maxBytes)),
          (bytes) => withPayload(entry, entry.codec.slice(0, -suffix.length), new Uint8Array(bytes))
        ))
      }
    }))
})

/**
 * A layer whose backend is that of `layer`, compressed.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = <E, R>(
  layer: Layer.Layer<Backend.CacheBackend, E, R>,
  options?: Options
): Layer.Layer<Backend.CacheBackend, E, R> =>
  Layer.effect(Backend.CacheBackend, Effect.map(Backend.CacheBackend, (self) => wrap(self, options))).pipe(
    Layer.provide(layer)
  )
