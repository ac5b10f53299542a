/** So many a second, and so many at once: the limit on work that others can cause. */
import type { Instant } from './types.ts'

export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #at: Instant = 0

  /** @param burst how many at once; as many as a second if absent. */
  constructor(perSecond: number, burst = perSecond) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
  }

  /** When a token is earned after the last `take`, if there was none. */
  get nextAt(): Instant {
    return this.#at + 1_000 / this.#perSecond
  }

  take(now: Instant): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * this.#perSecond) / 1_000)
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
