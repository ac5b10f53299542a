/**
 * Ending a stream towards a peer without HALF_CLOSE (stream.md §5, Q1 to Q3): its FIN is outside the sequence, kills
 * both directions and may overtake data. So ours waits until everything is acknowledged and the application has stopped
 * reading.
 */
import type { Instant } from '../../base/types.ts'
import { HELD_FIN_MS, PLAIN_FIN_TRANSMISSIONS } from './constants.ts'

export class PlainClose {
  state: 'open' | 'due' | 'sent' | 'answered' = 'open'
  /** The application has stopped reading. */
  wanted = false
  /** A half-close is held, but not forever. */
  heldUntil: Instant = Infinity
  #transmissions = 0

  /**
   * We have sent everything. A dialler's FIN waits for the answer to end (Q2); a listener is done, and its peer is
   * waiting for its end.
   */
  endSent(now: Instant, dialled: boolean): void {
    if (dialled) this.heldUntil = now + HELD_FIN_MS
    else this.wanted = true
  }

  /** The time to hold a half-close has expired: @returns true once. */
  takeHeld(now: Instant): boolean {
    if (now < this.heldUntil) return false
    this.heldUntil = Infinity
    return true
  }

  /** @returns true if our FIN may be sent now. */
  advance(ended: boolean, drained: boolean): boolean {
    if (this.state !== 'open' || !ended || !this.wanted || !drained) return false
    this.state = 'due'
    this.heldUntil = Infinity
    return true
  }

  get underway(): boolean {
    return this.state === 'due' || this.state === 'sent'
  }
  get exhausted(): boolean {
    return this.#transmissions >= PLAIN_FIN_TRANSMISSIONS
  }

  /** @returns when to repeat it if unanswered: the peer answers each, but this one may have been lost (Q3). */
  onSent(now: Instant): Instant {
    this.state = 'sent'
    const again = now + Math.min(FIRST_REPEAT_MS * 2 ** this.#transmissions, LAST_REPEAT_MS)
    this.#transmissions += 1
    return again
  }
}

const FIRST_REPEAT_MS = 1_000
const LAST_REPEAT_MS = 4_000
