/**
 * One ioredis client as the backend uses it: every command is answered once and
 * in time, and a connection that has fallen silent is replaced.
 *
 * ioredis' own `commandTimeout` is not used: it fires before replies that are
 * waiting to be read when the event loop was busy, and leaves commands of a
 * closed client unanswered.
 */
import type { Redis } from "ioredis"
import { closed, type Failure, failureOf, notConnected, timedOut, whileConnecting } from "./failure.js"
import type { Script } from "./scripts.js"

export type Argument = string | number | Buffer
export type Command =
  | "get"
  | "mget"
  | "evalsha"
  | "eval"
  | "scan"
  | "unlink"
  | "ping"
  | "select"
  | "role"
  | "asking"
  | "cluster"
  | "sentinel"
  | "publish"
  | "info"
  | "strlen"
export type Done = (failure: Failure | undefined, reply: any) => void

/** Every command of ioredis has a variant that answers bytes, and takes its arguments as a list too. */
type Commands = Record<
  `${Command}Buffer`,
  (args: Array<Argument>, done: (error: Error | null | undefined, reply: unknown) => void) => unknown
>

interface Call {
  readonly deadline: number
  readonly done: Done
}

/** So many time-outs in a row, with no byte in between, and a connection is replaced. */
const patience = 3
/** How long the end of a connection may take before its socket is destroyed. */
const endTimeout = 300
const shortestDelay = 50
const longestDelay = 500

/**
 * When to connect again. ioredis counts an attempt as a success before the server
 * has said a word, so we count ourselves.
 */
export class BackOff {
  private failures = 0
  readonly next = (): number =>
    Math.min(shortestDelay * 2 ** this.failures++, longestDelay) + Math.random() * shortestDelay
  reset(): void {
    this.failures = 0
  }
}

export interface Options {
  /** When to connect again. With it the client is ours: to connect, to reconnect and to close. */
  readonly backOff?: BackOff | undefined
  /** What the server must be; one that is something else is not used. */
  readonly role?: "master" | "slave" | undefined
  /** Called when the connection has been lost, or given up. */
  readonly onDown?: (() => void) | undefined
}

export class Link {
  private readonly backOff: BackOff | undefined
  /** In the order in which they were sent, which is that of their deadlines. */
  private readonly calls = new Set<Call>()
  private readonly listeners = new Set<(failure: Failure | undefined) => void>()
  private timer: ReturnType<typeof setTimeout> | undefined
  private handshake: ReturnType<typeof setTimeout> | undefined
  private isClosed = false
  /** Whether the server has answered on the present connection; of a foreign client we do not know. */
  private isUp: boolean
  private lastFailure: Failure | undefined
  private silence = { timeouts: 0, bytesRead: 0, since: 0 }

  constructor(
    readonly client: Redis,
    private readonly timeout: number,
    private readonly options: Options = {}
  ) {
    const { backOff } = options
    this.backOff = backOff
    this.isUp = backOff === undefined
    client.on("error", this.onError)
    if (backOff === undefined) return
    client.on("connect", () => this.greet())
    client.on("ready", () => this.probe())
    client.on("close", () => {
      clearTimeout(this.handshake)
      this.goDown()
      this.notify(this.failure)
    })
    if (client.status === "wait") client.connect().catch(() => {})
  }

  /** `connecting` until the connection being made has answered or failed for the first time. */
  get state(): "up" | "connecting" | "down" {
    return this.isClosed ? "down" : this.isUp ? "up" : this.lastFailure === undefined ? "connecting" : "down"
  }

  /** What last went wrong with the connection. */
  get failure(): Failure {
    return this.isClosed ? closed : this.lastFailure ?? whileConnecting(notConnected, this.client.stream)
  }

  /** Of one who has waited for the first answer for as long as it may take. */
  readonly late = (): Failure => whileConnecting(timedOut, this.client.stream)

