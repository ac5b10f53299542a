/** Round-trip time and retransmission timeout of one stream (RFC 6298), plus the minimum that RACK needs. */
import { RTO_INITIAL_MS, RTO_MAX_MS, RTO_MIN_MS } from './constants.ts'

export class RttEstimator {
  srttMs = 0 // 0 until the first sample
  rttvarMs = 0
  minRttMs = Infinity // windowless: a stream's path may only look slower than it is, never faster
  latestMs = 0
  #backoff = 1
  #sampled = false

  /** Recent round trip of the path to the peer, ms: better than nothing until the first sample. */
  seed(rttMs: number): void {
    if (this.srttMs > 0) return
    this.srttMs = Math.max(rttMs, CLOCK_MS)
    this.rttvarMs = rttMs / 2
  }

  /**
   * @param rttMs ACK arrival minus send instant, ms, of the first segment acknowledged that was sent exactly once
   *   (Karn, §3).
   * @param leastMs the same for the last such segment, whose acknowledgement did not wait for others.
   * @throws RangeError if negative or NaN: the caller's bug, never caused by the peer.
   */
  onSample(rttMs: number, leastMs = rttMs): void {
    if (!(rttMs >= 0 && leastMs >= 0)) throw new RangeError(`rttMs must be >= 0, got ${rttMs} and ${leastMs}`)
    this.latestMs = leastMs
    if (leastMs < this.minRttMs) this.minRttMs = leastMs
    if (!this.#sampled) {
      // §2.2
      this.#sampled = true
      this.srttMs = Math.max(rttMs, CLOCK_MS)
      this.rttvarMs = rttMs / 2
    } else {
      // §2.3: RTTVAR first, from the old SRTT
      this.rttvarMs += (Math.abs(this.srttMs - rttMs) - this.rttvarMs) / 4
      this.srttMs = Math.max(this.srttMs + (rttMs - this.srttMs) / 8, CLOCK_MS)
    }
    this.#backoff = 1
  }

  /** ms, RTO_MIN_MS..RTO_MAX_MS, with the backoff of the timeouts since the last progress. */
  get rtoMs(): number {
    const base = this.srttMs === 0 ? RTO_INITIAL_MS : this.srttMs + Math.max(CLOCK_MS, 4 * this.rttvarMs)
    return Math.min(Math.max(base, RTO_MIN_MS) * this.#backoff, RTO_MAX_MS)
  }

  /** §5.5: after each expiry. */
  backOff(): void {
    if (this.rtoMs < RTO_MAX_MS) this.#backoff *= 2
  }

  /** New data was acknowledged: the path works again (§5.7; Linux resets likewise). */
  clearBackoff(): void {
    this.#backoff = 1
  }
}

const CLOCK_MS = 0.01 // G of RFC 6298: the resolution of the clock passed in; also keeps SRTT above zero on loopback
