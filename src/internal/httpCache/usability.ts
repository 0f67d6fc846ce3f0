/**
 * Whether a stored answer is the one for a request.
 */
import { currentAge, isFresh } from "../http/freshness.js"
import { accepts } from "../http/requestDirectives.js"
import type * as Stored from "../http/stored.js"
import { type Asking, isPermitted, isSelected, mayBeStale, type Variant } from "./site.js"

/**
 * What a call may do with a stored answer. `other`: nothing, it is of another generation
 * than the URL's entry, and so as good as removed, or of another variant in the same slot.
 * `outdated`: nothing without a new one. `forbidden`: nothing, it is not for requests with
 * credentials.
 */
export const usability = (
  call: Asking,
  stored: Stored.Answer,
  variant: Variant | undefined,
  now: number
): "usable" | "outdated" | "forbidden" | "other" =>
  !isSelected(stored, variant) || (variant === undefined && call.visit.isVarying)
    ? "other"
    : !isPermitted(stored, call.visit)
    ? "forbidden"
    : !stored.mustValidate && isAccepted(call, stored, now)
    ? "usable"
    : "outdated"

/** Fresh, or stale and allowed, and as the client wants it where that is obeyed. */
const isAccepted = ({ cameAfter, directives, site }: Asking, stored: Stored.Answer, now: number): boolean => {
  const isCurrent = isFresh(stored, now) && stored.isInvalidated !== true
  const accepted = directives === undefined ? undefined : accepts(directives, {
    ageMillis: currentAge(stored, now),
    lifetimeMillis: stored.lifetimeMillis,
    mayBeStale: stored.mayBeStale,
    isNewer: (site.landed.get(stored)?.number ?? 0) > cameAfter
  })
  return accepted ?? (isCurrent || mayBeStale(stored, now))
}
