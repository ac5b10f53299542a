/** Tags that a node has within one network, set by those who manage it; daemons of today ask for them. */
import type { Call } from './request.ts'
import { noMember, noNetwork, roleProblem } from './network-access.ts'
import { readTags } from './tags.ts'

/** Replaces the tags of `target_node_id`. */
export function setMemberTags(call: Call): object | string {
  const [networkId, target] = [call.request.number('network_id'), call.request.number('target_node_id')]
  const network = call.networks.get(networkId)
  if (network === undefined) return noNetwork(networkId)
  const problem = roleProblem(call, network, ['owner', 'admin'], target)
  if (problem !== undefined) return problem
  if (!call.networks.isMember(network, target)) return noMember(target, networkId)
  const tags = readTags(call.request.texts('tags'))
  if (typeof tags === 'string') return tags
  call.networks.setTags(network, target, tags)
  call.audit.note(call.now, 'member.tags_changed', {
    network: networkId,
    details: `target_node_id=${target}, tags_count=${tags.length}`,
  })
  return { type: 'set_member_tags_ok', network_id: networkId, target_node_id: target, tags }
}

/** Open to all, as the list of members is. Without a target: of every member that has some. */
export function getMemberTags(call: Call): object | string {
  const [networkId, target] = [call.request.number('network_id'), call.request.number('target_node_id')]
  const network = call.networks.get(networkId)
  if (network === undefined) return noNetwork(networkId)
  if (target === 0) {
    const members = [...call.networks.members(network)].flatMap(([node, { tags }]) =>
      tags.length > 0 ? [{ node_id: node, tags }] : [],
    )
    return { type: 'get_member_tags_ok', network_id: networkId, members }
  }
  if (!call.networks.isMember(network, target)) return noMember(target, networkId)
  const tags = call.networks.tags(network, target)
  return { type: 'get_member_tags_ok', network_id: networkId, target_node_id: target, tags }
}
