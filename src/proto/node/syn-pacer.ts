/** When a SYN may go to a peer that is not known to be a pilotgate: a Go node accepts ten a second (stream.md Q12). */
import { TokenBucket } from '../../base/token-bucket.ts'
import type { Instant } from '../../base/types.ts'
import * as k from './constants.ts'

export class SynPacer {
  readonly #tokens = new TokenBucket(k.SYN_PER_SECOND, k.SYN_BURST)
  #busyUntil: Instant = -Infinity

  /** Its queue of connections was full: no SYN for a while. */
  onBusy(now: Instant): void {
    this.#busyUntil = now + k.BUSY_PAUSE_MS
  }

  take(now: Instant): boolean {
    return now >= this.#busyUntil && this.#tokens.take(now)
  }

  /** When another try is worth it. */
  get nextAt(): Instant {
    return Math.max(this.#busyUntil, this.#tokens.nextAt)
  }
}
