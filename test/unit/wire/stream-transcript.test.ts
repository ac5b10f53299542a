/** stream-transcript.json as bytes: every frame of two real daemons is opened, decoded, encoded and sealed again exactly. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { parseAddress } from '../../../src/base/address.ts'
import { concatBytes, equalBytes, readU32, toHex } from '../../../src/base/bytes.ts'
import { nodeCrypto } from '../../../src/crypto/aead.ts'
import { createIdentity, verifySignature } from '../../../src/crypto/identity.ts'
import { agreeSessionKey, x25519PublicKey } from '../../../src/crypto/key-agreement.ts'
import { decodeBeaconMessage, FIRST_FRAME_BYTE } from '../../../src/wire/beacon-messages.ts'
import { crc32 } from '../../../src/wire/crc32.ts'
import {
  createPacketHeader,
  decodePacket,
  encodePacket,
  PACKET_HEADER_BYTES,
  type PacketHeader,
} from '../../../src/wire/packet.ts'
import { decodeSack } from '../../../src/wire/sack.ts'
import {
  authChallenge,
  decodeAuthFrame,
  encodeAuthFrame,
  encodePunchFrame,
  MAGIC_AUTH,
  MAGIC_PUNCH,
  MAGIC_SEALED,
  SEALED_HEADER_BYTES,
  SEALED_OVERHEAD_BYTES,
  sealedSender,
} from '../../../src/wire/tunnel-frames.ts'
import { hex, loadVectors, payloadOf, sha256Hex, type PayloadRule } from '../../vectors/load.ts'

const transcript = loadVectors<Transcript>('stream-transcript')
const key = sessionKey()
const PROTOCOLS: Readonly<Record<string, number>> = { stream: 1, datagram: 2, control: 3 }

for (const scenario of transcript.scenarios) {
  test(`every frame of the recording is decoded and encoded again: ${scenario.name}`, () => {
    for (const event of scenario.events) {
      if (event.type === 'packet') checkPacket(scenario, event)
      else if (event.type === 'tunnel') checkFrame(scenario, hex(event.frame ?? ''))
    }
  })
}

test('every probe packet and every answer is decoded to the recorded fields and encoded again exactly', () => {
  let packets = 0
  for (const { steps } of transcript.probes.groups) {
    for (const { name, sent, replies } of steps) {
      for (const probe of [...sent, ...replies]) {
        const bytes = hex(probe.packet)
        const header = decodeWell(bytes, name)
        const [src, dst] = [parseAddress(probe.src), parseAddress(probe.dst)]
        assert.deepEqual(
          header,
          {
            ...expectedHeader(probe),
            srcNetwork: src?.network,
            srcNode: src?.node,
            dstNetwork: dst?.network,
            dstNode: dst?.node,
          },
          name,
        )
        encodePacket(bytes, 0, { ...header }, crc32)
        assert.equal(toHex(bytes), probe.packet, name)
        packets++
      }
    }
  }
  assert.ok(packets > 50, `only ${packets}`)
})

interface Fields {
  protocol: string
  flags_value: number
  src_port: number
  dst_port: number
  seq: number
  ack: number
  window: number
  payload_length: number
}
interface Event extends Fields {
  type: string
  t_ms: number
  from: string
  to: string
  payload?: string
  payload_sha256?: string
  frame?: string
  frame_header?: string
  frame_sha256?: string
  sack?: { left: number; right: number }[]
}
interface Node {
  name: string
  node_id: number
  x25519_private: string
  ed25519_seed: string
}
interface Scenario {
  name: string
  nodes: Node[]
  events: Event[]
  result?: { payload_rule?: PayloadRule }
}
interface Probe extends Fields {
  src: string
  dst: string
  packet: string
}
interface Transcript {
  tunnel_key: { aes_key: string }
  scenarios: Scenario[]
  probes: { groups: { steps: { name: string; sent: Probe[]; replies: Probe[] }[] }[] }
}

function checkPacket(scenario: Scenario, event: Event): void {
  const where = `${scenario.name} at ${event.t_ms} ms`
  const expected = {
    ...expectedHeader(event),
    srcNetwork: 0,
    srcNode: nodeOf(scenario, event.from).node_id,
    dstNetwork: 0,
    dstNode: nodeOf(scenario, event.to).node_id,
  }
  const payload = payloadBytes(scenario, event)
  const packet = concatBytes(new Uint8Array(PACKET_HEADER_BYTES), payload)
  encodePacket(packet, 0, expected, crc32)

  const sealedHeader = hex(event.frame_header ?? event.frame?.slice(0, 2 * SEALED_HEADER_BYTES) ?? '')
  const frame = concatBytes(sealedHeader, new Uint8Array(packet.length + SEALED_OVERHEAD_BYTES - SEALED_HEADER_BYTES))
  key.seal(frame.subarray(8, 20), frame.subarray(4, 8), packet, frame, SEALED_HEADER_BYTES)
  if (event.frame === undefined) assert.equal(sha256Hex(frame), event.frame_sha256, where)
  else assert.equal(toHex(frame), event.frame, where)

  const opened = key.open(frame.subarray(8, 20), frame.subarray(4, 8), frame.subarray(SEALED_HEADER_BYTES))
  assert.ok(opened && equalBytes(opened, packet), where)
  assert.equal(sealedSender(frame), expected.srcNode, where)
  assert.deepEqual(decodeWell(opened, where), expected, where)
  checkSack(payload, event, where)
}

function checkSack(payload: Uint8Array, event: Event, where: string): void {
  const blocks = new Uint32Array(8)
  const count = decodeSack(payload, 0, payload.length, blocks)
  assert.deepEqual(
    [...blocks.subarray(0, 2 * count)],
    (event.sack ?? []).flatMap(({ left, right }) => [left, right]),
    where,
  )
}

function checkFrame(scenario: Scenario, bytes: Uint8Array): void {
  if (bytes[0]! < FIRST_FRAME_BYTE) {
    const message = decodeBeaconMessage(bytes)
    assert.ok(typeof message !== 'string', String(message))
    if (message.kind === 'relay' || message.kind === 'relay_deliver') checkFrame(scenario, message.frame)
    return
  }
  switch (readU32(bytes, 0)) {
    case MAGIC_AUTH:
      return checkAuthFrame(scenario, bytes)
    case MAGIC_PUNCH:
      return assert.equal(toHex(bytes), toHex(encodePunchFrame()))
    case MAGIC_SEALED: {
      const opened = key.open(bytes.subarray(8, 20), bytes.subarray(4, 8), bytes.subarray(SEALED_HEADER_BYTES))
      assert.ok(opened)
      assert.equal(decodeWell(opened, scenario.name).srcNode, sealedSender(bytes))
      return
    }
    default:
      assert.fail(`unknown frame ${toHex(bytes.subarray(0, 8))}`)
  }
}

function checkAuthFrame(scenario: Scenario, bytes: Uint8Array): void {
  const frame = decodeAuthFrame(bytes)
  assert.ok(typeof frame !== 'string')
  const sender = scenario.nodes.find(({ node_id: id }) => id === frame.sender)
  assert.ok(sender)
  assert.equal(toHex(frame.x25519), toHex(x25519PublicKey(hex(sender.x25519_private))))
  assert.equal(toHex(frame.ed25519), toHex(createIdentity(hex(sender.ed25519_seed)).publicKey))
  assert.ok(verifySignature(frame.ed25519, authChallenge(frame.sender, frame.x25519), frame.signature))
  assert.equal(toHex(encodeAuthFrame(frame)), toHex(bytes))
}

function expectedHeader(fields: Fields): Omit<PacketHeader, 'srcNetwork' | 'srcNode' | 'dstNetwork' | 'dstNode'> {
  return {
    flags: fields.flags_value,
    protocol: PROTOCOLS[fields.protocol] ?? Number.parseInt(fields.protocol, 10),
    payloadLength: fields.payload_length,
    srcPort: fields.src_port,
    dstPort: fields.dst_port,
    seq: fields.seq,
    ack: fields.ack,
    window: fields.window,
  }
}

/** Small payloads are in the file; a large one is part of the transferred bytes, whose first has sequence number 1. */
function payloadBytes(scenario: Scenario, event: Event): Uint8Array {
  if (event.payload_sha256 === undefined) return hex(event.payload ?? '')
  const rule = scenario.result?.payload_rule
  assert.ok(rule)
  const payload = payloadOf(rule).subarray(event.seq - 1, event.seq - 1 + event.payload_length)
  assert.equal(sha256Hex(payload), event.payload_sha256)
  return payload
}

function decodeWell(packet: Uint8Array, where: string): PacketHeader {
  const header = createPacketHeader()
  assert.equal(decodePacket(packet, header, crc32), undefined, where)
  assert.equal(packet.length, PACKET_HEADER_BYTES + header.payloadLength, where)
  return header
}

/** The two daemons keep their X25519 keys across all scenarios. */
function sessionKey(): ReturnType<typeof nodeCrypto.aead> {
  const pairs = new Set(transcript.scenarios.map(({ nodes }) => nodes.map((node) => node.x25519_private).join()))
  assert.equal(pairs.size, 1)
  const [first, second] = transcript.scenarios[0]?.nodes ?? []
  assert.ok(first && second)
  const agreed = agreeSessionKey(hex(first.x25519_private), x25519PublicKey(hex(second.x25519_private)))
  assert.ok(typeof agreed !== 'string')
  assert.equal(toHex(agreed), transcript.tunnel_key.aes_key)
  return nodeCrypto.aead(agreed)
}

function nodeOf(scenario: Scenario, name: string): Node {
  const node = scenario.nodes.find((candidate) => candidate.name === name)
  assert.ok(node)
  return node
}
