/**
 * Datagram → frame → packet → machine. The steps in order: who sent it (beacon or tunnel), does it open, is it a packet
 * from that peer for us, which stream or service is it for. A datagram that fails a step is counted under the step's
 * name and dropped: no error message leaves the node.
 */
import { readU32 } from '../../base/bytes.ts'
import { BROADCAST_NODE } from '../../base/address.ts'
import { DATA_PORT } from '../../base/overlay-ports.ts'
import type { Endpoint, Instant, NodeId } from '../../base/types.ts'
import { sameEndpoint } from '../../base/types.ts'
import {
  FIRST_FRAME_BYTE,
  TYPE_DISCOVER_REPLY,
  TYPE_PUNCH_COMMAND,
  decodeBeaconMessage,
} from '../../wire/beacon-messages.ts'
import {
  FLAG_ACK,
  FLAG_RST,
  FLAG_SYN,
  PACKET_HEADER_BYTES,
  PROTOCOL_AT,
  PROTOCOL_CONTROL,
  PROTOCOL_DATAGRAM,
  PROTOCOL_STREAM,
  createPacketHeader,
  decodePacket,
  destinationPort,
  isUnchecked,
  sourcePort,
} from '../../wire/packet.ts'
import { sourceNet } from '../../wire/ip-address.ts'
import { decodePathHello } from '../../wire/path-hello.ts'
import type { AuthFrame } from '../../wire/tunnel-frames.ts'
import {
  MAGIC_AUTH,
  MAGIC_KEY,
  MAGIC_PLAIN,
  MAGIC_PUNCH,
  KEY_FRAME_BYTES,
  MAGIC_SEALED,
  SEALED_OVERHEAD_BYTES,
  decodeAuthFrame,
  sealedSender,
} from '../../wire/tunnel-frames.ts'
import type { Path } from '../path/path.ts'
import { Stream } from '../stream/stream.ts'
import type { OpenedFrame } from '../tunnel/session.ts'
import type { Chores } from './chores.ts'
import type { NodeState } from './state.ts'
import * as k from './constants.ts'
import type { Outbound } from './outbound.ts'
import type { PathFinder } from './path-finder.ts'
import type { Peer } from './peer.ts'
import type { Resolver } from './resolver.ts'
import type { TrustExchange } from './trust-exchange.ts'
import { streamKey } from './ports.ts'
import { SourceBuckets } from '../../base/source-buckets.ts'
import { TokenBucket } from '../../base/token-bucket.ts'

/** The consumers of incoming datagrams. */
export interface InboundParts {
  readonly outbound: Outbound
  readonly resolver: Resolver
  readonly exchange: TrustExchange
  readonly finder: PathFinder
  readonly chores: Chores
}

/** `frame` is its PILA; undefined if it sent a sealed frame that we have no key for. */
interface Stranger {
  readonly frame: AuthFrame | undefined
  readonly source: Endpoint
  readonly byRelay: boolean
}

export class Inbound {
  readonly #state: NodeState
  readonly #outbound: Outbound
  readonly #resolver: Resolver
  readonly #exchange: TrustExchange
  readonly #finder: PathFinder
  readonly #chores: Chores
  readonly #header = createPacketHeader()
  readonly #strangers = new Map<NodeId, Stranger>()
  readonly #authChecks = new TokenBucket(k.AUTH_CHECKS_PER_SECOND)
  readonly #authSources = new SourceBuckets<string>(k.AUTH_CHECKS_PER_SOURCE)
  readonly #lookUps = new TokenBucket(k.LOOK_UPS_PER_SECOND)
  readonly #resets = new TokenBucket(k.RST_PER_SECOND)
  readonly #punches = new TokenBucket(k.PUNCHES_PER_SECOND)
  readonly #notices = new TokenBucket(k.NOTICES_PER_SECOND, k.NOTICE_BURST)
  readonly #punched = new TokenBucket(k.PUNCHED_PER_SECOND)

