// Measures the candidates of a group against each other.
//
// Machines get faster and slower while they are watched, so only what was measured side by side is compared: all
// candidates in one process, in slices of some milliseconds, in another order in every round; a ratio is formed inside
// a round, and the median over the rounds is told with its range. tinybench takes a slice's time and keeps the samples;
// its own `run` measures one task after the other, so the rounds are ours.
//
// Nobody calls `gc()` between slices: that throws away optimised code, and made Effect's loops two to three times slower.
import { Bench } from "tinybench"

/**
 * @typedef {object} Candidate
 * @property {string} name
 * @property {(n: number) => unknown} run does the work `n` times; may answer its cost in milliseconds itself
 * @property {string} [note] a column of its own
 *
 * @typedef {object} Group
 * @property {string} title
 * @property {string} text what is done, in a sentence
 * @property {"cost" | "throughput"} unit `cost`: less is better. `throughput`: more is better.
 * @property {"cpu" | "wall"} clock CPU time does not count what other processes do meanwhile
 * @property {string} base the candidate that is 1
 * @property {string} [noteTitle]
 * @property {number} [sliceMillis]
 * @property {number} [atLeast] the smallest `n`
 * @property {Array<Candidate>} candidates
 * @property {{ text: string, of: string, to: string }} [headline] how many times the cost of `to` is that of `of`
 *
 * @typedef {{ median: number, min: number, max: number }} Ratio
 * @typedef {{ name: string, note?: string, ratio: Ratio }} Row
 */

const clocks = {
  cpu: () => {
    const { system, user } = process.cpuUsage()
    return (system + user) / 1000
  },
  wall: () => performance.now()
}

/** The rows of a group, and its headline. `share` shortens slices and rounds: 1 for all of it. */
export const measure = async (/** @type {Group} */ group, /** @type {number} */ share) => {
  const now = clocks[group.clock]
  const sliceMillis = (group.sliceMillis ?? 40) * Math.max(share, 0.2)
  const rounds = Math.max(3, Math.round(15 * share))
  const warmUpRounds = Math.max(3, Math.round(12 * share))

  const bench = new Bench({ now, iterations: 1, time: 0, warmup: false, throws: true, retainSamples: true })
  const sizes = new Map(group.candidates.map(({ name }) => [name, group.atLeast ?? 1]))
  for (const { name, run } of group.candidates) {
    const slice = async () => {
      const n = sizes.get(name)
      const start = now()
      const told = await run(n)
      const millis = typeof told === "number" ? told : now() - start
      if (millis < sliceMillis / 2) sizes.set(name, n * 2)
      return { overriddenDuration: millis / n, overriddenIterationCost: millis }
    }
    bench.add(name, slice, { async: true })
  }

  const costs = new Map(bench.tasks.map(({ name }) => [name, []]))
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const task of shuffled(bench.tasks)) {
      // While it warms up: until the slice is long enough to be measured.
      for (let n = 0; n !== sizes.get(task.name);) {
        n = sizes.get(task.name)
        task.reset(false)
        await task.run()
        if (round >= 0) break
      }
      const { result } = task
      if (result.state !== "completed") throw new Error(`${task.name}: ${result.state}`)
      if (round >= 0) costs.get(task.name).push(result.latency.mean)
    }
  }

  const { base, headline, unit } = group
  const ratio = (of, to) => spread(costs.get(of).map((cost, round) => cost / costs.get(to)[round]))
  return {
    rows: group.candidates.map(({ name, note }) => ({
      name,
      note,
      ratio: unit === "cost" ? ratio(name, base) : ratio(base, name)
    })),
    headline: headline && { text: headline.text, ratio: ratio(headline.of, headline.to) }
  }
}

/** @returns {Ratio} */
const spread = (ratios) => {
  const sorted = ratios.toSorted((a, b) => a - b)
  return { median: sorted[sorted.length >> 1], min: sorted[0], max: sorted.at(-1) }
}

const shuffled = (items) => {
  const all = [...items]
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[all[i], all[j]] = [all[j], all[i]]
  }
  return all
}
