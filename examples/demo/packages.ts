/**
 * Questions about the packages installed beside this project, answered from their files.
 *
 * Functions that read the disk are memoized for each package, under the tags `package:<name>` and `disk`. Questions
 * about all packages are memoized over them and name no tag: they depend on what they read. So when one package is
 * invalidated only its files are read again.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import type { CacheBackend } from "effect-caching/Backend"
import * as Memoize from "effect-caching/Memoize"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { fileURLToPath } from "node:url"

/** The folder that is asked about. */
export const root = fileURLToPath(new URL("../../../node_modules", import.meta.url))

/** What depends on any file. */
export const diskTag = "disk"

export const tagOf = (name: string): string => `package:${name}`

/** No grace: a page may be served stale, and what it is made of then must not be. */
const policy = { timeToLive: "10 minutes" } as const

/** What an answer from the files may need and fail with. */
export type Answer<A> = Effect.Effect<A, PlatformError, CacheBackend | FileSystem.FileSystem>

// -----------------------------------------------------------------------------
// which packages there are
// -----------------------------------------------------------------------------

const Installed = Schema.Struct({
  /** Its folder below `root`; a package installed for one other only is in the folder of that. */
  at: Schema.String,
  name: Schema.String,
  version: Schema.String,
  licence: Schema.String,
  description: Schema.String,
  /** The names of what it needs at run time, or can use. */
  needs: Schema.Array(Schema.String)
})

export type Installed = typeof Installed.Type

const Names = Schema.optionalWith(Schema.Record({ key: Schema.String, value: Schema.Unknown }), { default: () => ({}) })

const Manifest = Schema.parseJson(Schema.Struct({
  version: Schema.optionalWith(Schema.String, { default: () => "0.0.0" }),
  description: Schema.optionalWith(Schema.String, { default: () => "" }),
  license: Schema.optional(Schema.Unknown),
  licenses: Schema.optional(Schema.Unknown),
  dependencies: Names,
  optionalDependencies: Names
}))

const decodeManifest = Schema.decodeOption(Manifest)

/** `"MIT"`, and the forms of old: `{ type: "MIT" }` and `[{ type: "MIT" }]`. */
const licenceOf = (given: unknown): string =>
  typeof given === "string"
    ? given
    : Array.isArray(given)
    ? given.map(licenceOf).join(" OR ")
    : typeof given === "object" && given !== null && "type" in given
    ? String(given.type)
    : "none given"

const nameOf = (at: string): string => at.replace(/^.*\/node_modules\//, "")

const entries = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readDirectory(path)).pipe(
    Effect.orElseSucceed((): Array<string> => []),
    Effect.map((names) => names.filter((name) => !name.startsWith(".")))
  )

/** The packages in a folder of packages, and those in the folders of packages that they have themselves. */
const packagesIn = (folder: string): Effect.Effect<ReadonlyArray<Installed>, PlatformError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const names = yield* entries(`${root}/${folder}`)
    const scoped = yield* Effect.forEach(
      names,
      (name) =>
        name.startsWith("@")
          ? Effect.map(entries(`${root}/${folder}${name}`), (inner) => inner.map((_) => `${name}/${_}`))
          : Effect.succeed([name]),
      { concurrency: 16 }
    )
    const found = yield* Effect.forEach(scoped.flat(), (name) =>
      Effect.gen(function*() {
        const at = folder + name
        const text = yield* Effect.option(fs.readFileString(`${root}/${at}/package.json`))
        const manifest = Option.flatMap(text, decodeManifest)
        if (manifest._tag === "None") return []
        const { dependencies, description, license, licenses, optionalDependencies, version } = manifest.value
        const own: Installed = {
          at,
          name,
          version,
          description,
          licence: licenceOf(license ?? licenses),
          needs: Object.keys({ ...dependencies, ...optionalDependencies })
        }
        return [own, ...(yield* packagesIn(`${at}/node_modules/`))]
      }), { concurrency: 16 })
    return found.flat()
  })

/** Every installed package. */
export const installed = Memoize.wrap(() => packagesIn(""), {
  name: "installed",
  schema: Schema.Array(Installed),
  tags: (packages) => [diskTag, ...packages.map((_) => tagOf(_.name))],
  ...policy
})

// -----------------------------------------------------------------------------
// what is in one package
// -----------------------------------------------------------------------------

const ofPackage = (_: unknown, [at]: readonly [at: string]) => [diskTag, tagOf(nameOf(at))]

/** Its own files, without those of packages inside it: their paths below the package and their sizes. */
const filesOf = (at: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const paths = yield* fs.readDirectory(`${root}/${at}`, { recursive: true })
    const own = paths.filter((path) => !/(^|[\\/])node_modules([\\/]|$)/.test(path))
    const found = yield* Effect.forEach(
      own,
      (path) => Effect.map(fs.stat(`${root}/${at}/${path}`), ({ size, type }) => ({ path, bytes: Number(size), type })),
      { concurrency: 16 }
    )
    return found.filter((_) => _.type === "File").map(({ bytes, path }) => ({ path, bytes }))
  })

