/** Each fault of a network, over each backend that has one: what is done settles in time, and all is well a second after. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import type { Backend } from "effect-caching/Backend"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as FaultProxy from "../support/faultProxy.js"
import {
  entry,
  eventually,
  get,
  leavesNoFiber,
  leavesNothing,
  minute,
  printsNothing,
  reasonOf,
  reasons,
  timed
} from "../support/faults.js"
import { networkBackends, type Servers } from "../support/networkBackends.js"
import * as RedisServer from "../support/redisServer.js"
import * as SynHole from "../support/synHole.js"

const { Mode } = FaultProxy

printsNothing()

const timeout = 300
/** A time-out and 20 %, and what a busy machine takes. */
const inTime = timeout * 1.2 + 500
/** A second, and what a busy machine takes. */
const recovery = 1_300

/** What stands before a server, and what it does to it. */
interface Front {
  readonly host: string
  readonly port: number
  readonly spoil: Effect.Effect<unknown>
  readonly mend: Effect.Effect<void>
}

type Fault = (server: { readonly host: string; readonly port: number }) => Effect.Effect<Front, never, Scope.Scope>

/** Connections that are open are reset first, but where the fault is for them. */
const mode = (mode: FaultProxy.Mode, isForOpen = false): Fault => (server) =>
  Effect.map(FaultProxy.make(server), (proxy) => ({
    host: proxy.host,
    port: proxy.port,
    spoil: Effect.zipRight(proxy.setMode(mode), isForOpen ? Effect.void : proxy.resetAll),
    mend: proxy.setMode(Mode.Pass())
  }))

const faults: Readonly<Record<string, Fault>> = {
  "nothing listens": mode(Mode.Refuse()),
  "nothing answers who asks for a connection": (server) =>
    Effect.map(SynHole.make(server), ({ close, host, open, port }) => ({ host, port, spoil: close, mend: open })),
  "connections are accepted, and silent": mode(Mode.Hang()),
  "connections are accepted, and ended": mode(Mode.CloseOnAccept({ with: "FIN" })),
  "connections are accepted, and reset": mode(Mode.CloseOnAccept({ with: "RST" })),
  "requests are lost, and connections reset long after": mode(
    Mode.BlackHole({ direction: "up", resetAfter: 1_000 }),
    true
  ),
  "replies are lost, and connections reset long after": mode(
    Mode.BlackHole({ direction: "down", resetAfter: 1_000 }),
    true
  ),
  "replies are lost, and connections ended": mode(Mode.CutAfter({ bytes: 0, with: "FIN" }), true),
  "replies are cut, and connections ended": mode(Mode.CutAfter({ bytes: 3, with: "FIN" }), true),
  "replies are cut, and connections reset": mode(Mode.CutAfter({ bytes: 3, with: "RST" }), true),
  "replies trickle": mode(Mode.Trickle({ bytes: 1, every: 40 }), true)
}

const allowed = ["Connection", "Timeout", "Unavailable", "none"]

/** Every operation, all at once: each settles in time, and fails with a reason of a network if it fails. */
const settles = (backend: Backend) =>
  Effect.gen(function*() {
    const { ms, result } = yield* timed(reasons(backend))
    assert.isBelow(ms, inTime)
    const all = Either.getOrThrow(result)
    for (const reason of all) assert.include(allowed, reason)
    return all
  })

/** What servers refuse, by a setting of Redis: what it is set to, what it was, and the reason. */
const refusals: Readonly<Record<string, readonly [name: string, value: string, before: string, reason: string]>> = {
  "servers are full": ["maxmemory", "1", "0", "OutOfSpace"],
  "servers lack replicas": ["min-replicas-to-write", "9", "0", "Unavailable"]
}

/** On every server: a batch fails where one does. */
const allWork = (backend: Backend) =>
  Effect.isSuccess(backend.setMany(Array.from({ length: 16 }, (_, index) => [`works:${index}`, entry("1"), minute])))

/** The ways to a server that makes a connection for each request leave destroyed sockets behind: see `uwsgiFaults`. */
const leavesNothingOf = (name: string): typeof leavesNothing => name === "Uwsgi" ? leavesNoFiber : leavesNothing

describe("faults", () => {
  for (const { name, servers } of networkBackends) {
    describe(name, () => {
      const scope = Effect.runSync(Scope.make())
      let running: Servers
      beforeAll(async () => {
        running = await Effect.runPromise(Scope.extend(servers, scope) as Effect.Effect<Servers>)
      })
      afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

      for (const [title, fault] of Object.entries(faults)) {
        it.scopedLive(title, () =>
          leavesNothingOf(name)(Effect.gen(function*() {
            const fronts = yield* Effect.forEach(running.addresses, fault)
            const spoil = Effect.forEach(fronts, (front) => front.spoil)
            const mend = Effect.forEach(fronts, (front) => front.mend)
            yield* Effect.scoped(Effect.gen(function*() {
              const backend = yield* running.make(fronts, timeout)
              yield* eventually("works", allWork(backend))
              yield* backend.set("kept", entry("kept"), minute)
              yield* spoil
              const found = yield* settles(backend)
              if (title !== "replies trickle") assert.notDeepEqual(found, ["none"])
              yield* settles(backend)
              yield* mend
              assert.isBelow(yield* eventually("works", allWork(backend)), recovery)
              assert.strictEqual(yield* get(backend, "kept"), "kept")
            }))
            yield* Effect.scoped(Effect.gen(function*() {
              yield* spoil
              const { ms, result } = yield* timed(running.make(fronts, timeout))
              assert.isBelow(ms, inTime)
              // A server that says nothing may be one that is not fit: it may be refused, and said to be so.
              if (Either.isLeft(result)) assert.strictEqual(result.left.reason, "Unavailable")
              else yield* settles(result.right)
              yield* mend
              const backend = Either.isLeft(result) ? yield* running.make(fronts, timeout) : result.right
              assert.isBelow(yield* eventually("works", allWork(backend)), recovery)
            }))
          })), 30_000)
      }

      if (!name.startsWith("Redis")) return
      for (const [title, [setting, value, before, reason]] of Object.entries(refusals)) {
        it.scopedLive(title, () =>
          Effect.gen(function*() {
            const backend = yield* running.make(running.addresses, timeout)
            const configure = (value: string) =>
              Effect.forEach(running.redis!, ({ port }) =>
                RedisServer.cli("-p", `${port}`, "config", "set", setting, value))
            yield* backend.set("kept", entry("kept"), minute)
            yield* Effect.acquireUseRelease(
              configure(value),
              () =>
                Effect.gen(function*() {
                  const { ms, result } = yield* timed(reasonOf(backend.set("kept", entry("new"), minute)))
                  assert.isBelow(ms, inTime)
                  assert.strictEqual(Either.getOrThrow(result), reason)
                  assert.strictEqual(yield* get(backend, "kept"), "kept")
                }),
              () =>
                configure(before)
            )
            assert.isBelow(yield* eventually("works", allWork(backend)), recovery)
          }))
      }
    })
  }
})
