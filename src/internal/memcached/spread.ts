/**
 * Values larger than a store takes, in chunks.
 *
 * A value is stored as chunks, under names with a random generation that are
 * used once, and an entry with the value's own header whose payload is the
 * manifest: version, size of a chunk, length, SHA-256 of the whole (128 bits of
 * it) and generation. The manifest is written last, in one step, by the
 * operation that was asked for; so every operation of the store holds for it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { createHash } from "node:crypto"
import type { Backend, BackendError, Item, Lease, Operations, Reason } from "../../Backend.js"
import { newVersion } from "../derive.js"
import * as Entry from "../entry.js"

export interface Settings {
  readonly chunkBytes: number
  readonly maxValueBytes: number
  readonly fail: (method: string, reason: Reason, description: string) => BackendError
  /** The error as that of the operation that was asked for. */
  readonly rename: (method: string) => (error: BackendError) => BackendError
}

interface Manifest {
  readonly chunkBytes: number
  readonly length: number
  readonly checksum: Buffer
  readonly generation: string
}

/** Begins the codec of a manifest; no codec of a user's does. */
const mark = "~spread:"
const chunkCodec = "~chunk"
const version = 1
const manifestLength = 1 + 4 + 8 + 16 + 12

/** Of a chunk, in bytes: a number and a manifest are never spread. */
export const smallest = 64
/** How many chunks are read or written in one go: what one time-out is for. */
const together = 4
/** So much longer are chunks kept than their manifest, in milliseconds. */
const margin = 60_000

const checksumOf = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest().subarray(0, 16)

const encode = ({ checksum, chunkBytes, generation, length }: Manifest): Buffer => {
  const out = Buffer.alloc(manifestLength)
  out[0] = version
  out.writeUInt32LE(chunkBytes, 1)
  out.writeDoubleLE(length, 5)
  checksum.copy(out, 13)
  out.write(generation, 29, "latin1")
  return out
}

const isSpread = ({ codec }: Entry.Entry): boolean => codec.startsWith(mark)

const withPayload = (entry: Entry.Entry, codec: string, bytes: Uint8Array): Entry.Entry =>
  new Entry.Entry(
    entry.isFailure,
    codec,
    entry.loadedAt,
    entry.freshUntil,
    entry.keepUntil,
    entry.loadMillis,
    entry.tags,
    undefined,
    bytes
  )

const namesOf = (key: string, { chunkBytes, generation, length }: Manifest): Array<string> => {
  const hash = createHash("sha256").update(key).digest("base64url").slice(0, 22)
  return Array.from({ length: Math.ceil(length / chunkBytes) }, (_, index) => `~chunk:${hash}:${generation}:${index}`)
}

const slicesOf = <A>(items: ReadonlyArray<A>): Array<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(items.length / together) }, (_, i) => items.slice(i * together, (i + 1) * together))

