/**
 * Tells other processes what was changed here, and hears what they changed.
 *
 * One fiber publishes, in order: what comes while a message is on its way goes
 * into the next one. What could not be published is kept, as names, and told when
 * the bus is back. A message that is missing from the count of its sender, or that
 * cannot be read, is as bad as a lost connection: everything here is dropped.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import type { Bus } from "../../InvalidationBus.js"
import { newVersion } from "../derive.js"
import { pause } from "../pause.js"
import { Bell } from "./bell.js"
import { type Change, Changes } from "./changes.js"
import * as Message from "./message.js"
import { ofBus } from "./observe.js"

/** What a bus may take to publish, whatever it promises. */
const publishMillis = 2_000
const firstRetryMillis = 50
const longestRetryMillis = 1_000
const maxSenders = 1_000

export interface Receiver {
  readonly apply: (changes: Changes) => void
  readonly drop: () => void
}

export class Messenger {
  private readonly me = newVersion()
  private count = 0
  private readonly bell = new Bell()
  /** Changes for the next messages, and who waits for those. */
  private waiting = new Changes()
  private told = newDeferred()
  /** Messages on their way; the same ones again until the bus has taken them. */
  private unsent: Array<string> = []
  private isDown = false
  /** The number of the last message of each sender. */
  private readonly last = new Map<string, number>()
  private readonly observe: ReturnType<typeof ofBus>

  constructor(private readonly bus: Bus, private readonly receiver: Receiver) {
    this.observe = ofBus(bus.name)
  }

  /** Tells of the change; ends when the bus has been given it, or has failed to take it. */
  tell(change: Change): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.tellLater(change)
      return this.isDown ? Effect.void : Deferred.await(this.told)
    })
  }

  tellLater(change: Change): void {
    this.waiting.add(change)
    this.bell.ring()
  }

  /** Runs for as long as there may be something to tell. */
  readonly publish: Effect.Effect<never> = Effect.forever(
    Effect.zipRight(this.bell.wait, Effect.suspend(() => this.publishWaiting()))
  )

  private publishWaiting(): Effect.Effect<void> {
    if (this.waiting.size === 0) return Effect.void
    const { told, waiting } = this
    this.waiting = new Changes()
    this.told = newDeferred()
    this.unsent = Message.encode(waiting, this.me, () => ++this.count)
    return Effect.zipRight(
      this.publishUnsent(firstRetryMillis, told),
      Effect.suspend(() => this.publishWaiting())
    )
  }

  private publishUnsent(retryMillis: number, told: Deferred.Deferred<void>): Effect.Effect<void> {
    return Effect.matchCauseEffect(this.attempt, {
      onSuccess: () =>
        Effect.sync(() => {
          this.isDown = false
          Deferred.unsafeDone(told, Effect.void)
        }),
      onFailure: () =>
        Effect.suspend(() => {
          // Nobody is kept waiting for a bus that is down.
          this.isDown = true
          this.observe.fault("unsent")
          Deferred.unsafeDone(told, Effect.void)
          Deferred.unsafeDone(this.told, Effect.void)
          this.told = newDeferred()
          const next = Math.min(retryMillis * 2, longestRetryMillis)
          return Effect.zipRight(pause(retryMillis), Effect.suspend(() => this.publishUnsent(next, told)))
        })
    })
  }

  private readonly attempt: Effect.Effect<void, unknown> = Effect.whileLoop({
    while: () => this.unsent.length > 0,
    body: () =>
      Effect.raceFirst(
        Effect.disconnect(this.bus.publish(this.unsent[0]!)),
        Effect.zipRight(pause(publishMillis), Effect.fail("no answer"))
      ),
    step: () => {
      this.unsent.shift()
      this.observe.sent()
    }
  })

  /** Hears the others until the scope closes. */
  readonly hear: Effect.Effect<void, never, Scope.Scope> = Effect.suspend(() =>
    Effect.zipRight(
      Effect.addFinalizer(() => Effect.sync(() => this.observe.subscribed(false))),
      this.bus.subscribe({
        onMessage: (text) => this.receive(text),
        onSubscribed: () => {
          this.observe.subscribed(true)
          this.last.clear()
          this.receiver.drop()
        },
        onLost: () => {
          this.observe.subscribed(false)
          this.observe.fault("lost")
        }
      })
    )
  )

  private receive(text: string): void {
    const message = Message.decode(text)
    if (message === undefined) {
      this.observe.fault("unreadable")
      return this.receiver.drop()
    }
    const { all, from, hard, keys, n, prefixes, soft } = message
    if (from === this.me) return
    this.observe.received()
    const last = this.last.get(from)
    this.last.delete(from)
    this.last.set(from, Math.max(n, last ?? 0))
    if (this.last.size > maxSenders) this.last.delete(this.last.keys().next().value!)
    if (last !== undefined && n > last + 1) {
      this.observe.fault("gap")
      return this.receiver.drop()
    }
    if (all === true) return this.receiver.drop()
    const changes = new Changes()
    if (keys !== undefined) changes.add({ _tag: "Keys", keys })
    for (const prefix of prefixes ?? []) changes.add({ _tag: "Prefix", prefix })
    if (hard !== undefined) changes.add({ _tag: "Tags", tags: hard, mode: "hard" })
    if (soft !== undefined) changes.add({ _tag: "Tags", tags: soft, mode: "soft" })
    this.receiver.apply(changes)
  }
}

const newDeferred = () => Deferred.unsafeMake<void>(FiberId.none)
