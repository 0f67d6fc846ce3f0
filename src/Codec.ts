/**
 * How values become bytes and bytes values again.
 *
 * @since 1.0.0
 */
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"

/**
 * @since 1.0.0
 * @category type ids
 */
export const TypeId: TypeId = "~effect-caching/Codec"

/**
 * @since 1.0.0
 * @category type ids
 */
export type TypeId = "~effect-caching/Codec"

/**
 * Turns `A` into bytes and back. Bytes written under one `id` are read under the
 * same `id` only: where it differs, an entry is a miss.
 *
 * @since 1.0.0
 * @category models
 */
export interface Codec<in out A, out R = never> {
  readonly [TypeId]: TypeId
  readonly id: string
  readonly encode: (value: A) => Effect.Effect<Uint8Array, ParseResult.ParseError, R>
  readonly decode: (bytes: Uint8Array) => Effect.Effect<A, ParseResult.ParseError, R>
}

/**
 * @since 1.0.0
 * @category guards
 */
export const isCodec = (u: unknown): u is Codec<any, any> => typeof u === "object" && u !== null && TypeId in u

/**
 * A codec of your own. `id` must change when what it writes changes.
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = <A, R = never>(codec: Omit<Codec<A, R>, TypeId>): Codec<A, R> => ({ [TypeId]: TypeId, ...codec })

const utf8 = new TextEncoder()
const text = new TextDecoder("utf-8", { fatal: true })

const refuse = (ast: Schema.Schema.Any["ast"], value: unknown, message: string) =>
  ParseResult.parseError(new ParseResult.Type(ast, value, message))

/**
 * JSON of a schema's encoded side, in UTF-8. `undefined` is no bytes at all, so
 * that a `Schema.Void` works. The `id` holds a fingerprint of the schema: entries
 * written under another schema are misses.
 *
 * JSON has no NaN, infinities or -0: a schema that can produce them should encode
 * them as text.
 *
 * @example
 * ```ts
 * import { Codec } from "effect-caching"
 * import { Schema } from "effect"
 *
 * const users = Codec.schema(Schema.Array(Schema.Struct({ id: Schema.Number, name: Schema.String })))
 * ```
 *
 * @since 1.0.0
 * @category constructors
 */
export const schema = <A, I, R>(schema: Schema.Schema<A, I, R>): Codec<A, R> => {
  const encode = Schema.encode(schema)
  const decode = Schema.decodeUnknown(schema)
  return make<A, R>({
    id: `json:${fingerprint(schema)}`,
    encode: (value) =>
      Effect.flatMap(encode(value), (encoded) => {
        if (encoded === undefined) return Effect.succeed(new Uint8Array(0))
        try {
          return Effect.succeed(utf8.encode(JSON.stringify(encoded)))
        } catch {
          return Effect.fail(refuse(schema.ast, value, "the encoded side of the schema is not JSON"))
        }
      }),
    decode: (bytes) => {
      if (bytes.length === 0) return decode(undefined)
      let json: unknown
      try {
        json = JSON.parse(text.decode(bytes))
      } catch {
        return Effect.fail(refuse(schema.ast, bytes, "not JSON in UTF-8"))
      }
      return decode(json)
    }
  })
}

const fingerprint = (schema: Schema.Schema.Any): string =>
  createHash("sha256")
    .update(`${schema.ast}\n${Schema.encodedSchema(schema as Schema.Schema<unknown>).ast}`)
    .digest("base64url")
    .slice(0, 12)

/**
 * Text in UTF-8, as it is. A lone surrogate, which UTF-8 cannot hold, is refused.
 *
 * @since 1.0.0
 * @category constructors
 */
export const string: Codec<string> = make({
  id: "text",
  encode: (value) =>
    (value as string & { isWellFormed: () => boolean }).isWellFormed()
      ? Effect.succeed(utf8.encode(value))
      : Effect.fail(refuse(Schema.String.ast, value, "a string with a lone surrogate")),
  decode: (bytes) => {
    try {
      return Effect.succeed(text.decode(bytes))
    } catch {
      return Effect.fail(refuse(Schema.String.ast, bytes, "not UTF-8"))
    }
  }
})

/**
 * Bytes as they are.
 *
 * @since 1.0.0
 * @category constructors
 */
export const bytes: Codec<Uint8Array> = make({
  id: "bytes",
  encode: (value) => Effect.succeed(value),
  decode: (value) => Effect.succeed(value)
})

/**
 * For values that cannot leave the process. Over a backend that holds bytes they
 * are refused: not stored behind a load, a `ParseError` on `set`.
 *
 * @since 1.0.0
 * @category constructors
 */
export const local = <A>(): Codec<A> =>
  make({
    id: "local",
    encode: (value) => Effect.fail(refuse(Schema.Unknown.ast, value, "a local codec keeps values in this process")),
    decode: (bytes) => Effect.fail(refuse(Schema.Unknown.ast, bytes, "a local codec keeps values in this process"))
  })
