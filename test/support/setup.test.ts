import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"

describe("assert.deepStrictEqual", () => {
  it("tells apart what differs by its prototype, its sign or a field that is not there", () => {
    const pairs: ReadonlyArray<readonly [unknown, unknown]> = [
      [Option.none(), Option.some(1)],
      [Option.some(1), Option.none()],
      [[Option.none()], [Option.some(null)]],
      [Option.some(1), Option.some(2)],
      [Either.left(1), Either.right(1)],
      [Exit.succeed(1), Exit.fail(1)],
      [0, -0],
      [{}, { a: undefined }],
      [{}, Object.create(null)]
    ]
    for (const [one, other] of pairs) assert.throws(() => assert.deepStrictEqual(one, other))
    for (const [one] of pairs) assert.deepStrictEqual([one], [one])
    assert.deepStrictEqual(Option.some({ a: [1] }), Option.some({ a: [1] }))
  })
})
