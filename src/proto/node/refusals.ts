/**
 * A refused connection is answered a fixed time after its SYN arrived. A port where nothing listens is refused here; one
 * that this peer may not use is refused by the gateway, a little later. A peer that measures must not see the difference. Beside: inbound.ts, core.ts.
 */
import { Ring } from '../../base/ring.ts'
import type { Instant } from '../../base/types.ts'
import type { Machine } from '../machine.ts'
import * as k from './constants.ts'

export class Refusals implements Machine {
  readonly #onDropped: () => void
  readonly #waiting = new Ring<{ readonly at: Instant; readonly answer: () => void }>()

  /** @param onDropped too many wait, and one is not sent: sent early, it would show how long the decision took. */
  constructor(onDropped: () => void) {
    this.#onDropped = onDropped
  }

  /** @param answer sends the RST; immediately if the time is over. They arrive nearly in the order of their SYNs. */
  put(now: Instant, synAt: Instant, answer: () => void): void {
    const at = synAt + k.REFUSAL_MS
    if (at <= now) answer()
    else if (this.#waiting.size >= k.MAX_REFUSALS) this.#onDropped()
    else this.#waiting.push({ at, answer })
  }

  handleTimeout(now: Instant): void {
    for (let first = this.#waiting.at(0); first !== undefined && first.at <= now; first = this.#waiting.at(0)) {
      this.#waiting.shift()
      first.answer()
    }
  }

  nextTimeout(): Instant {
    return this.#waiting.at(0)?.at ?? Infinity
  }
}
