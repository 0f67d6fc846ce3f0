/**
 * The calls of `node:fs` that are needed, as promises: a few files open at a
 * time, no link followed, nothing readable by others.
 */
import * as Fs from "node:fs"
import { promisify } from "node:util"
import { codeOf } from "./failure.js"
import * as Format from "./format.js"

export const mkdir = promisify(Fs.mkdir)
export const rename = promisify(Fs.rename)
export const link = promisify(Fs.link)
export const unlink = promisify(Fs.unlink)
export const rmdir = promisify(Fs.rmdir)
export const lstat = promisify(Fs.lstat)
const readdir = promisify(Fs.readdir)

export const folderMode = 0o700
const fileMode = 0o600

// Zero where a system does not have them.
const { O_NOFOLLOW = 0, O_NONBLOCK = 0, O_RDONLY, O_TRUNC, O_WRONLY } = Fs.constants
// Without O_NONBLOCK, a pipe in the place of a file would hold a thread for ever.
const forReading = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
const forOverwriting = O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK

/** Whether the promise was kept, where a refusal with one of the codes counts as an answer. */
export const succeeds = (promise: Promise<unknown>, ...codes: ReadonlyArray<string>): Promise<boolean> =>
  promise.then(() => true, (error) => {
    if (codes.includes(codeOf(error)!)) return false
    throw error
  })

/** The promise, without its outcome. */
export const ignoring = (promise: Promise<unknown>): Promise<void> => promise.then(() => {}, () => {})

/** The names in a folder, none where there is no such folder. */
export const namesIn = (folder: string): Promise<ReadonlyArray<string>> =>
  readdir(folder).catch((error) => {
    if (codeOf(error) === "ENOENT") return []
    throw error
  })

/** Runs `f` for each of the items, for some at a time. */
export const each = async <A>(items: ReadonlyArray<A>, f: (item: A) => Promise<unknown>): Promise<void> => {
  let next = 0
  const work = async () => {
    while (next < items.length) await f(items[next++]!)
  }
  await Promise.all(Array.from({ length: Math.min(16, items.length) }, work))
}

// -----------------------------------------------------------------------------
// open files
// -----------------------------------------------------------------------------

/** As every read has a file open while others wait for a thread, a thousand at once would run out of descriptors. */
const maxOpen = 64
let open = 0
const waiting: Array<() => void> = []

const enter = (run: () => void): void => {
  if (open >= maxOpen) return void waiting.push(run)
  open++
  run()
}

const leave = (): void => {
  const next = waiting.shift()
  if (next === undefined) open--
  else next()
}

const chunkBytes = 16 * 1024
/** Buffers that no read uses at the moment. */
const chunks: Array<Buffer> = []

/** In the place of a file that is there and not ours, or not whole. */
export const damaged = Symbol("damaged")

/**
 * What `use` makes of the file, of which it must not keep a view; `undefined`
 * where there is none. A link is a damaged file, and so is a pipe.
 */
export const read = <A>(path: string, use: (stored: Format.Stored) => A): Promise<A | typeof damaged | undefined> =>
  new Promise((resolve, reject) =>
    enter(() =>
      Fs.open(path, forReading, (error, file) => {
        if (error !== null) {
          leave()
          if (error.code === "ENOENT") resolve(undefined)
          else if (error.code === "ELOOP") resolve(damaged)
          else reject(error)
          return
        }
        const chunk = chunks.pop() ?? Buffer.allocUnsafeSlow(chunkBytes)
        const end = (error: Error | null, bytes: Buffer | undefined) => {
          Fs.close(file, leave)
          try {
            const stored = bytes && Format.decode(bytes)
            if (error === null) resolve(stored === undefined ? damaged : use(stored))
            else reject(error)
          } catch (error) {
            reject(error)
          }
          chunks.push(chunk)
        }
        Fs.read(file, chunk, 0, chunkBytes, null, (error, length) => {
          if (error !== null || length < chunkBytes) return end(error, chunk.subarray(0, length))
          const size = Format.lengthOf(chunk)
          if (size === undefined) return end(null, undefined)
          Fs.fstat(file, (error, stats) => {
            if (error !== null || stats.size !== size) return end(error, undefined)
            const whole = Buffer.allocUnsafeSlow(size)
            whole.set(chunk)
            fill(file, whole, chunkBytes, (error, length) => end(error, whole.subarray(0, length)))
          })
        })
      })
    )
  )

const fill = (file: number, buffer: Buffer, at: number, done: (error: Error | null, length: number) => void): void => {
  if (at === buffer.length) return done(null, at)
  Fs.read(file, buffer, at, buffer.length - at, null, (error, length) => {
    if (error !== null || length === 0) done(error, at)
    else fill(file, buffer, at + length, done)
  })
}

/** Writes a file that must not be there (`"new"`), or must (`"old"`). With `sync` it is on the disk afterwards. */
export const write = (path: string, which: "new" | "old", bytes: Uint8Array, sync: boolean): Promise<void> =>
  new Promise((resolve, reject) =>
    enter(() =>
      Fs.open(path, which === "new" ? "wx" : forOverwriting, fileMode, (error, file) => {
        if (error !== null) {
          leave()
          return reject(error)
        }
        const end = (error: Error | null) =>
          Fs.close(file, (closing) => {
            leave()
            if (error === null && (closing === null || closing === undefined)) resolve()
            else reject(error ?? closing)
          })
        const from = (at: number): void => {
          if (at === bytes.length) return sync ? Fs.fsync(file, end) : end(null)
          Fs.write(file, bytes, at, bytes.length - at, null, (error, length) => {
            if (error !== null) end(error)
            else from(at + length)
          })
        }
        from(0)
      })
    )
  )

/** Makes what was renamed into the folder survive a loss of power. */
export const syncFolder = (folder: string): Promise<void> =>
  new Promise((resolve, reject) =>
    Fs.open(folder, O_RDONLY, (error, file) => {
      if (error !== null) return reject(error)
      Fs.fsync(file, (error) =>
        Fs.close(file, () => {
          if (error === null) resolve()
          else reject(error)
        }))
    })
  )
