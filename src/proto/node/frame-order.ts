/**
 * Keeps frames through the relay from being overtaken too far by frames on a quicker path. A daemon of today ends a session
 * that is older than a minute when one frame arrives 256 or more behind the newest (quirk T16). So only some are underway
 * through the relay, and after a change to another path only some go ahead until the relayed ones must have arrived.
 * Above: outbound.ts.
 */
import type { Instant } from '../../base/types.ts'
import * as k from './constants.ts'

export class FrameOrder {
  #relayRttMs = 0
  #relayedAt: Instant = -Infinity // the last frame through the relay
  #slotAt: Instant = -Infinity // of the relay: half a round trip, about what a frame needs
  #inSlot = 0
  #ahead = 0 // frames on other paths since

  /** May another frame go now? @param relayRttMs of the relay in use; undefined: another path is in use. */
  holds(now: Instant, relayRttMs: number | undefined): boolean {
    if (relayRttMs === undefined) return now >= this.#relayedAt + this.#relayRttMs || this.#ahead < k.FRAMES_AHEAD
    return now >= this.#slotAt + relayRttMs / 2 || this.#inSlot < k.FRAMES_RELAYED
  }

  spend(now: Instant, relayRttMs: number | undefined): void {
    if (relayRttMs === undefined) {
      this.#ahead += 1
      return
    }
    if (now >= this.#slotAt + relayRttMs / 2) {
      this.#slotAt = now
      this.#inSlot = 0
    }
    this.#inSlot += 1
    this.#ahead = 0
    this.#relayedAt = now
    this.#relayRttMs = relayRttMs
  }
}
