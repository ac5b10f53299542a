/** Requests by and about roles in a network (registry.md §2.2, §6). */
import type { NodeId } from '../../base/types.ts'
import type { Network, Role } from './network-table.ts'
import type { Call } from './request.ts'
import { ENTERPRISE_ONLY, noMember, noNetwork, roleProblem } from './network-access.ts'
import { adminProblem } from './request.ts'

export function promoteMember(call: Call): object | string {
  return changeRole(call, 'promote', 'admin')
}

export function demoteMember(call: Call): object | string {
  return changeRole(call, 'demote', 'member')
}

export function kickMember(call: Call): object | string {
  const found = memberOf(call, ['owner', 'admin'], 'target_node_id')
  if (typeof found === 'string') return found
  const { network, target, role } = found
  if (role === 'owner') return 'cannot kick the network owner'
  call.networks.removeMember(network, target)
  call.audit.note(call.now, 'member.kicked', {
    network: network.id,
    details: `target_node_id=${target}, role=${role ?? ''}`,
  })
  return { type: 'kick_member_ok', network_id: network.id, target_node_id: target }
}

/** The old owner becomes an admin. */
export function transferOwnership(call: Call): object | string {
  const found = memberOf(call, ['owner'], 'new_owner_id')
  if (typeof found === 'string') return found
  const { network, target, role } = found
  if (role === 'owner') return `node ${target} is already the owner`
  let oldOwner = 0
  for (const [node, member] of call.networks.members(network)) if (member.role === 'owner') oldOwner = node
  if (oldOwner !== 0) call.networks.setRole(network, oldOwner, 'admin')
  call.networks.setRole(network, target, 'owner')
  const details = `old_owner=${oldOwner}, new_owner=${target}, new_owner_old_role=${role ?? ''}`
  call.audit.note(call.now, 'network.ownership_transferred', { network: network.id, details })
  return { type: 'transfer_ownership_ok', network_id: network.id, old_owner: oldOwner, new_owner: target }
}

/** Open to all. */
export function getMemberRole(call: Call): object | string {
  const [networkId, target] = [call.request.number('network_id'), call.request.number('target_node_id')]
  const network = call.networks.get(networkId)
  if (network === undefined) return networkId === 0 ? noMember(target, 0) : noNetwork(networkId)
  const role = call.networks.role(network, target)
  if (role === undefined) return noMember(target, networkId)
  return { type: 'get_member_role_ok', network_id: networkId, target_node_id: target, role }
}

/** Turning it off deletes the roles; turning it on assigns them, and the first member owns the network. */
export function setNetworkEnterprise(call: Call): object | string {
  const [networkId, enterprise] = [call.request.number('network_id'), call.request.flag('enterprise')]
  if (networkId === 0) return 'cannot set enterprise on the backbone network'
  if (adminProblem(call) !== undefined) return 'the admin decides'
  const network = call.networks.get(networkId)
  if (network === undefined) return noNetwork(networkId)
  const members = [...call.networks.members(network)]
  const hasOwner = members.some(([, { role }]) => role === 'owner')
  for (const [index, [node, { role }]] of members.entries()) {
    const next: Role = index === 0 && !hasOwner ? 'owner' : (role ?? 'member')
    call.networks.setRole(network, node, enterprise ? next : undefined)
  }
  network.enterprise = enterprise
  call.networks.save(network)
  call.audit.note(call.now, 'network.enterprise_changed', {
    network: networkId,
    details: `enterprise=${enterprise}, members=${members.length}`,
  })
  return { type: 'set_network_enterprise_ok', network_id: networkId, enterprise }
}

function changeRole(call: Call, verb: 'promote' | 'demote', role: Role): object | string {
  const found = memberOf(call, ['owner'], 'target_node_id')
  if (typeof found === 'string') return found
  const { network, target, role: oldRole } = found
  if (oldRole === 'owner') return `cannot ${verb} the owner`
  if (oldRole === role) return `node ${target} is already ${role === 'admin' ? 'an admin' : 'a member'}`
  call.networks.setRole(network, target, role)
  const details = `target_node_id=${target}, old_role=${oldRole ?? ''}, new_role=${role}`
  call.audit.note(call.now, `member.${verb}d`, { network: network.id, details })
  return { type: `${verb}_member_ok`, network_id: network.id, target_node_id: target, role }
}

/** The member in `field`, in an enterprise network that the request may manage. */
function memberOf(
  call: Call,
  roles: readonly Role[],
  field: string,
): { readonly network: Network; readonly target: NodeId; readonly role: Role | undefined } | string {
  const [networkId, target] = [call.request.number('network_id'), call.request.number(field)]
  if (target === 0 && field === 'new_owner_id') return 'new_owner_id is required'
  const network = call.networks.get(networkId)
  if (network === undefined) return noNetwork(networkId)
  const problem = roleProblem(call, network, roles, target)
  if (problem !== undefined) return problem
  if (!network.enterprise) return ENTERPRISE_ONLY
  if (!call.networks.isMember(network, target)) return noMember(target, networkId)
  return { network, target, role: call.networks.role(network, target) }
}
