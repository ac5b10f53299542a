/**
 * The receiving half of a stream: segments → bytes in order. Neighbours: stream.ts above. Keeps early data, reports
 * what to acknowledge, and holds the peer to its window. Positions are offsets as in send.ts.
 */
import { ChunkQueue } from '../../base/chunk-queue.ts'
import type { Instant } from '../../base/types.ts'
import * as k from './constants.ts'
import { EarlySegments } from './early.ts'
import type { Budget, PlainRules } from './lifecycle.ts'

/** The result for a segment. */
export type SegmentFate = 'in_order' | 'early' | 'old' | 'refused'

export class Receiver {
  /** First offset not yet received. */
  next = 0
  /** Every byte of the peer, and its FIN, has arrived. */
  finished = false
  #queue = new ChunkQueue()
  #queuedBytes = 0
  readonly #early = new EarlySegments()
  #earlyBytes = 0 // of the budget
  #finOffset = -1
  #edge = 0 // first offset that the peer must not send
  #plain = false
  #closed = false
  #limit = k.RECEIVE_INITIAL_BYTES
  #roundAt: Instant = 0 // start of the round trip over which `#roundBytes` is counted
  #roundBytes = 0
  readonly #budget: Budget
  readonly #rules: PlainRules
  /** The window of a plain peer of today was closed, and nothing has come since. */
  wasClosed = false

  constructor(budget: Budget, rules: PlainRules) {
    this.#budget = budget
    this.#rules = rules
  }

  /** A peer without WINDOW_BYTES counts slots, and overshoots. */
  configure(plain: boolean): void {
    this.#plain = plain
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }
  get hasGap(): boolean {
    return !this.#early.empty
  }
  /** The peer ended at an offset that has not been reached yet. */
  get finSeen(): boolean {
    return this.#finOffset >= 0
  }

