/** Who may manage a network, and the refusals that requests about networks share (registry.md §2.2, §6). */
import type { NodeId } from '../../base/types.ts'
import type { Network, Role } from './network-table.ts'
import type { Call } from './request.ts'
import { challenges } from '../../wire/registry-messages.ts'
import { MAX_NETWORK_MEMBERS } from './constants.ts'
import { authenticate, isAdmin } from './request.ts'
import { matchesHash } from './secrets.ts'

/**
 * Undefined if the request may manage the network: with the admin token, the network's own token, or as a member with
 * one of the roles. The reference believes the member's id; ours requires its signature over
 * `<type>:<node_id>:<network_id>[:<target>]`.
 */
export function roleProblem(call: Call, network: Network, roles: readonly Role[], target?: NodeId): string | undefined {
  if (isNetworkAdmin(call, network)) return undefined
  const nodeId = call.request.number('node_id')
  if (nodeId === 0) return 'rbac: node_id required for role-based authorization'
  const role = call.networks.role(network, nodeId)
  if (role === undefined || !roles.includes(role)) return 'rbac: the role does not suffice'
  if (call.options.compat.has('unsigned-roles')) return undefined
  const node = authenticate(call, 'node_id', () =>
    challenges.byRole(call.request.text('type'), nodeId, network.id, target),
  )
  return typeof node === 'string' ? node : undefined
}

export function isNetworkAdmin(call: Call, network: Network): boolean {
  return isAdmin(call) || matchesHash(call.request.text('admin_token'), network.adminTokenHash)
}

export const ENTERPRISE_ONLY = 'enterprise feature: requires enterprise network'

export function noNetwork(networkId: number): string {
  return `network ${networkId}: network not found`
}

export function noMember(nodeId: NodeId, networkId: number): string {
  return `node ${nodeId} is not a member of network ${networkId}`
}

/** No room for another. */
export function isFull(call: Call, network: Network): boolean {
  const { size } = call.networks.members(network)
  return size >= MAX_NETWORK_MEMBERS || (network.maxMembers > 0 && size >= network.maxMembers)
}
