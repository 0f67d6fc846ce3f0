import { assert, describe, it } from "@effect/vitest"
import { maxEntriesLimit, S3Fifo } from "effect-caching/internal/s3fifo"
import fc from "fast-check"

/** The three queues, newest first, each checked against the counts, the weights and the Map; throws where they disagree. */
const inspect = <V>(store: S3Fifo<V>) => {
  const slots = store["slots"]
  const seen = new Set<number>()
  const [small, main, ghosts] = [0, 1, 2].map((queue) => {
    const keys: Array<string> = []
    let weight = 0
    let previous = queue
    for (let slot = store["next"][queue]!; slot !== queue; slot = store["next"][slot]!) {
      const key = store["keys"][slot]!
      assert.isFalse(seen.has(slot), "a slot is in one queue, once")
      seen.add(slot)
      assert.strictEqual(store["previous"][slot], previous)
      assert.strictEqual(store["queues"][slot], queue)
      assert.strictEqual(slots.get(key), slot)
      assert.strictEqual(store["values"][slot] === undefined, queue === 2, "ghosts have no value, entries have one")
      assert.isAtMost(store["uses"][slot]!, 3)
      weight += queue === 2 ? 0 : store["weights"]?.[slot] ?? 0
      keys.push(key)
      previous = slot
    }
    assert.strictEqual(store["previous"][queue], previous)
    assert.strictEqual(store["counts"][queue], keys.length)
    if (queue !== 2) assert.strictEqual(store["queueWeights"][queue], weight)
    return keys
  }) as [Array<string>, Array<string>, Array<string>]
  assert.strictEqual(slots.size, seen.size)
  assert.strictEqual(store.size, small.length + main.length)
  assert.isAtMost(store.size, store.maxEntries)
  assert.isAtMost(store.weight, store.maxWeight)
  assert.isAtMost(ghosts.length, store.size)
  let unused = 0
  for (let slot = store["unused"]; slot !== 0; slot = store["next"][slot]!) {
    assert.isFalse(seen.has(slot))
    assert.strictEqual(store["queues"][slot], 3)
    assert.strictEqual(store["values"][slot], undefined)
    assert.strictEqual(store["keys"][slot], "")
    unused++
  }
  assert.strictEqual(seen.size + unused + 3, store["end"], "every slot is in a queue or unused")
  return { small, main, ghosts }
}

/** mulberry32: the same numbers in every run. */
const seeded = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

const zipf = (keys: number, exponent: number, length: number, random: () => number): Array<string> => {
  const sums = new Float64Array(keys)
  for (let i = 0, sum = 0; i < keys; i++) sums[i] = sum += 1 / (i + 1) ** exponent
  return Array.from({ length }, () => {
    const wanted = random() * sums[keys - 1]!
    let low = 0
    let high = keys - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (sums[middle]! < wanted) low = middle + 1
      else high = middle
    }
    return `key:${low}`
  })
}

const hits = (trace: Array<string>, store: { get: (key: string) => unknown; add: (key: string) => void }): number => {
  let count = 0
  for (const key of trace) {
    if (store.get(key) !== undefined) count++
    else store.add(key)
  }
  return count
}

const s3fifo = (capacity: number) => {
  const store = new S3Fifo<true>(capacity, Infinity)
  return { get: (key: string) => store.get(key), add: (key: string) => store.set(key, true, 0, Infinity, 0) }
}

const lru = (capacity: number) => {
  const map = new Map<string, true>()
  return {
    get: (key: string) => map.delete(key) ? map.set(key, true) : undefined,
    add: (key: string) => {
      if (map.size === capacity) map.delete(map.keys().next().value!)
      map.set(key, true)
    }
  }
}

const put = (store: S3Fifo<number>, keys: ReadonlyArray<string>) =>
  keys.forEach((key, i) => store.set(key, i, 1, Infinity, 0))

const names = (prefix: string, length: number) => Array.from({ length }, (_, i) => `${prefix}${i}`)

