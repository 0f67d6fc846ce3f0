import { assert, describe, it } from "@effect/vitest"
import { Sightings } from "../../src/internal/redis/sightings.js"

const key = (index: number) => `users:n${index}`

describe("what was seen", () => {
  it("is likely to be there until it is no longer fresh, or was forgotten", () => {
    const sightings = new Sightings()
    assert.isFalse(sightings.isFresh("a", 0))
    sightings.note("a", 10)
    sightings.note("b", Infinity)
    assert.isTrue(sightings.isFresh("a", 9))
    assert.isFalse(sightings.isFresh("a", 10))
    assert.isTrue(sightings.isFresh("b", 1e15))
    sightings.forget("b")
    sightings.forget("never seen")
    assert.isFalse(sightings.isFresh("b", 0))
    sightings.note("a", 30)
    sightings.note("b", 30)
    assert.isTrue(sightings.isFresh("a", 20))
    sightings.forgetAll()
    assert.isFalse(sightings.isFresh("a", 20) || sightings.isFresh("b", 20))
  })

  it("is remembered of nearly all of four thousand keys, and of no others", () => {
    const sightings = new Sightings()
    for (let index = 0; index < 4_000; index++) sightings.note(key(index), 10)
    const remembered = (from: number) =>
      Array.from({ length: 4_000 }, (_, index) => sightings.isFresh(key(from + index), 0)).filter((isSeen) => isSeen)
        .length
    assert.isAtLeast(remembered(0), 3_950)
    assert.isAtMost(remembered(4_000), 1)
  })

  it("makes room for what is fresh for longer", () => {
    const sightings = new Sightings()
    for (let index = 0; index < 100_000; index++) sightings.note(key(index), 10)
    for (let index = 0; index < 1_000; index++) sightings.note(key(200_000 + index), 1_000)
    const left = Array.from({ length: 1_000 }, (_, index) => sightings.isFresh(key(200_000 + index), 500))
    assert.isAtLeast(left.filter((isSeen) => isSeen).length, 990)
  })
})