  constructor(state: NodeState, { outbound, resolver, exchange, finder, chores }: InboundParts) {
    this.#state = state
    this.#outbound = outbound
    this.#resolver = resolver
    this.#exchange = exchange
    this.#finder = finder
    this.#chores = chores
  }

  /** Takes ownership of `bytes`. */
  handleDatagram(now: Instant, bytes: Uint8Array, source: Endpoint, opened: OpenedFrame | undefined): void {
    const first = bytes[0]
    if (first === undefined) return this.#state.count('datagram_empty')
    if (first >= FIRST_FRAME_BYTE) this.#handleFrame(now, bytes, source, false, opened)
    else if (sameEndpoint(source, this.#state.options.beacon)) this.#handleBeacon(now, bytes, source, opened)
    else if (first === TYPE_DISCOVER_REPLY && this.#state.nat.mayBeSecond(source)) this.#handleSecond(now, bytes)
    else this.#state.count('beacon_message_from_stranger') // anyone can send these (tunnel.md §6.4)
  }

  /** From the rendezvous, on the TCP connection to it. Takes ownership of `bytes`. */
  handleLinkDatagram(now: Instant, bytes: Uint8Array): void {
    const { beacon } = this.#state.options
    const type = bytes[0]
    if (beacon === undefined || type === TYPE_PUNCH_COMMAND || type === TYPE_DISCOVER_REPLY)
      return this.#state.count('beacon_unexpected') // both are about UDP
    if (type === undefined || type >= FIRST_FRAME_BYTE) return this.#state.count('beacon_unknown_type')
    this.#handleBeacon(now, bytes, beacon, undefined)
  }

  #handleBeacon(now: Instant, bytes: Uint8Array, source: Endpoint, opened: OpenedFrame | undefined): void {
    const message = decodeBeaconMessage(bytes)
    if (typeof message === 'string') return this.#state.count(`beacon_${message}`)
    switch (message.kind) {
      case 'relay_deliver':
      case 'relay_deliver_to':
        this.#handleFrame(now, message.frame, source, true, opened)
        return
      case 'discover_reply':
        return this.#finder.onDiscoverReply(now, message.endpoint, message.answer)
      case 'punch_command':
        if (this.#punches.take(now)) this.#finder.onPunchCommand(now, message.endpoint)
        else this.#state.count('punch_limited')
        return
      case 'mail': // a hint only: the registry tells what waits
        if (this.#notices.take(now)) this.#exchange.pollSoon(now)
        return
      default:
        this.#state.count('beacon_unexpected')
    }
  }

  /** The beacon's second socket sends only one kind of message, which identifies itself. */
  #handleSecond(now: Instant, bytes: Uint8Array): void {
    const message = decodeBeaconMessage(bytes)
    if (typeof message === 'string' || message.kind !== 'discover_reply' || message.answer?.isFromSecond !== true)
      return this.#state.count('beacon_unexpected')
    this.#finder.onDiscoverReply(now, message.endpoint, message.answer)
  }

  #handleFrame(
    now: Instant,
    bytes: Uint8Array,
    source: Endpoint,
    byRelay: boolean,
    opened: OpenedFrame | undefined,
  ): void {
    if (bytes.length < 4) return this.#state.count('frame_too_short')
    switch (readU32(bytes, 0)) {
      case MAGIC_SEALED:
        return this.#handleSealed(now, bytes, source, byRelay, opened)
      case MAGIC_AUTH:
        return this.#handleAuth(now, bytes, source, byRelay)
      case MAGIC_PUNCH: // its first purpose was to open a NAT
        if (!byRelay && this.#punched.take(now)) this.#chores.onPunched(now, source)
        return
      case MAGIC_PLAIN:
        return this.#state.count('plaintext_refused') // never sent, never accepted
      case MAGIC_KEY:
        return this.#handleKeyRequest(now, bytes, source, byRelay)
      default:
        this.#state.count('frame_unknown')
    }
  }

  #handleSealed(
    now: Instant,
    bytes: Uint8Array,
    source: Endpoint,
    byRelay: boolean,
    opened: OpenedFrame | undefined,
  ): void {
    if (bytes.length < SEALED_OVERHEAD_BYTES + PACKET_HEADER_BYTES) return this.#state.count('frame_too_short')
    const sender = sealedSender(bytes)
    const peer = this.#state.peers.get(sender)
    if (peer === undefined) return this.#onUnopened(now, sender, source, byRelay)
    const packet = peer.tunnel.open(now, bytes, opened)
    if (typeof packet === 'string') {
      this.#state.count(`sealed_${packet}`)
      if (packet === 'bad_tag' || packet === 'no_key') this.#onUnopened(now, sender, source, byRelay)
      else this.#chores.afterTunnel(now, peer) // too many prefixes: we must send a fresh key
      return
    }
    if (!this.#isProper(peer, packet)) return
    peer.tunnel.accept(now)
    if (peer.tunnel.hasRestarted) peer.paths.onPeerRestart()
    const path = peer.paths.pathOf(source, byRelay)
    const silentMs = peer.silentFor(now)
    if (path !== undefined) {
      const moved = peer.onHeard(now, path, bytes.length, packet[PROTOCOL_AT] !== PROTOCOL_CONTROL)
      if (silentMs >= 2 * k.QUIET_MS) this.#chores.onOutageOver(now, peer, silentMs)
      else if (moved) this.#chores.onPathChange(now, peer)
    }
    this.#chores.afterTunnel(now, peer)
    this.#handlePacket(now, peer, path, packet)
    this.#state.touchPeer(peer)
  }

  /** §3.3 rule 5: we have restarted, or the peer has; our PILA makes it send its key. Only trusted nodes get one. */
  #onUnopened(now: Instant, sender: NodeId, source: Endpoint, byRelay: boolean): void {
    if (!this.#mayTalk(sender)) return this.#onStranger(now, sender, source)
    const known = this.#state.peers.get(sender)
    if (known === undefined && !this.#state.trust.isTrusted(sender))
      return this.#lookFirst(now, sender, { frame: undefined, source, byRelay })
    const peer = known ?? this.#state.peer(now, sender)
    if (peer === undefined || !this.#authChecks.take(now)) return
    this.#showKey(now, peer, source, byRelay)
  }

  #showKey(now: Instant, peer: Peer, source: Endpoint, byRelay: boolean): void {
    if (byRelay) peer.paths.admitRelay()
    else peer.paths.addUnproven(source)
    peer.tunnel.showKey(now)
    this.#chores.afterTunnel(now, peer)
  }

  /**
   * A PILK proves nothing, and its key is never accepted. But a daemon of today sends it when it has lost its half of a
   * session, and our PILA repairs that (quirk T13). Only a node that we have a session with gets it, and only along a
   * path that is already known: it is five times as long.
   */
  #handleKeyRequest(now: Instant, bytes: Uint8Array, source: Endpoint, byRelay: boolean): void {
    this.#state.count('unauthenticated_key_refused')
    if (bytes.length < KEY_FRAME_BYTES) return
    const peer = this.#state.peers.get(sealedSender(bytes)) // at the same place
    const paths = peer?.paths
    const path = byRelay ? paths?.relay : paths?.all().find(({ endpoint }) => sameEndpoint(endpoint, source))
    if (peer === undefined || path === undefined || !peer.tunnel.onAsked(now)) return
    this.#state.count('key_requests_answered')
    this.#outbound.sendAuth(now, peer, path)
    this.#chores.afterTunnel(now, peer)
  }

  /** A node that only a public node would talk to gets no record until the registry confirms that it exists. */
  #lookFirst(now: Instant, node: NodeId, stranger: Stranger): void {
    if (this.#strangers.has(node)) return
    if (this.#strangers.size >= k.MAX_STRANGERS || !this.#lookUps.take(now))
      return this.#state.count('strangers_limited')
    this.#strangers.set(node, stranger)
    this.#resolver.lookUpKey(now, node)
  }

  #handleAuth(now: Instant, bytes: Uint8Array, source: Endpoint, byRelay: boolean): void {
    const frame = decodeAuthFrame(bytes)
    if (typeof frame === 'string') return this.#state.count(`auth_${frame}`)
    if (frame.sender === this.#state.nodeId || frame.sender === 0) return this.#state.count('auth_bad_sender')
    if (!this.#mayTalk(frame.sender)) return this.#onStranger(now, frame.sender, source)
    if (!this.#mayCheck(now, frame.sender, source, byRelay)) return this.#state.count('auth_limited')
    const trusted = this.#state.trust.isTrusted(frame.sender)
    const peer = trusted ? this.#state.peer(now, frame.sender) : this.#state.peers.get(frame.sender)
    if (peer?.key === undefined) {
      const copy = decodeAuthFrame(bytes.slice())
      if (typeof copy !== 'string') this.#lookFirst(now, frame.sender, { frame: copy, source, byRelay })
      return
    }
    this.#takeAuth(now, peer, frame, source, byRelay)
  }

  /**
   * A signature check costs CPU, and anyone can cause one. Frames from a known endpoint of the peer bypass the limit.
   * Through the relay everything has the same source; there the beacon separates senders.
   */
  #mayCheck(now: Instant, sender: NodeId, source: Endpoint, byRelay: boolean): boolean {
    if (!byRelay && !this.#authSources.take(now, sourceNet(source.address))) return false
    const isKnown = !byRelay && this.#state.peers.get(sender)?.paths.knows(source) === true
    return isKnown || this.#authChecks.take(now)
  }

  /** The key that a waiting frame needs is now known; without a key, it never will be. */
  handleKey(now: Instant, node: NodeId, key: Uint8Array | undefined): void {
    const waiting = this.#strangers.get(node)
    if (waiting === undefined) return
    this.#strangers.delete(node)
    const peer = key === undefined ? undefined : this.#state.peer(now, node)
    if (peer === undefined) return
    peer.learn(undefined, key)
    if (waiting.frame === undefined) this.#showKey(now, peer, waiting.source, waiting.byRelay)
    else this.#takeAuth(now, peer, waiting.frame, waiting.source, waiting.byRelay)
  }

  #takeAuth(now: Instant, peer: Peer, frame: AuthFrame, source: Endpoint, byRelay: boolean): void {
    const result = peer.tunnel.handleAuth(now, frame, peer.key!, peer.heardAt)
    if (result === 'retired_key') return this.#state.count('auth_replayed')
    if (result !== 'new_key' && result !== 'known_key') {
      this.#state.count(`auth_${result}`)
      this.#state.emit({ kind: 'auth_refused', node: peer.node, why: result, from: source })
      return
    }
    if (byRelay) peer.paths.admitRelay()
    if (peer.tunnel.isBinding) peer.markExtended()
    if (result === 'new_key' && peer.claim === undefined && this.#lookUps.take(now))
      this.#resolver.lookUpKey(now, peer.node) // the name that people will see
    const path = peer.paths.pathOf(source, byRelay, result === 'known_key')
    if (path !== undefined && peer.paths.onHint(now, path) && result === 'known_key') peer.tunnel.answerElsewhere(now)
    this.#chores.afterTunnel(now, peer)
    this.#state.touchPeer(peer)
  }

  /** Trusted, or dialled by us. A public node talks to everyone; its services still decide for themselves. */
  #mayTalk(node: NodeId): boolean {
    const { trust, isPublic, peers } = this.#state
    const peer = peers.get(node)
    return isPublic || trust.isTrusted(node) || peer?.wanted === true || peer?.connected === true
  }

  /** The only answer is silence. The operator is notified. */
  #onStranger(now: Instant, node: NodeId, source: Endpoint): void {
    this.#state.count('strangers_ignored')
    // A node that we asked for trust may have agreed, and calls before we know it.
    if (this.#state.trust.outgoingTo(node, undefined) === undefined)
      this.#state.emit({ kind: 'turned_away', node, port: undefined, why: 'stranger', from: source })
    if (this.#state.trust.outgoing.length > 0 && this.#lookUps.take(now)) this.#exchange.pollSoon(now)
  }

  /**
   * The packet inside, in `#header`, is from the peer and for us. Keys that name no recipient may be shared with a
   * third party that forwards frames meant for another node, so nothing is concluded from a frame before this.
   */
  #isProper(peer: Peer, packet: Uint8Array): boolean {
    const state = this.#state
    const header = this.#header
    const fault = decodePacket(
      packet,
      header,
      isUnchecked(packet) && mayBeUnchecked(peer, packet) ? undefined : state.options.crc32,
    )
    if (fault !== undefined) state.count(`packet_${fault}`)
    else if (header.srcNode !== peer.node && !this.#isNameless(peer, header.srcNode))
      state.count('packet_foreign_source')
    else if (header.dstNode !== state.nodeId && !this.#isNameless(peer, header.dstNode))
      state.count('packet_foreign_destination')
    else return true
    return false
  }

  /**
   * A broadcast, or a keepalive or probe of a daemon of today, whose ends may be node 0 (quirk T14). It names no one: it
   * counts only under keys that a packet meant for us has confirmed.
   */
  #isNameless(peer: Peer, node: NodeId): boolean {
    const { protocol, dstNode } = this.#header
    const isBroadcast = protocol === PROTOCOL_DATAGRAM && node === BROADCAST_NODE && node === dstNode
    return (isBroadcast || (protocol === PROTOCOL_CONTROL && node === 0)) && peer.tunnel.openedConfirmed
  }

  #handlePacket(now: Instant, peer: Peer, path: Path | undefined, packet: Uint8Array): void {
    const header = this.#header
    const payload = packet.subarray(PACKET_HEADER_BYTES, PACKET_HEADER_BYTES + header.payloadLength)
    switch (header.protocol) {
      case PROTOCOL_STREAM:
        return this.#handleStream(now, peer, path, payload)
      case PROTOCOL_CONTROL:
        return this.#handleControl(now, peer, path, payload)
      case PROTOCOL_DATAGRAM:
        return this.#handleDatagramPacket(peer, payload)
      default:
        this.#state.count('packet_unknown_protocol')
    }
  }

  #handleStream(now: Instant, peer: Peer, path: Path | undefined, payload: Uint8Array): void {
    const state = this.#state
    const header = this.#header
    const key = streamKey(header.dstPort, header.srcPort)
    const stream = peer.streams.get(key)
    const opening = (header.flags & FLAG_SYN) !== 0 && (header.flags & (FLAG_ACK | FLAG_RST)) === 0
    if (stream !== undefined && !(opening && (stream.isForeignSyn(header) || isOfEarlierLife(peer, stream)))) {
      peer.bytesIn += payload.length
      if (payload.length > 0) peer.liveness.onBytes()
      const { una } = stream.sender
      stream.handlePacket(now, header, payload)
      if (stream.sender.una > una && path === peer.paths.current) path?.onProgress()
      if (stream.dialled && stream.extended) peer.markExtended()
      return state.touchStream(now, peer, stream)
    }
    if (stream !== undefined) {
      // the peer has forgotten it: this is a new one on the same ports
      stream.abandon('reset_by_peer')
      state.touchStream(now, peer, stream)
    }
    if (opening) return this.#handleSyn(now, peer, payload)
    if ((header.flags & FLAG_RST) === 0 && this.#resets.take(now))
      this.#outbound.resetUnknown(peer, header, payload.length)
  }

  #handleSyn(now: Instant, peer: Peer, payload: Uint8Array): void {
    const state = this.#state
    const header = this.#header
    const refused = (why: 'no_listener' | 'limit' | 'stranger'): void => {
      state.count(`syn_${why}`)
      state.emit({
        kind: 'turned_away',
        node: peer.node,
        port: header.dstPort,
        why,
        from: peer.paths.current?.endpoint,
      })
      if (why === 'stranger') return
      const syn = { ...header }
      state.refusals.put(now, now, () => this.#outbound.resetUnknown(peer, syn, 0))
    }
    const isReply = header.dstPort === DATA_PORT && now < peer.repliesUntil
    if (!state.isPublic && !state.trust.isTrusted(peer.node) && !this.#mayHandshake(peer) && !isReply)
      return refused('stranger')
    if (!peer.opened.take(now)) return state.count('syn_limited') // whatever the port is: otherwise the silence would tell
    if (!state.ports.isListening(header.dstPort)) return refused('no_listener')
    if (state.streams >= k.MAX_STREAMS || peer.streams.size >= k.MAX_STREAMS_PER_PEER) return refused('limit')
    const local = { port: header.dstPort, network: header.dstNetwork }
    const stream = new Stream(
      'accept',
      local,
      peer.node,
      header.srcPort,
      state.initialSequence(),
      state.streamShared,
      peer.rules,
    )
    stream.handleSyn(now, header, payload)
    if (stream.extended) peer.markExtended()
    state.addStream(peer, stream)
    state.count('streams_incoming')
    state.emit({ kind: 'incoming', stream, peer, isReply })
  }

  /** A node whose trust we requested may answer directly. A Go peer would try for 29 s before it uses the registry. */
  #mayHandshake(peer: Peer): boolean {
    return (
      this.#header.dstPort === k.HANDSHAKE_PORT && this.#state.trust.outgoingTo(peer.node, peer.claim) !== undefined
    )
  }

  #handleControl(now: Instant, peer: Peer, path: Path | undefined, payload: Uint8Array): void {
    const header = this.#header
    if (header.dstPort === 0 && (header.flags & FLAG_ACK) === 0) {
      if (header.srcPort === 0) peer.make.onNameless()
      if (header.srcNode === 0 || (header.srcPort === 0 && payload.length === 0)) return // a keepalive of a Go node
      this.#outbound.pong(peer, path, header, payload)
      const hello = payload.length > 0 ? decodePathHello(payload) : undefined
      if (hello !== undefined) this.#chores.onHello(now, peer, hello, path)
      return
    }
    if (
      header.dstPort === k.PING_PORT &&
      (header.flags & FLAG_ACK) !== 0 &&
      path !== undefined &&
      header.ack === (header.seq + 1) >>> 0
    ) {
      this.#chores.onPong(now, peer, path, header.seq, payload.length)
    }
  }

  #handleDatagramPacket(peer: Peer, payload: Uint8Array): void {
    const header = this.#header
    const { isPublic, trust, ports } = this.#state
    if (payload.length === 0) return
    if (!isPublic && !trust.isTrusted(peer.node)) return this.#state.count('datagram_stranger')
    if (!ports.takesAllDatagrams && !ports.datagrams.has(header.dstPort))
      return this.#state.count('datagram_no_listener')
    this.#state.emit({
      kind: 'datagram',
      node: peer.node,
      sourcePort: header.srcPort,
      port: header.dstPort,
      bytes: payload,
    })
  }
}

/**
 * A Go daemon numbers its ports and sequences from the same values after each restart, so its new SYN looks like a repeat of
 * the old one; but it has a new key (tunnel.md §4.1).
 */
function isOfEarlierLife(peer: Peer, stream: Stream): boolean {
  return !stream.extended && !stream.dialled && stream.synAt < peer.tunnel.peerKeySince
}

/**
 * Agreed by its stream; packets of a stream that no longer exists are answered by a reset anyway. The frame was
 * authenticated in any case.
 */
function mayBeUnchecked(peer: Peer, packet: Uint8Array): boolean {
  return (
    packet[PROTOCOL_AT] === PROTOCOL_STREAM &&
    peer.streams.get(streamKey(destinationPort(packet), sourcePort(packet)))?.unchecked !== false
  )
}
