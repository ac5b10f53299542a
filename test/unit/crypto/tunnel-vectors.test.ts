/** tunnel.json from the keys up: agreement, sealed frames in both directions, and every frame that must not open. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { concatBytes, equalBytes, toHex, utf8 } from '../../../src/base/bytes.ts'
import { nodeCrypto, portableCrypto } from '../../../src/crypto/aead.ts'
import { createIdentity, verifySignature } from '../../../src/crypto/identity.ts'
import { agreeSessionKey, x25519PublicKey } from '../../../src/crypto/key-agreement.ts'
import { ReplayWindow } from '../../../src/crypto/replay-window.ts'
import { crc32 } from '../../../src/wire/crc32.ts'
import { createPacketHeader, decodePacket } from '../../../src/wire/packet.ts'
import {
  authChallenge,
  decodeAuthFrame,
  encodeSealedHeader,
  SEALED_HEADER_BYTES,
  SEALED_OVERHEAD_BYTES,
  sealedCounterHigh,
  sealedCounterLow,
} from '../../../src/wire/tunnel-frames.ts'
import { counterHalves, hex, loadVectors, payloadOf, sha256Hex, type PayloadRule } from '../../vectors/load.ts'

const vectors = loadVectors<TunnelVectors>('tunnel')
const REASONS: Readonly<Record<string, string>> = {
  'no key for this node': 'authentication', // another node's key is not used: with ours the additional data differs
  'authentication (AAD no longer matches)': 'authentication',
  'inner packet too short': 'too_short',
  'inner packet checksum': 'bad_checksum',
}

test('both ends of every pair agree on the recorded key', () => {
  for (const vector of vectors.key_agreement) {
    assert.equal(toHex(x25519PublicKey(hex(vector.a_private))), vector.a_public, vector.name)
    assert.equal(toHex(x25519PublicKey(hex(vector.b_private))), vector.b_public, vector.name)
    assert.equal(agreed(vector.a_private, vector.b_public), vector.aes_key, vector.name)
    assert.equal(agreed(vector.b_private, vector.a_public), vector.aes_key, vector.name)
  }
})

test('peer keys of low order or wrong length are refused', () => {
  for (const vector of vectors.rejected_peer_keys)
    assert.equal(agreed(vector.own_private, vector.peer_public), 'low_order', vector.name)
})

test("a private key of a wrong length is the caller's bug", () => {
  assert.throws(() => x25519PublicKey(new Uint8Array(31)), RangeError)
  assert.throws(() => agreeSessionKey(new Uint8Array(33), new Uint8Array(32)), RangeError)
})

for (const provider of [nodeCrypto, portableCrypto]) {
  test(`every sealed frame is sealed and opened exactly (${provider.name})`, () => {
    for (const vector of vectors.pils) {
      const key = provider.aead(hex(vector.aes_key))
      const plaintext = plaintextOf(vector)
      const { high, low } = counterHalves(vector.counter)
      const frame = new Uint8Array(plaintext.length + SEALED_OVERHEAD_BYTES)
      encodeSealedHeader(frame, 0, nodeIdOf(vector.sender), Number.parseInt(vector.nonce_prefix, 16), high, low)
      key.seal(frame.subarray(8, 20), frame.subarray(4, 8), plaintext, frame, SEALED_HEADER_BYTES)
      if (vector.frame !== undefined) assert.equal(toHex(frame), vector.frame, vector.name)
      if (vector.frame_sha256 !== undefined) assert.equal(sha256Hex(frame), vector.frame_sha256, vector.name)
      if (vector.tag !== undefined) assert.equal(toHex(frame.subarray(frame.length - 16)), vector.tag, vector.name)
      const opened = openFrame(provider, vector.aes_key, frame)
      assert.ok(opened && equalBytes(opened, plaintext), vector.name)
      assert.equal(decodePacket(opened, createPacketHeader(), crc32), undefined, vector.name)
    }
  })

  test(`every invalid frame is dropped for the recorded reason (${provider.name})`, () => {
    for (const vector of vectors.pils_dropped) {
      assert.equal(
        verdict(provider, vector.aes_key, hex(vector.frame)),
        REASONS[vector.reason] ?? vector.reason,
        vector.name,
      )
    }
  })

  test(`frames of the February build do not open (${provider.name})`, () => {
    const { key_agreement: pairs, pils, pils_dropped: dropped } = vectors.feb_2026_legacy
    for (const pair of pairs) assert.notEqual(agreed(pair.a_private, pair.b_public), pair.aes_key, 'another derivation')
    for (const vector of pils) {
      if (vector.frame === undefined) continue
      assert.equal(
        openFrame(provider, vector.aes_key, hex(vector.frame)),
        undefined,
        `${vector.name}: no additional data`,
      )
      assert.equal(
        openFrame(provider, vectors.key_agreement[0]?.aes_key ?? '', hex(vector.frame)),
        undefined,
        vector.name,
      )
    }
    for (const vector of dropped) {
      assert.equal(
        openFrame(provider, vectors.key_agreement[0]?.aes_key ?? '', hex(vector.frame)),
        undefined,
        vector.name,
      )
    }
  })
}

test('key exchange frames carry the signature our identity makes', () => {
  for (const vector of vectors.pila) {
    const identity = createIdentity(hex(vector.ed25519_seed))
    const challenge = authChallenge(vector.node_id, hex(vector.x25519_public))
    assert.equal(toHex(identity.publicKey), vector.ed25519_public)
    assert.equal(toHex(identity.sign(challenge)), vector.signature)
    assert.ok(verifySignature(identity.publicKey, challenge, hex(vector.signature)))
  }
})

test('received key exchanges pass length, registered key, signature and agreement exactly as recorded', () => {
  for (const vector of vectors.pila_received) {
    const frames = vector.frames ?? [vector.frame ?? '']
    const results = [vector.result].flat()
    frames.forEach((text, i) => {
      const outcome = judge(hex(text), vector.registry_ed25519_public_for_node_1, vector.receiver)
      assert.equal(outcome, results[i] === 'accepted' ? 'accepted' : vector.reason, vector.name)
    })
  }
})

test('the worked example of tunnel.md §2.4 comes out', () => {
  const bytes = (first: number): Uint8Array => payloadOf({ mul: 1, add: first, length: 32 })
  assert.equal(
    agreed(toHex(bytes(0x40)), toHex(x25519PublicKey(bytes(0x60)))),
    '0de8dba6b344b60de8633b374c7e0577a73e31dccb1b53a8201c81f0be976f6f',
  )
  const signature = createIdentity(bytes(0)).sign(
    concatBytes(utf8('auth'), hex('00000001'), x25519PublicKey(bytes(0x40))),
  )
  assert.equal(toHex(signature.subarray(0, 8)), '63b645fae21b465b')
})

interface Agreement {
  name: string
  a_private: string
  a_public: string
  b_private: string
  b_public: string
  aes_key: string
}
interface Sealed {
  name: string
  sender: string
  aes_key: string
  nonce_prefix: string
  counter: string
  plaintext?: string
  frame?: string
  plaintext_packet_header?: string
  plaintext_payload_rule?: PayloadRule
  frame_sha256?: string
  tag?: string
}
interface Dropped {
  name: string
  aes_key: string
  frame: string
  reason: string
}
interface TunnelVectors {
  parties: { name: string; node_id: number; x25519_private: string }[]
  key_agreement: Agreement[]
  rejected_peer_keys: { name: string; own_private: string; peer_public: string }[]
  pils: Sealed[]
  pils_dropped: Dropped[]
  pila: { node_id: number; x25519_public: string; ed25519_seed: string; ed25519_public: string; signature: string }[]
  pila_received: {
    name: string
    receiver: string
    frame?: string
    frames?: string[]
    result: string | string[]
    reason?: string
    registry_ed25519_public_for_node_1: string | null
  }[]
  feb_2026_legacy: { key_agreement: Agreement[]; pils: Sealed[]; pils_dropped: Dropped[] }
}

/**
 * Our receiver's checks, in order: length, key, tag, replay, packet. `bob` has a key for node 1 only, and has seen
 * counter 3 before a replay.
 */
