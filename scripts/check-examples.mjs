// Type-checks every ```ts block of README.md, docs/**/*.md and the doc comments of src/, each as a module of its own.
// A block keeps its line and column, so that an error is reported where it is written. ```ts skip is left out, and listed.
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const out = ".examples"

const filesUnder = (folder, end) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true })
      .filter((path) => path.endsWith(end))
      .map((path) => `${folder}/${path.replaceAll("\\", "/")}`)
      .toSorted()
    : []

/** The blocks of a file's lines: `{ line, info, code }`, where everything outside the block is blank. */
const blocksOf = (lines) => {
  const blocks = []
  let open
  lines.forEach((line, index) => {
    if (open === undefined) {
      const fence = /^\s*```(?:ts|typescript)\b(.*)$/.exec(line)
      if (fence !== null) {
        open = {
          line: index + 1,
          info: fence[1].trim(),
          code: lines.slice(0, index + 1).map(() => "")
        }
      }
    } else if (/^\s*```\s*$/.test(line)) {
      blocks.push(open)
      open = undefined
    } else open.code.push(line)
  })
  if (open !== undefined) throw new Error(`the block opened in line ${open.line} is not closed`)
  return blocks
}

/** The text of doc comments, with the ` * ` before it made blank; other lines are blank. */
const commentLines = (text) => {
  let inside = false
  return text.split("\n").map((line) => {
    if (!inside && /^\s*\/\*\*/.test(line)) inside = true
    const content = inside ? line.replace(/^\s*(?:\/\*\*|\*(?!\/)) ?/, (prefix) => " ".repeat(prefix.length)) : ""
    if (inside && line.includes("*/")) {
      inside = false
      return ""
    }
    return content
  })
}

const sources = [
  ...["README.md"].filter(existsSync),
  ...filesUnder("docs", ".md"),
  ...filesUnder("src", ".ts")
]

rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })
const origins = new Map()
const skipped = []
for (const path of sources) {
  const text = readFileSync(path, "utf8")
  let blocks
  try {
    blocks = blocksOf(path.endsWith(".md") ? text.split("\n") : commentLines(text))
  } catch (error) {
    console.error(`${path}: ${error.message}`)
    process.exit(1)
  }
  for (const { code, info, line } of blocks) {
    if (/\bskip\b/.test(info)) {
      skipped.push(`${path}:${line}`)
      continue
    }
    const name = `${path.replace(/\.(md|ts)$/, "").replaceAll("/", "-")}-${line}.ts`
    origins.set(name, path)
    writeFileSync(join(out, name), code.join("\n") + "\n")
  }
}

for (const place of skipped) console.log(`skipped ${place}`)
if (origins.size === 0) {
  console.log("no examples found")
  process.exit(0)
}

writeFileSync(
  join(out, "tsconfig.json"),
  JSON.stringify({
    extends: "../tsconfig.json",
    compilerOptions: { noUnusedLocals: false, declaration: false, declarationMap: false },
    include: ["*.ts"],
    exclude: []
  })
)
const tsc = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", out, "--pretty", "false"], {
  encoding: "utf8"
})
const report = (tsc.stdout + tsc.stderr).replace(
  /^\.examples\/([^(]+)\((\d+),(\d+)\):/gm,
  (all, name, line, column) => origins.has(name) ? `${origins.get(name)}:${line}:${column}` : all
)
if (tsc.status !== 0) console.error(report.trimEnd())
console.log(`${origins.size} examples checked, ${skipped.length} skipped`)
process.exit(tsc.status === 0 ? 0 : 1)
