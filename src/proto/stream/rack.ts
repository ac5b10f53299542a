/**
 * Loss detection by time (RACK, RFC 8985 §6): a segment is lost if one sent sufficiently later has been delivered. The
 * margin is the reordering window. Neighbours: send.ts, which reports deliveries; scoreboard.ts.
 */
import type { Instant } from '../../base/types.ts'
import { DUP_THRESHOLD, REORDER_STEPS } from './constants.ts'
import type { RttEstimator } from './rtt.ts'
import type { Scoreboard, Segment } from './scoreboard.ts'

export class Rack {
  /** When currently suspected segments count as lost. */
  at: Instant = Infinity
  #sentAt: Instant = -Infinity
  #end = 0
  #rttMs = 0
  #highestDelivered = 0 // RACK.fack
  #reorderingSeen = false
  #steps = 1 // RACK.reo_wnd_mult
  #widenedAt: Instant = -Infinity

  /** §6.2 steps 1 to 3: `segment` was acknowledged or SACKed. */
  onDelivered(now: Instant, segment: Segment, rtt: RttEstimator): void {
    const rttMs = now - segment.sentAt
    if (segment.transmissions > 1 && rttMs < rtt.minRttMs && rtt.minRttMs !== Infinity) {
      // too early for the last transmission: an earlier one had arrived
      this.#onSpurious(now, rtt)
      return
    }
    if (segment.end > this.#highestDelivered) this.#highestDelivered = segment.end
    else if (segment.transmissions === 1) this.#reorderingSeen = true
    if (segment.sentAt > this.#sentAt || (segment.sentAt === this.#sentAt && segment.end > this.#end)) {
      this.#sentAt = segment.sentAt
      this.#end = segment.end
      this.#rttMs = rttMs
    }
  }

  /** §6.2 steps 4 and 5: marks lost segments. @returns whether there were any. */
  detect(now: Instant, board: Scoreboard, rtt: RttEstimator, recovering: boolean): boolean {
    this.at = Infinity
    if (board.sackedCount === 0 && board.retransmittedCount === 0) return false
    const eager = !this.#reorderingSeen && (recovering || board.sackedCount >= DUP_THRESHOLD)
    const window = eager ? 0 : Math.min((this.#steps * rtt.minRttMs) / 4, rtt.srttMs)
    let found = false
    for (let segment = board.oldest; segment !== undefined;) {
      const before = segment.sentAt < this.#sentAt || (segment.sentAt === this.#sentAt && segment.end < this.#end)
      if (!before) break
      const dueAt = segment.sentAt + this.#rttMs + window
      if (dueAt > now) {
        // those sent later are due later
        this.at = dueAt
        break
      }
      const { later }: Segment = segment
      board.markLost(segment)
      found = true
      segment = later
    }
    return found
  }

  /** §6.2 step 4 widens the window on DSACK; we have none, but an impossibly early acknowledgement means the same. */
  #onSpurious(now: Instant, rtt: RttEstimator): void {
    this.#reorderingSeen = true
    if (now < this.#widenedAt + rtt.srttMs) return // once per round trip
    this.#widenedAt = now
    this.#steps = Math.min(this.#steps + 1, REORDER_STEPS)
  }
}
