/**
 * One overlay node, whole, without I/O: the parts put together. Above: runtime/node/driver.ts, the only thing that calls it
 * in a running program; test/sim drives it just the same.
 *
 *   handle*   a datagram, an answer of the registry, a deadline
 *   commands  dial, listen, write, trust: each is a handle call too
 *   poll*     datagrams to send, questions to the registry, streams with news, events
 *
 * After one batch of calls drain every poll, then sleep until nextTimeout().
 */
import type { PeerName } from '../../base/address.ts'
import { equalBytes, fromBase64, utf8 } from '../../base/bytes.ts'
import type { Endpoint, Instant, NodeId } from '../../base/types.ts'
import { verifySignature } from '../../crypto/identity.ts'
import type { HandshakeMessage } from '../../wire/handshake-message.ts'
import { handshakeChallenge } from '../../wire/handshake-message.ts'
import type { TrustFile } from '../../wire/trust-file.ts'
import type { Path } from '../path/path.ts'
import { Stream } from '../stream/stream.ts'
import type { OpenedFrame } from '../tunnel/session.ts'
import { TUNNEL_CONFIRMED, TUNNEL_FAILED, TUNNEL_READY, TUNNEL_REKEYED } from '../tunnel/tunnel.ts'
import type { Wish } from '../trust/trust-book.ts'
import type { NodeOptions, OwnNetwork } from './options.ts'
import { NodeState } from './state.ts'
import type { Dial } from './dial.ts'
import { Dialler } from './dialler.ts'
import { Directory, type DirectoryNews } from './resolver.ts'
import type { DatagramSlot } from './datagram-slot.ts'
import type { NodeEvent } from './events.ts'
import { Finder } from './path-finder.ts'
import { Inbound } from './inbound.ts'
import { Outbound } from './outbound.ts'
import * as wish from './peer.ts'
import type { Peer } from './peer.ts'
import { Pings } from './pings.ts'
import { Standing } from './registration.ts'

export class OverlayCore {
  readonly context: NodeState
  readonly standing: Standing
  readonly #outbound: Outbound
  readonly #inbound: Inbound
  readonly #directory: Directory
  readonly #dialler: Dialler
  readonly #pings: Pings
  readonly #finder: Finder
  readonly #due: Array<Stream | Peer> = [] // scratch of handleTimeout

