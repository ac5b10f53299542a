/**
 * What is in flight: the segments sent and not yet cumulatively acknowledged, in order, each with its boundaries,
 * its last transmission and its fate (RFC 6675 scoreboard, RFC 8985 per-segment times).
 * Segment objects are reused: a segment costs no garbage.
 */
import type { Instant } from '../../base/types.ts'

export interface Segment {
  start: number // offset of its first byte
  end: number // offset behind its last; a FIN counts one
  fin: boolean
  sentAt: Instant // last transmission
  transmissions: number
  sacked: boolean
  lost: boolean // waits for retransmission
}

export class Scoreboard {
  #ring: Segment[] = []
  #head = 0
  #size = 0
  /** Bytes sent, not acknowledged, not SACKed, not deemed lost: `pipe` of RFC 6675 §4. */
  flightBytes = 0
  sackedCount = 0
  lostCount = 0
  /** Segments in flight that were sent more than once: while any is out, send times are not in order. */
  retransmittedCount = 0

  get size (): number { return this.#size }

  at (index: number): Segment {
    return this.#ring[(this.#head + index) & (this.#ring.length - 1)]!
  }

  push (start: number, end: number, fin: boolean, now: Instant): void {
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
  }

  /** Removes the first segment: it is acknowledged. Valid until the next push. */
  shift (): Segment {
    const segment = this.at(0)
    if (segment.sacked) this.sackedCount -= 1
    else if (segment.lost) this.lostCount -= 1
    else this.flightBytes -= segment.end - segment.start
    if (segment.transmissions > 1) this.retransmittedCount -= 1
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.#size -= 1
    return segment
  }

  markSacked (segment: Segment): void {
    if (segment.sacked) return
    segment.sacked = true
    this.sackedCount += 1
    if (segment.lost) {
      segment.lost = false
      this.lostCount -= 1
    } else this.flightBytes -= segment.end - segment.start
  }

  markLost (segment: Segment): void {
    if (segment.lost || segment.sacked) return
    segment.lost = true
    this.lostCount += 1
    this.flightBytes -= segment.end - segment.start
  }

  markResent (segment: Segment, now: Instant): void {
    if (segment.lost) {
      segment.lost = false
      this.lostCount -= 1
      this.flightBytes += segment.end - segment.start
    }
    if (segment.transmissions === 1) this.retransmittedCount += 1
    segment.transmissions += 1
    segment.sentAt = now
  }

  /** Index of the first segment waiting for retransmission, or -1. */
  firstLost (): number {
    if (this.lostCount === 0) return -1
    for (let i = 0; i < this.#size; i++) if (this.at(i).lost) return i
    return -1
  }

  /** Cuts a segment in two at `offset`; the second part waits for retransmission, as the first will have been sent. */
  split (index: number, offset: number): void {
    if (this.#size === this.#ring.length) this.#grow()
    const mask = this.#ring.length - 1
    const spare = this.at(this.#size)
    for (let i = this.#size; i > index + 1; i--) this.#ring[(this.#head + i) & mask] = this.at(i - 1)
    this.#ring[(this.#head + index + 1) & mask] = spare
    this.#size += 1
    const first = this.at(index)
    Object.assign(spare, first, { start: offset, lost: true })
    first.end = offset
    first.fin = false
    this.lostCount += 1
    if (!first.lost) this.flightBytes -= spare.end - spare.start
    if (spare.transmissions > 1) this.retransmittedCount += 1
  }

  clear (): void {
    this.#ring = []
    this.#head = this.#size = 0
    this.flightBytes = this.sackedCount = this.lostCount = this.retransmittedCount = 0
  }

  #grow (): void {
    const grown: Segment[] = []
    for (let i = 0; i < this.#size; i++) grown.push(this.at(i))
    const size = Math.max(4, this.#ring.length * 2)
    while (grown.length < size) grown.push({ start: 0, end: 0, fin: false, sentAt: 0, transmissions: 0, sacked: false, lost: false })
    this.#ring = grown
    this.#head = 0
  }
}
