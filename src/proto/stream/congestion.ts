/**
 * How much a stream may have in flight: CUBIC (RFC 9438) with HyStart++ (RFC 9406) in slow start, behind one small
 * interface. While losses are repaired, recovery.ts meters the sending, down to the window set here. Bytes, not
 * segments: the segment size changes with the path.
 */
import type { Instant } from '../../base/types.ts'
import { CUBIC_BETA, CUBIC_C, INITIAL_WINDOW_BYTES, INITIAL_WINDOW_SEGMENTS } from './constants.ts'
import { HyStart } from './hystart.ts'
import type { RttEstimator } from './rtt.ts'

/** An acknowledgement outside recovery. One object is reused. */
export interface AckSample {
  now: Instant
  ackedBytes: number
  flightBytes: number // in flight before it: an unused window must not grow (RFC 7661)
  una: number // offsets after it
  nxt: number
  /**
   * The measured round trip, ms; undefined: the peer delays acknowledgements, so a longer one says nothing about the
   * path.
   */
  delayMs: number | undefined
}

export interface CongestionController {
  readonly cwndBytes: number
  readonly inSlowStart: boolean
  onAcked(ack: AckSample, rtt: RttEstimator): void
  /** A loss that starts a new recovery episode: cwndBytes is now its target. */
  onLoss(): void
  /** The retransmission timer expired. */
  onTimeout(): void
  /** The timeout was spurious: data deemed lost arrives. Restores the window. */
  onSpuriousTimeout(): void
  /** The path now carries segments of this size, bytes. */
  onSegmentSize(bytes: number): void
}

export class Cubic implements CongestionController {
  cwndBytes: number
  #mss: number
  #ssthresh = Infinity
  readonly #hystart = new HyStart()
  #wMax = 0 // bytes: cwnd before the last reduction
  #epochStart: Instant = -1
  #k = 0 // seconds until the cubic curve is back at wMax
  #wEst = 0 // bytes: what Reno would have
  #before: { cwndBytes: number; ssthresh: number; wMax: number } | undefined // the last timeout

  constructor(mss: number) {
    this.#mss = mss
    this.cwndBytes = initialWindow(mss)
  }

  get inSlowStart(): boolean {
    return this.cwndBytes < this.#ssthresh
  }

  onSegmentSize(bytes: number): void {
    const untouched = this.cwndBytes === initialWindow(this.#mss) && this.#ssthresh === Infinity
    this.#mss = bytes
    this.cwndBytes = untouched ? initialWindow(bytes) : Math.max(this.cwndBytes, 2 * bytes)
  }

  onAcked(ack: AckSample, rtt: RttEstimator): void {
    if (this.inSlowStart) {
      if (2 * ack.flightBytes >= this.cwndBytes) this.cwndBytes += ack.ackedBytes / this.#hystart.divisor // RFC 5681 §3.1, byte counting
      if (ack.delayMs !== undefined && this.#hystart.onAcked(ack.una, ack.nxt, ack.delayMs))
        this.#ssthresh = this.cwndBytes
      return
    }
    if (ack.flightBytes < USED_SHARE * this.cwndBytes) {
      this.#epochStart = -1 // §5.8: an idle writer does not follow the curve
      return
    }
    if (this.#epochStart < 0) this.#startEpoch(ack.now)
    const t = (ack.now - this.#epochStart + rtt.srttMs) / 1_000
    const segments = CUBIC_C * (t - this.#k) ** 3 + this.#wMax / this.#mss // §4.2
    const target = Math.min(Math.max(segments * this.#mss, this.cwndBytes), 1.5 * this.cwndBytes)
    // §4.3: once Reno's estimate has reached the last maximum it grows as Reno does, by a segment a round trip
    this.#wEst += (this.#wEst >= this.#wMax ? 1 : RENO_ALPHA) * this.#mss * (ack.ackedBytes / this.cwndBytes)
    if (this.#wEst > target) this.cwndBytes = Math.max(this.cwndBytes, this.#wEst)
    else this.cwndBytes += (target - this.cwndBytes) * (ack.ackedBytes / this.cwndBytes)
  }

  onLoss(): void {
    this.#reduce()
    this.cwndBytes = this.#ssthresh
  }

  onTimeout(): void {
    this.#before = { cwndBytes: this.cwndBytes, ssthresh: this.#ssthresh, wMax: this.#wMax }
    this.#reduce()
    this.cwndBytes = this.#mss // RFC 5681 §3.1: loss window
    this.#hystart.restart()
  }

  onSpuriousTimeout(): void {
    if (this.#before === undefined) return
    this.cwndBytes = Math.max(this.cwndBytes, this.#before.cwndBytes)
    this.#ssthresh = this.#before.ssthresh
    this.#wMax = this.#before.wMax
    this.#before = undefined
  }

  #reduce(): void {
    const cwnd = this.cwndBytes
    // §4.7 fast convergence: a flow that stops below its last maximum leaves room for a newer one
    this.#wMax = cwnd < this.#wMax ? (cwnd * (1 + CUBIC_BETA)) / 2 : cwnd
    this.#ssthresh = Math.max(cwnd * CUBIC_BETA, 2 * this.#mss)
    this.#epochStart = -1
  }

  #startEpoch(now: Instant): void {
    this.#epochStart = now
    this.#wEst = this.cwndBytes
    if (this.#wMax < this.cwndBytes) this.#wMax = this.cwndBytes
    this.#k = Math.cbrt((this.#wMax - this.cwndBytes) / this.#mss / CUBIC_C)
  }
}

/** RFC 6928: the initial window, bytes. */
export function initialWindow(mss: number): number {
  return Math.min(INITIAL_WINDOW_SEGMENTS * mss, Math.max(2 * mss, INITIAL_WINDOW_BYTES))
}

const USED_SHARE = 0.8 // of cwnd in flight: then the window is the limit
const RENO_ALPHA = (3 * (1 - CUBIC_BETA)) / (1 + CUBIC_BETA) // RFC 9438 §4.3
