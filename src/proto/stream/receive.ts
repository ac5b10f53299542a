/**
 * The receiving half of a stream: segments → bytes in order. Neighbours: stream.ts above.
 * Keeps what came early, tells what to acknowledge, and holds the peer to the window it was given.
 * Positions are offsets as in send.ts.
 */
import { ChunkQueue } from '../../base/chunk-queue.ts'
import * as k from './constants.ts'

/** What became of a segment. */
export type SegmentFate = 'in_order' | 'early' | 'old' | 'refused'

/** Unread bytes of all streams of one node. */
export interface ReceiveBudget { usedBytes: number }

interface EarlySegment {
  start: number
  end: number
  payload: Uint8Array
}

export class Receiver {
  /** First offset not yet received. */
  next = 0
  /** Every byte of the peer, and its FIN, is here. */
  finished = false
  #queue = new ChunkQueue()
  #queuedBytes = 0
  #early: EarlySegment[] = [] // ascending, not overlapping
  #earlyBytes = 0
  #recent: number[] = [] // starts of the latest early segments, newest last
  #finOffset = -1
  #edge = 0 // first offset that we told the peer not to send
  #plain = false
  #closed = false
  #limit = k.RECEIVE_INITIAL_BYTES
  #readSinceGrowth = 0
  readonly #budget: ReceiveBudget

  constructor (budget: ReceiveBudget) {
    this.#budget = budget
  }

  /** A peer without WINDOW_BYTES counts slots, and overshoots. */
  configure (plain: boolean): void {
    this.#plain = plain
  }

