/**
 * Sees to it, before the first test, that the servers the tests start are installed.
 */
import { spawnSync } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"

interface Tool {
  /** The program the tests run. */
  readonly binary: string
  /** The Debian package that has it, and those that it needs and does not name. */
  readonly apt: string
  /** The service the package starts by itself; the tests start their own. */
  readonly service?: string
}

const tools: ReadonlyArray<Tool> = [
  { binary: "memcached", apt: "memcached", service: "memcached" },
  { binary: "openssl", apt: "openssl" },
  { binary: "redis-server", apt: "redis-server", service: "redis-server" },
  { binary: "saslpasswd2", apt: "sasl2-bin libsasl2-modules" },
  { binary: "redis-sentinel", apt: "redis-sentinel", service: "redis-sentinel" },
  { binary: "redis-cli", apt: "redis-tools" },
  { binary: "uwsgi-core", apt: "uwsgi-core" }
]

const folders = (process.env["PATH"] ?? "").split(delimiter)

const isInstalled = ({ binary }: Tool): boolean =>
  folders.some((folder) => {
    try {
      accessSync(join(folder, binary), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

const asRoot = process.getuid?.() === 0 ? [] : ["sudo", "-n"]

const run = (...command: Array<string>) => {
  const [program, ...args] = [...asRoot, "env", "DEBIAN_FRONTEND=noninteractive", ...command]
  return spawnSync(program!, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
}

const aptGet = (...args: Array<string>) => run("apt-get", "-o", "DPkg::Lock::Timeout=120", "-qq", ...args)

const ensure = (tools: ReadonlyArray<Tool>): void => {
  const missing = tools.filter((tool) => !isInstalled(tool))
  if (missing.length === 0) return
  const packages = missing.flatMap((tool) => tool.apt.split(" "))
  console.log(`installing ${packages.join(", ")} for the tests`)
  aptGet("update")
  const installed = aptGet("install", "-y", "--no-install-recommends", ...packages)
  for (const { service } of missing) {
    if (service !== undefined && installed.status === 0) run("service", service, "stop")
  }
  const absent = missing.filter((tool) => !isInstalled(tool))
  if (absent.length > 0) {
    throw new Error(
      `the tests need ${absent.map((tool) => tool.binary).join(", ")} on the PATH` +
        `: apt-get install ${absent.map((tool) => tool.apt).join(" ")}`
    )
  }
}

export default (): void => ensure(tools)
