/** How a peer is notified of a decision about it. Below: services/handshake.ts, which sends it. */
import type { NodeId } from '../../base/types.ts'

/**
 * Notifies peers about trust directly and immediately. Best effort: the registry reports it too, except for a
 * revocation.
 */
export interface TrustCourier {
  ask(peer: string, reason: string): Promise<void>
  accept(node: NodeId): Promise<void>
  revoke(node: NodeId): Promise<void>
}
