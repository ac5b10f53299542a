/** identity.json, published signatures (RFC 8032), and keys that must not be accepted as identities. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { ed25519 } from '@noble/curves/ed25519.js'
import { toBase64, toHex, utf8 } from '../../../src/base/bytes.ts'
import { createIdentity, formatIdentityFile, parseIdentityFile, verifySignature } from '../../../src/crypto/identity.ts'
import { hex, loadVectors } from '../../vectors/load.ts'

const vectors = loadVectors<IdentityVectors>('identity')

test('every recorded identity gives the recorded keys and file, byte by byte', () => {
  for (const vector of vectors.identities) {
    const seed = hex(vector.ed25519_seed)
    const identity = createIdentity(seed)
    assert.equal(toHex(identity.publicKey), vector.ed25519_public, vector.name)
    assert.equal(identity.publicKeyBase64, vector.public_key_base64, vector.name)
    assert.equal(formatIdentityFile(seed), vector.file_text, vector.name)
    const parsed = parseIdentityFile(vector.file_text)
    assert.ok(typeof parsed !== 'string')
    assert.equal(toHex(parsed), vector.ed25519_seed, vector.name)
  }
})

test('identity files are accepted and refused as recorded, except for the one that signs with an unverifiable key', () => {
  const stricter = 'private key with the seed of alice and the public half of bob, public key of bob'
  for (const vector of vectors.loading) {
    const result = parseIdentityFile(vector.file_text)
    assert.equal(typeof result !== 'string', vector.accepted && vector.name !== stricter, vector.name)
  }
  assert.equal(
    parseIdentityFile(vectors.loading.find(({ name }) => name === stricter)?.file_text ?? ''),
    'key_mismatch',
  )
})

test('a refused identity file says why', () => {
  const [alice] = vectors.identities
  assert.ok(alice)
  const file = (privateKey: unknown, publicKey: unknown): string =>
    JSON.stringify({ private_key: privateKey, public_key: publicKey })
  assert.equal(parseIdentityFile('null'), 'not_json')
  assert.equal(parseIdentityFile('[1'), 'not_json')
  assert.equal(parseIdentityFile(file(1, alice.public_key_base64)), 'bad_private_key')
  assert.equal(parseIdentityFile(file(alice.private_key_base64, undefined)), 'bad_public_key')
  assert.equal(parseIdentityFile(file(alice.private_key_base64, toBase64(new Uint8Array(32)))), 'key_mismatch')
})

test('signatures are those of RFC 8032 §7.1', () => {
  const published: [string, string, string, string][] = [
    [
      '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    ],
    [
      '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ],
  ]
  for (const [seed, publicKey, message, signature] of published) {
    const identity = createIdentity(hex(seed))
    assert.equal(toHex(identity.publicKey), publicKey)
    assert.equal(toHex(identity.sign(hex(message))), signature)
    assert.ok(verifySignature(hex(publicKey), hex(message), hex(signature)))
  }
})

test('with a bit changed in key, message or signature nothing verifies and nothing throws', () => {
  const identity = createIdentity(new Uint8Array(32).fill(9))
  const message = utf8('heartbeat:1')
  const signature = identity.sign(message)
  assert.ok(verifySignature(identity.publicKey, message, signature))
  for (let i = 0; i < 64; i++) assert.equal(verifySignature(identity.publicKey, message, flipped(signature, i)), false)
  for (let i = 0; i < 32; i++) assert.equal(verifySignature(flipped(identity.publicKey, i), message, signature), false)
  assert.equal(verifySignature(identity.publicKey, flipped(message, 0), signature), false)
  for (const length of [0, 31, 33, 64]) assert.equal(verifySignature(new Uint8Array(length), message, signature), false)
  for (const length of [0, 63, 65])
    assert.equal(verifySignature(identity.publicKey, message, new Uint8Array(length)), false)
})

test('a key of small order, for which one signature fits every message, is not an identity', () => {
  const orders = [
    '0100000000000000000000000000000000000000000000000000000000000000',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000080',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
  ]
  const trivial = new Uint8Array(64) // R = the neutral element, S = 0
  trivial[0] = 1
  for (const key of orders) {
    for (const text of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'])
      assert.equal(verifySignature(hex(key), utf8(text), trivial), false, key)
  }
})

test('a key in a non-canonical encoding (y not below p, or a sign on x = 0) is not an identity', () => {
  const message = utf8('m')
  const trivial = new Uint8Array(64)
  trivial[0] = 1
  for (const key of [
    '01' + '00'.repeat(30) + '80',
    'ee' + 'ff'.repeat(30) + '7f',
    'ed' + 'ff'.repeat(30) + '7f',
    'f0' + 'ff'.repeat(30) + 'ff',
    '02' + '00'.repeat(31),
  ]) {
    assert.equal(verifySignature(hex(key), message, trivial), false, key)
  }
})

test('a signature in a second form (S + L) does not verify', () => {
  const identity = createIdentity(new Uint8Array(32).fill(3))
  const signature = identity.sign(utf8('m'))
  const order = ed25519.Point.Fn.ORDER
  let s = 0n
  for (let i = 63; i >= 32; i--) s = (s << 8n) | BigInt(signature[i]!)
  s += order
  const other = signature.slice()
  for (let i = 32; i < 64; i++, s >>= 8n) other[i] = Number(s & 0xffn)
  assert.equal(verifySignature(identity.publicKey, utf8('m'), other), false)
})

test('verification stays correct with more keys than the cache holds', () => {
  const message = utf8('m')
  const first = createIdentity(new Uint8Array(32).fill(1))
  const signature = first.sign(message)
  assert.ok(verifySignature(first.publicKey, message, signature))
  for (let i = 0; i < 1500; i++) {
    const junk = new Uint8Array(32)
    junk[0] = i
    junk[1] = i >>> 8
    assert.equal(verifySignature(junk, message, signature), false)
  }
  assert.ok(verifySignature(first.publicKey, message, signature))
})

test('an identity shows only its public key, however it is printed', () => {
  const seed = Uint8Array.from({ length: 32 }, (_, i) => 200 + i)
  const identity = createIdentity(seed)
  const shown = [
    inspect(identity, { showHidden: true, depth: 9 }),
    JSON.stringify(identity),
    JSON.stringify({ identity }),
    Object.entries(identity).join(),
  ]
  for (const text of shown) {
    assert.ok(text.includes(identity.publicKeyBase64), text)
    for (const secret of [toHex(seed), toBase64(seed), [...seed].join(), [...seed].join(', ')])
      assert.ok(!text.includes(secret), text)
  }
})

test("the seed is copied, and a wrong length is the caller's bug", () => {
  const seed = new Uint8Array(32).fill(5)
  const identity = createIdentity(seed)
  const before = identity.sign(utf8('m'))
  seed.fill(0)
  assert.deepEqual(identity.sign(utf8('m')), before)
  for (const length of [0, 31, 64]) assert.throws(() => createIdentity(new Uint8Array(length)), RangeError)
})

interface IdentityVectors {
  identities: {
    name: string
    ed25519_seed: string
    ed25519_public: string
    private_key_base64: string
    public_key_base64: string
    file_text: string
  }[]
  loading: { name: string; file_text: string; accepted: boolean }[]
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice()
  copy[at]! ^= 1 << (at % 8)
  return copy
}
