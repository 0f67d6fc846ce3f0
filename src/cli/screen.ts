/**
 * What is printed, and what is asked. Answers go to standard output, all else to
 * standard error.
 */
import * as Effect from "effect/Effect"
import { createInterface } from "node:readline"
import { Progress } from "../internal/inspection.js"
import { ReaderGone } from "./exit.js"
import { count, visible } from "./render.js"

const write = (stream: NodeJS.WriteStream, text: string | Uint8Array): Effect.Effect<void, ReaderGone> =>
  Effect.async((resume) => {
    stream.write(text, (error) => resume(error ? Effect.fail(new ReaderGone()) : Effect.void))
  })

/** A reader that goes away is told of by the write that fails, and not by a crash. */
export const guardStreams = (): void => {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})
}

export const print = (text: string): Effect.Effect<void, ReaderGone> => write(process.stdout, `${text}\n`)

export const printBytes = (value: Uint8Array): Effect.Effect<void, ReaderGone> => write(process.stdout, value)

export const printJson = (value: unknown): Effect.Effect<void, ReaderGone> => print(JSON.stringify(value))

/** One of the two. */
export const answer = (isJson: boolean, json: () => unknown, text: () => string): Effect.Effect<void, ReaderGone> =>
  Effect.suspend(() => isJson ? printJson(json()) : print(text()))

export const note = (text: string): Effect.Effect<void> =>
  Effect.ignore(write(process.stderr, `effect-caching: ${visible(text)}\n`))

export const isTerminal = (): boolean => process.stdout.isTTY === true

/** Whether there is somebody to ask. */
export const canAsk = (): boolean => process.stdin.isTTY === true && process.stderr.isTTY === true

/** A question that is answered with yes or, by anything else, with no. */
export const confirm = (question: string): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const lines = createInterface({ input: process.stdin, output: process.stderr })
    let isYes = false
    // In a terminal that edits lines, it is not a signal that arrives.
    lines.on("SIGINT", () => {
      process.stderr.write("\n")
      process.kill(process.pid, "SIGINT")
    })
    lines.on("close", () => resume(Effect.succeed(isYes)))
    lines.question(`${visible(question)} [y/N] `, (given) => {
      isYes = /^\s*(y|yes)\s*$/i.test(given)
      lines.close()
    })
    return Effect.sync(() => lines.close())
  })

const between = 100

/** Shows on a terminal how many keys the effect has dealt with, while it runs. */
export const withProgress = (label: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  process.stderr.isTTY !== true ? self : Effect.suspend(() => {
    let total = 0
    let shownAt = performance.now()
    let isShown = false
    const report = (more: number) => {
      total += more
      if (performance.now() - shownAt < between) return
      shownAt = performance.now()
      isShown = true
      process.stderr.write(`\r\x1b[2K${label} ${count(total)}`)
    }
    return Effect.ensuring(
      Effect.provideService(self, Progress, report),
      Effect.sync(() => void (isShown && process.stderr.write("\r\x1b[2K")))
    )
  })
