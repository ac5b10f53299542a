/** Requests about networks: making, joining, leaving, naming, listing (registry.md §6). */
import type { NodeId } from '../../base/types.ts'
import type { Call } from './request.ts'
import type { Network } from './network-table.ts'
import { formatAddress } from '../../base/address.ts'
import { challenges } from '../../wire/registry-messages.ts'
import { MAX_HOSTNAME_CHARS, MAX_LIST_BYTES } from './constants.ts'
import { isFull, isNetworkAdmin, noMember, noNetwork, roleProblem } from './network-access.ts'
import { adminProblem, authenticate, isAdmin } from './request.ts'
import { hashSecret, matchesHash } from './secrets.ts'
import { rfc3339 } from './times.ts'

export function createNetwork(call: Call): object | string {
  const problem = adminProblem(call)
  if (problem !== undefined) return problem
  const [name, enterprise] = [call.request.text('name'), call.request.flag('enterprise')]
  const joinRule = call.request.text('join_rule') || 'open'
  const nameProblem = networkNameProblem(name)
  if (nameProblem !== undefined) return nameProblem
  if (joinRule === 'invite' && !enterprise)
    return 'enterprise feature: invite-only networks require the enterprise flag'
  if ((call.request.optionalText('rules') ?? '') !== '')
    return 'cannot create a managed network: this registry keeps policies (set_expr_policy), but no rules'
  const ownerId = call.request.number('node_id') || undefined // pilotctl of today names none
  if (ownerId !== undefined && call.directory.live(ownerId) === undefined) return 'the owner is not registered'
  if (call.networks.isTaken(name)) return `network "${name}" already exists`
  const tokenHash = hashSecret(call.request.text('token'))
  const adminTokenHash = hashSecret(call.request.text('network_admin_token'))
  const network = call.networks.create(call.now, { name, joinRule, tokenHash, adminTokenHash, enterprise }, ownerId)
  if (network === undefined) return 'too many networks'
  const details = `name=${name}, join_rule=${joinRule}, creator_node_id=${ownerId ?? 0}, enterprise=${enterprise}`
  call.audit.note(call.now, 'network.created', { network: network.id, details })
  return { type: 'create_network_ok', network_id: network.id, name, enterprise }
}

export function joinNetwork(call: Call): object | string {
  const [nodeId, networkId] = [call.request.number('node_id'), call.request.number('network_id')]
  if (networkId === 0) return 'cannot join the backbone network'
  const problem = memberProblem(call, challenges.joinNetwork(nodeId, networkId))
  if (problem !== undefined) return problem
  const network = call.networks.get(networkId)
  if (network === undefined) return noNetwork(networkId)
  if (call.networks.isMember(network, nodeId)) return `node ${nodeId} already in network ${networkId}`
  const refusal = joinRuleProblem(call, network)
  if (refusal !== undefined) return refusal
  if (isFull(call, network)) return 'the network is full'
  call.networks.addMember(network, nodeId, 'member')
  call.audit.note(call.now, 'network.joined', { network: networkId, node: nodeId })
  return {
    type: 'join_network_ok',
    network_id: networkId,
    address: formatAddress({ network: networkId, node: nodeId }),
  }
}

export function leaveNetwork(call: Call): object | string {
  const [nodeId, networkId] = [call.request.number('node_id'), call.request.number('network_id')]
  if (networkId === 0) return 'cannot leave the backbone network'
  const problem = memberProblem(call, challenges.leaveNetwork(nodeId, networkId))
  if (problem !== undefined) return problem
  const network = call.networks.get(networkId)
  if (network === undefined) return noNetwork(networkId)
  if (!call.networks.isMember(network, nodeId)) return noMember(nodeId, networkId)
  if (network.enterprise && call.networks.role(network, nodeId) === 'owner')
    return 'cannot leave network: owner must transfer ownership first'
  call.networks.removeMember(network, nodeId)
  call.audit.note(call.now, 'network.left', { network: networkId, node: nodeId })
  return { type: 'leave_network_ok', network_id: networkId }
}

export function deleteNetwork(call: Call): object | string {
  const networkId = call.request.number('network_id')
  if (networkId === 0) return 'cannot delete the backbone network'
  const network = call.networks.get(networkId)
  if (network === undefined) return noNetwork(networkId)
  const problem = roleProblem(call, network, ['owner'])
  if (problem !== undefined) return problem
  const details = `name=${network.name}, members=${call.networks.members(network).size}, enterprise=${network.enterprise}`
  call.networks.delete(network)
  call.invites.takeNetwork(networkId)
  call.audit.note(call.now, 'network.deleted', { network: networkId, details })
  return { type: 'delete_network_ok', network_id: networkId }
}

export function renameNetwork(call: Call): object | string {
  const networkId = call.request.number('network_id')
  if (networkId === 0) return 'cannot rename the backbone network'
  const network = call.networks.get(networkId)
  if (network === undefined) return noNetwork(networkId)
  const problem = roleProblem(call, network, ['owner', 'admin'])
  if (problem !== undefined) return problem
  const name = call.request.text('name')
  const nameProblem = networkNameProblem(name)
  if (nameProblem !== undefined) return nameProblem
  if (name !== network.name && call.networks.isTaken(name)) return `network "${name}" already exists`
  call.audit.note(call.now, 'network.renamed', {
    network: networkId,
    details: `old_name=${network.name}, new_name=${name}`,
  })
  call.networks.rename(network, name)
  return { type: 'rename_network_ok', network_id: networkId, name }
}

