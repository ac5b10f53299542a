/**
 * Segments that came before others that are still missing: kept as blocks, each the bytes between two gaps, so that what
 * an acknowledgement tells (RFC 2018) stands there ready, however many segments wait.
 */
import { OUT_OF_ORDER_SEGMENTS } from './constants.ts'

interface Block {
  start: number // offsets
  end: number
  payloads: Uint8Array[] // in order, without gaps
  touchedAt: number // larger: changed later
}

export class EarlySegments {
  /** Held, bytes. */
  bytes = 0
  #blocks: Block[] = NO_BLOCKS // ascending, with a gap before each
  #segments = 0
  #touches = 0

  get empty(): boolean {
    return this.#blocks.length === 0
  }

  /** Takes ownership of `payload`, which is not empty. */
  insert(start: number, payload: Uint8Array): 'early' | 'old' | 'refused' {
    const blocks = this.#blocks
    let at = blocks.length // of the first block that begins behind `start`
    while (at > 0 && blocks[at - 1]!.start > start) at -= 1
    const before = blocks[at - 1]
    const after = blocks[at]
    // Overlaps come only from a sender that cuts anew; the bytes already here win.
    const from = Math.max(start, before?.end ?? start)
    const to = Math.min(start + payload.length, after?.start ?? Infinity)
    if (from >= to) return 'old'
    if (this.#segments >= OUT_OF_ORDER_SEGMENTS) return 'refused'
    const piece = to - from === payload.length ? payload : payload.subarray(from - start, to - start)
    this.#segments += 1
    this.bytes += piece.length
    this.#touches += 1
    if (before?.end === from) this.#extend(before, piece, at)
    else if (after?.start === to) {
      after.start = from
      after.payloads.unshift(piece)
      after.touchedAt = this.#touches
    } else {
      if (blocks === NO_BLOCKS) this.#blocks = []
      this.#blocks.splice(at, 0, { start: from, end: to, payloads: [piece], touchedAt: this.#touches })
    }
    return 'early'
  }

  /** The next bytes at `next`, or undefined; what lies below is dropped. */
  take(next: number): Uint8Array | undefined {
    for (let first = this.#blocks[0]; first !== undefined && first.start <= next; first = this.#blocks[0]) {
      const payload = first.payloads.shift()!
      const skip = next - first.start
      first.start += payload.length
      this.#segments -= 1
      this.bytes -= payload.length
      if (first.payloads.length === 0) this.#blocks.shift()
      if (skip < payload.length) return skip === 0 ? payload : payload.subarray(skip)
    }
    return undefined
  }

  /**
   * Writes at most `max` blocks as offset pairs, ascending: the lowest, or those that changed last (RFC 2018 §4), so that
   * the sender learns of each in time.
   * @returns the number of blocks written to `out`.
   */
  blocks(out: Float64Array, max: number, recent: boolean): number {
    const blocks = this.#blocks
    let least = -1 // of `touchedAt`, to be told of
    if (recent && blocks.length > max) {
      latest.length = 0
      for (const { touchedAt } of blocks) latest.push(touchedAt)
      least = latest.sort(descending)[max - 1]!
    }
    let count = 0
    for (let i = 0; i < blocks.length && count < max; i++) {
      const { start, end, touchedAt } = blocks[i]!
      if (touchedAt < least) continue
      out[2 * count] = start
      out[2 * count + 1] = end
      count += 1
    }
    return count
  }

  clear(): void {
    this.#blocks = NO_BLOCKS
    this.#segments = this.bytes = 0
  }

  #extend(block: Block, piece: Uint8Array, next: number): void {
    block.payloads.push(piece)
    block.end += piece.length
    block.touchedAt = this.#touches
    const after = this.#blocks[next]
    if (after === undefined || after.start !== block.end) return
    for (const payload of after.payloads) block.payloads.push(payload)
    block.end = after.end
    this.#blocks.splice(next, 1)
  }
}

const NO_BLOCKS: Block[] = [] // never written to
const latest: number[] = [] // scratch of one call
const descending = (a: number, b: number): number => b - a