const File = Schema.Struct({ path: Schema.String, bytes: Schema.Number })

/** The files of a package and how large they are: a look at each. */
export const files = Memoize.wrap(filesOf, {
  name: "files",
  schema: Schema.Array(File),
  tags: ofPackage,
  ...policy
})

/** What a file is written in, by the end of its name. */
const kinds: ReadonlyArray<readonly [kind: string, end: RegExp]> = [
  ["Type declarations", /\.d\.[cm]?ts$/],
  ["TypeScript", /\.[cm]?tsx?$/],
  ["JavaScript", /\.[cm]?jsx?$/],
  ["JSON", /\.json$/],
  ["Markdown", /\.(md|markdown)$/i],
  ["Styles and markup", /\.(css|html?|svg)$/],
  ["C and C++", /\.(c|cc|cpp|h|hh|hpp)$/],
  ["Shell and build", /\.(sh|ya?ml|gyp|gypi|mk|lua)$/]
]

const kindOf = (path: string): string | undefined => kinds.find(([, end]) => end.test(path))?.[0]

const Lines = Schema.Struct({ kind: Schema.String, files: Schema.Number, lines: Schema.Number, blank: Schema.Number })

const linesIn = (bytes: Uint8Array) => {
  let lines = 0
  let blank = 0
  let isBlank = true
  for (const byte of bytes) {
    if (byte === 10) {
      lines++
      if (isBlank) blank++
      isBlank = true
    } else if (byte > 32) isBlank = false
  }
  return { lines: isBlank ? lines : lines + 1, blank }
}

/** The lines of a package by what they are written in: reads every text file. */
export const lines = Memoize.wrap((at: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const sums = new Map<string, { kind: string; files: number; lines: number; blank: number }>()
    yield* Effect.forEach(yield* files(at), ({ path }) => {
      const kind = kindOf(path)
      if (kind === undefined) return Effect.void
      return Effect.map(fs.readFile(`${root}/${at}/${path}`), (bytes) => {
        const found = linesIn(bytes)
        const sum = sums.get(kind) ?? { kind, files: 0, lines: 0, blank: 0 }
        sums.set(kind, { kind, files: sum.files + 1, lines: sum.lines + found.lines, blank: sum.blank + found.blank })
      })
    }, { concurrency: 8, discard: true })
    return [...sums.values()]
  }), { name: "lines", schema: Schema.Array(Lines), tags: ofPackage, ...policy })

const Digest = Schema.Struct({ path: Schema.String, bytes: Schema.Number, digest: Schema.String })

/** The digests of the files of a package: reads every byte. */
export const digests = Memoize.wrap((at: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return yield* Effect.forEach(yield* files(at), ({ bytes, path }) =>
      Effect.map(fs.readFile(`${root}/${at}/${path}`), (content) => ({
        path,
        bytes,
        digest: createHash("sha256").update(content).digest("base64url").slice(0, 22)
      })), { concurrency: 8 })
  }), { name: "digests", schema: Schema.Array(Digest), tags: ofPackage, ...policy })

// -----------------------------------------------------------------------------
// questions about all of them
// -----------------------------------------------------------------------------

const ofEach = <A>(f: (at: string) => Answer<A>) =>
  Effect.flatMap(
    installed(),
    (packages) =>
      Effect.forEach(packages, (_) => Effect.map(f(_.at), (answer) => [_, answer] as const), { concurrency: 4 })
  )

/** Asks for every package anew, whatever is cached. */
export const again = <A>(question: { readonly refresh: (at: string) => Answer<A> }): Answer<void> =>
  Effect.flatMap(
    installed.refresh(),
    (packages) => Effect.forEach(packages, (_) => question.refresh(_.at), { concurrency: 4, discard: true })
  )

const Surveyed = Schema.Struct({
  ...Installed.fields,
  files: Schema.Number,
  bytes: Schema.Number,
  /** Where the packages it needs are, as Node finds them. */
  uses: Schema.Array(Schema.String),
  /** Where the packages are that need it. */
  usedBy: Schema.Array(Schema.String),
  /** Of everything it brings in, itself included: the number of packages and their bytes. */
  reach: Schema.Struct({ packages: Schema.Number, bytes: Schema.Number })
})

export type Surveyed = typeof Surveyed.Type

/** Where Node finds `name` from the package at `at`: in its own folder of packages, or the nearest one further up. */
const resolve = (places: ReadonlySet<string>, at: string, name: string): string | undefined => {
  for (let from = at; from !== ""; from = from.slice(0, Math.max(0, from.lastIndexOf("/node_modules/")))) {
    const place = `${from}/node_modules/${name}`
    if (places.has(place)) return place
  }
  return places.has(name) ? name : undefined
}