/** What `self` does otherwise with values that may be spread. */
export const operations = (
  self: Backend,
  { chunkBytes, fail, maxValueBytes, rename }: Settings
): Partial<Operations> => {
  const manifestOf = (entry: Entry.Entry): Manifest | undefined => {
    const { bytes } = entry
    if (!isSpread(entry) || bytes?.length !== manifestLength || bytes[0] !== version) return undefined
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const manifest = {
      chunkBytes: view.readUInt32LE(1),
      length: view.readDoubleLE(5),
      checksum: view.subarray(13, 29),
      generation: view.toString("latin1", 29, 41)
    }
    // Before anything is allocated or asked for on its word.
    return manifest.chunkBytes >= smallest && Number.isInteger(manifest.length) && manifest.length > 0 &&
        manifest.length <= Math.max(maxValueBytes, chunkBytes)
      ? manifest
      : undefined
  }

  const chunksOf = (key: string, manifest: Manifest): Effect.Effect<Uint8Array | undefined, BackendError> =>
    Effect.suspend(() => {
      const names = namesOf(key, manifest)
      const whole = new Uint8Array(manifest.length)
      let at = 0
      const read = (slices: ReadonlyArray<ReadonlyArray<string>>): Effect.Effect<boolean, BackendError> => {
        const [next, ...rest] = slices
        if (next === undefined) return Effect.succeed(at === manifest.length)
        return Effect.flatMap(self.getMany(next), (found) => {
          for (const chunk of found) {
            const bytes = Option.getOrUndefined(chunk)?.bytes
            if (bytes?.length !== Math.min(manifest.chunkBytes, manifest.length - at)) return Effect.succeed(false)
            whole.set(bytes, at)
            at += bytes.length
          }
          return read(rest)
        })
      }
      return Effect.map(
        read(slicesOf(names)),
        (isWhole) => isWhole && checksumOf(whole).equals(manifest.checksum) ? whole : undefined
      )
    })

  /** The entry that was set, for the one that is stored; none where a chunk was lost. */
  const assemble = (
    key: string,
    stored: Option.Option<Entry.Entry>,
    isLast = false
  ): Effect.Effect<Option.Option<Entry.Entry>, BackendError> => {
    if (stored._tag === "None" || !isSpread(stored.value)) return Effect.succeed(stored)
    const entry = stored.value
    const manifest = manifestOf(entry)
    if (manifest === undefined) return Effect.succeed(Option.none())
    return Effect.flatMap(chunksOf(key, manifest), (bytes) => {
      if (bytes !== undefined) {
        return Effect.succeed(Option.some(withPayload(entry, entry.codec.slice(mark.length), bytes)))
      }
      // The chunks of a value that was overwritten since are gone, and those of the new one are there.
      return isLast ?
        Effect.succeed(Option.none()) :
        Effect.flatMap(
          self.get(key),
          (again) =>
            again._tag === "Some" && manifestOf(again.value)?.generation === manifest.generation
              ? Effect.succeed(Option.none())
              : assemble(key, again, true)
        )
    })
  }

  const get: Operations["get"] = (key) =>
    Effect.flatMap(self.get(key), (stored) => assemble(key, stored)).pipe(Effect.mapError(rename("get")))

  /** Overwrites chunks with next to nothing: to remove one, a store may read it first. */
  const drop = (names: ReadonlyArray<string>): Effect.Effect<void> => {
    const gone = new Entry.Entry(false, chunkCodec, 0, 0, 0, 0, [], undefined, new Uint8Array(0))
    return Effect.ignore(self.setMany(names.map((name): Item => [name, gone, Duration.seconds(1)])))
  }

  const dropOf = (key: string, stored: Option.Option<Entry.Entry>): Effect.Effect<void> => {
    const manifest = stored._tag === "Some" ? manifestOf(stored.value) : undefined
    return manifest === undefined ? Effect.void : drop(namesOf(key, manifest))
  }

  const found = (key: string) => Effect.orElseSucceed(self.get(key), () => Option.none<Entry.Entry>())

  const refuse = (method: string, entry: Entry.Entry): Effect.Effect<void, BackendError> =>
    entry.bytes!.length <= Math.max(maxValueBytes, chunkBytes)
      ? Effect.void
      : Effect.fail(
        fail(method, "TooLarge", `the value has ${entry.bytes!.length} bytes, and ${maxValueBytes} is the most`)
      )

  /** Publishes the entry, or the manifest of its chunks when all of them are stored. */
  const store = <A>(
    method: string,
    [key, entry, retention]: Item,
    publish: (entry: Entry.Entry) => Effect.Effect<A, BackendError>
  ): Effect.Effect<A, BackendError> =>
    Effect.suspend(() => {
      const bytes = entry.bytes!
      if (bytes.length <= chunkBytes) return publish(entry)
      const manifest = { chunkBytes, length: bytes.length, checksum: checksumOf(bytes), generation: newVersion() }
      const names = namesOf(key, manifest)
      const keepUntil = entry.keepUntil + margin
      const items = names.map((name, index): Item => [
        name,
        new Entry.Entry(
          false,
          chunkCodec,
          entry.loadedAt,
          keepUntil,
          keepUntil,
          0,
          [],
          undefined,
          bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes)
        ),
        Duration.sum(retention, Duration.millis(margin))
      ])
      const writeChunks = Effect.forEach(slicesOf(items), (slice) => self.setMany(slice), { discard: true })
      return refuse(method, entry).pipe(
        Effect.zipRight(Effect.zipRight(writeChunks, found(key), { concurrent: true })),
        Effect.flatMap((before) =>
          Effect.tap(
            publish(withPayload(entry, mark + entry.codec, encode(manifest))),
            (isPublished) => isPublished === false ? drop(names) : dropOf(key, before)
          )
        ),
        // Nobody knows these chunks, unless the manifest has arrived and only its answer was lost.
        Effect.onError(() => Effect.forkDaemon(drop(names))),
        Effect.mapError(rename(method))
      )
    })

  const set: Operations["set"] = (key, entry, retention) =>
    store("set", [key, entry, retention], (entry) => self.set(key, entry, retention))

  /** Removes a spread value that is no longer whole, and says whether there was one. */
  const removeTorn = (key: string): Effect.Effect<boolean, BackendError> =>
    Effect.flatMap(self.get(key), (stored) =>
      stored._tag === "None" || !isSpread(stored.value)
        ? Effect.succeed(stored._tag === "None")
        : Effect.flatMap(assemble(key, stored), (whole) =>
          whole._tag === "Some" ? Effect.succeed(false) : Effect.as(self.remove(key), true)))

  return {
    get,
    getMany: (keys) =>
      Effect.flatMap(self.getMany(keys), (all) =>
        all.some((stored) => stored._tag === "Some" && isSpread(stored.value))
          ? Effect.forEach(all, (stored, index) => assemble(keys[index]!, stored))
          : Effect.succeed(all)).pipe(Effect.mapError(rename("getMany"))),
    set,
    setMany: (items) =>
      items.every(([, entry]) => entry.bytes!.length <= chunkBytes)
        ? self.setMany(items)
        : Effect.zipRight(
          Effect.forEach(items, ([, entry]) => refuse("setMany", entry), { discard: true }),
          Effect.mapError(Effect.forEach(items, (item) => set(...item), { discard: true }), rename("setMany"))
        ),
    add: (key, entry, retention) => {
      const add = store("add", [key, entry, retention], (entry) => self.add(key, entry, retention))
      return Effect.flatMap(add, (isAdded) =>
        isAdded
          ? Effect.succeed(true)
          : Effect.flatMap(
            removeTorn(key),
            (wasTorn) => wasTorn ? add : Effect.succeed(false)
          ).pipe(Effect.mapError(rename("add"))))
    },
    has: (key) => Effect.mapError(Effect.map(get(key), Option.isSome), rename("has")),
    remove: (key) =>
      // Together: the store reads the key once for the two.
      Effect.flatMap(Effect.zip(found(key), self.remove(key), { concurrent: true }), ([before, wasThere]) =>
        Effect.as(dropOf(key, before), wasThere)),
    removeMany: (keys) =>
      Effect.flatMap(
        Effect.zip(
          Effect.orElseSucceed(self.getMany(keys), () => []),
          self.removeMany(keys),
          { concurrent: true }
        ),
        ([before, count]) =>
          Effect.as(Effect.forEach(before, (stored, index) => dropOf(keys[index]!, stored), { discard: true }), count)
      ),
    increment: (key, by, retention) => {
      const increment = self.increment(key, by, retention)
      return Effect.catchIf(increment, ({ reason }) => reason === "NotANumber", (error) =>
        Effect.flatMap(
          Effect.mapError(removeTorn(key), rename("increment")),
          (wasTorn) => wasTorn ? increment : Effect.fail(error)
        ))
    },
    lease: (key, duration) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(restore(self.lease(key, duration)), (lease) => {
          const giveBack = lease.token._tag === "Some"
            ? Effect.forkDaemon(self.renew(key, lease.token.value, Duration.zero))
            : Effect.void
          return restore(assemble(key, lease.entry)).pipe(
            Effect.map((entry): Lease => ({ token: lease.token, entry })),
            // Who does not learn the token cannot give the lease back.
            Effect.onError(() => giveBack),
            Effect.mapError(rename("lease"))
          )
        })
      ),
    fill: (key, token, entry, retention) =>
      store("fill", [key, entry, retention], (entry) => self.fill(key, token, entry, retention))
  }
}
