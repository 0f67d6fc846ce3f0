/** What a test of the suite came to. */
export interface Verdict {
  readonly id: string
  readonly kind: "required" | "optimal" | "check"
  readonly verdict: string
  readonly detail?: string | undefined
}

/** Why tests of the snapshot are not passed. */
export interface Mark {
  /** The section that says so today, where one does. */
  readonly section?: string
  readonly reason: string
  readonly tests: ReadonlyArray<string>
}

export interface Expected {
  readonly suite: string
  readonly integrity: string
  readonly marks: ReadonlyArray<Mark>
  readonly tests: Readonly<Record<string, string>>
}

export declare const differences: (
  expected: Pick<Expected, "marks" | "tests">,
  verdicts: ReadonlyArray<Verdict>
) => Array<string>

export declare const unexpected: (expected: Pick<Expected, "tests">, verdicts: ReadonlyArray<Verdict>) => Array<string>

export declare const settled: (
  expected: Pick<Expected, "tests">,
  verdicts: ReadonlyArray<Verdict>,
  again: ReadonlyArray<Verdict>
) => Array<Verdict>

export declare const updated: (file: Expected, verdicts: ReadonlyArray<Verdict>) => Expected

export declare const count: (verdicts: ReadonlyArray<Verdict>, kind: Verdict["kind"], verdict: string) => number

export declare const reused: (verdicts: ReadonlyArray<Verdict>) => Array<Verdict>
