/**
 * The commands together, and how the program runs and ends.
 */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { readFileSync } from "node:fs"
import { stripVTControlCharacters } from "node:util"
import * as Entry from "./commands/entry.js"
import * as Invalidation from "./commands/invalidation.js"
import * as Stats from "./commands/stats.js"
import * as Watch from "./commands/watch.js"
import { codes, endOf } from "./exit.js"
import { withoutCredentials } from "./render.js"
import { guardStreams } from "./screen.js"

const root = Command.make("effect-caching").pipe(
  Command.withDescription("Looks into the stores of effect-caching, and invalidates what is in them"),
  Command.withSubcommands([...Stats.commands, ...Entry.commands, ...Invalidation.commands, ...Watch.commands])
)

const version = (): string => JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version

const exitCodes = HelpDoc.p(
  "Exit codes: 0 done, 1 no such entry or the answer is no, 2 wrong usage or configuration, 3 the store cannot be reached or failed, 4 a package is missing, 130 interrupted."
)

/** What the parser prints may repeat what was typed, and with it a password; and it has colours for a terminal. */
const discreet: Effect.Effect<Console.Console> = Effect.map(Console.consoleWith(Effect.succeed), (console) => {
  const shown = (stream: NodeJS.WriteStream) => (text: unknown): unknown => {
    if (typeof text !== "string") return text
    return withoutCredentials(stream.isTTY === true ? text : stripVTControlCharacters(text))
  }
  return {
    ...console,
    log: (...texts) => console.log(...texts.map(shown(process.stdout))),
    error: (...texts) => console.error(...texts.map(shown(process.stderr)))
  }
})

/** The parser would take the argument after a flag for the flag's value where it reads like yes or no: `--json 1`. */
const withWholeFlags = (argv: ReadonlyArray<string>): ReadonlyArray<string> => {
  const end = argv.indexOf("--")
  const isFlag = (word: string) => /^--(json|raw|soft|yes|all)$/.test(word)
  return argv.map((word, at) => (end < 0 || at < end) && isFlag(word) ? `${word}=true` : word)
}

/** Runs the command line, as Node has it, and ends the process. */
export const run = (argv: ReadonlyArray<string>): void => {
  guardStreams()
  const main = Command.run(root, {
    name: "effect-caching",
    version: version(),
    executable: "effect-caching",
    footer: exitCodes
  })
  // Without a command there is nothing to do but to say which there are.
  const args = argv.length > 2 ? withWholeFlags(argv) : [...argv, "--help"]
  Effect.flatMap(discreet, (console) => Effect.withConsole(main(args), console)).pipe(
    Effect.provide(Layer.mergeAll(
      NodeContext.layer,
      CliConfig.layer({ showBuiltIns: false }),
      Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))
    )),
    NodeRuntime.runMain({
      disableErrorReporting: true,
      disablePrettyLogger: true,
      teardown: (exit, onExit) => {
        const { code, lines } = endOf(exit)
        for (const line of lines) process.stderr.write(`effect-caching: ${line}\n`)
        process.exitCode = argv.length > 2 ? code : codes.usage
        onExit(process.exitCode)
      }
    })
  )
}
