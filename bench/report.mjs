// The tables, for the console and for docs/performance.md.
import { readFile } from "node:fs/promises"

const number = (n) => n < 10 ? n.toFixed(2) : n.toFixed(1)
const range = ({ max, min }) => `${number(min)}–${number(max)}`
const bare = (text) => text.replaceAll(/[*`]/g, "")
const unitOf = ({ base, unit }) =>
  `${unit === "cost" ? "Cost, less is better" : "Throughput, more is better"}; ${base} = 1`

export const onConsole = (table) => {
  const names = table.rows.map(({ name }) => bare(name))
  const width = Math.max(...names.map((name) => name.length))
  const lines = table.rows.map(({ note, ratio }, i) =>
    [
      " ",
      names[i].padEnd(width),
      number(ratio.median).padStart(7),
      `[${range(ratio)}]`.padEnd(14),
      note === undefined ? "" : `${table.noteTitle}: ${note}`
    ].join(" ").trimEnd()
  )
  const { headline } = table
  const last = headline === undefined
    ? []
    : [`  ${bare(headline.text)}: ${number(headline.ratio.median)} [${range(headline.ratio)}]`]
  return ["", `${table.title} (${bare(unitOf(table))})`, ...lines, ...last].join("\n")
}

const markdown = (table) => {
  const noted = table.noteTitle !== undefined
  const row = (...cells) => `| ${(noted ? cells : cells.slice(0, 3)).join(" | ")} |`
  const { headline } = table
  return [
    `## ${table.title}`,
    "",
    `${table.text} ${unitOf(table)}.`,
    "",
    row("", "ratio", "range", table.noteTitle),
    row("---", "---:", "---:", "---:"),
    ...table.rows.map(({ name, note, ratio }) => row(name, number(ratio.median), range(ratio), note ?? "")),
    ...(headline === undefined
      ? []
      : ["", `${headline.text}: **${number(headline.ratio.median)}** (${range(headline.ratio)}).`])
  ].join("\n")
}

const versionOf = async (path) => {
  const { name, version } = JSON.parse(await readFile(new URL(path, import.meta.url), "utf8"))
  return `${name} ${version}`
}

const versions = async () => {
  const root = ["effect", "@effect/platform", "@effect/platform-node", "ioredis"]
  const own = ["lru-cache", "bentocache"]
  const paths = [
    "../package.json",
    ...root.map((name) => `../node_modules/${name}/package.json`),
    ...own.map((name) => `node_modules/${name}/package.json`)
  ]
  return [...await Promise.all(paths.map(versionOf)), `Node.js ${process.versions.node}`].join(", ")
}

export const page = async (tables) =>
  `# Performance

<!-- Written by \`npm run bench\`. -->

All candidates of a table ran in one process, in slices of some milliseconds and in another order in each of 15 rounds,
after as many to warm up. A ratio is formed inside a round; a table has the median of the rounds and their range. Cost is
CPU time, but with one caller of Redis, where it is time.

The numbers are ratios measured side by side in one process: they move little from machine to machine, where times do not
mean much. What is ours is bold.

${tables.map(markdown).join("\n\n")}

## Versions

${await versions()}.
`
