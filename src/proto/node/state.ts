/**
 * The state shared by the parts of the node. Each part (inbound, outbound, dialler, registration, resolver) gets this
 * one object; none knows another. `touch*` must follow every change of a stream or peer: it queues output, arms
 * deadlines and announces news, in constant time.
 */
import { toBase64, utf8 } from '../../base/bytes.ts'
import { DeadlineHeap } from '../../base/deadline-heap.ts'
import { Ring } from '../../base/ring.ts'
import type { Instant, NodeId } from '../../base/types.ts'
import type { AeadKey } from '../../crypto/aead.ts'
import type { Identity } from '../../crypto/identity.ts'
import { PunchRequests } from '../path/punch-requests.ts'
import { PathSelector } from '../path/selector.ts'
import { SizeMemory } from '../path/size-memory.ts'
import { BeaconClient } from '../rendezvous/beacon-client.ts'
import { BeaconWay } from '../rendezvous/beacon-way.ts'
import { NatProbe } from '../rendezvous/nat-probe.ts'
import { RegistryClient } from '../rendezvous/registry-client.ts'
import { RegistrySession } from '../rendezvous/registry-session.ts'
import type { StreamShared } from '../stream/lifecycle.ts'
import type { Stream } from '../stream/stream.ts'
import { TrustBook } from '../trust/trust-book.ts'
import { MAX_PEERS } from './constants.ts'
import type { NodeEvent } from './events.ts'
import type { NodeOptions, OwnNetwork } from './options.ts'
import { Peer } from './peer.ts'
import { Places } from './places.ts'
import { Ports, streamKey } from './ports.ts'
import type { Purpose } from './purposes.ts'
import { Refusals } from './refusals.ts'

/** Named counts of events, the source of metrics and some log lines. */
export type Counters = Record<string, number>

export class NodeState {
  readonly options: NodeOptions
  /** Undefined until the registry has answered. */
  ownId: NodeId | undefined
  /** What we tell the registry: as configured, until a driver changes it. */
  hostname: string | undefined
  isPublic: boolean
  readonly peers = new Map<NodeId, Peer>()
  readonly ports: Ports
  readonly trust: TrustBook
  readonly registry: RegistryClient<Purpose>
  readonly beacon: BeaconClient
  readonly way: BeaconWay
  readonly nat: NatProbe
  readonly sizes = new SizeMemory()
  /** path-finder.ts sends them. */
  readonly punchRequests = new PunchRequests()
  readonly refusals = new Refusals(() => this.count('refusal_dropped'))
  readonly places: Places
  network: OwnNetwork
  readonly heap = new DeadlineHeap<Stream | Peer>()
  readonly readyPeers = new Ring<Peer>()
  readonly news = new Ring<Stream>()
  readonly #held: Stream[] = []
  readonly events = new Ring<NodeEvent>()
  readonly counters: Counters = {}
  streams = 0
  readonly streamShared: StreamShared

  constructor(options: NodeOptions) {
    this.options = options
    this.hostname = options.hostname
    this.isPublic = options.public
    this.trust = new TrustBook({ keys: options.pinnedKeys, names: options.pinnedNames ?? new Map() })
    this.network = options.network
    this.places = new Places(options.places ?? [])
    this.registry = new RegistryClient(new RegistrySession(options.identity, options.random))
    const asker = { publicKey: options.identity.publicKey, random: options.random }
    this.beacon = new BeaconClient(asker)
    this.way = new BeaconWay(options.transport ?? 'udp', this.beacon)
    this.nat = new NatProbe(options.beacon ?? { address: '', port: 0 }, () => this.network.ownEndpoints, asker)
    this.ports = new Ports(options.random)
    this.streamShared = {
      maxSegment: options.maxSegment,
      receiveBudget: { usedBytes: 0 },
      sendBudget: { usedBytes: 0 },
    }
  }

  /** Our id as packets and queries carry it: 0 for none. Nothing that needs one is sent before there is one. */
  get nodeId(): NodeId {
    return this.ownId ?? NO_NODE
  }

  count(what: string, by = 1): void {
    this.counters[what] = (this.counters[what] ?? 0) + by
  }

  emit(event: NodeEvent): void {
    this.events.push(event)
  }

  /** A question to the registry; its result comes back with `purpose`. */
  ask(now: Instant, message: object, purpose: Purpose): void {
    this.registry.request(now, message, purpose)
  }

