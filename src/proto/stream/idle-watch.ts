/**
 * An accepted stream that has received nothing for long probes whether its dialler still knows it: a dialler that gave
 * up sent a reset, but every RST may have been lost. A plain peer keeps its own streams alive, and a dialler finds out
 * by using the stream.
 */
import type { Instant } from '../../base/types.ts'
import { IDLE_VERIFY_MS } from './constants.ts'

export class IdleWatch {
  #heardAt: Instant = 0

  onHeard(now: Instant): void {
    this.#heardAt = now
  }

  /** When to ask. @param applies to this stream. */
  at(applies: boolean): Instant {
    return applies ? this.#heardAt + IDLE_VERIFY_MS : Infinity
  }

  /** @returns whether to ask now; the next time is the same interval later. */
  take(now: Instant, applies: boolean): boolean {
    if (now < this.at(applies)) return false
    this.#heardAt = now
    return true
  }
}
