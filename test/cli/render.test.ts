import { assert, describe, it } from "vitest"
import { Board } from "../../src/cli/board.js"
import { keyOf } from "../../src/cli/key.js"
import * as Render from "../../src/cli/render.js"
import * as Stored from "../../src/cli/stored.js"
import { Entry } from "../../src/internal/entry.js"
import * as Key from "../../src/internal/key.js"

describe("rendering", () => {
  it("a table is as wide as its cells, with numbers on the right and no spaces at the ends of lines", () => {
    const columns = [{ title: "cache" }, { title: "n", isNumber: true }, { title: "note" }]
    assert.strictEqual(
      Render.table(columns, [["users", "1,024", ""], ["a", "7", "x"]]),
      ["cache      n  note", "users  1,024", "a          7  x"].join("\n")
    )
    assert.strictEqual(Render.table(columns, []), "cache  n  note")
  })

  it("facts stand under each other, without those that are not known", () => {
    assert.strictEqual(
      Render.facts([["key", "a"], ["size", undefined], ["backend", "redis"]]),
      "key      a\nbackend  redis"
    )
  })

  it("numbers, sizes, shares and rates read well at their bounds", () => {
    assert.deepStrictEqual([0, 999, 1_000, 1_234_567].map(Render.count), ["0", "999", "1,000", "1,234,567"])
    assert.deepStrictEqual(
      [0, 1, 1_023, 1_024, 1_536, 1_048_576, 3 * 2 ** 40, 2 ** 60].map(Render.bytes),
      ["0 B", "1 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "3.0 TiB", "1048576.0 TiB"]
    )
    assert.deepStrictEqual([0, 0.5, 1, NaN].map(Render.percent), ["0.0 %", "50.0 %", "100.0 %", "–"])
    assert.deepStrictEqual([0, 99.94, 1_234.4].map(Render.rate), ["0.0", "99.9", "1,234"])
    assert.deepStrictEqual([Render.plural(1, "key", "keys"), Render.plural(0, "key", "keys")], ["1 key", "0 keys"])
  })

  it("a time has its two largest units", () => {
    const times = [0, 999, 1_000, 61_000, 3_600_000, 3_661_000, 90_061_000, -5_000, Infinity]
    assert.deepStrictEqual(times.map(Render.duration), [
      "0 ms",
      "999 ms",
      "1 s",
      "1 min 1 s",
      "1 h",
      "1 h 1 min",
      "1 d 1 h",
      "5 s",
      "for ever"
    ])
    assert.strictEqual(Render.instant(1_000, 0), "1970-01-01T00:00:01.000Z (in 1 s)")
    assert.strictEqual(Render.instant(0, 61_000), "1970-01-01T00:00:00.000Z (1 min 1 s ago)")
    assert.strictEqual(Render.instant(Infinity, 0), "for ever")
  })

  it("what a terminal would obey is shown and not obeyed", () => {
    assert.strictEqual(Render.visible("a\u001b[31m\n\u202eb\u009b"), "a\\u{1b}[31m\\u{a}\\u{202e}b\\u{9b}")
    assert.strictEqual(Render.visible("a\n\tb\r", true), "a\n\tb\\u{d}")
    assert.strictEqual(Render.visible("Grüße 🎉"), "Grüße 🎉")
  })

  it("no part of a password is left of an address", () => {
    const addresses = ["redis://:pa/ss@host:1", "redis://me:p@ss@host", "redis://me:p w@host", "redis://me:p\nw@host"]
    for (const address of addresses) {
      assert.match(Render.withoutCredentials(`unknown: '${address}'`), /^unknown: 'redis:\/\/…@host(:1)?'$/)
    }
    assert.strictEqual(Render.withoutCredentials("redis://host?password=secret&db=1"), "redis://host?password=…&db=1")
    assert.strictEqual(Render.withoutCredentials("redis://host:6379/1"), "redis://host:6379/1")
  })

  it("bytes are dumped sixteen a line, up to a bound", () => {
    const bytes = Uint8Array.from({ length: 20 }, (_, i) => i + 60)
    assert.strictEqual(
      Render.hexdump(bytes, 18),
      [
        "00000000  3c 3d 3e 3f 40 41 42 43  44 45 46 47 48 49 4a 4b  |<=>?@ABCDEFGHIJK|",
        "00000010  4c 4d                                             |LM|",
        "… 2 more bytes"
      ].join("\n")
    )
    assert.strictEqual(Render.hexdump(new Uint8Array(0), 16), "")
  })
})

describe("a key on the command line", () => {
  it("are those that Cache makes of the same name and arguments", () => {
    assert.strictEqual(keyOf("users", undefined, ["42"]), `${Key.prefixOf("users")}${Key.encode(42)}`)
    assert.strictEqual(keyOf("users", undefined, ["ada"]), `users:${Key.encode("ada")}`)
    assert.strictEqual(keyOf("users", undefined, ["\"42\""]), `users:${Key.encode("42")}`)
    assert.strictEqual(
      keyOf("users", undefined, ["1", "true", "null", "x"]),
      `users:${Key.encode([1, true, null, "x"])}`
    )
    assert.strictEqual(keyOf("a:b", "2", ["{\"b\":1,\"a\":[]}"]), `a%3Ab:@2:${Key.encode({ a: [], b: 1 })}`)
    assert.strictEqual(keyOf("users", undefined, ["x".repeat(500)]), `users:${Key.encode("x".repeat(500))}`)
  })

  it("are refused where an argument is meant to be JSON and is not", () => {
    for (const argument of ["{a:1}", "[1", "\"a"]) {
      assert.throws(() => keyOf("users", undefined, [argument]), /is not JSON/)
    }
  })

  it("tell the name of their cache", () => {
    for (const name of ["users", "a:b", "100%", "~x", "fragment/menu", "%3A"]) {
      assert.strictEqual(Key.nameOf(Key.prefixOf(name) + Key.encode("a:b")), name)
    }
    assert.isUndefined(Key.nameOf("without a colon"))
  })
})

describe("a stored entry", () => {
  const version = { tag: "t", hard: "h", soft: "s" }
  const entry = (grace = 1_000) =>
    new Entry(false, "text", 0, 1_000, 1_000 + grace, 5, [version], undefined, new Uint8Array(3))
  const judged = (entry: Entry, now: number, current = version) => {
    const { answer, state, why } = Stored.judge(entry, [current], now)
    return { answer, state, why: why[0] }
  }

  it("is judged by its times", () => {
    const { answer, state, why } = judged(entry(), 400)
    assert.deepStrictEqual([answer, state, why], ["hit", "fresh", "its time to live ends in 600 ms"])
    assert.deepInclude(judged(entry(), 1_500), { answer: "stale", state: "stale" })
    assert.deepStrictEqual(judged(entry(), 2_000), { answer: "miss", state: "expired", why: "its time ended 0 ms ago" })
    const forEver = new Entry(false, "text", 0, Infinity, Infinity, 5, [], undefined, new Uint8Array(3))
    assert.strictEqual(Stored.judge(forEver, [], 0).why[0], "its time to live does not end")
  })

  it("is judged by its tags before its times", () => {
    assert.deepStrictEqual(judged(entry(), 400, { ...version, hard: "new" }), {
      answer: "miss",
      state: "invalidated",
      why: "invalidated by t"
    })
    assert.deepInclude(judged(entry(), 400, { ...version, soft: "new" }), { answer: "stale", why: "made stale by t" })
    assert.deepStrictEqual(judged(entry(0), 400, { ...version, soft: "new" }), {
      answer: "miss",
      state: "invalidated",
      why: "made stale by t, and it has no grace"
    })
  })

  it("has a value that is JSON, text or bytes", () => {
    const payload = (codec: string, bytes: Uint8Array | string) =>
      Stored.payloadOf(new Entry(false, codec, 0, 1, 1, 0, [], undefined, Buffer.from(bytes as string)))
    assert.deepStrictEqual(payload("json:x", "{\"a\":1}"), { form: "json", data: { a: 1 } })
    assert.deepStrictEqual(payload("counter", "12"), { form: "json", data: 12 })
    assert.deepStrictEqual(payload("json:x", ""), { form: "text", data: "" })
    assert.deepStrictEqual(payload("text", "{}"), { form: "text", data: "{}" })
    assert.strictEqual(payload("bytes", Uint8Array.of(255)).form, "bytes")
    assert.strictEqual(payload("bytes", "a\0b").form, "bytes")
  })
})

describe("the board of watch", () => {
  const counts = { hits: 0, stale: 0, misses: 0, bypasses: 0, errors: 0 }
  const report = (sender: string, caches: Record<string, typeof counts>) => ({
    sender,
    program: `program-${sender}`,
    from: 0,
    until: 0,
    caches,
    uncounted: 0,
    samples: []
  })

  it("adds the processes up, by cache, with the rates of the last five seconds", () => {
    const board = new Board("channel", 0)
    board.hear(report("a", { users: { ...counts, hits: 30, misses: 10 }, pages: { ...counts, stale: 5 } }), 1_000)
    board.hear(report("b", { users: { ...counts, hits: 10 } }), 2_000)
    const [headline, , title, pages, users] = board.text(5_000).split("\n")
    assert.strictEqual(headline, "channel: heard lately: 2 processes of program-a, program-b")
    assert.match(title!, /^cache +hits\/s/)
    assert.match(pages!, /^pages +0\.0 +1\.0 +0\.0 +0\.0 +0\.0 +100\.0 % +5 +100\.0 %$/)
    assert.match(users!, /^users +8\.0 +0\.0 +2\.0 +0\.0 +0\.0 +80\.0 % +50 +80\.0 %$/)
    const later = board.text(6_500)
    assert.match(later, /heard lately: 1 process of program-b\n/)
    assert.match(later, /\nusers +2\.0 +0\.0 +0\.0 +0\.0 +0\.0 +100\.0 % +50 +80\.0 %$/)
    assert.match(later, /\npages +0\.0 +0\.0 +0\.0 +0\.0 +0\.0 +– +5 +100\.0 %\n/)
  })

  it("says that nothing was heard, and that the connection is lost", () => {
    const board = new Board("channel", 0)
    assert.strictEqual(board.text(0), "channel: heard lately: 0 processes\n\nno calls so far")
    board.isSubscribed = false
    assert.match(board.text(0), /^channel: the connection is lost/)
  })
})
