/** What all pages have around them: the style, the strip that tells of this answer, and the live view of the cache. */
import { type Html, html } from "./html.js"

const style = `
:root {
  color-scheme: light dark;
  --page: light-dark(#f6f7f9, #0e1116);
  --card: light-dark(#fff, #161b22);
  --line: light-dark(#e3e6eb, #262d37);
  --soft: light-dark(#eef0f4, #1e252e);
  --text: light-dark(#171c24, #e4e8ee);
  --mute: light-dark(#5f6b7a, #8d99a8);
  --accent: light-dark(#3457d5, #7c9bff);
  --bar: light-dark(#b9c7f5, #34467f);
  --hit: light-dark(#12805c, #3fcf9b);
  --hit-soft: light-dark(#def5ec, #12352a);
  --stale: light-dark(#96600a, #f0b44c);
  --stale-soft: light-dark(#fdf0d5, #3a2d10);
  --miss: light-dark(#b3392f, #ff8b7d);
  --miss-soft: light-dark(#fde7e4, #41201c);
  --mono: ui-monospace, "SF Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
* { box-sizing: border-box }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 14px/1.5 Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
  -webkit-font-smoothing: antialiased;
}
a { color: inherit; text-decoration: none }
a:hover { color: var(--accent) }
h1 { font-size: 22px; line-height: 1.25; letter-spacing: -.015em; margin: 0 }
h2 { font-size: 14px; margin: 0; letter-spacing: -.005em }
p { margin: 0 }
code, .mono { font-family: var(--mono); font-size: .92em }
.mute { color: var(--mute) }
.num { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap }

header { background: var(--card); border-bottom: 1px solid var(--line) }
.bar-in { max-width: 1360px; margin: 0 auto; padding: 0 24px; display: flex; align-items: center; gap: 28px; min-height: 54px }
.brand { font-weight: 650; letter-spacing: -.01em; display: flex; align-items: center; gap: 10px; white-space: nowrap }
.brand svg { display: block }
nav { display: flex; gap: 4px; flex: 1; overflow-x: auto }
nav a { padding: 6px 11px; border-radius: 7px; color: var(--mute); font-weight: 500 }
nav a:hover { background: var(--soft); color: var(--text) }
nav a[aria-current] { background: var(--soft); color: var(--text) }
.store { display: flex; align-items: center; gap: 8px; color: var(--mute); white-space: nowrap; font-size: 13px }
.dot { width: 8px; height: 8px; border-radius: 50%; background: var(--mute) }
.dot.up { background: var(--hit) } .dot.down { background: var(--miss) }

.wrap { max-width: 1360px; margin: 0 auto; padding: 20px 24px 56px; display: grid; gap: 20px; grid-template-columns: minmax(0, 1fr) 348px; align-items: start }
main { display: grid; gap: 20px; min-width: 0 }
aside { display: grid; gap: 16px; position: sticky; top: 16px; max-height: calc(100vh - 32px); overflow-y: auto; scrollbar-width: thin }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 11px; padding: 18px 20px; min-width: 0 }
.card > header { all: unset; display: flex; justify-content: space-between; align-items: baseline; gap: 12px; margin-bottom: 14px }
.card > header .mute { font-size: 13px }
.title { display: flex; justify-content: space-between; gap: 16px; align-items: end; flex-wrap: wrap }
.title p { color: var(--mute); margin-top: 4px; max-width: 68ch }

.answer { grid-column: 1 / -1; display: flex; align-items: center; gap: 26px; padding: 14px 20px; flex-wrap: wrap }
.answer .ms { font: 600 28px/1.1 var(--mono); letter-spacing: -.03em; white-space: nowrap; font-variant-numeric: tabular-nums }
.answer .ms small { font-size: 15px; font-weight: 500; color: var(--mute); letter-spacing: 0; margin-left: 4px }
.answer .what { flex: 1; min-width: 240px; color: var(--mute); line-height: 1.45 }
.answer .what b { color: var(--text); font-weight: 600 }
.answer form { display: inline }
.actions { display: flex; gap: 8px; flex-wrap: wrap }
.badge { display: inline-block; font: 600 11px/1 var(--mono); letter-spacing: .03em; padding: 4px 7px; border-radius: 5px; text-transform: uppercase; background: var(--soft); color: var(--mute) }
.badge.hit { background: var(--hit-soft); color: var(--hit) }
.badge.stale { background: var(--stale-soft); color: var(--stale) }
.badge.miss { background: var(--miss-soft); color: var(--miss) }
.answer .badge { font-size: 13px; padding: 7px 10px; border-radius: 7px }
.warning { grid-column: 1 / -1; background: var(--miss-soft); color: var(--miss); border-radius: 11px; padding: 11px 20px; font-weight: 500 }
[hidden] { display: none !important }

button, select, input {
  font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 7px; padding: 6px 11px; min-height: 34px;
}
button { font-weight: 500; cursor: pointer }
button:hover { background: var(--soft) }
button.strong { background: var(--text); color: var(--page); border-color: transparent }
button.strong:hover { opacity: .86 }
input { min-width: 0 }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px }
.filter { display: flex; gap: 8px; flex-wrap: wrap }
.filter input { flex: 1 1 180px }
.tabs { display: flex; gap: 4px; flex-wrap: wrap }
.tabs a { padding: 5px 11px; border-radius: 7px; border: 1px solid var(--line); color: var(--mute); background: var(--card); font-weight: 500 }
.tabs a[aria-current] { background: var(--text); color: var(--page); border-color: transparent }

.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(136px, 1fr)); gap: 1px; background: var(--line); border: 1px solid var(--line); border-radius: 11px; overflow: hidden }
.tiles > div { background: var(--card); padding: 14px 18px }
.tiles span { color: var(--mute); font-size: 13px; display: block }
.tiles b { font-size: 22px; letter-spacing: -.02em; font-weight: 620; font-variant-numeric: tabular-nums; line-height: 1.3 }

.scroll { overflow-x: auto; margin: 0 -20px; padding: 0 20px }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 500; color: var(--mute); font-size: 12.5px; padding: 0 12px 7px 0; white-space: nowrap }
td { padding: 7px 12px 7px 0; border-top: 1px solid var(--line); vertical-align: top }
th:last-child, td:last-child { padding-right: 0 }
th.num { text-align: right }
th a[aria-current] { color: var(--text); font-weight: 600 }
td a { font-weight: 500 }
td .mute { font-weight: 400 }
.wide { width: 26% }
.meter { height: 7px; border-radius: 4px; background: var(--soft); margin-top: 7px; min-width: 60px; overflow: hidden }
.meter i { display: block; height: 100%; background: var(--bar); border-radius: 4px; min-width: 2px }
.path { font-family: var(--mono); font-size: 12.5px; overflow-wrap: anywhere }
.pages { display: flex; justify-content: space-between; align-items: center; margin-top: 14px; color: var(--mute) }
.pages a { color: var(--accent); font-weight: 500 }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 20px }
.stack { display: flex; height: 12px; border-radius: 6px; overflow: hidden; gap: 2px; margin-bottom: 14px }
.stack i { min-width: 3px }
.legend { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 5px 22px }
.legend a, .legend > span { display: flex; gap: 8px; align-items: baseline }
.legend i { width: 9px; height: 9px; border-radius: 2px; flex: none }
.legend span:last-child { margin-left: auto; color: var(--mute); font-variant-numeric: tabular-nums }
.chips { display: flex; gap: 6px; flex-wrap: wrap }
.chips a { background: var(--soft); border-radius: 6px; padding: 3px 9px; font-size: 13px }
.tree ul { list-style: none; margin: 0; padding-left: 17px; border-left: 1px solid var(--line) }
.tree > ul { padding-left: 0; border: 0 }
.tree li { padding: 2px 0 }
.map { display: block; width: 100%; height: auto; border-radius: 8px }
.map rect { stroke: var(--card); stroke-width: 1.5 }
.map a:hover rect { filter: brightness(1.08) }
.map text { fill: #fff; font-size: 12px; font-weight: 600; pointer-events: none }
.map text.small { font-weight: 400; opacity: .85; font-size: 11px }

.live { font-size: 13px }
.live table { table-layout: fixed }
.live td { padding: 5px 8px 5px 0; border-top: 1px solid var(--line); vertical-align: middle }
.live td:last-child { padding-right: 0 }
.live td.cut { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-family: var(--mono); font-size: 12px }
.live .badge { font-size: 10px; padding: 3px 5px }
.ratio { display: flex; height: 4px; border-radius: 2px; overflow: hidden; background: var(--soft); margin: 1px 0 2px; gap: 1px }
.ratio i { flex: 0 0 auto; height: 100% }
.foot { color: var(--mute); font-size: 12.5px }

@media (max-width: 1020px) { .wrap { grid-template-columns: minmax(0, 1fr) } aside { position: static; max-height: none } .bar-in { gap: 14px } .store span:last-child { display: none } }
@media (max-width: 640px) { .wrap, .bar-in { padding-left: 14px; padding-right: 14px } .brand span { display: none } }
`

