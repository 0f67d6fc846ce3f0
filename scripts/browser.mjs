// Chromium before a cached app: which requests a reload, a hard reload, a link and "back" make, and what the cache answers.
// Needs `chromium` on the PATH (`apt-get install chromium`) or its path in CHROMIUM. Prints the log, and fails where a line of it
// is not as it should be. Speaks the DevTools protocol over a pipe: messages that end in a zero byte.
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { strict as assert } from "node:assert"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import * as Memory from "../dist/backends/Memory.js"
import * as HttpCache from "../dist/HttpCache.js"

// -----------------------------------------------------------------------------
// the app
// -----------------------------------------------------------------------------

let runs = 0
const page = (title, link) =>
  `<!doctype html><title>${title}</title><link rel="icon" href="data:,"><h1>${title}</h1><a href="${link}">${link}</a>`

/** `/page` may be used for three seconds by a browser and for a minute by the cache, `/asked` only after asking. */
const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ url }) => {
  runs++
  const cacheControl = url === "/page"
    ? { "cache-control": "max-age=3", "cdn-cache-control": "max-age=60" }
    : { "cache-control": "no-cache", "cdn-cache-control": "max-age=60" }
  return HttpServerResponse.text(page(`run ${runs} of ${url}`, url === "/page" ? "/asked" : "/page"), {
    contentType: "text/html; charset=utf-8",
    headers: cacheControl
  })
})

const scope = Effect.runSync(Scope.make())

const serve = () =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      Layer.merge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" }), Memory.layer())
    )
    return yield* Effect.gen(function*() {
      yield* HttpServer.serveEffect(HttpCache.middleware()(app))
      return (yield* HttpServer.HttpServer).address.port
    }).pipe(Effect.provide(context))
  }).pipe(Scope.extend(scope), Effect.runPromise)

// -----------------------------------------------------------------------------
// the browser
// -----------------------------------------------------------------------------

const folder = mkdtempSync(join(tmpdir(), "effect-caching-browser-"))
const browser = spawn(process.env["CHROMIUM"] ?? "chromium", [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-features=BackForwardCache",
  `--user-data-dir=${folder}`,
  "--remote-debugging-pipe",
  "about:blank"
], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] })
const [, , , input, output] = browser.stdio

const ended = new Promise((resolve) => browser.once("exit", resolve))
const failed = new Promise((_, reject) => {
  browser.once("error", (cause) => reject(new Error("chromium does not start: apt-get install chromium", { cause })))
  browser.once("exit", (code) => reject(new Error(`chromium has ended: ${code}`)))
})
failed.catch(() => {})

let count = 0
const asked = new Map()
const listeners = new Set()
let rest = ""
output.setEncoding("utf8").on("data", (chunk) => {
  const messages = (rest + chunk).split("\0")
  rest = messages.pop()
  for (const text of messages) {
    const { error, id, method, params, result } = JSON.parse(text)
    if (id === undefined) listeners.forEach((listener) => listener(method, params))
    else if (error === undefined) asked.get(id).resolve(result)
    else asked.get(id).reject(new Error(error.message))
    asked.delete(id)
  }
})

let sessionId
const send = (method, params = {}) =>
  Promise.race([
    failed,
    new Promise((resolve, reject) => {
      const id = ++count
      asked.set(id, { resolve, reject })
      input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    })
  ])

/** Does the step, waits until the page is loaded, and answers what the document's request was. */
const watch = (path, step) =>
  Promise.race([
    failed,
    new Promise((resolve, reject) => {
      const seen = { request: {}, response: {}, status: 0, cached: false }
      let document
      const listener = (method, params) => {
        if (method === "Network.requestWillBeSent" && params.type === "Document") document = params.requestId
        if (params?.requestId === document || method === "Page.loadEventFired") {
          switch (method) {
            case "Network.requestWillBeSentExtraInfo":
              seen.request = lower(params.headers)
              break
            case "Network.responseReceivedExtraInfo":
              seen.status = params.statusCode
              seen.response = lower(params.headers)
              break
            case "Network.responseReceived":
              seen.cached = params.response.fromDiskCache || params.response.fromPrefetchCache === true
              if (seen.status === 0) {
                seen.status = params.response.status
                seen.response = lower(params.response.headers)
              }
              break
            case "Page.loadEventFired":
              listeners.delete(listener)
              send("Runtime.evaluate", { expression: "document.title + '|' + location.pathname" }).then(
                ({ result }) => {
                  const [title, pathname] = result.value.split("|")
                  if (pathname !== path) reject(new Error(`at ${pathname}, not at ${path}`))
                  else resolve({ ...seen, title })
                },
                reject
              )
          }
        }
      }
      listeners.add(listener)
      step().catch(reject)
    })
  ])

