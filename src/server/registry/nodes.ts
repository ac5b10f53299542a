/** Requests about nodes: alive, where, which attributes (registry.md §3.2 to §3.7, §3.9). */
import type { Call } from './request.ts'
import { formatAddress } from '../../base/address.ts'
import { STREAM_EXTENSIONS, challenges } from '../../wire/registry-messages.ts'
import { mayKnowName, mayResolve } from './access.ts'
import { KEY_EXPIRY_WARNING_MS, MAX_HEARTBEAT_SKEW_S } from './constants.ts'
import { expiryProblem, keyAgeDays } from './keys.ts'
import { authenticate, authenticateOrAdmin, authenticateRepeated, notFound, signatureProblem } from './request.ts'
import { readTags } from './tags.ts'

/** Only refreshes last-seen, in memory. */
export function heartbeat(call: Call): object | string {
  const ts = call.request.number('ts')
  if (ts === 0 && call.signer === undefined && call.options.strict.has('heartbeats')) return 'ts required'
  if (ts !== 0 && Math.abs(call.now / 1_000 - ts) > MAX_HEARTBEAT_SKEW_S)
    return 'invalid ts: the heartbeat is not fresh'
  const node = authenticateRepeated(call, (id) =>
    ts === 0 ? challenges.heartbeat(id) : challenges.heartbeatAt(id, ts),
  )
  if (typeof node === 'string') return node
  const expired = expiryProblem(call, node.account)
  if (expired !== undefined) return expired
  node.lastSeenMs = call.now
  const { keyExpires, keyExpiresMs } = node.account
  const endsSoon = keyExpires !== '' && keyExpiresMs - call.now <= KEY_EXPIRY_WARNING_MS
  return { type: 'heartbeat_ok', time: Math.floor(call.now / 1000), ...(endsSoon && { key_expiry_warning: true }) }
}

/**
 * Open to all. The endpoint is shown only for public nodes. So are hostname, tags and external id, except to nodes that
 * may resolve this one: ours, with `requester_id` and a signature over `lookup:<requester>:<node>`.
 */
export function lookup(call: Call): object | string {
  const nodeId = call.request.number('node_id')
  const node = call.directory.live(nodeId)
  if (node === undefined) return notFound(nodeId)
  const isFriend =
    call.options.compat.has('private-hostnames') ||
    mayKnowName(call, node, (requester) => challenges.lookup(requester, nodeId))
  if (!isFriend && call.options.strict.has('directory')) return notFound(nodeId)
  return {
    type: 'lookup_ok',
    node_id: nodeId,
    address: formatAddress({ network: 0, node: nodeId }),
    networks: [0, ...call.networks.networksOf(nodeId)],
    public_key: node.account.publicKey,
    public: node.public,
    polo_score: node.poloScore,
    ...(node.version !== '' && { version: node.version }),
    key_generation: node.account.keyRotations,
    ...(isFriend && { last_seen_unix: Math.floor(node.lastSeenMs / 1000) }),
    ...(isFriend && node.hostname !== '' && { hostname: node.hostname }),
    ...(isFriend && node.tags.length > 0 && { tags: node.tags }),
    ...(node.taskExec && { task_exec: true }),
    ...(node.public && !node.relayOnly && { real_addr: node.endpoint }),
    ...(node.relayOnly && { relay_only: true }),
    ...(isFriend && node.externalId !== '' && { external_id: node.externalId }),
  }
}

export function resolve(call: Call): object | string {
  const requester = call.directory.live(call.request.number('requester_id'))
  const nodeId = call.request.number('node_id')
  if (requester === undefined) return 'requester is not known'
  const problem = signatureProblem(call, requester.account.publicKey, challenges.resolve(requester.nodeId, nodeId))
  if (problem !== undefined) return problem
  if (expiryProblem(call, requester.account) !== undefined) return "the requester's key is no longer valid"
  const node = call.directory.live(nodeId)
  if (node === undefined) return notFound(nodeId)
  if (!mayResolve(call, requester, node)) return 'node is private'
  return {
    type: 'resolve_ok',
    node_id: nodeId,
    ...(node.relayOnly ? { relay_only: true } : { real_addr: node.endpoint }),
    key_age_days: keyAgeDays(call.now, node),
    ...(node.lanEndpoints.length > 0 && { lan_addrs: node.lanEndpoints }),
    ...(node.extended && { extensions: [STREAM_EXTENSIONS] }),
  }
}

