// The verdicts of a run beside those that are expected: pure functions over the file of expected verdicts.

const isPassed = (verdict) => verdict === "pass" || verdict === "yes" || verdict === "no"

/** A line for each test whose verdict is not the expected one, and for each mark that no longer says what is so. */
export const differences = ({ marks, tests }, verdicts) => {
  const lines = []
  const ran = new Map(verdicts.map((test) => [test.id, test]))
  const marked = new Set(marks.flatMap((mark) => mark.tests))
  for (const { detail, id, kind, verdict } of verdicts) {
    const told = detail === undefined ? "" : ` (${detail})`
    if (tests[id] === undefined) lines.push(`${id}: ${verdict}, not in the file${told}`)
    else if (tests[id] !== verdict) lines.push(`${id}: ${verdict}, expected ${tests[id]}${told}`)
    else if (kind === "required" && !isPassed(verdict) && !marked.has(id)) {
      lines.push(`${id}: ${verdict}, without a mark`)
    }
  }
  for (const id of Object.keys(tests)) if (!ran.has(id)) lines.push(`${id}: not run, expected ${tests[id]}`)
  for (const id of marked) {
    if (tests[id] === undefined) lines.push(`${id}: marked, not in the file`)
    else if (isPassed(tests[id])) lines.push(`${id}: marked, expected ${tests[id]}`)
  }
  return lines
}

/** The ids of the tests whose verdicts are not the expected ones. */
export const unexpected = ({ tests }, verdicts) =>
  verdicts.filter(({ id, verdict }) => tests[id] !== verdict).map(({ id }) => id)

/** The verdicts of a run, with those of another one for the tests that came out otherwise than expected. */
export const settled = ({ tests }, verdicts, again) => {
  const others = new Map(again.map((test) => [test.id, test]))
  return verdicts.map((test) => tests[test.id] === test.verdict ? test : others.get(test.id) ?? test)
}

/** The file with the verdicts of a run; its marks are kept. */
export const updated = (file, verdicts) => ({
  ...file,
  tests: Object.fromEntries(verdicts.map(({ id, verdict }) => [id, verdict]))
})

/** How many tests of a kind have a verdict. */
export const count = (verdicts, kind, verdict) =>
  verdicts.filter((test) => test.kind === kind && test.verdict === verdict).length

/** The tests that are required and in which something was reused that must not be. */
export const reused = (verdicts) =>
  verdicts.filter(({ detail, kind, verdict }) =>
    kind === "required" && verdict !== "pass" && /comes from cache/.test(detail ?? "")
  )