  constructor(options: NodeOptions, trust: TrustFile, now: Instant) {
    const state = new NodeState(options)
    state.trust.load(trust)
    this.context = state
    this.standing = new Standing(state, now, (at) => this.#onNewId(at))
    this.#outbound = new Outbound(state)
    this.#pings = new Pings(this.#outbound)
    const finder = (this.#finder = new Finder(state, this.#outbound, this.#pings))
    this.#directory = new Directory(state, (bytes) => this.#outbound.sendBeacon(bytes))
    this.#dialler = new Dialler(state, this.#directory, (at, peer) => this.#afterTunnel(at, peer))
    this.#inbound = new Inbound(state, this.#outbound, {
      lookUpKey: (at, node) => this.#directory.lookUpKey(at, node),
      pollTrust: (at) => this.standing.pollSoon(at),
      afterTunnel: (at, peer) => this.#afterTunnel(at, peer),
      onPathChange: (at, peer) => this.#onPathChange(at, peer),
      onDiscoverReply: (at, endpoint, second) => finder.onDiscoverReply(at, endpoint, second),
      onPunchCommand: (at, endpoint) => finder.onPunchCommand(at, endpoint),
      onPunched: (at, source) => finder.onPunched(at, source, (peer) => this.#afterTunnel(at, peer)),
      onHello: (at, peer, hello, path) => {
        if (finder.onHello(at, peer, hello, path)) this.#tellPath(peer)
      },
      onPong: (at, peer, path, seq, bytes) => this.#onPong(at, peer, path, seq, bytes),
    })
  }

  get nodeId(): NodeId {
    return this.context.nodeId
  }

  // ---- what happens

  /** Takes ownership of `bytes`. @param opened where a sealed frame was opened before it came here. */
  handleDatagram(now: Instant, bytes: Uint8Array, source: Endpoint, opened?: OpenedFrame): void {
    this.#inbound.handleDatagram(now, bytes, source, opened)
  }

  handleRegistryConnected(now: Instant): void {
    this.context.registry.handleConnected()
    this.standing.handleConnected(now)
  }

  handleRegistryDisconnected(now: Instant): void {
    this.context.registry.handleDisconnected()
    this.standing.handleDisconnected()
    this.#takeResults(now)
  }

  handleRegistryReply(now: Instant, reply: object): void {
    this.context.registry.handleReply(reply)
    this.#takeResults(now)
  }

  /** Addresses of our interfaces are others than before, or the machine has slept. @param isElsewhere what we send comes from another address. */
  handleNetworkChange(now: Instant, network: OwnNetwork, isElsewhere: boolean): void {
    this.context.network = network
    this.standing.onNetworkChange(now)
    this.#finder.onNetworkChange(now, isElsewhere)
    for (const peer of this.context.peers.values()) this.#afterTunnel(now, peer)
  }

  handleTimeout(now: Instant): void {
    const { heap, registry, beacon, options } = this.context
    heap.popAllDue(now, this.#due)
    for (const due of this.#due) {
      due.handleTimeout(now)
      if (due instanceof Stream) {
        const peer = this.context.peers.get(due.peer)
        if (peer === undefined) continue
        if (due.sender.timeouts > 0) this.#finder.onStall(now, peer, due.sender.isStuckSince(peer.heardAt))
        this.context.touchStream(now, peer, due)
      } else this.#afterPeerTimeout(now, due)
    }
    this.#due.length = 0
    registry.handleTimeout(now)
    this.standing.handleTimeout(now)
    this.#finder.handleTimeout(now)
    const discover = options.beacon === undefined ? undefined : beacon.pollDiscover(now)
    if (discover !== undefined) this.#outbound.sendBeacon(discover)
    this.#takeResults(now)
  }

  nextTimeout(): Instant {
    const { heap, registry, beacon, options } = this.context
    const beaconAt = options.beacon === undefined ? Infinity : beacon.nextTimeout()
    return Math.min(
      heap.earliest,
      registry.nextTimeout(),
      this.standing.nextTimeout(),
      this.#finder.nextTimeout(),
      beaconAt,
    )
  }

  // ---- what follows

  pollDatagram(now: Instant, slot: DatagramSlot): boolean {
    return this.#outbound.pollDatagram(now, slot)
  }
  pollRegistryRequest(): object | undefined {
    return this.context.registry.pollRequest()
  }
  /** The connection to the registry has stopped answering: drop it and make a new one. */
  get registryStale(): boolean {
    return this.context.registry.stale
  }

  pollEvent(now: Instant): NodeEvent | undefined {
    this.#takeResults(now)
    const event = this.context.events.shift()
    if (event?.kind === 'endpoint') this.standing.onEndpoint(now)
    if (event?.kind === 'registered') this.#dialler.onRegistered(now)
    return event
  }

  /** A stream with news for the application: see `takeNews`. Streams that are being redialled stay inside. */
  pollStream(now: Instant): Stream | undefined {
    for (let stream = this.context.news.shift(); stream !== undefined; stream = this.context.news.shift()) {
      stream.announced = false
      const dial = stream.app as Dial | undefined
      if (dial !== undefined && (stream.end === 'stale' || stream.wasBusy) && this.#dialler.redial(now, stream, dial))
        continue
      return stream
    }
    return undefined
  }

  // ---- commands: streams

  dial(now: Instant, target: PeerName, label: string, port: number, app: unknown): Dial {
    return this.#dialler.dial(now, target, label, port, app)
  }

  /** Connections to this peer are likely: what they need to know is found out now. Best effort. */
  prepare(now: Instant, target: PeerName): void {
    this.#dialler.prepare(now, target)
  }

  cancelDial(now: Instant, dial: Dial): void {
    this.#dialler.cancel(now, dial)
  }

  /** Which node has this hostname? Answered by a `name` event. */
  askName(now: Instant, hostname: string, token: unknown): void {
    this.#dialler.askName(now, hostname, token)
  }

  /** What does the registry tell about this node? Answered by an `about` event. */
  askAbout(now: Instant, node: NodeId, token: unknown): void {
    this.#directory.askAbout(now, node, token)
  }

  /** @returns false when the port is taken. */
  listen(port: number): boolean {
    return this.context.ports.listen(port)
  }
  unlisten(port: number): void {
    this.context.ports.unlisten(port)
  }

  /** @returns false when the port is taken. Datagrams to other ports are dropped. */
  openDatagrams(port: number): boolean {
    const { datagrams } = this.context.ports
    if (datagrams.has(port)) return false
    datagrams.add(port)
    return true
  }

  closeDatagrams(port: number): void {
    this.context.ports.datagrams.delete(port)
  }

  accept(now: Instant, stream: Stream): void {
    stream.accept()
    this.context.touch(now, stream)
  }

  refuse(now: Instant, stream: Stream): void {
    const peer = this.context.peers.get(stream.peer)
    if (peer === undefined || stream.phase !== 'syn-received') return
    stream.abandon('local')
    this.context.touchStream(now, peer, stream)
    this.#outbound.refuse(peer, stream) // byte for byte what a port gives where nobody listens
  }

  /** @param more follows within a turn, probably. @returns false when the writer should wait for NEWS_WRITABLE. Takes ownership of `bytes`. */
  write(now: Instant, stream: Stream, bytes: Uint8Array, more = false): boolean {
    const goOn = stream.write(bytes, more)
    if (more) this.context.hold(stream)
    this.context.touch(now, stream)
    return goOn
  }

  shutdown(now: Instant, stream: Stream): void {
    stream.shutdown(now)
    this.context.touch(now, stream)
  }

  close(now: Instant, stream: Stream): void {
    stream.close(now)
    this.context.touch(now, stream)
  }

  reset(now: Instant, stream: Stream): void {
    stream.reset(now)
    this.context.touch(now, stream)
  }

  /** Bytes were read from the stream: its window may have opened. */
  afterRead(now: Instant, stream: Stream): void {
    stream.onRead(now)
    this.context.touch(now, stream)
  }

  // ---- commands: peers

  /** Requires a connected peer; answered by a `pong` event with the token, or never. */
  ping(now: Instant, node: NodeId, token: unknown): boolean {
    const peer = this.context.peers.get(node)
    if (peer?.connected !== true) return false
    this.#pings.send(now, peer, undefined, 'user', 0, token)
    this.context.touchPeer(peer)
    return true
  }

  /** @returns why it cannot be sent, or undefined. A datagram may still be lost, as UDP's. */
  sendDatagram(
    node: NodeId,
    sourcePort: number,
    port: number,
    bytes: Uint8Array,
  ): 'not_connected' | 'too_large' | undefined {
    const peer = this.context.peers.get(node)
    if (peer?.connected !== true) return 'not_connected'
    const fits = this.#outbound.datagram(peer, sourcePort, port, bytes)
    this.context.touchPeer(peer)
    return fits ? undefined : 'too_large'
  }

  // ---- commands: trust

  requestTrust(now: Instant, trustWish: Wish): void {
    this.standing.wish(now, trustWish)
  }

  /** @returns false when there was no such wish. */
  dropWish(peer: string): boolean {
    const { trust } = this.context
    const wish = trust.wishes.find((candidate) => candidate.peer === peer)
    if (wish !== undefined) trust.dropWish(wish)
    return wish !== undefined
  }

  /**
   * A message of the port-444 handshake, from the peer that its tunnel authenticated.
   * @returns why it is ignored, or undefined.
   */
  handleHandshake(
    now: Instant,
    from: NodeId,
    message: HandshakeMessage,
  ): 'foreign_node' | 'no_key' | 'wrong_key' | 'bad_signature' | undefined {
    const peer = this.context.peers.get(from)
    if (message.nodeId !== from) return 'foreign_node'
    if (peer?.key === undefined) return 'no_key'
    const [key, signature] = [fromBase64(message.publicKey), fromBase64(message.signature)]
    if (key === undefined || !equalBytes(key, peer.key)) return 'wrong_key'
    const challenge = utf8(handshakeChallenge(from, this.context.nodeId))
    if (signature === undefined || !verifySignature(peer.key, challenge, signature)) return 'bad_signature'
    const revoked = this.standing.handleDirect(
      now,
      from,
      HANDSHAKE_KINDS[message.type],
      peer.key,
      peer.hostname,
      message.justification,
    )
    if (revoked) this.revokeTrust(now, from, 'peer')
    return undefined
  }

  /** @returns false when nothing of this node is pending. */
  approveTrust(now: Instant, node: NodeId): boolean {
    const { trust } = this.context
    const entry = trust.pending.find((pending) => pending.nodeId === node)
    const key = entry === undefined ? undefined : trust.pendingKey(node)
    if (entry === undefined || key === undefined) return false
    this.standing.approve(now, node, trust.hostnameOf(node), key, false)
    this.standing.respond(now, node, true)
    return true
  }

  rejectTrust(now: Instant, node: NodeId): boolean {
    const hostname = this.context.trust.hostnameOf(node)
    if (!this.context.trust.reject(node)) return false
    this.standing.reject(now, node)
    this.context.emit({ kind: 'trust', node, hostname, state: 'rejected' })
    return true
  }

  /** Before trust ends: a Go peer drops its keys as soon as it hears of that, and would not understand our RSTs. */
  resetStreams(now: Instant, node: NodeId): void {
    const peer = this.context.peers.get(node)
    for (const stream of peer?.streams.values() ?? []) {
      stream.reset(now, 'peer_gone')
      this.context.touchStream(now, peer!, stream)
    }
  }

  /** Ends trust and, with it, every stream of that node. @returns false when it was not trusted. */
  revokeTrust(now: Instant, node: NodeId, origin: 'local' | 'peer' = 'local'): boolean {
    const hostname = this.context.trust.hostnameOf(node)
    if (!this.context.trust.revoke(node, origin === 'local')) return false
    this.standing.revoke(now, node)
    const peer = this.context.peers.get(node)
    if (peer !== undefined) {
      this.resetStreams(now, node)
      peer.leaveAt = now + LEAVE_MS
      this.#dialler.failPeer(now, peer, 'NOT_TRUSTED', 'trust was revoked')
      this.context.touchPeer(peer)
    }
    this.context.emit({ kind: 'trust', node, hostname, state: 'revoked' })
    return true
  }

  // ---- inside

  #takeResults(now: Instant): void {
    for (
      let result = this.context.registry.pollResult();
      result !== undefined;
      result = this.context.registry.pollResult()
    ) {
      if (this.standing.handleResult(now, result)) continue
      const news = this.#directory.handleResult(now, result)
      switch (news?.kind) {
        case 'resolved':
          this.#dialler.onResolved(now, news.peer, news.isNews)
          this.#afterTunnel(now, news.peer)
          break
        case 'unresolved':
          this.#dialler.onUnresolved(now, news.peer, news.code, news.text)
          this.#afterTunnel(now, news.peer)
          break
        case 'name':
          this.#dialler.onName(now, news.hostname, news.answer)
          break
        case 'key':
          this.#onKey(now, news)
          break
        case 'no_key':
          this.#onNoKey(now, news.node)
          break
        default:
          break
      }
    }
  }

  #onKey(now: Instant, { node, key, hostname, networks }: Extract<DirectoryNews, { kind: 'key' }>): void {
    this.standing.handleLookup(now, node, key, hostname, networks)
    this.#inbound.handleKey(now, node, key)
    const peer = this.context.peers.get(node)
    if (peer === undefined) return
    this.#dialler.onKey(now, peer)
    this.#afterTunnel(now, peer)
  }

  #onNoKey(now: Instant, node: NodeId): void {
    this.#inbound.handleKey(now, node, undefined)
    const peer = this.context.peers.get(node)
    if (peer?.wanted !== true || peer.key !== undefined) return
    const { code, text } = this.#directory.unknownNode(node)
    this.#dialler.failPeer(now, peer, code, text)
  }

