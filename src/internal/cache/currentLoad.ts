/**
 * The load that an effect runs in, if any: what it reads from caches becomes
 * part of what it depends on.
 */
import * as Context from "effect/Context"
import type { Backend, TagVersion } from "../../Backend.js"
import type { Flight } from "../flights.js"

/** Collects the tag versions of the entries that a load read. */
export class CurrentLoad {
  readonly versions = new Map<string, TagVersion>()
  /** Something was read whose tag versions are unknown, or one tag in two versions: the result must not be stored. */
  isUnknown = false
  /** What the load asked for in place of the policy's time to live. */
  timeToLiveMillis: number | undefined = undefined
  /** The stale value that the load is to replace. */
  previous: unknown = undefined
  constructor(
    readonly backend: Backend,
    readonly flight: Flight | undefined,
    /** Off where the cache does not track dependencies; the flight is still needed to find circles. */
    readonly isTracking: boolean,
    private readonly outer?: CurrentLoad
  ) {}

  /** For a load that runs past its cache in this one. */
  apart(): CurrentLoad {
    return new CurrentLoad(this.backend, this.flight, this.isTracking, this)
  }

  /** `versions` is `undefined` where they could not be read. Tags of another backend cannot be compared later: left out. */
  depend(backend: Backend, versions: ReadonlyArray<TagVersion> | undefined): void {
    if (this.outer !== undefined) return this.outer.depend(backend, versions)
    // Not the backends themselves: those that combinators make of one share its loads and its tags.
    if (!this.isTracking || this.backend.flights !== backend.flights) return
    if (versions === undefined) {
      this.isUnknown = true
      return
    }
    for (const version of versions) {
      const known = this.versions.get(version.tag)
      if (known !== undefined && !isSameVersion(known, version)) this.isUnknown = true
      this.versions.set(version.tag, version)
    }
  }
}

export const isSameVersion = (a: TagVersion, b: TagVersion): boolean =>
  a === b || (a.hard === b.hard && a.soft === b.soft)

/** In the context of every load. */
export class Current extends Context.Reference<Current>()("effect-caching/CurrentLoad", {
  defaultValue: (): CurrentLoad | undefined => undefined
}) {}

/** The load whose context this is. */
export const currentLoad = (context: Context.Context<never>): CurrentLoad | undefined =>
  context.unsafeMap.get(Current.key)
