/**
 * What the backend reads of one server: items, judged by what was cleared there.
 *
 * The namespace lives in two items. The list tells it; the hint is a random text
 * that every clear deletes. A read asks for the hint with the keys: while it is
 * the one we know, so is the list. Reads of one turn of the event loop are sent
 * together, each key once.
 */
import { newVersion } from "../derive.js"
import { type Failure, ofStatus } from "./failure.js"
import * as Item from "./item.js"
import * as Namespace from "./namespace.js"
import type { Node } from "./node.js"
import { getQuiet, opcodes, type Reply, type Request, statuses } from "./packets.js"

/** A key with its name, and the server it is on. */
export interface Place {
  readonly key: string
  readonly name: Item.Name
  readonly shard: Shard
}

/** What was there when we looked. */
export interface Found {
  /** `undefined` where there is nothing, what is there is foreign, or it has been cleared. */
  readonly item: Item.Item | undefined
  /** `undefined` where there is nothing at all. */
  readonly cas: Buffer | undefined
  readonly epoch: number
  /** `undefined` where the server knows none: nothing there is of any account then. */
  readonly namespace: Namespace.Namespace | undefined
}

export type OnFound = (failure: Failure | undefined, found: Found) => void
export type OnNamespace = (failure: Failure | undefined, namespace: Namespace.Namespace | undefined) => void

/** How long a list is taken for known, in milliseconds: the server evicts what nobody asks for. */
const longestKnown = 10_000
const largestBatch = 1_000

const nothing: Found = { item: undefined, cas: undefined, epoch: 0, namespace: undefined }

export class Shard {
  readonly hint: string
  readonly list: string
  /** The most bytes of an item; `undefined` where the server does not say. */
  limit: number | undefined
  private limitEpoch = -1
  private known: { hint: string; namespace: Namespace.Namespace; at: number } | undefined
  private reads = new Map<string, { readonly place: Place; readonly readers: Array<OnFound> }>()
  private asking: Array<OnNamespace> = []

  constructor(readonly node: Node, share: string) {
    this.hint = Item.reservedName(share, "hint", "")
    this.list = Item.reservedName(share, "list", "")
  }

  /** The namespace as it was a moment ago: to write with, and to ask for the hint along with it. */
  get recent(): Namespace.Namespace | undefined {
    const { known } = this
    return known !== undefined && performance.now() - known.at < longestKnown &&
        this.limitEpoch === this.node.epoch ?
      known.namespace :
      undefined
  }

  /** Whether the hint, just read, proves that the namespace is still the current one. */
  proves(hint: Reply | undefined, namespace: Namespace.Namespace): boolean {
    return hint !== undefined && this.recent === namespace && hint.value.toString("latin1") === this.known!.hint
  }

  forget(): void {
    this.known = undefined
  }

  /** What the reply to a get of the key says. */
  found(
    { key, name }: Place,
    reply: Reply | undefined,
    namespace: Namespace.Namespace | undefined,
    epoch: number
  ): Found {
    const item = reply && namespace && Item.decode(name, reply.value)
    return {
      item: item !== undefined && !Namespace.isVoid(namespace!, key, item.stamp) ? item : undefined,
      cas: reply?.cas,
      epoch,
      namespace
    }
  }

  read(place: Place, reader: OnFound): void {
    const same = this.reads.get(place.name.wire)
    if (same !== undefined) return void same.readers.push(reader)
    this.reads.set(place.name.wire, { place, readers: [reader] })
    if (this.reads.size === 1) queueMicrotask(() => this.flush())
    else if (this.reads.size === largestBatch) this.flush()
  }

  private flush(): void {
    const reads = [...this.reads.values()]
    if (reads.length === 0) return
    this.reads = new Map()
    const { epoch } = this.node
    this.node.send(
      [getQuiet(this.hint), ...reads.map(({ place }) => getQuiet(place.name.wire))],
      (failure, [hint, ...replies]) => {
        const finish: OnNamespace = (failure, namespace) => {
          reads.forEach(({ place, readers }, index) => {
            const found = failure === undefined ? this.found(place, replies[index], namespace, epoch) : nothing
            for (const reader of readers) reader(failure, found)
          })
        }
        const { recent } = this
        if (failure !== undefined) finish(failure, undefined)
        else if (recent !== undefined && this.proves(hint, recent)) finish(undefined, recent)
        else this.refresh(finish)
      }
    )
  }

  /** Asks the server for the namespace. All who ask in one turn of the event loop get one answer. */
  refresh(done: OnNamespace): void {
    this.asking.push(done)
    if (this.asking.length > 1) return
    queueMicrotask(() => {
      const { asking } = this
      this.asking = []
      this.ask((failure, namespace) => {
        for (const done of asking) done(failure, namespace)
      })
    })
  }

  private ask(done: OnNamespace): void {
    const { node } = this
    const { epoch } = node
    // The hint first: a list that is read after it is not older.
    const requests: Array<Request> = [getQuiet(this.hint), getQuiet(this.list)]
    if (this.limitEpoch !== epoch) requests.push({ opcode: opcodes.stat, key: "settings", stat: "item_size_max" })
    node.send(requests, (failure, [hint, list, settings]) => {
      if (failure !== undefined) return done(failure, undefined)
      if (this.limitEpoch !== node.epoch) {
        const limit = Number(settings?.value.toString("latin1"))
        this.limit = limit > 0 ? limit : undefined
        this.limitEpoch = node.epoch
      }
      if (hint !== undefined || list === undefined) return done(undefined, this.learn(hint, list))
      const hinting: Request = {
        opcode: opcodes.add,
        key: this.hint,
        expiration: 0,
        value: [Buffer.from(newVersion())]
      }
      node.send(
        [hinting, getQuiet(this.hint), getQuiet(this.list)],
        (failure, [, hint, list]) =>
          failure === undefined ? done(undefined, this.learn(hint, list)) : done(failure, undefined)
      )
    })
  }

  private learn(hint: Reply | undefined, list: Reply | undefined): Namespace.Namespace | undefined {
    const namespace = list && Namespace.decode(list.value)
    if (hint === undefined || namespace === undefined) {
      this.known = undefined
      return namespace
    }
    this.known = { hint: hint.value.toString("latin1"), namespace, at: performance.now() }
    return namespace
  }

  /** Makes the server's namespace where it has none. */
  establish(done: (failure: Failure | undefined) => void, attempts = 3): void {
    const value = [Namespace.encode(Namespace.make())]
    this.node.send(
      [{ opcode: opcodes.add, key: this.list, expiration: 0, value }, getQuiet(this.list)],
      (failure, [added, list]) => {
        if (failure !== undefined) return done(failure)
        if (added!.status === statuses.ok) {
          // Who knows the hint knows a list that is gone.
          return this.node.send([{ opcode: opcodes.delete, key: this.hint }], (failure) => done(failure))
        }
        if (added!.status !== statuses.exists) return done(ofStatus(added!.status))
        if (list === undefined || Namespace.decode(list.value) !== undefined || attempts === 0) return done(undefined)
        // Foreign bytes under our name.
        this.node.send(
          [{ opcode: opcodes.delete, key: this.list, cas: list.cas }],
          (failure) => failure === undefined ? this.establish(done, attempts - 1) : done(failure)
        )
      }
    )
  }
}
