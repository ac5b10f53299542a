/** Requests about the policy of a network (registry.md §6). `allowed_ports` is only stored: no daemon enforces it. */
import type { Network } from './network-table.ts'
import type { Call } from './request.ts'
import { MAX_DESCRIPTION_CHARS, MAX_POLICY_MEMBERS, MAX_POLICY_PORTS } from './constants.ts'
import { ENTERPRISE_ONLY, noNetwork, roleProblem } from './network-access.ts'
import { isAdmin } from './request.ts'

/** Omitted fields are unchanged. */
export function setNetworkPolicy(call: Call): object | string {
  const networkId = call.request.number('network_id')
  if (networkId === 0) return isAdmin(call) ? ENTERPRISE_ONLY : 'there are no roles in the backbone'
  const network = call.networks.get(networkId)
  if (network === undefined) return noNetwork(networkId)
  const problem = roleProblem(call, network, ['owner', 'admin'])
  if (problem !== undefined) return problem
  if (!network.enterprise) return ENTERPRISE_ONLY
  const [maxMembers, ports, description] = [
    newLimit(call, network),
    newPorts(call, network),
    newDescription(call, network),
  ]
  if (typeof maxMembers === 'string') return maxMembers
  if (typeof ports === 'string') return ports
  if ('problem' in description) return description.problem
  const details =
    `old_max_members=${network.maxMembers}, new_max_members=${maxMembers}, ` +
    `old_allowed_ports_count=${network.allowedPorts.length}, new_allowed_ports_count=${ports.length}`
  call.audit.note(call.now, 'network.policy_changed', { network: networkId, details })
  network.maxMembers = maxMembers
  network.allowedPorts = ports
  network.description = description.text
  call.networks.save(network)
  return {
    type: 'set_network_policy_ok',
    network_id: networkId,
    max_members: maxMembers,
    allowed_ports: ports.length > 0 ? ports : null,
    description: description.text,
  }
}

/** Open to all. The backbone has no policy. */
export function getNetworkPolicy(call: Call): object | string {
  const networkId = call.request.number('network_id')
  const network = call.networks.get(networkId)
  if (network === undefined && networkId !== 0) return noNetwork(networkId)
  const { maxMembers, allowedPorts, description } = network ?? { maxMembers: 0, allowedPorts: [], description: '' }
  return {
    type: 'get_network_policy_ok',
    network_id: networkId,
    max_members: maxMembers,
    allowed_ports: allowedPorts,
    description,
  }
}

function newLimit(call: Call, network: Network): number | string {
  const limit = call.request.raw('max_members')
  if (limit === undefined) return network.maxMembers
  if (!Number.isInteger(limit) || limit < 0 || limit > MAX_POLICY_MEMBERS)
    return `invalid max_members (must be integer 0-${MAX_POLICY_MEMBERS})`
  const { size } = call.networks.members(network)
  return limit > 0 && limit < size ? `cannot set max_members to ${limit}: network already has ${size} members` : limit
}

function newPorts(call: Call, network: Network): readonly number[] | string {
  const ports = call.request.list('allowed_ports')
  if (ports === undefined) return network.allowedPorts
  if (ports.length > MAX_POLICY_PORTS) return `too many allowed_ports (max ${MAX_POLICY_PORTS})`
  const valid = ports.every((port) => typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535)
  return valid ? [...new Set(ports as number[])] : 'invalid port number in allowed_ports (must be integer 1-65535)'
}

function newDescription(call: Call, network: Network): { readonly text: string } | { readonly problem: string } {
  const text = call.request.optionalText('description') ?? network.description
  return text.length > MAX_DESCRIPTION_CHARS
    ? { problem: `policy description too long (max ${MAX_DESCRIPTION_CHARS} chars)` }
    : { text }
}
