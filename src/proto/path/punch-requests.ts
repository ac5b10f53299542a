/**
 * Requests to the beacon that it has both sides punch. Beacons of others admit one a second from an address, and drop the
 * rest silently (quirk R19): there they wait in a queue, those of dials first. Ours admits as many as we ever need.
 */
import { TokenBucket } from '../../base/token-bucket.ts'
import type { Instant, NodeId } from '../../base/types.ts'
import { MAX_PUNCH_REQUESTS, PUNCH_REQUEST_PAUSE_MS } from './constants.ts'

export class PunchRequests {
  /** In order of asking; true: a dial waits for it. */
  readonly #waiting = new Map<NodeId, boolean>()
  readonly #tokens = new TokenBucket(1_000 / PUNCH_REQUEST_PAUSE_MS, 1)

  /**
   * @param isUrgent a dial waits for it. @param isForeign the beacon is not one of ours.
   * @returns true if it should be sent now; otherwise `poll` will return the node in time. Too many are dropped: each is
   *   asked for again.
   */
  ask(now: Instant, node: NodeId, isUrgent: boolean, isForeign: boolean): boolean {
    if (!isForeign || (this.#waiting.size === 0 && this.#tokens.take(now))) return true
    const isKnown = this.#waiting.has(node)
    if (isKnown || this.#waiting.size < MAX_PUNCH_REQUESTS)
      this.#waiting.set(node, isUrgent || this.#waiting.get(node) === true)
    return false
  }

  /** The node for which a request may go now. @param isSought it still needs one; otherwise it is forgotten. */
  poll(now: Instant, isSought: (node: NodeId) => boolean): NodeId | undefined {
    if (this.#waiting.size === 0 || !this.#tokens.holds(now, 1)) return undefined
    let next: NodeId | undefined
    for (const [node, isUrgent] of this.#waiting) {
      if (!isSought(node)) this.#waiting.delete(node)
      else if (isUrgent || next === undefined) next = node
      if (isUrgent && next === node) break
    }
    if (next === undefined) return undefined
    this.#tokens.spend(now, 1)
    this.#waiting.delete(next)
    return next
  }

  nextTimeout(): Instant {
    return this.#waiting.size === 0 ? Infinity : this.#tokens.nextAt
  }
}
