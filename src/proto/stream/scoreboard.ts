/**
 * The flight: segments sent and not yet cumulatively acknowledged, in order, each with its boundaries, last
 * transmission and state (RFC 6675 scoreboard, RFC 8985 per-segment times). Segment objects are reused: a segment
 * creates no garbage. Nothing here walks the whole flight for one acknowledgement: undecided segments are in a list by
 * time of transmission (RFC 8985 §6.2), and the search for retransmissions continues where the last one ended.
 */
import type { Instant } from '../../base/types.ts'

export interface Segment {
  start: number // offset of its first byte
  end: number // offset after its last; a FIN counts one
  fin: boolean
  sentAt: Instant // last transmission
  transmissions: number
  sacked: boolean
  sackedTo: number // once SACKed: everything up to this offset, at least, is SACKed as well
  lost: boolean // waits for retransmission
  /** Neighbours by time of transmission, while neither SACKed nor lost. */
  earlier: Segment | undefined
  later: Segment | undefined
}

export class Scoreboard {
  #ring: Segment[] = NO_SEGMENTS
  #head = 0
  #size = 0
  /** Bytes sent, not acknowledged, not SACKed, not deemed lost: `pipe` of RFC 6675 §4. */
  flightBytes = 0
  sackedCount = 0
  lostCount = 0
  /** Segments in flight that were sent more than once. */
  retransmittedCount = 0
  /** The undecided segments sent first and last. */
  oldest: Segment | undefined
  #newest: Segment | undefined
  /** Segments visited for SACK blocks so far; tests check a bound on it. */
  looks = 0
  #lostFrom = 0 // no segment that starts below waits for retransmission

  get size(): number {
    return this.#size
  }

  at(index: number): Segment {
    return this.#ring[(this.#head + index) & (this.#ring.length - 1)]!
  }

  /** Index of the first segment that starts at or after `offset`. */
  indexFrom(offset: number): number {
    let low = 0
    let high = this.#size
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.at(middle).start < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  push(start: number, end: number, fin: boolean, now: Instant): void {
    if (this.#size === this.#ring.length) this.#grow()
    const segment = this.at(this.#size)
    segment.start = start
    segment.end = end
    segment.fin = fin
    segment.sentAt = now
    segment.transmissions = 1
    segment.sacked = false
    segment.lost = false
    this.#size += 1
    this.flightBytes += end - start
    this.#link(segment)
  }

  /** Removes the first segment: it is acknowledged. Valid until the next push. */
  shift(): Segment {
    const segment = this.at(0)
    if (segment.sacked) this.sackedCount -= 1
    else if (segment.lost) this.lostCount -= 1
    else this.#unlink(segment)
    if (segment.transmissions > 1) this.retransmittedCount -= 1
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.#size -= 1
    return segment
  }

  markSacked(segment: Segment): void {
    if (segment.sacked) return
    segment.sacked = true
    segment.sackedTo = segment.end
    this.sackedCount += 1
    if (segment.lost) {
      segment.lost = false
      this.lostCount -= 1
    } else this.#unlink(segment)
  }

  /**
   * Index of the first unSACKed segment after the SACKed one at `index`. The segments remember the walk (path
   * compression), so that a peer cannot make us walk the same run again by naming another part of it.
   */
  behindSacked(index: number): number {
    let behind = index
    for (; behind < this.#size && this.at(behind).sacked; this.looks += 1)
      behind = this.indexFrom(this.at(behind).sackedTo)
    const to = this.at(behind - 1).end
    for (let i = index; i < behind;) {
      const segment = this.at(i)
      i = this.indexFrom(segment.sackedTo)
      segment.sackedTo = to
    }
    return behind
  }

  markLost(segment: Segment): void {
    if (segment.lost || segment.sacked) return
    segment.lost = true
    this.lostCount += 1
    if (segment.start < this.#lostFrom) this.#lostFrom = segment.start
    this.#unlink(segment)
  }

  /**
   * Segments given up together and not retransmitted since are in flight after all, sent before all others in flight.
   */
  reviveLost(): void {
    for (let i = this.#size - 1; i >= 0; i--) {
      const segment = this.at(i)
      if (!segment.lost || segment.transmissions > 1) continue
      segment.lost = false
      this.lostCount -= 1
      this.flightBytes += segment.end - segment.start
      segment.earlier = undefined
      segment.later = this.oldest
      if (this.oldest === undefined) this.#newest = segment
      else this.oldest.earlier = segment
      this.oldest = segment
    }
  }

  markResent(segment: Segment, now: Instant): void {
    if (segment.lost) {
      segment.lost = false
      this.lostCount -= 1
    } else this.#unlink(segment)
    this.flightBytes += segment.end - segment.start
    this.#link(segment)
    if (segment.transmissions === 1) this.retransmittedCount += 1
    segment.transmissions += 1
    segment.sentAt = now
  }

  /** Index of the first segment waiting for retransmission, or -1. */
  firstLost(): number {
    if (this.lostCount === 0) return -1
    let index = this.indexFrom(this.#lostFrom)
    while (!this.at(index).lost) index += 1
    this.#lostFrom = this.at(index).start
    return index
  }

  /** Splits a segment at `offset`; the second part waits for retransmission, and the caller sends the first. */
  split(index: number, offset: number): void {
    if (this.#size === this.#ring.length) this.#grow()
    const mask = this.#ring.length - 1
    const spare = this.at(this.#size)
    for (let i = this.#size; i > index + 1; i--) this.#ring[(this.#head + i) & mask] = this.at(i - 1)
    this.#ring[(this.#head + index + 1) & mask] = spare
    this.#size += 1
    const first = this.at(index)
    spare.start = offset
    spare.end = first.end
    spare.fin = first.fin
    spare.sentAt = first.sentAt
    spare.transmissions = first.transmissions
    spare.sacked = false
    spare.lost = true
    first.end = offset
    first.fin = false
    this.lostCount += 1
    if (offset < this.#lostFrom) this.#lostFrom = offset
    if (!first.lost) this.flightBytes -= spare.end - spare.start
    if (spare.transmissions > 1) this.retransmittedCount += 1
  }

  clear(): void {
    this.#ring = NO_SEGMENTS
    this.oldest = this.#newest = undefined
    this.#head = this.#size = 0
    this.flightBytes = this.sackedCount = this.lostCount = this.retransmittedCount = 0
  }

  #link(segment: Segment): void {
    segment.earlier = this.#newest
    segment.later = undefined
    if (this.#newest === undefined) this.oldest = segment
    else this.#newest.later = segment
    this.#newest = segment
  }

  /** It is no longer in flight. */
  #unlink(segment: Segment): void {
    const { earlier, later } = segment
    if (earlier === undefined) this.oldest = later
    else earlier.later = later
    if (later === undefined) this.#newest = earlier
    else later.earlier = earlier
    segment.earlier = segment.later = undefined
    this.flightBytes -= segment.end - segment.start
  }

  #grow(): void {
    // Of this length, and no push: onto an empty array one makes room for 17.
    const grown = Array.from({ length: Math.max(2, this.#ring.length * 2) }, (_, i) =>
      i < this.#size ? this.at(i) : emptySegment(),
    )
    this.#ring = grown
    this.#head = 0
  }
}

function emptySegment(): Segment {
  return {
    start: 0,
    end: 0,
    fin: false,
    sentAt: 0,
    transmissions: 0,
    sacked: false,
    sackedTo: 0,
    lost: false,
    earlier: undefined,
    later: undefined,
  }
}

const NO_SEGMENTS: Segment[] = [] // never written to: a push grows first
