/**
 * A node without rules on a real UDP socket: it exchanges keys with one daemon, and beyond that sends only what a test
 * tells it to, and keeps what comes. It shows how a daemon behaves, one packet at a time.
 */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Endpoint, NodeId } from '../../src/base/types.ts'
import { parseEndpoint } from '../../src/base/types.ts'
import { toBase64, utf8 } from '../../src/base/bytes.ts'
import type { AeadKey } from '../../src/crypto/aead.ts'
import { nodeCrypto } from '../../src/crypto/aead.ts'
import type { Identity } from '../../src/crypto/identity.ts'
import { createIdentity } from '../../src/crypto/identity.ts'
import { agreeSessionKey, x25519PublicKey } from '../../src/crypto/key-agreement.ts'
import { crc32 } from '../../src/wire/crc32.ts'
import {
  FIRST_FRAME_BYTE,
  RELAY_HEADER_BYTES,
  decodeBeaconMessage,
  encodeDiscover,
  writeRelayHeader,
} from '../../src/wire/beacon-messages.ts'
import type { PacketHeader } from '../../src/wire/packet.ts'
import {
  PACKET_HEADER_BYTES,
  PROTOCOL_CONTROL,
  PROTOCOL_STREAM,
  createPacketHeader,
  decodePacket,
  encodePacket,
} from '../../src/wire/packet.ts'
import { challenges } from '../../src/wire/registry-messages.ts'
import {
  SEALED_HEADER_BYTES,
  authChallenge,
  decodeAuthFrame,
  encodeAuthFrame,
  encodeSealedHeader,
} from '../../src/wire/tunnel-frames.ts'
import { askRegistry } from './ask-registry.ts'

/** Something that came: of a sealed frame, the packet inside. */
export interface Heard {
  readonly at: number // ms
  readonly magic: string // PILS, PILA, PILK, PILP; beacon: its message
  readonly byRelay: boolean
  readonly header?: PacketHeader
  readonly payload: Uint8Array // of a packet; otherwise the whole frame
}

export class Hand {
  readonly identity: Identity = createIdentity(randomBytes(32))
  nodeId: NodeId = 0
  readonly heard: Heard[] = []
  onPacket: ((header: PacketHeader, payload: Uint8Array) => void) | undefined
  /** Everything it sends goes through the beacon. */
  relays = false
  readonly #udp: Socket
  readonly #beacon: Endpoint
  #to: Endpoint | undefined
  #toNode: NodeId = 0
  #privateKey: Uint8Array = randomBytes(32)
  #key: AeadKey | undefined
  prefix = randomBytes(4).readUInt32BE()
  /** Of the frame sent last: a test may go back, as frames that were overtaken do. */
  counter = 0

