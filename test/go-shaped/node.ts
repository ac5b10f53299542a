/**
 * A node that behaves like the April 2026 reference daemon (tunnel.md §3 to §6, stream.md §2, trust.md §3): PILA
 * without retransmission, a new nonce prefix at each accepted one, replay checked before the tag, keys that are only
 * checked at first contact, relay for good once anything came by it, silent drops by trust gate and SYN limits. It does
 * no I/O: `world` carries its datagrams, its clock is passed in.
 *
 * In the shape `today` (1.18) it takes empty pings for keepalives, sends such itself, probes and drops silent peers,
 * repeats keys over both ways, asks for them (PILK), answers when asked, and leaves the relay again.
 */
import { createHash } from 'node:crypto'
import type { Endpoint, NodeId } from '../../src/base/types.ts'
import { equalBytes, utf8 } from '../../src/base/bytes.ts'
import { nodeCrypto } from '../../src/crypto/aead.ts'
import type { Identity } from '../../src/crypto/identity.ts'
import { verifySignature } from '../../src/crypto/identity.ts'
import { agreeSessionKey, x25519PublicKey } from '../../src/crypto/key-agreement.ts'
import {
  RELAY_HEADER_BYTES,
  decodeBeaconMessage,
  encodeDiscover,
  encodePunchRequest,
  writeRelayHeader,
} from '../../src/wire/beacon-messages.ts'
import { crc32 } from '../../src/wire/crc32.ts'
import type { HandshakeType } from '../../src/wire/handshake-message.ts'
import { parseHandshakeMessage } from '../../src/wire/handshake-message.ts'
import type { PacketHeader } from '../../src/wire/packet.ts'
import {
  FLAG_ACK,
  FLAG_RST,
  FLAG_SYN,
  PACKET_HEADER_BYTES,
  PROTOCOL_CONTROL,
  PROTOCOL_DATAGRAM,
  PROTOCOL_STREAM,
  createPacketHeader,
  decodePacket,
  encodePacket,
} from '../../src/wire/packet.ts'
import {
  SEALED_HEADER_BYTES,
  authChallenge,
  decodeAuthFrame,
  encodeAuthFrame,
  encodePunchFrame,
  encodeSealedHeader,
} from '../../src/wire/tunnel-frames.ts'
import type { GoSend, GoShape } from './stream.ts'
import { GoStream } from './stream.ts'
import { handshakeMessage } from './handshake.ts'
import type { SynBucket } from './syn-bucket.ts'
import { takeSynToken } from './syn-bucket.ts'
import { Tunnel, encodeKeyRequest } from './tunnel.ts'
import type { GoWorld } from './world.ts'

export class GoNode {
  readonly identity: Identity
  nodeId: NodeId = 0
  public = false
  readonly trusted = new Set<NodeId>()
  readonly pending = new Set<NodeId>()
  readonly outgoing = new Set<NodeId>()
  readonly streams = new Map<string, GoStream>()
  readonly datagrams: Array<{ readonly from: NodeId; readonly port: number; readonly bytes: Uint8Array }> = []
  readonly counts: Record<string, number> = {}
  /** A busy daemon drops anything it has no room for. */
  answersPings = true
  readonly #world: GoWorld
  readonly #tunnels = new Map<NodeId, Tunnel>()
  readonly #listeners = new Map<number, (stream: GoStream) => void>()
  readonly #synBuckets = new Map<NodeId, SynBucket>()
  readonly #isToday: boolean
  #now = 0
  #privateKey: Uint8Array
  #nextPort = 49_152
  #sweepAt = 15_000
  /** Packets that wait because a full receive queue blocks the daemon's only loop (Q5). */
  readonly #stalled: Uint8Array[] = []

