/**
 * The options of a cache for outgoing requests, as those of the engine.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import type { ClientOptions } from "../../HttpCache.js"
import { declaredNames, type RequestRules } from "../http/request.js"
import { InvalidOption } from "../options.js"
import { requestFor } from "./client.js"
import { compile, type Policy } from "./policy.js"
import { inMemory } from "./received.js"

export interface ClientPolicy extends Policy {
  /** The requests whose answers are those of other URLs. */
  readonly redirected: WeakSet<HttpServerRequest.HttpServerRequest>
}

export const compileClient = (options: ClientOptions): ClientPolicy => {
  const {
    mode = "private",
    name = mode === "shared" ? "http-shared" : "http-client",
    query = "exact",
    tags,
    targets = [],
    vary = [],
    ...rest
  } = options
  const module = `HttpCache ${JSON.stringify(name)}`
  if (mode !== "private" && mode !== "shared") {
    throw new InvalidOption({ module, option: "mode", value: mode, expected: `"private" or "shared"` })
  }
  if (vary.some((name) => name.toLowerCase() === "cookie")) {
    throw new InvalidOption({
      module,
      option: "vary",
      value: "Cookie",
      expected: `without Cookie: see the option mode`
    })
  }
  const policy = compile({
    heuristic: true,
    ...rest,
    name,
    query,
    vary,
    targets,
    etag: false,
    clientDirectives: "full",
    authorization: mode === "private" ? "per user" : "shared",
    cookies: "shared",
    tags: typeof tags === "function"
      ? (response, request) => {
        const asked = requestFor(request)
        const received = inMemory(asked, response)
        return received === undefined ? [] : tags(received, asked)
      }
      : tags
  })
  const isPrivate = mode === "private"
  const { credentials } = policy.rules
  const rules: RequestRules = {
    ...policy.rules,
    isOutgoing: true,
    credentials: isPrivate ? [...credentials, "cookie"] : credentials
  }
  const redirected = new WeakSet<HttpServerRequest.HttpServerRequest>()
  const { load } = policy
  return {
    ...policy,
    // Who asks is told what the origin says.
    searchField: undefined,
    rules,
    redirected,
    load: {
      ...load,
      isPrivate,
      isOutgoing: true,
      declared: new Set(declaredNames(rules)),
      addedVary: [],
      storeIf: (response, request) => redirected.has(request) ? Effect.succeed(false) : load.storeIf(response, request)
    }
  }
}
