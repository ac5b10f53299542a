/**
 * A node without rules: it exchanges keys like the reference daemon (tunnel.md §4), and beyond that does only what the
 * test tells it to. A test uses it to play that daemon, a broken one, or a trusted attacker. Public, so that anyone may
 * dial it.
 */
import type { Endpoint, NodeId } from '../../../src/base/types.ts'
import { toBase64, utf8 } from '../../../src/base/bytes.ts'
import type { AeadKey } from '../../../src/crypto/aead.ts'
import { nodeCrypto } from '../../../src/crypto/aead.ts'
import type { Identity } from '../../../src/crypto/identity.ts'
import { createIdentity } from '../../../src/crypto/identity.ts'
import { agreeSessionKey, x25519PublicKey } from '../../../src/crypto/key-agreement.ts'
import { crc32 } from '../../../src/wire/crc32.ts'
import type { PacketHeader } from '../../../src/wire/packet.ts'
import {
  FLAG_ACK,
  PACKET_HEADER_BYTES,
  PROTOCOL_CONTROL,
  PROTOCOL_STREAM,
  createPacketHeader,
  decodePacket,
  encodePacket,
} from '../../../src/wire/packet.ts'
import { challenges } from '../../../src/wire/registry-messages.ts'
import {
  SEALED_HEADER_BYTES,
  authChallenge,
  decodeAuthFrame,
  encodeAuthFrame,
  encodePunchFrame,
  encodeSealedHeader,
} from '../../../src/wire/tunnel-frames.ts'
import {
  FIRST_FRAME_BYTE,
  RELAY_HEADER_BYTES,
  decodeBeaconMessage,
  encodeDiscover,
  writeRelayHeader,
} from '../../../src/wire/beacon-messages.ts'
import type { Uplink } from './nat.ts'
import type { SimOverlay } from './overlay.ts'
import { Random } from './random.ts'
import type { SimNode, SimNodeOptions } from './sim-node.ts'

export class Puppet {
  readonly overlay: SimOverlay
  readonly identity: Identity
  readonly endpoint: Endpoint
  nodeId: NodeId = 0
  readonly random: Random
  answersPings = true
  readonly packets: Array<{ readonly header: PacketHeader; readonly payload: Uint8Array }> = []
  onStreamPacket: ((header: PacketHeader, payload: Uint8Array) => void) | undefined
  /** Like the reference: after one relayed frame, everything uses the relay permanently (tunnel.md §6.4). */
  relayed = false
  /** Where its sealed frames claim to come from; undefined: the truth. */
  spoofedSource: Endpoint | undefined
  readonly #uplink: Uplink
  #to: Endpoint | undefined
  readonly #outside: string
  #toNode: NodeId = 0
  #privateKey: Uint8Array
  #peerKey = ''
  #key: AeadKey | undefined
  #prefix = 0
  #counter = 0

  constructor(overlay: SimOverlay, index: number, hostname = 'puppet', behind?: SimNodeOptions['behind']) {
    this.overlay = overlay
    this.random = new Random(index)
    this.endpoint = behind?.inside ?? { address: `192.0.2.${index}`, port: 4_000 }
    this.#uplink = behind?.nat ?? overlay.network
    this.#outside = behind?.outside ?? this.endpoint.address
    this.identity = createIdentity(this.random.bytes(32))
    this.register(hostname)
    this.#privateKey = this.random.bytes(32)
    this.#uplink.attach(this.endpoint, (bytes, source) => this.#onDatagram(bytes, source))
    this.discover()
  }

