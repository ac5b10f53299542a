/** Shared by the fuzzers: every decoder fed the same bytes, and where such bytes come from. */
import assert from 'node:assert/strict'
import { concatBytes, equalBytes, toHex, writeU32 } from '../../src/base/bytes.ts'
import {
  decodeBeaconMessage,
  encodeAnswer,
  encodeDiscover,
  encodeDiscoverExtended,
  encodeQuestion,
  encodeDiscoverReply,
  encodeMailNotice,
  encodePunchCommand,
  encodePunchRequest,
  encodeSync,
  writeRelayDeliverHeader,
  writeRelayDeliverToHeader,
  writeRelayHeader,
  type BeaconMessage,
} from '../../src/wire/beacon-messages.ts'
import { crc32 } from '../../src/wire/crc32.ts'
import { formatHandshakeMessage, parseHandshakeMessage } from '../../src/wire/handshake-message.ts'
import { decodePathHello, encodePathHello } from '../../src/wire/path-hello.ts'
import { createPacketHeader, decodePacket, encodePacket, PACKET_HEADER_BYTES } from '../../src/wire/packet.ts'
import { decodeSack, encodeSack, looksLikeSack } from '../../src/wire/sack.ts'
import { decodeRefusal, encodeRefusal } from '../../src/wire/refusal.ts'
import { decodeSynOptions, encodeSynOptions } from '../../src/wire/syn-options.ts'
import {
  authFrameBytes,
  decodeAuthFrame,
  decodeKeyFrame,
  encodeAuthFrame,
  encodeKeyFrame,
  KEY_FRAME_BYTES,
} from '../../src/wire/tunnel-frames.ts'

export type Random = (limit: number) => number

/** Feeds every datagram and payload decoder. @returns how many accepted it. */
export function feed(bytes: Uint8Array): number {
  const before = bytes.slice()
  const taken = [
    feedPacket,
    feedBeacon,
    feedFrames,
    feedSack,
    feedSynOptions,
    feedHandshake,
    feedHello,
    feedRefusal,
  ].filter((decoder) => decoder(bytes)).length
  if (!equalBytes(bytes, before)) assert.fail(`changed: ${toHex(before)}`)
  return taken
}

function feedPacket(bytes: Uint8Array): boolean {
  const header = createPacketHeader()
  if (decodePacket(bytes, header, crc32) !== undefined) return false
  const length = PACKET_HEADER_BYTES + header.payloadLength
  const out = new Uint8Array(length)
  out.set(bytes.subarray(PACKET_HEADER_BYTES, length), PACKET_HEADER_BYTES)
  encodePacket(out, 0, header, crc32)
  same(out, bytes.subarray(0, length))
  return true
}

function feedBeacon(bytes: Uint8Array): boolean {
  const message = decodeBeaconMessage(bytes)
  if (typeof message === 'string') return false
  const out = encodeBeacon(message)
  const mapped =
    (message.kind === 'discover_reply' || message.kind === 'punch_command') && bytes[1] === 16 && out[1] === 4
  const isAnswer = message.kind === 'discover_reply' && message.answer !== undefined // its last byte is 1 or anything else
  if (mapped || isAnswer) assert.deepEqual(decodeBeaconMessage(out), message)
  else same(out, bytes.subarray(0, out.length)) // what follows a message of fixed length is ignored
  return true
}

function feedFrames(bytes: Uint8Array): boolean {
  const auth = decodeAuthFrame(bytes)
  if (typeof auth !== 'string') {
    same(encodeAuthFrame(auth), bytes.subarray(0, authFrameBytes(auth)))
  }
  const key = decodeKeyFrame(bytes)
  if (typeof key !== 'string') same(encodeKeyFrame(key), bytes.subarray(0, KEY_FRAME_BYTES))
  return typeof auth !== 'string' || typeof key !== 'string'
}

function feedSack(bytes: Uint8Array): boolean {
  const blocks = new Uint32Array(8)
  const count = decodeSack(bytes, 0, bytes.length, blocks)
  if (count === 0) return false
  assert.ok(looksLikeSack(bytes, 0, bytes.length), 'ours is stricter than the reference')
  const out = new Uint8Array(bytes.length)
  assert.equal(encodeSack(out, 0, blocks, count), bytes.length)
  same(out, bytes)
  return true
}

function feedSynOptions(bytes: Uint8Array): boolean {
  const options = decodeSynOptions(bytes)
  if (typeof options === 'string') return false
  assert.deepEqual(decodeSynOptions(encodeSynOptions(options)), options)
  return true
}

function feedRefusal(bytes: Uint8Array): boolean {
  const reason = decodeRefusal(bytes)
  if (reason === undefined) return false
  assert.equal(decodeRefusal(encodeRefusal(reason)), reason)
  return true
}

function feedHandshake(bytes: Uint8Array): boolean {
  const message = parseHandshakeMessage(bytes)
  if (typeof message === 'string') return false
  assert.deepEqual(parseHandshakeMessage(formatHandshakeMessage(message)), message)
  return true
}

function feedHello(bytes: Uint8Array): boolean {
  const hello = decodePathHello(bytes)
  if (hello === undefined) return false
  assert.deepEqual(decodePathHello(encodePathHello(hello)), hello)
  return true
}

/** Hex only for the message: turning every good input into text would be most of the work. */
function same(actual: Uint8Array, expected: Uint8Array): void {
  if (!equalBytes(actual, expected)) assert.equal(toHex(actual), toHex(expected))
}

