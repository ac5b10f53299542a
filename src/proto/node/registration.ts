/**
 * Our standing with the registry: registered, alive, named; and the trust that travels through it.
 * Above: core.ts. Below: rendezvous/registry-client (questions and answers), trust/trust-book (who may talk to us).
 */
import { toBase64, utf8 } from '../../base/bytes.ts'
import { isHostname, parsePeerName } from '../../base/address.ts'
import type { Instant, NodeId } from '../../base/types.ts'
import { formatEndpoint } from '../../base/types.ts'
import type { HandshakeRequestEntry, HandshakeResponseEntry } from '../../wire/registry-messages.ts'
import {
  STREAM_EXTENSIONS,
  challenges,
  isUnknownNode,
  parsePollHandshakesReply,
  parseRegisterReply,
  parseResolveHostnameReply,
} from '../../wire/registry-messages.ts'
import { DISCOVER_PATIENCE_MS, HEARTBEAT_MS, REGISTER_RETRY_MS } from '../rendezvous/constants.ts'
import type { RegistryResult } from '../rendezvous/registry-client.ts'
import type { Wish } from '../trust/trust-book.ts'
import type { NodeState } from './state.ts'
import * as k from './constants.ts'
import { Memberships } from './memberships.ts'
import type { Purpose } from './purposes.ts'

export class Standing {
  registered = false
  readonly #state: NodeState
  #startedAt: Instant
  #nextAt: Instant = 0 // register or heartbeat
  #registeredAs = '' // the endpoint we told last
  #failures = 0
  #underway = false
  #pollAt: Instant = Infinity
  #polling = false
  #polledAt: Instant = -Infinity
  #wishAt: Instant = Infinity
  #wishRounds = 0
  #wishedAt: Instant = -Infinity
  /** Answers to requests for trust whose key or hostname must be looked up first. */
  #unknown = new Map<
    NodeId,
    { request: HandshakeRequestEntry | undefined; response: HandshakeResponseEntry | undefined }
  >()

  readonly #memberships: Memberships
  readonly #onNewId: (now: Instant) => void
  /** Trusted peers whose pair the registry has not taken note of yet. */
  readonly #unreported = new Set<NodeId>()
  #reportAt: Instant = Infinity
  #reportRounds = 0
  readonly #rejectedUntil = new Map<NodeId, Instant>()
  /** What was told about wishes that the registry does not deliver, by peer: each is repeated for ever, the text is not. */
  readonly #toldWishes = new Map<string, string>()

  constructor(state: NodeState, now: Instant, onNewId: (now: Instant) => void) {
    this.#state = state
    this.#onNewId = onNewId
    this.#memberships = new Memberships(state)
    this.#startedAt = now
  }

  handleConnected(now: Instant): void {
    this.#nextAt = now
    this.#underway = false
    this.registered = false
    this.#failures = 0
  }

  handleDisconnected(): void {
    if (this.registered) this.#state.emit({ kind: 'registry_lost' })
    this.registered = false
    this.#underway = false
    this.#polling = false
  }

  /** Our endpoint may be another than the one registered. */
  onEndpoint(now: Instant): void {
    this.#nextAt = Math.min(this.#nextAt, now)
  }

  /** Our addresses are others, or time has passed unnoticed: register anew, and find out by it whether the registry still hears us. */
  onNetworkChange(now: Instant): void {
    this.#registeredAs = ''
    this.#nextAt = Math.min(this.#nextAt, now)
  }

  wish(now: Instant, wish: Wish): void {
    this.#state.trust.wish(wish)
    this.#wishedAt = now
    this.#wishRounds = 0
    this.#wishAt = now
    this.#pollAt = Math.min(this.#pollAt, now + k.POLL_FAST_MS)
  }

