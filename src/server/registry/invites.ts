/** Requests about invitations to networks (registry.md §6). */
import type { NodeId } from '../../base/types.ts'
import type { Network } from './network-table.ts'
import type { Call } from './request.ts'
import { challenges } from '../../wire/registry-messages.ts'
import { ENTERPRISE_ONLY, isFull, isNetworkAdmin, noNetwork } from './network-access.ts'
import { authenticate, isAdmin, notFound, signatureProblem } from './request.ts'

export function inviteToNetwork(call: Call): object | string {
  const [inviterId, targetId, networkId] = [
    call.request.number('inviter_id'),
    call.request.number('target_node_id'),
    call.request.number('network_id'),
  ]
  const inviter = call.directory.live(inviterId)
  if (inviter === undefined) return `inviter ${notFound(inviterId)}`
  const problem = isAdmin(call)
    ? undefined
    : signatureProblem(call, inviter.account.publicKey, challenges.inviteToNetwork(inviterId, networkId, targetId))
  if (problem !== undefined) return problem
  if (inviterId === targetId) return 'cannot invite yourself'
  const network = networkId === 0 ? undefined : call.networks.get(networkId)
  if (network === undefined) return networkId === 0 ? ENTERPRISE_ONLY : noNetwork(networkId)
  const refusal = inviteProblem(call, network, inviterId, targetId)
  if (refusal !== undefined) return refusal
  const reply = { type: 'invite_to_network_ok', network_id: networkId, target_node_id: targetId }
  if (call.invites.get(call.now, targetId, networkId) !== undefined) return { ...reply, status: 'already_invited' }
  if (!call.invites.put(call.now, targetId, networkId, inviterId))
    return `too many invitations wait for node ${targetId}`
  call.audit.note(call.now, 'invite.created', {
    network: networkId,
    details: `inviter_id=${inviterId}, target_node_id=${targetId}`,
  })
  return reply
}

/** Invitations stay until they are answered. */
export function pollInvites(call: Call): object | string {
  const node = authenticate(call, 'node_id', challenges.pollInvites)
  if (typeof node === 'string') return node
  const invites = [...call.invites.all(call.now, node.nodeId)].map(([network, { inviterId, atMs }]) => ({
    network_id: network,
    inviter_id: inviterId,
    timestamp: Math.floor(atMs / 1000),
  }))
  return { type: 'poll_invites_ok', invites }
}

/** If the network is full, the invitation stays open. */
export function respondInvite(call: Call): object | string {
  const networkId = call.request.number('network_id')
  const network = networkId === 0 ? undefined : call.networks.get(networkId)
  if (network === undefined) return networkId === 0 ? ENTERPRISE_ONLY : noNetwork(networkId)
  if (!network.enterprise) return ENTERPRISE_ONLY
  const node = authenticate(call, 'node_id', (nodeId) => challenges.respondInvite(nodeId, networkId))
  if (typeof node === 'string') return node
  if (call.invites.get(call.now, node.nodeId, networkId) === undefined) return 'there is no such invitation'
  const accepted = call.request.flag('accept')
  const isMember = call.networks.isMember(network, node.nodeId)
  if (accepted && !isMember && isFull(call, network)) return 'the network is full'
  call.invites.take(node.nodeId, networkId)
  if (accepted && !isMember) call.networks.addMember(network, node.nodeId, 'member')
  call.audit.note(call.now, 'invite.responded', {
    network: networkId,
    node: node.nodeId,
    details: `accepted=${accepted}`,
  })
  return { type: 'respond_invite_ok', network_id: networkId, accepted }
}

function inviteProblem(call: Call, network: Network, inviterId: NodeId, targetId: NodeId): string | undefined {
  if (!network.enterprise) return ENTERPRISE_ONLY
  if (network.joinRule !== 'invite') return 'the network has another rule'
  if (!isNetworkAdmin(call, network)) {
    if (!call.networks.isMember(network, inviterId))
      return `inviter ${inviterId} is not a member of network ${network.id}`
    const role = call.networks.role(network, inviterId)
    if (role !== 'owner' && role !== 'admin') return 'rbac: the role does not suffice'
  }
  if (call.directory.live(targetId) === undefined) return `target ${notFound(targetId)}`
  return call.networks.isMember(network, targetId)
    ? `node ${targetId} is already a member of network ${network.id}`
    : undefined
}
