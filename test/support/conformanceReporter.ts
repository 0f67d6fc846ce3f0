/**
 * Prints, after the tests, how every backend did in every suite of the
 * conformance suite, and why a case was left out; and how those that are reached
 * over a network did under each of its faults.
 */
import { Conformance } from "effect-caching/testing"
import { basename } from "node:path"
import type { Reporter, TestCase, TestModule, TestSuite } from "vitest/node"

interface Cell {
  passed: number
  failed: number
  leftOut: number
}

const suites: ReadonlySet<string> = new Set(Conformance.suites)

/** What the cases are about: the names above their suite, or the file where there are none. */
const backendOf = (suite: TestSuite): string => {
  const names: Array<string> = []
  let parent: TestSuite | TestModule = suite.parent
  while (parent.type === "suite") {
    names.unshift(parent.name)
    parent = parent.parent
  }
  return names.length > 0 ? names.join(", ") : basename(parent.moduleId, ".test.ts")
}

const show = (cell: Cell | undefined): string =>
  cell === undefined
    ? ""
    : cell.failed > 0
    ? `${cell.passed} FAILED ${cell.failed}`
    : cell.leftOut > 0
    ? `${cell.passed} (-${cell.leftOut})`
    : String(cell.passed)

const print = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): void => {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: ReadonlyArray<string>) =>
    cells.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)).join("  ")
  console.log(["", line(head), ...rows.map(line), ""].join("\n"))
}

/** The tests of `networkFaults`, a row for each fault and a column for each backend. */
const printFaults = (modules: ReadonlyArray<TestModule>): void => {
  const table = new Map<string, Map<string, string>>()
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      const { name, parent } = test
      if (parent.type !== "suite" || parent.parent.type !== "suite" || parent.parent.name !== "faults") continue
      const row = table.get(name) ?? new Map<string, string>()
      const { state } = test.result()
      table.set(name, row.set(parent.name, state === "passed" ? "ok" : state === "failed" ? "FAILED" : ""))
    }
  }
  if (table.size === 0) return
  const backends = [...new Set([...table.values()].flatMap((row) => [...row.keys()]))]
  print(
    ["faults: settled in time, and well a second after", ...backends],
    Array.from(table, ([fault, row]) => [fault, ...backends.map((backend) => row.get(backend) ?? "")])
  )
}

export default class ConformanceReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    printFaults(modules)
    const table = new Map<string, Map<string, Cell>>()
    const reasons = new Map<string, number>()
    const count = (test: TestCase) => {
      if (test.parent.type !== "suite" || !suites.has(test.parent.name)) return
      const backend = backendOf(test.parent)
      const row = table.get(backend) ?? new Map<string, Cell>()
      const cell = row.get(test.parent.name) ?? { passed: 0, failed: 0, leftOut: 0 }
      const { state } = test.result()
      if (state === "passed") cell.passed++
      else if (state === "skipped") cell.leftOut++
      else cell.failed++
      const reason = / \(left out: (.*)\)$/.exec(test.name)?.[1]
      if (reason !== undefined && state === "skipped") {
        const line = `${backend}: ${reason}`
        reasons.set(line, (reasons.get(line) ?? 0) + 1)
      }
      table.set(backend, row.set(test.parent.name, cell))
    }
    for (const module of modules) for (const test of module.children.allTests()) count(test)
    if (table.size === 0) return

    const head = ["conformance: cases passed (left out)", ...Conformance.suites]
    const rows = Array.from(table, ([backend, row]) => [
      backend.length > 58 ? `${backend.slice(0, 57)}…` : backend,
      ...Conformance.suites.map((suite) => show(row.get(suite)))
    ]).toSorted(([a], [b]) => a!.localeCompare(b!))
    print(head, rows)
    for (const [reason, times] of reasons) console.log(`left out ${times} × ${reason}`)
  }
}
