/**
 * Options of an HTTP cache that few need, by subject.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type { HostRule, Normaliser } from "../http/request.js"
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
  /**
   * Whether `No-Vary-Search` of answers counts: then one answer is for all queries that
   * differ in nothing else. A path has one rule at a time, that of its last answer with
   * one; answers without are for their own query. What a handler makes of a parameter
   * that its answer says does not matter is sent to those who sent another value. Costs a
   * second and a third read where nothing is stored for the whole URL. Default: false.
   */
  readonly noVarySearch?: boolean | undefined
  /**
   * What of the host is part of the key, and is what the handler sees of it. `false`:
   * nothing, for an app that answers all hosts alike. A function: what it answers, as
   * `(host) => host.replace(/^www\./, "")`; where that is `undefined` the request goes past
   * the cache, so that hosts that are not yours fill nothing. It gets the host in lower
   * case. Default: `true`.
   */
  readonly host?: HostRule | undefined
  /**
   * The languages that the app has. Handlers see in `Accept-Language` the one that the
   * request prefers, by lookup (RFC 4647 §3.4); of several the first in this list, and the
   * first where it prefers none. An answer that depends on it says so in `Vary`, and has
   * as many variants as there are languages. Default: the field as it came.
   */
  readonly languages?: ReadonlyArray<string> | undefined
  /**
   * The content codings that the app has, as `["br", "gzip"]`. Handlers see in
   * `Accept-Encoding` the one that the request prefers, or `identity` (RFC 9110 §12.5.3).
   * Default: the field as it came.
   */
  readonly encodings?: ReadonlyArray<string> | undefined
  /**
   * Further fields that are brought into a form before they count: the key has, and the
   * handler sees, what the function answers. Not for `Authorization`, `Cookie` and `Host`.
   */
  readonly normalise?: Readonly<Record<string, Normaliser>> | undefined
}

/**
 * Which bodies are stored compressed, and how.
 *
 * @since 1.0.0
 * @category models
 */
export interface CompressOptions {
  /** Shorter bodies are sent as they are. Default: 1024. */
  readonly minBytes?: number | undefined
  /**
   * Media types, as `"application/json"`, all of a kind, as `"text/*"`, or with a suffix, as
   * `"+json"`. Default: text, JSON, XML, JavaScript, SVG, WebAssembly and plain fonts.
   */
  readonly types?: ReadonlyArray<string> | undefined
  /** The content codings, the first preferred where a client holds them equal. Default: `["br", "gzip"]`. */
  readonly encodings?: ReadonlyArray<"br" | "gzip"> | undefined
  /** How hard to try: `br` from 0 to 11, `gzip` from 0 to 9. Default: 5 and 6. */
  readonly level?: { readonly br?: number | undefined; readonly gzip?: number | undefined } | undefined
}

/**
 * What of an answer counts, and what of it is sent.
 *
 * @since 1.0.0
 * @category models
 */
export interface AnswerOptions {
  /**
   * What becomes of answers with `Set-Cookie`. `"bypass"`: they are not stored.
   * `"strip"`: they are stored without; who ran the app gets the cookie, nobody else
   * does. `"store"`: everybody gets the cookie of the one for whom the app ran, as RFC 9111
   * §7.3 allows and as a session must never be. Both are for apps that set cookies which
   * say nothing about a user, and whose bodies do not either. Default: `"bypass"`.
   */
  readonly setCookie?: "bypass" | "strip" | "store" | undefined
  /**
   * Fields of answers that name what they depend on, between commas and white space, as
   * `["Cache-Tag", "Surrogate-Key"]`; 256 tags at most. Default: none.
   */
  readonly tagsFrom?: ReadonlyArray<string> | undefined
  /** Whether the fields of `tagsFrom` are sent to clients. Default: false. */
  readonly keepTagFields?: boolean | undefined
  /**
   * Whether answers can be ended by `HttpCache.invalidatePrefix`. Each then has a tag for
   * each segment of its path, eight at most, which are read with it. Default: false.
   */
  readonly prefixes?: boolean | undefined
  /**
   * A field that says in one word how a request was answered, as `"X-Cache"`: `HIT`, `STALE`,
   * `MISS` (the app ran) or `BYPASS`. Default: none.
   */
  readonly hitHeader?: string | undefined
  /**
   * The `ETag` of answers with status 200 that have none: a digest of the body, `"weak"` as it may
   * still be encoded in another way after, or `"strong"` where nothing comes after; none
   * (`false`); or what a function makes of the body, in double quotes. Default: `"weak"`.
   */
  readonly etag?: "weak" | "strong" | false | ((body: Uint8Array) => string) | undefined
  /**
   * Whether stored answers are kept compressed as well, each coding made once as the answer is
   * stored, and sent to who takes it (RFC 9110 §12.5.3) with `Vary: Accept-Encoding` and a
   * validator of its own. Not those that have a `Content-Encoding`, say `no-transform`, carry
   * digests, or are one user's (`authorization: "per user"`, `cookies: { vary }`): the length of
   * a page with a secret and with what an attacker chose tells of the secret (BREACH).
   * What is not stored is sent as it is. Default: false.
   */
  readonly compress?: boolean | CompressOptions | undefined
}
