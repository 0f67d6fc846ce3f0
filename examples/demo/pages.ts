/** The pages: questions to `packages.ts`, shown. Parts that cost something to show are fragments. */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Fragment from "effect-caching/Fragment"
import * as Effect from "effect/Effect"
import { count, counted, type Html, html, link, share, size, treemap } from "./html.js"
import { action, layout } from "./layout.js"
import * as Packages from "./packages.js"

/** What the page at a path depends on besides the files, and what the fragments in it do. */
export const pageTag = (path: string): string => `page:${path}`
export const partsTag = (path: string): string => `parts:${path}`

const query = Effect.map(
  HttpServerRequest.HttpServerRequest,
  (request) => new URL(request.originalUrl, "http://localhost").searchParams
)

const page = <E, R>(title: string, path: string, content: Effect.Effect<Html, E, R>) => {
  const [before, after] = layout(title, path)
  return HttpServerResponse.html`${before}${Effect.map(content, (_) => _.text)}${after}`
}

/** A part of the page at a path, cached by itself: as long as the answers in it hold. */
const fragment = <E, R>(path: string, name: string, content: Effect.Effect<Html, E, R>, vary?: unknown) =>
  Effect.map(content, (_) => _.text).pipe(
    Fragment.cached({ name, vary, timeToLive: "10 minutes", tags: [partsTag(path)] }),
    Effect.map((text) => html([text] as unknown as TemplateStringsArray))
  )

const packageLink = (at: string): string => link("/package", { at })

const meter = (part: number, whole: number): Html =>
  html`<div class="meter"><i style="width:${(100 * part / (whole || 1)).toFixed(2)}%"></i></div>`

const tile = (label: string, value: string): Html => html`<div><span>${label}</span><b>${value}</b></div>`

const sum = <A>(items: ReadonlyArray<A>, of: (item: A) => number): number =>
  items.reduce((total, item) => total + of(item), 0)

/** Colours that tell apart on light and dark, white text on them readable. */
const palette = ["#4a63b8", "#2c7a76", "#7d5ba6", "#a05d3c", "#467aa3", "#9a4f70", "#6c7a3c", "#8b7030", "#66717f"]

const colours = (names: ReadonlyArray<string>): (name: string) => string => {
  const known = [...new Set(names)]
  return (name) => palette[known.indexOf(name)] ?? palette.at(-1)!
}

// -----------------------------------------------------------------------------
// overview
// -----------------------------------------------------------------------------

const tiles = Effect.gen(function*() {
  const all = yield* Packages.survey()
  const several = yield* Packages.versions()
  return html`<div class="tiles">${[
    tile("Packages", count(all.length)),
    tile("Files", count(sum(all, (_) => _.files))),
    tile("On disk", size(sum(all, (_) => _.bytes))),
    tile("Licences", count(new Set(all.map((_) => _.licence)).size)),
    tile("In several versions", count(several.length))
  ]}</div>`
})

/** The scope of a name, of which there is a colour for each; packages without one share the last colour. */
const scopeOf = (name: string): string => name.startsWith("@") ? name.slice(0, name.indexOf("/")) : ""

/** The text, cut where it would leave the width. */
const fitted = (text: string, width: number): string => {
  const room = Math.floor((width - 14) / 7)
  return text.length <= room ? text : room < 5 ? "" : `${text.slice(0, room - 1)}…`
}

const map = Effect.map(Packages.survey(), (all) => {
  const bytesOf = (scope: string) => sum(all.filter((_) => scopeOf(_.name) === scope), (_) => _.bytes)
  const scopes = [...new Set(all.map((_) => scopeOf(_.name)))].filter((_) => _ !== "")
  const colour = colours(scopes.sort((a, b) => bytesOf(b) - bytesOf(a)))
  const rectangles = treemap(all, (_) => _.bytes, 920, 400)
  return html`<svg class="map" viewBox="0 0 920 400" role="img" aria-label="Packages by size">${
    rectangles.map(({ height, item, width, x, y }) => {
      const label = height > 24 && fitted(item.name, width)
      const [left, top, w, h] = [x, y, width, height].map((_) => _.toFixed(1))
      return html`<a href="${packageLink(item.at)}"><title>${item.name} ${item.version}: ${size(item.bytes)}</title>
<rect x="${left}" y="${top}" width="${w}" height="${h}" rx="3" fill="${colour(scopeOf(item.name))}"/>${
        label && html`<text x="${(x + 8).toFixed(1)}" y="${(y + 19).toFixed(1)}">${label}</text>`
      }${
        label && height > 42 &&
        html`<text class="small" x="${(x + 8).toFixed(1)}" y="${(y + 34).toFixed(1)}">${size(item.bytes)}</text>`
      }</a>`
    })
  }</svg>`
})

