import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll } from "vitest"
import {
  count,
  differences,
  type Expected,
  reused,
  settled,
  unexpected,
  updated,
  type Verdict
} from "../../scripts/conformance/compare.mjs"

const file: Expected = {
  suite: "suite@1",
  integrity: "sha512-",
  marks: [{ section: "RFC 9111 §5.1", reason: "reversed", tests: ["age"] }],
  tests: { fresh: "pass", age: "fail", offset: "no" }
}
const verdicts: ReadonlyArray<Verdict> = [
  { id: "fresh", kind: "required", verdict: "pass" },
  { id: "age", kind: "required", verdict: "fail", detail: "Assertion: Response 2 comes from cache" },
  { id: "offset", kind: "check", verdict: "no" }
]
const but = (id: string, verdict: string, detail?: string) =>
  verdicts.map((test) => test.id === id ? { ...test, verdict, detail } : test)

describe("the verdicts of the HTTP conformance run", () => {
  it("differ in nothing where all are as expected", () => {
    assert.deepStrictEqual(differences(file, verdicts), [])
  })

  it("differ in a line a test, with what the suite says", () => {
    const run = but("fresh", "fail", "Assertion: late").map((test) =>
      test.id === "offset" ? { ...test, verdict: "yes" } : test
    )
    assert.deepStrictEqual(differences(file, run), [
      "fresh: fail, expected pass (Assertion: late)",
      "offset: yes, expected no"
    ])
  })

  it("differ where a test passes that is expected to fail", () => {
    assert.deepStrictEqual(differences(file, but("age", "pass")), ["age: pass, expected fail"])
  })

  it("differ where a test is not in the file, and where one was not run", () => {
    const [, ...others] = verdicts
    assert.deepStrictEqual(differences(file, [...others, { id: "vary", kind: "optimal", verdict: "pass" }]), [
      "vary: pass, not in the file",
      "fresh: not run, expected pass"
    ])
  })

  it("need a mark for a required test that is expected to fail", () => {
    assert.deepStrictEqual(differences({ ...file, marks: [] }, verdicts), ["age: fail, without a mark"])
  })

  it("need no mark for a test that is not required", () => {
    const tests = { ...file.tests, lang: "optional_fail" }
    const run: ReadonlyArray<Verdict> = [...verdicts, { id: "lang", kind: "optimal", verdict: "optional_fail" }]
    assert.deepStrictEqual(differences({ ...file, tests }, run), [])
  })

  it("leave no mark that says what is no longer so", () => {
    const marks = [...file.marks, { reason: "old", tests: ["fresh", "gone"] }]
    assert.deepStrictEqual(differences({ ...file, marks }, verdicts), [
      "fresh: marked, expected pass",
      "gone: marked, not in the file"
    ])
  })

  it("take the place of those in the file, whose marks stay", () => {
    const next = updated(file, but("fresh", "fail").slice(0, 2))
    assert.deepStrictEqual(next, { ...file, tests: { fresh: "fail", age: "fail" } })
  })

  it("of another run stand where they are as expected and the first were not", () => {
    const late = but("fresh", "fail")
    assert.deepStrictEqual(unexpected(file, late), ["fresh"])
    assert.deepStrictEqual(settled(file, late, verdicts), verdicts)
    assert.deepStrictEqual(settled(file, late, late), late)
    assert.deepStrictEqual(settled(file, verdicts, late), verdicts)
  })

  it("are counted by kind", () => {
    assert.strictEqual(count(verdicts, "required", "pass"), 1)
    assert.strictEqual(count(verdicts, "check", "no"), 1)
    assert.deepStrictEqual(reused(verdicts).map(({ id }) => id), ["age"])
  })
})

describe("the script", () => {
  const root = fileURLToPath(new URL("../..", import.meta.url))
  const dir = mkdtempSync(join(tmpdir(), "conformance-test-"))
  afterAll(() => rmSync(dir, { recursive: true, force: true }))
  const committed = join(root, "test/http/conformance-0.4.5.json")

  const run = (args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
    new Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((resolve) => {
      const script = join(root, "scripts/conformance-http.mjs")
      const options = { cwd: root, env: { ...process.env, ...env }, timeout: 60_000 }
      const child = execFile(
        process.execPath,
        [script, ...args],
        options,
        (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr })
      )
    })

  const write = (name: string, content: unknown): string => {
    writeFileSync(join(dir, name), JSON.stringify(content))
    return join(dir, name)
  }
  const expected = write("expected.json", file)

  it("exits with 0 where all is as expected, and counts the verdicts", async () => {
    const from = write("same.json", verdicts)
    const results = join(dir, "results.json")
    const { code, stdout } = await run(["--expected", expected, "--from", from, "--results", results])
    assert.strictEqual(
      stdout,
      `suite@1, ${from}: 1 required and 0 optional passed; of 3 verdicts all are as expected\n`
    )
    assert.strictEqual(code, 0)
    const { testResults } = JSON.parse(readFileSync(results, "utf8"))
    assert.deepStrictEqual(testResults, [{ assertionResults: Array(3).fill({ status: "passed" }) }])
  })

  it("exits with 1 and a line for each difference", async () => {
    const from = write("other.json", but("fresh", "fail"))
    const results = join(dir, "failed.json")
    const { code, stdout } = await run(["--expected", expected, "--from", from, "--results", results])
    assert.strictEqual(
      stdout,
      `${from}: fresh: fail, expected pass\n` +
        `suite@1, ${from}: 0 required and 0 optional passed; of 3 verdicts not all are as expected\n`
    )
    assert.strictEqual(code, 1)
    const { testResults } = JSON.parse(readFileSync(results, "utf8"))
    assert.strictEqual(testResults[0].assertionResults.filter((test: any) => test.status === "failed").length, 1)
  })

  it("rewrites the verdicts and keeps the marks", async () => {
    const copy = join(dir, "copy.json")
    copyFileSync(expected, copy)
    const from = write("next.json", but("offset", "yes"))
    assert.strictEqual((await run(["--expected", copy, "--from", from, "--update"])).code, 0)
    assert.deepStrictEqual(JSON.parse(readFileSync(copy, "utf8")), { ...file, tests: { ...file.tests, offset: "yes" } })
  })

  it("says in one line that the registry cannot be reached", async () => {
    const { code, stderr, stdout } = await run([], {
      npm_config_registry: "http://127.0.0.1:9/",
      npm_config_noproxy: "127.0.0.1",
      npm_config_cache: join(dir, "npm")
    })
    assert.match(
      stderr,
      /^conformance: http-cache-tests@0\.4\.5 cannot be fetched from the registry of npm: ECONNREFUSED\n$/
    )
    assert.strictEqual(stdout, "")
    assert.strictEqual(code, 2)
  })

  it("has marks in the committed file only for what is not passed, each with a reason", () => {
    const { integrity, marks, tests }: Expected = JSON.parse(readFileSync(committed, "utf8"))
    const notPassed = Object.keys(tests).filter((id) => !["pass", "yes", "no"].includes(tests[id]!))
    const marked = marks.flatMap((mark) => mark.tests)
    assert.deepStrictEqual(marked.filter((id) => !notPassed.includes(id)), [])
    assert.strictEqual(new Set(marked).size, marked.length)
    assert.deepStrictEqual(marks.filter(({ reason }) => reason === ""), [])
    assert.match(integrity, /^sha512-/)
  })
})
