/**
 * When a SYN may go to a peer that is not known to be a pilotgate: a Go node accepts ten a second (stream.md Q12), and as
 * many at once, one of today 64 (quirk Q26).
 */
import { TokenBucket } from '../../base/token-bucket.ts'
import type { Instant } from '../../base/types.ts'
import * as k from './constants.ts'

export class SynPacer {
  readonly #tokens = new TokenBucket(k.SYN_PER_SECOND, k.TODAY_SYN_BURST)
  /** What one of April grants of those. */
  readonly #april = new TokenBucket(k.SYN_PER_SECOND, k.SYN_BURST)
  #isToday = false
  #busyUntil: Instant = -Infinity

  /** Its queue of connections was full: no SYN for a while. */
  onBusy(now: Instant): void {
    this.#busyUntil = now + k.BUSY_PAUSE_MS
  }

  take(now: Instant, isToday: boolean): boolean {
    this.#isToday = isToday
    if (now < this.#busyUntil || (!isToday && !this.#april.take(now))) return false
    return this.#tokens.take(now)
  }

  /** When another try is worth it. */
  get nextAt(): Instant {
    return Math.max(this.#busyUntil, (this.#isToday ? this.#tokens : this.#april).nextAt)
  }
}
