/**
 * The node's work for a peer after anything that may have changed its tunnel, path or liveness. peer.ts and liveness.ts
 * decide what to do; this part does it, with the help of the others.
 */
import type { Endpoint, Instant } from '../../base/types.ts'
import type { PathHello } from '../../wire/path-hello.ts'
import type { Path } from '../path/path.ts'
import type { PingSize } from '../path/size-check.ts'
import { TUNNEL_ASKED, TUNNEL_CONFIRMED, TUNNEL_FAILED, TUNNEL_READY, TUNNEL_REKEYED } from '../tunnel/tunnel.ts'
import type { Dialler } from './dialler.ts'
import type { Outbound } from './outbound.ts'
import type { PathFinder } from './path-finder.ts'
import type { Peer } from './peer.ts'
import { VERIFY_SPREAD_MS } from '../stream/constants.ts'
import * as k from './constants.ts'
import type { Pings } from './pings.ts'
import type { Resolver } from './resolver.ts'
import type { NodeState } from './state.ts'

export class Chores {
  readonly #state: NodeState
  readonly #outbound: Outbound
  readonly #pings: Pings
  readonly #finder: PathFinder
  readonly #resolver: Resolver
  readonly #dialler: Dialler

  constructor(
    state: NodeState,
    parts: {
      readonly outbound: Outbound
      readonly pings: Pings
      readonly finder: PathFinder
      readonly resolver: Resolver
      readonly dialler: Dialler
    },
  ) {
    this.#state = state
    this.#outbound = parts.outbound
    this.#pings = parts.pings
    this.#finder = parts.finder
    this.#resolver = parts.resolver
    this.#dialler = parts.dialler
  }

  /**
   * After anything that may have changed a tunnel: notifies whatever waits for the peer, and sends a PILA if one is
   * due.
   */
  afterTunnel(now: Instant, peer: Peer): void {
    const news = peer.tunnel.takeNews()
    if (news !== 0) this.#onTunnelNews(now, peer, news)
    if (peer.tunnel.authDue) {
      this.#outbound.sendAuth(now, peer)
      // The peer confirms new keys by any frame under them; without this ping it might have nothing to send.
      if (peer.tunnel.hasCandidate) this.#pings.send(now, peer, undefined, 'confirm', 0)
    }
    this.#state.touchPeer(peer)
  }

  /** A punch came from there: a key exchange that waits for an open path can proceed without its timer. */
  onPunched(now: Instant, source: Endpoint): void {
    this.#finder.onPunched(now, source, (peer) => this.afterTunnel(now, peer))
  }

  /** One of a pair of pings was answered. */
  #onPairAnswer(now: Instant, peer: Peer, path: Path, size: PingSize, sentAt: Instant): void {
    const moved =
      peer.paths.onSizeAnswer(now, path, size) ||
      (path.sizeCheck.onAnswer(size, sentAt) && this.#finder.onSizeLost(now, peer, path))
    if (moved) this.onPathChange(now, peer)
  }

  /** The peer reports where it can be reached, and where it sees us. */
  onHello(now: Instant, peer: Peer, hello: PathHello, path: Path | undefined): void {
    if (this.#finder.onHello(now, peer, hello, path)) this.#reportPath(peer)
  }

  onPong(now: Instant, peer: Peer, path: Path, seq: number, payloadBytes: number): void {
    const ping = this.#pings.take(seq, peer)
    if (ping === undefined) return
    const rttMs = now - ping.sentAt
    const size = ping.purpose === 'large' || ping.purpose === 'small' ? ping.purpose : undefined
    // An answer along a path other than the ping's proves nothing about either.
    if (ping.path === path && peer.paths.onAnswer(path, rttMs, size)) this.onPathChange(now, peer)
    if (ping.purpose === 'size' && ping.path === path && payloadBytes === ping.payloadBytes) {
      path.onSizeAnswer(now, payloadBytes)
      this.#state.emit({ kind: 'path', peer, path })
    }
    if (ping.path === path && size !== undefined) this.#onPairAnswer(now, peer, path, size, ping.sentAt)
    if (ping.purpose === 'empty') peer.make.onEmptyAnswered()
    if (ping.purpose === 'behind' && peer.make.onEmptyUnanswered()) this.#finder.probeMake(now, peer)
    if (ping.purpose === 'hello') peer.search.onHelloAnswered()
    if (ping.app !== undefined) this.#state.emit({ kind: 'pong', app: ping.app, peer, path, rttMs })
    this.#finder.probeSize(now, peer)
  }

  onPathChange(now: Instant, peer: Peer): void {
    this.#reportPath(peer)
    this.#finder.onPathChange(now, peer)
    this.#refreshStreams(now, peer, false)
  }

  /**
   * The peer is heard again after a silence. It may have ended streams in the meantime, and every RST may have been
   * lost.
   */
  onOutageOver(now: Instant, peer: Peer, silentMs: number): void {
    this.#reportPath(peer)
    this.#finder.onPathChange(now, peer)
    this.#refreshStreams(now, peer, silentMs >= k.PEER_SILENT_MS)
  }

  /** Anything that waits for a backed-off timer may go now. */
  #refreshStreams(now: Instant, peer: Peer, verify: boolean): void {
    let verifyAt = verify ? now : Infinity
    for (const stream of peer.streams.values()) {
      stream.onPathChange(now, verifyAt)
      verifyAt += VERIFY_SPREAD_MS
      this.#state.touchStream(now, peer, stream)
    }
  }

