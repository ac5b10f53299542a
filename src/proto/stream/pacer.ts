/**
 * Spreads what the congestion window admits over the round trip (RFC 9002 §7.7), so that a whole window does not hit a
 * small queue at once. A leaky bucket; a burst passes, because timers here have a resolution of a millisecond.
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

/** A path with a round trip below the timer resolution is clocked by its acknowledgements. */
const PACED_FROM_MS = 2
/**
 * Relative to cwnd / SRTT: slightly more, so that the window stays the limit; in slow start the window doubles
 * meanwhile.
 */
const GAIN = 1.25
const SLOW_START_GAIN = 2
/** What may be sent at once after a pause: the initial window of RFC 6928, or two timer ticks' worth. */
const BURST_SEGMENTS = 10
const BURST_MS = 2
