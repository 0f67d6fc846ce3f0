// Which module of src/ may import which. The rules are the table below; everything not named in it is an error.
//
//   files      the modules the rule is for (the first rule that matches counts)
//   may        what they may import
//   mayType    what they may `import type`
//   mayLoad    what they may load with `import()`
//   packages   packages besides `effect` and `@effect/platform`
//   clients    how many of those packages one file may use
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"

const rules = [
  // Cache's own rooms: what a cached call does.
  {
    files: /^internal\/cache\//,
    may: [/^internal\//, /^Backend$/],
    mayType: [/^Cache$/, /^Codec$/]
  },
  // Memoize's own rooms: a cached stream is followed while it is a flight.
  {
    files: /^internal\/memoize\//,
    may: [/^internal\/(?!httpCache\/)/, /^Backend$/, /^Cache$/]
  },
  // HttpCache's own rooms: what a cached request does. The rules of HTTP are in internal/http.
  {
    files: /^internal\/httpCache\//,
    may: [/^internal\/(?!cache\/)/, /^internal\/cache\/(early|here)$/, /^Cache$/, /^Codec$/],
    mayType: [/^Backend$/, /^HttpCache$/],
    packages: [/^node:/]
  },
  // CacheConfig's own rooms: they load a backend where it is chosen.
  { files: /^internal\/config\//, may: [/^internal\/config\//, /^Backend$/], mayLoad: [/^backends\//] },
  { files: /^internal\/tiered\//, may: [/^internal\//, /^Backend$/, /^InvalidationBus$/], packages: [/^node:/] },
  // The backends' own rooms, each with its one client.
  { files: /^internal\/redis\//, may: [/^internal\//, /^Backend$/], packages: [/^node:/, /^ioredis$/] },
  { files: /^internal\/memcached\//, may: [/^internal\//, /^Backend$/], packages: [/^node:/, /^memjs$/] },
  { files: /^internal\/(fileSystem|keyValueStore|uwsgi)\//, may: [/^internal\//, /^Backend$/], packages: [/^node:/] },
  { files: /^internal\//, may: [/^internal\/(?!cache\/|httpCache\/)/], mayType: [/^Backend$/], packages: [/^node:/] },
  { files: /^Codec$/, may: [/^internal\//], packages: [/^node:/] },
  { files: /^Backend$/, may: [/^internal\//] },
  { files: /^Cache$/, may: [/^Backend$/, /^Codec$/, /^internal\//] },
  // A dialect over Fragment. The environment is given to it: it imports nothing of nunjucks.
  { files: /^Nunjucks$/, may: [/^Fragment$/], mayType: [/^Backend$/], packages: [/^node:/] },
  { files: /^(HttpCache|Fragment|Memoize)$/, may: [/^Cache$/, /^Codec$/, /^internal\//], mayType: [/^Backend$/] },
  {
    files: /^Interop$/,
    may: [/^Backend$/, /^internal\/(?!cache\/|httpCache\/)/],
    packages: [/^@effect\/experimental$/]
  },
  { files: /^CacheConfig$/, may: [/^Backend$/, /^internal\/config\//], mayLoad: [/^backends\//] },
  {
    files: /^CacheEvents$/,
    may: [/^Backend$/, /^internal\/(?!cache\/|httpCache\/)/],
    mayType: [/^InvalidationBus$/]
  },
  { files: /^InvalidationBus$/, may: [/^internal\/(?!cache\/|httpCache\/)/], mayType: [/^Backend$/] },
  {
    files: /^backends\//,
    may: [/^Backend$/, /^CacheEvents$/, /^InvalidationBus$/, /^internal\//],
    packages: [/^node:/, /./],
    clients: 1
  },
  // The command line tool. What starts it says what to install where a package is missing, and so loads the rest.
  { files: /^cli\/main$/, may: [], mayLoad: [/^cli\/app$/], packages: [/^node:/] },
  {
    files: /^cli\//,
    may: [
      /^cli\//,
      /^(Backend|Cache|CacheConfig|CacheEvents)$/,
      /^backends\/RedisBus$/,
      /^internal\/(?!cache\/|httpCache\/)/
    ],
    packages: [/^node:/, /^@effect\/(cli|platform-node)$/]
  },
  {
    files: /^testing\//,
    may: [/^Backend$/, /^Cache$/, /^Codec$/, /^Memoize$/, /^testing\//, /^internal\//],
    packages: [/^node:/]
  },
  { files: /^index$/, may: [/^[A-Z]\w*$/, /^backends\//] }
]

/** Importing these runs or needs what every user of the barrel would then have to install. */
const optionalPeers = Object.keys(JSON.parse(readFileSync("package.json", "utf8")).peerDependenciesMeta)

/** Packages whose root module is a barrel: import `effect/Effect`, not `effect`. */
const barrels = ["effect", "@effect/platform"]

const src = resolve("src")
const matches = (patterns, name) => (patterns ?? []).some((pattern) => pattern.test(name))
const packageOf = (specifier) => specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")

/** The imports of a file formatted by dprint: statements start a line, and so cannot be in a comment or a string. */
const importsOf = (text) => {
  const found = []
  const add = (kind, match) =>
    found.push({ kind, specifier: match.at(-1), line: text.slice(0, match.index).split("\n").length })
  const statement =
    /^(?:import|export)\s+(type\s+)?(?:(?:[\w$]+|(?:[\w$]+\s*,\s*)?(?:\{[^}]*\}|\*(?:\s+as\s+[\w$]+)?))\s+from\s+)?"([^"]+)"/gm
  for (const match of text.matchAll(statement)) add(match[1] === undefined ? "value" : "type", match)
  for (const match of text.matchAll(/^(?!\s*(?:\*|\/[/*])).*?\bimport\(\s*"([^"]+)"/gm)) {
    add(/\btypeof\s+import\(/.test(match[0]) || /[:<|&]\s*import\(/.test(match[0]) ? "type" : "load", match)
  }
  return found
}

const modules = new Map()
for (const path of readdirSync(src, { recursive: true }).filter((path) => path.endsWith(".ts")).toSorted()) {
  modules.set(path.slice(0, -".ts".length), importsOf(readFileSync(join(src, path), "utf8")))
}

const errors = []
const fail = (name, line, message) => errors.push(`src/${name}.ts:${line} ${message}`)
const target = (name, specifier) =>
  relative(src, resolve(src, dirname(name), specifier)).replace(/\.js$/, "").replaceAll("\\", "/")

for (const [name, imports] of modules) {
  const rule = rules.find((rule) => rule.files.test(name))
  if (rule === undefined) {
    fail(name, 1, "has no rule in scripts/check-imports.mjs")
    continue
  }
  const clients = new Set()
  for (const { kind, line, specifier } of imports) {
    if (specifier.startsWith(".")) {
      const to = target(name, specifier)
      const allowed = matches(rule.may, to) ||
        (kind === "type" && matches(rule.mayType, to)) ||
        (kind === "load" && matches(rule.mayLoad, to))
      if (!allowed) {
        const only = matches(rule.mayType, to)
          ? " except as type"
          : matches(rule.mayLoad, to)
          ? " except by import()"
          : ""
        fail(name, line, `must not import ${to}${only}`)
      } else if (!specifier.endsWith(".js")) fail(name, line, `must end the import of "${specifier}" in .js`)
      else if (!modules.has(to)) fail(name, line, `imports ${to}, which does not exist`)
      continue
    }
    const from = packageOf(specifier)
    if (barrels.includes(specifier)) fail(name, line, `must import a module of ${specifier}, not the barrel`)
    else if (!barrels.includes(from)) {
      if (!matches(rule.packages, from)) fail(name, line, `must not import the package ${from}`)
      if (!from.startsWith("node:")) clients.add(from)
    }
  }
  if (rule.clients !== undefined && clients.size > rule.clients) {
    fail(name, 1, `uses ${clients.size} clients (${[...clients].join(", ")}), at most ${rule.clients}`)
  }
}

// What the barrel reaches without import(), as values or as types, must do without the optional peers.
const reached = new Map([["index", "index"]])
for (const [name, path] of reached) {
  for (const { kind, line, specifier } of modules.get(name) ?? []) {
    if (kind === "load") continue
    if (optionalPeers.includes(packageOf(specifier))) {
      fail(name, line, `needs the optional peer ${packageOf(specifier)}, and index reaches it: ${path}`)
    }
    const to = specifier.startsWith(".") ? target(name, specifier) : undefined
    if (to !== undefined && !reached.has(to)) reached.set(to, `${path} > ${to}`)
  }
}

if (errors.length > 0) {
  console.error(errors.join("\n"))
  process.exit(1)
}
console.log(`imports of ${modules.size} modules follow the rules`)
