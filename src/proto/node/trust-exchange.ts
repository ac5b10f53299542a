/**
 * Trust, negotiated through the registry: requests and answers of both sides, and the pairs to report to the registry.
 * Messages that come directly from a peer over its tunnel follow the same rules. Above: core.ts. Below:
 * trust/trust-book (who may talk to us).
 */
import { equalBytes, fromBase64, utf8 } from '../../base/bytes.ts'
import { isHostname, parsePeerName } from '../../base/address.ts'
import type { Instant, NodeId } from '../../base/types.ts'
import { fingerprintOf, fingerprintOfText } from '../../crypto/fingerprint.ts'
import { verifySignature } from '../../crypto/identity.ts'
import type { HandshakeMessage } from '../../wire/handshake-message.ts'
import { handshakeChallenge } from '../../wire/handshake-message.ts'
import type { HandshakeRequestEntry, HandshakeResponseEntry } from '../../wire/registry-messages.ts'
import { challenges, parsePollHandshakesReply, parseResolveHostnameReply } from '../../wire/registry-messages.ts'
import type { RegistryResult } from '../rendezvous/registry-client.ts'
import type { Approval, OutgoingRequest, TrustJudge } from '../trust/requests.ts'
import type { TrustBook } from '../trust/trust-book.ts'
import * as k from './constants.ts'
import type { NodeEvent } from './events.ts'
import type { Memberships } from './memberships.ts'
import type { Purpose } from './purposes.ts'
import type { NodeState } from './state.ts'

export class TrustExchange {
  /** Asked before a person is, about every request for trust. */
  judge: TrustJudge | undefined
  /** Until then a guest is expected: trust requests are polled often. */
  guestsUntil: Instant = -Infinity
  readonly #state: NodeState
  readonly #memberships: Memberships
  #pollAt: Instant = Infinity
  #polling = false
  #isNotified = false // on this connection, so that there is little need to ask
  #polledAt: Instant = -Infinity
  #requestAt: Instant = Infinity
  #requestRounds = 0
  #requestedAt: Instant = -Infinity
  /** Requests and answers whose sender's key or hostname must be looked up first. */
  readonly #unknown = new Map<
    NodeId,
    { request: HandshakeRequestEntry | undefined; response: HandshakeResponseEntry | undefined }
  >()
  /** Trusted peers whose pair the registry has not recorded yet. */
  readonly #unreported = new Set<NodeId>()
  #reportAt: Instant = Infinity
  #reportRounds = 0
  readonly #rejectedUntil = new Map<NodeId, Instant>()
  /**
   * Reports about requests that the registry does not deliver, by peer: the requests are repeated indefinitely, the
   * reports are not.
   */
  readonly #reportedRefusals = new Map<string, string>()

  constructor(state: NodeState, memberships: Memberships) {
    this.#state = state
    this.#memberships = memberships
  }

