/**
 * Data that a daemon has pushed for one stream and that is not read yet. A daemon cannot be slowed down: data left on
 * its socket blocks its pushers, then the whole daemon. So everything is read immediately and held here, and a reader
 * that falls too far behind loses its stream (docs/decisions/0013).
 */
import { ChunkQueue } from '../../base/chunk-queue.ts'

/** Bytes that all streams of one daemon hold together. */
export class InboxBudget {
  readonly #holders = new Set<Inbox>()
  #bytes = 0

  /** Before its reader is notified: nothing is held uncounted. */
  add(inbox: Inbox, bytes: number): void {
    this.#bytes += bytes
    this.#holders.add(inbox)
    if (inbox.bytes > STREAM_INBOX_BYTES) inbox.overflow()
    else if (this.#bytes > ALL_INBOX_BYTES)
      [...this.#holders].reduce((most, one) => (one.bytes > most.bytes ? one : most)).overflow()
  }

  remove(inbox: Inbox, bytes: number): void {
    this.#bytes -= bytes
    if (inbox.bytes === 0) this.#holders.delete(inbox)
  }
}

export interface InboxReader {
  onBytes(): void
  /** The peer ended, reset or vanished: a daemon does not report which. */
  onEnd(): void
  onFailure(code: 'TOO_MANY' | 'DAEMON_UNREACHABLE', text: string): void
}

export class Inbox {
  readonly #budget: InboxBudget
  readonly #chunks = new ChunkQueue()
  #bytes = 0
  #reader: InboxReader | undefined
  ended = false
  /** Set if data is still missing. */
  failure: { readonly code: 'TOO_MANY' | 'DAEMON_UNREACHABLE'; readonly text: string } | undefined

  constructor(budget: InboxBudget) {
    this.#budget = budget
  }

  get bytes(): number {
    return this.#bytes
  }

  /** From now on the reader is notified; it must check for earlier data itself. */
  attach(reader: InboxReader): void {
    this.#reader = reader
  }

  /** Takes ownership. */
  push(data: Uint8Array): void {
    if (data.length === 0 || this.ended || this.failure !== undefined) return
    this.#chunks.push(data)
    this.#bytes += data.length
    this.#budget.add(this, data.length)
    if (this.failure === undefined) this.#reader?.onBytes()
  }

  shift(): Uint8Array | undefined {
    const chunk = this.#chunks.shift()
    if (chunk === undefined) return undefined
    this.#bytes -= chunk.length
    this.#budget.remove(this, chunk.length)
    return chunk
  }

  end(): void {
    if (this.ended || this.failure !== undefined) return
    this.ended = true
    this.#reader?.onEnd()
  }

  overflow(): void {
    this.fail(
      'TOO_MANY',
      `the local program is ${Math.round(this.#bytes / 1_048_576)} MiB behind, and a daemon's sender cannot be slowed down`,
    )
  }

  fail(code: 'TOO_MANY' | 'DAEMON_UNREACHABLE', text: string): void {
    if (this.ended || this.failure !== undefined) return
    this.failure = { code, text }
    this.clear()
    this.#reader?.onFailure(code, text)
  }

  clear(): void {
    const bytes = this.#bytes
    this.#chunks.clear()
    this.#bytes = 0
    this.#budget.remove(this, bytes)
  }
}

/** One stream: a few seconds of a fast sender, enough for a reader that pauses, not for one that never reads. */
const STREAM_INBOX_BYTES = 67_108_864
/** All streams: the one that holds most is reset first. */
const ALL_INBOX_BYTES = 268_435_456
