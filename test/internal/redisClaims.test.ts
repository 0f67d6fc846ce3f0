import { assert, describe, it } from "@effect/vitest"
import { BackendError } from "effect-caching/Backend"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import { type Answer, type Claimant, claimsOfOne } from "../../src/internal/redis/claims.js"
import { operations } from "../../src/internal/redis/operations.js"
import * as scripts from "../../src/internal/redis/scripts.js"
import type { Servers } from "../../src/internal/redis/servers.js"

const unused = () => assert.fail("not asked for")

/** Servers that answer when the test says so, and what is sent to give leases back. */
const controlled = () => {
  const claimants: Array<Claimant> = []
  const givenBack: Array<unknown> = []
  const servers: Servers = {
    keyPrefix: "",
    isOne: true,
    send: unused,
    query: unused,
    run: (_script, _keys, [token, px]) => void givenBack.push(px === "0" ? token : unused()),
    read: unused,
    claim: (_key, claimant) => void claimants.push(claimant),
    together: unused,
    survey: unused
  }
  const { getOrLease } = operations(servers, {
    name: "redis",
    prefix: "",
    maxValueBytes: 1_000,
    errorOf: (method) => ({ reason }) => new BackendError({ backend: "redis", method, reason })
  })
  const ask = Effect.uninterruptible(getOrLease!("a", Duration.minutes(1), []))
  return { ask, claimants, givenBack }
}

const answer = (token: string) => ({ entry: undefined, token, tags: [], versions: [] })

describe("a claim on Redis", () => {
  it.effect("gives back what came in the same moment as the interruption of who asked", () =>
    Effect.gen(function*() {
      const { ask, claimants, givenBack } = controlled()
      const fiber = yield* Effect.fork(ask)
      yield* Effect.yieldNow()
      // Not one effect after the other: between them the fiber would take its answer.
      claimants[0]!.settle(undefined, answer("mine"))
      fiber.unsafeInterruptAsFork(FiberId.none)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(givenBack, ["mine"])
    }))

  it.effect("is gone for the answer that comes after the interruption", () =>
    Effect.gen(function*() {
      const { ask, claimants, givenBack } = controlled()
      const fiber = yield* Effect.fork(ask)
      yield* Effect.yieldNow()
      assert.isFalse(claimants[0]!.isGone())
      yield* Fiber.interrupt(fiber)
      assert.isTrue(claimants[0]!.isGone())
      assert.deepStrictEqual(givenBack, [])
    }))

  it.effect("keeps what came before the interruption, where its caller cannot be interrupted", () =>
    Effect.gen(function*() {
      const { ask, claimants, givenBack } = controlled()
      let token: Option.Option<string> = Option.none()
      const fiber = yield* Effect.fork(
        Effect.uninterruptible(Effect.map(ask, (claim) => {
          token = claim.token
        }))
      )
      yield* Effect.yieldNow()
      claimants[0]!.settle(undefined, answer("mine"))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(token, Option.some("mine"))
      assert.deepStrictEqual(givenBack, [])
    }))

  it("does without tags on a server that lets a script touch nothing but its keys", () => {
    const sent: Array<ReadonlyArray<unknown>> = []
    const claims = claimsOfOne((script, keys, args, done) => {
      sent.push([script === scripts.renew ? "renew" : "getOrLease", ...keys, ...args])
      if (script === scripts.renew) done(undefined, 1)
      else if (args[0] !== "") done({ reason: "Unknown", description: "undeclared key" }, undefined)
      else done(undefined, [[null, 1]])
    }, { retention: "1000", share: "cache:" })
    const ask = (key: string, token: string) => {
      let answered: Answer | undefined
      claims.ask(key, {
        lease: `{${key}}~lease`,
        now: 5,
        token,
        px: 100,
        tags: ["t"],
        isGone: () => false,
        settle: (failure, answer) => {
          assert.isUndefined(failure)
          answered = answer
        }
      })
      return answered
    }
    assert.deepStrictEqual(ask("a", "one")?.token, "one")
    assert.deepStrictEqual(ask("b", "two")?.token, "two")
    assert.deepStrictEqual(sent, [
      ["getOrLease", "a", "{a}~lease", "1000", "cache:", 5, "one", 100, 1, "t"],
      // What the script had leased before it was refused.
      ["renew", "{a}~lease", "one", "0"],
      ["getOrLease", "a", "{a}~lease", "", "", 5, "one", 100, 0],
      ["getOrLease", "b", "{b}~lease", "", "", 5, "two", 100, 0]
    ])
  })
})