/**
 * The page is the same bytes for everyone who gets it from the cache, so what differs is not in it: this answer's time
 * comes with its headers (`Server-Timing`), and the state of the cache from `/live`.
 */
const script = `
const $ = (id) => document.getElementById(id)
const escape = (text) => String(text).replace(/[&<>"']/g, (_) => "&#" + _.charCodeAt(0) + ";")
const ms = (value) => value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en")
const timing = Object.fromEntries((performance.getEntriesByType("navigation")[0]?.serverTiming ?? []).map((_) => [_.name, _]))
if (timing.answer) {
  const { duration, description } = timing.answer
  const load = timing.load?.duration
  $("badge").textContent = description
  $("badge").className = "badge " + description
  $("ms").innerHTML = ms(duration) + "<small>ms</small>"
  const times = load === undefined || duration === 0 ? "" : Math.round(load / duration).toLocaleString("en")
  $("what").innerHTML = {
    hit: "Answered from the cache. Computing it took <b>" + ms(load) + " ms</b>: this was <b>" + times + " times faster</b>.",
    stale: "Answered from the cache with what was known before, <b>while the page is made anew</b> in the background, from answers that are cached themselves.",
    miss: "Not in the cache, so it was computed, from files or from answers about them that are cached. <b>Load the page again</b> to see it answered from the cache."
  }[description] ?? "Answered without the cache."
}
const row = (cells) => "<tr>" + cells.join("") + "</tr>"
const badge = (result) => '<span class="badge ' + result + '">' + result + "</span>"
const show = (live) => {
  const { store } = live
  $("store").innerHTML = '<span class="dot ' + (store.problem ? "down" : "up") + '"></span><span>' + escape(store.name) + "</span><span>process " + live.process + "</span>"
  $("warning").hidden = !store.problem
  $("warning").textContent = store.problem ? "The cache is out of reach (" + store.problem + "). The site works without it: every answer is computed." : ""
  $("answers").innerHTML = live.answers.map((_) => row([
    '<td style="width:54px">' + badge(_.result) + "</td>",
    '<td class="cut" title="' + escape(_.path) + '"><a href="' + escape(_.path) + '">' + escape(_.path) + "</a></td>",
    '<td class="num mono" style="width:82px">' + ms(_.ms) + " ms</td>"
  ])).join("") || row(['<td class="mute">none yet</td>'])
  $("caches").innerHTML = live.caches.map((_) => {
    const all = _.hit + _.stale + _.miss + _.bypass
    const part = (value, color) => '<i style="width:' + 100 * value / all + '%;background:var(--' + color + ')"></i>'
    return row([
      '<td class="cut">' + escape(_.name) + '<div class="ratio">' + part(_.hit, "hit") + part(_.stale, "stale") + part(_.miss, "miss") + "</div></td>",
      '<td class="num" style="width:52px">' + _.hit.toLocaleString("en") + "</td>",
      '<td class="num" style="width:44px">' + _.stale.toLocaleString("en") + "</td>",
      '<td class="num" style="width:52px">' + _.miss.toLocaleString("en") + "</td>"
    ])
  }).join("")
}
const look = async () => {
  if (document.visibilityState === "visible") {
    try { show(await (await fetch("/live")).json()) }
    catch {
      $("warning").hidden = false
      $("warning").textContent = "The demo has stopped."
    }
  }
  setTimeout(look, 1000)
}
look()
document.querySelectorAll("form.filter select").forEach((_) => _.addEventListener("change", () => _.form.requestSubmit()))
document.querySelectorAll("input[name=back]").forEach((_) => _.value = location.pathname + location.search)
`

