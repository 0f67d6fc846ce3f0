/**
 * One ioredis client that does nothing but hear a channel.
 *
 * The connection counts as subscribed from the server's answer on. One that has
 * fallen silent is found by a PING and replaced: a half-open connection never says
 * that nothing arrives any more.
 */
import type { Redis } from "ioredis"
import { closed, type Failure, failureOf, notConnected, timedOut } from "./failure.js"
import type { BackOff } from "./link.js"

export interface Options {
  readonly channel: string
  readonly backOff: BackOff
  /** How long the server may take to answer. */
  readonly timeout: number
  readonly pingInterval: number
  readonly onMessage: (message: string) => void
  readonly onSubscribed: () => void
  readonly onLost: () => void
}

/** How long the end of a connection may take before its socket is destroyed. */
const endTimeout = 300

export class Subscriber {
  private readonly listeners = new Set<(failure: Failure | undefined) => void>()
  private isUp = false
  private isClosed = false
  private lastFailure: Failure | undefined
  private deadline: ReturnType<typeof setTimeout> | undefined
  /** Which of the things that must come in time is waited for. */
  private expected = 0
  private nextPing: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly client: Redis, private readonly options: Options) {
    client.on("error", (error: unknown) => {
      this.lastFailure = failureOf(error, this.lastFailure)
      this.notify(this.lastFailure)
    })
    client.on("connect", () => this.expect())
    client.on("ready", () => this.subscribe())
    client.on("message", (channel: string, message: string) => {
      if (!this.isClosed && channel === options.channel) options.onMessage(message)
    })
    client.on("close", () => this.goDown())
    client.connect().catch(() => {})
  }

  /** Calls back when the connection being made is subscribed, or fails. */
  onOutcome(listener: (failure: Failure | undefined) => void): () => void {
    if (this.isClosed) listener(closed)
    else if (this.isUp) listener(undefined)
    else this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  end(): Promise<void> {
    this.isClosed = true
    this.isUp = false
    this.expectNothing()
    clearTimeout(this.nextPing)
    const { client } = this
    const { status } = client
    client.disconnect()
    // A client that waits to reconnect has no connection, and will not say that it has ended.
    if (status === "wait" || status === "reconnecting" || status === "end") return Promise.resolve()
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer)
        client.stream?.destroy()
        resolve()
      }
      const timer = setTimeout(finish, endTimeout)
      client.once("end", finish)
    })
  }

  private subscribe(): void {
    this.ask(() => this.client.subscribe(this.options.channel), () => {
      this.isUp = true
      this.lastFailure = undefined
      this.options.backOff.reset()
      this.options.onSubscribed()
      this.notify(undefined)
      this.pingLater()
    })
  }

  private pingLater(): void {
    this.nextPing = setTimeout(
      () => this.ask(() => this.client.ping(), () => this.pingLater()),
      this.options.pingInterval
    )
    this.nextPing.unref()
  }

  /** Asks, and replaces the connection where no answer comes in time. */
  private ask(command: () => Promise<unknown>, onAnswer: () => void): void {
    if (this.isClosed) return
    const { stream } = this.client
    this.expect()
    command().then(
      () => {
        // The answer of a connection that has been replaced meanwhile says nothing about the present one.
        if (this.isClosed || this.client.stream !== stream) return
        this.expectNothing()
        onAnswer()
      },
      (error: unknown) => {
        if (!this.isClosed && this.client.stream === stream) this.replace(failureOf(error, this.lastFailure))
      }
    )
  }

  /** The next thing must come in time. */
  private expect(): void {
    this.expectNothing()
    if (this.isClosed) return
    const mine = this.expected
    this.deadline = setTimeout(() => {
      // What came while the event loop was busy is read before it is called late.
      setImmediate(() => {
        if (mine === this.expected) this.replace(timedOut)
      })
    }, this.options.timeout)
    this.deadline.unref()
  }

  private expectNothing(): void {
    this.expected++
    clearTimeout(this.deadline)
  }

  private replace(failure: Failure): void {
    if (this.isClosed) return
    this.lastFailure = failure
    const { status } = this.client
    if (status === "ready" || status === "connect") this.client.disconnect(true)
    this.notify(failure)
  }

  private goDown(): void {
    this.expectNothing()
    clearTimeout(this.nextPing)
    const wasUp = this.isUp
    this.isUp = false
    if (this.isClosed) return
    if (wasUp) this.options.onLost()
    this.notify(this.lastFailure ?? notConnected)
  }

  private notify(outcome: Failure | undefined): void {
    const listeners = [...this.listeners]
    this.listeners.clear()
    for (const listener of listeners) listener(outcome)
  }
}
