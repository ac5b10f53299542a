/**
 * What a daemon has pushed for one stream and nobody has read yet. A daemon cannot be slowed down: whatever we leave on
 * its socket blocks its pushers, then all of it. So everything is taken at once and held here, and a reader that falls
 * too far behind loses its stream (docs/decisions/0013).
 */
import { ChunkQueue } from '../../base/chunk-queue.ts'

/** Bytes that all streams of one daemon hold together. */
export class InboxBudget {
  readonly #holders = new Set<Inbox>()
  #bytes = 0

  /** Before its reader is told: nothing is held that was not counted. */
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
  /** The peer's end, or its reset, or that it is gone: a daemon does not tell which. */
  onEnd(): void
  onFailure(code: 'TOO_MANY' | 'DAEMON_UNREACHABLE', text: string): void
}

export class Inbox {
  readonly #budget: InboxBudget
  readonly #chunks = new ChunkQueue()
  #bytes = 0
  #reader: InboxReader | undefined
  ended = false
  /** Set when what has arrived is not all that will have been sent. */
  failure: { readonly code: 'TOO_MANY' | 'DAEMON_UNREACHABLE'; readonly text: string } | undefined

  constructor(budget: InboxBudget) {
    this.#budget = budget
  }

  get bytes(): number {
    return this.#bytes
  }

  /** From now on the reader is told; what came before it must look for itself. */
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

/** One stream: some seconds of a fast sender, enough for a pause of its reader, not for a reader that never comes. */
const STREAM_INBOX_BYTES = 67_108_864
/** All streams: the one that holds most goes first. */
const ALL_INBOX_BYTES = 268_435_456
