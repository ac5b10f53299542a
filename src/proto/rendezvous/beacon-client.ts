/** Where the beacon sees us: discover messages, their answers, and the NAT mapping they keep open. */
import type { Endpoint, Instant, NodeId } from '../../base/types.ts'
import { sameEndpoint } from '../../base/types.ts'
import { encodeDiscover } from '../../wire/beacon-messages.ts'
import type { Machine } from '../machine.ts'
import { DISCOVER_INTERVAL_MS, DISCOVER_RETRY_MS } from './constants.ts'

export class BeaconClient implements Machine {
  /** Our public endpoint, as the beacon saw it last. */
  observed: Endpoint | undefined
  #nodeId: NodeId = 0
  #nextAt: Instant = 0
  #unanswered = 0

  /** Our id is known now, or another one: the beacon must hear of it at once, else it cannot relay to us. */
  setNodeId (nodeId: NodeId): void {
    this.#nodeId = nodeId
    this.#nextAt = 0
    this.#unanswered = 0
  }

  /** @returns true when our endpoint is new or another than before. */
  handleReply (now: Instant, endpoint: Endpoint): boolean {
    this.#unanswered = 0
    this.#nextAt = now + DISCOVER_INTERVAL_MS
    if (sameEndpoint(this.observed, endpoint)) return false
    this.observed = endpoint
    return true
  }

  /** A datagram for the beacon, if one is due. */
  pollDiscover (now: Instant): Uint8Array | undefined {
    if (now < this.#nextAt) return undefined
    this.#nextAt = now + DISCOVER_RETRY_MS[Math.min(this.#unanswered, DISCOVER_RETRY_MS.length - 1)]!
    this.#unanswered += 1
    return encodeDiscover(this.#nodeId)
  }

  handleTimeout (_now: Instant): void {} // pollDiscover looks at the time itself

  nextTimeout (): Instant { return this.#nextAt }
}
