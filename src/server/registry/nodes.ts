/** Requests about nodes: alive, where, which key, which attributes (registry.md §3.2 to §3.7, §3.9). */
import type { LiveNode } from './directory.ts'
import type { Call } from './request.ts'
import { formatAddress } from '../../base/address.ts'
import { challenges } from '../../wire/registry-messages.ts'
import { DAY_MS, MAX_TAG_CHARS, MAX_TAGS } from './constants.ts'
import { parsePublicKey } from './register.ts'
import { authenticate, notFound, signatureProblem } from './request.ts'

/** Refreshes last-seen only. The record is written behind: a lost heartbeat is made good by the next. */
export function heartbeat (call: Call): object | string {
  const node = authenticate(call, 'node_id', challenges.heartbeat)
  if (typeof node === 'string') return node
  node.lastSeenMs = call.now
  call.directory.saveLive(node)
  return { type: 'heartbeat_ok', time: Math.floor(call.now / 1000) }
}

/** Open to all; the endpoint is shown for public nodes only. */
export function lookup (call: Call): object | string {
  const nodeId = call.request.number('node_id')
  const node = call.directory.live(nodeId)
  if (node === undefined) return notFound(nodeId)
  return {
    type: 'lookup_ok',
    node_id: nodeId,
    address: formatAddress({ network: 0, node: nodeId }),
    networks: [0],
    public_key: node.account.publicKey,
    public: node.public,
    polo_score: 0, // scores are not kept; the field stays for clients that expect it
    ...(node.hostname !== '' && { hostname: node.hostname }),
    ...(node.tags.length > 0 && { tags: node.tags }),
    ...(node.taskExec && { task_exec: true }),
    ...(node.public && { real_addr: node.endpoint }),
  }
}

export function resolve (call: Call): object | string {
  const requester = call.directory.live(call.request.number('requester_id'))
  const nodeId = call.request.number('node_id')
  if (requester === undefined) return 'requester is not known'
  const problem = signatureProblem(call, requester.account.publicKey, challenges.resolve(requester.nodeId, nodeId))
  if (problem !== undefined) return problem
  const node = call.directory.live(nodeId)
  if (node === undefined) return notFound(nodeId)
  if (!mayResolve(call, requester, node)) return 'node is private'
  return {
    type: 'resolve_ok',
    node_id: nodeId,
    real_addr: node.endpoint,
    key_age_days: keyAgeDays(call.now, node),
    ...(node.lanEndpoints.length > 0 && { lan_addrs: node.lanEndpoints }),
  }
}

/** Both endpoints of a pair. The reference asks no trust here; ours applies the rule of `resolve` to the other node. */
export function punch (call: Call): object | string {
  const [idA, idB] = [call.request.number('node_a'), call.request.number('node_b')]
  const requester = authenticate(call, 'requester_id', () => challenges.punch(idA, idB))
  if (typeof requester === 'string') return requester
  if (requester.nodeId !== idA && requester.nodeId !== idB) return 'requester takes no part'
  const nodeA = call.directory.live(idA)
  const nodeB = call.directory.live(idB)
  if (nodeA === undefined || nodeB === undefined) return notFound(nodeA === undefined ? idA : idB)
  if (!mayResolve(call, requester, requester === nodeA ? nodeB : nodeA)) return 'node is private'
  return { type: 'punch_ok', node_a: idA, node_a_addr: nodeA.endpoint, node_b: idB, node_b_addr: nodeB.endpoint }
}

export function setVisibility (call: Call): object | string {
  const node = authenticate(call, 'node_id', challenges.setVisibility)
  if (typeof node === 'string') return node
  node.public = call.request.flag('public')
  call.directory.saveLive(node)
  return { type: 'set_visibility_ok', node_id: node.nodeId, visibility: node.public ? 'public' : 'private' }
}

export function setTags (call: Call): object | string {
  const node = authenticate(call, 'node_id', challenges.setTags)
  if (typeof node === 'string') return node
  const sent = call.request.texts('tags')
  if (sent.length > MAX_TAGS) return `too many tags (max ${MAX_TAGS})`
  const tags = [...new Set(sent.map((tag) => tag.replace(/^#/, '')))]
  for (const tag of tags) {
    if (tag.length > MAX_TAG_CHARS) return `tag "${tag.slice(0, 2 * MAX_TAG_CHARS)}" too long (max ${MAX_TAG_CHARS} chars)`
    if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(tag)) return 'malformed tag'
  }
  node.tags = tags
  call.directory.saveLive(node)
  return { type: 'set_tags_ok', node_id: node.nodeId, tags: tags.length > 0 ? tags : null }
}

export function setTaskExec (call: Call): object | string {
  const node = authenticate(call, 'node_id', challenges.setTaskExec)
  if (typeof node === 'string') return node
  node.taskExec = call.request.flag('enabled')
  call.directory.saveLive(node)
  return { type: 'set_task_exec_ok', node_id: node.nodeId, task_exec: node.taskExec }
}

/** The account stays, so the key keeps its id. To be gone already is no error. */
export function deregister (call: Call): object | string {
  if (call.directory.live(call.request.number('node_id')) === undefined) return { type: 'deregister_ok' }
  const node = authenticate(call, 'node_id', challenges.deregister)
  if (typeof node === 'string') return node
  call.directory.removeLive(node)
  return { type: 'deregister_ok' }
}

/** Unlike the reference, refuses a key that already belongs to another node: a key must name one id. */
export function rotateKey (call: Call): object | string {
  const node = authenticate(call, 'node_id', challenges.rotateKey)
  if (typeof node === 'string') return node
  const text = call.request.text('new_public_key')
  if (text === '') return 'new public key missing'
  const publicKey = parsePublicKey(text)
  if ('problem' in publicKey) return `invalid new_public_key: ${publicKey.problem}`
  const holder = call.directory.accountByKey(publicKey.key)
  if (holder !== undefined && holder !== node.account) return 'new_public_key already belongs to another node'
  node.account.keyRotatedMs = call.now
  node.account.keyRotations++
  call.directory.replaceKey(node.account, publicKey.key)
  node.lastSeenMs = call.now
  call.directory.saveLive(node)
  const address = formatAddress({ network: 0, node: node.nodeId })
  return { type: 'rotate_key_ok', node_id: node.nodeId, address, public_key: publicKey.key }
}

export function getKeyInfo (call: Call): object | string {
  const nodeId = call.request.number('node_id')
  const node = call.directory.live(nodeId)
  if (node === undefined) return notFound(nodeId)
  const { keyCreatedMs, keyRotatedMs, keyRotations } = node.account
  return {
    type: 'get_key_info_ok',
    node_id: nodeId,
    created_at: rfc3339(keyCreatedMs),
    rotate_count: keyRotations,
    key_age_days: keyAgeDays(call.now, node),
    ...(keyRotatedMs > 0 && { rotated_at: rfc3339(keyRotatedMs) }),
  }
}

/** §3.5: not even a private node's own endpoint is given to itself. */
function mayResolve (call: Call, requester: LiveNode, node: LiveNode): boolean {
  return node.public || (requester !== node && call.trust.effective(requester.nodeId, node.nodeId))
}

function keyAgeDays (now: number, node: LiveNode): number {
  const since = Math.max(node.account.keyCreatedMs, node.account.keyRotatedMs)
  return Math.max(0, Math.floor((now - since) / DAY_MS))
}

/** Whole seconds, as the reference writes them. */
function rfc3339 (unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.\d{3}Z$/, 'Z')
}
