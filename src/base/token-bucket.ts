/** A rate per second and a burst: the limit on work that others can cause. */
import type { Instant } from './types.ts'

export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #at: Instant = 0

  /** @param burst the most that can be saved up; default: one second's worth. */
  constructor(perSecond: number, burst: number = perSecond) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
  }

  /** When the next token is earned, if the last `take` found none. */
  get nextAt(): Instant {
    return this.#at + 1_000 / this.#perSecond
  }

  /** @returns false if there are too few; then none is taken. */
  take(now: Instant, count = 1): boolean {
    if (!this.holds(now, count)) return false
    this.#tokens -= count
    return true
  }

  holds(now: Instant, count: number): boolean {
    this.#fill(now)
    return this.#tokens >= count
  }

  /** A new bucket would be the same. */
  isFull(now: Instant): boolean {
    return this.holds(now, this.#burst)
  }

  /** For events that have already happened: may go into debt. @returns how long the debt lasts, ms. */
  spend(now: Instant, count: number): number {
    this.#fill(now)
    this.#tokens -= count
    return this.#tokens >= 0 ? 0 : (-this.#tokens * 1_000) / this.#perSecond
  }

  /** A clock that is set back earns nothing and takes nothing. */
  #fill(now: Instant): void {
    const elapsed = Math.max(0, now - this.#at)
    this.#tokens = Math.min(this.#burst, this.#tokens + (elapsed * this.#perSecond) / 1_000)
    this.#at = now
  }
}