  /** Calls back when the connection being made answers, or fails. */
  onOutcome(listener: (failure: Failure | undefined) => void): () => void {
    if (this.isClosed) listener(closed)
    else if (this.isUp) listener(undefined)
    else this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** `isAsking` for a key on its way to this server, as another one has told. */
  send(command: Command, args: Array<Argument>, done: Done, isAsking = false): void {
    if (this.isClosed || !this.isUp) return done(this.failure, undefined)
    if (isAsking) this.issue("asking", [], () => {})
    this.issue(command, args, done)
  }

  run(
    script: Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<Argument>,
    done: Done,
    isAsking = false
  ): void {
    const rest = [keys.length, ...keys, ...args]
    this.send(
      "evalsha",
      [script.sha, ...rest],
      (failure, reply) =>
        failure?.cause?.code === "NOSCRIPT"
          ? this.send("eval", [script.text, ...rest], done, isAsking)
          : done(failure, reply),
      isAsking
    )
  }

  /** Answers what is under way and, from now on, everything else with a failure. */
  close(): void {
    this.isClosed = true
    clearTimeout(this.timer)
    clearTimeout(this.handshake)
    const calls = [...this.calls]
    this.calls.clear()
    for (const call of calls) call.done(closed, undefined)
    this.notify(closed)
    if (this.backOff === undefined) this.client.off("error", this.onError)
  }

  /** Closes, and ends the client too. */
  end(): Promise<void> {
    this.close()
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

  private readonly onError = (error: unknown): void => {
    const failure = failureOf(error, this.lastFailure)
    this.lastFailure = failure.cause?.code === "ETIMEDOUT" ? whileConnecting(failure, this.client.stream) : failure
    this.notify(this.lastFailure)
  }

  private notify(outcome: Failure | undefined): void {
    const listeners = [...this.listeners]
    this.listeners.clear()
    for (const listener of listeners) listener(outcome)
  }

  private issue(command: Command, args: Array<Argument>, done: Done): void {
    const call: Call = { deadline: performance.now() + this.timeout, done }
    this.calls.add(call)
    if (this.timer === undefined) this.arm(this.timeout)
    const settle = (error: Error | null | undefined, reply: unknown) => {
      if (!this.calls.delete(call)) return
      if (!error) {
        this.silence.timeouts = 0
        this.lastFailure = undefined
        done(undefined, reply)
      } else done(failureOf(error, this.lastFailure), undefined)
    }
    try {
      // Not `callBuffer`, which breaks a client with `enableAutoPipelining`.
      const client = this.client as unknown as Commands
      client[`${command}Buffer`](args, settle)
    } catch (error) {
      settle(error as Error, undefined)
    }
  }

  /** A connection must be up in the time of a command: ioredis waits for ever for the answers to its own greetings. */
  private greet(): void {
    if (this.isClosed) return
    clearTimeout(this.handshake)
    this.handshake = setTimeout(() => this.replace(timedOut), this.timeout)
    this.handshake.unref()
  }

  /**
   * Asks a new connection for a first answer. ioredis calls one ready that a
   * frozen server's kernel has accepted, and goes on in database 0 when its
   * SELECT is refused.
   */
  private probe(): void {
    const { db = 0 } = this.client.options
    this.issue(db === 0 ? "ping" : "select", db === 0 ? [] : [db], (failure) => {
      // That it cannot serve now, or does not permit a PING, is an answer too.
      const isAnswer = failure === undefined ||
        (db === 0 && (failure.reason === "Unavailable" || failure.cause?.code === "NOPERM"))
      if (isAnswer) {
        if (this.options.role === undefined) this.goUp()
        else this.examine(this.options.role)
      } else if (!this.isClosed) {
        // After a refused password everything is refused: what came first says more.
        this.replace(
          failure.cause?.code === "NOAUTH" && this.lastFailure?.reason === failure.reason ? this.lastFailure : failure
        )
      }
    })
  }

  /** Uses the connection if the server is what it must be. */
  private examine(role: "master" | "slave"): void {
    this.issue("role", [], (failure, reply) => {
      if (this.isClosed) return
      const found = failure === undefined ? String(reply[0]) : undefined
      if (found === role || failure?.cause?.code === "NOPERM") this.goUp()
      else this.replace(failure ?? { reason: "Unavailable", description: `the server is a ${found}, not a ${role}` })
    })
  }

  private goUp(): void {
    clearTimeout(this.handshake)
    this.isUp = true
    this.backOff?.reset()
    this.lastFailure = undefined
    this.silence.timeouts = 0
    this.notify(undefined)
  }

  private goDown(): void {
    if (!this.isUp) return
    this.isUp = false
    if (!this.isClosed) this.options.onDown?.()
  }

  private replace(failure: Failure): void {
    this.lastFailure = failure
    this.goDown()
    if (this.client.status === "ready" || this.client.status === "connect") this.client.disconnect(true)
    this.notify(failure)
  }

  private arm(ms: number): void {
    // The replies that came while the event loop was busy are read before anything is called late.
    this.timer = setTimeout(() => setImmediate(() => this.sweep()), ms)
    this.timer.unref()
  }

  private sweep(): void {
    if (this.isClosed) return
    this.timer = undefined
    const now = performance.now()
    const late: Array<Call> = []
    for (const call of this.calls) {
      if (call.deadline > now) {
        this.arm(call.deadline - now)
        break
      }
      this.calls.delete(call)
      late.push(call)
    }
    for (const call of late) {
      this.watch(now)
      call.done(timedOut, undefined)
    }
  }

  private watch(now: number): void {
    if (this.backOff === undefined || !this.isUp) return
    const bytesRead = this.client.stream?.bytesRead ?? 0
    if (this.silence.timeouts === 0 || this.silence.bytesRead !== bytesRead) {
      this.silence = { timeouts: 0, bytesRead, since: now }
    }
    this.silence.timeouts++
    // Commands sent together time out together: that is one sign, not many.
    if (this.silence.timeouts >= patience && now - this.silence.since >= this.timeout / 2) this.replace(timedOut)
  }
}
