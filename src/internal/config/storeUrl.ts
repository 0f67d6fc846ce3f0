/**
 * Addresses of stores: `scheme://[[username]:password@]host[:port][,host[:port]…][/path][?name=value]`.
 * Several hosts, and credentials with percent escapes, which `URL` does not take together.
 */
export interface StoreUrl {
  readonly scheme: string
  readonly username: string | undefined
  readonly password: string | undefined
  readonly hosts: ReadonlyArray<string>
  /** Without its first slash; `undefined` where there is none. */
  readonly path: string | undefined
  readonly parameters: URLSearchParams
}

const host = /^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i

/** The parts of the address; `undefined` where it is none. */
export const parse = (text: string): StoreUrl | undefined => {
  const parts = /^([a-z][a-z\d+.-]*):\/\/(?:([^@/?#]*)@)?([^@/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(text)
  if (parts === null) return undefined
  const [, scheme, credentials, names, path, query] = parts
  const hosts = names === "" ? [] : names!.split(",").map((name) => name.trim())
  if (!hosts.every((name) => host.test(name))) return undefined
  const colon = credentials?.indexOf(":") ?? -1
  try {
    const username = colon < 0 ? credentials : credentials!.slice(0, colon)
    return {
      scheme: scheme!.toLowerCase(),
      username: username === undefined || username === "" ? undefined : decodeURIComponent(username),
      password: colon < 0 ? undefined : decodeURIComponent(credentials!.slice(colon + 1)),
      hosts,
      path: path === undefined || path === "" ? undefined : decodeURIComponent(path),
      parameters: new URLSearchParams(query)
    }
  } catch {
    return undefined
  }
}