describe("S3Fifo", () => {
  describe("against a model", () => {
    const key = fc.constantFrom(...names("a", 12), ...names("b", 12))
    const step = fc.oneof(
      {
        weight: 30,
        arbitrary: fc.tuple(fc.constant("set" as const), key, fc.nat(12), fc.integer({ min: 0, max: 20 }))
      },
      { weight: 20, arbitrary: fc.tuple(fc.constant("get" as const), key, fc.constant(0), fc.constant(0)) },
      { weight: 10, arbitrary: fc.tuple(fc.constant("getAt" as const), key, fc.constant(0), fc.constant(0)) },
      { weight: 5, arbitrary: fc.tuple(fc.constant("delete" as const), key, fc.constant(0), fc.constant(0)) },
      { weight: 5, arbitrary: fc.tuple(fc.constant("wait" as const), fc.constant(""), fc.nat(5), fc.constant(0)) },
      {
        weight: 1,
        arbitrary: fc.tuple(
          fc.constant("clear" as const),
          fc.constantFrom("", "a", "b1"),
          fc.constant(0),
          fc.constant(0)
        )
      }
    )

    const run = (
      maxEntries: number,
      maxWeight: number,
      steps: Array<typeof step extends fc.Arbitrary<infer A> ? A : never>
    ) => {
      const store = new S3Fifo<number>(maxEntries, maxWeight)
      const model = new Map<string, { readonly value: number; readonly expiresAt: number }>()
      const isAlwaysRoomy = maxEntries >= 24 && maxWeight >= 24 * 12
      let now = 0
      const expected = (key: string, isTimed: boolean) => {
        const known = model.get(key)
        return known !== undefined && (!isTimed || now < known.expiresAt) ? known.value : undefined
      }
      steps.forEach(([operation, key, number, lifetime], value) => {
        if (operation === "wait") now += number
        else if (operation === "set") {
          const expiresAt = lifetime === 20 ? Infinity : now + lifetime
          store.set(key, value, number, expiresAt, now)
          if (number > maxWeight || lifetime === 0) {
            model.delete(key)
            assert.isFalse(store.hasAt(key, now))
          } else {
            model.set(key, { value, expiresAt })
            assert.isTrue(store.hasAt(key, now), "what was just stored is there")
          }
        } else if (operation === "delete") {
          const wasThere = expected(key, true) !== undefined
          const answer = store.delete(key, now)
          if (answer || isAlwaysRoomy) assert.strictEqual(answer, wasThere)
          model.delete(key)
        } else if (operation === "clear") {
          store.clear(key)
          for (const name of model.keys()) if (name.startsWith(key)) model.delete(name)
        } else {
          const isTimed = operation === "getAt"
          const found = isTimed ? store.getAt(key, now) : store.get(key)
          if (found !== undefined) assert.strictEqual(found, expected(key, isTimed))
          else if (isAlwaysRoomy) {
            assert.strictEqual(expected(key, true), undefined, "nothing is evicted while there is room")
          }
        }
        inspect(store)
      })
    }

    it("answers what was stored last or nothing, and keeps its accounts at every step", () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 16 }),
          fc.constantFrom(1, 10, 40, Infinity),
          fc.array(step, { maxLength: 120, size: "max" }),
          run
        ),
        { numRuns: 300, seed: 2023 }
      )
    })

    it("forgets nothing while there is room", () => {
      fc.assert(
        fc.property(
          fc.constantFrom(288, Infinity),
          fc.array(step, { maxLength: 120, size: "max" }),
          (maxWeight, steps) => run(24, maxWeight, steps)
        ),
        { numRuns: 100, seed: 2023 }
      )
    })
  })

  describe("eviction", () => {
    it("reaches nearly the hits that keeping the most popular keys would have, and beats LRU", () => {
      for (const [exponent, capacity] of [[0.9, 200], [1, 200], [1, 1_000], [1.1, 1_000]] as const) {
        const trace = zipf(20_000, exponent, 200_000, seeded(1))
        const popular = new Set(names("key:", capacity))
        const best = trace.filter((key) => popular.has(key)).length
        const ours = hits(trace, s3fifo(capacity))
        assert.isAbove(ours / best, 0.935, `exponent ${exponent}, capacity ${capacity}`)
        assert.isAbove(ours / hits(trace, lru(capacity)), 1.04, `exponent ${exponent}, capacity ${capacity}`)
      }
    })

    it("keeps what is read through a scan of keys that are read once", () => {
      const store = new S3Fifo<number>(1_000, Infinity)
      const hot = names("hot:", 500)
      put(store, hot)
      for (let i = 0; i < 2; i++) for (const key of hot) store.get(key)
      put(store, names("scan:", 50_000))
      assert.deepStrictEqual(hot.filter((key) => store.get(key) === undefined), [])
    })

    it("lets a key that comes back soon after its eviction stay", () => {
      const store = new S3Fifo<number>(10, Infinity)
      put(store, names("first:", 10))
      put(store, ["one more"])
      assert.deepStrictEqual(inspect(store).ghosts, ["first:0"])
      put(store, ["first:0"])
      put(store, names("scan:", 100))
      assert.deepStrictEqual(inspect(store).main, ["first:0"])
    })

    it("gives an entry another round for each read, up to three", () => {
      const store = new S3Fifo<number>(2, Infinity)
      put(store, ["a", "b"])
      for (let i = 0; i < 100; i++) {
        store.get("a")
        store.get("b")
      }
      put(store, ["c"])
      assert.strictEqual(store.size, 2)
      assert.strictEqual(store.get("c"), 0)
      inspect(store)
    })

    it("works with room for one entry", () => {
      const store = new S3Fifo<number>(1, Infinity)
      for (const key of names("k", 50)) {
        put(store, [key])
        for (let i = 0; i < 3; i++) assert.strictEqual(store.get(key), 0)
        inspect(store)
      }
    })

    it("keeps memory bounded over 100,000 distinct keys", () => {
      const store = new S3Fifo<number>(1_000, Infinity)
      put(store, names("key:", 100_000))
      assert.strictEqual(store.size, 1_000)
      assert.isAtMost(store["slots"].size, 2_000)
      assert.isAtMost(store["end"], 2_003)
      assert.isAtMost(store["next"].length, 4_096)
      inspect(store)
    })

    it("forgets ghosts as entries go", () => {
      const store = new S3Fifo<number>(100, Infinity)
      put(store, names("key:", 500))
      assert.isAbove(inspect(store).ghosts.length, 90)
      for (const key of names("key:", 500)) store.delete(key, 0)
      assert.strictEqual(store["slots"].size, 0)
      inspect(store)
    })
  })

  describe("weight", () => {
    it("evicts as many as it takes to make room", () => {
      const store = new S3Fifo<number>(maxEntriesLimit, 100)
      for (const key of names("k", 10)) store.set(key, 1, 10, Infinity, 0)
      store.set("heavy", 1, 75, Infinity, 0)
      assert.strictEqual(store.weight, 95)
      assert.strictEqual(store.size, 3)
      assert.isTrue(store.hasAt("heavy", 0))
      inspect(store)
    })

    it("does not store what is heavier than the whole room, and removes what was there", () => {
      const store = new S3Fifo<number>(10, 100)
      store.set("a", 1, 100, Infinity, 0)
      assert.strictEqual(store.get("a"), 1)
      store.set("a", 2, 101, Infinity, 0)
      assert.strictEqual(store.get("a"), undefined)
      assert.strictEqual(store.weight, 0)
      inspect(store)
    })

    it("does not evict for itself an entry that is overwritten by a heavier one", () => {
      const store = new S3Fifo<number>(10, 100)
      for (const key of names("k", 10)) store.set(key, 1, 10, Infinity, 0)
      store.set("k0", 2, 100, Infinity, 0)
      assert.strictEqual(store.get("k0"), 2)
      assert.strictEqual(store.size, 1)
      inspect(store)
    })
  })

  describe("expiry", () => {
    it("frees the room of expired entries that nobody reads, by later writes", () => {
      const store = new S3Fifo<number>(10_000, Infinity)
      for (const key of names("old:", 400)) store.set(key, 1, 0, 10, 0)
      for (const key of names("new:", 100)) store.set(key, 1, 0, Infinity, 10)
      assert.strictEqual(store.size, 100)
      inspect(store)
    })

    it("does not store what has expired already, and removes what was there", () => {
      const store = new S3Fifo<number>(10, Infinity)
      store.set("a", 1, 0, 10, 5)
      store.set("a", 2, 0, 5, 5)
      store.set("b", 2, 0, 5, 5)
      assert.strictEqual(store.size, 0)
      inspect(store)
    })

    it("gives no further round to a popular entry that has expired", () => {
      const store = new S3Fifo<number>(30, Infinity)
      const popular = names("popular:", 10)
      // Seen, evicted and back: in the main queue.
      put(store, [...popular, ...names("k", 30), ...popular])
      assert.deepStrictEqual(inspect(store).main, popular.toReversed())
      store.set("popular:0", 1, 0, 10, 0)
      for (let i = 0; i < 3; i++) for (const key of popular) store.get(key)
      store["evictFromMain"](10)
      assert.deepStrictEqual(inspect(store).main, popular.slice(1).toReversed())
    })

    it("never expires an entry without an end", () => {
      const store = new S3Fifo<number>(10, Infinity)
      store.set("a", 1, 0, Infinity, 0)
      assert.strictEqual(store.getAt("a", Number.MAX_VALUE), 1)
    })

    it("remembers across its expiry that a key is popular", () => {
      const store = new S3Fifo<number>(100, Infinity)
      store.set("popular", 1, 0, 10, 0)
      put(store, names("k", 50))
      store.get("popular")
      store.get("popular")
      assert.strictEqual(store.getAt("popular", 10), undefined)
      store.set("popular", 2, 0, 20, 10)
      assert.deepStrictEqual(inspect(store).main, ["popular"])
    })
  })

  it("clears the keys that begin with a text", () => {
    const store = new S3Fifo<number>(100, Infinity)
    put(store, ["a:1", "a:2", "b:1", "a*", "A:1"])
    store.clear("a:")
    assert.deepStrictEqual(inspect(store).small, ["A:1", "a*", "b:1"])
    store.clear("")
    assert.strictEqual(store.size, 0)
    put(store, ["c"])
    assert.strictEqual(store.get("c"), 0)
    inspect(store)
  })
})
