/**
 * How a cache is described, and what it answers: the models of `Cache`.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Codec from "../../Codec.js"

/**
 * Yes or no, at once or by an effect that cannot fail.
 *
 * @since 1.0.0
 * @category models
 */
export type Answer = boolean | Effect.Effect<boolean>

/**
 * How long and under which conditions values are cached: the one policy record
 * of caches, memoized functions, fragments and HTTP.
 *
 * @since 1.0.0
 * @category models
 */
export interface Policy<Key, A, E = unknown> {
  /**
   * How long a value is fresh. Zero: it is not stored. `Duration.infinity`: until it is
   * invalidated or evicted. A function also decides on failures, which are
   * stored only with a `failure` codec; a duration alone is for successes, and a load
   * may ask for another with `Cache.setTimeToLive`.
   */
  readonly timeToLive: Duration.DurationInput | ((exit: Exit.Exit<A, E>, key: Key) => Duration.DurationInput)
  /**
   * How long after that a value may still be served, stale, while one load runs
   * in the background. A load that reads a stale value waits for the new one. A
   * background load is given up after the grace, or a minute where that is more.
   * A function decides for each value. Default: zero.
   */
  readonly grace?: Duration.DurationInput | ((exit: Exit.Exit<A, E>, key: Key) => Duration.DurationInput) | undefined
  /** The share of `timeToLive`, from 0 to 1, that is taken off at random. Default: 0. */
  readonly jitter?: number | undefined
  /**
   * Loads a value anew before it expires, likelier the nearer its end and the
   * longer its load. A number is the eagerness, `true` is 1. Default: off.
   */
  readonly refreshAhead?: boolean | number | undefined
  /** How long a call waits for the load where a stale value could be served. Default: zero. */
  readonly softTimeout?: Duration.DurationInput | undefined
  /**
   * Whether a stale value stays when its load failed this way. Where not, the
   * entry is removed and the failure is the answer. Default: always.
   */
  readonly staleIf?: ((error: E) => boolean) | undefined
  /** What the value depends on, for `invalidateTags`. Default: none. */
  readonly tags?: ReadonlyArray<string> | ((value: A, key: Key) => ReadonlyArray<string>) | undefined
  /**
   * What the value depends on that the key alone tells: `(id) => [`tenant:${id.tenant}`]`
   * makes all calls of a tenant one group. Known before the load, such tags are cheaper
   * than those of `tags`, and stored failures have them too. Default: none.
   */
  readonly keyTags?: ((key: Key) => ReadonlyArray<string>) | undefined
  /**
   * Whether the tags of all that the load reads from caches of the same backend
   * become its own. A value that depends on more than 256 tags is not stored, nor
   * one made of what was loaded past a cache with tags. Default: true.
   */
  readonly trackDependencies?: boolean | undefined
  /** Whether the call runs past the cache: it neither reads nor stores. */
  readonly unless?: Answer | ((key: Key) => Answer) | undefined
  /** Whether the value is loaded anew and stored, whatever there is. */
  readonly forcedUpdate?: Answer | ((key: Key) => Answer) | undefined
  /** Whether a fresh value is to be treated as stale. */
  readonly isStale?: ((value: A, key: Key) => Answer) | undefined
  /** Whether a loaded value is stored. Default: always. */
  readonly storeIf?: ((value: A, key: Key) => Answer) | undefined
  /**
   * For how long the right to load a key is held if the process that has it dies;
   * while it lives it is extended. Default: 1 second.
   */
  readonly leaseDuration?: Duration.DurationInput | undefined
}

/**
 * What `make` takes: a policy, a name and a codec. Give `schema` or `codec`.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options<Key, A, E, B extends "bypass" | "fail"> extends Policy<Key, A, E> {
  /** This cache's share of the backend. Caches of one name share their entries. */
  readonly name: string
  /**
   * Sets entries of one version of the program apart from those of others: change it when
   * a load means something else. Back at the old version, the old entries are found again.
   * `clear` removes all versions. Default: none.
   */
  readonly version?: string | undefined
  /** What of the key tells entries apart. Default: all of it. */
  readonly key?: ((key: Key) => unknown) | undefined
  /** Stores failures for which `timeToLive` gives time. */
  readonly failure?: Codec.Codec<E> | undefined
  /**
   * What a fault of the backend does to a cached call. `"bypass"`: nothing, the
   * call loads. `"fail"`: reading fails the call, and the load is spared.
   */
  readonly onBackendError?: B | undefined
}

/**
 * The answer of `lookup`.
 *
 * @since 1.0.0
 * @category models
 */
export type Lookup<A, E> =
  | { readonly _tag: "Hit"; readonly exit: Exit.Exit<A, E>; readonly loadedAt: number; readonly freshUntil: number }
  | { readonly _tag: "Stale"; readonly exit: Exit.Exit<A, E>; readonly loadedAt: number; readonly freshUntil: number }
  | { readonly _tag: "Miss" }

/**
 * What is known about a key: whether a call would hit, and why or why not.
 *
 * @since 1.0.0
 * @category models
 */
export interface Explanation {
  /** As the backend knows it. */
  readonly key: string
  readonly backend: string
  /** How a call would be answered now. */
  readonly state: "hit" | "stale" | "miss"
  /** Whether this process is loading it. */
  readonly isLoading: boolean
  /** What is stored; `undefined` where nothing is. */
  readonly entry: {
    /** By its times alone. */
    readonly state: "fresh" | "stale" | "expired"
    readonly isFailure: boolean
    readonly codec: string
    /** Whether this cache's codecs wrote it; where not, it is a miss. */
    readonly isOwn: boolean
    readonly ageMillis: number
    /** Negative where that is over. */
    readonly freshForMillis: number
    readonly keptForMillis: number
    /** How long its load took. */
    readonly loadMillis: number
    /** The size of its payload, where it is kept as bytes. */
    readonly bytes: number | undefined
    readonly tags: ReadonlyArray<{
      readonly tag: string
      /** Invalidated since: the entry is a miss. */
      readonly isInvalidated: boolean
      /** Made stale since. */
      readonly isStale: boolean
    }>
  } | undefined
}
