/** tunnel.json at the level of frames; what is inside a sealed one is test/unit/crypto's. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readU32, toHex } from '../../../src/base/bytes.ts'
import { crc32 } from '../../../src/wire/crc32.ts'
import { createPacketHeader, decodePacket } from '../../../src/wire/packet.ts'
import { createIdentity } from '../../../src/crypto/identity.ts'
import { agreeSessionKey, continuationOf, x25519PublicKey } from '../../../src/crypto/key-agreement.ts'
import {
  AUTH_FRAME_BYTES,
  authChallenge,
  boundChallenge,
  decodeAuthFrame,
  decodeKeyFrame,
  encodeAuthFrame,
  encodeKeyFrame,
  encodePunchFrame,
  encodeSealedHeader,
  MAGIC_AUTH,
  MAGIC_BYTES,
  MAGIC_KEY,
  MAGIC_PLAIN,
  MAGIC_PUNCH,
  MAGIC_SEALED,
  sealedCounterHigh,
  sealedCounterLow,
  sealedPrefix,
  sealedSender,
  tunnelTranscript,
  SEALED_HEADER_BYTES,
  SEALED_OVERHEAD_BYTES,
} from '../../../src/wire/tunnel-frames.ts'
import { counterHalves, hex, loadVectors } from '../../vectors/load.ts'

const vectors = loadVectors<TunnelVectors>('tunnel')
const extensions = loadVectors<ExtensionVectors>('extensions')

test('the magics match the vectors', () => {
  const ours = { PILT: MAGIC_PLAIN, PILS: MAGIC_SEALED, PILK: MAGIC_KEY, PILA: MAGIC_AUTH, PILP: MAGIC_PUNCH }
  for (const [name, magic] of Object.entries(ours)) assert.equal(magic.toString(16), vectors.magics[name], name)
})

test('every authenticated key exchange is decoded to views and encoded again exactly', () => {
  for (const vector of vectors.pila) {
    const bytes = hex(vector.frame)
    const frame = decodeAuthFrame(bytes)
    assert.ok(typeof frame !== 'string')
    assert.equal(frame.sender, vector.node_id)
    assert.equal(toHex(frame.x25519), vector.x25519_public)
    assert.equal(toHex(frame.ed25519), vector.ed25519_public)
    assert.equal(toHex(frame.signature), vector.signature)
    assert.equal(frame.x25519.buffer, bytes.buffer)
    assert.equal(toHex(encodeAuthFrame(frame)), vector.frame)
    assert.equal(toHex(authChallenge(frame.sender, frame.x25519)), vector.challenge)
  }
})

test('a key exchange with a binding is decoded, signed and encoded as the vectors say', () => {
  const { parties, frames, transcript, aes_key, aes_key_of_higher_node, proof, aes_key_without_bindings } =
    extensions.key_exchange
  const ends = parties.map(({ node_id, ed25519_seed, x25519_private }) => {
    const identity = createIdentity(hex(ed25519_seed))
    const end = { node: node_id, ed25519: identity.publicKey, x25519: x25519PublicKey(hex(x25519_private)) }
    return { identity, end, secret: hex(x25519_private) }
  })
  for (const [i, vector] of frames.entries()) {
    const [own, other] = [ends[i]!, ends[1 - i]!]
    const frame = decodeAuthFrame(hex(vector.frame))
    assert.ok(typeof frame !== 'string' && frame.binding !== undefined)
    assert.equal(frame.binding.recipient, vector.recipient)
    const challenge = boundChallenge(own.end, other.end.node, other.end.ed25519)
    assert.equal(toHex(challenge), vector.challenge)
    assert.equal(toHex(own.identity.sign(challenge)), toHex(frame.binding.signature))
    assert.equal(toHex(encodeAuthFrame(frame)), vector.frame)
    const info = tunnelTranscript(own.end, other.end)
    assert.equal(toHex(info), transcript)
    assert.equal(toHex(agreeSessionKey(own.secret, other.end.x25519, info) as Uint8Array), aes_key)
    const whole = agreeSessionKey(own.secret, other.end.x25519, info, 80) as Uint8Array
    assert.equal(toHex(whole), aes_key + aes_key_of_higher_node + proof)
    assert.equal(toHex(agreeSessionKey(own.secret, other.end.x25519) as Uint8Array), aes_key_without_bindings)
  }
})

test('data after a key exchange is a binding only if it is complete and starts like one', () => {
  const bytes = hex(extensions.key_exchange.frames[0]!.frame)
  const bindingOf = (frame: Uint8Array): unknown => {
    const decoded = decodeAuthFrame(frame)
    assert.ok(typeof decoded !== 'string')
    return decoded.binding
  }
  assert.notEqual(bindingOf(bytes), undefined)
  assert.equal(bindingOf(bytes.subarray(0, bytes.length - 1)), undefined)
  assert.equal(bindingOf(Uint8Array.from(bytes, (byte, i) => (i === AUTH_FRAME_BYTES ? byte ^ 1 : byte))), undefined)
})

test('a continuation follows the binding, complete, and is encoded again exactly', () => {
  const { continued_frame_of_first, continuation_of_first, proof, frames } = extensions.key_exchange
  const bytes = hex(continued_frame_of_first)
  const frame = decodeAuthFrame(bytes)
  assert.ok(typeof frame !== 'string' && frame.binding?.continuation !== undefined)
  assert.equal(toHex(frame.binding.continuation), continuation_of_first)
  assert.equal(toHex(continuationOf(hex(proof), hex(frames[0]!.challenge))), continuation_of_first)
  assert.equal(toHex(encodeAuthFrame(frame)), continued_frame_of_first)
  const short = decodeAuthFrame(bytes.subarray(0, bytes.length - 1))
  assert.ok(typeof short !== 'string' && short.binding !== undefined && short.binding.continuation === undefined)
})

test('received key exchanges are refused for their length only if the reference refuses them too', () => {
  for (const vector of vectors.pila_received) {
    for (const text of vector.frames ?? [vector.frame ?? '']) {
      assert.equal(decodeAuthFrame(hex(text)) === 'too_short', vector.reason === 'too short', vector.name)
    }
  }
  assert.equal(decodeAuthFrame(hex('50494c4b' + '00'.repeat(132))), 'bad_magic')
})

test('every plain key exchange is recognised and encoded again exactly', () => {
  for (const vector of vectors.pilk) {
    const frame = decodeKeyFrame(hex(vector.frame))
    assert.ok(typeof frame !== 'string')
    assert.equal(frame.sender, vector.node_id)
    assert.equal(toHex(frame.x25519), vector.x25519_public)
    assert.equal(toHex(encodeKeyFrame(frame)), vector.frame)
  }
  for (const vector of vectors.pilk_received) {
    assert.equal(decodeKeyFrame(hex(vector.frame)) === 'too_short', vector.note === 'too short', vector.name)
  }
  assert.equal(decodeKeyFrame(hex('50494c41' + '00'.repeat(36))), 'bad_magic')
})

test('a punch frame is its magic and nothing else', () => {
  assert.equal(toHex(encodePunchFrame()), vectors.pilp.frame)
})

test('a plain frame is its magic and a packet', () => {
  const bytes = hex(vectors.pilt.frame)
  assert.equal(readU32(bytes, 0), MAGIC_PLAIN)
  assert.equal(toHex(bytes.subarray(MAGIC_BYTES)), vectors.pilt.packet)
  assert.equal(decodePacket(bytes.subarray(MAGIC_BYTES), createPacketHeader(), crc32), undefined)
})

test('a datagram ignored by receivers is neither one of our frames nor a packet', () => {
  const known = [MAGIC_SEALED, MAGIC_AUTH, MAGIC_KEY, MAGIC_PUNCH]
  for (const { frame, why } of vectors.ignored_on_receive) {
    const bytes = hex(frame)
    assert.equal(typeof decodeAuthFrame(bytes), 'string', why)
    assert.equal(typeof decodeKeyFrame(bytes), 'string', why)
    if (bytes.length < MAGIC_BYTES) continue
    const magic = readU32(bytes, 0)
    assert.ok(!known.includes(magic), why)
    if (magic === MAGIC_PLAIN)
      assert.equal(decodePacket(bytes.subarray(MAGIC_BYTES), createPacketHeader(), crc32), 'too_short', why)
  }
})

test('sealed frame headers are decoded and encoded exactly, with counters beyond 53 bits', () => {
  for (const vector of vectors.pils) {
    const bytes = hex(vector.frame ?? vector.frame_header ?? '')
    const { high, low } = counterHalves(vector.counter)
    assert.equal(readU32(bytes, 0), MAGIC_SEALED, vector.name)
    assert.equal(sealedPrefix(bytes), Number.parseInt(vector.nonce_prefix, 16), vector.name)
    assert.equal(sealedCounterHigh(bytes), high, vector.name)
    assert.equal(sealedCounterLow(bytes), low, vector.name)
    const out = new Uint8Array(SEALED_HEADER_BYTES + 2).fill(0xee)
    encodeSealedHeader(out, 1, sealedSender(bytes), sealedPrefix(bytes), high, low)
    assert.equal(toHex(out), `ee${toHex(bytes.subarray(0, SEALED_HEADER_BYTES))}ee`, vector.name)
    assert.equal(toHex(out.subarray(9, 21)), vector.nonce, vector.name)
    assert.equal(toHex(out.subarray(5, 9)), vector.aad, vector.name)
  }
})

test('the one frame that is dropped for its length is shorter than the overhead of sealing', () => {
  for (const { frame, reason, name } of vectors.pils_dropped) {
    assert.equal(frame.length / 2 < SEALED_OVERHEAD_BYTES, reason === 'too short', name)
  }
})

test('keys and signatures of a wrong length cannot be encoded', () => {
  const [x25519, ed25519, signature] = [new Uint8Array(32), new Uint8Array(32), new Uint8Array(64)]
  const short = new Uint8Array(31)
  assert.throws(() => encodeAuthFrame({ sender: 1, x25519: short, ed25519, signature }), RangeError)
  assert.throws(() => encodeAuthFrame({ sender: 1, x25519, ed25519: short, signature }), RangeError)
  assert.throws(() => encodeAuthFrame({ sender: 1, x25519, ed25519, signature: short }), RangeError)
  assert.throws(() => encodeKeyFrame({ sender: 1, x25519: short }), RangeError)
  assert.throws(() => authChallenge(1, short), RangeError)
})

interface TunnelVectors {
  magics: Record<string, string>
  pila: {
    node_id: number
    x25519_public: string
    ed25519_public: string
    challenge: string
    signature: string
    frame: string
  }[]
  pila_received: { name: string; frame?: string; frames?: string[]; reason?: string }[]
  pilk: { node_id: number; x25519_public: string; frame: string }[]
  pilk_received: { name: string; frame: string; note?: string }[]
  pilp: { frame: string }
  pilt: { frame: string; packet: string }
  ignored_on_receive: { frame: string; why: string }[]
  pils: {
    name: string
    nonce_prefix: string
    counter: string
    nonce: string
    aad: string
    frame?: string
    frame_header?: string
  }[]
  pils_dropped: { name: string; frame: string; reason: string }[]
}

interface ExtensionVectors {
  key_exchange: {
    parties: { node_id: number; ed25519_seed: string; x25519_private: string }[]
    frames: { sender: number; recipient: number; challenge: string; frame: string }[]
    transcript: string
    aes_key: string
    aes_key_of_higher_node: string
    proof: string
    continuation_of_first: string
    continued_frame_of_first: string
    aes_key_without_bindings: string
  }
}
