/** So many a second, and as many at once: the limit on work that others can cause. */
import type { Instant } from './types.ts'

export class TokenBucket {
  readonly #perSecond: number
  #tokens: number
  #at: Instant = 0

  constructor(perSecond: number) {
    this.#perSecond = perSecond
    this.#tokens = perSecond
  }

  take(now: Instant): boolean {
    this.#tokens = Math.min(this.#perSecond, this.#tokens + ((now - this.#at) * this.#perSecond) / 1_000)
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