const licences = Effect.map(Packages.survey(), (all) => {
  const names = new Map<string, number>()
  for (const { licence } of all) names.set(licence, (names.get(licence) ?? 0) + 1)
  const sorted = [...names].sort((a, b) => b[1] - a[1])
  const colour = colours(sorted.map(([name]) => name))
  return html`<div class="stack">${
    sorted.map(([name, packages]) =>
      html`<i style="flex:${packages};background:${colour(name)}" title="${name}: ${packages}"></i>`
    )
  }</div><div class="legend">${
    sorted.map(([name, packages]) =>
      html`<a href="${link("/packages", { licence: name })}"><i style="background:${
        colour(name)
      }"></i><span>${name}</span><span>${packages}</span></a>`
    )
  }</div>`
})

const reach = Effect.map(Packages.survey(), (all) => {
  const top = [...all].sort((a, b) => b.reach.bytes - a.reach.bytes).slice(0, 8)
  const roots = all.filter((_) => _.usedBy.length === 0).length
  return html`<p class="mute" style="margin:-8px 0 12px">${
    counted(roots, "package is", "packages are")
  } needed by no other: the project asked for them, or a package for a peer.</p>
<table><thead><tr><th>Package</th><th class="num">Brings in</th><th class="num">Together</th></tr></thead><tbody>${
    top.map((_) =>
      html`<tr><td><a href="${packageLink(_.at)}">${_.name}</a>${meter(_.reach.bytes, top[0]!.reach.bytes)}</td>
<td class="num">${count(_.reach.packages - 1)}</td><td class="num">${size(_.reach.bytes)}</td></tr>`
    )
  }</tbody></table>`
})

export const overview = page(
  "Overview",
  "/",
  Effect.gen(function*() {
    const part = <E, R>(name: string, content: Effect.Effect<Html, E, R>) => fragment("/", name, content)
    return html`<div class="title"><div><h1>What is in node_modules</h1><p>The packages installed beside this project, from a look at each of their files.</p></div></div>
${yield* part("tiles", tiles)}
<section class="card"><header><h2>Size of packages</h2><span class="mute">a colour for each scope; select one to look inside</span></header>${yield* part(
      "map",
      map
    )}</section>
<div class="two">
<section class="card"><header><h2>Licences</h2><span class="mute">packages</span></header>${yield* part(
      "licences",
      licences
    )}</section>
<section class="card"><header><h2>Dependency graph</h2><span class="mute">what a package brings in</span></header>${yield* part(
      "reach",
      reach
    )}</section>
</div>`
  })
)

// -----------------------------------------------------------------------------
// packages
// -----------------------------------------------------------------------------

const columns = {
  name: { title: "Package", number: undefined },
  files: { title: "Files", number: (_: Packages.Surveyed) => _.files },
  size: { title: "Size", number: (_: Packages.Surveyed) => _.bytes },
  needs: { title: "Needs", number: (_: Packages.Surveyed) => _.uses.length },
  needed: { title: "Needed by", number: (_: Packages.Surveyed) => _.usedBy.length },
  brings: { title: "Brings in", number: (_: Packages.Surveyed) => _.reach.bytes }
} as const

type Column = keyof typeof columns

const perPage = 25

export const packages = page(
  "Packages",
  "/packages",
  Effect.gen(function*() {
    const given = yield* query
    const text = given.get("text")?.trim() ?? ""
    const licence = given.get("licence") ?? ""
    const sort = (Object.keys(columns) as Array<Column>).find((_) => _ === given.get("sort")) ?? "size"
    const all = yield* Packages.survey()
    const found = all.filter((_) =>
      (licence === "" || _.licence === licence) &&
      `${_.name} ${_.description}`.toLowerCase().includes(text.toLowerCase())
    )
    const { number } = columns[sort]
    found.sort((a, b) => (number === undefined ? 0 : number(b) - number(a)) || (a.name < b.name ? -1 : 1))
    const last = Math.max(1, Math.ceil(found.length / perPage))
    const at = Math.min(last, Math.max(1, Math.trunc(Number(given.get("page") ?? 1)) || 1))
    const to = (changes: Readonly<Record<string, string | number>>) =>
      link("/packages", { text, licence, sort: sort === "size" ? "" : sort, ...changes })
    const largest = Math.max(...all.map((_) => _.bytes))
    const names = [...new Set(all.map((_) => _.licence))].sort()
    return html`<div class="title"><div><h1>Packages</h1><p>Each filter, order and page is a view of its own, cached by its query.</p></div></div>
