/**
 * An accepted stream that has heard nothing for long asks whether its dialler still knows it: one that has given up has
 * reset it, but every RST may have been lost. A plain peer keeps its own streams alive, and a dialler asks by using it.
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

  /** @returns whether to ask now; then not again before as long. */
  take(now: Instant, applies: boolean): boolean {
    if (now < this.at(applies)) return false
    this.#heardAt = now
    return true
  }
}