/** Open to all, as much as fits into a readable reply. */
export function listNetworks(call: Call): object {
  const backbone = {
    id: 0,
    name: 'backbone',
    members: call.directory.liveCount,
    join_rule: 'open',
    enterprise: false,
    created: Math.floor((call.directory.account(1)?.keyCreatedMs ?? call.now) / 1000),
  }
  const networks: object[] = [backbone]
  for (const network of call.networks.all()) {
    const { id, name, joinRule, enterprise, createdMs, maxMembers, description } = network
    networks.push({
      id,
      name,
      members: call.networks.members(network).size,
      join_rule: joinRule,
      enterprise,
      created: Math.floor(createdMs / 1000),
      ...(enterprise && maxMembers > 0 && { max_members: maxMembers }),
      ...(enterprise && description !== '' && { description }),
    })
  }
  return { type: 'list_networks_ok', networks: whatFits(networks) }
}

/**
 * The backbone's nodes are listed only for the admin; a network's for everyone, as daemons need, except for names and
 * tags of private nodes.
 */
export function listNodes(call: Call): object | string {
  const networkId = call.request.number('network_id')
  if (networkId === 0) {
    if (!isAdmin(call)) return 'the backbone is listed for the admin only'
    const after = call.request.number('after_node_id') // ours: the next page of a long list
    const ids = [...call.directory.allLive()].map(({ nodeId }) => nodeId).filter((nodeId) => nodeId > after)
    const nodes = ids.sort((a, b) => a - b).map((nodeId) => nodeEntry(call, undefined, nodeId))
    return { type: 'list_nodes_ok', nodes: whatFits(nodes) }
  }
  const network = call.networks.get(networkId)
  if (network === undefined || !mayList(call, network)) return noNetwork(networkId)
  const nodes = [...call.networks.members(network).keys()].map((nodeId) => nodeEntry(call, network, nodeId))
  return { type: 'list_nodes_ok', nodes: whatFits(nodes) }
}

/** With the strict directory, only members who sign, and the admin. */
function mayList(call: Call, network: Network): boolean {
  if (!call.options.strict.has('directory') || isNetworkAdmin(call, network)) return true
  const requester = authenticate(call, 'requester_id', (id) => challenges.byRole('list_nodes', id, network.id))
  return typeof requester !== 'string' && call.networks.isMember(network, requester.nodeId)
}

function nodeEntry(call: Call, network: Network | undefined, nodeId: NodeId): object {
  const node = call.directory.live(nodeId)
  const role = network === undefined ? undefined : call.networks.role(network, nodeId)
  const memberTags = network === undefined ? [] : call.networks.tags(network, nodeId)
  const address = formatAddress({ network: network?.id ?? 0, node: nodeId })
  if (node === undefined) return { node_id: nodeId, address, offline: true, ...(role !== undefined && { role }) }
  const isShown = node.public || isAdmin(call) || call.options.compat.has('private-hostnames')
  return {
    node_id: nodeId,
    address,
    public: node.public,
    polo_score: node.poloScore,
    last_seen: rfc3339(node.lastSeenMs),
    ...(role !== undefined && { role }),
    ...(isShown && node.hostname !== '' && { hostname: node.hostname }),
    ...(isShown && node.tags.length > 0 && { tags: node.tags }),
    ...(memberTags.length > 0 && { member_tags: memberTags }),
    ...(node.taskExec && { task_exec: true }),
    ...(node.public && { real_addr: node.endpoint }),
    ...(isShown && node.externalId !== '' && { external_id: node.externalId }),
  }
}

/** Signed by the node itself, or by the admin. Unknown requesters learn nothing more. */
function memberProblem(call: Call, challenge: string): string | undefined {
  const nodeId = call.request.number('node_id')
  if (call.directory.live(nodeId) === undefined) return 'the node is not registered'
  if (isAdmin(call)) return undefined
  const node = authenticate(call, 'node_id', () => challenge)
  return typeof node === 'string' ? node : undefined
}

function joinRuleProblem(call: Call, network: Network): string | undefined {
  if (network.joinRule === 'open') return undefined
  if (network.joinRule === 'invite') return 'members are invited'
  if (network.joinRule !== 'token') return 'this join rule admits no one'
  // Before the token is checked: a right guess must not succeed where a wrong one would be rate-limited.
  if (!call.limiter.take(call.now, 'join_token', call.source.address))
    return `rate limited: too many joins from ${call.source.address}`
  const token = call.request.text('token')
  const matches = network.tokenHash === '' ? token === '' : matchesHash(token, network.tokenHash)
  return matches ? undefined : `invalid token for network ${network.id}`
}

/** The reference's words. */
function networkNameProblem(name: string): string | undefined {
  if (name === '') return 'network name required'
  if (name.length > MAX_HOSTNAME_CHARS) return `network name too long (max ${MAX_HOSTNAME_CHARS} chars)`
  return /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name) && name !== 'backbone' ? undefined : 'malformed network name'
}

function whatFits(entries: readonly object[]): readonly object[] {
  let bytes = 0
  const end = entries.findIndex((entry) => (bytes += Buffer.byteLength(JSON.stringify(entry)) + 1) > MAX_LIST_BYTES)
  return end < 0 ? entries : entries.slice(0, end)
}
