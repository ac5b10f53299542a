/**
 * The search for better paths: our NAT type, the addresses of both sides (path hellos), simultaneous punching, packet
 * sizes, and reactions to changes of our own network. path/selector.ts decides which path is used; this part only names
 * candidates and has them proven.
 */
import { equalBytes } from '../../base/bytes.ts'
import type { Endpoint, Instant, NodeId } from '../../base/types.ts'
import { sameEndpoint } from '../../base/types.ts'
import type { DiscoverAnswer } from '../../wire/beacon-messages.ts'
import type { HelloKind, NatFiltering, NatMapping, PathHello } from '../../wire/path-hello.ts'
import { encodePathHello } from '../../wire/path-hello.ts'
import { encodePunchFrame } from '../../wire/tunnel-frames.ts'
import { BASE_PAYLOAD_BYTES } from '../path/constants.ts'
import type { Path } from '../path/path.ts'
import { Puncher } from '../path/puncher.ts'
import { mayAim } from '../path/targets.ts'
import type { Opening } from '../stream/opening.ts'
import type { Stream } from '../stream/stream.ts'
import type { NodeState } from './state.ts'
import * as k from './constants.ts'
import { isSameSubnet } from './resolver.ts'
import type { Outbound } from './outbound.ts'
import type { Peer } from './peer.ts'
import type { Pings } from './pings.ts'

