/**
 * Segments that arrived ahead of missing ones, kept as blocks between gaps, so that the content of an acknowledgement
 * (RFC 2018) is ready, however many segments wait. The cost of a segment does not grow with the number that wait, in
 * any order, because a peer chooses both.
 */
import { MAX_GAPS, OUT_OF_ORDER_SEGMENTS } from './constants.ts'

/** The payloads form a list, so that growing at either end and merging two blocks cost equally little. */
interface Block {
  start: number // offsets
  end: number
  first: Piece
  last: Piece
}

interface Piece {
  readonly payload: Uint8Array
  next: Piece | undefined
}

export class EarlySegments {
  /** Held, bytes. */
  bytes = 0
  /** And in how many segments. */
  segments = 0
  /** Blocks visited so far; tests check a bound on it. */
  looks = 0
  #blocks: Block[] = NO_BLOCKS // ascending, with a gap before each
  /** The most recently changed ones, latest first, at most MAX_LATEST. */
  #latest: Block[] = NO_BLOCKS

  get empty(): boolean {
    return this.#blocks.length === 0
  }

  /** Takes ownership of `payload`, which is not empty. @param maxSegments held at once. */
  insert(start: number, payload: Uint8Array, maxSegments = OUT_OF_ORDER_SEGMENTS): 'early' | 'old' | 'refused' {
    const blocks = this.#blocks
    const at = this.#indexBehind(start)
    const before = blocks[at - 1]
    const after = blocks[at]
    // Overlaps come only from a sender that splits differently on retransmission; the bytes already here win.
    const from = Math.max(start, before?.end ?? start)
    const to = Math.min(start + payload.length, after?.start ?? Infinity)
    if (from >= to) return 'old'
    const joinsBefore = before?.end === from
    const joinsAfter = after?.start === to
    if (this.segments >= Math.min(maxSegments, OUT_OF_ORDER_SEGMENTS)) return 'refused'
    if (!joinsBefore && !joinsAfter && blocks.length >= MAX_GAPS) return 'refused'
    const piece = {
      payload: to - from === payload.length ? payload : payload.subarray(from - start, to - start),
      next: undefined,
    }
    this.segments += 1
    this.bytes += to - from
    if (joinsBefore) this.#append(before, piece, joinsAfter ? at : -1)
    else if (joinsAfter) this.#prepend(after, piece)
    else this.#add(at, { start: from, end: to, first: piece, last: piece })
    return 'early'
  }

  /** The next bytes at `next`, or undefined; bytes below it are dropped. */
  take(next: number): Uint8Array | undefined {
    for (let block = this.#blocks[0]; block !== undefined && block.start <= next; block = this.#blocks[0]) {
      const { payload, next: following } = block.first
      const skip = next - block.start
      block.start += payload.length
      this.segments -= 1
      this.bytes -= payload.length
      if (following !== undefined) block.first = following
      else {
        this.#blocks.shift()
        this.#forget(block)
      }
      if (skip < payload.length) return skip === 0 ? payload : payload.subarray(skip)
    }
    return undefined
  }

  /**
   * Writes at most `max` blocks as offset pairs, ascending: the lowest, or the most recently changed (RFC 2018 §4) plus
   * the lowest, so that the sender learns of each in time.
   * @returns the number of blocks written to `out`.
   */
  blocks(out: Float64Array, max: number, recent: boolean): number {
    chosen.length = 0
    if (recent) for (let i = 0; i < this.#latest.length && i < max; i++) chosen.push(this.#latest[i]!)
    for (let i = 0; i < this.#blocks.length && chosen.length < max; i++) {
      this.looks += 1
      if (!chosen.includes(this.#blocks[i]!)) chosen.push(this.#blocks[i]!)
    }
    chosen.sort(ascending)
    for (const [i, { start, end }] of chosen.entries()) {
      out[2 * i] = start
      out[2 * i + 1] = end
    }
    return chosen.length
  }

  clear(): void {
    this.#blocks = this.#latest = NO_BLOCKS
    this.segments = this.bytes = 0
  }

  /** Index of the first block that begins after `start`. Usually that is the end. */
  #indexBehind(start: number): number {
    const blocks = this.#blocks
    let low = 0
    let high = blocks.length
    if (high > 0 && blocks[high - 1]!.start <= start) return high
    while (low < high) {
      this.looks += 1
      const middle = (low + high) >> 1
      if (blocks[middle]!.start > start) high = middle
      else low = middle + 1
    }
    return low
  }

  #add(at: number, block: Block): void {
    if (this.#blocks === NO_BLOCKS) {
      this.#blocks = []
      this.#latest = []
    }
    this.#blocks.splice(at, 0, block)
    this.#touch(block)
  }

  /** @param joins index of the block that begins where this one ends now, or -1. */
  #append(block: Block, piece: Piece, joins: number): void {
    block.last.next = piece
    block.last = piece
    block.end += piece.payload.length
    if (joins >= 0) {
      const after = this.#blocks[joins]!
      block.last.next = after.first
      block.last = after.last
      block.end = after.end
      this.#blocks.splice(joins, 1)
      this.#forget(after)
    }
    this.#touch(block)
  }

  #prepend(block: Block, piece: Piece): void {
    piece.next = block.first
    block.first = piece
    block.start -= piece.payload.length
    this.#touch(block)
  }

  #touch(block: Block): void {
    this.#forget(block)
    this.#latest.unshift(block)
    if (this.#latest.length > MAX_LATEST) this.#latest.pop()
  }

  #forget(block: Block): void {
    const at = this.#latest.indexOf(block)
    if (at >= 0) this.#latest.splice(at, 1)
  }
}

const MAX_LATEST = 4 // as many as one acknowledgement carries
const NO_BLOCKS: Block[] = [] // never written to
const chosen: Block[] = [] // scratch of one call
const ascending = (a: Block, b: Block): number => a.start - b.start