const pages = [
  { path: "/", name: "Overview" },
  { path: "/packages", name: "Packages" },
  { path: "/duplicates", name: "Duplicates" },
  { path: "/code", name: "Code" }
]

/** A button that does something to the cache and comes back to the page it is on. */
export const action = (
  name: string,
  label: string,
  fields: Readonly<Record<string, string>> = {},
  look: "plain" | "strong" = "plain"
): Html =>
  html`<form method="post" action="/actions/${name}"><input type="hidden" name="back" value="/">${
    Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)
  }<button class="${look}">${label}</button></form>`

const raw = (text: string): Html => html([text] as unknown as TemplateStringsArray)

const before = (title: string, path: string): Html =>
  html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${title} · node_modules</title>
<style>${raw(style)}</style>
</head>
<body>
<header><div class="bar-in">
<a class="brand" href="/"><svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true"><rect x="1" y="1" width="20" height="20" rx="5" fill="var(--accent)"/><path d="M6 14.5 9.5 11 6 7.5M11.5 14.5h4.5" stroke="var(--card)" stroke-width="1.8" fill="none" stroke-linecap="round" stroke-linejoin="round"/></svg><span>node_modules</span></a>
<nav>${
    pages.map((page) =>
      html`<a href="${page.path}"${
        (page.path === path || (path === "/package" && page.path === "/packages")) && raw(` aria-current="page"`)
      }>${page.name}</a>`
    )
  }</nav>