  /**
   * Our signature of a challenge (wire/registry-messages.ts). It is created when the request is written, and only for a
   * registry without sessions; no other ever gets it.
   */
  sign(challenge: string): LazySignature {
    return new LazySignature(this.options.identity, challenge)
  }

  /** The keys that may open sealed frames of a node, most likely first. */
  keysOf(sender: NodeId): readonly AeadKey[] {
    return this.peers.get(sender)?.tunnel.keys ?? []
  }

  /** The peer's record, created if necessary; undefined if there are too many. */
  peer(now: Instant, node: NodeId): Peer | undefined {
    const known = this.peers.get(node)
    if (known !== undefined) return known
    if (this.peers.size >= MAX_PEERS || node === this.ownId || this.ownId === undefined) return undefined
    const { beacon, maxDatagram } = this.options
    const peer = new Peer(node, this.ownId, this.options, () => new PathSelector(beacon, maxDatagram, this.sizes), now)
    peer.learn(this.trust.claimOf(node), this.trust.keyOf(node))
    this.peers.set(node, peer)
    this.heap.update(peer) // so that it is forgotten in time, whatever becomes of it
    return peer
  }

  /** Random, 65536 .. 2^31-1: see Stream. */
  initialSequence(): number {
    const bytes = this.options.random(4)
    const word = ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 1
    return 65_536 + (word % (0x7fff_ffff - 65_536))
  }

  addStream(peer: Peer, stream: Stream): void {
    peer.streams.set(streamKey(stream.localPort, stream.remotePort), stream)
    const rttMs = peer.paths.current?.rttMs
    if (rttMs !== undefined) stream.sender.rtt.seed(rttMs)
    this.streams += 1
    this.heap.update(peer) // with a stream it is watched
  }

  /** Data that does not fill a segment waits for the next turn, in case the writer brings more. */
  hold(stream: Stream): void {
    if (stream.heldTurns === 0) this.#held.push(stream)
    stream.heldTurns = 2
  }

  /** Before the datagrams of a turn. @returns whether something waits for the next turn, which is to follow at once. */
  releaseHeld(now: Instant): boolean {
    let waiting = 0
    for (const stream of this.#held) {
      stream.heldTurns -= 1
      if (stream.heldTurns > 0) {
        this.#held[waiting++] = stream
        continue
      }
      stream.sender.more = false
      this.touch(now, stream)
    }
    this.#held.length = waiting
    return waiting > 0
  }

  /** After any change of a stream whose peer is not at hand. */
  touch(now: Instant, stream: Stream): void {
    const peer = this.peers.get(stream.peer)
    if (peer !== undefined) this.touchStream(now, peer, stream)
  }

  /** After any change of a stream. */
  touchStream(now: Instant, peer: Peer, stream: Stream): void {
    if (stream.hasNews && !stream.announced) {
      stream.announced = true
      this.news.push(stream)
    }
    if (stream.phase === 'closed') {
      const key = streamKey(stream.localPort, stream.remotePort)
      if (peer.streams.get(key) === stream) {
        peer.streams.delete(key)
        this.streams -= 1
      }
      this.heap.remove(stream)
      return
    }
    if (!stream.queued && stream.hasOutput(now, peer.paths.current?.payloadBytes ?? 0)) {
      stream.queued = true
      peer.ready.push(stream)
      this.touchPeerQueue(peer)
    }
    this.heap.update(stream)
  }

  /** After any change of a peer that may have given it something to send or to wait for. */
  touchPeer(peer: Peer): void {
    this.touchPeerQueue(peer)
    this.heap.update(peer)
  }

  touchPeerQueue(peer: Peer): void {
    if (peer.queued || !peer.tunnel.ready) return
    const hasWaiting = peer.ready.size > 0 || peer.datagrams.size > 0
    if (peer.control.size === 0 && (!hasWaiting || peer.isHeldBack)) return
    peer.queued = true
    this.readyPeers.push(peer)
  }
}

/** Ed25519, base64 as JSON. */
export class LazySignature {
  readonly #identity: Identity
  readonly #challenge: string

  constructor(identity: Identity, challenge: string) {
    this.#identity = identity
    this.#challenge = challenge
  }

  toJSON(): string {
    return toBase64(this.#identity.sign(utf8(this.#challenge)))
  }
}

/** On the wire. */
const NO_NODE: NodeId = 0
