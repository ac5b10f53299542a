/**
 * Spreads what the congestion window admits over the round trip (RFC 9002 §7.7), so that a window's worth does not meet
 * a small queue all at once. A leaky bucket; a burst passes, since timers here are no finer than a millisecond.
 */
import type { Instant } from '../../base/types.ts'
import type { RttEstimator } from './rtt.ts'

export class Pacer {
  /** When the next segment is due: it may go any time from then on. */
  at: Instant = -Infinity

  onSent(now: Instant, bytes: number, cwndBytes: number, slowStart: boolean, segment: number, rtt: RttEstimator): void {
    if (rtt.srttMs === 0 || Math.min(rtt.minRttMs, rtt.srttMs) < PACED_FROM_MS) return
    const bytesPerMs = ((slowStart ? SLOW_START_GAIN : GAIN) * cwndBytes) / rtt.srttMs
    const burstMs = Math.max((BURST_SEGMENTS * segment) / bytesPerMs, BURST_MS)
    this.at = Math.max(this.at, now - burstMs) + bytes / bytesPerMs
  }
}

/** A path shorter than timers can resolve is left to its acknowledgements. */
const PACED_FROM_MS = 2
/** Of cwnd over SRTT: a little more, so that the window stays in charge; in slow start the window doubles meanwhile. */
const GAIN = 1.25
const SLOW_START_GAIN = 2
/** What may go at once after a pause: the initial window of RFC 6928, or what two ticks of a timer let through. */
const BURST_SEGMENTS = 10
const BURST_MS = 2