  private constructor(udp: Socket, beacon: Endpoint) {
    this.#udp = udp
    this.#beacon = beacon
    udp.on('message', (bytes, { address, port }) => this.#onDatagram(bytes, { address, port }))
  }

  /** Registered, and public. */
  static async start(
    rendezvous: { readonly registry: string; readonly beacon: string },
    hostname: string,
  ): Promise<Hand> {
    const udp = createSocket('udp4')
    udp.bind(0, '127.0.0.1')
    await once(udp, 'listening')
    const hand = new Hand(udp, parseEndpoint(rendezvous.beacon)!)
    const { publicKeyBase64: key } = hand.identity
    const listen = `127.0.0.1:${udp.address().port}`
    const reply = await askRegistry(rendezvous.registry, {
      type: 'register',
      listen_addr: listen,
      public_key: key,
      hostname,
      signature: hand.#sign(challenges.register(listen, key)),
    })
    hand.nodeId = Number(reply['node_id'])
    await askRegistry(rendezvous.registry, {
      type: 'set_visibility',
      node_id: hand.nodeId,
      public: true,
      signature: hand.#sign(challenges.setVisibility(hand.nodeId)),
    })
    hand.discover()
    return hand
  }

  stop(): void {
    this.#udp.close()
  }

  discover(): void {
    this.#send(encodeDiscover(this.nodeId), this.#beacon)
  }

  /** Our PILA; the answer gives the key. */
  knock(node: NodeId, endpoint: string): void {
    this.#to = parseEndpoint(endpoint)
    this.#toNode = node
    this.sendAuth()
  }

  sendAuth(): void {
    const x25519 = x25519PublicKey(this.#privateKey)
    const signature = this.identity.sign(authChallenge(this.nodeId, x25519))
    this.sendFrame(encodeAuthFrame({ sender: this.nodeId, x25519, ed25519: this.identity.publicKey, signature }))
  }

  /** A key request: magic, our id, our X25519 key. */
  sendKeyRequest(): void {
    const frame = Buffer.alloc(40)
    frame.write('PILK')
    frame.writeUInt32BE(this.nodeId, 4)
    frame.set(x25519PublicKey(this.#privateKey), 8)
    this.sendFrame(frame)
  }

  /** Forgets the key, as after a restart. */
  forget(): void {
    this.#privateKey = randomBytes(32)
    this.#key = undefined
  }

  get hasKey(): boolean {
    return this.#key !== undefined
  }

  send(fields: Partial<PacketHeader>, payload: Uint8Array = new Uint8Array(0)): void {
    if (this.#key === undefined) throw new Error('there is no key yet')
    const packet = new Uint8Array(PACKET_HEADER_BYTES + payload.length)
    packet.set(payload, PACKET_HEADER_BYTES)
    encodePacket(
      packet,
      0,
      {
        ...createPacketHeader(),
        protocol: PROTOCOL_STREAM,
        srcNode: this.nodeId,
        dstNode: this.#toNode,
        ...fields,
        payloadLength: payload.length,
      },
      crc32,
    )
    const out = new Uint8Array(packet.length + SEALED_HEADER_BYTES + 16)
    this.counter += 1
    encodeSealedHeader(out, 0, this.nodeId, this.prefix, 0, this.counter)
    this.#key.seal(out.subarray(8, SEALED_HEADER_BYTES), out.subarray(4, 8), packet, out, SEALED_HEADER_BYTES)
    this.sendFrame(out)
  }

  ping(payload: Uint8Array, fields: Partial<PacketHeader> = {}): void {
    this.send({ protocol: PROTOCOL_CONTROL, srcPort: 1, seq: 7, ...fields }, payload)
  }

  sendFrame(frame: Uint8Array): void {
    if (!this.relays) return this.#send(frame, this.#to!)
    const wrapped = new Uint8Array(RELAY_HEADER_BYTES + frame.length)
    writeRelayHeader(wrapped, 0, this.nodeId, this.#toNode)
    wrapped.set(frame, RELAY_HEADER_BYTES)
    this.#send(wrapped, this.#beacon)
  }

  /** Waits for something that came, from `since` on. */
  async until(what: string, found: (one: Heard) => boolean, ms = 5_000, since = 0): Promise<Heard> {
    const limit = performance.now() + ms
    for (;;) {
      const one = this.heard.slice(since).find(found)
      if (one !== undefined) return one
      if (performance.now() > limit) throw new Error(`not heard within ${ms} ms: ${what}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  #send(bytes: Uint8Array, to: Endpoint): void {
    this.#udp.send(bytes, to.port, to.address)
  }

  #onDatagram(bytes: Buffer, source: Endpoint): void {
    if (bytes[0]! >= FIRST_FRAME_BYTE) return this.#onFrame(bytes, source)
    const message = decodeBeaconMessage(bytes)
    if (typeof message === 'string') return
    if (message.kind === 'relay_deliver') return this.#onFrame(Buffer.from(message.frame), undefined)
    this.heard.push({ at: performance.now(), magic: message.kind, byRelay: false, payload: bytes })
  }

  #onFrame(bytes: Buffer, source: Endpoint | undefined): void {
    const magic = bytes.toString('latin1', 0, 4)
    const [at, byRelay] = [performance.now(), source === undefined]
    if (magic !== 'PILS') {
      this.heard.push({ at, magic, byRelay, payload: bytes })
      const frame = magic === 'PILA' ? decodeAuthFrame(bytes) : 'too_short'
      if (typeof frame === 'string') return
      const shared = agreeSessionKey(this.#privateKey, frame.x25519)
      if (shared !== 'low_order') this.#key = nodeCrypto.aead(shared)
      return
    }
    const packet = this.#key?.open(
      bytes.subarray(8, SEALED_HEADER_BYTES),
      bytes.subarray(4, 8),
      bytes.subarray(SEALED_HEADER_BYTES),
    )
    const header = createPacketHeader()
    if (packet === undefined || decodePacket(packet, header, crc32) !== undefined) {
      this.heard.push({ at, magic: 'unopened', byRelay, payload: bytes })
      return
    }
    const payload = packet.slice(PACKET_HEADER_BYTES, PACKET_HEADER_BYTES + header.payloadLength)
    this.heard.push({ at, magic, byRelay, header, payload })
    this.onPacket?.(header, payload)
  }

  #sign(text: string): string {
    return toBase64(this.identity.sign(utf8(text)))
  }
}
