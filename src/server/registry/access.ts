/** Who may know a node's endpoint and name (registry.md §3.5, §3.6). */
import type { NodeId } from '../../base/types.ts'
import type { LiveNode } from './directory.ts'
import type { Call } from './request.ts'
import { signatureProblem } from './request.ts'

type Tables = Pick<Call, 'trust' | 'networks'>

/** A trust pair, or a common network other than the backbone. */
export function areTrusted(tables: Tables, a: NodeId, b: NodeId): boolean {
  return tables.trust.effective(a, b) || tables.networks.shareOne(a, b)
}

/** §3.5: a private node does not even get its own endpoint, unless it is in a network. */
export function mayResolve(tables: Tables, requester: LiveNode, node: LiveNode): boolean {
  if (node.public) return true
  if (requester === node) return tables.networks.shareOne(node.nodeId, node.nodeId)
  return areTrusted(tables, requester.nodeId, node.nodeId)
}

/** May the sender of this request know the hostname of `node`? `requester_id` must be signed. */
export function mayKnowName(call: Call, node: LiveNode, challenge: (requester: NodeId) => string): boolean {
  if (node.public) return true
  const requester = call.directory.live(call.request.number('requester_id'))
  if (requester === undefined) return false
  if (requester !== node && !areTrusted(call, requester.nodeId, node.nodeId)) return false
  if (call.options.compat.has('unsigned-requester')) return true
  return signatureProblem(call, requester.account.publicKey, challenge(requester.nodeId)) === undefined
}