/** Any message for or from a beacon. */
export function encodeBeacon(message: BeaconMessage): Uint8Array {
  switch (message.kind) {
    case 'discover':
      return encodeDiscover(message.node) // the bytes after it are more than it says
    case 'discover_extended':
      return encodeDiscoverExtended(message.node)
    case 'discover_reply':
      return message.answer === undefined
        ? encodeDiscoverReply(message.endpoint)
        : encodeAnswer(message.endpoint, message.answer)
    case 'punch_request':
      return encodePunchRequest(message.requester, message.target)
    case 'punch_command':
      return encodePunchCommand(message.endpoint)
    case 'sync':
      return encodeSync(message.beaconId, message.nodeIds)
    case 'mail':
      return encodeMailNotice()
    default:
      return encodeRelayed(message)
  }
}

function encodeRelayed(message: Extract<BeaconMessage, { frame: Uint8Array }>): Uint8Array {
  const out = concatBytes(new Uint8Array(message.kind === 'relay_deliver' ? 5 : 9), message.frame)
  if (message.kind === 'relay') writeRelayHeader(out, 0, message.sender, message.destination)
  else if (message.kind === 'relay_deliver') writeRelayDeliverHeader(out, 0, message.sender)
  else writeRelayDeliverToHeader(out, 0, message.sender, message.destination)
  return out
}

export function goodDatagrams(random: Random): Uint8Array[] {
  const packet = new Uint8Array(PACKET_HEADER_BYTES + 50)
  packet.set(randomBytes(random, 50), PACKET_HEADER_BYTES)
  encodePacket(packet, 0, { ...createPacketHeader(), flags: 2, protocol: 1, payloadLength: 50, seq: 7, ack: 9 }, crc32)
  const sack = new Uint8Array(21)
  encodeSack(sack, 0, [5, 9, 20, 30], 2)
  const auth = {
    sender: 3,
    x25519: randomBytes(random, 32),
    ed25519: randomBytes(random, 32),
    signature: randomBytes(random, 64),
  }
  return [
    packet,
    sack,
    encodeAuthFrame(auth),
    encodeAuthFrame({ ...auth, binding: { recipient: 2, signature: auth.signature } }),
    encodeAuthFrame({
      ...auth,
      binding: { recipient: 2, signature: auth.signature, continuation: randomBytes(random, 16) },
    }),
    encodeKeyFrame(auth),
    encodeDiscover(1),
    encodeDiscoverExtended(1),
    encodePunchRequest(1, 2),
    encodeDiscoverReply({ address: '203.0.113.7', port: 1 }),
    encodePunchCommand({ address: '2001:db8::1', port: 2 }),
    encodeSync(1, [2, 3, 4]),
    encodeRelayed({ kind: 'relay', sender: 1, destination: 2, frame: packet }),
    encodeRelayed({ kind: 'relay_deliver', sender: 1, frame: packet }),
    encodeRelayed({ kind: 'relay_deliver_to', sender: 1, destination: 2, frame: packet }),
    encodeQuestion(1, randomBytes(random, 32), { transaction: randomBytes(random, 8), answerFromSecond: true }),
    encodeAnswer(
      { address: '203.0.113.7', port: 1 },
      { transaction: randomBytes(random, 8), secondPort: 9_002, isFromSecond: true },
    ),
    encodePathHello({
      mapping: 'none',
      filtering: 'unknown',
      endpoints: [
        { kind: 'lan', endpoint: { address: '10.0.0.1', port: 4 } },
        { kind: 'seen', endpoint: { address: '2001:db8::1', port: 5 } },
      ],
    }),
    encodeSynOptions({ unchecked: true, halfClose: true, windowShift: 8, maxSegment: 1200 }),
    formatHandshakeMessage({
      type: 'handshake_request',
      nodeId: 1,
      publicKey: 'AAAA',
      justification: 'let <us> talk',
      signature: '',
      reason: '',
      timestamp: 5,
    }),
  ]
}

/** Half of them begin like a known message, otherwise all would stop at the first check. */
export function randomDatagram(random: Random): Uint8Array {
  const bytes = randomBytes(random, random(4) === 0 ? random(1500) : random(160))
  const kind = random(8)
  if (kind === 0 && bytes.length > 0) bytes[0] = random(0x10)
  if (kind === 1 && bytes.length >= 4)
    writeU32(bytes, 0, [0x5049_4c53, 0x5049_4c41, 0x5049_4c4b, 0x5049_4c50, 0x5049_4c54][random(5)]!)
  if (kind === 2 && bytes.length >= 4) writeU32(bytes, 0, 0x5341_434b)
  if (kind === 3 && bytes.length >= 4) writeU32(bytes, 0, [0x5047_4f31, 0x5047_4831][random(2)]!)
  return bytes
}

export function damaged(original: Uint8Array, random: Random): Uint8Array {
  let bytes: Uint8Array = original.slice()
  for (let times = 1 + random(3); times > 0; times--) {
    const at = random(bytes.length + 1)
    switch (random(5)) {
      case 0:
        bytes = bytes.slice(0, at)
        break
      case 1:
        bytes = concatBytes(bytes, randomBytes(random, random(9)))
        break
      case 2:
        bytes = concatBytes(bytes.subarray(0, at), randomBytes(random, random(4)), bytes.subarray(at))
        break
      case 3:
        if (at < bytes.length) bytes[at]! ^= 1 << random(8)
        break
      default:
        if (at < bytes.length) bytes[at] = [0, 1, 4, 16, 0x7f, 0xff][random(6)]!
    }
  }
  return bytes
}

export function randomBytes(random: Random, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at++) bytes[at] = random(256)
  return bytes
}

/** Mulberry32: small, seeded, random enough for fuzzing. */
export function randomSource(seed: number): Random {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}