<section class="card"><form class="filter" action="/packages"><input name="text" value="${text}" placeholder="Name or description" aria-label="Name or description">
<select name="licence" aria-label="Licence"><option value="">Any licence</option>${
      names.map((name) => html`<option${name === licence && html` selected`}>${name}</option>`)
    }</select>
<select name="sort" aria-label="Order">${
      (Object.keys(columns) as Array<Column>).map((_) =>
        html`<option value="${_}"${_ === sort && html` selected`}>By ${columns[_].title.toLowerCase()}</option>`
      )
    }</select><button>Show</button></form>
<div class="scroll" style="margin-top:16px"><table><thead><tr>${
      (Object.keys(columns) as Array<Column>).map((_) =>
        html`<th class="${_ === "name" ? "" : "num"}"><a href="${to({ sort: _ === "size" ? "" : _ })}"${
          _ === sort && html` aria-current="true"`
        }>${columns[_].title}${_ === sort && (_ === "name" ? " ↑" : " ↓")}</a></th>`
      )
    }<th>Licence</th></tr></thead><tbody>${
      found.slice((at - 1) * perPage, at * perPage).map((_) =>
        html`<tr><td><a href="${packageLink(_.at)}">${_.name}</a> <span class="mute mono">${_.version}</span>${
          _.at !== _.name && html`<div class="mute path">${_.at}</div>`
        }</td><td class="num">${count(_.files)}</td><td class="num">${size(_.bytes)}${
          meter(_.bytes, largest)
        }</td><td class="num">${_.uses.length}</td><td class="num">${_.usedBy.length}</td><td class="num">${
          size(_.reach.bytes)
        }</td><td class="mute">${_.licence}</td></tr>`
      )
    }</tbody></table></div>
<div class="pages"><span>${
      found.length === 0
        ? "No package is like that."
        : `${(at - 1) * perPage + 1}–${Math.min(at * perPage, found.length)} of ${counted(found.length, "package")}`
    }</span><span>${at > 1 && html`<a href="${to({ page: at - 1 })}">← Previous</a>`}${at > 1 && at < last && " · "}${
      at < last && html`<a href="${to({ page: at + 1 })}">Next →</a>`
    }</span></div></section>`
  })
)

const notFound = (title: string, text: string) =>
  page(title, "", Effect.succeed(html`<div class="title"><div><h1>${title}</h1><p>${text}</p></div></div>`)).pipe(
    Effect.map((response) => HttpServerResponse.setStatus(response, 404))
  )

/** What a package uses, three deep; a package that is shown above is not opened again. */
const treeOf = (places: ReadonlyMap<string, Packages.Surveyed>, root: Packages.Surveyed): Html => {
  const seen = new Set([root.at])
  const branch = ({ uses }: Packages.Surveyed, depth: number): Html =>
    html`<ul>${
      uses.map((at) => {
        const used = places.get(at)!
        const isNew = !seen.has(at)
        seen.add(at)
        return html`<li><a href="${packageLink(at)}">${used.name}</a> <span class="mute mono">${used.version}</span>${
          used.uses.length > 0 && !(isNew && depth < 3) &&
          html` <span class="mute">→ ${used.uses.length} more${!isNew && ", as above"}</span>`
        }${isNew && depth < 3 && used.uses.length > 0 && branch(used, depth + 1)}</li>`
      })
    }</ul>`
  return branch(root, 1)
}

export const packagePage = Effect.gen(function*() {
  const at = (yield* query).get("at") ?? ""
  const all = yield* Packages.survey()
  const places = new Map(all.map((_) => [_.at, _]))
  const found = places.get(at)
  if (found === undefined) return yield* notFound("No such package", `There is no package at node_modules/${at}.`)
  return yield* page(
    found.name,
    "/package",
    Effect.gen(function*() {
      const files = [...(yield* Packages.files(at))].sort((a, b) => b.bytes - a.bytes)
      const lines = [...(yield* Packages.lines(at))].sort((a, b) => b.lines - a.lines)
      const digests = yield* Packages.digests(at)
      const different = new Set(digests.map((_) => _.digest)).size
      const tag = Packages.tagOf(found.name)
      return html`<div class="title"><div><h1>${found.name} <span class="mute" style="font-weight:400">${found.version}</span></h1><p>${found.description}</p></div>