  /** Tell the registry, and through it the peer, what we decided. */
  respond(now: Instant, peer: NodeId, accept: boolean): void {
    const node = this.#state.nodeId
    const signature = this.#sign(challenges.respondHandshake(node, peer))
    this.#ask(
      now,
      { type: 'respond_handshake', node_id: node, peer_id: peer, accept, signature },
      { kind: 'respond', node: peer, accept },
    )
    if (!accept) return
    this.#report(now, peer)
    this.#state.emit({ kind: 'accept_due', node: peer })
  }

  revoke(now: Instant, peer: NodeId): void {
    const node = this.#state.nodeId
    this.#ask(
      now,
      { type: 'revoke_trust', node_id: node, peer_id: peer, signature: this.#sign(challenges.revokeTrust(node, peer)) },
      { kind: 'revoke' },
    )
  }

  /** A stranger with whom we may have trust by now knocks: look at once instead of at the next poll. */
  pollSoon(now: Instant): void {
    this.#pollAt = Math.min(this.#pollAt, now)
  }

  handleTimeout(now: Instant): void {
    if (!this.#state.registry.connected) return
    if (now >= this.#nextAt && !this.#underway) {
      if (this.registered && this.#registeredAs === this.#listenAddr) this.#heartbeat(now)
      else if (this.#endpointKnown(now)) this.#register(now)
    }
    if (!this.registered) return
    this.#memberships.handleTimeout(now)
    if (now >= this.#wishAt) this.#sendWishes(now)
    if (now >= this.#reportAt) this.#reportAll(now)
    if (now >= this.#pollDue && !this.#polling) this.#poll(now)
  }

  nextTimeout(): Instant {
    if (!this.#state.registry.connected) return Infinity
    let at = Infinity
    if (!this.#underway) {
      at = this.#nextAt
      if (
        !this.registered &&
        this.#state.options.fixedEndpoint === undefined &&
        this.#state.beacon.observed === undefined
      ) {
        at = Math.max(at, this.#startedAt + DISCOVER_PATIENCE_MS)
      }
    }
    if (!this.registered) return at
    if (!this.#polling) at = Math.min(at, this.#pollDue)
    return Math.min(at, this.#wishAt, this.#reportAt, this.#memberships.nextTimeout())
  }

  /** @returns false when the result is not this part's business. */
  handleResult(now: Instant, result: RegistryResult<Purpose>): boolean {
    switch (result.purpose.kind) {
      case 'register':
        this.#onRegister(now, result)
        return true
      case 'heartbeat':
        this.#onHeartbeat(now, result)
        return true
      case 'set_hostname':
        this.#onHostname(result)
        return true
      case 'poll':
        this.#onPoll(now, result)
        return true
      case 'wish':
        this.#onWish(now, result, result.purpose.wish)
        return true
      case 'wish_name':
        this.#onWishName(now, result, result.purpose.wish)
        return true
      case 'report':
        this.#onReport(now, result, result.purpose.node)
        return true
      case 'join':
        this.#memberships.onJoin(now, result, result.purpose.network)
        return true
      case 'respond':
      case 'revoke':
      case 'set_visibility':
      case 'set_tags':
        if (result.kind === 'refused')
          this.#state.emit({ kind: 'registry_refused', request: result.purpose.kind, text: result.text })
        return true
      default:
        return false
    }
  }

  /** The registry told key and hostname of a node: requests and answers of it can be judged now. */
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

  /** Sooner than planned while a guest is expected: a person waits on the other side. */
  get #pollDue(): Instant {
    const next = this.#polledAt + k.POLL_GUESTS_MS
    return next <= this.#state.guestsUntil ? Math.min(this.#pollAt, next) : this.#pollAt
  }

  #endpointKnown(now: Instant): boolean {
    const { fixedEndpoint, beacon } = this.#state.options
    return (
      fixedEndpoint !== undefined ||
      beacon === undefined ||
      this.#state.beacon.observed !== undefined ||
      now - this.#startedAt >= DISCOVER_PATIENCE_MS
    )
  }

  /** Where others shall find us, as far as we know now. */
  get #listenAddr(): string {
    const { options, beacon } = this.#state
    return formatEndpoint(options.fixedEndpoint ?? beacon.observed ?? options.localEndpoint)
  }

  #register(now: Instant): void {
    const { options, network } = this.#state
    this.#underway = true
    const publicKey = options.identity.publicKeyBase64
    const listenAddr = (this.#registeredAs = this.#listenAddr)
    this.#ask(
      now,
      {
        type: 'register',
        listen_addr: listenAddr,
        public_key: publicKey,
        lan_addrs: [...network.lanEndpoints, ...network.worldEndpoints].map(formatEndpoint),
        protocol_version: 1,
        extensions: [STREAM_EXTENSIONS],
        signature: this.#sign(challenges.register(listenAddr, publicKey)),
        ...(options.hostname !== undefined && { hostname: options.hostname }),
      },
      { kind: 'register' },
    )
  }

  #heartbeat(now: Instant): void {
    const node = this.#state.nodeId
    this.#underway = true
    this.#ask(
      now,
      { type: 'heartbeat', node_id: node, signature: this.#sign(challenges.heartbeat(node)) },
      { kind: 'heartbeat' },
    )
  }

  #poll(now: Instant): void {
    const node = this.#state.nodeId
    this.#polling = true
    this.#polledAt = now
    this.#ask(
      now,
      { type: 'poll_handshakes', node_id: node, signature: this.#sign(challenges.pollHandshakes(node)) },
      { kind: 'poll' },
    )
  }

  #sendWishes(now: Instant): void {
    const { trust, nodeId } = this.#state
    if (trust.wishes.length === 0) {
      this.#wishAt = Infinity
      return
    }
    for (const wish of trust.wishes) {
      const target = wish.node ?? wish.hostname!
      this.#ask(
        now,
        {
          type: 'request_handshake',
          from_node_id: nodeId,
          ...(wish.node !== undefined ? { to_node_id: wish.node } : { to_hostname: wish.hostname }),
          justification: wish.reason,
          ...(wish.key !== undefined && { refresh: true }), // it replaces what we asked before and nobody has fetched
          signature: this.#sign(challenges.requestHandshake(nodeId, target)),
        },
        { kind: 'wish', wish },
      )
    }
    this.#wishAt = now + k.WISH_AGAIN_MS[Math.min(this.#wishRounds, k.WISH_AGAIN_MS.length - 1)]!
    this.#wishRounds += 1
  }

  #onRegister(now: Instant, result: RegistryResult<Purpose>): void {
    this.#underway = false
    const reply = result.kind === 'reply' ? parseRegisterReply(result.reply) : undefined
    if (reply === undefined || typeof reply === 'string') {
      const pause = REGISTER_RETRY_MS[Math.min(this.#failures, REGISTER_RETRY_MS.length - 1)]!
      this.#failures += 1
      this.#nextAt = now + pause
      if (result.kind === 'refused')
        this.#state.emit({ kind: 'registry_refused', request: 'register', text: result.text })
      return
    }
    this.#failures = 0
    this.registered = true
    this.#scheduleHeartbeat(now)
    this.#becomeNode(now, reply.nodeId)
    const { options } = this.#state
    const hostname = reply.hostname
    this.#state.emit({ kind: 'registered', nodeId: reply.nodeId, address: reply.address, hostname })
    if (options.hostname !== undefined && hostname !== options.hostname) {
      const signature = this.#sign(challenges.setHostname(reply.nodeId))
      this.#ask(
        now,
        { type: 'set_hostname', node_id: reply.nodeId, hostname: options.hostname, signature },
        { kind: 'set_hostname' },
      )
    }
    const signature = this.#sign(challenges.setVisibility(reply.nodeId))
    this.#ask(
      now,
      { type: 'set_visibility', node_id: reply.nodeId, public: options.public, signature },
      { kind: 'set_visibility' },
    )
    for (const entry of this.#state.trust.trusted) this.#unreported.add(entry.nodeId) // a registry that lost its state learns it again
    this.#memberships.onRegistered(now)
    this.#reportRounds = 0
    this.#reportAt = now
    this.#wishRounds = 0
    this.#wishAt = now
    this.#pollAt = now + k.POLL_FAST_MS
  }

  #becomeNode(now: Instant, nodeId: NodeId): void {
    const { trust, beacon } = this.#state
    const before = this.#state.nodeId !== 0 ? this.#state.nodeId : (trust.ownId ?? nodeId) // of our last life
    if (before !== nodeId) {
      this.#onNewId(now)
      // Node ids mean other nodes now; the keys we trust are still the same. Their owners are sought by name.
      for (const { hostname } of trust.displace()) {
        if (hostname !== undefined)
          this.wish(now, { peer: hostname, node: undefined, hostname, reason: 'the registry has changed its ids' })
      }
    }
    this.#state.nodeId = trust.ownId = nodeId
    beacon.setNodeId(nodeId)
  }

  #reportAll(now: Instant): void {
    this.#reportAt = Infinity
    for (const peer of this.#unreported) this.#report(now, peer)
  }

  /** Both sides must have said so before the registry counts a pair (ours; a Go registry takes one side's word). */
  #report(now: Instant, peer: NodeId): void {
    const node = this.#state.nodeId
    const signature = this.#sign(challenges.reportTrust(node, peer))
    this.#ask(now, { type: 'report_trust', node_id: node, peer_id: peer, signature }, { kind: 'report', node: peer })
  }

  /** A node that is not registered now cannot be half of a pair: said again, ever less often. */
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

  #onHeartbeat(now: Instant, result: RegistryResult<Purpose>): void {
    this.#underway = false
    this.#scheduleHeartbeat(now)
    if (result.kind === 'reply') {
      this.#failures = 0
      return
    }
    this.#failures += 1
    const forgotten = result.kind === 'refused' && isUnknownNode(result.text, this.#state.nodeId)
    if (!forgotten && this.#failures < 3) {
      this.#nextAt = Math.min(this.#nextAt, now + HEARTBEAT_MS / 6)
      return
    }
    this.registered = false
    this.#nextAt = now
  }

  /** The next word to the registry: at once, if our endpoint changed while it was busy with the last. */
  #scheduleHeartbeat(now: Instant): void {
    this.#nextAt = this.#registeredAs === this.#listenAddr ? now + HEARTBEAT_MS : now
  }

  #onHostname(result: RegistryResult<Purpose>): void {
    const hostname = this.#state.options.hostname!
    if (result.kind === 'refused') this.#state.emit({ kind: 'hostname_refused', hostname, text: result.text })
    else if (result.kind === 'reply') this.#state.emit({ kind: 'hostname_set', hostname })
  }

  #onPoll(now: Instant, result: RegistryResult<Purpose>): void {
    this.#polling = false
    this.#pollAt = now + this.#pollPause(now)
    const reply = result.kind === 'reply' ? parsePollHandshakesReply(result.reply) : undefined
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
    if (this.#state.trust.wishes.length === 0) return k.POLL_IDLE_MS
    const age = now - this.#wishedAt
    if (age < k.POLL_FAST_FOR_MS) return k.POLL_FAST_MS
    return age < k.POLL_WAITING_FOR_MS ? k.POLL_WAITING_MS : k.POLL_IDLE_MS
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
    this.#ask(now, { type: 'lookup', node_id: node }, { kind: 'lookup', node })
  }

  /**
   * A handshake message that came straight from the peer, over a stream of its tunnel (trust.md §3). Its signature has
   * been checked against the key we know. @returns true when our trust was meant to be ended.
   */
  handleDirect(
    now: Instant,
    node: NodeId,
    type: 'request' | 'accept' | 'reject' | 'revoke',
    key: Uint8Array,
    hostname: string | undefined,
    justification: string,
  ): boolean {
    if (type === 'revoke') return this.#state.trust.isTrusted(node)
    const entry = { fromNodeId: node, timestampSec: 0, hostname, publicKey: key }
    if (type === 'request') this.#judgeRequest(now, { ...entry, justification }, key, hostname)
    else this.#judgeResponse(now, { ...entry, accept: type === 'accept' }, key, hostname)
    return false
  }

  /** A person has said no. */
  reject(now: Instant, node: NodeId): void {
    if (this.#rejectedUntil.size >= k.MAX_STRANGERS) this.#rejectedUntil.clear() // then a repetition asks a person again
    this.#rejectedUntil.set(node, now + k.REJECTED_FOR_MS)
    this.respond(now, node, false)
  }

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
    // Not asked about somebody who is not who we know: a good ticket would be spent on him.
    const verdict = trust.contradicts(node, hostname, key)
      ? undefined
      : this.#state.judge?.({ node, key, justification: request.justification, trusted: trust.isTrusted(node) })
    if (verdict === 'refuse') return this.respond(now, node, false)
    const rejected =
      verdict === undefined && now < (this.#rejectedUntil.get(node) ?? 0) && trust.wishFor(node, hostname) === undefined
    if (rejected) return this.respond(now, node, false)
    if (verdict === undefined && networks === undefined && this.#memberships.any && !trust.isTrusted(node))
      return this.#lookFirst(now, node, request, undefined)
    const network = trust.hasRevoked(key) ? undefined : this.#memberships.shared(networks ?? [])
    const fate = trust.handleRequest({
      node,
      hostname,
      key,
      justification: request.justification,
      time: options.timestamp(now),
      isExpected: network !== undefined || verdict === 'accept',
    })
    if (fate === 'already_trusted') this.respond(now, node, true)
    else if (fate === 'approve') {
      this.approve(now, node, hostname, key, true, network)
      this.respond(now, node, true)
    } else if (fate === 'pending' || fate === 'key_changed')
      this.#state.emit({ kind: 'trust', node, hostname, state: fate })
    else if (fate === 'full') this.#state.count('trust_requests_refused')
  }

  /** Honoured only as the answer to a wish of ours: nobody becomes trusted unasked (trust.md §3.1). */
  #judgeResponse(now: Instant, response: HandshakeResponseEntry, key: Uint8Array, hostname: string | undefined): void {
    const { trust } = this.#state
    const node = response.fromNodeId
    const wish = trust.wishFor(node, hostname)
    if (wish === undefined) return
    if (!trust.mayAnswer(wish, hostname, key)) this.#state.emit({ kind: 'trust', node, hostname, state: 'key_changed' })
    else if (response.accept) this.approve(now, node, hostname, key, true)
    else {
      trust.dropWish(wish)
      this.#state.emit({ kind: 'trust', node, hostname, state: 'rejected' })
    }
  }

  approve(
    now: Instant,
    node: NodeId,
    hostname: string | undefined,
    key: Uint8Array,
    mutual: boolean,
    network = 0,
  ): void {
    const { trust, options, peers } = this.#state
    trust.approve(node, hostname, key, mutual, options.timestamp(now), network)
    const peer = peers.get(node)
    if (peer !== undefined) {
      peer.key = options.pinnedKeys.get(node) ?? key
      peer.hostname = hostname ?? peer.hostname
      peer.failedAt = -Infinity // what failed for lack of trust would not fail now
    }
    this.#report(now, node)
    this.#state.emit({ kind: 'trust', node, hostname, state: 'approved' })
  }

  #onWish(now: Instant, result: RegistryResult<Purpose>, wish: Wish): void {
    if (result.kind !== 'refused' || result.text.includes('already')) return
    if (wish.node !== undefined || wish.hostname === undefined) return this.#tellRefused(wish, result.text)
    // A Go registry takes no hostname here; that of a public node it resolves.
    const { nodeId } = this.#state
    const signature = this.#sign(challenges.resolveHostname(nodeId, wish.hostname))
    this.#ask(
      now,
      { type: 'resolve_hostname', hostname: wish.hostname, requester_id: nodeId, signature },
      { kind: 'wish_name', wish },
    )
  }

  #onWishName(now: Instant, result: RegistryResult<Purpose>, wish: Wish): void {
    const reply = result.kind === 'reply' ? parseResolveHostnameReply(result.reply) : undefined
    if (typeof reply === 'object') {
      if (this.#state.trust.wishes.includes(wish)) this.wish(now, { ...wish, node: reply.nodeId })
    } else if (result.kind === 'refused') this.#tellRefused(wish, result.text)
  }

  #tellRefused(wish: Wish, text: string): void {
    if (this.#toldWishes.get(wish.peer) === text) return
    this.#toldWishes.set(wish.peer, text)
    this.#state.emit({ kind: 'wish_refused', peer: wish.peer, text })
  }

  #ask(now: Instant, message: object, purpose: Purpose): void {
    this.#state.registry.request(now, message, purpose)
  }

  #sign(text: string): string {
    return toBase64(this.#state.options.identity.sign(utf8(text)))
  }
}

/** A wish from what a person wrote; undefined when it names nobody. */
export function parseWish(peer: string, reason: string): Wish | undefined {
  const name = parsePeerName(peer)
  if (name === undefined) return undefined
  if (name.kind === 'address') return { peer, node: name.address.node, hostname: undefined, reason }
  return isHostname(name.hostname) ? { peer, node: undefined, hostname: name.hostname, reason } : undefined
}
