/**
 * A backend that keeps payloads encrypted, with AES-256 in Galois/Counter Mode
 * (NIST SP 800-38D).
 *
 * @since 1.0.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto"
import * as Backend from "../Backend.js"
import { remaining } from "../internal/derive.js"
import * as Entry from "../internal/entry.js"
import { mapPayload, withPayload } from "../internal/mapPayload.js"
import { InvalidOption } from "../internal/options.js"
import { pause } from "../internal/pause.js"
import { Turns } from "../internal/turns.js"

/**
 * The keys, the first of which encrypts; the others only decrypt. To rotate, put a
 * new key first and drop the old one when its entries have expired.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /** Each at least 32 characters, with as much randomness as 32 bytes have: `openssl rand -base64 32`. */
  readonly keys: ReadonlyArray<Redacted.Redacted<string>>
}

interface Secret {
  readonly id: string
  readonly key: Uint8Array
}

const ivLength = 12
const tagLength = 16
const mark = "+aes256gcm:"
const counterLease = Duration.seconds(1)
const attempts = 2_000
const pollMillis = 5

const derived = (secret: string, purpose: string, length: number): Uint8Array =>
  new Uint8Array(hkdfSync("sha256", secret, "effect-caching", purpose, length))

const secretsOf = ({ keys }: Options): readonly [Secret, ...Array<Secret>] => {
  const secrets = keys.map((redacted): Secret => {
    const secret = Redacted.value(redacted)
    if (secret.length < 32) {
      throw new InvalidOption({
        module: "Encrypted",
        option: "keys",
        value: `a key of ${secret.length} characters`,
        expected: "keys of at least 32 characters"
      })
    }
    return { id: Buffer.from(derived(secret, "id", 6)).toString("base64url"), key: derived(secret, "key", 32) }
  })
  const [first, ...others] = secrets
  if (first === undefined) {
    throw new InvalidOption({ module: "Encrypted", option: "keys", value: "none", expected: "at least one key" })
  }
  return [first, ...others]
}

/** What the payload is bound to: moved to another key, or given another header, an entry is a miss. */
const bound = (key: string, codec: string, entry: Entry.Entry): Buffer =>
  Buffer.from(JSON.stringify([
    key,
    codec,
    entry.isFailure,
    ...[entry.loadedAt, entry.freshUntil, entry.keepUntil, entry.loadMillis].map(String),
    entry.tags.map(({ hard, soft, tag }) => [tag, hard, soft])
  ]))

/**
 * `self` with payloads encrypted and bound to their key and header. An entry that
 * was tampered with, moved, written without encryption or under a key that is not
 * among `keys` is a miss. Keys, tags, instants and sizes stay readable to the store.
 * `increment` adds under a lease: where a load holds it, it waits for the load.
 *
 * @example
 * ```ts
 * import * as Encrypted from "effect-caching/backends/Encrypted"
 * import * as Redis from "effect-caching/backends/Redis"
 * import { Config, Effect, Layer } from "effect"
 *
 * const layer = Layer.unwrapEffect(
 *   Effect.map(Config.redacted("CACHE_KEY"), (key) => Encrypted.layer(Redis.layer(), { keys: [key] }))
 * )
 * ```
 *
 * @since 1.0.0
 * @category combinators
 */
export const wrap: {
  (options: Options): (self: Backend.Backend) => Backend.Backend
  (self: Backend.Backend, options: Options): Backend.Backend
} = dual(2, (self: Backend.Backend, options: Options): Backend.Backend => {
  const secrets = secretsOf(options)
  const [current] = secrets
  const turns = new Turns()

  const change = (key: string, entry: Entry.Entry): Entry.Entry => {
    const codec = `${entry.codec}${mark}${current.id}`
    const iv = randomBytes(ivLength)
    const cipher = createCipheriv("aes-256-gcm", current.key, iv).setAAD(bound(key, codec, entry))
    return withPayload(
      entry,
      codec,
      new Uint8Array(Buffer.concat([iv, cipher.update(entry.bytes!), cipher.final(), cipher.getAuthTag()]))
    )
  }

  const restore = (key: string, entry: Entry.Entry): Option.Option<Entry.Entry> => {
    const at = entry.codec.lastIndexOf(mark)
    const bytes = entry.bytes!
    const secret = at < 0 ? undefined : secrets.find(({ id }) => id === entry.codec.slice(at + mark.length))
    if (secret === undefined || bytes.length < ivLength + tagLength) return Option.none()
    const end = bytes.length - tagLength
    try {
      const decipher = createDecipheriv("aes-256-gcm", secret.key, bytes.subarray(0, ivLength), {
        authTagLength: tagLength
      }).setAAD(bound(key, entry.codec, entry)).setAuthTag(bytes.subarray(end))
      const plain = Buffer.concat([decipher.update(bytes.subarray(ivLength, end)), decipher.final()])
      return Option.some(withPayload(entry, entry.codec.slice(0, at), new Uint8Array(plain)))
    } catch {
      return Option.none()
    }
  }

  const fail = (reason: Backend.Reason, description: string) =>
    Effect.fail(new Backend.BackendError({ backend: self.name, method: "increment", reason, description }))

  /** The store cannot add to what it cannot read: whoever holds the lease does, and any other write voids it. */
  const increment = (key: string, by: number, retention: Duration.Duration, left: number): Effect.Effect<
    number,
    Backend.BackendError
  > =>
    Effect.flatMap(self.lease(key, counterLease), ({ entry, token }) => {
      if (token._tag === "None") {
        return left === 0
          ? fail("Timeout", "the key stayed leased")
          : Effect.zipRight(Effect.interruptible(pause(pollMillis)), increment(key, by, retention, left - 1))
      }
      return Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const before = Option.getOrUndefined(Option.flatMap(entry, (entry) => restore(key, entry)))
        const sum = before === undefined ? by : (Entry.numberOf(before.bytes!) ?? NaN) + by
        if (!Number.isSafeInteger(sum)) {
          return Effect.zipRight(
            Effect.ignore(self.renew(key, token.value, Duration.zero)),
            fail("NotANumber", "the stored value plus `by` is not a safe integer")
          )
        }
        const after = before === undefined
          ? Entry.counter(sum, now, now + Duration.toMillis(retention))
          : Entry.withNumber(before, sum)
        return Effect.flatMap(
          self.fill(key, token.value, change(key, after), remaining(after.keepUntil, now)),
          (isFilled) => isFilled ? Effect.succeed(sum) : increment(key, by, retention, left)
        )
      })
    })

  return Backend.override(self, () => ({
    ...mapPayload(self, {
      change: (key, entry) => Effect.sync(() => change(key, entry)),
      restore: (key, entry) => Effect.sync(() => restore(key, entry))
    }),
    increment: (key, by, retention) => turns.one(key)(Effect.uninterruptible(increment(key, by, retention, attempts)))
  }))
})

/**
 * A layer whose backend is that of `layer`, encrypted.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = <E, R>(
  layer: Layer.Layer<Backend.CacheBackend, E, R>,
  options: Options
): Layer.Layer<Backend.CacheBackend, E, R> =>
  Layer.effect(Backend.CacheBackend, Effect.map(Backend.CacheBackend, wrap(options))).pipe(Layer.provide(layer))