  constructor(identity: Identity, world: GoWorld, shape: GoShape = 'april') {
    this.#isToday = shape === 'today'
    this.identity = identity
    this.#world = world
    this.#privateKey = world.random(32)
    this.listen(7, (stream) => {
      stream.nagle = false
      stream.onData = (bytes) => this.#later.push((now) => stream.write(now, bytes))
    })
    this.listen(444, (stream) => {
      stream.onData = (bytes) => this.#later.push((now) => this.#onHandshake(now, bytes))
    })
  }

  /** Work that a delivery causes: done after the packet that caused it. */
  readonly #later: Array<(now: number) => void> = []

  // ---- the operator

  start(): void {
    this.#toBeacon(encodeDiscover(this.nodeId))
  }

  /** Forgets keys, streams and ports, as a restart does; identity and trust are on disk. */
  restart(): void {
    this.#privateKey = this.#world.random(32)
    this.#tunnels.clear()
    for (const stream of this.streams.values()) stream.vanish()
    this.streams.clear()
    this.outgoing.clear()
    this.#stalled.length = 0
    this.#nextPort = 49_152 // Q10
    this.start()
  }

  listen(port: number, onStream: (stream: GoStream) => void): void {
    this.#listeners.set(port, onStream)
  }

  dial(now: number, node: NodeId, port: number): GoStream {
    const localPort = this.#nextPort++
    const stream = this.#stream('dial', localPort, node, port, now)
    this.#reach(
      node,
      () => stream.dial(now),
      () => {
        stream.failure = 'timeout'
      },
    )
    return stream
  }

  sendDatagram(node: NodeId, port: number, bytes: Uint8Array): void {
    this.#reach(
      node,
      () => this.#sendPacket(node, { protocol: PROTOCOL_DATAGRAM, srcPort: 49_152, dstPort: port }, bytes),
      () => {},
    )
  }

  close(now: number, stream: GoStream): void {
    stream.close(now)
  }

  /** A trust request directly to port 444; the caller falls back to the registry. */
  handshake(now: number, node: NodeId, type: HandshakeType = 'handshake_request'): GoStream {
    if (type === 'handshake_request') this.outgoing.add(node)
    const stream = this.dial(now, node, 444)
    stream.write(now, handshakeMessage(this.identity, type, this.nodeId, node, this.#world.unixSeconds()))
    return stream
  }

  /** Handles a trust request from the registry's mailbox (trust.md §4.3). @returns true: accept it there. */
  onRelayedRequest(node: NodeId): boolean {
    if (this.trusted.has(node)) return true
    if (!this.outgoing.has(node)) {
      this.pending.add(node)
      return false
    }
    this.#trust(node)
    return true
  }

  onRelayedAnswer(node: NodeId, accept: boolean): void {
    this.outgoing.delete(node)
    if (accept) this.trusted.add(node)
  }

  approve(now: number, node: NodeId): void {
    this.pending.delete(node)
    this.#trust(node)
    this.#world.reportTrust(node)
    this.handshake(now, node, 'handshake_accept')
  }

  /** Today: it has given up its half of a session, for one of many reasons, and starts again with the key that it has. */
  dropHalf(now: number, node: NodeId): void {
    this.#tunnel(node).drop(now)
    this.#sendAuth(node)
  }

  isRelayed(node: NodeId): boolean {
    return this.#tunnels.get(node)?.relay === true
  }
  hasKey(node: NodeId): boolean {
    return this.#tunnels.get(node)?.key !== undefined
  }
  streamsWith(node: NodeId): GoStream[] {
    return [...this.streams.values()].filter(({ remote }) => remote === node)
  }

  // ---- datagrams

  handleDatagram(now: number, bytes: Uint8Array, source: Endpoint): void {
    this.#now = now
    if (bytes.length === 0) return
    if (bytes[0]! >= 0x10) return this.#onFrame(now, bytes, source, undefined)
    const message = decodeBeaconMessage(bytes) // from anywhere: nothing is checked
    if (typeof message === 'string') return
    if (message.kind === 'relay_deliver') this.#onFrame(now, message.frame, source, message.sender)
    else if (message.kind === 'punch_command')
      for (let i = 0; i < 3; i++) this.#world.send(encodePunchFrame(), message.endpoint)
  }

  handleTimeout(now: number): void {
    this.#now = now
    if (this.#isToday) for (const [node, tunnel] of this.#tunnels) this.#runTunnel(now, node, tunnel)
    for (const stream of this.streams.values()) this.#runStream(now, stream)
    if (now >= this.#sweepAt) {
      this.#sweepAt = now + 15_000
      for (const [key, stream] of this.streams) {
        stream.sweep(now)
        if (stream.state === 'CLOSED' || (stream.state === 'TIME_WAIT' && now >= stream.timeWaitUntil))
          this.streams.delete(key)
      }
    }
    this.#runLater(now)
  }

  nextTimeout(): number {
    let at = this.#sweepAt
    for (const stream of this.streams.values()) at = Math.min(at, stream.nextTimeout())
    if (this.#isToday) for (const tunnel of this.#tunnels.values()) at = Math.min(at, tunnel.nextTimeout())
    return at
  }

  /** Today: keepalives, probes of a silent peer, repeated keys. */
  #runTunnel(now: number, node: NodeId, tunnel: Tunnel): void {
    for (let due = tunnel.takeDue(now); due !== undefined; due = tunnel.takeDue(now)) {
      if (due === 'keepalive') this.#sendPacket(node, { protocol: PROTOCOL_CONTROL, dstNode: 0 }, NOTHING)
      else if (due === 'probe') this.#sendPacket(node, { protocol: PROTOCOL_CONTROL }, utf8('pathprobe.v1'))
      else if (due === 'drop') {
        this.#count('half_dropped')
        this.dropHalf(now, node)
      } else {
        this.#sendAuth(node)
        if (due === 'request') this.#sendBothWays(node, encodeKeyRequest(this.nodeId, this.#privateKey))
      }
    }
  }

  /** The application reads what was left: the daemon's loop continues. */
  resume(now: number, stream: GoStream): void {
    stream.reading = true
    stream.read()
    for (const packet of this.#stalled.splice(0)) this.#onPacket(now, packet)
    this.#runLater(now)
  }

  #runStream(now: number, stream: GoStream): void {
    const before = stream.synTransmissions
    stream.handleTimeout(now)
    // §6.2 step 5: at the third expiry the peer is on the relay, for good.
    if (stream.state === 'SYN_SENT' && before === 3 && stream.synTransmissions === 4) {
      this.#tunnel(stream.remote).relay = true
      stream.restartSynTimer(now)
    }
  }

  #onFrame(now: number, bytes: Uint8Array, source: Endpoint, relayedFrom: NodeId | undefined): void {
    if (relayedFrom !== undefined && !this.#isToday) this.#tunnel(relayedFrom).relay = true // any 0x06 does that, from anyone
    const magic = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(4, bytes.length)).toString('latin1')
    if (magic === 'PILA') this.#onAuth(now, bytes.slice(), source, relayedFrom !== undefined)
    else if (magic === 'PILS') this.#onSealed(now, bytes, source, relayedFrom !== undefined)
    else if (magic === 'PILK' && this.#isToday) this.#sendAuth(Buffer.from(bytes).readUInt32BE(4))
    this.#runLater(now)
  }

  #onAuth(now: number, bytes: Uint8Array, source: Endpoint, byRelay: boolean): void {
    const frame = decodeAuthFrame(bytes)
    if (typeof frame === 'string') return
    const path = byRelay ? 'relay' : 'direct'
    const tunnel = this.#tunnel(frame.sender)
    const accept = (key: Uint8Array | undefined): void => {
      if (key === undefined || !equalBytes(key, frame.ed25519)) return this.#count('auth_refused')
      if (!verifySignature(key, authChallenge(frame.sender, frame.x25519), frame.signature))
        return this.#count('auth_bad_signature')
      const shared = agreeSessionKey(this.#privateKey, frame.x25519)
      if (shared === 'low_order' || this.#tunnels.get(frame.sender) !== tunnel) return // or it has restarted since it asked
      const isNew = tunnel.peerKey === undefined || !equalBytes(tunnel.peerKey, frame.x25519)
      if (this.#isToday && !isNew && tunnel.key !== undefined) return this.#onKnownKey(now, frame.sender, tunnel)
      const answer = isNew || this.#isToday
      tunnel.derivedAt = now
      tunnel.firstPath ??= path
      tunnel.peerKey = frame.x25519
      tunnel.key = nodeCrypto.aead(shared)
      tunnel.prefix = Buffer.from(this.#world.random(4)).readUInt32BE() // a new one each time, under the same key
      if (isNew || !this.#isToday) {
        tunnel.counter = tunnel.max = 0
        tunnel.seen.fill(0)
      }
      if (!byRelay) tunnel.endpoint = source
      if (answer) this.#sendAuth(frame.sender)
      for (const packet of tunnel.queue.splice(0)) this.#seal(frame.sender, packet)
      this.#runLater(now)
    }
    // The cached key lies in the receive buffer: what comes by the other kind of path never fits, what comes by the same
    // kind is compared with itself (tunnel.md §4.3).
    if (tunnel.firstPath === undefined || this.#isToday) this.#world.lookup(frame.sender, accept)
    else if (tunnel.firstPath === path) accept(frame.ed25519)
    else this.#count('auth_other_path')
  }

  /** Today: a key that it knows is answered only while nothing sealed has come under it. */
  #onKnownKey(now: number, node: NodeId, tunnel: Tunnel): void {
    if (tunnel.takeAnswer(now)) this.#sendAuth(node)
  }

  #onSealed(now: number, bytes: Uint8Array, source: Endpoint, byRelay: boolean): void {
    if (bytes.length < SEALED_HEADER_BYTES + 16 + PACKET_HEADER_BYTES) return
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    const from = view.readUInt32BE(4)
    const tunnel = this.#tunnels.get(from)
    if (tunnel?.key === undefined) return this.#count('sealed_without_key') // in silence
    const packet = tunnel.openFrame(now, view, this.#isToday)
    if (packet === 'aged_dropped') this.dropHalf(now, from)
    if (typeof packet === 'string') return this.#count(packet)
    tunnel.frames += 1
    if (this.#isToday) {
      tunnel.onHeard(now)
      tunnel.relay = byRelay
      if (!byRelay) tunnel.endpoint = source
      return this.#onPacket(now, packet, from)
    }
    const blocked = [...this.streams.values()].some(({ freeSlots }) => freeSlots < 0) // it is stuck delivering the 513th
    if (!blocked) this.#onPacket(now, packet)
    else if (this.#stalled.length < 1_024) this.#stalled.push(packet.slice())
    else this.#count('stalled_dropped')
  }

  // ---- packets

  /** A packet as it comes out of a tunnel; what it causes happens at the next `handleTimeout`. */
  handlePacket(now: number, packet: Uint8Array): void {
    this.#onPacket(now, packet)
  }

  /** @param sender of the sealed frame: today, the inner source must agree. */
  #onPacket(now: number, packet: Uint8Array, sender?: NodeId): void {
    const header = createPacketHeader()
    if (decodePacket(packet, header, crc32) !== undefined) return
    const payload = packet.slice(PACKET_HEADER_BYTES, PACKET_HEADER_BYTES + header.payloadLength)
    const from = header.srcNode // April: the inner source is believed
    if (sender !== undefined && from !== sender) return this.#count('foreign_source')
    if (header.protocol === PROTOCOL_CONTROL) {
      if (header.dstPort !== 0 || !this.answersPings) return
      if (this.#isToday && payload.length === 0) return // taken for the peer's keepalive
      this.#sendPacket(
        from,
        {
          protocol: PROTOCOL_CONTROL,
          flags: FLAG_ACK,
          srcPort: 0,
          dstPort: header.srcPort,
          seq: header.seq,
          ack: (header.seq + 1) >>> 0,
        },
        payload,
      )
    } else if (header.protocol === PROTOCOL_DATAGRAM) {
      if (payload.length > 0 && (this.public || this.trusted.has(from)))
        this.datagrams.push({ from, port: header.dstPort, bytes: payload })
    } else if (header.protocol === PROTOCOL_STREAM) this.#onStreamPacket(now, from, header, payload)
  }

  #onStreamPacket(now: number, from: NodeId, header: PacketHeader, payload: Uint8Array): void {
    const known = this.streams.get(keyOf(header.dstPort, from, header.srcPort))
    const opening = (header.flags & FLAG_SYN) !== 0 && (header.flags & FLAG_ACK) === 0
    if (!opening) {
      known?.handle(now, header, payload) // nothing, not even RST, for what is not known (Q17)
      return
    }
    if (!this.#listeners.has(header.dstPort))
      return this.#sendPacket(
        from,
        { protocol: PROTOCOL_STREAM, flags: FLAG_RST, srcPort: header.dstPort, dstPort: header.srcPort },
        NOTHING,
      )
    const isOver = known?.state === 'TIME_WAIT' || known?.state === 'CLOSED'
    if (known !== undefined && !(this.#isToday && isOver)) return known.repeatSynAck()
    const admit = (trusted: boolean): void => {
      if (!trusted) return this.#count('syn_stranger')
      if (!takeSynToken(this.#synBuckets, now, from, this.#isToday ? 64 : 10)) return this.#count('syn_limited')
      const stream = this.#stream('accept', header.dstPort, from, header.srcPort, now)
      stream.accept(now, header)
      this.#listeners.get(header.dstPort)!(stream)
    }
    if (this.public || this.trusted.has(from)) admit(true)
    else this.#world.checkTrust(from, admit)
  }

  #stream(role: 'dial' | 'accept', localPort: number, remote: NodeId, remotePort: number, now: number): GoStream {
    const send: GoSend = (flags, seq, ack, window, payload) =>
      this.#sendPacket(
        remote,
        { protocol: PROTOCOL_STREAM, flags, srcPort: localPort, dstPort: remotePort, seq, ack, window },
        payload,
      )
    const stream = new GoStream(role, localPort, remote, remotePort, now, send, this.#isToday ? 'today' : 'april')
    this.streams.set(keyOf(localPort, remote, remotePort), stream)
    return stream
  }

  // ---- tunnels

  #tunnel(node: NodeId): Tunnel {
    let tunnel = this.#tunnels.get(node)
    if (tunnel === undefined) {
      tunnel = new Tunnel()
      this.#tunnels.set(node, tunnel)
    }
    return tunnel
  }

  /** §6.2: a known peer is used as is, an unknown one resolved, punched and sent our key. */
  #reach(node: NodeId, then: () => void, failed: () => void): void {
    const known = this.#tunnels.get(node)
    if (known !== undefined && (known.endpoint !== undefined || known.relay)) return then()
    this.#world.resolve(node, (endpoint) => {
      if (endpoint === undefined) return failed()
      this.#tunnel(node).endpoint ??= endpoint
      this.#toBeacon(encodePunchRequest(this.nodeId, node))
      this.#sendAuth(node)
      if (this.#isToday) this.#tunnel(node).startRepeats(this.#now)
      then()
    })
  }

  #sendAuth(node: NodeId): void {
    const x25519 = x25519PublicKey(this.#privateKey)
    const signature = this.identity.sign(authChallenge(this.nodeId, x25519))
    const frame = encodeAuthFrame({ sender: this.nodeId, x25519, ed25519: this.identity.publicKey, signature })
    if (this.#isToday) this.#sendBothWays(node, frame)
    else this.#sendFrame(node, frame)
  }

  #sendBothWays(node: NodeId, frame: Uint8Array): void {
    const { endpoint } = this.#tunnel(node)
    if (endpoint !== undefined) this.#world.send(frame, endpoint)
    this.#sendByRelay(node, frame)
  }

  #sendPacket(to: NodeId, fields: Partial<PacketHeader>, payload: Uint8Array): void {
    const packet = new Uint8Array(PACKET_HEADER_BYTES + payload.length)
    packet.set(payload, PACKET_HEADER_BYTES)
    encodePacket(
      packet,
      0,
      { ...createPacketHeader(), dstNode: to, ...fields, srcNode: this.nodeId, payloadLength: payload.length },
      crc32,
    )
    const tunnel = this.#tunnel(to)
    if (tunnel.key !== undefined) return this.#seal(to, packet)
    if (!this.#isToday) this.#sendAuth(to) // with each waiting packet; nothing else repeats it
    else if (tunnel.repeats === 0) {
      tunnel.startRepeats(this.#now)
      this.#sendAuth(to)
    }
    if (tunnel.queue.length >= 64) tunnel.queue.shift()
    tunnel.queue.push(packet)
  }

  #seal(to: NodeId, packet: Uint8Array): void {
    const tunnel = this.#tunnel(to)
    const out = new Uint8Array(packet.length + SEALED_HEADER_BYTES + 16)
    tunnel.sentAt = this.#now
    tunnel.counter += 1 // the first frame carries 1
    encodeSealedHeader(out, 0, this.nodeId, tunnel.prefix, 0, tunnel.counter)
    tunnel.key!.seal(out.subarray(8, SEALED_HEADER_BYTES), out.subarray(4, 8), packet, out, SEALED_HEADER_BYTES)
    this.#sendFrame(to, out)
  }

  #sendFrame(to: NodeId, frame: Uint8Array): void {
    const { relay, endpoint } = this.#tunnel(to)
    if (!relay && endpoint !== undefined) return this.#world.send(frame, endpoint)
    this.#sendByRelay(to, frame)
  }

  #sendByRelay(to: NodeId, frame: Uint8Array): void {
    const wrapped = new Uint8Array(RELAY_HEADER_BYTES + frame.length)
    writeRelayHeader(wrapped, 0, this.nodeId, to)
    wrapped.set(frame, RELAY_HEADER_BYTES)
    this.#toBeacon(wrapped)
  }

  #toBeacon(bytes: Uint8Array): void {
    this.#world.send(bytes, this.#world.beacon)
  }

  // ---- trust (trust.md §3.1, §4.2, §4.4)

  #onHandshake(now: number, bytes: Uint8Array): void {
    const message = parseHandshakeMessage(bytes) // the first segment is the message
    if (typeof message === 'string') return this.#count('handshake_unreadable')
    const digest = createHash('sha256').update(bytes).digest('hex')
    if (this.#seenMessages.has(digest)) return this.#count('handshake_replayed')
    this.#seenMessages.add(digest)
    const { nodeId: from, type } = message
    if (type === 'handshake_request') {
      if (this.trusted.has(from)) this.handshake(now, from, 'handshake_accept')
      else if (!this.outgoing.has(from)) this.pending.add(from)
      else {
        this.#trust(from)
        this.#world.reportTrust(from)
        this.handshake(now, from, 'handshake_accept')
      }
    } else if (type === 'handshake_accept') {
      this.#trust(from)
      this.#world.reportTrust(from)
    } else if (type === 'handshake_reject') this.outgoing.delete(from)
    else {
      this.trusted.delete(from)
      this.#tunnels.delete(from) // its streams die silently
    }
  }

  readonly #seenMessages = new Set<string>()

  #trust(node: NodeId): void {
    this.outgoing.delete(node)
    this.pending.delete(node)
    this.trusted.add(node)
  }

  #runLater(now: number): void {
    for (let work = this.#later.shift(); work !== undefined; work = this.#later.shift()) work(now)
  }

  #count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1
  }
}

function keyOf(localPort: number, remote: NodeId, remotePort: number): string {
  return `${localPort}/${remote}/${remotePort}`
}

const NOTHING = new Uint8Array(0)