  /** After anything that may have changed a tunnel: tells the peer's waiters, sends the PILA that is due. */
  #afterTunnel(now: Instant, peer: Peer): void {
    const news = peer.tunnel.takeNews()
    if (news !== 0) this.#onTunnelNews(now, peer, news)
    if (peer.tunnel.authDue) {
      this.#outbound.sendAuth(now, peer)
      // The peer confirms new keys by any frame under them; without this ping it might have nothing to say.
      if (peer.tunnel.hasCandidate) this.#pings.send(now, peer, undefined, 'confirm', 0, undefined)
    }
    this.context.touchPeer(peer)
  }

  #onTunnelNews(now: Instant, peer: Peer, news: number): void {
    if ((news & TUNNEL_READY) !== 0) {
      peer.connected = true
      peer.wanted = false
      this.#dialler.flush(now, peer)
      if (!peer.tunnel.confirmed) this.#pings.send(now, peer, undefined, 'alive', 0, undefined)
    }
    if ((news & TUNNEL_CONFIRMED) !== 0) {
      this.context.emit({ kind: 'peer', peer, state: 'connected' })
      this.#tellPath(peer)
      this.#finder.onConfirmed(now, peer)
    }
    if ((news & TUNNEL_REKEYED) !== 0) {
      // it may have restarted: ask whether it still knows our streams
      this.context.emit({ kind: 'peer', peer, state: 'restarted' })
      for (const stream of peer.streams.values()) {
        stream.onPathChange(now, true)
        this.context.touchStream(now, peer, stream)
      }
    }
    if ((news & TUNNEL_FAILED) !== 0 && !peer.connected) {
      const { beacon, options, registry } = this.context
      const isBlocked = options.beacon !== undefined && registry.connected && !beacon.isAnswering(now)
      if (isBlocked)
        this.#dialler.failPeer(
          now,
          peer,
          'UDP_BLOCKED',
          'no answer over UDP, neither from the node nor from the beacon',
        )
      else
        this.#dialler.failPeer(
          now,
          peer,
          'PEER_UNREACHABLE',
          'the node does not answer, neither directly nor through the relay',
        )
      this.context.emit({ kind: 'peer', peer, state: 'unreachable' })
    }
  }

  #onPathChange(now: Instant, peer: Peer): void {
    this.#tellPath(peer)
    this.#finder.probeSize(now, peer)
    peer.strictAt = peer.paths.current?.kind === 'relay' ? Math.min(peer.strictAt, now + STRICT_PATIENCE_MS) : Infinity
    for (const stream of peer.streams.values()) {
      // what waits for a backed-off timer may go now
      stream.onPathChange(now, false)
      this.context.touchStream(now, peer, stream)
    }
  }

  #tellPath(peer: Peer): void {
    if (peer.paths.current !== undefined) this.context.emit({ kind: 'path', peer, path: peer.paths.current })
  }

  /** The registry gave us another id: it is another one, or has lost its memory. Nothing of the old id holds. */
  #onNewId(now: Instant): void {
    this.#dialler.failAll(now, 'REGISTRY_UNREACHABLE', 'the registry has given this node another id')
    for (const peer of this.context.peers.values()) {
      this.#drop(now, peer, 'peer_gone')
      this.context.heap.remove(peer)
    }
    this.context.peers.clear()
  }

  #afterPeerTimeout(now: Instant, peer: Peer): void {
    if (peer.takePathLoss()) this.#onPathChange(now, peer)
    const wishes = peer.takeWishes()
    if ((wishes & wish.PEER_FORGET) !== 0) {
      this.context.peers.delete(peer.node)
      this.context.heap.remove(peer)
      return
    }
    if ((wishes & wish.PEER_LEAVE) !== 0) {
      this.#drop(now, peer, 'peer_gone')
      this.#dialler.failPeer(now, peer, 'NOT_TRUSTED', 'trust was revoked')
    }
    if ((wishes & wish.PEER_DEAD) !== 0) {
      this.#drop(now, peer, 'peer_gone')
      this.#dialler.failPeer(now, peer, 'PEER_UNREACHABLE', 'the node has stopped answering')
      this.context.emit({ kind: 'peer', peer, state: 'unreachable' })
    }
    if ((wishes & wish.PEER_SILENT) !== 0) this.#failWaiting(now, peer)
    if ((wishes & wish.PEER_RESOLVE) !== 0) this.#directory.locate(now, peer)
    if ((wishes & wish.PEER_KEEPALIVE) !== 0) this.#pings.send(now, peer, undefined, 'alive', 0, undefined)
    if ((wishes & wish.PEER_SEARCH) !== 0) {
      this.context.beacon.refresh(now)
      for (const path of peer.searchPaths(now)) this.#pings.send(now, peer, path, 'alive', 0, undefined)
    }
    if (peer.connected) {
      this.#finder.onPeerTimeout(now, peer)
      if (peer.dials.size > 0) this.#dialler.flush(now, peer)
    }
    this.#afterTunnel(now, peer)
  }

  /** The tunnel stays, in case the peer comes back in time; what has not begun need not wait for that. */
  #failWaiting(now: Instant, peer: Peer): void {
    this.#dialler.failPeer(now, peer, 'PEER_UNREACHABLE', 'the node does not answer')
    for (const stream of peer.streams.values()) {
      if (stream.phase !== 'syn-sent') continue
      stream.abandon('no_answer')
      this.context.touchStream(now, peer, stream)
    }
  }

  #drop(now: Instant, peer: Peer, why: 'peer_gone'): void {
    for (const stream of peer.streams.values()) {
      stream.abandon(why)
      this.context.touchStream(now, peer, stream)
    }
    peer.leaveAt = Infinity
    peer.ready.clear()
    peer.forgetTunnel()
  }

  #onPong(now: Instant, peer: Peer, path: Path, seq: number, payloadBytes: number): void {
    const ping = this.#pings.take(seq, peer)
    if (ping === undefined) return
    const rttMs = now - ping.sentAt
    // An answer along another path than the ping's proves nothing about either.
    if (ping.path === path && peer.paths.onAnswer(path, rttMs)) this.#onPathChange(now, peer)
    if (ping.purpose === 'size' && ping.path === path && payloadBytes === ping.payloadBytes) {
      path.onSizeAnswer(now, payloadBytes)
      this.context.emit({ kind: 'path', peer, path })
    }
    if (ping.purpose === 'hello') peer.search.onHelloAnswered()
    if (ping.purpose === 'user') this.context.emit({ kind: 'pong', token: ping.token, peer, path, rttMs })
    this.#finder.probeSize(now, peer)
  }
}

const HANDSHAKE_KINDS = {
  handshake_request: 'request',
  handshake_accept: 'accept',
  handshake_reject: 'reject',
  handshake_revoke: 'revoke',
} as const
/** Streams that refuse the relay wait so long for a straight way when the last one died, ms. */
const STRICT_PATIENCE_MS = 5_000
/** How long the keys outlive revoked trust, ms: enough for the RSTs to leave. */
const LEAVE_MS = 100