export class PathFinder {
  readonly #state: NodeState
  readonly #outbound: Outbound
  readonly #pings: Pings
  readonly #puncher = new Puncher()
  readonly #isSought = (node: NodeId): boolean => {
    const peer = this.#state.peers.get(node)
    return peer !== undefined && (peer.wanted || peer.isSeeking)
  }

  constructor(state: NodeState, outbound: Outbound, pings: Pings) {
    this.#state = state
    this.#outbound = outbound
    this.#pings = pings
  }

  handleTimeout(now: Instant): void {
    this.#outbound.handleTimeout(now)
    for (let endpoint = this.#puncher.poll(now); endpoint !== undefined; endpoint = this.#puncher.poll(now)) {
      this.#state.count('punches_sent')
      this.#outbound.sendRaw(encodePunchFrame(), endpoint)
    }
    const { nat, options, punchRequests, peers } = this.#state
    if (options.beacon === undefined) return
    const next = punchRequests.poll(now, this.#isSought)
    if (next !== undefined) this.#sendPunch(now, peers.get(next)!)
    if (nat.handleTimeout(now)) this.#onNatKnown(now)
    const question = nat.poll(now)
    if (question !== undefined) this.#outbound.sendRaw(question.bytes, question.to)
  }

  nextTimeout(): Instant {
    const { nat, punchRequests, options } = this.#state
    const requestAt = options.beacon === undefined ? Infinity : punchRequests.nextTimeout()
    return Math.min(this.#outbound.nextTimeout(), this.#puncher.nextTimeout(), nat.nextTimeout(), requestAt)
  }

  /** The beacon reports where it sees us. */
  onDiscoverReply(now: Instant, endpoint: Endpoint, answer: DiscoverAnswer | undefined): void {
    const { beacon, nat, nodeId } = this.#state
    const hasReturned = beacon.expects(answer) && this.#state.way.onUdpAnswer(now)
    const [isForNat, isForClient] = [nat.expects(answer), beacon.expects(answer)]
    if (!isForNat && !isForClient) return this.#state.count('beacon_reply_unasked')
    if (isForClient && beacon.handleReply(now, endpoint, answer)) {
      this.#state.emit({ kind: 'endpoint', endpoint })
      this.#tellPeers(now)
      if (!nat.busy) nat.start(now, nodeId)
    }
    if (isForNat && nat.handleReply(now, endpoint, answer)) this.#onNatKnown(now)
    if (hasReturned) this.onWayChange(now)
  }

  /**
   * The beacon is reached another way. Where UDP has gone, the relay is what is left; where it is back, there may be
   * something better than the relay.
   */
  onWayChange(now: Instant): void {
    const { way, nat, peers, nodeId } = this.#state
    this.#state.emit({ kind: 'way', current: way.current })
    this.#outbound.releaseRelay()
    if (way.current === 'udp') nat.start(now, nodeId)
    for (const peer of peers.values()) {
      if (!peer.connected) continue
      peer.paths.admitRelay()
      peer.search.start(now)
      for (const path of peer.paths.all()) this.#pings.send(now, peer, path, 'alive', 0)
      const { current } = peer.paths
      if (current?.kind === 'relay') this.#state.emit({ kind: 'path', peer, path: current })
      this.#state.touchPeer(peer)
    }
  }

  /** Opens our NAT towards an endpoint named by our beacon, which makes the other side do the same. */
  onPunchCommand(now: Instant, endpoint: Endpoint): void {
    if (!this.#mayAim(endpoint)) return this.#state.count('punch_refused')
    if (!this.#puncher.aim(now, endpoint)) return
    const seeking = [...this.#state.peers.values()].filter((peer) => (peer.wanted && !peer.connected) || peer.isSeeking)
    const known = seeking.find((peer) =>
      peer.paths.all().some((path) => path.endpoint.address === endpoint.address && path.kind !== 'relay'),
    )
    const peer = known ?? (seeking.length === 1 ? seeking[0] : undefined)
    if (peer === undefined) return
    peer.paths.addCandidate(endpoint, 'punched')
    this.#state.heap.update(peer)
  }

  /** A punch came from there: what it came through is open, and anything waiting for that can proceed without its timer. */
  onPunched(now: Instant, source: Endpoint, onNudge: (peer: Peer) => void): void {
    for (const peer of this.#state.peers.values()) {
      if (peer.connected ? !peer.isSeeking : !peer.wanted) continue
      const path = peer.paths.all().find((one) => sameEndpoint(one.endpoint, source))
      if (path === undefined || path.kind === 'relay' || path.answered) continue
      if (!peer.connected) {
        peer.tunnel.nudge(now)
        onNudge(peer)
        continue
      }
      if (now - path.probedAt < k.PUNCHED_PING_MS) continue
      this.#pings.send(now, peer, path, 'alive', 0)
      this.#state.touchPeer(peer)
    }
  }

  /** The peer holds our key: from now on it can be pinged. */
  onConfirmed(now: Instant, peer: Peer): void {
    const later = now + k.SEARCH_AFTER_MS
    const soon = peer.paths.current?.kind === 'relay' ? now : later // a direct path is in use already: nothing waits for a better one
    peer.search.start(soon)
    peer.search.sizesAt = later
    if (peer.make.make === 'unknown') this.probeMake(now, peer)
    for (const path of peer.paths.all()) path.nextProbeAt = soon
  }

  /** Someone asks for a better path: everything is tried again. */
  seek(now: Instant, peer: Peer): void {
    peer.search.start(now)
    for (const path of peer.paths.all()) path.nextProbeAt = now
    this.#state.heap.update(peer)
  }

  /** Is it a daemon that answers pings without bytes? The ping behind it shows that they arrived. */
  probeMake(now: Instant, peer: Peer): void {
    if (peer.extended) return
    this.#pings.send(now, peer, undefined, 'empty', 0)
    this.#pings.send(now, peer, undefined, 'behind', 0)
  }

  /** Another path is in use. */
  onPathChange(now: Instant, peer: Peer): void {
    const { search, paths } = peer
    this.probeSize(now, peer)
    search.strictAt = paths.current?.kind === 'relay' ? Math.min(search.strictAt, now + STRICT_PATIENCE_MS) : Infinity
  }

  /** What is due for a peer besides liveness. */
  onPeerTimeout(now: Instant, peer: Peer): void {
    if (!peer.connected) return
    if (peer.search.takeHello(now)) this.#sendHello(now, peer)
    if (peer.isSeeking && peer.search.takePunch(now)) this.#punch(now, peer)
    if (peer.paths.current?.sizeCheck.takePair(now) === true) this.#pingPair(now, peer, peer.paths.current)
    if (peer.isSeeking || peer.streams.size > 0) {
      for (
        let better = peer.paths.takeUpgradeProbe(now);
        better !== undefined;
        better = peer.paths.takeUpgradeProbe(now)
      ) {
        const isWayOut = better.kind === 'relay' && peer.paths.current?.sizeCheck.failed === true
        if (better.answered || isWayOut) this.#pingPair(now, peer, better)
        else this.#pings.send(now, peer, better, 'alive', 0)
      }
    }
    this.probeSize(now, peer)
    if (now >= peer.search.strictAt) this.#endStrict(now, peer)
  }

  /**
   * Streams that refuse the relay and cannot continue without it end with that reason. Idle ones may live until there
   * is a better path.
   */
  #endStrict(now: Instant, peer: Peer): void {
    peer.search.strictAt = Infinity
    for (const stream of peer.streams.values()) {
      if (!stream.directOnly) continue
      peer.search.strictAt = now + k.STRICT_AGAIN_MS
      if (stream.sender.drained && !stream.queued && !stream.hasOutput(now, BASE_PAYLOAD_BYTES)) continue
      stream.reset(now, 'relay_only')
      this.#state.touchStream(now, peer, stream)
    }
  }

  /** The peer reports where it can be reached, and where it sees us. @returns true if this changes how the path is classified. */
  onHello(now: Instant, peer: Peer, hello: PathHello, path: Path | undefined): boolean {
    if (!this.#state.trust.isTrusted(peer.node)) {
      this.#state.count('hello_untrusted')
      return false
    }
    const isNews = !equalBytes(
      encodePathHello(hello),
      peer.search.hello === undefined ? NOTHING : encodePathHello(peer.search.hello),
    )
    peer.search.hello = hello
    peer.markExtended() // only pilotgates send hellos
    if (!isNews) return false // repeated, because the first one may not have arrived
    const { lanEndpoints } = this.#state.network
    for (const { kind, endpoint } of hello.endpoints) {
      if (kind === 'seen') {
        if (path !== undefined && path.kind !== 'relay' && path.kind !== 'lan') this.#onSeen(now, path, endpoint)
      } else if (kind === 'lan' && lanEndpoints.some((own) => isSameSubnet(own.address, endpoint.address)))
        peer.paths.addCandidate(endpoint, 'lan')
      else if (kind === 'public' && this.#mayAim(endpoint)) peer.paths.addCandidate(endpoint, 'direct')
    }
    peer.search.punchSoon(now)
    this.#state.heap.update(peer)
    return this.#classify(peer)
  }

  /** The addresses of our interfaces have changed, or the machine slept: nothing learned before is certain, and nothing waits for a timer. */
  onNetworkChange(now: Instant, isElsewhere: boolean): void {
    const { beacon, way, nat, sizes, peers, nodeId, options } = this.#state
    if (isElsewhere) sizes.clear() // otherwise the kernel remembers, as we do
    if (options.beacon !== undefined && way.transport !== 'tcp') {
      beacon.askNow(now)
      nat.start(now, nodeId)
    }
    for (const peer of peers.values()) {
      if (isElsewhere) peer.paths.onLocalChange()
      if (!peer.connected) continue
      peer.search.start(now)
      if (peer.streams.size > 0) for (const path of peer.searchPaths(now)) this.#pings.send(now, peer, path, 'alive', 0)
      if (!peer.extended) peer.tunnel.showKey(now) // a Go peer follows only a PILA (tunnel.md §4.2)
    }
  }

  /** Tries the next packet size on the path in use, if one is due. */
  probeSize(now: Instant, peer: Peer): void {
    if (now < peer.search.sizesAt) return
    peer.search.sizesAt = -Infinity
    const path = peer.paths.current
    if (path === undefined || !peer.tunnel.confirmed) return
    const bytes = path.takeSizeProbe(now)
    if (bytes > 0) this.#pings.send(now, peer, path, 'size', bytes)
  }

  /**
   * A stream gets no acknowledgement, though the peer may be heard: perhaps the path works in one direction only, or for
   * packets of one size only.
   */
  onStall(now: Instant, peer: Peer, stream: Stream): void {
    const path = peer.paths.current
    const { timeouts } = stream.sender
    if (path !== undefined && stream.phase === 'syn-sent') this.#onUnansweredSyn(now, peer, path, stream.opening)
    if (path === undefined || timeouts === 0) return
    if (now - path.probedAt >= k.STALL_PING_MS) {
      this.#pings.send(now, peer, path, 'alive', 0)
      this.#state.touchPeer(peer)
    }
    const stuckBytes = stream.sender.stuckBytes(peer.heardAt)
    if (stuckBytes === 0 || timeouts < SIZE_CHECK_TIMEOUTS) return
    path.sizeCheck.start(now)
    this.#state.touchPeer(peer)
    // Less passes than did (RFC 8899 §4.3)
    if (stuckBytes <= BASE_PAYLOAD_BYTES || timeouts < BLACK_HOLE_TIMEOUTS) return
    if (path.payloadBytes <= BASE_PAYLOAD_BYTES) return
    path.onBlackHole(now)
    this.#state.emit({ kind: 'path', peer, path })
  }

  #onUnansweredSyn(now: Instant, peer: Peer, path: Path, { transmissions, sentAt }: Opening): void {
    if (transmissions < SIZE_CHECK_TIMEOUTS || peer.heardAt <= sentAt) return
    path.sizeCheck.start(now)
    this.#state.touchPeer(peer)
  }

  /** Packets of one size are lost along `path`: others are tried, and this one again now and then. @returns true when another one is in use at once. */
  onSizeLost(now: Instant, peer: Peer, path: Path): boolean {
    this.#state.count(`${path.sizeCheck.lost}_packets_lost`)
    return path === peer.paths.current && peer.paths.onSizeLost(now, path)
  }

  #pingPair(now: Instant, peer: Peer, path: Path): void {
    this.#pings.send(now, peer, path, 'large', BASE_PAYLOAD_BYTES)
    this.#pings.send(now, peer, path, 'small', 0)
  }

  #sendHello(now: Instant, peer: Peer): void {
    if (!this.#state.trust.isTrusted(peer.node)) return peer.search.onHelloAnswered() // our addresses are not for strangers
    const { nat, beacon, options, network } = this.#state
    const endpoints: Array<{ kind: HelloKind; endpoint: Endpoint }> = []
    const world = options.fixedEndpoint ?? beacon.observed
    if (world !== undefined) endpoints.push({ kind: 'public', endpoint: world })
    for (const endpoint of network.worldEndpoints) endpoints.push({ kind: 'public', endpoint })
    for (const endpoint of network.lanEndpoints) endpoints.push({ kind: 'lan', endpoint })
    const path = peer.paths.current
    if (path?.answered === true && path.kind !== 'relay') endpoints.push({ kind: 'seen', endpoint: path.endpoint })
    this.#pings.sendHello(now, peer, encodePathHello({ mapping: nat.mapping, filtering: nat.filtering, endpoints }))
  }

  /**
   * Both sides send towards each other at once: the beacon informs the peer, while we already punch towards its known
   * endpoints.
   */
  #punch(now: Instant, peer: Peer): void {
    const { options, punchRequests, beacon } = this.#state
    if (options.beacon === undefined || punchRequests.ask(now, peer.node, false, beacon.isForeign))
      this.#sendPunch(now, peer)
  }

  #sendPunch(now: Instant, peer: Peer): void {
    this.#outbound.sendPunchRequest(peer.node)
    for (const path of peer.paths.all()) {
      if (path.kind === 'relay' || path.answered) continue
      path.probes = 0
      path.nextProbeAt = now
      if (this.#mayAim(path.endpoint)) this.#puncher.aim(now, path.endpoint)
    }
    this.#state.heap.update(peer)
  }

  #onSeen(now: Instant, path: Path, seenAt: Endpoint): void {
    const { nat, beacon, options } = this.#state
    if (path.endpoint.address !== options.beacon?.address && nat.handleSeen(seenAt, beacon.observed))
      this.#onNatKnown(now)
  }

  #onNatKnown(now: Instant): void {
    const { nat } = this.#state
    this.#state.emit({ kind: 'nat', mapping: nat.mapping, filtering: nat.filtering })
    this.#tellPeers(now)
    for (const peer of this.#state.peers.values()) {
      if (this.#classify(peer) && peer.paths.current !== undefined)
        this.#state.emit({ kind: 'path', peer, path: peer.paths.current })
    }
  }

  #tellPeers(now: Instant): void {
    for (const peer of this.#state.peers.values()) {
      if (!peer.connected) continue
      peer.search.helloDue(now)
      this.#state.heap.update(peer)
    }
  }

  /** A path between two NATs that both drop unsolicited packets was punched; if one is open, no punching was needed. */
  #classify(peer: Peer): boolean {
    const { hello } = peer.search
    const { nat } = this.#state
    if (hello === undefined || nat.mapping === 'unknown' || hello.mapping === 'unknown') return false
    return peer.paths.classify(isClosed(nat) && isClosed(hello))
  }

  #mayAim(endpoint: Endpoint): boolean {
    const { beacon } = this.#state.options
    return endpoint.port !== 0 && beacon !== undefined && mayAim(endpoint.address, beacon.address)
  }
}

/** Timeouts of a segment after which pings of both sizes are tried, and those after which the path counts as narrower (RFC 8899 §5.1.2 MAX_PROBES). */
const SIZE_CHECK_TIMEOUTS = 2
const BLACK_HOLE_TIMEOUTS = 3
/** How long streams that refuse the relay wait for a direct path after the last one died, ms. */
const STRICT_PATIENCE_MS = 5_000
const NOTHING = new Uint8Array(0)

function isClosed({ mapping, filtering }: { readonly mapping: NatMapping; readonly filtering: NatFiltering }): boolean {
  return mapping === 'none' ? filtering === 'address-and-port-dependent' : mapping !== 'unknown'
}
