// `npm run bench`: every group in a process of its own, then the tables on the console and in docs/performance.md.
// `npm run bench -- -- --quick` is a smoke run, and with names of groups only these are measured; neither writes the page.
import { fork } from "node:child_process"
import { mkdir, writeFile } from "node:fs/promises"
import { parseArgs } from "node:util"
import { onConsole, page } from "./report.mjs"
import { measure } from "./runner.mjs"

const all = ["hit", "stampede", "keys", "redis", "http"]
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean" }, group: { type: "string" } }
})
const share = values.quick ? 0.1 : 1

/** In the process of a group: its tables. */
const runGroup = async (name) => {
  const { default: make } = await import(`./groups/${name}.mjs`)
  const { end, groups } = await make()
  const tables = []
  for (const group of groups) {
    const { base, noteTitle, text, title, unit } = group
    const measured = await measure(group, share)
    const last = tables.at(-1)
    // Of one title: the same question about other things, each against its own base.
    if (last?.title === title) last.rows.push(...measured.rows.filter(({ name }) => name !== base))
    else tables.push({ base, noteTitle, text, title, unit, ...measured })
  }
  await end?.()
  process.send(tables, () => process.exit())
}

/** In the first process: a process for the group. */
const tablesOf = (name) =>
  new Promise((resolve, reject) => {
    const child = fork(new URL(import.meta.url), [`--group=${name}`, ...(values.quick ? ["--quick"] : [])])
    let tables
    child.on("message", (message) => tables = message)
    child.on("exit", (code) => tables ? resolve(tables) : reject(new Error(`${name} ended with ${code}`)))
  })

if (values.group) await runGroup(values.group)
else {
  const tables = []
  for (const name of positionals.length > 0 ? positionals : all) {
    const made = await tablesOf(name)
    for (const table of made) console.log(onConsole(table))
    tables.push(...made)
  }
  if (!values.quick && positionals.length === 0) {
    await mkdir(new URL("../docs/", import.meta.url), { recursive: true })
    await writeFile(new URL("../docs/performance.md", import.meta.url), await page(tables))
  }
}