  get queuedBytes (): number { return this.#queuedBytes }
  get hasGap (): boolean { return this.#early.length > 0 }
  /** The peer ended at an offset that has not been reached yet. */
  get finSeen (): boolean { return this.#finOffset >= 0 }

  /** Takes ownership of `payload`. */
  handleSegment (offset: number, payload: Uint8Array, fin: boolean): SegmentFate {
    const end = offset + payload.length
    if (fin) {
      if (this.#finOffset >= 0 && this.#finOffset !== end) return 'refused'
      if (end < this.next) return 'old'
    } else if (end <= this.next) return 'old'
    if (this.#closed || (this.#finOffset >= 0 && end > this.#finOffset)) return this.#closed ? 'old' : 'refused'
    if (end > this.#edge + this.#slack) return 'refused'
    if (fin) this.#finOffset = end
    if (offset > this.next) return this.#keepEarly(offset, end, payload)
    if (payload.length > 0) this.#append(offset < this.next ? payload.subarray(this.next - offset) : payload)
    if (this.#early.length > 0) this.#pullEarly()
    this.#checkFin()
    return 'in_order'
  }

  /** The peer ended without sequencing its FIN (no HALF_CLOSE): what is missing will never come. */
  handlePlainFin (offset: number): 'clean' | 'truncated' {
    const clean = offset === this.next && this.#early.length === 0
    this.#early = []
    this.#earlyBytes = 0
    this.finished = true
    return clean ? 'clean' : 'truncated'
  }

  /** The next bytes for the reader, in arrays as they came; the reader owns them. */
  read (): Uint8Array | undefined {
    const chunk = this.#queue.shift()
    if (chunk === undefined) return undefined
    this.#queuedBytes -= chunk.length
    this.#budget.usedBytes -= chunk.length
    this.#readSinceGrowth += chunk.length
    // A reader that has emptied the whole window is worth a larger one, while memory is not short.
    if (this.#readSinceGrowth >= this.#limit && this.#limit < k.RECEIVE_LIMIT_BYTES && this.#budget.usedBytes < k.RECEIVE_BUDGET_BYTES) {
      this.#limit *= 2
      this.#readSinceGrowth = 0
    }
    return chunk
  }

  /** Free room, bytes, that may be promised to the peer now. */
  get freeBytes (): number {
    const limit = this.#budget.usedBytes < k.RECEIVE_BUDGET_BYTES ? this.#limit : k.RECEIVE_INITIAL_BYTES
    return Math.max(0, limit - this.#queuedBytes)
  }

  /** The window of a SYN or SYN-ACK: always slots, since the other side has not agreed to anything yet. */
  takeInitialWindow (): number {
    const slots = Math.min(Math.floor((this.freeBytes - (k.PLAIN_SLOT_BYTES - 1)) / k.PLAIN_SLOT_BYTES), k.PLAIN_MAX_SLOTS)
    this.#edge = Math.max(this.#edge, slots * k.PLAIN_SLOT_BYTES)
    return slots
  }

  /** The window field to send: units of 2^WINDOW_SHIFT bytes, or slots for a plain peer. Promises are kept: the edge never moves back. */
  takeWindow (): number {
    if (this.#plain) {
      const slots = Math.floor((this.freeBytes - this.#earlyBytes - (k.PLAIN_SLOT_BYTES - 1)) / k.PLAIN_SLOT_BYTES)
      const field = Math.min(Math.max(slots, 1), k.PLAIN_MAX_SLOTS) // 0 would mean 'no limit' (stream.md Q4)
      this.#edge = Math.max(this.#edge, this.next + field * k.PLAIN_SLOT_BYTES)
      return field
    }
    const unit = 2 ** k.WINDOW_SHIFT
    const field = Math.min(Math.max(Math.floor(this.freeBytes / unit), Math.floor((this.#edge - this.next) / unit), 0), 0xffff)
    this.#edge = Math.max(this.#edge, this.next + field * unit)
    return field
  }

  /** The reader made so much room since the last promise that the peer should hear of it. */
  get windowUpdateDue (): boolean {
    if (this.#plain || this.finished) return false
    const opened = this.next + this.freeBytes - this.#edge
    return opened >= this.#limit / k.WINDOW_UPDATE_SHARE ||
      (this.#edge - this.next < k.OWN_MAX_SEGMENT_BYTES && opened >= this.#limit / 16) // the peer may be waiting for room
  }

  /**
   * SACK blocks as offset pairs, ascending, at most `max`: for a plain peer the lowest, as its own kind sends them;
   * else the ones that changed last among them (RFC 2018 §4), so that the sender learns of every block in time.
   * @returns the number of blocks written to `out`.
   */
  sackBlocks (out: Float64Array, max: number): number {
    let count = this.#mergeBlocks(out, this.#plain ? max : out.length / 2)
    if (count > max) count = this.#keepRecent(out, count, max)
    return count
  }

  /** Nobody will read any more: forget everything, take nothing. */
  clear (): void {
    this.#queue.clear()
    this.#budget.usedBytes -= this.#queuedBytes
    this.#queuedBytes = 0
    this.#early = []
    this.#earlyBytes = 0
    this.#closed = true
  }

  /** Bytes beyond the promised edge that are still taken: a plain sender overshoots by up to one segment. */
  get #slack (): number {
    return this.#plain ? 64 * k.PLAIN_SLOT_BYTES : 1 // 1: a FIN takes sequence space, not buffer
  }

  #append (payload: Uint8Array): void {
    this.#queue.push(payload)
    this.#queuedBytes += payload.length
    this.#budget.usedBytes += payload.length
    this.next += payload.length
  }

  #checkFin (): void {
    if (this.#finOffset === this.next && !this.finished) {
      this.next += 1
      this.finished = true
    }
  }

  #pullEarly (): void {
    let taken = 0
    for (const early of this.#early) {
      if (early.start > this.next) break
      taken += 1
      this.#earlyBytes -= early.payload.length
      if (early.end > this.next) this.#append(early.start < this.next ? early.payload.subarray(this.next - early.start) : early.payload)
    }
    if (taken > 0) this.#early.splice(0, taken)
    if (this.#early.length === 0) this.#recent.length = 0
  }

  #keepEarly (start: number, end: number, payload: Uint8Array): SegmentFate {
    if (payload.length === 0) return 'early' // a FIN ahead of its data: its place is noted
    const early = this.#early
    let at = early.length
    while (at > 0 && early[at - 1]!.start > start) at -= 1
    // Overlaps come only from a sender that cuts anew; the piece already here wins.
    const from = Math.max(start, early[at - 1]?.end ?? start)
    const to = Math.min(end, early[at]?.start ?? end)
    if (from >= to) return 'old'
    if (early.length >= k.OUT_OF_ORDER_SEGMENTS) return 'refused'
    const piece = from === start && to === end ? payload : payload.subarray(from - start, to - start)
    early.splice(at, 0, { start: from, end: to, payload: piece })
    this.#earlyBytes += piece.length
    this.#recent.push(from)
    if (this.#recent.length > RECENT) this.#recent.shift()
    return 'early'
  }

  #mergeBlocks (out: Float64Array, most: number): number {
    let count = 0
    for (const early of this.#early) {
      if (count > 0 && out[2 * count - 1] === early.start) out[2 * count - 1] = early.end
      else {
        if (count === most) break
        out[2 * count] = early.start
        out[2 * count + 1] = early.end
        count += 1
      }
    }
    return count
  }

  #keepRecent (out: Float64Array, count: number, max: number): number {
    const chosen = new Set<number>()
    for (let i = this.#recent.length - 1; i >= 0 && chosen.size < max; i--) {
      const start = this.#recent[i]!
      for (let block = 0; block < count; block++) {
        if (out[2 * block]! <= start && start < out[2 * block + 1]!) chosen.add(block)
      }
    }
    for (let block = 0; block < count && chosen.size < max; block++) chosen.add(block)
    let kept = 0
    for (let block = 0; block < count; block++) {
      if (!chosen.has(block)) continue
      out[2 * kept] = out[2 * block]!
      out[2 * kept + 1] = out[2 * block + 1]!
      kept += 1
    }
    return kept
  }
}

const RECENT = 8 // early segments remembered as recent: twice the blocks of one ACK
