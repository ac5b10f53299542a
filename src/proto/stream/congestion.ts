/**
 * How much a stream may have in flight: CUBIC (RFC 9438) with slow start (RFC 5681), behind an interface of four calls.
 * Bytes, not segments: the segment size changes with the path.
 */
import type { Instant } from '../../base/types.ts'
import { CUBIC_BETA, CUBIC_C, INITIAL_WINDOW_BYTES, INITIAL_WINDOW_SEGMENTS } from './constants.ts'

export interface CongestionController {
  readonly cwndBytes: number
  /** @param flightBytes in flight before this ACK: a window that is not used must not grow (RFC 7661). */
  onAcked (now: Instant, ackedBytes: number, srttMs: number, flightBytes: number): void
  /** A loss that starts a new recovery episode. */
  onLoss (now: Instant): void
  /** The retransmission timer expired. */
  onTimeout (now: Instant): void
  /** The path now carries segments of this size, bytes. */
  onSegmentSize (bytes: number): void
}

export class Cubic implements CongestionController {
  cwndBytes: number
  #mss: number
  #ssthresh = Infinity
  #wMax = 0 // bytes: cwnd before the last reduction
  #epochStart: Instant = -1
  #k = 0 // seconds until the cubic curve is back at wMax
  #wEst = 0 // bytes: what Reno would have

  constructor (mss: number) {
    this.#mss = mss
    this.cwndBytes = initialWindow(mss)
  }

  onSegmentSize (bytes: number): void {
    const untouched = this.cwndBytes === initialWindow(this.#mss) && this.#ssthresh === Infinity
    this.#mss = bytes
    this.cwndBytes = untouched ? initialWindow(bytes) : Math.max(this.cwndBytes, 2 * bytes)
  }

  onAcked (now: Instant, ackedBytes: number, srttMs: number, flightBytes: number): void {
    if (this.cwndBytes < this.#ssthresh) {
      if (2 * flightBytes >= this.cwndBytes) this.cwndBytes += ackedBytes // RFC 5681 §3.1, byte counting
      return
    }
    if (flightBytes < USED_SHARE * this.cwndBytes) {
      this.#epochStart = -1 // §5.8: an idle writer does not ride the curve
      return
    }
    if (this.#epochStart < 0) this.#startEpoch(now)
    const t = (now - this.#epochStart + srttMs) / 1_000
    const segments = CUBIC_C * (t - this.#k) ** 3 + this.#wMax / this.#mss // §4.2
    const target = Math.min(Math.max(segments * this.#mss, this.cwndBytes), 1.5 * this.cwndBytes)
    this.#wEst += RENO_ALPHA * this.#mss * (ackedBytes / this.cwndBytes) // §4.3
    if (this.#wEst > target) this.cwndBytes = Math.max(this.cwndBytes, this.#wEst)
    else this.cwndBytes += (target - this.cwndBytes) * (ackedBytes / this.cwndBytes)
  }

  onLoss (_now: Instant): void {
    this.#reduce()
    this.cwndBytes = this.#ssthresh
  }

  onTimeout (_now: Instant): void {
    this.#reduce()
    this.cwndBytes = this.#mss // RFC 5681 §3.1: loss window
  }

  #reduce (): void {
    const cwnd = this.cwndBytes
    // §4.7 fast convergence: a flow that stops short of its last maximum leaves room to a newer one
    this.#wMax = cwnd < this.#wMax ? cwnd * (1 + CUBIC_BETA) / 2 : cwnd
    this.#ssthresh = Math.max(cwnd * CUBIC_BETA, 2 * this.#mss)
    this.#epochStart = -1
  }

  #startEpoch (now: Instant): void {
    this.#epochStart = now
    this.#wEst = this.cwndBytes
    if (this.#wMax < this.cwndBytes) this.#wMax = this.cwndBytes
    this.#k = Math.cbrt((this.#wMax - this.cwndBytes) / this.#mss / CUBIC_C)
  }
}

/** RFC 6928: the initial window, bytes. */
export function initialWindow (mss: number): number {
  return Math.min(INITIAL_WINDOW_SEGMENTS * mss, Math.max(2 * mss, INITIAL_WINDOW_BYTES))
}

const USED_SHARE = 0.8 // of cwnd in flight: then it is the window that limits
const RENO_ALPHA = 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA) // RFC 9438 §4.3
