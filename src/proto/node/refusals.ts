/**
 * Refused connections are answered a fixed time after their SYN came, whoever refuses them: a port where nothing listens
 * is refused here, one that is not for this peer by whoever attends to it, a little later, and a peer that measures must
 * not tell the two apart. Beside: inbound.ts, core.ts.
 */
import { Ring } from '../../base/ring.ts'
import type { Instant } from '../../base/types.ts'
import type { Machine } from '../machine.ts'
import * as k from './constants.ts'

export class Refusals implements Machine {
  readonly #waiting = new Ring<{ readonly at: Instant; readonly answer: () => void }>()

  /** @param answer sends the RST. At once where the time is over, or too many wait: they come in the order of their SYNs, nearly. */
  put(now: Instant, synAt: Instant, answer: () => void): void {
    const at = synAt + k.REFUSAL_MS
    if (at <= now || this.#waiting.size >= k.MAX_REFUSALS) answer()
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
