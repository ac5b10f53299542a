/**
 * When a PILA or a question of the peer is answered with our PILA: often enough that a lost one does no harm, but
 * two nodes never answer each other forever, and others cannot make us send much. Above: tunnel.ts.
 */
import type { Instant } from '../../base/types.ts'
import * as k from './constants.ts'

export class KeyAnswers {
  #count = 0 // of the peer's latest key
  #at: Instant = -Infinity
  /** The first PILA with a known key since the peer was last heard. */
  #knownKeyAt: Instant = -Infinity

  /** The peer has a new key. */
  onNewKey(now: Instant): void {
    this.#count = 1
    this.#at = now
  }

  /** A PILA with a known key, from a peer that may not have ours. */
  takeRepeat(now: Instant, pauseMs = k.REPEAT_ANSWER_MS): boolean {
    if (this.#count >= k.REPEAT_ANSWERS || now - this.#at < pauseMs) return false
    this.#count += 1
    this.#at = now
    return true
  }

  /** Anyone can cause this one. */
  takeRare(now: Instant): boolean {
    if (now - this.#at < k.RARE_ANSWER_MS) return false
    this.#at = now
    return true
  }

  /**
   * A PILA with a known key from a peer that had ours. A daemon of today that has dropped its half begins again with
   * the key that it had (quirk T13); one of ours draws a new one.
   * @param heardAt when a sealed frame of the peer was last opened.
   */
  takeLostHalf(now: Instant, heardAt: Instant): boolean {
    const isFirst = heardAt >= this.#knownKeyAt
    const isRepeated = !isFirst && now - this.#knownKeyAt >= k.RARE_ANSWER_MS
    if (isFirst) this.#knownKeyAt = now
    return (isRepeated || now - heardAt >= k.LOST_HALF_MS) && this.takeRare(now)
  }
}