  /** The registry may have lost its state: everything is reported again. */
  onRegistered(now: Instant): void {
    for (const entry of this.#state.trust.trusted) this.#unreported.add(entry.nodeId)
    this.#reportRounds = 0
    this.#reportAt = now
    this.#requestRounds = 0
    this.#requestAt = now
    this.#pollAt = now + k.POLL_FAST_MS
  }

  handleDisconnected(): void {
    this.#polling = false
    this.#isNotified = false
  }

  /** While registered. */
  handleTimeout(now: Instant): void {
    if (now >= this.#requestAt) this.#sendRequests(now)
    if (now >= this.#reportAt) this.#reportAll(now)
    if (now >= this.#pollDue && !this.#polling) this.#poll(now)
  }

  nextTimeout(): Instant {
    return Math.min(this.#polling ? Infinity : this.#pollDue, this.#requestAt, this.#reportAt)
  }

  /** @returns false if the result is for another part. */
  handleResult(now: Instant, result: RegistryResult<Purpose>): boolean {
    switch (result.purpose.kind) {
      case 'poll':
        this.#onPoll(now, result)
        return true
      case 'request_trust':
        this.#onRequested(now, result, result.purpose.request)
        return true
      case 'request_name':
        this.#onRequestName(now, result, result.purpose.request)
        return true
      case 'report':
        this.#onReport(now, result, result.purpose.node)
        return true
      case 'respond':
      case 'revoke':
        if (result.kind === 'refused')
          this.#state.emit({ kind: 'registry_refused', request: result.purpose.kind, text: result.text })
        return true
      default:
        return false
    }
  }

  // ---- decisions of this side

  request(now: Instant, outgoing: OutgoingRequest): void {
    this.#state.trust.request(outgoing)
    this.#requestedAt = now
    this.#requestRounds = 0
    this.#requestAt = now
    this.#pollAt = Math.min(this.#pollAt, now + k.POLL_FAST_MS)
  }

  /** A person has said yes. @returns false if nothing of this node is pending. */
  approvePending(now: Instant, node: NodeId): boolean {
    const entry = this.#state.trust.pendingOf(node)
    const key = entry === undefined || entry.publicKey === '' ? undefined : fromBase64(entry.publicKey)
    if (entry === undefined || key === undefined) return false
    this.#approve(now, { node, key, by: 'choice', hostname: entry.hostname, mutual: false })
    this.#respond(now, node, true)
    return true
  }

  /** A person has said no. @returns false if nothing of this node is pending. */
  rejectPending(now: Instant, node: NodeId): boolean {
    const event = this.#trustEvent(node, 'rejected')
    if (!this.#state.trust.reject(node)) return false
    if (this.#rejectedUntil.size >= k.MAX_STRANGERS) this.#rejectedUntil.clear() // then a repetition asks a person again
    this.#rejectedUntil.set(node, now + k.REJECTED_FOR_MS)
    this.#respond(now, node, false)
    this.#state.emit(event)
    return true
  }

  /** The owner of a trusted key has a new node id: its tunnel must prove the key. */
  onMoved(now: Instant, node: NodeId, key: Uint8Array): void {
    this.#approve(now, { node, key, by: 'moved', hostname: undefined, mutual: true })
  }

  /** The registry's name for a node becomes that of a trusted node without a name. */
  onNamed(node: NodeId, key: Uint8Array, hostname: string | undefined): void {
    if (!this.#state.trust.learnName(node, key, hostname)) return
    this.#state.emit({ kind: 'name_bound', node, hostname: hostname!, fingerprint: fingerprintOf(key) })
  }

  /** Makes the registry forget the pair. */
  revoke(now: Instant, peer: NodeId): void {
    const node = this.#state.nodeId
    this.#state.ask(
      now,
      {
        type: 'revoke_trust',
        node_id: node,
        peer_id: peer,
        signature: this.#state.sign(challenges.revokeTrust(node, peer)),
      },
      { kind: 'revoke' },
    )
  }

  // ---- what the other side says

  /** A stranger that may have become trusted is trying to connect: poll now instead of waiting. */
  pollSoon(now: Instant): void {
    this.#pollAt = Math.min(this.#pollAt, now)
  }

  /** The key and hostname of a node are known: its requests and answers can now be judged. */
  handleLookup(
    now: Instant,
    node: NodeId,
    key: Uint8Array,
    hostname: string | undefined,
    networks: readonly number[],
  ): void {
    const waiting = this.#unknown.get(node)
    if (waiting === undefined) return
    this.#unknown.delete(node)
    if (waiting.request !== undefined) this.#judgeRequest(now, waiting.request, key, hostname, networks)
    if (waiting.response !== undefined) this.#judgeResponse(now, waiting.response, key, hostname)
  }

  /**
   * A message of the port-444 handshake, over the tunnel that authenticated the peer.
   * @returns why it is ignored; `revoked` if our trust must end; undefined if it has been handled.
   */
  handleDirect(now: Instant, from: NodeId, message: HandshakeMessage): DirectFault | 'revoked' | undefined {
    const peer = this.#state.peers.get(from)
    if (message.nodeId !== from) return 'foreign_node'
    if (peer?.key === undefined) return 'no_key'
    const { claim: hostname, key } = peer
    const [claimed, signature] = [fromBase64(message.publicKey), fromBase64(message.signature)]
    if (claimed === undefined || !equalBytes(claimed, key)) return 'wrong_key'
    const challenge = utf8(handshakeChallenge(from, this.#state.nodeId))
    if (signature === undefined || !verifySignature(key, challenge, signature)) return 'bad_signature'
    const entry = { fromNodeId: from, timestampSec: 0, hostname, publicKey: key }
    switch (message.type) {
      case 'handshake_revoke':
        return this.#state.trust.isTrusted(from) ? 'revoked' : undefined
      case 'handshake_request':
        this.#judgeRequest(now, { ...entry, justification: message.justification }, key, hostname)
        return undefined
      case 'handshake_accept':
      case 'handshake_reject':
        this.#judgeResponse(now, { ...entry, accept: message.type === 'handshake_accept' }, key, hostname)
        return undefined
    }
  }

  // ---- inside

  /** @param networks those of the asker, if they were looked up. */
  #judgeRequest(
    now: Instant,
    request: HandshakeRequestEntry,
    key: Uint8Array,
    hostname: string | undefined,
    networks?: readonly number[],
  ): void {
    const { trust, options } = this.#state
    const node = request.fromNodeId
    // Not consulted about a node that contradicts our records: a valid ticket would be wasted on it.
    const verdict = trust.contradicts(node, hostname, key)
      ? undefined
      : this.judge?.({ node, key, justification: request.justification, trusted: trust.isTrusted(node) })
    if (verdict === 'refuse') return this.#respond(now, node, false)
    const rejected =
      verdict === undefined &&
      now < (this.#rejectedUntil.get(node) ?? 0) &&
      trust.outgoingTo(node, hostname) === undefined
    if (rejected) return this.#respond(now, node, false)
    if (verdict === undefined && networks === undefined && this.#memberships.any && !trust.isTrusted(node))
      return this.#lookFirst(now, node, request, undefined)
    const network = trust.hasRevoked(key) ? undefined : this.#memberships.shared(networks ?? [])
    const outgoing = trust.outgoingTo(node, hostname)
    trust.expireRequests(options.timestamp(now - k.PENDING_FOR_MS))
    const fate = trust.handleRequest({
      node,
      hostname,
      key,
      justification: request.justification,
      time: options.timestamp(now),
      isExpected: network !== undefined || verdict === 'accept',
    })
    this.#reportDropped()
    if (fate === 'pending' || fate === 'key_changed')
      return this.#state.emit({ ...this.#trustEvent(node, fate), ...claimed(hostname, key) })
    if (fate === 'still_pending') return
    if (fate === 'full') return this.#state.count('trust_requests_refused')
    if (fate !== 'already_trusted') {
      const by =
        fate === 'wished' ? 'choice' : fate === 'moved' ? 'moved' : network === undefined ? 'ticket' : { network }
      this.#approve(now, { node, key, by, hostname: this.#nameFor(outgoing, hostname), mutual: true })
    }
    this.#respond(now, node, true)
  }

  /** The name of the peer that satisfies this request: as requested, or, for an address, the registry's name. */
  #nameFor(outgoing: OutgoingRequest | undefined, claim: string | undefined): string | undefined {
    if (outgoing?.hostname !== undefined) return outgoing.hostname
    return claim !== undefined && this.#state.trust.isAwaited(claim) ? undefined : claim
  }

  #reportDropped(): void {
    for (const { entry, why } of this.#state.trust.takeDroppedRequests()) {
      this.#state.count(`trust_requests_${why === 'full' ? 'evicted' : 'expired'}`)
      this.#state.emit({ kind: 'request_dropped', node: entry.nodeId, hostname: entry.hostname, why })
    }
  }

  /** Honoured only as the answer to a request of ours: no peer becomes trusted unasked (trust.md §3.1). */
  #judgeResponse(now: Instant, response: HandshakeResponseEntry, key: Uint8Array, hostname: string | undefined): void {
    const { trust } = this.#state
    const node = response.fromNodeId
    const outgoing = trust.outgoingTo(node, hostname)
    if (outgoing === undefined) return
    const about = claimed(hostname, key)
    if (!trust.mayAnswer(outgoing, hostname, key))
      this.#state.emit({ ...this.#trustEvent(node, 'key_changed'), ...about })
    else if (response.accept)
      this.#approve(now, { node, key, by: 'choice', hostname: this.#nameFor(outgoing, hostname), mutual: true })
    else {
      trust.withdraw(outgoing)
      this.#state.emit({ ...this.#trustEvent(node, 'rejected'), ...about })
    }
  }

  #lookFirst(
    now: Instant,
    node: NodeId,
    request: HandshakeRequestEntry | undefined,
    response: HandshakeResponseEntry | undefined,
  ): void {
    const known = this.#unknown.get(node)
    if (known === undefined && this.#unknown.size >= k.MAX_STRANGERS) return
    this.#unknown.set(node, { request: request ?? known?.request, response: response ?? known?.response })
    this.#state.ask(now, { type: 'lookup', node_id: node }, { kind: 'lookup', node })
  }

  #approve(now: Instant, approval: Omit<Approval, 'time'>): void {
    const { trust, options, peers } = this.#state
    const { node, key, hostname } = approval
    trust.approve({ ...approval, time: options.timestamp(now) })
    const peer = peers.get(node)
    peer?.onTrusted(now, hostname, options.pinnedKeys.get(node) ?? key)
    if (peer !== undefined) this.#state.heap.update(peer)
    this.#report(now, node)
    this.#state.emit(this.#trustEvent(node, 'approved'))
  }

  /** Create it before the node is forgotten. */
  #trustEvent(node: NodeId, state: TrustEvent['state']): TrustEvent {
    return trustEvent(this.#state.trust, node, state)
  }

  /** Reports our decision to the registry, and through it to the peer. */
  #respond(now: Instant, peer: NodeId, accept: boolean): void {
    const node = this.#state.nodeId
    const signature = this.#state.sign(challenges.respondHandshake(node, peer))
    this.#state.ask(
      now,
      { type: 'respond_handshake', node_id: node, peer_id: peer, accept, signature },
      { kind: 'respond', node: peer, accept },
    )
    if (!accept) return
    this.#report(now, peer)
    this.#state.emit({ kind: 'accept_due', node: peer })
  }

  /** Both sides must report a pair before our registry counts it (a Go registry believes one side). */
  #report(now: Instant, peer: NodeId): void {
    const node = this.#state.nodeId
    const signature = this.#state.sign(challenges.reportTrust(node, peer))
    this.#state.ask(
      now,
      { type: 'report_trust', node_id: node, peer_id: peer, signature },
      { kind: 'report', node: peer },
    )
  }

  #reportAll(now: Instant): void {
    this.#reportAt = Infinity
    for (const peer of this.#unreported) this.#report(now, peer)
  }

  /** A node that is not registered cannot be part of a pair: repeated at growing intervals. */
  #onReport(now: Instant, result: RegistryResult<Purpose>, peer: NodeId): void {
    if (result.kind === 'reply' || !this.#state.trust.isTrusted(peer)) {
      this.#unreported.delete(peer)
      return
    }
    this.#unreported.add(peer)
    if (this.#reportAt < Infinity) return
    this.#reportAt = now + k.REPORT_AGAIN_MS[Math.min(this.#reportRounds, k.REPORT_AGAIN_MS.length - 1)]!
    this.#reportRounds += 1
  }

  /** Sooner than planned while a guest is expected: a person is waiting on the other side. */
  get #pollDue(): Instant {
    if (this.#state.registry.hasNotice) return Math.min(this.#pollAt, this.#polledAt + k.POLL_FAST_MS)
    if (this.#isNotified) return this.#pollAt
    const next = this.#polledAt + k.POLL_GUESTS_MS
    return next <= this.guestsUntil ? Math.min(this.#pollAt, next) : this.#pollAt
  }

  #poll(now: Instant): void {
    const node = this.#state.nodeId
    this.#polling = true
    this.#polledAt = now
    this.#state.registry.hasNotice = false
    const signature = this.#state.sign(challenges.pollHandshakes(node))
    this.#state.ask(now, { type: 'poll_handshakes', node_id: node, notify: true, signature }, { kind: 'poll' })
  }

  #onPoll(now: Instant, result: RegistryResult<Purpose>): void {
    this.#polling = false
    const reply = result.kind === 'reply' ? parsePollHandshakesReply(result.reply) : undefined
    this.#isNotified = typeof reply === 'object' && reply.isNotified
    this.#pollAt = now + this.#pollPause(now)
    if (reply === undefined || typeof reply === 'string') return
    for (const request of reply.requests) {
      if (request.publicKey !== undefined) this.#judgeRequest(now, request, request.publicKey, request.hostname)
      else this.#lookFirst(now, request.fromNodeId, request, undefined)
    }
    for (const response of reply.responses) {
      if (response.publicKey !== undefined) this.#judgeResponse(now, response, response.publicKey, response.hostname)
      else this.#lookFirst(now, response.fromNodeId, undefined, response)
    }
  }

  #pollPause(now: Instant): number {
    if (this.#isNotified) return k.POLL_NOTIFIED_MS
    if (this.#state.trust.outgoing.length === 0) return k.POLL_IDLE_MS
    const age = now - this.#requestedAt
    if (age < k.POLL_FAST_FOR_MS) return k.POLL_FAST_MS
    return age < k.POLL_WAITING_FOR_MS ? k.POLL_WAITING_MS : k.POLL_IDLE_MS
  }

  #sendRequests(now: Instant): void {
    const { trust, nodeId } = this.#state
    if (trust.outgoing.length === 0) {
      this.#requestAt = Infinity
      return
    }
    for (const outgoing of trust.outgoing) {
      const target = outgoing.node ?? outgoing.hostname!
      this.#state.ask(
        now,
        {
          type: 'request_handshake',
          from_node_id: nodeId,
          ...(outgoing.node !== undefined ? { to_node_id: outgoing.node } : { to_hostname: outgoing.hostname }),
          justification: outgoing.reason,
          ...(outgoing.key !== undefined && { refresh: true }), // it replaces an earlier request that was not fetched yet
          signature: this.#state.sign(challenges.requestHandshake(nodeId, target)),
        },
        { kind: 'request_trust', request: outgoing },
      )
    }
    this.#requestAt = now + k.REQUEST_AGAIN_MS[Math.min(this.#requestRounds, k.REQUEST_AGAIN_MS.length - 1)]!
    this.#requestRounds += 1
  }

  #onRequested(now: Instant, result: RegistryResult<Purpose>, outgoing: OutgoingRequest): void {
    if (result.kind !== 'refused' || result.text.includes('already')) return
    if (outgoing.node !== undefined || outgoing.hostname === undefined)
      return this.#reportRefused(outgoing, result.text)
    // A Go registry accepts no hostname here, but resolves that of a public node.
    const { nodeId } = this.#state
    const signature = this.#state.sign(challenges.resolveHostname(nodeId, outgoing.hostname))
    this.#state.ask(
      now,
      { type: 'resolve_hostname', hostname: outgoing.hostname, requester_id: nodeId, signature },
      { kind: 'request_name', request: outgoing },
    )
  }

  #onRequestName(now: Instant, result: RegistryResult<Purpose>, outgoing: OutgoingRequest): void {
    const reply = result.kind === 'reply' ? parseResolveHostnameReply(result.reply) : undefined
    if (typeof reply === 'object') {
      if (this.#state.trust.outgoing.includes(outgoing)) this.request(now, { ...outgoing, node: reply.nodeId })
    } else if (result.kind === 'refused') this.#reportRefused(outgoing, result.text)
  }

  #reportRefused(outgoing: OutgoingRequest, text: string): void {
    if (this.#reportedRefusals.get(outgoing.peer) === text) return
    this.#reportedRefusals.set(outgoing.peer, text)
    this.#state.emit({ kind: 'wish_refused', peer: outgoing.peer, text })
  }
}

