// The key of a call, made of its arguments.
import * as Cache from "../../dist/Cache.js"
import * as Codec from "../../dist/Codec.js"

const cache = Cache.make({ name: "keys", codec: Codec.local(), timeToLive: "1 hour" })
const fields = (i) => ({
  active: true,
  city: "Paris",
  country: "fr",
  id: i,
  limit: 20,
  name: "Ada",
  offset: 40,
  order: "name",
  page: 3,
  role: "admin"
})
const reversed = (record) => Object.fromEntries(Object.entries(record).reverse())
const large = (i) => ({ id: i, items: Array.from({ length: 90 }, (_, item) => ({ ...fields(item), id: i + item })) })

/** @type {Array<[string, (i: number) => unknown, number?]>} */
const inputs = [
  ["a string that was asked for before", (i) => `user:${i}`, 256],
  ["a string that was not", (i) => `user:${i}`, 100_000],
  ["a number that was asked for before", (i) => i, 256],
  ["a number that was not", (i) => i, 100_000],
  ["an object of 10 fields", fields],
  ["the same, fields in reverse", (i) => reversed(fields(i))],
  ["10 KB of objects", large]
]

let sink = 0
/** Goes on where it stopped, so that a key comes again after all others only. */
const each = (keys, keyOf) => {
  let next = 0
  return (n) => {
    for (let i = 0; i < n; i++) sink += keyOf(keys[next++ % keys.length]).length
  }
}

export default async () => {
  const groups = inputs.map(([name, make, count = 256]) => {
    const keys = Array.from({ length: count }, (_, i) => make(i))
    return {
      title: "The key of a call",
      text:
        "Made of its arguments: the text that a backend is given, which is remembered for some strings and numbers.",
      unit: "cost",
      clock: "cpu",
      base: "`JSON.stringify`",
      sliceMillis: 15,
      candidates: [
        { name: "`JSON.stringify`", run: each(keys, JSON.stringify) },
        { name: `**${name}**`, run: each(keys, (key) => Cache.cacheKey(cache, key)) }
      ]
    }
  })
  return { groups }
}