function verdict(provider: typeof nodeCrypto, key: string, frame: Uint8Array): string {
  if (frame.length < SEALED_OVERHEAD_BYTES) return 'too short'
  const opened = openFrame(provider, key, frame)
  if (opened === undefined) return 'authentication'
  const fault = decodePacket(opened, createPacketHeader(), crc32)
  if (fault !== undefined) return fault
  const window = new ReplayWindow(256)
  window.accept(0, 3)
  return window.accept(sealedCounterHigh(frame), sealedCounterLow(frame)) ? 'delivered' : 'replay'
}

function openFrame(provider: typeof nodeCrypto, key: string, frame: Uint8Array): Uint8Array | undefined {
  return provider.aead(hex(key)).open(frame.subarray(8, 20), frame.subarray(4, 8), frame.subarray(SEALED_HEADER_BYTES))
}

function judge(bytes: Uint8Array, registered: string | null, receiver: string): string {
  const frame = decodeAuthFrame(bytes)
  if (typeof frame === 'string') return 'too short'
  if (registered === null || frame.sender !== 1) return 'no registered key'
  if (toHex(frame.ed25519) !== registered) return 'key differs from the registry'
  if (!verifySignature(frame.ed25519, authChallenge(frame.sender, frame.x25519), frame.signature)) return 'signature'
  const own = vectors.parties.find(({ name }) => name === receiver)
  assert.ok(own)
  return agreeSessionKey(hex(own.x25519_private), frame.x25519) === 'low_order'
    ? 'X25519 shared secret is zero'
    : 'accepted'
}

function agreed(privateKey: string, peerPublic: string): string {
  const key = agreeSessionKey(hex(privateKey), hex(peerPublic))
  return typeof key === 'string' ? key : toHex(key)
}

function plaintextOf(vector: Sealed): Uint8Array {
  if (vector.plaintext !== undefined) return hex(vector.plaintext)
  assert.ok(vector.plaintext_payload_rule)
  return concatBytes(hex(vector.plaintext_packet_header ?? ''), payloadOf(vector.plaintext_payload_rule))
}

function nodeIdOf(name: string): number {
  const party = vectors.parties.find((candidate) => candidate.name === name)
  assert.ok(party)
  return party.node_id
}