/**
 * Both endpoints of a pair. The reference requires no trust here; ours applies the rule of `resolve` to the other node.
 */
export function punch(call: Call): object | string {
  const [idA, idB] = [call.request.number('node_a'), call.request.number('node_b')]
  const requester = authenticate(call, 'requester_id', () => challenges.punch(idA, idB))
  if (typeof requester === 'string') return requester
  if (requester.nodeId !== idA && requester.nodeId !== idB) return 'requester takes no part'
  const nodeA = call.directory.live(idA)
  const nodeB = call.directory.live(idB)
  if (nodeA === undefined || nodeB === undefined) return notFound(nodeA === undefined ? idA : idB)
  if (!mayResolve(call, requester, requester === nodeA ? nodeB : nodeA)) return 'node is private'
  if (nodeA.relayOnly || nodeB.relayOnly) return 'node is reached by relay only'
  return { type: 'punch_ok', node_a: idA, node_a_addr: nodeA.endpoint, node_b: idB, node_b_addr: nodeB.endpoint }
}

export function setVisibility(call: Call): object | string {
  const node = authenticateOrAdmin(call, 'node_id', challenges.setVisibility)
  if (typeof node === 'string') return node
  const isPublic = call.request.flag('public')
  call.audit.note(call.now, 'visibility.changed', {
    node: node.nodeId,
    details: `old_public=${node.public}, new_public=${isPublic}`,
  })
  node.public = isPublic
  call.directory.saveLive(node)
  return { type: 'set_visibility_ok', node_id: node.nodeId, visibility: node.public ? 'public' : 'private' }
}

export function setTags(call: Call): object | string {
  const node = authenticateOrAdmin(call, 'node_id', challenges.setTags)
  if (typeof node === 'string') return node
  const tags = readTags(call.request.texts('tags'))
  if (typeof tags === 'string') return tags
  call.audit.note(call.now, 'tags.changed', {
    node: node.nodeId,
    details: `old_tags_count=${node.tags.length}, new_tags_count=${tags.length}`,
  })
  node.tags = tags
  call.directory.saveLive(node)
  return { type: 'set_tags_ok', node_id: node.nodeId, tags: tags.length > 0 ? tags : null }
}

export function setTaskExec(call: Call): object | string {
  const node = authenticateOrAdmin(call, 'node_id', challenges.setTaskExec)
  if (typeof node === 'string') return node
  const enabled = call.request.flag('enabled')
  call.audit.note(call.now, 'task_exec.changed', {
    node: node.nodeId,
    details: `old_enabled=${node.taskExec}, new_enabled=${enabled}`,
  })
  node.taskExec = enabled
  call.directory.saveLive(node)
  return { type: 'set_task_exec_ok', node_id: node.nodeId, task_exec: node.taskExec }
}

/** The account stays, so the key keeps its id; memberships and invitations end. Deregistering twice is not an error. */
export function deregister(call: Call): object | string {
  if (call.directory.live(call.request.number('node_id')) === undefined) return { type: 'deregister_ok' }
  const node = authenticateOrAdmin(call, 'node_id', challenges.deregister)
  if (typeof node === 'string') return node
  const networks = call.networks.networksOf(node.nodeId)
  for (const id of networks) {
    const network = call.networks.get(id)
    if (network !== undefined) call.networks.removeMember(network, node.nodeId)
  }
  call.invites.takeAll(node.nodeId)
  call.directory.removeLive(node)
  call.audit.note(call.now, 'node.deregistered', { node: node.nodeId, details: `networks=${networks.length + 1}` })
  return { type: 'deregister_ok' }
}