<div class="store" id="store"></div>
</div></header>
<div class="wrap">
<div class="warning" id="warning" role="status" hidden></div>
<section class="card answer" aria-label="This answer">
<span class="badge" id="badge">…</span>
<span class="ms" id="ms">–<small>ms</small></span>
<p class="what" id="what">How long the server took for this page is in the Server-Timing header of its answer.</p>
<div class="actions">${action("stale", "Mark page stale")}${action("refresh", "Force refresh")}${
    action("everything", "Invalidate everything", {}, "strong")
  }</div>
</section>
<main>`

const after = html`</main>
<aside class="live" aria-label="The cache">
<section class="card"><header><h2>Last answers</h2><span class="mute">of this process</span></header><table><tbody id="answers"></tbody></table></section>
<section class="card"><header><h2>Requests of caches</h2><span class="mute">cache_requests</span></header>
<table><thead><tr><th>Cache</th><th class="num" style="width:52px">Hit</th><th class="num" style="width:44px">Stale</th><th class="num" style="width:52px">Miss</th></tr></thead><tbody id="caches"></tbody></table></section>
<p class="foot">Pages, fragments and functions are cached apart. Each depends on the files behind it: invalidate one package, and whatever was made of its files ends, but only its files are read again.</p>
</aside>
</div>
<script>${raw(script)}</script>
</body>
</html>`

/** What stands before and after the content of a page. */
export const layout = (title: string, path: string): readonly [before: string, after: string] => [
  before(title, path).text,
  after.text
]
