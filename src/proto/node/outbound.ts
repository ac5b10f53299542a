/**
 * Segment → packet → sealed frame → path → datagram: the steps in order. One call fills one datagram; peers take turns,
 * and so do the streams of a peer, so that no one waits behind another's backlog. Nothing here allocates per packet.
 */
import { Ring } from '../../base/ring.ts'
import { TokenBucket } from '../../base/token-bucket.ts'
import type { Endpoint, Instant, NodeId } from '../../base/types.ts'
import { RELAY_HEADER_BYTES, encodePunchRequest, writeRelayHeader } from '../../wire/beacon-messages.ts'
import type { PacketHeader } from '../../wire/packet.ts'
import { encodeRefusal } from '../../wire/refusal.ts'
import type { RefusalReason } from '../../wire/refusal.ts'
import {
  FLAG_ACK,
  FLAG_FIN,
  FLAG_RST,
  FLAG_SYN,
  PACKET_HEADER_BYTES,
  PROTOCOL_CONTROL,
  PROTOCOL_DATAGRAM,
  PROTOCOL_STREAM,
  createPacketHeader,
  encodePacket,
} from '../../wire/packet.ts'
import { SEALED_HEADER_BYTES } from '../../wire/tunnel-frames.ts'
import { AEAD_TAG_BYTES } from '../../crypto/aead.ts'
import type { Path } from '../path/path.ts'
import type { Stream } from '../stream/stream.ts'
import type { NodeState } from './state.ts'
import * as k from './constants.ts'
import type { DatagramSlot } from './datagram-slot.ts'
import type { ControlPacket, Peer } from './peer.ts'

interface RawDatagram {
  readonly bytes: Uint8Array
  readonly endpoint: Endpoint
  readonly byTcp: boolean
}

export class Outbound {
  readonly #state: NodeState
  readonly #raw = new Ring<RawDatagram>()
  readonly #header = createPacketHeader()
  /** Packets of programs through a beacon that is not ours. */
  readonly #relayed = new TokenBucket(k.FOREIGN_RELAY_PER_SECOND, k.FOREIGN_RELAY_BURST)
  /** Peers that wait for it. */
  readonly #relayWaiting = new Set<Peer>()
  #relayAt: Instant = Infinity

  constructor(state: NodeState) {
    this.#state = state
  }

