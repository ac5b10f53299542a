/**
 * Hole punching: a few small datagrams to an endpoint that the beacon named, spread over the time in which the other
 * side does the same. Each opens our NAT towards it; the first ones may reach a NAT that is still closed, hence
 * several, spread over time. Their content is meaningless.
 */
import type { Endpoint, Instant } from '../../base/types.ts'
import { sameEndpoint } from '../../base/types.ts'
import { MAX_AIMS, PUNCH_AT_MS } from './constants.ts'

interface Aim {
  readonly endpoint: Endpoint
  readonly startedAt: Instant
  done: number
}

export class Puncher {
  readonly #aims: Aim[] = []

  /** @returns false if too many, or this one, are already being punched. */
  aim(now: Instant, endpoint: Endpoint): boolean {
    if (this.#aims.length >= MAX_AIMS || this.#aims.some((aim) => sameEndpoint(aim.endpoint, endpoint))) return false
    this.#aims.push({ endpoint, startedAt: now, done: 0 })
    return true
  }

  /** An endpoint for which a punch is due now, one at a time; undefined if there is none. */
  poll(now: Instant): Endpoint | undefined {
    for (let i = 0; i < this.#aims.length; i++) {
      const aim = this.#aims[i]!
      if (now < aim.startedAt + PUNCH_AT_MS[aim.done]!) continue
      aim.done += 1
      if (aim.done === PUNCH_AT_MS.length) this.#aims.splice(i, 1)
      return aim.endpoint
    }
    return undefined
  }

  nextTimeout(): Instant {
    let at = Infinity
    for (const aim of this.#aims) at = Math.min(at, aim.startedAt + PUNCH_AT_MS[aim.done]!)
    return at
  }
}
