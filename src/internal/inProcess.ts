/**
 * Whether a backend is in this process with all it has: its answers come at once,
 * and its leases end with the process. What holds values sends them nowhere; one
 * that has a door for hits in front of another store, as a tiered one, holds bytes.
 */
import type { Operations } from "../Backend.js"

export const isInProcess = ({ holds, unsafe }: Pick<Operations, "holds" | "unsafe">): boolean =>
  unsafe !== undefined && holds === "values"
