/**
 * Options of a cache for outgoing requests.
 */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type { Options } from "../../HttpCache.js"

/** Options that mean the same for requests that come and for those that go out. */
type Common = Pick<
  Options,
  | "cacheStatus"
  | "captureTimeout"
  | "grace"
  | "maxBodyBytes"
  | "maxVariants"
  | "noVarySearch"
  | "prefixes"
  | "staleIfError"
  | "statuses"
  | "timeToLive"
  | "vary"
>

/**
 * What of outgoing requests is cached, for how long, and for whom.
 *
 * @since 1.0.0
 * @category models
 */
export interface OutgoingOptions extends Common {
  /** The cache's share of the backend, of one `mode`. Default: `"http-client"`, or `"http-shared"`. */
  readonly name?: string | undefined
  /**
   * Whose the cache is (RFC 9111 §1). `"private"`: the program's own. It stores what is
   * `private`, and does not obey `s-maxage` and `proxy-revalidate`. Requests that differ
   * in `Authorization`, `Cookie`, an API key or one of `credentials` have answers of
   * their own, so that the users on whose behalf a program asks do not see each other's.
   * `"shared"`: everybody's, as a proxy's. Requests with credentials use and fill answers
   * that say `public`, `s-maxage` or `must-revalidate`; with cookies, the first two.
   * Default: `"private"`.
   */
  readonly mode?: "private" | "shared" | undefined
  /**
   * Further request fields that say who asks. Known are `Authorization`, `X-Api-Key`,
   * `Api-Key`, `X-Auth-Token` and `X-Access-Token`.
   */
  readonly credentials?: ReadonlyArray<string> | undefined
  /**
   * Whether answers that say when they were changed, and not how long they are fresh, are
   * fresh for a tenth of the time since, for a day at most (RFC 9111 §4.2.2). Default: true.
   */
  readonly heuristic?: boolean | undefined
  /**
   * Which parameters tell entries apart, as of the middleware; those that do not are not
   * sent. Default: `"exact"`, as the URLs are another's and their order may mean something.
   */
  readonly query?: Options["query"]
  /**
   * Fields that speak to this cache in place of `Cache-Control`, the first that is there
   * (RFC 9213). `["CDN-Cache-Control"]` where it is part of a CDN. Default: none.
   */
  readonly targets?: ReadonlyArray<string> | undefined
  /** What answers depend on, for `Cache.invalidateTags`. Default: none. */
  readonly tags?:
    | ReadonlyArray<string>
    | ((
      response: HttpClientResponse.HttpClientResponse,
      request: HttpClientRequest.HttpClientRequest
    ) => ReadonlyArray<string>)
    | undefined
}
