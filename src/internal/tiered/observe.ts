/**
 * What tiers tell of themselves. Never a key, never a value.
 */
import * as Metric from "effect/Metric"

export const messages = Metric.counter("cache_bus_messages", {
  description: "Messages of an invalidation bus, by direction: sent or received",
  incremental: true
})

export const faults = Metric.counter("cache_bus_faults", {
  description: "Faults of an invalidation bus: unsent, lost, gap or unreadable",
  incremental: true
})

export const subscribed = Metric.gauge("cache_bus_subscribed", {
  description: "1 while invalidations of other processes arrive, 0 while local tiers live by localTimeToLive"
})

export const drops = Metric.counter("cache_local_tier_drops", {
  description: "How often a whole local tier was dropped, as invalidations may have been missed",
  incremental: true
})

export const localFaults = Metric.counter("cache_local_tier_faults", {
  description: "Operations of a local tier that failed, behind reads that went on to the remote one",
  incremental: true
})

export type Fault = "unsent" | "lost" | "gap" | "unreadable"

const noLabels: Array<never> = []

/** The metrics of one bus, to be updated without a fiber. */
export const ofBus = (bus: string) => {
  const sent = messages.pipe(Metric.tagged("bus", bus), Metric.tagged("direction", "sent"))
  const received = messages.pipe(Metric.tagged("bus", bus), Metric.tagged("direction", "received"))
  const faultOf = (fault: Fault) => faults.pipe(Metric.tagged("bus", bus), Metric.tagged("fault", fault))
  const byFault: Record<Fault, Metric.Metric.Counter<number>> = {
    unsent: faultOf("unsent"),
    lost: faultOf("lost"),
    gap: faultOf("gap"),
    unreadable: faultOf("unreadable")
  }
  const gauge = Metric.tagged(subscribed, "bus", bus)
  return {
    sent: () => sent.unsafeUpdate(1, noLabels),
    received: () => received.unsafeUpdate(1, noLabels),
    fault: (fault: Fault) => byFault[fault].unsafeUpdate(1, noLabels),
    subscribed: (isSubscribed: boolean) => gauge.unsafeUpdate(isSubscribed ? 1 : 0, noLabels)
  }
}

/** The metrics of one local tier. */
export const ofLocal = (local: string) => {
  const dropped = Metric.tagged(drops, "backend", local)
  const failed = Metric.tagged(localFaults, "backend", local)
  return {
    dropped: () => dropped.unsafeUpdate(1, noLabels),
    failed: () => failed.unsafeUpdate(1, noLabels)
  }
}
