/**
 * A stream that has received nothing for long probes whether the other end still knows it: an end that gave up sent a
 * reset, but every RST may have been lost, and who only waits for an answer would wait forever. A plain peer keeps its own
 * streams alive.
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
