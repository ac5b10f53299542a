/** Requests about trust (registry.md §4). */
import type { NodeId } from '../../base/types.ts'
import type { Call } from './request.ts'
import { parseEndpoint } from '../../base/types.ts'
import { challenges } from '../../wire/registry-messages.ts'
import { areTrusted } from './access.ts'
import { authenticate, isAdmin, notFound } from './request.ts'

/** One direction; the pair counts once the other side has done the same. */
export function reportTrust(call: Call): object | string {
  const peerId = call.request.number('peer_id')
  const node = authenticate(call, 'node_id', (nodeId) => challenges.reportTrust(nodeId, peerId))
  if (typeof node === 'string') return node
  if (call.directory.live(peerId) === undefined) return notFound(peerId)
  if (peerId === node.nodeId) return 'a node cannot trust itself'
  if (!call.trust.mayAssert(node.nodeId)) return 'too many trusted peers'
  call.trust.assert(node.nodeId, peerId)
  call.audit.note(call.now, 'trust.created', { details: `node_a=${node.nodeId}, node_b=${peerId}` })
  return { type: 'report_trust_ok' }
}

/** Ends the pair for both. The sender's own unanswered request is withdrawn too, silently. */
export function revokeTrust(call: Call): object | string {
  const peerId = call.request.number('peer_id')
  const node = authenticate(call, 'node_id', (nodeId) => challenges.revokeTrust(nodeId, peerId))
  if (typeof node === 'string') return node
  call.mailboxes.settle(peerId, node.nodeId)
  if (!call.trust.revoke(node.nodeId, peerId)) return 'no such trust pair'
  call.audit.note(call.now, 'trust.revoked', { details: `node_a=${node.nodeId}, node_b=${peerId}` })
  return { type: 'revoke_trust_ok' }
}

/**
 * A pair, or a common network. Daemons ask without a signature, so their address decides: only the two nodes concerned
 * get the answer, and a stranger gets the same answer as for a pair that does not exist.
 */
export function checkTrust(call: Call): object {
  const [a, b] = [call.request.number('node_id'), call.request.number('peer_id')]
  const concerned = call.options.compat.has('open-trust') || isAdmin(call) || isFrom(call, a) || isFrom(call, b)
  return { type: 'check_trust_ok', trusted: concerned && areTrusted(call, a, b) }
}

/** Does the request come from the address that the node registered from? */
function isFrom(call: Call, nodeId: NodeId): boolean {
  return parseEndpoint(call.directory.live(nodeId)?.endpoint ?? '')?.address === call.source.address
}
