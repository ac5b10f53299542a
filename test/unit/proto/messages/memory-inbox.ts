/** A disk in memory for the receiving machine: what it asks for is done at once. It outlives connections, and kills. */
import { createHash } from 'node:crypto'
import { toHex } from '../../../../src/base/bytes.ts'
import { Receipts } from '../../../../src/proto/messages/receipts.ts'
import {
  type Arriving,
  receive,
  type Outcome,
  type ReceiverAsk,
  type ReceiverEnd,
  type Receiving,
} from '../../../../src/proto/messages/receiver.ts'

export interface Kept extends Arriving {
  readonly content: Buffer
}

export class MemoryInbox {
  readonly kept: Kept[] = []
  readonly parts = new Map<string, Buffer>()
  readonly #receipts = new Receipts()
  readonly #files = new Set<string>()
  /** Refuses everything with this text. */
  refusal: string | undefined
  now = 0

  has(messageId: string): boolean {
    return this.#receipts.has(this.now, 'peer', messageId)
  }

  keep(arriving: Arriving, content: Buffer): void {
    this.kept.push({ ...arriving, content })
    if (arriving.messageId !== undefined) this.#receipts.add(this.now, 'peer', arriving.messageId)
  }

  hasFile(key: string): boolean {
    return this.#files.has(key)
  }

  keepFile(key: string, name: string): void {
    const content = this.parts.get(key)!
    this.parts.delete(key)
    this.#files.add(key)
    this.kept.push({ type: 'FILE', name, bytes: content.length, content })
  }
}

/** One connection: bytes in, bytes out. */
export class MemoryConnection {
  readonly written: Buffer[] = []
  end: ReceiverEnd | undefined
  readonly #inbox: MemoryInbox
  readonly #machine: Receiving
  #arriving: Arriving | undefined
  #draft: Buffer[] = []
  #claim: { key: string; name: string; sha256: Uint8Array } | undefined

  constructor(inbox: MemoryInbox) {
    this.#inbox = inbox
    this.#machine = receive()
    this.#run(this.#machine.next())
  }

  get answers(): string {
    return Buffer.concat(this.written).toString('latin1')
  }

  /** @param bytes undefined: the end of the stream. */
  push(bytes: Uint8Array | undefined): void {
    if (this.end === undefined) this.#run(this.#machine.next(bytes === undefined ? {} : { bytes }))
  }

  #run(step: IteratorResult<ReceiverAsk, ReceiverEnd>): void {
    while (step.done !== true) {
      if (step.value.do === 'more') return
      step = this.#machine.next(this.#perform(step.value))
    }
    this.end = step.value
  }

  #perform(ask: ReceiverAsk): Outcome {
    const { refusal } = this.#inbox
    switch (ask.do) {
      case 'write':
        this.written.push(Buffer.from(ask.bytes))
        return {}
      case 'clock':
        return { ns: 1_000n }
      case 'begin':
        if (refusal !== undefined) return { refusal }
        if (ask.arriving.messageId !== undefined && this.#inbox.has(ask.arriving.messageId)) return { duplicate: true }
        this.#arriving = ask.arriving
        this.#draft = []
        return {}
      case 'append':
        this.#draft.push(Buffer.from(ask.bytes))
        return {}
      case 'commit':
        this.#inbox.keep(this.#arriving!, Buffer.concat(this.#draft))
        return {}
      case 'claim': {
        const { transfer, name, sha256 } = ask.init
        const key = `${toHex(transfer)} ${name}`
        if (refusal !== undefined) return { refusal }
        this.#claim = { key, name, sha256 }
        return this.#inbox.hasFile(key) ? { duplicate: true } : { offset: this.#inbox.parts.get(key)?.length ?? 0 }
      }
      case 'put': {
        const before = this.#inbox.parts.get(this.#claim!.key) ?? Buffer.alloc(0)
        this.#inbox.parts.set(this.#claim!.key, Buffer.concat([before, ask.bytes]))
        return {}
      }
      case 'finish': {
        const { key, name, sha256 } = this.#claim!
        const digest = createHash('sha256')
          .update(this.#inbox.parts.get(key) ?? '')
          .digest()
        if (!digest.equals(sha256)) return { refusal: 'damaged' }
        if (!this.#inbox.parts.has(key)) this.#inbox.parts.set(key, Buffer.alloc(0))
        this.#inbox.keepFile(key, name)
        return {}
      }
      case 'discard':
      case 'release':
      case 'more':
        return {}
    }
  }
}
