import { describe, it } from "@effect/vitest"
import * as Backend from "effect-caching/Backend"
import { Conformance } from "effect-caching/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

/** A store that lets other fibers in before and after every step. */
const mapStore = (): Backend.Bytes => {
  const map = new Map<string, Uint8Array>()
  const step = <A>(f: () => A) =>
    Effect.yieldNow().pipe(Effect.zipRight(Effect.sync(f)), Effect.zipLeft(Effect.yieldNow()))
  return {
    // A `Buffer`, as drivers answer: its `slice` is a view.
    get: (key) => step(() => Option.map(Option.fromNullable(map.get(key)), (bytes) => Buffer.from(bytes.buffer))),
    set: (key, bytes) => step(() => void map.set(key, bytes)),
    add: (key, bytes) => step(() => !map.has(key) && !!map.set(key, bytes)),
    remove: (key) => step(() => map.delete(key)),
    clear: (prefix) =>
      step(() => [...map.keys()].filter((key) => key.startsWith(prefix)).forEach((key) => map.delete(key)))
  }
}

const layer = (isShared: boolean) =>
  Layer.scoped(Backend.CacheBackend, Effect.suspend(() => Backend.fromBytes({ name: "map", isShared }, mapStore())))

describe("derived from bytes, in one process", () => Conformance.register({ describe, it }, layer(false)))
describe("derived from bytes, shared", () => Conformance.register({ describe, it }, layer(true)))
describe("prefixed", () =>
  Conformance.register({ describe, it }, Backend.mapLayer(layer(false), Backend.prefixed("part[*]:"))))