${action("invalidate", `Invalidate ${tag}`, { tag }, "strong")}</div>
<div class="tiles">${[
        tile("Files", count(files.length)),
        tile("On disk", size(found.bytes)),
        tile("Lines of text", count(sum(lines, (_) => _.lines))),
        tile("Copies inside", count(files.length - different)),
        tile("Licence", found.licence)
      ]}</div>
<div class="two"><section class="card"><header><h2>Largest files</h2><span class="mute">of ${
        counted(files.length, "file")
      }</span></header><table><tbody>${
        files.slice(0, 12).map((_) =>
          html`<tr><td class="path">${_.path}${meter(_.bytes, files[0]!.bytes)}</td><td class="num">${
            size(_.bytes)
          }</td></tr>`
        )
      }</tbody></table></section>
<div style="display:grid;gap:20px;align-content:start"><section class="card"><header><h2>Lines</h2><span class="mute">by what they are written in</span></header>${
        lines.length === 0 ?
          html`<p class="mute">No text.</p>` :
          html`<table><tbody>${
            lines.map((_) =>
              html`<tr><td>${_.kind}${meter(_.lines, lines[0]!.lines)}</td><td class="num">${count(_.lines)}</td></tr>`
            )
          }</tbody></table>`
      }</section>
<section class="card tree"><header><h2>Needs</h2><span class="mute">${
        found.reach.packages === 1
          ? "nothing"
          : `${counted(found.reach.packages - 1, "package")} in all, ${size(found.reach.bytes)} together`
      }</span></header>${
        found.uses.length === 0 ? html`<p class="mute">It stands alone.</p>` : treeOf(places, found)
      }</section>
<section class="card"><header><h2>Needed by</h2><span class="mute">${
        counted(found.usedBy.length, "package")
      }</span></header>${
        found.usedBy.length === 0 ?
          html`<p class="mute">By no other package.</p>` :
          html`<div class="chips">${found.usedBy.map((_) => html`<a href="${packageLink(_)}">${_}</a>`)}</div>`
      }</section></div></div>`
    })
  )
})

// -----------------------------------------------------------------------------
// duplicates
// -----------------------------------------------------------------------------

const sizes = [1, 1_000, 10_000, 100_000, 1_000_000]

const several = Effect.map(Packages.versions(), (found) =>
  found.length === 0
    ? html`<p class="mute">Every package is there in one version.</p>`
    : html`<table><tbody>${
      found.map(({ copies, name }) =>
        html`<tr><td>${name}</td><td class="path">${
          copies.map((_) =>
            html`<div><a href="${packageLink(_.at)}">${_.version}</a> <span class="mute">${_.at}</span></div>`
          )
        }</td></tr>`
      )
    }</tbody></table>`)

const minOf = (given: URLSearchParams): number => sizes.find((_) => String(_) === given.get("min")) ?? 1

export const duplicates = page(
  "Duplicates",
  "/duplicates",
  Effect.gen(function*() {
    const min = minOf(yield* query)
    const { groups, hashed, wasted, worst } = yield* Packages.duplicates(min)
    return html`<div class="title"><div><h1>The same content twice</h1><p>Every file is read and hashed with SHA-256; files of one digest are copies.</p></div>
<div class="tabs">${
      sizes.map((_) =>
        html`<a href="${link("/duplicates", { min: _ === 1 ? "" : _ })}"${_ === min && html` aria-current="true"`}>${
          _ === 1 ? "Any size" : `≥ ${size(_).replace(".0", "")}`
        }</a>`
      )
    }</div></div>
<div class="tiles">${[
      tile("Files hashed", count(hashed.files)),
      tile("Bytes hashed", size(hashed.bytes)),
      tile("Contents with copies", count(groups)),
      tile("Wasted by copies", `${size(wasted)}`),
      tile("Of all", share(wasted, hashed.bytes))
    ]}</div>
<section class="card"><header><h2>Copies that waste most</h2><span class="mute">${
      groups > worst.length ? `the first ${worst.length} of ${count(groups)}` : counted(groups, "content")
    }</span></header>