const lower = (headers) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

// -----------------------------------------------------------------------------
// the steps
// -----------------------------------------------------------------------------

const back = async () => {
  const { currentIndex, entries } = await send("Page.getNavigationHistory")
  await send("Page.navigateToHistoryEntry", { entryId: entries[currentIndex - 1].id })
}

const steps = (origin) => {
  const go = (path) => () => send("Page.navigate", { url: origin + path })
  const follow = () => send("Runtime.evaluate", { expression: "document.querySelector('a').click()" })
  const hit = /^http; hit; ttl=/
  return [
    ["first visit of /page", "/page", go("/page"), {
      status: 200,
      runs: 1,
      cacheStatus: /^http; fwd=uri-miss; stored$/
    }],
    ["visit again, within max-age", "/page", go("/page"), { cached: true, runs: 1 }],
    ["reload", "/page", () => send("Page.reload"), {
      status: 304,
      runs: 1,
      cacheStatus: hit,
      conditional: true,
      says: "max-age=0"
    }],
    ["hard reload", "/page", () => send("Page.reload", { ignoreCache: true }), {
      status: 200,
      runs: 1,
      cacheStatus: hit,
      conditional: false,
      says: "no-cache"
    }],
    ["link to /asked", "/asked", follow, { status: 200, runs: 2, cacheStatus: /^http; fwd=uri-miss; stored$/ }],
    ["back, to /page", "/page", back, { cached: true, runs: 2 }],
    ["link to /asked, which is no-cache", "/asked", follow, {
      status: 304,
      runs: 2,
      cacheStatus: hit,
      conditional: true
    }],
    ["visit /page, after max-age", "/page", async () => {
      await sleep(3_100)
      await go("/page")()
    }, { status: 304, runs: 2, cacheStatus: hit, conditional: true }]
  ]
}

const row = (cells) => console.log(`| ${cells.join(" | ")} |`)

try {
  const origin = `http://127.0.0.1:${await serve()}`
  const { targetInfos } = await send("Target.getTargets")
  const { targetId } = targetInfos.find(({ type }) => type === "page")
  const attached = await send("Target.attachToTarget", { targetId, flatten: true })
  sessionId = attached.sessionId
  await send("Page.enable")
  await send("Network.enable")
  await send("Runtime.enable")
  row(["step", "request", "status", "`Cache-Status`", "`Age`", "answered by", "runs of the app"])
  row(["---", "---", "---", "---", "---", "---", "---"])
  for (const [name, path, step, wanted] of steps(origin)) {
    const { cached, request, response, status, title } = await watch(path, step)
    const sent = ["if-none-match", "cache-control", "pragma"].filter((field) => request[field] !== undefined)
    row([
      name,
      cached || sent.length === 0 ? "" : sent.map((field) => `\`${field}: ${request[field]}\``).join(", "),
      cached ? "" : status,
      cached ? "" : `\`${response["cache-status"]}\``,
      cached ? "" : response["age"] ?? "",
      cached ? "the browser" : response["cache-status"]?.includes("hit") ? "the cache" : "the app",
      runs
    ])
    assert.equal(cached, wanted.cached ?? false, name)
    assert.equal(runs, wanted.runs, name)
    assert.equal(title, `run ${path === "/page" ? 1 : 2} of ${path}`, name)
    if (wanted.cached === true) continue
    assert.equal(status, wanted.status, name)
    assert.match(response["cache-status"], wanted.cacheStatus, name)
    if (wanted.conditional !== undefined) assert.equal(request["if-none-match"] !== undefined, wanted.conditional, name)
    if (wanted.says !== undefined) assert.equal(request["cache-control"], wanted.says, name)
  }
} finally {
  browser.kill()
  await ended
  rmSync(folder, { recursive: true, force: true })
  await Effect.runPromise(Scope.close(scope, Exit.void))
}
