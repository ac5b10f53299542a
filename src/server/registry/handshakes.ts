/**
 * Handshakes by relay (registry.md §5): ask for trust, poll, answer.
 *
 * Ours: `to_hostname` instead of `to_node_id`, signed over `handshake:<from>:<hostname>`. It is answered `delivered`
 * whether or not the name exists, and takes the same time either way. `refresh: true` (and every request by name)
 * replaces a waiting request instead of erring. Polled entries carry the sender's `hostname` and `public_key`.
 */
import type { NodeId } from '../../base/types.ts'
import type { LiveNode } from './directory.ts'
import type { Call } from './request.ts'
import { challenges } from '../../wire/registry-messages.ts'
import { MAX_JUSTIFICATION_CHARS, MAX_POLL_BYTES } from './constants.ts'
import { hostnameProblem } from './names.ts'
import { authenticate, authenticateRepeated, isSigned, notFound } from './request.ts'

export function requestHandshake(call: Call): object | string {
  const toId = call.request.number('to_node_id')
  const hostname = toId === 0 ? call.request.text('to_hostname') : ''
  if (isUnsigned(call, 'from_node_id')) return 'unsigned'
  const from = authenticate(call, 'from_node_id', (fromId) =>
    challenges.requestHandshake(fromId, hostname === '' ? toId : hostname),
  )
  if (typeof from === 'string') return from
  if (call.request.text('justification').length > MAX_JUSTIFICATION_CHARS)
    return `justification too long (max ${MAX_JUSTIFICATION_CHARS} chars)`
  return hostname === '' ? requestById(call, from, toId) : requestByName(call, from, hostname)
}

function requestById(call: Call, from: LiveNode, toId: NodeId): object | string {
  const to = call.directory.live(toId)
  if (to === undefined) return notFound(toId)
  if (to === from) return 'a node cannot shake hands with itself'
  const waiting = call.mailboxes.waitingRequest(toId, from.nodeId)
  // One that came by name is replaced silently: 'already pending' would reveal the id behind the name.
  if (waiting !== undefined && !waiting.byName && !call.request.flag('refresh')) {
    return `handshake request already pending from node ${from.nodeId}`
  }
  const request = { justification: call.request.text('justification'), atMs: call.now, byName: false }
  if (!call.mailboxes.putRequest(toId, from.nodeId, request)) return `too many handshake requests wait for node ${toId}`
  call.audit.note(call.now, 'handshake.relayed', { details: `from_node_id=${from.nodeId}, to_node_id=${toId}` })
  return DELIVERED
}

/** A malformed name is refused, since it cannot exist; otherwise the reply reveals nothing about the name. */
function requestByName(call: Call, from: LiveNode, hostname: string): object | string {
  const problem = hostnameProblem(hostname)
  if (problem !== undefined) return `invalid hostname: ${problem}`
  if (!call.limiter.take(call.now, 'named_handshake', call.source.address)) {
    return `rate limited: too many handshake requests by name from ${call.source.address}`
  }
  const to = call.directory.liveByHostname(hostname)
  if (to === undefined || to === from) {
    call.mailboxes.pretend(call.now)
    return DELIVERED
  }
  const waiting = call.mailboxes.waitingRequest(to.nodeId, from.nodeId)
  const byName = waiting?.byName ?? true // by id it was already known: the id is no longer a secret
  const request = { justification: call.request.text('justification'), atMs: call.now, byName }
  if (!call.mailboxes.putRequest(to.nodeId, from.nodeId, request)) call.mailboxes.pretend(call.now)
  return DELIVERED
}

/**
 * Returns waiting messages, as many as fit into a readable reply; requests stay remembered as asked. (Deleting Map
 * entries during iteration is safe.)
 */
export function pollHandshakes(call: Call): object | string {
  const node = authenticateRepeated(call, challenges.pollHandshakes)
  if (typeof node === 'string') return node
  const isNotified = call.session !== undefined && call.request.flag('notify')
  if (isNotified) call.session.notified = node.nodeId
  const room = { bytes: MAX_POLL_BYTES }
  const responses: object[] = []
  for (const [from, { accept, atMs }] of call.mailboxes.responses(node.nodeId)) {
    const entry = { from_node_id: from, accept, timestamp: Math.floor(atMs / 1000), ...senderFields(call, from) }
    if (!fits(room, entry)) break
    responses.push(entry)
    call.mailboxes.takeResponse(node.nodeId, from)
  }
  const requests: object[] = []
  for (const [from, { justification, atMs }] of call.mailboxes.requests(node.nodeId)) {
    const entry = { from_node_id: from, justification, timestamp: Math.floor(atMs / 1000), ...senderFields(call, from) }
    if (!fits(room, entry)) break
    requests.push(entry)
    call.mailboxes.markAsked(node.nodeId, from)
  }
  if (call.mailboxes.requests(node.nodeId).size + call.mailboxes.responses(node.nodeId).size > 0)
    call.mailboxes.notice(node.nodeId) // the rest did not fit
  return { type: 'poll_handshakes_ok', requests, responses, ...(isNotified && { notify: true }) }
}

/** An accept is the responder's assertion and, if the peer had asked, the peer's too. A reject forgets the request. */
export function respondHandshake(call: Call): object | string {
  const peerId = call.request.number('peer_id')
  if (isUnsigned(call, 'node_id')) return 'unsigned'
  const node = authenticate(call, 'node_id', (nodeId) => challenges.respondHandshake(nodeId, peerId))
  if (typeof node === 'string') return node
  if (call.directory.account(peerId) === undefined) return notFound(peerId)
  if (peerId === node.nodeId) return 'a node cannot shake hands with itself'
  const accept = call.request.flag('accept')
  if (accept && !call.trust.mayAssert(node.nodeId)) return 'too many trusted peers'
  if (!call.mailboxes.hasRoomForResponse(peerId, node.nodeId))
    return `too many handshake responses wait for node ${peerId}`
  const hadAsked = call.mailboxes.settle(node.nodeId, peerId)
  if (accept) {
    call.trust.assert(node.nodeId, peerId)
    if (hadAsked) call.trust.assert(peerId, node.nodeId)
  }
  call.mailboxes.putResponse(peerId, node.nodeId, { accept, atMs: call.now })
  call.audit.note(call.now, 'handshake.responded', {
    node: node.nodeId,
    details: `peer_id=${peerId}, accept=${accept}`,
  })
  return { type: 'respond_handshake_ok', accept, peer_id: peerId }
}

/** Here, unlike elsewhere, the reference does not report a missing signature. */
function isUnsigned(call: Call, field: string): boolean {
  return !isSigned(call) && call.directory.live(call.request.number(field)) !== undefined
}

/**
 * Lets a receiver recognise the sender without another request. A rejection includes the name too: a requester by name
 * must learn that its request was rejected, or it would ask forever.
 */
function senderFields(call: Call, nodeId: NodeId): { readonly hostname?: string; readonly public_key?: string } {
  const account = call.directory.account(nodeId)
  const hostname = call.directory.live(nodeId)?.hostname ?? ''
  return { ...(hostname !== '' && { hostname }), ...(account !== undefined && { public_key: account.publicKey }) }
}

/** Subtracts the entry's bytes from the remaining space. */
function fits(room: { bytes: number }, entry: object): boolean {
  room.bytes -= Buffer.byteLength(JSON.stringify(entry)) + 1
  return room.bytes >= 0
}

const DELIVERED = { type: 'request_handshake_ok', status: 'delivered' }