<div class="scroll"><table><thead><tr><th>Files</th><th class="num">Size</th><th class="num">Copies</th><th class="num">Wasted</th></tr></thead><tbody>${
      worst.map((_) =>
        html`<tr><td class="path">${_.paths.slice(0, 3).map((path) => html`<div>${path}</div>`)}${
          _.paths.length > 3 && html`<div class="mute">and ${_.paths.length - 3} more</div>`
        }</td><td class="num">${size(_.bytes)}</td><td class="num">${_.paths.length}</td><td class="num">${
          size(_.bytes * (_.paths.length - 1))
        }</td></tr>`
      )
    }</tbody></table></div></section>
<section class="card"><header><h2>Packages in more than one version</h2></header>${yield* fragment(
      "/duplicates",
      "several",
      several
    )}</section>`
  })
)

// -----------------------------------------------------------------------------
// code
// -----------------------------------------------------------------------------

const endings = ["", ".js", ".d.ts", ".ts", ".map", ".json", ".md", ".node"]

const written = Effect.map(Packages.code(), ({ kinds, packages }) => {
  const lines = sum(kinds, (_) => _.lines)
  return html`<div class="tiles">${[
    tile("Lines", count(lines)),
    tile("Blank", share(sum(kinds, (_) => _.blank), lines)),
    tile("Files of text", count(sum(kinds, (_) => _.files))),
    tile("Most of it", kinds[0]?.kind ?? "nothing")
  ]}</div>
<div class="two"><section class="card"><header><h2>Written in</h2></header><table><thead><tr><th>Kind</th><th class="num">Files</th><th class="num">Lines</th></tr></thead><tbody>${
    kinds.map((_) =>
      html`<tr><td>${_.kind}${meter(_.lines, kinds[0]!.lines)}</td><td class="num">${
        count(_.files)
      }</td><td class="num">${count(_.lines)}</td></tr>`
    )
  }</tbody></table></section>
<section class="card"><header><h2>Most lines</h2></header><table><tbody>${
    packages.slice(0, 10).map((_) =>
      html`<tr><td><a href="${packageLink(_.at)}">${_.at}</a>${
        meter(_.lines, packages[0]!.lines)
      }</td><td class="num">${count(_.lines)}</td></tr>`
    )
  }</tbody></table></section></div>`
})

const endingOf = (given: URLSearchParams): string => endings.find((_) => _ === given.get("ending")) ?? ""

export const code = page(
  "Code",
  "/code",
  Effect.gen(function*() {
    const ending = endingOf(yield* query)
    const files = yield* Packages.largest(ending, 20)
    return html`<div class="title"><div><h1>Lines of code</h1><p>Every text file is read and its lines are counted.</p></div></div>
${yield* fragment("/code", "written", written)}
<section class="card"><header><h2>Largest files</h2><div class="tabs">${
      endings.map((_) =>
        html`<a href="${link("/code", { ending: _ })}"${_ === ending && html` aria-current="true"`}>${
          _ === "" ? "Any" : _
        }</a>`
      )
    }</div></header><table><tbody>${
      files.map((_) =>
        html`<tr><td class="path"><a href="${
          packageLink(_.at)
        }">${_.at}</a><span class="mute">/${_.path}</span></td><td class="wide">${
          meter(_.bytes, files[0]!.bytes)
        }</td><td class="num">${size(_.bytes)}</td></tr>`
      )
    }</tbody></table></section>`
  })
)

// -----------------------------------------------------------------------------
// the questions behind a page
// -----------------------------------------------------------------------------

/** Reads the files again for the questions behind a page, whatever is cached. */
export const refresh = (path: string, given: URLSearchParams): Packages.Answer<void> =>
  Effect.gen(function*() {
    switch (path) {
      case "/":
      case "/packages":
        yield* Packages.again(Packages.files)
        yield* Packages.survey.refresh()
        yield* Packages.versions.refresh()
        break
      case "/package": {
        const at = given.get("at") ?? ""
        yield* Packages.files.refresh(at)
        yield* Packages.lines.refresh(at)
        yield* Packages.digests.refresh(at)
        break
      }
      case "/duplicates":
        yield* Packages.again(Packages.digests)
        yield* Packages.duplicates.refresh(minOf(given))
        break
      case "/code":
        yield* Packages.again(Packages.lines)
        yield* Packages.code.refresh()
        yield* Packages.largest.refresh(endingOf(given), 20)
    }
  })

export const missing = notFound("No such page", "There is nothing at this address.")