  register(hostname: string): void {
    const key = this.identity.publicKeyBase64
    const listen = `${this.#outside}:${this.endpoint.port}`
    const reply = this.#ask({
      type: 'register',
      listen_addr: listen,
      public_key: key,
      hostname,
      signature: this.#sign(challenges.register(listen, key)),
    })
    this.nodeId = Number((reply as Record<string, unknown>)['node_id'])
    this.#ask({
      type: 'set_visibility',
      node_id: this.nodeId,
      public: true,
      signature: this.#sign(challenges.setVisibility(this.nodeId)),
    })
  }

  /** What the reference sends every 30 s. */
  discover(): void {
    this.#uplink.send(this.endpoint, this.overlay.beaconEndpoint, encodeDiscover(this.nodeId))
  }

  /** Forgets its keys, as after a restart. */
  forget(): void {
    this.#privateKey = this.random.bytes(32)
    this.#peerKey = ''
    this.#key = undefined
  }

  /** Sends its PILA first. */
  knock(node: SimNode): void {
    this.#to = node.endpoint
    this.#toNode = node.nodeId
    this.#sendAuth()
  }

  /**
   * The next frames carry another nonce prefix and count from 1, under the same key, as the reference does for each
   * PILA it accepts.
   */
  redrawPrefix(): void {
    this.#prefix = this.random.u32()
    this.#counter = 0
  }

  /** A stream packet; the fields not named are 0. */
  send(fields: Partial<PacketHeader>, payload: Uint8Array = new Uint8Array(0)): void {
    this.sendRaw({ protocol: PROTOCOL_STREAM, window: 512, ...fields }, payload)
  }

  sendRaw(fields: Partial<PacketHeader>, payload: Uint8Array): void {
    const packet = new Uint8Array(PACKET_HEADER_BYTES + payload.length)
    packet.set(payload, PACKET_HEADER_BYTES)
    const header = {
      ...createPacketHeader(),
      srcNode: this.nodeId,
      dstNode: this.#toNode,
      ...fields,
      payloadLength: payload.length,
    }
    encodePacket(packet, 0, header, crc32)
    this.sendPacket(packet)
  }

  /** Any bytes, properly sealed. */
  sendPacket(packet: Uint8Array): void {
    if ((this.#to === undefined && !this.relayed) || this.#key === undefined) return
    const out = new Uint8Array(packet.length + 36)
    this.#counter += 1
    encodeSealedHeader(out, 0, this.nodeId, this.#prefix, 0, this.#counter)
    this.#key.seal(out.subarray(8, SEALED_HEADER_BYTES), out.subarray(4, 8), packet, out, SEALED_HEADER_BYTES)
    this.#transmit(out)
  }

  #transmit(frame: Uint8Array): void {
    if (this.relayed) {
      const wrapped = new Uint8Array(RELAY_HEADER_BYTES + frame.length)
      writeRelayHeader(wrapped, 0, this.nodeId, this.#toNode)
      wrapped.set(frame, RELAY_HEADER_BYTES)
      this.#uplink.send(this.endpoint, this.overlay.beaconEndpoint, wrapped)
    } else if (this.#to !== undefined && this.spoofedSource !== undefined)
      this.overlay.network.inject(this.spoofedSource, this.#to, frame, 10)
    else if (this.#to !== undefined) this.#uplink.send(this.endpoint, this.#to, frame)
  }

  #onDatagram(bytes: Uint8Array, source: Endpoint): void {
    const message = bytes[0]! < FIRST_FRAME_BYTE ? decodeBeaconMessage(bytes) : 'bad_address'
    if (typeof message === 'string') return this.#onFrame(bytes, source)
    if (message.kind === 'punch_command')
      for (let i = 0; i < 3; i++) this.#uplink.send(this.endpoint, message.endpoint, encodePunchFrame())
    if (message.kind !== 'relay_deliver') return
    this.relayed = true
    this.#toNode = message.sender
    this.#onFrame(message.frame, undefined)
  }

  #onFrame(bytes: Uint8Array, source: Endpoint | undefined): void {
    const magic = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(4, bytes.length)).toString('latin1')
    if (magic === 'PILA') this.#onAuth(bytes, source)
    if (magic !== 'PILS' || this.#key === undefined) return
    const packet = this.#key.open(
      bytes.subarray(8, SEALED_HEADER_BYTES),
      bytes.subarray(4, 8),
      bytes.subarray(SEALED_HEADER_BYTES),
    )
    if (packet !== undefined) this.#onPacket(packet)
  }

  #onAuth(bytes: Uint8Array, source: Endpoint | undefined): void {
    const frame = decodeAuthFrame(bytes)
    if (typeof frame === 'string') return
    if (source !== undefined) this.#to = source // only direct frames move it
    this.#toNode = frame.sender
    const peerKey = toBase64(frame.x25519)
    const shared = agreeSessionKey(this.#privateKey, frame.x25519)
    if (shared === 'low_order') return
    this.#key = nodeCrypto.aead(shared)
    this.redrawPrefix()
    if (peerKey !== this.#peerKey) this.#sendAuth() // an unchanged key is not answered (§4.1)
    this.#peerKey = peerKey
  }

  #onPacket(packet: Uint8Array): void {
    const header = createPacketHeader()
    if (decodePacket(packet, header, crc32) !== undefined) return
    const payload = packet.slice(PACKET_HEADER_BYTES, PACKET_HEADER_BYTES + header.payloadLength)
    this.packets.push({ header, payload })
    const { srcPort, dstPort, seq } = header
    if (header.protocol === PROTOCOL_STREAM) this.onStreamPacket?.(header, payload)
    else if (header.protocol === PROTOCOL_CONTROL && header.flags === 0 && this.answersPings) {
      this.sendRaw(
        { protocol: PROTOCOL_CONTROL, flags: FLAG_ACK, srcPort: dstPort, dstPort: srcPort, seq, ack: (seq + 1) >>> 0 },
        payload,
      )
    }
  }

  #sendAuth(): void {
    if (this.#to === undefined && !this.relayed) return
    const x25519 = x25519PublicKey(this.#privateKey)
    const signature = this.identity.sign(authChallenge(this.nodeId, x25519))
    const frame = encodeAuthFrame({ sender: this.nodeId, x25519, ed25519: this.identity.publicKey, signature })
    this.#transmit(frame)
  }

  #ask(request: object): object {
    return this.overlay.registry.handle(this.#outside, request)
  }
  #sign(text: string): string {
    return toBase64(this.identity.sign(utf8(text)))
  }
}