/** What people see about a decision on this node, according to the trust book. */
export function trustEvent(trust: TrustBook, node: NodeId, state: TrustEvent['state']): TrustEvent {
  const [bound, key] = [trust.hostnameOf(node), trust.keyOf(node)]
  const publicKey = trust.pendingOf(node)?.publicKey ?? ''
  return {
    kind: 'trust',
    node,
    hostname: bound ?? trust.claimOf(node),
    isVerified: bound !== undefined,
    fingerprint: key === undefined ? fingerprintOfText(publicKey) : fingerprintOf(key),
    state,
  }
}

/** Of a node that has shown this key and is not trusted with it. */
function claimed(
  hostname: string | undefined,
  key: Uint8Array,
): Pick<TrustEvent, 'hostname' | 'isVerified' | 'fingerprint'> {
  return { hostname, isVerified: false, fingerprint: fingerprintOf(key) }
}

type TrustEvent = Extract<NodeEvent, { kind: 'trust' }>

/** Why a message of the direct handshake is ignored. */
export type DirectFault = 'foreign_node' | 'no_key' | 'wrong_key' | 'bad_signature'

/** A request from a person's input; undefined if it names no peer. */
export function parseTrustRequest(peer: string, reason: string): OutgoingRequest | undefined {
  const name = parsePeerName(peer)
  if (name === undefined) return undefined
  if (name.kind === 'address') return { peer, node: name.address.node, hostname: undefined, reason }
  return isHostname(name.hostname) ? { peer, node: undefined, hostname: name.hostname, reason } : undefined
}
