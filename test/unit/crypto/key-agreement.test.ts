/** node:crypto's X25519 against an independent implementation, and the keys it must refuse. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { agreeSessionKey, x25519PublicKey } from '../../../src/crypto/key-agreement.ts'

const bytes = (seed: number): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, i) => (seed * 131 + i * 89 + ((seed * i) >> 2)) & 0xff)

test('a hundred key pairs, and public keys with the top bit set, match the other implementation', () => {
  for (let seed = 0; seed < 100; seed++) {
    const [ours, theirs] = [bytes(seed), bytes(seed + 1_000)]
    assert.deepEqual(x25519PublicKey(ours), x25519.getPublicKey(ours))
    const peer = x25519.getPublicKey(theirs)
    if (seed % 2 === 1) peer[31]! |= 0x80 // RFC 7748 §5: masked
    assert.deepEqual(
      agreeSessionKey(ours, peer),
      hkdf(sha256, x25519.getSharedSecret(ours, peer), undefined, new TextEncoder().encode('pilot-tunnel-v1'), 32),
    )
  }
})

test('keys that would force the secret are refused, as are keys of a wrong length', () => {
  const lowOrder = [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    `ec${'ff'.repeat(30)}7f`,
    `ed${'ff'.repeat(30)}7f`,
    `ee${'ff'.repeat(30)}7f`,
  ]
  for (const key of lowOrder)
    assert.equal(agreeSessionKey(bytes(1), new Uint8Array(Buffer.from(key, 'hex'))), 'low_order', key)
  assert.equal(agreeSessionKey(bytes(1), new Uint8Array(31)), 'low_order')
})
