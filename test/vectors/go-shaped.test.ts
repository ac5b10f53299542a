/**
 * The Go-shaped node of the tests against recordings of the real one: hand-written packets go in, and the output must
 * equal the daemon's answer. Only then is a test against the model worth anything.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { toHex } from '../../src/base/bytes.ts'
import type { Endpoint } from '../../src/base/types.ts'
import { nodeCrypto } from '../../src/crypto/aead.ts'
import { createIdentity } from '../../src/crypto/identity.ts'
import { agreeSessionKey, x25519PublicKey } from '../../src/crypto/key-agreement.ts'
import { crc32 } from '../../src/wire/crc32.ts'
import { PACKET_HEADER_BYTES, createPacketHeader, decodePacket } from '../../src/wire/packet.ts'
import { SEALED_HEADER_BYTES, authChallenge, encodeAuthFrame } from '../../src/wire/tunnel-frames.ts'
import { GoNode } from '../go-shaped/node.ts'
import { hex, loadVectors } from './load.ts'

interface Sent {
  readonly packet: string
}
interface Reply {
  readonly after_ms: number
  readonly flags_value: number
  readonly seq: number
  readonly ack: number
  readonly payload_length: number
  readonly payload?: string
}
interface Step {
  readonly name: string
  readonly sent: readonly Sent[]
  readonly replies: readonly Reply[]
}

const { probes } = loadVectors<{
  probes: { groups: ReadonlyArray<{ readonly name: string; readonly steps: readonly Step[] }> }
}>('stream-transcript')

// What the model leaves out: plaintext frames, the network part of addresses, and pings with ACK set (they are ours to avoid).
const NOT_MODELLED = new Set([
  'ping sent unencrypted',
  'source in another network: the answer goes back to that address',
])

/** A public node 1, and node 2, which has sent its key. */
class Bench {
  readonly #node: GoNode
  readonly #key = agreeSessionKey(hex('61'.repeat(32)), x25519PublicKey(hex('62'.repeat(32)))) as Uint8Array
  #now = 0
  #frames: Uint8Array[] = []

  constructor() {
    const peer = createIdentity(hex('01'.repeat(32)))
    const beacon: Endpoint = { address: '198.51.100.1', port: 9_001 }
    const x25519 = x25519PublicKey(hex('61'.repeat(32)))
    this.#node = new GoNode(createIdentity(hex('02'.repeat(32))), {
      beacon,
      send: (bytes) => void this.#frames.push(bytes),
      random: (length) => new Uint8Array(length).fill(0x62),
      lookup: (_node, then) => then(peer.publicKey),
      resolve: (_node, then) => then(undefined),
      checkTrust: (_node, then) => then(false),
      reportTrust: () => {},
      unixSeconds: () => 0,
    })
    this.#node.nodeId = 1
    this.#node.public = true
    const frame = encodeAuthFrame({
      sender: 2,
      x25519,
      ed25519: peer.publicKey,
      signature: peer.sign(authChallenge(2, x25519)),
    })
    this.#node.handleDatagram(0, frame, { address: '203.0.113.2', port: 4_000 })
    this.#frames = []
  }

  play({ sent, replies }: Step): unknown[] {
    for (const { packet } of sent) this.#node.handlePacket(this.#now, hex(packet))
    const until = this.#now + Math.max(150, ...replies.map(({ after_ms: ms }) => ms + 400))
    for (; this.#now < until; this.#now += 10) this.#node.handleTimeout(this.#now)
    return this.#frames.splice(0).flatMap((frame) => this.#open(frame))
  }

  #open(frame: Uint8Array): unknown[] {
    const packet = nodeCrypto
      .aead(this.#key)
      .open(frame.subarray(8, SEALED_HEADER_BYTES), frame.subarray(4, 8), frame.subarray(SEALED_HEADER_BYTES))
    if (packet === undefined) return [] // a PILA for a node it cannot reach
    const header = createPacketHeader()
    assert.equal(decodePacket(packet, header, crc32), undefined)
    const payload = toHex(packet.subarray(PACKET_HEADER_BYTES))
    return [summary(header.flags, { seq: header.seq, ack: header.ack, payload_length: header.payloadLength, payload })]
  }
}

function summary(
  flags: number,
  { seq, ack, payload_length: length, payload = '' }: Pick<Reply, 'seq' | 'ack' | 'payload_length' | 'payload'>,
): object {
  return { flags, seq, ack, length, payload }
}

for (const { name, steps } of probes.groups) {
  describe(`probes: ${name}`, () => {
    const world = new Bench()
    for (const step of steps) {
      if (NOT_MODELLED.has(step.name)) continue
      test(step.name, () =>
        assert.deepEqual(
          world.play(step),
          step.replies.map((reply) => summary(reply.flags_value, reply)),
        ),
      )
    }
  })
}