  /** @returns false if there is nothing to send. */
  pollDatagram(now: Instant, slot: DatagramSlot): boolean {
    const raw = this.#raw.shift()
    if (raw !== undefined) {
      slot.buffer.set(raw.bytes)
      slot.length = raw.bytes.length
      slot.endpoint = raw.endpoint
      slot.byTcp = raw.byTcp
      slot.key = undefined
      return true
    }
    const ready = this.#state.readyPeers
    for (let peer = ready.shift(); peer !== undefined; peer = ready.shift()) {
      peer.queued = false
      if (!peer.tunnel.ready) continue
      const isRelayed = peer.paths.current?.kind === 'relay'
      const isPaced = isRelayed && this.#isForeign
      const isOrdered = peer.rules.isToday && !peer.extended
      const relayRttMs = isOrdered ? relayRttOf(peer) : undefined
      const isOverPace = (isPaced && !this.#relayed.holds(now, 1)) || (isOrdered && !peer.order.holds(now, relayRttMs))
      const isFull = isOverPace || (isRelayed && !this.#state.way.takesMore)
      if (isFull && peer.control.size === 0) {
        this.#waitForRelay(now, peer, isOverPace)
        continue
      }
      const filled =
        this.#fillQueued(now, peer, peer.control, slot) ||
        (!peer.isHeldBack &&
          !isFull &&
          (this.#fillQueued(now, peer, peer.datagrams, slot) || this.#fillStream(now, peer, slot)))
      if (isPaced && filled) this.#relayed.spend(now, 1)
      if (isOrdered && filled) peer.order.spend(now, relayRttMs)
      this.#state.touchPeerQueue(peer)
      if (filled) return true
    }
    return false
  }

  get #isForeign(): boolean {
    const { way, beacon } = this.#state
    return way.current === 'tcp' ? !way.isOurs : beacon.isForeign
  }

  /** The beacon or the peer drops more without a word (quirks R19, T16). Otherwise the connection is behind, or gone: `releaseRelay` ends that. */
  #waitForRelay(now: Instant, peer: Peer, isOverPace: boolean): void {
    this.#relayWaiting.add(peer)
    if (isOverPace && this.#relayAt === Infinity) this.#relayAt = now + k.FOREIGN_RELAY_PAUSE_MS
  }

  handleTimeout(now: Instant): void {
    if (now >= this.#relayAt) this.releaseRelay()
  }

  /** The way of relayed packets may be free again. */
  releaseRelay(): void {
    this.#relayAt = Infinity
    for (const peer of this.#relayWaiting) this.#state.touchPeerQueue(peer)
    this.#relayWaiting.clear()
  }

  nextTimeout(): Instant {
    return this.#relayAt
  }

  /** Bytes that are a datagram as they are: beacon messages, PILA, punches. */
  sendRaw(bytes: Uint8Array, endpoint: Endpoint, byTcp = false): void {
    if (this.#raw.size >= MAX_RAW) return this.#state.count('raw_dropped')
    this.#raw.push({ bytes, endpoint, byTcp })
  }

  /** A question for our address: always by UDP, since it is about UDP. */
  sendDiscover(bytes: Uint8Array): void {
    const { beacon } = this.#state.options
    if (beacon !== undefined) this.sendRaw(bytes, beacon)
  }

  /** Without UDP there is nothing to punch. */
  sendPunchRequest(node: NodeId): void {
    const { options, way, nodeId } = this.#state
    if (options.beacon !== undefined && way.current === 'udp')
      this.sendRaw(encodePunchRequest(nodeId, node), options.beacon)
  }

  /**
   * Our PILA, on every path worth trying. It names its recipient, so it waits until the peer's key is known.
   * @param asked the path along which the peer asked for it.
   */
  sendAuth(now: Instant, peer: Peer, asked?: Path): void {
    if (peer.key === undefined) return
    const frame = peer.tunnel.takeAuth(peer.node, peer.key)
    const byTcp = this.#state.way.current === 'tcp'
    if (peer.leavesRelay || byTcp || peer.tunnel.attempts > k.DIRECT_ATTEMPTS) peer.paths.admitRelay()
    const paths = peer.paths.handshakePaths(now)
    for (const path of asked === undefined || paths.includes(asked) ? paths : [...paths, asked]) {
      if (path.kind !== 'relay') {
        this.sendRaw(frame, path.endpoint)
        continue
      }
      const wrapped = new Uint8Array(RELAY_HEADER_BYTES + frame.length)
      writeRelayHeader(wrapped, 0, this.#state.nodeId, peer.node)
      wrapped.set(frame, RELAY_HEADER_BYTES)
      this.sendRaw(wrapped, path.endpoint, byTcp)
    }
  }

  ping(peer: Peer, path: Path | undefined, seq: number, payload: Uint8Array, underCandidate = false): void {
    this.#pushControl(
      peer,
      path,
      underCandidate,
      (header) => {
        header.protocol = PROTOCOL_CONTROL
        header.srcPort = k.PING_PORT
        header.seq = seq
      },
      payload,
    )
  }

  /** Answers along the path of the ping: a ping measures a path in both directions. */
  pong(peer: Peer, path: Path | undefined, request: PacketHeader, payload: Uint8Array): void {
    const { srcPort, seq } = request
    this.#pushControl(
      peer,
      path,
      false,
      (header) => {
        header.protocol = PROTOCOL_CONTROL
        header.flags = FLAG_ACK
        header.dstPort = srcPort
        header.seq = seq
        header.ack = (seq + 1) >>> 0
      },
      payload,
    )
  }

  /** RST for a packet of a stream that does not exist here (RFC 9293 §3.10.7.1). */
  resetUnknown(peer: Peer, packet: PacketHeader, payloadLength: number, payload: Uint8Array = NO_BYTES): void {
    const { srcPort, dstPort, flags, seq, ack, dstNetwork } = packet
    const length = (flags & FLAG_SYN) !== 0 ? 1 : payloadLength + ((flags & FLAG_FIN) !== 0 ? 1 : 0)
    this.#pushControl(
      peer,
      undefined,
      false,
      (header) => {
        header.protocol = PROTOCOL_STREAM
        header.flags = FLAG_RST | FLAG_ACK
        header.srcNetwork = dstNetwork
        header.srcPort = dstPort
        header.dstPort = srcPort
        header.seq = (flags & FLAG_ACK) !== 0 ? ack : 0
        header.ack = (seq + length) >>> 0
      },
      payload,
    )
  }

  /** The answer to the SYN of a stream that is refused. If it is lost, the next SYN asks for it again. */
  refuse(peer: Peer, stream: Stream, reason: RefusalReason | undefined): void {
    const syn = createPacketHeader()
    syn.flags = FLAG_SYN
    syn.seq = stream.peerIsn
    syn.srcPort = stream.remotePort
    syn.dstPort = stream.localPort
    syn.dstNetwork = stream.localNetwork
    this.resetUnknown(peer, syn, 0, reason === undefined || !stream.extended ? NO_BYTES : encodeRefusal(reason))
  }

  /**
   * @returns false if the payload is larger than the path carries without fragmentation, which is never relied on. A
   *   full queue drops, like UDP.
   */
  datagram(peer: Peer, sourcePort: number, port: number, payload: Uint8Array): boolean {
    if (payload.length > (peer.paths.current?.payloadBytes ?? 0)) return false
    if (peer.datagrams.size >= k.MAX_DATAGRAMS_PER_PEER) {
      this.#state.count('datagram_dropped')
      return true
    }
    peer.datagrams.push(
      this.#packetTo(
        peer,
        undefined,
        false,
        (header) => {
          header.protocol = PROTOCOL_DATAGRAM
          header.srcPort = sourcePort
          header.dstPort = port
        },
        payload,
      ),
    )
    this.#state.touchPeerQueue(peer)
    return true
  }

  #pushControl(
    peer: Peer,
    path: Path | undefined,
    underCandidate: boolean,
    fill: (header: PacketHeader) => void,
    payload: Uint8Array,
  ): void {
    if (peer.control.size >= k.MAX_CONTROL_PER_PEER) return this.#state.count('control_dropped')
    peer.control.push(this.#packetTo(peer, path, underCandidate, fill, payload))
    this.#state.touchPeerQueue(peer)
  }

  #packetTo(
    peer: Peer,
    path: Path | undefined,
    underCandidate: boolean,
    fill: (header: PacketHeader) => void,
    payload: Uint8Array,
  ): ControlPacket {
    const packet = new Uint8Array(PACKET_HEADER_BYTES + payload.length)
    packet.set(payload, PACKET_HEADER_BYTES)
    const header = createPacketHeader()
    header.srcNode = this.#state.nodeId
    header.dstNode = peer.node
    header.payloadLength = payload.length
    fill(header)
    encodePacket(packet, 0, header, this.#state.options.crc32)
    return { packet, path, underCandidate, expectsAnswer: header.protocol === PROTOCOL_CONTROL && header.flags === 0 }
  }

  #fillQueued(now: Instant, peer: Peer, queue: Ring<ControlPacket>, slot: DatagramSlot): boolean {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      const path = item.path ?? peer.paths.current
      if (path === undefined || (item.underCandidate && !peer.tunnel.hasCandidate)) continue
      slot.buffer.set(item.packet, packetAt(path))
      this.#finish(now, peer, path, item.packet.length, slot, item)
      return true
    }
    return false
  }

  #fillStream(now: Instant, peer: Peer, slot: DatagramSlot): boolean {
    const path = peer.paths.current
    const header = this.#header
    const state = this.#state
    const at = path === undefined ? 0 : packetAt(path)
    for (let stream = peer.ready.shift(); stream !== undefined; stream = peer.ready.shift()) {
      stream.queued = false
      if (path === undefined || (stream.directOnly && path.kind === 'relay' && stream.phase !== 'resetting')) continue
      const resent = stream.sender.retransmissions
      if (!stream.pollPacket(now, header, slot.buffer, at + PACKET_HEADER_BYTES, path.payloadBytes)) {
        state.heap.update(stream)
        continue
      }
      header.protocol = PROTOCOL_STREAM
      header.srcNode = state.nodeId
      header.srcNetwork = stream.localNetwork
      header.dstNode = peer.node
      header.dstNetwork = 0 // a Go peer answers from network 0 whatever we dial (addressing §6)
      header.srcPort = stream.localPort
      header.dstPort = stream.remotePort
      const unchecked = stream.unchecked && (header.flags & FLAG_SYN) === 0
      const length = encodePacket(slot.buffer, at, header, unchecked ? undefined : state.options.crc32)
      peer.bytesOut += header.payloadLength
      path.packetsOut += 1
      if (stream.sender.retransmissions > resent) path.packetsResent += 1
      this.#finish(now, peer, path, length, slot, undefined)
      peer.turnBytes -= Math.max(header.payloadLength, k.STREAM_TURN_PACKET_BYTES)
      if (peer.turnBytes > 0 && stream.hasOutput(now, path.payloadBytes)) {
        // the peer acknowledges segments that arrive together with one ACK
        stream.queued = true
        peer.ready.unshift(stream)
      } else peer.turnBytes = k.STREAM_TURN_BYTES
      state.touchStream(now, peer, stream)
      return true
    }
    return false
  }

