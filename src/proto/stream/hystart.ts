/**
 * HyStart++ (RFC 9406): ends slow start before it fills the queue of the bottleneck. A rise of the round trip between
 * two rounds switches to conservative slow start, and back if the rise was temporary.
 */

export class HyStart {
  /** Growth of slow start is divided by this: 1, or 4 in conservative slow start. */
  divisor = 1
  #windowEnd = -1 // the round is over when this offset is acknowledged
  #lastMinMs = Infinity
  #minMs = Infinity
  #samples = 0
  #baselineMs = Infinity // round trip at which conservative slow start began
  #rounds = 0 // of conservative slow start

  /** An acknowledgement up to `una`, while `nxt` was sent last. @returns whether slow start is over. */
  onAcked(una: number, nxt: number, rttMs: number): boolean {
    if (this.#windowEnd < 0) this.#windowEnd = nxt
    this.#takeSample(rttMs)
    if (una < this.#windowEnd) return false
    if (this.divisor > 1) this.#rounds += 1
    this.#windowEnd = nxt
    this.#lastMinMs = this.#minMs
    this.#minMs = Infinity
    this.#samples = 0
    return this.#rounds >= CSS_ROUNDS
  }

  /** Slow start begins again. */
  restart(): void {
    this.divisor = 1
    this.#windowEnd = -1
    this.#lastMinMs = this.#minMs = this.#baselineMs = Infinity
    this.#samples = this.#rounds = 0
  }

  /** §4.2 */
  #takeSample(rttMs: number): void {
    this.#samples += 1
    if (rttMs < this.#minMs) this.#minMs = rttMs
    if (this.#samples < N_RTT_SAMPLE) return
    if (this.divisor === 1) {
      if (this.#lastMinMs === Infinity) return
      const riseMs = Math.min(Math.max(this.#lastMinMs / MIN_RTT_DIVISOR, MIN_RTT_THRESH_MS), MAX_RTT_THRESH_MS)
      if (this.#minMs < this.#lastMinMs + riseMs) return
      this.#baselineMs = this.#minMs
      this.#rounds = 0
      this.divisor = CSS_GROWTH_DIVISOR
    } else if (this.#minMs < this.#baselineMs) {
      // the rise was temporary
      this.#baselineMs = Infinity
      this.divisor = 1
    }
  }
}

// RFC 9406 §4.3
const MIN_RTT_THRESH_MS = 4
const MAX_RTT_THRESH_MS = 16
const MIN_RTT_DIVISOR = 8
const N_RTT_SAMPLE = 8
const CSS_GROWTH_DIVISOR = 4
const CSS_ROUNDS = 5
