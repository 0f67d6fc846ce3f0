/** Signals to servers, and what has become of them when these were delivered. */
import type { ChildProcess } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"

export const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

/** Sends the signal. Waits for the end of a server that it ends, and for the stop of every thread of one that it stops. */
export const signal = async (child: ChildProcess, name: NodeJS.Signals): Promise<void> => {
  if (child.pid === undefined || hasEnded(child)) return
  const ends = name === "SIGKILL" || name === "SIGTERM" || name === "SIGINT" || name === "SIGQUIT"
  const end = ends ? new Promise<void>((resolve) => child.once("exit", () => resolve())) : undefined
  child.kill(name)
  await (name === "SIGSTOP" ? stopped(child.pid) : end)
}

/** A signal is on its way when `kill` returns: until it has come to each thread the server may answer. */
export const stopped = async (pid: number): Promise<void> => {
  // What is not Linux tells nothing of it.
  if (!existsSync("/proc/self/task")) return
  while (threadsOf(pid).some(isRunning)) await new Promise((resolve) => setImmediate(resolve))
}

/** The threads of the process and of its children, as directories of /proc. */
const threadsOf = (pid: number): ReadonlyArray<string> => {
  const threads = listed(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`)
  const children = threads.flatMap((thread) => read(`${thread}/children`).split(" ").filter((child) => child !== ""))
  return [...threads, ...children.flatMap((child) => threadsOf(Number(child)))]
}

/** proc(5): the state comes after the name, which may have anything in it. */
const isRunning = (thread: string): boolean => {
  const stat = read(`${thread}/stat`)
  return stat !== "" && !/\) [TtZX] [^)]*$/.test(stat)
}

const listed = (directory: string): ReadonlyArray<string> => {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}
