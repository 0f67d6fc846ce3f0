/**
 * Options of an HTTP cache that few need, by subject.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type { Obedience } from "../http/requestDirectives.js"

/**
 * What of a request counts, and how.
 *
 * @since 1.0.0
 * @category models
 */
export interface RequestOptions {
  /**
   * Which of a client's own directives are obeyed (RFC 9111 §5.2.1). `"ignore"`: none.
   * `"safe"`: `only-if-cached`, answered with 504 where nothing is stored, and `no-store`.
   * `"full"`: also `no-cache`, `max-age`, `min-fresh` and `max-stale`, and `Pragma` where
   * there is no `Cache-Control`; whoever asks then makes the app run, as often as
   * one run is over. A function answers one of them for each request: `"full"` for
   * whom you trust. Default: `"ignore"`.
   */
  readonly clientDirectives?:
    | Obedience
    | ((request: HttpServerRequest.HttpServerRequest) => Obedience)
    | undefined
  /**
   * How many variants of one URL are stored at most. Values of the fields in `Vary` share
   * that many places, and two in the same place replace each other. Answers that are told
   * apart by who asks, `authorization: "per user"` and `cookies: { vary }`, have as many
   * for each user. `Infinity`: as many as there are values, up to the backend's own bound.
   * Default: 256.
   */
  readonly maxVariants?: number | undefined
}