  afterTimeout(now: Instant, peer: Peer): void {
    if (peer.takePathLoss()) this.onPathChange(now, peer)
    const chores = peer.takeChores()
    if ((chores & k.PEER_FORGET) !== 0) {
      this.#state.peers.delete(peer.node)
      this.#state.heap.remove(peer)
      return
    }
    if ((chores & k.PEER_LEAVE) !== 0) {
      this.drop(now, peer)
      if (this.#state.trust.isTrusted(peer.node)) this.#dialler.onNewOwner(now, peer)
      else this.#dialler.failPeer(now, peer, 'NOT_TRUSTED', 'trust was revoked')
    }
    if ((chores & k.PEER_DEAD) !== 0) {
      this.drop(now, peer)
      this.#dialler.failPeer(now, peer, 'PEER_UNREACHABLE', 'the node has stopped answering')
      this.#state.emit({ kind: 'peer', peer, state: 'unreachable' })
    }
    if ((chores & k.PEER_SILENT) !== 0) this.#failWaiting(now, peer)
    if ((chores & k.PEER_RESOLVE) !== 0) this.#resolver.locate(now, peer)
    if ((chores & k.PEER_KEEPALIVE) !== 0) this.#pings.send(now, peer, undefined, 'alive', 0)
    if ((chores & k.PEER_SEARCH) !== 0) {
      this.#state.beacon.refresh(now)
      for (const path of peer.searchPaths(now)) this.#pings.send(now, peer, path, 'alive', 0)
    }
    if (peer.connected) {
      this.#finder.onPeerTimeout(now, peer)
      if (peer.dials.size > 0) this.#dialler.flush(now, peer)
    }
    this.afterTunnel(now, peer)
  }

  /** Ends its streams and forgets its keys. */
  drop(now: Instant, peer: Peer): void {
    for (const stream of peer.streams.values()) {
      stream.abandon('peer_gone')
      this.#state.touchStream(now, peer, stream)
    }
    peer.ready.clear()
    peer.forgetTunnel()
  }

  #onTunnelNews(now: Instant, peer: Peer, news: number): void {
    if ((news & TUNNEL_READY) !== 0) {
      peer.onConnected()
      this.#dialler.flush(now, peer)
      if (!peer.tunnel.confirmed) this.#pings.send(now, peer, undefined, 'alive', 0)
    }
    if ((news & TUNNEL_ASKED) !== 0) this.#pings.send(now, peer, undefined, 'alive', 0)
    if ((news & TUNNEL_CONFIRMED) !== 0) {
      this.#state.emit({ kind: 'peer', peer, state: 'connected' })
      this.#reportPath(peer)
      this.#finder.onConfirmed(now, peer)
    }
    if ((news & TUNNEL_REKEYED) !== 0) {
      // it may have restarted: ask whether it still knows our streams
      this.#state.emit({ kind: 'peer', peer, state: 'restarted' })
      this.#refreshStreams(now, peer, true)
    }
    if ((news & TUNNEL_FAILED) !== 0 && !peer.connected) {
      const { beacon, options, registry } = this.#state
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
      this.#state.emit({ kind: 'peer', peer, state: 'unreachable' })
    }
  }

  /** The tunnel stays, in case the peer comes back in time; pending dials fail now. */
  #failWaiting(now: Instant, peer: Peer): void {
    this.#dialler.failPeer(now, peer, 'PEER_UNREACHABLE', 'the node does not answer')
    for (const stream of peer.streams.values()) {
      if (stream.phase !== 'syn-sent') continue
      stream.abandon('no_answer')
      this.#state.touchStream(now, peer, stream)
    }
  }

  #reportPath(peer: Peer): void {
    if (peer.paths.current !== undefined) this.#state.emit({ kind: 'path', peer, path: peer.paths.current })
  }
}