/** Every package with its size, and the graph of who needs whom. */
export const survey = Memoize.wrap(() =>
  Effect.gen(function*() {
    const measured = yield* ofEach(files)
    const places = new Set(measured.map(([{ at }]) => at))
    const weight = new Map(measured.map(([{ at }, files]) => [at, files.reduce((sum, _) => sum + _.bytes, 0)]))
    const uses = new Map(
      measured.map(([{ at, needs }]) => [at, needs.flatMap((name) => resolve(places, at, name) ?? [])])
    )
    const usedBy = new Map<string, Array<string>>()
    for (const [at, used] of uses) for (const other of used) usedBy.set(other, [...(usedBy.get(other) ?? []), at])
    const reachOf = (at: string) => {
      const seen = new Set([at])
      for (const place of seen) for (const next of uses.get(place) ?? []) seen.add(next)
      return { packages: seen.size, bytes: [...seen].reduce((sum, place) => sum + (weight.get(place) ?? 0), 0) }
    }
    return measured.map(([found, files]): Surveyed => ({
      ...found,
      files: files.length,
      bytes: weight.get(found.at) ?? 0,
      uses: uses.get(found.at) ?? [],
      usedBy: usedBy.get(found.at) ?? [],
      reach: reachOf(found.at)
    }))
  }), { name: "survey", schema: Schema.Array(Surveyed), ...policy })

const Copies = Schema.Struct({
  digest: Schema.String,
  bytes: Schema.Number,
  /** Paths below `root`. */
  paths: Schema.Array(Schema.String)
})

const Duplicates = Schema.Struct({
  hashed: Schema.Struct({ files: Schema.Number, bytes: Schema.Number }),
  groups: Schema.Number,
  /** What deleting all copies but one would free. */
  wasted: Schema.Number,
  /** Those that waste most. */
  worst: Schema.Array(Copies)
})

/** Files of at least `minBytes` that are there more than once, told by their content. */
export const duplicates = Memoize.wrap((minBytes: number) =>
  Effect.gen(function*() {
    const byDigest = new Map<string, { digest: string; bytes: number; paths: Array<string> }>()
    const hashed = { files: 0, bytes: 0 }
    for (const [{ at }, found] of yield* ofEach(digests)) {
      for (const { bytes, digest, path } of found) {
        hashed.files++
        hashed.bytes += bytes
        if (bytes < minBytes || bytes === 0) continue
        const group = byDigest.get(digest)
        if (group === undefined) byDigest.set(digest, { digest, bytes, paths: [`${at}/${path}`] })
        else group.paths.push(`${at}/${path}`)
      }
    }
    const waste = (_: typeof Copies.Type) => _.bytes * (_.paths.length - 1)
    const groups = [...byDigest.values()].filter((_) => _.paths.length > 1).sort((a, b) => waste(b) - waste(a))
    return {
      hashed,
      groups: groups.length,
      wasted: groups.reduce((sum, _) => sum + waste(_), 0),
      worst: groups.slice(0, 25)
    }
  }), { name: "duplicates", schema: Duplicates, ...policy })

const Code = Schema.Struct({
  kinds: Schema.Array(Lines),
  packages: Schema.Array(Schema.Struct({ at: Schema.String, lines: Schema.Number }))
})

/** How many lines there are, by what they are written in, and where most of them are. */
export const code = Memoize.wrap(() =>
  Effect.gen(function*() {
    const sums = new Map<string, typeof Lines.Type>()
    const packages: Array<{ at: string; lines: number }> = []
    for (const [{ at }, found] of yield* ofEach(lines)) {
      packages.push({ at, lines: found.reduce((sum, _) => sum + _.lines, 0) })
      for (const _ of found) {
        const sum = sums.get(_.kind) ?? { kind: _.kind, files: 0, lines: 0, blank: 0 }
        sums.set(_.kind, {
          kind: _.kind,
          files: sum.files + _.files,
          lines: sum.lines + _.lines,
          blank: sum.blank + _.blank
        })
      }
    }
    return {
      kinds: [...sums.values()].sort((a, b) => b.lines - a.lines),
      packages: packages.sort((a, b) => b.lines - a.lines).slice(0, 15)
    }
  }), { name: "code", schema: Code, ...policy })

/** The largest files, of all or of one ending. */
export const largest = Memoize.wrap(
  (ending: string, count: number) =>
    Effect.map(
      ofEach(files),
      (all) =>
        all.flatMap(([{ at }, found]) =>
          found.filter((_) => _.path.endsWith(ending)).map(({ bytes, path }) => ({ at, path, bytes }))
        ).sort((a, b) => b.bytes - a.bytes).slice(0, count)
    ),
  {
    name: "largest",
    schema: Schema.Array(Schema.Struct({ at: Schema.String, ...File.fields })),
    ...policy
  }
)

/** Packages that are there in more than one version. */
export const versions = Memoize.wrap(() =>
  Effect.map(installed(), (packages) => {
    const byName = new Map<string, Array<Installed>>()
    for (const _ of packages) byName.set(_.name, [...(byName.get(_.name) ?? []), _])
    return [...byName]
      .filter(([, all]) => new Set(all.map((_) => _.version)).size > 1)
      .map(([name, all]) => ({ name, copies: all.map(({ at, version }) => ({ at, version })) }))
  }), {
  name: "versions",
  schema: Schema.Array(Schema.Struct({
    name: Schema.String,
    copies: Schema.Array(Schema.Struct({ at: Schema.String, version: Schema.String }))
  })),
  ...policy
})