  /** Takes ownership of `payload`. */
  handleSegment(offset: number, payload: Uint8Array, fin: boolean): SegmentFate {
    const end = offset + payload.length
    if (fin) {
      if (this.#finOffset >= 0 && this.#finOffset !== end) return 'refused'
      if (end < this.next) return 'old'
    } else if (end <= this.next) return 'old'
    if (this.#closed || this.finished) return 'old'
    if (this.#finOffset >= 0 && end > this.#finOffset) return 'refused'
    if (end > this.#edge + this.#slack) return 'refused'
    if (fin) this.#finOffset = end
    if (offset > this.next) return payload.length === 0 ? 'early' : this.#insertEarly(offset, payload) // a FIN ahead of its data: its place is noted
    if (payload.length > 0) this.#append(offset < this.next ? payload.subarray(this.next - offset) : payload)
    if (!this.#early.empty) {
      this.#pullEarly()
      this.#countEarly()
    }
    this.#checkFin()
    return 'in_order'
  }

  /** The peer ended without sequencing its FIN (no HALF_CLOSE): missing data will never arrive. */
  handlePlainFin(offset: number): 'clean' | 'truncated' {
    const clean = offset === this.next && this.#early.empty
    this.dropEarly()
    this.finished = true
    return clean ? 'clean' : 'truncated'
  }

  /**
   * The next bytes for the reader, which owns them: arrays as received, small ones merged. Each array costs the reader
   * a system call, and the segments of an ordinary path are small.
   */
  read(): Uint8Array | undefined {
    const chunk = this.#queue.shiftTogether(k.GATHERED_BELOW_BYTES, k.GATHERED_BYTES)
    if (chunk === undefined) return undefined
    this.#queuedBytes -= chunk.length
    this.#budget.usedBytes -= chunk.length
    this.#roundBytes += chunk.length
    return chunk
  }

  /**
   * The reader took bytes. The window follows what it consumes in a round trip: less than twice that would leave the
   * path idle, and a reader that does not keep up should hold no more than initially.
   * @param rttMs 0 if unknown.
   */
  onRead(now: Instant, rttMs: number): void {
    const roundMs = rttMs === 0 ? k.RECEIVE_ROUND_UNKNOWN_MS : Math.max(rttMs, k.RECEIVE_ROUND_MIN_MS)
    if (now - this.#roundAt < roundMs && this.#roundBytes < this.#limit) return
    if (2 * this.#roundBytes > this.#limit && this.#budget.usedBytes < k.RECEIVE_BUDGET_BYTES) {
      this.#limit = Math.min(2 * this.#roundBytes, 2 * this.#limit, k.RECEIVE_LIMIT_BYTES)
    }
    this.#roundAt = now
    this.#roundBytes = 0
  }

  /** Free space, bytes, that may be advertised to the peer now. */
  get freeBytes(): number {
    return Math.max(0, this.#grantedBytes - this.#queuedBytes)
  }

  get #grantedBytes(): number {
    return this.#budget.usedBytes < k.RECEIVE_BUDGET_BYTES ? this.#limit : k.RECEIVE_INITIAL_BYTES
  }

  /** The window of a SYN or SYN-ACK: always slots, since the other side has not agreed to any options yet. */
  takeInitialWindow(): number {
    const slots = Math.min(
      Math.floor((this.freeBytes - (k.PLAIN_SLOT_BYTES - 1)) / k.PLAIN_SLOT_BYTES),
      k.PLAIN_MAX_SLOTS,
    )
    this.#edge = Math.max(this.#edge, slots * k.PLAIN_SLOT_BYTES)
    return slots
  }

  /** The window field to send: units of 2^WINDOW_SHIFT bytes, or slots for a plain peer. Promises are kept: the edge never moves back. */
  takeWindow(): number {
    if (this.#plain && this.#rules.isToday) return this.#takeTodaysWindow()
    if (this.#plain) {
      const slots = Math.floor((this.freeBytes - this.#early.bytes - (k.PLAIN_SLOT_BYTES - 1)) / k.PLAIN_SLOT_BYTES)
      const field = Math.min(Math.max(slots, 1), k.PLAIN_MAX_SLOTS) // 0 would mean 'no limit' (stream.md Q4)
      this.#edge = Math.max(this.#edge, this.next + field * k.PLAIN_SLOT_BYTES)
      return field
    }
    const unit = 2 ** k.WINDOW_SHIFT
    const field = Math.min(
      Math.max(Math.floor(this.freeBytes / unit), Math.floor((this.#edge - this.next) / unit), 0),
      0xffff,
    )
    this.#edge = Math.max(this.#edge, this.next + field * unit)
    return field
  }

  /** In its own segments, and 0 when nothing more fits (quirk Q25). */
  #takeTodaysWindow(): number {
    const free = Math.max(this.freeBytes - this.#early.bytes, this.#edge - this.next)
    const field = Math.min(Math.max(Math.floor(free / k.TODAY_SLOT_BYTES), 0), k.TODAY_MAX_SLOTS)
    this.#edge = Math.max(this.#edge, this.next + field * k.TODAY_SLOT_BYTES)
    if (field === 0) this.wasClosed = true
    return field
  }

  /** The reader freed so much space since the last advertisement that the peer should be told. */
  get windowUpdateDue(): boolean {
    if ((this.#plain && !this.#rules.isToday) || this.finished) return false
    const opened = this.next + this.freeBytes - this.#edge
    return (
      opened >= this.#limit / k.WINDOW_UPDATE_SHARE ||
      (this.#edge - this.next < k.OWN_MAX_SEGMENT_BYTES && opened >= this.#limit / 16)
    ) // the peer may be waiting for space
  }

  /**
   * SACK blocks as offset pairs, ascending, at most `max`: for a plain peer the lowest, as the reference sends them;
   * otherwise including the most recently changed (RFC 2018 §4), so that the sender learns of every block in time.
   * @returns the number of blocks written to `out`.
   */
  sackBlocks(out: Float64Array, max: number): number {
    return this.#early.blocks(out, max, !this.#plain)
  }

  /** Missing data will never arrive; data in order may still be read. */
  dropEarly(): void {
    this.#early.clear()
    this.#countEarly()
  }

  /** The reader is gone: discard everything, accept nothing. */
  clear(): void {
    this.#queue.clear()
    this.#budget.usedBytes -= this.#queuedBytes
    this.#queuedBytes = 0
    this.dropEarly()
    this.#closed = true
  }

  /** Bytes beyond the advertised edge that are still accepted: a plain sender overshoots by up to one segment. */
  get #slack(): number {
    return this.#plain ? 64 * k.PLAIN_SLOT_BYTES : 1 // 1: a FIN takes sequence space, not buffer
  }

  #append(payload: Uint8Array): void {
    this.wasClosed = false
    this.#queue.push(payload)
    this.#queuedBytes += payload.length
    this.#budget.usedBytes += payload.length
    this.next += payload.length
  }

  /**
   * A peer that sends single bytes could make us keep far more than its window: the number of segments is limited too.
   */
  #insertEarly(offset: number, payload: Uint8Array): SegmentFate {
    const fate = this.#early.insert(offset, payload, this.#grantedBytes / k.EARLY_SEGMENT_BYTES)
    this.#countEarly()
    return fate
  }

  /** After each change of the early data. */
  #countEarly(): void {
    const bytes = this.#early.bytes + this.#early.segments * k.EARLY_SEGMENT_BYTES
    this.#budget.usedBytes += bytes - this.#earlyBytes
    this.#earlyBytes = bytes
  }

  #checkFin(): void {
    if (this.#finOffset === this.next && !this.finished) {
      this.next += 1
      this.finished = true
    }
  }

  #pullEarly(): void {
    for (let payload = this.#early.take(this.next); payload !== undefined; payload = this.#early.take(this.next))
      this.#append(payload)
  }
}