  /** The packet is already in place: writes the rest of the datagram around it. */
  #finish(
    now: Instant,
    peer: Peer,
    path: Path,
    packetBytes: number,
    slot: DatagramSlot,
    control: ControlPacket | undefined,
  ): void {
    const at = packetAt(path)
    if (path.kind === 'relay') writeRelayHeader(slot.buffer, 0, this.#state.nodeId, peer.node)
    slot.key = peer.tunnel.stamp(now, slot.buffer, at - SEALED_HEADER_BYTES, control?.underCandidate)
    slot.sealFrom = at
    slot.length = at + packetBytes + AEAD_TAG_BYTES
    slot.endpoint = path.endpoint
    slot.byTcp = path.kind === 'relay' && this.#state.way.current === 'tcp'
    const header = this.#header
    const asks =
      control === undefined
        ? header.payloadLength > 0 || (header.flags & (FLAG_SYN | FLAG_FIN)) !== 0
        : control.expectsAnswer
    const wasOwed = peer.silentFor(now) > 0
    peer.onSent(now, path, slot.length, asks)
    if (asks && !wasOwed) this.#state.heap.update(peer)
  }
}

/** Undefined if the relay is not in use. */
function relayRttOf(peer: Peer): number | undefined {
  const path = peer.paths.current
  return path?.kind === 'relay' ? (path.rttMs ?? k.RELAY_RTT_MS) : undefined
}

/** Offset of the packet in a datagram along this path. */
function packetAt(path: Path): number {
  return SEALED_HEADER_BYTES + (path.kind === 'relay' ? RELAY_HEADER_BYTES : 0)
}

const NO_BYTES = new Uint8Array(0)
/** Datagrams outside tunnels that wait to be sent. Further ones are dropped: a timer repeats each. */
const MAX_RAW = 8_192
